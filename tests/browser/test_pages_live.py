"""A page that is open while its job runs: live, and what it says when something is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dev.processes import wait_for
from tests.browser.conftest import ENDED, Look, Stage, order_failures
from tests.browser.test_pages import READY, Shot, text

NOTE = ".note:not([hidden])"


@contextmanager
def out_of_reach(stage: Stage) -> Iterator[None]:
    """Every call to the service is cut off without a reply."""
    stage.wait_for_all()
    stage.simulator.control("POST", "faults", {"kind": "drop_before", "path": ".*", "times": None})
    try:
        yield
    finally:
        stage.simulator.control("DELETE", "faults")
        order_failures(stage.simulator)


def says(page: Any, words: str, timeout: float = 120_000) -> None:
    page.locator(NOTE, has_text=words).first.wait_for(timeout=timeout)


def test_a_run_that_is_deleted_while_its_page_is_open_and_a_dag_that_is_removed(stage: Stage, look: Look) -> None:
    run_id = stage.cluster.trigger("short")
    stage.cluster.wait("short", run_id, timeout=240)
    address = f"{stage.url}/sentinelhub/job/short/{run_id}/job/-1"
    page = look(address)
    page.wait_for_selector(READY)
    page.locator("h1", has_text="done").wait_for()
    stage.cluster.delete_run("short", run_id)
    gone = page.locator(".notice", has_text="not in Airflow's tables (any more)")
    gone.wait_for(timeout=90_000)
    assert page.locator(".map").count() == 0
    stage.cluster.airflow("dags", "delete", "short", "--yes")
    again = look(address)
    again.locator(".notice", has_text="not in Airflow's tables (any more)").wait_for(timeout=60_000)
    jobs = look(f"{stage.url}/sentinelhub/jobs")
    jobs.wait_for_selector(READY)
    assert run_id not in text(jobs)


@pytest.fixture(scope="module")
def running(stage: Stage) -> Iterator[str]:
    """The address of a job that is in work for as long as the tests look: from then on the clock goes as a real one."""
    stage.wait_for_all()
    run_id = stage.cluster.trigger("long")

    def in_work() -> bool:
        kept = stage.cluster.xcom("long", run_id, "job", key="sentinelhub_progress")
        return bool(kept) and kept["job"].get("status") == "PROCESSING"

    assert wait_for(in_work, timeout=240, every=0.5), stage.cluster.report("long", run_id)
    stage.simulator.control("POST", "clock", {"speed": 1})
    yield f"{stage.url}/sentinelhub/job/long/{run_id}/job/-1"
    stage.simulator.control("POST", "clock", {"speed": 30})


def test_a_job_that_runs_is_live(stage: Stage, running: str, look: Look, shot: Shot) -> None:
    page = look(running)
    page.wait_for_selector(READY, timeout=120_000)
    page.locator("h1", has_text="in work").wait_for(timeout=120_000)
    before = text(page)
    page.wait_for_function("t => document.querySelector('.numbers').innerText !== t", arg=page.inner_text(".numbers"))
    assert "by the waiting task" in before or "by this page" in before
    page.wait_for_timeout(1500)
    shot(page, "running")
    page = look(stage.tab("job", dag_id="long", run_id=running.split("/")[-3]))
    page.frame_locator("iframe").locator(READY).wait_for(timeout=60_000)
    page.wait_for_timeout(2500)
    shot(page, "tab-running", full=False)


def test_the_service_goes_away_while_the_page_is_open(stage: Stage, running: str, look: Look) -> None:
    page = look(running)
    page.wait_for_selector(READY, timeout=120_000)
    page.locator("h1", has_text="in work").wait_for(timeout=120_000)
    with out_of_reach(stage):
        says(page, "The request cannot be read since")
        assert "it runs on and bills" in page.inner_text(".notes")
        assert "in work" in page.inner_text("h1"), "what was read before stays"
        assert "of " in page.inner_text(".numbers")
        later = look(running)
        says(later, "The request cannot be read since")
        assert "in work" in later.inner_text("h1")
    page.wait_for_function("() => document.querySelector('.notes').innerText === ''", timeout=180_000)


@pytest.mark.parametrize("task_id", ["v1_unseen", "v2_unseen", "statistics_failed"])
def test_the_service_is_away_before_a_page_is_opened(stage: Stage, look: Look, task_id: str) -> None:
    """A job that no page has read: what the task has noted is there, and when it was."""
    stage.wait(task_id, *ENDED)
    with out_of_reach(stage):
        page = look(stage.job(task_id))
        says(page, "Reading the request for this page failed")
        note, said = page.inner_text(".notes"), text(page)
    assert "What is shown was read on" in note
    assert "by the task" in said
    assert "1 (failed)" in said
    assert page.inner_text("h1") != "not read yet"
    assert "s cannot be read" not in note, "once, not for the tiles again"


@pytest.mark.parametrize("how", ["no answer", "502", "half an answer"])
def test_airflow_itself_does_not_answer(running: str, look: Look, how: str) -> None:
    page = look(running, failing=True)
    page.wait_for_selector(READY, timeout=120_000)
    if how == "no answer":
        page.route("**/facts", lambda route: route.abort())
    else:
        page.route("**/facts", lambda route: route.fulfill(status=502 if how == "502" else 200, body='{"now": 1'))
    says(page, "Nothing new since", 30_000)
    assert {"no answer": "does not answer", "502": "with 502"}.get(how, "broke off") in page.inner_text(".notes")
    read = page.inner_text(".numbers time")
    page.wait_for_function("read => document.querySelector('.numbers time').innerText !== read", arg=read)
    page.unroute("**/facts")
    page.wait_for_function("() => !document.querySelector('.notes').innerText.includes('Nothing new')", timeout=30_000)


@pytest.mark.parametrize(
    ("status", "words"), [(401, "not logged in to Airflow any more"), (403, "You may not see this")]
)
def test_without_the_right_any_more_nothing_of_the_job_stays_on_the_page(
    running: str, look: Look, status: int, words: str
) -> None:
    page = look(running, failing=True)
    page.wait_for_selector(READY, timeout=120_000)
    page.route("**/facts", lambda route: route.fulfill(status=status))
    page.locator(".notice", has_text=words).wait_for(timeout=30_000)
    assert page.locator(".map").count() == 0
    page.unroute("**/facts")
    page.wait_for_selector(READY, timeout=30_000)
    page.locator(".legend label").first.wait_for()


def test_the_page_of_all_jobs_asks_again_after_airflow_did_not_answer(stage: Stage, look: Look) -> None:
    stage.wait("v1_done", *ENDED)
    broken = [True]
    page = look("about:blank", failing=True)
    page.route("**/facts", lambda route: route.fulfill(status=502) if broken[0] else route.continue_())
    page.goto(f"{stage.url}/sentinelhub/jobs")
    page.locator(".notice", has_text="Airflow answered with 502").wait_for()
    broken[0] = False
    page.wait_for_selector(READY, timeout=30_000)
    broken[0] = True
    says(page, "Nothing new since", 30_000)
    assert page.locator("tbody tr").count() > 0, "what was there before stays"


def test_another_request_of_the_same_task_begins_anew(stage: Stage, look: Look) -> None:
    """As after a clear: no tile, note or choice of the try before is left."""
    stage.wait("v2_failed", *ENDED)
    page = look("about:blank")
    changed = [False]

    def facts(route: Any) -> None:
        view = route.fetch().json()
        view["live"] = True
        if changed[0]:
            view["request"].update(id="00000000-0000-4000-8000-000000000000", counts=None, states=[], course=[])
            view["request"]["job"] = {"status": "CREATED"}
            view["request"]["tiles"] = {**view["request"]["tiles"], "number": None, "read_at": None}
        route.fulfill(json=view)

    def tiles(route: Any) -> None:
        assert not changed[0] or "if-none-match" not in route.request.headers
        route.fulfill(body=json.dumps({"area": [], "table": None})) if changed[0] else route.continue_()

    page.route("**/facts", facts)
    page.route("**/tiles", tiles)
    page.goto(stage.job("v2_failed"))
    page.locator(".failed li").first.wait_for()
    page.click(".failed li button >> nth=0")
    changed[0] = True
    page.locator("h1", has_text="created").wait_for(timeout=30_000)
    said = text(page)
    assert "00000000-0000-4000-8000-000000000000" in said
    assert page.locator(".failed li").count() == 0
    assert page.locator(".legend label").count() == 0
    assert page.locator(".detail:not([hidden])").count() == 0
