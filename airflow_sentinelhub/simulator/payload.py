"""Checks that both generations make when a request is created, and the defaults they echo.

Everything is checked at create but the evalscript, whose content is looked at by analysis (doc). Findings are
collected, since the service reports a list of violations (seen on the process API of the same service). Unknown
members pass.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.grids.known import GRIDS, Grid

from .area import AreaError, crs_urn, parse_area
from .data_types import is_known
from .delivery import EXTENSIONS, bad_outputs, is_object_url
from .times import parse_time

Json = dict[str, Any]
COG_RESAMPLING = ("nearest", "average", "gauss", "cubic", "cubicspline", "lanczos", "average_magphase", "mode")
# contract: an int16.
LARGEST_BUFFER = 32767
_WORDS = {
    "mosaickingOrder": ("mostRecent", "leastRecent", "leastCC"),
    **dict.fromkeys(("upsampling", "downsampling"), ("NEAREST", "BILINEAR", "BICUBIC")),
    "orbitDirection": ("ASCENDING", "DESCENDING"),
    "backCoeff": ("BETA0", "SIGMA0_ELLIPSOID", "GAMMA0_ELLIPSOID", "GAMMA0_TERRAIN"),
}
# contract: words of the data filter and of the processing, alike for all collections that have them.
_MISSING = object()


@dataclass
class Findings:
    """Violations found so far, each with the member it is about (``processRequest->input->bounds``)."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, parameter: str, violation: str) -> None:
        self.found.append((parameter, violation))

    def child(self, parent: Any, where: str, name: str, kind: type | tuple[type, ...], required: bool = True) -> Any:
        """The member if it has the right type, else None and a finding (a missing one only when required)."""
        value = parent.get(name, _MISSING) if isinstance(parent, dict) else _MISSING
        path = f"{where}->{name}" if where else name
        if value is _MISSING or value is None:
            if required:
                self.add(path, f"{path} is required.")
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.add(path, f"{path} has a wrong type.")
            return None
        return value


def null_paths(value: Any, path: str = "") -> list[str]:
    """Where the JSON holds nulls."""
    if value is None:
        return [path]
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [found for key, item in items for found in null_paths(item, f"{path}->{key}" if path else str(key))]


