"""Tiles that cannot be read, or not yet, are unknown: never none, never all, and no reason to pay again."""

from __future__ import annotations

import http.server
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub.api.flows.reread import SPARE_PAGES
from airflow_sentinelhub.api.service import v1 as service_v1
from airflow_sentinelhub.exceptions import (
    InvalidInputError,
    JobPartialError,
    ListTooLongError,
    OverBudgetError,
    ResultsError,
    UnreadResultsError,
)
from airflow_sentinelhub.operators.batch import SentinelHubListBatchTilesOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchTileSensor
from tests.airflow.job import GENERATIONS, RETRY, every_other, job, modes, v1, v2

sensor_modes = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
BROKEN = {
    "execution_missing": "there is no execution database at s3://maps/ndvi/",
    "execution_truncated": "only half of it has been uploaded yet",
    "execution_other_schema": "it has another schema",
}
GOALS: list[dict[str, Any]] = [{}, {"share": 0.5}, {"count": 3}, {"tile_status": "FAILED"}, {"tile": "32TNM_1_3"}]


def sensor(request_id: str, mode: str, **how: Any) -> Callable[[], SentinelHubBatchTileSensor]:
    given: dict[str, Any] = {"task_id": "wait", "request_id": request_id, "poke_interval": 60.0, **how}
    given |= {"deferrable": mode == "deferred", "mode": "poke" if mode == "deferred" else mode}
    return lambda: SentinelHubBatchTileSensor(**given)


def listing(request_id: str, **how: Any) -> Callable[[], SentinelHubListBatchTilesOperator]:
    return lambda: SentinelHubListBatchTilesOperator(task_id="tiles", request_id=request_id, **how)


def names(chunks: Any) -> list[str]:
    return [tile["name"] for chunk in chunks for tile in chunk]


def file(bench: Any, request_id: str, kind: str = "execution") -> Path:
    (found,) = (bench.sim.bucket_dir / "maps").rglob(f"{kind}-{request_id}.*")
    return Path(found)


def empty(bench: Any, request_id: str) -> Callable[[], None]:
    """Take both files of a request away; returns what puts them back."""
    kept = {}
    for kind in ("execution", "featureManifest"):
        path = file(bench, request_id, kind)
        kept[path] = path.read_bytes()
        path.unlink()

    def back() -> None:
        for path, content in kept.items():
            path.write_bytes(content)

    return back


def behind(bench: Any, request_id: str, change: str = "status = 'PENDING', delivered = 0") -> Callable[[], None]:
    """Have the execution database lag behind; returns what puts it right."""
    path = file(bench, request_id)
    content = path.read_bytes()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE features SET {change} WHERE id <= 2")
        database.commit()

    def back() -> None:
        path.write_bytes(content)

    return back


def paid_once(bench: Any) -> bool:
    return bool(bench.effects().count("billed_start") == 1 and bench.effects().count("created") == 1)


# The sensor


@v2
@sensor_modes
@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_without_its_files_a_job_that_is_done_reaches_no_goal(bench: Any, mode: str, goal: dict[str, Any]) -> None:
    request_id = bench.ended()
    empty(bench, request_id)
    began = bench.clock.now

    with pytest.raises(UnreadResultsError) as caught:
        bench.run(sensor(request_id, mode, max_unknown_time=600, **goal))

    said, cost = str(caught.value), bench.state(request_id)["cost"]
    assert caught.value.retry_helps
    assert said.startswith(f"Batch request {request_id} is DONE and paid ({cost:,.1f} PU), but its results could not")
    assert f"there is no execution database at s3://maps/ndvi/{request_id}/execution-{request_id}.sqlite" in said
    assert "It does not run any more and bills nothing further. Mend the access to the bucket" in said
    assert "nothing is started or billed" in said
    assert 600 <= bench.clock.now - began <= 800
    assert paid_once(bench)


@v2
@sensor_modes
def test_files_that_come_later_are_waited_for(bench: Any, mode: str) -> None:
    request_id = bench.ended()
    bench.clock.at(500, empty(bench, request_id))
    bench.run(sensor(request_id, mode))
    assert paid_once(bench)


