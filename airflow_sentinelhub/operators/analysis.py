"""Operators for the steps before anything is billed: analyse a request, and compare its expected cost with the budget.

The docstring of each operator describes what it calls, what it returns, and what happens on kill, timeout and retry.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from airflow_sentinelhub._compat import Context
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.decide.errors import (
    not_estimated_error,
    over_budget_error,
    skipped_if,
)
from airflow_sentinelhub.api.decide.policy import (
    check_literals,
    policy_from,
)
from airflow_sentinelhub.api.decide.price import Expected, may_exceed, number_of
from airflow_sentinelhub.api.decide.verdict import progress_line
from airflow_sentinelhub.api.flows.actions import analyse_once
from airflow_sentinelhub.api.flows.price import price_request
from airflow_sentinelhub.api.flows.read import read_patiently
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._costs import cost_reader, push_price
from airflow_sentinelhub.operators._lineage import TellsLineage
from airflow_sentinelhub.operators._on_request import OnRequest, StepResult, step_result
from airflow_sentinelhub.operators._waiting import WaitingTask


class AnalysisResult(StepResult, Expected):
    """The result of an analysis, with the expected cost.

    :param tile_count: number of tiles; on v2 by the feature manifest in the bucket. None if it is not known.
    :param estimated_pu: the service's estimate (PU), which lacks the batch factor; None on v2, which gives none.
    """

    tile_count: int | None
    estimated_pu: float | None


class BudgetResult(StepResult, Expected):
    """The expected and the allowed cost of a job.

    :param estimated_pu: see `AnalysisResult`.
    :param max_processing_units: PU that the job may cost.
    """

    estimated_pu: float | None
    max_processing_units: float | None


class SentinelHubAnalyseBatchOperator(TellsLineage, WaitingTask, OnRequest):
    """Have a request analysed, and wait for the end of the analysis. Free of charge; it finds errors in the evalscript.

    - **Calls** the request, analyse (unless the analysis was requested before), then the request at each poll. At the
      end it estimates the cost, for which it reads the request once more and, on v2, the feature manifest.
    - **Returns** an `AnalysisResult`.
    - **On kill** the analysis continues at the service and costs nothing.
    - **On timeout** the task fails; the request is left as it is and costs nothing.
    - **On retry** it reads the request first, and continues to wait if the analysis was requested.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket, for the estimate on v2. If
        the bucket cannot be read, the expected cost is None, and the log says why.
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param poll_interval: seconds between polls.
    :param max_poll_interval: seconds that `poll_interval` may grow to, to a tenth of the time that the analysis has
        taken so far. None: it does not grow.
    :param timeout: maximal time to wait: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`, which all
        intervals and times may be; None: no limit.
    :param max_unknown_time: seconds for which the status may be unreadable before the task fails; the request is left
        running.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    """

    template_fields: Sequence[str] = (
        *OnRequest.template_fields,
        "aws_conn_id",
        "deferrable",
        "poll_interval",
        "max_poll_interval",
        "timeout",
    )

    def __init__(
        self,
        *,
        request_id: Templated[str],
        aws_conn_id: Templated[str] | None = None,
        deferrable: Templated[bool] | None = None,
        poll_interval: Templated[float | timedelta] = 10.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.aws_conn_id = aws_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self.check_arguments()

    def execute(self, context: Context) -> AnalysisResult:
        with airflow_errors(self):
            self.take_arguments()
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            self.reach(analyse_once(self.api, request_id, patience=self.max_unknown_time))
            return self._result(context, self.wait_for(context, request_id, "ANALYSIS_DONE"))

    def execute_complete(self, context: Context, event: Any = None) -> AnalysisResult:
        """Airflow calls this after the trigger's event."""
        with airflow_errors(self):
            self.take_arguments()
            return self._result(context, self.waited(event, checked_id(self.request_id), "ANALYSIS_DONE"))

    def _result(self, context: Context, job: Snapshot) -> AnalysisResult:
        self.log.info("Analysis: %s", progress_line(job))
        price = self.hook.run(price_request(self.api, job, cost_reader(self).prepared))
        push_price(context, price)
        return {
            **step_result(job),
            "tile_count": job.tile_count or number_of(price),
            "estimated_pu": job.estimate,
            **price.as_result(),
        }


class SentinelHubBatchBudgetOperator(OnRequest):
    """Compare the expected cost of an analysed request with the limit. Nothing is started or billed.

    - **Calls** the request, and reads the feature manifest of a v2 request.
    - **Returns** a `BudgetResult`. On v1 it compares a third of the service's estimate; a request without one is an
      error. On v2, which gives none, it compares the low value of our own, and warns if only the high value exceeds the
      limit. If that cannot be made, because the bucket cannot be read, the step succeeds with a warning, or fails with
      `require_estimate`.
    - **On kill** and **on timeout** (`execution_timeout`) the request is left as it is: the operator only reads.
    - **On retry** it reads again.

    :param request_id: id of the analysed request, or the result of another step (such as `create.output`).
    :param max_processing_units: PU that the job may cost; None, set in the DAG itself: no limit. A template that
        renders to nothing is an error.
    :param on_over_budget: what happens if the expected cost exceeds the limit: `fail` the task, or `skip` it, which
        also skips the tasks downstream.
    :param require_estimate: True: fail if the cost cannot be estimated.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket, for the estimate on v2.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (
        *OnRequest.template_fields,
        "max_processing_units",
        "on_over_budget",
        "require_estimate",
        "aws_conn_id",
    )
    limits = ("max_processing_units", "on_over_budget", "require_estimate")

    def __init__(
        self,
        *,
        request_id: Templated[str],
        max_processing_units: Templated[float] | None,
        on_over_budget: Templated[Literal["fail", "skip"]] = "fail",
        require_estimate: Templated[bool] = False,
        aws_conn_id: Templated[str] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.max_processing_units = max_processing_units
        self.on_over_budget = on_over_budget
        self.require_estimate = require_estimate
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        with self.literals():
            check_literals(max_processing_units=max_processing_units, on_over_budget=checked_policy(on_over_budget))

    def execute(self, context: Context) -> BudgetResult:
        with airflow_errors(self):
            self.take_arguments()
            limits = all_taken({name: getattr(self, name) for name in self.limits}, self._in_dag)
            policy = policy_from(**{**limits, "on_over_budget": checked_policy(limits["on_over_budget"])})
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            job = self.patiently(lambda: read_patiently(self.api, request_id), request_id)
            limit = policy.max_processing_units
            if limit is not None and self.api.estimates and job.estimate is None:
                raise not_estimated_error(job, limit)
            price = self.hook.run(price_request(self.api, job, cost_reader(self).prepared))
            push_price(context, price)
            if not price.known and policy.require_estimate:
                raise not_estimated_error(job, limit or 0, price.why)
            if not policy.allows(price.low):
                error = over_budget_error(job, limit or 0, price=price, policy=policy.on_over_budget)
                raise skipped_if(policy.on_over_budget == "skip", error)
            self.log.info("Batch request %s: %s, %s PU allowed", request_id, price, limit)
            if may_exceed(price, limit):
                self.log.warning("Batch request %s may cost more than allowed; it is stopped then", request_id)
            return {
                **step_result(job),
                "estimated_pu": job.estimate,
                **price.as_result(),
                "max_processing_units": limit,
            }


def checked_policy(policy: Any) -> Any:
    """The value of `on_over_budget`.

    :raises InvalidInputError: it is `stop`, which is not possible here: no job is running yet.
    """
    if policy == "stop":
        raise InvalidInputError("on_over_budget must be one of fail, skip, not 'stop': nothing has been started yet.")
    return policy
