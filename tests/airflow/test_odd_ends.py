"""Ends that are odd but happen: a tile that never ends, a continuation that fails, a retry that is resumed (3.0)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import StillRunningError
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubStartBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from tests.airflow.job import CLEARED, RETRY, Killed, job, kill, modes, v1, v2


def never_ending(bench: Any) -> None:
    """One tile fails, and from the start on another one is shown as PENDING."""
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_4"], times=None)

    def pending() -> None:
        (request,) = bench.sim.requests()
        other = {"32TNM_1_2": "PENDING", "32TNM_1_4": "FAILED"}
        tiles = [
            {**tile, "cost": 3.0, "status": other.get(tile["name"], "PROCESSED")}
            for tile in bench.hook.batch.iter_tiles(request["id"])
        ]
        body = {"data": tiles, "links": {}}
        bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=None)

    bench.clock.at(60, pending)


@v1
@modes
@pytest.mark.parametrize("more", [{}, {"max_failed_tiles": 5}, {"max_restarts": 2}], ids=str)
@pytest.mark.thorough
def test_a_tile_that_never_ends_is_waited_for_within_bounds_and_named(
    bench: Any, deferrable: bool, more: dict[str, Any]
) -> None:
    never_ending(bench)
    began = bench.clock.now
    for context in (bench.context(), bench.context(**RETRY)):
        with pytest.raises(Exception, match=r"32TNM_1_2 \(PENDING\)") as caught:
            bench.run(job(bench, deferrable=deferrable, max_unknown_time=600, **more), context)
        assert "neither done nor failed" in str(caught.value)
        assert not isinstance(caught.value, AirflowFailException), "another try looks again"
    assert bench.clock.now - began < 6000
    assert bench.effects().count("billed_start") == 1


@v1
@modes
@pytest.mark.thorough
def test_a_tile_that_ends_a_little_later_is_no_failure(bench: Any, deferrable: bool) -> None:
    never_ending(bench)
    bench.clock.at(400, bench.sim.clear_faults)
    result = bench.run(job(bench, deferrable=deferrable, max_failed_tiles=5))
    assert (result["status"], result["failed"]) == ("PARTIAL", 1)


# A continuation that fails (v2)


@v2
@modes
@pytest.mark.parametrize("accepted", [True, False])
def test_a_continuation_that_fails_does_not_throw_the_first_job_away(
    bench: Any, deferrable: bool, accepted: bool
) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2", "32TNM_1_3"], times=1)
    bench.clock.at(100, lambda: bench.sim.fault("fail_analysis", times=1))
    limit = {"on_partial": "accept"} if accepted else {"max_failed_tiles": 1}
    make = job(bench, deferrable=deferrable, max_restarts=1, **limit)
    for context in (bench.context(), bench.context(**RETRY)):  # the next try judges the same
        if accepted:
            result = bench.run(make, context)
            first, second = bench.sim.requests()
            assert result["request_id"] == first["id"]
            assert (result["status"], result["failed"], result["restarts"]) == ("DONE", 2, 1)
            assert result["processing_units"] == pytest.approx(first["cost"] + second["cost"])
        else:
            with pytest.raises(Exception, match=r"2 of .* tiles failed, more than is accepted"):
                bench.run(make, context)
    first, second = bench.sim.requests()
    assert (first["status"], second["status"]) == ("DONE", "FAILED")
    assert bench.effects().count("billed_start") == 1
    assert bench.effects().count("created") == 2


@v2
def test_a_continuation_that_failed_is_paid_all_the_same(bench: Any) -> None:
    """It failed while it was processed, and not in its analysis."""
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2", "32TNM_1_3"], times=1)
    bench.clock.at(100, lambda: bench.sim.fault("fail_analysis", times=1))
    make = job(bench, max_restarts=1, on_partial="accept")
    bench.run(make)
    first, second = bench.sim.requests()
    bodies = [{**bench.shown(second["id"]), "costPU": 7.0}, bench.shown(first["id"])]
    bench.sim.fault("status", "/process$", method="GET", status=200, body={"data": bodies}, times=None)
    assert bench.run(make, bench.context(**RETRY))["processing_units"] == pytest.approx(first["cost"] + 7.0)


@v2
def test_what_a_continuation_that_failed_has_left_is_not_tried_once_more(bench: Any) -> None:
    """Though one more restart is allowed: the service has said no to just this request."""
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2", "32TNM_1_3"], times=1)
    bench.clock.at(100, lambda: bench.sim.fault("fail_analysis", times=1))
    make = job(bench, max_restarts=2, max_failed_tiles=1)
    for context in (bench.context(), bench.context(**RETRY)):
        with pytest.raises(Exception, match=r"2 of .* tiles failed, more than is accepted"):
            bench.run(make, context)
    assert bench.effects().count("created") == 2


@v2
def test_a_cleared_continuation_keeps_what_was_spent_and_does_only_what_is_missing(bench: Any) -> None:
    bench.sim.settings(write_images=True)
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2", "32TNM_1_3"], times=1)
    make = job(bench, max_restarts=1)
    sleep = bench.clock.sleep

    def until_continued(seconds: float) -> None:
        sleep(seconds)
        if bench.effects().count("billed_start") == 2:
            raise Killed

    bench.clock.sleep = until_continued
    with pytest.raises(Killed):
        bench.run(make)
    bench.clock.sleep = sleep
    result = bench.run(make, bench.context(**CLEARED))
    first, second = (one for one in bench.sim.requests() if one["billed_starts"])
    assert (result["request_id"], result["restarts"]) == (second["id"], 1)
    assert result["processing_units"] == pytest.approx(first["cost"] + second["cost"])
    assert bench.effects().count("billed_start") == 2


@v2
def test_a_third_request_writes_where_the_first_did(bench: Any) -> None:
    """Each continues the one before; the files are all in the first one's folder."""
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=3)
    result = bench.run(job(bench, max_restarts=3))
    assert (result["status"], result["failed"], result["restarts"]) == ("DONE", 0, 3)
    first, *others = bench.sim.requests()
    for other in others:
        assert f"/{first['id']}/" in bench.body(other["id"])["output"]["delivery"]["s3"]["url"]


