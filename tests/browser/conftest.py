"""A real Airflow with jobs in several states, and a real browser that looks at their pages."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub._compat import HAS_PAGES
from dev.cluster import Cluster
from dev.processes import wait_for
from dev.simulator import Simulator
from tests.chromium import browser as browser
from tests.chromium import keep, mark
from tests.statistical.fields import parcels, put_fields

HERE = Path(__file__).resolve().parent
ENDED = ("success", "failed", "upstream_failed")
PLUGIN = "airflow_sentinelhub.web.plugin:SentinelHubPlugin"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, HERE, "" if HAS_PAGES else "this Airflow shows no pages of plugins on a task instance")


@dataclass
class Stage:
    """An Airflow whose run `run_id` of the DAG `pages` has jobs."""

    cluster: Cluster
    simulator: Simulator
    run_id: str

    @property
    def url(self) -> str:
        return str(self.cluster.door.url)  # type: ignore[attr-defined]

    def job(self, task_id: str, map_index: int | str = -1) -> str:
        return f"{self.url}/sentinelhub/job/pages/{self.run_id}/{task_id}/{map_index}"

    def tab(self, task_id: str, map_index: int = -1, *, dag_id: str = "pages", run_id: str = "") -> str:
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return f"{self.url}/dags/{dag_id}/runs/{run_id or self.run_id}/tasks/{task_id}{mapped}/plugin/sentinelhub"

    def wait(self, task_id: str, *states: str, map_index: int = -1) -> None:
        def there() -> bool:
            found = self.cluster.task_instance("pages", self.run_id, task_id, map_index)
            return found is not None and found.state in states

        assert wait_for(there, timeout=240), self.cluster.report("pages", self.run_id)

    def wait_for_all(self) -> None:
        def there() -> bool:
            tasks = self.cluster.task_instances("pages", self.run_id)
            return all(task.state in ENDED for task in tasks)

        assert wait_for(there, timeout=400, every=1), self.cluster.report("pages", self.run_id)


def order_failures(simulator: Simulator) -> None:
    """Of each job some tiles fail, and of each statistical one a field."""
    one_field = {"kind": "fail_tiles", "names": ["field-03"], "path": r"statistic.*/start$", "times": None}
    simulator.control("POST", "faults", one_field)
    simulator.control("POST", "faults", {"kind": "fail_tiles", "share": 0.1, "times": None})


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    path = [str(HERE.parents[1])]
    plugins = {entry.value for entry in importlib.metadata.entry_points(group="airflow.plugins")}
    if PLUGIN not in plugins:  # an environment that was made before the plugin was: as if it were installed anew
        info = tmp_path_factory.mktemp("site") / "airflow_sentinelhub_pages-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: airflow-sentinelhub-pages\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[airflow.plugins]\nsentinelhub = {PLUGIN}\n")
        path.append(str(info.parent))
    with Simulator(speed=30) as simulator:
        order_failures(simulator)
        put_fields(Path(simulator.ready["bucket_dir"]), parcels(12), url="s3://my-bucket/fields.gpkg")
        environment = {**simulator.connections("v2"), "PYTHONPATH": os.pathsep.join(path)}
        settings = {"core.parallelism": 4}
        with Cluster(HERE / "dags", env=environment, settings=settings) as cluster:
            yield Stage(cluster, simulator, cluster.trigger("pages"))


Look = Callable[..., Any]


@pytest.fixture
def look(browser: Any, stage: Stage) -> Iterator[Look]:
    """Opens an address as a user who is logged in; errors of the page and calls to other hosts fail the test.

    `failing`: replies that are no success are part of the test.
    """
    contexts, wrong = [], list[str]()

    def opened(url: str, *, scheme: str = "light", width: int = 1280, failing: bool = False) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"{url}: {error}"))
        page.on("console", lambda said: wrong.append(said.text) if _is_error(said, failing) else None)
        page.on("request", lambda asked: None if _own(asked.url, stage.url) else wrong.append(asked.url))
        page.on("dialog", lambda dialog: wrong.append(f"a script ran: {dialog.message}"))
        page.request.get(f"{stage.url}/auth/token/login")
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def _is_error(said: Any, failing: bool) -> bool:
    return said.type == "error" and not (failing and said.text.startswith("Failed to load resource"))


def _own(url: str, airflow: str) -> bool:
    return url.startswith((f"{airflow}/", "data:", "blob:", "file:", "about:"))


@pytest.fixture
def shot() -> Callable[..., None]:
    """Keeps a screenshot, if `SENTINELHUB_SCREENSHOTS` names a folder."""

    return keep
