"""Whole jobs that a script or a PythonOperator describes by a specification: look at one before it runs, and run it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub._identity import (
    Kept,
    earliest,
    mark_by_name,
    mark_for,
    month_by_default,
    note_begin,
    remember,
    remembered,
    tried,
)
from airflow_sentinelhub._types import Unpack
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.advice import reword_for_script
from airflow_sentinelhub.api.decide.job_result import JobResult, StatisticalResult
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.policy import check_looks, check_resume, policy_from
from airflow_sentinelhub.api.decide.price import Price, price_of
from airflow_sentinelhub.api.decide.verdict import Waited
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.flows.costs import OfDag
from airflow_sentinelhub.api.flows.job_life import JobPlan, Listener
from airflow_sentinelhub.api.flows.price import price_request
from airflow_sentinelhub.api.flows.run_job import answered, run_job
from airflow_sentinelhub.api.flows.task_request import Own, Wanted, check_grid
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan, wait
from airflow_sentinelhub.api.places import check_buckets
from airflow_sentinelhub.api.scripts import script_text
from airflow_sentinelhub.api.service.data_sources import check_offered
from airflow_sentinelhub.api.service.generations import Generation, generation, others
from airflow_sentinelhub.api.service.specification import BatchSpecification, check_shape, refuse_statistical
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.times import moment
from airflow_sentinelhub.exceptions import InvalidInputError, JobError, SentinelHubError
from airflow_sentinelhub.hooks._options import JobOptions
from airflow_sentinelhub.hooks.connection import ConnectedHook
from airflow_sentinelhub.hooks.job_results import ResultsReader
from airflow_sentinelhub.hooks.prices import CostReader, region_of
from airflow_sentinelhub.hooks.storage import access_from, bucket_reader, check_geopackage
from airflow_sentinelhub.results.bucket import BucketReader

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
        if (name is None) == (context is None) or (name is not None and not name.strip()):
            raise InvalidInputError("Give a name for the job, or the context of the task that runs it.")
        begun = None if since is None else moment(since, "since")
        if begun is not None and (context is not None or begun.timestamp() > time.time()):
            raise InvalidInputError(
                "since is when the job of a name was begun at the earliest: it goes with a name, and lies in the past."
            )
        check_resume(resume_stopped)
        given = {"poll_interval": poll_interval, "analysis_poll_interval": analysis_poll_interval, "timeout": timeout}
        given |= {"max_unknown_time": max_unknown_time, "max_restarts": max_restarts, "check_results": check_results}
        given |= {"cancel_on_timeout": cancel_on_timeout, "batch_api": batch_api, "max_failed": max_failed}
        read = all_taken({**given, "max_poll_interval": max_poll_interval})
        check_most(read["poll_interval"], read["max_poll_interval"])
        allowed, patience, check_results = read["timeout"], read["max_unknown_time"], read["check_results"]
        max_restarts, batch_api, max_failed = read["max_restarts"] or 0, read["batch_api"], read["max_failed"]
        if specification.evalscript is not None:
            specification = replace(specification, evalscript=script_text(specification.evalscript))
        features = isinstance(specification, StatisticalSpecification)
        if not features:
            refuse_statistical(batch_api)
        if features and max_restarts:
            raise InvalidInputError("Batch statistical has no restart of failed features; leave max_restarts out.")
        by_month = max_processing_units_per_month
        if by_month is not None and context is None:
            raise InvalidInputError(
                "max_processing_units_per_month is a budget of a DAG: give the context of the task; a job by a name "
                "belongs to no DAG."
            )
        if by_month is None and context is not None:
            by_month = month_by_default()
        failed = "max_failed_features" if features else "max_failed_tiles"
        policy = policy_from(
            max_processing_units=max_processing_units,
            max_processing_units_per_month=by_month,
            on_over_budget=on_over_budget,
            require_estimate=require_estimate,
            max_restarts=max_restarts,
            min_success_ratio=min_success_ratio,
            on_partial=on_partial,
            **{failed: max_failed},
        )
        limit = policy.max_processing_units
        mark = mark_by_name(name, limit) if name is not None else mark_for(context, limit=limit)
        known = remembered(context, mark) if context is not None else None
        if context is not None:
            note_begin(context)
        hook = self if known is None else self._at(known.place)
        api = self.generation("statistical" if features else known.batch_api if known else batch_api)
        by_look = {"max_failed": max_failed, "min_success_ratio": min_success_ratio}
        by_look["max_restarts"] = None if api.restart is not None else max_restarts or None
        check_looks("check_results", check_results, by_look)
        if context is not None and context.setdefault("sentinelhub_job", specification) != specification:
            raise InvalidInputError("This task has run another job already, and one task runs one; give them names.")
        looks = known is None and (context is None or tried(context) > 1)  # `batch_api` may have been edited

        def reader() -> BucketReader:
            """By the current state of both connections, so that a corrected connection is used."""
            return bucket_reader(aws_conn_id, self._at(None).settings)

        def render(api: Generation) -> dict[str, Any]:
            process = getattr(specification, "process_request", None)
            data = getattr(specification, "data", member(process, "input", "data"))
            check_offered(data, hook.settings.base_url)
            return api.payload(specification, access_from(aws_conn_id, iam_role_arn) if api.needs_access else None)

        def checks(api: Generation, payload: dict[str, Any]) -> Flow[None]:
            if not features:
                check_shape(payload, api.name)
            check_buckets(payload)
            yield from check_grid(api, payload)
            yield from check_geopackage(payload, reader, statistical=features)

        def keep(own: Own) -> None:
            if context is not None:
                remember(context, own.mark, Kept(own.settled.job.request_id, own.api.name, hook.settings.place()))

        wanted = Wanted(
            render=render,
            checks=checks,
            mark=mark,
            again=True,
            unanswered=_UNANSWERED if context is None or tried(context) <= 1 else None,
            since=earliest(context, mark) if context is not None else begun,
            remembered=known.request_id if known else None,
            not_found=hook.settings.not_found(known.place, known.request_id) if known else None,
            elsewhere=tuple(map(generation, others(api.name))) if looks else (),
            stopped=Stopped(limit, resume=resume_stopped != "never"),
            patience=patience,
        )

        def price(api: Generation, job: Snapshot) -> Flow[Price]:
            if not check_results and limit is None and policy.max_per_month is None and not policy.require_estimate:
                return price_of(job)
            return (yield from price_request(api, job, CostReader(reader, hook.settings.base_url).prepared))

        results = ResultsReader(reader, read["check_results"], "check_results", patience)
        plan = JobPlan(
            policy=lambda: policy,
            read_results=results.read,
            price=price,
            dag=None if context is None else OfDag(mark.dag or "", hook.all_generations(api)),
            estimating=CostReader(reader, hook.settings.base_url).prepared,
            resume_stopped=resume_stopped,
            wait=WaitPlan(
                poll_interval=hook.interval(read["poll_interval"]),
                deadline=None if allowed is None else hook.driver.now() + allowed,
                max_unknown_time=patience,
                end_at_deadline=read["cancel_on_timeout"],
                known=True,
                max_poll_interval=read["max_poll_interval"],
            ),
            analysis_poll_interval=hook.interval(read["analysis_poll_interval"], "analysis_poll_interval"),
            listener=Listener(settled=keep),
        )
        try:
            ended = hook.run(answered(run_job(api, wanted, plan), _wait_here))
        except SentinelHubError as err:
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

        if specification.evalscript is not None:
            specification = replace(specification, evalscript=script_text(specification.evalscript))
        features = isinstance(specification, StatisticalSpecification)
        api = self.generation("statistical" if features else batch_api)
        payload = api.payload(specification, access_from(aws_conn_id, iam_role_arn) if api.needs_access else None)
        return preview_of(
            payload,
            api.name,
            policy=policy_from(max_processing_units=max_processing_units),
            geopackage=None if geopackage is None else Path(geopackage),
            region=region_of(self.settings.base_url),
        )


_UNANSWERED = (
    "Nothing was started by this run. If an earlier run of this job has started a batch request, that runs on and "
    "bills.",
    "Another run of this job tries again, and attaches to its request if there is one.",
)
"""What it means for `run_job` that nothing answers, see `Wanted`."""


def _wait_here(awaited: Await) -> Flow[Waited | None]:
    """Answer a wait of a job in this thread."""
    return wait(generation(awaited.state["batch_api"]), awaited.request_id, awaited.target, awaited.plan)
