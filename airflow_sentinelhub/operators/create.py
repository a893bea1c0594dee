"""`SentinelHubCreateBatchOperator`: find or create the request of a job whose steps are tasks of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub.api.decide.adoption import ended_by_hand
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.verdict import Waited, judge
from airflow_sentinelhub.api.flows.task_request import find_own
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._arguments import check_patience, check_payload
from airflow_sentinelhub.operators._batch_payload import DescribesBatchJob, one_destination
from airflow_sentinelhub.operators._on_request import StepResult, step_result
from airflow_sentinelhub.operators._times import check_dates

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context


class SentinelHubCreateBatchOperator(DescribesBatchJob, BaseOperator):
    """Create a batch request, or find the one that an earlier try of this task has created. Free of charge.

    - **Calls** the list of tiling grids, the list of requests (to find its own), then create.
    - **Returns** a `StepResult`; the id is also pushed as `request_id` the moment it is known.
    - **On kill** nothing runs at the service: a request that is not started costs nothing.
    - **On timeout** the same.
    - **On retry** it finds the request by its marker in the description. A task that was cleared makes a new request
      only if the job has changed or the old one has been used up.

    :param process_request: Process API payload; `airflow_sentinelhub.process_request()` writes it for you.
    :param tiling_grid: `airflow_sentinelhub.tiling_grid(grid_id, resolution)`.
    :param geopackage: instead of a grid, `s3://bucket/file.gpkg`, or v2's `input` in full (v2 only).
    :param destination: where the results go: `s3://bucket/path`, or v1's output (`airflow_sentinelhub.output()`), or
        v2's in full. :param output: its old name; Airflow's own `output` is the task's XCom.
    :param bucket_name: instead of a destination, the bucket alone.
    :param area: GeoJSON (a dict, or the name of a `.geojson` file beside the DAG), `[west, south, east, north]`, WKT, a
        shape of shapely or geopandas, or a GeoPackage, Shapefile or GeoParquet beside the DAG; see docs/areas.md.
    :param simplify: metres by which the border of the area may move, so that it has fewer points (1,500 at the most).
    :param evalscript: its text, or the name of a `.js` file beside the DAG.
    :param description: free text; the marker of the task is put behind it.
    :param aws_conn_id: Airflow connection of type `aws` whose keys may write to the bucket (v2 needs it or a role).
    :param iam_role_arn: role that may write to the bucket (v2 on AWS).
    :param payload_extra: further members of the payload, as the service calls them.
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
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
    )
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"

    def __init__(
        self,
        *,
        process_request: Mapping[str, Any] | str,
        tiling_grid: Mapping[str, Any] | str | None = None,
        geopackage: str | Mapping[str, Any] | None = None,
        destination: str | Mapping[str, Any] | None = None,
        bucket_name: str | None = None,
        area: Any = None,
        simplify: float | str | None = None,
        evalscript: str | None = None,
        description: str | None = None,
        aws_conn_id: str | None = None,
        iam_role_arn: str | None = None,
        payload_extra: Mapping[str, Any] | str | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        output: str | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        destination = one_destination(destination, output)
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
        self._unrendered = process_request
        check_dates(process_request)
        check_payload(self)
        check_patience(self)

    def execute(self, context: Context) -> StepResult:
        with self.ends_its_round(context), airflow_errors(self):
            self._may_have_started = tried(context) > 1
            wanted = self.wanted(context)  # first: it may go to another generation or place, with another hook
            own = self.hook.run(find_own(self.api, wanted))
            self.settle_on(context, own)
            job = own.settled.job
            if ended_by_hand(job):
                conclude(Waited(judge(job), job), job.request_id, "created")
            return step_result(job)
