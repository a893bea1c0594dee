"""People who edit between tries, and in the middle of a wait: one task instance starts one job all the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub import _identity
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.exceptions import MovedError
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubCreateBatchOperator
from tests.airflow.job import CLEARED, GENERATIONS, RETRY, Killed, described, every_other, job, kill, modes, v1, v2


class Store:
    """Airflow 3.3's task state store: it outlives tries, clears and runs."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any, **_: Any) -> None:
        self.kept[key] = value


STORES = ("3.3", "before")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store | None:
    """With the store of Airflow 3.3, and without any."""
    return Store() if request.param == "3.3" else None


def a_try(bench: Any, store: Store | None, **members: Any) -> dict[str, Any]:
    return {**bench.context(**members), "task_state_store": store}


def starts(bench: Any) -> int:
    return int(bench.effects().count("billed_start"))


def killed(bench: Any, make: Any, context: dict[str, Any], after: float = 90) -> None:
    """Run until the process is gone, in the middle of processing."""
    bench.clock.at(after, kill)
    with pytest.raises(Killed):
        bench.run(make, context)
    assert starts(bench) == 1


OTHER = "//VERSION=3\n// a comment\n"


# `retries`


@every_other(retries=[0, 1, 2, 5], clears=[0, 1], store=STORES, generation=GENERATIONS)
@pytest.mark.thorough
def test_an_edit_of_retries_is_no_clear(bench: Any, store: Store | None, retries: int, clears: int) -> None:
    """Though a comment in the evalscript is deployed with it, and a user has cleared another task of the run."""
    killed(bench, job(bench), a_try(bench, store))
    edited = job(bench, retries=retries, evalscript=bench.ndvi + OTHER)
    run = {"clear_number": clears}
    result = bench.run(edited, a_try(bench, store, try_number=2, max_tries=3, run=run))
    assert result["status"] == "DONE"
    assert starts(bench) == 1


@every_other(retries=[0, 1, 2, 5], store=STORES, generation=GENERATIONS)
@pytest.mark.thorough
def test_an_edit_of_retries_after_too_many_failed_tiles_pays_nothing_more(
    bench: Any, store: Store | None, retries: int
) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=None)
    for number, edited in ((1, 3), (2, retries), (3, retries)):
        context = a_try(bench, store, try_number=number, max_tries=3, run={"clear_number": number - 1})
        with pytest.raises(Exception, match=r"1 of .* tiles failed"):
            bench.run(job(bench, retries=edited), context)
    assert starts(bench) == 1


@pytest.mark.parametrize("finished", [True, False])
def test_a_clear_with_the_number_of_the_round_before_runs_anew(bench: Any, finished: bool) -> None:
    """`retries` was lowered by the one try that was used. In a run that goes on only Airflow 3.3 can tell."""
    store = Store()
    first = bench.run(job(bench), a_try(bench, store))
    run = {"clear_number": 1, **({"start_date": bench.born + timedelta(hours=1)} if finished else {})}
    again = bench.run(job(bench, retries=2), a_try(bench, store, try_number=2, max_tries=3, run=run))
    assert again["request_id"] != first["request_id"]
    retried = bench.run(job(bench, retries=2), a_try(bench, store, try_number=3, max_tries=3, run=run))
    assert retried["request_id"] == again["request_id"]
    assert starts(bench) == 2


def test_after_a_final_error_too_a_clear_with_that_number_runs_anew(bench: Any) -> None:
    """The job was cancelled by hand, which no retry follows: the store says that the task has ended."""
    store = Store()
    bench.clock.at(90, lambda: bench.act(bench.sim.requests()[0]["id"], "end"))
    with pytest.raises(AirflowFailException):
        bench.run(job(bench), a_try(bench, store))
    again = a_try(bench, store, try_number=2, max_tries=3, run={"clear_number": 1})
    assert bench.run(job(bench, retries=2), again)["status"] == "DONE"
    assert starts(bench) == 2


def test_the_end_of_a_round_says_nothing_about_the_next_one(bench: Any) -> None:
    """Its try before may have died before anything was kept; a clear of another task is none of this one."""
    store = Store()
    bench.run(job(bench), a_try(bench, store))
    cleared = {"try_number": 2, "run": {"clear_number": 1}}
    assert _identity.mark_for(a_try(bench, store, max_tries=3, **cleared)).ended == 1
    assert _identity.mark_for(a_try(bench, store, max_tries=5, **cleared)).ended is None


