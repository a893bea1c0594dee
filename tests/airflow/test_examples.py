"""Every example DAG and the README's are run by `dag.test()`, as a user would, in a process with its own tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage
from tests.airflow.home import live_in, run

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import importlib, json, sys
from pathlib import Path
from airflow_sentinelhub.simulator import ControlPlane
from tests.airflow.home import only
plan = json.loads(sys.argv[1])
sys.path.insert(0, plan["folder"])
service = ControlPlane(plan["simulator"])
for name, faults in plan["dags"].items():
    service.reset()
    for fault in faults:
        service.fault(**fault)
    only(Path(plan["folder"]), name)
    run = importlib.import_module(name).dag.test()
    tasks = {}
    for ti in run.get_task_instances():
        mapped = f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id
        tasks[mapped] = str(getattr(ti.state, "value", ti.state))
    effects = [call["effect"] for call in service.journal() if call["effect"]]
    print("RESULT " + json.dumps({"dag": name, "tasks": tasks, "effects": effects, "requests": service.requests()}))
"""
FAILING = [{"kind": "fail_tiles", "names": ["32TNM_1_3", "32TNM_1_4"]}]
V1: dict[str, list[dict[str, Any]]] = {
    "sentinelhub_restart_partial": FAILING,
    "sentinelhub_update_and_delete": [],
    "sentinelhub_collections": [],
    "sentinelhub_one_tile": [],
    "sentinelhub_many_tiles": [],
    "sentinelhub_in_python": [],
    "sentinelhub_batch_group": FAILING,
    "sentinelhub_what_will_it_cost": [],
}
V2: dict[str, list[dict[str, Any]]] = {
    "sentinelhub_geopackage": [],
    "sentinelhub_one_tile": [],
    "sentinelhub_many_tiles": [],
    "sentinelhub_batch_group": FAILING,
    "sentinelhub_what_will_it_cost": [],
}
ELSEWHERE = {"sentinelhub_ndvi_corsica", "sentinelhub_statistics_fields"}
"""Examples with tests of their own: on a real cluster, and with batch statistical."""
WATCHING = {"sentinelhub_when_a_job_ends", "sentinelhub_new_imagery"}
"""Examples that a triggerer starts, on a real cluster; Airflow 3 only."""

BUCKET = json.dumps({"conn_type": "aws", "login": "AKIA", "password": "hush-hush"})
README = "sentinelhub_first_job"
"""The example that the README shows."""
EVERY = 0.2
"""Seconds between two polls, for all examples."""
QUICKLY = f"poll_interval={EVERY}, analysis_poll_interval={EVERY},"

Results = dict[str, dict[str, Any]]


def parcels(names: list[str]) -> bytes:
    rows = []
    for number, name in enumerate(names):
        west = 500_000 + 2000 * number
        shape = shapely.box(west, 4_649_000, west + 1000, 4_649_500)
        rows.append([number, name, geometry(shapely.to_wkb(shape, byte_order=1), 32632, shape.bounds), 10.0])
    columns = (("id", "INTEGER"), ("identifier", "TEXT"), ("geometry", "POLYGON"), ("resolution", "REAL"))
    layer = {"name": "parcels", "crs": 32632, "columns": columns, "rows": rows, "bounds": (0, 0, 1, 1)}
    return geopackage([Layer(**layer, geometry_type="POLYGON")])


