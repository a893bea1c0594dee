"""A value that came out of a template and is refused: the message names the argument, the value and the template."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_sentinelhub import last, process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.api.template_origins import templates_told
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchBudgetOperator,
    SentinelHubBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from tests.airflow.test_rendered import DAYS, described, rendered

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
IT = "{{ params.it }}"
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


def request(**more: Any) -> dict[str, Any]:
    return process_request(**{"data": "sentinel-2-l2a", "time_range": DAYS, **more})


JOBS: list[tuple[str, Any, Any]] = [
    ("tiling_grid", tiling_grid(1, IT), 15),  # type: ignore[arg-type]
    ("tiling_grid", tiling_grid(IT, 10), "one"),  # type: ignore[arg-type]
    ("tiling_grid", IT, "one"),
    ("tiling_grid", IT, "[1, 10]"),
    ("tiling_grid", IT, ""),
    ("tiling_grid", tiling_grid(1, 10, (IT, 5)), -1),  # type: ignore[arg-type]
    ("process_request", request(time_range=(IT, "2024-06-30")), "soon"),
    ("process_request", request(time_range=(IT, "2024-06-30")), "2024-07-31"),
    ("process_request", request(time_range=(IT, "2024-06-30")), ""),
    ("process_request", request(time_range=("2024-06-01", IT)), 20240630),
    ("process_request", request(time_range=IT), "june"),
    ("process_request", request(time_range=last(days=IT)), "thirty"),
    ("process_request", request(time_range=last(days=IT)), -1),
    ("process_request", request(data=IT), "sentinel2-l2a"),
    ("process_request", request(data=IT), "None"),
    ("process_request", request(max_cloud_coverage=IT), "20%"),
    ("process_request", request(mosaicking_order=IT), "newest"),
    ("process_request", IT, "request.json"),
    ("process_request", IT, "[]"),
    ("destination", IT, "maps/ndvi"),
    ("destination", f"s3://{IT}/ndvi", ""),
    ("destination", IT, ""),
    ("area", IT, "corsica"),
    ("area", IT, "corsica.geojson"),
    ("area", IT, "[8, 41, 9]"),
    ("area", [8, IT, 9, 42], "north"),
    ("area", [8, IT, 9, 42], 43),
    ("evalscript", IT, "max_ndvi.js"),
    ("evalscript", f"{IT}.js", "max_ndvi"),
    ("payload_extra", IT, "5"),
    ("payload_extra", IT, "more"),
    ("simplify", IT, "-5"),
    ("bucket_name", IT, "s3://maps"),
    ("batch_api", IT, "v3"),
    ("max_restarts", IT, "1.5"),
    ("min_success_ratio", IT, "95"),
    ("on_partial", IT, "ignore"),
    ("on_over_budget", IT, "ignore"),
    ("resume_stopped", IT, "always"),
    ("request_id", IT, "latest"),
    ("timeout", IT, "1h"),
]


def told(bench: Any, kind: Any, given: dict[str, Any], value: Any, native: bool) -> None:
    before = bench.mark()
    with pytest.raises(AirflowFailException) as refused:
        bench.run(lambda: rendered(kind, given, native=native, it=value))
    message = str(refused.value)
    assert IT in message
    assert message.count(IT) == 1
    assert str(value) in message or re.search("[0-9]{4}-", message)
    assert "\n" not in message
    assert bench.effects(before) == []


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("name", "template", "value"), JOBS)
@once
def test_of_a_job(bench: Any, name: str, template: Any, value: Any, native: bool) -> None:
    given = described(bench, **{name: template})
    if name == "bucket_name":
        del given["destination"]
    told(bench, SentinelHubBatchOperator, given, value, native)
    if name in SentinelHubCreateBatchOperator.template_fields:
        told(bench, SentinelHubCreateBatchOperator, given, value, native)


OTHERS: list[tuple[Any, dict[str, Any], Any]] = [
    (SentinelHubStartBatchOperator, {"request_id": IT}, "latest"),
    (SentinelHubStartBatchOperator, {"request_id": ID, "resume_stopped": IT}, "always"),
    (SentinelHubStartBatchOperator, {"request_id": ID, "poll_interval": IT}, "5m"),
    (SentinelHubListBatchTilesOperator, {"request_id": ID, "status": IT}, "DONE?"),
    (SentinelHubListBatchTilesOperator, {"request_id": ID, "chunk_size": IT}, "0"),
    (SentinelHubBatchBudgetOperator, {"request_id": ID, "max_processing_units": IT}, "5k"),
    (SentinelHubBatchBudgetOperator, {"request_id": ID, "max_processing_units": 5, "on_over_budget": IT}, "warn"),
    (SentinelHubBatchSensor, {"request_id": IT}, "latest"),
    (SentinelHubBatchSensor, {"request_id": ID, "target_status": IT}, "FINISHED"),
    (SentinelHubBatchTileSensor, {"request_id": ID, "tile_status": IT}, "FINISHED"),
    (SentinelHubBatchTileSensor, {"request_id": ID, "count": IT}, "some"),
    (SentinelHubBatchTileSensor, {"request_id": ID, "share": IT}, "95"),
    (SentinelHubUpdateBatchOperator, {"request_id": ID, "destination": IT}, "{"),
]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("kind", "given", "value"), OTHERS)
@once
def test_of_other_operators_and_sensors(bench: Any, kind: Any, given: dict[str, Any], value: Any, native: bool) -> None:
    told(bench, kind, {"task_id": "job", **given}, value, native)


STATISTICS: list[tuple[str, Any, Any]] = [
    ("geopackage", IT, "fields.gpkg"),
    ("data", IT, "sentinel2-l2a"),
    ("aggregation", IT, "daily"),
    ("calculations", IT, "mean"),
    ("max_failed_features", IT, "3%"),
    ("destination", IT, "maps/x"),
]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("name", "template", "value"), STATISTICS)
@once
def test_of_statistics(bench: Any, name: str, template: Any, value: Any, native: bool) -> None:
    from airflow_sentinelhub import aggregation

    given = {
        "task_id": "job",
        "geopackage": "s3://maps/fields.gpkg",
        "data": "sentinel-2-l2a",
        "aggregation": aggregation(DAYS, "P1D", resolution=10),
        "destination": "s3://maps/x",
        "evalscript": bench.ndvi,
        "aws_conn_id": "my_bucket",
        name: template,
    }
    told(bench, SentinelHubBatchStatisticalOperator, given, value, native)


def test_only_what_the_message_is_about() -> None:
    templates = {"tiling_grid": {"id": "{{ a }}", "resolution": "{{ b }}"}, "area": "{{ c }}", "description": "{{ d }}"}
    values = {"tiling_grid": {"id": 1, "resolution": 15}, "area": "corsica.geojson", "description": ""}
    assert templates_told("Grid 100 does not offer 15; it offers 10.", values, templates) == (
        " Out of templates: tiling_grid.resolution is '{{ b }}' in the DAG."
        " Nothing came out of templates: description is '{{ d }}' in the DAG."
    )
    grid = {"tiling_grid": templates["tiling_grid"]}
    assert templates_told("x is 15, which came from '{{ b }}'.", values, grid) == ""
    assert templates_told("15", {"max_restarts": 15}, {"max_restarts": 15}) == ""
