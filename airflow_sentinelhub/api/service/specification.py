"""One vocabulary for both generations: a job in plain words, rendered to the payload that v1 or v2 takes.

What v1 words become on v2: `tiling_grid` -> `input`; `bucket_name` and `output.defaultTilePath` ->
`output.delivery.s3.url`; the other members of `output` keep their names; `zarrOutput` -> `output` of type zarr.
What has no counterpart is an error before anything is sent, and the error names the other way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from airflow_sentinelhub.api.arguments import as_object, taken
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.payload_members import members
from airflow_sentinelhub.api.places import bucket, check_output, place
from airflow_sentinelhub.api.plain import plain, refuse_nulls
from airflow_sentinelhub.api.rings import described, shown
from airflow_sentinelhub.api.service.payloads import Json, check_script, finished, plainly, without_none
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError


@dataclass(frozen=True)
class Access:
    """Right to write into the bucket (v2): keys or a role. Resolved when the payload is sent, never before."""

    access_key: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    iam_role_arn: str | None = None
    region: str | None = None

    def members(self) -> Json:
        if self.iam_role_arn:
            return without_none({"iamRoleARN": self.iam_role_arn, "region": self.region})
        keys = {"accessKey": self.access_key, "secretAccessKey": self.secret_access_key, "region": self.region}
        return without_none(keys)


@dataclass(frozen=True)
class BatchSpecification:
    """What is to be done, in the words of either generation.

    :param process_request: Process API payload.
    :param area, evalscript: put into it when given.
    :param simplify: metres by which the border of the area may move, so that it has fewer points (1,500 at the most).
    :param tiling_grid: see `payloads.tiling_grid`.
    :param geopackage: URL of a GeoPackage instead (v2), or v2's `input` in full.
    :param output: `s3://bucket/path`, v1's output (`payloads.output`), or v2's output in full.
    :param bucket_name: short for an output at the root of this bucket.
    :param description: free text.
    :param extra: further members of the payload, such as `zarrOutput`.
    """

    batch_api: ClassVar[str | None] = None
    """The kind of job, by the name of its generation; None: batch processing, of the generation that is asked for."""

    process_request: Mapping[str, Any]
    tiling_grid: Mapping[str, Any] | None = None
    geopackage: str | Mapping[str, Any] | None = None
    output: str | Mapping[str, Any] | None = None
    bucket_name: str | None = None
    description: str | None = None
    area: Any = None
    evalscript: str | os.PathLike[str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    simplify: float | str | None = None


def render(job: BatchSpecification, batch_api: str, access: Access | None = None) -> Json:
    """The payload of a create call.

    :raises InvalidInputError: the job cannot be said in this generation, is incomplete, or holds what JSON does not
        have.
    """
    _check_forms(job)
    job = replace(job, extra=job.extra or {})
    check_whole(job)
    job = _with_numbers(job)
    process = finished(job.process_request, area=job.area, evalscript=job.evalscript, simplify=job.simplify)
    payload: Json = plain(_v1(job, process) if batch_api == "v1" else _v2(job, process, access))
    refuse_nulls(payload)
    return payload


def check_whole(job: BatchSpecification) -> None:
    """Check that no part of a job is missing and none is there twice. Parts that are known only in the run pass.

    :raises InvalidInputError: one is missing, or is given in two ways of which one would be passed over.
    """
    late = partial(map, is_late)
    if (job.tiling_grid is None) == (job.geopackage is None) and not any(late((job.tiling_grid, job.geopackage))):
        raise InvalidInputError("Give either tiling_grid or geopackage (v2).")
    extra: Mapping[str, Any] = {} if is_late(job.extra) else job.extra
    zarr = extra.get("zarrOutput")
    places = {"destination": job.output, "bucket_name": job.bucket_name, "payload_extra.zarrOutput": zarr or None}
    given = [name for name, value in places.items() if value is not None]
    if not given and not is_late(job.extra):
        raise InvalidInputError("Say where the results go: destination='s3://bucket/path' or bucket_name='bucket'.")
    if len(given) > 1 and not any(late(places.values())):
        raise InvalidInputError(f"Give either {' or '.join(given)}, not {'both' if len(given) == 2 else 'all'}.")
    output = job.output if isinstance(job.output, Mapping) else None
    if output is not None and not any(output.get(name) for name in ("delivery", "defaultTilePath", "responses")):
        raise InvalidInputError(_NO_PLACE)
    for name, instead in _OF_ARGUMENTS.items():
        if name in extra and (name != "description" or job.description is not None):
            raise InvalidInputError(
                f"payload_extra.{name} would take the place of what {instead} says; give it as {instead} only."
            )
    process = job.process_request
    if is_late(process) or is_late(process.get("input") if isinstance(process, Mapping) else None):
        return
    if not isinstance(process, Mapping) or not isinstance(process.get("input"), Mapping):
        raise InvalidInputError(
            "process_request must be a Process API payload with `input`; build it with process_request()."
        )
    check_data(process["input"].get("data"), "process_request.input.data")
    if job.geopackage is None and job.area is None and process["input"].get("bounds") is None:
        raise InvalidInputError("There is no area: give area= (GeoJSON or four numbers) or bounds in process_request.")
    if job.evalscript is None:
        check_script(process.get("evalscript"))


_NO_PLACE = "output names no place: give default_tile_path='s3://bucket/path' (v1 words) or delivery."
_OF_ARGUMENTS = {
    "processRequest": "process_request",
    "tilingGrid": "tiling_grid",
    "input": "tiling_grid or geopackage",
    "output": "destination",
    "bucketName": "bucket_name",
    "description": "description",
}
"""Members of the payload that arguments make."""


def _with_numbers(job: BatchSpecification) -> BatchSpecification:
    """The job with numbers and booleans in place of text."""
    return replace(
        job,
        process_request=members(job.process_request, "process_request"),
        tiling_grid=members(job.tiling_grid, "tiling_grid", grid=True),
        geopackage=members(job.geopackage, "geopackage"),
        output=members(job.output, "output"),
        extra=members(job.extra, "payload_extra"),
        bucket_name=None if job.bucket_name is None else bucket(taken("bucket_name", job.bucket_name)),
        description=taken("description", job.description),
    )


def _check_forms(job: BatchSpecification) -> None:
    """:raises InvalidInputError: a part of the job is not of the form that the service wants."""
    check_output(job.output, "output")
    as_object(job.tiling_grid, "tiling_grid")
    as_object(as_object(job.extra, "payload_extra").get("zarrOutput"), "payload_extra.zarrOutput")
    if job.geopackage is not None and not isinstance(job.geopackage, (str, os.PathLike, Mapping)):
        raise InvalidInputError(f"geopackage is s3://bucket/file.gpkg, or an object, not {described(job.geopackage)}.")


def check_shape(payload: Json, batch_api: str) -> None:
    """Check the parts of the process request of a rendered payload that the service wants in any case.

    :raises InvalidInputError: the data are no objects with the name of a collection each; v2: there is no output.
    """
    where = "process_request.input.data"
    data, output = member(payload, "processRequest", "input", "data"), member(payload, "processRequest", "output")
    if batch_api == "v2" and not isinstance(output, Mapping):
        raise InvalidInputError(
            f"process_request.output must be an object of the payload, which batch v2 needs, not {described(output)}; "
            "process_request() builds it from `responses`."
        )
    check_data(data, where)


def check_data(data: Any, where: str) -> None:
    """:raises InvalidInputError: these are no objects with the name of a collection each."""
    if is_late(data):
        return
    if not isinstance(data, (list, tuple)) or not data:
        raise InvalidInputError(f"{where} is a list with an object for each collection, not {shown(data)}.")
    for index, item in enumerate(data):
        if is_late(item) or (isinstance(item, Mapping) and is_late(item.get("type"))):
            continue
        if not isinstance(item, Mapping) or not isinstance(item.get("type", 0), (str, type(None))):
            raise InvalidInputError(
                f"{where}[{index}] must be an object whose type names a collection, such as "
                f'{{"type": "sentinel-2-l2a"}}, not {shown(item)}.'
            )
        _check_names(item, f"{where}[{index}]", {**_OF_A_FILTER, **_OF_A_SOURCE})
        if isinstance(chosen := item.get("dataFilter"), Mapping):
            names = {plain: name.rpartition(".")[2] for plain, name in _OF_A_FILTER.items()}
            _check_names(chosen, f"{where}[{index}].dataFilter", names)


_OF_A_SOURCE = {plainly(name): name for name in ("type", "dataFilter", "processing")}
_OF_A_FILTER = {plainly(name): f"dataFilter.{name}" for name in ("timeRange", "maxCloudCoverage", "mosaickingOrder")}


def _check_names(given: Mapping[str, Any], where: str, known: Mapping[str, str]) -> None:
    """:raises InvalidInputError: a member is a known one, written otherwise, which the service would pass over."""
    for name in given:
        meant = known.get(plainly(name), name)
        if meant != name:
            raise InvalidInputError(f"{where} has no member {shown(name)}: did you mean {meant!r}?")


def _v1(job: BatchSpecification, process: Json) -> Json:
    if job.geopackage is not None:
        raise InvalidInputError("Batch v1 has no GeoPackage input; use tiling_grid, or batch_api='v2'.")
    if isinstance(job.tiling_grid, Mapping) and "id" not in job.tiling_grid:
        raise InvalidInputError("tiling_grid has no id; build it with tiling_grid(grid_id, resolution).")
    grid = {key: value for key, value in dict(job.tiling_grid or {}).items() if key != "type"}
    return without_none(
        {
            "processRequest": process,
            "tilingGrid": grid,
            **_output_v1(job.output),
            "bucketName": job.bucket_name,
            "description": job.description,
            **job.extra,
        }
    )


def _output_v1(given: str | Mapping[str, Any] | None) -> Json:
    if given is None:
        return {}
    if isinstance(given, (str, os.PathLike)):
        return {"output": {"defaultTilePath": place(given)}}
    if "delivery" not in given:
        return {"output": dict(given)}
    url = (given["delivery"].get("s3") or {}).get("url")
    if not url:
        raise InvalidInputError("Batch v1 delivers to S3 only; output.delivery has no s3 url. Use batch_api='v2'.")
    rest = {key: value for key, value in given.items() if key not in ("type", "delivery")}
    if given.get("type") == "zarr":
        return {"zarrOutput": {"path": url, **rest}}
    return {"output": {"defaultTilePath": url, **rest}}


def _v2(job: BatchSpecification, process: Json, access: Access | None) -> Json:
    return without_none(
        {
            "processRequest": process,
            "input": _input_v2(job, access),
            "output": _output_v2(job, access),
            "description": job.description,
            **{key: value for key, value in job.extra.items() if key != "zarrOutput"},
        }
    )


def _input_v2(job: BatchSpecification, access: Access | None) -> Json:
    if isinstance(job.geopackage, Mapping):
        return dict(job.geopackage)
    if job.geopackage is not None:
        return {"type": "geopackage", "features": {"s3": _place(place(job.geopackage, "geopackage"), access)}}
    grid = dict(job.tiling_grid or {})
    if "id" not in grid:
        raise InvalidInputError("tiling_grid has no id; build it with tiling_grid(grid_id, resolution).")
    return {"type": "tiling-grid", **grid}


def _output_v2(job: BatchSpecification, access: Access | None) -> Json:
    zarr = job.extra.get("zarrOutput")
    if zarr:
        rest = {key: value for key, value in zarr.items() if key != "path"}
        return {"type": "zarr", "delivery": {"s3": _place(_s3(zarr.get("path")), access)}, **rest}
    if job.bucket_name is not None:
        return {"type": "raster", "delivery": {"s3": _place(f"s3://{job.bucket_name}", access)}}
    if isinstance(job.output, (str, os.PathLike)):
        return {"type": "raster", "delivery": {"s3": _place(_s3(job.output), access)}}
    output = dict(job.output or {})
    if "delivery" in output:
        return {"type": "raster", **output, "delivery": _delivered(output["delivery"], access)}
    if output.pop("responses", None):
        raise InvalidInputError(
            "Batch v2 has no path per response (output.responses); put <outputId> into one path, "
            "such as s3://bucket/<tileName>/<outputId>.<format>."
        )
    url = output.pop("defaultTilePath", None)
    if url is None:
        raise InvalidInputError(_NO_PLACE)
    return {"type": "raster", "delivery": {"s3": _place(_s3(url), access)}, **output}


def _delivered(delivery: Mapping[str, Any], access: Access | None) -> Json:
    """A delivery as the user wrote it; keys are put in where it names none."""
    storage = dict(delivery.get("s3") or {})
    if storage and not {"accessKey", "iamRoleARN"} & set(storage) and access:
        return {**delivery, "s3": {**storage, **access.members()}}
    return dict(delivery)


def _place(url: str, access: Access | None) -> Json:
    if access is None:
        raise InvalidInputError(
            f"Batch v2 writes to {url} with keys of yours: give aws_conn_id (an Airflow connection of type aws) or "
            "iam_role_arn. A bucket policy, as for v1, is not enough."
        )
    return {"url": url, **access.members()}


def _s3(url: Any) -> str:
    text = place(url)
    if "<tileId>" in text:
        raise InvalidInputError(f"{text}: use <tileName>; <tileId> is not known to batch v2.")
    for name in re.findall("<[^<>/]*>", text):
        if name not in _PLACEHOLDERS:
            raise InvalidInputError(
                f"The place of an output, {text}, has {name}, which is not known to batch v2; its placeholders are "
                f"{', '.join(_PLACEHOLDERS)}."
            )
    return text


_PLACEHOLDERS = ("<requestId>", "<tileName>", "<outputId>", "<format>")


def can_be_continued(payload: Json) -> bool:
    """Whether another request can do what is missing: of raster files in a bucket. Else it has to be the same one."""
    output = payload.get("output") or {}
    return "delivery" in output and output.get("type") != "zarr"


def continuation(payload: Json, first_id: str) -> Json:
    """The payload of a v2 request for the missing part of an earlier one: the same files, existing ones skipped.

    A path with the id of the request (also the one that the service puts in by itself) gets that of the first request.
    With several outputs, a tile of which only some are there is done again and overwritten: the service would fail the
    request otherwise. All that is there is of the earlier request, which would have failed had it found anything.

    :raises InvalidInputError: a Zarr cannot be continued: it must be empty at the start.
    """
    output = payload["output"]
    if output.get("type") == "zarr":
        raise InvalidInputError(f"The failed part of {first_id} cannot be restarted: a Zarr output must be empty.")
    delivery = {name: {**to, "url": _pinned(to["url"], first_id)} for name, to in output["delivery"].items()}
    responses = ((payload.get("processRequest") or {}).get("output") or {}).get("responses") or ()
    overwrite = {"overwrite": True} if len(responses) > 1 else {}
    return {**payload, "output": {**output, "delivery": delivery, "skipExisting": True, **overwrite}}


def _pinned(url: str, request_id: str) -> str:
    if "<" not in url:
        url = f"{url.rstrip('/')}/<requestId>/<tileName>/<outputId>.<format>"
    return url.replace("<requestId>", request_id)
