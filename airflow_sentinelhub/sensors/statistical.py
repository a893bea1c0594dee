"""Sensor for a statistical request: poke, reschedule and deferrable, with the same meaning in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import BaseTrigger

__all__ = ["SentinelHubBatchStatisticalSensor"]


class SentinelHubBatchStatisticalSensor(SentinelHubBatchSensor):
    """Wait until a statistical request has a status.

    - **Calls** the request, one call a poll, whatever the number of features.
    - **Returns** nothing.
    - **On kill** nothing happens to the request: a sensor only looks.
    - **On timeout** it fails (or skips, with `soft_fail`), saying whether the request still runs and bills.
    - **On retry** it looks again.

    It fails at once when the status cannot come any more: the request failed, was stopped, or nobody has started it
    for two minutes (unless `wait_for_start`). A request that is DONE may hold failed features:
    `SentinelHubListStatisticsOperator` names them.

    :param target_status: the status; one on the way (`ANALYSIS_DONE`, `PROCESSING`) is reached by later ones too.
        For the rest see `SentinelHubBatchSensor`; there is no `batch_api`.
    """

    template_fields: Sequence[str] = tuple(
        name for name in SentinelHubBatchSensor.template_fields if name != "batch_api"
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(batch_api="statistical", **kwargs)

    def _trigger(self, **common: Any) -> BaseTrigger:
        from airflow_sentinelhub.triggers.batch import SentinelHubBatchStatisticalTrigger

        return SentinelHubBatchStatisticalTrigger(target_status=self.target_status, **common)
