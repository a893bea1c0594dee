"""Which request a try goes on with: the whole table, then several candidates, ties, copies and old copies."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.adoption import (
    BEFORE_LAST,
    Plan,
    Stopped,
    choose,
    left_running,
    oldest_first,
    searched_to,
    spent_before,
)
from airflow_sentinelhub.api.decide.marker import Mark, identity, marked
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason

WHO = identity("production", "dag", "run", "task", -1)
SAME, CHANGED = "aaaaaaaa", "bbbbbbbb"
NOW = Mark(WHO, 3, SAME)
BORN = datetime(2025, 1, 1, tzinfo=timezone.utc)


def job(
    status: str = "CREATED",
    action: str = "NONE",
    *,
    round: int = 3,
    digest: str = SAME,
    id: str = "1",
    born: int | None = 0,
    who: str = WHO,
    adopts: str | None = None,
    continues: str | None = None,
    generation: str = "v1",
    cost: float | None = None,
    reason: str | None = None,
    born_at: int | None = None,
    **words: Any,
) -> Snapshot:
    links = {"adopts": adopts and adopts * 36, "continues": continues and continues * 36}
    return Snapshot(
        id * 36,
        generation,
        BatchRequestStatus(status),
        BatchUserAction(action),
        description=marked("max NDVI", Mark(who, round, digest, born=born_at, **links, **words)),
        created=None if born is None else BORN + timedelta(seconds=born),
        cost=cost,
        stopped_reason=reason and StoppedStatusReason(reason),
    )


# The table of the design, row by row

NOT_STARTED = [
    ("CREATED", "NONE"),
    ("CREATED", "ANALYSE"),
    ("ANALYSING", "ANALYSE"),
    ("ANALYSIS_DONE", "ANALYSE"),
    ("ANALYSIS_DONE", "NONE"),
    ("LIMBO", "NONE"),
]
RUNNING = [
    ("CREATED", "START"),
    ("ANALYSING", "START"),
    ("ANALYSIS_DONE", "START"),
    ("PROCESSING", "START"),
    ("PROCESSING", "NONE"),
    ("LIMBO", "START"),
]
ENDING = [
    ("CREATED", "CANCEL"),
    ("ANALYSING", "CANCEL"),
    ("ANALYSIS_DONE", "CANCEL"),
    ("PROCESSING", "CANCEL"),
    ("PROCESSING", "STOP"),
    ("LIMBO", "STOP"),
]
WELL = [("DONE", "START"), ("DONE", "ANALYSE"), ("DONE", "CANCEL"), ("PARTIAL", "START")]
BADLY = [("FAILED", "START"), ("FAILED", "ANALYSE")]
BY_HAND = [("CANCELED", "CANCEL"), ("STOPPED", "STOP"), ("STOPPED", "START")]

TABLE = [
    *((state, SAME, 3, Plan.ADOPT) for state in NOT_STARTED + RUNNING),
    *((state, SAME, 0, Plan.ADOPT) for state in NOT_STARTED + RUNNING),
    *((state, CHANGED, 3, Plan.CREATE) for state in NOT_STARTED),
    *((state, CHANGED, 0, Plan.CREATE) for state in NOT_STARTED),
    *((state, CHANGED, 3, Plan.ADOPT) for state in RUNNING),
    *((state, CHANGED, 0, Plan.REPLACE) for state in RUNNING),
    *((state, digest, round, Plan.AWAIT_END) for state in ENDING for digest in (SAME, CHANGED) for round in (0, 3)),
    *((state, digest, 3, Plan.ADOPT) for state in WELL for digest in (SAME, CHANGED)),
    *((state, digest, 0, Plan.CREATE) for state in WELL for digest in (SAME, CHANGED)),
    *((state, digest, round, Plan.CREATE) for state in BADLY for digest in (SAME, CHANGED) for round in (0, 3)),
    *((state, digest, 3, Plan.ADOPT) for state in BY_HAND for digest in (SAME, CHANGED)),
    *((state, digest, 0, Plan.CREATE) for state in BY_HAND for digest in (SAME, CHANGED)),
]


@pytest.mark.parametrize(("cost", "plan"), [(None, Plan.ADOPT), (0.0, Plan.CREATE), (1.0, Plan.ADOPT)])
def test_a_job_that_was_stopped_and_not_paid_makes_way_for_another_one(cost: float | None, plan: Plan) -> None:
    """One that does not say what it has cost counts as paid."""
    found = job("STOPPED", "STOP", digest=CHANGED, round=3, generation="v2", cost=cost)
    assert choose([found], NOW).plan is plan


@pytest.mark.parametrize(("state", "digest", "round", "plan"), TABLE)
def test_the_table(state: tuple[str, str], digest: str, round: int, plan: Plan) -> None:
    found = job(*state, digest=digest, round=round)
    decision = choose([found], NOW)
    assert decision.plan is plan
    removed = plan is Plan.CREATE and digest == CHANGED and state in NOT_STARTED
    assert decision.remove == ((found,) if removed else ())
    assert decision.request is (None if plan is Plan.CREATE else found)
    if state in RUNNING + WELL and digest == CHANGED and round == 3:
        assert "changed" in decision.why


# Stopped on v2: by a person, by the service, for its budget


@pytest.mark.parametrize("round", [0, 3])
@pytest.mark.parametrize("reason", ["OUT_OF_PU", "UNHEALTHY", "MOON"])
def test_what_the_service_has_stopped_is_made_anew_unless_the_task_resumes_such(reason: str, round: int) -> None:
    stopped = job("STOPPED", "START", round=round, generation="v2", cost=5.0, reason=reason)
    assert choose([stopped], NOW).plan is Plan.CREATE
    assert choose([stopped], NOW, Stopped(resume=True)).request is stopped
    changed = job("STOPPED", "START", round=round, digest=CHANGED, generation="v2", cost=5.0, reason=reason)
    assert choose([changed], NOW, Stopped(resume=True)).plan is Plan.CREATE


@pytest.mark.parametrize(
    ("digest", "cost", "plan"),
    [(SAME, 0.0, Plan.ADOPT), (SAME, 5.0, Plan.ADOPT), (CHANGED, 5.0, Plan.ADOPT), (CHANGED, 0.0, Plan.CREATE)],
)
def test_what_a_person_has_stopped_in_this_round_is_final(digest: str, cost: float, plan: Plan) -> None:
    """But for what we have ended ourselves before anybody had started it, because its job had changed."""
    stopped = job("STOPPED", "STOP", digest=digest, generation="v2", cost=cost, reason="USER_ACTION")
    fresh = job(id="2", born=9)
    assert choose([stopped], NOW).plan is plan
    assert choose([stopped, fresh], NOW).request is (stopped if plan is Plan.ADOPT else fresh)


@pytest.mark.parametrize("round", [0, 3])
@pytest.mark.parametrize(
    ("digest", "limit", "max_cost", "plan"),
    [
        (SAME, 100.0, 100.0, Plan.ADOPT),  # judged again: still over the budget, and nothing is paid
        (SAME, 100.0, 200.0, Plan.CONTINUE),
        (SAME, 100.0, None, Plan.CONTINUE),
        (SAME, 200.0, 300.0, None),  # a person did it: it had not passed its budget
        (SAME, None, 300.0, None),
        (CHANGED, 100.0, 300.0, None),
    ],
)
def test_what_was_stopped_for_its_budget(
    digest: str, limit: float | None, max_cost: float | None, plan: Plan | None, round: int
) -> None:
    found = job(
        "STOPPED", "STOP", round=round, digest=digest, limit=limit, generation="v2", cost=150.0, reason="USER_ACTION"
    )
    by_hand = Plan.ADOPT if round == 3 else Plan.CREATE
    assert choose([found], NOW, Stopped(max_cost)).plan is (plan or by_hand)


@pytest.mark.parametrize(("round", "plan"), [(3, Plan.ADOPT), (0, Plan.CREATE)])
def test_what_the_service_has_stopped_above_the_budget_is_not_paid_anew_in_its_round(round: int, plan: Plan) -> None:
    found = job("STOPPED", "START", round=round, generation="v2", cost=150.0, reason="OUT_OF_PU", limit=100.0)
    assert choose([found], NOW, Stopped(100.0)).plan is plan


@pytest.mark.parametrize("round", [0, 3])
def test_what_the_service_has_stopped_was_not_stopped_for_its_budget(round: int) -> None:
    found = job("STOPPED", "START", round=round, generation="v2", cost=150.0, reason="OUT_OF_PU", limit=100.0)
    assert choose([found], NOW, Stopped(300.0)).plan is Plan.CREATE


def test_what_was_spent_before_is_the_sum_of_all_that_a_request_continues() -> None:
    jobs = [job(id=id, continues=before, cost=cost) for id, before, cost in (("1", None, 1.0), ("2", "1", 2.0))]
    last = job(id="3", continues="2", cost=4.0)
    assert spent_before(last, [*jobs, last]) == 3.0
    assert spent_before(last, [jobs[1], last]) == 2.0


def test_requests_that_name_each_other_in_their_descriptions_end_no_count() -> None:
    """A user can write anything into a description."""
    jobs = [job(id="1", continues="2", cost=1.0), job(id="2", continues="1", cost=2.0)]
    assert spent_before(jobs[0], jobs) == 2.0


def test_what_a_request_continues_counts_for_its_budget() -> None:
    first = job("STOPPED", "STOP", id="1", round=0, limit=100.0, generation="v2", cost=101.0, reason="USER_ACTION")
    second = job(
        "STOPPED", "STOP", id="2", round=1, limit=150.0, generation="v2", cost=60.0, reason="USER_ACTION", continues="1"
    )
    assert choose([first, second], NOW, Stopped(200.0)).plan is Plan.CONTINUE
    assert choose([first, second], NOW, Stopped(200.0)).request is second
    assert choose([first, second], NOW, Stopped(155.0)).plan is Plan.ADOPT


@pytest.mark.parametrize(("round", "plan"), [(3, Plan.ADOPT), (0, Plan.CREATE)])
def test_a_continuation_that_failed_does_not_throw_away_what_it_continues(round: int, plan: Plan) -> None:
    first = job("DONE", "START", id="1", round=round)
    failed = job("FAILED", "ANALYSE", id="2", round=round, continues="1", restarts=1, born=9)
    decision = choose([first, failed], NOW)
    assert decision.plan is plan
    assert decision.request is (failed if plan is Plan.ADOPT else None)


# A try that cannot render its job


@pytest.mark.parametrize("state", [*RUNNING, *WELL, *BY_HAND])
def test_a_try_that_cannot_render_its_job_goes_on_with_what_its_round_has_started(state: tuple[str, str]) -> None:
    found = job(*state)
    assert choose([found], Mark(WHO, 3, "")).request is found


def test_a_try_that_cannot_render_its_job_does_not_undo_what_a_person_has_ended_before_its_start() -> None:
    found = job("STOPPED", "STOP", generation="v2", cost=0.0, reason="USER_ACTION")
    assert choose([found], Mark(WHO, 3, "")).request is found


# Runs made again, other Airflows, other starts

BIRTH = 1_700_000_000_000_000


@pytest.mark.parametrize("state", [*NOT_STARTED, *RUNNING, *ENDING, *WELL, *BADLY, *BY_HAND])
def test_what_a_run_of_before_has_made_is_none_of_ours(state: tuple[str, str]) -> None:
    found = job(*state, clears=0, tried=1, born_at=BIRTH)
    decision = choose([found], Mark(WHO, 3, SAME, clears=0, tried=1, born=BIRTH + 1))
    assert (decision.plan, decision.request, decision.remove) == (Plan.CREATE, None, ())


@pytest.mark.parametrize("state", [*RUNNING, *WELL, *BY_HAND])
def test_a_run_that_was_queued_by_hand_between_two_tries_is_the_same_run(state: tuple[str, str]) -> None:
    """That moves its start, and nothing else. A run made again begins with its first try."""
    found = job(*state, clears=0, tried=1, born_at=BIRTH)
    assert choose([found], Mark(WHO, 3, SAME, clears=0, tried=2, born=BIRTH + 1)).request is found
    later = job(*state, clears=0, tried=2, born_at=BIRTH + 1)
    assert choose([later], Mark(WHO, 3, SAME, clears=0, tried=1, born=BIRTH)).request is later, "an old copy"
    again = Mark(WHO, 3, SAME, clears=0, tried=1, born=BIRTH + 1)
    assert choose([job(*state, clears=0, tried=2, born_at=BIRTH)], again).plan is Plan.CREATE


def test_what_is_left_running_is_mentioned() -> None:
    mine = Mark(WHO, 3, SAME, clears=0, tried=1, born=BIRTH + 1)
    former = job("PROCESSING", "START", id="1", clears=0, tried=1, born_at=BIRTH)
    own = job("PROCESSING", "START", id="2", clears=0, tried=1, born_at=BIRTH + 1, born=9)
    decision = choose([former, own], mine)
    assert decision.request is own
    assert left_running([former, own], mine, decision) == (former,)
    ending = job("PROCESSING", "CANCEL", id="3", clears=0, tried=1, born_at=BIRTH)
    assert left_running([former, ending, own], mine, decision) == (former,)


def test_of_a_former_run_and_this_one_this_one_is_taken_also_after_a_clear_of_another_task() -> None:
    mine = Mark(WHO, 3, SAME, clears=1, tried=2, born=BIRTH + 1)
    former = job("PROCESSING", "START", id="1", clears=0, tried=1, born_at=BIRTH)
    own = job("PROCESSING", "START", id="2", clears=0, tried=1, born_at=BIRTH + 1, born=9)
    for order in itertools.permutations([former, own]):
        assert choose(order, mine).request is own
    assert choose([former], mine).request is former, "it may be of before a clear of this run"


@pytest.mark.parametrize("digest", [SAME, CHANGED])
@pytest.mark.parametrize("state", RUNNING)
def test_what_a_former_run_has_at_work_is_none_of_ours_beside_one_of_our_own(
    state: tuple[str, str], digest: str
) -> None:
    """Another task of the run was cleared since: by the count alone, the other one could be of before that."""
    mine = Mark(WHO, 3, SAME, clears=1, tried=2, born=BIRTH + 1)
    former = job(*state, id="1", digest=digest, clears=0, tried=1, born_at=BIRTH)
    own = job(id="2", clears=0, tried=1, born_at=BIRTH + 1, born=9)
    decision = choose([former, own], mine)
    assert (decision.plan, decision.request) == (Plan.ADOPT, own)
    assert left_running([former, own], mine, decision) == (former,)


def test_a_run_that_was_queued_by_hand_is_the_same_run_also_beside_one_made_since() -> None:
    mine = Mark(WHO, 3, SAME, clears=1, tried=2, born=BIRTH + 1)
    before = job("PROCESSING", "START", id="1", clears=1, tried=1, born_at=BIRTH)
    since = job(id="2", clears=1, tried=2, born_at=BIRTH + 1, born=9)
    assert choose([before, since], mine).request is before


def test_nothing_found() -> None:
    assert choose([], NOW).plan is Plan.CREATE


def test_requests_of_others_are_nobodys_business() -> None:
    clone = identity("clone", "dag", "run", "task", -1)
    foreign = [job("PROCESSING", "START", who=clone), Snapshot("2", "v1", BatchRequestStatus("PROCESSING"))]
    assert choose(foreign, NOW).plan is Plan.CREATE


# Several candidates


def test_the_oldest_of_several_is_taken_whatever_the_order() -> None:
    jobs = [job(id="c", born=0), job(id="a", born=5), job(id="b", born=5), job(id="d", born=9)]
    for order in itertools.permutations(jobs):
        decision = choose(order, NOW)
        assert decision.request is jobs[0]
        assert decision.remove == tuple(jobs[1:])


def test_of_equally_old_ones_all_copies_take_the_same() -> None:
    jobs = [job(id=id, born=0) for id in ("b", "a", "c")]
    assert {choose(order, NOW).request.request_id for order in itertools.permutations(jobs)} == {"a" * 36}  # type: ignore[union-attr]


def test_a_request_without_a_time_has_its_place_too() -> None:
    jobs = [job(id="b", born=0), job(id="a", born=None)]
    assert [one.request_id for one in oldest_first(jobs)] == ["a" * 36, "b" * 36]
    assert choose(jobs, NOW).request is jobs[1]


def test_a_started_one_is_taken_before_an_older_one_that_is_not() -> None:
    old, started = job(id="a", born=0), job("PROCESSING", "START", id="b", born=9)
    for order in itertools.permutations([old, started]):
        decision = choose(order, NOW)
        assert decision.request is started
        assert decision.remove == (old,)


def test_a_running_one_is_taken_before_one_that_is_done() -> None:
    done, running = job("DONE", "START", id="a", round=0), job("ANALYSING", "START", id="b", born=9)
    assert choose([done, running], NOW).request is running


def test_a_running_one_of_this_round_is_taken_before_an_older_one_of_before_a_clear() -> None:
    before, own = job("PROCESSING", "START", id="a", round=0), job("PROCESSING", "START", id="b", born=9)
    assert choose([before, own], NOW).request is own


def test_after_a_failure_the_one_made_since_is_taken() -> None:
    failed, fresh = job("FAILED", "START", id="a"), job(id="b", born=9)
    assert choose([failed, fresh], NOW).request is fresh
    assert choose([failed, job("DONE", "START", id="c", born=9)], NOW).plan is Plan.ADOPT


def test_one_that_is_done_in_this_round_wins_over_one_never_started() -> None:
    done, idle = job("DONE", "START", id="b", born=9), job(id="a", born=0)
    decision = choose([done, idle], NOW)
    assert (decision.request, decision.remove) == (done, (idle,))


def test_while_one_is_being_ended_none_is_taken() -> None:
    ending, idle = job("PROCESSING", "CANCEL", id="a"), job(id="b", born=9)
    decision = choose([ending, idle], NOW)
    assert (decision.plan, decision.request, decision.remove) == (Plan.AWAIT_END, ending, ())


def test_what_waits_for_its_place_is_not_removed_while_another_is_replaced() -> None:
    running, idle = job("PROCESSING", "START", id="a", round=0, digest=CHANGED), job(id="b", born=9)
    decision = choose([running, idle], NOW)
    assert (decision.plan, decision.request, decision.remove) == (Plan.REPLACE, running, ())


def test_never_started_ones_of_an_old_job_are_removed_with_every_plan() -> None:
    old = job(id="z", digest=CHANGED, born=99)
    for other, plan in (
        (job(id="a"), Plan.ADOPT),
        (job("PROCESSING", "START", id="a"), Plan.ADOPT),
        (job("DONE", "START", id="a"), Plan.ADOPT),
        (job("PROCESSING", "CANCEL", id="a"), Plan.AWAIT_END),
        (job("FAILED", "START", id="a"), Plan.CREATE),
    ):
        decision = choose([other, old], NOW)
        assert (decision.plan, decision.remove) == (plan, (old,))


def test_a_started_one_is_never_removed() -> None:
    jobs = [job("PROCESSING", "START", id="a"), job("CREATED", "START", id="b", born=1), job("DONE", "START", id="c")]
    for order in itertools.permutations(jobs):
        assert choose(order, NOW).remove == ()


# An old copy of the task, which outlives a clear

OLD = Mark(WHO, 0, SAME)


@pytest.mark.parametrize("digest", [SAME, CHANGED])
@pytest.mark.parametrize("state", [*RUNNING, *WELL])
def test_an_old_copy_goes_on_with_what_a_later_try_has_started(state: tuple[str, str], digest: str) -> None:
    later = job(*state, digest=digest, round=3)
    assert choose([later], OLD).request is later


def test_an_old_copy_leaves_its_own_request_for_that_of_a_later_try() -> None:
    mine, theirs = job(id="a", round=0), job(id="b", round=3, digest=CHANGED, born=9)
    decision = choose([mine, theirs], OLD)
    assert (decision.plan, decision.request, decision.remove) == (Plan.ADOPT, theirs, (mine,))


def test_an_old_copy_and_a_later_try_of_the_same_job_agree() -> None:
    mine, theirs = job(id="a", round=0), job(id="b", round=3, born=9)
    assert choose([mine, theirs], OLD).request is choose([mine, theirs], NOW).request is mine


def test_an_old_copy_takes_what_the_later_try_takes() -> None:
    """The later try goes back to a job of two rounds ago: the request of then is the oldest of that job."""
    jobs = [job(id="a", round=0, digest=CHANGED), job(id="b", round=1), job(id="c", round=3, digest=CHANGED, born=9)]
    later = choose(jobs, Mark(WHO, 3, CHANGED))
    old = choose(jobs, Mark(WHO, 1, SAME))
    assert later.request is old.request is jobs[0]
    assert later.remove == old.remove == (jobs[2], jobs[1])


THIRD = "cccccccc"


@pytest.mark.parametrize("tries", [True, False], ids=["tries", "rounds"])
def test_of_two_later_jobs_an_old_copy_takes_that_of_the_last_try(tries: bool) -> None:
    """Also if the last try has only taken it over, which a note says."""

    def of(number: int, id: str, digest: str, **more: Any) -> Snapshot:
        return job(id=id, digest=digest, round=number, tried=number if tries else None, born=number, **more)

    old = Mark(WHO, 1, SAME, tried=1 if tries else None)
    first, second = of(3, "a", CHANGED), of(4, "b", THIRD)
    assert choose([first, second], old).request is second
    note = of(5, "c", CHANGED, adopts="a")
    assert choose([first, second, note], old).request is first


def test_of_two_jobs_of_one_later_round_an_old_copy_takes_that_of_the_last_try() -> None:
    first, second = (
        job(id=id, digest=digest, round=4, tried=number, born=number)
        for number, id, digest in ((5, "a", CHANGED), (6, "b", THIRD))
    )
    assert choose([first, second], Mark(WHO, 1, SAME, tried=1)).request is second


@pytest.mark.parametrize("digests", list(itertools.permutations((SAME, CHANGED, THIRD))))
def test_of_the_unstarted_requests_of_later_tries_an_old_copy_takes_that_of_the_last(digests: tuple[str, ...]) -> None:
    """Also if the job of the last try is that of the old copy, and whichever was created last.

    It removes what the last try removes: a copy of a try between them may start that.
    """
    old = Mark(WHO, 1, SAME, tried=1)
    for created in itertools.permutations((1, 2, 3)):
        jobs = [
            job(id=f"of try {number}", digest=digest, round=number, tried=number, born=at)
            for number, digest, at in zip((2, 3, 4), digests, created, strict=True)
        ]
        decision = choose(jobs, old)
        assert (decision.plan, decision.request) == (Plan.ADOPT, jobs[-1])
        assert decision == replace(choose(jobs, Mark(WHO, 4, digests[-1], tried=4)), why=decision.why)


def test_an_old_copy_that_starts_nothing_removes_nothing_of_a_later_try() -> None:
    running, theirs = job("PROCESSING", "START", id="a", round=0), job(id="b", round=3, digest=CHANGED, born=9)
    decision = choose([running, theirs], OLD)
    assert (decision.request, decision.remove) == (running, ())


# How far back the list is read


def test_a_job_of_a_deleted_run_with_the_same_numbers_ends_the_search_only_until_another_request_tells_it() -> None:
    """A request of the same try, with the start of this run, shows that the job is of another run."""
    now = Mark(WHO, 8, SAME, tried=7, clears=4, born=200)
    numbers = {"round": 8, "tried": 6, "clears": 4}
    deleted = job("PROCESSING", "START", id="a", born=5, born_at=100, **numbers)
    told = job(id="b", born=9, adopts="c", born_at=200, **numbers)
    assert searched_to([deleted], now) == BORN + timedelta(seconds=5) - BEFORE_LAST
    assert searched_to([told, deleted], now) is None
    assert searched_to([deleted, told], now) is None


# Notes: what a later round has taken over


@pytest.mark.parametrize("state", WELL)
def test_a_request_that_this_round_took_over_is_not_made_again(state: tuple[str, str]) -> None:
    taken = job(*state, round=0)
    assert choose([taken], NOW).plan is Plan.CREATE
    note = job(id="2", round=3, adopts="1", born=9)
    decision = choose([taken, note], NOW)
    assert (decision.plan, decision.request) == (Plan.ADOPT, taken)
    assert choose([taken, note], Mark(WHO, 6, SAME)).plan is Plan.CREATE


def test_a_note_is_never_taken_nor_removed() -> None:
    note = job(round=3, adopts="7", id="2")
    decision = choose([note], NOW)
    assert (decision.plan, decision.remove) == (Plan.CREATE, ())
    changed = job(round=3, adopts="7", id="3", digest=CHANGED)
    assert choose([note, changed], NOW).remove == ()


def test_the_latest_of_several_notes_counts() -> None:
    taken = job("DONE", "START", round=0)
    notes = [job(id="2", round=3, adopts="1", born=9), job(id="3", round=1, adopts="1", born=12)]
    for order in itertools.permutations([taken, *notes]):
        assert choose(order, NOW).request is taken


def test_a_note_renews_what_the_job_may_cost() -> None:
    """A person has stopped it: it had passed the limit of before, but not that of the round that took it over."""
    taken = job("STOPPED", "STOP", round=0, limit=100.0, generation="v2", cost=150.0, reason="USER_ACTION")
    assert choose([taken], NOW, Stopped(300.0)).plan is Plan.CONTINUE
    note = job(id="2", round=3, adopts="1", limit=200.0, born=9)
    assert choose([taken, note], NOW, Stopped(300.0)).plan is Plan.ADOPT


def test_the_last_note_of_a_round_says_what_the_job_may_cost() -> None:
    """Also where the request is of this round: a note is made only after its description could not be changed."""
    stopped: dict[str, Any] = {"generation": "v2", "cost": 150.0, "reason": "USER_ACTION", "limit": 100.0}
    notes = [job(id=str(2 + n), round=3, adopts="1", limit=limit, born=9 + n) for n, limit in enumerate((100.0, 200.0))]
    for round in (0, 3):
        taken = job("STOPPED", "STOP", round=round, **stopped)
        assert choose([taken, notes[0]], NOW, Stopped(300.0)).plan is Plan.CONTINUE
        assert choose([taken, *notes], NOW, Stopped(300.0)).plan is Plan.ADOPT


def test_a_note_does_not_undo_what_a_later_try_has_written_into_the_request() -> None:
    stopped: dict[str, Any] = {"generation": "v2", "cost": 150.0, "reason": "USER_ACTION"}
    taken = job("STOPPED", "STOP", tried=6, limit=100.0, **stopped)
    note = job(id="2", adopts="1", tried=5, limit=200.0, born=9)
    assert choose([taken, note], replace(NOW, tried=7), Stopped(300.0)).plan is Plan.CONTINUE


# Requests that continue others (v2's restart)


def test_a_request_that_another_continues_is_done_with() -> None:
    first, second = job("DONE", "START", id="1"), job("PROCESSING", "START", id="2", continues="1", born=9)
    assert choose([first, second], NOW).request is second
    ended = job("DONE", "START", id="2", continues="1", born=9)
    assert choose([first, ended], NOW).request is ended


def test_a_try_that_continues_one_looks_for_its_like_only() -> None:
    first = job("DONE", "START", id="1")
    continuing = Mark(WHO, 3, SAME, restarts=1, continues="1" * 36)
    assert choose([first], continuing).plan is Plan.CREATE
    second = job(id="2", continues="1", born=9)
    assert choose([first, second], continuing).request is second
    third = job(id="3", continues="2", born=12)
    assert choose([first, second, third], continuing).request is second
