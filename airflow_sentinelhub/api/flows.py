"""What is done with a request, as generators: read, analyse, start once, restart, end, find or create.

Nothing here does I/O or knows the time; see `call.py`. Calls that bill are made in this file and nowhere else:
`start_once` and `restart_failed`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.adoption import Decision, Plan, choose, notes_about
from airflow_sentinelhub.api.call import Call, Flow, Note, Now, Sleep, exchange
from airflow_sentinelhub.api.generations import Generation
from airflow_sentinelhub.api.marker import Mark, mark_of, marked
from airflow_sentinelhub.api.reading import (
    AFTER_AMBIGUOUS,
    LAGGING_LIST,
    current,
    find,
    read,
    read_patiently,
    seen,
    walk,
)
from airflow_sentinelhub.api.snapshot import Snapshot, snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.verdict import fate
from airflow_sentinelhub.exceptions import (
    ApiError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    JobError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnreachableError,
)

__all__ = [
    "Found",
    "analyse_once",
    "count_restart",
    "end",
    "find",
    "find_or_create",
    "read",
    "read_patiently",
    "restart_failed",
    "resume",
    "start_once",
    "walk",
]

AMBIGUOUS = (UnreachableError, ServerError)
LAG = 30.0
"""Seconds by which a reading may be behind what the service itself knows."""
_NOT_STARTED = re.compile(r"userAction from (NONE|ANALYSE) to")
_NOT_PARTIAL = "Only requests with status PARTIAL"
ROUNDS_OF_LOOKING, AGAIN = 8, 5.0
"""Looks that find_or_create takes at the most, and seconds before it looks again at what somebody else is doing."""


def analyse_once(api: Generation, request_id: str) -> Flow[Snapshot]:
    """Have the request analysed, unless it has been or is being; free. Returns a reading from before or after."""
    return (yield from _act_once(api, request_id, api.analyse, "analyse", _analysis_asked))


def start_once(api: Generation, request_id: str) -> Flow[Snapshot]:
    """Start the request if nobody has. **This bills.** Returns a reading in which it is started, or at its end.

    Status and user action are read first. A 400 or 404, or a lost reply, means "look again": the start is sent again
    only after the request was seen, for half a minute, not to be started.
    """
    return (yield from _act_once(api, request_id, api.start, "start", _start_asked))


def _analysis_asked(job: Snapshot) -> bool:
    return job.user_action.value != "NONE" or job.status != S.CREATED


def _start_asked(job: Snapshot) -> bool:
    return job.started or job.ending or job.status.is_final


def _act_once(
    api: Generation,
    request_id: str,
    action: Callable[[str], Call[None]],
    word: str,
    asked: Callable[[Snapshot], bool],
) -> Flow[Snapshot]:
    job = yield from read_patiently(api, request_id)
    refused: ApiError | UnreachableError | None = None
    for _ in range(3):
        if asked(job):
            return job
        try:
            yield from exchange(action(request_id))
            return (yield from seen(api, request_id, asked)) or job
        except AMBIGUOUS as err:
            yield Note(f"Whether the {word} of {request_id} arrived is not known ({err}); looking it up", warning=True)
            refused = err
        except (BadRequestError, NotFoundError, ConflictError) as err:
            yield Note(f"The {word} of {request_id} was refused ({err}); looking at it again", warning=True)
            refused = err
        job = (yield from seen(api, request_id, asked)) or (yield from read_patiently(api, request_id))
    if asked(job) or refused is None:
        return job
    raise refused


RESUME_AFTER, RESUME_AFTER_OUT_OF_PU = 1800.0, 3600.0
"""Seconds for which the service refuses to start a request again that a user has stopped, or that has run out of PU."""


def resume(api: Generation, request_id: str, *, patient: bool, poll_interval: float = 60.0) -> Flow[Snapshot]:
    """Start a STOPPED request again (v2, statistical). **This bills** what is left of it.

    :param patient: wait while the service refuses, which it does for 30 minutes after a user's stop, for 60 after the
        account has run out of PU, and (403) while it has too few.
    :raises JobError: it refuses, and `patient` is off; or it refuses for longer than that.
    """
    began = yield Now()
    job = yield from read_patiently(api, request_id)
    while job.status == S.STOPPED:
        try:
            yield from exchange(api.start(request_id))
            return (yield from _left(api, job))
        except (BadRequestError, ForbiddenError) as err:
            now = yield Now()
            longest = RESUME_AFTER_OUT_OF_PU if job.stopped_reason == "OUT_OF_PU" else RESUME_AFTER
            if not patient or now - began > longest + poll_interval:
                raise JobError(
                    f"Batch request {request_id} is STOPPED and the service refuses to start it again ({err.reason}), "
                    "as it does for 30 minutes after a user's stop, and for 60 after the account has run out of PU. It "
                    "bills nothing. Try again later, or have it waited for (resume_stopped='wait').",
                    request_id=request_id,
                    snapshot=job,
                ) from None
            yield Note(f"Batch request {request_id} cannot be started again yet ({err.reason}); trying again")
            yield Sleep(poll_interval)
        except AMBIGUOUS as err:
            yield Note(f"Whether the start of {request_id} arrived is not known ({err}); looking it up", warning=True)
            if (now := (yield from _left(api, job))).status != S.STOPPED or now.acted != job.acted:
                return now
        job = yield from read_patiently(api, request_id)
    return job


def _left(api: Generation, stopped: Snapshot) -> Flow[Snapshot]:
    """A reading in which the request is STOPPED no more, or the last one after some minutes of looking."""
    job = stopped
    for _ in range(60):
        job = yield from read_patiently(api, stopped.request_id)
        if job.status != S.STOPPED:
            break
        yield Sleep(5.0)
    return job


def count_restart(api: Generation, job: Snapshot) -> Flow[None]:
    """Write one more restart into the request's marker, so that tries that come later know how many there were."""
    mark = mark_of(job.description)
    if mark is None or api.update is None:
        return
    words = marked(job.description, replace(mark, restarts=mark.restarts + 1))
    try:
        yield from exchange(api.update(job.request_id, {"description": words}))
    except (BadRequestError, ConflictError) as err:
        yield Note(f"The restart could not be noted in the request's description ({err.reason})", warning=True)


