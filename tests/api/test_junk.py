"""Whatever stands at whatever place of a job: a payload that is JSON, or one sentence. No error of Python comes out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pytest

from airflow_sentinelhub.api.arguments import KINDS, check_literal, taken
from airflow_sentinelhub.api.service.payloads import output, process_request, tiling_grid
from airflow_sentinelhub.api.service.specification import Access, BatchSpecification, render
from airflow_sentinelhub.api.service.statistical_specification import (
    StatisticalSpecification,
    aggregation,
    render_statistical,
)
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError

pytestmark = pytest.mark.thorough
SCRIPT = "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\nfunction evaluatePixel(s) {}"
SECRET = "wJalrXUtnFEMI"
JUNK: list[Any] = [
    *(None, "", " ", "~", "x", "{}", "[]", "{{ x }}", "\ud800", "a\0b", "x" * 2000, b"", b"x"),
    *(0, -1, 5, 1.5, True, False, float("nan"), float("inf"), 10**400, -(10**30), Decimal("NaN"), Decimal(3)),
    *([], [1], ["a"], [None], [[]], {}, {"a": 1}, {"a": None}, {1: 2}, (), ("a",), set(), {1}),
    *(Path("x"), Path("/"), numpy.array([1]), numpy.array(5), numpy.float64("nan"), numpy.datetime64("NaT")),
    *(object(), len, slice(1), ValueError("x"), type),
]
ACCESS = Access(access_key="AKIA", secret_access_key=SECRET)
POLYGON = {"type": "Polygon", "coordinates": [[[8, 41], [9, 41], [9, 42], [8, 41]]]}
JOB: dict[str, Any] = {
    "process_request": process_request(
        "sentinel-2-l2a",
        ("2024-06-01", "2024-06-30"),
        max_cloud_coverage=30,
        area=[8, 41, 9, 42],
        processing={"upsampling": "BILINEAR"},
    ),
    "tiling_grid": tiling_grid(1, 10, (3, 5)),
    "geopackage": None,
    "output": "s3://b/x",
    "bucket_name": None,
    "area": {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": POLYGON}]},
    "simplify": None,
    "evalscript": SCRIPT,
    "description": "d",
    "extra": {},
}
IN_FULL = {
    "type": "raster",
    "delivery": {"s3": {"url": "s3://b/x", "accessKey": "A", "secretAccessKey": SECRET}},
    "overwrite": True,
    "cogParameters": {"overviewLevels": [1]},
}
GEOPACKAGE = {"type": "geopackage", "features": {"s3": {"url": "s3://b/x.gpkg"}}}
ZARR = {"zarrOutput": {"path": "s3://b/z", "group": {"zarr_format": 2}}}
IN_V1 = output(default_tile_path="s3://b/x", responses=[{"identifier": "a", "tilePath": "s3://b/x"}])
STATISTICS: dict[str, Any] = {
    "geopackage": "s3://b/x.gpkg",
    "data": [{"type": "sentinel-2-l2a", "dataFilter": {"maxCloudCoverage": 3}}],
    "aggregation": aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=(10, 10)),
    "output": "s3://b/o",
    "evalscript": SCRIPT,
    "calculations": {"default": {"histograms": {"default": {"nBins": 5}}}},
    "description": "d",
    "extra": {},
}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "v1": ("v1", JOB),
    "v2": ("v2", JOB),
    "v2 in full": ("v2", {**JOB, "output": IN_FULL}),
    "v1 in full": ("v1", {**JOB, "output": IN_V1}),
    "v2 words for v1": ("v1", {**JOB, "output": IN_FULL}),
    "geopackage": ("v2", {**JOB, "tiling_grid": None, "geopackage": GEOPACKAGE}),
    "zarr": ("v2", {**JOB, "output": None, "extra": ZARR}),
    "bucket": ("v1", {**JOB, "output": None, "bucket_name": "b"}),
    "statistics": ("statistical", STATISTICS),
    "statistics in full": (
        "statistical",
        {**STATISTICS, "output": {"s3": {"url": "s3://b/o"}}, "geopackage": {"s3": {"url": "s3://b/x.gpkg"}}},
    ),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a value, from without to within."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def put(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    value = copy.copy(value)
    value[path[0]] = put(value[path[0]], path[1:], junk)
    return value


def is_one_sentence(error: SentinelHubError) -> None:
    told = str(error)
    assert "\n" not in told
    assert len(told) < 700
    assert SECRET not in told


def tried(build: Callable[[], Any]) -> None:
    """Build it: JSON comes out, or one sentence."""
    try:
        built = build()
    except SentinelHubError as err:
        is_one_sentence(err)
        return
    json.dumps(built, allow_nan=False).encode()


@pytest.mark.parametrize("name", JOBS)
def test_a_payload_or_a_sentence(name: str) -> None:
    batch_api, job = JOBS[name]
    for path in places(job):
        for junk in JUNK:
            given = put(job, path, junk)
            if batch_api == "statistical":
                tried(lambda given=given: render_statistical(StatisticalSpecification(**given), ACCESS))
            else:
                tried(lambda given=given: render(BatchSpecification(**given), batch_api, ACCESS))


DAYS = ("2024-06-01", "2024-06-30")
BUILDERS: dict[str, Callable[[Any], Any]] = {
    "data": lambda junk: process_request(junk, DAYS),
    "time_range": lambda junk: process_request("sentinel-2-l2a", junk),
    "from": lambda junk: process_request("sentinel-2-l2a", (junk, "2024-06-30")),
    "max_cloud_coverage": lambda junk: process_request("sentinel-2-l2a", max_cloud_coverage=junk),
    "data_filter": lambda junk: process_request("sentinel-2-l2a", data_filter=junk),
    "processing": lambda junk: process_request("sentinel-2-l2a", processing=junk),
    "responses": lambda junk: process_request("sentinel-2-l2a", responses=junk),
    "area": lambda junk: process_request("sentinel-2-l2a", area=junk),
    "simplify": lambda junk: process_request("sentinel-2-l2a", area=[8, 41, 9, 42], simplify=junk),
    "grid_id": lambda junk: tiling_grid(junk, 10),
    "resolution": lambda junk: tiling_grid(1, junk),
    "buffer": lambda junk: tiling_grid(1, 10, junk),
    "aggregation's range": lambda junk: aggregation(junk, "P1D", resolution=10),
    "interval": lambda junk: aggregation(DAYS, junk, resolution=10),
    "its resolution": lambda junk: aggregation(DAYS, "P1D", resolution=junk),
    "size": lambda junk: aggregation(DAYS, "P1D", size=junk),
    "last_interval": lambda junk: aggregation(DAYS, "P1D", resolution=10, last_interval=junk),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_return_or_say_it(name: str) -> None:
    for junk in JUNK:
        try:
            BUILDERS[name](junk)
        except InvalidInputError as err:
            is_one_sentence(err)


@pytest.mark.parametrize("name", KINDS)
def test_arguments_are_taken_or_refused(name: str) -> None:
    for junk in JUNK:
        for read in (lambda junk=junk: check_literal(name, junk), lambda junk=junk: taken(name, junk, "{{ x }}")):
            told = name
            try:
                read()
            except InvalidInputError as err:
                is_one_sentence(err)
                told = str(err)
            assert told.startswith(name)
