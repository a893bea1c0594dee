"""What a user reads when a task fails: one message, at the right time, that is true and says what to do."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub.api.call import Lost, Reply
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from airflow_sentinelhub.exceptions import (
    ApiError,
    AuthenticationError,
    JobError,
    NotFoundError,
    ResultsError,
    SentinelHubError,
    SettingsError,
    StillRunningError,
    UnknownStateError,
    UnreachableError,
    as_plain,
    from_plain,
)
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from airflow_sentinelhub.triggers.events import broken_off, error_event, read_event
from tests.names import DAG

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
REQUEST = str(uuid4())


def job(bench: Any, **members: Any) -> dict[str, Any]:
    from airflow_sentinelhub import process_request, tiling_grid

    return {
        "task_id": "t",
        "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        "tiling_grid": tiling_grid(1, 10),
        "destination": "s3://my-bucket/maps",
        "area": bench.area,
        "evalscript": bench.ndvi,
        "aws_conn_id": "my_bucket",
        **members,
    }


WAYS = {
    "create": lambda bench: SentinelHubCreateBatchOperator(**job(bench)),
    "job": lambda bench: SentinelHubBatchOperator(**job(bench, deferrable=False)),
    "deferred job": lambda bench: SentinelHubBatchOperator(**job(bench, deferrable=True)),
    "job with an id": lambda bench: SentinelHubBatchOperator(task_id="t", request_id=REQUEST),
    "analyse": lambda bench: SentinelHubAnalyseBatchOperator(task_id="t", request_id=REQUEST),
    "start": lambda bench: SentinelHubStartBatchOperator(task_id="t", request_id=REQUEST),
    "sensor": lambda bench: SentinelHubBatchSensor(task_id="t", request_id=REQUEST, deferrable=False),
    "deferred sensor": lambda bench: SentinelHubBatchSensor(task_id="t", request_id=REQUEST, deferrable=True),
    "rescheduled sensor": lambda bench: SentinelHubBatchSensor(
        task_id="t", request_id=REQUEST, deferrable=False, mode="reschedule"
    ),
    "tile sensor": lambda bench: SentinelHubBatchTileSensor(
        task_id="t", request_id=REQUEST, deferrable=False, aws_conn_id="my_bucket"
    ),
}
OWN = ("create", "job", "deferred job")
"""Those that create their request."""
every_way = pytest.mark.parametrize("way", WAYS)


def shown(error: BaseException) -> str:
    """What a log shows of it."""
    return "".join(traceback.format_exception(error))


# A wrong secret


def wrong_secret(bench: Any) -> None:
    bench.connection(
        "sentinelhub_default",
        conn_type="sentinelhub",
        login=bench.sim.client_id,
        password="not the secret",
        host=bench.sim.url,
        extra={"token_url": bench.sim.auth_url, "batch_api": bench.api},
    )


@every_way
@pytest.mark.parametrize("try_number", [1, 2])
def test_a_wrong_secret_shows_one_traceback_and_stays_what_it_is(bench: Any, way: str, try_number: int) -> None:
    wrong_secret(bench)
    with pytest.raises(Exception, match=r"^Sentinel Hub refused the credentials of connection") as caught:
        bench.run(lambda: WAYS[way](bench), bench.context(try_number=try_number))
    log = shown(caught.value)
    assert log.count("Traceback (most recent call last)") == 1, log
    assert "not the secret" not in log
    assert isinstance(caught.value, (AuthenticationError, StillRunningError))
    final = isinstance(caught.value, AirflowFailException)
    assert final is isinstance(caught.value, AuthenticationError)
    assert final or try_number > 1 or way not in OWN  # nothing of a first try can be running
    assert bench.effects() == []


@once
def test_a_secret_that_was_changed_to_a_wrong_one_shows_one_traceback(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver then reads the connection again and asks a second time, with other wrong credentials."""
    wrong_secret(bench)
    hook = bench.hook
    assert hook.driver  # it has the secret of now
    connection = {"conn_type": "sentinelhub", "login": bench.sim.client_id, "password": "also wrong"}
    bench.connection("sentinelhub_default", **connection, host=bench.sim.url, extra={"token_url": bench.sim.auth_url})
    with pytest.raises(AuthenticationError) as caught:
        hook.run(read_once(bench))
    log = shown(caught.value)
    assert log.count("Traceback (most recent call last)") == 1, log
    assert "wrong" not in log.partition("AuthenticationError:")[2]


