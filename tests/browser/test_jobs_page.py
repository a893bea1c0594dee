"""What the page of all jobs makes of an answer: counts, links, costs, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.played import JOBS, NOW, Play, Played, Show, pages, row
from tests.browser.played import play as play

EVIL = "<img src=x onerror=alert(1)>"


def account(**members: Any) -> dict[str, Any]:
    return {"conn_id": "c", "read_at": NOW, "error": "", "reading": False, "unread": [], **members}


def answer(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"now": NOW, "month": "2026-05", "jobs": list(rows), "costs": {"d": 12.5}, "more": False, "accounts": []}
    return {**base, **more}


def opened(played: Played, *rows: dict[str, Any], **more: Any) -> Played:
    played.facts = answer(*rows, **more)
    return played.open(JOBS)


@pytest.fixture(scope="module")
def show(browser: Any) -> Iterator[Show]:
    """Shows one answer after the other on one page, which stays open."""
    with pages(browser) as made:
        played = opened(made())

        def shown(facts: Any) -> Played:
            played.facts = facts
            played.again()
            return played

        yield shown


@pytest.mark.parametrize(
    ("members", "kind", "words"),
    [
        ({}, "Running", "in work"),
        ({"status": "ANALYSING"}, "Waiting", "being analysed"),
        ({"status": None}, "Waiting", "not read yet"),
        ({"status": None, "live": False}, None, "not read yet"),
        ({"status": "PROCESSING", "live": False}, None, "in work"),
        ({"status": "DONE"}, None, "done"),
        ({"status": "DONE", "failed": 2}, None, "done, 2 tiles failed"),
        ({"status": "DONE", "failed": 1, "things": "features"}, None, "done, 1 feature failed"),
        ({"status": "CANCELED", "live": True}, None, "cancelled"),
        ({"status": "PARTIAL"}, "Failed", "done in part"),
        ({"status": "FAILED", "live": False}, "Failed", "failed"),
        ({"status": "DONE", "state": "failed", "live": False}, "Failed", "done"),
    ],
)
def test_each_job_counts_once(show: Show, members: dict[str, Any], kind: str | None, words: str) -> None:
    played = show(answer(row(**members)))
    shown = {name: rest[0] for name, rest in played.numbers().items()}
    assert {name: shown[name] for name in ("Running", "Waiting", "Failed")} == {
        name: "1" if name == kind else "0" for name in ("Running", "Waiting", "Failed")
    }
    assert played.text("tbody td >> nth=0").strip() == words


@pytest.mark.parametrize(
    ("members", "cells"),
    [
        ({}, ["50 %", "12.5 PU", "28 May, 20:16:40"]),
        ({"status": "DONE", "share": 0.2}, ["100 %", "12.5 PU", "28 May, 20:16:40"]),
        ({"status": "DONE", "failed": 1, "share": 0.99}, ["99 %", "12.5 PU", "28 May, 20:16:40"]),
        ({"share": None, "cost": None, "started": None}, ["unknown", "unknown", "not started"]),
        ({"cost": 0.0, "share": 0.0}, ["0 %", "0 PU", "28 May, 20:16:40"]),
    ],
)
def test_the_numbers_of_a_job(show: Show, members: dict[str, Any], cells: list[str]) -> None:
    played = show(answer(row(**members)))
    assert played.page.locator("tbody td.number").all_inner_texts() == cells


def test_a_job_that_cannot_be_read_says_so_for_as_long_as_its_task_waits(play: Play) -> None:
    for live in (True, False):
        played = opened(play(), row(unknown_since=NOW - 60, live=live))
        assert ("cannot be read" in played.text("tbody")) is live


@pytest.mark.parametrize(
    ("members", "link"),
    [
        ({}, "/dags/d/runs/r/tasks/t/plugin/sentinelhub"),
        ({"map_index": 0}, "/dags/d/runs/r/tasks/t/mapped/0/plugin/sentinelhub"),
        ({"run_id": "a+b/c?", "dag_id": "d d"}, "/dags/d%20d/runs/a%2Bb%2Fc%3F/tasks/t/plugin/sentinelhub"),
    ],
)
def test_the_link_to_a_task(show: Show, members: dict[str, Any], link: str) -> None:
    played = show(answer(row(**members)))
    found = played.page.locator("tbody a")
    assert found.get_attribute("href") == link
    assert found.get_attribute("target") == "_top", "not into the frame that the page is in"


def test_a_job_of_an_earlier_try_has_no_link(play: Play) -> None:
    played = opened(play(), row(earlier=True, run_id=None, task_id=None))
    assert played.page.locator("tbody a").count() == 0
    assert "of an earlier try that was cleared, or of a deleted run" in played.text("tbody")


@pytest.mark.parametrize(
    ("text", "left"),
    [("", 3), ("COPPER", 1), (" iron ", 1), ("task_2", 1), ("run_3", 1), ("5f2a", 3), ("nothing", 0)],
)
def test_jobs_are_found_by_dag_task_run_and_request(play: Play, text: str, left: int) -> None:
    names = enumerate(("Copper", "iron", "tin"), 1)
    played = opened(play(), *(row(dag_id=name, task_id=f"task_{at}", run_id=f"run_{at}") for at, name in names))
    played.page.fill("input[type=search]", text)
    assert played.page.locator("tbody tr").count() == left
    assert played.numbers()["Running"] == ["3"], "the numbers are those of all"
    played.facts["jobs"].append(row(dag_id="zzz", task_id="zzz", run_id="zzz", request_id="zzz"))
    played.again()
    assert played.page.locator("tbody tr").count() == left + (not text)
    assert played.numbers()["Running"] == ["4"]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ([], []),
        ([account()], ["Costs by the account's list of requests (connection c), cleared tries included, as of 28 May"]),
        ([account(read_at=None, reading=True)], ["(connection c) is being read.", "Until it is read, costs are those"]),
        ([account(read_at=None, error=EVIL)], [f"(connection c) cannot be read: {EVIL}", "Until it is read, costs"]),
        ([account(error="No.")], ["Costs by the account's list", "cannot be read: No."]),
        ([account(reading=True)], ["Costs by the account's list"]),
        ([account(unread=["Batch v1 is away."])], ["Costs by the account's list", "Batch v1 is away."]),
    ],
)
def test_it_is_said_where_the_costs_come_from(show: Show, given: list[Any], lines: list[str]) -> None:
    played = show(answer(row(), accounts=given))
    said = played.page.locator(".costs ~ p").all_inner_texts()
    assert len(said) == len(lines)
    assert all(line in text for line, text in zip(lines, said, strict=True))


def test_the_costs_of_the_month(play: Play) -> None:
    played = opened(play(), row(), costs={EVIL: 300.0, "b": 75.5})
    assert played.numbers()["Cost in 2026-05"] == ["376 PU"]
    assert played.page.locator(".costs dt").all_inner_texts() == [EVIL, "b"]
    assert played.page.locator(".costs dd").all_inner_texts() == ["300 PU", "75.5 PU"]
    values = [float(bar.get_attribute("value")) for bar in played.page.locator(".costs progress").all()]
    assert values == [1.0, pytest.approx(75.5 / 300)]


@pytest.mark.parametrize(
    ("rows", "more", "note"),
    [
        ([], False, "No task of a DAG that you may read has had a Sentinel Hub job."),
        ([row()], True, "These are the newest jobs; older ones are not listed."),
        ([row()], False, ""),
    ],
)
def test_the_note_below_the_jobs(show: Show, rows: list[Any], more: bool, note: str) -> None:
    played = show(answer(*rows, more=more, costs={}))
    assert played.text("main > p.sub") == note
    assert not played.page.locator(".card:has(.costs)").is_visible()


def test_the_page_asks_again_and_says_since_when_nothing_comes(play: Play) -> None:
    played = opened(play(), row())
    assert played.again() == [15_000]
    good, played.facts = played.facts, None
    played.again()
    assert "Airflow does not answer. Jobs go on without this page, and those that were started bill." in played.text()
    assert played.page.locator("tbody tr").count() == 1
    assert played.again() == [10_000]
    played.facts = good
    played.again()
    assert not played.page.locator(".note").is_visible()
    played.facts = 403
    played.again()
    assert played.text() == "You may not see this: it is for those who may read the DAG's XComs."
    played.facts = good
    played.again()
    assert played.page.locator("tbody tr").count() == 1
