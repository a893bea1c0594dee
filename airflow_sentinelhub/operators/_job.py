"""The arguments that describe a job, shared by all operators that create one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.operators._checks import check_patience
from airflow_sentinelhub.operators._finding import FindsRequest
from airflow_sentinelhub.operators._times import check_dates, names_both_ends, run_of

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.service.specification import Access


class JobOperator(FindsRequest, BaseOperator):
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
        from airflow_sentinelhub.api.service.payloads import dated
        from airflow_sentinelhub.api.service.specification import Job, render

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

    def _checks(self, payload: Mapping[str, Any]) -> Flow[None]:
        """What can be known to be wrong with a payload before anything is created."""
        from airflow_sentinelhub.api.call import Work

        yield from self._check_grid(payload)
        yield Work(lambda: self._check_geopackage(payload))
        yield Work(lambda: self._check_reader(payload))

    def _access(self) -> Access | None:
        from airflow_sentinelhub.hooks.storage import access_from

        return access_from(self.aws_conn_id, self.iam_role_arn)

    def _check_grid(self, payload: Mapping[str, Any]) -> Flow[None]:
        """Refuse a grid or a resolution that the deployment does not offer before anything is created."""
        from airflow_sentinelhub.api.flows.read import walk
        from airflow_sentinelhub.api.service import v1, v2
        from airflow_sentinelhub.api.service.payloads import grid_complaint
        from airflow_sentinelhub.exceptions import InvalidInputError

        grid = payload.get("tilingGrid") or payload.get("input") or {}
        if "id" not in grid:
            return
        root = v1.ROOT if self.api.name == "v1" else v2.ROOT
        grids = yield from walk(lambda token: v1.list_tiling_grids(root=root, viewtoken=token))
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
