"""Build the payload of a create call from the arguments of an operator, and check it before anything is created."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
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
from airflow_sentinelhub.exceptions import InvalidInputError, SettingsError
from airflow_sentinelhub.operators._arguments import renamed
from airflow_sentinelhub.operators._own_request import OwnsRequest
from airflow_sentinelhub.operators._times import names_both_ends


class CreatesRequest(OwnsRequest):
    """Mixed into operators that create a request of any kind: template files, credentials, GeoPackage checks."""

    template_ext: Sequence[str] = (".js", ".json", ".geojson")
    aws_conn_id: str | None
    iam_role_arn: str | None
    reads_by = ""
    """Name of the argument that switches the reading of the results on or off; empty if the operator reads none."""

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Like Airflow's `partial`, but takes `output` as `destination`, whose values create task dependencies."""
        return super().partial(**renamed(kwargs))  # type: ignore[misc]

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Like Airflow's, but a URL or a sentence that ends in `.json` is not taken for the name of a template file.

        A path object stays one: Airflow 3.0 takes whatever has a method `resolve` for the output of a task.
        """
        if isinstance(content, os.PathLike):
            return content
        if isinstance(content, str) and content.endswith(tuple(self.template_ext)) and not _names_a_file(content):
            content += "{# a text, no file #}"  # Airflow reads every text with this ending as the name of a file
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]

    def access(self) -> Access | None:
        """The credentials for the bucket, which the payload contains."""
        from airflow_sentinelhub.hooks.storage import access_from

        return access_from(self.aws_conn_id, self.iam_role_arn)

    def geopackage_check(self, payload: Mapping[str, Any], *, statistical: bool = False) -> Flow[None]:
        """Refuse a GeoPackage that breaks the service's rules, if it can be read here."""
        from airflow_sentinelhub.hooks.storage import bucket_reader, check_geopackage

        reader = partial(bucket_reader, self.aws_conn_id, self.hook.settings)
        yield from check_geopackage(payload, reader, statistical=statistical)

    def check_reader(self, payload: Mapping[str, Any]) -> None:
        """Check, before anything is created, that the results can be read from here once the job is done.

        This applies to operators that read them (`reads_by`). The check does not access the bucket.

        :raises SettingsError: the connection or the setup for the bucket is incomplete.
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
                f"The results of this job could not be read here: {err} Correct that (aws_conn_id, or bucket_mount of "
                f"the Sentinel Hub connection), or give {flag}=False to run the job without reading them. This try has "
                "created nothing."
            ) from err


class DescribesBatchJob(CreatesRequest):
    """Mixed into operators that create a request of batch v1 or v2 from the arguments below.

    Each operator has them in its own signature, and explains them in its own docstring.
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
        """The payload of the create call. It may contain storage keys, so it is neither stored nor logged."""
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
        """Check the payload before anything is created: grid, GeoPackage, access to the results."""
        yield from check_grid(api, payload)
        yield from self.geopackage_check(payload)
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
    """The tiling grid with numbers in place of the text that templates render to."""
    if not isinstance(grid, Mapping):
        return grid
    return {name: _number(value) if name in _NUMBERS else value for name, value in grid.items()}


_NUMBERS = ("id", "resolution", "bufferX", "bufferY")


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    for number_type in (int, float):
        try:
            return number_type(value)
        except ValueError:
            continue
    return value


def as_json(value: Any, name: str) -> Any:
    """A member of the payload; text, which a file or a template has rendered to, is parsed as JSON.

    :param name: name of the argument, for the error.
    :raises InvalidInputError: the text is not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise InvalidInputError(f"{name} is text that is not JSON: {err}.") from None


def json_or_text(value: Any, name: str) -> Any:
    """A member of the payload that may also be plain text, such as a URL; only text that begins like JSON is parsed."""
    return as_json(value, name) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
