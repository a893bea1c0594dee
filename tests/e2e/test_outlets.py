"""Outlets of a job on a real Airflow: their events start other DAGs, which read what the job has done."""

from __future__ import annotations

from typing import Any

import pytest

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
