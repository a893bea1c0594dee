"""A reading of a request, in one form for all generations; all decisions are based on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.decoding import an_object, id_in, number, read_time, status_in, text, word
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
from airflow_sentinelhub.exceptions import one_line

BATCH_FACTOR = 3
"""v1's estimate and tile costs are given before the batch factor: PU really spent are a third."""

# Sets, since a comparison of two words takes longer, and waits make a dozen of them a reading.
_STARTS = frozenset({BatchUserAction.START})
_ENDS = frozenset({BatchUserAction.CANCEL, BatchUserAction.STOP})
_STARTED = frozenset({BatchRequestStatus.PROCESSING, BatchRequestStatus.DONE, BatchRequestStatus.PARTIAL})


@dataclass(frozen=True)
class Snapshot:
    """One reading of a request.

    :param generation: `v1`, `v2` or `statistical`.
    :param status: may lag behind `user_action`, which moves at once.
    :param tile_count: number of tiles; None where the service does not say (v2). It may change at analysis.
    :param estimate: PU that the service expects before the batch factor (v1 after analysis), else None.
    :param cost: PU spent so far (v2 and statistical), else None.
    :param acted: time of the last user action, None if there was none.
    :param share_done: 0 to 1 (v2 and statistical), else None.
    :param store: the output is a Zarr: one store at `output_url`, which all tiles share.
    """

    request_id: str
    generation: str
    status: BatchRequestStatus
    user_action: BatchUserAction = BatchUserAction.NONE
    error: str | None = None
    description: str = ""
    created: datetime | None = None
    tile_count: int | None = None
    estimate: float | None = None
    cost: float | None = None
    share_done: float | None = None
    stopped_reason: StoppedStatusReason | None = None
    output_url: str | None = None
    acted: datetime | None = None
    store: bool = False

    @property
    def expected_cost(self) -> float | None:
        """PU that the job will probably cost: the estimate with the batch factor."""
        return None if self.estimate is None else self.estimate / BATCH_FACTOR

    @property
    def started(self) -> bool:
        """Somebody has started it, whatever the status says by now. A cancelled start counts while it ends."""
        return self.user_action in _STARTS or self.status in _STARTED

    @property
    def ending(self) -> bool:
        """A cancel or stop was accepted and has not taken effect yet."""
        return self.user_action in _ENDS and not self.status.is_final


Reader = Callable[[Any], Snapshot]
"""Reads the body of a reply."""


def only(request_id: str, read: Reader) -> Reader:
    """The reader, which then refuses (ValueError) what is about another request than this one."""

    def checked(body: Any) -> Snapshot:
        job = read(body)
        if job.request_id.lower() != request_id.strip().lower():
            raise ValueError(f"it is about {job.request_id}")
        return job

    return checked


def readable(read: Reader) -> Callable[[Any], dict[str, Any]]:
    """A parser that returns the body as it stands, once the reader has been able to read it."""

    def checked(body: Any) -> dict[str, Any]:
        read(body)
        return an_object(body)

    return checked


def common(body: Any) -> dict[str, Any]:
    """The members of a snapshot that stand at the same place in the replies of all generations.

    Only the id and the status must be there; whatever else is odd counts as not said.

    :raises ValueError: the body describes no request.
    """
    return {
        "request_id": id_in(body),
        "status": BatchRequestStatus(status_in(body)),
        "user_action": word(BatchUserAction, body.get("userAction")) or BatchUserAction.NONE,
        "error": one_line(error) or None if (error := text(body.get("error"))) else None,
        "created": read_time(body.get("created")),
        "acted": read_time(body.get("userActionUpdated")),
    }


def spent(body: Any) -> dict[str, Any]:
    """The members that v2 and statistical write alike: cost, share done and why the request was stopped.

    :param body: one that `common` has read.
    """
    percent = number(body.get("completionPercentage"))
    return {
        "cost": number(body.get("costPU")),
        "share_done": percent / 100 if percent is not None and percent <= 100 else None,
        "stopped_reason": word(StoppedStatusReason, body.get("stoppedStatusReason")),
    }