def restart_failed(api: Generation, request_id: str) -> Flow[Snapshot]:
    """Process the failed tiles of a PARTIAL request again (v1). **This bills** the tiles that are processed again.

    A request that became DONE by itself, or that somebody has restarted, is left as it is: the 400 of the service
    means "look again". The status may say PARTIAL for minutes after a restart: the service's reply is trusted, be it
    that it has accepted, or that the request is not PARTIAL any more.

    :raises JobError: the request is in a state that has nothing to restart.
    """
    assert api.restart is not None
    job = yield from read_patiently(api, request_id)
    if job.status != S.PARTIAL:
        if job.status in (S.DONE, S.PROCESSING):
            return job
        raise _nothing_to_restart(job)
    try:
        yield from exchange(api.restart(request_id))
    except (BadRequestError, *AMBIGUOUS) as err:
        yield Note(f"The restart of {request_id} was refused or its reply lost ({err}); looking at it", warning=True)
        for pause in (0.0, *AFTER_AMBIGUOUS):
            yield Sleep(pause)
            job = yield from read_patiently(api, request_id)
            if job.status != S.PARTIAL:
                return job
        if isinstance(err, BadRequestError) and _NOT_PARTIAL in err.reason:
            return job  # the service knows better than its lagging reads: somebody has restarted it, or it is DONE
        raise
    return job


def _nothing_to_restart(job: Snapshot) -> JobError:
    return JobError(
        f"Batch request {job.request_id} is {job.status}; only a PARTIAL request has a failed part to restart. "
        f"{fate(job)} Create a new request for the whole job.",
        request_id=job.request_id,
        snapshot=job,
    )


