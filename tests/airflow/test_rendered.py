"""What Jinja, params and XComs make of arguments: templates within lists and objects, Undefined, `Param`."""

from __future__ import annotations

from typing import Any

import jinja2
import pendulum
import pytest

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubCreateBatchOperator
from tests.names import DAG

try:
    from airflow.sdk import Param
except ImportError:  # 2.11
    from airflow.models.param import Param

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
DAYS = ("2024-06-01", "2024-06-30")


def described(bench: Any, **more: Any) -> dict[str, Any]:
    return {
        "task_id": "job",
        "process_request": process_request("sentinel-2-l2a", DAYS),
        "evalscript": bench.ndvi,
        "area": bench.area,
        "tiling_grid": tiling_grid(1, 10),
        "destination": "s3://maps/ndvi",
        "aws_conn_id": "my_bucket",
        **more,
    }


def rendered(kind: Any, given: dict[str, Any], *, native: bool = False, **params: Any) -> Any:
    start = pendulum.datetime(2024, 1, 1, tz="UTC")
    how = {"render_template_as_native_obj": native, "template_undefined": jinja2.Undefined}
    with DAG("maps", schedule=None, start_date=start, **how):
        task = kind(**given)
    task.render_template_fields({"params": params, "ds": "2024-06-01"})
    return task


RING = [[8.9, 41.9], [9.3, 41.9], [9.3, 42.3], [8.9, 41.9]]


