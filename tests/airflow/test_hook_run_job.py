"""`hook.run_job`: the whole life of a job in a script or a PythonOperator, with the promises of the operator."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import airflow_sentinelhub
from airflow_sentinelhub import BatchSpecification
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.exceptions import (
    DeadlineError,
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    JobPartialError,
    OverBudgetError,
)
from airflow_sentinelhub.transport.sync import SyncDriver
from tests.airflow.job import Killed, described, v1, v2
from tests.airflow.test_partial import BAD


def specification(bench: Any) -> BatchSpecification:
    given = described(bench)
    return BatchSpecification(
        **{name: given[name] for name in ("process_request", "tiling_grid", "area", "evalscript")},
        output=given["destination"],
    )


def run(bench: Any, **how: Any) -> dict[str, Any]:
    given = {"aws_conn_id": "my_bucket", "name": "ndvi-2026-06", "poll_interval": 20.0, **how}
    result: dict[str, Any] = bench.hook.run_job(specification(bench), **given)
    return result


def kill_at(bench: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Die once the reply to a POST to this path is there."""
    send = SyncDriver._send

    def dying(driver: SyncDriver, call: Call[Any], until: float | None) -> Any:
        reply = send(driver, call, until)
        if call.method == "POST" and re.search(path, call.path):
            raise Killed
        return reply

    monkeypatch.setattr(SyncDriver, "_send", dying)


def test_from_create_to_the_result_and_again_for_nothing(bench: Any) -> None:
    first = run(bench)
    assert (first["status"], first["failed"], bench.effects().count("billed_start")) == ("DONE", 0, 1)
    assert run(bench) == first
    assert bench.effects().count("billed_start") == 1


def test_another_name_is_another_job(bench: Any) -> None:
    assert run(bench)["request_id"] != run(bench, name="ndvi-2026-07")["request_id"]
    assert bench.effects().count("billed_start") == 2


