"""Sums of costs and prices, purely: what counts, what is unknown, who goes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.costs import (
    RESERVED_FOR,
    Costs,
    Month,
    RequestCost,
    cost_of,
    ended_early,
    month_of,
    month_total,
    of_month,
)
from airflow_sentinelhub.api.decide.marker import Mark, dag_word, mark_of, marked, task_word
from airflow_sentinelhub.api.decide.policy import Policy, policy_from
from airflow_sentinelhub.api.decide.price import (
    Price,
    comparison,
    differs,
    may_exceed,
    price_from,
    price_lines,
    price_of,
)
from airflow_sentinelhub.api.estimate import Estimate
from airflow_sentinelhub.api.flows import costs as costs_flow
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from airflow_sentinelhub.exceptions import InvalidInputError

NOW = datetime(2026, 6, 15, 12, tzinfo=timezone.utc)
MARK = Mark("afx" + "0" * 16, 1, "0" * 8, dag="d" * 12, task="a" * 8)


def job(status: str, action: str = "START", generation: str = "v2", id_: str = "a", **members: Any) -> Snapshot:
    members.setdefault("created", NOW)
    return Snapshot(id_, generation, BatchRequestStatus(status), BatchUserAction(action), **members)


@pytest.mark.parametrize(
    ("reading", "mark", "cost", "counted", "known"),
    [
        (job("DONE", cost=120.0), {}, 120, 120, True),
        (job("FAILED", cost=0.0), {}, 0, 0, True),
        (job("ANALYSIS_DONE", "ANALYSE", cost=0.0), {}, 0, 0, True),
        (job("PROCESSING", cost=50.0), {"expected": 200.0}, 50, 200, True),
        (job("PROCESSING", cost=250.0), {"expected": 200.0}, 250, 250, True),
        (job("PROCESSING", cost=50.0, share_done=0.25), {}, 50, 200, True),
        (job("PROCESSING", cost=0.0, share_done=0.0), {"limit": 300.0}, 0, 300, True),
        (job("PROCESSING", cost=50.0), {}, 50, 50, False),
        (job("ANALYSIS_DONE", "START", cost=0.0), {"expected": 200.0}, 0, 200, True),
        (job("PROCESSING", "STOP", cost=50.0), {"expected": 200.0}, 50, 200, True),
        (job("DONE", generation="v1", estimate=300.0), {}, 100, 100, True),
        (job("PROCESSING", generation="v1", estimate=300.0), {}, None, 100, False),
        (job("CREATED", "NONE", "v1"), {}, 0, 0, True),
        (job("DONE", generation="v1"), {}, None, 0, False),
    ],
)
def test_what_a_request_counts(
    reading: Snapshot, mark: dict[str, Any], cost: float | None, counted: float, known: bool
) -> None:
    found = cost_of(reading, replace(MARK, **mark), {})
    assert (found.cost, found.counted, found.known) == (cost, counted, known)


def test_requests_of_all_apis_are_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"v1": (1, 4, None), "v2": (3, 2)}

    def found(api: Any, *_: Any) -> Any:
        """What the lists of an API show."""
        for days in times[api.name]:
            created = None if days is None else NOW - timedelta(days=days)
            yield job("DONE", generation=api.name, id_=f"{days}", created=created), MARK

    def flow(*given: Any) -> Any:
        return list(found(*given))
        yield

    monkeypatch.setattr(costs_flow, "_found", flow)
    reading = costs_flow.costs_of_dag(
        costs_flow.OfDag(None, [generation("v1"), generation("v2")]), "maps", NOW, {}, tiles=False
    )
    with pytest.raises(StopIteration) as ended:
        next(reading)
    assert [cost.request_id for cost in ended.value.value.requests] == ["1", "2", "3", "4", "None"]


def test_sums_are_by_task_and_the_dearest_is_first() -> None:
    requests = (
        RequestCost("a", "v2", "DONE", NOW, "cheap", 10.0),
        RequestCost("b", "v2", "DONE", NOW, "dear", 40.0),
        RequestCost("c", "v2", "DONE", None, None, 20.0),
        RequestCost("d", "v1", "PROCESSING", NOW, "cheap", None, 100.0, True, True),
    )
    costs = Costs("maps", NOW, requests, ("x",))
    assert list(costs.by_task().items()) == [("dear", 40.0), ("unknown", 20.0), ("cheap", 10.0)]
    assert (costs.total, costs.expected, costs.running, costs.unknown) == (70, 170, 1, ("d",))
    assert costs.as_dict()["requests"][2]["created"] is None
    text = "\n".join(costs.lines())
    assert "maps since 2026-06-15 12:00 UTC: 70.0 PU" in text
    assert "Running: 1; in all about 170.0 PU when that is done" in text
    assert "2026-06-15 12:00  d  v1  PROCESSING  cheap  unknown, about 100.0 PU in all" in text
    assert text.endswith("x")


def about_to_start(id_: str, created: datetime, ago: float = 0.0) -> tuple[Snapshot, Mark]:
    reserved = int(NOW.timestamp() - ago)
    return job("ANALYSIS_DONE", "ANALYSE", id_=id_, created=created), replace(MARK, expected=100.0, reserved=reserved)


def test_of_jobs_that_are_about_to_start_each_counts_those_before_it() -> None:
    """So no two of them leave each other room that only one can have."""
    jobs = [about_to_start(id_, NOW + timedelta(seconds=at)) for id_, at in (("c", 0), ("a", 1), ("b", 1), ("d", 2))]
    counted = {own.request_id: month_total(jobs, own, NOW.timestamp()).counted for own, _ in jobs}
    assert counted == {"c": 0, "a": 100, "b": 200, "d": 300}


@pytest.mark.parametrize("own", [None, NOW, NOW - timedelta(days=1)])
@pytest.mark.parametrize("created", [None, NOW])
def test_a_job_counts_before_this_one_if_nobody_tells_which_is_older(own: Any, created: Any) -> None:
    """Rather none of two starts than both."""
    reserved = int(NOW.timestamp())
    other = job("ANALYSIS_DONE", "ANALYSE", id_="a", created=created)
    marks = replace(MARK, expected=100.0, reserved=reserved)
    month = month_total([(other, marks)], job("ANALYSIS_DONE", "ANALYSE", id_="z", created=own), NOW.timestamp())
    before = None in (own, created) or own == NOW
    assert (month.counted, month.behind) == ((100.0, 0.0) if before else (0.0, 100.0))


def test_the_first_of_many_unknown_costs_are_named() -> None:
    def warned(number: int) -> list[str]:
        unknown = tuple(RequestCost(f"r{at}", "v2", "DONE", NOW) for at in range(number))
        return Costs("maps", NOW, unknown).warnings()

    assert warned(0) == []
    assert warned(3) == ["What these cost in all is not known: r0, r1, r2."]
    assert warned(5) == ["What these cost in all is not known: r0, r1, r2 and 2 more."]


@pytest.mark.parametrize(("ago", "counted"), [(0, 100), (RESERVED_FOR, 100), (RESERVED_FOR + 1, 0)])
def test_who_does_not_come_to_start_is_not_waited_for(ago: float, counted: float) -> None:
    own = job("ANALYSIS_DONE", "ANALYSE", id_="z")
    assert month_total([about_to_start("a", NOW, ago)], own, NOW.timestamp()).counted == counted


def test_a_job_that_has_ended_is_not_about_to_start() -> None:
    own = job("ANALYSIS_DONE", "ANALYSE", id_="z")
    stopped, mark = job("STOPPED", "STOP", cost=0.0), about_to_start("a", NOW)[1]
    assert month_total([(stopped, mark)], own, NOW.timestamp()) == Month()


def test_what_nobody_has_priced_is_unknown_not_nothing() -> None:
    own = job("ANALYSIS_DONE", "ANALYSE", id_="z")
    waiting, mark = about_to_start("a", NOW)
    running = job("PROCESSING", id_="b", cost=0.0)
    month = month_total([(waiting, replace(mark, expected=None)), (running, MARK)], own, NOW.timestamp())
    assert (month.counted, month.jobs, month.unknown) == (0, 2, ("a", "b"))


@pytest.mark.parametrize(
    ("reading", "counts"),
    [
        (job("DONE", created=NOW - timedelta(days=20), acted=NOW - timedelta(days=15)), False),
        (job("DONE", created=NOW - timedelta(days=20), acted=NOW - timedelta(days=14)), True),
        (job("DONE", created=NOW - timedelta(days=14)), True),
        (job("DONE", created=None), True),
        (job("STOPPED", "STOP", created=NOW - timedelta(days=20), acted=NOW), True),
        (job("PROCESSING", created=NOW - timedelta(days=20), acted=NOW - timedelta(days=16)), False),
        (job("ANALYSIS_DONE", "ANALYSE", created=NOW - timedelta(days=20), acted=NOW - timedelta(days=16)), True),
    ],
)
def test_a_request_counts_in_the_month_in_which_it_was_started(reading: Snapshot, counts: bool) -> None:
    assert of_month(reading, datetime(2026, 6, 1, tzinfo=timezone.utc)) is counts


@pytest.mark.parametrize(
    ("status", "action", "estimate", "tiles", "cost", "started"),
    [
        ("CANCELED", "CANCEL", 300.0, None, None, True),  # nobody tells without its tiles
        ("CANCELED", "CANCEL", 300.0, 40.0, 40.0, True),
        ("CANCELED", "CANCEL", 300.0, 0.0, 0.0, False),
        ("CANCELED", "CANCEL", None, None, 0.0, False),  # it was never analysed
        ("FAILED", "START", None, None, 0.0, True),  # its analysis failed
        ("FAILED", "START", 300.0, None, 100.0, True),
        ("PARTIAL", "START", 300.0, None, 100.0, True),
    ],
)
def test_what_ended_early_on_v1_has_cost(
    status: str, action: str, estimate: float | None, tiles: float | None, cost: float | None, started: bool
) -> None:
    found = cost_of(job(status, action, "v1", estimate=estimate), MARK, {}, tiles)
    assert (found.cost, found.started, found.running) == (cost, started, False)
    assert ended_early(job(status, action, "v1", estimate=estimate)) is (estimate is not None)


def test_a_month_is_that_of_the_calendar_in_utc() -> None:
    assert month_of(NOW.timestamp()) == datetime(2026, 6, 1, tzinfo=timezone.utc)
    assert month_of(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()) == datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("limit", "expected", "month", "allowed"),
    [(None, 1e9, 1e9, True), (100, 60, 40, True), (100, 61, 40, False), (100, None, 99, True), (100, None, 100, False)],
)
def test_the_budget_of_a_month(limit: float | None, expected: float | None, month: float, allowed: bool) -> None:
    assert Policy(max_per_month=limit).allows_in_month(expected, month) is allowed


@pytest.mark.parametrize("value", [0, -1, "x", ""])
def test_a_budget_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_processing_units_per_month"):
        policy_from(max_processing_units_per_month=value)


def test_a_policy_may_stand_on_the_budget_of_a_month_alone() -> None:
    assert policy_from(max_processing_units_per_month="100", on_over_budget="skip").max_per_month == 100


def test_the_marker_carries_dag_task_and_what_is_expected() -> None:
    mark = replace(
        MARK, dag=dag_word("", "maps"), task=task_word("", "maps", "ndvi"), expected=123.456, reserved=1_780_000_000
    )
    assert mark_of(marked("Maps of June", mark)) == mark
    assert dag_word("production", "maps") != dag_word("", "maps") != dag_word("", "map")
    assert task_word("", "maps", "ndvi") != task_word("", "ndvi", "maps")


# Prices

OWN = Estimate(100.0, 200.0, (), ("the weather",))


@pytest.mark.parametrize(
    ("service", "far"), [(None, False), (67.0, False), (66.0, True), (150.0, False), (266.0, False), (267.0, True)]
)
def test_ours_is_shown_beside_the_services_if_it_differs_by_more_than_a_third(service: float | None, far: bool) -> None:
    reading = job("ANALYSIS_DONE", "ANALYSE", "v1", estimate=None if service is None else service * 3)
    price = price_of(reading, OWN)
    assert price.by == ("us" if service is None else "service")
    assert differs(price) is far
    assert any("differs by more than a third" in line for line, _ in price_lines(reading, price)) is far


def test_an_unknown_price_says_why() -> None:
    reading = job("ANALYSIS_DONE", "ANALYSE")
    price = price_of(reading, None, "The bucket is locked.")
    assert (price.known, price.expected, str(price)) == (False, None, "cost not estimated")
    assert price_lines(reading, price) == [
        ("Batch request a: its expected cost is not known: The bucket is locked.", True)
    ]
    assert price.as_result() == {
        "expected_pu": None,
        "expected_pu_low": None,
        "expected_pu_high": None,
        "estimated_by": None,
    }
    again = "Batch request a: its GeoPackage is locked."
    assert price_lines(reading, price_of(reading, None, again))[0][0].count("Batch request a") == 1
    assert price_from(price.as_result()) is None
    for by in (None, "somebody", 7):
        assert price_from({"expected_pu_low": 1.0, "expected_pu_high": 2.0, "estimated_by": by}) is None
    assert price_from(Price(1.0, 2.0, "us").as_result()) == Price(1.0, 2.0, "us")
    assert price_from(Price(1.0, 2.0, "us", probable=1.9).as_result()) == Price(1.0, 2.0, "us", probable=1.9)


@pytest.mark.parametrize(
    ("limit", "spent", "may"), [(None, 0, False), (99, 0, False), (100, 0, True), (200, 0, False), (200, 1, True)]
)
def test_what_may_exceed_a_limit(limit: float | None, spent: float, may: bool) -> None:
    assert may_exceed(price_of(job("ANALYSIS_DONE"), OWN), limit, spent) is may


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, ""),
        (150.0, "150.0 PU, inside of the 100 to 200 PU estimated by us"),
        (99.0, "99.0 PU, inside of the 100 to 200 PU estimated by us"),  # what is rounded is not outside
        (202.0, "202.0 PU, inside of the 100 to 200 PU estimated by us"),
        (98.9, "98.9 PU, outside of the 100 to 200 PU estimated by us"),
        (250.0, "250.0 PU, outside of the 100 to 200 PU estimated by us"),
    ],
)
def test_estimate_and_cost_side_by_side(cost: float | None, said: str) -> None:
    assert comparison(price_of(job("DONE"), OWN), cost) == said


def test_a_number_that_follows_from_the_services_estimate_is_not_called_its_estimate() -> None:
    """The service estimates three times as much: who looks there must find out why."""
    price = price_of(job("DONE", generation="v1", estimate=300.0))
    assert str(price) == "about 100 PU (a third of the service's estimate)"
    assert comparison(price, 99.5) == "99.5 PU, inside of the 100 PU expected (a third of the service's estimate)"
    assert comparison(price.as_result(), 50.0).endswith(
        "outside of the 100 PU expected (a third of the service's estimate)"
    )
    assert price_lines(job("DONE", generation="v1", estimate=300.0), price)[0][0].endswith(f"expected cost {price}")
