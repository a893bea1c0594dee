"""A connection that stands in Airflow's database, as from its web page, and not in the environment."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import ROOT, live_in, run

RUN = """
import os, sys
os.environ.pop("AIRFLOW_CONN_SENTINELHUB_DEFAULT", None)
sys.path.insert(0, sys.argv[1])
import first
from airflow.models.connection import Connection
from airflow.utils.session import create_session
with create_session() as session:
    session.add(Connection(conn_id="sentinelhub_default", uri=sys.argv[2]))
    session.add(Connection(conn_id="my_bucket", uri="aws://key:secret@"))
run = first.dag.test()
print("RESULT", getattr(run.state, "value", run.state))
"""


@pytest.mark.dag_test
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_deferrable_job_and_the_commands_find_it(tmp_path: Any) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    text = (ROOT / "example_dags" / "sentinelhub_first_job.py").read_text()
    assert "deferrable=True" in text
    (dags / "first.py").write_text(
        text.replace('"retries": 2', '"retries": 0').replace("poll_interval=5", "poll_interval=0.2")
    )
    home, env = live_in(tmp_path)
    with Simulator(speed=300, bucket_dir=tmp_path / "buckets") as simulator:
        uri = f"{simulator.airflow_connection_uri}&bucket_mount={tmp_path / 'buckets'}"
        ran = run(RUN, str(home / "dags"), uri, env=env, timeout=500)
        assert "RESULT success" in ran.stdout, ran.stdout[-6000:] + ran.stderr[-3000:]
        (request,) = simulator.requests()
        command = [sys.executable, "-m", "airflow_sentinelhub", "requests", "--output", "json"]
        listed = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert listed.returncode == 0, listed.stderr
    assert [row["id"] for row in json.loads(listed.stdout)] == [request["id"]]
