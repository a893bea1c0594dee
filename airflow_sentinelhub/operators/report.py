"""`SentinelHubBatchReportOperator`: write the report of a request beside its output."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow_sentinelhub._compat import Context
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered, TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.arguments import ON_UNWRITTEN
from airflow_sentinelhub.api.flows.read import read_patiently
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError
from airflow_sentinelhub.operators._on_request import OnRequest, StepResult, step_result
from airflow_sentinelhub.operators._report import check_form, put_report, warn_unwritten


class ReportResult(StepResult):
    """The result of the report.

    :param report: URL of its file in the bucket; None if it could not be written.
    """

    report: str | None


class SentinelHubBatchReportOperator(OnRequest):
    """Write the report of a request to the bucket: its tiles on a map, cost and progress, as one file.

    The file needs neither a network nor Airflow. On Airflow 2.11 and 3.0 the link "Sentinel Hub job" leads to it.

    - **Calls** the request and its tiles (v1), or reads them from the bucket (v2, statistical); then it writes the file
      with the keys of `aws_conn_id`, which need s3:PutObject.
    - **Returns** a `ReportResult`.
    - **On kill** and **on timeout** (`execution_timeout`) the request is left as it is: the operator only reads it.
    - **On retry** it writes the file anew.

    Tiles that cannot be read are left out, and the report says why. `report=True` at an operator of a whole job writes
    the same, without a task of its own.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param report: True: `report-<id>.html` beside the output of the request. Else `s3://bucket/path`: a folder, or a
        file that ends in `.html`, `.svg`, `.png` (extra `png`) or `.geojson`; `<requestId>` in it stands for the id.
    :param on_unwritten: what happens if the file cannot be written: `warn`: the task succeeds with a warning, so that
        no finished job is taken for failed; or `fail` the task.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read and write the bucket.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1`, `v2` or `statistical`; default: that of the connection.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, "report", "on_unwritten", "aws_conn_id")
    report: Rendered[bool | str | None]
    on_unwritten: Rendered[str]
    aws_conn_id: Rendered[str | None]
    words = {"on_unwritten": ON_UNWRITTEN}

    def __init__(
        self,
        *,
        request_id: Templated[str],
        report: Templated[bool | str] = True,
        on_unwritten: Templated[str] = "warn",
        aws_conn_id: Templated[str] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.report = report
        self.on_unwritten = on_unwritten
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        with self.literals():
            _check(report)

    def execute(self, context: Context) -> ReportResult:
        with airflow_errors(self):
            self.take_arguments()
            given = True if self.report is None else self.report
            _check(given)
            check_form(given)
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            job = self.patiently(lambda: read_patiently(self.api, request_id), request_id)
            url: str | None = None
            try:
                url = put_report(self, context, job, given)
            except SentinelHubError as err:
                if self.on_unwritten == "fail":
                    raise
                warn_unwritten(self, job, err)
            else:
                self.log.info("Report of batch request %s: %s", request_id, url)
            return {**step_result(job), "report": url}


def _check(report: Any) -> None:
    """:raises InvalidInputError: no report is asked for, which would leave nothing to do."""
    if report is False:
        raise InvalidInputError("report is True or a place in a bucket here, not False: nothing else is done.")
