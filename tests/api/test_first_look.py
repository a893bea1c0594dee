"""Whether a wait ends within seconds, for a task that looks before it defers: `Watch.soon`, and what goes by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Flow, Lost, Reply
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, judge
from airflow_sentinelhub.api.flows.read import SILENCE
from airflow_sentinelhub.api.flows.wait import (
    LAST_LOOK,
    PASSING,
    UNCERTAIN_PAUSE,
    WaitPlan,
    Watch,
    look_before_deferring,
    share_of,
    until_answered,
    until_certain,
)
from airflow_sentinelhub.api.service.generations import NEW_REQUEST_404, OLD_REQUEST_404, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from tests.api.feeding import EPOCH, ID, Answer, Fed, feed, ok

BEGAN = EPOCH
PAUSE = 60.0
NOWHERE = errors.UnreachableError("refused", ambiguous=False, nowhere="Nothing answers at 127.0.0.1:1.")
CUT = errors.UnreachableError("cut", ambiguous=True)
GIVEN_UP = errors.UnreachableError("not read in time", ambiguous=False, over=True)
DOWN = errors.ServerError("503", status=503)
BUSY = errors.RateLimitError("429", status=429)
GONE = errors.NotFoundError("404", status=404)
UNREAD = errors.ResultsError("no such bucket")
ANSWERS = (DOWN, BUSY, GONE, UNREAD)
"""Errors that come of a reply: something is there."""


def seen(status: str) -> Waited:
    job = Snapshot(ID, "v2", BatchRequestStatus(status), BatchUserAction("START"))
    return Waited(judge(job), job)


RUNS, DONE = seen("PROCESSING"), seen("DONE")


def watching(*, first: bool = True, pause: float = PAUSE, **given: Any) -> Watch:
    more = {"not_found_after": given.pop("not_found_after")} if "not_found_after" in given else {}
    return Watch(ID, WaitPlan(poll_interval=pause, **given), BEGAN, first=first, **more)


def all_of(watch: Watch, *looks: Any, apart: float = 1.0) -> list[tuple[float, bool]]:
    """The pause after each look, and whether the wait ends soon."""
    states = []
    for number, look in enumerate(looks):
        now = BEGAN + number * apart
        ended = watch.failed(look, now) if isinstance(look, errors.SentinelHubError) else watch.read(look, now)
        assert ended is None
        states.append((watch.pause, watch.soon))
    return states


LATER, SOON = (PAUSE, False), (UNCERTAIN_PAUSE, True)


def test_where_nothing_ever_answered_the_wait_ends_soon() -> None:
    assert all_of(watching(), NOWHERE, NOWHERE, NOWHERE) == [SOON, SOON, SOON]


def test_it_ends_soon_for_as_long_as_silence_is_borne() -> None:
    assert all_of(watching(), NOWHERE, NOWHERE, NOWHERE, apart=SILENCE / 2) == [SOON, SOON, (UNCERTAIN_PAUSE, False)]


@pytest.mark.parametrize("error", ANSWERS, ids=lambda err: type(err).__name__)
def test_once_something_has_answered_silence_is_an_outage(error: errors.SentinelHubError) -> None:
    watch = watching()
    states = all_of(watch, NOWHERE, error, NOWHERE)
    assert states[0] == SOON
    assert states[-1] == LATER


def test_once_the_request_was_read_silence_is_an_outage() -> None:
    assert all_of(watching(), RUNS, NOWHERE) == [LATER, LATER]


def test_a_wait_that_others_began_takes_silence_for_an_outage() -> None:
    """A retry, or a sensor that was rescheduled: the service was there before."""
    assert all_of(watching(first=False), NOWHERE, NOWHERE) == [LATER, LATER]


@pytest.mark.parametrize("error", [CUT, GIVEN_UP, *ANSWERS[:2]], ids=lambda err: type(err).__name__)
def test_what_may_pass_is_waited_out(error: errors.SentinelHubError) -> None:
    assert isinstance(error, PASSING)
    assert all_of(watching(), error) == [LATER]


@pytest.mark.parametrize("between", [CUT, GIVEN_UP], ids=["cut", "given up"])
def test_a_call_without_a_reply_says_nothing_of_an_answer(between: errors.SentinelHubError) -> None:
    assert all_of(watching(), NOWHERE, between, NOWHERE) == [SOON, LATER, SOON]


@pytest.mark.parametrize("pause", [0.5, 3.0])
@pytest.mark.parametrize("error", [NOWHERE, GONE], ids=["nothing answers", "404"])
def test_a_short_interval_of_the_plan_is_kept(error: errors.SentinelHubError, pause: float) -> None:
    watch = watching(pause=pause, not_found_after=sum(OLD_REQUEST_404))
    assert all_of(watch, error) == [(min(pause, 10.0 if error is NOWHERE else 1.5), True)]


def test_a_request_that_cannot_be_new_is_soon_said_to_be_missing() -> None:
    old, new = sum(OLD_REQUEST_404), sum(NEW_REQUEST_404)
    assert all_of(watching(not_found_after=old), GONE) == [(min(UNCERTAIN_PAUSE, old / 2), True)]
    assert all_of(watching(not_found_after=new), GONE) == [(UNCERTAIN_PAUSE, False)]
    assert all_of(watching(not_found_after=old), GONE, RUNS) == [(min(UNCERTAIN_PAUSE, old / 2), True), LATER]


def test_404_counts_from_the_first_one_after_the_last_reading() -> None:
    """One between two readings does not make the next one the end."""
    watch = watching(first=False)
    all_of(watch, GONE, DOWN, GONE)
    assert watch.failed(GONE, BEGAN + sum(NEW_REQUEST_404) - 1) is None
    ended = watch.failed(GONE, BEGAN + sum(NEW_REQUEST_404))
    assert ended is not None
    assert ended.outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize(
    ("looks", "cause"),
    [
        ((DOWN, GIVEN_UP), "503"),
        ((GIVEN_UP,), "not read in time"),
        ((GIVEN_UP, DOWN), "503"),
        ((DOWN, CUT), "cut"),
        ((DOWN, RUNS), ""),
        ((DOWN, RUNS, GIVEN_UP), "not read in time"),
    ],
)
def test_the_cause_is_the_last_error_that_tells_one(looks: tuple[Any, ...], cause: str) -> None:
    watch = watching()
    all_of(watch, *looks)
    assert watch.cause == cause


# The flows


class Looks:
    """Looks that each take a second, one after the other; the last one is repeated."""

    def __init__(self, *looks: Any) -> None:
        self.looks, self.number = list(looks), 0

    def __call__(self, within: float) -> Flow[Waited]:
        look = self.looks[min(self.number, len(self.looks) - 1)]
        self.number += 1
        if isinstance(look, Exception):
            raise look
        return look
        yield  # a flow


def outcome(fed: Fed) -> Any:
    return None if fed.result is None else fed.result.outcome


def test_a_task_that_defers_looks_again_only_where_it_ends_soon() -> None:
    for looks, number in (((RUNS,), 1), ((DOWN,), 1), ((NOWHERE, NOWHERE, RUNS), 3), ((NOWHERE, DOWN, RUNS), 2)):
        one_look = Looks(*looks)
        fed = feed(until_answered(watching(), one_look))
        assert outcome(fed) is None
        assert (one_look.number, fed.slept) == (number, [UNCERTAIN_PAUSE] * (number - 1))


def test_a_task_that_defers_is_told_of_an_end_at_once() -> None:
    one_look = Looks(NOWHERE, DONE)
    assert outcome(feed(until_answered(watching(), one_look))) is Outcome.REACHED
    assert one_look.number == 2


def test_a_task_that_defers_is_told_that_an_old_request_is_missing() -> None:
    one_look = Looks(GONE)
    fed = feed(until_answered(watching(not_found_after=sum(OLD_REQUEST_404)), one_look))
    assert outcome(fed) is Outcome.NOT_FOUND
    assert fed.waited >= sum(OLD_REQUEST_404)
    assert len(fed.warnings) == 1, "said once"


def test_a_task_that_defers_does_not_wait_where_nothing_answers_for_longer_than_that() -> None:
    one_look = Looks(NOWHERE)
    fed = feed(until_answered(watching(), one_look))
    assert outcome(fed) is None
    assert SILENCE <= fed.waited < SILENCE + UNCERTAIN_PAUSE


def test_a_wait_without_a_memory_polls_until_it_is_certain() -> None:
    """The next poll is made by another process, which would not know since when."""
    idle = seen("ANALYSIS_DONE")
    idle = Waited(Outcome.NOT_STARTED, idle.job)
    for looks, number in (((RUNS,), 1), ((DOWN, DOWN, RUNS), 3), ((idle, RUNS), 2), ((NOWHERE, RUNS), 2)):
        one_look = Looks(*looks)
        fed = feed(until_certain(watching(), one_look))
        assert outcome(fed) is None
        assert (one_look.number, len(fed.slept)) == (number, number - 1)
        assert all(seconds > 0 for seconds in fed.slept)
    assert outcome(feed(until_certain(watching(), Looks(DOWN, DONE)))) is Outcome.REACHED
    fed = feed(until_certain(watching(max_unknown_time=300.0), Looks(DOWN)))
    assert outcome(fed) is Outcome.UNKNOWN
    assert fed.waited == 300


def job(status: str, **members: Any) -> Answer:
    return ok({"id": ID, "status": status, "userAction": "START", "request": {}, **members})


def stoppable(**members: Any) -> list[Any]:
    """The answers of a service whose request runs until it is stopped."""
    stopped = False

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal stopped
        if call.method == "POST":
            assert call.path.endswith("/stop")
            stopped = True
            return ok()
        ended = {"status": "STOPPED", "userAction": "STOP"} if stopped else {"status": "PROCESSING"}
        return ok({"id": ID, "userAction": "START", "request": {}, **ended, **members})

    return [answer, ...]


V2 = generation("v2")


@pytest.mark.parametrize(
    ("status", "comes"),
    [("PROCESSING", None), ("DONE", Outcome.REACHED), ("FAILED", Outcome.FAILED), ("STOPPED", Outcome.CANCELLED)],
)
def test_before_a_task_defers_it_looks_once(status: str, comes: Outcome | None) -> None:
    fed = feed(look_before_deferring(V2, ID, "DONE", WaitPlan()), [job(status)])
    assert (outcome(fed), len(fed.sent), fed.slept) == (comes, 1, [])


def test_before_a_task_defers_a_request_over_its_budget_is_ended() -> None:
    fed = feed(look_before_deferring(V2, ID, "DONE", WaitPlan(max_cost=10.0)), stoppable(costPU=11.0))
    assert outcome(fed) is Outcome.OVER_BUDGET
    assert str(fed.result.job.status) == "STOPPED"


@pytest.mark.parametrize(("end", "status"), [(True, "STOPPED"), (False, "PROCESSING")])
def test_before_a_task_defers_a_deadline_that_is_over_counts(end: bool, status: str) -> None:
    plan = WaitPlan(deadline=BEGAN - 1, end_at_deadline=end)
    fed = feed(look_before_deferring(V2, ID, "DONE", plan), stoppable())
    assert outcome(fed) is Outcome.TIMED_OUT
    assert str(fed.result.job.status) == status


@pytest.mark.parametrize("status", ["DONE", "FAILED", "PROCESSING"])
def test_a_request_is_ended_only_by_a_deadline_that_is_over(status: str) -> None:
    plan = WaitPlan(deadline=BEGAN + 1000, end_at_deadline=True, max_cost=10.0)
    fed = feed(look_before_deferring(V2, ID, "DONE", plan), [job(status, costPU=9.0)])
    assert [call.method for call in fed.sent] == ["GET"]


# When a poll is given up


@pytest.mark.parametrize(
    ("given", "within", "until"),
    [
        ({}, 0.0, 1800.0),
        ({}, 60.0, 1860.0),
        ({"max_unknown_time": 300.0}, 60.0, 360.0),
        ({"max_unknown_time": 0.0}, 60.0, None),  # one whole poll
        ({"max_unknown_time": 0.0, "deadline": BEGAN + 90}, 60.0, 90.0),
        ({"deadline": BEGAN + 90}, 60.0, 90.0),
        ({"deadline": BEGAN + 9000}, 60.0, 1860.0),
        ({"deadline": BEGAN + 60}, 60.0, 62.0),  # a last look
        ({"deadline": BEGAN - 60}, 0.0, 2.0),
    ],
)
def test_a_poll_is_given_up_when_the_wait_would_end_anyway(
    given: dict[str, Any], within: float, until: float | None
) -> None:
    found = watching(**given).until(BEGAN, within)
    assert found == (None if until is None else BEGAN + until)


def test_a_poll_in_an_outage_is_given_up_by_the_begin_of_the_outage() -> None:
    watch = watching(max_unknown_time=300.0)
    watch.until(BEGAN, 20.0)
    watch.failed(DOWN, BEGAN + 50)
    assert watch.until(BEGAN + 50, 60.0) == BEGAN + 20 + 300
    watch.failed(DOWN, BEGAN + 150)
    assert watch.until(BEGAN + 150, 60.0) == BEGAN + 20 + 300, "the outage has not begun anew"
    watch.read(RUNS, BEGAN + 200)
    assert watch.until(BEGAN + 200, 60.0) == BEGAN + 260 + 300


def test_without_patience_a_poll_after_a_failed_one_is_the_last_look() -> None:
    watch = watching(max_unknown_time=0.0)
    watch.until(BEGAN, 0.0)
    watch.failed(DOWN, BEGAN)
    assert watch.until(BEGAN, 60.0) == BEGAN + 60 + LAST_LOOK


# What the log says


def tiles(matching: int | None, total: int | None, goal: str | None = "PROCESSED", **more: Any) -> Waited:
    return replace(RUNS, matching=matching, total=total, goal=goal, **more)


@pytest.mark.parametrize(
    ("waited", "share"),
    [
        (tiles(25, 100), 0.25),
        (tiles(25, 100, "FAILED"), None),  # says nothing of how much is done
        (tiles(0, 100), 0.0),
        (tiles(None, 100), None),
        (tiles(25, None), None),
        (replace(RUNS, counts={"PROCESSED": 30, "PENDING": 70}), 0.3),
        (replace(RUNS, counts={"PENDING": 70}), 0.0),
        (replace(RUNS, counts={}), None),
        (replace(tiles(25, 100), counts={"PROCESSED": 30, "PENDING": 70}), 0.3),
        (Waited(Outcome.UNKNOWN), None),
    ],
)
def test_the_share_that_is_done_is_that_of_what_was_counted(waited: Waited, share: float | None) -> None:
    assert share_of(waited) == share


def test_the_log_has_a_line_for_each_change_and_one_every_ten_minutes() -> None:
    watch, lines = watching(), dict[int, str]()
    for minute in range(36):
        reading = tiles(min(minute, 10), 100)
        if line := watch.line(reading, BEGAN + minute * 60):
            lines[minute] = line
    assert sorted(lines) == [*range(11), 20, 30]
    assert "left" not in lines[0]
    assert "left" not in lines[1], "of one reading nothing can be said"
    assert lines[2].endswith(" left")
    assert "2 of 100 tiles PROCESSED (2%)" in lines[2]


def test_a_share_that_is_not_known_any_more_leaves_the_line_without_an_estimate() -> None:
    """Such as where counts begin anew, or a replica lacks the progress."""
    watch = watching()
    watch.line(tiles(10, 100), BEGAN)
    assert str(watch.line(tiles(20, 100), BEGAN + 60)).endswith(" left")
    assert "left" not in str(watch.line(RUNS, BEGAN + 120))