@pytest.mark.parametrize("native", [True, False])
@once
def test_templates_within_lists_and_objects(bench: Any, native: bool) -> None:
    source = {
        "type": "{{ params.collection }}",
        "dataFilter": {
            "timeRange": {"from": "{{ ds }}", "to": "{{ params.end }}"},
            "maxCloudCoverage": "{{ params.cloud }}",
            "mosaickingOrder": "leastCC",
        },
        "processing": {"harmonizeValues": "{{ params.yes }}"},
    }
    given = described(
        bench,
        process_request=process_request([source], responses=["{{ params.name }}"]),
        area=["{{ params.west }}", 41.9, "9.3", "{{ 42.3 }}"],
        tiling_grid={"id": "{{ params.grid }}", "resolution": "{{ params.size }}"},
        destination={"delivery": {"s3": {"url": "s3://{{ params.bucket }}/x"}}, "overwrite": "{{ params.yes }}"},
        payload_extra={"description": "{{ params.name }}"},
    )
    params = {"collection": "sentinel-2-l2a", "end": "2024-06-30", "cloud": 30, "yes": True, "name": "default"}
    params |= {"west": 8.9, "grid": 1, "size": 10.0, "bucket": "maps"}
    sent = bench.body(bench.made(lambda: rendered(SentinelHubCreateBatchOperator, given, native=native, **params)))
    (data,) = sent["processRequest"]["input"]["data"]
    assert data["type"] == "sentinel-2-l2a"
    assert data["dataFilter"]["timeRange"] == {"from": "2024-06-01T00:00:00Z", "to": "2024-06-30T23:59:59Z"}
    assert (data["dataFilter"]["maxCloudCoverage"], data["processing"]["harmonizeValues"]) == (30, True)
    assert sent["processRequest"]["input"]["bounds"]["bbox"] == [8.9, 41.9, 9.3, 42.3]
    assert (sent["input"]["id"], sent["input"]["resolution"], sent["output"]["overwrite"]) == (1, 10, True)
    assert sent["output"]["delivery"]["s3"]["url"] == "s3://maps/x"


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "area",
    [
        "{{ params.ring | tojson }}",
        ["{{ params.x }}", 41.9, 9.3, "{{ 42.3 }}"],
        "{{ params.shape | tojson }}",
        "{{ params.box }}",
        "{{ params.box | join(', ') }}",
    ],
)
@once
def test_areas_out_of_templates(bench: Any, area: Any, native: bool) -> None:
    polygon = {"type": "Polygon", "coordinates": [RING]}
    params = {"ring": polygon, "x": 8.9, "shape": {"type": "Feature", "geometry": polygon}, "box": bench.area}
    task = rendered(SentinelHubCreateBatchOperator, described(bench, area=area), native=native, **params)
    bounds = bench.body(bench.made(lambda: task))["processRequest"]["input"]["bounds"]
    assert bounds.get("bbox", bench.area) == bench.area
    assert bounds.get("geometry", {"coordinates": [RING]})["coordinates"] == [RING]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("max_processing_units", "{{ nowhere }}", "max_processing_units is given in the DAG"),
        ("max_processing_units", "{{ params.get('nowhere') }}", "max_processing_units is given in the DAG"),
        ("poll_interval", "{{ nowhere }}", "poll_interval is given in the DAG"),
        ("cancel_on_kill", "{{ nowhere }}", "cancel_on_kill is given in the DAG"),
        ("area", ["{{ nowhere }}", 41, 9, 42], "A bounding box is four numbers"),
        ("tiling_grid", {"id": "{{ nowhere }}", "resolution": 10}, r"tiling_grid\.id"),
        ("tiling_grid", {"id": 1, "resolution": "{{ nowhere }}"}, r"tiling_grid\.resolution"),
        ("destination", "s3://{{ nowhere }}/ndvi", "The place of an output is s3://bucket/path, not 's3:///ndvi'"),
        ("destination", "s3://{{ params.get('x') }}/ndvi", "The place of an output .*its template has given no bucket"),
        ("destination", "s3://maps/{{ params.get('x') }}/ndvi", ".*has a part 'None': its template has given nothing"),
        ("destination", {"defaultTilePath": "s3://maps/{{ none }}"}, "The place of an output .*has a part 'None'"),
        ("destination", "s3://maps/{{ nowhere }}/ndvi", ".*has an empty part: its template has given nothing"),
        ("destination", "s3://maps/ndvi/{{ nowhere }}/b", ".*has an empty part: its template has given nothing"),
        ("destination", "{{ nowhere }}", "Say where the results go|The place of an output"),
        ("process_request", process_request("{{ nowhere }}", DAYS), r"data is |.*type is None"),
        ("process_request", process_request("sentinel-2-l2a", ("{{ nowhere }}", "2024-06-30")), "time_range from="),
        ("process_request", process_request("sentinel-2-l2a", "{{ nowhere }}"), r"time_range|.*timeRange is None"),
        ("process_request", process_request("sentinel-2-l2a", ("2024-06-30", "{{ ds }}")), "time_range is reversed"),
        ("process_request", process_request("sentinel-2-l2a", "2024-06-30/{{ ds }}"), "time_range is reversed"),
    ],
)
@once
def test_what_is_undefined_is_refused_before_any_call(
    bench: Any, name: str, value: Any, says: str, native: bool
) -> None:
    before = bench.mark()
    given = described(bench, **{name: value})
    with pytest.raises(AirflowFailException, match=rf"^({says})") as refused:
        bench.run(lambda: rendered(SentinelHubBatchOperator, given, native=native))
    assert "\n" not in str(refused.value)
    assert bench.mark() == before


@pytest.mark.parametrize("native", [True, False])
@once
def test_an_interval_in_one_text(bench: Any, native: bool) -> None:
    request = process_request("sentinel-2-l2a", "{{ ds }}/{{ params.end }}")
    given = described(bench, process_request=request)
    made = bench.made(
        lambda: rendered(SentinelHubCreateBatchOperator, given, native=native, end="2024-06-30T12:00:00+02:00")
    )
    (data,) = bench.body(made)["processRequest"]["input"]["data"]
    assert data["dataFilter"]["timeRange"] == {"from": "2024-06-01T00:00:00Z", "to": "2024-06-30T10:00:00Z"}


@pytest.mark.parametrize("name", ["max_processing_units", "poll_interval", "area", "destination", "check_tiles"])
@once
def test_a_param_itself_is_no_value(bench: Any, name: str) -> None:
    """It is declared in the DAG, and used by a template: `{{ params.limit }}`."""
    with pytest.raises(InvalidInputError, match=r"Task: job \(test_rendered\.py"):
        SentinelHubBatchOperator(**described(bench, **{name: Param(5)}))


@once
def test_a_dag_param_is_known_later(bench: Any) -> None:
    with DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), params={"limit": 5}) as dag:
        task = SentinelHubBatchOperator(**described(bench, max_processing_units=dag.param("limit")))
    assert not isinstance(task.max_processing_units, int)
