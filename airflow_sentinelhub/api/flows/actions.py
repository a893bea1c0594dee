"""What is done to a request, as generators: analyse, start once, resume, end, delete.

Nothing here does I/O or knows the time; see `call.py`. Calls that bill are made here, by `start_once` and `resume`,
in `restart.py`, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from airflow_sentinelhub.api.call import Call, Flow, Note, Now, Sleep, exchange
from airflow_sentinelhub.api.decide.verdict import fate
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
"""Seconds by which a reading may be behind what the service itself knows."""
_OURS = re.compile(r"\baf[xr][0-9a-f]{16}")
"""A marker, or the word of a restart."""
_NOT_STARTED = re.compile(r"userAction from (NONE|ANALYSE) to")


def analyse_once(api: Generation, request_id: str, *, patience: float = 0.0) -> Flow[Snapshot]:
    """Have the request analysed, unless it has been or is being; free. Returns a reading from before or after.

    :param patience: seconds for which it looks again while the service is out of reach.
    """
    return (yield from _act_once(api, request_id, api.analyse, "analyse", _analysis_asked, patience))


def start_once(api: Generation, request_id: str, *, patience: float = 0.0) -> Flow[Snapshot]:
    """Start the request if nobody has. **This bills.** Returns a reading in which it is started, or at its end.

    Status and user action are read first. A 400 or 404, or a lost reply, means "look again": the start is sent again
    only after the request was seen, for half a minute, not to be started.

    :param patience: seconds for which it looks again while the service is out of reach.
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
    """A reading, as soon as the service can be reached: never another call that acts before the look at the last."""
    return (yield from outlast(lambda: read_patiently(api, request_id), patience, request_id))


def shown_to_be(
    api: Generation, request_id: str, asked: Callable[[Snapshot], bool], patience: float
) -> Flow[Snapshot | None]:
    return (yield from outlast(lambda: seen(api, request_id, asked), patience, request_id))


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
                    "bills nothing. Try again later, or have it waited for (resume_stopped='when_accepted').",
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


def end(api: Generation, request_id: str, *, poll_interval: float = 5.0, attempts: int = 40) -> Flow[Snapshot]:
    """Cancel (v1) or stop (v2) the request, and wait until that has taken effect. Returns the last reading.

    v2 refuses to stop a request whose start has not taken effect yet (400): the stop is sent again until it is taken.
    It also refuses where nobody has started the request, which then need not be ended: it bills nothing. A reading
    that shows no start may lag behind one, so that is believed only once the service itself says so, or for `LAG`.
    For the same reason a PARTIAL request that our tasks restart is asked to end, too.

    :raises JobError: it has not ended after `attempts` looks.
    """
    accepted, refused_for = False, 0.0
    job = yield from read_patiently(api, request_id)
    for looked in range(attempts):
        if job.status.is_final and not (_may_be_restarted(job) and looked * poll_interval < LAG):
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
    """PARTIAL, but one of our tasks may have restarted it a moment ago, which a reading shows late."""
    return job.status == S.PARTIAL and _OURS.search(job.description) is not None


def delete_once(
    call: Call[None], seconds: float, request_id: str | None = None, about: str | None = None
) -> Flow[None]:
    """Delete something. That it is gone after a reply was lost is success: it was this call.

    :param call: the delete; for the rest see `outlast`.
    :raises NotFoundError: it was not there when it was asked for first.
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
