"""What stands in a DAG and cannot be right is an error of its file, which names file, line, task and argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_sentinelhub import BatchSpecification, aggregation, process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.api.service import data_sources
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchOperator,
    SentinelHubCancelBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubDeleteBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
ON_REQUEST: list[Any] = [
    SentinelHubAnalyseBatchOperator,
    SentinelHubStartBatchOperator,
    SentinelHubCancelBatchOperator,
    SentinelHubDeleteBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubBatchSensor,
    SentinelHubBatchTileSensor,
    SentinelHubBatchOperator,
]
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
NO_IDS = ["", "latest", "~", "None", "123", 123, ID[:-1], f"{ID}x", True, [ID], {"id": ID}, b"x"]
NO_GENERATIONS = ["", "v3", "V2", "2", 2, "batch", ["v2"], True]


def described(**more: Any) -> dict[str, Any]:
    return {
        "task_id": "job",
        "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        "evalscript": "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
        "function evaluatePixel(sample) { return [sample.B04]; }",
        "area": [8.9, 41.9, 9.3, 42.3],
        "tiling_grid": tiling_grid(1, 10),
        "destination": "s3://maps/ndvi",
        "aws_conn_id": "my_bucket",
        **more,
    }


def refused(build: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{says}.* Task: job \(test_literals\.py, line \d+\)\.$") as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ON_REQUEST)
@pytest.mark.parametrize("value", NO_IDS)
def test_an_id_that_is_none(kind: Any, value: Any) -> None:
    refused(lambda: kind(task_id="job", request_id=value), "request_id is ")
    refused(lambda: kind.partial(task_id="job", request_id=value), "request_id is ")


@pytest.mark.parametrize(
    "value", [ID, f" {ID} ", ID.upper(), ID.replace("-", ""), {"request_id": ID}, "{{ params.x }}"]
)
def test_an_id_in_every_form(value: Any) -> None:
    for kind in ON_REQUEST:
        kind(task_id="job", request_id=value)


@pytest.mark.parametrize("value", NO_GENERATIONS)
def test_a_generation_that_is_none(value: Any) -> None:
    for kind in ON_REQUEST:
        refused(lambda kind=kind: kind(task_id="job", request_id=ID, batch_api=value), "batch_api must be ")
        refused(lambda kind=kind: kind.partial(task_id="job", batch_api=value), "batch_api must be ")
    refused(lambda: SentinelHubCreateBatchOperator(**described(batch_api=value)), "batch_api must be ")


@once
def test_a_generation_out_of_a_template_that_is_none(bench: Any) -> None:
    def make(value: str) -> Any:
        task = SentinelHubBatchOperator(**described(batch_api="{{ params.api }}"))
        task.batch_api = value
        return task

    before = bench.mark()
    for value in ("v3", "statistical"):
        with pytest.raises(AirflowFailException, match=rf"^batch_api must be .*not '{value}'"):
            bench.run(lambda value=value: make(value))
    assert bench.mark() == before


@once
def test_a_batch_job_is_no_statistical_one(bench: Any) -> None:
    refused(lambda: SentinelHubBatchOperator(**described(batch_api="statistical")), "batch_api must be v1 or v2")
    for name in ("statistical", "v3"):
        with pytest.raises(InvalidInputError, match=r"^batch_api must be"):
            bench.hook.run_job(BatchSpecification(process_request={}), name="x", batch_api=name)


AREAS: list[tuple[Any, str]] = [
    ([9, 42, 8, 41], "The bounding box .* is empty"),
    ([8, 41, 9], "A bounding box is four numbers"),
    ("corsica", "The area 'corsica' is neither"),
    ({"type": "Point", "coordinates": [8, 41]}, "The area has a GeoJSON geometry of type 'Point'"),
    ({"type": "FeatureCollection", "features": []}, "The area holds no polygon"),
    ([41, 100, 42, 101], "The area has latitudes beyond 90"),
    (5, "The area must be GeoJSON"),
    ("", "The area '' is neither"),
]


@pytest.mark.parametrize(("area", "says"), AREAS)
def test_an_area_that_is_none(area: Any, says: str) -> None:
    for kind in (SentinelHubBatchOperator, SentinelHubCreateBatchOperator):
        refused(lambda kind=kind: kind(**described(area=area)), says)


@pytest.mark.parametrize(
    "area", ["{{ params.area }}", ["{{ params.west }}", 41, 9, 42], "no_such_file.gpkg", Path("x.geojson"), b"\x01"]
)
def test_an_area_that_is_known_later(area: Any) -> None:
    SentinelHubBatchOperator(**described(area=area))


PLACES: list[tuple[Any, str]] = [
    ("maps/ndvi", "The place of an output is s3://bucket/path, not 'maps/ndvi'"),
    ("s3://", "The place of an output is s3://bucket/path, not 's3://'"),
    ("s3:///ndvi", "The place of an output is s3://bucket/path, not 's3:///ndvi'"),
    ("s3:// maps/ndvi", "The place of an output .*' maps' is no name of a bucket"),
    ("s3://my maps/ndvi", "The place of an output .*'my maps' is no name of a bucket"),
    ("s3://my_bucket@maps/ndvi", "The place of an output .*leave my_bucket@ out, and give aws_conn_id='my_bucket'"),
    ("gs://maps/ndvi", "The place of an output is s3://bucket/path, not 'gs://maps/ndvi'"),
    (Path("s3://maps/ndvi"), "The place of an output .*A pathlib path drops one of the slashes"),
    (Path("/data/maps"), "The place of an output is s3://bucket/path, not '/data/maps'"),
    (5, "destination"),
    (["s3://maps"], "destination"),
    ({"delivery": "s3://maps"}, "destination.delivery is an object such as"),
    ({"delivery": {"s3": "s3://maps"}}, "destination.delivery.s3 is an object with a url"),
    ({"delivery": {"s3": {}}}, "destination.delivery.s3 is an object with a url"),
    ({"delivery": {"s3": {"url": "s3://"}}}, "destination.delivery.s3.url is s3://bucket/path"),
    ({"defaultTilePath": "maps"}, "The place of an output is s3://bucket/path, not 'maps'"),
]


@pytest.mark.parametrize(("value", "says"), PLACES)
def test_a_place_that_is_none(value: Any, says: str) -> None:
    for kind in (SentinelHubBatchOperator, SentinelHubCreateBatchOperator):
        refused(lambda kind=kind: kind(**described(destination=value)), says)
        refused(lambda kind=kind: kind(**{**described(output=value), "destination": None}), says)


@pytest.mark.parametrize(
    "value", ["s3://maps", "s3://maps/", "s3://maps/a b/ü/", "{{ params.to }}", "to.json", '{"a": 1}', " s3://maps/x\n"]
)
def test_a_place_in_every_form(value: Any) -> None:
    SentinelHubBatchOperator(**described(destination=value))


@pytest.mark.parametrize("value", ["", "s3://maps", "maps/", "ma ps", "ünï", "<maps>", "@"])
def test_a_bucket_that_is_none(value: str) -> None:
    given = described(destination=None, bucket_name=value)
    refused(lambda: SentinelHubBatchOperator(**given), "bucket_name is the name of a bucket, not ")


@pytest.mark.parametrize("value", ["fields.gpkg", "s3://", "gs://maps/fields.gpkg", Path("s3://maps/x.gpkg"), 5])
def test_a_geopackage_that_is_nowhere(value: Any) -> None:
    refused(lambda: SentinelHubBatchOperator(**described(tiling_grid=None, geopackage=value)), "geopackage ")
    given = {"data": "sentinel-2-l2a", "aggregation": {}, "destination": "s3://maps/x"}
    refused(
        lambda: SentinelHubBatchStatisticalOperator(task_id="job", geopackage=value, **given),
        "geopackage ",
    )


@once
@pytest.mark.parametrize(
    "destination", ["s3://maps", "s3://maps/", "s3://maps//", "s3://maps/ndvi/", "s3://maps/a b/ü"]
)
def test_a_job_ends_well_with_slashes_and_any_letters_in_its_place(bench: Any, destination: str) -> None:
    result = bench.run(lambda: SentinelHubBatchOperator(**described(destination=destination)))
    assert (result["status"], result["failed"], result["checked"]) == ("DONE", 0, True)
    assert result["tile_count"] > 0


@pytest.fixture
def at_cdse(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator's address is one of Copernicus Data Space."""
    monkeypatch.setitem(data_sources._HOSTS, urlsplit(bench.sim.url).hostname, data_sources.CDSE)


