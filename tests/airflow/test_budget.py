"""What a job may cost: compared before the start where the service estimates (v1), watched where it does not (v2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub.exceptions import JobError
from tests.airflow.job import CLEARED, RETRY, Killed, job, modes, v1, v2

ENDS = {"fail": AirflowFailException, "skip": AirflowSkipException}


def request(bench: Any) -> dict[str, Any]:
    (only,) = bench.sim.requests()
    return dict(only)


# Before the start


@v1
@modes
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
def test_what_would_cost_too_much_is_not_started(bench: Any, deferrable: bool, policy: str) -> None:
    make = job(bench, max_processing_units=10, on_over_budget=policy, deferrable=deferrable)
    if policy == "stop":
        result = bench.run(make)
        assert (result["status"], result["processed"]) == ("CANCELED", 0)
    else:
        with pytest.raises(ENDS[policy]) as caught:
            bench.run(make)
        said = str(caught.value)
        assert "would cost about 4" in said
        assert "a third of the service's estimate of 12" in said
        assert "more than the 10 PU of max_processing_units. It has not been started and bills nothing." in said
    assert "billed_start" not in bench.effects()


@v1
def test_without_an_estimate_nothing_is_started_under_a_budget(bench: Any) -> None:
    request_id = bench.create()
    bench.act(request_id, "analyse")
    bench.clock.sleep(60)
    shown = {name: value for name, value in bench.shown(request_id).items() if name != "valueEstimate"}
    bench.sim.fault("status", f"/{request_id}$", method="GET", status=200, body=shown, times=None)
    with pytest.raises(JobError, match=r"gives no estimate .* It has not been started and bills nothing"):
        bench.run(job(bench, request_id=request_id, max_processing_units=1000))
    bench.sim.clear_faults()
    assert bench.run(job(bench, request_id=request_id, max_processing_units=1000))["status"] == "DONE"


# While it runs


@v2
@modes
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
def test_what_has_cost_too_much_is_stopped(bench: Any, deferrable: bool, policy: str) -> None:
    bench.sim.settings(concurrency=2, billing_period=5.0)
    context = bench.context()
    make = job(bench, max_processing_units=10, on_over_budget=policy, deferrable=deferrable, poll_interval=5.0)
    if policy == "stop":
        result = bench.run(make, context)
        assert result["status"] == "STOPPED"
        assert 0 < result["processed"] < result["tile_count"]
        assert result["processing_units"] > 10
    else:
        with pytest.raises(ENDS[policy]) as caught:
            bench.run(make, context)
        assert "more than the 10 PU of max_processing_units. It does not run any more" in str(caught.value)
    assert (request(bench)["status"], request(bench)["billed_starts"]) == ("STOPPED", 1)
    assert context["ti"].xcoms["processing_units"] == pytest.approx(request(bench)["cost"])


@v2
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
def test_a_crash_between_the_stop_and_the_end_of_the_task_pays_for_nothing_more(bench: Any, policy: str) -> None:
    """A STOPPED request is otherwise made anew: this one was stopped because it was enough."""
    bench.sim.settings(concurrency=2, billing_period=5.0)
    make = job(bench, max_processing_units=10, on_over_budget=policy, poll_interval=5.0)
    sleep = bench.clock.sleep

    def until_stopped(seconds: float) -> None:
        """The process is gone as soon as the service has taken the stop."""
        sleep(seconds)
        if "stopped" in bench.effects():
            raise Killed

    bench.clock.sleep = until_stopped
    with pytest.raises(Killed):
        bench.run(make)
    bench.clock.sleep = sleep
    assert bench.effects().count("stopped") == 1
    bench.clock.sleep(60)

    if policy == "stop":
        assert bench.run(make, bench.context(**RETRY))["status"] == "STOPPED"
    else:
        with pytest.raises(ENDS[policy], match="PU of max_proc"):
            bench.run(make, bench.context(**RETRY))
    assert request(bench)["billed_starts"] == 1

    roomy = job(bench, max_processing_units=1000, poll_interval=5.0)
    assert bench.run(roomy, bench.context(**CLEARED))["status"] == "DONE", "a user who clears it wants it anew"


@v2
@modes
def test_what_was_done_before_it_was_seen_is_a_success_with_a_warning(
    bench: Any, deferrable: bool, logged: Callable[[], str]
) -> None:
    result = bench.run(job(bench, max_processing_units=10, deferrable=deferrable, poll_interval=600.0))
    assert result["status"] == "DONE"
    assert result["processing_units"] > 10
    assert "was done before it was seen to cost 100 of 10 PU" in logged()


# Restarts on v2 count too


@v2
def test_all_requests_of_a_job_count(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    result = bench.run(job(bench, max_restarts=1, max_processing_units=1000))
    first, second = bench.sim.requests()
    assert result["restarts"] == 1
    assert result["processing_units"] == pytest.approx(first["cost"] + second["cost"])


@v2
def test_a_failed_part_is_not_restarted_beyond_the_budget(bench: Any, logged: Callable[[], str]) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    bench.run(job(bench, max_restarts=1, max_processing_units=99, on_partial="skip", max_failed_tiles=20))
    assert bench.effects().count("billed_start") == 1
    assert "is not restarted: it has cost 100 of 99 PU already" in logged()
