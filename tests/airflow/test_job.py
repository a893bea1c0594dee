"""The whole job in one task: through its life, through crashes at any moment, through outages at any moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub import _identity, process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import DeadlineError, InvalidInputError, JobCancelledError, UnknownStateError
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
from airflow_sentinelhub.results.root import delivery_root
from tests.airflow.job import (
    CLEARED,
    GENERATIONS,
    MODES,
    RETRY,
    Killed,
    creating,
    every_other,
    job,
    kill,
    modes,
    thorough_but,
    v2,
)
from tests.names import Asset


@modes
def test_from_create_to_the_result(bench: Any, deferrable: bool) -> None:
    context = bench.context()
    result = bench.run(job(bench, deferrable=deferrable), context)

    (request,) = bench.sim.requests()
    assert request["billed_starts"] == 1
    told = {name: result[name] for name in ("request_id", "batch_api", "status", "failed", "restarts", "checked")}
    assert told == {
        "request_id": request["id"],
        "batch_api": bench.api,
        "status": "DONE",
        "failed": 0,
        "restarts": 0,
        "checked": True,
    }
    assert result["processed"] == result["tile_count"] == request["tiles"]
    assert result["processing_units"] > 0
    if bench.api == "v2":  # v1 says what its tiles have cost, and nowhere that it charges a minimum for a request
        assert result["processing_units"] == pytest.approx(request["cost"])
    assert context["ti"].xcoms["request_id"] == request["id"]
    waits = ["execute_complete"] * 2 if deferrable else []
    assert bench.legs == ["execute", *waits]


class Events:
    """The accessors of a task's outlets. An asset of Airflow 3.0 is no key of a dictionary."""

    def __init__(self) -> None:
        self._by_uri: dict[str, Any] = defaultdict(lambda: SimpleNamespace(extra={}))

    def __getitem__(self, asset: Any) -> Any:
        return self._by_uri[asset.uri]


def test_the_events_of_assets_tell_what_it_has_cost(bench: Any) -> None:
    asset = Asset("s3://maps/ndvi")
    context = bench.context()
    events = Events()
    context["outlet_events"] = events
    result = bench.run(job(bench, outlets=[asset]), context)

    told = (
        *("request_id", "batch_api", "status", "expected_pu", "estimated_by"),
        *("processing_units", "processed", "failed"),
    )
    extra = {name: result[name] for name in told}
    assert events[asset].extra == {**extra, "paths": [delivery_root(result["output_url"], result["request_id"])]}
    assert context["ti"].xcoms["processing_units"] == result["processing_units"] > 0


@pytest.mark.parametrize("place", ["s3://maps/store", "s3://maps/stores/<requestId>"])
def test_the_event_of_a_zarr_names_its_store(bench: Any, place: str) -> None:
    """It stands where the user has said, without a folder of the request in it (the service's documentation)."""
    asset, context, events = Asset("s3://maps/ndvi"), bench.context(), Events()
    context["outlet_events"] = events
    zarr = {
        "type": "zarr",
        "delivery": {"s3": {"url": place}},
        "group": {"zarr_format": 2},
        "arrayParameters": {"dtype": "<f4", "order": "C", "chunks": [1, 1000, 1000], "fill_value": 0},
    }
    output = {"responses": [{"identifier": "default", "format": {"type": "zarr/array"}}]}
    more: dict[str, Any] = {
        "destination": zarr,
        "tiling_grid": tiling_grid(6, 100),
        "process_request": {**process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")), "output": output},
    }
    result = bench.run(job(bench, outlets=[asset], **more), context)
    assert result["status"] == "DONE"
    assert events[asset].extra["paths"] == [place.replace("<requestId>", result["request_id"])]


@pytest.mark.parametrize(
    ("name", "url", "warned"),
    [
        ("", None, True),
        ("", "http://localhost:8080", True),
        ("", "http://127.0.0.1:8080", True),
        ("", "https://airflow.example.com", False),
        ("production", "http://localhost:8080", False),
    ],
)
def test_an_airflow_that_could_be_any_is_told_so(
    bench: Any, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str], name: str, url: str | None, warned: bool
) -> None:
    monkeypatch.setattr(_identity, "deployment_name", lambda: name)
    monkeypatch.setattr(_identity, "airflow_url", lambda: url)
    bench.run(creating(bench))
    assert ("No unique deployment name" in logged()) == warned


# Crashes


