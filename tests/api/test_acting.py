"""Acting on a request: analyse once, start once, resume, end, whatever becomes of calls and replies."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.api.decide.marker import Mark, identity, marked
from airflow_sentinelhub.api.flows import actions
from airflow_sentinelhub.api.flows import read as reading
from airflow_sentinelhub.api.service.generations import V1, V2, Generation
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from tests.api import feeding
from tests.api.fake_service import FakeService, drive
from tests.api.feeding import ID, Fed, done, error, feed, lost, ok

GENERATIONS = [V1, V2]
ILLEGAL = "Illegal to change userAction from START to START with task status CREATED"


def body(api: Generation, status: str = "CREATED", action: str = "NONE", **members: Any) -> Reply:
    return ok((feeding.v1 if api.name == "v1" else feeding.v2)(status, action, **members))


def starts(fed: Fed) -> int:
    return sum(call.endswith("/start") for call in fed.calls)


# Start once


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
@pytest.mark.parametrize(
    ("status", "action", "sent"),
    [
        ("CREATED", "NONE", True),
        ("CREATED", "ANALYSE", True),
        ("ANALYSING", "ANALYSE", True),
        ("ANALYSIS_DONE", "ANALYSE", True),
        ("LIMBO", "NONE", True),
        ("CREATED", "START", False),
        ("ANALYSING", "START", False),
        ("ANALYSIS_DONE", "START", False),
        ("PROCESSING", "START", False),
        ("PROCESSING", "CANCEL", False),
        ("ANALYSIS_DONE", "STOP", False),
        ("DONE", "START", False),
        ("DONE", "ANALYSE", False),
        ("PARTIAL", "START", False),
        ("FAILED", "ANALYSE", False),
        ("CANCELED", "CANCEL", False),
        ("STOPPED", "STOP", False),
    ],
)
def test_only_what_nobody_has_started_is_started(api: Generation, status: str, action: str, sent: bool) -> None:
    script = [body(api, status, action)] + ([done(), body(api, status, "START")] if sent else [])
    fed = feed(actions.start_once(api, ID), script)
    assert starts(fed) == sent
    assert str(fed.result.status) == status
    assert fed.slept == []


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
def test_a_start_is_taken_on_trust_and_shown_when_it_shows(api: Generation) -> None:
    idle = body(api)
    fed = feed(actions.start_once(api, ID), [idle, done(), idle, idle, body(api, "CREATED", "START")])
    assert str(fed.result.user_action) == "START"
    assert starts(fed) == 1
    fed = feed(actions.start_once(api, ID), [idle, done(), idle, ...])
    assert starts(fed) == 1
    assert fed.waited == sum(reading.AFTER_AMBIGUOUS)


FAULTS: dict[str, tuple[bool, Callable[[], Reply | Lost]]] = {
    "lost before": (False, lost),
    "lost after": (True, lost),
    "503 before": (False, lambda: error(503)),
    "503 after": (True, lambda: error(503)),
    "html after": (True, lambda: feeding.html(200, "Maintenance")),
    "400": (False, lambda: error(400, ILLEGAL)),
    "404": (False, lambda: error(404)),
    "409": (False, lambda: error(409)),
}
"""One of each error that the flow catches, and whether the service has done what it was asked for."""
ONE_OF_EACH = ("lost before", "lost after", "400")
NOT_TAKEN = ("lost before", "400")
"""One of each branch that the errors lead to: a second call that acts comes only after one that was not taken."""


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
@pytest.mark.parametrize("lag", [0.0, 4.0, 30.0])
@pytest.mark.parametrize("plan", [*itertools.product(FAULTS), *itertools.product(NOT_TAKEN, ONE_OF_EACH)], ids="+".join)
def test_one_start_takes_effect_however_calls_and_replies_fail(
    api: Generation, lag: float, plan: tuple[str, ...]
) -> None:
    service = FakeService(api.name)
    number = _made(service)
    service.now += 60
    left = list(plan)

    def answer(call: Call[Any]) -> Reply | Lost:
        if call.method != "POST" or not left:
            return service.answer(call, lag=lag)
        carried_out, reply = FAULTS[left.pop(0)]
        if carried_out:
            service.answer(call)
        return reply()

    fed = drive(service, actions.start_once(api, number), answer)
    assert [kind for kind, _ in service.effects].count("billed_start") == 1
    assert fed.result.request_id == number


def _made(service: FakeService) -> str:
    service._create({"description": marked("", Mark(identity("d", "d", "r", "t", 0), 0, "aaaaaaaa"))})
    return next(iter(service.jobs))


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
def test_a_start_that_is_refused_for_good_fails_and_is_not_hammered(api: Generation) -> None:
    refusal = error(400, "Not enough processing units", "COMMON_BAD_PAYLOAD")

    def answers(call: Call[Any]) -> Reply:
        return refusal if call.method == "POST" else body(api, "ANALYSIS_DONE", "ANALYSE")

    fed = feed(actions.start_once(api, ID), [answers, ...])
    assert isinstance(fed.error, errors.BadRequestError)
    assert "Not enough processing units" in str(fed.error)
    assert starts(fed) == 3
    assert not fed.error.retry_helps


@pytest.mark.parametrize("status", [401, 403])
def test_a_start_that_is_forbidden_fails_at_once(status: int) -> None:
    fed = feed(actions.start_once(V2, ID), [body(V2), error(status), *([error(status)] if status == 401 else [])])
    assert isinstance(fed.error, (errors.ForbiddenError, errors.AuthenticationError))


def test_a_request_that_is_not_known_yet_is_looked_for_as_long_as_replicas_lag() -> None:
    """404 right after create, on GET and on start."""
    idle, started = body(V2), body(V2, "CREATED", "START")
    looks = 2 + len(reading.AFTER_AMBIGUOUS)
    fed = feed(actions.start_once(V2, ID), [error(404), error(404), idle, error(404), *[idle] * looks, done(), started])
    assert starts(fed) == 2
    assert str(fed.result.user_action) == "START"


def test_a_request_that_does_not_exist_is_an_error_after_a_minute() -> None:
    fed = feed(actions.start_once(V2, ID), [error(404), ...])
    assert isinstance(fed.error, errors.NotFoundError)
    assert ID in str(fed.error)
    assert 60 <= fed.waited <= 120
    assert starts(fed) == 0


# Analyse once


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
@pytest.mark.parametrize(
    ("status", "action", "sent"),
    [
        ("CREATED", "NONE", True),
        ("CREATED", "ANALYSE", False),
        ("CREATED", "START", False),
        ("CREATED", "CANCEL", False),
        ("ANALYSING", "NONE", False),
        ("ANALYSING", "ANALYSE", False),
        ("ANALYSIS_DONE", "ANALYSE", False),
        ("PROCESSING", "START", False),
        ("DONE", "ANALYSE", False),
        ("FAILED", "ANALYSE", False),
        ("LIMBO", "NONE", False),
    ],
)
def test_only_what_nobody_has_analysed_is_analysed(api: Generation, status: str, action: str, sent: bool) -> None:
    script = [body(api, status, action)] + ([done(), body(api, status, "ANALYSE")] if sent else [])
    fed = feed(actions.analyse_once(api, ID), script)
    assert sum(call.endswith("/analyse") for call in fed.calls) == sent
    assert fed.result.request_id == ID


# Out of reach


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
@pytest.mark.parametrize("arrived", [True, False])
def test_after_a_start_whose_reply_is_lost_an_outage_is_waited_out_before_anything_is_sent(
    api: Generation, arrived: bool
) -> None:
    outage = [error(503)] * 24
    shown = [body(api, "CREATED", "START")] if arrived else [body(api)] * 7
    again = [] if arrived else [done(), body(api, "CREATED", "START")]
    script = [body(api), lost(), *outage, *shown, *again]
    fed = feed(actions.start_once(api, ID, patience=1800), script)
    assert str(fed.result.user_action) == "START"
    assert starts(fed) == (1 if arrived else 2)


def test_an_outage_that_does_not_end_says_that_the_request_may_run_on() -> None:
    fed = feed(actions.start_once(V2, ID, patience=900), [body(V2), lost(), error(503), ...])
    assert isinstance(fed.error, errors.UnknownStateError)
    assert fed.error.retry_helps
    assert fed.error.request_id == ID
    assert "runs on and bills. A retry of this task attaches to it again." in str(fed.error)
    assert 900 <= fed.waited <= 1000
    assert starts(fed) == 1


def test_other_errors_are_not_waited_out() -> None:
    fed = feed(reading.outlast(lambda: reading.read(V2, ID), 900, ID), [error(403)])
    assert isinstance(fed.error, errors.ForbiddenError)
    assert fed.slept == []


# End

PROCESSING = body(V1, "PROCESSING", "START")


def ends(fed: Fed) -> int:
    return sum(call.endswith(("/cancel", "/stop")) for call in fed.calls)


FINAL = {"v1": ["DONE", "PARTIAL", "FAILED", "CANCELED"], "v2": ["DONE", "FAILED", "STOPPED"]}


@pytest.mark.parametrize(("api", "status"), [(api, status) for api in GENERATIONS for status in FINAL[api.name]])
def test_what_has_ended_is_left_as_it_is(api: Generation, status: str) -> None:
    fed = feed(actions.end(api, ID), [body(api, status, "START")])
    assert (ends(fed), fed.result.status) == (0, S(status))


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
def test_an_end_is_waited_for(api: Generation) -> None:
    final = "CANCELED" if api is V1 else "STOPPED"
    action = "CANCEL" if api is V1 else "STOP"
    running, ending = body(api, "PROCESSING", "START"), body(api, "PROCESSING", action)
    fed = feed(
        actions.end(api, ID, poll_interval=7), [running, done(), running, ending, ending, body(api, final, action)]
    )
    assert (ends(fed), str(fed.result.status)) == (1, final)
    assert set(fed.slept) == {7}


def test_a_stop_straight_after_a_start_is_sent_until_it_is_taken() -> None:
    """Seen on v2: "Illegal to change userAction from START to STOP with task status CREATED"."""
    refused = error(400, "Illegal to change userAction from START to STOP with task status CREATED")
    fresh = body(V2, "CREATED", "START")
    fed = feed(
        actions.end(V2, ID),
        [fresh, refused, fresh, refused, body(V2, "ANALYSING", "START"), done(), body(V2, "STOPPED", "STOP")],
    )
    assert (ends(fed), fed.result.status) == (3, S.STOPPED)


def test_a_start_that_the_reading_does_not_show_yet_is_stopped_all_the_same() -> None:
    """A job started a moment before must not run on because a replica lags."""
    refused = error(400, "Illegal to change userAction from START to STOP with task status CREATED")
    idle = body(V2, "CREATED", "NONE")
    fed = feed(
        actions.end(V2, ID),
        [idle, refused, idle, refused, body(V2, "ANALYSING", "START"), done(), body(V2, "STOPPED", "STOP")],
    )
    assert fed.result.status == S.STOPPED


@pytest.mark.parametrize("lag", [0.0, 4.0, 12.0, 29.0])
@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
@pytest.mark.parametrize("age", [0.0, 1.0, 6.0, 40.0])
def test_a_started_request_is_ended_however_far_reads_lag(api: Generation, age: float, lag: float) -> None:
    service = FakeService(api.name)
    number = _made(service)
    service.now += 100
    service._start(service.jobs[number])
    service.now += age
    fed = drive(service, actions.end(api, number), lag=lag)
    assert fed.error is None
    service.now += 100
    state = service.jobs[number].at(service.now)
    assert state is not None
    assert state.status in ("CANCELED", "STOPPED")


def test_a_v2_request_that_nobody_has_started_need_not_be_stopped() -> None:
    idle = body(V2, "CREATED", "NONE")
    refused = error(400, "Illegal to change userAction from NONE to STOP with task status CREATED")
    fed = feed(actions.end(V2, ID), [idle, refused])
    assert (fed.result.status, fed.waited) == (S.CREATED, 0)
    fed = feed(actions.end(V2, ID), [idle, error(400, "No.")] * 7)
    assert fed.result.status == S.CREATED
    assert fed.waited >= actions.LAG


def test_a_v2_request_that_was_analysed_is_stopped() -> None:
    fed = feed(actions.end(V2, ID), [body(V2, "ANALYSIS_DONE", "ANALYSE"), done(), body(V2, "STOPPED", "STOP")])
    assert fed.result.status == S.STOPPED


def test_a_job_that_ends_well_while_it_is_being_cancelled() -> None:
    fed = feed(actions.end(V1, ID), [PROCESSING, done(), body(V1, "DONE", "CANCEL")])
    assert fed.result.status == S.DONE


def test_an_end_that_never_comes_is_said() -> None:
    fed = feed(
        actions.end(V1, ID, poll_interval=1, attempts=5), [PROCESSING, done(), body(V1, "PROCESSING", "CANCEL"), ...]
    )
    assert type(fed.error) is errors.JobError
    for part in (ID, "still PROCESSING", "cancel", "still billed"):
        assert part in str(fed.error)
    assert ends(fed) == 1
    assert fed.error.retry_helps


@pytest.mark.parametrize("reply", [lost(), error(503)])
def test_an_end_is_sent_again_when_its_reply_is_lost(reply: Reply | Lost) -> None:
    fed = feed(actions.end(V1, ID), [PROCESSING, reply, reply, done(), body(V1, "CANCELED", "CANCEL")])
    assert (ends(fed), fed.result.status) == (3, S.CANCELED)


@pytest.mark.parametrize("api", GENERATIONS, ids=lambda api: api.name)
@pytest.mark.parametrize(
    ("status", "action", "warns"),
    [
        ("PROCESSING", "START", False),
        ("DONE", "START", False),
        ("CREATED", "START", False),
        ("FAILED", "START", True),
        ("CANCELED", "CANCEL", True),
        ("STOPPED", "STOP", True),
    ],
)
def test_a_start_that_is_not_sent_is_told(api: Generation, status: str, action: str, warns: bool) -> None:
    fed = feed(actions.start_once(api, ID), [body(api, status, action)])
    assert starts(fed) == 0
    (told,) = fed.warnings if warns else fed.notes
    assert f"Batch request {ID}: no start is sent, it is {status}, and the last action on it was {action}." in told
    assert ("bills nothing further" in told) == S(status).is_final
