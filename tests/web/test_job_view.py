"""What the page shows, by what Airflow's tables say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sentinelhub._compat.task_tables import TaskFacts
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from airflow_sentinelhub.api.tile_table import TileTable
from airflow_sentinelhub.hooks.job_map import ShownRequest
from airflow_sentinelhub.web.job_view import job_view, source_of

ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
ORIGIN = {
    "request_id": ID,
    "batch_api": "v2",
    "place": {"base_url": "https://x", "account": "1"},
    "sentinelhub_conn_id": "c",
    "aws_conn_id": "b",
}


def facts(state: str | None = "deferred", shared: Any = (), **xcoms: Any) -> TaskFacts:
    return TaskFacts("d", "r", "t", -1, state, 1, "SentinelHubBatchOperator", 1.0, None, xcoms, shared)


def job(status: str = "PROCESSING", **members: Any) -> Snapshot:
    return Snapshot(ID, "v2", BatchRequestStatus(status), BatchUserAction.START, **members)


def record(now: float, **members: Any) -> dict[str, Any]:
    kept = Progress(ID, "v2", every=60.0)
    kept.read(Waited(Outcome.WAITING, job(**members)), 0.5, now)
    return kept.as_json()


def test_what_the_task_has_read_is_shown_without_any_reading_of_the_page() -> None:
    view = job_view(facts(sentinelhub_request=ORIGIN, sentinelhub_progress=record(100.0, cost=7.5)), None, 130.0)
    request = view["request"]
    assert (request["job"]["status"], request["job"]["cost"], request["read_at"]) == ("PROCESSING", 7.5, 100.0)
    assert request["by_task"] is True
    assert view["live"] is True


@pytest.mark.parametrize(("read_at", "status", "by_task"), [(90.0, "PROCESSING", True), (110.0, "DONE", False)])
def test_the_newer_reading_counts(read_at: float, status: str, by_task: bool) -> None:
    known = ShownRequest(job=job("DONE", cost=9.0), read_at=read_at)
    view = job_view(facts(sentinelhub_request=ORIGIN, sentinelhub_progress=record(100.0)), known, 130.0)
    assert (view["request"]["job"]["status"], view["request"]["by_task"]) == (status, by_task)


def test_while_the_service_is_out_of_reach_it_says_what_is_known_and_since_when() -> None:
    kept = Progress(ID, "v2")
    kept.read(Waited(Outcome.WAITING, job(cost=3.0)), 0.5, 100.0)
    kept.failed("Sentinel Hub does not answer.", 160.0)
    known = ShownRequest(error="Sentinel Hub does not answer.")
    request = job_view(facts(sentinelhub_request=ORIGIN, sentinelhub_progress=kept.as_json()), known, 200.0)["request"]
    assert (request["read_at"], request["unknown_since"], request["job"]["cost"]) == (100.0, 160.0, 3.0)
    assert request["why"] == request["error"] == "Sentinel Hub does not answer."


@pytest.mark.parametrize(("given", "shown"), [("s3://b/report.html", "s3://b/report.html"), (None, None), (7, None)])
def test_the_report_in_the_bucket_is_named(given: Any, shown: str | None) -> None:
    view = job_view(facts(sentinelhub_request=ORIGIN, sentinelhub_report=given), None, 1.0)
    assert view["request"]["report"] == shown


def test_a_task_without_a_job_says_so() -> None:
    assert job_view(None, None, 1.0)["notice"].startswith("This task instance is not in Airflow's tables")
    other = facts("success")._replace(operator="BashOperator")
    assert job_view(other, None, 1.0)["notice"] == "This task has no Sentinel Hub job."
    assert "waits for a slot" in job_view(facts("queued"), None, 1.0)["notice"]
    assert "has no batch request yet" in job_view(facts("running"), None, 1.0)["notice"]
    assert "ended before it had a batch request" in job_view(facts("failed"), None, 1.0)["notice"]
    before = job_view(facts("success", request_id=ID), None, 1.0)
    assert ID in before["notice"]
    assert "did not write down" in before["notice"]


@pytest.mark.parametrize(
    "origin",
    [
        *(None, "x", 7, [], {}),
        *(
            {**ORIGIN, name: odd}
            for name in ("request_id", "batch_api", "sentinelhub_conn_id")
            for odd in (None, 7, "", [])
        ),
    ],
)
def test_an_odd_origin_is_none(origin: Any) -> None:
    assert source_of(facts(sentinelhub_request=origin)) is None
    assert "notice" in job_view(facts(sentinelhub_request=origin), None, 1.0)


@pytest.mark.parametrize("place", [None, "x", 7, [], {"base_url": None}])
def test_an_odd_place_is_left_out(place: Any) -> None:
    assert source_of(facts(sentinelhub_request={**ORIGIN, "place": place})) is not None


def test_the_buckets_connection_may_come_from_another_task_of_the_run() -> None:
    sensor = {**ORIGIN, "aws_conn_id": None}
    others = ({**ORIGIN, "request_id": "other", "aws_conn_id": "wrong"}, "x", None, {**ORIGIN, "aws_conn_id": "right"})
    source = source_of(facts(sentinelhub_request=sensor, shared=others))
    assert source is not None
    assert source.aws_conn_id == "right"


def test_tiles_that_are_still_being_read_are_not_counted_as_all() -> None:
    table = TileTable()
    table.add("a", "PROCESSED")
    known = ShownRequest(job=job(), read_at=1.0, table=table, partly=True)
    assert job_view(facts(sentinelhub_request=ORIGIN), known, 2.0)["request"]["counts"] is None
    known.partly = False
    assert job_view(facts(sentinelhub_request=ORIGIN), known, 2.0)["request"]["counts"] == {"PROCESSED": 1}


def test_the_view_is_plain_json() -> None:
    view = job_view(facts(sentinelhub_request=ORIGIN, sentinelhub_progress=record(1.0)), ShownRequest(job=job()), 2.0)
    assert json.loads(json.dumps(view, allow_nan=False)) == view


@pytest.mark.parametrize(("status", "live"), [("PROCESSING", True), ("NEW_WORD", True), ("DONE", False)])
def test_the_job_of_a_step_that_has_ended_may_still_run(status: str, live: bool) -> None:
    known = ShownRequest(job=job(status), read_at=1.0)
    assert job_view(facts("success", sentinelhub_request=ORIGIN), known, 2.0)["live"] is live
