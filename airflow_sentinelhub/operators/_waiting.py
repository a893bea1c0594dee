"""How an operator waits, in the worker or deferred: by the same flow, with the same verdicts and errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_sentinelhub._deadline import backstop, deadline_from
from airflow_sentinelhub._task import SentinelHubTask
from airflow_sentinelhub._types import Rendered
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.verdict import stays_ended
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

    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param poll_interval: seconds between polls.
    :param max_poll_interval: seconds that the interval may grow to while the end is far; None: it does not.
    :param timeout: maximal time to wait: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`, which all
        intervals and times may be; None: no limit.
    :param max_unknown_time: seconds for which the status may be unreadable before the task fails; the request is left
        running.
    """

    deferrable: Rendered[bool]
    poll_interval: Rendered[float]
    max_poll_interval: Any = None
    timeout: Rendered[float | None]
    execution_timeout: timedelta | None
    cancel_on_kill: Any = False
    cancel_on_timeout: Any = False
    log: Any

    _request_to_end: str | None = None
    _mark: Mark | None = None
    _ti: Any = None

    def plan(self, context: Any, **changes: Any) -> WaitPlan:
        """The `WaitPlan` made from the task's arguments.

        :param changes: members of the plan to replace.
        :raises InvalidInputError: `max_poll_interval` is less than `poll_interval`.
        """
        check_most(self.poll_interval, self.max_poll_interval)
        self.hook.driver.follow_wall()
        plan = WaitPlan(
            poll_interval=self.hook.interval(self.poll_interval),
            deadline=deadline_from(context, self.timeout, self.execution_timeout, deferring=self.deferrable),
            max_unknown_time=self.max_unknown_time,
            end_at_deadline=self.cancel_on_timeout,
            known=True,
            max_poll_interval=self.max_poll_interval,
        )
        return replace(plan, **changes)

    def wait_for(self, context: Any, request_id: str, target: str, **changes: Any) -> Snapshot:
        """Wait until the request has the status `target`; defers if the task is deferrable and the wait is not over.

        :param changes: see `plan`.
        :raises JobError: the request cannot get the status `target` any more.
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
        """Wait, and return how the wait ended; does not return if the task defers.

        A deferrable task reads the request once before it defers, so that it never defers for a request that has
        ended. If one reading is not enough to decide, the trigger decides.
        """
        waited: Waited | None
        if self.deferrable:
            waited = self.hook.run(look_before_deferring(self.api, request_id, target, plan, on_poll=self.progress))
            if waited is None:
                self.defer_for(Await(request_id, target, plan), method_name=method_name, resume_state=resume_state)
        else:
            waited = self.hook.run(wait_here(self.api, request_id, target, plan, on_poll=self.progress))
        self.known = waited.job or self.known
        return waited

    def defer_for(
        self,
        awaited: Await,
        *,
        method_name: str = "execute_complete",
        resume_state: dict[str, Any] | None = None,
    ) -> NoReturn:
        """Defer until the wait is over.

        :param resume_state: plain JSON, echoed back in the trigger's event.
        """
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
        """The last reading of a deferred wait.

        :param event: of the trigger.
        :raises JobError: the request cannot get the status `target` any more.
        """
        self.about = request_id  # named in the errors that the event holds, and kept from being final by it
        waited: Waited = read_event(event, request_id)
        self.known = waited.job
        if waited.job is not None:
            self.pin(waited.job.generation)  # the connection may have been edited during the wait
        return conclude(waited, request_id, target)

    def responsible_for(self, request_id: str | None, context: Any, mark: Mark | None = None) -> None:
        """Set the request that `on_kill` decides about.

        :param request_id: the request; None while the task still searches for it.
        :param mark: if `request_id` is None: the marker in the description of this task's requests.
        """
        self._request_to_end, self._mark, self._ti = request_id, mark, context["ti"]
        self.about = request_id

    def on_kill(self) -> None:
        """Airflow stops the task: cancel the request if no task needs it any more (see `cancel.py`)."""
        self.hook.interrupt()
        if self._request_to_end is None and self._mark is None:
            return
        job = self.known
        if job is not None and job.request_id == self._request_to_end and stays_ended(job):
            done = "Batch request %s is %s, so there is nothing to %s"
            self.log.info(done, job.request_id, job.status, self.api.end_word)
            return
        end_in_worker(
            self.hook,
            self.api,
            self._request_to_end,
            self._ti,
            mark=self._mark,
            on_kill=self.cancel_on_kill,
            on_timeout=self.cancel_on_timeout,
            log=self.log,
        )
