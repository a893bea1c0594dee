"""What OpenLineage is told about a job, after its end and after a failure."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from airflow_sentinelhub.exceptions import SentinelHubError, SettingsError
from airflow_sentinelhub.lineage import Source, place_in_bucket, sources_of
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubStartBatchOperator
from airflow_sentinelhub.results.root import delivery_root
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from airflow_sentinelhub.simulator import Simulator
from dev import env
from tests.airflow.home import ROOT, environment, program, put_tables
from tests.airflow.job import modes
from tests.airflow.test_assets import DAGS
from tests.airflow.test_attack import deferred
from tests.airflow.test_job import job
from tests.installed import kept

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
    for name in ("request_id", "status", "processed", "failed", "processing_units", "expected_pu", "estimated_by"):
        assert told.facts[name] == result[name]
    assert told.facts["expected_pu"] > 0


@once
def test_a_connection_that_is_gone_at_the_end_takes_nothing_away(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = ran(bench)
    told = task.lineage()
    task.__dict__.pop("hook")
    monkeypatch.delenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT")
    assert task.lineage() == told


def test_a_job_that_failed_tells_its_request(bench: Any) -> None:
    task, err = ran(bench, max_processing_units=0.001)
    assert isinstance(err, AirflowFailException)
    told = task.lineage()
    assert told.facts["request_id"] == bench.sim.requests()[0]["id"]
    assert told.facts["status"]
    assert told.facts["expected_pu"] > 0
    assert told.facts["estimated_by"] == ("service" if bench.api == "v1" else "us")
    assert told.facts["restarts"] == 0


@once
@modes
def test_a_job_whose_restarted_part_is_stopped_tells_the_cost_of_both_requests(bench: Any, deferrable: bool) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.5)
    context, made = bench.context(), list[Any]()

    def make() -> Any:
        made.append(job(bench, deferrable=deferrable, max_restarts=1, timeout=300)())
        return made[-1]

    with pytest.raises(AirflowFailException, match="at the end of the time allowed"):
        bench.run(make, context)
    requests = bench.sim.requests()
    assert [request["status"] for request in requests] == ["DONE", "STOPPED"]
    facts = made[-1].lineage().facts
    assert facts["request_id"] == requests[1]["id"]
    assert facts["processing_units"] == sum(request["cost"] for request in requests)
    assert context["ti"].xcoms["processing_units"] == facts["processing_units"]
    assert (facts["expected_pu"], facts["restarts"]) == (context["ti"].xcoms["expected_pu"], 1)


STEPS: dict[str, tuple[Any, str, bool]] = {
    "analyse": (partial(SentinelHubAnalyseBatchOperator, poll_interval=5), "ANALYSIS_DONE", False),
    "start": (SentinelHubStartBatchOperator, "", True),
    "start and wait": (partial(SentinelHubStartBatchOperator, wait_for_completion=True), "DONE", True),
    "sensor": (SentinelHubBatchSensor, "DONE", True),
}


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "in the triggerer"])
@pytest.mark.parametrize("step", STEPS)
def test_single_steps_tell_their_request_and_what_it_writes(bench: Any, step: str, deferrable: bool) -> None:
    make, status, writes = STEPS[step]
    request_id = bench.started() if step == "sensor" else bench.create()
    made: list[Any] = []

    def task() -> Any:
        made.append(make(task_id="t", request_id=request_id, deferrable=deferrable))
        return made[-1]

    bench.run(task)
    told = made[-1].lineage()
    assert told.sources == ()  # a step does not know them
    assert (told.folder is not None) == writes
    if writes:
        assert told.folder.endswith(request_id)
    assert told.facts["request_id"] == request_id
    assert told.facts["status"] == (status or told.facts["status"])
    assert told.facts["batch_api"] == bench.api
    if status == "DONE" and bench.api == "v2":
        assert told.facts["processing_units"] > 0


@pytest.mark.parametrize("skip", [False, True])
def test_a_step_that_does_not_start_its_request_tells_what_it_has_read(bench: Any, skip: bool) -> None:
    bench.run(job(bench))  # which is all that the month allows
    request_id, made = bench.create(), list[Any]()
    policy = "skip" if skip else "fail"

    def task() -> Any:
        limits = {"max_processing_units_per_month": 0.01, "on_over_budget": policy}
        made.append(SentinelHubStartBatchOperator(task_id="t", request_id=request_id, **limits))
        return made[-1]

    with pytest.raises(AirflowSkipException if skip else AirflowFailException, match="max_processing_units_per_month"):
        bench.run(task)
    told = made[-1].lineage()
    assert told.facts["request_id"] == request_id
    assert (told.facts["batch_api"], told.facts["status"]) == (bench.api, bench.status(request_id))
    assert told.folder is None


@once
def test_the_reading_of_another_request_in_an_error_is_not_told(bench: Any) -> None:
    request_id, other, err = bench.create(), bench.ended(), SettingsError("It is no good.")
    task = SentinelHubStartBatchOperator(task_id="t", request_id=request_id)
    task.about, err.snapshot = request_id, Snapshot(other, "v2", BatchRequestStatus.DONE, BatchUserAction.START)
    with pytest.raises((AirflowFailException, SentinelHubError)), airflow_errors(task):
        raise err
    told = task.lineage()
    assert told is not None
    assert (told.facts["request_id"], told.facts["status"]) == (request_id, None)


@once
def test_a_request_that_was_stopped_at_work_tells_what_it_has_written(bench: Any) -> None:
    request_id, made = bench.started(), list[Any]()
    bench.clock.at(110, lambda: bench.act(request_id, "end"))

    def task() -> Any:
        made.append(SentinelHubBatchSensor(task_id="t", request_id=request_id, deferrable=True))
        return made[-1]

    with pytest.raises(AirflowFailException):
        bench.run(task)
    told = made[-1].lineage()
    assert told.facts["status"] == "STOPPED"
    assert told.facts["processing_units"] > 0
    assert told.folder is not None


@pytest.mark.parametrize("why", ["Trigger timeout", "Trigger failure"])
def test_a_wait_that_airflow_breaks_off_tells_its_request(bench: Any, why: str) -> None:
    bench.sim.settings(tile_seconds=4000.0)
    context, make = bench.context(), job(bench, deferrable=True, timeout=600)
    request_id = deferred(bench, make, context)
    bench.act(request_id, "start")
    bench.clock.sleep(1000)
    task = make()
    with pytest.raises((AirflowFailException, SentinelHubError), match=request_id):
        task.resume_execution("__fail__", {"error": why}, context)
    told = task.lineage()
    assert told.facts["request_id"] == request_id
    assert told.facts.get("status") == (bench.status(request_id) if why == "Trigger timeout" else None)


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


@pytest.mark.parametrize(("begin", "end"), [("2024-06-01", None), (None, "2024-06-30"), ("2024-06-01", "2024-06-30")])
def test_a_time_range_with_one_end_is_a_range(begin: str | None, end: str | None) -> None:
    given = {"from": begin, "to": end}
    (source,) = sources_of([{"type": "a", "dataFilter": {"timeRange": given}}])
    assert source.times == {"begin": begin, "end": end}


@pytest.mark.parametrize("given", [{}, {"from": None}, None, "2024"])
def test_no_time_range_is_no_facet(given: Any) -> None:
    (source,) = sources_of([{"type": "a", "dataFilter": {"timeRange": given}}])
    assert source.times == {}


def provider() -> Path:
    """A folder with the OpenLineage provider, for the Airflow of these tests."""
    sql = importlib.metadata.version("apache-airflow-providers-common-sql")
    older = tuple(int(part) for part in sql.split(".")[:2]) < (
        1,
        32,
    )  # which today's provider needs: that of 3.0 has not
    release = "-2.3" if older else ""
    requirements = Path(__file__).with_name(f"requirements-openlineage{release}.txt")

    def install(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        python = f"--python={sys.executable}"
        env.run(env.uv(), "pip", "install", "--quiet", python, "--no-deps", "--target", folder, "-r", requirements)

    folder = env.ROOT / ".venv-openlineage{}-py{}.{}".format(release, *sys.version_info[:2])
    return kept(folder, requirements, install, "the OpenLineage provider")


RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import lineage_runs, lineage_stopped
for dag in (lineage_runs.maker, lineage_stopped.maker):
    run = dag.test()
    with open(sys.argv[2], "a") as file:  # processes of the provider write to the standard output, too
        print(dag.dag_id, getattr(run.state, "value", run.state), file=file)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Of a job that succeeds, and of one that its limit stops: the last event of its task, and the request.

    The events are those in the file of the provider's transport.
    """
    packages = provider()
    folder = tmp_path_factory.mktemp("lineage")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "lineage_runs.py").write_text(DAGS.replace(", outlets=[MAPS, NEW]", ""))
    stopped = DAGS.replace(", outlets=[MAPS, NEW]", ", max_processing_units=0.001")
    for name in ("maker", "reader"):
        stopped = stopped.replace(f'DAG("{name}"', f'DAG("{name}_stopped"')
    (dags / "lineage_stopped.py").write_text(stopped)
    log = folder / "events.json"
    transport = json.dumps({"type": "file", "log_file_path": str(log), "append": True})
    with Simulator(speed=300, bucket_dir=folder / "buckets") as simulator:
        uri = f"{simulator.airflow_connection_uri}&bucket_mount={folder / 'buckets'}"
        keys = {"AIRFLOW_CONN_SENTINELHUB_DEFAULT": uri, "AIRFLOW_CONN_AWS": "aws://key:secret@"}
        home = environment(folder, dags)
        paths = {"PYTHONPATH": ":".join([str(packages), *(path for path in sys.path if path)])}
        # The provider tells each event from a process that it ends after ten seconds: on a slow machine, before it has
        # told anything.
        settings = {"AIRFLOW__OPENLINEAGE__TRANSPORT": transport, "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "300"}
        variables = {**home, **keys, **paths, **settings}
        put_tables(folder)
        runs = folder / "ended.txt"
        command = program(RUN, str(dags), str(runs))
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=400)
        ended = runs.read_text().splitlines() if runs.exists() else []
        assert ended == ["maker success", "maker_stopped failed"], done.stderr[-3000:]
        requests = {one["id"]: one for one in simulator.requests()}
    assert len(requests) == 2
    assert not {simulator.client_secret, "hush"} & set(log.read_text().split('"'))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    last = {
        name: [one for one in events if one["job"]["name"] == f"{name}.job"][-1] for name in ("maker", "maker_stopped")
    }
    of = {name: event["run"]["facets"]["sentinelhub_job"]["facts"]["request_id"] for name, event in last.items()}
    assert len(set(of.values())) == 2
    return {name: (event, requests[of[name]]) for name, event in last.items()}