@v2
@sensor_modes
@pytest.mark.parametrize("setting", BROKEN)
@pytest.mark.thorough
def test_files_that_cannot_be_read_are_read_again(bench: Any, mode: str, setting: str) -> None:
    bench.sim.settings(**{setting: True})
    request_id = bench.started()
    bench.clock.at(2000, lambda: bench.sim.settings(**{setting: False}))
    with pytest.raises(UnreadResultsError, match=BROKEN[setting]):
        bench.run(sensor(request_id, mode, max_unknown_time=300))
    bench.run(sensor(request_id, mode))
    assert bench.effects().count("billed_start") == 1


@v2
@sensor_modes
@pytest.mark.parametrize("change", ["status = 'PENDING', delivered = 0", "delivered = 0", "status = NULL"])
def test_a_database_behind_the_request_is_read_again(bench: Any, mode: str, change: str) -> None:
    request_id = bench.ended()
    bench.clock.at(300, behind(bench, request_id, change))
    bench.run(sensor(request_id, mode))

    behind(bench, request_id, change)
    with pytest.raises(UnreadResultsError, match=r"2 of 24 features are not at their end \(32TMM_\w+ is "):
        bench.run(sensor(request_id, mode, max_unknown_time=300))


@v2
@sensor_modes
def test_unfinished_tiles_of_a_stopped_job_are_as_they_are(bench: Any, mode: str) -> None:
    request_id = bench.started()
    bench.clock.at(100, lambda: bench.act(request_id, "end"))
    with pytest.raises(AirflowFailException, match="is STOPPED"):
        bench.run(sensor(request_id, mode, poke_interval=10.0))
    assert "PENDING" in bench.tile_statuses(request_id).values()
    done = list(bench.tile_statuses(request_id).values()).count("PROCESSED")
    bench.run(sensor(request_id, mode, count=done))


@v2
@sensor_modes
def test_before_the_first_upload_all_tiles_are_pending(bench: Any, mode: str) -> None:
    """Of a request that is processed, the manifest names them; without it they are unknown, and not none."""
    bench.sim.settings(execution_missing=True)
    request_id = bench.started()
    bench.clock.sleep(60)
    assert bench.status(request_id) == "PROCESSING"
    bench.run(sensor(request_id, mode, tile_status="PENDING"))

    bench.sim.settings(tile_seconds=5000.0)
    other = bench.started()
    bench.clock.sleep(60)
    path = file(bench, other, "featureManifest")
    content = path.read_bytes()
    path.unlink()
    said = r"is PROCESSING, but .* there is no feature manifest .* It runs on and bills"
    with pytest.raises(UnreadResultsError, match=said):
        bench.run(sensor(other, mode, tile_status="PENDING", max_unknown_time=120))
    bench.clock.at(60, lambda: path.write_bytes(content))
    bench.run(sensor(other, mode, tile_status="PENDING"))


@sensor_modes
def test_before_analysis_there_are_no_tiles_and_the_sensor_waits(bench: Any, mode: str) -> None:
    request_id = bench.create()
    bench.clock.at(3000, lambda: bench.act(request_id, "start"))
    bench.run(sensor(request_id, mode, wait_for_start=True, max_unknown_time=60))
    assert bench.effects().count("billed_start") == 1


@v2
@sensor_modes
def test_nothing_to_do_needs_the_manifest_alone(bench: Any, mode: str) -> None:
    """The analysis ended in DONE, since every output is there."""
    place = {"type": "raster", "delivery": {"s3": {"url": "s3://maps/once/<tileName>/<outputId>.<format>"}}}
    bench.ended(output=place)
    again = bench.create(output={**place, "skipExisting": True})
    bench.act(again, "analyse")
    bench.clock.sleep(60)
    assert (bench.status(again), bench.state(again)["cost"]) == ("DONE", 0)
    bench.run(sensor(again, mode))

    path = file(bench, again, "featureManifest")
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(UnreadResultsError, match=r"is DONE, but .* there is no feature manifest"):
        bench.run(sensor(again, mode, max_unknown_time=60))
    bench.clock.at(100, lambda: path.write_bytes(content))
    bench.run(sensor(again, mode))


