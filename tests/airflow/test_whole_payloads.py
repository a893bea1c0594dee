"""A payload that cannot be right as it stands in the DAG is an error of its file; the hook refuses it before any call.

One table of jobs, each with one mistake, for what needs more than one argument to be told: parts that are missing or
there twice, values that JSON does not have, buckets that cannot be.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import numpy
import pendulum
import pytest

from airflow_sentinelhub import (
    BatchSpecification,
    StatisticalSpecification,
    aggregation,
    input_data,
    process_request,
    sentinelhub_batch,
    tiling_grid,
)
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.api.places import bucket, place
from airflow_sentinelhub.api.service import data_sources
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from tests.airflow.test_literals import described
from tests.names import DAG

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
DAYS = ("2024-06-01", "2024-06-30")
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


def refused(build: Any, says: str) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"^{says}.* Task: job \(test_whole_payloads\.py, line \d+\)\.$"
    ) as caught:
        build()
    assert "\n" not in str(caught.value)


def request(**more: Any) -> dict[str, Any]:
    return {**process_request("sentinel-2-l2a", DAYS), **more}


def filtered(**more: Any) -> dict[str, Any]:
    return process_request("sentinel-2-l2a", DAYS, processing=more)


NO_JSON: list[tuple[Any, str]] = [
    (math.nan, "is NaN"), (math.inf, "is Infinity"), (-math.inf, "is -Infinity"), (numpy.float32("nan"), "is NaN"),
    (Decimal("NaN"), "is NaN"), (numpy.array([1.0, math.nan]), r"\[1\] is NaN"), (10**400, "is larger than a number"),
    (-(10**400), "is larger than a number"), (Decimal("1e400"), "is larger than a number"), ({1, 2}, "is of type set"),
    (b"x", "is of type bytes"), (1j, "is of type complex"), ({1: 2}, "has a key of type int"), ("\ud800", "surrogate"),
    (None, "is None"), ([{"a": None}], r"\[0\]\.a is None"),
]  # fmt: skip
PLACES_OF_IT: list[tuple[str, Any]] = [
    ("process_request", lambda value: filtered(some=value)),
    ("payload_extra", lambda value: {"some": {"some": value}}),
    ("destination", lambda value: {"defaultTilePath": "s3://maps/x", "some": value}),
    ("tiling_grid", lambda value: {**tiling_grid(1, 10), "some": value}),
]


@once
@pytest.mark.parametrize(("value", "says"), NO_JSON, ids=[says for _, says in NO_JSON])
@pytest.mark.parametrize(("name", "within"), PLACES_OF_IT)
def test_what_json_does_not_have(bench: Any, name: str, within: Any, value: Any, says: str) -> None:
    part = within(value)
    for kind in (SentinelHubBatchOperator, SentinelHubCreateBatchOperator):
        refused(lambda kind=kind: kind(**described(**{name: part})), rf"{name}\..*{says}")
        refused(lambda kind=kind: kind.partial(**described(**{name: part})), rf"{name}\..*{says}")
    with pytest.raises(InvalidInputError, match=says):
        bench.hook.run_job(specification(**{name: part}), name="x", aws_conn_id="my_bucket")
    assert bench.effects() == []


def specification(**more: Any) -> BatchSpecification:
    given = described(**more)
    names = ("process_request", "tiling_grid", "geopackage", "bucket_name", "area", "evalscript", "description")
    parts = {name: given.get(name) for name in names}
    return BatchSpecification(**parts, output=given["destination"], extra=given.get("payload_extra") or {})


BAD_DATA = "process_request.input.data is a list with an object for each collection"
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"tiling_grid": None}, "Give either tiling_grid or geopackage"),
    ({"geopackage": "s3://maps/b.gpkg"}, "Give either tiling_grid or geopackage"),
    ({"destination": None}, "Say where the results go"),
    ({"bucket_name": "maps"}, "Give either destination or bucket_name, not both"),
    ({"payload_extra": {"zarrOutput": {"path": "s3://maps/z"}}}, "Give either destination or payload_extra.zarrOutput"),
    ({"destination": {"overwrite": True}}, ".* names no place"),
    ({"area": None}, "There is no area"),
    ({"evalscript": None}, "There is no evalscript"),
    ({"evalscript": None, "process_request": request(evalscript=" ")}, "There is no evalscript"),
    ({"process_request": {"output": {}}}, "process_request must be a Process API payload with `input`"),
    ({"process_request": {"input": 5}}, "process_request must be a Process API payload with `input`"),
    ({"process_request": request(input={})}, BAD_DATA),
    ({"process_request": request(input={"data": []})}, BAD_DATA),
    ({"process_request": request(input={"data": "sentinel-2-l2a"})}, BAD_DATA),
    ({"process_request": request(input={"data": ["sentinel-2-l2a"]})}, r"process_request.input.data\[0\] must be"),
    ({"process_request": request(input={"data": [{}]})}, r"process_request.input.data\[0\] must be"),
    *(
        ({"payload_extra": {name: {}}}, rf"payload_extra\.{name} would take the place of what {instead}")
        for name, instead in (
            ("processRequest", "process_request"),
            ("tilingGrid", "tiling_grid"),
            ("input", "tiling_grid"),
            ("output", "destination"),
            ("bucketName", "bucket_name"),
        )
    ),
    ({"payload_extra": {"description": "a"}, "description": "b"}, r"payload_extra\.description would take the place"),
]


@once
@pytest.mark.parametrize(("more", "says"), MISTAKES)
def test_parts_that_are_missing_or_there_twice(bench: Any, more: dict[str, Any], says: str) -> None:
    for kind in (SentinelHubBatchOperator, SentinelHubCreateBatchOperator):
        refused(lambda kind=kind: kind(**described(**more)), says)
    given = described(**more)
    del given["task_id"]
    with (
        DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")),
        pytest.raises(InvalidInputError, match=rf"^{says}.* Task: maps\.create \("),
    ):
        sentinelhub_batch("maps", **given)
    with pytest.raises(InvalidInputError, match=rf"^{says}"):
        bench.hook.run_job(specification(**more), name="x", aws_conn_id="my_bucket")
    assert bench.effects() == []


@pytest.mark.parametrize(
    "more",
    [
        {"tiling_grid": "{{ params.grid }}", "geopackage": "{{ params.file }}"},
        {"tiling_grid": "grid.json"},
        {"tiling_grid": '{"id": 1, "resolution": 10}'},
        {"destination": "{{ params.to }}", "bucket_name": "{{ params.bucket }}"},
        {"destination": None, "payload_extra": "extra.json"},
        {"destination": None, "payload_extra": "{{ params.extra }}"},
        {"destination": None, "payload_extra": {"zarrOutput": {"path": "s3://maps/z", "a": {"fill_value": None}}}},
        {"area": None, "process_request": "request.json"},
        {"area": None, "evalscript": None, "process_request": "{{ params.request }}"},
        {"area": None, "process_request": {"input": "{{ params.input }}"}},
        {"process_request": request(input={"data": "{{ params.data }}"})},
        {"process_request": request(input={"data": ["{{ params.source }}"]})},
        {"process_request": request(evalscript=None)},
        {"area": None, "tiling_grid": None, "geopackage": "s3://maps/b.gpkg"},
        {"payload_extra": {"some": None}},
        {"request_id": ID, "process_request": None, "tiling_grid": None},
    ],
)
def test_what_is_known_later_or_may_be_missing_passes(more: dict[str, Any]) -> None:
    SentinelHubBatchOperator(**described(**more))


def test_an_output_that_changes_a_request_needs_no_place() -> None:
    for destination in ({"collectionId": ID}, {"description": "x"}, "{{ params.it }}", '{"collectionId": "x"}'):
        SentinelHubUpdateBatchOperator(task_id="job", request_id=ID, destination=destination)


@pytest.mark.parametrize("text", ['{"id": 1, "resolution": 15}', '{"id": 1}', '{"id": 1, "resolution": NaN}'])
def test_json_text_is_looked_at_as_what_it_is(text: str) -> None:
    refused(lambda: SentinelHubBatchOperator(**described(tiling_grid=text)), "tiling_grid")


# Statistics


def statistics(**more: Any) -> dict[str, Any]:
    given = {
        "task_id": "job",
        "geopackage": "s3://maps/b.gpkg",
        "data": "sentinel-2-l2a",
        "aggregation": aggregation(DAYS, "P10D", resolution=10),
        "destination": "s3://maps/b",
        "evalscript": described()["evalscript"],
    }
    return {**given, **more}


def divided(**more: Any) -> dict[str, Any]:
    return {**aggregation(DAYS, "P10D", resolution=10), **more}


SIZED = {name: value for name, value in divided().items() if name not in ("resx", "resy")}
WRONG_STATISTICS: list[tuple[dict[str, Any], str]] = [
    ({"calculations": {"default": 5}}, r"calculations\.default must be an object"),
    ({"calculations": {"default": []}}, r"calculations\.default must be an object"),
    ({"calculations": {"default": {"statistics": 5}}}, r"calculations\.default\.statistics must be an object"),
    ({"calculations": {"default": {"statistics": {"B0": 5}}}}, r"calculations\.default\.statistics\.B0 must be"),
    ({"calculations": {"default": {"histograms": {"B0": {"bins": {1}}}}}}, "calculations.*of type set"),
    ({"calculations": '{"default": 5}'}, r"calculations\.default must be an object"),
    ({"aggregation": divided(aggregationInterval={"of": "P0D"})}, "An interval is longer than nothing"),
    ({"aggregation": divided(aggregationInterval={"of": "PT0H0M"})}, "An interval is longer than nothing"),
    ({"aggregation": divided(aggregationInterval={})}, "aggregation names no interval"),
    ({"aggregation": divided(resx=math.nan)}, r"aggregation\.resx is NaN|resx is a number above 0"),
    ({"aggregation": {**SIZED, "width": 10.5, "height": 10}}, r"aggregation\.width is a whole number above 0"),
    ({"aggregation": {**SIZED, "width": 10, "height": "12.5"}}, r"aggregation\.height is a whole number above 0"),
    ({"aggregation": {**SIZED, "width": 2501, "height": 10}}, "width is a whole number above 0 and at most 2500"),
    ({"aggregation": {**SIZED, "width": 10}}, "width needs its other half"),
    ({"aggregation": {"resx": 1, "resy": 1}}, "aggregation must name timeRange"),
    ({"evalscript": None}, "There is no evalscript"),
    ({"data": [input_data("sentinel-2-l2a")]}, r"data\[0\] must be an object"),
    ({"data": ["sentinel-2-l2a"]}, r"data\[0\] must be an object .*give data='sentinel-2-l2a'"),
    ({"data": [5]}, r"data\[0\] must be an object"),
    ({"data": []}, r"data is the name of a collection"),
    (
        {"data": [{"type": "dem", "data_filter": {}}]},
        r"data\[0\] has no member 'data_filter': did you mean",
    ),
    ({"data": {"dataFilter": {}}}, r"data\[0\] must be an object whose type names a collection"),
]


@once
@pytest.mark.parametrize(("more", "says"), WRONG_STATISTICS)
def test_statistics_that_cannot_be_right(bench: Any, more: dict[str, Any], says: str) -> None:
    refused(lambda: SentinelHubBatchStatisticalOperator(**statistics(**more)), says)
    given = statistics(**more)
    if not isinstance(given.get("calculations"), str):
        names = ("geopackage", "data", "aggregation", "evalscript")
        job = StatisticalSpecification(
            **{name: given[name] for name in names},
            output=given["destination"],
            calculations=given.get("calculations"),
        )
        with pytest.raises(InvalidInputError):
            bench.hook.run_job(job, name="x", aws_conn_id="my_bucket")
    assert bench.effects() == []


@pytest.mark.parametrize(
    ("interval", "size", "says"),
    [("P0D", (10, 10), "An interval is longer than nothing"), ("P10D", (10.5, 10), "width is a whole number"),
     ("P10D", (10, 1e300), "height is a whole number"), ("P10D", (True, 10), "width is a whole number"),
     ("P0Y0M0D", (10, 10), "An interval is longer than nothing"), ("P10D", (0, 10), "width is a whole number")],
)  # fmt: skip
def test_an_aggregation_that_cannot_be_right(interval: str, size: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{says}"):
        aggregation(DAYS, interval, size=size)


def test_an_aggregation_that_can_be() -> None:
    for interval in ("P10D", "P0M10D", "PT1H", "{{ params.every }}"):
        SentinelHubBatchStatisticalOperator(**statistics(aggregation=divided(aggregationInterval={"of": interval})))
    SentinelHubBatchStatisticalOperator(**statistics(aggregation="{{ params.it }}", evalscript=None))
    SentinelHubBatchStatisticalOperator(**statistics(aggregation=aggregation(DAYS, "P1D", size=(10.0, "10"))))  # type: ignore[arg-type]
    SentinelHubBatchStatisticalOperator(**statistics(calculations={"default": {"statistics": {"B0": "{{ 1 }}"}}}))


# Buckets

NO_BUCKETS = ["MAPS", "ma..ps", "192.168.1.1", "maps-", "maps.", "-maps", "ma.-ps", "ma-.ps", "m" * 64, "maps:80"]
NO_PATHS = ["../x", "x/../y", "a\0b", "a\x7f", "x" * 1025, "ü" * 600]


@pytest.mark.parametrize("name", NO_BUCKETS)
def test_buckets_that_cannot_be(name: str) -> None:
    says = ".*is no name of a bucket"
    refused(lambda: SentinelHubBatchOperator(**described(destination=f"s3://{name}/x")), says)
    refused(lambda: SentinelHubBatchOperator(**described(destination={"defaultTilePath": f"s3://{name}/x"})), says)
    refused(
        lambda: SentinelHubBatchOperator(**described(destination=None, bucket_name=name)),
        "bucket_name is the name of a bucket",
    )
    refused(
        lambda: SentinelHubBatchOperator(**described(tiling_grid=None, geopackage=f"s3://{name}/x.gpkg")),
        f"geopackage {says}",
    )
    refused(lambda: SentinelHubBatchStatisticalOperator(**statistics(destination=f"s3://{name}/x")), says)


@pytest.mark.parametrize("path", NO_PATHS)
def test_paths_that_cannot_be(path: str) -> None:
    refused(lambda: SentinelHubBatchOperator(**described(destination=f"s3://maps/{path}")), ".*its path has")


@pytest.mark.parametrize("name", ["a.b-c", "my_maps", "xn--maps", "0maps", "m" * 63, "1.2.3.four"])
def test_buckets_that_can_be(name: str) -> None:
    assert bucket(name) == name
    assert place(f"s3://{name}/a b/ü/") == f"s3://{name}/a b/ü/"


@pytest.mark.parametrize("name", ["m", "ma"])
def test_a_bucket_that_is_too_short_is_refused_before_the_create(bench: Any, name: str) -> None:
    with pytest.raises(AirflowFailException, match=f"'{name}' in .* is no name of a bucket"):
        bench.run(lambda: SentinelHubCreateBatchOperator(**described(destination=f"s3://{name}/x")))
    with pytest.raises(InvalidInputError, match=f"'{name}' in .* is no name of a bucket"):
        bench.hook.run_job(specification(destination=f"s3://{name}/x"), name="x", aws_conn_id="my_bucket")
    assert not bench.calls("POST", "/process")


# The vendor's clients


@once
def test_the_clients_of_the_hook_know_what_the_deployment_offers(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data_sources._HOSTS, urlsplit(bench.sim.url).hostname, data_sources.CDSE)
    process, hook = request(**process_request("modis", DAYS)), bench.hook
    s3 = {"s3": {"url": "s3://maps/x", "accessKey": "a", "secretAccessKey": "b"}}
    for create in (
        lambda: hook.batch.create(process, tiling_grid(1, 10), bucket_name="maps"),
        lambda: hook.batch_v2.create(process, hook.batch_v2.tiling_grid_input(1, 10), {"delivery": s3}),
        lambda: hook.statistical.create(
            input_features=s3, input_data=process["input"]["data"], aggregation=divided(), output=s3
        ),
        lambda: hook.statistical.create_from_request({**process, "aggregation": divided()}, s3, s3),
    ):
        with pytest.raises(InvalidInputError, match=r"^data is 'modis', which Copernicus Data Space .* does not offer"):
            create()
    assert bench.sim.requests() == []
    new = process_request("modis", DAYS, check_collection=False, area=[8, 41, 9, 42], evalscript=bench.ndvi)
    output = {"type": "raster", "delivery": s3}
    made = hook.batch_v2.create(new, hook.batch_v2.tiling_grid_input(1, 10), output)
    assert "check_collection" not in str(bench.body(made.request_id))
