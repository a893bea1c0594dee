"""However an exception leaves a task while a request of ours is at work: it can be retried, or says what became of it.

Each call of a task's life is answered with each refusal and each senseless reply, in each mode, in the first try and in
a retry; and things are not there any more at the second try.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowNotFoundException, AirflowSkipException
from airflow_sentinelhub._task_arguments import ArgumentError
from airflow_sentinelhub.exceptions import SentinelHubError, StillRunningError
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchBudgetOperator,
    SentinelHubCancelBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubStartBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from tests.airflow.job import CLEARED, GENERATIONS, MODES, RETRY, Killed, creating, every_other, job, kill, v1

pytestmark = pytest.mark.thorough

MOMENTS = (0, 15, 25, 45, 90, 150)
STATUSES = (302, 400, 401, 403, 404, 409, 429, 503)
"""One of each error that a status stands for; which others stand for the same is in tests/api/test_call.py."""
SENSELESS = (
    "null",
    "{}",
    '{"id": null, "status": null}',
    "9" * 400,
    "[" * 100_000,
    "<html>login</html>",
)
WORDS = ("runs on and bills", "does not run any more", "has not been started", "is on its way")


def refusal(bench: Any, status: int, path: str, **how: Any) -> None:
    bench.sim.fault("status", path, status=status, **{"times": None, **how})


def left_well(bench: Any, error: BaseException) -> None:
    """What must hold of an exception that has left a task."""
    assert isinstance(error, (SentinelHubError, AirflowFailException, AirflowSkipException)), repr(error)
    assert len(str(error)) < 4_000
    if isinstance(error, SentinelHubError):
        return  # Airflow retries it
    for request in bench.sim.requests():
        if request["billed_starts"]:
            assert request["id"] in str(error)
            assert any(words in str(error) for words in WORDS), error
            running = request["status"] not in ("DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED")
            assert not running, f"a final error left {request['id']} at work: {error}"


def runs(bench: Any, make: Callable[[], Any], context: Any = None) -> Any:
    """What a task returns, or the exception that leaves it."""
    try:
        return bench.run(make, context)
    except Exception as error:
        left_well(bench, error)
        return error


def then_well(bench: Any, make: Callable[[], Any], context: Any) -> None:
    """When all is well again, a retry ends with the one job that was started."""
    bench.sim.clear_faults()
    if not isinstance(runs(bench, make, context), AirflowFailException):
        assert bench.effects().count("billed_start") <= 1
        assert all(one["status"] == "DONE" for one in bench.sim.requests() if one["billed_starts"])


@every_other(
    refused=[(status, moment) for at, status in enumerate(STATUSES) for moment in MOMENTS[at % 3 :: 3]],
    deferrable=MODES,
    generation=GENERATIONS,
)
def test_a_refusal_at_any_moment(bench: Any, deferrable: bool, refused: tuple[int, float]) -> None:
    """From then on each call is refused, for half an hour of the service's time."""
    status, moment = refused
    bench.clock.at(moment, lambda: refusal(bench, status, "/batch/")) if moment else refusal(bench, status, "/batch/")
    make = job(bench, deferrable=deferrable, max_unknown_time=120, poll_interval=20.0)
    left = runs(bench, make)
    assert isinstance(left, Exception)
    then_well(bench, make, bench.context(**RETRY))


@every_other(status=STATUSES, method=["GET", "POST"], deferrable=MODES, generation=GENERATIONS)
def test_one_refusal_of_each_call(bench: Any, deferrable: bool, status: int, method: str) -> None:
    """The first call of each kind is refused once."""
    for path in ("/process$", "/process/[^/]+$", "/analyse$", "/start$", "/tiles$", "/tilinggrids$"):
        refusal(bench, status, path, method=method, times=1)
    make = job(bench, deferrable=deferrable, max_unknown_time=300)
    runs(bench, make)
    then_well(bench, make, bench.context(**RETRY))


@every_other(body=SENSELESS, moment=[0, 25, 90], deferrable=MODES, generation=GENERATIONS)
def test_senseless_replies_from_any_moment(bench: Any, deferrable: bool, body: str, moment: float) -> None:
    def senseless() -> None:
        bench.sim.fault("status", "/batch/", method="GET", status=200, body=body, times=None)

    bench.clock.at(moment, senseless) if moment else senseless()
    make = job(bench, deferrable=deferrable, max_unknown_time=120, poll_interval=20.0)
    assert isinstance(runs(bench, make), Exception)
    then_well(bench, make, bench.context(**RETRY))


# What is there no more at the second try