@v2
def test_an_unread_bucket_is_no_verdict_for_soft_fail(bench: Any) -> None:
    request_id = bench.ended()
    empty(bench, request_id)
    with pytest.raises(UnreadResultsError):
        bench.run(sensor(request_id, "deferred", max_unknown_time=60, soft_fail=True))
    with pytest.raises(AirflowSkipException, match="is DONE and paid"):
        bench.run(sensor(request_id, "deferred", max_unknown_time=60, never_fail=True))


@v1
@sensor_modes
def test_a_list_of_tiles_that_lags_behind_is_read_again(bench: Any, mode: str) -> None:
    request_id = bench.ended()
    one = {"data": [{"id": 1, "name": "32TNM_1_3", "status": "PROCESSED", "cost": 1.0}], "links": {}}
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=one, times=None)
    with pytest.raises(UnreadResultsError, match="of 24 tiles are not said to be at their end yet") as caught:
        bench.run(sensor(request_id, mode, max_unknown_time=120))
    assert f"Batch request {request_id} is DONE and paid, but its results" in str(caught.value)
    bench.clock.at(300, bench.sim.clear_faults)
    bench.run(sensor(request_id, mode))


# Arguments that come out of templates


@every_other(
    name=["tile", "count", "share"],
    value=[None, "", "None", " "],
    mode=["poke", "deferred"],
    generation=GENERATIONS,
)
@pytest.mark.thorough
def test_a_goal_that_comes_out_as_nothing_is_not_all_tiles(bench: Any, name: str, value: Any, mode: str) -> None:
    request_id = bench.ended()

    def rendered() -> SentinelHubBatchTileSensor:
        task = sensor(request_id, mode, **{name: "{{ params.goal }}"})()
        setattr(task, name, value)
        return task

    with pytest.raises(AirflowFailException, match=f"^{name} is given in the DAG, but has come out as"):
        bench.run(rendered)
    bench.run(sensor(request_id, mode, **{name: None}))


@pytest.mark.parametrize("name", ["status", "chunk_size"])
@pytest.mark.parametrize("value", [None, "", "None"])
def test_a_filter_that_comes_out_as_nothing_is_not_everything(bench: Any, name: str, value: Any) -> None:
    request_id = bench.ended()

    def rendered() -> SentinelHubListBatchTilesOperator:
        task = listing(request_id, **{name: "{{ params.filter }}"})()
        setattr(task, name, value)
        return task

    with pytest.raises(AirflowFailException, match=f"^{name} is given in the DAG, but has come out as"):
        bench.run(rendered)
    assert len(names(bench.run(listing(request_id, **{name: None})))) == 24


def test_a_status_that_no_tile_has_is_refused(bench: Any) -> None:
    request_id = bench.ended()
    with pytest.raises(
        InvalidInputError, match=r"status is 'PROCESED'; it must be one of PENDING, .*PROCESSED, FAILED"
    ):
        listing(request_id, status="PROCESED")()

    def rendered() -> SentinelHubListBatchTilesOperator:
        task = listing(request_id, status="{{ params.status }}")()
        task.status = "PROCESED"
        return task

    with pytest.raises(AirflowFailException, match="'PROCESED'"):
        bench.run(rendered)


@v2
def test_a_status_that_no_tile_has_is_refused_by_the_hook(bench: Any) -> None:
    request_id = bench.ended()
    with bench.hook.results(request_id) as results:
        assert len(list(results.tiles("PROCESSED"))) == 24
        with pytest.raises(InvalidInputError, match=r"status is 'PROCESED'; .*, or be None for all"):
            results.tiles("PROCESED")


# The list


@v2
def test_a_list_without_its_files_is_no_empty_list(bench: Any) -> None:
    request_id = bench.ended()
    back = empty(bench, request_id)
    with pytest.raises(UnreadResultsError, match=f"{request_id} is DONE and paid .* there is no execution database"):
        bench.run(listing(request_id, max_unknown_time=300))
    bench.clock.at(300, back)
    assert len(names(bench.run(listing(request_id)))) == 24
    bench.clock.at(300, behind(bench, request_id))
    assert len(names(bench.run(listing(request_id)))) == 24
    file(bench, request_id, "featureManifest").unlink()
    assert len(names(bench.run(listing(request_id)))) == 24, "the database knows names and statuses"
    with pytest.raises(UnreadResultsError, match="no feature manifest"):
        bench.run(listing(request_id, with_paths=True, max_unknown_time=60))
    assert paid_once(bench)


