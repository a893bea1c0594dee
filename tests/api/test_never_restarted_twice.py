"""Never pay twice for a failed part: random interleavings of tries that restart it (v1, the one that can restart).

Two tasks do that: a single step, once for all its tries until a user clears it, and the whole job, as often as it may.
Unlike a start, the service takes a restart again once the last one has ended PARTIAL, so that looking is all there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.marker import Mark, identity, mark_of, marked, restart_word
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.results import TileResults
from airflow_sentinelhub.api.flows.job_life import JobPlan
from airflow_sentinelhub.api.flows.restart import STALE_PARTIAL, restart_once
from airflow_sentinelhub.api.flows.run_job import answered, run_job
from airflow_sentinelhub.api.flows.task_request import Wanted
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.api.snapshot import Snapshot
from tests.api.exploring import FEW, MANY, WHICH, Copies, Copy, explore
from tests.api.fake_service import STEP, FakeService, Job, State

MAKER = Mark(identity("production", "dag", "run", "create", -1), 0, "aaaaaaaa")
WHO = identity("production", "dag", "run", "restart", -1)


def partial(service: FakeService) -> Job:
    """A request that has ended PARTIAL, and will again."""
    service.outcome = "PARTIAL"
    service._create({"description": marked("max NDVI", MAKER)})
    job = list(service.jobs.values())[-1]
    service._start(job)
    service.now += 300
    return job


def restarts_of(job: Snapshot) -> int:
    mark = mark_of(job.description)
    return mark.restarts if mark else 0


def brought(api: Any, job: Snapshot, must: bool) -> Flow[TileResults]:
    """Nine tiles, one of which has failed where the request is PARTIAL."""
    yield from nothing()
    failed = int(job.status.value == "PARTIAL")
    return TileResults(job, 9, 9 - failed, failed, ("31UFS_0",) * failed, 9.0, True, restarts_of(job))


def nothing() -> Flow[None]:
    yield from ()


def waited(number: str, stale_partial: float = STALE_PARTIAL) -> Flow[Snapshot]:
    """What becomes of the request; after a restart it may say PARTIAL for a while yet."""
    end = yield from wait(V1, number, "DONE", WaitPlan(stale_partial=stale_partial))
    assert end.job is not None
    return end.job


class Restarts(Copies):
    """A request that is PARTIAL, and the tries of a task that restarts its failed part."""

    job: Job
    twins = True
    asked: int
    """Calls of a try up to the restart."""
    _try: Callable[[Copy], Flow[Any]]
    """What a try does, which each task says for itself."""

    @initialize(
        repeated=st.sampled_from((204, 400)),
        shows_after=st.sampled_from((STEP, 200.0)),
        patience=st.sampled_from((0.0, 1800.0)),
        twins=st.booleans(),
    )
    def begin(self, repeated: int, shows_after: float, patience: float, twins: bool) -> None:
        self.service.repeated_start, self.service.restart_shows_after = repeated, shows_after
        self.patience, self.twins = patience, twins
        self.begin_run()

    def begin_run(self) -> None:
        self.copies, self.round = [], 0
        self.job = partial(self.service)
        self.spawn()

    def spawn(self) -> None:
        copy = Copy(self.round, request=self.job.id)
        self.begin_copy(copy, self._try(copy))

    @property
    def state(self) -> State:
        state = self.job.at(self.service.now)
        assert state is not None
        return state

    @property
    def to_be_restarted(self) -> bool:
        return self.state.status == "PARTIAL" and self.state.final

    def restarted(self, round: int | None = None) -> int:
        return sum(copy.effects.count("restarted") for copy in self.copies if round in (None, copy.round))

    @precondition(lambda self: self.twins and len(self.living) < 3)
    @rule()
    def a_twin(self) -> None:
        self.spawn()

    @precondition(lambda self: self.tries)
    @rule(which=WHICH)
    def a_crash_and_a_retry(self, which: int) -> None:
        self.tries[which % len(self.tries)].kill()
        self.spawn()

    @precondition(lambda self: self.to_be_restarted)
    @rule()
    def it_becomes_whole_by_itself(self) -> None:
        """Seen: PARTIAL turned into DONE between two polls."""
        self.job.states.append(State(self.service.now, "DONE", "START"))

    @precondition(lambda self: not self.living and self.state.status != "PARTIAL")
    @rule()
    def the_next_run(self) -> None:
        self.begin_run()

    def all_crash(self) -> None:
        """Only what ends the request goes on to its end."""
        for copy in self.tries:
            copy.kill()
        for copy in self.living:
            self._finish(copy)
        self.what_was_ended_has_ended()


class SingleStep(Restarts):
    """`SentinelHubRestartBatchOperator`: one restart for all tries of a round."""

    asked = 4

    def _try(self, copy: Copy) -> Flow[None]:
        number = self.job.id
        yield from restart_once(V1, number, restart_word(Mark(WHO, copy.round, "")), patience=self.patience)
        yield from waited(number)
        copy.request = None

    @rule()
    def a_clear(self) -> None:
        """A user wants it restarted once more.

        Old copies do not outlive that here: one that writes its note in the same moment as the new try may drop the new
        one's, because the service cannot compare and set a description.
        """
        for copy in self.tries:
            copy.kill()
        self.round += 1
        self.spawn()

    @invariant()
    def once_in_each_round(self) -> None:
        for round in range(self.round + 1):
            assert self.restarted(round) <= 1, f"round {round}"

    def teardown(self) -> None:
        """When all is quiet again, a clear has it restarted if there is something to restart."""
        self.all_crash()
        expected = int(self.to_be_restarted)
        self.a_clear()
        self._finish(self.copies[-1])
        assert self.restarted(self.round) == expected
        assert self.state.final
        self.once_in_each_round()


class WholeJob(Restarts):
    """`SentinelHubBatchOperator` with `max_restarts`, from the end of the first run on."""

    asked = 5

    @property
    def most(self) -> int:
        """Twins get one restart: one that is held up within the call that writes its note may write an old count."""
        return 1 if self.twins else 2

    def _try(self, copy: Copy) -> Flow[Any]:
        """The whole life of a job, as the operator of the whole job runs it."""
        number = self.job.id
        plan = JobPlan(
            policy=Policy(max_restarts=self.most, on_partial="accept"),
            read_results=brought,
            request_id=number,
            wait=WaitPlan(known=True),
        )
        wanted = Wanted(
            render=lambda api: {}, checks=lambda api, payload: nothing(), mark=MAKER, patience=self.patience
        )
        life = run_job(V1, wanted, plan)
        result = yield from answered(life, lambda asked: wait(V1, asked.request_id, asked.target, asked.plan))
        copy.request = None
        return result

    @invariant()
    def so_often_and_no_more(self) -> None:
        assert self.restarted() <= self.most

    def teardown(self) -> None:
        """When all is quiet again, one more try ends with nothing at work, and nothing left that it may restart."""
        self.all_crash()
        expected = self.to_be_restarted and self.job.mark(self.service.now).restarts < self.most
        self.spawn()
        last = self.copies[-1]
        self._finish(last)
        assert "restarted" in last.effects or not expected
        assert last.error is None or self.state.status in ("FAILED", "CANCELED"), last.error
        assert self.state.final
        if self.state.status == "PARTIAL":
            assert self.job.mark(self.service.now).restarts == self.most
        self.so_often_and_no_more()


MACHINES = pytest.mark.parametrize("machine", [SingleStep, WholeJob])


@MACHINES
@pytest.mark.thorough
def test_no_restart_too_many_whatever_the_order(machine: type[Restarts]) -> None:
    """The same orders every time, so that nobody is stopped by luck; the one below looks for new ones."""
    explore(machine, FEW, fixed=True)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@MACHINES
def test_no_restart_too_many_in_orders_never_tried(machine: type[Restarts]) -> None:
    explore(machine, MANY, fixed=False)


# Orders in which it was once restarted too often, or ran on


def begun(machine: type[Restarts], *, twins: bool = True) -> Any:
    task = machine()
    task.begin(repeated=400, shows_after=STEP, patience=0.0, twins=twins)
    return task


def test_the_restart_of_an_earlier_try_ends_between_two_looks() -> None:
    task = begun(SingleStep)
    task.some_calls(which=0, calls=task.asked)
    task.the_world("a minute")
    task.a_crash_and_a_retry(which=0)
    task.some_calls(which=0, calls=1)
    assert task.state.status == "PROCESSING"
    task.the_world("the end")
    task.the_rest_of_a_try(which=0)
    assert task.restarted() == 1


@MACHINES
@pytest.mark.parametrize("calls", range(1, 6))
def test_a_twin_is_held_up_for_as_long_as_a_restart_takes(machine: type[Restarts], calls: int) -> None:
    task = begun(machine)
    task.some_calls(which=0, calls=task.asked - 3)
    task.a_twin()
    task.one_is_held_up(which=1, calls=calls)
    assert task.restarted() == 1


@MACHINES
def test_a_twin_is_asked_to_slow_down_for_as_long_as_a_restart_takes(machine: type[Restarts]) -> None:
    task = begun(machine)
    task.some_calls(which=0, calls=task.asked - 3)
    task.a_twin()
    task.one_is_held_up(which=1, calls=task.asked, fault="429")
    assert task.restarted() == 1


def test_a_clear_just_after_a_restart_that_does_not_show_yet() -> None:
    """Cannot be noted while the request is at work; it was once restarted without, and then once more."""
    task = begun(SingleStep)
    task.some_calls(which=0, calls=task.asked)
    task.a_clear()
    task.a_twin()
    task.one_is_held_up(which=0, calls=3, fault="503_after")
    task.spawn()
    task.the_rest_of_a_try(which=0)
    assert task.restarted(task.round) <= 1
    task.teardown()


def test_a_count_of_long_ago_is_not_written() -> None:
    task = begun(WholeJob, twins=False)
    task.spawn()
    task.one_is_held_up(which=0, calls=task.asked - 3)
    assert task.restarted() == 2


def test_restarts_are_counted_in_a_request_that_no_task_has_made() -> None:
    task = begun(WholeJob)
    task.job.words = [(task.job.created, "max NDVI")]
    task.the_rest_of_a_try(which=0)
    assert (task.restarted(), task.living) == (1, [])


@MACHINES
@pytest.mark.parametrize("lag", [0.0, 30.0])
def test_what_says_partial_just_after_its_restart_is_ended_all_the_same(machine: type[Restarts], lag: float) -> None:
    task = begun(machine)
    task.some_calls(which=0, calls=task.asked)
    task.a_users_hand(arrives=False, which=0)
    task.the_rest_of_a_try(which=0, lag=lag)
    task.what_was_ended_has_ended()
    assert task.state.status == "CANCELED"
