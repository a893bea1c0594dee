"""Find or create: one request for a task, whatever tries, twins, clears and lost replies there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Flow, Lost, Note, Reply
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.marker import Mark, Relation, identity, marked, relation
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.find_or_create import Settled, claimed_by, end_all, find_or_create, take_over_stopped
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.flows.restart import restart_counted
from airflow_sentinelhub.api.service.generations import V1, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from tests.api import fake_service
from tests.api.fake_service import FakeService, Process, State, drive
from tests.api.feeding import error, lost

WHO = identity("production", "dag", "run", "task", -1)
A, B = "aaaaaaaa", "bbbbbbbb"
PAYLOAD = {"description": "max NDVI", "processRequest": {}}


@pytest.fixture(params=["v1", "v2"])
def service(request: pytest.FixtureRequest) -> FakeService:
    return FakeService(request.param)


@pytest.fixture
def v1() -> FakeService:
    return FakeService("v1")


@pytest.fixture
def v2() -> FakeService:
    return FakeService("v2")


def search(service: FakeService, round: int = 0, job: str = A, **how: Any) -> Flow[Settled]:
    return find_or_create(generation(service.api), PAYLOAD, Mark(WHO, round, job), **how)


def settle(service: FakeService, round: int = 0, job: str = A, *, lag: float = 0.0, **how: Any) -> Settled:
    found: Settled = drive(service, search(service, round, job, **how), lag=lag).result
    return found


def start(service: FakeService, number: str) -> None:
    drive(service, start_once(generation(service.api), number)).result  # noqa: B018


def created(service: FakeService) -> int:
    return [kind for kind, _ in service.effects].count("created")


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


# How far back the list is read


def in_a_full_account(v2: FakeService, mark: Mark, *, older: int, newer: int, state: str | None = "PROCESSING") -> str:
    """A request with this marker among others, an hour apart; its id."""
    for number in range(older):
        v2._create({"description": f"older {number}"})
        v2.now += 3600
    number_of_ours = v2._create({"description": marked("", mark)})
    ours = next(reversed(v2.jobs))
    assert number_of_ours.status == 201
    if state is not None:
        v2.outcome = state if state in ("DONE", "FAILED") else "DONE"
        v2._start(v2.jobs[ours])
        v2.now += 1 if state == "PROCESSING" else 3600
    for number in range(newer):
        v2._create({"description": f"newer {number}"})
        v2.now += 1
    return ours


FIRST = Mark(WHO, 3, A, tried=1, clears=0, born=1_000)


def calls_of(v2: FakeService, mark: Mark, **how: Any) -> tuple[int, Settled]:
    fed = drive(v2, find_or_create(generation("v2"), PAYLOAD, mark, **how))
    return sum(call.path.endswith("/process") and call.method == "GET" for call in fed.sent), fed.result


@pytest.mark.parametrize(
    "mark",
    [
        replace(FIRST, tried=2),  # a retry
        replace(FIRST, tried=2, round=5, clears=1, born=2_000),  # after a clear
        replace(FIRST, tried=1),  # a copy
    ],
    ids=["retry", "clear", "copy"],
)
def test_a_running_request_is_found_with_few_calls_in_any_account(v2: FakeService, mark: Mark) -> None:
    ours = in_a_full_account(v2, FIRST, older=300, newer=3)
    calls, settled = calls_of(v2, mark)
    assert settled.job.request_id == ours
    assert calls <= 8


@pytest.mark.parametrize("state", ["DONE", "PROCESSING"])
def test_a_job_by_its_name_is_found_with_few_calls(v2: FakeService, state: str) -> None:
    mark = Mark(WHO, 0, A)
    ours = in_a_full_account(v2, mark, older=300, newer=3, state=state)
    calls, settled = calls_of(v2, mark)
    assert settled.job.request_id == ours
    assert calls <= 5


def test_a_create_after_a_clear_takes_few_calls_in_any_account(v2: FakeService) -> None:
    """The first try has started one, which is done; nothing of this task is older than that."""
    in_a_full_account(v2, FIRST, older=300, newer=3, state="DONE")
    calls, settled = calls_of(v2, replace(FIRST, tried=2, round=5, clears=1, born=2_000))
    assert not settled.adopted
    assert calls <= 8


@pytest.mark.parametrize(
    "mark",
    [
        replace(FIRST, identity=identity("production", "dag", "run", "other", -1)),  # of another task
        replace(FIRST, born=2_000),  # of a run that was deleted and made again
        replace(FIRST, adopts="0" * 8 + "-0000-4000-8000-" + "0" * 12),  # a note
        replace(FIRST, continues="0" * 8 + "-0000-4000-8000-" + "0" * 12),  # processes the rest of an older one
    ],
    ids=["other task", "foreign", "note", "continuation"],
)
def test_what_says_nothing_of_older_requests_ends_no_search(v2: FakeService, mark: Mark) -> None:
    in_a_full_account(v2, mark, older=60, newer=3)
    calls, _ = calls_of(v2, replace(FIRST, tried=2))
    assert calls >= 20


@pytest.mark.parametrize("state", [None, "FAILED", "ending"])
def test_a_request_that_was_not_started_has_failed_or_is_being_ended_in_a_later_try_ends_no_search(
    v2: FakeService, state: str | None
) -> None:
    """An older one may run: a copy that was held up has made the newer one."""
    running = in_a_full_account(v2, FIRST, older=0, newer=60)
    v2.now += 3600
    mark = replace(FIRST, tried=1 if state is None else 2)
    newer = in_a_full_account(v2, mark, older=0, newer=3, state="PROCESSING" if state == "ending" else state)
    v2.jobs[running].states = v2.jobs[running].states[:1]
    v2._start(v2.jobs[running])
    if state == "ending":
        v2.now += 30
        assert v2._stop(v2.jobs[newer]).status == 204
    _, settled = calls_of(v2, replace(FIRST, tried=3))
    assert settled.job.request_id == running


def by_the_clock(v2: FakeService, mark: Mark, hours: float = 0.0) -> Mark:
    """The marker of a run that was started so many hours ago by the service's clock."""
    return replace(mark, born=round((v2.now - hours * 3600) * 1_000_000))


