"""`SentinelHubCreateBatchOperator`: find or create the request of a job whose steps are separate tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_sentinelhub._compat import BaseOperator, Context
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub._types import TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.decide.adoption import ended_by_hand
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.verdict import Waited, judge
from airflow_sentinelhub.api.flows.task_request import find_own
from airflow_sentinelhub.links import LINKS
from airflow_sentinelhub.operators._arguments import check_payload, one_destination
from airflow_sentinelhub.operators._batch_payload import DescribesBatchJob
from airflow_sentinelhub.operators._on_request import StepResult, step_result


class SentinelHubCreateBatchOperator(DescribesBatchJob, BaseOperator):
    """Create a batch request, or find the one that an earlier try of this task has created. Free of charge.

    - **Calls** the list of tiling grids, the list of requests (to find the task's own), then create.
    - **Returns** a `StepResult`. It pushes the id to XCom as `request_id` as soon as it is known.
    - **On kill** and **on timeout** (`execution_timeout`) the request may have been created or not; a request that is
      not started costs nothing.
    - **On retry** it finds the request by the task's marker in its description. After a clear it creates a new request
      only if the job has changed or the old request has ended.

    :param process_request: Process API payload, as built by `airflow_sentinelhub.process_request()`.
    :param tiling_grid: tiling grid and resolution, from `airflow_sentinelhub.tiling_grid(grid_id, resolution)`.
    :param geopackage: v2 only, instead of `tiling_grid`: `s3://bucket/file.gpkg`, or the payload's `input` in full.
    :param destination: place of the results: `s3://bucket/path`, or the `output` of the payload in full (v1:
        `airflow_sentinelhub.output()`).
    :param output: old name of `destination`; Airflow itself calls the task's XCom `output`.
    :param bucket_name: short for a `destination` at the root of this bucket.
    :param area: GeoJSON (a dict, or the name of a `.geojson` file in the folder of the DAG file), a bounding box
        `[west, south, east, north]`, WKT, a geometry of shapely or geopandas, or a GeoPackage, Shapefile or GeoParquet
        file; see docs/areas.md.
    :param simplify: metres by which the border of the area may move, so that it has at most 1,500 points.
    :param evalscript: its text, or the name or path of a file with it, in the folder of the DAG file or absolute.
    :param description: free text; the task appends its marker.
    :param aws_conn_id: id of an Airflow connection of type `aws` whose keys may write to the bucket. v2 needs this or
        `iam_role_arn`.
    :param iam_role_arn: ARN of a role that may write to the bucket (v2 on AWS).
    :param payload_extra: further members of the payload, by the names that the service uses.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
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
        "max_unknown_time",
    )
    operator_extra_links = LINKS
    ui_color = "#dbeef4"

    def __init__(
        self,
        *,
        process_request: Templated[Mapping[str, Any]],
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
        max_unknown_time: Templated[float | timedelta] = 1800.0,
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
        self.max_unknown_time = max_unknown_time
        with self.literals():
            check_payload(self)

    def execute(self, context: Context) -> StepResult:
        with self.ends_its_round(context), airflow_errors(self):
            self.take_arguments()
            self._may_have_started = tried(context) > 1
            wanted = self.wanted(context)  # must come first: it may change the generation, the deployment and the hook
            own = self.hook.run(find_own(self.api, wanted))
            self.settle_on(context, own)
            job = own.settled.job
            if ended_by_hand(job):
                conclude(Waited(judge(job), job), job.request_id, "created")
            return step_result(job)
