"""What v2 takes when a task is created, and what of it comes back."""

from __future__ import annotations

import copy
from typing import Any

from .delivery import is_object_url, template_problems
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

MASK = "*****"
_SECRETS = {"accessKey", "secretAccessKey", "credentials"}
_FEATURE_SIZES = range(1, 3501)


def check(body: Json, max_vertices: int) -> Findings:
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
        _check_geopackage(given, findings)
    elif kind is not None:
        findings.add("input->type", f"Unknown input type {kind}.")
    output = findings.child(body, "", "output", dict)
    if output is not None:
        _check_output(output, grid, given.get("resolution") if isinstance(given, dict) else None, responses, findings)
    return findings


def _check_geopackage(given: Json, findings: Findings) -> None:
    features = findings.child(given, "input", "features", dict)
    if features is not None:
        _check_storage(features, "input->features", findings)
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


def _check_output(output: Json, grid: Any, resolution: Any, responses: list[Json], findings: Findings) -> None:
    kind = findings.child(output, "output", "type", str)
    delivery = findings.child(output, "output", "delivery", dict)
    url = _check_storage(delivery, "output->delivery", findings) if delivery is not None else None
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


def _check_storage(place: Json, where: str, findings: Findings) -> str | None:
    """An object storage with its access: the URL, if one can be read. Any keys that are not empty are accepted."""
    given = [name for name in ("s3", "gs") if name in place]
    if len(given) != 1:
        findings.add(where, "Exactly one of s3 and gs must be given.")
        return None
    name = given[0]
    storage = findings.child(place, where, name, dict)
    if storage is None:
        return None
    where = f"{where}->{name}"
    url = findings.child(storage, where, "url", str)
    if url is not None and not (is_object_url(url) and url.startswith(f"{name}://")):
        findings.add(f"{where}->url", f"{url} is not a valid path: expected {name}://<bucket>/<path>.")
        url = None
    if name == "gs":
        ways = [bool(storage.get("credentials"))]
    else:
        ways = [bool(storage.get("iamRoleARN")), bool(storage.get("accessKey") and storage.get("secretAccessKey"))]
    if sum(ways) != 1:
        access = "credentials" if name == "gs" else "either accessKey and secretAccessKey or iamRoleARN"
        findings.add(where, f"Access to the bucket needs {access}.")
    return url if isinstance(url, str) else None


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


def masked(value: Any) -> Any:
    """A copy in which keys and credentials are ``*****`` (seen in echoed tasks)."""
    if isinstance(value, dict):
        return {key: MASK if key in _SECRETS else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return copy.copy(value)
