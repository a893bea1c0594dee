"""The one request of a task: found by its marker, or created. Nothing in this file bills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, repeat
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Now, Sleep, exchange
from airflow_sentinelhub.api.decide.adoption import (
    NONE_STOPPED,
    Decision,
    Owned,
    Plan,
    Stopped,
    choose,
    left_running,
    notes_about,
    owned,
)
from airflow_sentinelhub.api.decide.marker import Mark, Relation, mark_of, marked, relation
from airflow_sentinelhub.api.flows.actions import AMBIGUOUS, LAG, end, resume
from airflow_sentinelhub.api.flows.read import (
    AFTER_AMBIGUOUS,
    LAGGING_LIST,
    current,
    find,
    read_patiently,
)
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import (
    ApiError,
    BadRequestError,
    ConflictError,
    JobError,
    NotFoundError,
    RateLimitError,
    SentinelHubError,
    UnknownStateError,
    UnreachableError,
)

LAG_PATIENCE = 1800.0
"""Seconds for which a list may not show what was written, unless a task says otherwise."""
ROUNDS_OF_LOOKING, AGAIN = 8, 5.0
"""Looks that find_or_create takes at the most, and seconds before it looks again at what somebody else is doing."""


@dataclass(frozen=True)
class Settled:
    """The request that a try goes on with. `adopted`: it existed before; `why` says in which state.

    `continued`: it was stopped for its budget, which is higher now; what is missing of it is to be done.
    """

    job: Snapshot
    adopted: bool
    why: str = ""
    continued: bool = False


def find_or_create(
    api: Generation,
    payload: dict[str, Any],
    mark: Mark,
    *,
    since: datetime | None = None,
    remembered: str | None = None,
    not_found: Exception | None = None,
    stopped: Stopped = NONE_STOPPED,
    check: Callable[[], Flow[None]] | None = None,
    patience: float = LAG_PATIENCE,
) -> Flow[Settled]:
    """The one request of this task: a remembered one, one that carries the marker, or a new one. Never bills.

    Before it goes on with a new request, or with one that an earlier round has made and nobody has started, it looks
    again, until the list shows what it has written: so copies of this task which create at the same time agree, and
    what was started a moment before is not overlooked.

    :param payload: the job as the generation takes it; the marker is put into its description.
    :param since: no request of this task is older than this (bounds the walk through v2's list).
    :param remembered: id that an earlier try of the same round has stored. It counts more than its marker.
    :param not_found: raised if the remembered request does not exist; None if it then was deleted, so that another may
        be created.
    :param stopped: which STOPPED requests to go on with.
    :param check: run once before anything is created, or cancelled for something to be created; its error comes out,
        with the request that would have been replaced as its `snapshot`.
    :param patience: seconds for which the list may not show what was written.
    :raises UnknownStateError: the list still does not show it, so whether another copy has made one is not known.
    """
    kept: Snapshot | None = None
    if remembered:
        kept = yield from _recall(api, remembered, mark, not_found)
        decision = choose([kept], mark, stopped) if kept else None
        if decision is not None and decision.plan in (Plan.ADOPT, Plan.CONTINUE):
            return Settled(_of(decision), True, decision.why, decision.plan is Plan.CONTINUE)
    words = {**payload, "description": marked(payload.get("description"), mark)}
    created: Snapshot | None = None
    claimed, written, warned, waited = "", None, False, False
    ended: dict[str, Snapshot] = {}
    for _ in range(ROUNDS_OF_LOOKING):
        found = yield from current(api, (yield from _listed(api, mark, since, written, patience)), ended)
        for known in (kept, created):
            if known is not None and all(job.request_id != known.request_id for job in found):
                found.append(ended.get(known.request_id, known))
        decision = choose(found, mark, stopped)
        if not warned and (left := left_running(found, mark, decision)):
            warned = True
            names = ", ".join(job.request_id for job in left)
            yield Note(
                f"Batch request {names} with this task's identity is at work and bills, and no try of this run waits "
                "for it: it was made by a run that was deleted and made again, or by a copy of this Airflow. It is "
                "left alone; cancel it if nobody wants it any more.",
                warning=True,
            )
        if check is not None and decision.plan in (Plan.CREATE, Plan.REPLACE):
            yield from _checked(check, decision.request)
            check = None
        if decision.plan is Plan.CREATE:
            if (yield from _remove(api, decision.remove, mark, sure=waited)) and not waited:
                waited = True
                yield Sleep(LAG)  # if somebody has started one meanwhile, it is gone on with
                continue
            created = yield from _create(api, words, mark, {job.request_id for job in found})
            written = _Written(created.request_id) if created else None
            continue
        job = _of(decision)
        if decision.plan is Plan.CONTINUE:
            return Settled(job, True, decision.why, continued=True)
        acted = yield from _remove(api, decision.remove, mark)
        if decision.plan is Plan.ADOPT:
            idle = not job.started and not job.status.is_final
            if acted and idle:
                yield Sleep(AGAIN)  # somebody goes on with one that looked as if nobody did
                continue
            claim = None if job.request_id == claimed else (yield from claimed_by(api, job, payload, mark, found))
            if claim and idle:
                claimed, written = job.request_id, claim
                continue
            mine = created is not None and created.request_id == job.request_id
            return Settled(job, not mine, "" if mine else decision.why)
        yield Note(f"Batch request {job.request_id} of this task: {decision.why}; waiting for its end", warning=True)
        # Somebody may have edited its marker away: it is this task's request all the same.
        over = replace((yield from end(api, job.request_id)), description=job.description)
        # PARTIAL still: nobody has restarted it, or that has been ended; it is over either way.
        ended[job.request_id] = replace(over, status=S.CANCELED) if over.status == S.PARTIAL else over
    raise JobError(
        f"No request could be settled on for this task in {ROUNDS_OF_LOOKING} rounds of looking; nothing was started."
    )


def own_requests(api: Generation, mark: Mark, since: datetime | None) -> Flow[list[Owned]]:
    """The requests of this task instance as they are now, oldest first, without notes and what others continue."""
    found = yield from current(api, (yield from find(api, mark.identity, since)), {})
    return owned(found, mark)


def take_over_stopped(api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark) -> Flow[Snapshot]:
    """Start a request again that was stopped for its budget, for a try with a higher one. **This bills** the rest.

    For what no other request can continue (a Zarr, statistics). The new limit is written once it is started: until
    then the old one tells the next try why the request was stopped.
    """
    its = mark_of(job.description) or mark
    yield from claimed_by(api, job, payload, replace(mark, limit=its.limit), [])
    job = yield from resume(api, job.request_id, patient=True)
    if its.limit != mark.limit:
        yield from _describe(api, job.request_id, marked(job.description, _renewed(its, mark)))
    return job


def end_all(api: Generation, mark: Mark) -> Flow[None]:
    """End every request of a task that was started and goes on; for a task that is wanted no more."""
    for one in (yield from own_requests(api, mark, None)):
        if one.job.started and not one.job.status.is_final:
            yield from end(api, one.job.request_id)


def _of(decision: Decision) -> Snapshot:
    assert decision.request is not None
    return decision.request


def _checked(check: Callable[[], Flow[None]], instead_of: Snapshot | None) -> Flow[None]:
    try:
        yield from check()
    except SentinelHubError as err:
        err.snapshot = instead_of
        raise


def _recall(api: Generation, request_id: str, mark: Mark, not_found: Exception | None) -> Flow[Snapshot | None]:
    """The remembered request. It belongs to this round, whatever its description says by now.

    Somebody may have edited its description: then the marker is written anew, if the service lets us, so that others
    find it too.
    """
    try:
        job = yield from read_patiently(api, request_id)
    except NotFoundError:
        if not_found is not None:
            raise not_found from None
        yield Note(f"The remembered batch request {request_id} does not exist any more; looking for others")
        return None
    its = mark_of(job.description)
    ours = its is not None and relation(its, mark) is not Relation.FOREIGN
    if its is not None and ours and relation(its, mark) is not Relation.EARLIER:
        return job
    words = marked(job.description, _renewed(its, mark) if its is not None and ours else mark)
    if not ours:
        yield Note(f"The description of batch request {request_id} has lost this task's marker; writing it anew")
        yield from _describe(api, request_id, words)
    return replace(job, description=words)


def _renewed(its: Mark, mark: Mark) -> Mark:
    """A request's marker once the round of `mark` goes on with it; what it says about the job stays."""
    who = {name: getattr(mark, name) for name in ("round", "tried", "clears", "born", "airflow", "limit")}
    return replace(its, **who)


@dataclass(frozen=True)
class _Written:
    """What this try has written last: a request, or its own round into the description of one."""

    request_id: str
    words: str = ""

    def shows_in(self, found: list[Snapshot]) -> bool:
        return any(job.request_id == self.request_id and self.words in job.description for job in found)


def _listed(
    api: Generation, mark: Mark, since: datetime | None, written: _Written | None, patience: float
) -> Flow[list[Snapshot]]:
    """This task's requests by the list, which lags. Once it shows what we wrote last, it shows all that came before.

    Without that, another copy of this task may have made and started a request that the list hides.
    """
    found: list[Snapshot] = yield from find(api, mark.identity, since)
    if written is None:
        return found
    began = yield Now()
    for pause in chain(LAGGING_LIST, repeat(LAGGING_LIST[-1])):
        if written.shows_in(found):
            return found
        seconds = (yield Now()) - began
        if seconds >= max(patience, sum(LAGGING_LIST)):
            break
        yield Sleep(pause)
        found = yield from find(api, mark.identity, since)
    raise UnknownStateError(
        f"Batch request {written.request_id}: after {seconds:.0f} s the service's list of requests still does not show "
        "what was written, so whether another try of this task has started one cannot be told. This request was not "
        "started and bills nothing. A retry of this task looks again.",
        request_id=written.request_id,
    )


def claimed_by(
    api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark, found: list[Snapshot]
) -> Flow[_Written | None]:
    """Say that this round goes on with a request of an earlier one, so that the next try knows it too.

    Otherwise a try that comes after the end of the request would take it for one that the user wanted to have made
    again. The description says it; where the service refuses to change that (v1 while processing) or cannot (batch
    statistical), a *note* does: a request of its own that is never started and costs nothing. Returns what was written.
    """
    its = mark_of(job.description)
    if its is None or relation(its, mark) is not Relation.EARLIER:
        return None
    notes = (mark_of(other.description) for other in notes_about(found, job.request_id))
    if any(note is not None and relation(note, mark) in (Relation.SAME, Relation.LATER) for note in notes):
        return None
    claimed = _renewed(its, mark)
    if (yield from _describe(api, job.request_id, marked(job.description, claimed))):
        return _Written(job.request_id, str(claimed))
    words = marked(payload.get("description"), replace(mark, job=mark.job or its.job, adopts=job.request_id))
    try:
        made = yield from exchange(api.create({**payload, "description": words}))
    except (ApiError, UnreachableError) as err:
        yield Note(
            f"That batch request {job.request_id} goes on for this task could not be noted ({err}); going on with it. "
            "Should this try die after the end of the request, the next one would take it for one of before the clear.",
            warning=True,
        )
        return None
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
        return (yield from exchange(api.create(payload)))
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


def _remove(api: Generation, jobs: tuple[Snapshot, ...], mark: Mark, *, sure: bool = False) -> Flow[bool]:
    """Take requests away that look as if nobody had started them, so that nobody does.

    One whose job has changed is ended where it cannot be deleted: where the service knows no delete, or when somebody
    has acted on it meanwhile and a user has cleared the task since. v2 cannot end what has not been analysed: that is
    left, and bills nothing. Returns whether somebody has acted on one that this round could go on with.

    :param sure: the readings do not lag behind a start any more: what is not deleted is ended in each case.
    """
    acted = False
    for job in jobs:
        its, name = mark_of(job.description), f"batch request {job.request_id}, not started"
        changed = its is not None and its.job != mark.job
        replaced = changed and its is not None and (sure or relation(its, mark) is Relation.EARLIER)
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
            if not replaced or not isinstance(err, ConflictError):
                acted = acted or isinstance(err, ConflictError)
                continue
        try:
            yield from exchange(api.end(job.request_id))
            yield Note(f"Asked Sentinel Hub to {api.end_word} batch request {job.request_id}: its job has changed")
        except (ApiError, UnreachableError) as err:
            yield Note(f"Could not {api.end_word} batch request {job.request_id}: {err}", warning=True)
    return acted
