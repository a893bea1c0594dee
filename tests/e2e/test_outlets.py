"""Outlets and links of jobs on a real Airflow: events start other DAGs, which read what the job has done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.links import DOCS
from dev.airflow_door import Rest
from dev.cluster import VERSION, Cluster
from dev.processes import wait_for
from dev.simulator import Simulator

HIDES_ALIASES = (3, 0) <= VERSION < (3, 1)
"""A run that an alias has started is not shown its events there."""


def test_a_job_starts_the_dags_that_wait_for_its_asset_and_its_alias(cluster: Cluster, simulator: Simulator) -> None:
    simulator.control("POST", "clock", {"speed": 60})
    run_id = cluster.trigger("outlets")
    assert cluster.wait("outlets", run_id, timeout=600) == "success", cluster.report("outlets", run_id, processes=True)
    request_id = cluster.xcom("outlets", run_id, "job", key="request_id")
    (request,) = [found for found in simulator.requests() if found["id"] == request_id]
    assert request["billed_starts"] == 1
    folder = f"s3://maps/outlets/{request_id}"

    for dag_id in ("started_by_asset", "started_by_alias"):
        events = events_of(cluster, dag_id)
        if HIDES_ALIASES and dag_id == "started_by_alias":
            assert events == [], "docs/assets.md can tell now that they are there"
            continue
        (extra,) = events
        assert (extra["request_id"], extra["status"], extra["failed"]) == (request_id, "DONE", 0), dag_id
        assert extra["processed"] == request["tiles"]
        assert extra["processing_units"] == pytest.approx(request["cost"])
        assert extra["paths"] == [folder]


def events_of(cluster: Cluster, dag_id: str) -> list[dict[str, Any]]:
    """What a task has read of the events that have started the one run of its DAG; the same event counts once."""
    eyes = cluster.database()
    assert wait_for(lambda: (cluster.check(), eyes.run_ids(dag_id))[1], timeout=240, every=0.5), cluster.tails()
    (run_id,) = eyes.run_ids(dag_id)
    assert cluster.wait(dag_id, run_id) == "success", cluster.report(dag_id, run_id, processes=True)
    found = cluster.xcom(dag_id, run_id, "read")
    return [event for number, event in enumerate(found) if event not in found[:number]]


@pytest.mark.slow
def test_each_mapped_job_has_its_own_links_and_one_event(
    cluster: Cluster, simulator: Simulator, e2e_dags: Path
) -> None:
    """Over a retry behind a job that is done, an edit of the DAG, and a clear, which orders new jobs."""
    simulator.control("POST", "clock", {"speed": 60})
    dag_id, eyes = "mapped_outlets", cluster.database()
    run_id = cluster.trigger(dag_id)
    first = ended_parts(cluster, run_id)
    tries = [found.try_number for found in cluster.task_instances(dag_id, run_id)]
    assert tries[0] > tries[1]

    file, versions = e2e_dags / "outlets.py", eyes.dag_hashes(dag_id)
    edited = file.read_text().replace('BATCH_API = "v2"', 'BATCH_API = "v1"')
    assert edited != file.read_text()
    file.write_text(edited)
    assert wait_for(lambda: (cluster.check(), eyes.dag_hashes(dag_id) != versions)[1], timeout=240, every=0.5)
    check_parts(cluster, simulator, run_id, "v2", [first])  # what is shown is the job that ran

    cluster.clear(dag_id, run_id, "parts")
    second = ended_parts(cluster, run_id)
    assert not set(first) & set(second)
    check_parts(cluster, simulator, run_id, "v1", [first, second])


def ended_parts(cluster: Cluster, run_id: str) -> list[str]:
    """The ids of the requests of a run that has ended well, by the index of its parts."""
    dag_id = "mapped_outlets"
    state = cluster.wait(dag_id, run_id, timeout=600)
    assert state == "success", cluster.report(dag_id, run_id, processes=True)
    return [cluster.xcom(dag_id, run_id, "parts", index, "request_id") for index in (0, 1)]


def check_parts(cluster: Cluster, simulator: Simulator, run_id: str, batch_api: str, orders: list[list[str]]) -> None:
    """Each order has been paid once and told once by the task of its index; the links lead to the last ones.

    :param orders: the request of each index, the oldest order first.
    """
    dag_id, events = "mapped_outlets", cluster.database().asset_events("mapped_outlets", run_id)
    told = [(event["source_map_index"], event["extra"]["request_id"]) for event in events]
    assert sorted(told) == sorted((index, order[index]) for order in orders for index in (0, 1))
    paid = {found["id"]: found for found in simulator.requests()}
    for event in events:
        request, extra = paid[event["extra"]["request_id"]], event["extra"]
        assert (request["billed_starts"], request["generation"]) == (1, extra["batch_api"])
        assert (extra["status"], extra["failed"], extra["processed"]) == ("DONE", 0, request["tiles"])
        assert [path.rpartition("/")[2] for path in extra["paths"]] == [request["id"]]
    for index, request_id in enumerate(orders[-1]):
        links = cluster.door.links(dag_id, run_id, "parts", index)
        assert links["Sentinel Hub docs"] == DOCS[batch_api]
        assert links["Results in the bucket"] is None  # the simulator's are no buckets of AWS
        if VERSION < (3, 1):
            assert links["Sentinel Hub job"] is None
            continue
        assert isinstance(cluster.door, Rest)
        tab = f"/dags/{dag_id}/runs/{run_id}/tasks/parts/mapped/{index}/plugin/sentinelhub"
        assert links["Sentinel Hub job"] == cluster.door.url + tab
        page = cluster.door.call("GET", f"/sentinelhub/job/{dag_id}/{run_id}/parts/{index}/facts")
        assert request_id in str(page)
        assert orders[-1][1 - index] not in str(page)