def test_before_analysis_the_list_is_empty(bench: Any) -> None:
    request_id = bench.create()
    began = bench.clock.now
    assert bench.run(listing(request_id)) == []
    assert bench.clock.now == began


@v1
@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": [], "links": {}}])
@pytest.mark.parametrize("status", ["PROCESSED", None])
def test_an_empty_list_of_a_request_that_is_done_is_read_again(bench: Any, body: Any, status: str | None) -> None:
    request_id = bench.ended()
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=3)
    assert len(names(bench.run(listing(request_id, status=status)))) == 24
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=None)
    with pytest.raises(UnreadResultsError, match=r"is DONE and paid, but .* the list of its tiles shows none"):
        bench.run(listing(request_id, status=status, max_unknown_time=60))


# The whole job


@v2
@modes
def test_a_job_whose_files_cannot_be_read_is_no_success(bench: Any, deferrable: bool) -> None:
    bench.sim.settings(execution_missing=True, manifest_missing=True)
    bench.sim.fault("fail_tiles", share=0.9)
    make = partial(job, bench, deferrable=deferrable, max_failed_tiles=0, max_unknown_time=600)
    context = bench.context()
    began = bench.clock.now
    with pytest.raises(UnreadResultsError) as caught:
        bench.run(make(), context)

    (request,) = bench.sim.requests()
    said = str(caught.value)
    assert said.startswith(
        f"Batch request {request['id']} is DONE and paid ({request['cost']:,.1f} PU), but its results"
    )
    assert "there is no execution database at s3://maps/ndvi/" in said
    assert "The next try of this task reads again; it starts and bills nothing." in said
    assert "check_tiles=False" in said
    assert said.count(request["id"]) == 3, "once for the request, twice in the address"
    assert bench.clock.now - began > 600

    bench.sim.settings(execution_missing=False, manifest_missing=False)
    with pytest.raises(JobPartialError, match="of 24 tiles failed"):
        bench.run(make(), bench.context(**RETRY))
    assert paid_once(bench)


@v2
@modes
@pytest.mark.parametrize("setting", BROKEN)
def test_a_job_waits_for_files_that_can_be_read(bench: Any, deferrable: bool, setting: str) -> None:
    bench.sim.settings(**{setting: True})
    bench.clock.at(1200, lambda: bench.sim.settings(**{setting: False}))
    result = bench.run(job(bench, deferrable=deferrable))
    assert (result["processed"], result["failed"], result["checked"]) == (24, 0, True)
    assert paid_once(bench)


@v2
def test_a_job_waits_for_a_database_behind_it(bench: Any) -> None:
    request_id = bench.ended()
    bench.clock.at(300, behind(bench, request_id))
    result = bench.run(job(bench, request_id=request_id))
    assert (result["processed"], result["failed"]) == (24, 0)
    behind(bench, request_id)
    with pytest.raises(UnreadResultsError, match=r"2 of 24 features are not at their end .*DONE|is DONE"):
        bench.run(job(bench, request_id=request_id, max_unknown_time=60))
    assert paid_once(bench)


@v2
def test_what_is_mended_in_a_connection_counts_while_a_task_waits(bench: Any) -> None:
    request_id = bench.ended()
    bench.connect(bucket_mount=str(bench.sim.bucket_dir / "nowhere"))
    bench.clock.at(300, bench.connect)
    assert bench.run(job(bench, request_id=request_id))["processed"] == 24
    bench.connect(bucket_mount="nobody-knows-this://x")
    with pytest.raises(UnreadResultsError, match="The mount nobody-knows-this://x cannot be used") as caught:
        bench.run(job(bench, request_id=request_id, max_unknown_time=60))
    assert caught.value.retry_helps, "the job is paid, so no error about it is final"


@v2
@modes
def test_whoever_wants_no_look_gets_none(bench: Any, deferrable: bool, logged: Callable[[], str]) -> None:
    bench.sim.settings(execution_missing=True, manifest_missing=True)
    bench.sim.fault("fail_tiles", share=0.9)
    bench.connect(bucket_mount=str(bench.sim.bucket_dir / "nowhere"))
    context = bench.context()
    result = bench.run(job(bench, deferrable=deferrable, check_tiles=False), context)
    assert {name: result[name] for name in ("tile_count", "processed", "failed", "failed_tiles", "checked")} == {
        "tile_count": None,
        "processed": None,
        "failed": None,
        "failed_tiles": None,
        "checked": False,
    }
    assert result["processing_units"] == pytest.approx(bench.state(result["request_id"])["cost"])
    assert context["ti"].xcoms["failed_tiles"] is None
    assert "tiles not looked at" in logged()


