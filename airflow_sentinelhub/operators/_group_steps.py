"""Operators for steps of `sentinelhub_batch()` that must not do everything that their base operators do."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowSkipException, approval_operator
from airflow_sentinelhub._task import checked_id
from airflow_sentinelhub.api.decide.adoption import stopped_by_service
from airflow_sentinelhub.api.decide.verdict import fate
from airflow_sentinelhub.api.flows.run_job import Woken
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import JobNotStartedError
from airflow_sentinelhub.operators.job import SentinelHubBatchOperator
from airflow_sentinelhub.operators.steps import (
    BudgetResult,
    SentinelHubBatchBudgetOperator,
    SentinelHubStartBatchOperator,
)

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context


class BudgetStep(SentinelHubBatchBudgetOperator):
    """`budget`: takes `stop`, which the whole job knows, for `skip`. Nothing runs yet that could be stopped."""

    custom_operator_name = SentinelHubBatchBudgetOperator.__name__

    def __init__(self, *, on_over_budget: str = "fail", **kwargs: Any) -> None:
        super().__init__(on_over_budget=_softly(on_over_budget), **kwargs)

    def execute(self, context: Context) -> BudgetResult:
        self.on_over_budget = _softly(self.on_over_budget)
        return super().execute(context)


def _softly(policy: str) -> str:
    return "skip" if policy == "stop" else policy


@cache
def approve_step() -> Any:
    """The class of `approve`; None where Airflow has no step that asks a person.

    Airflow's own marks the task after it as skipped, which does not work in a mapped task group: there the refused job
    was started (seen on 3.3). This one is skipped itself when it is refused, so `start` is by its trigger rule.
    """
    asking = approval_operator()
    if asking is None:
        return None

    class ApproveStep(asking):  # type: ignore[misc,valid-type]
        custom_operator_name = asking.__name__

        def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
            chosen = event.get("chosen_options")
            if chosen and list(chosen) != [self.APPROVE]:
                who = (event.get("responded_by_user") or {}).get("name") or "Somebody"
                raise AirflowSkipException(f"{self.subject} {who} has refused: it is not started and bills nothing.")
            return super().execute_complete(context, event)

    return ApproveStep


class StartStep(SentinelHubStartBatchOperator):
    """`start`: goes on with what the service has stopped, if it may, and never with what a person has."""

    custom_operator_name = SentinelHubStartBatchOperator.__name__

    def _may_resume(self, job: Snapshot) -> bool:
        return super()._may_resume(job) and stopped_by_service(job)


class FinishStep(SentinelHubBatchOperator):
    """`finish`: waits, restarts what has failed, judges. It never starts the request that it was given."""

    custom_operator_name = SentinelHubBatchOperator.__name__

    def _run_job(self, context: Any, woken: Woken | None = None, *, may_start: bool = False) -> dict[str, Any]:
        """It starts only the request that does the failed part anew (v2), which this step has made itself."""
        try:
            return super()._run_job(context, woken, may_start=may_start)
        except JobNotStartedError as err:
            job = err.snapshot
            if job is None or job.request_id != checked_id(self.request_id):
                raise
            start = f"{self.task_id.removesuffix('finish')}start"
            raise JobNotStartedError(
                f"Batch request {job.request_id} is {job.status} and nobody has started it. {fate(job)} This step "
                f"waits for the end of a started request and never starts one: clear {start}, which starts it once, "
                "together with this task.",
                request_id=job.request_id,
                snapshot=job,
            ) from None