def processing(bench: Any, make: Callable[[], Any]) -> str:
    bench.clock.at(90, kill)
    with pytest.raises(Killed):
        bench.run(make)
    (request,) = bench.sim.requests()
    assert (request["status"], request["billed_starts"]) == ("PROCESSING", 1)
    return str(request["id"])


GONE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "the evalscript": lambda bench: {"evalscript": ""},
    "the area": lambda bench: {"area": "no area"},
    "the grid": lambda bench: {"tiling_grid": {"id": 99, "resolution": 10}},
    "the place": lambda bench: {"destination": "not a place"},
    "the bucket's connection": lambda bench: {"aws_conn_id": "nowhere"},
    "the policy": lambda bench: {"on_partial": "{{ '' }}"},
}

GOES_ON = ("the evalscript", "the grid", "the bucket's connection")
"""What only a create needs: a retry goes on with the request that is there."""


@every_other(what=GONE, again=["retry", "clear"], deferrable=MODES, generation=GENERATIONS)
def test_what_cannot_be_rendered_any_more_does_not_hide_what_runs(
    bench: Any, deferrable: bool, what: str, again: str
) -> None:
    context = {"retry": RETRY, "clear": CLEARED}[again]
    first = job(bench, deferrable=deferrable)
    request_id = processing(bench, first)
    broken = job(bench, deferrable=deferrable, **GONE[what](bench))
    left = runs(bench, broken, bench.context(**context))
    assert bench.effects().count("billed_start") == 1
    if again == "retry" and what in GOES_ON:
        assert isinstance(left, dict), left
    if isinstance(left, dict):
        assert left["request_id"] == request_id
    else:
        assert not {"cancelled", "stopped"} & set(bench.effects()), "it was ended for a job that cannot be made"
        if not isinstance(left, ArgumentError):  # the file of the DAG is refused: there is no task that could say more
            assert f"{request_id} is PROCESSING. It runs on and bills" in str(left)
        then_well(bench, first, bench.context(**{**context, "try_number": 3}))


@pytest.mark.parametrize("path", ["/tilinggrids$", "/process$", "/process/[^/]+$"])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_service_does_not_give_any_more_at_the_second_try(bench: Any, path: str, status: int) -> None:
    """As after a rotation of the secret, or where the account has lost a right."""
    make = job(bench, max_unknown_time=300)
    processing(bench, make)
    refusal(bench, status, path)
    left = runs(bench, make, bench.context(**RETRY))
    if isinstance(left, Exception):
        assert isinstance(left, SentinelHubError), "a retry may mend it"
    then_well(bench, make, bench.context(try_number=3, max_tries=3))


def test_refused_credentials_at_the_second_try(bench: Any) -> None:
    make = job(bench, max_unknown_time=300)
    processing(bench, make)
    bench.connection(
        "sentinelhub_default",
        conn_type="sentinelhub",
        login=bench.sim.client_id,
        password="rotated",
        host=bench.sim.url,
        extra={"token_url": bench.sim.auth_url, "batch_api": bench.api, "bucket_mount": str(bench.sim.bucket_dir)},
    )
    left = runs(bench, make, bench.context(**RETRY))
    assert isinstance(left, SentinelHubError)
    assert "may be running" in str(left)
    bench.connect(batch_api=bench.api)
    then_well(bench, make, bench.context(try_number=3, max_tries=3))


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_connection_that_airflow_does_not_find_at_the_second_try(
    bench: Any, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    """The error is Airflow's, and stays retryable; the log says that the job may be running."""
    make = job(bench, deferrable=deferrable)
    processing(bench, make)
    with monkeypatch.context() as patch:
        patch.delenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT")
        with pytest.raises(AirflowNotFoundException):
            bench.run(make, bench.context(**RETRY))
    assert "may be running while this try ends with AirflowNotFoundException" in logged()
    then_well(bench, make, bench.context(try_number=3, max_tries=3))


def test_a_connection_that_is_gone_when_the_wait_is_over_hides_no_request(
    bench: Any, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = job(bench, deferrable=True)
    request_id = bench.run(make)["request_id"]
    monkeypatch.delenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT")
    with pytest.raises(AirflowNotFoundException):
        make().execute_complete(bench.context(), bench.events[-1])
    assert f"Batch request {request_id} may be running" in logged()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("max_unknown_time", "soon", "may be running"), ("max_poll_interval", "5", "is DONE and paid")],
)
def test_an_argument_that_is_wrong_when_the_wait_is_over_hides_no_request(
    bench: Any, name: str, value: str, said: str
) -> None:
    """Its template renders to something else then. What contradicts another one is found when the event was read."""
    context = bench.context()
    request_id = bench.run(job(bench, deferrable=True), context)["request_id"]
    woken = job(bench, deferrable=True, **{name: "{{ params.it }}"})()
    setattr(woken, name, value)
    with pytest.raises(StillRunningError, match=f"Batch request {request_id} {said}"):
        woken.resume_execution("execute_complete", {"event": bench.events[-1]}, context)


