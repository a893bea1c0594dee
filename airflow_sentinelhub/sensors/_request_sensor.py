"""Base of the sensors that wait for a request: one wait, the same in poke, reschedule and deferrable mode."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    BaseTrigger,
    Context,
    conf,
)
from airflow_sentinelhub._compat.tasks import first_rescheduled
from airflow_sentinelhub._deadline import backstop, deadline_from
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered, SensorArguments, Unpack
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch, look, until_answered, until_certain
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service.generations import NAMES, NEW_REQUEST_404, OLD_REQUEST_404, never_ends
from airflow_sentinelhub.api.statuses import REQUEST_STATUSES, BatchRequestStatus
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError
from airflow_sentinelhub.links import LINKS
from airflow_sentinelhub.operators._lineage import TellsLineage
from airflow_sentinelhub.sensors._soft_fail import SoftFail
from airflow_sentinelhub.triggers.events import read_event

if TYPE_CHECKING:
    from airflow_sentinelhub.api.snapshot import Snapshot


class RequestSensor(TellsLineage, SentinelHubTask, BaseSensorOperator):
    """Base of the sensors of a request. They only read: they never start, cancel or change a request.

    Each of them declares its own arguments: one that only the base class declared would be taken by `partial`.
    """

    operator_extra_links = LINKS
    ui_color = "#dbeef4"
    poke_interval: Any
    max_poll_interval: Any
    timeout: Any
    deferrable: Rendered[bool]
    wait_for_start: Rendered[bool]
    _told_by_trigger: Snapshot | None = None

    def __init__(self, **kwargs: Unpack[SensorArguments]) -> None:
        # Airflow's sensor takes no text, so it is given its own values here, and the argument's when the task runs.
        super().__init__(**kwargs, poke_interval=60.0, timeout=60.0)
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
                on_poll=self.progress,
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
        return SoftFail(self.soft_fail, getattr(self, "never_fail", False))


class StatusSensor(RequestSensor):
    """Base of the sensors that wait for the status of a request, of a batch or a statistical one."""

    words = {"target_status": REQUEST_STATUSES}
    target_status: Rendered[str]

    @classmethod
    def _check_words(cls, given: Mapping[str, Any]) -> None:
        super()._check_words(given)
        api, target = given.get("batch_api") or getattr(cls, "batch_api", None), given.get("target_status")
        if api in NAMES and target is not None and not is_late(target):
            _check_end(target, api)

    def _target(self) -> str:
        return str(self.target_status)

    def _look(self, request_id: str) -> Flow[Waited]:
        _check_end(self.target_status, self.api.name)
        return look(self.api, request_id, self.target_status)


def _check_end(target: str, batch_api: str) -> None:
    """:raises InvalidInputError: no request of this generation ever has this status, which is an end."""
    if BatchRequestStatus(target).is_final and (never := never_ends([target], batch_api)):
        raise InvalidInputError(f"With target_status {shown(target)} a sensor waits in vain: {never}")
