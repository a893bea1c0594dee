"""Which request a try of a task goes on with: the one decision behind "never pay twice", as a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum

from airflow_sentinelhub.api.marker import Mark, mark_of
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.api.verdict import over


class Plan(str, Enum):
    """What to do.

    ADOPT: go on with `request`. CREATE: make a new one. AWAIT_END: `request` is being cancelled; wait for its end, then
    make a new one. REPLACE: cancel `request`, wait until that has taken effect, then make a new one.
    """

    ADOPT = "adopt"
    CREATE = "create"
    AWAIT_END = "await_end"
    REPLACE = "replace"


@dataclass(frozen=True)
class Decision:
    """The plan, the request it is about, those to remove (never started, so free), and a word for the log."""

    plan: Plan
    request: Snapshot | None = None
    remove: tuple[Snapshot, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Stopped:
    """Which STOPPED requests (v2) a task goes on with, instead of paying for the whole job again.

    :param max_cost: PU that the job may cost: one that has cost more was stopped for that, and is judged so.
    :param resume: the task starts again what the service has stopped by itself (no PU left, unhealthy).
    """

    max_cost: float | None = None
    resume: bool = False


NONE_STOPPED = Stopped()

_EARLY = datetime(1970, 1, 1, tzinfo=timezone.utc)


def oldest_first(found: Sequence[Snapshot]) -> list[Snapshot]:
    """By time of creation, then id: an order in which all copies of a task agree."""
    return sorted(found, key=lambda job: (job.created or _EARLY, job.request_id))


def choose(found: Sequence[Snapshot], mark: Mark, stopped: Stopped = NONE_STOPPED) -> Decision:
    """Decide what a try with this marker does about the requests that carry its identity.

    | found | same round (a retry) | earlier round (a user cleared) |
    | --- | --- | --- |
    | not started or running, same job | adopt | adopt |
    | not started, job changed | create anew, remove the old | the same |
    | running, job changed | adopt with a warning | cancel, wait, start anew |
    | being cancelled | wait for the end, start anew | the same |
    | finished well (PARTIAL too: its failed part can be restarted) | adopt | start anew |
    | PARTIAL after a restart, which may be at work though it does not show | adopt | cancel it, wait, start anew |
    | stopped for its budget (v2) | adopt, to judge it | start anew |
    | stopped by the service (v2), and the task resumes such | adopt if the job is the same | the same |
    | failed, cancelled | start anew | start anew |

    Of several requests that could be adopted the oldest is, started ones first; the rest, never started, are removed.
    A request of a *later* round belongs to a try that came after this one: it is adopted whatever its job, and never
    removed, so that an old copy of a task that outlives a clear never starts another job beside the new try.

    A request that an earlier round has made and a later one has adopted counts as the later one's (`_owned`).
    """
    owned = _owned(found, mark)
    started = [(job, its) for job, its in owned if job.started and not job.status.is_final and not job.ending]
    waiting = [(job, its) for job, its in owned if not job.started and not job.ending and not job.status.is_final]
    later = [its for _, its in waiting if its.round > mark.round and its.job != mark.job]
    same = tuple(job for job, its in waiting if its.job == mark.job)
    changed = tuple(job for job, its in waiting if its.job != mark.job and its.round <= mark.round)

    for job, its in started:
        if its.job == mark.job:
            return Decision(Plan.ADOPT, job, same + changed, "it is running")
        if its.round >= mark.round:
            why = "it is running, though the job has changed since it was started"
            return Decision(Plan.ADOPT, job, same + changed, why)
        return Decision(Plan.REPLACE, job, changed, "the job has changed since the task was cleared")
    for job, its in owned:
        if its.round >= mark.round and job.status in (BatchRequestStatus.DONE, BatchRequestStatus.PARTIAL):
            return Decision(Plan.ADOPT, job, same + changed, f"it is {job.status} already")
    for job, its in owned:
        if job.status == BatchRequestStatus.PARTIAL and its.restarts:
            return Decision(Plan.REPLACE, job, changed, "it was restarted and may be at work, and the task was cleared")
    for job, its in owned:
        if job.status != BatchRequestStatus.STOPPED:
            continue
        if its.round >= mark.round and over(job, stopped.max_cost, spent_before(job, found)):
            return Decision(Plan.ADOPT, job, same + changed, "it was stopped because it has cost more than it may")
        if stopped.resume and its.job == mark.job and stopped_by_service(job):
            return Decision(Plan.ADOPT, job, same + changed, f"the service has stopped it ({job.stopped_reason})")
    for job, _ in owned:
        if job.ending:
            return Decision(Plan.AWAIT_END, job, changed, "it is being cancelled")
    if later:
        wanted = max(later, key=lambda its: its.round).job
        heir = next(job for job, its in waiting if its.job == wanted)
        return Decision(Plan.ADOPT, heir, (), "a later try of this task has made it")
    if same:
        return Decision(Plan.ADOPT, same[0], same[1:] + changed, "it has not been started yet")
    return Decision(Plan.CREATE, None, changed, "the job has changed" if changed else "")


def stopped_by_service(job: Snapshot) -> bool:
    """STOPPED, and not because somebody wanted it: it can go on where it was."""
    return job.status == BatchRequestStatus.STOPPED and job.stopped_reason not in (None, "USER_ACTION")


def spent_before(job: Snapshot, found: Sequence[Snapshot]) -> float:
    """PU that the requests have cost which this one continues, as far as they were found."""
    known, spent = {other.request_id: other for other in found}, 0.0
    seen = {job.request_id}
    its = mark_of(job.description)
    while its and its.continues in known and its.continues not in seen:
        seen.add(its.continues)
        spent += known[its.continues].cost or 0.0
        its = mark_of(known[its.continues].description)
    return spent


def _owned(found: Sequence[Snapshot], mark: Mark) -> list[tuple[Snapshot, Mark]]:
    """The requests of this task with their markers, oldest first; notes raise the round of what they are about.

    A request that another one continues is done with: the other one stands for the job. A marker that continues a
    request looks for its like only.
    """
    read = [(job, its) for job in oldest_first(found) if (its := mark_of(job.description))]
    mine = [(job, its) for job, its in read if its.identity == mark.identity]
    adopted = {its.adopts: its.round for _, its in sorted(mine, key=lambda pair: pair[1].round) if its.adopts}
    continued = {its.continues for _, its in mine}
    return [
        (job, replace(its, round=max(its.round, adopted.get(job.request_id, 0))))
        for job, its in mine
        if its.adopts is None
        and (its.continues == mark.continues if mark.continues else job.request_id not in continued)
    ]


def notes_about(found: Sequence[Snapshot], request_id: str) -> tuple[Snapshot, ...]:
    """The notes about this request."""
    return tuple(job for job in found if (its := mark_of(job.description)) and its.adopts == request_id)
