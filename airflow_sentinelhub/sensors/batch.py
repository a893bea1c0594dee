"""Sensors for the status of a request and its tiles. They behave the same in poke, reschedule and deferrable mode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_sentinelhub._compat import AirflowSensorTimeout, AirflowSkipException, BaseSensorOperator, conf
from airflow_sentinelhub._compat.tasks import first_rescheduled
from airflow_sentinelhub._deadline import backstop, deadline_from
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered, SensorArguments, Templated, Unpack
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.verdict import Outcome, TileGoal, Waited
from airflow_sentinelhub.api.flows.counting import TileMemory
from airflow_sentinelhub.api.flows.tiles import look_at_tiles
from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch, look, until_answered, until_certain
from airflow_sentinelhub.api.service.generations import NEW_REQUEST_404, OLD_REQUEST_404
from airflow_sentinelhub.api.statuses import REQUEST_STATUSES, TILE_STATUSES
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import (
    DeadlineError,
    JobError,
    SentinelHubError,
    UnknownStateError,
)
from airflow_sentinelhub.hooks.storage import FilesSeen, read_tiles_by
from airflow_sentinelhub.links import LINKS
from airflow_sentinelhub.operators._lineage import TellsLineage
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTileTrigger, SentinelHubBatchTrigger
from airflow_sentinelhub.triggers.events import read_event

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import BaseTrigger, Context
    from airflow_sentinelhub.api.snapshot import Snapshot

__all__ = ["SentinelHubBatchSensor", "SentinelHubBatchTileSensor"]


class _BatchSensor(TellsLineage, SentinelHubTask, BaseSensorOperator):
    """Base of both sensors. They only read: they never start, cancel or change a request."""

    template_fields: Sequence[str] = (
        "request_id",
        "sentinelhub_conn_id",
        "batch_api",
        "deferrable",
        "max_unknown_time",
        "wait_for_start",
        "poke_interval",
        "max_poll_interval",
        "timeout",
    )
    operator_extra_links = LINKS
    ui_color = "#dbeef4"
    poke_interval: Any
    timeout: Any
    deferrable: Rendered[bool]
    wait_for_start: Rendered[bool]
    _told_by_trigger: Snapshot | None = None

    def __init__(
        self,
        *,
        request_id: Templated[str],
        deferrable: Templated[bool] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        wait_for_start: Templated[bool] = False,
        poke_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        # Airflow's sensor takes no text, so it is given its own values here, and the argument's when the task runs.
        super().__init__(**kwargs, poke_interval=60.0, timeout=60.0)
        self.poke_interval = poke_interval
        self.max_poll_interval: Any = max_poll_interval
        self.timeout = timeout
        self.request_id = request_id
        self.deferrable = deferrable
        self.max_unknown_time = max_unknown_time
        self.wait_for_start = wait_for_start
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self._watch: Watch | None = None

    def _target(self) -> str:
        """What the sensor waits for, as text for messages.

        :raises InvalidInputError: an argument is invalid.
        """
        return ""

    def _forget(self) -> None:
        """Forget what an earlier wait of this object has found out."""
        self._watch = None

    def _look(self, request_id: str) -> Flow[Waited]:
        """The flow that reads the request once and decides."""
        raise SentinelHubError(f"{type(self).__name__} must define _look.")

    def _trigger(self, **common: Any) -> BaseTrigger:
        """The trigger that waits for the same status; `common`: arguments of all triggers."""
        raise SentinelHubError(f"{type(self).__name__} must define _trigger.")

    def execute(self, context: Context) -> Any:
        with airflow_errors(self), self._soft():
            self.take_arguments()
            if self.timeout is None:
                self.timeout = conf.getfloat("sensors", "default_timeout", fallback=7 * 86400.0)
            request_id = checked_id(self.request_id)
            self._target()
            self.announce(context, request_id)
            self._forget()
            if not self.deferrable:
                return self._in_worker(context, request_id)
            watch = self._watching(context, request_id)
            waited = self.reach(until_answered(watch, lambda within: self._look(request_id)))
            if waited is not None:
                conclude(waited, request_id, self._target())
                return None
            trigger = self._trigger(
                sentinelhub_conn_id=self.sentinelhub_conn_id,
                batch_api=self.api.name,
                request_id=request_id,
                plan=replace(watch.plan, known=watch.last.job is not None),
                place=self.hook.settings.place(),
                resume_state={"tried": tried(context)},
            )
            self.defer(trigger=trigger, method_name="execute_complete", timeout=backstop(watch.plan.deadline))

    def _plan(self, context: Context) -> tuple[WaitPlan, datetime | None]:
        """The `WaitPlan` made from the sensor's arguments, and when another process began to wait, if one did.

        As in Airflow, `timeout` counts from the first poke.
        """
        first = None
        if self.mode == "reschedule" and not self.deferrable:
            first = first_rescheduled(context, self.retries or 0)
        execution_timeout = self.execution_timeout if self.deferrable else None  # in a worker Airflow applies it
        self.hook.driver.follow_wall()
        deadline = deadline_from(context, self.timeout, execution_timeout, deferring=True)
        if first is not None and deadline is not None:
            deadline += first.timestamp() - time.time()
        check_most(self.poke_interval, self.max_poll_interval, "poke_interval")
        self.poke_interval = self.hook.interval(self.poke_interval, "poke_interval")  # Airflow sleeps for it
        plan = WaitPlan(
            poll_interval=self.poke_interval,
            deadline=deadline,
            max_unknown_time=self.max_unknown_time,
            wait_for_start=self.wait_for_start,
            known=first is not None,
            max_poll_interval=self.max_poll_interval,
        )
        return plan, first

    def _watching(self, context: Context, request_id: str) -> Watch:
        """The state of this wait; a rescheduled sensor creates it again in each process."""
        if self._watch is None:
            plan, first = self._plan(context)
            self._watch = Watch(
                request_id,
                plan,
                time.time(),
                not_found_after=sum(OLD_REQUEST_404 if self.is_old(context) else NEW_REQUEST_404),
                first=not plan.known and tried(context) <= 1,
                told=self.progress,
                since=None if first is None else first.timestamp(),
            )
        return self._watch

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Airflow's loop sleeps, or is rescheduled, for so many seconds. This method is the only place to set them."""
        if self.max_poll_interval is None or self._watch is None:
            return float(super()._get_next_poke_interval(*args, **kwargs))
        return self._watch.pause

    def _in_worker(self, context: Context, request_id: str) -> Any:
        """Run Airflow's loop around `poke`; its errors are replaced by ours, which say whether the request runs on."""
        try:
            return super().execute(context)
        except (AirflowSensorTimeout, AirflowSkipException) as err:
            if isinstance(err.__cause__, SentinelHubError):
                raise err.__cause__ from None
            if err.__cause__ is not None:
                raise
            last = self._watch.last if self._watch else Waited(Outcome.WAITING)
            return conclude(replace(last, outcome=Outcome.TIMED_OUT), request_id, self._target())

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Like Airflow's, but a skip keeps its reason; Airflow's own message only says that `soft_fail` is set."""
        try:
            with airflow_errors(self), self._soft():
                return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException as skip:
            if isinstance(skip.__cause__, AirflowSkipException):
                raise skip.__cause__ from None
            raise

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """Airflow calls this after the trigger's event."""
        with airflow_errors(self), self._soft():
            self.take_arguments()
            self.about = request_id = checked_id(self.request_id)
            waited = read_event(event, request_id)
            self._told_by_trigger = waited.job
            conclude(waited, request_id, self._target())

    def last_reading(self) -> Snapshot | None:
        return self._watch.last.job if self._watch is not None and self._watch.last.job else self._told_by_trigger

    def poke(self, context: Context) -> bool:
        """Read the request: True if it has reached the target, False to continue waiting.

        If one reading is not enough to decide (an outage, a request that seems not to be started), it reads again until
        it can decide. A rescheduled sensor runs in a new process at each poke, so it could not remember the time of the
        first such reading.

        :raises JobError: the request cannot reach the target any more.
        """
        self.take_arguments()
        request_id = checked_id(self.request_id)
        watch = self._watching(context, request_id)
        flow = until_certain(watch, lambda within: self._look(request_id))
        waited = self.hook.run(flow) if watch.plan.known or watch.last.job else self.reach(flow)
        if waited is None:
            return False
        conclude(waited, request_id, self._target())
        return True

    def _soft(self) -> Any:
        return _Soft(self.soft_fail, getattr(self, "never_fail", False))


