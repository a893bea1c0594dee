"""How the arguments of a batch job become the payload of its create call, and what is checked before that."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_sentinelhub._identity import run_of
from airflow_sentinelhub.api.area_reading import is_name_of_file
from airflow_sentinelhub.api.areas import kept_area
from airflow_sentinelhub.api.call import Flow, Work
from airflow_sentinelhub.api.flows.task_request import check_grid
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.service.payloads import dated
from airflow_sentinelhub.api.service.specification import Access, BatchSpecification
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError, SettingsError
from airflow_sentinelhub.operators._arguments import renamed
from airflow_sentinelhub.operators._own_request import OwnsRequest
from airflow_sentinelhub.operators._times import names_both_ends


class CreatesRequest(OwnsRequest):
    """Mixed into operators that create a request of any kind: files beside the DAG, the bucket, its GeoPackage."""

    template_ext: Sequence[str] = (".js", ".json", ".geojson")
    aws_conn_id: str | None
    iam_role_arn: str | None
    reads_by = ""
    """Name of the argument by which the operator looks at what is in the bucket, empty if it never does."""

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As Airflow's; an argument by its old name becomes the template field, so that its tasks come first."""
        return super().partial(**renamed(kwargs))  # type: ignore[misc]

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """As Airflow's, but an address or a sentence that ends in `.json` is no file beside the DAG.

        A path stays one: Airflow 3.0 takes whatever has a method `resolve` for the output of a task.
        """
        if isinstance(content, os.PathLike):
            return content
        if isinstance(content, str) and content.endswith(tuple(self.template_ext)) and not _names_a_file(content):
            content += "{# a text, no file #}"  # Airflow takes what ends in such a way for the name of a file
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]

    def access(self) -> Access | None:
        """The right to write to the bucket, for the payload."""
        from airflow_sentinelhub.hooks.storage import access_from

        return access_from(self.aws_conn_id, self.iam_role_arn)

    def check_geopackage(self, payload: Mapping[str, Any]) -> None:
        """Refuse a GeoPackage that breaks the service's rules, if we can read it; the service says no only later."""
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

    def check_reader(self, payload: Mapping[str, Any]) -> None:
        """Say before anything is created that what the job will leave in the bucket cannot be read from here.

        Only for operators that look at it (`reads_by`), and only as far as that can be told without the bucket.
        """
        from airflow_sentinelhub.hooks.storage import bucket_reader

        flag = self.reads_by
        if not flag or not getattr(self, flag):
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


class DescribesBatchJob(CreatesRequest):
    """Mixed into operators that create a request of batch v1 or v2, described by the arguments below.

    Both operators name them in their own signatures; what they mean stands in their docstrings.
    """

    process_request: Mapping[str, Any] | str | None
    tiling_grid: Mapping[str, Any] | str | None
    geopackage: str | Mapping[str, Any] | None
    destination: str | Mapping[str, Any] | None
    bucket_name: str | None
    area: Any
    simplify: float | str | None
    evalscript: str | None
    description: str | None
    payload_extra: Mapping[str, Any] | str | None
    _unrendered: Any

    template_fields_renderers = {
        "process_request": "json",
        "tiling_grid": "json",
        "destination": "json",
        "area": "json",
        "evalscript": "js",
        "payload_extra": "json",
    }

    def payload(self, context: Any, api: Generation) -> dict[str, Any]:
        """The payload of the create call. It may hold storage keys: it is neither kept nor logged."""
        process = as_json(self.process_request, "process_request")
        kept, tolerance = kept_area(process)
        job = BatchSpecification(
            process_request=dated(process, run_of(context), from_interval=names_both_ends(self, self._unrendered)),
            tiling_grid=_with_numbers(as_json(self.tiling_grid, "tiling_grid")),
            geopackage=self.geopackage,
            output=json_or_text(self.destination, "destination"),
            bucket_name=self.bucket_name,
            description=self.description,
            area=beside(self, kept if self.area is None else self.area),
            simplify=tolerance if self.simplify is None else self.simplify,
            evalscript=self.evalscript,
            extra=as_json(self.payload_extra, "payload_extra") or {},
        )
        return api.payload(job, self.access() if api.needs_access else None)

    def payload_checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """What can be known to be wrong with a payload before anything is created."""
        yield from check_grid(api, payload)
        yield Work(lambda: self.check_geopackage(payload))
        if api.results == "bucket":
            yield Work(lambda: self.check_reader(payload))


def _names_a_file(text: str) -> bool:
    """Whether Airflow looks for the file beside the DAG. A path from the root is that of an area, see `beside`."""
    from_root = not text.endswith(".js") and os.path.isabs(text) and os.path.isfile(text)
    return "://" not in text and " " not in text and not from_root


def beside(task: Any, area: Any) -> Any:
    """The path of an area that is named like a file and lies beside the DAG, or in its search path; else the area."""
    if not isinstance(area, os.PathLike) and not (isinstance(area, str) and is_name_of_file(area)):
        return area
    folders = getattr(task.get_template_env().loader, "searchpath", ())
    paths = [Path(folder, os.fspath(area)) for folder in folders]
    return next((path for path in paths if os.path.isfile(path)), area)


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
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise InvalidInputError(f"{name} is text that is not JSON: {err}.") from None


def json_or_text(value: Any, name: str) -> Any:
    """A member of the payload in either form: a word or an address as it is, JSON that came out of a template read."""
    return as_json(value, name) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value


def one_destination(destination: Any, output: Any) -> Any:
    """Where the results go, by its name or by the one that it had before.

    :raises InvalidInputError: both are given.
    """
    if destination is not None and output is not None:
        raise InvalidInputError("Give destination; output is its old name, and both are given.")
    return destination if output is None else output