def without_nulls(value: Any) -> Any:
    """v1 takes a null for a missing member."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def check_process_request(
    body: Json, findings: Findings, max_vertices: int, bounds_required: bool = True, output_required: bool = False
) -> list[Json]:
    """``processRequest``; returns the responses, each with ``identifier`` and ``format.type`` (None if unreadable)."""
    request = findings.child(body, "", "processRequest", dict)
    if request is None:
        return []
    where = "processRequest"
    given = findings.child(request, where, "input", dict)
    if given is not None:
        _check_bounds(given, f"{where}->input", findings, max_vertices, bounds_required)
        _check_data(given, f"{where}->input", findings)
    script = findings.child(request, where, "evalscript", str)
    if script is not None and not script.strip():
        findings.add(f"{where}->evalscript", "Missing or empty evalscript.")
    output = findings.child(request, where, "output", dict, output_required)
    return _check_responses(output or {}, f"{where}->output", findings)


def _check_bounds(given: Json, where: str, findings: Findings, max_vertices: int, required: bool) -> None:
    bounds = findings.child(given, where, "bounds", dict, required)
    if bounds is None:
        return
    try:
        parse_area(bounds, max_vertices)
    except AreaError as error:
        path = f"{where}->bounds"
        findings.add(f"{path}->{error.where}" if error.where else path, str(error))


def _check_data(given: Json, where: str, findings: Findings) -> None:
    data = findings.child(given, where, "data", list)
    if data is not None and not data:
        findings.add(f"{where}->data", "At least one data source is required.")
    for index, source in enumerate(data or []):
        path = f"{where}->data->{index}"
        kind = findings.child(source, path, "type", str)
        if kind is not None and not is_known(kind):
            findings.add(f"{path}->type", f"Unknown data collection {kind[:100]!r}.")
        chosen = findings.child(source, path, "dataFilter", dict, required=False) or {}
        span = findings.child(chosen, f"{path}->dataFilter", "timeRange", dict, required=False)
        if span is not None:
            begin, end = parse_time(span.get("from")), parse_time(span.get("to"))
            if begin is None or end is None:
                findings.add(
                    f"{path}->dataFilter->timeRange", "from and to must be ISO 8601 times with date, time and zone."
                )
            elif begin > end:
                findings.add(f"{path}->dataFilter->timeRange", "from must not be later than to.")
        processing = findings.child(source, path, "processing", dict, required=False) or {}
        for part, given_part in (("dataFilter", chosen), ("processing", processing)):
            for name, words in _WORDS.items():
                word = given_part.get(name)
                if word is not None and word not in words:
                    findings.add(f"{path}->{part}->{name}", f"{name} must be one of {', '.join(words)}.")
        clouds = chosen.get("maxCloudCoverage")
        if clouds is not None and not (is_number(clouds) and 0 <= clouds <= 100):
            findings.add(f"{path}->dataFilter->maxCloudCoverage", "maxCloudCoverage must be a number from 0 to 100.")


def _check_responses(output: Json, where: str, findings: Findings) -> list[Json]:
    for name in ("width", "height", "resx", "resy"):
        if output.get(name) is not None:
            findings.add(
                f"{where}->{name}", f"{name} cannot be given, the size follows from the grid and its resolution."
            )
    responses = findings.child(output, where, "responses", list, required=False) or []
    read: list[Json] = []
    for index, response in enumerate(responses):
        path = f"{where}->responses->{index}"
        name = findings.child(response, path, "identifier", str, required=False)
        form = findings.child(response, path, "format", dict)
        kind = findings.child(form, f"{path}->format", "type", str) if form is not None else None
        if kind is not None and kind not in EXTENSIONS:
            findings.add(f"{path}->format->type", f"Unsupported format {kind}.")
        read.append({"identifier": name or "default", "format": {"type": kind}})
    if len({response["identifier"] for response in read}) < len(read):
        findings.add(f"{where}->responses", "The identifiers of the responses must differ.")
    return read or [{"identifier": "default", "format": {"type": "image/tiff"}}]


def check_identifiers(urls: Iterable[str], responses: list[Json], findings: Findings) -> None:
    """Whether the identifiers can be parts of these paths of outputs: none leads out of the delivery (``../up``)."""
    good = [url for url in urls if is_object_url(url)]
    for index, response in enumerate(responses):
        name = response["identifier"]
        if ".." in name.split("/") or any(bad_outputs(url, [response]) for url in good):
            where = f"processRequest->output->responses->{index}->identifier"
            findings.add(where, f"The identifier {name} cannot be part of the path of an output.")


def check_grid(settings: Any, where: str, findings: Findings) -> Grid | None:
    """``id``, ``resolution`` and buffers of a tiling grid; returns the grid if it is known."""
    if not isinstance(settings, dict):
        findings.add(where, f"{where} must be an object.")
        return None
    number = findings.child(settings, where, "id", int)
    resolution = findings.child(settings, where, "resolution", (int, float))
    for name in ("bufferX", "bufferY"):
        buffer = settings.get(name)
        if buffer is not None and not (is_number(buffer) and 0 <= buffer <= LARGEST_BUFFER and buffer == int(buffer)):
            findings.add(
                f"{where}->{name}", f"{name} must be a whole number of pixels, none or more, at most {LARGEST_BUFFER}."
            )
    grid = GRIDS.get(number) if number is not None else None
    if number is not None and grid is None:
        findings.add(f"{where}->id", f"Tiling grid {number} does not exist.")
    if grid is not None and resolution is not None and not grid.offers(resolution):
        offered = ", ".join(f"{offer:g}" for offer in sorted(grid.resolutions))
        findings.add(
            f"{where}->resolution",
            f"Resolution {resolution:g} is not supported by tiling grid {grid.id}, only {offered}.",
        )
    return grid


def check_raster_output(output: Json, where: str, responses: list[Json], findings: Findings) -> None:
    """The members that v1's ``output`` and v2's raster output share, all but the paths."""
    for name in ("overwrite", "skipExisting", "cogOutput", "createCollection"):
        findings.child(output, where, name, bool, required=False)
    collects = bool(output.get("createCollection")) or output.get("collectionId") is not None
    cog = output.get("cogOutput") is True
    kinds = {response["format"]["type"] for response in responses if response["identifier"] != "userdata"}
    if "zarr/array" in kinds:
        findings.add(where, "Outputs of type zarr/array need a zarr output.")
    if cog and kinds - {"image/tiff", None}:
        findings.add(f"{where}->cogOutput", "cogOutput needs outputs of type image/tiff.")
    if collects and not cog:
        findings.add(f"{where}->cogOutput", "A collection needs cogOutput to be true.")
    cogs = findings.child(output, where, "cogParameters", dict, required=False) or {}
    if collects and set(cogs) - {"resamplingAlgorithm"}:
        findings.add(f"{where}->cogParameters", "With a collection only resamplingAlgorithm can be specified.")
    if cogs.get("resamplingAlgorithm", "average") not in COG_RESAMPLING:
        findings.add(f"{where}->cogParameters->resamplingAlgorithm", "Unknown resamplingAlgorithm.")


def check_zarr(
    output: Json, where: str, grid: Grid | None, resolution: Any, responses: list[Json], findings: Findings
) -> None:
    """group, arrayParameters and arrayOverrides of a zarr output of either generation."""
    group = findings.child(output, where, "group", dict)
    if group is not None and group.get("zarr_format") != 2:
        findings.add(f"{where}->group->zarr_format", "zarr_format must be 2.")
    if grid is not None and grid.family == "utm":
        findings.add(where, "Zarr output is supported for WGS84 and LAEA grids only.")
    if any(response["format"]["type"] != "zarr/array" for response in responses):
        findings.add("processRequest->output->responses", "With zarr output all responses must be of type zarr/array.")
    common = findings.child(output, where, "arrayParameters", dict, required=False) or {}
    overrides = findings.child(output, where, "arrayOverrides", dict, required=False) or {}
    side = grid.pixels(resolution) if grid is not None and is_number(resolution) and grid.offers(resolution) else None
    for response in responses:
        name = response["identifier"]
        own = overrides.get(name)
        array = {**common, **(own if isinstance(own, dict) else {})}
        missing = [key for key in ("dtype", "chunks", "order", "fill_value") if key not in array]
        if missing:
            findings.add(f"{where}->arrayParameters", f"Output {name} lacks {', '.join(missing)}.")
        elif not _good_chunks(array["chunks"], side):
            findings.add(
                f"{where}->arrayParameters->chunks", "chunks must be [1, y, x] with y and x dividing the tile evenly."
            )


def _good_chunks(chunks: Any, side: int | None) -> bool:
    if not isinstance(chunks, list) or len(chunks) != 3 or not all(is_number(chunk) and chunk > 0 for chunk in chunks):
        return False
    return chunks[0] == 1 and (side is None or all(side % chunk == 0 for chunk in chunks[1:]))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def echoed_process_request(request: Json) -> Json:
    """The process request as it comes back: a geometry with a ``crs`` member holding a URN (seen)."""
    echoed: Json = copy.deepcopy(request)
    bounds = echoed.get("input", {}).get("bounds")
    if isinstance(bounds, dict) and isinstance(bounds.get("geometry"), dict):
        crs = (bounds.get("properties") or {}).get("crs", "http://www.opengis.net/def/crs/OGC/1.3/CRS84")
        geometry = bounds["geometry"]
        member = {"type": "name", "properties": {"name": crs_urn(crs)}}
        bounds["geometry"] = {"type": geometry["type"], "crs": member, "coordinates": geometry["coordinates"]}
    return echoed