def an_unstarted_one_in_a_full_account(v2: FakeService, *, older: int, **mark: Any) -> Mark:
    """A request that the first try has made half an hour after the start of its run, among others; its marker."""
    for number in range(older):
        v2._create({"description": f"older {number}"})
        v2.now += 3600
    first = replace(by_the_clock(v2, FIRST, 0.5), **mark)
    in_a_full_account(v2, first, older=0, newer=3, state=None)
    return first


@pytest.mark.parametrize("after", ["a retry", "a clear", "a clear of the run", "a second clear"])
def test_an_unstarted_request_of_the_first_try_tells_how_far_back_the_list_is_read(v2: FakeService, after: str) -> None:
    """It carries the start of the run of the first try, which a clear has moved. From before that there is none."""
    first = an_unstarted_one_in_a_full_account(v2, older=300)
    later = {
        "a retry": replace(first, tried=2),
        "a clear": replace(first, tried=2, round=5, job=B),
        "a clear of the run": replace(by_the_clock(v2, first), tried=2, round=5, clears=1, job=B),
        "a second clear": replace(by_the_clock(v2, first), tried=5, round=9, clears=2, job=B),
    }
    calls, settled = calls_of(v2, later[after])
    assert settled.adopted is (after == "a retry")
    assert calls <= 8


