"""Restarting a failed part: whatever becomes of calls and replies, once for all that share a word or a count."""

from __future__ import annotations

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Lost, Reply
from airflow_sentinelhub.api.decide.marker import Mark, identity, mark_of, marked, restart_word
from airflow_sentinelhub.api.flows import restart
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from tests.api import feeding
from tests.api.feeding import ID, done, error, feed, lost, ok

# As often as asked for


def body(status: str = "CREATED", action: str = "NONE", **members: str) -> Reply:
    return ok(feeding.v1(status, action, **members))


ONLY_PARTIAL = error(400, "Only requests with status PARTIAL can be restarted.", "COMMON_BAD_PAYLOAD")
PARTIAL, PROCESSING = body("PARTIAL", "START"), body("PROCESSING", "START")


def test_a_restart_is_trusted_though_the_status_does_not_move() -> None:
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, done()])
    assert fed.calls[-1].endswith("/restartpartial")
    assert fed.result.status == S.PROCESSING


@pytest.mark.parametrize("status", ["DONE", "PROCESSING"])
def test_what_is_whole_or_at_work_again_is_left_as_it_is(status: str) -> None:
    fed = feed(restart.restart_failed(V1, ID), [body(status, "START")])
    assert fed.result.status == S(status)


@pytest.mark.parametrize("status", ["CREATED", "ANALYSING", "ANALYSIS_DONE", "FAILED", "CANCELED", "LIMBO"])
def test_nothing_to_restart(status: str) -> None:
    fed = feed(restart.restart_failed(V1, ID), [body(status)])
    assert type(fed.error) is errors.JobError
    assert fed.error.request_id == ID
    for part in (ID, status, "only a PARTIAL request", "Create a new request"):
        assert part in str(fed.error)


@pytest.mark.parametrize("become", ["DONE", "PROCESSING"])
def test_partial_became_something_else_by_itself(become: str) -> None:
    """Seen: PARTIAL turned into DONE between two polls, and the restart was refused."""
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, ONLY_PARTIAL, body(become, "START")])
    assert fed.result.status == S(become)
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, ONLY_PARTIAL, PARTIAL, PARTIAL, body(become, "START")])
    assert fed.result.status == S(become)


def test_the_service_is_believed_that_it_is_partial_no_more_while_reads_lag() -> None:
    """A copy of the task has restarted it: the status may say PARTIAL for minutes."""
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, ONLY_PARTIAL, PARTIAL, ...])
    assert fed.error is None
    assert sum(call.endswith("/restartpartial") for call in fed.calls) == 1


def test_a_restart_that_is_refused_for_another_reason_fails() -> None:
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, error(400, "no"), PARTIAL, ...])
    assert isinstance(fed.error, errors.BadRequestError)


@pytest.mark.parametrize("reply", [lost(), error(502), feeding.html(200)])
def test_a_restart_whose_reply_is_lost_is_looked_up_and_never_sent_again(reply: Reply | Lost) -> None:
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, reply, PARTIAL, PROCESSING])
    assert fed.result.status == S.PROCESSING
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, reply, PARTIAL, ...])
    assert isinstance(fed.error, errors.UnknownStateError)
    assert fed.error.retry_helps
    assert sum(call.endswith("/restartpartial") for call in fed.calls) == 1


@pytest.mark.parametrize("status", ["DONE", "PROCESSING", "CREATED", "ANALYSIS_DONE", "FAILED", "CANCELED", "LIMBO"])
def test_who_asks_for_one_restart_hears_the_services_words(status: str) -> None:
    fed = feed(restart.restart_or_refusal(V1, ID), [body(status, "START"), ONLY_PARTIAL])
    assert isinstance(fed.error, errors.BadRequestError)
    assert "Only requests with status PARTIAL can be restarted." in str(fed.error)
    # the reading lags: the service knows better
    fed = feed(restart.restart_or_refusal(V1, ID), [body("PARTIAL", "START"), ONLY_PARTIAL])
    assert isinstance(fed.error, errors.BadRequestError)


@pytest.mark.parametrize("status", ["PARTIAL", "PROCESSING"])
def test_one_restart_is_asked_for_once(status: str) -> None:
    fed = feed(restart.restart_or_refusal(V1, ID), [body(status, "START"), done()])
    assert fed.error is None
    lost_reply = [body(status, "START"), lost()] + ([PARTIAL, ...] if status == "PARTIAL" else [])
    fed = feed(restart.restart_or_refusal(V1, ID), lost_reply)
    assert isinstance(fed.error, (errors.UnknownStateError, errors.UnreachableError))
    assert "is not known" in str(fed.error)
    assert sum(call.endswith("/restartpartial") for call in fed.calls) == 1


def test_a_restart_that_was_never_sent_is_sent_when_the_service_can_be_reached_again() -> None:
    nowhere = [lost(ambiguous=False)] * 4
    fed = feed(restart.restart_failed(V1, ID, patience=600), [PARTIAL, *nowhere, *[PARTIAL] * 6, done()])
    assert fed.result.status == S.PROCESSING
    fed = feed(restart.restart_failed(V1, ID), [PARTIAL, *nowhere, *[PARTIAL] * 6])
    assert isinstance(fed.error, errors.UnreachableError)