class _Soft:
    """Context manager for `soft_fail` and `never_fail`, which behave the same in all modes and Airflow versions.

    `soft_fail` turns an error into a skip if it is a failed job, a timeout, or an error that a retry cannot fix; if the
    status of the request is unknown, the sensor still fails. `never_fail` turns every error into a skip. A timeout is
    raised as `AirflowSensorTimeout`, as in Airflow's own sensors.
    """

    def __init__(self, soft_fail: bool, never_fail: bool) -> None:
        self._soft, self._never = soft_fail, never_fail

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, (SentinelHubError, AirflowSensorTimeout)):
            return
        if self._never or (self._soft and _is_verdict(error)):
            raise AirflowSkipException(str(error)) from error
        if isinstance(error, DeadlineError):
            _timed_out(error)


def _is_verdict(error: BaseException) -> bool:
    if isinstance(error, UnknownStateError):
        return False
    return isinstance(error, (JobError, AirflowSensorTimeout)) or not getattr(error, "retry_helps", True)


def _timed_out(error: DeadlineError) -> NoReturn:
    raise AirflowSensorTimeout(str(error)) from error


class SentinelHubBatchSensor(_BatchSensor):
    """Wait until a request has a status.

    - **Calls** the request, with one call per poll, whatever the number of tiles.
    - **Returns** nothing.
    - **On kill** the request is left as it is: a sensor only reads.
    - **On timeout** the sensor fails, or skips with `soft_fail`. The message says whether the request still runs and
      bills.
    - **On retry** it reads again.

    The sensor fails at once if the request cannot reach the status any more: it failed, was cancelled, is PARTIAL, or
    was not started for two minutes (unless `wait_for_start`).

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
    :param batch_api: `v1` or `v2`; default: that of the connection.

    `mode`, `soft_fail` and `never_fail` are Airflow's, and behave the same in all modes.
    """

    template_fields: Sequence[str] = (*_BatchSensor.template_fields, "target_status")
    words = {"target_status": REQUEST_STATUSES}
    target_status: Rendered[str]

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
        batch_api: Templated[str] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(
            request_id=request_id,
            deferrable=deferrable,
            max_unknown_time=max_unknown_time,
            wait_for_start=wait_for_start,
            poke_interval=poke_interval,
            max_poll_interval=max_poll_interval,
            timeout=timeout,
            sentinelhub_conn_id=sentinelhub_conn_id,
            batch_api=batch_api,
            **kwargs,
        )
        self.target_status = target_status
        self.check_arguments()

    def _target(self) -> str:
        return str(self.target_status)

    def _look(self, request_id: str) -> Flow[Waited]:
        return look(self.api, request_id, self.target_status)

    def _trigger(self, **common: Any) -> BaseTrigger:
        return SentinelHubBatchTrigger(target_status=self.target_status, **common)