def write_dags(folder: Path) -> None:
    """The examples, polling without much waiting."""
    shutil.copytree(ROOT / "example_dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    first = folder / f"{README}.py"
    assert "poll_interval=5," in first.read_text()
    first.write_text(first.read_text().replace("poll_interval=5,", QUICKLY))


def run_all(
    dags: dict[str, Any], generation: str, deferrable: bool, folder: Path, script: str = RUN, more: Any = ()
) -> Results:
    """Run these DAGs one after the other; what each has left, by its name.

    :param dags: what the script is told of each, by the name of its module.
    :param more: text of further DAG files, by the name of the module.
    """
    buckets = folder / "buckets"
    write_dags(folder / "dags")
    for name, text in dict(more).items():
        (folder / "dags" / f"{name}.py").write_text(text)
    with Simulator(speed=300, bucket_dir=buckets) as simulator:
        (buckets / "my-bucket").mkdir(parents=True, exist_ok=True)
        (buckets / "my-bucket" / "parcels.gpkg").write_bytes(parcels(["north", "south", "west"]))
        home, env = live_in(folder)
        env |= {
            "AIRFLOW_CONN_SENTINELHUB_DEFAULT": f"{simulator.airflow_connection_uri}&batch_api={generation}",
            "AIRFLOW_CONN_SENTINELHUB_BUCKET": BUCKET,
            "AIRFLOW_CONN_MY_BUCKET": BUCKET,
            "SENTINELHUB_EXAMPLE_POLL_INTERVAL": str(EVERY),
            "SENTINELHUB_EXAMPLE_DEFERRABLE": str(deferrable).lower(),
        }
        plan = json.dumps({"simulator": simulator.url, "dags": dags, "folder": str(home / "dags")})
        # On a machine that others keep busy; else it is over in a minute or two.
        ran = run(script, plan, env=env, timeout=1500)
    said = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(said) == len(dags), ran.stdout[-6000:] + ran.stderr[-3000:]
    return {result["dag"]: result for result in said}


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_all({**V1, README: []}, "v1", True, tmp_path_factory.mktemp("v1"))


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_all({**V2, README: []}, "v2", False, tmp_path_factory.mktemp("v2"))


pytestmark = [pytest.mark.dag_test, pytest.mark.timeout(1800)]
of_v1, of_v2 = pytest.mark.xdist_group("v1"), pytest.mark.xdist_group("v2")
"""The tests that look at the same runs: by `--dist loadgroup` one process has them, and runs the DAGs once.

But xdist 3.8 makes no groups with pytest 9.2 (Airflow 2.11 and 3.3), where each process runs the DAGs of its tests.
"""
of_each = pytest.mark.parametrize("generation", [pytest.param("v1", marks=of_v1), pytest.param("v2", marks=of_v2)])


def test_every_example_is_run_somewhere() -> None:
    examples = {file.stem for file in (ROOT / "example_dags").glob("*.py")}
    assert examples == {*V1, *V2, *ELSEWHERE, *WATCHING, README}


@of_v1
def test_the_failed_part_is_restarted(v1: Results) -> None:
    result = v1["sentinelhub_restart_partial"]
    assert set(result["tasks"].values()) == {"success"}
    assert result["effects"].count("billed_start") == result["effects"].count("restarted") == 1
    assert [request["status"] for request in result["requests"]] == ["DONE"]


@of_v1
def test_update_and_delete(v1: Results) -> None:
    result = v1["sentinelhub_update_and_delete"]
    assert set(result["tasks"].values()) == {"success"}
    assert result["effects"] == ["created", "updated", "deleted"]


@of_v1
def test_collections(v1: Results) -> None:
    result = v1["sentinelhub_collections"]
    assert result["tasks"] == {"create": "success", "update": "success", "delete": "success"}
    assert result["effects"] == ["created", "updated", "deleted"]


@of_each
def test_one_tile_and_then_the_end(generation: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(generation)["sentinelhub_one_tile"]
    assert set(result["tasks"].values()) == {"success"}
    assert result["effects"].count("billed_start") == 1
    assert result["requests"][0]["status"] in ("CANCELED", "STOPPED", "DONE")  # DONE: it was faster than the cancel


@of_v1
def test_the_hook_in_python(v1: Results) -> None:
    result = v1["sentinelhub_in_python"]
    assert result["tasks"] == {"job": "success"}
    assert result["requests"][0]["status"] == "DONE"
    assert result["effects"].count("billed_start") == 1


@of_each
def test_the_steps_as_a_group(generation: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(generation)["sentinelhub_batch_group"]
    assert set(result["tasks"]) == {f"ndvi.{step}" for step in ("create", "analyse", "budget", "start", "finish")}
    assert set(result["tasks"].values()) == {"success"}
    assert result["effects"].count("billed_start") + result["effects"].count("restarted") == 2


@of_each
def test_the_price_before_the_start(generation: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(generation)["sentinelhub_what_will_it_cost"]
    assert result["tasks"] == dict.fromkeys(("create", "analyse", "budget", "start", "bill"), "success")
    assert result["effects"].count("billed_start") == 1


@of_v2
def test_parcels_of_a_geopackage(v2: Results) -> None:
    result = v2["sentinelhub_geopackage"]
    assert result["tasks"] == {"parcels": "success", "tiles": "success", "publish[0]": "success"}
    assert [(request["status"], request["billed_starts"]) for request in result["requests"]] == [("DONE", 1)]


@of_each
def test_references_to_tiles_are_opened_in_mapped_tasks(generation: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(generation)["sentinelhub_many_tiles"]
    chunks = {name for name in result["tasks"] if name.startswith("publish[")}
    assert set(result["tasks"]) == {"ndvi", "tiles", *chunks}
    assert set(result["tasks"].values()) == {"success"}
    (job,) = result["requests"]
    assert len(chunks) == -(-job["tiles"] // 50)


@of_each
def test_the_dag_of_the_readme(generation: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(generation)[README]
    chunks = {name for name in result["tasks"] if name.startswith("publish[")}
    assert set(result["tasks"]) == {"ndvi", "tiles", *chunks}
    (request,) = result["requests"]
    assert len(chunks) == -(-request["tiles"] // 50) < 10
    assert set(result["tasks"].values()) == {"success"}
    assert [(request["status"], request["billed_starts"]) for request in result["requests"]] == [("DONE", 1)]