@pytest.mark.parametrize("moment", thorough_but((1, 31, 61, 91), range(1, 140, 6)))
def test_a_crash_at_any_moment_and_a_retry(bench: Any, moment: int) -> None:
    bench.clock.at(moment, kill)
    with pytest.raises(Killed):
        bench.run(job(bench, poll_interval=10.0))
    result = bench.run(job(bench, poll_interval=10.0), bench.context(**RETRY))

    assert (result["status"], result["failed"]) == ("DONE", 0)
    assert bench.effects().count("billed_start") == 1
    assert bench.effects().count("created") == 1


@modes
def test_a_crash_after_the_end_adopts_it_and_a_clear_starts_anew(bench: Any, deferrable: bool) -> None:
    first = bench.run(job(bench, deferrable=deferrable))
    assert bench.run(job(bench, deferrable=deferrable), bench.context(**RETRY)) == first
    assert bench.effects().count("billed_start") == 1
    again = bench.run(job(bench, deferrable=deferrable), bench.context(**CLEARED))
    assert again["request_id"] != first["request_id"]
    assert [request["billed_starts"] for request in bench.sim.requests()] == [1, 1]


@modes
def test_a_job_that_was_cancelled_is_made_anew_only_by_a_clear(bench: Any, deferrable: bool) -> None:
    bench.clock.at(100, lambda: bench.act(bench.sim.requests()[0]["id"], "end"))
    for context in (bench.context(), bench.context(**RETRY)):
        with pytest.raises(AirflowFailException, match=r"somebody .*clear the task to run the job anew"):
            bench.run(job(bench, deferrable=deferrable), context)
    assert bench.effects().count("created") == 1
    assert bench.run(job(bench, deferrable=deferrable), bench.context(**CLEARED))["status"] == "DONE"
    assert [request["billed_starts"] for request in bench.sim.requests()] == [1, 1]


# Outages


LONG = ((0, 600), (31, 600), (80, 600))
"""Outages: the moment and the seconds."""


@every_other(
    outage=thorough_but(LONG[1:2], (*LONG, *((moment, 120) for moment in (4, 24, 29, 36, 41, 140)))),
    deferrable=MODES,
    generation=GENERATIONS,
)
def test_an_outage_at_any_moment(bench: Any, deferrable: bool, outage: tuple[int, int]) -> None:
    """The task needs no retry for it, wherever it is."""
    moment, seconds = outage
    refused = {"kind": "status", "status": 503, "times": None}
    if moment:
        bench.clock.at(moment, lambda: bench.sim.fault(path="/batch/", **refused))
    else:
        bench.sim.fault(path="/batch/", **refused)
    bench.clock.at(moment + seconds, bench.sim.clear_faults)
    result = bench.run(job(bench, deferrable=deferrable, poll_interval=5.0))

    assert result["status"] == "DONE"
    assert any(call["fault"] for call in bench.sim.journal())
    assert bench.effects().count("billed_start") == 1


@modes
def test_an_outage_that_does_not_end(bench: Any, deferrable: bool) -> None:
    bench.clock.at(90, lambda: bench.sim.fault("status", "/batch/", status=503, times=None))
    with pytest.raises(UnknownStateError) as caught:
        bench.run(job(bench, deferrable=deferrable, max_unknown_time=600))
    (request,) = bench.sim.requests()
    assert request["id"] in str(caught.value)
    assert "it runs on and bills. A retry of this task attaches to it again." in str(caught.value)
    assert not {"cancelled", "stopped"} & set(bench.effects())

    bench.sim.clear_faults()
    assert bench.run(job(bench, deferrable=deferrable), bench.context(**RETRY))["request_id"] == request["id"]
    assert bench.effects().count("billed_start") == 1


def test_an_outage_from_the_beginning_says_whether_an_earlier_try_may_have_started_something(bench: Any) -> None:
    bench.sim.fault("drop_before", "/batch/", times=None)
    with pytest.raises(UnknownStateError, match=r"Nothing was started for this task, so nothing runs and nothing is b"):
        bench.run(job(bench, max_unknown_time=60))
    with pytest.raises(UnknownStateError, match=r"The batch request of this task: .* if it was started, it runs on"):
        bench.run(job(bench, max_unknown_time=60), bench.context(**RETRY))
    assert bench.effects() == []


# The time allowed


