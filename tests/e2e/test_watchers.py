"""Watchers in a real triggerer: requests that end and images that appear start DAGs, once, over restarts of it."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from dev.airflow_door import Rest
from dev.cluster import VERSION, Cluster
from dev.processes import wait_for
from dev.simulator import Simulator
from tests.e2e.account import Account
from tests.e2e.conftest import SPEED, WATCHING
from tests.told import things_of

pytestmark = [
    pytest.mark.slow,  # minutes
    pytest.mark.skipif(VERSION < (3, 0), reason="watchers need Airflow 3.0"),
]

CORSICA = [8.5, 41.3, 9.6, 43.1]


OURS = tuple(f"watching_{name}" for name in ("all", "some", "twin", "images", "late"))


@pytest.fixture(scope="module")
def account(cluster: Cluster, simulator: Simulator) -> Iterator[Account]:
    """An account in which nobody else does anything. Its time passes by the steps of these tests alone.

    These tests are the first of this Airflow: its watchers have seen nothing yet, and nobody has ended its triggerer.
    """
    simulator.control("POST", "clock", {"speed": 0})
    unpause(cluster, "watching", *OURS)
    account = Account(simulator)
    yield account
    account.api.http.close()
    for dag_id in (*OURS, *WATCHING):
        call(cluster, "PATCH", f"dags/{dag_id}", {"is_paused": True})
    simulator.control("POST", "clock", {"speed": SPEED})


def unpause(cluster: Cluster, name: str, *dag_ids: str) -> None:
    """Unpause the DAGs of a file as soon as Airflow knows them; their watchers begin when it is parsed after that."""

    def unpaused(dag_id: str) -> bool:
        return call(cluster, "PATCH", f"dags/{dag_id}", {"is_paused": False}).get("status") != 404

    for dag_id in dag_ids:
        until(cluster, partial(unpaused, dag_id))
    (cluster.dags / f"{name}.py").touch()


def call(cluster: Cluster, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    assert isinstance(cluster.door, Rest)
    return cluster.door.call(method, f"/api/v2/{path}", body, accept=(404,))


def runs(cluster: Cluster, dag_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(cluster, "GET", f"dags/{dag_id}/dagRuns?order_by=id").get("dag_runs", [])
    return found


def told(cluster: Cluster, dag_id: str) -> list[dict[str, Any]]:
    """What the events have told that have started runs of a DAG, in their order."""
    found: list[dict[str, Any]] = []
    for run in runs(cluster, dag_id):
        path = f"dags/{dag_id}/dagRuns/{urllib.parse.quote(run['dag_run_id'], safe='')}/upstreamAssetEvents"
        events = call(cluster, "GET", path)["asset_events"]
        for event in sorted(events, key=lambda event: event["id"]):
            found += things_of(event["extra"]["payload"])
    return found


def ids(cluster: Cluster, dag_id: str, name: str = "request_id") -> list[str]:
    return [event[name] for event in told(cluster, dag_id)]


def said(cluster: Cluster, word: str) -> int:
    """How many lines of the triggerer, since its start, have this word."""
    cluster.check()
    return cluster.processes["triggerer"].output().count(word)


def until(cluster: Cluster, look: Any, timeout: float = 240) -> None:
    assert wait_for(look, timeout=timeout, every=0.6), "\n".join(
        cluster.processes[name].tail(25) for name in ("scheduler", "triggerer")
    )


def all_written(cluster: Cluster, names: set[str]) -> bool:
    """Whether each of the watchers that mean these has written down that it has told them."""
    lines = [line for line in cluster.processes["triggerer"].output().splitlines() if " has told " in line]
    return all(any(name in line for line in lines) for name in names)


def test_what_happens_starts_its_dags_once(cluster: Cluster, account: Account) -> None:
    """Also what happens while the triggerer is killed, and while it is ended and started anew as by a deployment."""
    before = account.ended("before any watcher")
    until(cluster, lambda: said(cluster, " begins; ") >= 3)  # the twins are one watcher to Airflow

    there = account.images(CORSICA)

    def published() -> set[str]:
        """All since the watchers began, also while a request ran to its end."""
        return account.images(CORSICA) - there

    def images_are_told() -> bool:
        return published() <= set(ids(cluster, "watching_images", "id"))

    maps = [account.ended("maps of Corsica")]
    account.published(CORSICA)
    until(cluster, lambda: told(cluster, "watching_some") and images_are_told())
    (event,) = told(cluster, "watching_some")
    assert {name: event[name] for name in ("request_id", "status", "batch_api", "description", "repeated")} == {
        "request_id": maps[0],
        "status": "DONE",
        "batch_api": "v2",
        "description": "maps of Corsica",
        "repeated": False,
    }
    assert event["cost_pu"] > 0

    last = {maps[0], *published()}
    for number, stop in enumerate((cluster.kill, cluster.end)):
        until(cluster, partial(all_written, cluster, last))
        stop("triggerer")
        before_stop = published()
        maps.append(account.ended(f"maps of Sardinia {number}"))
        account.published(CORSICA)
        cluster.start("triggerer")
        until(cluster, lambda: maps[-1] in ids(cluster, "watching_some"))
        until(cluster, images_are_told)
        assert said(cluster, " begins; ") == 0
        last = {maps[-1], *published() - before_stop}
    # No next event comes that could bring what a run has left out.
    others = account.ended_at_once("something else", "and that", "and that, too")  # a day passes, and images appear
    until(cluster, lambda: set(others) <= set(ids(cluster, "watching_all")))
    until(cluster, images_are_told)

    # A task of the run reads what the run was started for.
    run_id = runs(cluster, "watching_some")[0]["dag_run_id"]
    assert cluster.wait("watching_some", run_id) == "success", cluster.report("watching_some", run_id)
    assert [things_of(payload) for payload in cluster.xcom("watching_some", run_id, "told")] == [[event]]

    assert ids(cluster, "watching_some") == ids(cluster, "watching_twin") == maps
    told_all = ids(cluster, "watching_all")
    assert told_all[: len(maps)] == maps
    assert sorted(told_all[len(maps) :]) == sorted(others)
    assert before not in told_all
    seen = told(cluster, "watching_images")
    assert sorted(one["id"] for one in seen) == sorted(published())
    assert not any(one["repeated"] for dag in ("some", "all", "images") for one in told(cluster, f"watching_{dag}"))


def test_an_event_that_was_on_its_way_at_a_kill_is_not_lost(cluster: Cluster, account: Account) -> None:
    """Whether Airflow had it already nobody knows: it may come twice, and says so then."""
    fired = said(cluster, "Trigger fired event")
    known = set(ids(cluster, "watching_all"))
    name = account.ended("maps of a kill")
    until(cluster, lambda: said(cluster, "Trigger fired event") > fired)
    cluster.kill("triggerer")
    cluster.start("triggerer")
    dags = ("watching_all", "watching_some", "watching_twin")
    # The next event comes once this one has had its run, so that each has a run of its own.
    until(cluster, lambda: said(cluster, " goes on; ") >= 3)
    until(cluster, lambda: all(name in ids(cluster, dag_id) for dag_id in dags))
    after = account.ended("maps of the time after a kill")
    for dag_id in dags:
        until(cluster, lambda dag_id=dag_id: after in ids(cluster, dag_id))
        events = [event for event in told(cluster, dag_id) if event["request_id"] == name]
        assert [event["repeated"] for event in events] in ([False], [True], [False, True]), events
        assert ids(cluster, dag_id)[-1] == after
    assert known <= set(ids(cluster, "watching_all"))


def test_a_connection_that_comes_later_begins_its_watcher(cluster: Cluster, account: Account) -> None:
    """Until then the log of the triggerer says what is missing, once."""
    until(cluster, lambda: said(cluster, "could not look") >= 1)
    assert "sentinelhub_late" in next(
        line for line in cluster.processes["triggerer"].output().splitlines() if "could not look" in line
    )
    begun, account_of = said(cluster, " begins; "), account.simulator
    extra = f'{{"auth_url": "{account_of.ready["auth_url"]}", "batch_api": "v2"}}'
    secrets = {"login": account_of.ready["client_id"], "password": account_of.ready["client_secret"], "extra": extra}
    body = {"connection_id": "sentinelhub_late", "conn_type": "sentinelhub", "host": account_of.url, **secrets}
    call(cluster, "POST", "connections", body)
    until(cluster, lambda: said(cluster, " begins; ") > begun)
    assert said(cluster, "could not look") == 1
    name = account.ended("for the late one")
    until(cluster, lambda: ids(cluster, "watching_late") == [name])


def test_the_examples_are_started(cluster: Cluster, account: Account) -> None:
    """Each begins when its DAG is unpaused; a job ends, and a clear image appears."""
    begun = said(cluster, " begins; ")
    for name in WATCHING:
        unpause(cluster, name, name)
    until(cluster, lambda: said(cluster, " begins; ") >= begun + len(WATCHING))
    name, images = account.ended("for the example"), account.published(CORSICA, 30)
    jobs_dag, images_dag = WATCHING
    until(cluster, lambda: name in ids(cluster, jobs_dag) and images <= set(ids(cluster, images_dag, "id")))
    for dag_id, task_id in ((jobs_dag, "ended"), (images_dag, "days")):
        run_id = runs(cluster, dag_id)[0]["dag_run_id"]
        assert cluster.wait(dag_id, run_id) == "success", cluster.report(dag_id, run_id)
        assert cluster.xcom(dag_id, run_id, task_id)


def test_watchers_share_one_list(cluster: Cluster, simulator: Simulator) -> None:
    """Those that look at the same make one call an interval: five intervals of two seconds pass in six calls."""

    def lists(since: int) -> int:
        calls = simulator.control("GET", f"journal?since={since}")["calls"]
        return sum(call["method"] == "GET" and call["path"].endswith("/process") for call in calls)

    until(cluster, lambda: said(cluster, " begins; ") + said(cluster, " goes on; ") >= 3)
    since, began = simulator.control("GET", "journal")["calls"][-1]["n"], time.monotonic()
    until(cluster, lambda: lists(since) >= 12)
    # Two groups of watchers look at requests with this interval: those of the first connection, and the late one.
    assert time.monotonic() - began > 5 * 2 * 0.8
