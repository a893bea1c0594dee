"""What a whole job does next: every row of the table, from what is known alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.costs import Month
from airflow_sentinelhub.api.decide.next_step import Known, NextStep, next_step
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import UNKNOWN, Price
from airflow_sentinelhub.api.decide.results import FeatureResults, TileResults
from airflow_sentinelhub.api.decide.verdict import Outcome
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
from tests.api.feeding import ID, OTHER


def job(status: str, action: str = "START", **members: Any) -> Snapshot:
    return Snapshot(ID, "v2", BatchRequestStatus(status), BatchUserAction(action), **members)


def known(status: str, action: str = "START", *, policy: Policy | None = None, **facts: Any) -> Known:
    members = facts.pop("members", {})
    return Known(job(status, action, **members), policy or Policy(), **facts)


def tiles(done: int, failed: int, left: int = 0, cost: float | None = None, restarts: int = 0) -> TileResults:
    names = tuple(f"tile{number}" for number in range(failed))
    return TileResults(job("DONE"), done + failed + left, done, failed, names, cost, True, restarts)


READING = {
    ("CREATED", "NONE"): NextStep.ANALYSE,
    ("CREATED", "ANALYSE"): NextStep.AWAIT_ANALYSIS,
    ("CREATED", "START"): NextStep.AWAIT_END,
    ("CREATED", "CANCEL"): NextStep.AWAIT_END,
    ("ANALYSING", "ANALYSE"): NextStep.AWAIT_ANALYSIS,
    ("ANALYSING", "NONE"): NextStep.AWAIT_ANALYSIS,
    ("ANALYSING", "START"): NextStep.AWAIT_END,
    ("ANALYSIS_DONE", "ANALYSE"): NextStep.START,
    ("ANALYSIS_DONE", "NONE"): NextStep.START,
    ("ANALYSIS_DONE", "START"): NextStep.AWAIT_END,
    ("ANALYSIS_DONE", "STOP"): NextStep.AWAIT_END,
    ("PROCESSING", "START"): NextStep.AWAIT_END,
    ("PROCESSING", "NONE"): NextStep.AWAIT_END,
    ("DONE", "START"): NextStep.READ_RESULTS,
    ("DONE", "ANALYSE"): NextStep.READ_RESULTS,
    ("FAILED", "ANALYSE"): NextStep.GIVE_UP,
    ("CANCELED", "CANCEL"): NextStep.GIVE_UP,
    ("STOPPED", "STOP"): NextStep.GIVE_UP,
    ("LIMBO", "START"): NextStep.AWAIT_END,
    ("LIMBO", "NONE"): NextStep.AWAIT_ANALYSIS,
}


@pytest.mark.parametrize(("state", "step"), READING.items())
@pytest.mark.parametrize("outcome", [None, Outcome.REACHED])
@pytest.mark.parametrize("restarts_left", [0, 2])
def test_by_the_reading(state: tuple[str, str], step: NextStep, outcome: Outcome | None, restarts_left: int) -> None:
    facts: dict[str, Any] = {"policy": Policy(max_restarts=restarts_left), "restarts_parts": True, "outcome": outcome}
    assert next_step(known(*state, **facts)) is step


@pytest.mark.parametrize(("state", "step"), READING.items())
def test_who_may_not_start_only_waits(state: tuple[str, str], step: NextStep) -> None:
    waits = step in (NextStep.ANALYSE, NextStep.AWAIT_ANALYSIS, NextStep.START)
    assert next_step(known(*state, may_start=False)) is (NextStep.AWAIT_END if waits else step)


@pytest.mark.parametrize("state", READING)
@pytest.mark.parametrize(
    ("outcome", "step"),
    [
        (Outcome.UNKNOWN, NextStep.GIVE_UP),
        (Outcome.UNREAD, NextStep.GIVE_UP),
        (Outcome.NOT_FOUND, NextStep.GIVE_UP),
        (Outcome.TIMED_OUT, NextStep.GIVE_UP),
        (Outcome.NOT_STARTED, NextStep.GIVE_UP),
        (Outcome.OVER_BUDGET, NextStep.OVER_BUDGET),
    ],
)
def test_by_how_a_wait_has_ended(state: tuple[str, str], outcome: Outcome, step: NextStep) -> None:
    assert next_step(known(*state, outcome=outcome)) is step


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_without_a_reading_nothing_is_done(outcome: Outcome | None) -> None:
    assert next_step(Known(None, Policy(), outcome=outcome)) is NextStep.GIVE_UP


@pytest.mark.parametrize(
    ("most", "asked", "settled", "service", "step"),
    [
        (0, 0, False, True, NextStep.READ_RESULTS),
        (1, 0, False, True, NextStep.RESTART),
        (1, 0, False, False, NextStep.READ_RESULTS),
        (1, 1, False, True, NextStep.AWAIT_END),  # the reading may be older than the restart
        (2, 1, False, True, NextStep.AWAIT_END),
        (2, 1, True, True, NextStep.RESTART),
        (1, 1, True, True, NextStep.READ_RESULTS),
        (0, 2, True, True, NextStep.READ_RESULTS),
    ],
)
def test_a_partial_job_is_restarted_while_it_may_be(
    most: int, asked: int, settled: bool, service: bool, step: NextStep
) -> None:
    facts = {"policy": Policy(max_restarts=most), "restarts": asked, "settled": settled, "restarts_parts": service}
    assert next_step(known("PARTIAL", **facts)) is step


@pytest.mark.parametrize(
    ("spent", "before", "limit", "reason", "resumes", "step"),
    [
        (10, 0, None, None, False, NextStep.GIVE_UP),
        (10, 0, 9, None, False, NextStep.OVER_BUDGET),
        (10, 0, 10, None, False, NextStep.GIVE_UP),
        (5, 6, 10, None, False, NextStep.OVER_BUDGET),
        (10, 0, None, "OUT_OF_PU", False, NextStep.GIVE_UP),
        (10, 0, None, "OUT_OF_PU", True, NextStep.RESUME),
        (10, 0, None, "UNHEALTHY", True, NextStep.RESUME),
        (10, 0, None, "USER_ACTION", True, NextStep.GIVE_UP),
        (10, 0, 9, "UNHEALTHY", True, NextStep.OVER_BUDGET),
    ],
)
def test_a_stopped_job(
    spent: float, before: float, limit: float | None, reason: str | None, resumes: bool, step: NextStep
) -> None:
    members = {"cost": float(spent), "stopped_reason": StoppedStatusReason(reason) if reason else None}
    facts = {"policy": Policy(limit), "resumes": resumes, "earlier": (job("DONE", cost=float(before)),)}
    assert next_step(known("STOPPED", "STOP", members=members, **facts)) is step


@pytest.mark.parametrize(
    ("limit", "estimates", "estimate", "late", "step"),
    [
        (None, True, None, False, NextStep.START),
        (100.0, True, None, False, NextStep.NOT_ESTIMATED),
        (100.0, False, None, False, NextStep.START),
        (100.0, True, 300.0, False, NextStep.START),  # a third of the estimate is expected
        (100.0, True, 301.0, False, NextStep.OVER_BUDGET),
        (None, True, 300.0, True, NextStep.GIVE_UP),
        (100.0, True, 301.0, True, NextStep.GIVE_UP),
    ],
)
def test_the_start(limit: float | None, estimates: bool, estimate: float | None, late: bool, step: NextStep) -> None:
    facts: dict[str, Any] = {"policy": Policy(limit), "estimates": estimates, "late": late}
    assert next_step(known("ANALYSIS_DONE", "ANALYSE", members={"estimate": estimate}, **facts)) is step


def test_the_time_that_is_over_ends_nothing_but_the_start() -> None:
    """A request at work is waited for, and the wait ends it."""
    assert next_step(known("PROCESSING", late=True)) is NextStep.AWAIT_END
    assert next_step(known("DONE", late=True, results=tiles(3, 0))) is NextStep.SUCCEED


@pytest.mark.parametrize(
    ("results", "policy", "step"),
    [
        (tiles(9, 0), Policy(), NextStep.SUCCEED),
        (tiles(8, 1), Policy(), NextStep.TOO_MANY_FAILED),
        (tiles(8, 1), Policy(max_failed=1), NextStep.SUCCEED),
        (tiles(8, 1), Policy(max_failed=1, max_restarts=1), NextStep.CONTINUE),
        (tiles(8, 1, restarts=1), Policy(max_restarts=1), NextStep.TOO_MANY_FAILED),
        (tiles(8, 1, cost=9.0), Policy(10.0, max_restarts=1), NextStep.CONTINUE),
        (tiles(8, 1, cost=10.0), Policy(10.0, max_restarts=1), NextStep.TOO_MANY_FAILED),
        (tiles(8, 1), Policy(on_partial="accept"), NextStep.SUCCEED),
        (FeatureResults(job("DONE"), 3, 1, (("a", "b"),), True), Policy(), NextStep.TOO_MANY_FAILED),
        (FeatureResults(job("DONE"), 3, 1, (("a", "b"),), True), Policy(max_failed=1), NextStep.SUCCEED),
        (FeatureResults(job("DONE"), None, None, (), False), Policy(), NextStep.SUCCEED),
        (FeatureResults(job("PARTIAL"), None, None, (), False), Policy(), NextStep.TOO_MANY_FAILED),
    ],
)
def test_what_it_has_brought(results: Any, policy: Policy, step: NextStep) -> None:
    assert next_step(known("DONE", policy=policy, results=results, continues=True)) is step


def test_what_no_new_request_can_continue_is_judged_as_it_is() -> None:
    """A Zarr, or statistics: the restarts that are left have no effect."""
    results, policy = tiles(8, 1), Policy(max_restarts=1)
    assert next_step(known("DONE", policy=policy, results=results)) is NextStep.TOO_MANY_FAILED
    assert next_step(known("DONE", policy=policy, results=results, continues=True)) is NextStep.CONTINUE


def test_the_service_restarts_parts_itself_and_never_by_a_new_request() -> None:
    facts: dict[str, Any] = {"policy": Policy(max_restarts=1), "restarts_parts": True}
    assert next_step(known("DONE", results=tiles(8, 1), **facts)) is NextStep.TOO_MANY_FAILED


@pytest.mark.parametrize(
    ("awaited", "left", "step"),
    [
        (False, 2, NextStep.AWAIT_REST),
        (True, 2, NextStep.STILL_UNFINISHED),
        (False, 0, NextStep.TOO_MANY_FAILED),
        (True, 0, NextStep.TOO_MANY_FAILED),
    ],
)
def test_tiles_of_an_ended_job_that_are_at_work_are_waited_for_once(awaited: bool, left: int, step: NextStep) -> None:
    assert next_step(known("PARTIAL", results=tiles(6, 1, left), rest_awaited=awaited)) is step


@pytest.mark.parametrize("status", ["DONE", "FAILED", "STOPPED"])
def test_a_failed_part_leaves_what_the_request_before_has_brought(status: str) -> None:
    before = replace(job(status), request_id=OTHER)
    failed = known("FAILED", earlier=(before,), policy=Policy(max_failed=1, max_restarts=5), continues=True)
    assert next_step(failed) is (NextStep.READ_RESULTS if status == "DONE" else NextStep.GIVE_UP)
    judged = replace(failed, results=tiles(8, 1, restarts=1))
    assert next_step(judged) is (NextStep.SUCCEED if status == "DONE" else NextStep.GIVE_UP)


# The price before the start

PRICE = Price(100.0, 200.0, "us")


@pytest.mark.parametrize(
    ("policy", "facts", "step"),
    [
        (Policy(), {"prices": True}, NextStep.ESTIMATE),
        (Policy(), {"prices": True, "price": UNKNOWN}, NextStep.START),
        (Policy(require_estimate=True), {"prices": True, "price": UNKNOWN}, NextStep.NOT_ESTIMATED),
        (Policy(require_estimate=True), {"prices": True, "price": PRICE}, NextStep.START),
        (Policy(max_processing_units=99), {"prices": True}, NextStep.ESTIMATE),
        (Policy(max_processing_units=99), {"prices": True, "price": PRICE}, NextStep.OVER_BUDGET),
        (Policy(max_processing_units=100), {"prices": True, "price": PRICE}, NextStep.START),
        (Policy(max_processing_units=99), {"prices": True, "price": UNKNOWN}, NextStep.START),
        (Policy(max_processing_units=99), {"prices": True, "late": True}, NextStep.GIVE_UP),
        (
            Policy(max_processing_units=130),
            {"price": PRICE, "earlier": (job("DONE", cost=31.0),)},
            NextStep.OVER_BUDGET,
        ),
        (Policy(max_processing_units=131), {"price": PRICE, "earlier": (job("DONE", cost=31.0),)}, NextStep.START),
        (Policy(max_per_month=500), {"price": PRICE}, NextStep.START),  # nobody can count
        (Policy(max_per_month=500), {"price": PRICE, "counts": True}, NextStep.COUNT_MONTH),
        (Policy(max_per_month=500), {"prices": True, "counts": True}, NextStep.ESTIMATE),
        (Policy(max_per_month=500), {"price": PRICE, "counts": True, "month": Month(400)}, NextStep.START),
        (Policy(max_per_month=500), {"price": PRICE, "counts": True, "month": Month(401)}, NextStep.OVER_MONTH),
        (Policy(max_per_month=500), {"price": UNKNOWN, "counts": True, "month": Month(499)}, NextStep.START),
        (Policy(max_per_month=500), {"price": UNKNOWN, "counts": True, "month": Month(500)}, NextStep.OVER_MONTH),
        (
            Policy(99, 500),
            {"price": PRICE, "counts": True},
            NextStep.OVER_BUDGET,
        ),  # its own budget first, without a look
    ],
)
def test_what_an_analysed_job_may_cost(policy: Policy, facts: dict[str, Any], step: NextStep) -> None:
    assert next_step(known("ANALYSIS_DONE", "ANALYSE", policy=policy, **facts)) is step
    assert next_step(known("PROCESSING", policy=policy, **facts)) is NextStep.AWAIT_END, (
        "what runs is not looked at again"
    )
