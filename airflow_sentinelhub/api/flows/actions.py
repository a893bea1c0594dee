"""Actions on a request, as generators: analyse, start once, resume, end, delete.

Nothing here does I/O or reads a clock; see `call.py`. Only `start_once` and `resume` here, and `restart.py`, make calls
that bill.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from airflow_sentinelhub.api.call import Call, Flow, Note, Now, Sleep, exchange
from airflow_sentinelhub.api.decide.verdict import fate, is_lost
from airflow_sentinelhub.api.flows.read import outlast, read_patiently, seen
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import (
    ApiError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    JobError,
    NotFoundError,
    ServerError,
    UnreachableError,
)

AMBIGUOUS = (UnreachableError, ServerError)
LAG = 30.0
"""Seconds by which a reading may lag behind the service's own state."""
_OURS = re.compile(r"\baf[xr][0-9a-f]{16}")
"""A task's marker, or the word that records a restart."""
_NOT_STARTED = re.compile(r"userAction from (NONE|ANALYSE) to")


def analyse_once(api: Generation, request_id: str, *, patience: float = 0.0) -> Flow[Snapshot]:
    """Ask for the analysis of the request, unless somebody has already. Free. Returns a reading from before or after.

    :param patience: seconds to retry while the service is out of reach.
    """
    return (yield from _act_once(api, request_id, api.analyse, "analyse", _analysis_asked, patience))


def start_once(api: Generation, request_id: str, *, patience: float = 0.0) -> Flow[Snapshot]:
    """Start the request, unless it was started before. **This bills.** Returns a reading of it, started or ended.

    Status and user action are read first. After a 400 or 404, or a lost reply, the request is read again: the start is
    sent again only if the readings of half a minute show that it was not started.

    :param patience: seconds to retry while the service is out of reach.
    """
    return (yield from _act_once(api, request_id, api.start, "start", _start_asked, patience))


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
    patience: float,
) -> Flow[Snapshot]:
    job = yield from looked(api, request_id, patience)
    refused: ApiError | UnreachableError | None = None
    for _ in range(3):
        if asked(job):
            if refused is None:
                state = f"it is {job.status}, and the last action on it was {job.user_action}"
                yield Note(f"Batch request {request_id}: no {word} is sent, {state}. {fate(job)}", is_lost(job))
            return job
        try:
            yield from exchange(action(request_id))
            return (yield from shown_to_be(api, request_id, asked, patience)) or job
        except AMBIGUOUS as err:
            yield Note(f"Whether the {word} of {request_id} arrived is not known ({err}); looking it up", warning=True)
            refused = err
        except (BadRequestError, NotFoundError, ConflictError) as err:
            yield Note(f"The {word} of {request_id} was refused ({err}); looking at it again", warning=True)
            refused = err
        shown = yield from shown_to_be(api, request_id, asked, patience)
        job = shown or (yield from looked(api, request_id, patience))
    if asked(job) or refused is None:
        return job
    raise refused


def looked(api: Generation, request_id: str, patience: float) -> Flow[Snapshot]:
    """A reading, as soon as the service can be reached. It comes before every further call that acts."""
    return (yield from outlast(lambda: read_patiently(api, request_id), patience, request_id))


def shown_to_be(
    api: Generation, request_id: str, asked: Callable[[Snapshot], bool], patience: float
) -> Flow[Snapshot | None]:
    """As `seen`, repeated while the service is out of reach, for `patience` seconds."""
    return (yield from outlast(lambda: seen(api, request_id, asked), patience, request_id))


RESUME_AFTER, RESUME_AFTER_OUT_OF_PU = 1800.0, 3600.0
"""Seconds for which the service refuses to restart a request after a user's stop, or after the PU have run out."""


def resume(api: Generation, request_id: str, *, patient: bool, poll_interval: float = 60.0) -> Flow[Snapshot]:
    """Start a STOPPED request again (v2, statistical). **This bills** the rest of it.

    :param patient: wait while the service refuses the start: for 30 minutes after a user's stop, for 60 after the
        account has run out of PU, and (403) while the account has too few PU.
    :param poll_interval: seconds between two attempts.
    :raises JobError: the service refuses, and `patient` is False; or it refuses for longer than those times.
    """
    began = yield Now()
    job = yield from read_patiently(api, request_id)
    while job.status == S.STOPPED:
        try:
            yield from exchange(api.start(request_id))
            return (yield from _left(api, job))
        except (BadRequestError, ForbiddenError) as err:
            time = yield Now()
            longest = RESUME_AFTER_OUT_OF_PU if job.stopped_reason == "OUT_OF_PU" else RESUME_AFTER
            if not patient or time - began > longest + poll_interval:
                raise JobError(
                    f"Batch request {request_id} is STOPPED and the service refuses to start it again ({err.reason}), "
                    "as it does for 30 minutes after a user's stop, and for 60 after the account has run out of PU. It "
                    "bills nothing. Try again later, or let the task wait (resume_stopped='when_accepted').",
                    request_id=request_id,
                    snapshot=job,
                ) from None
            yield Note(f"Batch request {request_id} cannot be started again yet ({err.reason}); trying again")
            yield Sleep(poll_interval)
        except AMBIGUOUS as err:
            yield Note(f"Whether the start of {request_id} arrived is not known ({err}); looking it up", warning=True)
            if (latest := (yield from _left(api, job))).status != S.STOPPED or latest.acted != job.acted:
                return latest
        job = yield from read_patiently(api, request_id)
    return job


def _left(api: Generation, stopped: Snapshot) -> Flow[Snapshot]:
    """The first reading that no longer says STOPPED, or the last one of five minutes."""
    job = stopped
    for _ in range(60):
        job = yield from read_patiently(api, stopped.request_id)
        if job.status != S.STOPPED:
            break
        yield Sleep(5.0)
    return job


def end(api: Generation, request_id: str, *, poll_interval: float = 5.0, attempts: int = 40) -> Flow[Snapshot]:
    """Cancel (v1) or stop (v2) the request, and wait until it has ended. Returns the last reading.

    v2 refuses to stop a request whose start has not taken effect yet (400): the stop is sent again until the service
    accepts it. It also refuses for a request that was never started, which bills nothing and need not be ended. A
    reading that shows no start may lag behind one, so it counts only if the service says so itself, or after `LAG`
    seconds. For the same reason the cancel is also sent to a PARTIAL request that our tasks may have restarted.

    :param poll_interval: seconds between two readings.
    :param attempts: number of readings.
    :raises JobError: the request has not ended after `attempts` readings.
    """
    accepted, refused_for = False, 0.0
    job = yield from read_patiently(api, request_id)
    for look in range(attempts):
        if job.status.is_final and not (_may_be_restarted(job) and look * poll_interval < LAG):
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


def _may_be_restarted(job: Snapshot) -> bool:
    """Whether a PARTIAL request may have been restarted by one of our tasks just before; a reading shows that late."""
    return job.status == S.PARTIAL and _OURS.search(job.description) is not None


def delete_once(
    call: Call[None], seconds: float, request_id: str | None = None, about: str | None = None
) -> Flow[None]:
    """Delete something. A 404 after a lost reply means success: the lost call has deleted it.

    :param call: the delete call; for the other arguments see `outlast`.
    :raises NotFoundError: the first call was answered with 404.
    """
    asked = False

    def attempt() -> Flow[None]:
        nonlocal asked
        try:
            yield from exchange(call)
        except NotFoundError:
            if not asked:
                raise
        except (UnreachableError, ServerError) as err:
            asked = asked or err.ambiguous
            raise

    yield from outlast(attempt, seconds, request_id, about)
