"""The trigger that waits for a statistical request: the one for batch requests, with its generation settled."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger

__all__ = ["SentinelHubBatchStatisticalTrigger"]


class SentinelHubBatchStatisticalTrigger(SentinelHubBatchTrigger):
    """Waits until a statistical request has the status `target_status`, or cannot get it any more."""

    def __init__(self, *, batch_api: str = "statistical", **kwargs: Any) -> None:
        super().__init__(batch_api=batch_api, **kwargs)
