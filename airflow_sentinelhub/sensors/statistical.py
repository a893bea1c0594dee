"""Sensor for a statistical request: poke, reschedule and deferrable, with the same meaning in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from airflow_sentinelhub.triggers.batch import SentinelHubBatchStatisticalTrigger

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
    :param request_id: id of the request, or the result of a step (such as `create.output`).
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the state may be unreadable before the sensor fails.
    :param wait_for_start: wait for a request that nobody has started yet, instead of failing after two minutes (in
        reschedule mode these are spent in the worker).
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.

    `poke_interval`, `timeout`, `mode`, `soft_fail` and `never_fail` are Airflow's, and mean the same in all modes.
    """

    template_fields: Sequence[str] = tuple(
        name for name in SentinelHubBatchSensor.template_fields if name != "batch_api"
    )

    def __init__(
        self,
        *,
        request_id: str,
        target_status: str = "DONE",
        deferrable: bool | None = None,
        max_unknown_time: float = 1800.0,
        wait_for_start: bool = False,
        sentinelhub_conn_id: str = "sentinelhub_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            request_id=request_id,
            target_status=target_status,
            deferrable=deferrable,
            max_unknown_time=max_unknown_time,
            wait_for_start=wait_for_start,
            sentinelhub_conn_id=sentinelhub_conn_id,
            batch_api="statistical",
            **kwargs,
        )

    def _trigger(self, **common: Any) -> BaseTrigger:
        return SentinelHubBatchStatisticalTrigger(target_status=self.target_status, **common)