# Airflow 3.0 resumes a retry with the event of the try before


def stale(bench: Any, make: Any, context: dict[str, Any]) -> Any:
    """Run a try that Airflow resumes where the one before was, with its event; then on to its end."""
    event = bench.events[-1]
    operator = make()
    resumed = {"event": event}
    try:
        return operator.resume_execution("execute_complete", resumed, context)
    except BaseException as deferred:
        if type(deferred).__name__ != "TaskDeferred":
            raise
        method, kwargs = deferred.method_name, {**(deferred.kwargs or {}), "event": bench.fire(deferred.trigger)}
        return make().resume_execution(method, kwargs, context)


@pytest.mark.parametrize("how", ["whole job", "start", "analyse", "sensor"])
def test_a_retry_that_is_resumed_with_an_old_event_looks_again(bench: Any, how: str) -> None:
    """After an outage that was too long, each retry would fail with the same old event."""
    request_id = bench.create()
    given = {"task_id": "job", "request_id": request_id, "deferrable": True, "max_unknown_time": 300}
    makers = {
        "whole job": job(bench, deferrable=True, max_unknown_time=300),
        "start": lambda: SentinelHubStartBatchOperator(wait_for_completion=True, **given),
        "analyse": lambda: SentinelHubAnalyseBatchOperator(**given),
        "sensor": lambda: SentinelHubBatchSensor(poke_interval=20, **given),
    }
    if how == "sensor":
        bench.act(request_id, "start")
    bench.clock.at(5, lambda: bench.sim.fault("status", "/batch/", status=503, times=None))
    with pytest.raises(Exception, match="could not be read"):
        bench.run(makers[how])
    bench.sim.clear_faults()
    stale(bench, makers[how], bench.context(**RETRY))
    assert bench.effects().count("billed_start") == (0 if how == "analyse" else 1)


def test_a_retry_that_is_resumed_with_an_old_timeout_begins_anew(bench: Any) -> None:
    bench.clock.at(90, kill)
    with pytest.raises(Killed):
        bench.run(job(bench))
    operator = job(bench, deferrable=False)()
    result = operator.resume_execution("__fail__", {"error": "Trigger timeout"}, bench.context(**RETRY))
    assert result["status"] == "DONE"
    assert bench.effects().count("billed_start") == 1


def test_an_argument_that_is_wrong_after_the_wait_is_not_final_while_the_job_may_run(bench: Any) -> None:
    """A template that renders to something else by then: no retry would mean that nobody looks at the job any more."""
    context, make = bench.context(), job(bench, deferrable=True)
    with pytest.raises(BaseException) as left:  # noqa: PT011
        make().execute(context)
    event = bench.fire(left.value.trigger)
    operator = make()
    operator.poll_interval = "soon"
    with pytest.raises(StillRunningError, match=f"poll_interval.*{event['request_id']} may be running"):
        operator.resume_execution(left.value.method_name, {"event": event}, context)
