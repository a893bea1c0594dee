"""`SentinelHubHook`: an Airflow connection turned into clients of the service.

A triggerer imports this module in its event loop. So what only a worker needs and is slow to load (requests, and the
clients with their models) is imported by the properties that need it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from airflow_sentinelhub._compat import AirflowFailException, BaseHook, get_async_connection
from airflow_sentinelhub._compat.masking import mask_secret
from airflow_sentinelhub._compat.metrics import metrics
from airflow_sentinelhub._compat.supervisor import aside
from airflow_sentinelhub._identity import (
    Kept,
    deployment_name,
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
from airflow_sentinelhub.api.call import Flow, Patience, exchange
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.advice import reword_for_script
from airflow_sentinelhub.api.decide.costs import Costs, month_of
from airflow_sentinelhub.api.decide.job_result import JobResult, StatisticalResult
from airflow_sentinelhub.api.decide.marker import dag_word, task_word
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.policy import check_looks, check_resume, policy_from
from airflow_sentinelhub.api.decide.price import Price, price_of
from airflow_sentinelhub.api.decide.verdict import Waited
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.flows.costs import OfDag, costs_of_dag
from airflow_sentinelhub.api.flows.price import price_request
from airflow_sentinelhub.api.flows.run_job import JobPlan, Listener, answered, run_job
from airflow_sentinelhub.api.flows.task_request import Own, Wanted, check_grid
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan, wait
from airflow_sentinelhub.api.places import check_buckets
from airflow_sentinelhub.api.scripts import script_text
from airflow_sentinelhub.api.service import statistical, v2
from airflow_sentinelhub.api.service.data_sources import check_offered
from airflow_sentinelhub.api.service.generations import NAMES, Generation, generation, others
from airflow_sentinelhub.api.service.specification import BatchSpecification, check_shape, refuse_statistical
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.times import moment
from airflow_sentinelhub.exceptions import InvalidInputError, JobError, SentinelHubError, SettingsError
from airflow_sentinelhub.hooks._client import id_of
from airflow_sentinelhub.hooks._masking import mask_forms, mask_passwords
from airflow_sentinelhub.hooks._options import JobOptions
from airflow_sentinelhub.hooks.job_results import ResultsReader
from airflow_sentinelhub.hooks.prices import CostReader, region_of
from airflow_sentinelhub.hooks.storage import access_from, bucket_reader, check_geopackage, results_of
from airflow_sentinelhub.provider import CONN_FIELDS, FIELD_BEHAVIOUR
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.statistical import StatisticalResults, results_of_request
from airflow_sentinelhub.results.v2 import BatchResults
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.metrics import GAUGES, PREFIX
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings, settings_from

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.map_file import JobMap
    from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical
    from airflow_sentinelhub.hooks.v1 import SentinelHubBatch
    from airflow_sentinelhub.hooks.v2 import BatchProcessClient
    from airflow_sentinelhub.preview.report import Preview
    from airflow_sentinelhub.transport.sync import SyncDriver

R = TypeVar("R")
_log = logging.getLogger(__name__)
SETTINGS_KEPT = 60.0
"""Seconds for which a triggerer uses a connection that it has looked up."""


class SentinelHubHook(BaseHook):
    """Sentinel Hub by an Airflow connection of type `sentinelhub`.

    The connection: OAuth client id in login, secret in password, deployment in host (`aws-eu`, `aws-us-west-2`,
    `cdse`, or a base URL); in extra `auth_url`, `batch_api` (`v2` or `v1`), `path_form`, `timeout`,
    `verify`, `proxy`, `max_calls_per_minute`, `bucket_mount`.

    All clients of a process share one token and at most eight requests in flight per connection.

    :param sentinelhub_conn_id: id of the connection.
    :param place: deployment of a request that is gone on with, as `Settings.place()` has told it: used instead of the
        connection's, should that have been edited since.
    """

    conn_name_attr = "sentinelhub_conn_id"
    default_conn_name = "sentinelhub_default"
    conn_type = "sentinelhub"
    hook_name = "Sentinel Hub"

    def __init__(self, sentinelhub_conn_id: str = default_conn_name, *, place: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self._place = place
        self._driver: SyncDriver | None = None
        self._settings: Settings | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Field names of the connection form, for Airflow before 3.2 (later ones read the provider info)."""
        return {key.replace("-", "_"): value for key, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Extra fields of the connection form, for Airflow before 3.2."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found]
        from wtforms import StringField  # type: ignore[import-untyped]

        return {
            name: StringField(spec["label"], widget=BS3TextFieldWidget(), description=spec["description"])
            for name, spec in CONN_FIELDS.items()
        }

    @property
    def settings(self) -> Settings:
        """The deployment and the OAuth client, from the connection.

        :raises SettingsError: the connection is incomplete or names something unknown.
        """
        if self._settings is None:
            connection = self.get_connection(self.sentinelhub_conn_id)
            self._settings = _settings(self.sentinelhub_conn_id, connection).at(self._place)
        return self._settings

    def interval(self, seconds: float, name: str = "poll_interval") -> float:
        """The seconds between polls at this connection: the given ones, or the least that its service advises.

        A process logs one warning for each interval that is raised.

        :param name: the argument, for the warning.
        """
        least = self.settings.least_interval
        if seconds >= least:
            return seconds
        message = (
            f"{name} is {seconds:g} s, less than the {least:g} s that polls of {self.settings.base_url} keep apart at "
            f"least; it is raised to {least:g} s."
        )
        PROCESS.warn_once(_log, logging.WARNING, message)
        return least

    @property
    def driver(self) -> SyncDriver:
        """The driver that runs flows in this thread."""
        if self._driver is None:
            from airflow_sentinelhub.transport.sync import SyncDriver

            PROCESS.metrics.begin(lambda: metrics(GAUGES, PREFIX))
            self._driver = SyncDriver(self.settings, self.log, mask_secret, self._read_again)
        return self._driver

    def interrupt(self) -> None:
        """End the flow that is being run at its next sleep, with an error of ours."""
        if self._driver is not None:
            self._driver.interrupt()

    async def async_driver(self) -> AsyncDriver:
        """A driver that runs flows in the event loop; the connection is looked up without blocking it."""
        return AsyncDriver(await self.async_settings(), self.log, _mask_aside, self._read_again_in_loop)

    async def async_settings(self) -> Settings:
        """The settings, looked up without blocking the event loop."""
        if self._settings is None:
            self._settings = (await self._looked_up()).at(self._place)
        return self._settings

    async def _looked_up(self, *, anew: bool = False) -> Settings:
        """The connection's settings; a thousand triggers that start together look them up once."""
        PROCESS.metrics.begin(lambda: metrics(GAUGES, PREFIX))
        key = (asyncio.get_running_loop(), self.sentinelhub_conn_id)
        known = PROCESS.looked_up.get(key)
        if anew or known is None or (time.monotonic() - known[0] > SETTINGS_KEPT):
            reading = asyncio.ensure_future(self._look_up())
            known = PROCESS.looked_up[key] = time.monotonic(), reading
        try:
            return await asyncio.shield(known[1])
        except BaseException:
            if known[1].done() and PROCESS.looked_up.get(key) is known:
                del PROCESS.looked_up[key]  # the next one tries again
            raise

    async def _look_up(self) -> Settings:
        connection = await get_async_connection(self.sentinelhub_conn_id)
        return await aside(lambda: _settings(self.sentinelhub_conn_id, connection))

    def _read_again(self) -> Settings:
        """The settings of the connection as it is now, at the deployment of before; those of before if that fails."""
        before = self.settings
        try:
            connection = self.get_connection(self.sentinelhub_conn_id)
        except Exception as err:  # whatever Airflow raises: the credentials of before were refused, and stay so
            return self._unread_again(before, err)
        return self._edited(before, lambda: _settings(self.sentinelhub_conn_id, connection))

    def _edited(self, before: Settings, read: Callable[[], Settings]) -> Settings:
        """The settings of the connection as it was edited; those of before while it is not whole or is elsewhere."""
        try:
            self._settings = read().at(before.place())
        except SettingsError as err:
            return self._half_edited(before, err)
        return self._settings

    def _half_edited(self, before: Settings, err: SettingsError) -> Settings:
        """The settings of before: whoever edits the connection may not be ready yet."""
        self.log.warning("The client secret was refused, and the connection cannot be used as it is now: %s", err)
        return before

    async def _read_again_in_loop(self) -> Settings:
        """The same, without blocking the event loop."""
        before = await self.async_settings()
        try:
            settings = await self._looked_up(anew=True)
        except SettingsError as err:
            return self._half_edited(before, err)
        except Exception as err:
            return self._unread_again(before, err)
        return self._edited(before, lambda: settings)

    def _unread_again(self, before: Settings, err: Exception) -> Settings:
        self.log.warning("The connection %s cannot be read again (%s)", self.sentinelhub_conn_id, type(err).__name__)
        return before

    def run(self, flow: Flow[R]) -> R:
        """Run a flow to its end in this thread."""
        return self.driver.run(flow)

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
            without a zone. v2 has no search: before a new name is created the list is read back to then, or as a whole
            if this is left out. **A request that is older is not found, and its job would be paid again.** The other
            limits, intervals and policies mean what they mean in `SentinelHubBatchOperator`; `max_failed` counts tiles,
            or features.
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
        hook = self if known is None else SentinelHubHook(self.sentinelhub_conn_id, place=known.place)
        api = self.generation("statistical" if features else known.batch_api if known else batch_api)
        by_look = {"max_failed": max_failed, "min_success_ratio": min_success_ratio}
        by_look["max_restarts"] = None if api.restart is not None else max_restarts or None
        check_looks("check_results", check_results, by_look)
        if context is not None and context.setdefault("sentinelhub_job", specification) != specification:
            raise InvalidInputError("This task has run another job already, and one task runs one; give them names.")
        looks = known is None and (context is None or tried(context) > 1)  # `batch_api` may have been edited

        reader = partial(reader_now, self.sentinelhub_conn_id, aws_conn_id)

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

    def generation(self, batch_api: str | None = None) -> Generation:
        """The generation asked for, else the connection's."""
        return generation(batch_api or self.settings.batch_api)

    def generations(self, first: Generation | None = None) -> tuple[Generation, ...]:
        """The generations in which this connection has requests: this one, the connection's, and batch statistical."""
        named = [first or self.generation(), self.generation(), generation("statistical")]
        return tuple({api.name: api for api in named}.values())

    def all_generations(self, first: Generation | None = None) -> tuple[Generation, ...]:
        """Every generation, those of this connection first: tasks may name another one (`batch_api`)."""
        own = self.generations(first)
        return tuple({api.name: api for api in (*own, *map(generation, NAMES))}.values())

    def costs(
        self,
        dag_id: str,
        since: datetime | date | str | None = None,
        *,
        task_ids: Iterable[str] = (),
        tiles: bool = True,
    ) -> Costs:
        """What a DAG has cost: the sum over the requests on this account that carry its marker.

        The lists of batch v2, v1 and batch statistical are read from the newest request back to `since`.

        :param dag_id: id of the DAG, of this Airflow (`[sentinelhub] deployment`).
        :param since: requests that were created before do not count: a datetime, a date, or text such as `2026-06-01`;
            without a zone it is UTC. Default: the start of this calendar month in UTC.
        :param task_ids: ids of its tasks, so that `by_task()` names them; a task that is not named here is a digest.
        :param tiles: True: read the tiles of v1 requests, whose sum is the real cost. False: a third of the service's
            estimate is taken for them, without further calls.
        :raises SentinelHubError: a list cannot be read to its end.
        """
        deployment = deployment_name()
        start = month_of(time.time()) if since is None else moment(since, "since")
        words = {task_word(deployment, dag_id, task_id): task_id for task_id in task_ids}
        dag = OfDag(dag_word(deployment, dag_id), self.all_generations())
        return self.run(costs_of_dag(dag, dag_id, start, words, tiles=tiles))

    def get_conn(self) -> SyncDriver:
        return self.driver

    def _check_sources(self, sources: Any) -> None:
        """:raises InvalidInputError: `data` objects name a collection that this deployment does not offer."""
        check_offered(sources, self.settings.base_url)

    @property
    def batch(self) -> SentinelHubBatch:
        """Batch v1, with the method names of the vendor's `SentinelHubBatch`."""
        from airflow_sentinelhub.hooks.v1 import SentinelHubBatch

        return SentinelHubBatch(self.run, self.interval, self._check_sources)

    @property
    def batch_v2(self) -> BatchProcessClient:
        """Batch v2, with the method names of the vendor's `BatchProcessClient`."""
        from airflow_sentinelhub.hooks.v2 import BatchProcessClient

        return BatchProcessClient(self.run, self.interval, self._check_sources)

    @property
    def statistical(self) -> SentinelHubBatchStatistical:
        """Batch statistical, with the method names of the vendor's `SentinelHubBatchStatistical`."""
        from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical

        return SentinelHubBatchStatistical(self.run, self.interval, self._check_sources)

    def statistical_results(self, request_id: str, aws_conn_id: str | None = None) -> StatisticalResults:
        """What a statistical request has left in its bucket: one JSON file for each feature.

        :param aws_conn_id: connection of type `aws` that may read the bucket, unless this one has a `bucket_mount`.
        """
        request = self.run(exchange(statistical.get_body(id_of(request_id))))
        return results_of_request(request, bucket_reader(aws_conn_id, self.settings))

    def results(self, request_id: str, aws_conn_id: str | None = None) -> BatchResults:
        """What a v2 request has left in its bucket: tiles with status and paths.

        :param aws_conn_id: connection of type `aws` that may read the bucket, unless this one has a `bucket_mount`.
        """
        reader = bucket_reader(aws_conn_id, self.settings)
        return results_of(self.run(exchange(v2.get_request(id_of(request_id)))), reader)

    def map(self, request_id: str, *, batch_api: str | None = None, aws_conn_id: str | None = None) -> JobMap:
        """The request and its tiles as a map: `hook.map(request_id).save("map.html")`.

        The file shows what the tab "Sentinel Hub" of a task instance shows, and needs neither a network nor Airflow.

        :param request_id: id of the request.
        :param batch_api: `v1`, `v2` or `statistical`; the connection's if left out.
        :param aws_conn_id: connection of type `aws` that may read the bucket (v2 and statistical), unless this one has
            a `bucket_mount`.
        :raises SentinelHubError: the request or its tiles cannot be read.
        """
        from airflow_sentinelhub.hooks.job_map import Source
        from airflow_sentinelhub.hooks.map_file import map_of

        api = self.generation(batch_api)
        return map_of(self, Source(id_of(request_id), api.name, self.sentinelhub_conn_id, aws_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Get a token and list the tiling grids: (True, ...) if both work, else (False, what is wrong)."""
        try:
            list_grids = self.generation().grids
            assert list_grids is not None  # a connection is of v1 or v2
            grids = self.run(exchange(list_grids(None), Patience(backoff=(1,), rate_limited=10)))
        except SentinelHubError as err:
            return False, str(err)
        return True, (
            f"Connected to {self._where()}; batch {self.settings.batch_api} offers {len(grids.items)} tiling grids. "
            f"Access tokens come from {self.settings.token_url} and are valid for {_lifetime(self.driver.lifetime)}."
        )

    def _where(self) -> str:
        """The deployment of the connection, as messages name it."""
        name, base_url = self.settings.deployment, self.settings.base_url
        return f"deployment {name} ({base_url})" if name else f"a deployment of your own ({base_url})"


def _lifetime(seconds: float | None) -> str:
    """How long an access token is valid, in words."""
    if seconds is None:
        return "an unknown time"
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


_UNANSWERED = (
    "Nothing was started by this run. If an earlier run of this job has started a batch request, that runs on and "
    "bills.",
    "Another run of this job tries again, and attaches to its request if there is one.",
)
"""What it means for `run_job` that nothing answers, see `Wanted`."""


def reader_now(sentinelhub_conn_id: str, aws_conn_id: str | None) -> BucketReader:
    """A reader of the bucket by the current state of both connections, so that a corrected connection is used."""
    return bucket_reader(aws_conn_id, SentinelHubHook(sentinelhub_conn_id).settings)


def _wait_here(awaited: Await) -> Flow[Waited | None]:
    """Answer a wait of a job in this thread."""
    return wait(generation(awaited.state["batch_api"]), awaited.request_id, awaited.target, awaited.plan)


async def _mask_aside(secret: str) -> None:
    await aside(lambda: mask_secret(secret))


def _settings(conn_id: str, connection: Any) -> Settings:
    """Settings from an Airflow connection; its secret is masked in logs from here on.

    :raises SettingsError: it is of another type: its password is of another service, and must not be sent to this one.
    """
    if isinstance(connection.password, str):
        mask_forms(connection.password)
    if connection.conn_type and connection.conn_type != SentinelHubHook.conn_type:
        raise SettingsError(
            f"Connection {conn_id!r} is of type {connection.conn_type!r}, not {SentinelHubHook.conn_type!r}; nothing "
            "of it was sent. Name a connection of type sentinelhub in sentinelhub_conn_id, or give this one that type."
        )
    settings = settings_from(
        conn_id=conn_id,
        login=connection.login,
        password=connection.password,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        extra=connection.extra_dejson,
    )
    PROCESS.read_settings(settings)
    mask_passwords(settings.proxy)
    mask_passwords(settings.bucket_mount)
    for warning in settings.warnings:
        PROCESS.warn_once(_log, logging.WARNING, warning)
    return settings
