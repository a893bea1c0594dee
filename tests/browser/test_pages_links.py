"""The extra links of a task as Airflow shows them: where they lead, and that the page behind the job's is there."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.links import DOCS, SentinelHubDocsLink, SentinelHubRequestLink, SentinelHubResultsLink
from tests.browser.conftest import ENDED, Look, Stage


def address(stage: Stage, page: Any, name: str) -> str:
    """Where the link of this name leads, in full."""
    link = page.get_by_role("link", name=name)
    link.wait_for(timeout=60_000)
    found = str(link.get_attribute("href"))
    return found if "://" in found else f"{stage.url}{found}"


@pytest.mark.parametrize(("task_id", "map_index"), [("v2_done", -1), ("mapped", 0), ("mapped", 1), ("v2_failed", -1)])
def test_the_links_of_a_task_lead_to_its_own_job(stage: Stage, look: Look, task_id: str, map_index: int) -> None:
    stage.wait(task_id, *ENDED, map_index=map_index)
    tab = stage.tab(task_id, map_index)
    page = look(tab.removesuffix("/plugin/sentinelhub") + "/details")  # the tab in which Airflow shows them
    assert address(stage, page, SentinelHubRequestLink.name) == tab
    assert address(stage, page, SentinelHubDocsLink.name) == DOCS["v2"]
    # The simulator's buckets are at no cloud with a console.
    assert page.get_by_role("link", name=SentinelHubResultsLink.name).count() == 0
    page.get_by_role("link", name=SentinelHubRequestLink.name).click()
    page.wait_for_url(tab)
    frame = page.frame_locator("iframe")
    frame.locator("body[data-ready=true]").wait_for(timeout=60_000)
    request_id = stage.cluster.xcom("pages", stage.run_id, task_id, map_index, "request_id")
    assert request_id in frame.locator("main").inner_text()
