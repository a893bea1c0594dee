"""Waiting in an operator: in this process, or deferred. The same flow, the same verdict, the same errors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_sentinelhub._task import SentinelHubTask, backstop, deadline_from
from airflow_sentinelhub.exceptions import ApiError, UnreachableError

if TYPE_CHECKING:
    from airflow_sentinelhub.api.decide.marker import Mark
    from airflow_sentinelhub.api.decide.verdict import Waited
    from airflow_sentinelhub.api.flows.wait import WaitPlan
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

    def wait_for(
        self, context: Any, request_id: str, target: str, method_name: str, *, stale_partial: float = 0.0
    ) -> Snapshot:
        """Wait until the request is `target`; defers if it is not at its end yet and `deferrable` says so.

        :raises JobError: it will not be `target` any more.
        """
        from airflow_sentinelhub.api.decide.errors import conclude

        deadline = deadline_from(context, self.timeout, self.execution_timeout, deferring=self.deferrable)
        waited = self.wait(request_id, target, method_name, deadline, stale_partial=stale_partial)
        return conclude(waited, request_id, target)

    def wait(
        self,
        request_id: str,
        target: str,
        method_name: str,
        deadline: float | None,
        *,
        poll_interval: float | None = None,
        stale_partial: float = 0.0,
        max_cost: float | None = None,
        memory: dict[str, Any] | None = None,
    ) -> Waited:
        """How the wait ended; does not return if the task defers.

        Before it defers it looks once: a request at its end never defers. If that look fails because the service is out
        of reach, the trigger goes on looking, which costs nothing.
        """
        from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, judge, over
        from airflow_sentinelhub.api.flows.read import read_patiently
        from airflow_sentinelhub.api.flows.wait import WaitPlan

        every = poll_interval or self.poll_interval
        plan = WaitPlan(
            poll_interval=every,
            deadline=deadline,
            max_unknown_time=self.max_unknown_time,
            stale_partial=stale_partial,
            max_cost=max_cost,
            end_at_deadline=self.cancel_on_timeout,
            known=True,
        )
        if self.deferrable:
            try:
                job = self.hook.run(read_patiently(self.api, request_id))
            except (ApiError, UnreachableError) as err:  # whatever it is answered with, the request is there
                self.log.warning("Batch request %s cannot be read just now: %s", request_id, err)
                self._defer(request_id, target, method_name, deadline, every, stale_partial, max_cost, memory)
            self.known = job
            outcome = judge(job, target)
            moving = outcome in (Outcome.WAITING, Outcome.NOT_STARTED) and not over(job, max_cost)
            if not moving and not (outcome is Outcome.PARTIAL and stale_partial > 0):
                if outcome is not Outcome.WAITING:
                    return Waited(outcome, job)
                return self._in_worker(request_id, target, plan)  # over the budget: it is ended now
            self._defer(request_id, target, method_name, deadline, every, stale_partial, max_cost, memory)
        return self._in_worker(request_id, target, plan)

    def _in_worker(self, request_id: str, target: str, plan: WaitPlan) -> Waited:
        from airflow_sentinelhub.api.flows.wait import wait

        waited: Waited = self.hook.run(wait(self.api, request_id, target, plan))
        self.known = waited.job or self.known
        return waited

    def waited(self, event: Any, request_id: str, target: str) -> Snapshot:
        """The end of a deferred wait."""
        from airflow_sentinelhub.api.decide.errors import conclude
        from airflow_sentinelhub.triggers.events import read_event

        waited: Waited = read_event(event, request_id)
        self.known = waited.job
        return conclude(waited, request_id, target)

    def _defer(
        self,
        request_id: str,
        target: str,
        method_name: str,
        deadline: float | None,
        poll_interval: float,
        stale_partial: float,
        max_cost: float | None,
        memory: dict[str, Any] | None,
    ) -> NoReturn:
        from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger

        trigger = SentinelHubBatchTrigger(
            sentinelhub_conn_id=self.sentinelhub_conn_id,
            batch_api=self.api.name,
            request_id=request_id,
            target_status=target,
            poll_interval=poll_interval,
            deadline=deadline,
            max_unknown_time=self.max_unknown_time,
            stale_partial=stale_partial,
            max_cost=max_cost,
            cancel_on_kill=self.cancel_on_kill,
            cancel_on_timeout=self.cancel_on_timeout,
            place=self.hook.settings.place(),
            memory={**(memory or {}), "tried": self._tried},
        )
        self.defer(trigger=trigger, method_name=method_name, timeout=backstop(deadline))  # type: ignore[attr-defined]
        raise AssertionError("defer() does not return")

    def responsible_for(self, request_id: str | None, context: Any, mark: Mark | None = None) -> None:
        """From now on a kill of this task is about this request, or about all that are this task's by their marker."""
        self._running, self._mark, self._ti = request_id, mark, context["ti"]
        self.about = request_id

    def on_kill(self) -> None:
        """The task is being ended: find out why, and cancel the request if nobody waits for it any more."""
        from airflow_sentinelhub.cancel import end_in_worker

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
