"""Operators for the steps that act on an analysed request: start, restart, cancel.

The docstring of each operator describes what it calls, what it returns, and what happens on kill, timeout and retry.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from airflow_sentinelhub._compat import Context
from airflow_sentinelhub._identity import PER_MONTH, mark_for
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered, TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.decide.errors import (
    conclude,
)
from airflow_sentinelhub.api.decide.marker import restart_word
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.policy import (
    Policy,
    check_literals,
    check_resume,
    policy_from,
)
from airflow_sentinelhub.api.decide.verdict import Waited, is_lost, is_stopped, judge, progress_line
from airflow_sentinelhub.api.flows.actions import end, resume, start_once
from airflow_sentinelhub.api.flows.costs import check_month
from airflow_sentinelhub.api.flows.restart import STALE_PARTIAL, restart_once
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._costs import cost_reader, of_dag, rendered_limits
from airflow_sentinelhub.operators._lineage import TellsLineage
from airflow_sentinelhub.operators._on_request import OnRequest, StepResult, step_result
from airflow_sentinelhub.operators._waiting import WaitingTask
from airflow_sentinelhub.operators.analysis import checked_policy

_FIELDS_OF_A_WAIT = (
    "wait_for_completion",
    "cancel_on_kill",
    "cancel_on_timeout",
    "deferrable",
    "poll_interval",
    "max_poll_interval",
    "timeout",
)


class _AwaitsDone(TellsLineage, WaitingTask, OnRequest):
    """Base of the steps that can wait until their request is DONE."""

    wait_for_completion: Rendered[bool]

    def execute_complete(self, context: Context, event: Any = None) -> StepResult:
        """Airflow calls this after the trigger's event."""
        with airflow_errors(self):
            self.take_arguments()
            request_id = checked_id(self.request_id)
            self.responsible_for(request_id, context)
            return self._done(self.waited(event, request_id, "DONE"))

    def _done(self, job: Snapshot) -> StepResult:
        self.log.info("Finished: %s", progress_line(job))
        return step_result(job)


