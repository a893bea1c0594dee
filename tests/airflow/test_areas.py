"""An area in every form on its way through the operators, from the DAG's text to what the service has got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pendulum
import pytest
import shapely
from shapely.geometry import box, mapping, shape

from airflow_sentinelhub import BatchSpecification, process_request, tiling_grid
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchOperator,
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from tests.names import DAG

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
WEST, EAST = box(8.9, 41.9, 9.1, 42.3), box(9.1, 41.9, 9.3, 42.3)
BOTH = box(8.9, 41.9, 9.3, 42.3)
NEIGHBOURS = {
    "type": "FeatureCollection",
    "features": [{"type": "Feature", "properties": {}, "geometry": mapping(one)} for one in (WEST, EAST)],
}


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with the areas that lie beside a DAG."""
    (tmp_path / "area.geojson").write_text(json.dumps(NEIGHBOURS))
    (tmp_path / "two words.geojson").write_text(json.dumps(NEIGHBOURS))
    (tmp_path / "AREA.GEOJSON").write_text(json.dumps(NEIGHBOURS), "utf-8-sig")
    (tmp_path / "area.wkt").write_text(f"SRID=4326;{BOTH.wkt}\n")
    (tmp_path / "lines.geojsonl").write_text("\n".join(json.dumps(one) for one in NEIGHBOURS["features"]))
    return tmp_path


def rendered(folder: Path, area: Any, *, inside: bool, **more: Any) -> Any:
    """The operator as Airflow hands it to `execute`, with the area as its argument or inside its process request."""
    request = process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), area=area if inside else None)
    start = pendulum.datetime(2024, 1, 1, tz="UTC")
    with DAG("maps", schedule=None, start_date=start, template_searchpath=str(folder)):
        operator = SentinelHubCreateBatchOperator(
            task_id="t",
            process_request=request,
            area=None if inside else area,
            evalscript="//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
            "function evaluatePixel(sample) { return [sample.B04]; }",
            tiling_grid=tiling_grid(1, 10),
            destination="s3://maps/x",
            aws_conn_id="my_bucket",
            **more,
        )
    operator.resolve_template_files()
    operator.render_template_fields({"params": {"area": NEIGHBOURS, "metres": 50}, "ds": "2024-06-01"})
    return operator


AREAS: dict[str, Any] = {
    "the name of a file beside the DAG": "area.geojson",
    "the name of a file, with a blank": "two words.geojson",
    "the name of a file, in capitals": "AREA.GEOJSON",
    "the name of a file with WKT": "area.wkt",
    "the name of a file with lines": "lines.geojsonl",
    "a path beside the DAG": Path("area.geojson"),
    "a path to WKT": Path("area.wkt"),
    "a template of JSON": "{{ params.area | tojson }}",
    "WKT": BOTH.wkt,
    "shapely": shapely.MultiPolygon([WEST, EAST]),
    "neighbours": NEIGHBOURS,
    "numbers from templates": ["{{ 8.9 }}", "{{ 41.9 }}", "{{ 9.3 }}", "{{ 42.3 }}"],
}


@pytest.mark.parametrize("inside", [False, True], ids=["argument", "process_request"])
@pytest.mark.parametrize("area", AREAS.values(), ids=AREAS)
def test_the_service_gets_one_valid_area(bench: Any, beside: Path, area: Any, inside: bool) -> None:
    bounds = bench.body(bench.made(lambda: rendered(beside, area, inside=inside)))["processRequest"]["input"]["bounds"]
    assert set(bounds) <= {"bbox", "geometry", "properties"}
    found = box(*bounds["bbox"]) if "bbox" in bounds else shape(bounds["geometry"])
    assert found.equals(BOTH)


