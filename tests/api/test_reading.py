"""Readings: an id and a status are enough; whatever else is odd is not said. A reply without sense is unreadable."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Reply, exchange
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.verdict import Waited, fate, judge, over, progress_line
from airflow_sentinelhub.api.decoding import id_in
from airflow_sentinelhub.api.flows import read as reading
from airflow_sentinelhub.api.service import statistical
from airflow_sentinelhub.api.service import v1 as service_v1
from airflow_sentinelhub.api.service import v2 as service_v2
from airflow_sentinelhub.api.service.generations import STATISTICAL, V1, V2, Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import (
    JobFailedError,
    ListTooLongError,
    NoEvalscriptError,
    NotFoundError,
    UnknownStateError,
    UnreadableReplyError,
)
from airflow_sentinelhub.hooks.models import BatchProcessRequest, BatchRequest, BatchStatisticalRequest
from airflow_sentinelhub.hooks.v1 import SentinelHubBatch
from tests.api.feeding import ID, OTHER, Fed, error, feed, ok, page, snapshot, v1, v2

IDENTITY = "afx0123456789abcdef"
MARK = f"{IDENTITY} r0 j01234567"


def statistics(status: str = "CREATED", action: str = "NONE", id: str = ID, **members: Any) -> dict[str, Any]:
    """A statistical request as the service shows it; `description` goes into its evalscript."""
    words = members.pop("description", "max NDVI")
    request = {
        "input": {"features": {"s3": {"url": "s3://farm/f.gpkg"}}, "data": []},
        "aggregation": {"evalscript": f"//VERSION=3\n// task: {words}\n"},
        "output": {"s3": {"url": "s3://farm/out"}},
    }
    return {**v2(status, action, id), "request": request, **members}


BODIES: dict[str, Any] = {"v1": v1, "v2": v2, "statistical": statistics}
APIS: dict[str, Generation] = {"v1": V1, "v2": V2, "statistical": STATISTICAL}
MODELS: dict[str, Any] = {"v1": BatchRequest, "v2": BatchProcessRequest, "statistical": BatchStatisticalRequest}
HUGE = 10**400
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    7,
    HUGE,
    float("nan"),
    float("inf"),
    "",
    "text",
    "12.5",
    [],
    [1, {"a": None}],
    {},
    {"url": 7, "s3": 7, "x": [None]},
)
"""Values of every kind, of which each member takes some."""
BASE = {"id", "status"}
MEMBERS = {
    "v1": ("description", "tileCount", "valueEstimate", "output", "bucketName", "processRequest", "tilingGrid"),
    "v2": ("request", "domainAccountId", "completionPercentage", "costPU", "stoppedStatusReason", "lastUpdated"),
    "statistical": ("request", "completionPercentage", "costPU", "stoppedStatusReason"),
}
COMMON = ("userAction", "userActionUpdated", "created", "error", "userId", "unheardOf")
PLACES = [(name, member) for name, members in MEMBERS.items() for member in (*COMMON, *members)]


def raw(body: Any) -> Reply:
    """A reply with JSON that `json.dumps` writes as it stands, however long its numbers are."""
    text = json.dumps(body, default=str).replace(f'"{HUGE_WORD}"', "9" * 10_000)
    return Reply(200, {}, text.encode())


HUGE_WORD = "a number of ten thousand digits"


def reading_of(name: str, body: Any) -> Snapshot:
    result: Snapshot = feed(reading.read(APIS[name], ID), [raw(body)]).result
    return result


def check_it_serves(job: Snapshot, body: dict[str, Any]) -> None:
    """All that is done with a reading works, whatever stood in the body."""
    assert (job.request_id, job.status) == (body["id"], body["status"])
    assert isinstance(job.description, str)
    for number in (job.tile_count, job.estimate, job.cost, job.share_done):
        assert number is None or (number >= 0 and number < float("inf") and not isinstance(number, bool))
    assert job.share_done is None or job.share_done <= 1
    for time in (job.created, job.acted):
        assert time is None or isinstance(time, datetime)
    assert all(text is None or isinstance(text, str) for text in (job.error, job.output_url))
    assert "\n" not in progress_line(job) + (job.error or "")
    judge(job)
    fate(job)
    over(job, 5.0)
    json.dumps(job.output_url)


@pytest.mark.parametrize(("name", "member"), PLACES)
def test_a_request_with_an_odd_member_is_read(name: str, member: str) -> None:
    for value in (*ODD, HUGE_WORD):
        body = {**BODIES[name]("PROCESSING", "START"), member: value}
        check_it_serves(reading_of(name, body), body)
    body = BODIES[name]("PROCESSING", "START")
    body.pop(member, None)
    check_it_serves(reading_of(name, body), body)


@pytest.mark.parametrize(("name", "member"), PLACES)
def test_a_model_with_an_odd_member_is_read(name: str, member: str) -> None:
    kind = MODELS[name]
    for value in (*ODD, ...):
        body = {**BODIES[name]("PROCESSING", "START"), member: value}
        if value is ...:
            body.pop(member)
        read = kind.from_dict(body)
        assert (read.request_id, str(read.status)) == (ID, "PROCESSING")
        assert isinstance(repr(read), str)
        with suppress(NoEvalscriptError):
            assert isinstance(read.evalscript, str)
        assert read.bbox is None or len(list(read.bbox)) == 4
        assert read.geometry is None
        assert kind.from_dict(read.to_dict()) == read or value != value  # nothing is equal to NaN
        check_it_serves(snapshot(read), body)
        read.raise_for_status()


@pytest.mark.parametrize("name", BODIES)
def test_an_id_and_a_status_are_enough(name: str) -> None:
    body = {"id": ID, "status": "HIBERNATING"}
    job = reading_of(name, body)
    assert (job.request_id, str(job.status), job.generation) == (ID, "HIBERNATING", name)
    assert (job.description, job.tile_count, job.cost, job.share_done, job.created) == ("", None, None, None, None)
    assert not job.started
    read = MODELS[name].from_dict(body)
    assert snapshot(read).request_id == ID
    if name == "v1":
        assert (read.process_request, read.tile_count) == ({}, None)
    else:
        assert (read.request, read.completion_percentage) == ({}, 0)


@pytest.mark.parametrize(
    "status", [None, 3, [], {}, "", "  ", "A\nB", "x" * 101, True], ids=lambda value: repr(value)[:12]
)
@pytest.mark.parametrize("name", BODIES)
def test_a_request_without_a_status_is_unreadable(name: str, status: Any) -> None:
    fed = feed(reading.read(APIS[name], ID), [ok({**BODIES[name](), "status": status}), ...])
    assert isinstance(fed.error, UnreadableReplyError)
    assert ID in str(fed.error)
    with pytest.raises(ValueError, match="status"):
        MODELS[name].from_dict({**BODIES[name](), "status": status})


@pytest.mark.parametrize("body", [None, [], [v1()], "x", 7, {}, {"data": v1()}, {"error": "x"}, {"status": "DONE"}])
@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_request_is_unreadable(name: str, body: Any) -> None:
    for flow in (reading.read(APIS[name], ID), exchange(APIS[name].create(BODIES[name](description="")))):
        fed = feed(flow, [ok(body), ...])
        assert isinstance(fed.error, UnreadableReplyError)
        assert isinstance(fed.error, reading.OUTAGE)


@pytest.mark.parametrize(
    "given", ["", "  ", "a\nb", "a\x1bb", "a\u202eb", "x" * 201, 7, ["x"], None], ids=lambda value: ascii(value)[:9]
)
def test_what_is_no_id_is_refused(given: Any) -> None:
    """It stands in paths, logs and events: one with characters that nobody sees would be told as another one."""
    with pytest.raises(ValueError, match=r"its id is none|no id"):
        id_in({"id": given})
    assert id_in({"id": "x" * 200}) == "x" * 200


def test_deliveries_of_every_kind() -> None:
    def place(delivery: Any) -> str | None:
        body = v2()
        body["request"]["output"]["delivery"] = delivery
        assert BatchProcessRequest.from_dict(body).output_url == reading_of("v2", body).output_url
        return reading_of("v2", body).output_url

    assert place({"s3": None, "gs": {"url": "gs://b/p"}}) == "gs://b/p"
    assert place({"s3": {"url": None}, "gs": {"url": "gs://b/p"}}) == "gs://b/p"
    assert place({"s3": {"url": 7}}) is place({"s3": []}) is place([]) is place(None) is place({}) is None


@pytest.mark.parametrize(
    ("percent", "share"), [(0, 0), (37.5, 0.375), (100, 1), (101, None), (-1, None), ("50", None), (None, None)]
)
def test_a_share_is_from_0_to_1_or_not_known(percent: Any, share: float | None) -> None:
    body = {**v2("PROCESSING", "START"), "completionPercentage": percent}
    assert reading_of("v2", body).share_done == share


def test_what_the_service_says_is_told_in_one_line() -> None:
    told = "Line 3:\r\n\tunexpected \x00\x1b[31mtoken\u2028; secretAccessKey: hush " + "x" * 100_000
    job = reading_of("v2", v2("FAILED", "START", error=told))
    assert job.error is not None
    assert job.error.startswith("Line 3: unexpected [31mtoken ; secretAccessKey: *** x")
    assert len(job.error) == 2000
    from airflow_sentinelhub.api.decide.verdict import Outcome

    with pytest.raises(JobFailedError) as raised:
        conclude(Waited(Outcome.FAILED, job), ID, "DONE")
    assert str(raised.value).isprintable()


# The request that was asked for


@pytest.mark.parametrize("name", BODIES)
def test_a_reply_about_another_request_is_unreadable(name: str) -> None:
    fed = feed(reading.read(APIS[name], ID), [ok(BODIES[name](id=OTHER)), ...])
    assert isinstance(fed.error, UnreadableReplyError)
    assert f"it is about {OTHER}" in str(fed.error)
    assert ID in str(fed.error)
    fed = feed(reading.read(APIS[name], ID), [ok(BODIES[name](id=OTHER)), ok(BODIES[name]("DONE"))])
    assert fed.result.status == "DONE"


def test_ids_are_compared_in_any_case() -> None:
    assert feed(reading.read(V2, ID.upper()), [ok(v2(id=ID))]).result.request_id == ID
    assert feed(reading.read(V2, ID), [ok(v2(id=ID.upper()))]).result.request_id == ID
    (job,) = found("v2", page([v2(id=ID.upper(), description=MARK)])).result
    assert job.request_id == ID
    assert id_in({"id": "Not-A-UUID"}) == "Not-A-UUID"


# The requests of a task


def found(name: str, *script: Any, since: datetime | None = None) -> Fed:
    return feed(reading.find(APIS[name], IDENTITY, since), script)


@pytest.mark.parametrize(("name", "member"), PLACES)
def test_one_odd_request_of_somebody_else_breaks_nothing(name: str, member: str) -> None:
    """For all tasks of the account, if it did."""
    ours = BODIES[name](description=MARK)
    odd = [{**BODIES[name](id=f"odd-{n}"), member: value} for n, value in enumerate((*ODD, HUGE_WORD))]
    less = {key: value for key, value in BODIES[name](id="less").items() if key != member}
    strange = [None, 7, {"status": "DONE"}, {"id": "s", "status": None}]
    fed = found(name, raw({"data": [*odd, less, *strange, ours, *odd], "links": {}}))
    assert [job.request_id for job in fed.result] == [ID]


@pytest.mark.parametrize("name", BODIES)
def test_a_request_that_is_listed_twice_is_found_once(name: str) -> None:
    """A list that moves while it is walked shows the last of a page again as the first of the next."""
    make = BODIES[name]
    ours, older = make("DONE", "START", description=MARK), make("CREATED", description=MARK)
    upper = make("CREATED", id=ID.upper(), description=MARK)
    fed = found(name, page([ours, make(id=OTHER, description=MARK)], "2"), page([older, upper]))
    assert [(job.request_id, str(job.status)) for job in fed.result] == [(ID, "DONE"), (OTHER, "CREATED")]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("v1", {"description": [MARK]}),
        ("v1", {"description": {"text": MARK}}),
        ("v2", {"request": MARK}),
        ("v2", {"request": [{"description": MARK}]}),
        ("v2", {"request": {"description": {"text": MARK}}}),
        ("v2", {"request": None, "description": [MARK]}),
        ("statistical", {"request": json.dumps({"aggregation": MARK})}),
        ("statistical", {"request": {"aggregation": {"evalscript": [MARK]}}}),
    ],
)
def test_a_marker_where_a_description_should_be_is_not_overlooked(name: str, members: dict[str, Any]) -> None:
    """The service has changed the shape of what it shows: a task that did not see its request would make another."""
    body = {**BODIES[name](), **members}
    for fed in (found(name, page([body]), ...), feed(reading.read(APIS[name], ID), [ok(body), ...])):
        assert isinstance(fed.error, UnreadableReplyError)
        assert "marker of a task" in str(fed.error)


def test_a_description_beside_the_request_is_found() -> None:
    body = {key: value for key, value in v2().items() if key != "request"}
    assert [job.request_id for job in found("v2", page([{**body, "description": MARK}])).result] == [ID]


@pytest.mark.parametrize("name", BODIES)
def test_a_list_that_cannot_be_read_is_never_no_requests(name: str) -> None:
    for reply in (ok({}), ok(None), ok([]), ok({"error": "x"}), ok({"data": None}), Reply(204)):
        fed = found(name, reply, ...)
        assert isinstance(fed.error, reading.OUTAGE)
        waited = feed(reading.outlast(lambda: reading.find(APIS[name], IDENTITY, None), 600.0), [reply, ...])
        assert isinstance(waited.error, UnknownStateError)
        assert "if it was started, it runs on and bills" in str(waited.error)


def test_a_search_through_more_pages_than_are_read_fails() -> None:
    def more(call: Any) -> Reply:
        at = int(call.params().get("viewtoken", 0)) + 1
        return page([v2(id=str(at))], str(at))

    assert isinstance(found("v2", more, ...).error, ListTooLongError)


def test_the_walk_through_v2_ends_at_the_first_try() -> None:
    since = datetime(2025, 8, 1, tzinfo=timezone.utc)
    old = v2(id="old", created="2025-07-01T00:00:00Z")
    no_time = v2(id="no time", created="yesterday")
    fed = found("v2", page([no_time, v2(description=MARK), old], "2"), since=since)
    assert [job.request_id for job in fed.result] == [ID]


# What else is read


@pytest.mark.parametrize("body", [None, [], "x", 7, {}, {"data": []}, {"id": None}, {"data": {"name": "n"}}])
def test_a_collection_that_was_made_has_an_id(body: Any) -> None:
    fed = feed(exchange(service_v1.create_collection({"name": "n", "s3Bucket": "b"})), [ok(body)])
    assert isinstance(fed.error, UnreadableReplyError)
    for good in ({"id": "7"}, {"data": {"id": "7"}}):
        fed = feed(exchange(service_v1.create_collection({})), [ok(good)])
        assert fed.result["id"] == "7"


@pytest.mark.parametrize("body", [None, [], "", 7, True])
def test_single_things_are_objects(body: Any) -> None:
    calls = [
        service_v1.get_tile(ID, 1),
        service_v1.get_tiling_grid(0),
        service_v2.get_request(ID),
        service_v1.get_collection("7"),
        statistical.get_status(ID),
    ]
    for call in calls:
        assert isinstance(feed(exchange(call), [ok(body), ...]).error, UnreadableReplyError)


def test_the_latest_request_is_not_said_to_be_none_where_it_cannot_be_read() -> None:
    def latest(*items: Any) -> Any:
        return SentinelHubBatch(lambda flow: feed(flow, [page(items)]).result).get_latest_request()

    assert latest(v1()).request_id == ID
    with pytest.raises(NotFoundError):
        latest()
    with pytest.raises(UnreadableReplyError, match="created last cannot be read"):
        latest({"id": ID})


def test_an_error_of_the_service_is_no_reading() -> None:
    fed = feed(reading.read(V2, ID), [error(500), ...])
    assert not isinstance(fed.error, UnreadableReplyError)
    assert isinstance(fed.error, reading.OUTAGE)
