"""Decide which request a try of a task continues with, so that no job is paid twice: one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from enum import Enum

from airflow_sentinelhub.api.decide.marker import Mark, Relation, cleared_since, mark_of, relation
from airflow_sentinelhub.api.decide.verdict import over
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus


class Plan(str, Enum):
    """What to do.

    ADOPT: continue with `request`; if it has ended, judge its result. CREATE: create a new request. AWAIT_END:
    `request` is being cancelled; wait for its end, then decide again. REPLACE: cancel `request`, wait until it has
    ended, then create a new one. CONTINUE: `request` was stopped for its budget; process the part that is missing.
    """

    ADOPT = "adopt"
    CREATE = "create"
    AWAIT_END = "await_end"
    REPLACE = "replace"
    CONTINUE = "continue"


@dataclass(frozen=True)
class Decision:
    """The plan, the request it applies to, the requests to remove (never started, so free), and the reason to log."""

    plan: Plan
    request: Snapshot | None = None
    remove: tuple[Snapshot, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Stopped:
    """Which STOPPED requests (v2) a task continues with, instead of paying for the whole job again.

    :param max_cost: PU that the job may cost, None for no limit. A request that has cost more counts as stopped for
        its budget.
    :param resume: the task restarts requests that the service has stopped by itself (no PU left, unhealthy).
    """

    max_cost: float | None = None
    resume: bool = False


NONE_STOPPED = Stopped()

_EARLY = datetime(1970, 1, 1, tzinfo=timezone.utc)


def oldest_first(requests: Sequence[Snapshot]) -> list[Snapshot]:
    """The requests by creation time, then id, so that all copies of a task use the same order."""
    return sorted(requests, key=lambda job: (job.created or _EARLY, job.request_id))


def choose(requests: Sequence[Snapshot], mark: Mark, stopped: Stopped = NONE_STOPPED) -> Decision:
    """Decide what a try with this marker does about the requests that carry its identity.

    | request | same round (a retry) | earlier round (a user cleared) |
    | --- | --- | --- |
    | not started or running, same job | adopt | adopt |
    | not started, job changed | create anew, remove the old | the same |
    | running, job changed | adopt with a warning | cancel, wait, start anew |
    | being cancelled | wait for the end, decide again | the same |
    | finished well (PARTIAL too: its failed part can be restarted) | adopt | start anew |
    | a continuation that failed (v2) | adopt: what the first request brought is judged | start anew |
    | PARTIAL after a restart (it may be running, although the status lags) | adopt | cancel it, wait, start anew |
    | stopped for its budget (v2), same job, its cost is still above the budget | adopt, to judge it | the same |
    | stopped for its budget (v2), same job, the budget was raised | continue | the same |
    | stopped by the service (v2), and the task resumes such requests | adopt if the job is the same | the same |
    | failed, or stopped by the service | start anew | start anew |
    | cancelled or stopped by hand, or at the deadline | adopt: a final error | start anew |

    If several requests could be adopted, started ones come first, then the oldest; the others, never started, are
    removed. A request of a *later* round belongs to a newer try: it is adopted whatever its job, so that an old copy of
    a task that still runs after a clear does not start a second job beside the new try. What was not started is then
    removed as the last try would do it, since a copy of a try between the two may start it.

    A request that an earlier round has created and a later round has adopted counts as one of the later round
    (`owned`). For a try that could not render its job (`mark.job` is empty), the job of every request has changed.
    """
    candidates = owned(requests, mark)
    unstarted = _Unstarted.of(candidates, mark)
    return (
        _of_running(candidates, mark, unstarted)
        or _of_finished(candidates, mark, unstarted)
        or _of_restarted(candidates, unstarted)
        or _of_stopped(candidates, mark, unstarted, requests, stopped)
        or _of_ending(candidates, unstarted)
        or _of_ended_by_hand(candidates, mark)
        or _of_unstarted(unstarted)
    )


@dataclass(frozen=True)
class _Unstarted:
    """The requests of a task that were not started, oldest first.

    :param same: for the job of this try.
    :param changed: for another job, unless they belong to a later round.
    :param wanted: for the job of the last try of a later round, or of this try if there is no later one.
    :param unwanted: all others. The last try removes them before it starts one, so whoever starts one for it has to.
    """

    same: tuple[Snapshot, ...]
    changed: tuple[Snapshot, ...]
    wanted: tuple[Snapshot, ...]
    unwanted: tuple[Snapshot, ...]

    @classmethod
    def of(cls, candidates: Sequence[Owned], mark: Mark) -> _Unstarted:
        idle = [one for one in candidates if not (one.job.started or one.job.ending or one.job.status.is_final)]
        later = [one for one in idle if one.relation is Relation.LATER]
        newest = max(later, key=lambda one: one.mark.tried or one.mark.round).mark.job if later else mark.job
        return cls(
            same=tuple(one.job for one in idle if one.mark.job == mark.job),
            changed=tuple(one.job for one in idle if one.mark.job != mark.job and one.relation is not Relation.LATER),
            wanted=tuple(one.job for one in idle if one.mark.job == newest),
            unwanted=tuple(one.job for one in idle if one.mark.job != newest),
        )

    @property
    def unused(self) -> tuple[Snapshot, ...]:
        """Those to remove if a request that was started is taken."""
        return self.same + self.changed


def _of_running(candidates: Sequence[Owned], mark: Mark, unstarted: _Unstarted) -> Decision | None:
    """A request that runs: of this round before earlier ones."""
    running = [one for one in candidates if one.job.started and not one.job.status.is_final and not one.job.ending]
    for one in sorted(running, key=lambda one: not one.current):
        if one.mark.job == mark.job:
            return Decision(Plan.ADOPT, one.job, unstarted.unused, "it is running")
        if one.current:
            return Decision(Plan.ADOPT, one.job, unstarted.unused, f"it is running, {_differs(mark)}")
        return Decision(Plan.REPLACE, one.job, unstarted.changed, "the job has changed since the task was cleared")
    return None


def _of_finished(candidates: Sequence[Owned], mark: Mark, unstarted: _Unstarted) -> Decision | None:
    """A request of this round that has brought something, or that was to do the failed part of one that has."""
    for one in candidates:
        if one.current and one.job.status in (BatchRequestStatus.DONE, BatchRequestStatus.PARTIAL):
            remark = "" if one.mark.job == mark.job else f", {_differs(mark)}"
            if cleared_since(one.mark, mark):
                remark += (
                    "; a task of this run was cleared since: if it was this one, clear it again to run the job anew"
                )
            return Decision(Plan.ADOPT, one.job, unstarted.unused, f"it is {one.job.status} already{remark}")
        if one.current and one.mark.continues and one.job.status == BatchRequestStatus.FAILED:
            return Decision(Plan.ADOPT, one.job, unstarted.unused, "it failed; what it continues has ended before")
    return None


def _of_restarted(candidates: Sequence[Owned], unstarted: _Unstarted) -> Decision | None:
    """A PARTIAL request of an earlier round (those of this one are finished) that may be at work after a restart."""
    for one in candidates:
        if one.job.status == BatchRequestStatus.PARTIAL and one.mark.restarts:
            why = "it was restarted and may be at work, and the task was cleared"
            return Decision(Plan.REPLACE, one.job, unstarted.changed, why)
    return None


def _of_stopped(
    candidates: Sequence[Owned], mark: Mark, unstarted: _Unstarted, requests: Sequence[Snapshot], stopped: Stopped
) -> Decision | None:
    """A STOPPED request (v2): for its budget, or by the service. `requests` tell what those it continues have cost."""
    for one in candidates:
        if one.job.status != BatchRequestStatus.STOPPED:
            continue
        spent, same_job = spent_before(one.job, requests), one.mark.job == mark.job
        by_service = stopped_by_service(one.job)
        for_budget = same_job and not by_service and over(one.job, one.mark.limit, spent)
        if (one.current or for_budget) and over(one.job, stopped.max_cost, spent):
            why = "it was stopped because it has cost more than it may"
            return Decision(Plan.ADOPT, one.job, unstarted.unused, why)
        if for_budget:
            return Decision(
                Plan.CONTINUE, one.job, unstarted.changed, "it was stopped for its budget, which is higher now"
            )
        if stopped.resume and same_job and by_service:
            why = f"the service has stopped it ({one.job.stopped_reason})"
            return Decision(Plan.ADOPT, one.job, unstarted.unused, why)
    return None


def _of_ending(candidates: Sequence[Owned], unstarted: _Unstarted) -> Decision | None:
    for one in candidates:
        if one.job.ending:
            return Decision(Plan.AWAIT_END, one.job, unstarted.changed, "it is being cancelled")
    return None


def _of_ended_by_hand(candidates: Sequence[Owned], mark: Mark) -> Decision | None:
    """A request of this round that a person or a deadline has ended: a final error, of this job or of a billed one."""
    for one in candidates:
        if one.current and ended_by_hand(one.job) and (mark.job in ("", one.mark.job) or one.billed):
            return Decision(Plan.ADOPT, one.job, (), f"it is {one.job.status}, and not by the service")
    return None


def _of_unstarted(unstarted: _Unstarted) -> Decision:
    if not unstarted.wanted:
        return Decision(Plan.CREATE, None, unstarted.unwanted, "the job has changed" if unstarted.unwanted else "")
    first, *others = unstarted.wanted
    why = "it has not been started yet" if first in unstarted.same else "a later try of this task has made it"
    return Decision(Plan.ADOPT, first, (*others, *unstarted.unwanted), why)


def _differs(mark: Mark) -> str:
    return "though the job has changed since it was started" if mark.job else "though the job cannot be rendered now"


def stopped_by_service(job: Snapshot) -> bool:
    """Whether the service itself stopped the request, not a user: it can be started again and continues."""
    return job.status == BatchRequestStatus.STOPPED and job.stopped_reason not in (None, "USER_ACTION")


def ended_by_hand(job: Snapshot) -> bool:
    """Whether the request was cancelled or stopped on purpose: by a user, or by a task (deadline, budget)."""
    if job.status == BatchRequestStatus.STOPPED:
        return not stopped_by_service(job)
    return job.status == BatchRequestStatus.CANCELED


def spent_before(job: Snapshot, requests: Sequence[Snapshot]) -> float:
    """PU that the requests continued by this one have cost; requests that are not in the list do not count."""
    known, spent = {other.request_id: other for other in requests}, 0.0
    seen = {job.request_id}
    request_mark = mark_of(job.description)
    while request_mark and request_mark.continues in known and request_mark.continues not in seen:
        seen.add(request_mark.continues)
        spent += known[request_mark.continues].cost or 0.0
        request_mark = mark_of(known[request_mark.continues].description)
    return spent


@dataclass(frozen=True)
class Owned:
    """A request of this task, its marker, and the relation of its round to that of the try."""

    job: Snapshot
    mark: Mark
    relation: Relation

    @property
    def current(self) -> bool:
        """Whether the request belongs to this round or to a later one."""
        return self.relation in (Relation.SAME, Relation.LATER)

    @property
    def billed(self) -> bool:
        """Whether an ended request was started. v1 reports no cost; its requests that never started are deleted."""
        return self.job.cost is None or self.job.cost > 0


_ORDER = (Relation.FOREIGN, Relation.EARLIER, Relation.SAME, Relation.LATER)


def owned(requests: Sequence[Snapshot], mark: Mark) -> list[Owned]:
    """The requests of this task, oldest first. A note gives the request that it names its own round and limit.

    A request that another one continues is left out: the other one represents the job. For a marker that continues a
    request, only requests that continue the same one are returned.
    """
    related = [one for one in _related(requests, mark) if one[2] is not Relation.FOREIGN]
    notes: dict[str, tuple[Mark, Relation]] = {}
    for _, request_mark, kind in related:
        if request_mark.adopts and _ORDER.index(kind) >= _ORDER.index(
            notes.get(request_mark.adopts, (request_mark, Relation.FOREIGN))[1]
        ):
            notes[request_mark.adopts] = (request_mark, kind)
    continued = {request_mark.continues for _, request_mark, _ in related}
    result = []
    for job, request_mark, kind in related:
        if request_mark.adopts is not None:
            continue
        if request_mark.continues != mark.continues if mark.continues else job.request_id in continued:
            continue
        note, note_kind = notes.get(job.request_id, (request_mark, kind))
        newer = note_kind is kind and (note.tried or 0) >= (request_mark.tried or 0)
        if _ORDER.index(note_kind) > _ORDER.index(kind) or newer:
            request_mark = replace(request_mark, round=note.round, tried=note.tried, limit=note.limit)
            kind = note_kind
        result.append(Owned(job, request_mark, kind))
    return result


def _related(requests: Sequence[Snapshot], mark: Mark) -> list[tuple[Snapshot, Mark, Relation]]:
    """All requests with this identity, oldest first, each with its marker and its relation to the try.

    A request created before the run was cleared has another run start than the try; so has a request of an earlier,
    deleted run with the same id. It belongs to the deleted run (FOREIGN) if it cannot be of the same run as another
    request that has the start of the try.
    """
    read = [(job, request_mark) for job in oldest_first(requests) if (request_mark := mark_of(job.description))]
    known = [
        (job, request_mark, relation(request_mark, mark))
        for job, request_mark in read
        if request_mark.identity == mark.identity
    ]
    written = (one for _, request_mark, _ in known for one in (request_mark, request_mark.of_first_try()))
    same_start = [one for one in written if one is not None and one.born == mark.born]
    return [
        (
            job,
            request_mark,
            Relation.FOREIGN
            if any(relation(request_mark, other) is Relation.FOREIGN for other in same_start)
            else kind,
        )
        for job, request_mark, kind in known
    ]


def _ends_search(job: Snapshot, request_mark: Mark, kind: Relation, mark: Mark) -> bool:
    """Whether no older request than this one matters to a try with this marker: the list need not be read further back.

    A request is started only if no older one of its task instance runs, is done or can be continued. So the search ends
    at a started one that belongs to this round and runs or has brought something, which is adopted; and for a later try
    at one that the first try has started, since a task has no request from before its first try.

    A note does not end it, nor does a request that continues another one: the other one is older, and counts.
    """
    if not job.started or request_mark.adopts or request_mark.continues or mark.continues:
        return False
    if request_mark.tried == 1 and (mark.tried or 0) > 1:
        return True
    runs = not job.status.is_final and not job.ending
    useful = runs or job.status in (BatchRequestStatus.DONE, BatchRequestStatus.PARTIAL)
    return useful and kind in (Relation.SAME, Relation.LATER)


BEFORE_LAST = timedelta(hours=1)
"""How much further back the list is read than to the request behind which none matters, for copies of one try, and than
to the start of the run, for the clocks of Airflow and the service."""


def searched_to(requests: Sequence[Snapshot], mark: Mark) -> datetime | None:
    """The time before which no request matters to a try with this marker, by these; None where they do not say that.

    - Nothing matters that is much older than a request of this run that ends the search.
    - A request of the first try of a task tells when the run was started that the first try belonged to, also if it was
      never started itself. A task has no request from before its first try. That outlasts a clear, which moves the
      start that Airflow shows.
    """
    known = [one for one in _related(requests, mark) if one[2] is not Relation.FOREIGN]
    return max((time for one in known if (time := _searched_to(*one, mark)) is not None), default=None)


def _searched_to(job: Snapshot, request_mark: Mark, kind: Relation, mark: Mark) -> datetime | None:
    if job.created is None:
        return None
    if _ends_search(job, request_mark, kind, mark):
        return job.created - BEFORE_LAST
    first = request_mark.of_first_try()
    if first is None or first.born is None or mark.continues:
        return None
    started = datetime.fromtimestamp(first.born / 1_000_000, timezone.utc)
    return started - BEFORE_LAST if started <= job.created else None


def notes_about(requests: Sequence[Snapshot], request_id: str) -> tuple[Snapshot, ...]:
    """The note requests that name this request."""
    return tuple(
        job for job in requests if (request_mark := mark_of(job.description)) and request_mark.adopts == request_id
    )


def left_running(requests: Sequence[Snapshot], mark: Mark, decision: Decision) -> tuple[Snapshot, ...]:
    """Requests with this identity that are running and that the decision does not touch, for a warning.

    They belong to a run that was deleted and created again under its id, or to another Airflow without a deployment
    name.
    """
    return tuple(
        job
        for job, _, _ in _related(requests, mark)
        if job.started and not job.status.is_final and not job.ending and job is not decision.request
    )
