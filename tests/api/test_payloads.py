"""Builders of payloads: plain words in, the service's JSON out; literal mistakes are said at once."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.areas import CRS84
from airflow_sentinelhub.api.service.payloads import (
    dated,
    finished,
    grid_complaint,
    output,
    process_request,
    tiling_grid,
    without_none,
)
from airflow_sentinelhub.api.service.payloads_v2 import (
    geopackage_input,
    gs_specification,
    raster_output,
    s3_specification,
    tiling_grid_input,
    zarr_output,
)
from airflow_sentinelhub.api.times import Run, last
from airflow_sentinelhub.exceptions import InvalidInputError

GRIDS = [
    {"id": 0, "name": "20km grid", "properties": {"resolutions": [10.0, 20.0, 60.0]}},
    {"id": 3, "name": "WGS84 1 degree grid", "properties": {"resolutions": [1.0e-4, 0.0002]}},
    {"id": 9, "name": "says nothing"},
]


# Tiling grids


def test_a_tiling_grid() -> None:
    assert tiling_grid(1, 10) == {"id": 1, "resolution": 10}
    assert tiling_grid(1, 10, (5, 6)) == {"id": 1, "resolution": 10, "bufferX": 5, "bufferY": 6}
    assert tiling_grid(1, "{{ params.resolution }}", later=True)["later"] is True  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="positive number, not -10"):
        tiling_grid(1, -10)
    with pytest.raises(InvalidInputError, match="positive number, not 0"):
        tiling_grid(1, 0)
    for bad in ((1,), (1, 2, 3), 5):
        with pytest.raises(InvalidInputError, match="two numbers of pixels"):
            tiling_grid(1, 10, bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("grid", "complaint"),
    [
        ({"id": 0, "resolution": 60.0}, None),
        ({"id": 0, "resolution": 60}, None),
        ({"id": 3, "resolution": 0.0001}, None),
        ({"id": 9, "resolution": 1}, None),
        ({"id": 0, "resolution": 15}, r"does not offer resolution 15; it offers \[10.0, 20.0, 60.0\]"),
        ({"id": 0}, "does not offer resolution None"),
        ({"id": 4, "resolution": 60}, r"Tiling grid 4 does not exist; this deployment offers \[0, 3, 9\]"),
        ({}, "Tiling grid None does not exist"),
    ],
)
def test_a_grid_is_checked_against_what_the_deployment_offers(grid: dict[str, Any], complaint: str | None) -> None:
    found = grid_complaint(grid, GRIDS)
    if complaint is None:
        assert found is None
    else:
        with pytest.raises(AssertionError, match=complaint):
            raise AssertionError(found)


@pytest.mark.parametrize("resolution", ["sixty", [60], {}])
def test_a_resolution_that_is_no_number_is_a_complaint(resolution: Any) -> None:
    assert "resolution" in str(grid_complaint({"id": 0, "resolution": resolution}, GRIDS))


@pytest.mark.parametrize(
    "properties",
    [None, 7, [], {}, {"resolutions": None}, {"resolutions": "10"}, {"resolutions": ["x", None]}, {"resolutions": {}}],
)
def test_an_odd_grid_of_the_service_stops_nobody(properties: Any) -> None:
    odd: list[Any] = [{}, {"id": None}, {"id": ["0"]}, {"id": {}}, {"id": 0, "properties": properties}]
    assert grid_complaint({"id": 0, "resolution": 10}, odd) is None
    assert "does not exist" in str(grid_complaint({"id": 5, "resolution": 10}, odd))


# Output of v1


def test_an_output_holds_what_was_given() -> None:
    assert output() == {}
    assert output(default_tile_path="s3://b/p", overwrite=False, cog_output=True, cogParameters={"a": 1}) == {
        "defaultTilePath": "s3://b/p",
        "overwrite": False,
        "cogOutput": True,
        "cogParameters": {"a": 1},
    }


# Process requests


def test_a_process_request_in_plain_words() -> None:
    request = process_request(
        "sentinel-2-l2a",
        ("2019-04-01", "2019-06-30"),
        max_cloud_coverage=30,
        mosaicking_order="leastCC",
        data_filter={"previewMode": "DETAIL"},
        processing={"upsampling": "BICUBIC"},
        responses=("default", {"identifier": "userdata", "format": {"type": "application/json"}}),
        area=[8.9, 41.9, 9.3, 42.3],
        evalscript="//VERSION=3",
    )
    assert finished(request) == {
        "input": {
            "bounds": {"bbox": [8.9, 41.9, 9.3, 42.3], "properties": {"crs": CRS84}},
            "data": [
                {
                    "type": "sentinel-2-l2a",
                    "dataFilter": {
                        "timeRange": {"from": "2019-04-01T00:00:00Z", "to": "2019-06-30T23:59:59Z"},
                        "maxCloudCoverage": 30,
                        "mosaickingOrder": "leastCC",
                        "previewMode": "DETAIL",
                    },
                    "processing": {"upsampling": "BICUBIC"},
                }
            ],
        },
        "output": {
            "responses": [
                {"identifier": "default", "format": {"type": "image/tiff"}},
                {"identifier": "userdata", "format": {"type": "application/json"}},
            ]
        },
        "evalscript": "//VERSION=3",
    }


def test_data_of_several_sources_is_taken_as_it_is() -> None:
    sources = [{"id": "l8", "type": "landsat-ot-l1"}, {"id": "s2", "type": "sentinel-2-l2a"}]
    assert process_request(sources)["input"] == {"data": sources}
    assert process_request(sources[0])["input"] == {"data": sources[:1]}


def test_templates_wait_for_airflow() -> None:
    request = process_request(
        "sentinel-2-l2a",
        ("{{ data_interval_start | ds }}", "{{ ds }}"),
        max_cloud_coverage="{{ 1 }}",  # type: ignore[arg-type]
    )
    assert request["input"]["data"][0]["dataFilter"]["timeRange"] == {
        "from": "{{ data_interval_start | ds }}",
        "to": "{{ ds }}",
    }
    with pytest.raises(InvalidInputError, match="is no moment"):
        finished(request, evalscript="x", area=[0, 0, 1, 1])


@pytest.mark.parametrize("span", ["data_interval", last(days=30)])
def test_what_depends_on_the_run_waits_for_it(span: Any) -> None:
    request = process_request("sentinel-2-l2a", span)
    assert json.loads(json.dumps(request))["input"]["data"][0]["dataFilter"] == {"timeRange": span}
    with pytest.raises(InvalidInputError, match="this run"):
        finished(request, evalscript="x")
    done = dated(request, Run(interval=(datetime(2024, 6, 1), datetime(2024, 7, 1)), moment=datetime(2024, 7, 1)))  # noqa: DTZ001
    assert done["input"]["data"][0]["dataFilter"]["timeRange"] == {
        "from": "2024-06-01T00:00:00Z",
        "to": "2024-06-30T23:59:59.999Z",
    }
    assert finished(done, evalscript="x")["input"] == done["input"]


@pytest.mark.parametrize("odd", ["text", None, {}, {"input": "text"}, {"input": {"data": None}}, {"input": {}}])
def test_what_is_no_process_request_is_left_to_others(odd: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"with `input`|no evalscript"):
        finished(dated(odd, Run()))


def test_several_sources_have_a_range_each() -> None:
    sources = [
        {"type": "sentinel-2-l2a", "dataFilter": {"timeRange": "data_interval", "maxCloudCoverage": 30}},
        {"type": "sentinel-1-grd", "dataFilter": {"timeRange": {"from": "2024-06-01", "to": "2024-06-02 12:00"}}},
        {"type": "dem"},
    ]
    request = process_request(sources)
    done = dated(request, Run(interval=(datetime(2024, 6, 1), datetime(2024, 7, 1))))["input"]["data"]  # noqa: DTZ001
    assert done[0]["dataFilter"]["timeRange"]["to"] == "2024-06-30T23:59:59.999Z"
    assert done[1]["dataFilter"]["timeRange"] == {"from": "2024-06-01T00:00:00Z", "to": "2024-06-02T12:00:00Z"}
    assert done[2] == {"type": "dem"}
    sources[1]["dataFilter"]["timeRange"]["to"] = "2024-05-01"  # type: ignore[index]
    with pytest.raises(InvalidInputError, match=r"data\[1\].dataFilter.timeRange is reversed"):
        process_request(sources)
    with pytest.raises(InvalidInputError, match="by name"):
        process_request(sources[:1], "data_interval")


@pytest.mark.parametrize(
    ("given", "begin", "end"),
    [  # a day, whole; a moment, and one later
        ("2019-04-01", "2019-04-01T00:00:00Z", "2019-04-01T23:59:59Z"),
        (date(2019, 4, 1), "2019-04-01T00:00:00Z", "2019-04-01T23:59:59Z"),
        (datetime(2019, 4, 1, 12, tzinfo=timezone.utc), "2019-04-01T12:00:00Z", None),
        ("2019-04-01T12:00:00", "2019-04-01T12:00:00Z", None),
        ("2019-04-01T12:00:00Z", "2019-04-01T12:00:00Z", None),
        ("2019-04-01T12:00:00+02:00", "2019-04-01T10:00:00Z", None),
        ("2019-04-01T12:00:00-05:00", "2019-04-01T17:00:00Z", None),
        ("2019-04-01T12:00:00+00:00", "2019-04-01T12:00:00Z", None),
    ],
)
def test_times_become_the_services_times_once(given: Any, begin: str, end: str | None) -> None:
    done = finished(process_request("sentinel-2-l2a", (given, given if end else "2019-05-01 00:00")), evalscript="x")
    times = {"from": begin, "to": end or "2019-05-01T00:00:00Z"}
    assert done["input"]["data"][0]["dataFilter"]["timeRange"] == times
    assert finished(done) == done


def test_a_finished_request_leaves_its_input_alone() -> None:
    request = process_request("sentinel-2-l2a", ("2019-04-01", "2019-04-02"))
    before = json.dumps(request)
    finished(request, evalscript="x", area=[0, 0, 1, 1])
    assert json.dumps(request) == before


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"max_cloud_coverage": 101}, "from 0 to 100, not 101"),
        ({"max_cloud_coverage": -1}, "from 0 to 100, not -1"),
        ({"time_range": "2019-04-01"}, "pair"),
        ({"time_range": ("2019-04-01",)}, "pair"),
        ({"time_range": ("2019-04-02", "2019-04-01")}, "time_range is reversed"),
        ({"time_range": ("yesterday", "2019-04-01")}, "time_range from='yesterday' is no moment"),
        ({"data_filter": {"timeRange": {"from": "2019-04-01"}}}, "time_range to=None is no moment"),
        ({"area": "corsica"}, "neither GeoJSON nor four numbers"),
    ],
)
def test_literal_mistakes_are_said_at_once(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        process_request("sentinel-2-l2a", **how)


@pytest.mark.parametrize(
    ("request_", "how", "says"),
    [
        ({}, {"evalscript": "x"}, "with `input`"),
        ("text", {"evalscript": "x"}, "with `input`"),
        (None, {}, "with `input`"),
        ({"input": "text"}, {"evalscript": "x"}, "with `input`"),
        ({"input": None}, {"evalscript": "x"}, "with `input`"),
        ({"input": {"data": []}}, {}, "no evalscript"),
        ({"input": {"data": []}, "evalscript": " \n"}, {}, "no evalscript"),
        ({"input": {"data": []}}, {"evalscript": ""}, "no evalscript"),
        ({"input": {"data": []}}, {"evalscript": "x", "area": "corsica"}, "neither GeoJSON nor four numbers"),
    ],
)
def test_what_is_missing_at_last_is_said(request_: Any, how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        finished(request_, **how)


@pytest.mark.parametrize(
    "data",
    [
        [{"type": "sentinel-2-l2a", "dataFilter": None}],
        [{"type": "sentinel-2-l2a", "dataFilter": {"timeRange": None}}],
        ["odd"],
        None,
        [],
    ],
)
def test_data_of_another_shape_passes_untouched(data: Any) -> None:
    assert finished({"input": {"data": data}}, evalscript="x")["input"]["data"] == (data or [])


def test_without_none() -> None:
    assert without_none({"a": None, "b": 0, "c": "", "d": False}) == {"b": 0, "c": "", "d": False}


# v2


def test_ways_into_a_bucket() -> None:
    assert s3_specification("s3://b", "AKIA", "hush", region="eu-central-1") == {
        "s3": {"url": "s3://b", "accessKey": "AKIA", "secretAccessKey": "hush", "region": "eu-central-1"}
    }
    assert s3_specification("s3://b", iam_role_arn="arn") == {"s3": {"url": "s3://b", "iamRoleARN": "arn"}}
    assert gs_specification("gs://b", "e30=") == {"gs": {"url": "gs://b", "credentials": "e30="}}
    for how in ({}, {"access_key": "AKIA"}, {"access_key": "a", "secret_access_key": "b", "iam_role_arn": "c"}):
        with pytest.raises(InvalidInputError, match="either iam_role_arn, or access_key"):
            s3_specification("s3://b", **how)


def test_inputs_of_v2() -> None:
    assert tiling_grid_input(0, 60, 5, 6) == {
        "type": "tiling-grid", "id": 0, "resolution": 60, "bufferX": 5, "bufferY": 6,
    }  # fmt: skip
    assert tiling_grid_input(0, 60) == {"type": "tiling-grid", "id": 0, "resolution": 60}
    with pytest.raises(InvalidInputError, match="positive"):
        tiling_grid_input(0, -1)
    place = {"s3": {"url": "s3://b/f.gpkg"}}
    assert geopackage_input(place) == {"type": "geopackage", "features": place}
    assert geopackage_input(place, width=10, height=20)["defaults"] == {"width": 10, "height": 20}
    assert geopackage_input(place, resolution=10)["defaults"] == {"resolution": 10}
    with pytest.raises(InvalidInputError, match="either width and height, or resolution"):
        geopackage_input(place, width=10, height=20, resolution=10)
    with pytest.raises(InvalidInputError, match="go together"):
        geopackage_input(place, width=10)


def test_outputs_of_v2() -> None:
    place = {"s3": {"url": "s3://b/p"}}
    assert raster_output(place, overwrite=True, skip_existing=None, more=1) == {
        "type": "raster", "delivery": place, "overwrite": True, "more": 1,
    }  # fmt: skip
    assert zarr_output(place, group={"zarr_format": 2}, array_parameters={"dtype": "<u2"}) == {
        "type": "zarr", "delivery": place, "group": {"zarr_format": 2}, "arrayParameters": {"dtype": "<u2"},
    }  # fmt: skip
