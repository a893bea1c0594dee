"""What a look means to somebody who waits: a table of readings and errors, over the state of the wait and the time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, judge
from airflow_sentinelhub.api.flows import wait as module
from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from tests.api.feeding import ID

BEGAN = 1000.0


def seen(status: str, action: str = "START", cost: float | None = None) -> Waited:
    job = Snapshot(ID, "v2", BatchRequestStatus(status), BatchUserAction(action), cost=cost)
    return Waited(judge(job), job)


RUNS, DONE, FAILED, STOPPED = seen("PROCESSING"), seen("DONE"), seen("FAILED"), seen("STOPPED", "STOP")
PARTIAL, IDLE, DEAR = seen("PARTIAL"), seen("ANALYSIS_DONE", "ANALYSE"), seen("PROCESSING", cost=101.0)
GONE = errors.NotFoundError("404", status=404)
DOWN = errors.ServerError("503", status=503)
CUT = errors.UnreachableError("cut", ambiguous=True)
BUSY = errors.RateLimitError("429", status=429)
HELD = errors.UnreachableError("held back", ambiguous=False, over=True, busy=True)
REFUSED = errors.ForbiddenError("403", status=403)
WRONG = errors.BadRequestError("400", status=400)
UNREAD = errors.ResultsError("no such bucket")
UNREAD_OF_DONE = errors.ResultsError("no such file", request_id=ID, snapshot=DONE.job)

GO = (60.0, False)
"""Go on with the pause of the plan; the reading is taken at its word."""
DOUBT = (10.0, True)
OUT = (60.0, True)
"""Go on with the pause of the plan; the state is not known."""

# What the plan says; looks, each with the seconds since the wait began and what comes of it: a pause and whether it is
# uncertain, how the wait has ended, or the error that comes out.
Look = tuple[float, Any, Any]
TABLE: dict[str, tuple[dict[str, Any], list[Look]]] = {
    "it runs, then is done": ({}, [(0, RUNS, GO), (60, RUNS, GO), (120, DONE, Outcome.REACHED)]),
    "it has failed": ({}, [(0, FAILED, Outcome.FAILED)]),
    "it was stopped": ({}, [(0, RUNS, GO), (60, STOPPED, Outcome.CANCELLED)]),
    "an unknown status": ({}, [(0, seen("LIMBO"), GO), (9e9, seen("LIMBO"), GO)]),
    # Nobody has started it
    "not started for two minutes": ({}, [(0, IDLE, DOUBT), (119, IDLE, DOUBT), (120, IDLE, Outcome.NOT_STARTED)]),
    "not started, found late": ({}, [(0, RUNS, GO), (5000, IDLE, DOUBT), (5120, IDLE, Outcome.NOT_STARTED)]),
    "started within two minutes": (
        {},
        [(0, IDLE, DOUBT), (110, IDLE, DOUBT), (115, RUNS, GO), (175, DONE, Outcome.REACHED)],
    ),
    "a replica that lags": ({}, [(0, IDLE, DOUBT), (60, RUNS, GO), (130, IDLE, DOUBT), (140, RUNS, GO)]),
    "not started, between outages": ({}, [(0, IDLE, DOUBT), (60, DOWN, OUT), (120, IDLE, Outcome.NOT_STARTED)]),
    "somebody else will start it": (
        {"wait_for_start": True},
        [(0, IDLE, GO), (9e9, IDLE, GO), (9e9, DONE, Outcome.REACHED)],
    ),
    # PARTIAL
    "partial": ({}, [(0, PARTIAL, Outcome.PARTIAL)]),
    "partial after a restart": (
        {"stale_partial": 300.0},
        [(0, PARTIAL, DOUBT), (299, PARTIAL, DOUBT), (300, PARTIAL, Outcome.PARTIAL)],
    ),
    "partial, then the restart shows": (
        {"stale_partial": 300.0},
        [(0, PARTIAL, DOUBT), (20, RUNS, GO), (400, PARTIAL, Outcome.PARTIAL)],
    ),
    # Cost
    "over the budget": ({"max_cost": 100.0}, [(0, RUNS, GO), (60, DEAR, Outcome.OVER_BUDGET)]),
    "within the budget": ({"max_cost": 101.0}, [(0, DEAR, GO)]),
    "no budget": ({}, [(0, DEAR, GO)]),
    "done over the budget": ({"max_cost": 100.0}, [(0, seen("DONE", cost=500.0), Outcome.REACHED)]),
    # 404
    "404 and then there": ({}, [(0, GONE, DOUBT), (10, GONE, DOUBT), (20, RUNS, GO)]),
    "404 for a minute": ({}, [(0, GONE, DOUBT), (67, GONE, DOUBT), (68, GONE, Outcome.NOT_FOUND)]),
    "404, little patience": ({"max_unknown_time": 30.0}, [(0, GONE, DOUBT), (30, GONE, Outcome.NOT_FOUND)]),
    "404 in the middle": ({}, [(0, RUNS, GO), (60, GONE, DOUBT), (1859, GONE, DOUBT), (1860, GONE, Outcome.UNKNOWN)]),
    "404 though it is known": ({"known": True}, [(0, GONE, DOUBT), (70, GONE, DOUBT), (1800, GONE, Outcome.UNKNOWN)]),
    "404 after an outage": ({}, [(0, DOWN, OUT), (100, GONE, DOUBT), (168, GONE, Outcome.NOT_FOUND)]),
    # The state cannot be read
    "an outage that ends": (
        {},
        [(0, DOWN, OUT), (1700, CUT, OUT), (1790, RUNS, GO), (1850, BUSY, OUT), (3649, DOWN, OUT)],
    ),
    "an outage that does not": ({}, [(0, RUNS, GO), (60, DOWN, OUT), (1860, CUT, Outcome.UNKNOWN)]),
    "no patience": ({"max_unknown_time": 0.0}, [(0, RUNS, GO), (60, DOWN, Outcome.UNKNOWN)]),
    # The service asks to slow down
    "429s for less than half an hour": (
        {"max_unknown_time": 60.0},
        [(0, BUSY, OUT), (400, HELD, OUT), (1739, BUSY, OUT), (1795, BUSY, OUT), (1799, RUNS, GO), (1860, BUSY, OUT)],
    ),
    "429s for longer": (
        {"max_unknown_time": 60.0},
        [(0, BUSY, OUT), (400, HELD, OUT), (1739, HELD, OUT), (1799, BUSY, OUT), (1800, BUSY, Outcome.UNKNOWN)],
    ),
    "429s, then an outage": (
        {"max_unknown_time": 60.0},
        [(0, BUSY, OUT), (400, HELD, OUT), (459, DOWN, OUT), (460, DOWN, Outcome.UNKNOWN)],
    ),
    "an outage, then 429s, then an outage": (
        {"max_unknown_time": 60.0},
        [(0, DOWN, OUT), (59, BUSY, OUT), (118, DOWN, OUT), (119, DOWN, Outcome.UNKNOWN)],
    ),
    "429s where more than half an hour is allowed": (
        {"max_unknown_time": 2000.0},
        [(0, BUSY, OUT), (1999, BUSY, OUT), (2000, BUSY, Outcome.UNKNOWN)],
    ),
    "429s, and no patience": ({"max_unknown_time": 0.0}, [(0, BUSY, Outcome.UNKNOWN)]),
    "refused at first": ({}, [(0, REFUSED, REFUSED)]),
    "wrong at first": ({}, [(0, WRONG, WRONG)]),
    "refused after an outage": ({}, [(0, DOWN, OUT), (60, REFUSED, REFUSED)]),
    "refused later": ({}, [(0, RUNS, GO), (60, REFUSED, OUT), (120, WRONG, OUT), (180, DONE, Outcome.REACHED)]),
    "refused though it is known": ({"known": True}, [(0, REFUSED, OUT), (1800, REFUSED, Outcome.UNKNOWN)]),
    "results": ({}, [(0, UNREAD, DOUBT), (10, UNREAD, (20.0, True)), (30, UNREAD, (40.0, True)), (70, UNREAD, OUT)]),
    "results, then read": ({}, [(0, UNREAD, DOUBT), (10, RUNS, GO), (70, UNREAD, DOUBT)]),
    "results of a job that is done": ({}, [(0, UNREAD_OF_DONE, DOUBT), (1800, UNREAD_OF_DONE, Outcome.UNREAD)]),
    "results, of no job": ({}, [(0, UNREAD, DOUBT), (1800, UNREAD, Outcome.UNKNOWN)]),
    # Time
    "the deadline": (
        {"deadline": BEGAN + 90},
        [(0, RUNS, GO), (60, RUNS, (30.0, False)), (90, RUNS, Outcome.TIMED_OUT)],
    ),
    "done at the deadline": ({"deadline": BEGAN + 90}, [(95, DONE, Outcome.REACHED)]),
    "over the budget at the deadline": ({"deadline": BEGAN, "max_cost": 1.0}, [(0, DEAR, Outcome.OVER_BUDGET)]),
    "the deadline, not started": (
        {"deadline": BEGAN + 15},
        [(0, IDLE, DOUBT), (10, IDLE, (5.0, True)), (15, IDLE, Outcome.TIMED_OUT)],
    ),
    "the deadline in an outage": (
        {"deadline": BEGAN + 90},
        [(0, DOWN, OUT), (60, DOWN, (30.0, True)), (90, DOWN, Outcome.TIMED_OUT)],
    ),
    "the deadline, and not read for too long": (
        {"deadline": BEGAN + 1800},
        [(0, DOWN, OUT), (1790, DOWN, (10.0, True)), (1800, DOWN, Outcome.UNKNOWN)],
    ),
    "a deadline that has passed": ({"deadline": BEGAN - 5}, [(0, RUNS, Outcome.TIMED_OUT)]),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_comes_of_a_look(case: str) -> None:
    given, looks = TABLE[case]
    watch = Watch(ID, WaitPlan(**{"poll_interval": 60.0, **given}), BEGAN)
    for after, look, comes in looks:
        now, failed = BEGAN + after, isinstance(look, errors.SentinelHubError)
        if isinstance(comes, errors.SentinelHubError):
            with pytest.raises(type(comes)) as raised:
                watch.failed(look, now)
            assert raised.value is comes
            continue
        ended = watch.failed(look, now) if isinstance(look, errors.SentinelHubError) else watch.read(look, now)
        if isinstance(comes, Outcome):
            assert ended is not None
            assert (ended.outcome, ended.job) == (comes, watch.last.job)
            assert bool(ended.why) == (comes in (Outcome.UNKNOWN, Outcome.UNREAD, Outcome.NOT_FOUND))
        else:
            assert ended is None
            assert (watch.pause, watch.uncertain) == comes
        assert failed == (watch.unknown_since is not None)


def test_short_pauses_of_the_plan_stay_short() -> None:
    watch = Watch(ID, WaitPlan(poll_interval=3.0), BEGAN)
    for look in (IDLE, RUNS):
        assert watch.read(look, BEGAN) is None
        assert watch.pause == 3.0
    for error in (GONE, UNREAD, DOWN):
        assert watch.failed(error, BEGAN) is None
        assert watch.pause == 3.0


def test_a_reading_is_kept_through_an_outage() -> None:
    watch = Watch(ID, WaitPlan(max_unknown_time=60.0), BEGAN)
    watch.read(RUNS, BEGAN)
    watch.failed(DOWN, BEGAN + 60)
    assert watch.last == RUNS
    ended = watch.failed(CUT, BEGAN + 120)
    assert ended == Waited(Outcome.UNKNOWN, RUNS.job, "cut")


def test_a_line_is_said_once_until_the_heartbeat() -> None:
    watch = Watch(ID, WaitPlan(), BEGAN)
    assert watch.line(RUNS, BEGAN) == f"{ID}: PROCESSING"
    assert watch.line(RUNS, BEGAN + 599) is None
    assert watch.line(RUNS, BEGAN + 600) == f"{ID}: PROCESSING"
    assert watch.line(DONE, BEGAN + 601) == f"{ID}: DONE"


# The plan as JSON


def test_a_plan_travels_as_json() -> None:
    plan = WaitPlan(5.0, 1e9, 60.0, True, 300.0, 100.0, True, True, 90.0)
    assert all(getattr(plan, name) != value for name, value in WaitPlan().as_json().items())
    assert WaitPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_a_plan_of_another_version_is_read() -> None:
    given = {**WaitPlan(deadline=7.0).as_json(), "of_a_later_version": [1]}
    del given["known"]
    assert WaitPlan.from_json(given) == WaitPlan(deadline=7.0)


def test_a_poll_whose_calls_are_held_back_keeps_its_place() -> None:
    """Were it given up again and again, others would have their turn first each time."""
    watch = Watch(ID, WaitPlan(poll_interval=60.0, max_unknown_time=60.0), BEGAN)
    assert watch.until(BEGAN, 0.0) == BEGAN + 60
    watch.failed(HELD, BEGAN + 60)
    assert watch.until(BEGAN + 60, 60.0) == BEGAN + module.BUSY
    watch.failed(HELD, BEGAN + module.BUSY - 30)
    assert watch.until(BEGAN + module.BUSY - 30, 10.0) == BEGAN + module.BUSY
    watch = Watch(ID, WaitPlan(poll_interval=60.0, max_unknown_time=60.0), BEGAN)
    watch.until(BEGAN, 0.0)
    watch.failed(HELD, BEGAN + 60)
    watch.failed(DOWN, BEGAN + 119)
    assert watch.until(BEGAN + 119, 0.0) == BEGAN + 121, "a moment, at the least"
    watch.read(RUNS, BEGAN + 120)
    assert watch.until(BEGAN + 120, 60.0) == BEGAN + 240


def test_results_that_cannot_be_read_do_not_make_the_last_reading_unknown() -> None:
    watch = Watch(ID, WaitPlan(), BEGAN)
    watch.read(RUNS, BEGAN)
    watch.failed(UNREAD, BEGAN + 60)
    assert watch.last == RUNS


def test_a_reading_that_has_not_read_all_is_uncertain() -> None:
    """A sensor in reschedule mode goes on in the same process, whose count is lost otherwise."""
    watch = Watch(ID, WaitPlan(poll_interval=60.0), BEGAN)
    assert watch.read(replace(RUNS, look_again=2.0), BEGAN) is None
    assert (watch.uncertain, watch.pause) == (True, 2.0)
    assert watch.read(RUNS, BEGAN + 2) is None
    assert (watch.uncertain, watch.pause) == (False, 60.0)
