"""Which request a try of a task goes on with: the one decision behind "never pay twice", as a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum

from airflow_sentinelhub.api.decide.marker import Mark, Relation, cleared_since, mark_of, relation
from airflow_sentinelhub.api.decide.verdict import over
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus


class Plan(str, Enum):
    """What to do.

    ADOPT: go on with `request`, or judge it where it is at its end. CREATE: make a new one. AWAIT_END: `request` is
    being cancelled; wait for its end, then decide again. REPLACE: cancel `request`, wait until that has taken effect,
    then make a new one. CONTINUE: `request` was stopped for its budget; have done what is missing of it.
    """

    ADOPT = "adopt"
    CREATE = "create"
    AWAIT_END = "await_end"
    REPLACE = "replace"
    CONTINUE = "continue"


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
    | being cancelled | wait for the end, decide again | the same |
    | finished well (PARTIAL too: its failed part can be restarted) | adopt | start anew |
    | a continuation that failed (v2) | adopt: what the first request brought is judged | start anew |
    | PARTIAL after a restart, which may be at work though it does not show | adopt | cancel it, wait, start anew |
    | stopped for its budget (v2), same job, the budget is still passed | adopt, to judge it | the same |
    | stopped for its budget (v2), same job, the budget was raised | continue | the same |
    | stopped by the service (v2), and the task resumes such | adopt if the job is the same | the same |
    | failed, or stopped by the service | start anew | start anew |
    | cancelled or stopped by hand, or at the deadline | adopt: a final error | start anew |

    Of several requests that could be adopted the oldest is, started ones first; the rest, never started, are removed.
    A request of a *later* round belongs to a try that came after this one: it is adopted whatever its job, and never
    removed, so that an old copy of a task that outlives a clear never starts another job beside the new try.

    A request that an earlier round has made and a later one has adopted counts as the later one's (`owned`). A try
    that could not render its job (`mark.job` is empty) takes each job for another one.
    """
    mine = owned(found, mark)
    started = [one for one in mine if one.job.started and not one.job.status.is_final and not one.job.ending]
    waiting = [one for one in mine if not one.job.started and not one.job.ending and not one.job.status.is_final]
    later = [one for one in waiting if one.relation is Relation.LATER and one.mark.job != mark.job]
    same = tuple(one.job for one in waiting if one.mark.job == mark.job)
    changed = tuple(one.job for one in waiting if one.mark.job != mark.job and one.relation is not Relation.LATER)

    for one in sorted(started, key=lambda one: not one.current):
        if one.mark.job == mark.job:
            return Decision(Plan.ADOPT, one.job, same + changed, "it is running")
        if one.current:
            return Decision(Plan.ADOPT, one.job, same + changed, f"it is running, {_differs(mark)}")
        return Decision(Plan.REPLACE, one.job, changed, "the job has changed since the task was cleared")
    for one in mine:
        if one.current and one.job.status in (BatchRequestStatus.DONE, BatchRequestStatus.PARTIAL):
            but = "" if one.mark.job == mark.job else f", {_differs(mark)}"
            if cleared_since(one.mark, mark):
                but += "; a task of this run was cleared since: if it was this one, clear it again to run the job anew"
            return Decision(Plan.ADOPT, one.job, same + changed, f"it is {one.job.status} already{but}")
        if one.current and one.mark.continues and one.job.status == BatchRequestStatus.FAILED:
            return Decision(Plan.ADOPT, one.job, same + changed, "it failed; what it continues has ended before")
    for one in mine:
        if one.job.status == BatchRequestStatus.PARTIAL and one.mark.restarts:
            why = "it was restarted and may be at work, and the task was cleared"
            return Decision(Plan.REPLACE, one.job, changed, why)
    for one in mine:
        if one.job.status != BatchRequestStatus.STOPPED:
            continue
        spent, alike = spent_before(one.job, found), one.mark.job == mark.job
        for_budget = alike and not stopped_by_service(one.job) and over(one.job, one.mark.limit, spent)
        if (one.current or for_budget) and over(one.job, stopped.max_cost, spent):
            why = "it was stopped because it has cost more than it may"
            return Decision(Plan.ADOPT, one.job, same + changed, why)
        if for_budget:
            return Decision(Plan.CONTINUE, one.job, changed, "it was stopped for its budget, which is higher now")
        if stopped.resume and alike and stopped_by_service(one.job):
            why = f"the service has stopped it ({one.job.stopped_reason})"
            return Decision(Plan.ADOPT, one.job, same + changed, why)
    for one in mine:
        if one.job.ending:
            return Decision(Plan.AWAIT_END, one.job, changed, "it is being cancelled")
    for one in mine:
        if one.current and ended_by_hand(one.job) and (mark.job in ("", one.mark.job) or one.billed):
            return Decision(Plan.ADOPT, one.job, (), f"it is {one.job.status}, and not by the service")
    if later:
        wanted = max(later, key=lambda one: one.mark.tried or one.mark.round).mark.job
        heir = next(one.job for one in waiting if one.mark.job == wanted)
        return Decision(Plan.ADOPT, heir, (), "a later try of this task has made it")
    if same:
        return Decision(Plan.ADOPT, same[0], same[1:] + changed, "it has not been started yet")
    return Decision(Plan.CREATE, None, changed, "the job has changed" if changed else "")


