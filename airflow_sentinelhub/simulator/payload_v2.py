"""What v2 takes when a task is created, and what of it comes back."""

from __future__ import annotations

from typing import Any

from .delivery import template_problems
from .deployments import Deployment
from .payload import (
    Findings,
    Json,
    check_grid,
    check_identifiers,
    check_process_request,
    check_raster_output,
    check_zarr,
    echoed_process_request,
    is_number,
    null_paths,
)
from .payload_v1 import is_uuid
from .storage import check_storage, masked

_FEATURE_SIZES = range(1, 3501)


def check(body: Json, max_vertices: int, place: Deployment) -> Findings:
    """What is wrong with the body. Nulls are refused (seen): a member that is not set must be left out."""
    findings = Findings()
    for path in null_paths(body):
        findings.add(path, f"{path} must not be null.")
    if findings.found:
        return findings
    given = findings.child(body, "", "input", dict)
    kind = findings.child(given, "input", "type", str) if given is not None else None
    responses = check_process_request(body, findings, max_vertices, kind != "geopackage", output_required=True)
    findings.child(body, "", "description", str, required=False)
    if body.get("instanceType", "normal") not in ("normal", "large"):
        findings.add("instanceType", "instanceType must be normal or large.")
    grid = None
    if kind == "tiling-grid":
        grid = check_grid(given, "input", findings)
    elif kind == "geopackage":
        _check_geopackage(given, place, findings)
    elif kind is not None:
        findings.add("input->type", f"Unknown input type {kind}.")
    output = findings.child(body, "", "output", dict)
    if output is not None:
        resolution = given.get("resolution") if isinstance(given, dict) else None
        _check_output(output, place, grid, resolution, responses, findings)
    return findings


def _check_geopackage(given: Json, place: Deployment, findings: Findings) -> None:
    features = findings.child(given, "input", "features", dict)
    if features is not None:
        check_storage(features, "input->features", findings, place, kept=False)
    defaults = findings.child(given, "input", "defaults", dict, required=False)
    if defaults is None:
        return
    where = "input->defaults"
    sized = [name for name in ("width", "height") if name in defaults]
    if sized and "resolution" in defaults:
        findings.add(where, "Either width and height or resolution can be given, not both.")
    elif len(sized) == 1 or (not sized and "resolution" not in defaults):
        findings.add(where, "Either width and height or resolution must be given.")
    for name in sized:
        if defaults[name] not in _FEATURE_SIZES:
            findings.add(f"{where}->{name}", f"{name} must be a whole number from 1 to 3500.")
    if "resolution" in defaults and not (is_number(defaults["resolution"]) and defaults["resolution"] > 0):
        findings.add(f"{where}->resolution", "resolution must be a number above 0.")


def _check_output(
    output: Json, place: Deployment, grid: Any, resolution: Any, responses: list[Json], findings: Findings
) -> None:
    kind = findings.child(output, "output", "type", str)
    delivery = findings.child(output, "output", "delivery", dict)
    url = check_storage(delivery, "output->delivery", findings, place) if delivery is not None else None
    if kind == "raster":
        check_raster_output(output, "output", responses, findings)
        if output.get("collectionId") is not None and not is_uuid(output["collectionId"]):
            findings.add("output->collectionId", "collectionId must be a UUID.")
        required: tuple[str, ...] = ("<tileName>",)
    elif kind == "zarr":
        check_zarr(output, "output", grid, resolution, responses, findings)
        required = ("<requestId>",)
    else:
        if kind is not None:
            findings.add("output->type", f"Unknown output type {kind}.")
        return
    if url is not None:
        for problem in template_problems(url, len(responses) if kind == "raster" else 1, required):
            findings.add("output->delivery", problem)
        check_identifiers([url] if kind == "raster" else [], responses, findings)


def echo(body: Json) -> Json:
    """The request as the service shows it: with the defaults that were seen in echoes, and without secrets."""
    echoed: Json = {"instanceType": body.get("instanceType", "normal"), **masked(body)}
    request = echoed["processRequest"] = echoed_process_request(echoed["processRequest"])
    for source in request["input"]["data"]:
        source["dataFilter"] = {
            "mosaickingOrder": "mostRecent",
            "maxCloudCoverage": 100.0,
            **source.get("dataFilter", {}),
        }
    for response in request.get("output", {}).get("responses", []):
        response.setdefault("logo", False)
    if echoed["output"]["type"] == "raster":
        for name in ("overwrite", "skipExisting", "cogOutput", "createCollection"):
            echoed["output"].setdefault(name, False)
    return echoed
