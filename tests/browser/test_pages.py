"""The pages as a user sees them: by a browser, in Airflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import ENDED, Look, Stage

Shot = Callable[..., None]
READY = "body[data-ready=true]"


def text(page: Any) -> str:
    return str(page.inner_text("main"))


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_job_that_is_done(stage: Stage, look: Look, shot: Shot, api: str, scheme: str) -> None:
    stage.wait(f"{api}_done", *ENDED)
    page = look(stage.job(f"{api}_done"), scheme=scheme)
    page.wait_for_selector(READY)
    page.wait_for_function("() => document.querySelectorAll('.failed li').length > 0")
    said = text(page)
    assert "of 214" in said
    assert "failed tiles" in said
    assert "budget 50,000 PU" in said
    assert "What happened" in said
    assert 'alert("owned")' in said, "the description is shown as the text that it is"
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert "secret" not in said.lower()
    page.wait_for_timeout(600)
    shot(page, f"done-{api}-{scheme}")


def test_a_job_that_failed(stage: Stage, look: Look, shot: Shot) -> None:
    stage.wait("v2_failed", *ENDED)
    page = look(stage.job("v2_failed"))
    page.wait_for_selector(READY)
    page.wait_for_function("() => document.querySelectorAll('.failed li').length > 0")
    assert "1 (failed)" in text(page)
    assert "tiles failed" in page.inner_text("h1"), "done with failed tiles is not simply done"
    name = page.inner_text(".failed li button >> nth=0")
    page.click(".failed li button >> nth=0")
    page.wait_for_selector(".detail:not([hidden])")
    detail = page.inner_text(".detail")
    assert name in detail
    assert "failed" in detail
    with page.expect_download() as download:
        page.click("text=Download GeoJSON")
    assert name in download.value.path().read_text()
    page.wait_for_timeout(600)
    shot(page, "failed")


@pytest.mark.parametrize("map_index", [0, 1])
def test_each_mapped_task_has_its_own_job_in_airflows_tab(stage: Stage, look: Look, shot: Shot, map_index: int) -> None:
    stage.wait("mapped", *ENDED, map_index=map_index)
    page = look(stage.tab("mapped", map_index))
    frame = page.frame_locator("iframe")
    frame.locator(READY).wait_for(timeout=60_000)
    said = frame.locator("main").inner_text()
    request_id = stage.cluster.xcom("pages", stage.run_id, "mapped", map_index, "request_id")
    assert request_id in said
    assert f"mapped [{map_index}]" in said
    page.wait_for_timeout(800)
    shot(page, f"tab-mapped-{map_index}", full=False)


def test_the_tab_of_a_task_that_is_not_mapped(stage: Stage, look: Look, shot: Shot) -> None:
    stage.wait("v1_done", *ENDED)
    page = look(stage.tab("v1_done"), scheme="dark")
    frame = page.frame_locator("iframe")
    frame.locator(READY).wait_for(timeout=60_000)
    assert "of 214" in frame.locator("main").inner_text()
    dark = page.evaluate("document.documentElement.classList.contains('dark')")
    assert frame.locator(":root").get_attribute("data-theme") == ("dark" if dark else "light")
    page.wait_for_timeout(800)
    shot(page, "tab", full=False)


def test_single_steps_and_sensors_have_the_page_too(stage: Stage, look: Look) -> None:
    stage.wait("analysed", *ENDED)
    for task_id in ("create", "analyse", "analysed"):
        page = look(stage.job(task_id))
        page.wait_for_selector(READY)
        page.locator("h1", has_text="analysed").wait_for()


@pytest.mark.parametrize("map_index", [0, 1])
def test_each_step_of_a_mapped_group_shows_the_job_of_its_index(
    stage: Stage, look: Look, shot: Shot, map_index: int
) -> None:
    stage.wait("areas.job.finish", *ENDED, map_index=map_index)
    request_id = stage.cluster.xcom("pages", stage.run_id, "areas.job.create", map_index, "request_id")
    for step in ("create", "analyse", "budget", "start", "finish"):
        page = look(stage.job(f"areas.job.{step}", map_index))
        page.wait_for_selector(READY)
        page.locator("h1", has_text="done").wait_for()
        said = text(page)
        assert request_id in said
        assert f"areas.job.{step} [{map_index}]" in said
        page.wait_for_function("() => document.querySelectorAll('.legend label').length > 0")
    page = look(stage.tab("areas.job.finish", map_index))
    frame = page.frame_locator("iframe")
    frame.locator(READY).wait_for(timeout=60_000)
    assert request_id in frame.locator("main").inner_text()
    page.wait_for_timeout(800)
    shot(page, f"tab-group-{map_index}", full=False)


def test_a_statistical_job_shows_its_features(stage: Stage, look: Look, shot: Shot) -> None:
    stage.wait("statistics", *ENDED)
    page = look(stage.job("statistics"))
    page.wait_for_selector(READY)
    page.wait_for_function("() => document.querySelectorAll('.failed li').length > 0")
    said = text(page)
    assert "11 of 12" in said
    assert "1 feature failed" in page.inner_text("h1")
    assert "1 failed feature" in said
    assert "field-03" in page.inner_text(".failed")
    assert "tile" not in said.lower().replace("tiling", ""), "features are not called tiles"
    page.fill("input[type=search]", "field-05")
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail:not([hidden])")
    assert "Feature field-05" in page.inner_text(".detail h2")
    page.locator(".detail code", has_text="s3://my-bucket/statistics").first.wait_for()
    page.wait_for_timeout(800)
    shot(page, "statistics")


def test_a_task_without_a_job_says_so(stage: Stage, look: Look) -> None:
    stage.wait("no_job", *ENDED)
    look(stage.job("no_job", "{MAP_INDEX}")).get_by_text("no Sentinel Hub job").first.wait_for()


@pytest.mark.parametrize("task_id", ["v1_failed", "v2_done", "statistics", ""])
def test_on_a_phone_nothing_is_cut_off(stage: Stage, look: Look, shot: Shot, task_id: str) -> None:
    stage.wait(task_id or "v1_done", *ENDED)
    page = look(stage.job(task_id) if task_id else f"{stage.url}/sentinelhub/jobs", width=360)
    page.wait_for_selector(READY)
    if task_id:
        page.click(".failed li button >> nth=0")
        page.wait_for_selector(".detail:not([hidden])")
        page.click("summary")
    page.wait_for_timeout(800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = """() => [...document.querySelectorAll('main *')]
      .filter(e => e.getClientRects().length && !e.closest('.wide, .mapframe, pre'))
      .filter(e => e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 90))"""
    assert page.evaluate(cut) == []
    shot(page, f"phone-{task_id or 'jobs'}")


def test_the_keyboard_reaches_the_map_and_each_failed_tile(stage: Stage, look: Look) -> None:
    stage.wait("v2_failed", *ENDED)
    page = look(stage.job("v2_failed"))
    page.wait_for_selector(READY)
    page.wait_for_function("() => document.querySelectorAll('.failed li').length > 0")
    page.focus(".map")
    before = page.evaluate("sentinelhubFrames()")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => sentinelhubFrames() > before", arg=before)
    page.focus(".failed li button >> nth=1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail:not([hidden])")


def test_with_tab_alone_everything_is_reached_and_is_seen_to_be(stage: Stage, look: Look) -> None:
    stage.wait("v2_failed", *ENDED)
    page = look(stage.job("v2_failed"))
    page.wait_for_selector(READY)
    page.wait_for_function("() => document.querySelectorAll('.failed li').length > 0")
    focused = """() => { const e = document.activeElement;
      return [e.getAttribute('aria-label') || e.innerText || e.type, getComputedStyle(e).outlineStyle] }"""
    reached, unseen = set[str](), set[str]()
    for _ in range(page.locator("a, button, input, summary, [tabindex]").count() + 1):
        page.keyboard.press("Tab")
        label, outline = page.evaluate(focused)
        reached.add(label.split(".")[0])
        if outline == "none" and page.evaluate("document.activeElement !== document.body"):
            unseen.add(label)
        if label == "Payload":
            page.keyboard.press("Enter")
            page.wait_for_selector("details[open] pre")
    wanted = {"Copy id", "Find a tile by name", "Whole job", "Map of the tiles", "checkbox", "Copy names"}
    assert wanted | {"Download GeoJSON", "Copy output path", "Open bucket", "Payload"} <= reached
    assert not unseen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_all_jobs(stage: Stage, look: Look, shot: Shot, scheme: str) -> None:
    stage.wait("v1_done", *ENDED)
    stage.wait("mapped", *ENDED, map_index=1)
    page = look(f"{stage.url}/sentinelhub/jobs", scheme=scheme)
    page.wait_for_selector(READY)
    rows = page.locator("tbody tr")
    assert rows.count() >= 6
    page.locator(".costs ~ p", has_text="by the account's list of requests").wait_for(timeout=60_000)
    assert "mapped [1]" in text(page)
    assert page.inner_text(".costs dt") == "pages"
    page.fill("input[type=search]", "mapped")
    assert rows.count() == 2
    shot(page, f"jobs-{scheme}")
    page.click("tbody a >> nth=0")
    page.frame_locator("iframe").locator(READY).wait_for(timeout=60_000)
