"""Payload builders: a job in plain words, rendered for the generation that gets it.

Only the standard library is used here: these functions run while Airflow parses DAGs. Values that are still templates
(`"{{ ds }}"`) pass through untouched; what is wrong with a literal value is said at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from airflow_sentinelhub.api.areas import area_bounds, early_bounds, kept_area
from airflow_sentinelhub.api.arguments import as_object, taken
from airflow_sentinelhub.api.decoding import member, number
from airflow_sentinelhub.api.late import Late, TimeRange
from airflow_sentinelhub.api.payload_members import member_taken, members
from airflow_sentinelhub.api.rings import described, shown
from airflow_sentinelhub.api.scripts import script_text
from airflow_sentinelhub.api.service.data_sources import UNCHECKED, as_sent, check_sources
from airflow_sentinelhub.api.times import Run, checked, checked_range, is_late, resolved
from airflow_sentinelhub.exceptions import InvalidInputError

Json = dict[str, Any]

GRIDS: dict[int, tuple[str, tuple[float, ...]]] = {
    0: ("UTM 20km", (10, 20, 30, 60)),
    1: ("UTM 10km", (1, 1.4999, 10, 20)),
    2: ("UTM 100km", (30, 60, 120, 240, 360)),
    3: ("WGS84 1 degree", (0.0001, 0.0002, 0.0005, 0.0008, 0.001, 0.002, 0.005, 0.008)),
    6: ("LAEA 100km", (40, 50, 100)),
    7: ("LAEA 20km", (10, 20)),
}
"""The service's grids with the resolutions that its documents or its answers name (metres; degrees for grid 3)."""


def plainly(name: Any) -> str:
    """The name of a member without what tells ways of writing apart: `_` and capital letters."""
    return str(name).replace("_", "").lower()


_OF_A_GRID = {plainly(name): name for name in ("id", "resolution", "bufferX", "bufferY", "type")}


def without_none(payload: Mapping[str, Any]) -> Json:
    """The payload without keys whose value is None: the service refuses nulls."""
    return {key: value for key, value in payload.items() if value is not None}


def tiling_grid(
    grid_id: Late[int], resolution: Late[float], buffer: tuple[Late[int], Late[int]] | None = None, **kwargs: Any
) -> Json:
    """The tiling grid of a job, for v1 and v2 alike.

    :param grid_id: 0 UTM 20 km, 1 UTM 10 km, 2 UTM 100 km, 3 WGS84 1 degree, 6 LAEA 100 km, 7 LAEA 20 km.
    :param resolution: size of a pixel, in metres (degrees for grid 3).
    :param buffer: pixels added around each tile, (x, y); the output grows by twice as many in each direction.
    :param kwargs: further members of the payload.
    :raises InvalidInputError: the resolution is not a positive number, or the buffer is not two of them.
    """
    if isinstance(resolution, (int, float)) and resolution <= 0:
        raise InvalidInputError(f"The resolution of a tiling grid is a positive number, not {resolution!r}.")
    payload: Json = {"id": grid_id, "resolution": resolution, **kwargs}
    if buffer is not None and not (isinstance(buffer, Sequence) and not buffer):
        if not isinstance(buffer, Sequence) or len(buffer) != 2:
            raise InvalidInputError(
                f"The buffer of a tiling grid is two numbers of pixels (x, y), not {shown(buffer)}."
            )
        payload |= {"bufferX": buffer[0], "bufferY": buffer[1]}
    return payload


