"""What the description of a request says of the rounds and limits of its task, kept over every rewrite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.api.decide.marker import Mark, Relation, marked, relation
from airflow_sentinelhub.api.flows.find_or_create import claimed_by, find_or_create, take_over_stopped
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.flows.restart import restart_counted
from airflow_sentinelhub.api.service.generations import V1, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from tests.api.fake_service import FakeService, State, drive
from tests.api.feeding import error
from tests.api.finding import FIRST, PAYLOAD, WHO, A, B, created, search, settle, start, tried, unwilling


def test_what_a_round_has_taken_over_is_noted_once(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    for _ in range(3):
        settle(service, round=2)
    notes = [job for job in service.jobs.values() if job.mark(service.now).adopts]
    assert [note.mark(service.now).adopts for note in notes] == [number]
    assert not notes[0].billed
    assert "records that" in drive(service, search(service, round=3)).notes[-1]


@pytest.mark.parametrize("fault", ["503_before", "503_after", "drop_before", "drop_after"])
@pytest.mark.parametrize("times", [1, 5])
def test_a_note_that_may_be_lost_is_made_again(service: FakeService, fault: str, times: int) -> None:
    """Without one a retry after the end would pay for the job again."""
    number = settle(service).job.request_id
    start(service, number)
    fed = drive(service, search(service, round=2), unwilling(service, fault, times))
    assert fed.result.job.request_id == number
    assert fed.waited <= 60
    assert fed.warnings == []
    service.now += 600
    assert settle(service, round=2).job.request_id == number


@pytest.mark.parametrize(("fault", "posts"), [("503_before", 6), ("drop_before", 6), ("403", 1)])
def test_a_job_at_work_is_gone_on_with_although_nothing_can_be_noted(
    service: FakeService, fault: str, posts: int
) -> None:
    number = settle(service).job.request_id
    start(service, number)
    answers = unwilling(service, fault, float("inf"))
    refusal = error(403, "no rights")
    fed = drive(
        service,
        search(service, round=2),
        lambda call: refusal if fault == "403" and call.method == "POST" else answers(call),
    )
    assert fed.result.job.request_id == number
    assert sum(call.method == "POST" for call in fed.sent) == posts
    assert "Could not record" in fed.warnings[-1]
    assert created(service) == 1


def test_a_note_of_a_try_that_cannot_render_its_job_names_that_of_the_request(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    drive(service, claimed_by(generation(service.api), snapshot_of(service, number), PAYLOAD, Mark(WHO, 2, ""), []))
    (note,) = [job.mark(service.now) for job in service.jobs.values() if job.id != number]
    assert (note.adopts, note.round, note.job) == (number, 2, A)


@pytest.mark.parametrize("status", [400, 409])
def test_what_refuses_new_words_is_noted(service: FakeService, status: int) -> None:
    """Whatever the service calls its refusal."""
    number = settle(service).job.request_id
    refusal = error(status, "It cannot be changed now.")
    fed = drive(
        service,
        search(service, round=2),
        lambda call: refusal if call.method == "PUT" else service.answer(call),
    )
    assert fed.result.job.request_id == number
    assert [job.mark(service.now).adopts for job in service.jobs.values()] == [None, number]


def test_a_job_at_work_is_gone_on_with_before_the_list_shows_its_note(service: FakeService) -> None:
    """It is started already: there is nothing that two copies could start."""
    number = settle(service).job.request_id
    start(service, number)
    service.now += 30
    fed = drive(service, search(service, round=2), lag=20)
    assert fed.result.job.request_id == number
    assert fed.waited == 0
    assert sum(call.method == "GET" and call.path.endswith("/process") for call in fed.sent) == 1


@pytest.mark.parametrize("whose", ["of another run", "of before the start moved"])
def test_a_note_that_says_nothing_of_this_round_is_none(service: FakeService, whose: str) -> None:
    api = generation(service.api)
    number = drive(service, find_or_create(api, PAYLOAD, tried(1, 3, A))).result.job.request_id
    start(service, number)
    service.now += 30
    if whose == "of another run":
        note, mark = tried(1, 3, A, born=9_000), tried(2, 5, A)
    else:
        note, mark = tried(2, 5, A), tried(3, 5, A, born=2_000)
    service._create({"description": str(replace(note, adopts=number))})
    found = drive(service, find_or_create(api, PAYLOAD, mark)).result
    assert found.job.request_id == number
    written = [job.mark(service.now) for job in service.jobs.values() if job.mark(service.now).adopts == number]
    assert written[1:] == [replace(mark, adopts=number)]


def test_what_a_deleted_run_has_started_a_moment_ago_is_told_once_it_shows(service: FakeService) -> None:
    """The first readings lag, and show another one only. Each is told once."""
    api = generation(service.api)
    first, second = (
        drive(service, find_or_create(api, PAYLOAD, replace(FIRST, born=born))).result.job.request_id
        for born in (1_000, 2_000)
    )
    start(service, first)
    service.now += 60
    start(service, second)

    def answer(call: Call[Any]) -> Reply | Lost:
        return service.answer(call, lag=0.0 if created(service) > 2 else 30.0)

    fed = drive(service, find_or_create(api, PAYLOAD, replace(FIRST, born=3_000)), answer)
    assert not fed.result.adopted
    told = [message.split()[2] for message in fed.warnings if "is running and bills" in message]
    assert told == [first, second]


# Words that survive


@given(
    its=st.builds(
        Mark,
        st.just(WHO),
        st.integers(0, 9),
        st.sampled_from((A, B)),
        tried=st.none() | st.integers(1, 9),
        clears=st.none() | st.integers(0, 9),
        born=st.none() | st.integers(0, 2**53),
        airflow=st.none() | st.just("0123abcd"),
        restarts=st.integers(0, 9),
        limit=st.none() | st.floats(0, 1e12),
        continues=st.none() | st.just("5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"),
        first=st.none() | st.tuples(st.none() | st.integers(0, 9), st.integers(0, 2**53)),
    ),
    rewrite=st.sampled_from(("claim", "restart", "update", "as it is")),
    words=st.sampled_from(("", "max NDVI", "two\nlines", "an x1 m2 t3")),
)
def test_every_word_survives_every_rewrite(its: Mark, rewrite: str, words: str) -> None:
    """But for those that the rewrite is about."""
    service = FakeService("v1")
    service._create({"description": marked(words, its)})
    (number,) = service.jobs
    new = Mark(WHO, 12, its.job, tried=11, clears=20, born=2**53 + 1, airflow="89abcdef", limit=7.5)
    expected = its
    if rewrite == "claim" and relation(its, new) is Relation.EARLIER:
        drive(service, claimed_by(V1, snapshot_of(service, number), PAYLOAD, new, []))
        own = {name: getattr(new, name) for name in ("round", "tried", "clears", "born", "airflow", "limit")}
        began = (its.clears, its.born) if its.tried == 1 and its.born is not None else None
        expected = replace(its, **own, first=began if its.tried == 1 else its.first)
    elif rewrite == "restart":
        service.outcome = "PARTIAL"
        service._start(service.jobs[number])
        service.now += 600
        drive(service, restart_counted(V1, number, 99)).result  # noqa: B018
        expected = replace(its, restarts=its.restarts + 1)
    elif rewrite == "update":
        service.jobs[number].words.append((service.now, marked("other words", service.jobs[number].mark(service.now))))
    assert service.jobs[number].mark(service.now) == expected


def snapshot_of(service: FakeService, number: str) -> Snapshot:
    shot: Snapshot = drive(service, read(generation(service.api), number)).result
    return shot


# What was stopped for its budget


def test_the_limit_of_before_is_kept_until_what_was_stopped_is_at_work_again(v2: FakeService) -> None:
    """It tells the next try that it was stopped for its budget, and not by a person."""
    v2._create({"description": marked("max NDVI", Mark(WHO, 0, A, tried=1, limit=100.0))})
    (number,) = v2.jobs
    v2.jobs[number].billed.append(v2.now)
    v2.jobs[number].become(v2.now, State(v2.now, "STOPPED", "STOP"))
    stopped = drive(v2, read(generation("v2"), number)).result
    mark = Mark(WHO, 2, A, tried=2, limit=300.0)
    refused = error(400, "Insufficient processing units.")
    fed = drive(
        v2,
        take_over_stopped(generation("v2"), stopped, PAYLOAD, mark),
        lambda call: refused if call.path.endswith("/start") else v2.answer(call),
    )
    assert fed.error is not None
    now = v2.jobs[number].mark(v2.now)
    assert (now.round, now.limit) == (2, 100.0)


def test_a_raised_limit_is_noted_where_the_description_cannot_be_changed(v2: FakeService) -> None:
    """Else a later try takes the old limit for the reason of a stop, and starts what a person has stopped."""
    v2._create({"description": marked("max NDVI", Mark(WHO, 2, A, tried=2, limit=100.0))})
    (number,) = v2.jobs
    v2.jobs[number].billed.append(v2.now)
    v2.jobs[number].become(v2.now, State(v2.now, "STOPPED", "STOP"))
    stopped = drive(v2, read(generation("v2"), number)).result

    def answer(call: Call[Any]) -> Reply | Lost:
        if call.path.endswith("/start"):
            v2.jobs[number].become(v2.now, State(v2.now, "PROCESSING", "START"))
            return Reply(204)
        return error(409, "It is being processed.") if call.method == "PUT" else v2.answer(call)

    mark = Mark(WHO, 2, A, tried=3, limit=300.0)
    fed = drive(v2, take_over_stopped(generation("v2"), stopped, PAYLOAD, mark), answer)
    assert fed.error is None, fed.error
    (note,) = [job.mark(v2.now) for job in v2.jobs.values() if job.id != number]
    assert (note.adopts, note.round, note.limit) == (number, 2, 300.0)
    assert v2.jobs[number].mark(v2.now).limit == 100.0