@modes
def test_the_time_allowed_ends_the_job_also_through_an_outage(bench: Any, deferrable: bool) -> None:
    bench.sim.settings(tile_seconds=4000.0)
    bench.clock.at(140, lambda: bench.sim.fault("status", "/batch/", status=503, times=None))
    bench.clock.at(500, bench.sim.clear_faults)
    for context in (bench.context(), bench.context(**RETRY)):  # an automatic retry does not pay for another one
        with pytest.raises(AirflowFailException, match="clear the task to run the job anew"):
            bench.run(job(bench, deferrable=deferrable, timeout=150, poll_interval=10.0), context)
    (request,) = bench.sim.requests()
    assert (request["status"], request["billed_starts"]) in (("CANCELED", 1), ("STOPPED", 1))


def test_what_is_late_already_is_not_started(bench: Any) -> None:
    request_id = bench.create()
    bench.act(request_id, "analyse")
    bench.clock.sleep(60)
    bench.sim.fault("status", "/batch/", status=503, times=None)
    bench.clock.at(300, bench.sim.clear_faults)
    with pytest.raises(
        DeadlineError, match=r"is ANALYSIS_DONE, not DONE, .* It has not been started and bills nothing"
    ):
        bench.run(job(bench, request_id=request_id, timeout=200))
    assert "billed_start" not in bench.effects()


# Stopped by the service


@v2
@modes
@pytest.mark.thorough
def test_without_processing_units_it_fails_and_can_be_resumed_where_it_was(bench: Any, deferrable: bool) -> None:
    bench.sim.settings(minimum_balance=0, balance=20)
    with pytest.raises(JobCancelledError, match="run out of processing units"):
        bench.run(job(bench, deferrable=deferrable))
    (stopped,) = bench.sim.requests()
    assert stopped["stopped_reason"] == "OUT_OF_PU"

    bench.clock.at(1200, lambda: bench.sim.settings(balance=1_000_000))
    result = bench.run(job(bench, deferrable=deferrable, resume_stopped="when_accepted"), bench.context(**RETRY))
    assert (result["request_id"], result["status"], result["failed"]) == (stopped["id"], "DONE", 0)
    assert bench.effects().count("created") == 1


@v2
def test_what_a_person_has_stopped_is_not_resumed(bench: Any) -> None:
    bench.clock.at(100, lambda: bench.act(bench.sim.requests()[0]["id"], "end"))
    with pytest.raises(AirflowFailException, match="somebody stopped it"):
        bench.run(job(bench, resume_stopped="when_accepted"))


# Bad input


def test_contradictions_are_said_before_anything_is_created(bench: Any) -> None:
    """Literal ones while the DAG is parsed; those that came out of templates when the task runs."""
    with pytest.raises(InvalidInputError, match="on_partial must be one of"):
        job(bench, on_partial="shrug")()
    with pytest.raises(InvalidInputError, match="resume_stopped must be one of never"):
        job(bench, resume_stopped="perhaps")()
    with pytest.raises(InvalidInputError, match="timeout must be above 0"):
        job(bench, timeout=-5)()

    def rendered() -> SentinelHubBatchOperator:
        task = job(bench, on_partial="{{ params.policy }}")()
        task.on_partial = "shrug"
        return task

    with pytest.raises(AirflowFailException, match="on_partial must be one of fail, skip, accept, not 'shrug'"):
        bench.run(rendered)
    assert bench.effects() == []


def test_the_time_allowed_is_that_of_the_first_part(bench: Any) -> None:
    """A deferred task comes back in another process, which may have a newer DAG file: its deadline stays."""
    deadlines, kwargs = [], None
    for timeout in (3600, 7200):
        task = job(bench, deferrable=True, timeout=timeout)()
        first = partial(task.execute, bench.context())
        later = partial(task.resume_execution, "execute_complete", kwargs, bench.context())
        with pytest.raises(BaseException) as left:  # noqa: PT011
            (first if kwargs is None else later)()
        assert type(left.value).__name__ == "TaskDeferred"
        trigger: Any = left.value.trigger  # type: ignore[attr-defined]
        deadlines.append(trigger.plan.deadline)
        kwargs = {"event": bench.fire(trigger)}
    assert deadlines[0] is not None
    assert deadlines[0] == deadlines[1]


@v2
def test_the_request_that_does_the_failed_part_is_told_and_kept_though_the_first_was_given(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    bench.run(job(bench, on_partial="accept"))
    (first,) = bench.sim.requests()
    context = bench.context(**CLEARED)
    result = bench.run(job(bench, request_id=first["id"], max_restarts=1), context)
    assert result["request_id"] != first["id"]
    assert context["ti"].xcoms["request_id"] == result["request_id"]
