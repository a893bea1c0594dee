"""A cleared task: what runs is kept, what is done or has changed is made anew."""

from __future__ import annotations

import pytest

from airflow_sentinelhub.api.flows.restart import restart_counted
from airflow_sentinelhub.api.service.generations import V1
from tests.api.fake_service import FakeService, drive
from tests.api.finding import WHO, B, created, search, settle, start


def test_a_clear_while_it_runs_keeps_it_and_a_crash_after_its_end_adopts_it(service: FakeService) -> None:
    """Without a word about the new round, the retry would take the request for one that the user wants made again."""
    number = settle(service).job.request_id
    start(service, number)
    assert settle(service, round=2).job.request_id == number
    service.now += 600
    again = settle(service, round=2)
    assert (again.job.request_id, again.why) == (number, "it is DONE already")
    assert settle(service, round=4).job.request_id != number


def test_a_clear_before_the_start_takes_the_request_over_in_its_own_words(service: FakeService) -> None:
    number = settle(service).job.request_id
    assert settle(service, round=2).job.request_id == number
    assert service.jobs[number].description(service.now) == f"max NDVI {WHO} r2 jaaaaaaaa"
    assert created(service) == 1


def test_a_clear_after_the_end_starts_anew(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 600
    assert settle(service, round=2).job.request_id != number


def test_a_clear_while_a_changed_job_runs_replaces_it(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    fed = drive(service, search(service, round=2, job=B))
    state = service.jobs[number].at(service.now)
    assert state is not None
    assert state.status in ("CANCELED", "STOPPED")
    assert fed.result.job.request_id != number
    order = [call.path.rpartition("/")[2] for call in fed.sent if call.method == "POST"]
    assert order == ["cancel" if service.api == "v1" else "stop", "process"]
    assert "the job has changed" in fed.warnings[0]


def test_a_retry_of_a_changed_job_keeps_what_runs_and_says_so(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    found = settle(service, job=B)
    assert found.job.request_id == number
    assert "changed" in found.why


def test_a_changed_job_that_was_not_started_is_made_anew(service: FakeService) -> None:
    number = settle(service).job.request_id
    again = settle(service, job=B)
    assert again.job.request_id != number
    assert (service.jobs[number].at(service.now) is None) == (service.api == "v1")


@pytest.mark.parametrize("lag", [0.0, 3.0, 30.0])
def test_back_to_the_job_of_before_a_moment_after_the_other_was_started(service: FakeService, lag: float) -> None:
    """v2 cannot delete the first request: it is there to be taken while the list hides that the second runs."""
    settle(service)
    service.now += 60
    second = settle(service, round=1, job=B).job.request_id
    start(service, second)
    third = settle(service, round=2, lag=lag).job.request_id
    state = service.jobs[second].at(service.now)
    assert state is not None
    assert state.status in ("CANCELED", "STOPPED")
    assert third != second


def test_a_request_that_is_being_cancelled_is_waited_for(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    service._end(service.jobs[number], *(("CANCEL", "CANCELED") if service.api == "v1" else ("STOP", "STOPPED")))
    fed = drive(service, search(service))
    assert fed.result.job.request_id == number, "an automatic retry does not start it again"
    assert fed.result.job.status in ("CANCELED", "STOPPED")
    assert "being cancelled; waiting for its end" in fed.warnings[0]
    assert settle(service, round=2).job.request_id != number


@pytest.mark.parametrize("outcome", ["FAILED", "DONE", "PARTIAL"])
def test_a_retry_after_the_end(service: FakeService, outcome: str) -> None:
    service.outcome = outcome
    number = settle(service).job.request_id
    start(service, number)
    service.now += 600
    assert (settle(service).job.request_id == number) is (outcome != "FAILED")


# What was restarted a moment ago


def test_a_clear_while_a_restart_does_not_show_yet_ends_it_before_another_job_is_made(v1: FakeService) -> None:
    v1.outcome, v1.restart_shows_after = "PARTIAL", 200.0
    number = settle(v1).job.request_id
    start(v1, number)
    v1.now += 600
    drive(v1, restart_counted(V1, number, 1))
    assert v1.jobs[number].at_work(v1.now)
    assert v1.jobs[number].at(v1.now).status == "PARTIAL"  # type: ignore[union-attr]

    again = settle(v1, round=2).job.request_id
    assert again != number
    assert not v1.jobs[number].at_work(v1.now)


def test_a_clear_of_a_job_that_is_partial_after_its_restart_starts_anew(v1: FakeService) -> None:
    v1.outcome = "PARTIAL"
    number = settle(v1).job.request_id
    start(v1, number)
    v1.now += 600
    drive(v1, restart_counted(V1, number, 1))
    v1.now += 600
    again = settle(v1, round=2).job.request_id
    assert again != number
    start(v1, again)
    assert settle(v1, round=2).job.request_id == again