def read_once(bench: Any) -> Any:
    from airflow_sentinelhub.api.flows.read import read
    from airflow_sentinelhub.api.service.generations import generation

    return read(generation(bench.api), REQUEST)


# Errors of deferred tasks


def test_an_error_keeps_its_type_through_a_trigger(bench: Any) -> None:
    wrong_secret(bench)
    event = bench.fire(
        SentinelHubBatchTrigger(sentinelhub_conn_id="sentinelhub_default", batch_api=bench.api, request_id=REQUEST)
    )
    with pytest.raises(AuthenticationError, match="refused the credentials") as caught:
        read_event(event, REQUEST)
    assert (caught.value.status, caught.value.retry_helps) == (401, False) or caught.value.status == 400
    for make in (WAYS["start"], WAYS["deferred sensor"]):
        with pytest.raises(SentinelHubError, match="refused the credentials") as ended:
            make(bench).resume_execution("execute_complete", {"event": event}, bench.context())
        assert shown(ended.value).count("Traceback (most recent call last)") == 1
        assert isinstance(ended.value, (AuthenticationError, StillRunningError))


def kinds(root: type[SentinelHubError] = SentinelHubError) -> list[type[SentinelHubError]]:
    found = [root] if root.__module__ == SentinelHubError.__module__ else []
    return found + [kind for child in root.__subclasses__() for kind in kinds(child)]


def an(kind: type[SentinelHubError]) -> SentinelHubError:
    if issubclass(kind, ApiError):
        return kind("m", status=499, reason="r", code="C", about="a", body='{"accessKey": "hush"}')
    if issubclass(kind, UnreachableError):
        return kind("m", ambiguous=True, over=True)
    return kind("m", request_id=REQUEST) if issubclass(kind, (JobError, ResultsError)) else kind("m")


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_kind_of_error_comes_out_of_an_event_as_it_went_in(kind: type[SentinelHubError]) -> None:
    error = an(kind)
    error.retry_helps = not error.retry_helps  # an instance may differ from its class
    event = json.loads(json.dumps(error_event(error, REQUEST)))
    assert "hush" not in json.dumps(event)
    with pytest.raises(SentinelHubError) as caught:
        read_event(event, REQUEST)
    read = caught.value
    assert type(read) is kind
    assert as_plain(read) == as_plain(error)
    assert str(read) == "m"


@pytest.mark.parametrize(
    "given",
    [
        {"message": "It broke.", "retry_helps": False},
        {"message": "It broke.", "retry_helps": False, "kind": "ErrorOfLater", "depth": 5},
        {"message": "It broke.", "retry_helps": False, "kind": "ApiError"},
        {"message": "It broke.", "retry_helps": False, "kind": "Exception"},
        {"message": "It broke.", "retry_helps": False, "kind": "SettingsError", "status": 400},
    ],
)
def test_an_error_of_another_version_is_a_plain_one(given: dict[str, Any]) -> None:
    error = from_plain(given)
    assert (type(error), str(error), error.retry_helps) == (SentinelHubError, "It broke.", False)


def test_an_event_of_an_earlier_version_is_read() -> None:
    event = {"version": 1, "request_id": REQUEST, "outcome": "error", "message": "It broke.", "retry_helps": False}
    for odd in ({}, {"error": None}, {"error": "It broke."}):
        with pytest.raises(SentinelHubError, match=r"^It broke\.$") as caught:
            read_event({**event, **odd}, REQUEST)
        assert caught.value.retry_helps is False


def test_an_unexpected_error_of_a_trigger_is_retried() -> None:
    event = error_event(broken_off(asyncio.TimeoutError("slow"), REQUEST), REQUEST)
    with pytest.raises(SentinelHubError, match=r"broke off .* A retry of this task attaches to it again"):
        read_event(event, REQUEST)


# An unknown request