def check_grid_literal(grid: Any) -> None:
    """Check a tiling grid while a DAG is parsed, as far as its numbers stand in the DAG.

    :raises InvalidInputError: it is no tiling grid, or one of the known ones, which does not offer this resolution.
    """
    if grid is None or is_late(grid) or isinstance(grid, str):
        return
    if not isinstance(grid, Mapping):
        raise InvalidInputError(f"tiling_grid is built with tiling_grid(grid_id, resolution), not {shown(grid)}.")
    read = members(grid, "tiling_grid", grid=True)
    for name in read:
        if name not in _OF_A_GRID.values() and (meant := get_close_matches(plainly(name), _OF_A_GRID, 1)):
            raise InvalidInputError(f"tiling_grid has no member {shown(name)}: did you mean {_OF_A_GRID[meant[0]]!r}?")
    for name in ("id", "resolution"):
        if read.get(name) is None:
            raise InvalidInputError(f"tiling_grid has no {name}; build it with tiling_grid(grid_id, resolution).")
    name, offered = GRIDS.get(read.get("id"), ("", ())) if isinstance(read.get("id"), int) else ("", ())
    resolution = read.get("resolution")
    if offered and isinstance(resolution, (int, float)) and resolution not in offered:
        raise InvalidInputError(
            f"tiling_grid.resolution is {resolution!r}, which grid {read['id']} ({name}) does not offer; it offers "
            f"{', '.join(map(str, offered))}."
        )


