"""The state machines, without a socket: what an action does, and what the clock then brings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sentinelhub.simulator import lifecycle
from airflow_sentinelhub.simulator.jobs import FINAL, Analysis, Generation, Job, Step, job_from_json
from airflow_sentinelhub.simulator.ledger import FAILED, PENDING, PROCESSED, PROCESSING, SCHEDULED, ledger
from airflow_sentinelhub.simulator.lifecycle import Accepted, Mishaps, Refused, Terms
from airflow_sentinelhub.simulator.settings import Settings

SETTINGS = Settings()
FOUND = Analysis(error=None, tiles=20, tile_estimate=30.0, factor=1 / 3)


def job(generation: Generation = "v1") -> Job:
    return Job("a-b-c", 1, generation, 0.0, {}, 18, (Step(0.0, "CREATED"),))


def terms(
    now: float,
    *,
    changes: Settings = SETTINGS,
    found: Analysis = FOUND,
    failing: tuple[int, ...] = (),
    stuck: tuple[tuple[int, int], ...] = (),
    pu: float = 1e9,
) -> Terms:
    return Terms(now, changes, 0, pu, lambda: found, lambda size, tiles: Mishaps(failing, stuck))


def accepted(outcome: lifecycle.Outcome, effect: str | None) -> Job:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.effect == effect
    return outcome.job


def refused(outcome: lifecycle.Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.message


def course(request: Job) -> list[str]:
    return [step.status for step in request.plan]


def started(now: float = 0.0, generation: Generation = "v1", **options: object) -> Job:
    return accepted(lifecycle.start(job(generation), terms(now, **options)), "billed_start")  # type: ignore[arg-type]


class TestAnalysis:
    def test_the_action_moves_at_once_and_the_status_later(self) -> None:
        analysed = accepted(lifecycle.analyse(job(), terms(100.0)), "analysis_started")
        assert (analysed.action(100.0).name, analysed.status(100.0)) == ("ANALYSE", "CREATED")
        assert analysed.action(99.9).name == "NONE"
        assert analysed.status(105.0) == "ANALYSING"
        assert not analysed.is_analysed(125.1)
        # 20 s, and a little for 20 tiles.
        assert analysed.status(125.2) == "ANALYSIS_DONE"
        assert analysed.is_analysed(125.2)
        assert analysed.status(1e9) == "ANALYSIS_DONE", "nobody starts it, so it waits for ever"

    def test_errors_come_out_at_its_end(self) -> None:
        found = replace(FOUND, error="Requested band 'HH' is not present in Sentinel 1 tile")
        analysed = accepted(lifecycle.analyse(job(), terms(0.0, found=found)), "analysis_started")
        assert analysed.step(25.0).status == "ANALYSING"
        assert analysed.step(26.0) == Step(25.2, "FAILED", error=found.error)

    def test_asking_again_changes_nothing(self) -> None:
        analysed = accepted(lifecycle.analyse(job(), terms(0.0)), "analysis_started")
        for now in (1.0, 10.0):
            assert accepted(lifecycle.analyse(analysed, terms(now)), None) is analysed

    @pytest.mark.parametrize("generation", ["v1", "v2"])
    def test_it_is_refused_afterwards(self, generation: Generation) -> None:
        analysed = accepted(lifecycle.analyse(job(generation), terms(0.0)), "analysis_started")
        assert refused(lifecycle.analyse(analysed, terms(60.0))) == (
            "Illegal to change userAction from ANALYSE to ANALYSE with task status ANALYSIS_DONE"
        )

    def test_v2_ends_in_done_when_every_output_exists(self) -> None:
        found = replace(FOUND, existing=tuple(range(20)))
        analysed = accepted(lifecycle.analyse(job("v2"), terms(0.0, found=found)), "analysis_started")
        assert course(analysed) == ["CREATED", "ANALYSING", "DONE"]
        assert accepted(lifecycle.analyse(job("v1"), terms(0.0, found=found)), "analysis_started").status(60) != "DONE"
        oddity = terms(0.0, changes=replace(SETTINGS, done_out_of_analysis=True))
        assert course(accepted(lifecycle.analyse(job("v2"), oddity), "analysis_started"))[-1] == "DONE"


class TestStart:
    @pytest.mark.parametrize("generation", ["v1", "v2"])
    def test_from_created_analysis_comes_first(self, generation: Generation) -> None:
        running = started(0.0, generation)
        assert course(running) == ["CREATED", "ANALYSING", "ANALYSIS_DONE", "PROCESSING", "DONE"]
        assert (running.status(0.0), running.action(0.0).name) == ("CREATED", "START")

    def test_from_analysis_done(self) -> None:
        analysed = accepted(lifecycle.analyse(job(), terms(0.0)), "analysis_started")
        running = accepted(lifecycle.start(analysed, terms(1000.0)), "billed_start")
        assert (running.status(1000.0), running.action(1000.0).name) == ("ANALYSIS_DONE", "START")
        assert running.status(1005.0) == "PROCESSING"

    @pytest.mark.parametrize("now", [2.0, 10.0])
    def test_while_analysis_is_pending_or_running(self, now: float) -> None:
        analysed = accepted(lifecycle.analyse(job("v2"), terms(0.0)), "analysis_started")
        running = accepted(lifecycle.start(analysed, terms(now)), "billed_start")
        assert course(running) == ["CREATED", "ANALYSING", "ANALYSIS_DONE", "PROCESSING", "DONE"]
        assert running.analysed == analysed.analysed

    @pytest.mark.parametrize("now", [1.0, 10.0, 27.0, 60.0])
    def test_a_second_start_is_taken_and_not_billed(self, now: float) -> None:
        running = started()
        assert accepted(lifecycle.start(running, terms(now)), None) is running
        assert running.billed_starts == (0.0,)

    def test_analysis_may_fail_on_the_way(self) -> None:
        running = started(found=replace(FOUND, error="Invalid DEM instance"))
        assert course(running) == ["CREATED", "ANALYSING", "FAILED"]
        assert running.planned_pu == 0

    def test_finished_requests_are_not_started(self) -> None:
        assert refused(lifecycle.start(started(), terms(1e6))) == (
            "Illegal to change userAction from START to START with task status DONE"
        )

    def test_the_request_stays_processing_after_its_last_tile(self) -> None:
        running = started()
        book = ledger(running, 0)
        last = book.times[0].end
        assert book.count(PROCESSED, last) == 20
        assert running.status(last) == running.status(last + 9.9) == "PROCESSING"
        assert running.status(last + 10) == "DONE"

    def test_about_130_tiles_take_about_ten_minutes(self) -> None:
        running = started(found=replace(FOUND, tiles=130))
        assert 500 < running.plan[-1].at < 700


class TestOutcome:
    def test_v1_some_tiles_failed(self) -> None:
        step = started(failing=(3, 7)).plan[-1]
        assert (step.status, step.error) == ("PARTIAL", "Too many failed tiles")

    def test_v1_all_tiles_failed(self) -> None:
        assert started(failing=tuple(range(20))).plan[-1].status == "FAILED"

    def test_v2_is_done_whatever_failed(self) -> None:
        assert started(generation="v2", failing=(3, 7)).plan[-1] == replace(
            started(generation="v2", failing=(3, 7)).plan[-1], status="DONE", error=None
        )

    def test_partial_may_heal_by_itself(self) -> None:
        oddity = replace(SETTINGS, partial_heals_after=60.0)
        healing = started(failing=(3,), changes=oddity)
        assert course(healing)[-2:] == ["PARTIAL", "DONE"]
        book = ledger(healing, 0)
        partial, done = healing.plan[-2].at, healing.plan[-1].at
        assert done - partial == 60
        assert book.count(FAILED, partial) == 1
        assert book.count(PROCESSED, done) == 20
        # Then it is too late to restart it.
        assert refused(lifecycle.restart_partial(healing, terms(done))) == lifecycle.ONLY_PARTIAL
        # And before, a restart takes its place.
        again = accepted(lifecycle.restart_partial(healing, terms(partial + 1, failing=(3,))), "restarted")
        assert course(again)[-3:] == ["PARTIAL", "PROCESSING", "PARTIAL"]

    def test_cost_is_a_third_of_the_estimate_and_at_least_100_pu(self) -> None:
        running = started()
        end = running.plan[-1].at
        # 20 tiles of 30 PU, before the discount, give or take a tenth.
        assert lifecycle.spent(running, ledger(running, 0), end, SETTINGS) == pytest.approx(200, rel=0.1)
        small = started(found=replace(FOUND, tile_estimate=0.1))
        assert lifecycle.spent(small, ledger(small, 0), end, SETTINGS) == 100
        assert small.planned_pu == 100
        failed = started(failing=tuple(range(20)))
        assert lifecycle.spent(failed, ledger(failed, 0), end, SETTINGS) == 0

    def test_cost_grows_while_processing(self) -> None:
        running = started(generation="v2")
        book = ledger(running, 0)
        costs = [lifecycle.spent(running, book, at, SETTINGS) for at in range(0, 200, 5)]
        assert costs == sorted(costs)
        assert len(set(costs)) > 3
        assert costs[0] == 0

    def test_existing_outputs_cost_nothing_and_take_no_time(self) -> None:
        running = started(found=replace(FOUND, existing=tuple(range(10))))
        whole = started()
        assert running.planned_pu == pytest.approx(whole.planned_pu / 2, rel=0.2)
        assert running.plan[-1].at < whole.plan[-1].at


class TestRestart:
    def test_failed_tiles_are_processed_again(self) -> None:
        partial = started(failing=(3, 7))
        end = partial.plan[-1].at
        again = accepted(lifecycle.restart_partial(partial, terms(end + 100)), "restarted")
        # The status does not show it at once.
        assert again.status(end + 104) == "PARTIAL"
        book = ledger(again, 0)
        assert book.count(FAILED, end + 104) == 2
        assert again.status(end + 105) == "PROCESSING"
        codes = book.codes(end + 105)
        assert {codes[3], codes[7]} == {PENDING, SCHEDULED} or {codes[3], codes[7]} == {SCHEDULED}
        assert book.count(PROCESSED, end + 105) == 18
        assert again.plan[-1].status == "DONE"
        assert again.restarts == (end + 100,)
        assert again.billed_starts == (0.0,)
        assert again.planned_pu > partial.planned_pu

    def test_asking_again_while_the_status_still_says_partial(self) -> None:
        partial = started(failing=(3, 7))
        now = partial.plan[-1].at + 1
        again = accepted(lifecycle.restart_partial(partial, terms(now)), "restarted")
        assert accepted(lifecycle.restart_partial(again, terms(now + 1)), None) is again

    def test_partial_again(self) -> None:
        partial = started(failing=(3, 7))
        again = accepted(lifecycle.restart_partial(partial, terms(partial.plan[-1].at, failing=(7,))), "restarted")
        assert again.plan[-1].status == "PARTIAL"
        assert ledger(again, 0).codes(1e6).tolist().count(FAILED) == 1

    @pytest.mark.parametrize("now", [0.0, 10.0, 26.0, 60.0, 1e6])
    def test_only_partial_requests(self, now: float) -> None:
        assert refused(lifecycle.restart_partial(started(), terms(now))) == lifecycle.ONLY_PARTIAL


class TestCancel:
    def test_created(self) -> None:
        ended = accepted(lifecycle.end(job(), terms(10.0)), "cancelled")
        assert (ended.status(10.0), ended.action(10.0).name) == ("CREATED", "CANCEL")
        assert ended.status(15.0) == "CANCELED"

    def test_a_running_analysis_completes_first(self) -> None:
        analysed = accepted(lifecycle.analyse(job(), terms(0.0)), "analysis_started")
        ended = accepted(lifecycle.end(analysed, terms(10.0)), "cancelled")
        assert ended.plan[1:] == (Step(5.0, "ANALYSING"), Step(25.2, "ANALYSIS_DONE"), Step(30.2, "CANCELED"))

    def test_during_the_analysis_of_a_started_request_nothing_is_processed(self) -> None:
        ended = accepted(lifecycle.end(started(), terms(10.0)), "cancelled")
        assert "PROCESSING" not in course(ended)
        assert ledger(ended, 0).count(PENDING, 1e6) == 20
        assert ended.planned_pu == 0

    def test_during_an_analysis_that_fails(self) -> None:
        found = replace(FOUND, error="Invalid DEM instance")
        analysed = accepted(lifecycle.analyse(job(), terms(0.0, found=found)), "analysis_started")
        ended = accepted(lifecycle.end(analysed, terms(10.0)), None)
        assert course(ended) == ["CREATED", "ANALYSING", "FAILED"]

    @pytest.mark.parametrize("generation", ["v1", "v2"])
    def test_while_processing_running_tiles_finish_and_are_charged(self, generation: Generation) -> None:
        running = started(0.0, generation)
        now = running.plan[3].at + 45
        ended = accepted(lifecycle.end(running, terms(now)), "cancelled" if generation == "v1" else "stopped")
        assert ended.status(now) == "PROCESSING"
        final = ended.step(now + 5)
        assert (final.status, final.reason) == (
            ("CANCELED", None) if generation == "v1" else ("STOPPED", "USER_ACTION")
        )
        book = ledger(ended, 0)
        assert book.count(PROCESSING, now + 5) > 0
        assert book.count(PENDING, 1e6) > 0
        assert book.count(PROCESSED, 1e6) + book.count(PENDING, 1e6) == 20
        assert ended.planned_pu < running.planned_pu
        assert ended.planned_pu == lifecycle.spent(ended, book, 1e6, SETTINGS)

    def test_too_late(self) -> None:
        running = started()
        end = running.plan[-1].at
        late = accepted(lifecycle.end(running, terms(end - 1)), None)
        assert late.status(1e6) == "DONE"
        assert late.action(1e6).name == "CANCEL"
        assert accepted(lifecycle.end(running, terms(end)), None) is running

    def test_twice(self) -> None:
        ended = accepted(lifecycle.end(started(), terms(60.0)), "cancelled")
        assert accepted(lifecycle.end(ended, terms(61.0)), None) is ended

    def test_a_restart_that_has_not_begun_yet(self) -> None:
        partial = started(failing=(3,))
        now = partial.plan[-1].at + 1
        again = accepted(lifecycle.restart_partial(partial, terms(now)), "restarted")
        ended = accepted(lifecycle.end(again, terms(now + 1)), "cancelled")
        assert ended.plan[-1].status == "CANCELED"


class TestStop:
    def test_v2_refuses_it_while_created(self) -> None:
        message = "Illegal to change userAction from {} to STOP with task status CREATED"
        assert refused(lifecycle.end(started(0.0, "v2"), terms(1.0))) == message.format("START")
        assert refused(lifecycle.end(job("v2"), terms(1.0))) == message.format("NONE")

    def test_v2_refuses_it_at_the_end(self) -> None:
        assert "with task status DONE" in refused(lifecycle.end(started(0.0, "v2"), terms(1e6)))

    def test_a_stopped_task_starts_again_after_half_an_hour(self) -> None:
        running = started(0.0, "v2")
        ended = accepted(lifecycle.end(running, terms(60.0)), "stopped")
        done = ledger(ended, 0).count(PROCESSED, 1e6)
        assert 0 < done < 20
        stopped_at = ended.plan[-1].at
        assert refused(lifecycle.start(ended, terms(stopped_at + 1799))) == (
            "Illegal to change userAction from STOP to START with task status STOPPED"
        )
        again = accepted(lifecycle.start(ended, terms(stopped_at + 1800)), "billed_start")
        assert course(again)[-4:] == ["STOPPED", "ANALYSIS_DONE", "PROCESSING", "DONE"]
        book = ledger(again, 0)
        assert int(book.times[-1].takes_part.sum()) == 20 - done
        assert book.count(PROCESSED, 1e6) == 20
        assert again.planned_pu == pytest.approx(running.planned_pu)
        # Not billed a second time while the status still says STOPPED.
        assert accepted(lifecycle.start(again, terms(stopped_at + 1801)), None) is again

    def test_stopped_when_the_processing_units_run_out(self) -> None:
        slow = replace(SETTINGS, concurrency=2)
        dry = started(0.0, "v2", pu=120.0, changes=slow)
        last = dry.plan[-1]
        assert (last.status, last.reason, dry.action(1e6).name) == ("STOPPED", "OUT_OF_PU", "START")
        # What runs at that moment is finished and charged.
        assert 120 < dry.planned_pu < 120 + 3 * 11
        assert "STOPPED" in refused(lifecycle.start(dry, terms(last.at + 3599)))
        assert accepted(lifecycle.start(dry, terms(last.at + 3600)), "billed_start").plan[-1].status == "DONE"

    def test_tiles_that_have_failed_before_are_not_paid(self) -> None:
        slow = replace(SETTINGS, concurrency=2)
        running = started(0.0, "v2", changes=slow, failing=(0, 1, 2, 3))
        ended = accepted(lifecycle.end(running, terms(250.0)), "stopped")
        book, at = ledger(ended, 0), ended.plan[-1].at + 1800
        assert book.count(FAILED, at) == 4
        assert book.count(PENDING, at) > 4
        paid = float(book.costs[4:].sum()) * FOUND.factor - ended.planned_pu
        enough = accepted(lifecycle.start(ended, terms(at, pu=paid + 0.1)), "billed_start")
        assert enough.plan[-1].status == "DONE"
        assert ledger(enough, 0).count(PROCESSED, 1e6) == 20 - 4
        short = accepted(lifecycle.start(ended, terms(at, pu=paid - 0.1)), "billed_start")
        assert (short.plan[-1].status, short.plan[-1].reason) == ("STOPPED", "OUT_OF_PU")

    def test_unhealthy(self) -> None:
        sick = lifecycle.forced(started(0.0, "v2"), "STOPPED", "UNHEALTHY", None, terms(100.0))
        assert sick.plan[-1] == Step(100.0, "STOPPED", reason="UNHEALTHY")
        assert accepted(lifecycle.start(sick, terms(101.0)), "billed_start").plan[-1].status == "DONE"


class TestTiles:
    def test_course_of_a_tile(self) -> None:
        running = started()
        book, begin = ledger(running, 0), running.runs[0].begin
        seen = [int(book.codes(begin + second)[0]) for second in range(120)]
        assert sorted(set(seen)) == [SCHEDULED, PROCESSING, PROCESSED]
        assert seen == sorted(seen)
        assert book.count(PENDING, begin) == 20 - running.runs[0].concurrency
        assert all(book.count(PROCESSING, begin + second) <= 10 for second in range(120))

    @pytest.mark.parametrize(("rounds", "last"), [(1, PROCESSED), (2, PROCESSED), (3, FAILED)])
    def test_stuck_tiles_go_back_to_pending_and_fail_the_third_time(self, rounds: int, last: int) -> None:
        running = started(stuck=((0, rounds),))
        book, begin = ledger(running, 0), running.runs[0].begin
        seen = [int(book.codes(begin + 10 + second)[0]) for second in range(700)]
        changes = [code for code, before in zip(seen, [None, *seen], strict=False) if code != before]
        back = [PROCESSING, PENDING] * min(rounds, 2)
        assert changes == [*back, PROCESSING, last]
        assert running.plan[-1].status == ("PARTIAL" if last == FAILED else "DONE")

    def test_a_page_is_what_the_whole_says(self) -> None:
        book = ledger(started(failing=(3,)), 0)
        for at in (0.0, 50.0, 90.0, 1e6):
            assert book.codes(at, slice(5, 9)).tolist() == book.codes(at).tolist()[5:9]

    def test_the_same_seed_gives_the_same_history(self) -> None:
        one, other = ledger(started(), 0), ledger(started(), 0)
        assert one.costs.tolist() == other.costs.tolist()
        assert one.times[0].finish.tolist() == other.times[0].finish.tolist()
        assert ledger(started(), 1).costs.tolist() != one.costs.tolist()


def test_looking_back_shows_what_was_true_then() -> None:
    ended = accepted(lifecycle.end(started(), terms(60.0)), "cancelled")
    assert [ended.action(at).name for at in (-1.0, 0.0, 59.0, 60.0)] == ["NONE", "START", "START", "CANCEL"]
    assert ended.status(-1.0) == "CREATED"
    assert not ended.exists(-1.0)


ACTIONS = {
    "analyse": lifecycle.analyse,
    "start": lifecycle.start,
    "end": lifecycle.end,
    "restart": lifecycle.restart_partial,
}


@settings(max_examples=150, deadline=None)
@given(
    generation=st.sampled_from(["v1", "v2"]),
    moves=st.lists(
        st.tuples(
            st.sampled_from(sorted(ACTIONS)),
            st.floats(min_value=0.0, max_value=400.0),
            st.sets(st.integers(min_value=0, max_value=19), max_size=3),
        ),
        max_size=12,
    ),
    balance=st.sampled_from([1e9, 150.0]),
)
@pytest.mark.thorough
def test_whatever_a_user_does(generation: Generation, moves: list[tuple[str, float, set[int]]], balance: float) -> None:
    """No order of actions breaks a request: times only grow, the past stays, nothing is paid twice."""
    request, now = job(generation), 0.0
    for name, wait, failing in moves:
        now += wait
        past = [request.step(at) for at in range(0, int(now), 20)]
        outcome = ACTIONS[name](request, terms(now, failing=tuple(sorted(failing)), pu=balance))
        if isinstance(outcome, Accepted):
            if outcome.effect is None:
                assert outcome.job.billed_starts == request.billed_starts
            request = outcome.job
        assert [request.step(at) for at in range(0, int(now), 20)] == past
    times = [step.at for step in request.plan]
    assert times == sorted(times)
    assert job_from_json(request.to_json()) == request
    end = request.plan[-1]
    asked = request.action(now).name
    assert end.status in FINAL or asked in ("NONE", "ANALYSE")
    if request.runs:
        book = ledger(request, 0)
        final = lifecycle.spent(request, book, end.at + 1e6, SETTINGS)
        assert final == pytest.approx(request.planned_pu)
        if end.status == "DONE" and generation == "v1":
            assert book.count(PROCESSED, end.at) == 20
    else:
        assert request.planned_pu == 0
