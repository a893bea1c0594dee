"""Sensors for a request's status and for its tiles: poke, reschedule and deferrable, with the same meaning in each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_sentinelhub._compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    first_rescheduled,
)
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import (
    SentinelHubTask,
    airflow_errors,
    backstop,
    checked_id,
    deadline_from,
    default_deferrable,
    there,
)
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.verdict import Outcome, TileGoal, Waited
from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch, look, look_at_tiles, poll, until_certain
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchTileStatus
from airflow_sentinelhub.exceptions import (
    DeadlineError,
    InvalidInputError,
    JobError,
    SentinelHubError,
    UnknownStateError,
)
from airflow_sentinelhub.hooks.storage import read_tiles_by
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTileTrigger, SentinelHubBatchTrigger
from airflow_sentinelhub.triggers.events import read_event

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import BaseTrigger, Context

__all__ = ["SentinelHubBatchSensor", "SentinelHubBatchTileSensor"]


class _BatchSensor(SentinelHubTask, BaseSensorOperator):
    """What both sensors share. They only read: nothing is started, cancelled or changed."""

    template_fields: Sequence[str] = ("request_id", "sentinelhub_conn_id", "batch_api")
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"

    def __init__(
        self,
        *,
        request_id: str,
        deferrable: bool | None = None,
        max_unknown_time: float = 1800.0,
        wait_for_start: bool = False,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.max_unknown_time = max_unknown_time
        self.wait_for_start = wait_for_start
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self._watch: Watch | None = None

    def _wanted(self) -> str:
        """What is waited for, in words.

        :raises InvalidInputError: nothing can be waited for that way.
        """
        return ""

    def _look(self, request_id: str) -> Flow[Waited]:
        """One look."""
        raise SentinelHubError("A sensor of this kind looks at nothing.")

    def _trigger(self, **common: Any) -> BaseTrigger:
        """The trigger that waits for the same."""
        raise SentinelHubError("A sensor of this kind has no trigger.")

    def execute(self, context: Context) -> Any:
        with airflow_errors(self), self._soft():
            request_id = checked_id(self.request_id)
            self._wanted()
            self.announce(context, request_id)
            self._watch = None
            if not self.deferrable:
                return self._in_worker(context, request_id)
            watch = self._watching(context, request_id)
            waited = self.hook.run(poll(watch, lambda: self._look(request_id)))
            if waited is not None:
                conclude(waited, request_id, self._wanted())
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

    def _plan(self, context: Context) -> WaitPlan:
        """How this sensor waits, by its arguments. `timeout` counts from its first look, as Airflow counts it."""
        first = None
        if self.mode == "reschedule" and not self.deferrable:
            first = first_rescheduled(context, self.retries or 0)
        execution_timeout = self.execution_timeout if self.deferrable else None  # in a worker Airflow sees to it
        deadline = deadline_from(context, self.timeout, execution_timeout, deferring=True)
        if first is not None and deadline is not None:
            deadline += first.timestamp() - time.time()
        return WaitPlan(
            poll_interval=float(self.poke_interval),
            deadline=deadline,
            max_unknown_time=self.max_unknown_time,
            wait_for_start=self.wait_for_start,
            known=first is not None,
        )

    def _watching(self, context: Context, request_id: str) -> Watch:
        """The watch of this wait, which a rescheduled sensor has anew in each process."""
        if self._watch is None:
            self._watch = Watch(request_id, self._plan(context), time.time())
        return self._watch

    def _in_worker(self, context: Context, request_id: str) -> Any:
        """Airflow's own loop around `poke`. How it ends is said in our words: whether the request runs on and bills."""
        try:
            return super().execute(context)
        except (AirflowSensorTimeout, AirflowSkipException) as err:
            if isinstance(err.__cause__, SentinelHubError):
                raise err.__cause__ from None
            if err.__cause__ is not None:
                raise
            last = self._watch.last if self._watch else Waited(Outcome.WAITING)
            return conclude(replace(last, outcome=Outcome.TIMED_OUT), request_id, self._wanted())

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As Airflow's, which has nothing but "soft_fail is set" to say about a skip."""
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
            request_id = checked_id(self.request_id)
            conclude(read_event(event, request_id), request_id, self._wanted())

    def poke(self, context: Context) -> bool:
        """One look: True if it is as wanted, False to go on waiting.

        What one look cannot tell for sure (an outage, a request that looks as if nobody had started it) is looked at
        again here until it is certain: a rescheduled sensor is a new process at each look, which would not know since
        when.

        :raises JobError: it will not be as wanted any more.
        """
        request_id = checked_id(self.request_id)
        watch = self._watching(context, request_id)
        waited = self.hook.run(until_certain(watch, lambda: self._look(request_id)))
        if waited is None:
            return False
        conclude(waited, request_id, self._wanted())
        return True

    def _soft(self) -> Any:
        return _Soft(self.soft_fail, getattr(self, "never_fail", False))


