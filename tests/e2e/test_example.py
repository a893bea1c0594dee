"""The example DAG on a real Airflow: both generations, waiting in the triggerer and on the worker."""

from __future__ import annotations

from typing import Any

import pytest

from dev.cluster import Cluster
from dev.simulator import Simulator


def tasks_of(cluster: Cluster, dag_id: str, run_id: str) -> dict[str, str | None]:
    return {found.name: found.state for found in cluster.task_instances(dag_id, run_id)}


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "plain"])
@pytest.mark.parametrize("batch_api", ["v1", "v2"])
def test_from_create_to_delivered_tiles(
    cluster: Cluster, simulator: Simulator, batch_api: str, deferrable: bool
) -> None:
    dag_id = f"sentinelhub_ndvi_corsica_{batch_api}_{'deferrable' if deferrable else 'plain'}"
    simulator.control("POST", "clock", {"speed": 60})
    run_id = cluster.trigger(dag_id)
    deferred: set[str] = set()
    for changed in cluster.watch(dag_id, run_id, timeout=600):
        for found in changed:
            # The job stands still until the first task waits for it, so that a slow machine finds it at work too.
            if (found.name, found.state) == ("analyse", "success"):
                simulator.control("POST", "clock", {"speed": 0})
            if (found.name, found.state) == ("half_of_the_tiles", "deferred" if deferrable else "running"):
                simulator.control("POST", "clock", {"speed": 60})
            if found.state == "deferred":
                deferred.add(found.name)

    assert set(tasks_of(cluster, dag_id, run_id).values()) == {"success"}, cluster.report(dag_id, run_id)
    assert ("half_of_the_tiles" in deferred) == deferrable

    request_id = cluster.xcom(dag_id, run_id, "create", key="request_id")
    (request,) = [found for found in simulator.requests() if found["id"] == request_id]
    assert (request["generation"], request["status"], request["billed_starts"]) == (batch_api, "DONE", 1)
    chunks: list[list[dict[str, Any]]] = cluster.xcom(dag_id, run_id, "tiles")
    assert sum(len(chunk) for chunk in chunks) == request["tiles"] > 100
    assert {tile["status"] for chunk in chunks for tile in chunk} == {"PROCESSED"}
    published = [cluster.xcom(dag_id, run_id, "publish", map_index=n) for n in range(len(chunks))]
    assert published == [len(chunk) for chunk in chunks]


def test_no_secret_in_any_log(cluster: Cluster, simulator: Simulator) -> None:
    """After all the runs above: the client secret is in no log of any task or process."""
    secret = str(simulator.ready["client_secret"])
    files = [file for file in cluster.home.glob("**/*.log*") if file.is_file()]
    assert files
    assert [str(file) for file in files if secret in file.read_text(errors="replace")] == []