@pytest.mark.usefixtures("at_cdse")
@once
def test_a_collection_of_another_deployment_is_refused_before_any_call(bench: Any) -> None:
    given = described(process_request=process_request("modis", ("2024-06-01", "2024-06-30")))
    says = r"^data is 'modis', which Copernicus Data Space .* does not offer, and AWS \(Planet\) does"
    for kind in (SentinelHubBatchOperator, SentinelHubCreateBatchOperator):
        with pytest.raises(AirflowFailException, match=says):
            bench.run(lambda kind=kind: kind(**given))
    job = BatchSpecification(
        **{name: given[name] for name in ("process_request", "tiling_grid", "area", "evalscript")},
        output=given["destination"],
    )
    with pytest.raises(InvalidInputError, match=says):
        bench.hook.run_job(job, name="x", aws_conn_id="my_bucket")
    statistics = {"geopackage": "s3://a/b.gpkg", "destination": "s3://a/b", "aws_conn_id": "my_bucket"}
    statistics |= {"evalscript": given["evalscript"], "data": "modis"}
    span = aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10)
    with pytest.raises(AirflowFailException, match=says):
        bench.run(lambda: SentinelHubBatchStatisticalOperator(task_id="job", aggregation=span, **statistics))
    assert bench.effects() == []


@pytest.mark.usefixtures("at_cdse")
@once
def test_a_new_collection_is_let_through_where_the_user_says_so(bench: Any) -> None:
    new = process_request("modis", ("2024-06-01", "2024-06-30"), check_collection=False)
    request_id = bench.made(lambda: SentinelHubCreateBatchOperator(**described(process_request=new)))
    assert [source["type"] for source in bench.body(request_id)["processRequest"]["input"]["data"]] == ["modis"]
