"""The steps of a job as a group, with a person who agrees to the cost in between, on a real Airflow."""

from __future__ import annotations

import pytest

from dev.airflow_door import Rest
from dev.cluster import VERSION, Cluster
from dev.simulator import Simulator

pytestmark = pytest.mark.skipif(VERSION < (3, 1), reason="Airflow 3.1 and later have a human-in-the-loop step")
DAG = "sentinelhub_batch_group_approved"
STEPS = ("create", "analyse", "budget", "approve", "start", "finish")


def states(cluster: Cluster, run_id: str) -> dict[str, str | None]:
    found = cluster.task_instances(DAG, run_id)
    return {one.task_id.removeprefix("ndvi."): one.state for one in found}


def is_asking(cluster: Cluster, run_id: str) -> bool:
    """The step waits for its person, and the scheduler knows that the process which asked has ended.

    Nobody answers sooner than that, but a test does: then Airflow takes the end of that process for the end of the
    step that it has just queued again, and marks it failed (the race for which our triggers poll late).
    """
    if states(cluster, run_id).get("approve") not in ("deferred", "awaiting_input"):
        return False
    said = cluster.processes["scheduler"].output().splitlines()
    words = ("Received executor event with state success", "task_id='ndvi.approve'", f"run_id='{run_id}'")
    return any(all(word in line for word in words) for line in said)


@pytest.mark.parametrize("answer", ["Approve", "Reject"])
def test_nothing_is_billed_before_a_person_agrees(cluster: Cluster, simulator: Simulator, answer: str) -> None:
    simulator.control("POST", "clock", {"speed": 60})
    run_id = cluster.trigger(DAG)
    door = cluster.door
    assert isinstance(door, Rest)
    asked = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/ndvi.approve/-1/hitlDetails"
    request_id, answered = "", False
    for _ in cluster.watch(DAG, run_id, timeout=400):
        if not answered and is_asking(cluster, run_id):
            request_id = cluster.xcom(DAG, run_id, "ndvi.create", key="request_id")
            (request,) = [found for found in simulator.requests() if found["id"] == request_id]
            assert (request["status"], request["billed_starts"]) == ("ANALYSIS_DONE", 0)
            shown = door.call("GET", asked)
            assert request_id in shown["subject"]
            door.call("PATCH", asked, {"chosen_options": [answer]})
            answered = True

    (request,) = [found for found in simulator.requests() if found["id"] == request_id]
    if answer == "Approve":
        assert states(cluster, run_id) == dict.fromkeys(STEPS, "success"), cluster.report(DAG, run_id)
        assert (request["status"], request["billed_starts"]) == ("DONE", 1)
        assert cluster.xcom(DAG, run_id, "ndvi.finish")["request_id"] == request_id
    else:
        assert [states(cluster, run_id)[step] for step in ("start", "finish")] == ["skipped", "skipped"]
        assert request["billed_starts"] == 0
