"""How far back the list of requests is read to find that of a task, and what is read again after a create."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Lost, Now, Reply
from airflow_sentinelhub.api.decide.marker import Mark, identity, marked
from airflow_sentinelhub.api.flows.find_or_create import Settled, find_or_create
from airflow_sentinelhub.api.service.generations import generation
from tests.api import fake_service
from tests.api.fake_service import FakeService, Process, drive
from tests.api.finding import FIRST, PAYLOAD, WHO, A, B

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


# What is read again after a create


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


def test_the_clock_of_a_service_that_is_behind_hides_no_request_after_a_create(v2: FakeService) -> None:
    """By Airflow's clock the new request is older than what is read again, and others have pushed it off page one."""

    class Ahead(Process):
        def _perform(self, step: Any) -> Any:
            received = super()._perform(step)
            return received + 7200 if isinstance(step, Now) else received

    def answer(call: Call[Any]) -> Reply | Lost:
        reply = v2.answer(call)
        if call.method == "POST":
            for number in range(2 * fake_service.PAGE):
                v2._create({"description": f"newer {number}"})
        return reply

    fed = Ahead(v2, find_or_create(generation("v2"), PAYLOAD, FIRST), answer).run()
    assert not fed.result.adopted
    assert [call.method for call in fed.sent].count("POST") == 1
