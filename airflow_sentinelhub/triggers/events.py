"""What a trigger tells the task it wakes: plain JSON with a version, made and read here only."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypedDict

from airflow_sentinelhub.exceptions import SentinelHubError

VERSION = 1
_TIMES = ("created", "acted")


class Event(TypedDict, total=False):
    """The event. `outcome` is an `Outcome`, or `error` with `message` and `retry_helps`; `job` a snapshot."""

    version: int
    request_id: str
    outcome: str
    why: str
    job: dict[str, Any] | None
    matching: int | None
    total: int | None
    message: str
    retry_helps: bool
    memory: dict[str, Any] | None


def event_of(waited: Any, request_id: str, memory: dict[str, Any] | None = None) -> Event:
    """The event for how a wait ended (`api.waiting.Waited`)."""
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
        memory=memory,
    )


def error_event(error: SentinelHubError, request_id: str, memory: dict[str, Any] | None = None) -> Event:
    """The event for a wait that could not go on."""
    return Event(
        version=VERSION,
        request_id=request_id,
        outcome="error",
        message=str(error),
        retry_helps=error.retry_helps,
        memory=memory,
    )


def memory_of(event: Any) -> dict[str, Any]:
    """What the task has given its trigger to be told again.

    :raises SentinelHubError: the event carries none.
    """
    memory = event.get("memory") if isinstance(event, dict) else None
    if not isinstance(memory, dict) or "request_id" not in memory:
        raise SentinelHubError(
            "The trigger sent an event that cannot be read; the request was left alone. A retry of this task attaches "
            "to it again. Do triggerer and workers run the same version of airflow-sentinelhub?"
        )
    return memory


def read_event(event: Any, request_id: str | None = None) -> Any:
    """The `Waited` in an event.

    :raises SentinelHubError: the event is missing, of another version or about another request (a lost payload, an
        upgrade in the middle of a wait), or carries an error.
    """
    from datetime import datetime

    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
    from airflow_sentinelhub.api.verdict import Outcome
    from airflow_sentinelhub.api.waiting import Waited

    about = f" for batch request {request_id}" if request_id else ""
    if not isinstance(event, dict) or event.get("version") != VERSION or "outcome" not in event:
        raise SentinelHubError(
            f"The trigger{about} sent an event that cannot be read; the request was left alone. A retry of this task "
            "attaches to it again. Do triggerer and workers run the same version of airflow-sentinelhub?"
        )
    if request_id and event.get("request_id") != request_id:
        raise SentinelHubError(f"The trigger{about} sent an event about {event.get('request_id')}; retry the task.")
    if event["outcome"] == "error":
        error = SentinelHubError(str(event.get("message")))
        error.retry_helps = bool(event.get("retry_helps", True))
        raise error
    job = None
    if event.get("job"):
        known = {item.name for item in fields(Snapshot)}
        given = {key: value for key, value in event["job"].items() if key in known}
        reason = given.get("stopped_reason")
        given |= {
            "status": BatchRequestStatus(given["status"]),
            "user_action": BatchUserAction(given.get("user_action") or "NONE"),
            "stopped_reason": StoppedStatusReason(reason) if reason else None,
            **{name: datetime.fromisoformat(given[name]) for name in _TIMES if given.get(name)},
        }
        job = Snapshot(**given)
    return Waited(
        Outcome(event["outcome"]), job, event.get("why") or "", matching=event.get("matching"), total=event.get("total")
    )
