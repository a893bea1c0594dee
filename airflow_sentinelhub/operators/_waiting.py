"""Waiting in an operator: in this process, or deferred. The same flow, the same verdict, the same errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_sentinelhub._task import SentinelHubTask, backstop, deadline_from
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan, look_before_deferring
from airflow_sentinelhub.api.flows.wait import wait as wait_here
from airflow_sentinelhub.cancel import end_in_worker
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from airflow_sentinelhub.triggers.events import read_event

if TYPE_CHECKING:
    from airflow_sentinelhub.api.decide.marker import Mark
    from airflow_sentinelhub.api.decide.verdict import Waited
    from airflow_sentinelhub.api.snapshot import Snapshot


class WaitingTask(SentinelHubTask):
    """Mixed into operators that wait for a status.

    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls.
    :param timeout: how long to wait, as timedelta or seconds; None for as long as it takes.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the request runs on).
    """

    deferrable: bool
    poll_interval: float
    timeout: timedelta | float | None
    execution_timeout: timedelta | None
    cancel_on_kill = False
    cancel_on_timeout = False
    log: Any

    _running: str | None = None
    _mark: Mark | None = None
    _ti: Any = None

    def plan(self, context: Any, **changes: Any) -> WaitPlan:
        """How this task waits, by its arguments. :param changes: members of the plan that differ this time."""
        plan = WaitPlan(
            poll_interval=self.poll_interval,
            deadline=deadline_from(context, self.timeout, self.execution_timeout, deferring=self.deferrable),
            max_unknown_time=self.max_unknown_time,
            end_at_deadline=self.cancel_on_timeout,
            known=True,
        )
        return replace(plan, **changes)

    def wait_for(self, context: Any, request_id: str, target: str, **changes: Any) -> Snapshot:
        """Wait until the request is `target`; defers if it is not at its end yet and `deferrable` says so.

        :param changes: see `plan`.
        :raises JobError: it will not be `target` any more.
        """
        return conclude(self.wait(request_id, target, self.plan(context, **changes)), request_id, target)

    def wait(
        self,
        request_id: str,
        target: str,
        plan: WaitPlan,
        *,
        method_name: str = "execute_complete",
        resume_state: dict[str, Any] | None = None,
    ) -> Waited:
        """How the wait ended; does not return if the task defers.

        Before it defers it looks once: a request at its end never defers. Whatever that look cannot tell for sure, the
        trigger finds out, which costs nothing.
        """
        waited: Waited | None
        if self.deferrable:
            waited = self.hook.run(look_before_deferring(self.api, request_id, target, plan))
            if waited is None:
                self.defer_for(Await(request_id, target, plan), method_name=method_name, resume_state=resume_state)
        else:
            waited = self.hook.run(wait_here(self.api, request_id, target, plan))
        self.known = waited.job or self.known
        return waited

    def defer_for(
        self,
        awaited: Await,
        *,
        method_name: str = "execute_complete",
        resume_state: dict[str, Any] | None = None,
    ) -> NoReturn:
        """Give the worker back until the wait is over. :param resume_state: plain JSON that comes back in the event."""
        trigger = SentinelHubBatchTrigger(
            sentinelhub_conn_id=self.sentinelhub_conn_id,
            batch_api=self.api.name,
            request_id=awaited.request_id,
            target_status=awaited.target,
            plan=awaited.plan,
            cancel_on_kill=self.cancel_on_kill,
            place=self.hook.settings.place(),
            resume_state={**(resume_state or {}), "tried": self._tried},
        )
        self.defer(  # type: ignore[attr-defined]
            trigger=trigger, method_name=method_name, timeout=backstop(awaited.plan.deadline)
        )
        raise AssertionError("defer() does not return")

    def waited(self, event: Any, request_id: str, target: str) -> Snapshot:
        """The end of a deferred wait."""
        waited: Waited = read_event(event, request_id)
        self.known = waited.job
        return conclude(waited, request_id, target)

    def responsible_for(self, request_id: str | None, context: Any, mark: Mark | None = None) -> None:
        """From now on a kill of this task is about this request, or about all that are this task's by their marker."""
        self._running, self._mark, self._ti = request_id, mark, context["ti"]
        self.about = request_id

    def on_kill(self) -> None:
        """The task is being ended: find out why, and cancel the request if no task needs it any more."""
        self.hook.interrupt()
        if self._running is None and self._mark is None:
            return
        end_in_worker(
            self.hook,
            self.api,
            self._running,
            self._ti,
            mark=self._mark,
            on_kill=self.cancel_on_kill,
            on_timeout=self.cancel_on_timeout,
            log=self.log,
        )
