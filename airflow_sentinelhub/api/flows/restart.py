"""Restart the failed part of a request (v1), as generators. **This bills** the tiles that are processed again.

Unlike a start, the service accepts another restart once the last one has ended PARTIAL. So a try records the restart
in the request's description before it asks for it, and a recorded restart is not asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from airflow_sentinelhub.api.call import PATIENT, Flow, Note, Now, Patience, Sleep, exchange
from airflow_sentinelhub.api.decide.marker import Mark, mark_of, marked
from airflow_sentinelhub.api.decide.verdict import fate
from airflow_sentinelhub.api.flows.actions import AMBIGUOUS, looked, shown_to_be
from airflow_sentinelhub.api.flows.read import AFTER_AMBIGUOUS, outlast
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import (
    BadRequestError,
    ConflictError,
    JobError,
    RateLimitError,
    UnknownStateError,
    UnreachableError,
)

STALE_PARTIAL = 300.0
"""Seconds for which a request may still say PARTIAL after its restart was accepted (minutes were seen)."""
WHILE_STALE = (*AFTER_AMBIGUOUS, *[AFTER_AMBIGUOUS[-1]] * 13)
"""Seconds between the looks at a request whose status may lag behind a restart; `STALE_PARTIAL` in all."""
MOMENT = 60.0
"""Maximal age (seconds) of the reading on which a restart is asked for. With `LAG`, less than a restart takes."""
AT_ONCE = Patience(rate_limited=0)
"""For a call that must not be sent long after the reading on which it was decided."""
NOBODYS = Mark(f"afx{0:016}", 0, f"{0:08}")
"""A marker that belongs to no task."""
_NOT_PARTIAL = "Only requests with status PARTIAL"


def restart_failed(api: Generation, request_id: str, *, patience: float = 0.0) -> Flow[Snapshot]:
    """Process the failed tiles of a PARTIAL request again (v1). **This bills** the tiles that are processed again.

    A request that became DONE by itself, or that another task has restarted, is left as it is; after a 400 it is read
    again. The status may say PARTIAL for minutes after a restart, so the service's reply counts more than a reading:
    it has accepted the restart, or the request is not PARTIAL any more. For the same reason a restart whose reply was
    lost is never sent again: a reading that still says PARTIAL does not show that it was not accepted.

    :param patience: seconds to retry while the service is out of reach.
    :raises JobError: the request is in a state that has nothing to restart.
    :raises UnknownStateError: whether the restart was accepted is not known.
    """
    began = yield Now()
    return (yield from _restart(api, request_id, None, began, patience))


def restart_or_refusal(api: Generation, request_id: str) -> Flow[None]:
    """`restart_failed` for somebody who asks for one restart: what the service refuses is an error, with its words.

    A request that is not PARTIAL is asked for too, since only the service's reply says why it cannot be restarted.

    :raises BadRequestError: the service refuses: the request is not PARTIAL.
    :raises UnknownStateError: whether the restart was accepted is not known.
    """
    began = yield Now()
    yield from _restart(api, request_id, None, began, 0.0, refusal=True)


def _restart(
    api: Generation,
    request_id: str,
    decided: Snapshot | None,
    since: float,
    patience: float,
    *,
    refusal: bool = False,
) -> Flow[Snapshot]:
    """`restart_failed`, decided on the reading `decided` from the time `since` or later; None: on the first one here.

    :param refusal: a refusal of the service is raised, whatever the readings show, and a request that is not PARTIAL
        is asked for too, to have its words.

    The service refuses a restart only while another is running. So after a delay the request is read again before the
    restart is asked for: if there was a user action since the decision, it was restarted and is PARTIAL again.
    """
    assert api.restart is not None
    began = since
    job = yield from looked(api, request_id, patience)
    decided = decided or job
    while job.status == S.PARTIAL:
        now = yield Now()
        if now - since > MOMENT:
            since, job = yield from _just_looked(api, request_id, patience)
            if job.status == S.PARTIAL and job.acted != decided.acted:
                yield Note(f"Batch request {request_id} was restarted meanwhile; it is not asked again")
                return job
            continue
        try:
            yield from exchange(api.restart(request_id), AT_ONCE)
            return replace(job, status=S.PROCESSING)  # accepted; a reading may say PARTIAL for minutes
        except (BadRequestError, RateLimitError, *AMBIGUOUS) as err:
            if refusal and isinstance(err, BadRequestError):
                raise
            yield Note(
                f"The restart of {request_id} was refused or its reply lost ({err}); looking at it", warning=True
            )
            slowed = isinstance(err, RateLimitError)
            unsent = slowed or (isinstance(err, UnreachableError) and not err.ambiguous)
            shown = yield from shown_to_be(api, request_id, _not_partial, patience)
            if shown:
                return shown
            if isinstance(err, BadRequestError) and _NOT_PARTIAL in err.reason:
                return job  # the readings lag: another task has restarted it, or it is DONE
            longest = max(patience, PATIENT.rate_limited if slowed else 0.0)
            if isinstance(err, BadRequestError) or (unsent and now - began >= longest):
                raise
            if not unsent:
                raise UnknownStateError(
                    f"Batch request {request_id}: whether the restart of its failed part was accepted is not known "
                    f"({err}) If it was, it runs on and bills. Look at the request; a retry of this task waits for it.",
                    request_id=request_id,
                    snapshot=job,
                ) from err
    if refusal:
        yield from exchange(api.restart(request_id), AT_ONCE)
        return job
    return _left_as_it_is(job)


def _just_looked(api: Generation, request_id: str, patience: float) -> Flow[tuple[float, Snapshot]]:
    """The time, and a reading taken within `MOMENT` seconds from it; a slower reading is repeated."""
    while True:
        since = yield Now()
        job = yield from looked(api, request_id, patience)
        if (yield Now()) - since <= MOMENT:
            return since, job


def _not_partial(job: Snapshot) -> bool:
    return job.status != S.PARTIAL


def _left_as_it_is(job: Snapshot) -> Snapshot:
    if job.status in (S.DONE, S.PROCESSING):
        return job
    raise _nothing_to_restart(job)


def restart_once(api: Generation, request_id: str, word: str, *, patience: float = 0.0) -> Flow[Snapshot]:
    """`restart_failed`, once for all tries that share `word`, however it ends. **This bills.**

    The word is written to the description before the restart is asked for: a try that finds it there does not ask
    again, even if the restarted request is PARTIAL again.
    """

    def noted(description: str) -> str | None:
        return None if word in description.split() else f"{description} {word}".strip()

    return (yield from _noted_restart(api, request_id, noted, patience))


def restart_counted(api: Generation, request_id: str, most: int, *, patience: float = 0.0) -> Flow[Snapshot]:
    """`restart_failed`, unless the request's marker counts `most` restarts already. **This bills.**

    The count is raised before the restart is asked for. A request without a marker gets one for the count.
    """

    def noted(description: str) -> str | None:
        mark = mark_of(description) or NOBODYS
        return None if mark.restarts >= most else marked(description, replace(mark, restarts=mark.restarts + 1))

    return (yield from _noted_restart(api, request_id, noted, patience))


def _noted_restart(
    api: Generation, request_id: str, new_description: Callable[[str], str | None], patience: float
) -> Flow[Snapshot]:
    """`restart_failed`, recorded in the description first.

    The record is checked in the same reading that says PARTIAL: PROCESSING in the reading before may have been the
    restart that an earlier try has asked for.

    A request that says PARTIAL and refuses a new description (409) is at work: somebody has restarted it a moment ago.
    It is looked at again, for as long as the status may lag. A restart without a record would be asked for once more
    by the next try.

    :param new_description: the description with the record, from the old one; None: it must not be restarted.
    """
    for pause in (*WHILE_STALE, None):
        since, job = yield from _just_looked(api, request_id, patience)
        if job.status != S.PARTIAL:
            since, job = yield from _just_looked(api, request_id, patience)
        if job.status != S.PARTIAL or api.update is None:
            return _left_as_it_is(job)
        words = new_description(job.description)
        if words is None:
            yield Note(f"An earlier try has asked for the restart of batch request {request_id}; it is not asked again")
            return job
        update = api.update(request_id, {"description": words})
        try:
            yield from outlast(lambda: exchange(update), patience, request_id)  # noqa: B023
            break
        except (BadRequestError, ConflictError) as err:
            if isinstance(err, BadRequestError) or pause is None:
                yield Note(f"The restart could not be noted in the request's description ({err.reason})", warning=True)
                break
            yield Note(
                f"Batch request {request_id} says PARTIAL, but refuses a new description ({err.reason}), as it does "
                f"while it is at work: somebody may have restarted it just now. Looking again in {pause:.0f} s"
            )
            yield Sleep(pause)
    return (yield from _restart(api, request_id, job, since, patience))


def _nothing_to_restart(job: Snapshot) -> JobError:
    return JobError(
        f"Batch request {job.request_id} is {job.status}; only a PARTIAL request has a failed part to restart. "
        f"{fate(job)} Create a new request for the whole job.",
        request_id=job.request_id,
        snapshot=job,
    )
