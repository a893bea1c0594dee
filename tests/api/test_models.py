"""The service's objects: what it sends survives, known or not."""

from __future__ import annotations

import copy
import json
import operator
import pickle
import sys
import threading
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

from airflow_sentinelhub.api.areas import CRS84, BBox, Geometry
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError, JobFailedError, NoEvalscriptError, SettingsError
from airflow_sentinelhub.hooks import models
from airflow_sentinelhub.hooks._client import id_of
from airflow_sentinelhub.hooks.models import (
    BatchCollection,
    BatchProcessRequest,
    BatchRequest,
    BatchRequestStatus,
    BatchStatisticalRequest,
    BatchTileStatus,
    BatchUserAction,
    StoppedStatusReason,
)
from tests.api.feeding import ID, snapshot, v1, v2

POLYGON = {
    "type": "Polygon",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC::CRS84"}},
    "coordinates": [[[36.1, -6.8], [36.2, -6.8], [36.2, -6.7], [36.1, -6.8]]],
}


def statistical(**members: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "completionPercentage": 0,
        "request": {
            "input": {"features": {"s3": {"url": "s3://b/f.gpkg"}}, "data": []},
            "aggregation": {"evalscript": "//VERSION=3 statistics"},
        },
        "status": "CREATED",
        **members,
    }


# Round trips


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (BatchRequest, v1()),
        (BatchRequest, v1("ANALYSIS_DONE", "START", valueEstimate=140005.7441392164, tileCount=1083, error="x")),
        (BatchRequest, v1(accountId="9c6a", someday={"new": [1]}, outputs=None)),
        (BatchProcessRequest, v2()),
        (BatchProcessRequest, v2("STOPPED", "STOP", stoppedStatusReason="OUT_OF_PU", costPU=7205.5, projectId="p")),
        (BatchProcessRequest, v2("DONE", "START", lastUpdated="2025-08-14T14:30:46.716642Z", completionPercentage=100)),
        (BatchStatisticalRequest, statistical(costPU=6.027410152775339, stoppedStatusReason="UNHEALTHY")),
        (BatchCollection, {"name": "n", "s3Bucket": "b", "batchData": {"tilingGridId": 0}, "id": "7"}),
        (
            BatchCollection,
            {"name": "n", "s3Bucket": "b", "additionalData": {"bands": {"d": {"bitDepth": 32}}, "extent": {}}},
        ),
    ],
)
def test_what_came_in_goes_out(kind: Any, body: dict[str, Any]) -> None:
    read = kind.from_dict(body)
    again = kind.from_dict(read.to_dict())
    assert again == read
    assert kind.from_json(read.to_json()) == read
    assert kind.from_json(json.dumps(body)) == read
    written = read.to_dict()
    for key, value in body.items():
        if key not in ("created", "userActionUpdated", "lastUpdated", "batchData", "additionalData"):
            assert written[key] == value, key
    for copied in (copy.deepcopy(read), pickle.loads(pickle.dumps(read))):
        assert copied == read


def test_fields_that_the_service_adds_are_kept() -> None:
    read = BatchRequest.from_dict(v1(brandNew={"a": 1}))
    assert read.other_data["brandNew"] == {"a": 1}
    assert read.to_dict()["brandNew"] == {"a": 1}


def test_absent_members_are_none() -> None:
    read = BatchRequest.from_dict(
        {"id": ID, "processRequest": {}, "tileCount": 0, "status": "FAILED", "error": "Too many failed tiles"}
    )
    assert (read.created, read.user_action, read.value_estimate, read.bucket_name) == (None, None, None, None)
    task = BatchProcessRequest.from_dict({"id": ID, "request": {}, "domainAccountId": "d", "status": "CREATED"})
    assert (task.error, task.cost_PU, task.stopped_status_reason, task.user_action) == (None, None, None, None)
    assert (task.bbox, task.geometry, task.description, task.output_url) == (None, None, None, None)


# Words that nobody has heard of