@pytest.mark.parametrize("path", ["/process$", "/analyse$", "/start$"])
def test_a_script_that_dies_is_run_again(bench: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with the reply to a call still on its way: the call was carried out."""
    with monkeypatch.context() as patched:
        kill_at(bench, patched, path)
        with pytest.raises(Killed):
            run(bench)
    assert run(bench)["status"] == "DONE"
    assert (bench.effects().count("created"), bench.effects().count("billed_start")) == (1, 1)


@v2
def test_a_connection_that_is_corrected_while_the_job_runs_is_used_for_the_bucket(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a paid job ends unread, though somebody has put right what was wrong hours before."""
    bench.connect(batch_api=bench.api, bucket_mount=str(tmp_path / "nowhere"))
    send = SyncDriver._send

    def correcting(driver: SyncDriver, call: Call[Any], until: float | None) -> Any:
        if call.path.endswith("/start"):
            bench.connect(batch_api=bench.api)
        return send(driver, call, until)

    monkeypatch.setattr(SyncDriver, "_send", correcting)
    assert (run(bench)["status"], bench.effects().count("billed_start")) == ("DONE", 1)


def test_in_a_task_a_retry_goes_on_with_the_job(bench: Any) -> None:
    first = run(bench, name=None, context=bench.context(try_number=1))
    second = run(bench, name=None, context=bench.context(try_number=2))
    assert first["request_id"] == second["request_id"]
    assert bench.effects().count("billed_start") == 1


def test_the_policies_are_those_of_the_operator(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", names=BAD, times=None)
    with pytest.raises(JobPartialError, match="2 of 24 tiles failed") as raised:
        run(bench, on_partial="skip")
    assert raised.value.skip
    assert run(bench, max_failed=2)["failed"] == 2
    assert bench.effects().count("billed_start") == 1


def test_at_the_deadline_it_is_ended_and_stays_so(bench: Any) -> None:
    bench.sim.settings(tile_seconds=4000.0)
    with pytest.raises(DeadlineError, match="not DONE, at the end of the time allowed"):
        run(bench, timeout=300)
    with pytest.raises(JobCancelledError, match="give the job another name to run it anew"):
        run(bench)
    with pytest.raises(AirflowFailException, match="clear the task to run the job anew"):
        run(bench, name=None, context=bench.context(), timeout=300)
    assert bench.effects().count("billed_start") == 2


@v1
def test_the_budget_is_looked_at_before_the_start(bench: Any) -> None:
    with pytest.raises(OverBudgetError, match=r"not been started .* run it again with the same name"):
        run(bench, max_processing_units=0.001)
    assert "billed_start" not in bench.effects()


@pytest.mark.parametrize(
    "how",
    [
        {"name": None},
        {"name": " "},
        {"context": {}},
        {"max_restarts": -1},
        {"resume_stopped": "maybe"},
        {"poll_interval": 0},
        {"timeout": 0},
        {"max_unknown_time": -1},
        {"check_results": False, "max_failed": 2},
        {"check_results": False, "min_success_ratio": 0.9},
    ],
)
def test_what_makes_no_sense_is_said_before_any_call(bench: Any, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        run(bench, **how)
    assert bench.sim.journal() == []


def test_the_specifications_are_public() -> None:
    assert {"BatchSpecification", "StatisticalSpecification"} <= set(airflow_sentinelhub.__all__)


# What it shares with the operator


@pytest.mark.parametrize("of_task", [False, True], ids=["name", "context"])
def test_a_job_of_the_other_generation_is_gone_on_with(
    bench: Any, of_task: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script has died, and somebody has edited `batch_api` in the connection since."""

    def attempt(number: int) -> dict[str, Any]:
        return run(bench, **({"name": None, "context": bench.context(try_number=number)} if of_task else {}))

    with monkeypatch.context() as patched:
        kill_at(bench, patched, "/start$")
        with pytest.raises(Killed):
            attempt(1)
    bench.connect(batch_api="v1" if bench.api == "v2" else "v2")
    result = attempt(2)
    assert (result["status"], result["batch_api"]) == ("DONE", bench.api)
    assert bench.effects().count("billed_start") == 1


def test_in_a_task_a_failed_job_is_not_paid_again_by_a_retry(bench: Any) -> None:
    """Airflow retries whatever a PythonOperator raises, but for its own word that there is to be no retry."""
    bench.sim.fault("fail_analysis", times=1)
    with pytest.raises(AirflowFailException, match="is FAILED"):
        run(bench, name=None, context=bench.context(try_number=1))
    bench.sim.fault("fail_analysis", times=1)
    with pytest.raises(JobFailedError):  # a script decides by itself
        run(bench)


def test_a_second_job_in_one_task_is_refused(bench: Any) -> None:
    """It would be given what the first has brought: the task is all that tells its job from others."""
    context = bench.context()
    first = run(bench, name=None, context=context)
    assert run(bench, name=None, context=context) == first
    other = replace(specification(bench), area=[8.9, 41.9, 9.0, 42.0])
    with pytest.raises(InvalidInputError, match="another job already"):
        bench.hook.run_job(other, context=context, aws_conn_id="my_bucket")
    assert bench.effects().count("billed_start") == 1


@v2
@pytest.mark.slow
def test_a_new_name_is_searched_back_to_since(bench: Any) -> None:
    """v2 has no search: without it the whole list is read."""

    def pages(**how: Any) -> int:
        before = len(bench.sim.journal())
        run(bench, check_results=False, **how)
        calls = [(call["method"], call["path"]) for call in bench.sim.journal()[before:]]
        return sum(method == "GET" and path.endswith("/v2/batch/process") for method, path in calls)

    for _ in range(210):
        bench.create()
    bench.clock.sleep(9000)
    today = bench.clock.utcnow() - timedelta(hours=1)
    whole = pages(name="one")
    short = pages(name="two", since=today)
    assert short < whole
    assert pages(name="one", since=today - timedelta(days=1)) == 1  # it is found on the first page
    assert bench.effects().count("billed_start") == 2


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"since": "2999-01-01"}, "lies in the past"),
        ({"since": "soon"}, "since"),
        ({"since": 7}, "since"),
        ({"since": True}, "since"),
    ],
)
def test_a_since_that_cannot_be_is_refused(bench: Any, how: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        run(bench, **how)
    assert bench.effects() == []


def test_a_since_belongs_to_a_name(bench: Any) -> None:
    with pytest.raises(InvalidInputError, match="it goes with a name"):
        run(bench, name=None, context=bench.context(), since="2020-01-01")
