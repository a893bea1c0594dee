"""The group on Airflow's own scheduling, by `dag.test()`: after a skip, a refusal or a failure nothing is billed, and
the group maps over areas. Each DAG runs in one process with its own tables, against a simulator of batch v1, which
estimates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub._compat import approval_operator
from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import live_in, run

CORSICA, SARDINIA = [8.9, 41.9, 9.3, 42.2], [8.9, 40.1, 9.2, 40.3]
EVALSCRIPT = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(s) { return [s.B04]; }
"""
DAGS = f"""
import json
from pathlib import Path
import pendulum
from tests.names import DAG, BaseOperator, task_group
from airflow_sentinelhub import process_request, sentinelhub_batch, tiling_grid

EVALSCRIPT = {EVALSCRIPT!r}
AREAS = [{CORSICA}, {SARDINIA}]

def ndvi(**more):
    given = dict(
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        evalscript=EVALSCRIPT, area=AREAS[0], tiling_grid=tiling_grid(1, 10), destination="s3://my-bucket/ndvi",
        poll_interval=0.2, analysis_poll_interval=0.2,
    )
    return sentinelhub_batch("ndvi", **{{**given, **more}})

def dag(name, **default_args):
    start = pendulum.datetime(2024, 1, 1, tz="UTC")
    return DAG(name, schedule=None, start_date=start, default_args=default_args)

class Told(BaseOperator):
    template_fields = ("request_id", "area")

    def __init__(self, *, request_id, area, **kwargs):
        super().__init__(**kwargs)
        self.request_id, self.area = request_id, area

    def execute(self, context):
        with (Path(__file__).parent / "told.jsonl").open("a") as file:
            print(json.dumps([self.request_id, self.area]), file=file)

OWN, SHARED = dict(max_processing_units=1, on_over_budget="skip"), dict(max_processing_units=1, on_over_budget="stop")

with dag("skipped_all_done", trigger_rule="all_done") as skipped_all_done:
    ndvi(**OWN)
with dag("skipped_none_failed", trigger_rule="none_failed") as skipped_none_failed:
    ndvi(**OWN)
with dag("skipped_by_default_args", trigger_rule="always", wait_for_completion=True, **SHARED) as by_default_args:
    ndvi()  # the limit of all jobs of this DAG
with dag("failed_all_done", trigger_rule="all_done") as failed_all_done:
    ndvi(evalscript="//VERSION=3")
with dag("failed_always", trigger_rule="always", do_xcom_push=False, multiple_outputs=True) as failed_always:
    ndvi(evalscript="//VERSION=3")

with dag("mapped") as mapped:
    @task_group
    def maps(area):
        group = ndvi(area=area, deferrable=True)
        finish = group.get_child_by_label("finish")
        Told(task_id="told", request_id=finish.output["request_id"], area=area)

    maps.expand(area=AREAS)

if {approval_operator() is not None}:
    with dag("asked", trigger_rule="all_done", retries=2, defaults="Approve", fail_on_reject=True) as asked:
        @task_group
        def maps(area):
            ndvi(area=area, approve=True)

        maps.expand(area=AREAS)

    with dag("refused", trigger_rule="all_done") as refused:
        ndvi(approve=True)
"""
RUN = """
import contextlib, json, sys, threading, time
from airflow_sentinelhub.simulator import ControlPlane
plan = json.loads(sys.argv[1])
sys.path.insert(0, plan["folder"])
service = ControlPlane(plan["simulator"])
import group_runs

asked = {}

def answer():
    \"\"\"Agree to the second area and refuse all others, as the API server does when a person answers.

    Again if the answer was lost: the tables may be locked, and what runs the DAG may write the state of before.
    \"\"\"
    while True:
        time.sleep(0.1)
        with contextlib.suppress(OperationalError), create_session() as session:
            for detail in session.scalars(select(HITLDetail)).all():
                ti = session.scalar(select(TaskInstance).where(TaskInstance.id == detail.ti_id))
                if ti is None or str(getattr(ti.state, "value", ti.state)) != "awaiting_input":
                    continue
                asked[ti.map_index] = [detail.subject, detail.body]
                detail.responded_at, detail.responded_by = timezone.utcnow(), {"id": "1", "name": "somebody"}
                detail.chosen_options, detail.params_input = ["Approve" if ti.map_index == 1 else "Reject"], {}
                session.add(detail)
                event = TriggerEvent(detail.as_resume_event_payload())
                handle_event_submit(event, task_instance=ti, session=session)

if "asked" in plan["dags"]:
    # Not in the thread: SQLAlchemy and the import of Airflow's models each hold a lock that the other waits for.
    import airflow.models.dag, airflow.serialization.definitions.dag
    from sqlalchemy import select
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.orm import configure_mappers
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils import timezone
    from airflow.utils.session import create_session
    configure_mappers()
    threading.Thread(target=answer, daemon=True).start()
for name in plan["dags"]:
    service.reset()
    asked.clear()
    dags = {dag.dag_id: dag for dag in vars(group_runs).values() if isinstance(dag, group_runs.DAG)}
    run = dags[name].test()
    tasks = {}
    for ti in run.get_task_instances():
        mapped = f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id
        tasks[mapped] = str(getattr(ti.state, "value", ti.state))
    from airflow_sentinelhub.api.call import Call, exchange
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    hook, requests = SentinelHubHook(), []
    for one in service.requests():
        path = hook.generation(None).get(one["id"]).path
        sent = hook.run(exchange(Call("GET", path, lambda body: body)))
        one["bbox"] = sent["processRequest"]["input"]["bounds"]["bbox"]
        requests.append(one)
    effects = [call["effect"] for call in service.journal() if call["effect"]]
    print("RESULT " + json.dumps(
        {"dag": name, "tasks": tasks, "effects": effects, "requests": requests, "asked": asked}
    ))
"""
SKIPPED = ["skipped_all_done", "skipped_none_failed", "skipped_by_default_args"]
FAILED = ["failed_all_done", "failed_always"]
AREAS = [CORSICA, SARDINIA]
STEPS = ("create", "analyse", "start", "finish")
HAS_APPROVAL = approval_operator() is not None
pytestmark = [pytest.mark.dag_test, pytest.mark.timeout(600)]

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    (folder / "dags").mkdir()
    (folder / "dags" / "group_runs.py").write_text(DAGS)
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    """What each DAG has left, by its name."""
    names = [*SKIPPED, *FAILED, "mapped", *(["asked", "refused"] if HAS_APPROVAL else [])]
    with Simulator(speed=300, bucket_dir=folder / "buckets") as simulator:
        connection = {"AIRFLOW_CONN_SENTINELHUB_DEFAULT": f"{simulator.airflow_connection_uri}&batch_api=v1"}
        home, env = live_in(folder)
        plan = json.dumps({"simulator": simulator.url, "dags": names, "folder": str(home / "dags")})
        ran = run(RUN, plan, env=env | connection, timeout=500)
    said = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(said) == len(names), ran.stdout[-6000:] + ran.stderr[-3000:]
    return {result["dag"]: result for result in said}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_job_over_its_budget_is_not_started(results: Results, name: str) -> None:
    result = results[name]
    assert result["tasks"] == {
        "ndvi.create": "success",
        "ndvi.analyse": "success",
        "ndvi.budget": "skipped",
        "ndvi.start": "skipped",
        "ndvi.finish": "skipped",
    }
    assert result["effects"] == ["created", "analysis_started"]


