"""A create whose reply is lost or refused: looked up, and never sent a second time in vain."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Lost, Reply
from tests.api.fake_service import FakeService, drive
from tests.api.feeding import error, lost
from tests.api.finding import created, search, settle, start


@pytest.mark.parametrize("lag", [0.0, 3.0, 30.0])
@pytest.mark.parametrize("reply", [lost(), error(503)], ids=["lost", "503"])
@pytest.mark.parametrize("carried_out", [True, False])
def test_a_create_whose_reply_is_lost_is_looked_up(
    service: FakeService, carried_out: bool, reply: Reply | Lost, lag: float
) -> None:
    posts = 0

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal posts
        posts += call.method == "POST"
        if call.method == "POST" and posts == 1:
            if carried_out:
                service.answer(call)
            return reply
        return service.answer(call, lag=lag)

    fed = drive(service, search(service), answer)
    assert fed.result.job.request_id == next(iter(service.jobs))
    assert (posts, created(service)) == ((1, 1) if carried_out else (2, 1))
    assert "is not known" in fed.warnings[0]


def test_a_create_whose_reply_is_lost_is_not_taken_for_a_request_that_was_there_before(service: FakeService) -> None:
    service.outcome = "FAILED"
    start(service, settle(service).job.request_id)
    service.now += 600
    posts = 0

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal posts
        posts += call.method == "POST"
        return service.answer(call, "drop_after" if call.method == "POST" and posts == 1 else None, lag=3.0)

    fed = drive(service, search(service), answer)
    assert fed.result.job.request_id == list(service.jobs)[1]
    assert created(service) == 2


def test_a_create_whose_reply_is_lost_is_looked_up_behind_what_others_create_meanwhile(v2: FakeService) -> None:
    """By the service's clock, which is somewhat behind ours."""
    posts = 0

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal posts
        if call.method != "POST":
            return v2.answer(call)
        posts += 1
        lost_reply = v2.answer(call, "drop_after")
        for number in range(4):
            v2._create({"description": f"of another {number}"})
        v2.now += 60
        return lost_reply

    fed = drive(v2, search(v2), answer)
    assert (posts, fed.result.job.request_id) == (1, next(iter(v2.jobs)))


def test_a_create_that_is_never_seen_again_ends_in_an_error_and_nothing_is_started(service: FakeService) -> None:
    def answer(call: Call[Any]) -> Reply | Lost:
        return lost() if call.method == "POST" else service.answer(call)

    fed = drive(service, search(service), answer)
    assert type(fed.error) is errors.JobError
    assert "nothing was started" in str(fed.error)
    assert fed.error.retry_helps


@pytest.mark.parametrize("status", [400, 403])
def test_a_create_that_is_refused_fails_at_once(service: FakeService, status: int) -> None:
    refusal = error(status, "output->path: no rights")

    def answer(call: Call[Any]) -> Reply | Lost:
        return refusal if call.method == "POST" else service.answer(call)

    fed = drive(service, search(service), answer)
    assert isinstance(fed.error, (errors.BadRequestError, errors.ForbiddenError))
    assert "no rights" in str(fed.error)
    assert not fed.error.retry_helps
    assert sum(call.method == "POST" for call in fed.sent) == 1


def test_a_list_that_cannot_be_read_creates_nothing(service: FakeService) -> None:
    """A list cut short would look like one without our request."""
    fed = drive(service, search(service), lambda call: error(500))
    assert isinstance(fed.error, errors.ServerError)
    assert {call.method for call in fed.sent} == {"GET"}