def in_dag(make: Any, **more: Any) -> Any:
    """Makes the task in a DAG, as a user does; `upstream`: with a task that comes before it."""
    from airflow_sentinelhub._compat import BaseOperator

    def made() -> Any:
        with DAG("d", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)):
            task = make()
            if more.get("upstream"):
                BaseOperator(task_id="before") >> task
            return task

    return made


GIVEN = [way for way in WAYS if way not in OWN]


def waited_for(bench: Any, make: Any, **members: Any) -> tuple[float, str]:
    """Seconds until the task says that there is no such request, and how it says it."""
    began = bench.clock.now
    with pytest.raises(NotFoundError) as caught:
        bench.run(make, bench.context(**members))
    return bench.clock.now - began, str(caught.value)


@pytest.mark.parametrize("way", GIVEN)
def test_an_unknown_request_of_the_dag_is_said_within_seconds(bench: Any, way: str) -> None:
    seconds, message = waited_for(bench, in_dag(lambda: WAYS[way](bench)))
    assert seconds < 10
    assert REQUEST in message
    assert "another account or another deployment" in message
    assert "the service does with old requests" in message


@pytest.mark.parametrize("way", GIVEN)
@pytest.mark.parametrize("new", ["upstream", "template", "mapped", "retry", "no dag"])
@pytest.mark.thorough
def test_a_request_that_may_be_new_is_waited_for(bench: Any, way: str, new: str) -> None:
    """What an upstream task may have created a moment ago is not known to all of the service yet."""

    def make() -> Any:
        task = WAYS[way](bench)
        if new == "template":
            task = type(task)(task_id="u", request_id="{{ params.request_id }}", **patient(task))
            task.request_id = REQUEST  # as Airflow renders it
        return task

    made = make if new == "no dag" else in_dag(make, upstream=new == "upstream")
    members = {"mapped": {"map_index": 0}, "retry": {"try_number": 2}}.get(new, {})
    seconds, message = waited_for(bench, made, **members)
    assert 60 < seconds < 100
    assert "another account or another deployment" in message


def patient(task: Any) -> dict[str, Any]:
    return {"aws_conn_id": "my_bucket"} if isinstance(task, SentinelHubBatchTileSensor) else {}


@pytest.mark.parametrize("operator", [SentinelHubStartBatchOperator, SentinelHubBatchSensor])
def test_two_wrong_404s_about_an_old_request_are_no_end(bench: Any, operator: Any) -> None:
    request_id = bench.ended()
    bench.sim.fault("status", request_id, method="GET", status=404, times=2)
    bench.run(in_dag(lambda: operator(task_id="t", request_id=request_id, deferrable=False)))
    assert not bench.faults_left()


# A wrong host


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def wrong_host(bench: Any, host: str, token_url: str | None = None) -> None:
    bench.connection(
        "sentinelhub_default",
        conn_type="sentinelhub",
        login=bench.sim.client_id,
        password=bench.sim.client_secret,
        host=host,
        extra={"token_url": token_url or bench.sim.auth_url, "batch_api": bench.api},
    )


def given_up(bench: Any, way: str, **members: Any) -> tuple[float, str, BaseException]:
    began = bench.clock.now
    with pytest.raises(UnknownStateError) as caught:
        bench.run(lambda: WAYS[way](bench), bench.context(**members))
    assert bench.effects() == []
    return bench.clock.now - began, str(caught.value), caught.value


@every_way
@pytest.mark.parametrize("wrong", ["host", "token URL"])
def test_a_wrong_host_is_said_in_the_first_minute(bench: Any, nobody: str, way: str, wrong: str) -> None:
    if wrong == "host":
        wrong_host(bench, nobody)
    else:
        wrong_host(bench, bench.sim.url, f"{nobody}/auth/token")
    seconds, message, error = given_up(bench, way)
    assert seconds < 60
    assert message.startswith(f"Nothing answers at {nobody}: connection refused. No call of this task was answered in ")
    fate = "Nothing was started for this task" if way in OWN else f"Batch request {REQUEST} was not touched"
    assert fate in message
    assert "Check the host and auth_url of the Sentinel Hub connection" in message
    assert "A retry of this task tries again" in message
    assert not isinstance(error, AirflowFailException)