class SentinelHubStartBatchOperator(_AwaitsDone):
    """Start a request exactly once and, with `wait_for_completion`, wait for its end. **This bills.**

    - **Calls** the request, start (only if it was not started before), then, with `wait_for_completion`, the request at
      each poll.
    - **Returns** a `StepResult`.
    - **On kill** the state of the task in Airflow decides. If a user has marked the task failed or success, or the run
      failed, the request is cancelled (v2: stopped), if `wait_for_completion` and `cancel_on_kill` are on. Otherwise
      (a clear, a restart of Airflow) it is left running, and the next try attaches to it.
    - **On timeout** the request is cancelled (v2: stopped), if `cancel_on_timeout`, and the task fails.
    - **On retry** it reads the status and the user action first, and never starts the request twice. If the reply to a
      start was lost, it reads the request to find out whether the start was accepted.

    A request that has failed or was cancelled cannot be started. A stopped one (v2) can be started again with
    `resume_stopped`; the service refuses that for 30 minutes after a user has stopped it.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param resume_stopped: what happens if the request is STOPPED (v2). `never`: the task fails. `if_accepted`: start it
        again; fail if the service refuses. `when_accepted`: start it again; wait in the worker while the service
        refuses.
    :param max_processing_units_per_month: PU that all jobs of the DAG may cost in a calendar month (UTC), see
        `SentinelHubBatchOperator`. It is looked at before the start.
    :param on_over_budget: what happens if the job would exceed it: `fail` the task, or `skip` it, which also skips the
        tasks downstream.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket, for the estimate on v2 under
        such a budget.
    :param wait_for_completion: wait until the request is DONE. `cancel_on_kill` and `cancel_on_timeout` apply only with
        it.
    :param cancel_on_kill: cancel (v2: stop) the request if a user marks the task failed or success.
    :param cancel_on_timeout: cancel (v2: stop) the request when `timeout` or `execution_timeout` is over.
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param poll_interval: seconds between polls.
    :param max_poll_interval: seconds that `poll_interval` may grow to while the end of the job is far: to a tenth of
        the time since the status has changed, and a quarter of the time that seems to be left. None: it does not grow.
    :param timeout: maximal time to wait: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`, which all
        intervals and times may be; None: no limit.
    :param max_unknown_time: seconds for which the status may be unreadable before the task fails; the request is left
        running.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    """

    template_fields: Sequence[str] = (
        *OnRequest.template_fields,
        "resume_stopped",
        "max_processing_units_per_month",
        "on_over_budget",
        "aws_conn_id",
        *_FIELDS_OF_A_WAIT,
    )
    resume_stopped: Rendered[str]
    limits = ("max_processing_units_per_month", "on_over_budget")

    def __init__(
        self,
        *,
        request_id: Templated[str],
        resume_stopped: Templated[Literal["never", "if_accepted", "when_accepted"]] = "never",
        max_processing_units_per_month: Templated[float] | None = None,
        on_over_budget: Templated[Literal["fail", "skip"]] = "fail",
        aws_conn_id: Templated[str] | None = None,
        wait_for_completion: Templated[bool] = False,
        cancel_on_kill: Templated[bool] = True,
        cancel_on_timeout: Templated[bool] = True,
        deferrable: Templated[bool] | None = None,
        poll_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.resume_stopped = resume_stopped
        self.max_processing_units_per_month = max_processing_units_per_month
        self.on_over_budget = on_over_budget
        self.aws_conn_id = aws_conn_id
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        with self.literals():
            check_resume(self.resume_stopped)
            if not is_late(on_over_budget):
                checked_policy(on_over_budget)
            check_literals(max_processing_units_per_month=max_processing_units_per_month)

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            self.take_arguments()
            check_most(self.poll_interval, self.max_poll_interval)  # before anything is started
            check_resume(self.resume_stopped)
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            policy = self._policy()
            if policy.max_per_month is not None:
                dag, prepare = of_dag(self, context), cost_reader(self).prepared
                self.reach(check_month(dag, self.api, request_id, policy, prepare, self.max_unknown_time))
            if self.wait_for_completion:
                self.responsible_for(request_id, context)
            job = self.reach(start_once(self.api, request_id, patience=self.max_unknown_time))
            if self.resume_stopped != "never" and self._may_resume(job):
                job = self.hook.run(resume(self.api, request_id, patient=self.resume_stopped == "when_accepted"))
            if is_lost(job):
                conclude(Waited(judge(job, "DONE"), job), request_id, "started")
            self.known = job
            self.log.info("Batch request %s is started (%s, action %s)", request_id, job.status, job.user_action)
            if self.wait_for_completion:
                return self._done(self.wait_for(context, request_id, "DONE"))
            return step_result(job)

    def _policy(self) -> Policy:
        """The budget of the month, as it is rendered now, or by Airflow's configuration."""
        limits = all_taken(rendered_limits(self, self.limits), self._in_dag)
        policy = checked_policy(limits["on_over_budget"])
        return policy_from(**{**limits, "on_over_budget": "fail" if limits[PER_MONTH] is None else policy})

    def _may_resume(self, job: Snapshot) -> bool:
        """Whether `resume_stopped` applies to this request."""
        return is_stopped(job)


class SentinelHubRestartBatchOperator(_AwaitsDone):
    """Process the failed tiles of a PARTIAL request again (v1). **This bills** the tiles that are processed again.

    - **Calls** the request, update and restartpartial (only if it is PARTIAL), then, with `wait_for_completion`, the
      request at each poll.
    - **Returns** a `StepResult`.
    - **On kill** and **on timeout**: as with `SentinelHubStartBatchOperator`.
    - **On retry** it continues with the restart of an earlier try, however that restart has ended: a task restarts the
      request once, and writes a word into the description of the request to remember it. To restart the failed tiles
      once more, clear the task.

    If the request has become DONE by itself, the task succeeds. If it is neither PARTIAL nor DONE nor PROCESSING, the
    task fails, because there is nothing to restart. v2 has no restart: create a new request over the same output with
    `skip_existing`.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param wait_for_completion: wait until the request is DONE. `cancel_on_kill` and `cancel_on_timeout` apply only with
        it.
    :param cancel_on_kill: cancel (v2: stop) the request if a user marks the task failed or success.
    :param cancel_on_timeout: cancel (v2: stop) the request when `timeout` or `execution_timeout` is over.
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param poll_interval: seconds between polls.
    :param max_poll_interval: seconds that `poll_interval` may grow to while the end of the job is far: to a tenth of
        the time since the status has changed, and a quarter of the time that seems to be left. None: it does not grow.
    :param timeout: maximal time to wait: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`, which all
        intervals and times may be; None: no limit.
    :param max_unknown_time: seconds for which the status may be unreadable before the task fails; the request is left
        running.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, *_FIELDS_OF_A_WAIT)

    def __init__(
        self,
        *,
        request_id: Templated[str],
        wait_for_completion: Templated[bool] = False,
        cancel_on_kill: Templated[bool] = True,
        cancel_on_timeout: Templated[bool] = True,
        deferrable: Templated[bool] | None = None,
        poll_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self.check_arguments()

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            self.take_arguments()
            check_most(self.poll_interval, self.max_poll_interval)  # before anything is started
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
            note = restart_word(mark_for(context))
            job = self.reach(restart_once(self.api, request_id, note, patience=self.max_unknown_time))
            self.known = job
            self.log.info("Batch request %s: restart of the failed part, status %s", request_id, job.status)
            if self.wait_for_completion:
                return self._done(self.wait_for(context, request_id, "DONE", stale_partial=STALE_PARTIAL))
            return step_result(job)


class SentinelHubCancelBatchOperator(OnRequest):
    """Cancel (v1) or stop (v2) a request, and wait until it has ended.

    - **Calls** the request, cancel or stop (repeatedly while v2 refuses it, which it does straight after a start), then
      the request until it has ended.
    - **Returns** a `StepResult` with the final status. A request that has ended before is left as it is.
    - **On kill** and **on timeout** (`execution_timeout`) the cancel may have been sent or not; run the task again.
    - **On retry** it reads the request first.

    Tiles that are processed or being processed are billed.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param poll_interval: seconds between polls.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, "poll_interval")
    poll_interval: Rendered[float]

    def __init__(
        self,
        *,
        request_id: Templated[str],
        poll_interval: Templated[float | timedelta] = 5.0,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.poll_interval = poll_interval
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self.check_arguments()

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            self.take_arguments()
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            interval = self.hook.interval(self.poll_interval)
            job = self.patiently(lambda: end(self.api, request_id, poll_interval=interval), request_id)
            self.log.info("Batch request %s is %s", request_id, job.status)
            return step_result(job)
