"""The one request of a task: found by its marker, or created. What is read and done otherwise is offered here too.

Nothing here does I/O or knows the time; see `call.py`. Nothing in this file bills; see `acting.py` and
`restarting.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.acting import (
    AMBIGUOUS,
    analyse_once,
    end,
    resume,
    start_once,
)
from airflow_sentinelhub.api.adoption import NONE_STOPPED, Decision, Plan, Stopped, choose, notes_about
from airflow_sentinelhub.api.call import Flow, Note, Now, Sleep, exchange
from airflow_sentinelhub.api.generations import Generation
from airflow_sentinelhub.api.marker import Mark, mark_of, marked
from airflow_sentinelhub.api.reading import (
    AFTER_AMBIGUOUS,
    LAGGING_LIST,
    continued_by,
    current,
    find,
    outlast,
    read,
    read_patiently,
    walk,
)
from airflow_sentinelhub.api.restarting import restart_counted, restart_failed, restart_once
from airflow_sentinelhub.api.snapshot import Snapshot, snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import (
    ApiError,
    BadRequestError,
    ConflictError,
    JobError,
    NotFoundError,
    RateLimitError,
    UnreachableError,
)

__all__ = [
    "Found",
    "analyse_once",
    "continued_by",
    "end",
    "end_all",
    "find",
    "find_or_create",
    "outlast",
    "read",
    "read_patiently",
    "restart_counted",
    "restart_failed",
    "restart_once",
    "resume",
    "start_once",
    "walk",
]

ROUNDS_OF_LOOKING, AGAIN = 8, 5.0
"""Looks that find_or_create takes at the most, and seconds before it looks again at what somebody else is doing."""


@dataclass(frozen=True)
class Found:
    """The request that a try goes on with. `adopted`: it existed before; `why` says in which state."""

    job: Snapshot
    adopted: bool
    why: str = ""


def find_or_create(
    api: Generation,
    payload: dict[str, Any],
    mark: Mark,
    *,
    since: datetime | None = None,
    remembered: str | None = None,
    stopped: Stopped = NONE_STOPPED,
) -> Flow[Found]:
    """The one request of this task: a remembered one, one that carries the marker, or a new one. Never bills.

    Before it goes on with a new request, or with one that an earlier round has made and nobody has started, it looks
    again, until the list shows what it has written: so copies of this task which create at the same time agree, and
    what was started a moment before is not overlooked.

    :param payload: the job as the generation takes it; the marker is put into its description.
    :param since: no request of this task is older than this (bounds the walk through v2's list).
    :param remembered: id that an earlier try of the same round has stored.
    :param stopped: which STOPPED requests to go on with.
    """
    if remembered and (known := (yield from _recall(api, remembered, mark, stopped))):
        return known
    words = {**payload, "description": marked(payload.get("description"), mark)}
    created: Snapshot | None = None
    claimed, written = "", None
    ended: dict[str, Snapshot] = {}
    for _ in range(ROUNDS_OF_LOOKING):
        found = yield from current(api, (yield from _listed(api, mark, since, written)), ended)
        if created is not None and all(job.request_id != created.request_id for job in found):
            found.append(created)
        decision = choose(found, mark, stopped)
        if decision.plan is Plan.CREATE:
            yield from _remove(api, decision.remove, mark)
            created = yield from _create(api, words, mark, {job.request_id for job in found})
            written = _Written(created.request_id) if created else None
            continue
        job = _of(decision)
        acted = yield from _remove(api, decision.remove, mark)
        if decision.plan is Plan.ADOPT:
            idle = not job.started and not job.status.is_final
            if acted and idle:
                yield Sleep(AGAIN)  # somebody goes on with one that looked as if nobody did
                continue
            if job.request_id != claimed and (claim := (yield from _claim(api, job, payload, mark, found))) and idle:
                claimed, written = job.request_id, claim
                continue
            mine = created is not None and created.request_id == job.request_id
            return Found(job, not mine, "" if mine else decision.why)
        yield Note(f"Batch request {job.request_id} of this task: {decision.why}; waiting for its end", warning=True)
        over = yield from end(api, job.request_id)
        # PARTIAL still: nobody has restarted it, or that has been ended; it is over either way.
        ended[job.request_id] = replace(over, status=S.CANCELED) if over.status == S.PARTIAL else over
    raise JobError(
        f"No request could be settled on for this task in {ROUNDS_OF_LOOKING} rounds of looking; nothing was started."
    )


def end_all(api: Generation, identity: str) -> Flow[None]:
    """End every request of a task that was started and goes on; for a task that is wanted no more."""
    found = yield from find(api, identity, None)
    for job in (yield from current(api, found, {})):
        if job.started and not job.status.is_final:
            yield from end(api, job.request_id)


def _of(decision: Decision) -> Snapshot:
    assert decision.request is not None
    return decision.request


def _recall(api: Generation, request_id: str, mark: Mark, stopped: Stopped) -> Flow[Found | None]:
    """The remembered request, if it is one to go on with. It belongs to this round, whatever its marker says."""
    try:
        job = yield from read(api, request_id)
    except NotFoundError:
        yield Note(f"The remembered batch request {request_id} does not exist any more; looking for others")
        return None
    its = mark_of(job.description)
    if its is None or its.identity != mark.identity:
        return None
    mine = replace(job, description=marked(job.description, replace(its, round=max(its.round, mark.round))))
    decision = choose([mine], mark, stopped)
    return Found(job, True, decision.why) if decision.plan is Plan.ADOPT else None


@dataclass(frozen=True)
class _Written:
    """What this try has written last: a request, or the round into the description of one."""

    request_id: str
    round: int = 0

    def shows_in(self, found: list[Snapshot]) -> bool:
        marks = (mark_of(job.description) for job in found if job.request_id == self.request_id)
        return any(its is not None and its.round >= self.round for its in marks)


def _listed(api: Generation, mark: Mark, since: datetime | None, written: _Written | None) -> Flow[list[Snapshot]]:
    """This task's requests by the list, which lags. Once it shows what we wrote last, it shows all that came before."""
    found: list[Snapshot] = yield from find(api, mark.identity, since)
    if written is None:
        return found
    for pause in LAGGING_LIST:
        if written.shows_in(found):
            return found
        yield Sleep(pause)
        found = yield from find(api, mark.identity, since)
    if not written.shows_in(found):
        yield Note(f"The list of requests still does not show {written.request_id}; going on with it", warning=True)
    return found


def _claim(
    api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark, found: list[Snapshot]
) -> Flow[_Written | None]:
    """Say that this round goes on with a request of an earlier one, so that the next try knows it too.

    Otherwise a try that comes after the end of the request would take it for one that the user wanted to have made
    again. The description says it; where the service refuses to change that (v1 while processing) or cannot (batch
    statistical), a *note* does: a request of its own that is never started and costs nothing. Returns what was written.
    """
    its = mark_of(job.description)
    if its is None or its.round >= mark.round:
        return None
    if any(
        (note := mark_of(other.description)) and note.round >= mark.round
        for other in notes_about(found, job.request_id)
    ):
        return None
    claimed = replace(mark, job=its.job, restarts=its.restarts)
    if (yield from _describe(api, job.request_id, marked(job.description, claimed))):
        return _Written(job.request_id, mark.round)
    words = marked(payload.get("description"), replace(mark, adopts=job.request_id))
    made = yield from exchange(api.create({**payload, "description": words}))
    yield Note(f"Batch request {made.request_id} notes that {job.request_id} goes on for this task; it bills nothing")
    return _Written(made.request_id)


def _describe(api: Generation, request_id: str, words: str) -> Flow[bool]:
    """Change the description; False where the service refuses that, or knows no such call."""
    if api.update is None:
        return False
    try:
        yield from exchange(api.update(request_id, {"description": words}))
    except (BadRequestError, ConflictError):
        return False
    return True


def _create(api: Generation, payload: dict[str, Any], mark: Mark, known: set[str]) -> Flow[Snapshot | None]:
    """Create; None if the reply was lost, and the list has been watched for the request as long as it may lag."""
    try:
        return snapshot((yield from exchange(api.create(payload))))
    except RateLimitError:
        raise
    except AMBIGUOUS as err:
        yield Note(f"Whether the batch request was created is not known ({err}); looking for it", warning=True)
    before = yield Now()
    for pause in AFTER_AMBIGUOUS:
        yield Sleep(pause)
        found = yield from find(api, mark.identity, datetime.fromtimestamp(before - 600).astimezone())
        if any(job.request_id not in known for job in found):
            return None
    yield Note("It was not created; creating it again (which is free)", warning=True)
    return None


def _remove(api: Generation, jobs: tuple[Snapshot, ...], mark: Mark) -> Flow[bool]:
    """Take requests away that look as if nobody had started them, so that nobody does.

    One whose job has changed is ended where it cannot be deleted: when somebody has acted on it meanwhile, or where the
    service knows no delete. v2 cannot end what has not been analysed: that is left, and bills nothing. Returns whether
    somebody has acted on one of the same job.
    """
    acted = False
    for job in jobs:
        its, name = mark_of(job.description), f"batch request {job.request_id}, not started"
        changed = its is not None and its.job != mark.job
        try:
            if api.delete is not None:
                yield from exchange(api.delete(job.request_id))
                yield Note(f"Deleted {name}")
                continue
            if not changed or job.status == S.CREATED:
                yield Note(f"Left over: {name}; it bills nothing")
                continue
        except NotFoundError:
            continue
        except (ApiError, UnreachableError) as err:
            yield Note(f"Could not delete {name}: {err}", warning=True)
            if not changed or not isinstance(err, ConflictError):
                acted = acted or isinstance(err, ConflictError)
                continue
        try:
            yield from exchange(api.end(job.request_id))
            yield Note(f"Asked Sentinel Hub to {api.end_word} batch request {job.request_id}: its job has changed")
        except (ApiError, UnreachableError) as err:
            yield Note(f"Could not {api.end_word} batch request {job.request_id}: {err}", warning=True)
    return acted