@pytest.mark.parametrize(
    "kind", [BatchRequestStatus, BatchTileStatus, BatchUserAction, StoppedStatusReason], ids=lambda kind: kind.__name__
)
def test_an_unknown_word_is_a_word(kind: Any) -> None:
    word = kind("LIMBO")
    assert (str(word), word.value, word.name, word.known) == ("LIMBO", "LIMBO", "LIMBO", False)
    assert word == kind("LIMBO") == "LIMBO"
    assert word is kind("LIMBO")
    assert len({word, kind("LIMBO")}) == 1
    assert pickle.loads(pickle.dumps(word)) is word
    assert copy.deepcopy(word) is word
    assert json.dumps(word) == '"LIMBO"'
    assert f"{word}" == "LIMBO"
    assert "LIMBO" not in {str(member) for member in kind}
    for member in kind:
        assert member.known
        assert kind(str(member)) is member
        assert pickle.loads(pickle.dumps(member)) is member
    with pytest.raises(ValueError, match="is not a valid"):
        kind("")


def test_threads_that_meet_a_new_word_at_once_get_one_member() -> None:
    """Members are compared by identity."""
    together, found = threading.Barrier(8), list[list[BatchRequestStatus]]()

    def meet() -> None:
        words = []
        for number in range(100):
            together.wait()
            words.append(BatchRequestStatus(f"MET_{number}"))
        found.append(words)

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for words in found:
        assert all(map(operator.is_, words, found[0]))


@pytest.mark.parametrize(
    ("word", "final", "successful", "active"),
    [
        ("CREATED", False, False, False),
        ("ANALYSING", False, False, True),
        ("ANALYSIS_DONE", False, False, False),
        ("PROCESSING", False, False, True),
        ("DONE", True, True, False),
        ("PARTIAL", True, False, False),
        ("FAILED", True, False, False),
        ("CANCELED", True, False, False),
        ("STOPPED", True, False, False),
        ("LIMBO", False, False, False),
    ],
)
def test_what_a_status_means(word: str, final: bool, successful: bool, active: bool) -> None:
    status = BatchRequestStatus(word)
    assert (status.is_final, status.is_successful, status.is_active) == (final, successful, active)


@pytest.mark.parametrize(
    ("word", "final", "successful", "active"),
    [
        ("PENDING", False, False, False),
        ("SCHEDULED", False, False, True),
        ("QUEUED", False, False, True),
        ("PROCESSING", False, False, True),
        ("PROCESSED", True, True, False),
        ("FAILED", True, False, False),
        ("LIMBO", False, False, False),
    ],
)
def test_what_a_tile_status_means(word: str, final: bool, successful: bool, active: bool) -> None:
    status = BatchTileStatus(word)
    assert (status.is_final, status.is_successful, status.is_active) == (final, successful, active)


def test_a_request_in_an_unknown_status_is_read() -> None:
    read = BatchProcessRequest.from_dict(v2("LIMBO", "PONDER", stoppedStatusReason="MOON"))
    assert (str(read.status), str(read.user_action), str(read.stopped_status_reason)) == ("LIMBO", "PONDER", "MOON")
    assert read.to_dict()["status"] == "LIMBO"


# Times


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2020-12-21T22:28:38.824Z", datetime(2020, 12, 21, 22, 28, 38, 824000, timezone.utc)),
        ("2025-08-14T14:01:12.306339Z", datetime(2025, 8, 14, 14, 1, 12, 306339, timezone.utc)),
        ("2025-08-14T14:01:12Z", datetime(2025, 8, 14, 14, 1, 12, 0, timezone.utc)),
        ("2025-08-14T14:01:12.3Z", datetime(2025, 8, 14, 14, 1, 12, 300000, timezone.utc)),
        ("2025-08-14T14:01:12.306339123Z", datetime(2025, 8, 14, 14, 1, 12, 306339, timezone.utc)),
        ("2025-08-14T14:01:12.306", datetime(2025, 8, 14, 14, 1, 12, 306000, timezone.utc)),
        ("2025-08-14T14:01:12", datetime(2025, 8, 14, 14, 1, 12, 0, timezone.utc)),
        (
            "2025-08-14T16:01:12.306339+02:00",
            datetime(2025, 8, 14, 16, 1, 12, 306339, timezone(timedelta(hours=2))),
        ),
        ("2025-08-14T16:01:12+0200", datetime(2025, 8, 14, 16, 1, 12, 0, timezone(timedelta(hours=2)))),
        ("2025-08-14T16:01:12.000+0200", datetime(2025, 8, 14, 16, 1, 12, 0, timezone(timedelta(hours=2)))),
        ("2025-08-14T16:01:12+02", datetime(2025, 8, 14, 16, 1, 12, 0, timezone(timedelta(hours=2)))),
        ("2025-08-14T08:31:12-0530", datetime(2025, 8, 14, 14, 1, 12, 0, timezone.utc)),
        (" 2025-08-14T14:01:12Z ", datetime(2025, 8, 14, 14, 1, 12, 0, timezone.utc)),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_in_every_form(text: Any, time: datetime | None) -> None:
    assert models.read_time(text) == time
    read = BatchProcessRequest.from_dict(v2(created=text))
    assert read.created == time
    assert read.created is None or read.created.tzinfo is not None