def test_nothing_since_the_start_of_the_run_is_overlooked(v2: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the first try that was held up has made the newer request; hours before, the other one was started."""
    monkeypatch.setattr(fake_service, "PROCESSING", 100_000.0)
    first = by_the_clock(v2, FIRST)
    running = in_a_full_account(v2, first, older=0, newer=60)
    v2.now += 36_000
    in_a_full_account(v2, first, older=0, newer=30, state=None)
    _, settled = calls_of(v2, replace(by_the_clock(v2, first), tried=2, round=5, clears=1))
    assert settled.job.request_id == running


@pytest.mark.parametrize(
    "mark",
    [
        {"identity": identity("production", "dag", "run", "other", -1)},  # of another task
        {"clears": 1},  # of a run that was deleted and made again
        {"tried": 2},  # of a later try: the first may have made an older one
        {"born": None},
    ],
    ids=["other task", "foreign", "later try", "no start"],
)
def test_what_is_not_of_the_first_try_tells_no_start(v2: FakeService, mark: dict[str, Any]) -> None:
    an_unstarted_one_in_a_full_account(v2, older=60, **mark)
    calls, _ = calls_of(v2, replace(by_the_clock(v2, FIRST), tried=3, clears=0 if "clears" in mark else 1))
    assert calls >= 20


def test_a_start_after_the_request_itself_is_not_believed(v2: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is wrong, or a marker that somebody has edited, hides nothing."""
    monkeypatch.setattr(fake_service, "PROCESSING", 100_000.0)
    running = in_a_full_account(v2, by_the_clock(v2, FIRST), older=0, newer=30)
    v2.now += 36_000
    in_a_full_account(v2, by_the_clock(v2, FIRST, -1.0), older=0, newer=30, state=None)
    _, settled = calls_of(v2, replace(FIRST, born=None, tried=2))
    assert settled.job.request_id == running


def test_clocks_that_differ_hide_nothing_of_the_first_try(v2: FakeService) -> None:
    """The service's clock is slower than Airflow's, by which the run was started after the request of its first try."""
    first = by_the_clock(v2, FIRST, -0.01)
    running = in_a_full_account(v2, first, older=0, newer=60)
    in_a_full_account(v2, first, older=0, newer=30, state=None)
    _, settled = calls_of(v2, replace(first, tried=2))
    assert settled.job.request_id == running


def test_a_later_request_ends_no_search_for_what_continues_one_of_before(v2: FakeService) -> None:
    """An old copy continues what was stopped; a later try has started the job anew. The continuation is the older."""
    stopped = in_a_full_account(v2, FIRST, older=0, newer=3)
    continuing = replace(FIRST, tried=2, continues=stopped)
    ours = in_a_full_account(v2, continuing, older=0, newer=3)
    v2.now += 7200
    in_a_full_account(v2, replace(FIRST, tried=3, round=5), older=0, newer=3)
    _, settled = calls_of(v2, continuing)
    assert settled.job.request_id == ours


def test_the_search_after_a_create_goes_no_further_back_than_the_one_before(v2: FakeService) -> None:
    for number in range(60):
        v2._create({"description": f"older {number}"})
        v2.now += 60
    since = datetime.fromtimestamp(v2.now, timezone.utc) - timedelta(minutes=2, seconds=1)
    calls, settled = calls_of(v2, FIRST, since=since)
    assert not settled.adopted
    assert calls <= 4


def test_what_the_list_shows_after_a_create_is_not_read_by_itself_too(v2: FakeService) -> None:
    ours = in_a_full_account(v2, FIRST, older=0, newer=0)
    v2._end(v2.jobs[ours], "STOP", "STOPPED")
    v2.now += 9000
    again = replace(FIRST, tried=2, round=5, clears=1, born=2_000)
    fed = drive(v2, find_or_create(generation("v2"), PAYLOAD, again))
    assert not fed.result.adopted
    assert not any(ours in call.path for call in fed.sent)


def test_copies_of_one_try_are_seen_beside_the_one_that_ends_the_search(v2: FakeService) -> None:
    """Two were made within the same hour; the older one is taken, whatever a page shows of them."""
    older = in_a_full_account(v2, FIRST, older=9, newer=30)
    in_a_full_account(v2, FIRST, older=0, newer=3)
    _, settled = calls_of(v2, replace(FIRST, tried=2))
    assert settled.job.request_id == older


def test_clones_and_other_map_indexes_have_their_own(service: FakeService) -> None:
    api = generation(service.api)
    marks = [Mark(identity(where, "dag", "run", "task", index), 0, A) for where in "pc" for index in (-1, 0, 1)]
    numbers = {drive(service, find_or_create(api, PAYLOAD, mark)).result.job.request_id for mark in marks}
    assert len(numbers) == len(marks)


# Clears


def test_a_clear_while_it_runs_keeps_it_and_a_crash_after_its_end_adopts_it(service: FakeService) -> None:
    """Without a word about the new round, the retry would take the request for one that the user wants made again."""
    number = settle(service).job.request_id
    start(service, number)
    assert settle(service, round=2).job.request_id == number
    service.now += 600
    again = settle(service, round=2)
    assert (again.job.request_id, again.why) == (number, "it is DONE already")
    assert settle(service, round=4).job.request_id != number


def test_what_a_round_has_taken_over_is_noted_once(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    for _ in range(3):
        settle(service, round=2)
    notes = [job for job in service.jobs.values() if job.mark(service.now).adopts]
    assert [note.mark(service.now).adopts for note in notes] == [number]
    assert not notes[0].billed
    assert "records that" in drive(service, search(service, round=3)).notes[-1]


def unwilling(service: FakeService, fault: str, times: float) -> Callable[[Call[Any]], Reply | Lost]:
    """An answer by which the next requests are not created, or their replies get lost."""
    left = times

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal left
        creates = call.method == "POST" and call.path.endswith("/process")
        left -= creates
        return service.answer(call, fault if creates and left >= 0 else None)

    return answer


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


# Lost replies of create


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


# Twins: copies of the same try


def test_twins_that_create_at_once_agree(service: FakeService) -> None:
    """Both look, see nothing, and create; each then sees the other's."""
    one, two = Process(service, search(service)), Process(service, search(service))
    one.run(before="POST")
    two.run(before="POST")
    first, second = one.run(), two.run()
    assert created(service) == 2
    assert first.result.job.request_id == second.result.job.request_id
    assert {first.result.adopted, second.result.adopted} == {True, False}
    left = [job for job in service.jobs.values() if job.at(service.now)]
    assert len(left) == (1 if service.api == "v1" else 2)


def test_a_twin_that_created_later_takes_what_the_first_has_started(service: FakeService) -> None:
    two = Process(service, search(service))
    two.run(before="POST")
    number = settle(service).job.request_id
    start(service, number)
    service.now += 5
    late = two.run().result
    assert (late.job.request_id, late.why) == (number, "it is running")


def test_a_twin_does_not_go_on_with_one_while_it_cannot_tell_whether_the_other_is_started(v1: FakeService) -> None:
    """Of two requests of the same job the younger was started a moment ago, which a lagging read does not show."""
    settle(v1)
    v1.now += 1
    v1._create({"description": str(Mark(WHO, 0, A))})
    v1.now += 60
    younger = list(v1.jobs)[1]
    v1._start(v1.jobs[younger])
    fed = drive(v1, search(v1), lambda call: stale_reads(v1, call))
    assert fed.result.job.request_id == younger
    assert fed.result.why == "it is running"


def test_a_list_that_never_shows_our_own_request_is_not_gone_on_past(service: FakeService) -> None:
    """It may hide that another copy has started one. A retry may mend that, and nothing was started."""
    fed = drive(service, search(service), lambda call: service.answer(call, lag=10_000.0 if call.query else 0.0))
    assert type(fed.error) is errors.UnknownStateError
    assert "still does not show" in str(fed.error)
    assert "not started and bills nothing" in str(fed.error)
    assert fed.waited >= 1800
    assert created(service) == 1


@pytest.mark.parametrize("lag", [90.0, 1000.0])
def test_a_list_that_lags_for_minutes_is_waited_for(service: FakeService, lag: float) -> None:
    fed = drive(service, search(service), lag=lag)
    assert not fed.result.adopted
    assert created(service) == 1


def test_what_runs_is_gone_on_with_at_once_whatever_cannot_be_deleted_beside_it(v1: FakeService) -> None:
    """The service refuses to delete a request while it is analysed."""
    running = settle(v1).job.request_id
    start(v1, running)
    v1._create({"description": str(Mark(WHO, 0, A))})
    v1._analyse(list(v1.jobs.values())[-1])
    fed = drive(v1, search(v1))
    assert fed.result.job.request_id == running
    assert "Could not delete" in fed.warnings[0]
    assert fed.waited == 0


def test_a_list_that_lags_for_a_minute_is_waited_for_whatever_patience_there_is(service: FakeService) -> None:
    fed = drive(service, search(service, patience=0.0), lag=60)
    assert not fed.result.adopted
    assert created(service) == 1


@pytest.mark.parametrize("hours", [0.1, 3.0, 30.0])
def test_a_copy_that_is_held_up_before_its_create_sees_what_was_started_since(
    v2: FakeService, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine was suspended, say."""
    monkeypatch.setattr(fake_service, "PROCESSING", 1_000_000.0)
    old = Process(v2, search(v2))
    old.run(before="POST")
    v2.now += 60
    running = settle(v2).job.request_id
    start(v2, running)
    for number in range(9):
        v2._create({"description": f"of another {number}"})
    v2.now += hours * 3600
    assert old.run().result.job.request_id == running


def test_after_a_create_a_twins_request_is_seen_that_the_list_hid_before(v2: FakeService) -> None:
    """It stands some pages behind our own, since others create too."""
    first = settle(v2).job.request_id
    for number in range(9):
        v2._create({"description": f"of another {number}"})
    v2.now += 20
    assert settle(v2, lag=30).job.request_id == first
    assert created(v2) == 11


def test_a_twin_whose_own_request_the_list_never_shows_takes_the_older_one(service: FakeService) -> None:
    """Even a list that lags for minutes may show the older of two."""
    first = settle(service).job.request_id
    service.now += 200
    two = Process(service, search(service), lag=250)
    two.run(after="POST")
    service.now += 60
    assert created(service) == 2
    assert two.run().result.job.request_id == first


# Old copies that outlive a clear


def test_an_old_copy_does_not_start_the_old_job_beside_the_new_one(v1: FakeService) -> None:
    """The old copy has settled on its request; the new try, of another job, deletes it before it makes its own."""
    old = settle(v1).job.request_id
    new = settle(v1, round=2, job=B).job.request_id
    assert drive(v1, start_once(generation("v1"), old)).error is not None
    start(v1, new)
    assert [number for kind, number in v1.effects if kind == "billed_start"] == [new]


def stale_reads(service: FakeService, call: Call[Any]) -> Reply | Lost:
    """The replica that answers for single requests is behind the one that lists them."""
    return service.answer(call, lag=30.0 if call.method == "GET" and not call.query else 0.0)


def test_an_old_copy_that_starts_behind_a_lagging_read_is_ended(v1: FakeService) -> None:
    """The new try still reads that nobody has started the old request: the refused delete tells."""
    old = settle(v1).job.request_id
    v1.now += 60
    start(v1, old)
    fed = drive(v1, search(v1, round=2, job=B), lambda call: stale_reads(v1, call))
    assert fed.result.job.request_id != old
    assert [kind for kind, _ in v1.effects] == ["created", "billed_start", "ended", "created"]
    assert v1.jobs[old].acted[-1] - v1.jobs[old].billed[0] < 1, "each second of it bills"
    v1.now += 60
    state = v1.jobs[old].at(v1.now)
    assert state is not None
    assert state.status == "CANCELED"


def test_a_copy_of_this_round_that_starts_the_job_of_before_an_edit_behind_a_lagging_read_is_gone_on_with(
    v1: FakeService,
) -> None:
    """The refused delete tells that somebody has acted; a moment later the reading tells what."""
    other = settle(v1).job.request_id
    v1.now += 60
    start(v1, other)
    fed = drive(v1, search(v1, job=B), lambda call: stale_reads(v1, call))
    assert fed.result.job.request_id == other
    assert [kind for kind, _ in v1.effects] == ["created", "billed_start"]


def test_what_cannot_be_deleted_and_never_shows_that_it_was_started_is_ended(v1: FakeService) -> None:
    """A replica that lags for minutes: another job must not be gone on with beside one that is at work."""
    other = settle(v1).job.request_id
    v1.now += 2000
    start(v1, other)
    drive(v1, search(v1, job=B), lambda call: v1.answer(call, lag=1000.0 if call.path.endswith(other) else 0.0))
    v1.now += 60
    assert not v1.jobs[other].at_work(v1.now)


def test_what_v2_would_not_end_is_not_asked_for(v2: FakeService) -> None:
    """A request that was never analysed, of a job of before a change."""
    settle(v2)
    fed = drive(v2, search(v2, round=2, job=B))
    assert not fed.result.adopted
    assert [call for call in fed.sent if call.path.endswith("/stop")] == []
    assert "Left over" in fed.notes[0]


def test_a_delete_that_fails_for_another_reason_than_a_start_holds_nothing_up(v1: FakeService) -> None:
    old = settle(v1).job.request_id
    fed = drive(
        v1,
        search(v1, round=2, job=B),
        lambda call: error(403, "no rights") if call.method == "DELETE" else v1.answer(call),
    )
    assert fed.result.job.request_id != old
    assert fed.waited == 0
    assert [call for call in fed.sent if call.path.endswith("/cancel")] == []


def test_what_is_left_over_of_the_same_job_is_not_ended(v2: FakeService) -> None:
    """v2 deletes nothing. A copy of this task may be about to start it; then it is found to be running."""
    oldest = settle(v2).job.request_id
    v2.now += 1
    v2._create({"description": str(Mark(WHO, 0, A))})
    younger = list(v2.jobs)[1]
    v2._analyse(v2.jobs[younger])
    v2.now += 60
    assert settle(v2).job.request_id == oldest
    assert [kind for kind, _ in v2.effects] == ["created", "created"]


def test_an_old_copy_that_creates_late_goes_on_with_the_new_job(service: FakeService) -> None:
    old = Process(service, search(service))
    old.run(before="POST")
    new = settle(service, round=2, job=B).job.request_id
    service.now += 1
    late = old.run().result
    assert (late.job.request_id, late.why) == (new, "a later try of this task has made it")


def test_a_copy_of_the_new_try_ends_what_an_old_copy_started_meanwhile(service: FakeService) -> None:
    """Found by the look after the create: the old copy has created and started between look and create."""
    new = Process(service, search(service, round=2, job=B))
    new.run(before="POST")
    old = settle(service).job.request_id
    start(service, old)
    service.now += 30
    late = new.run().result
    state = service.jobs[old].at(service.now)
    assert state is not None
    assert state.status in ("CANCELED", "STOPPED")
    assert late.job.request_id not in (old, "")
    assert service.jobs[late.job.request_id].mark(service.now).job == B


def test_a_twin_of_a_changed_job_that_has_started_is_not_joined_by_a_second(v1: FakeService) -> None:
    """The DAG was edited between two tries of one round, and both live."""
    edited = Process(v1, search(v1, job=B))
    edited.run(before="POST")
    number = settle(v1).job.request_id
    start(v1, number)
    found = edited.run().result
    assert found.job.request_id == number
    assert "changed" in found.why


def tried(number: int, round: int, job: str, **more: Any) -> Mark:
    return Mark(WHO, round, job, tried=number, clears=0, **{"born": 1_000, **more})


def test_what_a_newer_try_adopts_while_an_old_copy_waits_for_its_end_is_the_old_copys_too(service: FakeService) -> None:
    """The old copy is about to end the request of the round before; the newer try wants the very same job.

    The newer try still reads that it is running, and by then the service accepts a new description.
    """
    api = generation(service.api)
    number = drive(service, find_or_create(api, PAYLOAD, tried(1, 0, B))).result.job.request_id
    start(service, number)
    service.now += 30
    old = Process(service, find_or_create(api, PAYLOAD, tried(2, 3, A)))
    old.run(before="POST")
    began, service.now = service.now, service.now + 1
    while service.jobs[number].running(service.now):
        service.now += 1
    newer = find_or_create(api, PAYLOAD, tried(3, 3, B))
    assert drive(service, newer, lag=service.now - began).result.job.request_id == number
    service.now += 60
    assert old.run().result.job.request_id == number
    assert created(service) == 1


def test_a_request_of_a_run_that_was_queued_by_hand_is_recorded_with_the_new_start(service: FakeService) -> None:
    """Else a clear of another task, which counts too, would look like a clear of this one, and what runs be ended."""
    api = generation(service.api)
    number = drive(service, find_or_create(api, PAYLOAD, tried(1, 3, A))).result.job.request_id
    start(service, number)
    service.now += 30
    queued = tried(2, 3, A, born=2_000)
    assert drive(service, find_or_create(api, PAYLOAD, queued)).result.job.request_id == number
    written = len(service.effects)
    assert drive(service, find_or_create(api, PAYLOAD, replace(queued, tried=3))).result.job.request_id == number
    assert len(service.effects) == written, "once is enough"
    service.now += 60
    other_cleared = tried(4, 3, B, born=2_000)
    found = drive(service, find_or_create(api, PAYLOAD, replace(other_cleared, clears=1))).result
    assert found.job.request_id == number
    assert found.job.started


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
        expected = replace(its, **own)
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


# A remembered id


def test_a_remembered_request_is_read_and_no_list(service: FakeService) -> None:
    number = settle(service).job.request_id
    fed = drive(service, search(service, remembered=number))
    assert fed.result.job.request_id == number
    assert len(fed.sent) == 1


def test_a_remembered_request_belongs_to_this_round_whatever_its_marker_says(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 600
    assert settle(service, round=2, remembered=number).job.request_id == number


COPIED = str(Mark(identity("production", "dag", "run", "another task", -1), 0, B, tried=1))


@pytest.mark.parametrize("text", ["edited by hand", f"edited by hand {COPIED}"], ids=["words", "words of another task"])
def test_a_remembered_request_counts_though_somebody_has_edited_its_description(
    service: FakeService, text: str
) -> None:
    """And gets its marker back where the service lets us, so that others find it too."""
    number = settle(service).job.request_id
    service.jobs[number].words.append((service.now, text))
    for moment in (0, 20, 600):
        service.now += moment
        again = settle(service, remembered=number)
        assert again.job.request_id == number
        if not moment:
            start(service, number)
            service.jobs[number].words.append((service.now, text))
    assert created(service) == 1
    assert service.jobs[number].description(service.now).startswith("edited by hand afx")


def test_a_remembered_request_that_is_being_ended_is_waited_for_and_final(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    service.jobs[number].words.append((service.now, "edited by hand"))
    service._end(service.jobs[number], *(("CANCEL", "CANCELED") if service.api == "v1" else ("STOP", "STOPPED")))
    found = settle(service, remembered=number)
    assert found.job.request_id == number
    assert found.job.status in ("CANCELED", "STOPPED")
    assert created(service) == 1


def test_a_remembered_request_that_no_list_shows_any_more_counts_too(service: FakeService) -> None:
    """Its marker was edited away, and the service refuses a new description."""
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    service.jobs[number].words.append((service.now, "edited by hand"))
    service._end(service.jobs[number], *(("CANCEL", "CANCELED") if service.api == "v1" else ("STOP", "STOPPED")))
    refused = error(409, "The request is being processed.")
    fed = drive(
        service,
        search(service, remembered=number),
        lambda call: refused if call.method == "PUT" else service.answer(call),
    )
    assert fed.result.job.request_id == number
    assert fed.result.job.status in ("CANCELED", "STOPPED")
    assert created(service) == 1


def test_a_remembered_request_was_stopped_for_the_budget_that_it_had_then(v2: FakeService) -> None:
    mark = Mark(WHO, 0, A, tried=1, limit=100.0)
    v2._create({"description": marked("max NDVI", mark)})
    (number,) = v2.jobs
    v2.jobs[number].billed.append(v2.now)
    v2.jobs[number].become(v2.now, State(v2.now, "STOPPED", "STOP"))

    def answer(call: Call[Any]) -> Reply | Lost:
        reply = v2.answer(call)
        assert isinstance(reply, Reply)
        return replace(reply, body=reply.body.replace(b'"costPU": 1.0', b'"costPU": 150.0'))

    raised = replace(mark, tried=2, limit=300.0)
    flow = find_or_create(generation("v2"), PAYLOAD, raised, remembered=number, stopped=Stopped(300.0))
    found = drive(v2, flow, answer).result
    assert (found.job.request_id, found.continued) == (number, True)


@pytest.mark.parametrize("outcome", ["gone", "FAILED"])
def test_a_remembered_request_that_is_of_no_use_is_forgotten(service: FakeService, outcome: str) -> None:
    service.outcome = "FAILED"
    number = settle(service).job.request_id
    if outcome == "gone":
        number = number[:-1] + "x"
    else:
        start(service, number)
        service.now += 600
    assert settle(service, remembered=number).job.request_id != number


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


@pytest.mark.parametrize("newer", [9, 90])
def test_after_a_create_what_was_seen_before_is_read_by_itself(v2: FakeService, newer: int) -> None:
    """The list is read back to the older requests once, and after the create only as far as it may have lagged."""
    in_a_full_account(v2, FIRST, older=3, newer=newer, state="FAILED")
    v2.now += 9000
    mark = replace(FIRST, tried=2, round=5, clears=1, born=2_000)
    fed = drive(v2, find_or_create(generation("v2"), PAYLOAD, mark))
    pages = [call for call in fed.sent if call.path.endswith("/process") and call.method == "GET"]
    assert not fed.result.adopted
    assert len(pages) <= newer // 3 + 2 + 2
    assert sum("/process/" in call.path for call in fed.sent) <= 3


def test_a_request_that_starts_between_the_two_readings_is_seen_wherever_it_stands(v2: FakeService) -> None:
    """A copy of before the clear starts the request of before while this try creates its own."""
    older = in_a_full_account(v2, FIRST, older=3, newer=30, state=None)
    v2.now += 9000
    mark = replace(FIRST, tried=2)
    began = False

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal began
        if call.method == "POST" and call.path.endswith("/process") and not began:
            began = True
            v2._start(v2.jobs[older])
        return v2.answer(call)

    other = replace(mark, job=B)  # the job was edited: what was not started is made anew
    fed = Process(v2, find_or_create(generation("v2"), PAYLOAD, other), answer).run()
    assert began
    assert fed.result.job.request_id == older


@pytest.mark.parametrize(("state", "calls"), [("DONE", 0), ("FAILED", 0), ("STOPPED", 1), (None, 2)])
def test_after_a_create_what_can_change_is_read_again_and_what_was_done_or_has_failed_is_not(
    v2: FakeService, state: str | None, calls: int
) -> None:
    """One that has not ended is read each time, once."""
    ours = in_a_full_account(v2, FIRST, older=0, newer=30, state="PROCESSING" if state == "STOPPED" else state)
    if state == "STOPPED":
        v2._end(v2.jobs[ours], "STOP", "STOPPED")
    v2.now += 86400
    again = replace(FIRST, tried=2, round=5, clears=1, born=2_000, job=A if state else B)
    fed = drive(v2, find_or_create(generation("v2"), PAYLOAD, again))
    assert not fed.result.adopted
    assert sum(call.method == "GET" and ours in call.path for call in fed.sent) == calls
