"""What a waiting task has read: small, bounded, and it survives being handed on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import (
    MOST_POINTS,
    MOST_STATES,
    MOST_TEXT,
    CoursePoint,
    Progress,
    course_with,
    progress_from,
)
from airflow_sentinelhub.api.flows.wait import share_of
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction

ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


def waited(status: str = "PROCESSING", action: str = "START", **members: Any) -> Waited:
    job = Snapshot(ID, "v2", BatchRequestStatus(status), BatchUserAction(action), **members)
    return Waited(Outcome.WAITING, job)


def test_a_changed_state_is_urgent_and_a_changed_share_is_not() -> None:
    record = Progress(ID, "v2")
    assert record.read(waited("ANALYSIS_DONE"), 0.0, 1.0)
    assert record.read(waited(), 0.1, 2.0)
    assert not record.read(waited(), 0.2, 3.0)
    assert record.states == [(1.0, "ANALYSIS_DONE", "START"), (2.0, "PROCESSING", "START")]


def test_since_when_it_cannot_be_read() -> None:
    record = Progress(ID, "v2")
    record.read(waited(), 0.5, 1.0)
    assert record.failed("503", 2.0)
    assert not record.failed("503", 2.0)
    assert (record.unknown_since, record.why, record.job["share"]) == (2.0, "503", 0.5)
    assert record.read(waited(), 0.5, 3.0), "that it can be read again is to be known at once"
    assert (record.unknown_since, record.why) == (None, "")


@pytest.mark.parametrize("moving", [True, False])
def test_the_record_stays_small_however_long_the_wait(moving: bool) -> None:
    record = Progress(ID, "v2")
    for minute in range(20_000):
        status = "PROCESSING" if minute % 2 and moving else "ANALYSIS_DONE"
        job = waited(status, error="x" * 100_000, description="y" * 100_000, cost=minute if moving else None)
        record.read(job, minute / 20_000 if moving else 0.5, 1e9 + 60 * minute)
    assert len(record.course) <= MOST_POINTS
    assert len(record.states) <= MOST_STATES
    assert record.course[0][0] == 1e9
    assert record.course[-1][0] == 1e9 + 60 * 19_999
    assert len(json.dumps(record.as_json())) < 16_000


def test_another_process_goes_on_with_it() -> None:
    first = Progress(ID, "v2")
    first.read(waited("ANALYSIS_DONE"), 0.0, 1.0)
    first.read(waited(), 0.1, 2.0)
    first.budget = 500.0
    kept = progress_from(json.loads(json.dumps(first.as_json())), ID.upper())
    assert kept is not None
    second = Progress(ID, "v2")
    second.read(waited(), 0.2, 3.0)
    second.go_on_from(kept)
    assert [state[1] for state in second.states] == ["ANALYSIS_DONE", "PROCESSING"]
    assert [point[0] for point in second.course] == [1.0, 2.0, 3.0]
    assert second.budget == 500.0


@pytest.mark.parametrize(
    "kept",
    [None, "x", [], {}, {"version": 2, "request_id": ID}, {"version": 1}, {"version": 1, "request_id": "other"}],
)
def test_what_is_no_record_of_this_request_is_none(kept: Any) -> None:
    assert progress_from(kept, ID) is None


@pytest.mark.parametrize(
    "odd", [None, "x", 7, [], {}, [[1]], [[None, 1, 2]], [["a", "b", "c"]], {"a": "b"}, float("nan")]
)
@pytest.mark.parametrize(
    "member", ["try_number", "read_at", "unknown_since", "why", "job", "counts", "states", "course", "budget", "every"]
)
def test_an_odd_member_counts_as_not_said(member: str, odd: Any) -> None:
    record = progress_from({"version": 1, "request_id": ID, member: odd}, ID)
    assert record is not None
    json.dumps(record.as_json(), allow_nan=False)


def test_an_odd_reading_in_it_counts_as_not_said() -> None:
    odd = {"status": 7, "cost": "x", "share": float("nan"), "tile_count": [], "more": {"a": 1}, "error": None}
    record = progress_from({"version": 1, "request_id": ID, "job": odd}, ID)
    assert record is not None
    assert set(record.job.values()) == {None}
    assert "more" not in record.job


def test_what_was_written_is_read_again_whole() -> None:
    at = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2)]
    words = {"error": "e", "description": "d", "output_url": "s3://maps/ndvi"}
    numbers = {"tile_count": 9, "estimate": 21.0, "cost": 5.0}
    job = waited(created=at[0], acted=at[1], stopped_reason="r", **words, **numbers)
    record = Progress(ID, "v2", try_number=3, counts={"PROCESSED": 2}, budget=8.0, every=60.0)
    record.read(job, 0.5, 1.0)
    record.failed("503", 2.0)
    kept = progress_from(json.loads(json.dumps(record.as_json())), ID)
    assert kept == record
    told = record.job
    assert (told["created"], told["acted"]) == (at[0].timestamp(), at[1].timestamp())
    assert None not in told.values()


def test_a_record_that_does_not_say_its_try_is_of_the_first_one() -> None:
    record = progress_from({"version": 1, "request_id": ID, "counts": {"PROCESSED": 2, "FAILED": "x"}}, ID)
    assert record is not None
    assert (record.try_number, record.counts) == (1, {"PROCESSED": 2})


def test_an_outage_that_is_over_is_urgent_whatever_was_read() -> None:
    record = Progress(ID, "v2")
    record.failed("x" * 100_000, 1.0)
    assert len(record.why) == MOST_TEXT
    assert record.read(Waited(Outcome.WAITING), None, 2.0)
    assert not record.read(Waited(Outcome.WAITING), None, 3.0)
    assert (record.read_at, record.job) == (3.0, {})


def test_tiles_that_are_waited_for_are_counts_too() -> None:
    record = Progress(ID, "v1")
    record.read(replace(waited(), goal="PROCESSED", matching=3, total=10), None, 1.0)
    assert record.counts == {"PROCESSED": 3, "OTHER": 7}
    record.read(replace(waited(), goal="PROCESSED", total=10), None, 2.0)
    assert record.counts == {"PROCESSED": 3, "OTHER": 7}, "not counted to the end yet"


def test_a_share_that_is_not_known_is_none_and_not_nothing() -> None:
    record = Progress(ID, "v2")
    for at, share in ((1.0, None), (2.0, 0.0), (3.0, 0.123456)):
        record.read(waited(cost=share), share, at)
    assert record.as_json()["course"] == [[1.0, None, None], [2.0, 0.0, 0.0], [3.0, 0.1235, 0.123]]


def test_what_this_process_has_read_goes_before_what_was_kept() -> None:
    before, record = Progress(ID, "v2", counts={"PROCESSED": 1}, budget=5.0), Progress(ID, "v2")
    for second in range(MOST_STATES):
        for one in (before, record):
            one.read(waited("PROCESSING" if second % 2 else "ANALYSIS_DONE"), 0.5, float(second))
    record.go_on_from(before)
    assert len(record.states) == MOST_STATES
    assert (record.counts, record.budget) == ({"PROCESSED": 1}, 5.0)
    record.counts, record.budget = {"PROCESSED": 2}, 6.0
    record.go_on_from(before)
    assert (record.counts, record.budget) == ({"PROCESSED": 2}, 6.0)


def test_a_course_keeps_the_first_and_the_last_point_of_a_time_in_which_nothing_changes() -> None:
    """A job that is queued for a day pushes nothing out of its course."""
    course: list[CoursePoint] = course_with([], (0.0, 0.5, 7.0))
    for at in range(1, 1_000):
        course = course_with(course, (float(at), 0.5, 7.0))
    assert course == [(0.0, 0.5, 7.0), (999.0, 0.5, 7.0)]
    for at in range(1_000, 1_003):
        course = course_with(course, (float(at), 0.6, 7.0))
    assert [at for at, _, _ in course] == [0.0, 999.0, 1_000.0, 1_002.0]


@pytest.mark.parametrize(("goal", "share"), [("PROCESSED", 0.3), ("FAILED", 0.25)])
def test_the_share_done_is_that_of_tiles_only_where_those_done_are_counted(goal: str, share: float) -> None:
    shown = replace(waited(share_done=0.25), goal=goal, matching=3, total=10)
    assert share_of(shown) == share
