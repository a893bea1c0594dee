"""The event that a trigger sends to its task: plain JSON with a version. Only this module writes and reads it."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypedDict

from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.decoding import id_in, number, read_time, status_in, text, whole, word
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
from airflow_sentinelhub.exceptions import SentinelHubError, as_plain, from_plain, one_line

VERSION = 1
_LEFT_ALONE = (
    "the request was left alone: if it was started, it runs on and bills. A retry of this task attaches to it again."
)
_VERSIONS = "Do triggerer and workers run the same version of airflow-sentinelhub?"
_TIMES = ("created", "acted")


class Event(TypedDict, total=False):
    """The members of an event.

    `outcome` is the value of an `Outcome`, or `error`; then `error` is the error (see `exceptions.as_plain`), and
    `message` and `retry_helps` are the same for a worker of an earlier version. `job` is the last `Snapshot` of the
    request. `matching` and `total` are numbers of tiles. `resume_state` is what the task has passed to the trigger.
    """

    version: int
    request_id: str
    outcome: str
    why: str
    job: dict[str, Any] | None
    matching: int | None
    total: int | None
    error: dict[str, Any]
    message: str
    retry_helps: bool
    resume_state: dict[str, Any] | None


def event_of(waited: Waited, request_id: str, resume_state: dict[str, Any] | None = None) -> Event:
    """The event for how a wait ended (`Waited`), with `resume_state` echoed back."""
    job: dict[str, Any] | None = None
    if waited.job is not None:
        job = {key: str(value) if isinstance(value, str) else value for key, value in asdict(waited.job).items()}
        for name in _TIMES:
            job[name] = job[name].isoformat() if job[name] else None
    return Event(
        version=VERSION,
        request_id=request_id,
        outcome=waited.outcome.value,
        why=waited.why,
        job=job,
        matching=waited.matching,
        total=waited.total,
        resume_state=resume_state,
    )


def error_event(error: SentinelHubError, request_id: str, resume_state: dict[str, Any] | None = None) -> Event:
    """The event for a wait that has ended with an error."""
    return Event(
        version=VERSION,
        request_id=request_id,
        outcome="error",
        error=as_plain(error),
        message=str(error),
        retry_helps=error.retry_helps,
        resume_state=resume_state,
    )


def broken_off(error: Exception, request_id: str) -> SentinelHubError:
    """The error for a wait that has ended with an unexpected exception, which is not ours."""
    return SentinelHubError(
        f"The wait for batch request {request_id} broke off ({type(error).__name__}: {one_line(str(error), 500)}). The "
        "request was left alone: if it was started, it runs on and bills. A retry of this task attaches to it again."
    )


def resume_state_of(event: Any) -> dict[str, Any]:
    """The `resume_state` that the task has passed to its trigger.

    :raises SentinelHubError: the event contains none.
    """
    resume_state = event.get("resume_state") if isinstance(event, dict) else None
    if not isinstance(resume_state, dict) or "request_id" not in resume_state:
        raise SentinelHubError(f"The trigger sent an event that cannot be read; {_LEFT_ALONE} {_VERSIONS}")
    return resume_state


def read_event(event: Any, request_id: str | None = None) -> Waited:
    """How the wait has ended, as the event says.

    :param request_id: the request that the event must be about; None: any.
    :raises SentinelHubError: the event is missing, has another version or is about another request (a lost event, an
        upgrade during the wait). An error that the event contains keeps its type, such as `AuthenticationError`.
    """
    about = f" for batch request {request_id}" if request_id else ""
    if not isinstance(event, dict) or event.get("version") != VERSION or "outcome" not in event:
        raise SentinelHubError(f"The trigger{about} sent an event that cannot be read; {_LEFT_ALONE} {_VERSIONS}")
    if request_id and event.get("request_id") != request_id:
        raise SentinelHubError(f"The trigger{about} sent an event about {event.get('request_id')}; {_LEFT_ALONE}")
    if event["outcome"] == "error":
        error = event.get("error")
        raise from_plain(error if isinstance(error, dict) else event)
    try:
        return Waited(
            Outcome(event["outcome"]),
            _job_in(event),
            str(event.get("why") or ""),
            matching=whole(event.get("matching")),
            total=whole(event.get("total")),
        )
    except Exception as err:
        raise SentinelHubError(
            f"The trigger{about} sent an event that cannot be read ({type(err).__name__}: {one_line(str(err), 200)}); "
            f"{_LEFT_ALONE} {_VERSIONS}"
        ) from None


def _job_in(event: dict[str, Any]) -> Snapshot | None:
    """The snapshot in an event, None if it contains none; any exception if it contains something else."""
    job = event.get("job")
    if job is None:
        return None
    if id_in({"id": job["request_id"]}).lower() != str(event.get("request_id")).lower():
        raise ValueError(f"its job is {job['request_id']}")
    members: dict[str, Any] = {item.name: job[item.name] for item in fields(Snapshot) if item.name in job}
    members |= {
        "status": BatchRequestStatus(status_in(job)),
        "user_action": word(BatchUserAction, job.get("user_action")) or BatchUserAction.NONE,
        "stopped_reason": word(StoppedStatusReason, job.get("stopped_reason")),
        "description": text(job.get("description")) or "",
        "tile_count": whole(job.get("tile_count")),
        "store": job.get("store") is True,
        **{name: text(job.get(name)) for name in ("error", "output_url")},
        **{name: number(job.get(name)) for name in ("estimate", "cost", "share_done")},
        **{name: read_time(job.get(name)) for name in _TIMES},
    }
    return Snapshot(**members)