@pytest.mark.parametrize("name", FAILED)
def test_a_job_whose_analysis_failed_is_not_started(results: Results, name: str) -> None:
    result = results[name]
    assert result["tasks"] == {
        "ndvi.create": "success",
        "ndvi.analyse": "failed",
        "ndvi.start": "upstream_failed",
        "ndvi.finish": "upstream_failed",
    }
    assert result["effects"] == ["created", "analysis_started"]


def test_a_mapped_group_does_one_job_for_each_area(results: Results, folder: Path) -> None:
    result = results["mapped"]
    steps = [*(f"maps.ndvi.{step}" for step in STEPS), "maps.told"]
    assert result["tasks"] == {f"{step}[{index}]": "success" for step in steps for index in (0, 1)}
    done = {one["id"]: one for one in result["requests"]}
    assert sorted(one["bbox"] for one in done.values()) == sorted(AREAS)
    assert [(one["status"], one["billed_starts"]) for one in done.values()] == [("DONE", 1), ("DONE", 1)]
    told = [json.loads(line) for line in (folder / "dags" / "told.jsonl").read_text().splitlines()]
    assert dict(told) == {key: one["bbox"] for key, one in done.items()}


@pytest.mark.skipif(not HAS_APPROVAL, reason="Airflow 3.1 and later have a human-in-the-loop step")
def test_only_the_job_that_a_person_agrees_to_is_started(results: Results) -> None:
    """Two areas, two questions; the first is refused. Rules, retries and answers of `default_args` change nothing."""
    result = results["asked"]
    ends = dict.fromkeys(("create", "analyse"), ("success", "success"))
    ends |= dict.fromkeys(("approve", "start", "finish"), ("skipped", "success"))
    assert result["tasks"] == {f"maps.ndvi.{step}[{index}]": ends[step][index] for step in ends for index in (0, 1)}
    by_area = {tuple(one["bbox"]): one for one in result["requests"]}
    assert len(by_area) == len(result["requests"]) == 2
    assert [by_area[tuple(area)]["billed_starts"] for area in AREAS] == [0, 1]
    for index, area in enumerate(AREAS):
        subject, body = result["asked"][str(index)]
        assert by_area[tuple(area)]["id"] in subject
        assert "tiles, about " in body
    assert result["asked"]["0"][1] != result["asked"]["1"][1], "tiles and cost of another area"


@pytest.mark.skipif(not HAS_APPROVAL, reason="Airflow 3.1 and later have a human-in-the-loop step")
def test_a_refused_job_is_not_started(results: Results) -> None:
    result = results["refused"]
    ends = dict.fromkeys(("create", "analyse"), "success") | dict.fromkeys(("approve", "start", "finish"), "skipped")
    assert result["tasks"] == {f"ndvi.{step}": end for step, end in ends.items()}
    assert result["effects"] == ["created", "analysis_started"]
    (request,) = result["requests"]
    assert request["id"] in result["asked"]["-1"][0]
