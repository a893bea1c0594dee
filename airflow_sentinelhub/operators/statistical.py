"""Operators for batch statistical: the whole job in one task, and the list of what it has brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator, conf
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors, checked_id
from airflow_sentinelhub.api.times import is_template
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._checks import arguments_of, check_patience, check_status
from airflow_sentinelhub.operators._job import as_json
from airflow_sentinelhub.operators._statistics import Statistics, read_features, statistics_of, too_many_failed
from airflow_sentinelhub.operators._times import check_dates, names_both_ends, run_of
from airflow_sentinelhub.operators.job import SentinelHubBatchOperator
from airflow_sentinelhub.operators.tiles import chunked, rendered

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context
    from airflow_sentinelhub.api.decide.policy import Policy
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.exceptions import JobPartialError

_STATUSES = ("OK", "FAILED")

__all__ = ["SentinelHubBatchStatisticalOperator", "SentinelHubListStatisticsOperator"]

_INSTEAD = {
    "process_request": "say what to compute with data, evalscript, aggregation and calculations",
    "tiling_grid": "the features of geopackage are computed one by one, and aggregation says at which resolution",
    "area": "the features of geopackage are the areas",
    "bucket_name": "name the bucket in output='s3://bucket/path'",
    "batch_api": "it is batch statistical always; SentinelHubBatchOperator does jobs of batch v1 and v2",
    "max_restarts": "the service has no restart of failed features; accept them with max_failed_features, "
    "min_success_ratio or on_partial, or clear the task to run the job anew",
    "max_failed_tiles": "a statistical job has features and no tiles: max_failed_features",
    "check_tiles": "a statistical job has features and no tiles: check_features",
}
"""Arguments of SentinelHubBatchOperator that mean nothing here, and what says it instead."""


class SentinelHubBatchStatisticalOperator(SentinelHubBatchOperator):
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
    :param output: `s3://bucket/path`, which stands for `<path>/<REQUEST_ID>/<ID>.json`, or a path with placeholders.
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

    For `evalscript`, `description`, `aws_conn_id` (which must read the GeoPackage and write the results),
    `iam_role_arn`, `payload_extra` and `sentinelhub_conn_id` see `JobOperator`; for `request_id`, `deferrable`, the
    intervals, times and `resume_stopped` see `SentinelHubBatchOperator`.
    """

    template_fields: Sequence[str] = (
        "geopackage",
        "data",
        "aggregation",
        "calculations",
        "output_spec",
        "evalscript",
        "description",
        "aws_conn_id",
        "iam_role_arn",
        "payload_extra",
        "sentinelhub_conn_id",
        "request_id",
        "max_processing_units",
        "on_over_budget",
        "max_failed_features",
        "min_success_ratio",
        "on_partial",
    )
    reads_by = "check_features"
    template_fields_renderers = {
        "data": "json",
        "aggregation": "json",
        "calculations": "json",
        "output_spec": "json",
        "evalscript": "js",
        "payload_extra": "json",
    }

    def __init__(
        self,
        *,
        geopackage: str | Mapping[str, Any],
        data: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        aggregation: Mapping[str, Any] | str,
        output: str | Mapping[str, Any],
        evalscript: str | None = None,
        calculations: Mapping[str, Any] | str | None = None,
        max_failed_features: int | str | None = None,
        check_features: bool = True,
        **kwargs: Any,
    ) -> None:
        _refuse(kwargs)
        # Said all the same: what is not, Airflow takes from the DAG's default_args, which are for other operators.
        parent = arguments_of(SentinelHubBatchOperator)
        ours = {name: parent[name].default for name in _INSTEAD if name in parent}
        ours |= {"process_request": {}, "batch_api": "statistical"}
        ours |= {"max_failed_tiles": max_failed_features, "check_tiles": check_features}
        super().__init__(geopackage=geopackage, output=output, evalscript=evalscript, **ours, **kwargs)
        self.data = data
        self.aggregation = aggregation
        self._unrendered = aggregation
        check_dates({"input": {"data": data}}, aggregation)
        self.calculations = calculations
        self.max_failed_features = max_failed_features
        self.check_features = check_features

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As Airflow's, which makes the operator only when the task runs."""
        _refuse(kwargs)
        return super().partial(**kwargs)

    def payload(self, context: Any) -> dict[str, Any]:
        """The payload of the create call. It may hold storage keys: it is neither kept nor logged."""
        from airflow_sentinelhub.api.service.statistical_specification import StatisticalJob, dated, render_statistical
        from airflow_sentinelhub.api.times import resolved

        run, aggregation = run_of(context), as_json(self.aggregation, "aggregation")
        job = StatisticalJob(
            geopackage=_json_or_text(self.geopackage, "geopackage"),
            data=resolved(_json_or_text(self.data, "data"), run),
            aggregation=dated(aggregation, run, from_interval=names_both_ends(self, self._unrendered)),
            output=_json_or_text(self.output_spec, "output"),
            evalscript=self.evalscript,
            calculations=as_json(self.calculations, "calculations"),
            description=self.description,
            extra=as_json(self.payload_extra, "payload_extra") or {},
        )
        return render_statistical(job, self._access())

    def _check_geopackage(self, payload: Mapping[str, Any]) -> None:
        """By the rules for batch v2, which are these; sizes come from the aggregation."""
        features = payload["input"]["features"]
        given = {"type": "geopackage", "features": features, "defaults": {"width": 1, "height": 1}}
        super()._check_geopackage({"input": given})

    def _needs_a_look(self, batch_api: str | None) -> dict[str, Any]:
        return {"max_failed_features": self.max_failed_tiles, "min_success_ratio": self.min_success_ratio}

    def _policy(self) -> Policy:
        self.max_failed_tiles = self.max_failed_features
        return super()._policy()

    def _found(self, job: Snapshot, *, must: bool = True) -> Statistics:
        """What the job has brought and cost."""
        how: dict[str, Any] = {"patience": self.max_unknown_time, "look": self.check_features, "must": must}
        return statistics_of(self.hook, job, self.aws_conn_id, self.log, **how)

    def _too_many_failed(self, found: Any) -> JobPartialError:
        return too_many_failed(found)


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
        from airflow_sentinelhub.api.call import exchange
        from airflow_sentinelhub.api.service.statistical import get_body, read_request

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            status, size = rendered(self, _STATUSES)
            self.announce(context, request_id)
            request = self.patiently(lambda: exchange(get_body(request_id)), request_id)
            read = read_features(self.hook, request, read_request(request), self.aws_conn_id, self.max_unknown_time)
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


def _json_or_text(value: Any, name: str) -> Any:
    """A member of the payload in either form: a word or an address as it is, JSON that came out of a template read."""
    return as_json(value, name) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