@pytest.mark.parametrize("text", ["yesterday", "1608589718", "2025-13-45T00:00:00Z", 1608589718824, True])
def test_a_time_that_cannot_be_read_is_none(text: Any) -> None:
    """It is of use, but nothing that a waiting task may die of."""
    assert models.read_time(text) is None
    assert BatchRequest.from_dict(v1(created=text)).created is None


def test_times_are_written_as_the_service_writes_them() -> None:
    for text in ("2025-08-14T14:01:12.306339Z", "2025-08-14T14:01:12Z"):
        assert BatchProcessRequest.from_dict(v2(created=text)).to_dict()["created"] == text
    assert models.write_time(None) is None


# Areas


def test_the_area_of_a_request_of_each_generation() -> None:
    box = BBox(8.44, 41.31, 9.66, 43.1)
    assert BatchRequest.from_dict(v1()).bbox == box
    assert BatchProcessRequest.from_dict(v2()).bbox == box
    bounds = {"geometry": POLYGON, "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/3035"}}
    both = {"input": {"bounds": {**bounds, "bbox": [1, 2, 3, 4]}}}
    read = BatchRequest.from_dict(v1(processRequest=both))
    assert read.geometry == Geometry(POLYGON, crs="http://www.opengis.net/def/crs/EPSG/0/3035")
    assert read.bbox == BBox(1, 2, 3, 4, crs="http://www.opengis.net/def/crs/EPSG/0/3035")
    for empty in ({}, {"input": {}}, {"input": {"bounds": None}}, {"input": None}):
        read = BatchRequest.from_dict(v1(processRequest=empty))
        assert (read.bbox, read.geometry) == (None, None)


def test_shapes_are_taken_by_others() -> None:
    shapely = pytest.importorskip("shapely.geometry")
    assert shapely.shape(BBox(0, 0, 2, 1)).area == 2
    assert shapely.shape(Geometry(POLYGON)).is_valid
    assert Geometry(POLYGON).crs == CRS84


def test_the_evalscript_of_each_generation() -> None:
    assert BatchRequest.from_dict(v1()).evalscript == "//VERSION=3 ..."
    assert BatchProcessRequest.from_dict(v2()).evalscript == "//VERSION=3 ..."
    assert BatchStatisticalRequest.from_dict(statistical()).evalscript == "//VERSION=3 statistics"