@v1
@modes
def test_no_look_at_a_partial_job_of_v1(bench: Any, deferrable: bool) -> None:
    """The service's word is all there is: PARTIAL is no success unless that is accepted."""
    bench.sim.fault("fail_tiles", share=0.2, times=3)
    with pytest.raises(JobPartialError, match="is PARTIAL: some tiles failed; their names were not read"):
        bench.run(job(bench, deferrable=deferrable, check_tiles=False))
    assert bench.calls("GET", "/tiles") == []
    result = bench.run(job(bench, check_tiles=False, on_partial="accept"), bench.context(**RETRY))
    assert (result["status"], result["failed"], result["processing_units"]) == ("PARTIAL", None, None)
    result = bench.run(job(bench, check_tiles=False, max_restarts=3), bench.context(**RETRY, task_id="other"))
    assert result["status"] == "DONE"


def test_no_look_contradicts_limits_that_need_one(bench: Any) -> None:
    for limits in ({"max_failed_tiles": 3}, {"min_success_ratio": 0.9}):
        (name,) = limits
        with pytest.raises(InvalidInputError, match=f"With check_tiles=False the results .* so {name} has no effect"):
            job(bench, check_tiles=False, **limits)()
    with pytest.raises(InvalidInputError, match="so max_restarts has no effect"):
        job(bench, check_tiles=False, max_restarts=1, batch_api="v2")()
    job(bench, check_tiles=False, max_restarts=1, batch_api="v1")()
    with pytest.raises(InvalidInputError, match="check_tiles is True or False, not '"):
        job(bench, check_tiles="perhaps")()
    job(bench, check_tiles="{{ params.look }}")()

    def rendered() -> Any:
        task = job(bench, check_tiles=False, max_failed_tiles="{{ params.most }}")()
        task.max_failed_tiles = "3"
        return task

    with pytest.raises(AirflowFailException, match="so max_failed_tiles has no effect"):
        bench.run(rendered)
    if bench.api == "v2":
        with pytest.raises(AirflowFailException, match="so max_restarts has no effect"):
            bench.run(job(bench, check_tiles=False, max_restarts=1))
    assert bench.effects() == []


@v2
@pytest.mark.usefixtures("unpriced")
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
def test_a_job_over_budget_whose_files_cannot_be_read(bench: Any, policy: str) -> None:
    """What would succeed with what is there has to read it; what fails anyway does not wait for it."""
    bench.sim.settings(concurrency=2, billing_period=5.0, execution_missing=True)
    make = job(
        bench, max_processing_units=10, on_over_budget=policy, poll_interval=5.0, max_unknown_time=900, retries=0
    )
    began = bench.clock.now
    if policy == "stop":
        with pytest.raises(UnreadResultsError, match="is STOPPED, but its results could not be read"):
            bench.run(make)
        bench.sim.settings(execution_missing=False)
        result = bench.run(make, bench.context(try_number=2))
        assert 0 < result["processed"] < result["tile_count"]
    else:
        with pytest.raises(AirflowSkipException if policy == "skip" else AirflowFailException) as caught:
            bench.run(make)
        assert "more than the 10 PU" in str(caught.value)
        assert policy == "skip" or isinstance(caught.value.__cause__, OverBudgetError)
        assert bench.clock.now - began < 600
    assert bench.effects().count("billed_start") == 1


# Before anything is created


