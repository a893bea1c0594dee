"""Operators for the single steps of a batch job on a request that exists: analyse, budget, start, restart, cancel.

Every one answers the same five questions: what it calls, what it returns, what happens on kill, on timeout, on retry.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._identity import mark_for
from airflow_sentinelhub._task import airflow_errors, checked_id, default_deferrable
from airflow_sentinelhub.api.decide.errors import (
    conclude,
    not_estimated_error,
    over_budget_error,
    skipped_if,
)
from airflow_sentinelhub.api.decide.marker import restart_word
from airflow_sentinelhub.api.decide.policy import (
    check_literals,
    check_resume,
    limits_given,
    policy_from,
    refuse_nothing,
)
from airflow_sentinelhub.api.decide.verdict import Waited, is_lost, is_stopped, judge, progress_line
from airflow_sentinelhub.api.flows.actions import analyse_once, end, resume, start_once
from airflow_sentinelhub.api.flows.read import read_patiently
from airflow_sentinelhub.api.flows.restart import STALE_PARTIAL, restart_once
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._arguments import check_patience, check_times
from airflow_sentinelhub.operators._on_request import OnRequest, StepResult, step_result
from airflow_sentinelhub.operators._waiting import WaitingTask

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context


class AnalysisResult(StepResult):
    """What an analysis has found.

    :param tile_count: number of tiles; None on v2, which does not say it.
    :param estimated_pu: the service's number without the batch factor; :param expected_pu: a third of it, what the job
        will probably cost (PU). Both None on v2, which does not estimate.
    """

    tile_count: int | None
    estimated_pu: float | None
    expected_pu: float | None


class BudgetResult(StepResult):
    """What a job will probably cost, and may cost.

    :param estimated_pu, expected_pu: see `AnalysisResult`. :param max_processing_units: PU that it may cost.
    """

    estimated_pu: float | None
    expected_pu: float | None
    max_processing_units: float | None


class SentinelHubAnalyseBatchOperator(WaitingTask, OnRequest):
    """Have a request analysed and wait until that is done. Free of charge; errors in the evalscript show here.

    - **Calls** the request, analyse (unless it has been asked for), then the request at each poll.
    - **Returns** an `AnalysisResult`.
    - **On kill** the analysis goes on at the service and costs nothing.
    - **On timeout** the task fails; the request stays as it is and costs nothing.
    - **On retry** it looks first, and goes on waiting.

    :param request_id: the request, as an id or as what another step returns.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls.
    :param timeout: how long to wait, as timedelta or seconds; None for as long as it takes.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the request runs on).
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    """

    def __init__(
        self,
        *,
        request_id: str,
        deferrable: bool | None = None,
        poll_interval: float = 10.0,
        timeout: timedelta | float | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        check_times(self)

    def execute(self, context: Context) -> AnalysisResult:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            self.hook.run(analyse_once(self.api, request_id, patience=self.max_unknown_time))
            return self._result(self.wait_for(context, request_id, "ANALYSIS_DONE"))

    def execute_complete(self, context: Context, event: Any = None) -> AnalysisResult:
        """Called when the trigger has fired."""
        with airflow_errors(self):
            return self._result(self.waited(event, checked_id(self.request_id), "ANALYSIS_DONE"))

    def _result(self, job: Snapshot) -> AnalysisResult:
        self.log.info("Analysis: %s", progress_line(job))
        return {
            **step_result(job),
            "tile_count": job.tile_count,
            "estimated_pu": job.estimate,
            "expected_pu": job.expected_cost,
        }


class SentinelHubBatchBudgetOperator(OnRequest):
    """Compare what an analysed request will probably cost with what it may cost. Nothing is started or billed.

    - **Calls** the request.
    - **Returns** a `BudgetResult`; a third of the service's estimate, the expected cost, is compared. v2 does not
      estimate: the step passes. v1 does: a request without an estimate is an error, since nothing could be compared.
    - **On kill**, **on timeout** and **on retry** nothing happens to the request: it only reads.

    :param request_id: the request, analysed, as an id or as what another step returns.
    :param max_processing_units: PU that it may cost; None in the DAG for no limit; a template that renders to nothing
        is refused.
    :param on_over_budget: `fail` or `skip` (the steps downstream are skipped too).
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, "max_processing_units", "on_over_budget")

    def __init__(
        self,
        *,
        request_id: str,
        max_processing_units: float | str | None,
        on_over_budget: str = "fail",
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.max_processing_units = max_processing_units
        self.on_over_budget = on_over_budget
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self._given = limits_given(max_processing_units=max_processing_units)
        check_literals(max_processing_units=max_processing_units, on_over_budget=_known(on_over_budget))
        check_patience(self)

    def execute(self, context: Context) -> BudgetResult:
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
                raise skipped_if(policy.on_over_budget == "skip", over_budget_error(job, limit or 0))
            expected = "not estimated" if job.expected_cost is None else f"about {job.expected_cost:,.0f} PU"
            self.log.info("Batch request %s: %s, %s PU allowed", request_id, expected, limit)
            return {
                **step_result(job),
                "estimated_pu": job.estimate,
                "expected_pu": job.expected_cost,
                "max_processing_units": limit,
            }


def _known(policy: str) -> str:
    """A policy that this step can carry out: nothing runs yet that could be stopped."""
    if policy == "stop":
        raise InvalidInputError("on_over_budget must be one of fail, skip, not 'stop': nothing has been started yet.")
    return policy


class _AwaitsDone(WaitingTask, OnRequest):
    """A step that may wait for the end of its request."""

    def execute_complete(self, context: Context, event: Any = None) -> StepResult:
        """Called when the trigger has fired."""
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.responsible_for(request_id, context)
            return self._done(self.waited(event, request_id, "DONE"))

    def _done(self, job: Snapshot) -> StepResult:
        self.log.info("Finished: %s", progress_line(job))
        return step_result(job)


class SentinelHubStartBatchOperator(_AwaitsDone):
    """Start a request exactly once, and wait for its end if asked to. **This bills.**

    - **Calls** the request, start (only if nobody has started it), then, with `wait_for_completion`, the request at
      each poll.
    - **Returns** a `StepResult`.
    - **On kill** it finds out why. A user's hand (marked failed or success, the run marked failed): the request is
      cancelled, if it waits for the end and `cancel_on_kill` is on. Anything else (a clear, a restart of Airflow): it
      runs on, and the next try attaches to it.
    - **On timeout** the request is cancelled if `cancel_on_timeout`, and the task fails.
    - **On retry** it reads status and user action first and never starts twice. A lost reply is looked up.

    A request that has failed or was cancelled cannot be started. One that was stopped (v2) can be started again, by
    choice; for 30 minutes after a user's stop the service refuses that.

    :param request_id: the request, as an id or as what another step returns.
    :param resume_stopped: `never`: a STOPPED request is an error; `if_accepted`: start it again, and fail if the
        service refuses; `when_accepted`: start it again, and wait in this worker while the service refuses.
    :param wait_for_completion: wait until the request is DONE. The two below count only then.
    :param cancel_on_kill: cancel the request when the task is wanted no more: marked failed or success by a user.
    :param cancel_on_timeout: cancel it when the time is over.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls.
    :param timeout: how long to wait, as timedelta or seconds; None for as long as it takes.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the request runs on).
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    """

    def __init__(
        self,
        *,
        request_id: str,
        resume_stopped: str = "never",
        wait_for_completion: bool = False,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 60.0,
        timeout: timedelta | float | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.resume_stopped = resume_stopped
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        check_resume(resume_stopped)
        check_times(self)

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            if self.wait_for_completion:
                self.responsible_for(request_id, context)
            job = self.hook.run(start_once(self.api, request_id, patience=self.max_unknown_time))
            if self.resume_stopped != "never" and self._may_resume(job):
                job = self.hook.run(resume(self.api, request_id, patient=self.resume_stopped == "when_accepted"))
            if is_lost(job):
                conclude(Waited(judge(job, "DONE"), job), request_id, "started")
            self.log.info("Batch request %s is started (%s, action %s)", request_id, job.status, job.user_action)
            if self.wait_for_completion:
                return self._done(self.wait_for(context, request_id, "DONE"))
            return step_result(job)

    def _may_resume(self, job: Snapshot) -> bool:
        """Whether this is a request that `resume_stopped` is about."""
        return is_stopped(job)


class SentinelHubRestartBatchOperator(_AwaitsDone):
    """Process the failed tiles of a PARTIAL request again (v1). **This bills** the tiles that are processed again.

    - **Calls** the request, update and restartpartial (only if it is PARTIAL), then, with `wait_for_completion`, the
      request at each poll.
    - **Returns** a `StepResult`.
    - **On kill** and **on timeout** as with `SentinelHubStartBatchOperator`.
    - **On retry** it goes on with the restart that an earlier try has asked for, however that ended: one task restarts
      once, and a word in the request's description says so. Clear the task to restart what failed once more.

    A request that became DONE by itself meanwhile is success. One that is neither PARTIAL nor DONE nor PROCESSING has
    nothing to restart, which is an error. v2 has no restart: create a new request over the same output with
    `skip_existing`.

    :param request_id: the request, as an id or as what another step returns.
    :param wait_for_completion: wait until the request is DONE. The two below count only then.
    :param cancel_on_kill: cancel the request when the task is wanted no more: marked failed or success by a user.
    :param cancel_on_timeout: cancel it when the time is over.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls.
    :param timeout: how long to wait, as timedelta or seconds; None for as long as it takes.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the request runs on).
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    """

    def __init__(
        self,
        *,
        request_id: str,
        wait_for_completion: bool = False,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 60.0,
        timeout: timedelta | float | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        check_times(self)

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.about = request_id
            if self.api.restart is None:
                raise InvalidInputError(
                    f"Batch {self.api.name} cannot restart the failed part of {request_id}; create a new request over "
                    "the same output with skip_existing=True."
                )
            self.announce(context, request_id)
            if self.wait_for_completion:
                self.responsible_for(request_id, context)
            word = restart_word(mark_for(context))
            job = self.hook.run(restart_once(self.api, request_id, word, patience=self.max_unknown_time))
            self.log.info("Batch request %s: restart of the failed part, status %s", request_id, job.status)
            if self.wait_for_completion:
                return self._done(self.wait_for(context, request_id, "DONE", stale_partial=STALE_PARTIAL))
            return step_result(job)


class SentinelHubCancelBatchOperator(OnRequest):
    """Cancel (v1) or stop (v2) a request and wait until that has taken effect.

    - **Calls** the request, cancel or stop (again and again while v2 refuses it, straight after a start), then the
      request until it has ended.
    - **Returns** a `StepResult` with the status it ended in; a request that had ended before is left as it is.
    - **On kill** the request may be on its way to its end or not; run the task again.
    - **On timeout** (`execution_timeout`) the same.
    - **On retry** it looks first.

    Tiles that are finished or at work are billed.

    :param request_id: the request, as an id or as what another step returns.
    :param poll_interval: seconds between looks.
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    def __init__(
        self,
        *,
        request_id: str,
        poll_interval: float = 5.0,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.poll_interval = poll_interval
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        check_patience(self)

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            job = self.patiently(lambda: end(self.api, request_id, poll_interval=self.poll_interval), request_id)
            self.log.info("Batch request %s is %s", request_id, job.status)
            return step_result(job)