class SentinelHubBatchTileSensor(_BatchSensor):
    """Wait until tiles of a request have a status: a single tile, a number of tiles, a share of them, or all.

    - **Calls** the request and at most five pages of its tiles per poll, whatever their number (v1). For all tiles, or
      nearly all, it asks for one page of each other status. For a number or a share it counts on from poll to poll; as
      long as there are tiles to catch up with, it polls every 10 s, and every 2 s when the request has ended.
    - **Returns** nothing.
    - **On kill** the request is left as it is: a sensor only reads.
    - **On timeout** the sensor fails, or skips with `soft_fail`. The message says whether the request still runs and
      bills.
    - **On retry** it reads again.

    The API of v2 lists no tiles, so on v2 the manifest and the execution database are read from the bucket when they
    have changed. If these are missing, incomplete or older than the request's status, the tiles are unknown, and they
    are read again for `max_unknown_time`.

    In `reschedule` mode each poke is a new process, which has forgotten the count of the last one (v1) and what files
    it has read (v2). It counts anew, as far as the goal needs, and the worker stays occupied for so long: 10 s for each
    500 tiles that `count` or `share` ask for, or that come before a `tile` given by its name. Waiting for all tiles, or
    for a tile given by its id, costs nothing more. For large jobs use `deferrable`, or `poke`.

    A goal for more than 500 tiles in a status that tiles leave again (PENDING, SCHEDULED, QUEUED, PROCESSING) is
    counted over several polls: every tile counts that was in the status when its page was read.

    If `tile`, `count` and `share` are all left out, the sensor waits for all tiles. A template that renders to nothing
    is an error; it does not mean all tiles.

    :param tile_status: status to wait for, such as `PROCESSED` or `FAILED`.
    :param tile: name or id of a single tile.
    :param count: minimal number of tiles.
    :param share: minimal share of the tiles, above 0 and up to 1.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket (v2).
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
    :param batch_api: `v1` or `v2`; default: that of the connection.

    `mode`, `soft_fail` and `never_fail` are Airflow's, and behave the same in all modes.
    """

    template_fields: Sequence[str] = (
        *_BatchSensor.template_fields,
        "tile_status",
        "tile",
        "count",
        "share",
        "aws_conn_id",
    )
    words = {"tile_status": TILE_STATUSES}
    tile_status: Rendered[str]
    aws_conn_id: Rendered[str | None]

    def __init__(
        self,
        *,
        request_id: Templated[str],
        tile_status: Templated[str] = "PROCESSED",
        tile: Templated[str | int] | None = None,
        count: Templated[int] | None = None,
        share: Templated[float] | None = None,
        aws_conn_id: Templated[str] | None = None,
        deferrable: Templated[bool] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        wait_for_start: Templated[bool] = False,
        poke_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(
            request_id=request_id,
            deferrable=deferrable,
            max_unknown_time=max_unknown_time,
            wait_for_start=wait_for_start,
            poke_interval=poke_interval,
            max_poll_interval=max_poll_interval,
            timeout=timeout,
            sentinelhub_conn_id=sentinelhub_conn_id,
            batch_api=batch_api,
            **kwargs,
        )
        self.tile_status = tile_status
        self.tile = tile
        self.count = count
        self.share = share
        self.aws_conn_id = aws_conn_id
        self._memory, self._files_seen = TileMemory(), FilesSeen()
        with self.literals():
            if not any(map(is_late, (tile_status, tile, count, share))):
                self._target()

    def _goal(self) -> dict[str, Any]:
        names = ("tile", "count", "share")
        return all_taken({name: getattr(self, name) for name in names}, self._in_dag)

    def _target(self) -> str:
        return str(TileGoal(self.tile_status, **self._goal()))

    def _forget(self) -> None:
        super()._forget()
        self._memory, self._files_seen = TileMemory(), FilesSeen()

    def _look(self, request_id: str) -> Flow[Waited]:
        from airflow_sentinelhub.hooks.sentinelhub import reader_now  # loads HTTP libraries

        goal = TileGoal(self.tile_status, **self._goal())
        if self.api.results == "listed":
            return look_at_tiles(self.api, request_id, goal, memory=self._memory)
        # The connections are read at each look, so that corrected ones are used.
        reader = reader_now(self.sentinelhub_conn_id, self.aws_conn_id)
        return look_at_tiles(self.api, request_id, goal, read_tiles_by(reader, self._files_seen))

    def _trigger(self, **common: Any) -> BaseTrigger:
        goal = {**self._goal(), "tile_status": self.tile_status, "aws_conn_id": self.aws_conn_id}
        return SentinelHubBatchTileTrigger(**goal, **common)
