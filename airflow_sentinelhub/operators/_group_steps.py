"""Operators for the steps of `sentinelhub_batch()` that must behave differently from their base operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from airflow_sentinelhub._compat import AirflowSkipException, Context, approval_operator
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Templated
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.adoption import stopped_by_service
from airflow_sentinelhub.api.decide.policy import policy_from
from airflow_sentinelhub.api.decide.verdict import fate
from airflow_sentinelhub.api.flows.job_life import Woken
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import JobNotStartedError
from airflow_sentinelhub.operators._costs import rendered_limits
from airflow_sentinelhub.operators._on_request import StepResult
from airflow_sentinelhub.operators.analysis import BudgetResult, SentinelHubBatchBudgetOperator
from airflow_sentinelhub.operators.create import SentinelHubCreateBatchOperator
from airflow_sentinelhub.operators.job import SentinelHubBatchOperator
from airflow_sentinelhub.operators.steps import SentinelHubStartBatchOperator


class CreateStep(SentinelHubCreateBatchOperator):
    """`create`: creates nothing for a job with limits that a later step would refuse, after the job was paid."""

    custom_operator_name = SentinelHubCreateBatchOperator.__name__
    limits = SentinelHubBatchOperator.limits
    template_fields: Sequence[str] = (*SentinelHubCreateBatchOperator.template_fields, *limits, "check_tiles")

    def __init__(
        self,
        *,
        max_processing_units: Templated[float] | None = None,
        max_processing_units_per_month: Templated[float] | None = None,
        on_over_budget: Templated[Literal["fail", "skip", "stop"]] = "fail",
        require_estimate: Templated[bool] = False,
        max_restarts: Templated[int] = 0,
        max_failed_tiles: Templated[int] | None = None,
        min_success_ratio: Templated[float] | None = None,
        on_partial: Templated[Literal["fail", "skip", "accept"]] = "fail",
        check_tiles: Templated[bool] = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_processing_units = max_processing_units
        self.max_processing_units_per_month = max_processing_units_per_month
        self.on_over_budget = on_over_budget
        self.require_estimate = require_estimate
        self.max_restarts = max_restarts
        self.max_failed_tiles = max_failed_tiles
        self.min_success_ratio = min_success_ratio
        self.on_partial = on_partial
        self.check_tiles = check_tiles
        self.check_arguments()

    def execute(self, context: Context) -> StepResult:
        return super().execute(context)

    def checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """Check the limits of the job, then its payload."""
        limits = all_taken(rendered_limits(self, (*self.limits, "check_tiles")), self._in_dag)
        policy_from(**limits).check_restarts(api.restart is not None)
        yield from super().checks(api, payload)


class BudgetStep(SentinelHubBatchBudgetOperator):
    """`budget`: treats `on_over_budget="stop"`, which the group accepts, as `skip`: no job is running yet."""

    custom_operator_name = SentinelHubBatchBudgetOperator.__name__

    def __init__(self, *, on_over_budget: Templated[Literal["fail", "skip", "stop"]] = "fail", **kwargs: Any) -> None:
        super().__init__(on_over_budget=_skip_for_stop(on_over_budget), **kwargs)

    def execute(self, context: Context) -> BudgetResult:
        self.on_over_budget = _skip_for_stop(self.on_over_budget)
        return super().execute(context)


def _skip_for_stop(policy: Any) -> Any:
    return "skip" if policy == "stop" else policy


@cache
def approve_step() -> Any:
    """The class of `approve`; None if this Airflow has no `ApprovalOperator` (before 3.1).

    Airflow's own operator marks the tasks after it as skipped, which does not work in a mapped task group: a refused
    job was started there (seen on 3.3). `ApproveStep` skips itself if the user refuses; then the trigger rule of
    `start` skips `start` as well.
    """
    operator = approval_operator()
    if operator is None:
        return None

    class ApproveStep(operator):  # type: ignore[misc,valid-type]
        custom_operator_name = operator.__name__

        def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
            options = event.get("chosen_options")
            if options and list(options) != [self.APPROVE]:
                user = (event.get("responded_by_user") or {}).get("name") or "Somebody"
                raise AirflowSkipException(f"{self.subject} {user} has refused: it is not started and bills nothing.")
            return super().execute_complete(context, event)

    return ApproveStep


class StartStep(SentinelHubStartBatchOperator):
    """`start`: resumes only requests that the service has stopped by itself, never those that a user has stopped.

    It treats `on_over_budget="stop"` as `skip`, as `budget` does.
    """

    custom_operator_name = SentinelHubStartBatchOperator.__name__

    def __init__(self, *, on_over_budget: Templated[Literal["fail", "skip", "stop"]] = "fail", **kwargs: Any) -> None:
        super().__init__(on_over_budget=_skip_for_stop(on_over_budget), **kwargs)

    def execute(self, context: Context) -> StepResult:
        self.on_over_budget = _skip_for_stop(self.on_over_budget)
        return super().execute(context)

    def _may_resume(self, job: Snapshot) -> bool:
        return super()._may_resume(job) and stopped_by_service(job)


class FinishStep(SentinelHubBatchOperator):
    """`finish`: waits, restarts the failed part, and judges the results. It never starts the request of the group."""

    custom_operator_name = SentinelHubBatchOperator.__name__

    def _run_job(self, context: Any, woken: Woken | None = None, *, may_start: bool = False) -> dict[str, Any]:
        """Run the job, but start only the request that this step creates to process the failed part again (v2)."""
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