class _Soft:
    """`soft_fail` and `never_fail`, the same in every mode and on every Airflow.

    soft_fail turns what the job or the time did, and what a retry cannot mend, into a skip; an unknown state stays a
    failure. never_fail turns every error into a skip.
    The time that runs out is an `AirflowSensorTimeout`, as in Airflow's own sensors.
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

    - **Calls** the request, one call a poll, whatever the number of tiles.
    - **Returns** nothing.
    - **On kill** nothing happens to the request: a sensor only looks.
    - **On timeout** it fails (or skips, with `soft_fail`), saying whether the request still runs and bills.
    - **On retry** it looks again.

    It fails at once when the status cannot come any more: the request failed, was cancelled, is PARTIAL, or nobody
    has started it for two minutes (unless `wait_for_start`).

    :param target_status: the status; one on the way (`ANALYSIS_DONE`, `PROCESSING`) is reached by later ones too.
    :param request_id: id of the request, or the result of a step (such as `create.output`).
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the state may be unreadable before the sensor fails.
    :param wait_for_start: wait for a request that nobody has started yet, instead of failing after two minutes (in
        reschedule mode these are spent in the worker).
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.

    `poke_interval`, `timeout`, `mode`, `soft_fail` and `never_fail` are Airflow's, and mean the same in all modes.
    """

    template_fields: Sequence[str] = (*_BatchSensor.template_fields, "target_status")

    def __init__(
        self,
        *,
        request_id: str,
        target_status: str = "DONE",
        deferrable: bool | None = None,
        max_unknown_time: float = 1800.0,
        wait_for_start: bool = False,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            request_id=request_id,
            deferrable=deferrable,
            max_unknown_time=max_unknown_time,
            wait_for_start=wait_for_start,
            sentinelhub_conn_id=sentinelhub_conn_id,
            batch_api=batch_api,
            **kwargs,
        )
        self.target_status = target_status

    def _wanted(self) -> str:
        known = [str(status) for status in BatchRequestStatus.__members__.values()]
        if self.target_status not in known:
            raise InvalidInputError(f"target_status is {self.target_status!r}; it must be one of {', '.join(known)}.")
        return str(self.target_status)

    def _look(self, request_id: str) -> Flow[Waited]:
        return look(self.api, request_id, self.target_status)

    def _trigger(self, **common: Any) -> BaseTrigger:
        return SentinelHubBatchTrigger(target_status=self.target_status, **common)


class SentinelHubBatchTileSensor(_BatchSensor):
    """Wait until tiles of a request are in a status: one of them, a number, a share, or all.

    - **Calls** the request, and as few pages of its tiles as answer the question.
    - **Returns** nothing.
    - **On kill** nothing happens to the request: a sensor only looks.
    - **On timeout** it fails (or skips, with `soft_fail`), saying whether the request still runs and bills.
    - **On retry** it looks again.

    On v2, which lists no tiles, manifest and execution database are read from the bucket at each poll. Where they are
    missing, not whole or behind the request, the tiles are unknown: they are read again for `max_unknown_time`.

    :param tile_status: `PROCESSED`, `FAILED`, ... ; :param tile: name or id of one tile; :param count: at least so
        many; :param share: at least this share, above 0 and up to 1. None of the three: all tiles. A template that
        comes out as nothing is an error; it does not mean all tiles.
    :param aws_conn_id: Airflow connection of type `aws` that may read the bucket (v2).
    :param request_id: id of the request, or the result of a step (such as `create.output`).
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the state may be unreadable before the sensor fails.
    :param wait_for_start: wait for a request that nobody has started yet, instead of failing after two minutes (in
        reschedule mode these are spent in the worker).
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.

    `poke_interval`, `timeout`, `mode`, `soft_fail` and `never_fail` are Airflow's, and mean the same in all modes.
    """

    template_fields: Sequence[str] = (
        *_BatchSensor.template_fields,
        "tile_status",
        "tile",
        "count",
        "share",
        "aws_conn_id",
    )

    def __init__(
        self,
        *,
        request_id: str,
        tile_status: str = "PROCESSED",
        tile: str | int | None = None,
        count: int | None = None,
        share: float | None = None,
        aws_conn_id: str | None = None,
        deferrable: bool | None = None,
        max_unknown_time: float = 1800.0,
        wait_for_start: bool = False,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            request_id=request_id,
            deferrable=deferrable,
            max_unknown_time=max_unknown_time,
            wait_for_start=wait_for_start,
            sentinelhub_conn_id=sentinelhub_conn_id,
            batch_api=batch_api,
            **kwargs,
        )
        self.tile_status = tile_status
        self.tile = tile
        self.count = count
        self.share = share
        self.aws_conn_id = aws_conn_id
        self._given = [name for name in ("tile", "count", "share") if getattr(self, name) is not None]

    def _goal(self) -> dict[str, Any]:
        given = {name: there(name, getattr(self, name)) for name in self._given}
        return {
            "tile": str(given["tile"]) if "tile" in given else None,
            "count": _number("count", given.get("count"), int),
            "share": _number("share", given.get("share"), float),
        }

    def _wanted(self) -> str:
        known = [str(status) for status in BatchTileStatus.__members__.values()]
        if self.tile_status not in known:
            raise InvalidInputError(f"tile_status is {self.tile_status!r}; it must be one of {', '.join(known)}.")
        return str(TileGoal(self.tile_status, **self._goal()))

    def _look(self, request_id: str) -> Flow[Waited]:
        from airflow_sentinelhub.hooks.sentinelhub import reader_now  # loads HTTP libraries

        def read_tiles(job: Snapshot, wanted: str | None) -> Any:
            return read_tiles_by(reader_now(self.sentinelhub_conn_id, self.aws_conn_id))(job, wanted)

        return look_at_tiles(self.api, request_id, TileGoal(self.tile_status, **self._goal()), read_tiles)

    def _trigger(self, **common: Any) -> BaseTrigger:
        goal = {**self._goal(), "tile_status": self.tile_status, "aws_conn_id": self.aws_conn_id}
        return SentinelHubBatchTileTrigger(**goal, **common)


def _number(name: str, given: Any, kind: type[int] | type[float]) -> Any:
    """A number, which a template has rendered to text; None for one that was not given."""
    if given is None:
        return None
    try:
        return kind(given)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} is a number, not {given!r}.") from None