@once
@pytest.mark.parametrize("name", ["area.geojson", "AREA.GEOJSON", "area.wkt", "two words.geojson"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_from_the_root_is_no_template(bench: Any, beside: Path, name: str, kind: Any) -> None:
    elsewhere = beside / "dags"
    elsewhere.mkdir()
    made = bench.made(lambda: rendered(elsewhere, kind(beside / name), inside=False))
    assert shape(bench.body(made)["processRequest"]["input"]["bounds"]["geometry"]).equals(BOTH)


@once
@pytest.mark.parametrize("area", ["no_such.gpkg", Path("no_such.geojson"), "no_such.wkt"])
def test_a_file_that_is_not_there_is_one_sentence(bench: Any, beside: Path, area: Any) -> None:
    with pytest.raises(Exception, match=r"no such file beside the DAG") as raised:
        bench.run(lambda: rendered(beside, area, inside=False))
    assert "no_such" in str(raised.value)
    assert bench.sim.requests() == []


@pytest.mark.parametrize("simplify", [100, "100", "{{ params.metres }}"])
def test_an_area_with_many_points_is_simplified(bench: Any, beside: Path, simplify: Any) -> None:
    many = mapping(shapely.Point(9.1, 42.1).buffer(0.2, 1000))
    with pytest.raises(Exception, match=r"4,001 vertices .*simplify=100"):
        bench.run(lambda: rendered(beside, many, inside=False))
    made = bench.made(lambda: rendered(beside, many, inside=False, simplify=simplify))
    found = shape(bench.body(made)["processRequest"]["input"]["bounds"]["geometry"])
    assert shapely.get_num_coordinates(found) < 1500
    assert found.area == pytest.approx(shape(many).area, rel=0.01)


def test_a_process_request_with_such_an_area_goes_through_every_client(bench: Any) -> None:
    request = process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), area=NEIGHBOURS, evalscript=bench.ndvi)
    if bench.api == "v1":
        made = bench.hook.batch.create(request, tiling_grid(1, 10), bucket_name="maps").request_id
    else:
        client = bench.hook.batch_v2
        place = client.raster_output(client.s3_specification("s3://maps/x", "AKIA", "hush"))
        made = client.create(request, client.tiling_grid_input(1, 10), place).request_id
    bounds = bench.body(made)["processRequest"]["input"]["bounds"]
    assert shape(bounds["geometry"]).equals(BOTH)


@once
def test_a_job_of_the_hook_is_simplified(bench: Any) -> None:
    many = mapping(shapely.Point(9.1, 42.1).buffer(0.2, 1000))
    job = BatchSpecification(
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        tiling_grid=tiling_grid(1, 10), output="s3://maps/x", area=many, evalscript=bench.ndvi, simplify=100,
    )  # fmt: skip
    bench.hook.run_job(job, name="round", aws_conn_id="my_bucket", check_results=False)
    (request,) = bench.sim.requests()
    found = shape(bench.body(request["id"])["processRequest"]["input"]["bounds"]["geometry"])
    assert shapely.get_num_coordinates(found) < 1500


# What no payload can hold, while the DAG is parsed

CIRCLE: dict[str, Any] = {"input": {"data": []}}
CIRCLE["input"]["again"] = [CIRCLE]
JOB: dict[str, Any] = {"task_id": "t", "process_request": {"input": {}}}
STATISTICS: dict[str, Any] = {
    "task_id": "t", "geopackage": "s3://maps/f.gpkg", "data": "sentinel-2-l2a", "aggregation": {}, "destination": "s3://maps/x",
}  # fmt: skip
TAKES: list[tuple[Any, dict[str, Any], str]] = [
    *((SentinelHubBatchOperator, JOB, name) for name in ("process_request", "tiling_grid", "payload_extra", "area")),
    *((SentinelHubCreateBatchOperator, JOB, name) for name in ("process_request", "destination", "area")),
    *((SentinelHubBatchStatisticalOperator, STATISTICS, name) for name in ("aggregation", "calculations")),
    (
        SentinelHubUpdateBatchOperator,
        {"task_id": "t", "request_id": "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"},
        "destination",
    ),
    (SentinelHubCreateBatchCollectionOperator, {"task_id": "t"}, "collection"),
]


@pytest.mark.parametrize(("operator", "given", "name"), TAKES)
def test_an_argument_that_contains_itself_is_one_sentence(operator: Any, given: dict[str, Any], name: str) -> None:
    """Airflow itself would walk it until Python's stack is at its end."""
    with pytest.raises(InvalidInputError, match=rf"^{name}\.input\.again\[0\] contains itself"):
        operator(**{**given, name: CIRCLE})


@pytest.mark.parametrize("operator", [SentinelHubBatchOperator, SentinelHubCreateBatchOperator])
@pytest.mark.parametrize("simplify", [0, -5, "wide", float("nan")])
def test_what_is_no_tolerance_is_said_while_the_dag_is_parsed(operator: Any, simplify: Any) -> None:
    with pytest.raises(InvalidInputError, match="simplify is a number of metres above 0"):
        operator(**JOB, simplify=simplify)


@once
def test_what_is_no_json_is_said_before_anything_is_created(bench: Any, beside: Path) -> None:
    for bad, says in ((float("nan"), "is NaN"), ({1, 2}, "is of type set"), (b"x", "is of type bytes")):
        extra = {"more": {"x": bad}}
        with pytest.raises(Exception, match=rf"more\.x {says}.*nothing was sent"):
            bench.run(lambda extra=extra: rendered(beside, [8.9, 41.9, 9.3, 42.3], inside=False, payload_extra=extra))
    assert bench.sim.requests() == []
