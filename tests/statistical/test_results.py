"""Results of single features: every form of file that was seen, from a folder and from a real S3."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Send
from airflow_sentinelhub.api.service.generations import STATISTICAL
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.hooks.job_results import ResultsReader
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.statistical import StatisticalFeature, StatisticalResults, feature_of
from tests.statistical.fields import GEOPACKAGE, parcels, put_fields

ID = "4700adcb-b0fc-44b4-80df-d97ae1f33ec3"
OTHER = "11111111-b0fc-44b4-80df-d97ae1f33ec3"


def interval(start: str = "2024-06-01T00:00:00Z", **stats: Any) -> dict[str, Any]:
    told = {"min": 0.1, "max": 0.9, "mean": 0.5, "stDev": 0.2, "sampleCount": 400, "noDataCount": 0, **stats}
    return {
        "interval": {"from": start, "to": "2024-06-11T00:00:00Z"},
        "outputs": {"ndvi": {"bands": {"B0": {"stats": told}}}},
    }


def result(number: int = 1, **members: Any) -> dict[str, Any]:
    return {"id": number, "identifier": f"field-{number}", **members}


def good(number: int = 1, *data: Any) -> dict[str, Any]:
    return result(number, response={"data": list(data or (interval(),)), "status": "OK"})


def test_the_request_is_read_at_the_endpoint_of_its_generation() -> None:
    """A new kind of job whose results are features brings its own."""
    api = replace(STATISTICAL, body=lambda request_id: Call("GET", f"/zonal/{request_id}", dict))
    job = Snapshot(request_id=ID, status=BatchRequestStatus.DONE, generation="zonal")
    flow = ResultsReader(lambda: pytest.fail("no bucket is read yet")).read(api, job)
    step: Any = next(flow)
    while not isinstance(step, Send):
        step = flow.send(0.0)
    assert step.call.path == f"/zonal/{ID}"


def put(bucket: Path, url: str, content: Any) -> None:
    place = bucket / url.removeprefix("s3://")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content if isinstance(content, str) else json.dumps(content))


def results(bucket: Path, url: str = "s3://farm/out", **more: Any) -> StatisticalResults:
    return StatisticalResults(ID, url, BucketReader(mount=str(bucket)), **more)


# Forms


def test_a_good_result() -> None:
    feature = feature_of(good(), "s3://farm/out/1.json")
    assert (feature.failed, feature.why) == (False, None)
    assert feature.as_item() == {"identifier": "field-1", "id": 1, "path": "s3://farm/out/1.json", "status": "OK"}
    (row,) = feature.rows()
    assert (row["output"], row["band"], row["mean"], row["from"]) == ("ndvi", "B0", 0.5, "2024-06-01T00:00:00Z")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (result(error={"type": "EXECUTION_ERROR"}), "EXECUTION_ERROR"),
        (result(error="broken"), "broken"),
        (result(response={"data": None, "status": "FAILED"}), "FAILED"),
        (result(response={"status": "OK"}), "OK"),
        (result(), "UNREADABLE"),
        ([], "UNREADABLE"),
        (good(1, {"interval": {"from": "a"}, "error": {"type": "TIMEOUT"}}, interval()), "TIMEOUT in 1 of 2 intervals"),
        (good(1, {"interval": {}, "error": {"type": "BAD_REQUEST"}}), "BAD_REQUEST in 1 of 1 intervals"),
        (good(1, {"interval": {}, "error": {}}), "UNKNOWN in 1 of 1 intervals"),
    ],
)
def test_every_form_of_failure(body: Any, why: str) -> None:
    feature = feature_of(body, "s3://farm/out/1.json")
    assert feature.failed
    assert feature.why == why
    assert feature.as_item()["status"] == "FAILED"
    assert feature.as_item()["error"] == why


def test_statistics_over_nothing_are_not_a_number_and_stay_as_they_are() -> None:
    feature = feature_of(good(1, interval(mean="NaN", percentiles={"50.0": "NaN"})), "u")
    assert not feature.failed
    (row,) = feature.rows()
    assert math.isnan(row["mean"])
    assert math.isnan(row["percentiles"]["50.0"])
    assert row["max"] == 0.9
    assert feature.data[0]["outputs"]["ndvi"]["bands"]["B0"]["stats"]["mean"] == "NaN"


def test_items_are_small_json() -> None:
    failed = feature_of(result(error={"type": "EXECUTION_ERROR"}), "u").as_item()
    assert json.loads(json.dumps(failed)) == failed


# Where they lie


@pytest.mark.parametrize(
    ("url", "paths"),
    [
        ("s3://farm/out", [f"s3://farm/out/{ID}/{number}.json" for number in (1, 2, 10)]),
        ("s3://farm/out/", [f"s3://farm/out/{ID}/{number}.json" for number in (1, 2, 10)]),
        ("s3://farm/<ID>/x.json", [f"s3://farm/{number}/x.json" for number in (1, 2, 10)]),
        ("s3://farm/<REQUEST_ID>-<IDENTIFIER>.json", [f"s3://farm/{ID}-field-{number}.json" for number in (1, 2, 10)]),
        ("s3://farm/<ID>/<ID>-<IDENTIFIER>.json", [f"s3://farm/{n}/{n}-field-{n}.json" for n in (1, 2, 10)]),
    ],
)
def test_files_are_found_by_the_template(tmp_path: Path, url: str, paths: list[str]) -> None:
    for number, path in zip((1, 2, 10), paths, strict=True):
        put(tmp_path, path, good(number))
    put(tmp_path, f"s3://farm/out/{ID}/request-{ID}.json", {})
    put(tmp_path, f"s3://farm/out/{OTHER}/1.json", good(99))
    found = results(tmp_path, url)
    assert sorted(found.urls()) == sorted(paths)
    assert sorted(feature.id for feature in found.features()) == [1, 2, 10]


def test_features_of_the_geopackage_without_a_file_are_missing(tmp_path: Path) -> None:
    put_fields(tmp_path, parcels(3, first=1))
    put(tmp_path, f"s3://farm/out/{ID}/2.json", {**good(2), "identifier": "field-01"})
    found = results(tmp_path, geopackage=GEOPACKAGE)
    assert {feature.identifier: feature.why for feature in found.failed()} == {
        "field-00": "MISSING",
        "field-02": "MISSING",
    }
    assert next(found.failed()).url == f"s3://farm/out/{ID}/1.json"
    assert found.reason is None


def test_files_of_other_features_in_the_same_folder_do_not_count(tmp_path: Path) -> None:
    put_fields(tmp_path, parcels(1, first=1))
    for number in (1, 7):
        put(tmp_path, f"s3://farm/{number}.json", {**good(number), "identifier": "field-00"})
    assert [feature.id for feature in results(tmp_path, "s3://farm/<ID>.json", geopackage=GEOPACKAGE).features()] == [1]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"SQLite format 3\0" + bytes(50)])
def test_a_geopackage_that_cannot_be_read_is_said(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, f"s3://farm/out/{ID}/1.json", good())
    (tmp_path / "farm" / "fields.gpkg").write_bytes(content)
    found = results(tmp_path, geopackage=GEOPACKAGE)
    assert [feature.id for feature in found.features()] == [1]
    assert found.reason
    assert ID in found.reason


def test_a_file_that_is_no_json_is_an_error_with_the_request_in_it(tmp_path: Path) -> None:
    put(tmp_path, f"s3://farm/out/{ID}/1.json", '{"id": ')
    with pytest.raises(ResultsError, match=rf"{ID}: s3://farm/out/{ID}/1.json is not the JSON"):
        list(results(tmp_path).features())


def test_given_files_are_read_in_their_order(tmp_path: Path) -> None:
    numbers = [7, 3, 5, *range(10, 90)]
    for number in numbers:
        put(tmp_path, f"s3://farm/{number}/x.json", good(number))
    found = results(tmp_path).read(f"s3://farm/{number}/x.json" for number in numbers)
    assert [feature.id for feature in found] == numbers
    with pytest.raises(ResultsError, match=r"there is no s3://farm/0/x\.json"):
        list(results(tmp_path).read(["s3://farm/0/x.json"]))


def test_reading_is_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        put(tmp_path, f"s3://farm/out/{ID}/{number}.json", good(number))
    fetched: list[str] = []
    fetch = BucketReader.fetch
    monkeypatch.setattr(
        BucketReader, "fetch", lambda self, url, folder: (fetched.append(url), fetch(self, url, folder))[1]
    )
    features = results(tmp_path).features()
    assert isinstance(next(features), StatisticalFeature)
    assert len(fetched) <= 64
    features.close()


def test_from_a_real_s3(tmp_path: Path) -> None:
    pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server")
    s3 = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    s3.start()
    try:
        import boto3

        host, port = s3.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "hush", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=address, **keys)
        client.create_bucket(Bucket="farm")
        put_fields(tmp_path, parcels(3, first=1))
        client.put_object(Bucket="farm", Key="fields.gpkg", Body=(tmp_path / "farm" / "fields.gpkg").read_bytes())
        for number in (1, 2):
            content = {**good(number), "identifier": f"field-{number - 1:02}"}
            client.put_object(Bucket="farm", Key=f"out/{ID}/{number}.json", Body=json.dumps(content))
        reader = BucketReader(key="AKIA", secret="hush", region="us-east-1", endpoint_url=address)
        found = StatisticalResults(ID, "s3://farm/out", reader, GEOPACKAGE)
        assert [(one.identifier, one.why) for one in found.features()] == [
            ("field-00", None),
            ("field-01", None),
            ("field-02", "MISSING"),
        ]
        gone = StatisticalResults(ID, "s3://nobody/out", reader)
        with pytest.raises(ResultsError, match="no such bucket"):
            list(gone.features())
    finally:
        s3.stop()
