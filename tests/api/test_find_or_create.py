"""Find or create: one request for a task, over its tries and before anything is sent."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Flow, Lost, Note, Reply
from airflow_sentinelhub.api.decide.marker import Mark, identity, marked
from airflow_sentinelhub.api.flows.find_or_create import end_all, find_or_create
from airflow_sentinelhub.api.service.generations import generation
from tests.api.fake_service import FakeService, Process, drive
from tests.api.feeding import error
from tests.api.finding import PAYLOAD, WHO, A, B, created, search, settle, start, unwilling

# One try after another


def test_the_first_try_creates(service: FakeService) -> None:
    fed = drive(service, search(service))
    assert not fed.result.adopted
    assert created(service) == 1
    job = service.jobs[fed.result.job.request_id]
    assert job.description(service.now) == f"max NDVI {WHO} r0 jaaaaaaaa"
    assert not job.billed


def test_a_job_without_words_is_marked_too(service: FakeService) -> None:
    found = drive(service, find_or_create(generation(service.api), {}, Mark(WHO, 0, A))).result
    assert service.jobs[found.job.request_id].description(service.now) == str(Mark(WHO, 0, A))


def test_the_next_try_finds(service: FakeService) -> None:
    first = settle(service)
    again = settle(service)
    assert (again.job.request_id, again.adopted) == (first.job.request_id, True)
    assert "not been started" in again.why
    start(service, first.job.request_id)
    assert settle(service).why == "it is running"
    service.now += 600
    assert settle(service).why == "it is DONE already"
    assert created(service) == 1


@pytest.mark.parametrize("lag", [3.0, 30.0])
def test_a_try_right_after_a_crash_finds_what_the_list_does_not_show_yet(service: FakeService, lag: float) -> None:
    Process(service, search(service)).run(after="POST")
    found = settle(service, lag=lag)
    assert found.job.request_id == next(iter(service.jobs))
    assert len([job for job in service.jobs.values() if job.at(service.now)]) == (1 if service.api == "v1" else 2)


def test_among_many_requests_of_others_ours_is_found(service: FakeService) -> None:
    first = settle(service)
    for number in range(8):
        service.now += 1
        service._create({"description": marked("", Mark(identity("other", "dag", "run", "task", number), 0, A))})
    assert settle(service).job.request_id == first.job.request_id


def test_the_walk_ends_where_no_request_of_the_task_can_be(v2: FakeService) -> None:
    for number in range(9):
        v2._create({"description": f"old {number}"})
        v2.now += 3600
    since = datetime.fromtimestamp(v2.now, timezone.utc) - timedelta(hours=2, minutes=1)
    fed = drive(v2, search(v2, since=since))
    assert sum(call.method == "GET" for call in fed.sent) == 3  # two pages, and one after the create
    assert not fed.result.adopted


# What is checked before a create


def refusing() -> Flow[None]:
    yield Note("checking")
    raise errors.InvalidInputError("there is no such grid")


def test_what_is_wrong_is_said_before_a_create(service: FakeService) -> None:
    fed = drive(service, search(service, check=refusing))
    assert type(fed.error) is errors.InvalidInputError
    assert fed.error.snapshot is None
    assert created(service) == 0


def test_what_takes_calls_is_checked_once(service: FakeService) -> None:
    """Also if the request has to be created twice."""
    checks = 0

    def check() -> Flow[None]:
        nonlocal checks
        checks += 1
        yield Note("checking")

    fed = drive(service, search(service, check=check), unwilling(service, "drop_before", 1))
    assert not fed.result.adopted
    assert checks == 1


@pytest.mark.parametrize("job", [A, B, ""])
@pytest.mark.parametrize("moment", [0, 20, 600])
def test_what_is_wrong_does_not_hide_what_runs_or_is_done(service: FakeService, job: str, moment: float) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += moment
    assert settle(service, job=job, check=refusing).job.request_id == number


def test_what_is_wrong_ends_no_request_of_before_a_clear(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    fed = drive(service, search(service, round=2, job=B, check=refusing))
    assert type(fed.error) is errors.InvalidInputError
    assert fed.error.snapshot.request_id == number
    assert service.jobs[number].running(service.now)


# A task that is wanted no more


@pytest.mark.parametrize("round", [0, 2])
def test_all_that_a_task_has_started_is_ended(service: FakeService, round: int) -> None:
    api = generation(service.api)
    running = settle(service).job.request_id
    start(service, running)
    other = drive(service, find_or_create(api, PAYLOAD, Mark(identity("a copy", "dag", "run", "task", -1), 0, A)))
    start(service, other.result.job.request_id)
    service.now += 30
    drive(service, end_all(api, Mark(WHO, round, "")))
    assert not service.jobs[running].at_work(service.now)
    assert service.jobs[other.result.job.request_id].running(service.now), "that of a copy of the deployment"


def test_what_was_never_started_is_not_ended(service: FakeService) -> None:
    settle(service)
    fed = drive(service, end_all(generation(service.api), Mark(WHO, 0, "")))
    assert fed.error is None
    assert {call.method for call in fed.sent} == {"GET"}
    assert fed.waited == 0


def test_a_request_that_was_started_while_it_was_to_be_removed_is_adopted_although_another_one_cannot_be_removed(
    v1: FakeService,
) -> None:
    """Another copy of the task has started it; a job of ours beside it would be paid, too."""
    _, started, left = (
        json.loads(v1._create({"description": f"max NDVI {WHO} r0 j{job}"}).body)["id"] for job in (A, B, B)
    )

    def answer(call: Call[Any]) -> Reply | Lost:
        if call.method == "DELETE" and left in call.path:
            return error(403, "no rights")
        if call.method == "DELETE" and not v1.jobs[started].billed:
            v1._start(v1.jobs[started])
        return v1.answer(call)

    fed = Process(v1, search(v1), answer).run()
    assert (fed.result.job.request_id, fed.result.adopted) == (started, True)


def test_a_request_that_is_too_new_for_its_description_to_be_changed_is_adopted(service: FakeService) -> None:
    """An old copy of the task has made it just before the clear."""
    found = settle(service).job.request_id
    asked = 0

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal asked
        asked += call.method == "PUT"
        return error(404) if call.method == "PUT" and asked < 3 else service.answer(call)

    fed = drive(service, search(service, round=1), answer)
    assert (fed.result.job.request_id, asked) == (found, 3)
    assert " r1 " in service.jobs[found].description(service.now)


def test_a_request_that_the_list_shows_is_adopted_although_the_call_for_it_finds_nothing(service: FakeService) -> None:
    """A machine that lags: a job that is not found would be paid again."""
    running = settle(service).job.request_id
    start(service, running)

    def answer(call: Call[Any]) -> Reply | Lost:
        itself = call.method == "GET" and call.path.endswith(running)
        return error(404) if itself else service.answer(call)

    fed = drive(service, search(service), answer)
    assert (fed.result.job.request_id, created(service)) == (running, 1)
