"""What a job may cost: compared before the start, by the service's estimate (v1) or ours (v2), and watched (v2)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub.exceptions import InvalidInputError, JobError
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubBatchBudgetOperator
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


def analysed(bench: Any) -> str:
    request_id = str(bench.create())
    bench.act(request_id, "analyse")
    bench.clock.sleep(60)
    return request_id


def compare(bench: Any, request_id: str, **arguments: Any) -> Callable[[], SentinelHubBatchBudgetOperator]:
    """The comparison as a step of its own."""
    return lambda: SentinelHubBatchBudgetOperator(task_id="budget", request_id=request_id, **arguments)


@v1
@pytest.mark.parametrize("make", [job, compare])
def test_without_an_estimate_nothing_is_started_under_a_budget(bench: Any, make: Any) -> None:
    request_id = analysed(bench)
    shown = {name: value for name, value in bench.shown(request_id).items() if name != "valueEstimate"}
    bench.sim.fault("status", f"/{request_id}$", method="GET", status=200, body=shown, times=None)
    with pytest.raises(JobError, match=r"gives no estimate .* It has not been started and bills nothing"):
        bench.run(make(bench, request_id=request_id, max_processing_units=1000))
    bench.sim.clear_faults()
    assert bench.run(make(bench, request_id=request_id, max_processing_units=1000))["request_id"] == request_id


@v1
@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_step_of_its_own_compares_the_same(bench: Any, policy: str) -> None:
    request_id = analysed(bench)
    with pytest.raises(ENDS[policy], match=r"would cost about 4.* It has not been started and bills nothing"):
        bench.run(compare(bench, request_id, max_processing_units=10, on_over_budget=policy))
    result = bench.run(compare(bench, request_id, max_processing_units=1000, on_over_budget=policy))
    assert result["expected_pu"] == pytest.approx(result["estimated_pu"] / 3)
    assert bench.run(compare(bench, request_id, max_processing_units=None))["max_processing_units"] is None
    assert "billed_start" not in bench.effects()


@v2
@modes
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
def test_v2_refuses_by_our_own_estimate(bench: Any, deferrable: bool, policy: str) -> None:
    make = job(bench, max_processing_units=40, on_over_budget=policy, deferrable=deferrable)
    context = bench.context()
    if policy == "stop":
        result = bench.run(make, context)
        assert (result["processed"], result["processing_units"]) == (0, 0)
    else:
        with pytest.raises(ENDS[policy]) as caught:
            bench.run(make, context)
        said = str(caught.value)
        assert "would cost about 40.7 to 100 PU (our estimate: area x 91.6, batch x 0.333, input bands x 0.667" in said
        assert (
            "format x 2, minimum at least 100), more than the 40 PU of max_processing_units. "
            "It has not been started and bills nothing." in said
        )
    assert "billed_start" not in bench.effects()
    assert (context["ti"].xcoms["expected_pu"], context["ti"].xcoms["estimated_by"]) == (100, "us")


@v2
@modes
def test_what_only_may_cost_too_much_is_started_with_a_warning_and_watched(
    bench: Any, deferrable: bool, logged: Callable[[], str]
) -> None:
    """The number of observations is not known before the start: six to fifteen of them in a month."""
    bench.sim.settings(concurrency=2, billing_period=5.0)
    orbit = bench.ndvi.replace("output:", 'mosaicking: "ORBIT", output:')
    with pytest.raises(AirflowFailException, match=r"has cost .* more than the 250 PU of max_processing_units"):
        bench.run(job(bench, evalscript=orbit, max_processing_units=250, deferrable=deferrable, poll_interval=5.0))
    assert "it may cost more than the 250 PU of max_processing_units (about 244 to 610 PU (our estimate))" in logged()
    assert bench.effects().count("billed_start") == 1


@v2
@pytest.mark.usefixtures("unpriced")
def test_what_cannot_be_estimated_is_started_unless_an_estimate_is_required(
    bench: Any, logged: Callable[[], str]
) -> None:
    with pytest.raises(JobError, match=r"require_estimate .*not been started and bills nothing") as caught:
        bench.run(job(bench, require_estimate=True))
    assert "There is neither pen nor paper." in str(caught.value)
    assert bench.effects().count("billed_start") == 0
    result = bench.run(job(bench, max_processing_units=5000), bench.context(**RETRY))
    assert (result["expected_pu"], result["estimated_by"]) == (None, None)
    assert "its expected cost is not known: There is neither pen nor paper." in logged()
    assert bench.effects().count("billed_start") == 1


@v2
def test_a_bucket_that_cannot_be_read_makes_the_cost_unknown(bench: Any, logged: Callable[[], str]) -> None:
    request_id = analysed(bench)
    (manifest,) = Path(bench.sim.bucket_dir).rglob(f"featureManifest-{request_id}*")
    manifest.unlink()
    result = bench.run(compare(bench, request_id, max_processing_units=10))
    assert (result["expected_pu"], result["estimated_by"]) == (None, None)
    assert "there is no feature manifest at s3://" in logged()
    with pytest.raises(JobError, match="there is no feature manifest"):
        bench.run(compare(bench, request_id, max_processing_units=10, require_estimate=True))


@v2
@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_step_of_its_own_compares_our_estimate_on_v2(bench: Any, policy: str) -> None:
    request_id = analysed(bench)
    with pytest.raises(
        ENDS[policy], match=r"would cost about 40.7 to 100 PU .* It has not been started and bills nothing"
    ):
        bench.run(compare(bench, request_id, max_processing_units=10, on_over_budget=policy))
    result = bench.run(compare(bench, request_id, max_processing_units=100, on_over_budget=policy))
    assert (result["estimated_pu"], result["expected_pu"], result["estimated_by"]) == (None, 100, "us")


@v2
def test_the_analysis_tells_tiles_and_cost(bench: Any) -> None:
    request_id = bench.create()
    result = bench.run(lambda: SentinelHubAnalyseBatchOperator(task_id="analyse", request_id=request_id))
    assert (result["tile_count"], result["expected_pu"], result["estimated_by"]) == (24, 100, "us")


@v1
def test_the_services_number_counts_and_ours_is_shown_if_it_is_far_off(bench: Any, logged: Callable[[], str]) -> None:
    result = bench.run(job(bench))
    assert result["estimated_by"] == "service"
    assert result["expected_pu"] == pytest.approx(result["estimated_pu"] / 3)
    assert "differs by more than a third" not in logged(), "of the minimum the service's number says nothing"
    request_id = analysed(bench)
    shown = bench.shown(request_id)
    shown["valueEstimate"] *= 4
    bench.sim.fault("status", f"/{request_id}$", method="GET", status=200, body=shown, times=None)
    far = bench.run(compare(bench, request_id, max_processing_units=1000))
    assert far["expected_pu"] == pytest.approx(shown["valueEstimate"] / 3)
    assert "our own estimate differs by more than a third: 40.7 to 100 PU" in logged()


def test_a_step_of_its_own_refuses_what_makes_no_sense() -> None:
    """While the DAG is parsed; when it runs, what came out of templates."""
    given: dict[str, Any] = {"task_id": "budget", "request_id": "{{ 1 }}"}
    with pytest.raises(InvalidInputError, match="max_processing_units must be above 0"):
        SentinelHubBatchBudgetOperator(**given, max_processing_units=0)
    with pytest.raises(InvalidInputError, match="on_over_budget must be one of fail, skip, not 'stop'"):
        SentinelHubBatchBudgetOperator(**given, max_processing_units=10, on_over_budget="stop")
    task = SentinelHubBatchBudgetOperator(**given, max_processing_units=10, on_over_budget="{{ params.policy }}")
    task.on_over_budget = "stop"
    with pytest.raises(AirflowFailException, match="nothing has been started yet"):
        task.execute({})


# While it runs


@v2
@modes
@pytest.mark.usefixtures("unpriced")
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
@pytest.mark.usefixtures("unpriced")
def test_a_trigger_that_sees_the_budget_passed_ends_the_job_itself(bench: Any) -> None:
    """A worker may not come for hours: the DAG is paused, the pool is full."""
    bench.sim.settings(concurrency=2, billing_period=5.0)
    fired: list[str] = []
    fire = bench.fire

    def and_no_worker_comes(trigger: Any) -> Any:
        event = fire(trigger)
        if event["outcome"] == "over_budget":
            fired.append(request(bench)["status"])
            raise Killed
        return event

    bench.fire = and_no_worker_comes
    with pytest.raises(Killed):
        bench.run(job(bench, max_processing_units=10, deferrable=True, poll_interval=5.0))
    assert fired == ["STOPPED"]


@v2
@pytest.mark.usefixtures("unpriced")
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
@pytest.mark.thorough
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
@pytest.mark.usefixtures("unpriced")
def test_what_was_done_before_it_was_seen_is_a_success_with_a_warning(
    bench: Any, deferrable: bool, logged: Callable[[], str]
) -> None:
    result = bench.run(job(bench, max_processing_units=10, deferrable=deferrable, poll_interval=600.0))
    assert result["status"] == "DONE"
    assert result["processing_units"] > 10
    assert "has cost 100 of 10 PU: no reading showed that before its end" in logged()


# Restarts on v2 count too


@v2
def test_all_requests_of_a_job_count(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    result = bench.run(job(bench, max_restarts=1, max_processing_units=1000))
    first, second = bench.sim.requests()
    assert result["restarts"] == 1
    assert result["processing_units"] == pytest.approx(first["cost"] + second["cost"])


@v2
@pytest.mark.usefixtures("unpriced")
@pytest.mark.parametrize("limit", [99, 100])
def test_a_failed_part_is_not_restarted_beyond_the_budget(bench: Any, logged: Callable[[], str], limit: int) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    bench.run(job(bench, max_restarts=1, max_processing_units=limit, on_partial="skip", max_failed_tiles=20))
    assert bench.effects().count("billed_start") == 1
    assert f"is not restarted: it has cost 100 of {limit} PU already" in logged()


@v2
@modes
@pytest.mark.thorough
def test_a_failed_part_has_what_the_first_request_has_left_of_the_budget(bench: Any, deferrable: bool) -> None:
    bench.sim.settings(concurrency=2, billing_period=5.0)
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    make = job(bench, deferrable=deferrable, max_restarts=1, max_processing_units=105, poll_interval=5.0)
    for context in (bench.context(), bench.context(**RETRY)):  # the next try judges the same
        with pytest.raises(AirflowFailException, match="more than the 105 PU of max_processing_units"):
            bench.run(make, context)
    first, second = bench.sim.requests()
    assert (first["status"], second["status"]) == ("DONE", "STOPPED")
    assert second["cost"] < 105 < first["cost"] + second["cost"]
    assert bench.effects().count("billed_start") == 2


@pytest.mark.parametrize(("policy", "ends"), [("fail", "fails"), ("skip", "is skipped")])
def test_a_clear_of_what_was_not_started_ends_by_the_policy(bench: Any, policy: str, ends: str) -> None:
    with pytest.raises(Exception, match=f"Cleared as it is, it {ends} again and pays nothing"):
        bench.run(job(bench, max_processing_units=1, on_over_budget=policy))
