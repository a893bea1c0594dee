"""Operators for batch statistical: the whole job in one task, and the list of what it has brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator, conf
from airflow_sentinelhub._identity import run_of
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors, checked_id, default_deferrable
from airflow_sentinelhub.api.call import Flow, Work, exchange
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.service.statistical import get_body, read_request
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification, dated
from airflow_sentinelhub.api.times import is_template, resolved
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._arguments import (
    check_patience,
    check_payload,
    check_status,
)
from airflow_sentinelhub.operators._batch_payload import CreatesRequest, as_json, json_or_text, one_destination
from airflow_sentinelhub.operators._times import check_dates, names_both_ends
from airflow_sentinelhub.operators._whole_job import RunsWholeJob
from airflow_sentinelhub.operators.tiles import chunked, rendered

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context

__all__ = ["SentinelHubBatchStatisticalOperator", "SentinelHubListStatisticsOperator"]

_STATUSES = ("OK", "FAILED")
_LIMITS = ("max_processing_units", "on_over_budget", "max_failed_features", "min_success_ratio", "on_partial")
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
"""Arguments of SentinelHubBatchOperator that mean nothing here, and what says it instead."""


class SentinelHubBatchStatisticalOperator(CreatesRequest, RunsWholeJob, BaseOperator):
    """Statistics over the features of a GeoPackage, the whole job in one task: create, analyse, start, wait, judge.

    - **Calls** the list of requests (to find its own), create, analyse, **start exactly once**, the request at each
      poll; then it reads the result of every feature from the bucket.
    - **Returns** `{"request_id", "batch_api", "status", "feature_count", "processed", "failed", "failed_features",
      "processing_units", "output_url", "checked"}`. `failed_features` are identifiers, a hundred at the most; `checked`
      tells whether the results were looked at.
    - **On kill** it finds out why. A user's hand (marked failed or success, the run marked failed): the job is
      stopped, if `cancel_on_kill`. A restart of Airflow, a takeover, a clear: it is left to the try that comes next.
      In a worker it asks for the stop for some seconds; docs/kubernetes.md says what that means for a pod.
    - **On timeout** (`timeout`, or `execution_timeout`, also while deferred) the job is stopped if
      `cancel_on_timeout`, and the task fails saying which, without a retry. A job that was left is found by the retry.
    - **On retry** it finds its request by the marker, which stands in the last line of the evalscript, and goes on
      where the last try was; nothing is paid twice. A job that was stopped, by a person or by this task, is a final
      error and no retry starts it again.
    - **On clear** it keeps a running job if it has not changed, replaces it if it has, and runs anew if it was at its
      end; for one that was stopped over the budget see `on_over_budget`.

    A feature has failed when its result is an error, when single intervals in it are errors, or when the GeoPackage
    has it and the bucket has no file of it for `max_unknown_time`. Results that cannot be read are read again for as
    long; then the task fails, and its next try reads again.

    :param geopackage: `s3://bucket/fields.gpkg` with the features, or the service's `features` in full.
    :param data: a data source such as `sentinel-2-l2a`, or the service's `data` objects
        (`airflow_sentinelhub.input_data()`).
    :param aggregation: time range, interval, resolution: `airflow_sentinelhub.aggregation()` writes it for you.
    :param calculations: percentiles and histograms by output, as the service takes them; min, max, mean and standard
        deviation come without.
    :param destination: `s3://bucket/path`, which stands for `<path>/<REQUEST_ID>/<ID>.json`, or a path with
        placeholders. :param output: its old name; Airflow's own `output` is the task's XCom.
    :param evalscript: its text, or the name of a `.js` file beside the DAG; :param description: free text.
    :param aws_conn_id: Airflow connection of type `aws` that may read the GeoPackage and write the results.
    :param iam_role_arn: role that may do so; :param payload_extra: further members of the payload.
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param request_id: go on with this request, instead of finding or creating one; nothing that describes the job is
        needed then.
    :param max_processing_units: PU that the job may cost. Nobody estimates: the cost is watched while it runs, and what
        is at work at the stop is billed too. None, or left out in the DAG: no limit; nothing out of a template is
        refused, as for every limit.
    :param on_over_budget: `fail`, `skip`, or `stop`: succeed with what is there. The job is stopped in each case. A
        clear with a higher limit starts the same request again, which does what is missing; for 30 minutes after the
        stop the service refuses that, and the task waits in its worker.
    :param max_failed_features: failed features that are accepted; :param min_success_ratio: share of features that
        must be done. :param on_partial: what happens when more has failed: `fail`, `skip`, or `accept`.
    :param check_features: False: features are not looked at when the job is done, so its bucket need not be readable.
        A job that the service calls DONE is a success then, whatever has failed in it: `feature_count`, `processed`,
        `failed` and `failed_features` are None, and `checked` is False.
    :param resume_stopped: what happens when the service stops the job by itself: `never`: the task fails, and another
        try pays for the whole job anew; `if_accepted`: the job is started again where it was, and the task fails if the
        service refuses that; `when_accepted`: it waits in this worker while the service refuses.
    :param cancel_on_kill, cancel_on_timeout: see above.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls; :param analysis_poll_interval: and during analysis.
    :param timeout: for the whole job, as timedelta or seconds.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the job runs on).
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
        *_LIMITS,
    )
    template_fields_renderers = {
        "data": "json",
        "aggregation": "json",
        "calculations": "json",
        "destination": "json",
        "evalscript": "js",
        "payload_extra": "json",
    }
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"
    batch_api = "statistical"
    limits = _LIMITS
    reads_by = "check_features"

    def __init__(
        self,
        *,
        geopackage: str | Mapping[str, Any] | None = None,
        data: Any = None,
        aggregation: Mapping[str, Any] | str | None = None,
        destination: str | Mapping[str, Any] | None = None,
        evalscript: str | None = None,
        calculations: Mapping[str, Any] | str | None = None,
        description: str | None = None,
        aws_conn_id: str | None = None,
        iam_role_arn: str | None = None,
        payload_extra: Mapping[str, Any] | str | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        request_id: str | None = None,
        max_processing_units: float | str | None = None,
        on_over_budget: str = "fail",
        max_failed_features: int | str | None = None,
        min_success_ratio: float | str | None = None,
        on_partial: str = "fail",
        check_features: bool = True,
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
        _refuse(kwargs)
        super().__init__(**kwargs)
        destination = one_destination(destination, output)
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
        self.on_over_budget = on_over_budget
        self.max_failed_features = max_failed_features
        self.min_success_ratio = min_success_ratio
        self.on_partial = on_partial
        self.check_features = check_features
        self.resume_stopped = resume_stopped
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.analysis_poll_interval = analysis_poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        self._unrendered = aggregation
        described = {"geopackage": geopackage, "data": data, "aggregation": aggregation, "destination": destination}
        missing = [name for name, value in described.items() if value is None]
        if request_id is None and missing:
            raise InvalidInputError(f"Give {', '.join(missing)}, or the request_id of a request that exists.")
        check_dates({"input": {"data": data}}, aggregation)
        check_payload(self)
        self.check_job()

    def execute(self, context: Context) -> dict[str, Any]:
        return self.run_whole_job(context)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As Airflow's, which makes the operator only when the task runs: an argument of other jobs is refused now."""
        _refuse(kwargs)
        return super().partial(**kwargs)

    def payload(self, context: Any, api: Generation) -> dict[str, Any]:
        """The payload of the create call. It may hold storage keys: it is neither kept nor logged."""
        run, aggregation = run_of(context), as_json(self.aggregation, "aggregation")
        job = StatisticalSpecification(
            geopackage=json_or_text(self.geopackage, "geopackage"),
            data=resolved(json_or_text(self.data, "data"), run),
            aggregation=dated(aggregation, run, from_interval=names_both_ends(self, self._unrendered)),
            output=json_or_text(self.destination, "destination"),
            evalscript=self.evalscript,
            calculations=as_json(self.calculations, "calculations"),
            description=self.description,
            extra=as_json(self.payload_extra, "payload_extra") or {},
        )
        return api.payload(job, self.access())

    def payload_checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """The GeoPackage by the rules for batch v2, which are these; sizes come from the aggregation."""
        features = payload["input"]["features"]
        given = {"type": "geopackage", "features": features, "defaults": {"width": 1, "height": 1}}
        yield Work(lambda: self.check_geopackage({"input": given}))
        yield Work(lambda: self.check_reader(payload))


class SentinelHubListStatisticsOperator(SentinelHubTask, BaseOperator):
    """List the results of a statistical request in chunks: `task.expand(fields=listing.output)` maps over them.

    - **Calls** the request; then it reads the result of every feature from the bucket.
    - **Returns** a list of lists of `{"request_id", "identifier", "id", "path", "status"}`, where `status` is `OK` or
      `FAILED`, with `error` where it failed. `path` is the feature's JSON file.
    - **On kill** nothing happens: it only reads.
    - **On timeout** (`execution_timeout`) the same.
    - **On retry** it reads anew.

    A bucket that cannot be read, and files that come a moment after the request is DONE, are waited for
    (`max_unknown_time`). A feature that has no file even then is listed as FAILED (`MISSING`); where no feature has
    one, or the GeoPackage that names them is gone, it is an error.

    :param request_id: the request.
    :param status: only `OK` (the default) or `FAILED` features; None, said so in the DAG, for all.
    :param chunk_size: features in a chunk. Left out: as few as keep the list within what Airflow maps over
        (`[core] max_map_length`).
    :param aws_conn_id: Airflow connection of type `aws` that may read the bucket.
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param max_unknown_time: seconds for which the service may be out of reach, or the bucket unreadable.
    """

    template_fields: Sequence[str] = ("request_id", "status", "chunk_size", "aws_conn_id", "sentinelhub_conn_id")
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"
    batch_api = "statistical"

    def __init__(
        self,
        *,
        request_id: str,
        status: str | None = "OK",
        chunk_size: int | None = None,
        aws_conn_id: str | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.status = status
        self.chunk_size = chunk_size
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.max_unknown_time = max_unknown_time
        self._given = [name for name in ("status", "chunk_size") if getattr(self, name) is not None]
        check_patience(self)
        if isinstance(status, str) and not is_template(status):
            check_status(status, _STATUSES)

    def execute(self, context: Context) -> list[list[dict[str, Any]]]:
        from airflow_sentinelhub.hooks.job_results import read_features
        from airflow_sentinelhub.hooks.sentinelhub import reader_now

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            status, size = rendered(self, _STATUSES)
            self.announce(context, request_id)
            request = self.patiently(lambda: exchange(get_body(request_id)), request_id)
            reader = partial(reader_now, self.sentinelhub_conn_id, self.aws_conn_id)
            read = read_features(request, read_request(request), reader, self.max_unknown_time)
            everything = ({"request_id": request_id, **item} for item in self.hook.run(read))
            items = [item for item in everything if status in (None, item["status"])]
            chunks = chunked(items, size, conf.getint("core", "max_map_length", fallback=1024))
            self.log.info("Batch request %s: %d features in %d chunks", request_id, len(items), len(chunks))
            return chunks


def _refuse(given: Mapping[str, Any]) -> None:
    """:raises InvalidInputError: an argument of other jobs."""
    for name, instead in _INSTEAD.items():
        if name in given:
            raise InvalidInputError(f"SentinelHubBatchStatisticalOperator takes no {name}: {instead}.")
