"""What wakes a deferred task: only an event of this version about this request; all else says what becomes of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from airflow_sentinelhub._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_sentinelhub.exceptions import DeadlineError, SentinelHubError
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

REQUEST = str(uuid4())


def tasks() -> list[Any]:
    return [
        SentinelHubStartBatchOperator(task_id="t", request_id=REQUEST, wait_for_completion=True, deferrable=True),
        SentinelHubBatchSensor(task_id="t", request_id=REQUEST, deferrable=True),
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (None, "cannot be read"),
        ({}, "cannot be read"),
        ("done", "cannot be read"),
        ({"version": 99, "outcome": "reached", "request_id": REQUEST}, "cannot be read"),
        ({"version": 1, "outcome": "reached", "request_id": str(uuid4())}, "about"),
        ({"version": 1, "outcome": "error", "message": "It broke.", "request_id": REQUEST}, "It broke."),
    ],
)
def test_events_that_are_none(bench: Any, event: Any, said: str) -> None:
    for task in tasks():
        with pytest.raises(SentinelHubError, match=said):
            task.resume_execution("execute_complete", {"event": event}, bench.context())
    assert bench.sim.journal() == []


def test_a_wait_that_airflow_breaks_off(bench: Any) -> None:
    for error, kinds in (
        ("Trigger timeout", (DeadlineError, AirflowSensorTimeout)),
        ("Trigger failure", (SentinelHubError, SentinelHubError)),
    ):
        for task, kind in zip(tasks(), kinds, strict=True):
            with pytest.raises(kind, match=f"{REQUEST}.*runs on and bills"):
                task.resume_execution("__fail__", {"error": error}, bench.context())
    soft = SentinelHubBatchSensor(task_id="t", request_id=REQUEST, deferrable=True, soft_fail=True)
    with pytest.raises(AirflowSkipException, match="runs on and bills"):
        soft.resume_execution("__fail__", {"error": "Trigger timeout"}, bench.context())
