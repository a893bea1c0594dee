"""What waits in a worker counts by one clock: its deadline is made by the time that its polls are judged by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub.operators.analysis import SentinelHubAnalyseBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

REQUEST = "0" * 8 + "-0000-4000-8000-" + "0" * 12


@pytest.mark.parametrize("by", [7200.0, -7200.0])
@pytest.mark.parametrize("kind", ["operator", "sensor"])
def test_a_deadline_is_that_far_away_by_the_clock_of_the_flows(
    kind: str, by: float, clock: Any, sim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", sim.airflow_connection_uri)
    task: Any
    if kind == "operator":
        task = SentinelHubAnalyseBatchOperator(task_id="a", request_id=REQUEST, timeout=3600, deferrable=False)
    else:
        task = SentinelHubBatchSensor(task_id="a", request_id=REQUEST, timeout=3600, mode="poke", deferrable=False)
    driver = task.hook.driver
    driver._clock._began += by  # as if the wall clock had been set since this task has made its first call
    context: Any = {"ti": SimpleNamespace(start_date=clock.utcnow(), try_number=1)}
    plan = task.plan(context) if kind == "operator" else task._plan(context)[0]
    assert plan.deadline == pytest.approx(driver.now() + 3600, abs=5)