@pytest.mark.dag_test
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_the_provider_writes_it_to_a_file(told: Any) -> None:
    event, request = told["maker"]
    assert event["eventType"] == "COMPLETE"
    (source,) = event["inputs"]
    assert source["name"] == "sentinel-2-l2a"
    times = source["facets"]["sentinelhub_timeRange"]
    assert (times["begin"], times["end"]) == ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59Z")
    assert [(one["namespace"], one["name"]) for one in event["outputs"]] == [
        ("s3://my-bucket", f"ndvi/{request['id']}")
    ]
    facts = event["run"]["facets"]["sentinelhub_job"]["facts"]
    assert (facts["request_id"], facts["status"], facts["failed"]) == (request["id"], "DONE", 0)
    assert (request["status"], request["billed_starts"]) == ("DONE", 1)
    assert facts["processing_units"] > 0


@pytest.mark.dag_test
@pytest.mark.timeout(600)
def test_the_provider_writes_a_failure_to_a_file(told: Any) -> None:
    """The job is stopped by its limit before anything is billed: the request is named, with what is known of it."""
    event, request = told["maker_stopped"]
    assert event["eventType"] == "FAIL"
    assert [one["name"] for one in event["inputs"]] == ["sentinel-2-l2a"]
    facts = event["run"]["facets"]["sentinelhub_job"]["facts"]
    assert (facts["request_id"], facts["batch_api"]) == (request["id"], "v2")
    assert (facts["status"], request["billed_starts"]) == ("ANALYSIS_DONE", 0)
    assert not facts["processing_units"]


def test_a_source_keeps_the_times_of_its_own() -> None:
    own = {"type": "a", "dataFilter": {"timeRange": {"from": "1", "to": "2"}}}
    assert sources_of([own, {"type": "b"}], {"from": "x", "to": "y"}) == (Source("a", "1", "2"), Source("b", "x", "y"))


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("s3://maps/ndvi/7", ("s3://maps", "ndvi/7")),
        ("s3://maps", ("s3://maps", "/")),
        ("s3://maps/", ("s3://maps", "/")),
        ("s3://maps/a#b/7", ("s3://maps", "a#b/7")),
        ("s3://maps/year=2024?/7", ("s3://maps", "year=2024?/7")),
        ("s3://maps/a[1]://b/7", ("s3://maps", "a[1]://b/7")),
        ("gs://maps/p/7", ("gs://maps", "p/7")),
    ],
)
def test_a_folder_is_named_by_its_bucket_and_its_whole_path(folder: str, place: tuple[str, str]) -> None:
    assert place_in_bucket(folder) == place