def end(api: Generation, request_id: str, *, poll_interval: float = 5.0, attempts: int = 40) -> Flow[Snapshot]:
    """Cancel (v1) or stop (v2) the request, and wait until that has taken effect. Returns the last reading.

    v2 refuses to stop a request whose start has not taken effect yet (400): the stop is sent again until it is taken.
    It also refuses where nobody has started the request, which then need not be ended: it bills nothing. A reading
    that shows no start may lag behind one, so that is believed only once the service itself says so, or for `LAG`.

    :raises JobError: it has not ended after `attempts` looks.
    """
    accepted, refused_for = False, 0.0
    job = yield from read_patiently(api, request_id)
    for _ in range(attempts):
        if job.status.is_final:
            return job
        if not accepted:
            try:
                yield from exchange(api.end(request_id))
                accepted = True
                yield Note(f"Asked Sentinel Hub to {api.end_word} batch request {request_id}")
            except (BadRequestError, NotFoundError, ConflictError) as err:
                idle = not job.started and not job.ending
                if idle and (_NOT_STARTED.search(err.reason) or refused_for >= LAG):
                    return job
                refused_for += poll_interval
                yield Note(f"The {api.end_word} of {request_id} was refused for now ({err}); trying again")
        yield Sleep(poll_interval)
        job = yield from read_patiently(api, request_id)
    if job.status.is_final or (not accepted and not job.started and not job.ending):
        return job
    raise JobError(
        f"Batch request {request_id} is still {job.status} long after the {api.end_word} was asked for. "
        f"{fate(job)} Look at it again and {api.end_word} it by hand if need be.",
        request_id=request_id,
        snapshot=job,
    )


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
) -> Flow[Found]:
    """The one request of this task: a remembered one, one that carries the marker, or a new one. Never bills.

    After a create it looks again before it goes on, so that copies of this task which create at the same time agree.

    :param payload: the job as the generation takes it; the marker is put into its description.
    :param since: no request of this task is older than this (bounds the walk through v2's list).
    :param remembered: id that an earlier try of the same round has stored.
    """
    if remembered and (known := (yield from _recall(api, remembered, mark))):
        return known
    words = {**payload, "description": marked(payload.get("description"), mark)}
    created: Snapshot | None = None
    ended: dict[str, Snapshot] = {}
    for _ in range(ROUNDS_OF_LOOKING):
        found = yield from current(api, (yield from _listed(api, mark, since, created)), ended)
        if created is not None and all(job.request_id != created.request_id for job in found):
            found.append(created)
        decision = choose(found, mark)
        if decision.plan is Plan.CREATE:
            yield from _remove(api, decision.remove, mark)
            created = yield from _create(api, words, mark, {job.request_id for job in found})
            continue
        job = _of(decision)
        acted = yield from _remove(api, decision.remove, mark)
        if decision.plan is Plan.ADOPT:
            if acted and not job.started and not job.status.is_final:
                yield Sleep(AGAIN)  # somebody goes on with one that looked as if nobody did
                continue
            yield from _claim(api, job, payload, mark, found)
            mine = created is not None and created.request_id == job.request_id
            return Found(job, not mine, "" if mine else decision.why)
        yield Note(f"Batch request {job.request_id} of this task: {decision.why}; waiting for its end", warning=True)
        ended[job.request_id] = yield from end(api, job.request_id)
    raise JobError(
        f"No request could be settled on for this task in {ROUNDS_OF_LOOKING} rounds of looking; nothing was started."
    )


def _of(decision: Decision) -> Snapshot:
    assert decision.request is not None
    return decision.request


def _recall(api: Generation, request_id: str, mark: Mark) -> Flow[Found | None]:
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
    decision = choose([mine], mark)
    return Found(job, True, decision.why) if decision.plan is Plan.ADOPT else None


def _listed(api: Generation, mark: Mark, since: datetime | None, created: Snapshot | None) -> Flow[list[Snapshot]]:
    """This task's requests by the list, which lags. Once it shows our own new one, it shows all older ones too."""
    found: list[Snapshot] = yield from find(api, mark.identity, since)
    if created is None:
        return found
    for pause in LAGGING_LIST:
        if any(job.request_id == created.request_id for job in found):
            return found
        yield Sleep(pause)
        found = yield from find(api, mark.identity, since)
    if all(job.request_id != created.request_id for job in found):
        yield Note(f"The list of requests still does not show {created.request_id}; going on with it", warning=True)
    return found


def _claim(api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark, found: list[Snapshot]) -> Flow[None]:
    """Say that this round goes on with a request of an earlier one, so that the next try knows it too.

    Otherwise a try that comes after the end of the request would take it for one that the user wanted to have made
    again. The description says it; where the service refuses to change that (v1 while processing) or cannot (batch
    statistical), a *note* does: a request of its own that is never started and costs nothing.
    """
    its = mark_of(job.description)
    if its is None or its.round >= mark.round:
        return
    if any(
        (note := mark_of(other.description)) and note.round >= mark.round
        for other in notes_about(found, job.request_id)
    ):
        return
    claimed = replace(mark, job=its.job, restarts=its.restarts)
    if (yield from _describe(api, job.request_id, marked(job.description, claimed))):
        return
    words = marked(payload.get("description"), replace(mark, adopts=job.request_id))
    made = yield from exchange(api.create({**payload, "description": words}))
    yield Note(f"Batch request {made.request_id} notes that {job.request_id} goes on for this task; it bills nothing")


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