def grid_complaint(grid: Mapping[str, Any], grids: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with a tiling grid, given the grids that the deployment offers; None if nothing is."""
    by_id = {item["id"]: item for item in grids if isinstance(item.get("id"), (int, str))}
    found = by_id.get(grid.get("id"))
    if found is None:
        return f"Tiling grid {grid.get('id')!r} does not exist; this deployment offers {sorted(by_id, key=str)}."
    resolutions = member(found, "properties", "resolutions")
    given = [number(item) for item in resolutions] if isinstance(resolutions, list) else []
    offered = sorted(float(item) for item in given if item is not None)
    try:
        known = not offered or float(grid.get("resolution", 0)) in offered
    except (TypeError, ValueError):
        known = False
    if known:
        return None
    return (
        f"Tiling grid {grid['id']} ({found.get('name')}) does not offer resolution {grid.get('resolution')}; "
        f"it offers {offered}."
    )


def output(
    *,
    default_tile_path: str | None = None,
    overwrite: bool | None = None,
    skip_existing: bool | None = None,
    cog_output: bool | None = None,
    cog_parameters: Mapping[str, Any] | None = None,
    create_collection: bool | None = None,
    collection_id: str | None = None,
    responses: Sequence[Any] | None = None,
    **kwargs: Any,
) -> Json:
    """The output of a v1 job; every argument is optional and left out when None.

    :param default_tile_path: `s3://bucket/path`, or a template with `<requestId>`, `<tileName>`, `<outputId>`,
        `<format>`.
    :param overwrite: replace existing files instead of failing.
    :param skip_existing: leave out tiles whose files all exist (the service checks below 5,000 files only).
    :param cog_output: write cloud-optimised GeoTIFFs.
    :param cog_parameters: how.
    :param create_collection: register the results as a new collection.
    :param collection_id: or in this one.
    :param responses: a path template per output, `[{"identifier": ..., "tilePath": ...}]`.
    :param kwargs: further members of the payload.
    """
    return without_none(
        {
            "defaultTilePath": default_tile_path,
            "overwrite": overwrite,
            "skipExisting": skip_existing,
            "cogOutput": cog_output,
            "cogParameters": cog_parameters,
            "createCollection": create_collection,
            "collectionId": collection_id,
            "responses": responses,
            **kwargs,
        }
    )


def process_request(
    data: Late[Mapping[str, Any] | Sequence[Mapping[str, Any]]],
    time_range: TimeRange | None = None,
    *,
    max_cloud_coverage: Late[float] | None = None,
    mosaicking_order: Late[str] | None = None,
    data_filter: Mapping[str, Any] | None = None,
    processing: Mapping[str, Any] | None = None,
    responses: Sequence[str | Mapping[str, Any]] = ("default",),
    area: Any = None,
    evalscript: Late[str] | None = None,
    simplify: Late[float] | None = None,
    check_collection: Late[bool] = True,
) -> Json:
    """The Process API part of a job without writing its JSON.

    :param data: a data source such as `sentinel-2-l2a` or `byoc-<id>`, also from another task, or the service's `data`
        objects for several sources, each with its `dataFilter.timeRange` in any of the forms of `time_range`.
    :param time_range: which images are taken. Sources that need none (a DEM) go without.

        - `"data_interval"`: the data interval of the run, [start, end). The service takes both ends of a range as
          inclusive, so the end is sent one millisecond earlier (`2024-06-30T23:59:59.999Z`): consecutive runs meet
          without gap and overlap. It needs a timetable with intervals, such as `CronDataIntervalTimetable`.
        - `last(days=30)`: so much time before the moment of the run, see `times.last`; [start, end) in the same way.
        - (from, to): dates, datetimes, text such as `2024-06-01T12:00:00+02:00` or `2024-06-01 12:00` (without a zone
          it is UTC), or templates of these. Both ends are inclusive. A date as the end means that whole day, to
          `T23:59:59Z`.

        The first two are worked out when the task runs; a range that is reversed, empty or in the future is refused.
    :param max_cloud_coverage: percent, 0 to 100.
    :param mosaicking_order: `mostRecent`, `leastRecent` or `leastCC`.
    :param data_filter: further members of the data filter.
    :param processing: the data source's processing options.
    :param responses: the outputs: identifiers (GeoTIFF), or the service's `responses` objects.
    :param area: see `areas.area_bounds`; may be given to the operator instead. What takes a library or a file (polygons
        that touch each other, WKT, GeoPackage) is looked at when the task runs.
    :param evalscript: text of the script; may be given to the operator instead.
    :param simplify: metres by which the border of the area may move, so that it has fewer points (1,500 at the most).
    :param check_collection: False: let the names of collections through that `data_sources.COLLECTIONS` does not list,
        such as a new one.
    :raises InvalidInputError: a literal value cannot be right.
    """
    cloud_coverage = member_taken("maxCloudCoverage", max_cloud_coverage, "max_cloud_coverage")
    if isinstance(data, str) or is_late(data):  # the output of another task is the name of a source
        chosen = without_none(
            {
                "timeRange": checked_range(time_range),
                "maxCloudCoverage": cloud_coverage,
                "mosaickingOrder": member_taken("mosaickingOrder", mosaicking_order, "mosaicking_order"),
                **as_object(data_filter, "data_filter"),
            }
        )
        source: Json = {"type": data, "dataFilter": chosen}
        if processing := as_object(processing, "processing"):
            source["processing"] = processing
        sources: list[Any] = [source]
    else:
        sources = _sources(data)
        given = {
            "time_range": (time_range, "dataFilter.timeRange"),
            "max_cloud_coverage": (max_cloud_coverage, "dataFilter.maxCloudCoverage"),
            "mosaicking_order": (mosaicking_order, "dataFilter.mosaickingOrder"),
            "data_filter": (data_filter, "dataFilter"),
            "processing": (processing, "processing"),
        }
        for name, (value, instead) in given.items():
            if value is not None:
                raise InvalidInputError(
                    f"{name} goes with a data source by name; `data` objects have {instead} "
                    f"(data is {described(data)})."
                )
    if not (check_collection if is_late(check_collection) else taken("check_collection", check_collection)):
        sources = [{**item, UNCHECKED: False} if isinstance(item, Mapping) else item for item in sources]
    check_sources(sources)
    request: Json = {
        "input": {"data": checked(sources)},
        "output": {"responses": _responses(responses)},
    }
    if area is not None:
        request["input"]["bounds"] = early_bounds(area, simplify)
    elif simplify is not None:
        raise InvalidInputError(
            f"simplify is {shown(simplify)}, and there is no area beside it; give it to the operator with the area."
        )
    if evalscript is not None:
        request["evalscript"] = evalscript
    return request


def _sources(data: Any) -> list[Any]:
    """The service's `data` objects, of which one may stand alone."""
    sources = [data] if isinstance(data, Mapping) else data
    if not isinstance(sources, (list, tuple)) or not sources:
        raise InvalidInputError(
            f"data is the name of a collection, or the service's `data` objects, not {shown(data)}."
        )
    for index, item in enumerate(sources):
        if not isinstance(item, Mapping) and not is_late(item):
            hint = (
                f"; for one collection give data={shown(item)}" if isinstance(item, str) and len(sources) == 1 else ""
            )
            hint = hint or '; several collections are objects, such as {"type": "sentinel-2-l2a", "dataFilter": {...}}'
            raise InvalidInputError(f"data[{index}] must be an object of the payload, not {shown(item)}{hint}.")
    return list(sources)


def _responses(given: Any) -> list[Json]:
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, (list, tuple)):
        raise InvalidInputError(
            f"responses is a list of identifiers, or of objects of the payload, not {shown(given)}."
        )
    read = [
        {"identifier": item, "format": {"type": "image/tiff"}}
        if isinstance(item, str)
        else as_object(item, f"responses[{index}]")
        for index, item in enumerate(items)
    ]
    for index, item in enumerate(read):
        form = item.get("format")
        if not isinstance(form, Mapping) and not is_late(form):
            raise InvalidInputError(
                f'responses[{index}].format is an object such as {{"type": "image/tiff"}}, not {shown(form)}.'
            )
    names = [item.get("identifier") for item in read if not is_late(item.get("identifier"))]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInputError(f"responses has {shown(twice)} twice; each output of the evalscript is named once.")
    return read