@pytest.mark.parametrize(
    "read",
    [
        BatchRequest.from_dict(v1(processRequest={})),
        BatchRequest.from_dict(v1(processRequest={"evalscript": None})),
        BatchProcessRequest.from_dict({"id": ID, "request": {}, "status": "CREATED"}),
        BatchStatisticalRequest.from_dict(statistical(request={"aggregation": {}})),
    ],
    ids=["v1", "v1 null", "v2", "statistical"],
)
def test_a_request_without_an_evalscript(read: Any) -> None:
    with pytest.raises(KeyError) as raised:
        _ = read.evalscript
    assert str(raised.value) == f"Batch request {ID} has no evalscript."
    assert isinstance(raised.value, NoEvalscriptError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


# raise_for_status


def test_raise_for_status() -> None:
    failed = BatchRequest.from_dict(v1("FAILED", error="Invalid DEM instance"))
    with pytest.raises(JobFailedError, match=f'{ID} is FAILED and says: "Invalid DEM instance"') as raised:
        failed.raise_for_status()
    assert raised.value.request_id == ID
    partial = BatchRequest.from_dict(v1("PARTIAL"))
    partial.raise_for_status()
    for wanted in ("PARTIAL", BatchRequestStatus.PARTIAL, ["FAILED", "PARTIAL"], {BatchRequestStatus.PARTIAL}):
        with pytest.raises(JobFailedError, match=f"{ID} is PARTIAL."):
            partial.raise_for_status(wanted)
    partial.raise_for_status([])
    BatchRequest.from_dict(v1("LIMBO")).raise_for_status(["FAILED", "CANCELED"])


class Theirs(Enum):
    """A status of the vendor's library."""

    FAILED = "FAILED"
    DONE = "DONE"


@pytest.mark.parametrize("wrong", ["FAILD", "", "failed", ["DONE", "FAILD"], {"FAILED ": 1}, [None]], ids=repr)
def test_raise_for_a_status_that_is_none(wrong: Any) -> None:
    for read in (BatchRequest.from_dict(v1("DONE")), BatchProcessRequest.from_dict(v2("FAILED"))):
        with pytest.raises(ValueError, match="is not a valid BatchRequestStatus; there are CREATED, ") as raised:
            read.raise_for_status(wrong)
        assert isinstance(raised.value, InvalidInputError)


def test_raise_for_a_status_of_the_vendors_or_of_the_service() -> None:
    failed, limbo = BatchRequest.from_dict(v1("FAILED")), BatchRequest.from_dict(v1("LIMBO"))
    for given in (Theirs.FAILED, [Theirs.DONE, Theirs.FAILED]):
        with pytest.raises(RuntimeError):
            failed.raise_for_status(given)  # type: ignore[arg-type]
    failed.raise_for_status(Theirs.DONE)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        limbo.raise_for_status("LIMBO")


@pytest.mark.parametrize("ours", [BatchRequestStatus, BatchTileStatus, BatchUserAction, StoppedStatusReason])
def test_a_word_equals_the_member_of_the_vendors_enumeration(ours: Any) -> None:
    """Code that imports the vendor's enumerations compares, and looks up, without a hint that it gets ours."""
    vendors: Any = Enum(ours.__name__, {one.value: one.value for one in ours})  # type: ignore[misc]
    other: Any = Enum("OtherKind", {one.value: one.value for one in ours})  # type: ignore[misc]
    for word in ours:
        theirs = vendors(word.value)
        assert word == theirs
        assert theirs == word
        assert (word != theirs) is False
        assert (theirs != word) is False
        assert {word: 1}[theirs] == {theirs: 1}[word] == 1
        assert theirs in {word}
        assert word in (theirs,)
        assert [one for one in vendors if one != word] == [one for one in vendors if one is not theirs]
        assert word != other(word.value)
        assert word == word.value
        assert word != 7
        assert word is pickle.loads(pickle.dumps(word))


@pytest.mark.parametrize(
    ("kind", "body"), [(BatchRequest, v1()), (BatchProcessRequest, v2()), (BatchStatisticalRequest, statistical())]
)
def test_members_that_a_deployment_may_leave_out(kind: Any, body: dict[str, Any]) -> None:
    for name in ("tileCount", "domainAccountId", "completionPercentage"):
        read = kind.from_dict({key: value for key, value in body.items() if key != name})
        assert read.request_id == ID
        assert kind.from_dict(read.to_dict()) == read
        assert snapshot(read).request_id == ID


def test_an_object_can_be_changed() -> None:
    collection = BatchCollection.from_dict({"name": "n", "s3Bucket": "b", "id": "7"})
    collection.name = "other"
    assert collection.to_dict()["name"] == "other"
    assert isinstance(collection, models.BaseCollection)
    for read in (BatchRequest.from_dict(v1()), BatchProcessRequest.from_dict(v2())):
        read.error = "mine"
        assert read.to_dict()["error"] == "mine"
        assert isinstance(read, models.BaseBatchRequest)


# Odds and ends


def test_a_repr_is_short_and_shows_no_payload() -> None:
    shown = repr(BatchProcessRequest.from_dict(v2("PROCESSING", "START", costPU=12.5)))
    assert shown.startswith("BatchProcessRequest(request_id=5f2a4c1e-")
    for part in ("status=PROCESSING", "user_action=START", "cost_PU=12.5"):
        assert part in shown
    for secret in ("accessKey", "VERSION", "s3://"):
        assert secret not in shown


def test_id_of() -> None:
    request = BatchRequest.from_dict(v1())
    collection = BatchCollection(name="n", s3_bucket="b", collection_id="7")
    assert [id_of(thing) for thing in (ID, f" {ID}\n", {"id": ID}, request)] == [ID] * 4
    assert id_of(collection) == "7"
    for bad in (None, "", "  ", {}, {"id": None}, {"id": 7}, 7, [], BatchCollection(name="n", s3_bucket="b")):
        with pytest.raises(InvalidInputError, match=type(bad).__name__):
            id_of(bad)


# Snapshots


def test_snapshots_have_one_shape_for_all_generations() -> None:
    one = snapshot(BatchRequest.from_dict(v1("ANALYSIS_DONE", "START", valueEstimate=300.0, error="")))
    assert (one.generation, one.request_id, str(one.status), str(one.user_action)) == (
        "v1",
        ID,
        "ANALYSIS_DONE",
        "START",
    )
    assert (one.tile_count, one.estimate, one.expected_cost, one.cost, one.share_done) == (9, 300, 100, None, None)
    assert (one.error, one.output_url) == (None, "s3://my-bucket/ndvi")
    assert (one.started, one.ending) == (True, False)

    two = snapshot(BatchProcessRequest.from_dict(v2("PROCESSING", "STOP", completionPercentage=61, costPU=5494.0)))
    assert (two.generation, two.share_done, two.cost, two.estimate, two.tile_count) == ("v2", 0.61, 5494, None, None)
    assert (two.output_url, two.description, two.ending) == ("s3://my-bucket/ndvi", "max NDVI", True)

    three = snapshot(BatchStatisticalRequest.from_dict(statistical(status="STOPPED", stoppedStatusReason="OUT_OF_PU")))
    assert (three.generation, three.stopped_reason) == ("statistical", StoppedStatusReason.OUT_OF_PU)


def test_a_v1_request_by_bucket_name_has_its_url() -> None:
    assert snapshot(BatchRequest.from_dict(v1(output=None, bucketName="b"))).output_url == "s3://b"
    assert snapshot(BatchRequest.from_dict(v1(output=None))).output_url is None


@pytest.mark.parametrize(
    ("status", "action", "started", "ending"),
    [
        ("CREATED", "NONE", False, False),
        ("CREATED", "ANALYSE", False, False),
        ("CREATED", "START", True, False),
        ("ANALYSING", "START", True, False),
        ("ANALYSIS_DONE", "ANALYSE", False, False),
        ("ANALYSIS_DONE", "START", True, False),
        ("PROCESSING", "START", True, False),
        ("PROCESSING", "NONE", True, False),
        ("PROCESSING", "CANCEL", True, True),
        ("ANALYSIS_DONE", "STOP", False, True),
        ("CANCELED", "CANCEL", False, False),
        ("STOPPED", "STOP", False, False),
        ("DONE", "START", True, False),
        ("DONE", "CANCEL", True, False),
        ("PARTIAL", "NONE", True, False),
        ("PARTIAL", "CANCEL", True, False),
        ("FAILED", "START", True, False),
        ("LIMBO", "START", True, False),
    ],
)
def test_started_and_ending_are_read_from_status_and_action_together(
    status: str, action: str, started: bool, ending: bool
) -> None:
    job = Snapshot(ID, "v1", BatchRequestStatus(status), BatchUserAction(action))
    assert (job.started, job.ending) == (started, ending)


@pytest.mark.parametrize("kind", [BatchRequest, BatchProcessRequest, BatchStatisticalRequest])
def test_a_reply_without_id_or_status_is_a_key_error_and_a_value_error(kind: Any) -> None:
    for body, said in (({}, "it has no id"), ({"id": ID}, "it has no status")):
        for error in (KeyError, ValueError):
            with pytest.raises(error) as told:
                kind.from_dict(body)
            assert str(told.value) == said


def test_a_payload_without_an_id_is_told_as_one() -> None:
    for error in (KeyError, InvalidInputError):
        with pytest.raises(error) as told:
            id_of({"status": "DONE"})
        assert str(told.value) == "Expected a payload with an id, and this dict has none; nothing was sent."
    assert pickle.loads(pickle.dumps(told.value)).args == told.value.args


@pytest.mark.parametrize("box", [[1, 2, 3], ["a", "b", "c", "d"], [], {}, 7, [None] * 4])
def test_a_bounding_box_that_cannot_be_read_is_not_taken_for_none(box: Any) -> None:
    body = v1(processRequest={"input": {"bounds": {"bbox": box}}})
    with pytest.raises(InvalidInputError, match="is no four numbers"):
        _ = BatchRequest.from_dict(body).bbox


@pytest.mark.parametrize("bounds", [{}, {"bbox": None}, {"geometry": POLYGON}, None])
def test_a_request_without_a_bounding_box_has_none(bounds: Any) -> None:
    assert BatchRequest.from_dict(v1(processRequest={"input": {"bounds": bounds}})).bbox is None


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (datetime(2024, 1, 2), "2024-01-02T00:00:00Z"),  # noqa: DTZ001
        (datetime(2024, 1, 2, tzinfo=timezone.utc), "2024-01-02T00:00:00Z"),
        (datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-01-02T00:00:00+02:00"),
        ("2024-01-02", "2024-01-02"),
        (None, None),
    ],
)
def test_a_time_that_is_set_is_written_as_the_service_writes_it(time: Any, written: Any) -> None:
    read = BatchRequest.from_dict(v1())
    read.created = time
    assert read.to_dict()["created"] == written


