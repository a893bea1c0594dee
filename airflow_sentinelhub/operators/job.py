"""`SentinelHubBatchOperator`: the whole job in one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import default_deferrable
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._arguments import check_payload
from airflow_sentinelhub.operators._batch_payload import DescribesBatchJob, one_destination
from airflow_sentinelhub.operators._times import check_dates
from airflow_sentinelhub.operators._whole_job import RunsWholeJob

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context

_LIMITS = (
    "max_processing_units",
    "on_over_budget",
    "max_restarts",
    "max_failed_tiles",
    "min_success_ratio",
    "on_partial",
)


class SentinelHubBatchOperator(DescribesBatchJob, RunsWholeJob, BaseOperator):
    """The whole job in one task: create, analyse, check the budget, start, wait, restart what failed, judge.

    - **Calls** everything that the single steps call, in their order; **start exactly once**.
    - **Returns** `{"request_id", "batch_api", "status", "tile_count", "processed", "failed", "failed_tiles",
      "estimated_pu", "expected_pu", "processing_units", "restarts", "output_url", "checked"}`. `failed_tiles` are
      names, a hundred at the most; `checked` tells whether single tiles were looked at.
    - **On kill** it finds out why. A user's hand (marked failed or success, the run marked failed): the job is
      cancelled, if `cancel_on_kill`. A restart of Airflow, a takeover, a clear: it is left to the try that comes next.
      In a worker it asks for the cancel for some seconds; docs/kubernetes.md says what that means for a pod.
    - **On timeout** (`timeout`, or `execution_timeout`, also while deferred) the job is cancelled if
      `cancel_on_timeout`, and the task fails saying which, without a retry. A job that was left is found by the retry.
    - **On retry** it finds its request by the marker and goes on where the last try was; nothing is paid twice. A job
      that was cancelled or stopped, by a person or by this task, is a final error and no retry starts it again.
    - **On clear** it keeps a running job if it has not changed, replaces it if it has, and runs anew if it was at its
      end; for one that was stopped over the budget see `on_over_budget`.

    What describes the job:

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

    How it is run:

    :param request_id: go on with this request, instead of finding or creating one; nothing that describes the job is
        needed then.
    :param max_processing_units: PU that the job may cost. v1 estimates before the start: a third of its estimate,
        the expected cost, is compared. v2 does not estimate: the cost is watched while it runs, over all requests of
        the job. It is stopped when a poll has seen that, and what is at work then is billed too; a job that was done
        before stays a success, with a warning. None, or left out in the DAG: no limit. As every limit it is refused
        where its template, or the task that it comes from, has made nothing of it.
    :param on_over_budget: `fail`, `skip`, or `stop`: end the job and succeed with what is there. A running job is
        stopped in each case. A clear with a higher limit then has only done what is missing (v2), and what was paid
        counts; with the same limit it pays nothing; with another job it starts anew.
    :param max_restarts: how often the failed part is restarted: a PARTIAL job on v1; on v2, which has no restart, by a
        new request over the same output that skips what is there.
    :param max_failed_tiles: failed tiles that are accepted; :param min_success_ratio: share of tiles that must be
        done. :param on_partial: what happens when more has failed: `fail`, `skip`, or `accept`. Tiles of a PARTIAL job
        that are neither done nor failed are waited for, `max_unknown_time` long.
    :param check_tiles: False: tiles are not looked at when the job is done, so on v2 its bucket need not be readable.
        What the service calls DONE is a success then, whatever has failed in it: `tile_count`, `processed`, `failed`
        and `failed_tiles` are None, and `checked` is False. True: tiles that cannot be read are read again for
        `max_unknown_time`; then the task fails, and its next try reads again.
    :param resume_stopped: what happens when the service stops the job because the account has run out of PU, or as
        unhealthy (v2): `never`: the task fails, and another try pays for the whole job anew; `if_accepted`: the job is
        started again where it was, and the task fails if the service refuses that; `when_accepted`: it waits in this
        worker while the service refuses, an hour at the most. What a person has stopped stays so until the task is
        cleared, which runs the job anew.
    :param cancel_on_kill: see above; :param cancel_on_timeout: see above.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls; :param analysis_poll_interval: and during analysis.
    :param timeout: for the whole job, as timedelta or seconds.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the job runs on).

    Bound the number of jobs at a time with a `pool` or
    `max_active_tis_per_dag`; a deferred task occupies its pool slot only if the pool includes deferred tasks.
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
        *_LIMITS,
    )
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"
    limits = _LIMITS
    reads_by = "check_tiles"

    def __init__(
        self,
        *,
        process_request: Mapping[str, Any] | str | None = None,
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
        request_id: str | None = None,
        max_processing_units: float | str | None = None,
        on_over_budget: str = "fail",
        max_restarts: int | str = 0,
        max_failed_tiles: int | str | None = None,
        min_success_ratio: float | str | None = None,
        on_partial: str = "fail",
        check_tiles: bool = True,
        resume_stopped: str = "never",
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 60.0,
        analysis_poll_interval: float = 10.0,
        timeout: timedelta | float | None = None,
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
        self.request_id = request_id
        self.max_processing_units = max_processing_units
        self.on_over_budget = on_over_budget
        self.max_restarts = max_restarts
        self.max_failed_tiles = max_failed_tiles
        self.min_success_ratio = min_success_ratio
        self.on_partial = on_partial
        self.check_tiles = check_tiles
        self.resume_stopped = resume_stopped
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.analysis_poll_interval = analysis_poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        self._unrendered = process_request
        if process_request is None and request_id is None:
            raise InvalidInputError("Give process_request and what else describes the job, or request_id.")
        check_dates(process_request)
        check_payload(self)
        self.check_job()

    def execute(self, context: Context) -> dict[str, Any]:
        return self.run_whole_job(context)
