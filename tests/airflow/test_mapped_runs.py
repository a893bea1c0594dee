"""Every way in which Airflow maps a task, run by `dag.test()` on Airflow's own scheduling, against a simulator."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import live_in, run

CORSICA, SARDINIA = [8.9, 41.9, 9.3, 42.2], [8.9, 40.1, 9.2, 40.3]
EVALSCRIPT = """//VERSION=3
// {{ params.word }}
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(s) { return [s.B04]; }
"""
DAGS = f"""
import pendulum
from tests.names import DAG, task, task_group
from airflow_sentinelhub import process_request, sentinelhub_batch, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

AREAS = [{CORSICA}, {SARDINIA}]
FIXED = dict(
    process_request=process_request(
        "sentinel-2-l2a", ("2024-06-01", "2024-06-30"), max_cloud_coverage="{{{{ params.cloud }}}}"
    ),
    evalscript="{{{{ params.word }}}} script.js", tiling_grid=tiling_grid(1, "{{{{ params.size }}}}"),
    destination="s3://my-bucket/ndvi", poll_interval="{{{{ params.every }}}}", analysis_poll_interval="0:00:00.2",
)

def dag(name):
    params = dict(cloud=30, size=10, every="PT0.2S", word="green")
    return DAG(name, schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), params=params)

with dag("expand") as expand:
    jobs = SentinelHubBatchOperator.partial(
        task_id="jobs", deferrable=True, map_index_template="{{{{ task.description }}}}",
        description="{{{{ params.word }}}} {{{{ ti.map_index }}}}", **FIXED
    ).expand(area=AREAS)
    done = SentinelHubBatchSensor.partial(task_id="done", poke_interval="0:00:00.2", timeout="PT5M").expand(
        request_id=jobs.output.map(lambda result: result["request_id"])
    )
    tiles = SentinelHubListBatchTilesOperator.partial(task_id="tiles", chunk_size="{{{{ 6 }}}}").expand(
        request_id=jobs.output.map(lambda result: result["request_id"])
    )
    done >> tiles

with dag("kwargs") as kwargs:
    @task
    def wanted():
        return [
            dict(area=AREAS[0], max_processing_units="50000", description="one"),
            dict(area=AREAS[1], max_processing_units=50000, description="two", timeout="1:00:00"),
        ]

    SentinelHubBatchOperator.partial(task_id="jobs", **FIXED).expand_kwargs(wanted())

with dag("groups") as groups:
    @task_group
    def maps(area):
        sentinelhub_batch("ndvi", area=area, max_processing_units="{{{{ 50000 }}}}", **FIXED)

    maps.expand(area=AREAS)

with dag("limits") as limits:
    @task
    def limit():
        return [50000, None]

    @task
    def both():
        return [dict(area=AREAS[0], max_restarts=None), dict(area=AREAS[1], max_failed_tiles=None)]

    SentinelHubBatchOperator.partial(task_id="lists", area=AREAS[0], **FIXED).expand(max_processing_units=limit())
    SentinelHubBatchOperator.partial(task_id="dicts", **FIXED).expand_kwargs(both())
    SentinelHubBatchOperator.partial(task_id="literals", **FIXED).expand_kwargs(
        [dict(area=AREAS[1], max_processing_units=None)]
    )
"""
RUN = """
import json, sys
from airflow_sentinelhub.simulator import ControlPlane
plan = json.loads(sys.argv[1])
sys.path.insert(0, plan["folder"])
service = ControlPlane(plan["simulator"])
import mapped_runs
from airflow_sentinelhub.api.call import Call, exchange
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
for name in plan["dags"]:
    service.reset()
    run = getattr(mapped_runs, name).test()
    tasks, shown = {}, {}
    for ti in run.get_task_instances():
        mapped = f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id
        tasks[mapped] = str(getattr(ti.state, "value", ti.state))
        shown[mapped] = getattr(ti, "rendered_map_index", None)
    hook, sent = SentinelHubHook(), []
    for one in service.requests():
        path = hook.generation(None).get(one["id"]).path
        sent.append(hook.run(exchange(Call("GET", path, lambda body: body))))
    print("RESULT " + json.dumps(
        {"dag": name, "tasks": tasks, "shown": shown, "requests": service.requests(), "sent": sent}
    ))
"""
NAMES = ["expand", "kwargs", "groups"]
ALL = [*NAMES, "limits"]
STEPS = ("create", "analyse", "budget", "start", "finish")
pytestmark = [pytest.mark.dag_test, pytest.mark.timeout(600)]

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What each DAG has left, by its name."""
    folder = tmp_path_factory.mktemp("mapped")
    (folder / "dags").mkdir()
    (folder / "dags" / "mapped_runs.py").write_text(DAGS)
    (folder / "dags" / "green script.js").write_text(EVALSCRIPT)
    with Simulator(speed=300, bucket_dir=folder / "buckets") as simulator:
        connection = {"AIRFLOW_CONN_SENTINELHUB_DEFAULT": f"{simulator.airflow_connection_uri}&batch_api=v1"}
        home, env = live_in(folder)
        plan = json.dumps({"simulator": simulator.url, "dags": ALL, "folder": str(home / "dags")})
        ran = run(RUN, plan, env=env | connection, timeout=500)
    said = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(said) == len(ALL), ran.stdout[-6000:] + ran.stderr[-3000:]
    return {result["dag"]: result for result in said}


@pytest.mark.parametrize("name", NAMES)
def test_two_areas_are_two_jobs_with_what_the_templates_gave(results: Results, name: str) -> None:
    result = results[name]
    assert set(result["tasks"].values()) == {"success"}
    assert [(one["status"], one["billed_starts"]) for one in result["requests"]] == [("DONE", 1)] * 2
    for sent in result["sent"]:
        assert sent["tilingGrid"]["resolution"] == 10
        assert sent["processRequest"]["input"]["data"][0]["dataFilter"]["maxCloudCoverage"] == 30
        assert "// green\n" in sent["processRequest"]["evalscript"]
    boxes = sorted(sent["processRequest"]["input"]["bounds"]["bbox"] for sent in result["sent"])
    assert boxes == sorted([CORSICA, SARDINIA])


def test_partial_and_expand(results: Results) -> None:
    tasks = results["expand"]["tasks"]
    assert set(tasks) == {f"{name}[{index}]" for name in ("jobs", "done", "tiles") for index in (0, 1)}


def test_map_index_template(results: Results) -> None:
    """On 2.11 the template is rendered, too; `dag.test()` of some versions does not store it."""
    shown = results["expand"]["shown"]
    assert {shown["jobs[0]"], shown["jobs[1]"]} in ({"green 0", "green 1"}, {None})


def test_expand_kwargs(results: Results) -> None:
    result = results["kwargs"]
    assert set(result["tasks"]) == {"wanted", "jobs[0]", "jobs[1]"}
    assert {sent["description"].split()[0] for sent in result["sent"]} == {"one", "two"}


def test_mapped_groups(results: Results) -> None:
    assert set(results["groups"]["tasks"]) == {f"maps.ndvi.{step}[{index}]" for step in STEPS for index in (0, 1)}


def test_a_limit_that_another_task_gave_as_none_is_refused_before_anything_is_created(results: Results) -> None:
    """None in the DAG itself means no limit."""
    result = results["limits"]
    states = {task: state for task, state in result["tasks"].items() if "[" in task}
    failed = ("lists[1]", "dicts[0]", "dicts[1]")
    assert states == {"lists[0]": "success", "literals[0]": "success", **dict.fromkeys(failed, "failed")}
    assert len(result["requests"]) == 2
