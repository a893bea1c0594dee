"""The example DAG over field parcels, run by `dag.test()` in a process of its own, with Airflow's own tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import ROOT, live_in, only, run
from tests.statistical.fields import parcels, put_fields

RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from sentinelhub_statistics_fields import dag
run = dag.test()
tis = [{"task": ti.task_id, "map_index": ti.map_index, "state": str(getattr(ti.state, "value", ti.state))}
       for ti in run.get_task_instances()]
print("RESULT " + json.dumps({"state": str(getattr(run.state, "value", run.state)), "tasks": tis}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the one DAG."""
    home = tmp_path_factory.mktemp("airflow")
    shutil.copytree(ROOT / "example_dags", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    only(home / "dags", "sentinelhub_statistics_fields")
    return home


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Simulator]:
    """A simulator in which minutes are seconds."""
    with Simulator(speed=300, bucket_dir=tmp_path) as simulator:
        put_fields(tmp_path, parcels(60), url="s3://my-bucket/fields.gpkg")
        yield simulator


@pytest.mark.dag_test
@pytest.mark.timeout(300)
@pytest.mark.parametrize("deferrable", [False, True], ids=["plain", "deferred"])
def test_from_parcels_to_numbers(home: Path, fast: Simulator, deferrable: bool) -> None:
    fast.fault("fail_tiles", names=["field-07"])
    seen, env = live_in(home)
    ran = run(
        RUN,
        str(seen / "dags"),
        env={
            **env,
            "AIRFLOW_CONN_SENTINELHUB_DEFAULT": fast.airflow_connection_uri,
            "AIRFLOW_CONN_SENTINELHUB_BUCKET": json.dumps({"conn_type": "aws", "login": "AKIA", "password": "hush"}),
            "SENTINELHUB_EXAMPLE_POLL_INTERVAL": "0.2",
            "SENTINELHUB_EXAMPLE_DEFERRABLE": str(deferrable).lower(),
        },
        timeout=250,
    )
    said = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    assert said, ran.stdout[-6000:] + ran.stderr[-4000:]
    result = json.loads(said[-1].removeprefix("RESULT "))
    assert result["state"] == "success", ran.stdout[-6000:]
    states = {(ti["task"], ti["map_index"]): ti["state"] for ti in result["tasks"]}
    assert states == {
        ("statistics", -1): "success",
        ("fields", -1): "success",
        **{("greenest", index): "success" for index in range(2)},
    }
    (request,) = fast.requests()
    assert (request["generation"], request["status"], request["billed_starts"]) == ("statistical", "DONE", 1)
    assert "field-07 (EXECUTION_ERROR)" in ran.stdout + ran.stderr


@pytest.mark.slow
def test_parsing_it_loads_nothing_heavy() -> None:
    heavy = ("dataclasses_json", "requests_oauthlib", "boto3", "numpy", "airflow_sentinelhub.transport.sync")
    code = f"""
import sys
sys.path.insert(0, "example_dags")
import airflow_sentinelhub._compat
from airflow import DAG
before = set(sys.modules)
import sentinelhub_statistics_fields, airflow_sentinelhub.sensors.statistical
print([name for name in {heavy!r} if name in sys.modules and name not in before])
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
