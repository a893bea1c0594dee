"""What v1 takes when a request is created, and what of it comes back."""

from __future__ import annotations

import uuid
from collections.abc import Container, Sequence
from typing import Any

from .delivery import template_problems
from .payload import (
    Findings,
    Json,
    check_grid,
    check_identifiers,
    check_process_request,
    check_raster_output,
    check_zarr,
    echoed_process_request,
    without_nulls,
)

_OUTPUT_DEFAULTS: Json = {
    "overwrite": False,
    "skipExisting": False,
    "cogOutput": False,
    "createCollection": False,
    "collectionId": None,
}


def check(body: Json, collections: Container[str], max_vertices: int) -> Findings:
    """What is wrong with the body."""
    findings = Findings()
    body = without_nulls(body)
    responses = check_process_request(body, findings, max_vertices)
    findings.child(body, "", "description", str, required=False)
    settings = _grid_settings(body)
    grid = check_grid(settings, "tilingGrid", findings)
    given = [name for name in ("output", "bucketName", "zarrOutput") if name in body]
    if not given:
        findings.add("output", "One of output, bucketName and zarrOutput is required.")
    if "zarrOutput" in given and len(given) > 1:
        findings.add("zarrOutput", f"zarrOutput and {given[0]} cannot be given together.")
    if "zarrOutput" in given:
        zarr = findings.child(body, "", "zarrOutput", dict)
        if zarr is not None:
            _check_path(findings.child(zarr, "zarrOutput", "path", str), "zarrOutput->path", 1, findings, zarr=True)
            resolution = settings.get("resolution") if isinstance(settings, dict) else None
            check_zarr(zarr, "zarrOutput", grid, resolution, responses, findings)
    else:
        _check_raster(body, given, responses, findings)
        _check_collection(body.get("output"), collections, findings)
    return findings


def _grid_settings(body: Json) -> Any:
    """``tilingGrid``, or its deprecated twins at the top level."""
    if "tilingGrid" in body or "tilingGridId" not in body:
        return body.get("tilingGrid", {})
    twins = {"id": body["tilingGridId"], "resolution": body.get("resolution")}
    return {name: value for name, value in twins.items() if value is not None}


def _check_raster(body: Json, given: Sequence[str], responses: list[Json], findings: Findings) -> None:
    bucket = findings.child(body, "", "bucketName", str, required=False)
    output = findings.child(body, "", "output", dict, required=False) or {}
    path = findings.child(output, "output", "defaultTilePath", str, required=False)
    own = findings.child(output, "output", "responses", list, required=False) or []
    paths = _tile_paths(own, findings)
    if bucket is not None:
        _check_path(f"s3://{bucket}", "bucketName", 1, findings)
        if path is not None:
            findings.add("bucketName", "bucketName and output->defaultTilePath cannot be given together.")
    if path is not None:
        _check_path(path, "output->defaultTilePath", len(responses), findings)
    for index, item in paths.items():
        _check_path(item, f"output->responses->{index}->tilePath", 1, findings)
    if "bucketName" not in given and path is None and len(paths) < len(responses):
        findings.add("output->defaultTilePath", "output->defaultTilePath is required.")
    urls = [path, None if bucket is None else f"s3://{bucket}", *paths.values()]
    check_identifiers([url for url in urls if url is not None], responses, findings)
    check_raster_output(output, "output", responses, findings)


def _tile_paths(own: list[Any], findings: Findings) -> dict[int, str]:
    """The paths of single outputs, by their positions. The vendor's client types them as texts; they are objects."""
    paths: dict[int, str] = {}
    for index, item in enumerate(own):
        where = f"output->responses->{index}"
        if not isinstance(item, dict):
            findings.add(where, f"{where} must be an object with identifier and tilePath.")
            continue
        findings.child(item, where, "identifier", str, required=False)
        path = findings.child(item, where, "tilePath", str, required=False)
        if path:
            paths[index] = path
    return paths


def _check_path(path: Any, where: str, outputs: int, findings: Findings, zarr: bool = False) -> None:
    if path is not None:
        required = ("<requestId>",) if zarr else ("<tileName>", "<tileId>")
        for problem in template_problems(path, 1 if zarr else outputs, required):
            findings.add(where, problem)


def _check_collection(output: Any, collections: Container[str], findings: Findings) -> None:
    if not isinstance(output, dict) or output.get("collectionId") is None:
        return
    where, number = "output->collectionId", output["collectionId"]
    if output.get("createCollection"):
        findings.add(where, "Only one of createCollection and collectionId may be specified.")
    if not is_uuid(number):
        findings.add(where, "collectionId must be a UUID.")
    elif number not in collections:
        findings.add(where, f"Batch collection {number} does not exist.")


def is_uuid(text: Any) -> bool:
    """Whether it is a UUID with dashes, as the service writes them."""
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def echo(body: Json) -> Json:
    """A checked body as it comes back: in the order and with the defaults of the service."""
    body = without_nulls(body)
    shown: Json = {
        "processRequest": echoed_process_request(body["processRequest"]),
        "tilingGrid": _grid_settings(body),
    }
    if "output" in body:
        shown["output"] = {**_OUTPUT_DEFAULTS, **body["output"]}
    return shown | {name: body[name] for name in ("bucketName", "zarrOutput", "description") if name in body}