def test_a_repr_names_the_request_in_one_line() -> None:
    read = BatchRequest.from_dict(v1(description="my\nmap", bucketName="maps"))
    assert "description=my map, bucket_name=maps, " in repr(read)
    failed = BatchStatisticalRequest.from_dict(statistical(error="boom"))
    assert "error=boom" in repr(failed)


@pytest.mark.parametrize("kind", [BatchProcessRequest, BatchStatisticalRequest])
@pytest.mark.parametrize(("share", "read"), [(None, 0), ("many", 0), ([], 0), (37.5, 37.5), (100, 100)])
def test_a_share_that_cannot_be_read_is_none(kind: Any, share: Any, read: float) -> None:
    assert kind.from_dict(statistical(completionPercentage=share)).completion_percentage == read


# Without dataclasses-json


def test_a_schema_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dataclasses_json", None)
    with pytest.raises(SettingsError, match=r"^schema needs dataclasses-json.*pip install dataclasses-json"):
        BatchRequest.schema()
    assert BatchRequest.from_dict(v1()).to_dict()["id"] == ID


@pytest.mark.filterwarnings("ignore")  # dataclasses-json has not heard of the newest marshmallow yet
@pytest.mark.parametrize(
    ("kind", "body"), [(BatchRequest, v1()), (BatchProcessRequest, v2()), (BatchStatisticalRequest, statistical())]
)
def test_a_schema_writes_and_reads(kind: Any, body: dict[str, Any]) -> None:
    read = kind.from_dict({**body, "brandNew": 1})
    dumped = kind.schema().dump(read)
    assert (dumped["id"], dumped["brandNew"]) == (ID, 1)
    assert kind.schema(many=True).dump([read, read]) == [dumped, dumped]
    assert kind.from_dict(read.to_dict()) == read  # the schema has changed nothing


