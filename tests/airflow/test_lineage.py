"""What OpenLineage is told about a job, after its end and after a failure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.lineage import Source, as_openlineage, sources_of
from airflow_sentinelhub.results.root import delivery_root
from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import ROOT, environment, put_tables
from tests.airflow.test_assets import DAGS
from tests.airflow.test_job import job

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)


def ran(bench: Any, **given: Any) -> tuple[Any, Any]:
    """A task that has run, and its result or error."""
    made = []

    def make() -> Any:
        made.append(job(bench, **given)())
        return made[-1]

    try:
        result = bench.run(make)
    except AirflowFailException as err:
        result = err
    return made[-1], result


def test_a_job_that_is_done_tells_collection_place_and_cost(bench: Any) -> None:
    task, result = ran(bench)
    told = task.lineage()
    assert told.place == bench.sim.url
    assert [source.name for source in told.sources] == ["sentinel-2-l2a"]
    assert told.folder == delivery_root(result["output_url"], result["request_id"])
    for name in ("request_id", "status", "processed", "failed", "processing_units"):
        assert told.facts[name] == result[name]


def test_a_job_that_failed_tells_its_request(bench: Any) -> None:
    task, err = ran(bench, max_processing_units=0.001)
    assert isinstance(err, AirflowFailException)
    told = task.lineage()
    assert told.facts["request_id"] == bench.sim.requests()[0]["id"]
    assert told.facts["status"]


@once
def test_a_task_without_a_request_tells_nothing(bench: Any) -> None:
    task = job(bench)()
    assert task.lineage() is None
    assert task.get_openlineage_facets_on_complete(None) is None


@pytest.mark.parametrize("data", [None, "x", 5, [None], [{}], [{"type": 5}], {"type": "a"}])
def test_what_is_no_collection_is_left_out(data: Any) -> None:
    assert sources_of(data) == ()


def test_times_of_the_aggregation_are_those_of_all_sources() -> None:
    assert sources_of([{"type": "a"}], {"from": "x", "to": "y"}) == (Source("a", "x", "y"),)


@pytest.mark.dag_test
@pytest.mark.timeout(600)
def test_the_provider_writes_it_to_a_file(tmp_path: Path) -> None:
    pytest.importorskip("airflow.providers.openlineage", reason="needs apache-airflow-providers-openlineage")
    assert as_openlineage
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "lineage_runs.py").write_text(DAGS.replace(", outlets=[MAPS, NEW]", ""))
    log = tmp_path / "events.json"
    transport = json.dumps({"type": "file", "log_file_path": str(log), "append": True})
    with Simulator(speed=300, bucket_dir=tmp_path / "buckets") as simulator:
        uri = f"{simulator.airflow_connection_uri}&bucket_mount={tmp_path / 'buckets'}"
        keys = {"AIRFLOW_CONN_SENTINELHUB_DEFAULT": uri, "AIRFLOW_CONN_AWS": "aws://key:secret@"}
        home = environment(tmp_path, tmp_path / "dags")
        paths = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
        env = {**home, **keys, **paths, "AIRFLOW__OPENLINEAGE__TRANSPORT": transport}
        put_tables(tmp_path)
        code = f"import sys; sys.path.insert(0, {str(tmp_path / 'dags')!r})\nimport lineage_runs as r\nr.maker.test()"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (request,) = simulator.requests()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (complete,) = [one for one in events if one["eventType"] == "COMPLETE" and one["job"]["name"] == "maker.job"]
    assert [one["name"] for one in complete["inputs"]] == ["sentinel-2-l2a"]
    assert [(one["namespace"], one["name"]) for one in complete["outputs"]] == [
        ("s3://my-bucket", f"ndvi/{request['id']}")
    ]
    facts = complete["run"]["facets"]["sentinelhub_job"]["facts"]
    assert (facts["request_id"], facts["status"], facts["failed"]) == (request["id"], "DONE", 0)
