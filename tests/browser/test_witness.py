"""The pages before axe-core, which finds what stops a keyboard or a screen reader; `make ui` installs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ENDED, Look, Stage
from tests.browser.test_pages import READY

AXE = Path(__file__).resolve().parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: make ui")


def found(page: Any) -> list[str]:
    """What is wrong with a page by WCAG 2.2 AA and by axe's best practices."""
    page.evaluate(AXE.read_text())
    wrong = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)")
    return [f"{one['id']}: {one['help']}: {[node['html'][:150] for node in one['nodes'][:3]]}" for one in wrong]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("task_id", ["v2_failed", "statistics", "no_job"])
def test_the_page_of_a_job(stage: Stage, look: Look, task_id: str, scheme: str) -> None:
    stage.wait(task_id, *ENDED)
    page = look(stage.job(task_id), scheme=scheme)
    if task_id == "no_job":
        page.locator(".notice", has_text="no Sentinel Hub job").wait_for()
    else:
        page.wait_for_selector(READY)
        page.click(".failed li button >> nth=0")
        page.wait_for_selector(".detail:not([hidden])")
        page.click("summary")
    assert found(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_all_jobs(stage: Stage, look: Look, scheme: str) -> None:
    stage.wait("v2_failed", *ENDED)
    page = look(f"{stage.url}/sentinelhub/jobs", scheme=scheme)
    page.wait_for_selector(READY)
    page.locator(".costs ~ p").first.wait_for(timeout=60_000)
    assert found(page) == []
