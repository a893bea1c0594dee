"""Watchers in a real triggerer: a request that ends starts DAGs, once, also over restarts of the triggerer."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from dev.airflow_door import Rest
from dev.cluster import VERSION, Cluster
from dev.processes import wait_for
from dev.simulator import Simulator
from tests.e2e.conftest import WATCHING

# They restart processes for minutes: `make test-chaos` runs them.
pytestmark = [pytest.mark.chaos, pytest.mark.skipif(VERSION < (3, 0), reason="watchers need Airflow 3.0")]

JOB = """
from airflow_sentinelhub import BatchSpecification, SentinelHubHook, process_request, tiling_grid
job = BatchSpecification(
    process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), area=[8.9, 41.9, 9.0, 42.0], evalscript=(
        "//VERSION=3\\nfunction setup() {{ return {{input: ['B04'], output: {{bands: 1}}}}; }}\\n"
        "function evaluatePixel(s) {{ return [s.B04]; }}")),
    tiling_grid=tiling_grid(1, 10), output="s3://watched/maps", description={name!r})
hook = SentinelHubHook()
ended = hook.run_job(job, name={name!r}, aws_conn_id="sentinelhub_bucket", poll_interval=2)
print("ENDED", ended["request_id"])
"""


def done(cluster: Cluster, name: str) -> str:
    """The id of a request that somebody has run to its end."""
    said = cluster.python(JOB.format(name=name), timeout=300)
    return next(line.split()[1] for line in said.splitlines() if line.startswith("ENDED"))


def told(cluster: Cluster, dag_id: str) -> list[dict[str, Any]]:
    """What the runs of a DAG that have ended were told, of each event one."""
    assert isinstance(cluster.door, Rest)
    runs = cluster.door.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=id", accept=(404,)).get("dag_runs", [])
    found: list[dict[str, Any]] = []
    for run in runs:
        found += cluster.xcom(dag_id, run["dag_run_id"], "told") or []
    return found


def said(cluster: Cluster, dag_id: str) -> str:
    """What helps to see why a DAG was not told."""
    assert isinstance(cluster.door, Rest)
    runs = cluster.door.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=id", accept=(404,)).get("dag_runs", [])
    reports = [cluster.report(dag_id, run["dag_run_id"]) for run in runs]
    return "\n".join([str(runs), *reports, *(cluster.processes[name].tail(15) for name in ("scheduler", "triggerer"))])


def ids(cluster: Cluster, dag_id: str) -> list[str]:
    return [event["request_id"] for event in told(cluster, dag_id)]


def begun(cluster: Cluster, word: str) -> bool:
    """Whether both watchers have looked since the triggerer was started."""
    cluster.check()
    return cluster.processes["triggerer"].output().count(f"{word}; ") >= 2


def test_a_request_that_ends_starts_its_dags_once(cluster: Cluster, simulator: Simulator) -> None:
    simulator.control("POST", "clock", {"speed": 600})
    before = done(cluster, "before any watcher")
    assert wait_for(lambda: begun(cluster, "begins"), timeout=300), cluster.tails()

    first = done(cluster, "maps of Corsica")
    assert wait_for(lambda: ids(cluster, "watching_some"), timeout=120), said(cluster, "watching_some")
    (event,) = told(cluster, "watching_some")
    assert {name: event[name] for name in ("request_id", "status", "batch_api", "description", "repeated")} == {
        "request_id": first,
        "status": "DONE",
        "batch_api": "v2",
        "description": "maps of Corsica",
        "repeated": False,
    }
    assert event["cost_pu"] > 0
    assert before not in ids(cluster, "watching_all") or VERSION < (3, 0)

    # Killed, and ended as by a deployment: what ends meanwhile is told afterwards, and nothing twice.
    known = [first]
    for number, stop in enumerate((cluster.kill, cluster.end)):
        stop("triggerer")
        known.append(done(cluster, f"maps of Sardinia {number}"))
        cluster.start("triggerer")
        assert wait_for(lambda: begun(cluster, "goes on"), timeout=300), cluster.tails()
        assert wait_for(lambda: known[-1] in ids(cluster, "watching_some"), timeout=120), said(cluster, "watching_some")
    other = done(cluster, "something else")
    assert wait_for(lambda: other in ids(cluster, "watching_all"), timeout=120), cluster.tails()
    time.sleep(8)  # some looks more, at which nothing may come
    assert ids(cluster, "watching_some") == known
    assert [name for name in ids(cluster, "watching_all") if name in (*known, other, before)] == [*known, other]


def test_the_examples_are_started(cluster: Cluster, simulator: Simulator) -> None:
    """The watcher of the first begins when its DAG is unpaused; the other one's too, and a month brings images."""
    door = cluster.door
    assert isinstance(door, Rest)

    def unpaused(name: str) -> bool:
        """Unpause the DAG as soon as Airflow knows it."""
        said = door.call("PATCH", f"/api/v2/dags/{name}", {"is_paused": False}, accept=(404,))
        return said.get("status") != 404

    for name in WATCHING:
        assert wait_for(partial(unpaused, name), timeout=240), cluster.tails()

    def all_have_looked() -> bool:
        output = cluster.processes["triggerer"].output()
        return output.count(" begins; ") + output.count(" goes on; ") >= 2 + len(WATCHING)

    assert wait_for(all_have_looked, timeout=240), cluster.tails()
    request_id = done(cluster, "for the example")

    def ended(dag_id: str, task_id: str) -> list[Any]:
        runs = door.call("GET", f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]
        return [one for run in runs for one in cluster.xcom(dag_id, run["dag_run_id"], task_id) or []]

    assert wait_for(lambda: ended(WATCHING[0], "ended"), timeout=120), said(cluster, WATCHING[0])
    assert ended(WATCHING[0], "ended") == [request_id]


def test_watchers_share_one_list(cluster: Cluster, simulator: Simulator) -> None:
    """Two watchers that look at the same make one call an interval, not two."""
    if not begun(cluster, "goes on"):
        assert wait_for(lambda: begun(cluster, "begins"), timeout=300), cluster.tails()
    began = simulator.control("GET", "journal")["calls"][-1]["n"]
    time.sleep(20)
    calls = simulator.control("GET", f"journal?since={began}")["calls"]
    lists = [call for call in calls if call["method"] == "GET" and call["path"].endswith("/process")]
    assert 3 <= len(lists) <= 12  # an interval of two seconds, on a machine that may be slow