@pytest.mark.parametrize("kvs", [None, [], "a", 5])
def test_what_is_no_object_is_no_collection(kvs: Any) -> None:
    with pytest.raises(ValueError, match="not an object"):
        BatchCollection.from_dict(kvs)


def test_a_collection_without_its_bucket_is_none() -> None:
    for error in (ValueError, KeyError):
        with pytest.raises(error, match="it has no s3Bucket"):
            BatchCollection.from_dict({"name": "n"})
    assert BatchCollection.from_dict({"name": "n"}, infer_missing=True).s3_bucket is None


@pytest.mark.parametrize("other", [{"a": 1}, None, 5, "text", ["x"]])
def test_a_member_with_the_name_of_the_store_is_kept(other: Any) -> None:
    read = BatchRequest.from_dict(v1(other_data=other, brandNew=2))
    assert read.other_data["brandNew"] == 2
    assert read.other_data.get("a" if isinstance(other, dict) else "other_data") == (
        1 if isinstance(other, dict) else other
    )
    assert BatchRequest.from_dict(read.to_dict()) == read


def test_a_known_member_wins_over_one_of_the_store() -> None:
    read = BatchRequest.from_dict(v1())
    read.other_data["id"] = "another"
    assert read.to_dict()["id"] == ID


def test_json_is_written_as_asked() -> None:
    read = BatchRequest.from_dict(v1(brandNew=datetime(2024, 1, 2, tzinfo=timezone.utc)))
    assert json.loads(read.to_json())["brandNew"] == 1704153600.0
    assert read.to_dict(encode_json=True)["brandNew"] == 1704153600.0
    assert json.loads(read.to_json(default=str))["brandNew"] == "2024-01-02 00:00:00+00:00"
    assert "\n  " in read.to_json(indent=2)
    read.other_data["brandNew"] = object()
    with pytest.raises(TypeError):
        read.to_json()
    assert BatchRequest.from_json(json.dumps(v1(costs=1.5)), parse_float=str).other_data["costs"] == "1.5"