def _differs(mark: Mark) -> str:
    return "though the job has changed since it was started" if mark.job else "though the job cannot be rendered now"


def stopped_by_service(job: Snapshot) -> bool:
    """STOPPED, and not because somebody wanted it: it can go on where it was."""
    return job.status == BatchRequestStatus.STOPPED and job.stopped_reason not in (None, "USER_ACTION")


def ended_by_hand(job: Snapshot) -> bool:
    """Cancelled or stopped because somebody wanted it: a person, or a task at its deadline or over its budget."""
    if job.status == BatchRequestStatus.STOPPED:
        return not stopped_by_service(job)
    return job.status == BatchRequestStatus.CANCELED


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


@dataclass(frozen=True)
class Owned:
    """A request of this task, its marker, and how it stands to the try."""

    job: Snapshot
    mark: Mark
    relation: Relation

    @property
    def current(self) -> bool:
        """Of this round or of a later one."""
        return self.relation in (Relation.SAME, Relation.LATER)

    @property
    def billed(self) -> bool:
        """It was started, as far as an ended request tells. One that does not say what it has cost (v1) was: those that
        were not started are deleted."""
        return self.job.cost is None or self.job.cost > 0


_ORDER = (Relation.FOREIGN, Relation.EARLIER, Relation.SAME, Relation.LATER)


def owned(found: Sequence[Snapshot], mark: Mark) -> list[Owned]:
    """The requests of this task, oldest first; a note raises the round of what it is about, and renews its limit.

    A request that another one continues is done with: the other one stands for the job. A marker that continues a
    request considers only requests that continue the same one.
    """
    mine = [one for one in _related(found, mark) if one[2] is not Relation.FOREIGN]
    notes: dict[str, tuple[Mark, Relation]] = {}
    for _, its, how in mine:
        if its.adopts and _ORDER.index(how) >= _ORDER.index(notes.get(its.adopts, (its, Relation.FOREIGN))[1]):
            notes[its.adopts] = (its, how)
    continued = {its.continues for _, its, _ in mine}
    result = []
    for job, its, how in mine:
        if its.adopts is not None:
            continue
        if its.continues != mark.continues if mark.continues else job.request_id in continued:
            continue
        note, noted = notes.get(job.request_id, (its, how))
        newer = noted is how and (note.tried or 0) >= (its.tried or 0)
        if _ORDER.index(noted) > _ORDER.index(how) or newer:
            its = replace(its, round=note.round, tried=note.tried, limit=note.limit)
            how = noted
        result.append(Owned(job, its, how))
    return result


def _related(found: Sequence[Snapshot], mark: Mark) -> list[tuple[Snapshot, Mark, Relation]]:
    """All that carry the identity, oldest first, with how they stand to the try.

    What was made before a clear of the run has another start than the try, and so has what was made by a run of before
    that was deleted. It is of a run of before if it cannot be of the same run as another request that has the try's
    start.
    """
    read = [(job, its) for job in oldest_first(found) if (its := mark_of(job.description))]
    known = [(job, its, relation(its, mark)) for job, its in read if its.identity == mark.identity]
    here = [its for _, its, _ in known if its.born is not None and its.born == mark.born]
    return [
        (job, its, Relation.FOREIGN if any(relation(its, other) is Relation.FOREIGN for other in here) else how)
        for job, its, how in known
    ]


def notes_about(found: Sequence[Snapshot], request_id: str) -> tuple[Snapshot, ...]:
    """The notes about this request."""
    return tuple(job for job in found if (its := mark_of(job.description)) and its.adopts == request_id)


def left_running(found: Sequence[Snapshot], mark: Mark, decision: Decision) -> tuple[Snapshot, ...]:
    """Requests with this identity that are at work, and that the decision leaves so: they have to be mentioned.

    They are of a run that was deleted and made again under its id, or of a copy of this Airflow without a name.
    """
    return tuple(
        job
        for job, _, _ in _related(found, mark)
        if job.started and not job.status.is_final and not job.ending and job is not decision.request
    )
