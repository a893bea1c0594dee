"""`max_poll_interval`: from a DAG to the wait, in the worker and in the triggerer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.exceptions import AirflowException

from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from tests.airflow.job import job, v2


def starting(request_id: str, *, every: float = 10, **how: Any) -> Any:
    return lambda: SentinelHubStartBatchOperator(
        task_id="start", request_id=request_id, wait_for_completion=True, poll_interval=every, **how
    )


@v2
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_long_wait_takes_fewer_polls(bench: Any, deferrable: bool) -> None:
    polls = []
    for how in ({}, {"max_poll_interval": "0:10:00"}):
        request_id, before = bench.create(), len(bench.sim.journal())
        assert bench.run(starting(request_id, every=1, deferrable=deferrable, **how))["status"] == "DONE"
        polls.append(sum(call["method"] == "GET" for call in bench.sim.journal()[before:]))
    assert polls[1] < 0.6 * polls[0]


@v2
def test_the_trigger_of_the_whole_job_is_told(bench: Any) -> None:
    bench.run(job(bench, deferrable=True, poll_interval=10, max_poll_interval="PT10M"))
    plans = [json.loads(json.dumps(kwargs))["plan"] for _, kwargs in bench.triggers]
    assert plans[-1]["max_poll_interval"] == 600.0
    assert plans[-1]["poll_interval"] == 10.0


@v2
def test_less_than_the_interval_is_refused(bench: Any) -> None:
    with pytest.raises(AirflowException, match=r"max_poll_interval is 5 s, less than poll_interval, which is 10 s"):
        bench.run(starting(bench.create(), max_poll_interval=5))


@pytest.mark.parametrize("given", [0, -1, "soon", float("nan"), True])
def test_what_is_no_time_is_refused_at_parse(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_poll_interval"):
        starting("5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10", max_poll_interval=given)()
