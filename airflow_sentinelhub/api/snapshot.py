"""What was read about a job, in one shape for all generations: the only thing that verdicts look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.decoding import (
    MARK_WORD,
    delivered_to,
    id_in,
    member,
    number,
    read_time,
    status_in,
    text,
    whole,
    word,
)
from airflow_sentinelhub.api.service.statistical import note_in, place_of
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
from airflow_sentinelhub.exceptions import one_line

BATCH_FACTOR = 3
"""v1's estimate and tile costs are given before the batch factor: PU really spent are a third."""


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

    @property
    def expected_cost(self) -> float | None:
        """PU that the job will probably cost: the estimate with the batch factor."""
        return None if self.estimate is None else self.estimate / BATCH_FACTOR

    @property
    def started(self) -> bool:
        """Somebody has started it, whatever the status says by now. A cancelled start counts while it ends."""
        return self.user_action == BatchUserAction.START or self.status in (
            BatchRequestStatus.PROCESSING,
            BatchRequestStatus.DONE,
            BatchRequestStatus.PARTIAL,
        )

    @property
    def ending(self) -> bool:
        """A cancel or stop was accepted and has not taken effect yet."""
        return not self.status.is_final and self.user_action in (BatchUserAction.CANCEL, BatchUserAction.STOP)


def read_v1(body: Any) -> Snapshot:
    """The reading in a body of v1. It needs an id and a status; whatever else is odd counts as not said.

    :raises ValueError: the body describes no request.
    """
    bucket = text(member(body, "bucketName"))
    return Snapshot(
        generation="v1",
        description=_words(body, "description"),
        tile_count=whole(member(body, "tileCount")),
        estimate=number(member(body, "valueEstimate")),
        output_url=text(member(body, "output", "defaultTilePath")) or (f"s3://{bucket}" if bucket else None),
        **_common(body),
    )


def read_v2(body: Any) -> Snapshot:
    """The same of v2."""
    return Snapshot(
        generation="v2",
        description=_words(body, "request", "description") or _words(body, "description"),
        output_url=delivered_to(member(body, "request")),
        **_common(body),
        **_spent(body),
    )


def read_statistical(body: Any) -> Snapshot:
    """The same of batch statistical, whose requests carry their description in the evalscript."""
    return Snapshot(
        generation="statistical",
        description=note_in(_words(body, "request", "aggregation", "evalscript")),
        output_url=place_of(member(body, "request")),
        **_common(body),
        **_spent(body),
    )


_READERS = {"v1": read_v1, "v2": read_v2, "statistical": read_statistical}


def snapshot(request: Any) -> Snapshot:
    """The snapshot of a model of any generation; a snapshot is its own."""
    return request if isinstance(request, Snapshot) else _READERS[request.generation](request.to_dict())


def only_of(request_id: str, job: Snapshot) -> Snapshot:
    """The reading, which must be of this request.

    :raises ValueError: it is of another one.
    """
    if job.request_id.lower() != request_id.strip().lower():
        raise ValueError(f"it is about {job.request_id}")
    return job


def _common(body: Any) -> dict[str, Any]:
    return {
        "request_id": id_in(body),
        "status": BatchRequestStatus(status_in(body)),
        "user_action": word(BatchUserAction, body.get("userAction")) or BatchUserAction.NONE,
        "error": one_line(text(body.get("error")) or "") or None,
        "created": read_time(body.get("created")),
        "acted": read_time(body.get("userActionUpdated")),
    }


def _spent(body: Any) -> dict[str, Any]:
    percent = number(body.get("completionPercentage"))
    return {
        "cost": number(body.get("costPU")),
        "share_done": percent / 100 if percent is not None and percent <= 100 else None,
        "stopped_reason": word(StoppedStatusReason, body.get("stoppedStatusReason")),
    }


def _words(body: Any, *path: str) -> str:
    """The text at this path, empty where there is none.

    :raises ValueError: something else stands there, and in it the marker of a task: the request may be the one that
        the task looks for, and must not be taken for somebody else's.
    """
    found = body
    for name in path:
        if not isinstance(found, dict):
            break
        found = found.get(name)
    else:
        if isinstance(found, str):
            return found
    if found is not None and found is not body and MARK_WORD.search(json.dumps(found)):
        raise ValueError(f"its {path[-1]} is no text, and has the marker of a task in it")
    return ""
