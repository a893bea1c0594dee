"""One vocabulary for both generations: what v1 words become on v2 and the other way round, and what cannot be said."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from airflow_sentinelhub.api.areas import CRS84
from airflow_sentinelhub.api.service.payloads import output, process_request, tiling_grid
from airflow_sentinelhub.api.service.specification import Access, BatchSpecification, render
from airflow_sentinelhub.exceptions import InvalidInputError

PROCESS = process_request("sentinel-2-l2a", ("2019-04-01", "2019-06-30"))
KEYS = Access("AKIA", "hush", region="eu-central-1")
ROLE = Access(iam_role_arn="arn:aws:iam::1:role/writer")
KEYED = {"accessKey": "AKIA", "secretAccessKey": "hush", "region": "eu-central-1"}
AREA = [8.9, 41.9, 9.3, 42.3]


def job(**how: Any) -> BatchSpecification:
    given = {"tiling_grid": tiling_grid(1, 10), "output": "s3://b/p", "area": AREA, "evalscript": "//VERSION=3", **how}
    return BatchSpecification(PROCESS, **{key: value for key, value in given.items() if value is not ...})


def v1(**how: Any) -> dict[str, Any]:
    return render(job(**how), "v1")


def v2(**how: Any) -> dict[str, Any]:
    access = how.pop("access", KEYS)
    return render(job(**how), "v2", access)


# The same job


def test_a_job_on_v1() -> None:
    payload = v1(description="NDVI", tiling_grid=tiling_grid(1, 10, (5, 5)))
    process = payload.pop("processRequest")
    assert payload == {
        "tilingGrid": {"id": 1, "resolution": 10, "bufferX": 5, "bufferY": 5},
        "output": {"defaultTilePath": "s3://b/p"},
        "description": "NDVI",
    }
    assert process["evalscript"] == "//VERSION=3"
    assert process["input"]["bounds"] == {"bbox": AREA, "properties": {"crs": CRS84}}
    assert process["input"]["data"][0]["dataFilter"]["timeRange"]["to"] == "2019-06-30T23:59:59Z"


def test_the_same_job_on_v2() -> None:
    payload = v2(description="NDVI", tiling_grid=tiling_grid(1, 10, (5, 5)))
    process = payload.pop("processRequest")
    assert payload == {
        "input": {"type": "tiling-grid", "id": 1, "resolution": 10, "bufferX": 5, "bufferY": 5},
        "output": {"type": "raster", "delivery": {"s3": {"url": "s3://b/p", **KEYED}}},
        "description": "NDVI",
    }
    assert process == v1(description="NDVI", tiling_grid=tiling_grid(1, 10, (5, 5)))["processRequest"]


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_payload_holds_no_null(api: str) -> None:
    assert "null" not in json.dumps(render(job(), api, KEYS))


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_rendering_changes_nothing_that_it_is_given(api: str) -> None:
    raster = output(default_tile_path="s3://b/p", overwrite=True)
    extra = {"instanceType": "large"}
    given = job(output=raster, extra=extra)
    before = copy.deepcopy((raster, extra, dict(given.process_request)))
    assert render(given, api, KEYS) == render(given, api, KEYS)
    assert (raster, extra, dict(given.process_request)) == before


# Output: v1 words, v2 words


@pytest.mark.parametrize(
    "how",
    [
        {"output": "s3://b/p"},
        {"output": output(default_tile_path="s3://b/p")},
        {"output": {"type": "raster", "delivery": {"s3": {"url": "s3://b/p"}}}},
        {"output": {"delivery": {"s3": {"url": "s3://b/p"}}}},
    ],
)
def test_one_place_by_any_words(how: dict[str, Any]) -> None:
    assert v1(**how)["output"] == {"defaultTilePath": "s3://b/p"}
    assert v2(**how)["output"] == {"type": "raster", "delivery": {"s3": {"url": "s3://b/p", **KEYED}}}


def test_a_bucket_by_name() -> None:
    assert v1(output=None, bucket_name="b")["bucketName"] == "b"
    assert "output" not in v1(output=None, bucket_name="b")
    assert v2(output=None, bucket_name="b")["output"]["delivery"]["s3"]["url"] == "s3://b"


def test_options_of_an_output_keep_their_names() -> None:
    options = {"overwrite": True, "skipExisting": False, "cogOutput": True, "cogParameters": {"blockxsize": 512}}
    words = {**output(default_tile_path="s3://b/p"), **options}
    assert v1(output=words)["output"] == words
    assert v2(output=words)["output"] == {
        "type": "raster",
        "delivery": {"s3": {"url": "s3://b/p", **KEYED}},
        **options,
    }
    full = {"type": "raster", "delivery": {"s3": {"url": "s3://b/p"}}, **options}
    assert v1(output=full)["output"] == words


def test_zarr_both_ways() -> None:
    zarr = {"path": "s3://b/z", "group": {"zarr_format": 2}, "arrayParameters": {"dtype": "<u2"}}
    assert v1(output=None, extra={"zarrOutput": zarr})["zarrOutput"] == zarr
    expected = {
        "type": "zarr",
        "delivery": {"s3": {"url": "s3://b/z", **KEYED}},
        "group": {"zarr_format": 2},
        "arrayParameters": {"dtype": "<u2"},
    }
    payload = v2(output=None, extra={"zarrOutput": zarr})
    assert payload["output"] == expected
    assert "zarrOutput" not in payload
    full = {key: value for key, value in expected.items() if key != "delivery"}
    payload = v1(output={**full, "delivery": {"s3": {"url": "s3://b/z"}}})
    assert payload["zarrOutput"] == zarr
    assert "output" not in payload


def test_access_of_each_kind() -> None:
    assert v2(access=ROLE)["output"]["delivery"]["s3"] == {
        "url": "s3://b/p",
        "iamRoleARN": "arn:aws:iam::1:role/writer",
    }
    named = {"delivery": {"s3": {"url": "s3://b/p", "accessKey": "MINE", "secretAccessKey": "mine"}}}
    assert v2(output=named)["output"]["delivery"]["s3"]["accessKey"] == "MINE"
    role = {"delivery": {"s3": {"url": "s3://b/p", "iamRoleARN": "arn"}}}
    assert v2(output=role)["output"]["delivery"]["s3"] == {"url": "s3://b/p", "iamRoleARN": "arn"}
    assert v2(output=named, access=None)["output"]["delivery"]["s3"]["accessKey"] == "MINE"


def test_an_output_in_full_is_the_users_own_business() -> None:
    full = {"type": "raster", "delivery": {"s3": {"url": "s3://b/p"}}}
    assert v2(output=full, access=None)["output"] == full


def test_v1_knows_a_placeholder_that_v2_does_not() -> None:
    assert v1(output="s3://b/<tileId>.tif")["output"] == {"defaultTilePath": "s3://b/<tileId>.tif"}


def test_another_kind_of_storage_passes_untouched() -> None:
    google = {"type": "raster", "delivery": {"gs": {"url": "gs://b", "credentials": "e30="}}}
    assert v2(output=google)["output"] == google


def test_a_payload_on_v1_never_holds_keys() -> None:
    named = {"delivery": {"s3": {"url": "s3://b/p", "accessKey": "AKIA", "secretAccessKey": "hush"}}}
    assert "hush" not in json.dumps(v1(output=named))


# Input


def test_a_grid_in_v2_words_is_taken_on_v1() -> None:
    assert v1(tiling_grid={"type": "tiling-grid", "id": 1, "resolution": 10})["tilingGrid"] == {
        "id": 1,
        "resolution": 10,
    }


def test_a_geopackage() -> None:
    payload = v2(tiling_grid=None, geopackage="s3://b/fields.gpkg", area=None)
    assert payload["input"] == {"type": "geopackage", "features": {"s3": {"url": "s3://b/fields.gpkg", **KEYED}}}
    assert "bounds" not in payload["processRequest"]["input"]
    full = {"type": "geopackage", "features": {"s3": {"url": "s3://b/f.gpkg"}}, "defaults": {"resolution": 10}}
    assert v2(tiling_grid=None, geopackage=full)["input"] == full


def test_further_members_of_the_payload() -> None:
    assert v1(extra={"instanceType": "large"})["instanceType"] == "large"
    assert v2(extra={"instanceType": "large"})["instanceType"] == "large"


# What cannot be said


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"tiling_grid": None}, "either tiling_grid or geopackage"),
        ({"geopackage": "s3://b/f.gpkg"}, "either tiling_grid or geopackage"),
        ({"tiling_grid": {}}, "tiling_grid has no id"),
        ({"tiling_grid": {"resolution": 10}}, "tiling_grid has no id"),
        ({"output": None}, "where the results go"),
        ({"bucket_name": "b"}, "either destination or bucket_name"),
        ({"area": None}, "There is no area"),
        ({"area": "corsica"}, "neither GeoJSON nor four numbers"),
        ({"evalscript": None}, "no evalscript"),
    ],
)
def test_incomplete_jobs(api: str, how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        render(job(**how), api, KEYS)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"tiling_grid": None, "geopackage": "s3://b/f.gpkg"}, "v1 has no GeoPackage input.*batch_api='v2'"),
        ({"output": {"delivery": {"gs": {"url": "gs://b"}}}}, "S3 only.*batch_api='v2'"),
        ({"output": {"delivery": {}}}, "delivery is an object such as .*, not an empty one"),
        ({"output": "gs://b/p"}, "s3://bucket/path, not 'gs://b/p'"),
        ({"output": "s3://"}, "s3://bucket/path, not 's3://'"),
    ],
)
def test_what_v1_does_not_know(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        v1(**how)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"access": None}, "s3://b/p with keys of yours: give aws_conn_id"),
        ({"access": None, "output": None, "bucket_name": "b"}, "s3://b with keys of yours"),
        ({"access": None, "tiling_grid": None, "geopackage": "s3://b/f.gpkg"}, "with keys of yours"),
        ({"output": output(overwrite=True)}, "output names no place"),
        ({"output": output(default_tile_path="s3://b", responses=[{}])}, "no path per response.*<outputId>"),
        ({"output": "s3://b/<tileId>.tif"}, "use <tileName>"),
        ({"output": "/local/path"}, "s3://bucket/path, not '/local/path'"),
        ({"output": None, "extra": {"zarrOutput": {"group": {}}}}, "s3://bucket/path"),
        ({"tiling_grid": None, "geopackage": "fields.gpkg"}, "s3://bucket/path, not 'fields.gpkg'"),
    ],
)
def test_what_v2_does_not_know(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        v2(**how)


def test_an_area_may_be_in_the_process_request() -> None:
    within = process_request("sentinel-2-l2a", area=AREA, evalscript="x")
    for api in ("v1", "v2"):
        rendered = render(BatchSpecification(within, tiling_grid(1, 10), output="s3://b"), api, KEYS)
        assert rendered["processRequest"]["input"]["bounds"]["bbox"] == AREA


def test_no_error_shows_a_key() -> None:
    with pytest.raises(InvalidInputError) as raised:
        v2(output={"overwrite": True, "secretAccessKey": "hush"})
    assert "hush" not in str(raised.value)
    assert "hush" not in repr(KEYS)
    assert "hush" not in repr(job(extra={}))