@every_way
@pytest.mark.thorough
def test_a_retry_waits_for_a_host_as_ever(bench: Any, nobody: str, way: str) -> None:
    """A job of an earlier try may be running: an outage must not look like a wrong host."""
    wrong_host(bench, nobody)
    seconds, message, _ = given_up(bench, way, try_number=2)
    assert 1800 <= seconds < 2000
    assert "runs on and bills" in message
    assert "connection refused" in message


@pytest.mark.parametrize("wrong", ["host", "token URL"])
@pytest.mark.parametrize("named", [True, False])
def test_the_hook_says_a_wrong_host_in_the_first_minute(bench: Any, nobody: str, wrong: str, named: bool) -> None:
    wrong_host(bench, *((nobody,) if wrong == "host" else (bench.sim.url, f"{nobody}/auth/token")))
    began = bench.clock.now
    with pytest.raises(UnknownStateError, match=f"^Nothing answers at {nobody}: connection refused") as caught:
        run_job(bench, **({"name": "maps"} if named else {"context": bench.context()}))
    assert bench.clock.now - began < 60
    for part in ("Nothing was started by this run.", "that runs on and bills", "attaches to its request"):
        assert part in str(caught.value)


def test_the_last_step_of_a_group_waits_for_a_host(bench: Any, nobody: str) -> None:
    """A job that the steps before it have started is running, most likely, and those have just reached the service."""
    from airflow_sentinelhub.operators._group_steps import FinishStep

    wrong_host(bench, nobody)
    began = bench.clock.now
    with pytest.raises(UnknownStateError, match="runs on and bills"):
        bench.run(lambda: FinishStep(task_id="finish", request_id=REQUEST))
    assert bench.clock.now - began >= 1800


def test_the_hook_waits_for_a_host_in_a_retry_of_its_task(bench: Any, nobody: str) -> None:
    wrong_host(bench, nobody)
    began = bench.clock.now
    with pytest.raises(UnknownStateError, match="runs on and bills"):
        run_job(bench, context=bench.context(try_number=2))
    assert bench.clock.now - began >= 1800


def run_job(bench: Any, **how: Any) -> Any:
    from airflow_sentinelhub import BatchSpecification

    given = job(bench)
    names = ("process_request", "tiling_grid", "area", "evalscript")
    described = BatchSpecification(**{name: given[name] for name in names}, output=given["destination"])
    return bench.hook.run_job(described, aws_conn_id="my_bucket", **how)


@pytest.mark.parametrize("way", ["create", "deferred job", "sensor", "rescheduled sensor"])
def test_an_outage_after_an_answer_is_waited_out(bench: Any, nobody: str, way: str, monkeypatch: Any) -> None:
    """The service goes away behind the first answer, for ten minutes, and comes back."""
    request_id = bench.ended() if way not in OWN else None
    real, calls = client.send, [0]
    gone = Lost(f"{nobody} cannot be reached: x", ambiguous=False, nowhere=f"Nothing answers at {nobody}: x.")
    away = [bench.clock.now + 600.0]

    async def send(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            return Reply(503)
        return gone if bench.clock.now < away[0] else await real(*arguments)

    monkeypatch.setattr(client, "send", send)
    began = bench.clock.now
    bench.run(lambda: with_id(WAYS[way](bench), request_id))
    assert bench.clock.now - began >= 600


def with_id(task: Any, request_id: str | None) -> Any:
    if request_id is not None:
        task.request_id = request_id
    return task


def test_what_is_wrong_beside_a_job_that_is_paid_is_not_final_and_warns_of_a_clear(bench: Any) -> None:
    task = SentinelHubStartBatchOperator(task_id="start", request_id=REQUEST)
    task.known = Snapshot(REQUEST, "v2", BatchRequestStatus.DONE, BatchUserAction.START)
    said = f"{REQUEST} is DONE and paid.* a clear would run the job anew"
    with pytest.raises(StillRunningError, match=said), airflow_errors(task):
        raise SettingsError("The connection my_bucket has no keys.")