def dated(process: Any, run: Run, *, from_interval: bool = False) -> Any:
    """The process request with the time ranges of its data as they are sent (see `times.resolved_range`).

    :param process: anything else than a process request passes as it is; `finished` says what is wrong with it.
    :raises InvalidInputError: one is no range, or this run has none.
    """
    given = process.get("input") if isinstance(process, Mapping) else None
    if not isinstance(given, Mapping):
        return process
    return {**process, "input": {**given, "data": resolved(given.get("data"), run, from_interval=from_interval)}}


def with_area(process: Mapping[str, Any], area: Any = None, simplify: Any = None) -> Json:
    """The process request with this area as its bounds, or with the one that `process_request()` has kept for later.

    The names of its collections are checked, and the member that says otherwise is left out.

    :raises InvalidInputError: it is no area; a collection is not known.
    """
    kept, tolerance = kept_area(process)
    if "data" in (given := process.get("input") or {}):
        process = {**process, "input": {**given, "data": as_sent(given["data"])}}
    if area is None and kept is None:
        if (bounds := member(process, "input", "bounds")) is not None:
            early_bounds(bounds)  # only looked at: bounds of the payload are sent as they are
        return dict(process)
    chosen = area_bounds(kept if area is None else area, tolerance if simplify is None else simplify)
    return {**process, "input": {**process["input"], "bounds": chosen}}


def finished(
    process: Mapping[str, Any],
    *,
    area: Any = None,
    evalscript: str | os.PathLike[str] | None = None,
    simplify: Any = None,
) -> Json:
    """The process request as it is sent: area and evalscript put in, dates turned into times.

    What depends on the run of the DAG has been worked out before (`times.resolved`).

    :raises InvalidInputError: there is no evalscript, or the area or a time range is malformed.
    """
    if not isinstance(process, Mapping) or not isinstance(process.get("input"), Mapping):
        raise InvalidInputError(
            "process_request must be a Process API payload with `input`; build it with process_request()."
        )
    done = with_area({**process, "input": {**process["input"]}}, area, simplify)
    done["input"]["data"] = resolved(done["input"].get("data") or [], Run())
    if evalscript is not None:
        done["evalscript"] = evalscript
    if done.get("evalscript") is not None:
        done["evalscript"] = script_text(done["evalscript"], word=True)
    check_script(done.get("evalscript"))
    return done


def check_script(script: Any) -> None:
    """:raises InvalidInputError: there is no evalscript."""
    if not str(script or "").strip():
        raise InvalidInputError(
            "There is no evalscript: give evalscript= (text, or the name of a file beside the DAG)."
        )
