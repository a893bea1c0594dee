"""The cluster that all other end-to-end tests stand on."""

from __future__ import annotations

import pytest

from dev.cluster import Cluster, TaskInstance


def test_deferred_tasks_alone_and_mapped(cluster: Cluster) -> None:
    """A worker is given up and taken again, once alone and three times at once."""
    seen: list[TaskInstance] = []
    run_id = cluster.trigger("deferring", {"word": "hello"})

    state = cluster.wait("deferring", run_id, timeout=240, on_change=seen.append)

    assert state == "success", cluster.report("deferring", run_id, processes=True)
    found = cluster.task_instances("deferring", run_id)
    assert [(one.name, one.state, one.try_number) for one in found] == [
        ("first", "success", 1),
        ("join", "success", 1),
        ("many[0]", "success", 1),
        ("many[1]", "success", 1),
        ("many[2]", "success", 1),
    ]
    assert {one.name for one in seen if one.state == "deferred"} == {"first", "many[0]", "many[1]", "many[2]"}
    assert cluster.xcom("deferring", run_id, "first") == "hello"
    assert cluster.xcom("deferring", run_id, "many", map_index=1) == "b"
    assert cluster.xcom("deferring", run_id, "join") == "a b c"
    assert cluster.xcom("deferring", run_id, "join", key="no such key") is None
    assert "deferring with hello" in "\n".join(cluster.task_log("deferring", run_id, "first"))


@pytest.mark.slow  # tests/chaos kills one too
def test_a_triggerer_that_is_killed_and_started_again(cluster: Cluster) -> None:
    """The kill leaves nothing but the triggerer dead; the new one takes the triggers over."""
    others = {name: process.pid for name, process in cluster.processes.items() if name != "triggerer"}
    cluster.kill("triggerer")
    cluster.check()
    run_id = cluster.trigger("deferring", {"word": "again"})

    for _ in cluster.watch("deferring", run_id, timeout=240):
        first = cluster.task_instance("deferring", run_id, "first")
        if "triggerer" in cluster.down and first and first.state == "deferred":
            cluster.start("triggerer")

    assert cluster.dag_run_state("deferring", run_id) == "success", cluster.report("deferring", run_id, processes=True)
    assert {name: process.pid for name, process in cluster.processes.items() if name != "triggerer"} == others
