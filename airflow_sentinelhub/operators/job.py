"""`SentinelHubBatchOperator`: the whole job in one task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from airflow_sentinelhub._compat import BaseOperator, Context
from airflow_sentinelhub._types import TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.decide.job_result import JobResult
from airflow_sentinelhub.api.decide.policy import LIMITS
from airflow_sentinelhub.operators._arguments import one_destination
from airflow_sentinelhub.operators._batch_payload import DescribesBatchJob
from airflow_sentinelhub.operators._whole_job import RunsWholeJob


class SentinelHubBatchOperator(DescribesBatchJob, RunsWholeJob, BaseOperator):
    """Run a whole job in one task: create, analyse, check the budget, start, wait, restart what failed, judge.

    - **Calls** what the operators of the single steps call, in their order; **start exactly once**.
    - **Returns** a `JobResult`: `{"request_id", "batch_api", "status", "tile_count", "processed", "failed",
      "failed_tiles", "estimated_pu", "expected_pu", "expected_pu_low", "expected_pu_high", "estimated_by",
      "processing_units", "restarts", "output_url", "checked"}`. `processing_units` is the real cost.
    - **On kill** the job is cancelled (v2: stopped), if `cancel_on_kill`, when a user has marked the task failed or
      success, or the run failed. After a clear, a restart of Airflow or a takeover by another triggerer it is left
      running for the next try. A worker has only some seconds to cancel: for pods, see docs/kubernetes.md.
    - **On timeout** (`timeout`, or `execution_timeout`, also while deferred) the job is cancelled (v2: stopped), if
      `cancel_on_timeout`, and the task fails without a retry. A job that was left running is found by a retry.
    - **On retry** it finds its request by the marker and continues from the request's status; nothing is paid twice. A
      job that a user or this task has cancelled or stopped is a final error: no retry starts it again.
    - **On clear** it continues with a running job that has not changed, cancels and replaces one that has, and creates
      a new one if the old one has ended. For a job that was stopped for its budget, see `on_over_budget`.

    :param process_request: Process API payload, as built by `airflow_sentinelhub.process_request()`.
    :param tiling_grid: tiling grid and resolution, from `airflow_sentinelhub.tiling_grid(grid_id, resolution)`.
    :param geopackage: v2 only, instead of `tiling_grid`: `s3://bucket/file.gpkg`, or the payload's `input` in full.
    :param destination: place of the results: `s3://bucket/path`, or the payload's `output` in full (v1: `output()`).
    :param output: old name of `destination`; Airflow itself calls the task's XCom `output`.
    :param bucket_name: short for a `destination` at the root of this bucket.
    :param area: GeoJSON, `[west, south, east, north]`, WKT, a geometry of shapely, or a file's name; docs/areas.md.
    :param simplify: metres by which the border of the area may move, so that it has at most 1,500 points.
    :param evalscript: its text, or the name or path of a file with it, in the folder of the DAG file or absolute.
    :param description: free text; the task appends its marker.
    :param aws_conn_id: `aws` connection that may write to the bucket and read it; v2 needs it or `iam_role_arn`.
    :param iam_role_arn: ARN of a role that may write to the bucket (v2 on AWS).
    :param payload_extra: further members of the payload, by the names that the service uses.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param request_id: id of an existing request to continue with; no argument above that describes a job is needed.
    :param max_processing_units: PU that the job may cost. A job that is expected to cost more is not started; one that
        exceeds it while it runs (v2) is stopped. None, set in the DAG itself: no limit. See docs/cost.md.
    :param max_processing_units_per_month: PU that all jobs of the DAG may cost in a calendar month (UTC); default: that
        of `[sentinelhub] max_processing_units_per_month`, else no limit. Looked at before the start; see docs/cost.md.
    :param on_over_budget: what happens if the cost exceeds a limit: `fail`, `skip`, or `stop` and succeed with what
        is done. A running job is stopped in each case. To go on later (v2), see docs/retries-and-clears.md.
    :param require_estimate: True: fail instead of starting a job whose cost cannot be estimated. False: only warn.
    :param max_restarts: restarts of the failed part at most; on v2 by a new request that skips finished tiles.
    :param max_failed_tiles: number of failed tiles that is accepted.
    :param min_success_ratio: share (0 to 1) of the tiles that must be processed.
    :param on_partial: what happens if more tiles have failed: `fail` the task, `skip` it, or `accept` any number.
    :param check_tiles: False: do not read the tiles at the end, so that on v2 the bucket need not be readable. A job
        that is DONE is then a success even if tiles have failed; their numbers are None, and `checked` is False.
    :param resume_stopped: what happens if the service stops the job (v2: no PU left, or unhealthy). `never`: the task
        fails; another try pays for the whole job again. `if_accepted`: start it again, and fail if the service refuses.
        `when_accepted`: wait in the worker while it refuses, at most an hour. What a user has stopped stays stopped.
    :param cancel_on_kill: cancel (v2: stop) the job if a user marks the task failed or success; see **On kill**.
    :param cancel_on_timeout: cancel (v2: stop) the job when `timeout` or `execution_timeout` is over.
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param poll_interval: seconds between polls.
    :param max_poll_interval: seconds that `poll_interval` may grow to while the end is far; see docs/at-scale.md.
    :param analysis_poll_interval: seconds between polls during analysis.
    :param timeout: maximal time for the whole job; None: no limit. All times may be seconds, a timedelta, or `PT5M`.
    :param max_unknown_time: seconds for which the status may be unreadable before the task fails; the job is left
        running. So long a PARTIAL job is waited for whose tiles are neither processed nor failed.
    :param report: True: write a report beside the output at the end; else `s3://bucket/path`; see docs/see-the-job.md.
    """

    template_fields: Sequence[str] = (
        "process_request",
        "tiling_grid",
        "geopackage",
        "destination",
        "bucket_name",
        "area",
        "simplify",
        "evalscript",
        "description",
        "aws_conn_id",
        "iam_role_arn",
        "payload_extra",
        "sentinelhub_conn_id",
        "batch_api",
        "request_id",
        "max_processing_units",
        "max_processing_units_per_month",
        "on_over_budget",
        "require_estimate",
        "max_restarts",
        "max_failed_tiles",
        "min_success_ratio",
        "on_partial",
        "check_tiles",
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
    limits = tuple(name for name in template_fields if name in LIMITS)
    reads_by = "check_tiles"

    def __init__(
        self,
        *,
        process_request: Templated[Mapping[str, Any]] | None = None,
        tiling_grid: Templated[Mapping[str, Any]] | None = None,
        geopackage: Templated[str | Mapping[str, Any]] | None = None,
        destination: Templated[str | Mapping[str, Any]] | None = None,
        bucket_name: Templated[str] | None = None,
        area: Any = None,
        simplify: Templated[float] | None = None,
        evalscript: Templated[str | os.PathLike[str]] | None = None,
        description: Templated[str] | None = None,
        aws_conn_id: Templated[str] | None = None,
        iam_role_arn: Templated[str] | None = None,
        payload_extra: Templated[Mapping[str, Any]] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        request_id: Templated[str] | None = None,
        max_processing_units: Templated[float] | None = None,
        max_processing_units_per_month: Templated[float] | None = None,
        on_over_budget: Templated[Literal["fail", "skip", "stop"]] = "fail",
        require_estimate: Templated[bool] = False,
        max_restarts: Templated[int] = 0,
        max_failed_tiles: Templated[int] | None = None,
        min_success_ratio: Templated[float] | None = None,
        on_partial: Templated[Literal["fail", "skip", "accept"]] = "fail",
        check_tiles: Templated[bool] = True,
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
        super().__init__(**kwargs)
        destination = one_destination(self.task_id, destination, output, kwargs.get("default_args"))
        self.process_request = process_request
        self.tiling_grid = tiling_grid
        self.geopackage = geopackage
        self.destination = destination
        self.bucket_name = bucket_name
        self.area = area
        self.simplify = simplify
        self.evalscript = evalscript
        self.description = description
        self.aws_conn_id = aws_conn_id
        self.iam_role_arn = iam_role_arn
        self.payload_extra = payload_extra
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.request_id = request_id
        self.max_processing_units = max_processing_units
        self.max_processing_units_per_month = max_processing_units_per_month
        self.on_over_budget = on_over_budget
        self.require_estimate = require_estimate
        self.max_restarts = max_restarts
        self.max_failed_tiles = max_failed_tiles
        self.min_success_ratio = min_success_ratio
        self.on_partial = on_partial
        self.check_tiles = check_tiles
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

    def execute(self, context: Context) -> JobResult:
        result: JobResult = self.run_whole_job(context)
        return result
