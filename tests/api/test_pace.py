"""Intervals that grow while the end is far: how many polls a job costs, and how late its end is seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Note, Now, Reply, Send, Shared, Sleep
from airflow_sentinelhub.api.decide.pace import Pace, check_most
from airflow_sentinelhub.api.decide.verdict import Outcome
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.service.generations import V1, V2
from airflow_sentinelhub.exceptions import InvalidInputError
from tests.api import feeding
from tests.api.feeding import EPOCH, ID, ok

LEAST, MOST = 30.0, 900.0
LATE = 1.001
HOUR = 3600.0


@dataclass
class Job:
    """A job that is processed for so many seconds, at an even pace; `at` holds the times of the polls."""

    seconds: float
    v1: bool = False
    price: float = 0.0
    at: list[float] = field(default_factory=list)


def run(job: Job, **plan: Any) -> Any:
    """Wait for the job; :returns: how it ended."""
    now, received = EPOCH, None
    flow = wait(V1 if job.v1 else V2, ID, "DONE", WaitPlan(**{"poll_interval": LEAST, **plan}))
    try:
        while True:
            step = flow.send(received)
            received = None
            if isinstance(step, Sleep):
                now += step.seconds
            elif isinstance(step, Now):
                received = now
            elif isinstance(step, Send):
                received = reply(job, step.call, now - EPOCH)
            else:
                assert isinstance(step, (Note, Shared))
    except StopIteration as end:
        return end.value


def reply(job: Job, call: Call[Any], passed: float) -> Reply:
    if call.method != "GET":
        return feeding.done()
    job.at.append(passed)
    share = min(passed / job.seconds, 1.0)
    status = "DONE" if share >= 1 else "PROCESSING"
    if job.v1:
        return ok(feeding.v1(status, "START", tileCount=10))
    return ok(feeding.v2(status, "START", completionPercentage=100 * share, costPU=job.price * share))


@pytest.mark.parametrize("seconds", [10.0, 20 * 60.0, HOUR, 10 * HOUR, 72 * HOUR])
@pytest.mark.parametrize("v1", [False, True])
def test_polls_are_few_and_the_end_is_seen_in_time(seconds: float, v1: bool) -> None:
    even, grown = Job(seconds, v1), Job(seconds, v1)
    assert run(even).outcome is run(grown, max_poll_interval=MOST).outcome is Outcome.REACHED
    assert len(even.at) == pytest.approx(seconds / LEAST, abs=2)
    pauses = [later - earlier for earlier, later in zip(grown.at, grown.at[1:], strict=False)]
    assert all(LEAST <= pause <= MOST for pause in pauses)
    assert len(grown.at) <= len(even.at)
    if seconds >= 10 * HOUR:
        assert len(grown.at) < 0.25 * len(even.at)
    late = grown.at[-1] - seconds
    assert late <= (LEAST if not v1 else min(max(LEAST, 0.11 * seconds), MOST)) * LATE


def test_without_the_argument_all_is_as_it_was() -> None:
    job = Job(HOUR)
    run(job)
    assert {later - earlier for earlier, later in zip(job.at, job.at[1:], strict=False)} == {LEAST}


def test_a_budget_is_watched_as_closely_as_without() -> None:
    """Of 10,000 PU in ten hours 5,000 are allowed: what is spent beyond them is what one interval costs."""
    job = Job(10 * HOUR, price=10_000.0)
    ended = run(job, max_poll_interval=MOST, max_cost=5_000.0)
    assert ended.outcome is Outcome.OVER_BUDGET
    over = next(at for at in job.at if at > 5 * HOUR)
    assert over - 5 * HOUR <= LEAST * LATE
    assert len(job.at) < 300


def test_a_cost_that_is_not_told_keeps_the_interval() -> None:
    job = Job(HOUR, v1=True)
    run(job, max_poll_interval=MOST, max_cost=5_000.0)
    assert {later - earlier for earlier, later in zip(job.at, job.at[1:], strict=False)} == {LEAST}


def test_the_deadline_is_kept() -> None:
    job = Job(72 * HOUR)
    ended = run(job, max_poll_interval=MOST, deadline=EPOCH + 10_000)
    assert ended.outcome is Outcome.TIMED_OUT
    assert job.at[-1] == pytest.approx(10_000, abs=3)


def snapshot(status: str) -> Any:
    return V2.get("7").parse({"id": "7", "status": status, "userAction": "START"})


def test_a_wait_that_another_process_began_counts_from_then() -> None:
    """What that process has read is not known: the status may have changed since, and something have been done."""
    job = snapshot("PROCESSING")
    assert Pace(30, 900, None, since=0.0).after(job, None, 3000.0) == 300
    assert Pace(30, 900, None).after(job, None, 3000.0) == 30
    assert Pace(30, 900, None, since=0.0).after(job, 0.9, 3000.0) == pytest.approx(3000 / 9 / 4)
    assert Pace(30, 900, None, since=0.0).after(job, 1.0, 3000.0) == 30
    for share in (0.05, 0.5, 0.9, 0.99):  # a job that was half done when the wait began has less left
        known = Pace(1, 900, None)
        known.after(job, share / 2, 0.0)
        assert Pace(1, 900, None, since=0.0).after(job, share, 3000.0) <= known.after(job, share, 3000.0)


@pytest.mark.parametrize(("least", "most"), [(30, None), (30, 30), (30, 31)])
def test_bounds_that_make_sense(least: float, most: float | None) -> None:
    check_most(least, most)


def test_bounds_that_do_not() -> None:
    with pytest.raises(InvalidInputError, match=r"max_poll_interval is 29 s, less than poke_interval, which is 30 s"):
        check_most(30, 29, "poke_interval")


def after(pace: Pace, share: float | None, now: float, status: str = "PROCESSING", **members: Any) -> float:
    job = V2.get("7").parse({"id": "7", "status": status, "userAction": "START", **members})
    return pace.after(job, share, now)


def test_no_reading_keeps_the_interval() -> None:
    assert Pace(30, 900, None, since=0.0).after(None, None, 9000.0) == 30


def test_no_interval_is_beyond_the_bounds() -> None:
    assert after(Pace(30, 900, None, since=0.0), None, 1e6) == 900
    assert after(Pace(60, 45, None, since=0.0), None, 1e6) == 60, "the lower one was raised to what the service advises"


def test_the_smaller_of_the_two_shares_counts() -> None:
    """A tenth of what has passed, or a quarter of what is left."""
    for share, interval in ((0.1, 100.0), (0.9, 1000 / 9 / 4)):
        pace = Pace(1, 900, None)
        after(pace, 0.0, 0.0)
        assert after(pace, share, 1000.0) == pytest.approx(interval)


def test_a_budget_of_nothing_is_reached_from_the_first_reading_on() -> None:
    pace = Pace(30, 900, 0.0, since=0.0)
    assert [after(pace, 0.1, now, costPU=0.0) for now in (3000.0, 6000.0)] == [30, 30]


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the status": ({"share": None}, {"share": None, "status": "ANALYSIS_DONE"}),
    "the action": ({"share": None}, {"share": None, "userAction": "STOP"}),
    "less is done than before": ({"share": 0.5}, {"share": 0.1}),
    "the share becomes known": ({"share": None}, {"share": 0.1}),
}


@pytest.mark.parametrize(
    ("change", "since"),
    [
        *((change, None) for change in CHANGES),
        ("the status", 0.0),
        ("the action", 0.0),
        ("the share becomes known", 0.0),
    ],
)
def test_what_was_measured_says_nothing_after_a_change(change: str, since: float | None) -> None:
    before, now = CHANGES[change]
    pace = Pace(30, 900, None, since=since)
    after(pace, now=0.0, **before)
    assert after(pace, now=1000.0, **before) == 100
    assert after(pace, now=1010.0, **now) == 30
    assert after(pace, now=1510.0, **now) == 50
