"""Waiting in an operator: in this process, or deferred. The same flow, the same verdict, the same errors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._task import SentinelHubTask, backstop, deadline_from

if TYPE_CHECKING:
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
    max_unknown_time: float
    execution_timeout: timedelta | None

    def wait_for(
        self, context: Any, request_id: str, target: str, method_name: str, *, stale_partial: float = 0.0
    ) -> Snapshot:
        """Wait until the request is `target`; defers if it is not at its end yet and `deferrable` says so.

        :raises JobError: it will not be `target` any more.
        """
        from airflow_sentinelhub.api.endings import conclude
        from airflow_sentinelhub.api.flows import read_patiently
        from airflow_sentinelhub.api.verdict import Outcome, judge
        from airflow_sentinelhub.api.waiting import Waited, WaitPlan, wait

        deadline = deadline_from(context, self.timeout, self.execution_timeout)
        if self.deferrable:
            job = self.hook.run(read_patiently(self.api, request_id))
            outcome = judge(job, target)
            stale = outcome is Outcome.PARTIAL and stale_partial > 0
            if outcome not in (Outcome.WAITING, Outcome.NOT_STARTED) and not stale:
                return conclude(Waited(outcome, job), request_id, target)
            self._defer(request_id, target, method_name, deadline, stale_partial)
        plan = WaitPlan(
            poll_interval=self.poll_interval,
            deadline=deadline,
            max_unknown_time=self.max_unknown_time,
            stale_partial=stale_partial,
        )
        return conclude(self.hook.run(wait(self.api, request_id, target, plan)), request_id, target)

    def waited(self, event: Any, request_id: str, target: str) -> Snapshot:
        """The end of a deferred wait."""
        from airflow_sentinelhub.api.endings import conclude
        from airflow_sentinelhub.triggers.events import read_event

        return conclude(read_event(event, request_id), request_id, target)

    def _defer(
        self, request_id: str, target: str, method_name: str, deadline: float | None, stale_partial: float
    ) -> None:
        from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger

        trigger = SentinelHubBatchTrigger(
            sentinelhub_conn_id=self.sentinelhub_conn_id,
            batch_api=self.api.name,
            request_id=request_id,
            target_status=target,
            poll_interval=self.poll_interval,
            deadline=deadline,
            max_unknown_time=self.max_unknown_time,
            stale_partial=stale_partial,
        )
        self.defer(  # type: ignore[attr-defined]
            trigger=trigger,
            method_name=method_name,
            timeout=backstop(deadline),
        )