def test_where_a_clear_cannot_be_told_from_a_retry_it_is_said(bench: Any, logged: Callable[[], str]) -> None:
    first = bench.run(job(bench))
    again = bench.run(job(bench, retries=2), bench.context(try_number=2, max_tries=3, run={"clear_number": 1}))
    assert again["request_id"] == first["request_id"]
    assert "if it was this one, clear it again to run the job anew" in logged()


def test_a_clear_with_fewer_retries_is_a_later_round_though_its_number_is_lower(bench: Any) -> None:
    first = bench.run(job(bench))
    cleared = {"max_tries": 1, "run": {"clear_number": 1, "start_date": bench.born + timedelta(hours=1)}}
    again = bench.run(job(bench, retries=0), bench.context(try_number=2, **cleared))
    assert again["request_id"] != first["request_id"]
    assert bench.run(job(bench, retries=0), bench.context(try_number=3, **cleared)) == again
    assert starts(bench) == 2


# A run made again


def made_again(bench: Any, seconds: float = 1.0) -> dict[str, Any]:
    return {"start_date": bench.born + timedelta(seconds=seconds)}


@modes
def test_a_run_made_again_under_its_id_does_the_work_again(bench: Any, store: Store | None, deferrable: bool) -> None:
    first = bench.run(job(bench, deferrable=deferrable), a_try(bench, store))
    again = bench.run(job(bench, deferrable=deferrable), a_try(bench, store, run=made_again(bench)))
    assert again["request_id"] != first["request_id"]
    assert starts(bench) == 2


def test_a_run_made_again_with_another_evalscript_does_not_go_green_on_the_old_one(
    bench: Any, store: Store | None
) -> None:
    bench.run(job(bench), a_try(bench, store))
    edited = job(bench, evalscript=bench.ndvi + OTHER)
    again = bench.run(edited, a_try(bench, store, run=made_again(bench)))
    assert "a comment" in str(bench.body(again["request_id"]))


def test_what_the_former_run_has_left_at_work_is_mentioned(
    bench: Any, store: Store | None, logged: Callable[[], str]
) -> None:
    killed(bench, job(bench), a_try(bench, store))
    (former,) = (one["id"] for one in bench.sim.requests())
    again = bench.run(job(bench), a_try(bench, store, run=made_again(bench)))
    assert again["request_id"] != former
    assert f"Batch request {former} with this task's identity is running and bills" in logged()


def test_after_a_retry_of_a_run_made_again_its_own_request_is_taken(bench: Any, store: Store | None) -> None:
    bench.run(job(bench), a_try(bench, store))
    killed_at = bench.clock.now
    bench.clock.at(90, kill)
    with pytest.raises(Killed):
        bench.run(job(bench), a_try(bench, store, run=made_again(bench)))
    assert bench.clock.now > killed_at
    bench.run(job(bench), a_try(bench, store, run=made_again(bench), **RETRY))
    assert starts(bench) == 2


# Workers that differ