# One restart for all tries

WORD = restart_word(Mark(identity("d", "d", "r", "restart", -1), 0, ""))


def noted(status: str = "PARTIAL", word: str = WORD) -> Reply:
    return body(status, "START", description=f"max NDVI {word}")


def test_a_restart_is_noted_before_it_is_asked_for() -> None:
    fed = feed(restart.restart_once(V1, ID, WORD), [PARTIAL, ok({}), noted(), done()])
    assert [call.split()[0] for call in fed.calls] == ["GET", "PUT", "GET", "POST"]
    assert fed.sent[1].json == {"description": f"max NDVI {WORD}"}


def test_the_next_try_does_not_restart_what_is_partial_again() -> None:
    fed = feed(restart.restart_once(V1, ID, WORD), [noted()])
    assert fed.result.status == S.PARTIAL
    assert "not asked again" in fed.notes[0]


def test_a_cleared_task_restarts_again() -> None:
    cleared = restart_word(Mark(identity("d", "d", "r", "restart", -1), 3, ""))
    fed = feed(restart.restart_once(V1, ID, cleared), [noted(), ok({}), noted(), done()])
    assert fed.sent[1].json == {"description": f"max NDVI {WORD} {cleared}"}
    assert fed.calls[-1].endswith("/restartpartial")


@pytest.mark.parametrize("status", ["DONE", "PROCESSING"])
def test_where_nothing_is_to_be_restarted_nothing_is_noted(status: str) -> None:
    now = body(status, "START")
    fed = feed(restart.restart_once(V1, ID, WORD), [now, now])
    assert {call.split()[0] for call in fed.calls} == {"GET"}


@pytest.mark.parametrize(("status", "times"), [(400, 1), (409, 19)])
def test_a_note_that_is_refused_keeps_nobody_from_restarting(status: int, times: int) -> None:
    """A 409 means that the request is at work, though it says PARTIAL, until that cannot be any more."""
    fed = feed(restart.restart_once(V1, ID, WORD), [*[PARTIAL, error(status)] * times, PARTIAL, done()])
    assert fed.calls[-1].endswith("/restartpartial")
    assert "could not be noted" in fed.warnings[0]
    assert restart.STALE_PARTIAL - 20 <= fed.waited <= restart.STALE_PARTIAL or status == 400


@pytest.mark.parametrize("looks", [1, 5])
@pytest.mark.parametrize("shows", [noted(), PROCESSING, body("DONE", "START")], ids=["note", "PROCESSING", "DONE"])
def test_what_refuses_its_note_was_restarted_by_somebody(shows: Reply, looks: int) -> None:
    again = [] if b"PARTIAL" in shows.body else [shows]  # it is looked at twice
    fed = feed(restart.restart_once(V1, ID, WORD), [*[PARTIAL, error(409)] * looks, shows, *again])
    assert fed.error is None
    assert {call.split()[0] for call in fed.calls} == {"GET", "PUT"}


def test_what_is_partial_again_after_it_had_refused_its_note_is_restarted_with_a_note() -> None:
    """A clear while the restart of before does not show yet."""
    fed = feed(restart.restart_once(V1, ID, WORD), [PARTIAL, error(409), PARTIAL, ok({}), noted(), done()])
    assert fed.calls[-1].endswith("/restartpartial")
    assert fed.warnings == []


def test_a_note_whose_reply_is_lost_is_not_taken_for_an_earlier_trys() -> None:
    fed = feed(restart.restart_once(V1, ID, WORD, patience=600), [PARTIAL, *[lost()] * 4, ok({}), noted(), done()])
    assert fed.calls[-1].endswith("/restartpartial")


# Counting

MARK = Mark(identity("d", "d", "r", "t", -1), 0, "aaaaaaaa", restarts=1)


def counted(words: str) -> Reply:
    return body("PARTIAL", "START", description=words)


def test_a_restart_is_counted_in_the_marker() -> None:
    now = counted(marked("max NDVI", MARK))
    fed = feed(restart.restart_counted(V1, ID, 2), [now, ok({}), now, done()])
    words = fed.sent[1].json["description"]
    assert words.startswith("max NDVI ")
    assert mark_of(words) == Mark(MARK.identity, 0, "aaaaaaaa", restarts=2)
    assert fed.calls[-1].endswith("/restartpartial")


def test_no_more_often_than_allowed() -> None:
    fed = feed(restart.restart_counted(V1, ID, 1), [counted(marked("max NDVI", MARK))])
    assert [call.split()[0] for call in fed.calls] == ["GET"]


def test_a_request_of_somebody_else_is_counted_too() -> None:
    now = counted("somebody's")
    fed = feed(restart.restart_counted(V1, ID, 1), [now, ok({}), now, done()])
    words = fed.sent[1].json["description"]
    assert words.startswith("somebody's ")
    assert feed(restart.restart_counted(V1, ID, 1), [counted(words)]).sent[-1].method == "GET"
