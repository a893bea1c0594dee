"""The arguments that describe a job, shared by all operators that create one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException, BaseOperator
from airflow_sentinelhub._task import (
    Kept,
    SentinelHubTask,
    could_be_any_airflow,
    mark_for,
    remember,
    remembered,
    tried,
)
from airflow_sentinelhub.operators._checks import check_patience
from airflow_sentinelhub.operators._times import check_dates, names_both_ends, run_of

if TYPE_CHECKING:
    from airflow_sentinelhub.api.adoption import Stopped
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.flows import Found
    from airflow_sentinelhub.api.jobs import Access
    from airflow_sentinelhub.api.marker import Mark
    from airflow_sentinelhub.api.snapshot import Snapshot


class JobOperator(SentinelHubTask, BaseOperator):
    """An operator that creates a request.

    :param process_request: Process API payload; `airflow_sentinelhub.process_request()` writes it for you.
    :param tiling_grid: `airflow_sentinelhub.tiling_grid(grid_id, resolution)`.
    :param geopackage: instead of a grid, `s3://bucket/file.gpkg`, or v2's `input` in full (v2 only).
    :param output: `s3://bucket/path`, or v1's output (`airflow_sentinelhub.output()`), or v2's in full.
    :param bucket_name: instead of output, the bucket alone.
    :param area: GeoJSON (a dict, or the name of a `.geojson` file beside the DAG) or `[west, south, east, north]`.
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
        "output_spec",
        "bucket_name",
        "area",
        "evalscript",
        "description",
        "aws_conn_id",
        "iam_role_arn",
        "payload_extra",
        "sentinelhub_conn_id",
        "batch_api",
    )
    template_ext: Sequence[str] = (".js", ".json", ".geojson")
    template_fields_renderers = {
        "process_request": "json",
        "tiling_grid": "json",
        "output_spec": "json",
        "area": "json",
        "evalscript": "js",
        "payload_extra": "json",
    }
    ui_color = "#dbeef4"
    reads_by = ""
    """Name of the argument by which the operator looks at what is in the bucket, empty if it never does."""

    def __init__(
        self,
        *,
        process_request: Mapping[str, Any] | str,
        tiling_grid: Mapping[str, Any] | None = None,
        geopackage: str | Mapping[str, Any] | None = None,
        output: str | Mapping[str, Any] | None = None,
        bucket_name: str | None = None,
        area: Any = None,
        evalscript: str | None = None,
        description: str | None = None,
        aws_conn_id: str | None = None,
        iam_role_arn: str | None = None,
        payload_extra: Mapping[str, Any] | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.process_request = process_request
        self._unrendered: Any = process_request
        self.tiling_grid = tiling_grid
        self.geopackage = geopackage
        self.output_spec = output  # BaseOperator.output is the task's XCom
        self.bucket_name = bucket_name
        self.area = area
        self.evalscript = evalscript
        self.description = description
        self.aws_conn_id = aws_conn_id
        self.iam_role_arn = iam_role_arn
        self.payload_extra = payload_extra
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        check_dates(process_request)
        self.max_unknown_time = max_unknown_time
        check_patience(self)

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """As Airflow's, but an address or a sentence that ends in `.json` is no file beside the DAG."""
        if isinstance(content, str) and content.endswith(tuple(self.template_ext)) and not _names_a_file(content):
            return self._render((jinja_env or self.get_template_env()).from_string(content), context)
        return super().render_template(content, context, jinja_env, seen_oids)

    def payload(self, context: Any) -> dict[str, Any]:
        """The payload of the create call. It may hold storage keys: it is neither kept nor logged."""
        from airflow_sentinelhub.api.jobs import Job, render
        from airflow_sentinelhub.api.payloads import dated

        process = as_json(self.process_request, "process_request")
        job = Job(
            process_request=dated(process, run_of(context), from_interval=names_both_ends(self, self._unrendered)),
            tiling_grid=_with_numbers(as_json(self.tiling_grid, "tiling_grid")),
            geopackage=self.geopackage,
            output=as_json(self.output_spec, "output") if _looks_like_json(self.output_spec) else self.output_spec,
            bucket_name=self.bucket_name,
            description=self.description,
            area=self.area,
            evalscript=self.evalscript,
            extra=as_json(self.payload_extra, "payload_extra") or {},
        )
        return render(job, self.api.name, None if self.api.name == "v1" else self._access())

    def find_or_create(self, context: Any) -> Found:
        """The one request of this task instance: an earlier try's, or a new one.

        First it looks whether there is one, then it checks the rest: a job that is at work goes on, also when the
        evalscript, the area, the GeoPackage or the bucket's connection cannot be read any more.
        """
        from airflow_sentinelhub.api.flows import find_or_create
        from airflow_sentinelhub.api.marker import job_digest

        mark = self.mark(context)
        self._may_have_started = tried(context) > 1
        if known := remembered(context, mark):
            self.pin(known.batch_api, known.place)
        elif tried(context) > 1:
            self._look_elsewhere(context, mark)
        payload, unfit = self._payload_or_error(context)
        if payload is not None:
            mark = replace(mark, job=job_digest(payload))

        def check() -> Flow[None]:
            if unfit is not None:
                raise unfit
            yield from self._checks(payload or {})

        since, stopped = _since(context, mark), self._stopped()
        found = self.patiently(
            lambda: find_or_create(
                self.api,
                payload or {},
                mark,
                since=since,
                remembered=known.request_id if known else None,
                stopped=stopped,
                check=check,
                patience=self.max_unknown_time,
            )
        )
        if unfit is not None:
            self.log.warning("What the task asks for now cannot be rendered: %s The request is gone on with.", unfit)
        verb = "Going on with" if found.adopted else "Created"
        why = f" ({found.why})" if found.adopted and found.why else ""
        self.log.info("%s batch request %s%s; marker %s", verb, found.job.request_id, why, mark)
        if not found.adopted and could_be_any_airflow():
            self.log.warning(
                "This Airflow has no name of its own ([sentinelhub] deployment, or a base URL): another one that runs "
                "this DAG on this account could take the request for its own once a task is cleared. Set one of them."
            )
        self.settled_on(context, mark, found.job)
        return found

    def mark(self, context: Any) -> Mark:
        """The marker of this try, for a job that is not rendered yet."""
        return mark_for(context, limit=self._limit())

    def _limit(self) -> float | None:
        """PU that the job may cost."""
        return None

    def settled_on(self, context: Any, mark: Mark, job: Snapshot) -> None:
        """From here on the task is about this request, at this place, until its round ends."""
        self.known, self._may_have_started = job, False
        self.pin(self.api.name)
        self._keep(context, mark, job.request_id)
        self.announce(context, job.request_id)

    def _keep(self, context: Any, mark: Mark, request_id: str, *, over: bool = False) -> None:
        remember(context, mark, Kept(request_id, self.api.name, self.hook.settings.place()), over=over)

    @contextmanager
    def ends_its_round(self, context: Any) -> Iterator[None]:
        """Note when the task ends, with a result or with an error that is not retried: after that comes a clear."""
        try:
            yield
        except (AirflowFailException, AirflowSkipException):
            self._note_end(context)
            raise
        self._note_end(context)

    def _note_end(self, context: Any) -> None:
        if self.about is not None:
            self._keep(context, self.mark(context), self.about, over=True)

    def _payload_or_error(self, context: Any) -> tuple[dict[str, Any] | None, Exception | None]:
        """The payload, or why there is none: whatever it is, it must not hide a request that is at work."""
        try:
            return self.payload(context), None
        except Exception as err:
            return None, err

    def _checks(self, payload: Mapping[str, Any]) -> Flow[None]:
        """What can be known to be wrong with a payload before anything is created."""
        from airflow_sentinelhub.api.call import Work

        yield from self._check_grid(payload)
        yield Work(lambda: self._check_geopackage(payload))
        yield Work(lambda: self._check_reader(payload))

    def _look_elsewhere(self, context: Any, mark: Mark) -> None:
        """Look for requests of this task in the other generation: an earlier try may have used it.

        One of this round is gone on with there. What a round before has left at work there is ended: the user has
        cleared the task, and this job is another one.
        """
        from airflow_sentinelhub.api.flows import end, own_requests
        from airflow_sentinelhub.api.generations import generation, others
        from airflow_sentinelhub.exceptions import ForbiddenError, NotFoundError

        since = _since(context, mark)
        for other in (generation(name) for name in others(self.api.name)):
            try:
                found = self.patiently(partial(own_requests, other, mark, since))
            except (NotFoundError, ForbiddenError):
                continue  # the deployment or the account has no such API, so there are no requests either
            for one in found:
                if one.current and (one.job.started or one.job.status.is_final):
                    self.log.warning(
                        "An earlier try has made batch request %s with batch %s; going on there until this round ends",
                        one.job.request_id,
                        other.name,
                    )
                    self.pin(other.name)
                    return
            for job in (one.job for one in found if one.job.started and not one.job.status.is_final):
                told = (job.request_id, other.name)
                self.log.warning("Batch request %s of before the clear is at work in batch %s; ending it", *told)
                self.patiently(partial(end, other, job.request_id), job.request_id)

    def _stopped(self) -> Stopped:
        """Which STOPPED requests this task goes on with: none."""
        from airflow_sentinelhub.api.adoption import NONE_STOPPED

        return NONE_STOPPED

    def continue_with(self, context: Any, first: Snapshot, *, restart: bool) -> Found:
        """The request that does what is missing of a v2 request (see `api.jobs.continuation`), found or created.

        :param restart: it restarts the failed part, which is counted; else it goes on with what was stopped.
        """
        from airflow_sentinelhub.api.flows import find_or_create
        from airflow_sentinelhub.api.jobs import continuation
        from airflow_sentinelhub.api.marker import job_digest, mark_of

        payload = self.payload(context)
        its = mark_of(first.description)
        mark = replace(
            self.mark(context),
            job=job_digest(payload),
            restarts=(its.restarts if its else 0) + restart,
            continues=first.request_id,
        )
        root = self._root_of(first)
        payload, since = continuation(payload, root), _since(context, mark)
        found = self.patiently(
            lambda: find_or_create(self.api, payload, mark, since=since, patience=self.max_unknown_time),
            first.request_id,
        )
        self.settled_on(context, mark, found.job)
        return found

    def _root_of(self, job: Snapshot) -> str:
        """Id of the first of the requests that continue each other."""
        from airflow_sentinelhub.api.flows import continued_by

        earlier = self.patiently(lambda: continued_by(self.api, job), job.request_id)
        return earlier[-1].request_id if earlier else job.request_id

    def _access(self) -> Access | None:
        from airflow_sentinelhub.hooks.storage import access_from

        return access_from(self.aws_conn_id, self.iam_role_arn)

    def _check_grid(self, payload: Mapping[str, Any]) -> Flow[None]:
        """Refuse a grid or a resolution that the deployment does not offer before anything is created."""
        from airflow_sentinelhub.api import batch, batch_v2
        from airflow_sentinelhub.api.flows import walk
        from airflow_sentinelhub.api.payloads import grid_complaint
        from airflow_sentinelhub.exceptions import InvalidInputError

        grid = payload.get("tilingGrid") or payload.get("input") or {}
        if "id" not in grid:
            return
        root = batch.ROOT if self.api.name == "v1" else batch_v2.ROOT
        grids = yield from walk(lambda token: batch.list_tiling_grids(root=root, viewtoken=token))
        if complaint := grid_complaint(grid, grids):
            raise InvalidInputError(complaint)

    def _check_geopackage(self, payload: Mapping[str, Any]) -> None:
        """Refuse a GeoPackage that breaks the service's rules, if we can read it; the service says no only later."""
        import tempfile
        from pathlib import Path

        from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError
        from airflow_sentinelhub.hooks.storage import bucket_reader
        from airflow_sentinelhub.results.geopackage import complaint_about

        given = payload.get("input") or {}
        url = ((given.get("features") or {}).get("s3") or {}).get("url")
        if given.get("type") != "geopackage" or not url:
            return
        with tempfile.TemporaryDirectory(prefix="sentinelhub-geopackage-") as folder:
            try:
                file = bucket_reader(self.aws_conn_id, self.hook.settings).fetch(url, Path(folder))
            except SentinelHubError as err:
                self.log.info("The GeoPackage could not be read here and is checked by the service only: %s", err)
                return
            if file is None:
                raise InvalidInputError(f"There is no GeoPackage at {url}; nothing was created.")
            if complaint := complaint_about(file, given.get("defaults")):
                raise InvalidInputError(f"GeoPackage {url}: {complaint} Nothing was created.")

    def _check_reader(self, payload: Mapping[str, Any]) -> None:
        """Say before anything is created that what the job will leave in the bucket cannot be read from here.

        Only for operators that look at it (`reads_by`), and only as far as that can be told without the bucket.
        """
        from airflow_sentinelhub.exceptions import SettingsError
        from airflow_sentinelhub.hooks.storage import bucket_reader

        flag = self.reads_by
        if self.api.name == "v1" or not flag or not getattr(self, flag):
            return
        output = payload.get("output") or {}
        places = (output.get("delivery") or output).values()
        url = next((place["url"] for place in places if isinstance(place, Mapping) and place.get("url")), None)
        try:
            if url:
                bucket_reader(self.aws_conn_id, self.hook.settings).ready(str(url))
        except SettingsError as err:
            raise SettingsError(
                f"What this job leaves in the bucket could not be read here: {err} Mend that (aws_conn_id, or "
                f"bucket_mount of the Sentinel Hub connection), or give {flag}=False to go without looking at it. This "
                "try has created nothing."
            ) from err


def _names_a_file(text: str) -> bool:
    return "://" not in text and " " not in text


def _with_numbers(grid: Any) -> Any:
    """A tiling grid whose numbers came out of templates as text."""
    if not isinstance(grid, Mapping):
        return grid
    return {name: _number(value) if name in _NUMBERS else value for name, value in grid.items()}


_NUMBERS = ("id", "resolution", "bufferX", "bufferY")


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def as_json(value: Any, name: str) -> Any:
    """A member of the payload: as it is, or the JSON that a template has rendered to."""
    import json

    from airflow_sentinelhub.exceptions import InvalidInputError

    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise InvalidInputError(f"{name} is text that is not JSON: {err}.") from None


def _looks_like_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{")


SKEW = timedelta(hours=1)
"""By how much the clocks of Airflow and the service may differ, with plenty to spare."""


def _since(context: Any, mark: Mark) -> datetime | None:
    """No request of this task is older than this; None if that cannot be told.

    A run that was never cleared has no request from before its start, however far its date lies back. A clear sets the
    run's times anew, but for `run_after` (Airflow 3), which is as old as the date of a run that catches up. 2.11 has
    nothing that lasts: after a clear its search is bounded by the number of pages alone.
    """
    run = context.get("dag_run")
    lasting, start = getattr(run, "run_after", None), getattr(run, "start_date", None)
    if mark.clears == 0 and isinstance(start, datetime):
        return start - SKEW
    if mark.clears and not isinstance(lasting, datetime):
        return None
    times: list[Any] = [lasting, start, getattr(run, "queued_at", None)]
    known = [time for time in times if isinstance(time, datetime)]
    return min(known) - SKEW if known else None
