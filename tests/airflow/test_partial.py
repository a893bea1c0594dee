"""A job of which some tiles failed: restarted, accepted, failed or skipped, and always named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowSkipException
from airflow_sentinelhub.exceptions import JobPartialError, UnknownStateError
from airflow_sentinelhub.operators.batch import SentinelHubRestartBatchOperator
from tests.airflow.job import CLEARED, RETRY, Killed, job, kill, modes, thorough_but, v1

BAD = ["32TNM_1_3", "32TNM_1_4"]
"""Two tiles of the area."""


def failing(bench: Any, times: int = 1) -> None:
    bench.sim.fault(kind="fail_tiles", names=BAD, times=times)


@modes
def test_failed_tiles_are_named_in_the_error_and_told_by_xcom(bench: Any, deferrable: bool) -> None:
    failing(bench)
    context = bench.context()
    with pytest.raises(JobPartialError) as caught:
        bench.run(job(bench, deferrable=deferrable), context)
    said = str(caught.value)
    assert "2 of 24 tiles failed, more than is accepted: 32TNM_1_3, 32TNM_1_4. It does not run any more" in said
    assert context["ti"].xcoms["failed_tiles"] == BAD
    assert context["ti"].xcoms["processing_units"] > 0


@modes
def test_a_skip_names_them_too(bench: Any, deferrable: bool) -> None:
    failing(bench)
    with pytest.raises(AirflowSkipException, match="2 of 24 tiles failed, more than is accepted: 32TNM_1_3, 32TNM_1_4"):
        bench.run(job(bench, deferrable=deferrable, on_partial="skip", max_failed_tiles=1))


@pytest.mark.parametrize(
    "policy", [{"on_partial": "accept"}, {"max_failed_tiles": 2}, {"min_success_ratio": 0.9}, {"max_failed_tiles": "2"}]
)
def test_what_is_accepted_is_a_success_that_says_so(
    bench: Any, policy: dict[str, Any], logged: Callable[[], str]
) -> None:
    failing(bench)
    result = bench.run(job(bench, **policy))
    assert (result["status"], result["failed_tiles"]) == ("PARTIAL" if bench.api == "v1" else "DONE", BAD)
    assert (result["processed"], result["failed"]) == (22, 2)
    assert "2 of 24 tiles failed, which is accepted: 32TNM_1_3, 32TNM_1_4" in logged()


@pytest.mark.parametrize("policy", [{"max_failed_tiles": 1}, {"min_success_ratio": 0.95}])
def test_what_is_not_enough(bench: Any, policy: dict[str, Any]) -> None:
    failing(bench)
    with pytest.raises(JobPartialError):
        bench.run(job(bench, **policy))


def test_a_retry_of_a_partial_job_pays_nothing(bench: Any) -> None:
    failing(bench)
    for context in (bench.context(), bench.context(**RETRY)):
        with pytest.raises(JobPartialError):
            bench.run(job(bench), context)
    assert bench.effects().count("billed_start") == 1


# v1: the race in which PARTIAL becomes DONE by itself


@v1
@modes
@pytest.mark.parametrize("after", thorough_but((1.0, 6.0), (1.0, 4.0, 6.0, 30.0)))
def test_partial_that_becomes_done_by_itself(bench: Any, deferrable: bool, after: float) -> None:
    """The restart may be refused because there is nothing to restart any more: that is success."""
    bench.sim.settings(partial_heals_after=after)
    failing(bench)
    result = bench.run(job(bench, deferrable=deferrable, max_restarts=1, poll_interval=1.0))
    assert (result["status"], result["failed"]) == ("DONE", 0)


# v1: readings that lag behind a restart


@v1
@modes
@pytest.mark.parametrize("lag", [0.0, 100.0])
def test_a_crash_right_after_the_restart(bench: Any, deferrable: bool, lag: float) -> None:
    """The next try reads PARTIAL and failed tiles still; the job is at work, and neither over nor to be restarted."""
    failing(bench)
    sleep = bench.clock.sleep

    def until_restarted(seconds: float) -> None:
        if "restarted" in bench.effects():
            raise Killed
        sleep(seconds)

    bench.clock.sleep = until_restarted
    with pytest.raises(Killed):
        bench.run(job(bench, max_restarts=1))
    bench.clock.sleep = sleep
    if lag:
        bench.sim.fault("lag", "/batch/", method="GET", seconds=lag, times=None)
    result = bench.run(job(bench, max_restarts=1, deferrable=deferrable), bench.context(**RETRY))

    assert (result["status"], result["failed"], result["restarts"]) == ("DONE", 0, 1)
    assert bench.effects().count("restarted") == 1


@v1
def test_a_restart_whose_reply_is_lost_is_not_asked_for_again(bench: Any) -> None:
    failing(bench, times=3)
    bench.sim.fault("drop_after", "/restartpartial$", method="POST", times=1)
    with pytest.raises((JobPartialError, UnknownStateError)):
        bench.run(job(bench, max_restarts=1))
    with pytest.raises(JobPartialError):
        bench.run(job(bench, max_restarts=1), bench.context(**RETRY))
    assert bench.effects().count("restarted") == 1


# The single step


def restart(request_id: str, **more: Any) -> Callable[[], SentinelHubRestartBatchOperator]:
    return lambda: SentinelHubRestartBatchOperator(
        task_id="restart", request_id=request_id, retries=3, wait_for_completion=True, **more
    )


@v1
@modes
def test_the_step_restarts_once_for_all_its_tries(bench: Any, deferrable: bool) -> None:
    failing(bench, times=3)
    request_id = bench.ended()
    with pytest.raises(JobPartialError):
        bench.run(restart(request_id, deferrable=deferrable))
    with pytest.raises(JobPartialError):
        bench.run(restart(request_id, deferrable=deferrable), bench.context(**RETRY))
    assert bench.effects().count("restarted") == 1, "a retry does not pay again"
    with pytest.raises(JobPartialError):
        bench.run(restart(request_id, deferrable=deferrable), bench.context(**CLEARED))
    assert bench.effects().count("restarted") == 2, "a user who clears it wants it again"


@v1
@pytest.mark.parametrize("moment", [1, 20, 40])
def test_the_step_is_killed_and_goes_on(bench: Any, moment: int) -> None:
    failing(bench)
    request_id = bench.ended()
    bench.clock.at(moment, kill)
    with pytest.raises(Killed):
        bench.run(restart(request_id, poll_interval=5.0))
    assert bench.made(restart(request_id, poll_interval=5.0), bench.context(**RETRY)) == request_id
    assert bench.status(request_id) == "DONE"
    assert bench.effects().count("restarted") == 1
