"""Operators for batch statistical: the whole job in one task, and the list of its results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from airflow_sentinelhub._compat import BaseOperator, Context, conf
from airflow_sentinelhub._identity import run_of
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub._task_arguments import checked_id, naming_task
from airflow_sentinelhub._types import Rendered, TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.call import Flow, Work, exchange
from airflow_sentinelhub.api.decide.job_result import StatisticalResult
from airflow_sentinelhub.api.decide.policy import LIMITS
from airflow_sentinelhub.api.places import check_buckets
from airflow_sentinelhub.api.service.data_sources import check_offered
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.service.statistical import get_body, read_request
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification, dated
from airflow_sentinelhub.api.statuses import FEATURE_STATUSES
from airflow_sentinelhub.api.tile_references import Items
from airflow_sentinelhub.api.times import resolved
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.links import LINKS
from airflow_sentinelhub.operators._arguments import one_destination
from airflow_sentinelhub.operators._batch_payload import CreatesRequest
from airflow_sentinelhub.operators._times import names_both_ends
from airflow_sentinelhub.operators._whole_job import RunsWholeJob

__all__ = ["SentinelHubBatchStatisticalOperator", "SentinelHubListStatisticsOperator", "StatisticalResult"]

_INSTEAD = {
    "process_request": "say what to compute with data, evalscript, aggregation and calculations",
    "tiling_grid": "the features of geopackage are computed one by one, and aggregation says at which resolution",
    "area": "the features of geopackage are the areas",
    "simplify": "the features of geopackage are the areas",
    "bucket_name": "name the bucket in destination='s3://bucket/path'",
    "batch_api": "it is batch statistical always; SentinelHubBatchOperator does jobs of batch v1 and v2",
    "max_restarts": "the service has no restart of failed features; accept them with max_failed_features, "
    "min_success_ratio or on_partial, or clear the task to run the job anew",
    "max_failed_tiles": "a statistical job has features and no tiles: max_failed_features",
    "check_tiles": "a statistical job has features and no tiles: check_features",
}
"""Arguments of SentinelHubBatchOperator that this operator does not take, and what to use instead."""


class SentinelHubBatchStatisticalOperator(CreatesRequest, RunsWholeJob, BaseOperator):
    """Compute statistics of the features of a GeoPackage in one task: create, analyse, start, wait, judge.

    - **Calls** the list of requests (to find the task's own), create, analyse, **start exactly once**, and the request
      at each poll. When the job is done, it reads the result of every feature from the bucket.
    - **Returns** a `StatisticalResult`: `{"request_id", "batch_api", "status", "feature_count", "processed", "failed",
      "failed_features", "expected_pu", "expected_pu_low", "expected_pu_high", "estimated_by", "processing_units",
      "output_url", "checked"}`. `failed_features` are at most a hundred identifiers; `checked` tells whether the
      results were read; `estimated_by` is `us`, or None if the cost could not be estimated; `processing_units` is the
      real cost.
    - **On kill** the state of the task in Airflow decides. If a user has marked the task failed or success, or the run
      failed, the job is stopped, if `cancel_on_kill`. After a clear, a restart of Airflow or a takeover by another
      triggerer, the job is left running for the next try. A worker has only some seconds to stop the job;
      docs/kubernetes.md describes what that means for a pod.
    - **On timeout** (`timeout`, or `execution_timeout`, also while deferred) the job is stopped, if
      `cancel_on_timeout`, and the task fails without a retry. If the job was left running, the task is retried, and
      the retry finds the job.
    - **On retry** it finds its request by the marker, which is the last line of the evalscript, and continues from the
      request's status; nothing is paid twice. A job that was stopped, by a user or by this task, is a final error: no
      retry starts it again.
    - **On clear** it continues with a running job if the job has not changed, stops and replaces it if it has, and
      creates a new one if the old one has ended. For a job that was stopped for its budget, see `on_over_budget`.

    A feature has failed if its result is an error, if single intervals in it are errors, or if the feature is in the
    GeoPackage and has no file in the bucket within `max_unknown_time`. Results that cannot be read are read again for
    the same time; then the task fails, and the next try reads again.

    :param geopackage: `s3://bucket/fields.gpkg` with the features, or the `features` of the payload in full.
    :param data: a data source such as `sentinel-2-l2a`, or the `data` objects of the payload
        (`airflow_sentinelhub.input_data()`).
    :param aggregation: time range, interval and resolution, as built by `airflow_sentinelhub.aggregation()`.
    :param calculations: percentiles and histograms by output, in the format of the service. Minimum, maximum, mean and
        standard deviation are always computed.
    :param destination: `s3://bucket/path`, which is short for `<path>/<REQUEST_ID>/<ID>.json`, or a path with
        placeholders.
    :param output: old name of `destination`; Airflow itself calls the task's XCom `output`.
    :param evalscript: its text, or the name or path of a file with it, in the folder of the DAG file or absolute.
    :param description: free text; the task appends its marker.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the GeoPackage and write the results.
    :param iam_role_arn: ARN of a role that may do so.
    :param payload_extra: further members of the payload.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param request_id: id of an existing request to continue with, instead of finding or creating one. The arguments
        that describe the job are not needed then.
    :param max_processing_units: PU that the job may cost. The service gives no estimate: before the start the low value
        of our own is compared, from the features of the GeoPackage; while the job runs, its cost at each poll. If only
        the high value of the estimate exceeds the limit, the job is started with a warning. A job that exceeds the
        limit is stopped; features already being processed are still billed. None, set in the DAG itself: no limit. A
        limit whose template renders to nothing is an error, as for all limits.
    :param max_processing_units_per_month: PU that all jobs of the DAG may cost in a calendar month (UTC); default: that
        of `[sentinelhub] max_processing_units_per_month`, else no limit. Before the start, what the marker finds for
        the DAG on this account is summed: the cost of jobs that were created this month, of running ones what they will
        probably cost. A job that would exceed the limit is not started; `on_over_budget` says what happens then. See
        docs/cost.md for what it cannot see.
    :param on_over_budget: what happens if the cost exceeds the limit: `fail` the task, `skip` it, or `stop`: succeed
        with the features that are done. The job is stopped in each case. After a clear with a higher limit the same
        request is started again and processes the missing part; the service refuses that for 30 minutes after the stop,
        and the task waits in its worker.
    :param require_estimate: True: a job whose cost cannot be estimated before the start, as when the bucket cannot be
        read, is not started, and the task fails. False: it is started with a warning.
    :param max_failed_features: number of failed features that is accepted.
    :param min_success_ratio: share (0 to 1) of the features that must be done.
    :param on_partial: what happens if more features have failed: `fail` the task, `skip` it, or `accept` any number.
    :param check_features: False: do not read the results when the job is done, so that the bucket need not be readable.
        A job that is DONE is then a success, even if features have failed: `feature_count`, `processed`, `failed` and
        `failed_features` are None, and `checked` is False.
    :param resume_stopped: what happens if the service itself stops the job. `never`: the task fails, and another try
        pays for the whole job again. `if_accepted`: the job is started again and continues; if the service refuses the
        start, the task fails. `when_accepted`: the same, but the task waits in its worker while the service refuses.
    :param cancel_on_kill: stop the job if a user marks the task failed or success; see **On kill**.
    :param cancel_on_timeout: stop the job when `timeout` or `execution_timeout` is over.
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param poll_interval: seconds between polls.
    :param analysis_poll_interval: seconds between polls during analysis.
    :param max_poll_interval: seconds that `poll_interval` may grow to while the end of the job is far: to a tenth of
        the time since the status has changed, and a quarter of the time that seems to be left. None: it does not grow.
    :param timeout: maximal time for the whole job: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`,
        which all intervals and times may be; None: no limit.
    :param max_unknown_time: seconds for which the status may be unreadable before the task fails; the job is left
        running.
    :param report: write a report when the job has ended, well or not: one file with its features on a map, cost and
        progress. True: `report-<id>.html` beside the output. Else `s3://bucket/path`: a folder, or a file that ends in
        `.html`, `.svg`, `.png` (extra `png`) or `.geojson`; `<requestId>` in it stands for the id. It is written with
        the keys of `aws_conn_id`. A report that cannot be written is a warning, and changes nothing else.
    """

    template_fields: Sequence[str] = (
        "geopackage",
        "data",
        "aggregation",
        "calculations",
        "destination",
        "evalscript",
        "description",
        "aws_conn_id",
        "iam_role_arn",
        "payload_extra",
        "sentinelhub_conn_id",
        "request_id",
        "max_processing_units",
        "max_processing_units_per_month",
        "on_over_budget",
        "require_estimate",
        "max_failed_features",
        "min_success_ratio",
        "on_partial",
        "check_features",
        "resume_stopped",
        "cancel_on_kill",
        "cancel_on_timeout",
        "deferrable",
        "poll_interval",
        "max_poll_interval",
        "analysis_poll_interval",
        "timeout",
        "max_unknown_time",
        "report",
    )
    template_fields_renderers = {
        "data": "json",
        "aggregation": "json",
        "calculations": "json",
        "destination": "json",
        "evalscript": "js",
        "payload_extra": "json",
    }
    batch_api = "statistical"
    limits = tuple(name for name in template_fields if name in LIMITS)
    reads_by = "check_features"

    def __init__(
        self,
        *,
        geopackage: Templated[str | Mapping[str, Any]] | None = None,
        data: Templated[Mapping[str, Any] | Sequence[Mapping[str, Any]]] | None = None,
        aggregation: Templated[Mapping[str, Any]] | None = None,
        destination: Templated[str | Mapping[str, Any]] | None = None,
        evalscript: Templated[str | os.PathLike[str]] | None = None,
        calculations: Templated[Mapping[str, Any]] | None = None,
        description: Templated[str] | None = None,
        aws_conn_id: Templated[str] | None = None,
        iam_role_arn: Templated[str] | None = None,
        payload_extra: Templated[Mapping[str, Any]] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        request_id: Templated[str] | None = None,
        max_processing_units: Templated[float] | None = None,
        max_processing_units_per_month: Templated[float] | None = None,
        on_over_budget: Templated[Literal["fail", "skip", "stop"]] = "fail",
        require_estimate: Templated[bool] = False,
        max_failed_features: Templated[int] | None = None,
        min_success_ratio: Templated[float] | None = None,
        on_partial: Templated[Literal["fail", "skip", "accept"]] = "fail",
        check_features: Templated[bool] = True,
        resume_stopped: Templated[Literal["never", "if_accepted", "when_accepted"]] = "never",
        cancel_on_kill: Templated[bool] = True,
        cancel_on_timeout: Templated[bool] = True,
        deferrable: Templated[bool] | None = None,
        poll_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        analysis_poll_interval: Templated[float | timedelta] = 10.0,
        timeout: Templated[float | timedelta] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        report: Templated[bool | str] | None = None,
        output: Templated[str | Mapping[str, Any]] | None = None,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        with naming_task(kwargs.get("task_id")):
            _refuse(kwargs)
        destination = one_destination(kwargs.get("task_id"), destination, output, kwargs.get("default_args"))
        super().__init__(**kwargs)
        self.geopackage = geopackage
        self.data = data
        self.aggregation = aggregation
        self.destination = destination
        self.evalscript = evalscript
        self.calculations = calculations
        self.description = description
        self.aws_conn_id = aws_conn_id
        self.iam_role_arn = iam_role_arn
        self.payload_extra = payload_extra
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.request_id = request_id
        self.max_processing_units = max_processing_units
        self.max_processing_units_per_month = max_processing_units_per_month
        self.on_over_budget = on_over_budget
        self.require_estimate = require_estimate
        self.max_failed_features = max_failed_features
        self.min_success_ratio = min_success_ratio
        self.on_partial = on_partial
        self.check_features = check_features
        self.resume_stopped = resume_stopped
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.analysis_poll_interval = analysis_poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        self.report = report
        self.check_job()

    def execute(self, context: Context) -> StatisticalResult:
        result: StatisticalResult = self.run_whole_job(context)
        return result

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Like Airflow's `partial`, but checks the names of arguments while the DAG is parsed, not only in the run."""
        with naming_task(kwargs.get("task_id")):
            _refuse(kwargs)
        return super().partial(**kwargs)

    def payload(self, context: Any, api: Generation) -> dict[str, Any]:
        """The payload of the create call. It may contain storage keys, so it is neither stored nor logged."""
        run, aggregation, data = run_of(context), self.read("aggregation"), self.read("data")
        check_offered(data, self.service_url)
        job = StatisticalSpecification(
            geopackage=self.read("geopackage"),
            data=resolved(data, run),
            aggregation=dated(aggregation, run, from_interval=names_both_ends(self, "aggregation")),
            output=self.read("destination"),
            evalscript=self.script(),
            calculations=self.read("calculations"),
            description=self.description,
            extra=self.read("payload_extra") or {},
        )
        payload = api.payload(job, self.access())
        check_buckets(payload)
        return payload

    def payload_checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """What is wrong with the GeoPackage, or keeps the results from being read."""
        yield from self.geopackage_check(payload, statistical=True)
        yield Work(lambda: self.check_reader(payload))


class SentinelHubListStatisticsOperator(SentinelHubTask, BaseOperator):
    """List the results of a statistical request in chunks: `task.expand(fields=listing.output)` maps over them.

    - **Calls** the request; then it reads the result of every feature from the bucket.
    - **Returns** a list of chunks. Each chunk is a list of items `{"request_id", "identifier", "id", "path",
      "status"}`. `status` is `OK`, `FAILED`, or `PENDING` (no file, and the request is not DONE: not processed, or not
      yet); a failed item also has `error`. `path` is the feature's JSON file.
    - **On kill** and **on timeout** (`execution_timeout`) the request is left as it is: the operator only reads.
    - **On retry** it reads again.

    If the bucket cannot be read, or files are still missing shortly after the request is DONE, the operator reads again
    for `max_unknown_time`. A feature that has no file even then is listed as FAILED (`MISSING`). If no feature has a
    file, or the GeoPackage with the features does not exist any more, the task fails.

    :param request_id: id of the request, or the result of the task that ran it.
    :param status: list only `OK` (the default), `FAILED` or `PENDING` features; None, set in the DAG itself, lists all.
        A template that renders to nothing is an error.
    :param chunk_size: number of features in a chunk. By default (None) it is the smallest number with which there are
        not more chunks than Airflow maps over (`[core] max_map_length`).
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param max_unknown_time: seconds to retry while the service is out of reach or the bucket cannot be read; then the
        task fails.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "status",
        "chunk_size",
        "aws_conn_id",
        "sentinelhub_conn_id",
        "max_unknown_time",
    )
    words = {"status": (*FEATURE_STATUSES, None)}
    status: Rendered[str | None]
    chunk_size: Rendered[int | None]
    aws_conn_id: Rendered[str | None]
    operator_extra_links = LINKS
    ui_color = "#dbeef4"
    batch_api = "statistical"

    def __init__(
        self,
        *,
        request_id: Templated[str],
        status: Templated[str] | None = "OK",
        chunk_size: Templated[int] | None = None,
        aws_conn_id: Templated[str] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.status = status
        self.chunk_size = chunk_size
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.max_unknown_time = max_unknown_time
        self.check_arguments()

    def execute(self, context: Context) -> list[list[dict[str, Any]]]:
        from airflow_sentinelhub.hooks.job_results import read_features
        from airflow_sentinelhub.hooks.sentinelhub import reader_now

        with airflow_errors(self):
            self.take_arguments()
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            request = self.patiently(lambda: exchange(get_body(request_id)), request_id)
            reader = partial(reader_now, self.sentinelhub_conn_id, self.aws_conn_id)
            flow = read_features(request, read_request(request), reader, self.max_unknown_time)
            all_items = ({"request_id": request_id, **item} for item in self.hook.run(flow))
            items = [item for item in all_items if self.status in (None, item["status"])]
            chunks = Items(items).chunks(self.chunk_size, conf.getint("core", "max_map_length", fallback=1024))
            self.log.info("Batch request %s: %d features (chunks: %d)", request_id, len(items), len(chunks))
            return chunks


def _refuse(arguments: Mapping[str, Any]) -> None:
    """:raises InvalidInputError: one of the arguments belongs to SentinelHubBatchOperator only."""
    for name, alternative in _INSTEAD.items():
        if name in arguments:
            raise InvalidInputError(f"SentinelHubBatchStatisticalOperator takes no {name}: {alternative}.")