def test_an_airflow_that_takes_no_xcom_hides_no_request_that_was_found(bench: Any, logged: Callable[[], str]) -> None:
    make = job(bench)
    request_id = processing(bench, make)
    context = bench.context(**RETRY)

    def away(*_: Any, **__: Any) -> None:
        raise RuntimeError("the API server is away")

    context["ti"].xcom_push = away
    with pytest.raises(RuntimeError):
        bench.run(make, context)
    assert f"Batch request {request_id} may be running while this try ends with RuntimeError. It runs on" in logged()


def test_a_step_that_creates_and_was_cleared_says_that_its_request_may_be_running(bench: Any) -> None:
    make = creating(bench)
    bench.act(bench.made(make), "start")
    refusal(bench, 401, "/oauth/token|/token$")
    refusal(bench, 401, "/batch/")
    with pytest.raises(StillRunningError, match="A batch request of this task may be running"):
        bench.run(make, bench.context(**CLEARED))


def test_an_error_of_the_users_code_while_the_job_runs_does_not_hide_it(bench: Any, logged: Callable[[], str]) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("of the user")

    made = job(bench)()
    bench.clock.at(90, broken)
    with pytest.raises(KeyError):
        made.execute(bench.context())
    (request,) = bench.sim.requests()
    assert f"Batch request {request['id']} may be running while this try ends with KeyError. It runs on" in logged()


