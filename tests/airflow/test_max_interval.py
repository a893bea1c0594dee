"""`max_poll_interval`: from a DAG to the wait, in the worker and in the triggerer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.exceptions import AirflowException

from airflow_sentinelhub import BatchSpecification, process_request, tiling_grid
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubStartBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from tests.airflow.job import GENERATIONS, every_other, job, v2


def starting(request_id: str, *, every: float = 10, **how: Any) -> Any:
    return lambda: SentinelHubStartBatchOperator(
        task_id="start", request_id=request_id, wait_for_completion=True, poll_interval=every, **how
    )


@v2
@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.thorough
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
    assert bench.effects().count("billed_start") == 0


@pytest.mark.parametrize("given", [0, -1, "soon", float("nan"), True])
def test_what_is_no_time_is_refused_at_parse(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_poll_interval"):
        starting("5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10", max_poll_interval=given)()


# Sensors, the analysis, and the hook


MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}


def polls_and_end(bench: Any, make: Any) -> tuple[int, float]:
    """How many calls the wait takes, and seconds of the service's time until it has ended."""
    before, began = len(bench.sim.journal()), bench.clock.time()
    bench.run(make)
    calls = [call for call in bench.sim.journal()[before:] if call["method"] == "GET"]
    return len(calls), bench.clock.time() - began


@every_other(kind=["status", "tiles"], mode=MODES, generation=GENERATIONS)
@pytest.mark.thorough
def test_a_sensor_polls_seldom_and_sees_the_end_in_time(bench: Any, kind: str, mode: str) -> None:
    found = []
    for most in (None, 600):
        request_id = bench.create()
        bench.act(request_id, "start")
        how = {**MODES[mode], "poke_interval": 2.0, "max_poll_interval": most, "request_id": request_id}
        if kind == "status":
            found.append(polls_and_end(bench, lambda how=how: SentinelHubBatchSensor(task_id="wait", **how)))
        else:
            how["aws_conn_id"] = "my_bucket"
            found.append(polls_and_end(bench, lambda how=how: SentinelHubBatchTileSensor(task_id="wait", **how)))
    (often, soon), (seldom, later) = found
    assert seldom < 0.75 * often
    assert later <= 1.25 * soon + 4


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_interval_of_a_sensor_takes_the_place_of_airflows_backoff(bench: Any, mode: str) -> None:
    request_id = bench.create()
    bench.act(request_id, "start")
    how = {"poke_interval": 2.0, "max_poll_interval": 600, "exponential_backoff": True, "mode": mode}
    bench.run(lambda: SentinelHubBatchSensor(task_id="wait", request_id=request_id, **how))


@pytest.mark.parametrize("how", [*MODES.values()], ids=[*MODES])
def test_a_sensor_refuses_less_than_its_interval(bench: Any, how: dict[str, Any]) -> None:
    with pytest.raises(AirflowException, match=r"max_poll_interval is 5 s, less than poke_interval, which is 60 s"):
        bench.run(
            lambda: SentinelHubBatchSensor(task_id="wait", request_id=bench.create(), max_poll_interval="5", **how)
        )


@pytest.mark.parametrize("given", [0, -1, "soon", float("nan"), True])
@pytest.mark.parametrize(
    "operator", [SentinelHubBatchSensor, SentinelHubBatchTileSensor, SentinelHubAnalyseBatchOperator]
)
def test_everywhere_what_is_no_time_is_refused_at_parse(operator: Any, given: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_poll_interval"):
        operator(task_id="wait", request_id="5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10", max_poll_interval=given)


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_analysis_is_polled_seldom_when_it_takes_long(bench: Any, deferrable: bool) -> None:
    found = []
    for most in (None, "PT10M"):
        how = {"request_id": bench.create(), "poll_interval": 0.5, "max_poll_interval": most, "deferrable": deferrable}
        found.append(polls_and_end(bench, lambda how=how: SentinelHubAnalyseBatchOperator(task_id="analyse", **how)))
    (often, soon), (seldom, later) = found
    assert seldom < 0.8 * often
    assert later <= 1.25 * soon + 2


@pytest.mark.thorough
def test_the_hook_runs_a_job_with_fewer_polls(bench: Any) -> None:
    specification = BatchSpecification(
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        evalscript=bench.ndvi,
        area=bench.area,
        tiling_grid=tiling_grid(1, 10),
        output="s3://maps/ndvi",
    )
    polls = []
    for name, most in (("often", None), ("seldom", "PT10M")):
        before = len(bench.sim.journal())
        how = {"poll_interval": 1.0, "max_poll_interval": most, "aws_conn_id": "my_bucket", "check_results": False}
        assert bench.hook.run_job(specification, name=name, **how)["status"] == "DONE"
        polls.append(sum(call["method"] == "GET" for call in bench.sim.journal()[before:]))
    assert polls[1] < 0.7 * polls[0]
    with pytest.raises(InvalidInputError, match=r"max_poll_interval is 5 s, less than poll_interval"):
        bench.hook.run_job(specification, name="wrong", max_poll_interval=5)
