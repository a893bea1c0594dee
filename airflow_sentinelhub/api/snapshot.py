"""What was read about a job, in one shape for all generations: the only thing that verdicts look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.models import BatchProcessRequest, BatchRequest, BatchStatisticalRequest
from airflow_sentinelhub.api.statistical import description_of, place_of
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason

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


def snapshot(request: Any) -> Snapshot:
    """The snapshot of a model of any generation."""
    common = {
        "request_id": request.request_id,
        "status": request.status,
        "user_action": request.user_action or BatchUserAction.NONE,
        "error": request.error or None,
        "created": request.created,
        "acted": request.user_action_updated,
    }
    if isinstance(request, BatchRequest):
        path = request.output.get("defaultTilePath") if isinstance(request.output, dict) else None
        return Snapshot(
            generation="v1",
            description=request.description or "",
            tile_count=request.tile_count,
            estimate=request.value_estimate,
            output_url=path or (f"s3://{request.bucket_name}" if request.bucket_name else None),
            **common,
        )
    if isinstance(request, BatchProcessRequest):
        return Snapshot(
            generation="v2",
            description=request.description or "",
            cost=request.cost_PU,
            share_done=(request.completion_percentage or 0) / 100,
            stopped_reason=request.stopped_status_reason,
            output_url=request.output_url,
            **common,
        )
    assert isinstance(request, BatchStatisticalRequest)
    reason = (request.other_data or {}).get("stoppedStatusReason")
    return Snapshot(
        generation="statistical",
        description=description_of(request),
        cost=request.cost_pu,
        share_done=(request.completion_percentage or 0) / 100,
        stopped_reason=StoppedStatusReason(reason) if reason else None,
        output_url=place_of(request),
        **common,
    )
