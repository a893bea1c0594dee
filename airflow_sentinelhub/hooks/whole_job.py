"""Whole jobs that a script or a PythonOperator describes by a specification: look at one before it runs, and run it."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub._types import Unpack
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.advice import reword_for_script
from airflow_sentinelhub.api.decide.errors import with_fate
from airflow_sentinelhub.api.decide.job_result import JobResult, StatisticalResult
from airflow_sentinelhub.api.decide.policy import policy_from
from airflow_sentinelhub.api.decide.verdict import Waited
from airflow_sentinelhub.api.flows.run_job import answered, run_job
from airflow_sentinelhub.api.flows.wait import Await, wait
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.service.specification import BatchSpecification
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification
from airflow_sentinelhub.exceptions import JobError, SentinelHubError
from airflow_sentinelhub.hooks._job_run import JobRun, with_script
from airflow_sentinelhub.hooks._options import JobOptions
from airflow_sentinelhub.hooks.connection import ConnectedHook
from airflow_sentinelhub.hooks.prices import region_of
from airflow_sentinelhub.hooks.storage import access_from

if TYPE_CHECKING:
    from airflow_sentinelhub.preview.report import Preview


class RunsJobs(ConnectedHook):
    """`run_job` and `preview` of `SentinelHubHook`."""

    @overload
    def run_job(self, specification: BatchSpecification, **options: Unpack[JobOptions]) -> JobResult: ...
    @overload
    def run_job(self, specification: StatisticalSpecification, **options: Unpack[JobOptions]) -> StatisticalResult: ...
    def run_job(
        self,
        specification: BatchSpecification | StatisticalSpecification,
        *,
        name: str | None = None,
        context: Any = None,
        batch_api: Literal["v1", "v2"] | None = None,
        aws_conn_id: str | None = None,
        iam_role_arn: str | None = None,
        max_processing_units: float | str | None = None,
        max_processing_units_per_month: float | str | None = None,
        on_over_budget: Literal["fail", "skip", "stop"] = "fail",
        require_estimate: bool | str = False,
        max_restarts: int | str = 0,
        max_failed: int | str | None = None,
        min_success_ratio: float | str | None = None,
        on_partial: Literal["fail", "skip", "accept"] = "fail",
        check_results: bool | str = True,
        resume_stopped: Literal["never", "if_accepted", "when_accepted"] = "never",
        cancel_on_timeout: bool | str = True,
        poll_interval: float | timedelta | str = 60.0,
        analysis_poll_interval: float | timedelta | str = 10.0,
        max_poll_interval: float | timedelta | str | None = None,
        timeout: float | timedelta | str | None = None,
        max_unknown_time: float | timedelta | str = 1800.0,
        since: datetime | date | str | None = None,
    ) -> Any:
        """Run a whole job in this thread, as `SentinelHubBatchOperator` does: for a PythonOperator or a script.

        It finds or creates the request, analyses it, checks the budget, starts it once (**which bills**), waits,
        restarts what failed, judges and reports. Run again with the same name, or by a retry of the same task, it goes
        on with the request that is there, and pays nothing twice; a job that is done is only reported again.

        - **On kill** the job runs on at the service and bills; the next run attaches to it. Nothing cancels it.
        - **On timeout** it is cancelled if `cancel_on_timeout`; the error says what came of that.

        :param specification: what is to be done; build it with `BatchSpecification` or `StatisticalSpecification`.
        :param name: of the job, unique in the account, such as `ndvi-2026-06`; another name is another job.
        :param context: of the task that calls this, instead of a name (`get_current_context()` in a PythonOperator),
            for the one job of a task; several need names.
        :param batch_api: `v1` or `v2`; the connection's if left out.
        :param aws_conn_id, iam_role_arn: the right to write to the bucket, and to read from it (`aws_conn_id`).
        :param max_processing_units: PU that the job may cost.
        :param max_processing_units_per_month: PU that all jobs of the DAG may cost in a calendar month; it needs
            `context`.
        :param since: the job of this name was begun after that: a datetime, a date, or text such as `2026-06-01`; UTC
            without a zone. v2 has no search: before a request of a new name is created, the list of requests is read
            back to that time, or to its end without one. **An older request is not found, and its job is paid again.**
        :param max_failed: number of failed tiles, or features of a statistical job, that is accepted. The limits,
            intervals and policies not listed here mean what they mean in `SentinelHubBatchOperator`.
        :returns: what the operator returns: a `JobResult`, or a `StatisticalResult`.
        :raises InvalidInputError: neither name nor context is given, limits make no sense, or the GeoPackage breaks a
            rule of the service; nothing was created.
        :raises JobError: the job failed, or ended worse than the policy accepts; `skip` is set on the error where a
            policy says `skip`.
        :raises AirflowFailException: with `context`, in its place where a retry would pay for another job.
        """
        run = JobRun(
            self,
            specification,
            {
                "name": name,
                "context": context,
                "batch_api": batch_api,
                "aws_conn_id": aws_conn_id,
                "iam_role_arn": iam_role_arn,
                "max_processing_units": max_processing_units,
                "max_processing_units_per_month": max_processing_units_per_month,
                "on_over_budget": on_over_budget,
                "require_estimate": require_estimate,
                "max_restarts": max_restarts,
                "max_failed": max_failed,
                "min_success_ratio": min_success_ratio,
                "on_partial": on_partial,
                "check_results": check_results,
                "resume_stopped": resume_stopped,
                "cancel_on_timeout": cancel_on_timeout,
                "poll_interval": poll_interval,
                "analysis_poll_interval": analysis_poll_interval,
                "max_poll_interval": max_poll_interval,
                "timeout": timeout,
                "max_unknown_time": max_unknown_time,
                "since": since,
            },
        )
        life = run_job(run.api, run.wanted(), run.plan())
        try:
            ended = run.hook.run(answered(life, _wait_here))
        except SentinelHubError as err:
            if err.snapshot is not None and err.snapshot.request_id not in str(err):
                err.args = (with_fate(str(err), err.snapshot), *err.args[1:])
            if context is None:
                reword_for_script(err)
                raise
            if not isinstance(err, JobError):
                raise
            over = err.snapshot is not None and err.snapshot.status.is_final
            if err.retry_helps or err.skip or not over:
                raise
            raise AirflowFailException(str(err)) from err  # a retry would make the job anew, and pay again
        assert not isinstance(ended, Await)  # each wait was answered
        return ended

    def preview(
        self,
        specification: BatchSpecification | StatisticalSpecification,
        *,
        batch_api: str | None = None,
        aws_conn_id: str | None = None,
        iam_role_arn: str | None = None,
        max_processing_units: float | str | None = None,
        geopackage: str | os.PathLike[str] | None = None,
    ) -> Preview:
        """Look at a job before anything is sent: payload, tiles, area, estimate, and what would be refused.

        Nothing is sent to the service, and no bucket is read. It needs the extra `preview`.

        :param specification: of the job, as `run_job` takes it; the other arguments mean what they mean there.
        :param geopackage: path of a local copy of the GeoPackage, where the job has one.
        :raises InvalidInputError: the job cannot be rendered to a payload.
        """
        from airflow_sentinelhub.preview.make import preview_of

        specification = with_script(specification)
        api = self.generation(specification.batch_api or batch_api)
        payload = api.payload(specification, access_from(aws_conn_id, iam_role_arn) if api.needs_access else None)
        return preview_of(
            payload,
            api.name,
            policy=policy_from(max_processing_units=max_processing_units),
            geopackage=None if geopackage is None else Path(geopackage),
            region=region_of(self.settings.base_url),
        )


def _wait_here(awaited: Await) -> Flow[Waited | None]:
    """Answer a wait of a job in this thread."""
    return wait(generation(awaited.state["batch_api"]), awaited.request_id, awaited.target, awaited.plan)
