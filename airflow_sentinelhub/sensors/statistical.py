"""Sensor for the status of a statistical request. It behaves the same in poke, reschedule and deferrable mode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._types import SensorArguments, Templated, Unpack
from airflow_sentinelhub.sensors._request_sensor import StatusSensor
from airflow_sentinelhub.triggers.batch import SentinelHubBatchStatisticalTrigger

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import BaseTrigger

__all__ = ["SentinelHubBatchStatisticalSensor"]


class SentinelHubBatchStatisticalSensor(StatusSensor):
    """Wait until a statistical request has a status.

    - **Calls** the request, with one call per poll, whatever the number of features.
    - **Returns** nothing.
    - **On kill** the request is left as it is: a sensor only reads.
    - **On timeout** the sensor fails, or skips with `soft_fail`. The message says whether the request still runs and
      bills.
    - **On retry** it reads again.

    The sensor fails at once if the request cannot reach the status any more: it failed, was stopped, or was not started
    for two minutes (unless `wait_for_start`). A request that is DONE may contain failed features;
    `SentinelHubListStatisticsOperator` lists them.

    :param target_status: status to wait for. `ANALYSIS_DONE` and `PROCESSING` are also reached by every later status.
    :param request_id: id of the request, or the result of a step (such as `create.output`).
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the status may be unreadable before the sensor fails.
    :param wait_for_start: wait for a request that is not started yet, instead of failing after two minutes. In
        reschedule mode the worker stays occupied for these two minutes.
    :param poke_interval: time between polls: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`. All times
        can be given so.
    :param timeout: maximal time to wait; default: `[sensors] default_timeout`.
    :param max_poll_interval: time that `poke_interval` may grow to while the end is far, in all modes: to a tenth of
        the time since the status has changed (in reschedule mode, since the first poke), and a quarter of the time that
        seems to be left. It takes the place of Airflow's `exponential_backoff`. None: it does not grow.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.

    `mode`, `soft_fail` and `never_fail` are Airflow's, and behave the same in all modes.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "sentinelhub_conn_id",
        "deferrable",
        "max_unknown_time",
        "wait_for_start",
        "poke_interval",
        "max_poll_interval",
        "timeout",
        "target_status",
    )
    batch_api = "statistical"

    def __init__(
        self,
        *,
        request_id: Templated[str],
        target_status: Templated[str] = "DONE",
        deferrable: Templated[bool] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        wait_for_start: Templated[bool] = False,
        poke_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.deferrable = deferrable
        self.max_unknown_time = max_unknown_time
        self.wait_for_start = wait_for_start
        self.poke_interval = poke_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.target_status = target_status
        self.check_arguments()

    def _trigger(self, **common: Any) -> BaseTrigger:
        return SentinelHubBatchStatisticalTrigger(target_status=self.target_status, **common)