@v2
def test_what_could_not_be_read_later_is_said_before_anything_is_created(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def refused(said: str, **members: Any) -> None:
        with pytest.raises(AirflowFailException) as caught:
            bench.run(job(bench, **members))
        for word in (said, "aws_conn_id", "bucket_mount", "check_tiles=False", "This try has created nothing"):
            assert word in str(caught.value)
        assert bench.effects() == []

    bench.connect(bucket_mount="/nowhere/at/all")
    refused("there is no folder /nowhere/at/all")
    bench.connect(bucket_mount=None)
    refused("there are no S3 credentials", aws_conn_id=None, iam_role_arn="arn:aws:iam::1:role/x")
    monkeypatch.setitem(sys.modules, "boto3", None)
    refused("needs boto3: pip install")
    bench.run(job(bench, check_tiles=False))
    assert bench.effects().count("billed_start") == 1


@v1
def test_v1_reads_no_bucket(bench: Any) -> None:
    bench.connect(bucket_mount="/nowhere/at/all", batch_api="v1")
    assert bench.run(job(bench))["processed"] == 24


@v2
def test_a_retry_whose_bucket_is_gone_does_not_give_its_job_up(bench: Any) -> None:
    first = bench.run(job(bench))
    bench.connect(bucket_mount="/nowhere/at/all")
    with pytest.raises(UnreadResultsError, match=f"{first['request_id']} is DONE and paid"):
        bench.run(job(bench, max_unknown_time=60), bench.context(**RETRY))
    bench.connect()
    assert bench.run(job(bench), bench.context(**RETRY)) == first
    assert paid_once(bench)


# A bucket that asks to slow down


@pytest.fixture
def busy_s3(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The simulator's buckets behind the S3 protocol; refuses the first so many requests, with this status.

    What botocore would sleep between its own attempts passes at once.
    """
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))

    class Handler(http.server.BaseHTTPRequestHandler):
        left, status, asked = 0, 498, 0

        def do_GET(self) -> None:
            cls = type(self)
            cls.asked += 1
            path = bench.sim.bucket_dir / self.path.partition("?")[0].lstrip("/")
            status, body = 200, b""
            if cls.left > 0:
                cls.left -= 1
                status, body = cls.status, b"<Error><Code>SlowDown</Code><Message>slower</Message></Error>"
            elif path.is_file():
                body = path.read_bytes()
            else:
                status, body = 404, b"<Error><Code>NoSuchKey</Code></Error>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    bench.connect(bucket_mount=None)
    keys = {"conn_type": "aws", "login": "AKIA", "password": "hush"}
    bench.connection("my_bucket", **keys, extra={"endpoint_url": f"http://127.0.0.1:{server.server_port}"})
    yield Handler
    server.shutdown()
    server.server_close()
    thread.join()


@v2
@pytest.mark.parametrize("status", [498, 503])
def test_a_bucket_that_is_rate_limited_is_waited_out(bench: Any, busy_s3: Any, status: int) -> None:
    pytest.importorskip("boto3")
    request_id = bench.ended()
    busy_s3.status, busy_s3.left = status, 6
    result = bench.run(job(bench, request_id=request_id))
    assert (result["processed"], result["failed"]) == (24, 0)
    assert busy_s3.left == 0
    busy_s3.left = 6
    bench.run(sensor(request_id, "deferred", aws_conn_id="my_bucket"))
    assert busy_s3.left == 0
    busy_s3.left = 10_000
    with pytest.raises(ResultsError, match=rf"is DONE and paid .* answered {status} SlowDown"):
        bench.run(job(bench, request_id=request_id, max_unknown_time=20))


# What an outcome says


def test_a_job_names_its_unfinished_tiles(bench: Any) -> None:
    from airflow_sentinelhub.api.flows.read import read

    bench.sim.settings(concurrency=2)
    request_id = bench.started()
    bench.clock.sleep(110)
    bench.act(request_id, "end")
    bench.clock.sleep(120)
    task = job(bench, request_id=request_id)()
    stopped = task.hook.run(read(task.api, request_id))
    found = task.hook.run(task.results_reader().read(task.api, stopped))
    statuses = bench.tile_statuses(request_id)
    left = sorted(name for name, status in statuses.items() if status not in ("PROCESSED", "FAILED"))
    assert found.unfinished == len(left) > 10
    assert sorted(name for name, _ in found.unfinished_tiles) == left
    assert all(status == statuses[name] for name, status in found.unfinished_tiles)
    assert found.unfinished_names().endswith(f" and {len(left) - 10} more")
    assert f"{found.unfinished_tiles[0][0]} (" in found.unfinished_names()
    assert found.processed + len(left) == found.total == 24


@v1
def test_tiles_of_v1_cost_a_third_of_what_they_say(bench: Any) -> None:
    result = bench.run(job(bench))
    costs = [tile["cost"] for tile in bench.hook.batch.iter_tiles(result["request_id"])]
    assert result["processing_units"] == pytest.approx(sum(costs) / 3)
    assert sum(costs) > 1


@v1
@pytest.mark.parametrize("cost", [None, "much", [3]], ids=str)
def test_a_tile_of_v1_that_does_not_say_its_cost_makes_the_cost_unknown_and_fails_nothing(
    bench: Any, cost: Any
) -> None:
    request_id = bench.ended()
    first, *others = list(bench.hook.batch.iter_tiles(request_id))
    body = {"data": [{**first, "cost": cost}, *others], "links": {}}
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=None)
    result = bench.run(job(bench, request_id=request_id))
    assert (result["processed"], result["processing_units"]) == (24, None)


@v2
def test_all_tiles_of_a_job_that_was_continued_are_in_the_first_manifest(bench: Any) -> None:
    """What continues it may know no more tiles than those it has processed; the first may be gone at the service."""
    bench.sim.fault("fail_tiles", share=0.3, times=1)
    bench.run(job(bench, max_restarts=1))
    first, second = (request["id"] for request in bench.sim.requests())
    with closing(sqlite3.connect(file(bench, first))) as database:
        failed = [name for (name,) in database.execute("SELECT name FROM features WHERE status = 'FATAL'")]
    assert 0 < len(failed) < 24
    words = ", ".join(f"'{name}'" for name in failed)
    with closing(sqlite3.connect(file(bench, second))) as database:
        database.execute(f"DELETE FROM features WHERE name NOT IN ({words})")
        database.commit()
    with closing(sqlite3.connect(file(bench, second, "featureManifest"))) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'feature%'")
        for (table,) in tables.fetchall():
            database.execute(f"DELETE FROM {table} WHERE identifier NOT IN ({words})")
        database.commit()
    for gone in (False, True):
        if gone:
            bench.sim.fault("status", f"/{first}$", method="GET", status=404, times=None)
        result = bench.run(job(bench, request_id=second))
        assert (result["tile_count"], result["processed"], result["failed"]) == (24, 24, 0)
    empty(bench, first)
    with pytest.raises(UnreadResultsError, match=f"no feature manifest at s3://maps/ndvi/{first}/"):
        bench.run(job(bench, request_id=second, max_unknown_time=60))


@v2
def test_a_cost_that_cannot_be_read_is_unknown(bench: Any) -> None:
    """The first of two requests is not known to the service any more; its files are still there."""
    bench.sim.fault("fail_tiles", share=0.3, times=1)
    make = job(bench, max_restarts=1)
    whole = bench.run(make)
    first, second = bench.sim.requests()
    assert whole["processing_units"] == pytest.approx(first["cost"] + second["cost"])

    bench.sim.fault("status", f"/{first['id']}$", method="GET", status=404, times=None)
    result = bench.run(job(bench, request_id=second["id"], max_unknown_time=60))
    assert result["processing_units"] is None
    assert (result["processed"], result["tile_count"], result["failed"]) == (24, 24, 0)
    bench.sim.clear_faults()

    shown = {name: value for name, value in bench.shown(first["id"]).items() if name != "costPU"}
    bench.sim.fault("status", f"/{first['id']}$", method="GET", status=200, body=shown, times=None)
    assert bench.run(job(bench, request_id=second["id"]))["processing_units"] is None


@v1
def test_a_list_that_never_ends_is_given_up_by_the_number_of_tiles(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its pages names another one; the request has 24 tiles."""
    request_id, real, pages = bench.ended(), service_v1.list_tiles, list[Any]()

    def endless(request_id: str, **how: Any) -> Any:
        pages.append(how)
        call = real(request_id, **{**how, "viewtoken": None})
        return replace(call, parse=lambda body: replace(call.parse(body), next_token=str(len(pages))))

    monkeypatch.setattr(service_v1, "list_tiles", endless)
    with pytest.raises(ListTooLongError, match="pages were read and there are more"):
        bench.run(listing(request_id, max_unknown_time=0))
    assert len(pages) <= 24 + SPARE_PAGES + 1
