"""Never pay twice, whatever happens: random interleavings of copies of one task, with faults, crashes, retries, clears.

A *copy* is one process that runs a try of the task: find or create, analyse, start. It can be stopped between any two
steps for any time, and can die there. The service's reads lag by up to half a minute, replies get lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_sentinelhub.api.call import Flow, Now, Send, Sleep
from airflow_sentinelhub.api.flows import analyse_once, find_or_create, start_once
from airflow_sentinelhub.api.generations import generation
from airflow_sentinelhub.api.marker import Mark, identity
from airflow_sentinelhub.exceptions import SentinelHubError
from tests.api.fake_service import FAULTS, FINAL, FakeService

WHO = identity("production", "dag", "run", "task", -1)
PAYLOAD = {"description": "max NDVI", "processRequest": {}}
LAGS = st.sampled_from((0.0, 0.0, 3.0, 30.0))
WHICH = st.integers(0, 2)
SHRINK = "SENTINELHUB_NO_SHRINKING" not in os.environ
JOBS = ("aaaaaaaa", "bbbbbbbb")


@dataclass
class Copy:
    """A process that runs a try. `step` is what it is about to do; `over`: it has ended, by itself or not."""

    mark: Mark
    flow: Flow[str]
    step: Any = None
    over: bool = False
    error: SentinelHubError | None = None


class Tries(RuleBasedStateMachine):
    """One task instance, its tries and their twins, against one service."""

    api = "v1"

    def __init__(self) -> None:
        super().__init__()
        self.service = FakeService(self.api)
        self.round = 0
        self.job = JOBS[0]
        self.copies: list[Copy] = []
        self.remembered: dict[int, str] = {}
        self.taken: list[tuple[str, int, float]] = []
        self.checked = 0

    @initialize(repeated_start=st.sampled_from((204, 400)))
    def begin(self, repeated_start: int) -> None:
        self.service.repeated_start = repeated_start
        self.spawn()

    # Airflow

    @property
    def living(self) -> list[Copy]:
        return [copy for copy in self.copies if not copy.over]

    def spawn(self, *, remembers: bool = False) -> None:
        mark = Mark(WHO, self.round, self.job)
        memory = self.remembered.get(self.round) if remembers else None
        copy = Copy(mark, self._try(mark, memory))
        copy.step = next(copy.flow)
        self.copies.append(copy)

    @precondition(lambda self: len(self.living) < 3)
    @rule(remembers=st.booleans())
    def a_twin(self, remembers: bool) -> None:
        """Another copy of the same try, or a retry beside one that was given up for dead."""
        self.spawn(remembers=remembers)

    @precondition(lambda self: self.living)
    @rule(which=WHICH, remembers=st.booleans())
    def a_crash_and_a_retry(self, which: int, remembers: bool) -> None:
        self.living[which % len(self.living)].over = True
        self.spawn(remembers=remembers)

    @rule(survivors=st.booleans(), changed=st.booleans())
    def a_clear(self, survivors: bool, changed: bool) -> None:
        """A user clears the task, after changing the job or not; old copies may outlive that.

        On v2, which can neither delete nor end what was not analysed, an old copy that outlives a clear *with a changed
        job* between its look and its start cannot be kept from starting: that case is left out.
        """
        changed = changed and not (self.api == "v2" and survivors)
        if not survivors:
            for copy in self.copies:
                copy.over = True
        self.round += 1
        if changed:
            self.job = JOBS[self.job == JOBS[0]]
        self.spawn()

    # Time and the service

    @precondition(lambda self: self.living)
    @rule(which=WHICH, calls=st.integers(1, 8), fault=st.sampled_from(FAULTS), lag=LAGS)
    def a_fault(self, which: int, calls: int, fault: str, lag: float) -> None:
        """One copy gets some calls further; the last of them meets the fault."""
        self._advance(which, calls, fault, lag)

    @precondition(lambda self: self.living)
    @rule(which=WHICH, calls=st.integers(1, 12), lag=LAGS)
    def some_calls(self, which: int, calls: int, lag: float) -> None:
        self._advance(which, calls, None, lag)

    @precondition(lambda self: self.living)
    @rule(which=WHICH, lag=LAGS)
    def the_rest_of_a_try(self, which: int, lag: float) -> None:
        self._advance(which, 200, None, lag)

    @rule(what=st.sampled_from(("a moment", "a minute", "the end", "DONE", "PARTIAL", "FAILED", "a user ends it")))
    def the_world(self, what: str) -> None:
        """Time passes, jobs end well or not, a user ends what runs."""
        service = self.service
        if what in ("DONE", "PARTIAL", "FAILED"):
            service.outcome = "FAILED" if (what, self.api) == ("PARTIAL", "v2") else what
        elif what != "a user ends it":
            service.now += {"a moment": 3, "a minute": 60, "the end": 300}[what]
        else:
            for job in service.jobs.values():
                if job.running(service.now):
                    service._end(job, *(("CANCEL", "CANCELED") if self.api == "v1" else ("STOP", "STOPPED")))

    # What must hold

    @invariant()
    def never_two(self) -> None:
        """Each start was right at its moment: nothing else ran, and this round had not got what it wanted."""
        service = self.service
        for kind, number in service.effects[self.checked :]:
            if kind != "billed_start":
                continue
            job = service.jobs[number]
            at = job.billed[0]
            mark = job.mark(at)
            assert len(job.billed) == 1
            assert mark.adopts is None, "a note was started"
            for other in service.marked(WHO):
                state = other.at(at)
                if other is job or not other.billed or other.billed[0] >= at or state is None:
                    continue
                told = f"{number} of {mark} was started while {other.id} of {other.mark(at)} was {state}"
                assert not other.running(at), told
                # One whose job has changed may still be on its way to its end: it was told to, and bills no new tile.
                assert state.status in FINAL or other.mark(at).job != mark.job, told
                if state.status in ("DONE", "PARTIAL"):
                    assert self._taken_by(other, at) < self._taken_by(job, at), told
        self.checked = len(service.effects)

    def _taken_by(self, job: Any, at: float) -> int:
        """The last round in which a try has gone on with the request."""
        return max((round for number, round, when in self.taken if number == job.id and when <= at), default=-1)

    def teardown(self) -> None:
        """When all is quiet again, one more try ends with one request that runs or is done."""
        self.never_two()
        self.service.outcome = "DONE"
        for copy in self.copies:
            self._finish(copy)
        self.spawn()
        last = self.copies[-1]
        self._finish(last)
        assert last.error is None, last.error
        now = self.service.now
        live = [job for job in self.service.marked(WHO) if job.running(now)]
        done = [job for job in self.service.marked(WHO) if self._is_done(job, now)]
        assert len(live) <= 1
        assert live or done, "nothing runs and nothing is done"
        self.never_two()

    def _is_done(self, job: Any, now: float) -> bool:
        state = job.at(now)
        return state is not None and state.status in ("DONE", "PARTIAL") and self._taken_by(job, now) >= self.round

    # How a copy runs

    def _advance(self, which: int, calls: int, fault: str | None, lag: float) -> None:
        copy = self.living[which % len(self.living)]
        for left in range(calls, 0, -1):
            self._until_call(copy)
            if copy.over:
                return
            self._resume(copy, self.service.answer(copy.step.call, fault if left == 1 else None, lag))

    def _try(self, mark: Mark, memory: str | None) -> Flow[str]:
        api = generation(self.api)
        found = yield from find_or_create(api, PAYLOAD, mark, remembered=memory)
        number = found.job.request_id
        self.remembered[mark.round] = number
        self.taken.append((number, mark.round, self.service.now))
        job = yield from analyse_once(api, number)
        if str(job.status) not in FINAL:
            yield from start_once(api, number)
        return number

    def _until_call(self, copy: Copy) -> None:
        while not copy.over and not isinstance(copy.step, Send):
            received: Any = None
            if isinstance(copy.step, Sleep):
                self.service.now += copy.step.seconds
            elif isinstance(copy.step, Now):
                received = self.service.now
            self._resume(copy, received)

    def _resume(self, copy: Copy, received: Any) -> None:
        try:
            copy.step = copy.flow.send(received)
        except StopIteration:
            copy.over = True
        except SentinelHubError as err:
            copy.over, copy.error = True, err

    def _finish(self, copy: Copy) -> None:
        while not copy.over:
            self._until_call(copy)
            if not copy.over:
                self._resume(copy, self.service.answer(copy.step.call))


class TriesOnV2(Tries):
    api = "v2"


def explore(machine: type[Tries], examples: int, *, fixed: bool) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=fixed,
            phases=[Phase.generate, *([Phase.shrink] if SHRINK else [])],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("machine", [Tries, TriesOnV2], ids=["v1", "v2"])
def test_never_two_whatever_the_order(machine: type[Tries]) -> None:
    """The same orders every time, so that nobody is stopped by luck; the one below looks for new ones."""
    explore(machine, int(os.environ.get("SENTINELHUB_EXAMPLES", "80")), fixed=True)


@pytest.mark.chaos
@pytest.mark.parametrize("machine", [Tries, TriesOnV2], ids=["v1", "v2"])
def test_never_two_in_orders_never_tried(machine: type[Tries]) -> None:
    explore(machine, 3000, fixed=False)