def test_a_retry_on_a_worker_with_other_addresses_pays_nothing_more(
    bench: Any, store: Store | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for section in ("API", "WEBSERVER"):
        monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", "https://airflow.example.com")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://api.internal:8080/execution/")
    killed(bench, job(bench), a_try(bench, store))
    for section in ("API", "WEBSERVER"):
        monkeypatch.delenv(f"AIRFLOW__{section}__BASE_URL")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://10.0.0.7:8080/execution/")
    bench.run(job(bench), a_try(bench, store, **RETRY))
    assert starts(bench) == 1


@pytest.mark.parametrize("named", [True, False])
def test_another_airflow_does_not_take_the_request_of_a_cleared_run(
    bench: Any, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """By a name of its own, or by its address: a copy's run of the same id has been cleared, ours has not."""

    def this(one: str) -> None:
        monkeypatch.setattr(_identity, "deployment_name", lambda: one if named else "")
        monkeypatch.setattr(_identity, "airflow_url", lambda: f"https://{one}.example.com")

    this("production")
    killed(bench, job(bench), bench.context())
    this("staging")
    cleared = {"clear_number": 1, "start_date": bench.born + timedelta(hours=1)}
    bench.run(job(bench, evalscript=bench.ndvi + OTHER), bench.context(**CLEARED, run=cleared))
    assert starts(bench) == 2
    assert not {"cancelled", "stopped"} & set(bench.effects())


# The description


@modes
@pytest.mark.parametrize("moment", ["created", "ended"])  # the service refuses it in between
def test_an_edited_description_does_not_lose_what_was_kept(bench: Any, deferrable: bool, moment: str) -> None:
    store = Store()
    bench.clock.at(10 if moment == "created" else 90, kill)
    with pytest.raises(Killed):
        bench.run(job(bench, deferrable=deferrable), a_try(bench, store))
    (request,) = bench.sim.requests()
    bench.clock.sleep(600)
    client = bench.hook.batch if bench.api == "v1" else bench.hook.batch_v2
    client.update_request(request["id"], description="edited by hand")
    result = bench.run(job(bench, deferrable=deferrable), a_try(bench, store, **RETRY))
    assert result["request_id"] == request["id"]
    assert starts(bench) == 1
    assert mark_of(bench.state(request["id"])["description"]) is not None, "it was written anew"


@v1
def test_an_edited_description_does_not_restart_the_failed_part_once_more(bench: Any) -> None:
    """The count stands in the marker; a user edits it away in the middle of the wait."""
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=None)
    edited: list[str] = []

    def edit() -> None:
        (request,) = bench.sim.requests()
        if request["status"] == "PARTIAL" and "restarted" in bench.effects() and not edited:
            edited.append(request["id"])
            bench.hook.batch.update_request(request["id"], description="edited by hand")

    for second in range(150, 900, 5):
        bench.clock.at(second, edit)
    with pytest.raises(Exception, match=r"1 of .* tiles failed"):
        bench.run(job(bench, max_restarts=1, poll_interval=10.0))
    assert edited
    assert bench.effects().count("restarted") == 1


# The connection


@modes
def test_another_generation_of_the_connection_in_the_middle_of_a_job(
    bench: Any, store: Store | None, deferrable: bool
) -> None:
    other = "v1" if bench.api == "v2" else "v2"
    bench.clock.at(90, lambda: bench.connect(batch_api=other))
    result = bench.run(job(bench, deferrable=deferrable), a_try(bench, store))
    assert (result["batch_api"], result["status"]) == (bench.api, "DONE")
    assert starts(bench) == 1


def test_another_generation_of_the_connection_while_an_analysis_is_awaited(bench: Any) -> None:
    """The cost is that of the request, which is of the generation of before."""
    told = []
    for edit in (False, True):
        bench.connect(batch_api=bench.api)
        given = {"task_id": "analyse", "request_id": bench.create(), "deferrable": True, "aws_conn_id": "my_bucket"}
        if edit:
            bench.clock.at(5, lambda: bench.connect(batch_api="v1" if bench.api == "v2" else "v2"))
        result = bench.run(lambda given=given: SentinelHubAnalyseBatchOperator(**given))
        told.append({**result, "request_id": ""})
    assert told[0] == told[1]
    assert told[0]["expected_pu"]


@pytest.mark.parametrize("where", ["connection", "DAG"])
def test_another_generation_for_the_retry(bench: Any, store: Store | None, where: str) -> None:
    other = "v1" if bench.api == "v2" else "v2"
    killed(bench, job(bench), a_try(bench, store))
    if where == "connection":
        bench.connect(batch_api=other)
    edited = {"batch_api": other} if where == "DAG" else {}
    result = bench.run(job(bench, **edited), a_try(bench, store, **RETRY))
    assert result["batch_api"] == bench.api
    assert starts(bench) == 1


def test_another_generation_after_a_clear_ends_what_was_left_at_work_there(
    bench: Any, store: Store | None, logged: Callable[[], str]
) -> None:
    other = "v1" if bench.api == "v2" else "v2"
    killed(bench, job(bench), a_try(bench, store))
    (former,) = (one["id"] for one in bench.sim.requests())
    result = bench.run(job(bench, batch_api=other), a_try(bench, store, **CLEARED))
    assert (result["batch_api"], result["status"]) == (other, "DONE")
    assert bench.status(former) in ("CANCELED", "STOPPED")
    assert "from before the clear is running" in logged()


@pytest.mark.parametrize("status", [403, 404, 405, 410])
def test_a_deployment_without_the_other_generation_keeps_no_retry_from_going_on(bench: Any, status: int) -> None:
    killed(bench, job(bench), bench.context())
    other = "/api/v1/batch/" if bench.api == "v2" else "/v2"
    bench.sim.fault("status", other, status=status, times=None)
    assert bench.run(job(bench), bench.context(**RETRY))["status"] == "DONE"
    assert starts(bench) == 1


def test_what_was_left_at_another_host_before_a_clear_is_mentioned(bench: Any, logged: Callable[[], str]) -> None:
    store = Store()
    killed(bench, job(bench), a_try(bench, store))
    (former,) = (one["id"] for one in bench.sim.requests())
    where = store.kept["sentinelhub_request"]["place"]["base_url"]
    store.kept["sentinelhub_request"]["place"]["base_url"] = "https://elsewhere.example.com"
    assert where == bench.sim.url
    edited = job(bench, evalscript=bench.ndvi + OTHER)
    bench.run(edited, a_try(bench, store, **CLEARED))
    said = logged()
    assert f"Batch request {former} of before the clear is at https://elsewhere.example.com" in said
    assert "if it was started, it runs on and bills" in said


@modes
def test_another_host_of_the_connection_in_the_middle_of_a_job(
    bench: Any, store: Store | None, deferrable: bool
) -> None:
    """The same client at another deployment: the request is where it was made."""
    elsewhere = {"login": bench.sim.client_id, "password": bench.sim.client_secret, "host": "http://127.0.0.1:9"}

    def move() -> None:
        extra = {"batch_api": bench.api, "bucket_mount": str(bench.sim.bucket_dir)}
        extra["token_url"] = "http://127.0.0.1:9/token"
        bench.connection("sentinelhub_default", conn_type="sentinelhub", **elsewhere, extra=extra)

    bench.clock.at(90, move)
    result = bench.run(job(bench, deferrable=deferrable), a_try(bench, store))
    assert result["status"] == "DONE"
    assert starts(bench) == 1


def test_another_host_of_the_connection_between_a_deferral_and_its_trigger(bench: Any) -> None:
    """The triggerer looks the connection up after the edit: the task tells it where the request is."""
    with pytest.raises(BaseException) as deferred:  # noqa: PT011
        job(bench, deferrable=True)().execute(bench.context())
    extra = {"batch_api": bench.api, "token_url": "http://127.0.0.1:9/token"}
    client = {"login": bench.sim.client_id, "password": bench.sim.client_secret, "host": "http://127.0.0.1:9"}
    bench.connection("sentinelhub_default", conn_type="sentinelhub", **client, extra=extra)
    assert bench.fire(deferred.value.trigger)["outcome"] == "reached"  # type: ignore[attr-defined]


@pytest.mark.parametrize("checked", [True, False])
def test_another_host_of_the_connection_for_the_retry(bench: Any, checked: bool) -> None:
    """Whatever has looked the connection up before the try knows where its request is."""
    store = Store()
    killed(bench, job(bench, check_tiles=checked), a_try(bench, store))
    extra = {"token_url": "http://127.0.0.1:9/token", "bucket_mount": str(bench.sim.bucket_dir)}
    client = {"login": bench.sim.client_id, "password": bench.sim.client_secret}
    where = {"conn_type": "sentinelhub", "host": "http://127.0.0.1:9"}
    bench.connection("sentinelhub_default", **where, **client, extra={**extra, "batch_api": bench.api})
    result = bench.run(job(bench, check_tiles=checked, max_unknown_time=300), a_try(bench, store, **RETRY))
    assert result["status"] == "DONE"
    assert starts(bench) == 1


def test_another_account_for_the_retry_starts_nothing_and_can_be_mended(bench: Any) -> None:
    store = Store()
    killed(bench, job(bench), a_try(bench, store))
    where = {"conn_type": "sentinelhub", "host": "http://127.0.0.1:9", "extra": {"auth_url": "http://127.0.0.1:9/t"}}
    bench.connection("sentinelhub_default", login="another", password="secret", **where)
    with pytest.raises(Exception, match=r"with another client id than before") as caught:
        bench.run(job(bench), a_try(bench, store, **RETRY))
    assert not isinstance(caught.value, AirflowFailException), "a retry may mend it"
    bench.connect(batch_api=bench.api)
    bench.run(job(bench), a_try(bench, store, try_number=3, max_tries=3))
    assert starts(bench) == 1


def with_another_client(store: Store) -> None:
    """As if the connection named another client of the same deployment when the request was made."""
    (key,) = store.kept
    store.kept[key]["place"]["account"] = "00000000"


def test_another_account_of_the_same_deployment_starts_nothing_and_can_be_mended(bench: Any) -> None:
    store = Store()
    killed(bench, job(bench), a_try(bench, store))
    kept = copy.deepcopy(store.kept)
    with_another_client(store)
    request_id = bench.sim.requests()[0]["id"]
    bench.sim.fault("status", "/process", method="GET", status=404, times=None, message="not found")
    with pytest.raises(MovedError, match=f"another client id than before.*{request_id}") as caught:
        bench.run(job(bench), a_try(bench, store, **RETRY))
    assert "it runs on and bills" in str(caught.value)
    bench.sim.clear_faults()
    assert store.kept["sentinelhub_request"]["request_id"] == request_id
    store.kept = kept
    bench.run(job(bench), a_try(bench, store, try_number=3, max_tries=3))
    assert starts(bench) == 1


def test_another_client_of_the_same_account_goes_on(bench: Any) -> None:
    """As after a rotation of the whole client: its requests are the account's."""
    store = Store()
    killed(bench, job(bench), a_try(bench, store))
    with_another_client(store)
    assert bench.run(job(bench), a_try(bench, store, **RETRY))["status"] == "DONE"
    assert starts(bench) == 1


def test_a_clear_with_another_client_says_what_it_may_not_see(bench: Any, logged: Callable[[], str]) -> None:
    store = Store()
    killed(bench, job(bench), a_try(bench, store))
    with_another_client(store)
    bench.run(job(bench), a_try(bench, store, **CLEARED))
    assert "was made with another client id" in logged()
    assert starts(bench) == 1, "here it is the same account's"


# Limits


@v2
@modes
@pytest.mark.usefixtures("unpriced")
@pytest.mark.thorough
def test_after_a_raised_budget_a_clear_goes_on_with_what_was_paid(bench: Any, deferrable: bool) -> None:
    bench.sim.settings(concurrency=2, billing_period=5.0, write_images=True)
    poor = job(bench, deferrable=deferrable, max_processing_units=30, poll_interval=5.0)
    with pytest.raises(AirflowFailException, match="clear the task: it then does only what is missing") as caught:
        bench.run(poor, bench.context())
    assert "the 30 PU of max_processing_units" in str(caught.value)
    written = {path: path.stat().st_mtime_ns for path in Path(bench.sim.bucket_dir).rglob("*.tif*")}
    assert written
    with pytest.raises(AirflowFailException, match="max_processing_units"):
        bench.run(poor, bench.context(**CLEARED))
    assert starts(bench) == 1, "cleared with the same limit it pays nothing"

    rich = job(bench, deferrable=deferrable, max_processing_units=1000, poll_interval=5.0)
    cleared = {"try_number": 3, "max_tries": 5}
    result = bench.run(rich, bench.context(**cleared))
    first, second = bench.sim.requests()
    assert (result["status"], result["failed"]) == ("DONE", 0)
    assert result["processing_units"] == pytest.approx(first["cost"] + second["cost"])
    assert all(path.stat().st_mtime_ns == time for path, time in written.items()), "only what was missing is done"
    again = bench.run(rich, bench.context(try_number=4, max_tries=5))
    assert again == result
    assert starts(bench) == 2


@v2
@pytest.mark.usefixtures("unpriced")
@pytest.mark.thorough
def test_after_a_raised_budget_another_job_starts_anew(bench: Any) -> None:
    bench.sim.settings(concurrency=2, billing_period=5.0)
    with pytest.raises(AirflowFailException):
        bench.run(job(bench, max_processing_units=30, poll_interval=5.0))
    edited = job(bench, max_processing_units=1000, evalscript=bench.ndvi + OTHER)
    result = bench.run(edited, bench.context(**CLEARED))
    assert result["processing_units"] == pytest.approx(bench.state(result["request_id"])["cost"])


@every_other(
    name=["max_processing_units", "max_restarts", "max_failed_tiles", "min_success_ratio"],
    nothing=[None, "", "None"],
    generation=GENERATIONS,
)
@pytest.mark.thorough
def test_a_limit_that_renders_to_nothing_is_refused_before_the_create(bench: Any, name: str, nothing: Any) -> None:
    def rendered() -> Any:
        task = job(bench, **{name: "{{ dag_run.conf.get('limit') }}"})()
        setattr(task, name, nothing)
        return task

    with pytest.raises(AirflowFailException, match=f"{name} .*does not mean no limit"):
        bench.run(rendered)
    assert bench.effects() == []
    assert bench.run(job(bench, **{name: None} if name != "max_restarts" else {}))["status"] == "DONE"


# The step that creates


def test_the_step_that_creates_does_not_hand_on_a_cancelled_request(bench: Any) -> None:
    def creating() -> SentinelHubCreateBatchOperator:
        return SentinelHubCreateBatchOperator(task_id="job", **described(bench))

    request_id = bench.made(creating)
    bench.act(request_id, "start")
    bench.clock.sleep(100)
    bench.act(request_id, "end")
    bench.clock.sleep(100)
    with pytest.raises(AirflowFailException, match="clear the task to run the job anew"):
        bench.run(creating, bench.context(**RETRY))
    assert bench.made(creating, bench.context(**CLEARED)) != request_id
