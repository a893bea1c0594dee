"""`SentinelHubBatchBudgetOperator`: look at what an analysed request will cost before it is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowSkipException
from airflow_sentinelhub._task import airflow_errors, checked_id
from airflow_sentinelhub.api.decide.policy import check_literals, limits_given
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._requests import OnRequest

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context


class SentinelHubBatchBudgetOperator(OnRequest):
    """Compare what an analysed request will probably cost with what it may cost. Nothing is started or billed.

    - **Calls** the request.
    - **Returns** `{"request_id", "estimated_pu", "expected_pu", "max_processing_units"}`; a third of the service's
      estimate, the expected cost, is compared. v2 does not estimate: both are None and the step passes. v1 does: a
      request without an estimate is an error, since nothing could be compared.
    - **On kill**, **on timeout** and **on retry** nothing happens to the request: it only reads.

    :param request_id: the request, analysed.
    :param max_processing_units: PU that it may cost; None in the DAG for no limit; a template that
        renders to nothing is refused.
    :param on_over_budget: `fail` or `skip` (the steps downstream are skipped too).
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, "max_processing_units", "on_over_budget")

    def __init__(
        self, *, max_processing_units: float | str | None, on_over_budget: str = "fail", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_processing_units = max_processing_units
        self.on_over_budget = on_over_budget
        self._given = limits_given(max_processing_units=max_processing_units)
        check_literals(max_processing_units=max_processing_units, on_over_budget=_known(on_over_budget))

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_sentinelhub.api.decide.errors import not_estimated_error, over_budget_error
        from airflow_sentinelhub.api.decide.policy import policy_from, refuse_nothing
        from airflow_sentinelhub.api.flows.read import read_patiently

        with airflow_errors(self):
            refuse_nothing(self._given, max_processing_units=self.max_processing_units)
            policy = policy_from(
                max_processing_units=self.max_processing_units, on_over_budget=_known(self.on_over_budget)
            )
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            job = self.patiently(lambda: read_patiently(self.api, request_id), request_id)
            limit = policy.max_processing_units
            if limit is not None and self.api.estimates and job.estimate is None:
                raise not_estimated_error(job, limit)
            if not policy.allows(job.expected_cost):
                error = over_budget_error(job, limit or 0)
                if policy.on_over_budget == "skip":
                    raise AirflowSkipException(str(error)) from None
                raise error
            expected = "not estimated" if job.expected_cost is None else f"about {job.expected_cost:,.0f} PU"
            self.log.info("Batch request %s: %s, %s PU allowed", request_id, expected, limit)
            return {
                "request_id": request_id,
                "estimated_pu": job.estimate,
                "expected_pu": job.expected_cost,
                "max_processing_units": limit,
            }


def _known(policy: str) -> str:
    """A policy that this step can carry out: nothing runs yet that could be stopped."""
    if policy == "stop":
        raise InvalidInputError("on_over_budget must be one of fail, skip, not 'stop': nothing has been started yet.")
    return policy