def test_such_an_error_after_a_step_has_started_a_request_does_not_hide_it(
    bench: Any, logged: Callable[[], str]
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("of the user")

    request_id = bench.create()
    start = SentinelHubStartBatchOperator(task_id="start", request_id=request_id, wait_for_completion=True)
    bench.clock.at(300, broken)
    bench.sim.settings(tile_seconds=4000.0)
    with pytest.raises(KeyError):
        start.execute(bench.context())
    assert f"Batch request {request_id} may be running while this try ends with KeyError. It runs on" in logged()


@v1
@pytest.mark.parametrize("whole", [True, False], ids=["job", "step"])
def test_such_an_error_after_a_restart_does_not_hide_it(bench: Any, logged: Callable[[], str], whole: bool) -> None:
    """The last reading was PARTIAL, and no task waits for a PARTIAL request; this one was restarted."""

    def broken() -> None:
        raise KeyError("of the user")

    bench.sim.fault("fail_tiles", share=0.2)
    request_id = bench.ended()
    bench.sim.settings(tile_seconds=4000.0)
    bench.clock.at(100, broken)
    given = {"request_id": request_id, **({"max_restarts": 1} if whole else {"wait_for_completion": True})}
    task: Any = job(bench, **given)() if whole else SentinelHubRestartBatchOperator(task_id="t", **given)
    with pytest.raises(KeyError):
        task.execute(bench.context())
    assert bench.effects().count("restarted") == 1
    assert f"Batch request {request_id} may be running while this try ends with KeyError. It runs on" in logged()


def test_a_first_try_without_a_connection_says_nothing_of_a_job(
    bench: Any, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT")
    with pytest.raises(AirflowNotFoundException):
        bench.run(job(bench))
    assert "may be running" not in logged()


def test_in_the_first_try_what_is_wrong_is_final_and_nothing_runs(bench: Any) -> None:
    for status in (400, 403):
        refusal(bench, status, "/process$", method="POST", times=1, message="no rights to the bucket")
        with pytest.raises(AirflowFailException):
            bench.run(job(bench))
    assert bench.effects() == []


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_a_clear_on_an_account_without_units_goes_on_though_it_cannot_note_that(
    bench: Any, logged: Callable[[], str]
) -> None:
    make = job(bench)
    request_id = processing(bench, make)
    bench.sim.settings(balance=900)
    bench.sim.settings(minimum_balance=1000)
    result = runs(bench, make, bench.context(**CLEARED))
    assert isinstance(result, dict)
    assert result["request_id"] == request_id
    assert "Could not record" in logged()


# Steps and sensors on a request that is at work

STEPS: dict[str, Callable[..., Any]] = {
    "analyse": SentinelHubAnalyseBatchOperator,
    "start": SentinelHubStartBatchOperator,
    "start and wait": lambda **how: SentinelHubStartBatchOperator(wait_for_completion=True, **how),
    "budget": lambda **how: SentinelHubBatchBudgetOperator(max_processing_units=1e6, **how),
    "restart": SentinelHubRestartBatchOperator,
    "update": lambda **how: SentinelHubUpdateBatchOperator(description="words", **how),
    "cancel": SentinelHubCancelBatchOperator,
    "list": lambda **how: SentinelHubListBatchTilesOperator(aws_conn_id="my_bucket", **how),
    "sensor": SentinelHubBatchSensor,
    "deferrable sensor": lambda **how: SentinelHubBatchSensor(deferrable=True, **how),
}


@every_other(step=STEPS, status=[302, 400, 401, 403, 404, 503], generation=GENERATIONS)
def test_a_step_on_a_request_at_work(bench: Any, step: str, status: int) -> None:
    request_id = bench.started()
    bench.clock.sleep(60)
    refusal(bench, status, "/batch/")

    def make() -> Any:
        return STEPS[step](task_id="step", request_id=request_id, max_unknown_time=300)

    with pytest.raises((SentinelHubError, AirflowFailException)) as caught:
        bench.run(make)
    left = caught.value
    assert request_id in str(left)
    if isinstance(left, AirflowFailException):
        assert "Batch v2 cannot restart" in str(left), "a final error about a request at work"
        assert "if it was started, it runs on and bills" in str(left)


# A deferred wait that Airflow breaks off


def deferred_past_its_deadline(bench: Any, make: Any, context: Any) -> str:
    """Have the task defer, the job be at work, and the deadline pass without a triggerer; the id of the request."""
    with pytest.raises(BaseException) as deferred:  # noqa: PT011
        make().execute(context)
    assert type(deferred.value).__name__ == "TaskDeferred"
    request_id = str(context["ti"].xcoms["request_id"])
    bench.act(request_id, "start")
    bench.clock.sleep(1000)
    return request_id


@pytest.mark.parametrize("cancels", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_a_deadline_that_no_triggerer_has_seen_is_kept_by_the_worker(bench: Any, cancels: bool, number: int) -> None:
    """Airflow's own timeout comes behind ours, and calls none of our methods but this one."""
    bench.sim.settings(tile_seconds=4000.0)
    context = bench.context(try_number=number)
    make = job(bench, deferrable=True, timeout=600, cancel_on_timeout=cancels)
    request_id = deferred_past_its_deadline(bench, make, context)
    error: Any = None
    try:
        make().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    except Exception as err:
        error = err
    left_well(bench, error)
    assert request_id in str(error)
    assert isinstance(error, AirflowFailException) is cancels
    assert bench.status(request_id) in (("CANCELED", "STOPPED") if cancels else ("PROCESSING",))


def test_such_a_deadline_ends_the_request_where_it_is(bench: Any) -> None:
    """Though the connection names the other generation since the task has deferred."""
    bench.sim.settings(tile_seconds=4000.0)
    context = bench.context()
    make = job(bench, deferrable=True, timeout=600)
    request_id = deferred_past_its_deadline(bench, make, context)
    bench.connect(batch_api="v1" if bench.api == "v2" else "v2")
    with pytest.raises(AirflowFailException, match=f"Batch request {request_id} is (CANCELED|STOPPED)"):
        make().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert bench.status(request_id) in ("CANCELED", "STOPPED")


@pytest.mark.parametrize(("type_now", "said"), [(None, "broke off"), ("http", "is of type 'http'")])
def test_a_connection_that_the_triggerer_cannot_use_is_said_as_such(
    bench: Any, monkeypatch: pytest.MonkeyPatch, type_now: str | None, said: str
) -> None:
    """It is gone, or of another type: the task is told that, and not that the event cannot be read."""
    make, context = job(bench, deferrable=True), bench.context()
    with pytest.raises(BaseException) as deferred:  # noqa: PT011
        make().execute(context)
    with monkeypatch.context() as patch:
        patch.delenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT")
        if type_now is not None:
            patch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", json.dumps({"conn_type": type_now}))
        event = bench.fire(deferred.value.trigger)  # type: ignore[attr-defined]
    with pytest.raises(SentinelHubError, match=said) as left:
        make().resume_execution("execute_complete", {"event": event}, context)
    assert left.value.retry_helps
    assert context["ti"].xcoms["request_id"] in str(left.value)


def test_a_body_is_json() -> None:
    """So that the senseless replies above are senseless in their own way, and not all the same."""
    assert json.loads(SENSELESS[0]) is None
