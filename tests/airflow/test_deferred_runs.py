"""What the log of a failed deferred task shows, run by `dag.test()`: one traceback, and the error of its type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS
from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import live_in, run

DAGS = """
import json
import pendulum
from tests.names import DAG
from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchOperator, SentinelHubCreateBatchOperator, SentinelHubStartBatchOperator
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

SCRIPT = '''//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(s) { return [s.B04]; }
'''

def told(context):
    error = context["exception"]
    kinds = [kind.__name__ for kind in type(error).__mro__]
    print("FAILED " + json.dumps({"task": context["ti"].task_id, "kinds": kinds, "says": str(error)}), flush=True)

JOB = dict(
    process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")), evalscript=SCRIPT,
    area=[8.9, 41.9, 9.3, 42.2], tiling_grid=tiling_grid(1, 10), destination="s3://my-bucket/ndvi",
)
WAITS = dict(deferrable=True, poll_interval=0.5, max_unknown_time=2, on_failure_callback=told)

def dag(name):
    return DAG(name, schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"))

with dag("job") as job:
    SentinelHubBatchOperator(task_id="job", analysis_poll_interval=0.5, **JOB, **WAITS)

with dag("steps") as steps:
    create = SentinelHubCreateBatchOperator(task_id="create", **JOB)
    SentinelHubStartBatchOperator(task_id="start", request_id=create.output, wait_for_completion=True, **WAITS)

with dag("sensor") as sensor:
    create = SentinelHubCreateBatchOperator(task_id="create", **JOB)
    start = SentinelHubStartBatchOperator(task_id="start", request_id=create.output, wait_for_completion=False)
    waits = {"deferrable": True, "poke_interval": 0.5, "max_unknown_time": 2, "on_failure_callback": told}
    start >> SentinelHubBatchSensor(task_id="sensor", request_id=create.output["request_id"], **waits)

with dag("wrong") as wrong:
    SentinelHubBatchOperator(task_id="wrong", sentinelhub_conn_id="wrong", **JOB, **WAITS)
"""
RUN = '''
import json, logging, sys, threading
from airflow import __version__
from airflow_sentinelhub.simulator import ControlPlane
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
plan = json.loads(sys.argv[1])
sys.path.insert(0, plan["folder"])
service = ControlPlane(plan["simulator"])
import deferred_runs

class Records(logging.Handler):
    """2.11: dag.test() writes each record of a task twice, and one of its own for a task that fails."""

    def emit(self, record):
        if record.name != "airflow.models.dag.DAG":
            tracebacks.append(logging.Formatter().format(record).count("Traceback (most recent call last)"))

tracebacks = []
if __version__.startswith("2."):
    logging.getLogger().addHandler(Records())

def started():
    return any(call["effect"] == "billed_start" for call in service.journal())

of_trigger = SentinelHubBatchTrigger.run

async def seen(self):
    if started():
        waiting.set()
    async for event in of_trigger(self):
        yield event

SentinelHubBatchTrigger.run = seen

def refuse(over):
    # The secret is changed in the dashboard while a trigger waits for the job: no token is renewed any more.
    waiting.wait()
    before = len(service.journal())
    while not over.wait(0.1):
        if len(service.journal()) > before:
            service.fault("status", path="token", status=401, times=None)
            service.fault("expire_tokens", times=1)
            return

for name in plan["dags"]:
    service.clear_faults()
    service.reset()
    tracebacks.clear()
    over, waiting = threading.Event(), threading.Event()
    thread = threading.Thread(target=refuse, args=(over,))
    thread.start()
    print("BEGIN", name, flush=True)
    run = getattr(deferred_runs, name).test()
    over.set()
    waiting.set()
    thread.join()
    states = {ti.task_id: str(getattr(ti.state, "value", ti.state)) for ti in run.get_task_instances()}
    starts = [call for call in service.journal() if call["effect"] == "billed_start"]
    result = {"dag": name, "states": states, "starts": len(starts), "tracebacks": tracebacks}
    print("RESULT " + json.dumps(result), flush=True)
'''
KINDS = {
    "job": "UnknownStateError",
    "steps": "UnknownStateError",
    "sensor": "UnknownStateError",
    "wrong": "AuthenticationError",
}
"""The error of each DAG's task: a wait that is refused goes on for `max_unknown_time`, and the trigger says so."""
NAMES = list(KINDS)
pytestmark = [
    pytest.mark.dag_test,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS, reason="dag.test() of Airflow 3.0 calls no callback of a task"
    ),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each DAG has left, by its name: states, number of starts, errors, and all that was logged."""
    folder = tmp_path_factory.mktemp("deferred")
    (folder / "dags").mkdir()
    (folder / "dags" / "deferred_runs.py").write_text(DAGS)
    with Simulator(speed=10, bucket_dir=folder / "buckets") as simulator:
        uri = f"{simulator.airflow_connection_uri}&batch_api=v1"
        wrong = uri.replace(simulator.client_secret, "never-the-secret")
        assert wrong != uri
        connections = {"AIRFLOW_CONN_SENTINELHUB_DEFAULT": uri, "AIRFLOW_CONN_WRONG": wrong}
        home, env = live_in(folder)
        plan = json.dumps({"simulator": simulator.url, "dags": NAMES, "folder": str(home / "dags")})
        ran = run(RUN, plan, env=env | connections, timeout=280)
    logs = {part.partition("\n")[0]: part for part in (ran.stdout + ran.stderr).split("BEGIN ")[1:]}
    said = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    assert [result["dag"] for result in said] == NAMES, ran.stdout[-6000:] + ran.stderr[-3000:]
    for result in said:
        log = result["log"] = logs[result["dag"]]
        if AIRFLOW_V_3_0_PLUS:  # where tasks log past Python's logging, and once
            result["tracebacks"] = [log.count("Traceback (most recent call last)")]
        result["errors"] = [json.loads(line[7:]) for line in log.splitlines() if line.startswith("FAILED ")]
    return {result["dag"]: result for result in said}


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_secret_is_one_traceback_and_an_error_of_its_type(results: dict[str, Any], name: str) -> None:
    result = results[name]
    (task,) = [task for task, state in result["states"].items() if state == "failed"]
    (error,) = result["errors"]
    assert error["task"] == task
    assert "refused the credentials of connection" in error["says"]
    assert KINDS[name] in error["kinds"]
    assert sum(result["tracebacks"]) == 1, result["log"]
    assert "never-the-secret" not in result["log"]


def test_a_job_that_runs_on_is_named(results: dict[str, Any]) -> None:
    for name in ("job", "steps", "sensor"):
        assert results[name]["starts"] == 1
        assert "runs on and bills" in results[name]["errors"][0]["says"]
    assert results["wrong"]["starts"] == 0
