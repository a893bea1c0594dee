"""Sensor for new imagery. It behaves the same in poke, reschedule and deferrable mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_sentinelhub._compat import AirflowSensorTimeout, BaseSensorOperator, Context, conf
from airflow_sentinelhub._compat.tasks import first_rescheduled
from airflow_sentinelhub._deadline import backstop, deadline_from
from airflow_sentinelhub._identity import run_of, tried
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub._types import Rendered, SensorArguments, Templated, Unpack
from airflow_sentinelhub.api.flows.imagery import as_plain, checked_collection, early_where, find_in, where_of
from airflow_sentinelhub.api.late import Pair
from airflow_sentinelhub.api.times import checked_range, is_late, resolved_range
from airflow_sentinelhub.exceptions import SentinelHubError, from_plain
from airflow_sentinelhub.operators._files import ReadsFiles, beside
from airflow_sentinelhub.sensors._soft_fail import SoftFail
from airflow_sentinelhub.triggers.acquisitions import VERSION, SentinelHubNewImageryTrigger

__all__ = ["SentinelHubNewImagerySensor"]


class SentinelHubNewImagerySensor(ReadsFiles, SentinelHubTask, BaseSensorOperator):
    """Wait until there are acquisitions of a collection over an area, so that a map is made when there is one to make.

    - **Calls** the Catalog API: one search per poll, page by page. It costs no processing units.
    - **Returns** the acquisitions, the earliest first, each with `id`, `collection`, `datetime` (when it was taken),
      `cloud_cover` (percent; None where the catalog does not say), `platform` and `bbox`.
    - **On kill** nothing is left behind: a sensor only reads.
    - **On timeout** the sensor fails, or skips with `soft_fail`.
    - **On retry** it searches again.

    Acquisitions are published hours or days after they were taken: give the sensor a `timeout` of some days, or let a
    watcher (`SentinelHubNewImageryWatcherTrigger`, Airflow 3) start the DAG.

    :param collection: name in the catalog of the deployment, such as `sentinel-2-l2a` or `byoc-<id>`.
    :param area: in any form that operators take, in longitude and latitude.
    :param time_range: when the acquisitions were taken, in any form that operators take; the run's data interval.
    :param max_cloud_coverage: percent; None: no limit. Acquisitions that do not say theirs are left out by a limit.
    :param min_count: how many acquisitions there must be.
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the catalog may be out of reach before the sensor fails.
    :param poke_interval: time between polls: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`. All times
        can be given so.
    :param timeout: maximal time to wait; default: `[sensors] default_timeout`.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.

    `mode`, `soft_fail` and `never_fail` are Airflow's, and behave the same in all modes.
    """

    template_fields: Sequence[str] = (
        "collection",
        "area",
        "time_range",
        "max_cloud_coverage",
        "min_count",
        "sentinelhub_conn_id",
        "deferrable",
        "max_unknown_time",
        "poke_interval",
        "timeout",
    )
    ui_color = "#dbeef4"
    batch_api = None
    poke_interval: Any
    timeout: Any
    deferrable: Rendered[bool]
    collection: Rendered[str]
    max_cloud_coverage: Rendered[float | None]
    min_count: Rendered[int]

    def __init__(
        self,
        *,
        collection: Templated[str],
        area: Any,
        time_range: Templated[Pair | Mapping[str, Any]] = "data_interval",
        max_cloud_coverage: Templated[float] | None = None,
        min_count: Templated[int] = 1,
        deferrable: Templated[bool] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        poke_interval: Templated[float | timedelta] = 900.0,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        # Airflow's sensor takes no text, so it is given its own values here, and the argument's when the task runs.
        super().__init__(**kwargs, poke_interval=60.0, timeout=60.0)
        self.poke_interval = poke_interval
        self.timeout = timeout
        self.collection = collection
        self.area = area
        self.time_range = time_range
        self.max_cloud_coverage = max_cloud_coverage
        self.min_count = min_count
        self.deferrable = deferrable
        self.max_unknown_time = max_unknown_time
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self._found: list[dict[str, Any]] = []
        self._answered = False
        self._search: dict[str, Any] | None = None
        with self.literals():
            checked_range(time_range)
            early_where(area)
            if not is_late(collection):
                checked_collection(collection)

    def execute(self, context: Context) -> Any:
        with airflow_errors(self), self._soft():
            self._prepare(context)
            if not self.deferrable:
                super().execute(context)
                return self._found
            if self._look():
                return self._found
            execution_timeout = self.execution_timeout
            deadline = deadline_from(context, self.timeout, execution_timeout, deferring=True)
            trigger = SentinelHubNewImageryTrigger(
                sentinelhub_conn_id=self.sentinelhub_conn_id,
                search=self._search or {},
                min_count=self.min_count,
                poll_interval=self.poke_interval,
                deadline=deadline,
                max_unknown_time=self.max_unknown_time,
            )
            self.defer(trigger=trigger, method_name="execute_complete", timeout=backstop(deadline))

    def execute_complete(self, context: Context, event: Any = None) -> list[dict[str, Any]]:
        """Airflow calls this after the trigger's event."""
        with airflow_errors(self), self._soft():
            if not isinstance(event, Mapping) or event.get("version") != VERSION:
                raise SentinelHubError(
                    "The trigger sent an event that cannot be read. Do triggerer and workers run the same version of "
                    "airflow-sentinelhub? A retry of this task waits again."
                )
            if event.get("outcome") == "found":
                return list(event["acquisitions"])
            if event.get("outcome") == "timed_out":
                raise AirflowSensorTimeout(
                    f"No {self.min_count} acquisitions of {self.collection} were published in the time for waiting. A "
                    "retry of this task waits again."
                )
            raise from_plain(event["error"])

    def poke(self, context: Context) -> bool:
        """Search the catalog: True if there is enough."""
        if self._search is None:
            self._prepare(context)
        return self._look()

    def _prepare(self, context: Context) -> None:
        """Read the arguments, of which the search is made.

        :raises InvalidInputError: one cannot be right.
        """
        self.take_arguments()
        self._tried = tried(context)
        rescheduled = self.mode == "reschedule" and first_rescheduled(context, self.retries or 0) is not None
        self._answered = self._answered or rescheduled  # by an earlier process of this try
        if self.timeout is None:
            self.timeout = conf.getfloat("sensors", "default_timeout", fallback=7 * 86400.0)
        times = resolved_range(self.time_range, run_of(context))
        self.poke_interval = self.hook.interval(self.poke_interval, "poke_interval")
        self._search = {
            "collection": checked_collection(self.collection),
            "where": where_of(beside(self, self.part("area"))),
            "begin": times["from"],
            "end": times["to"],
            "max_cloud_coverage": self.max_cloud_coverage,
        }

    def _look(self) -> bool:
        flow = find_in(self._search or {}, self.max_unknown_time)
        found = self.hook.run(flow) if self._answered else self.reach(flow, "Nothing of this sensor is billed.")
        self._answered = True
        self.log.info("%d acquisitions of %s, and %s are wanted", len(found), self.collection, self.min_count)
        self._found = [as_plain(item) for item in found]
        return len(found) >= self.min_count

    def _soft(self) -> Any:
        return SoftFail(self.soft_fail, getattr(self, "never_fail", False))
