"""Random interleavings of processes that run flows against the service in memory: what the state machines share.

A *copy* is one process that runs a try of the task. It can be stopped between any two steps for any time, and can die
there. The service's reads lag by up to half a minute, replies get lost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_sentinelhub.api.call import Flow, Lost, Note, Now, Reply, Send, Sleep
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.exceptions import NotFoundError, SentinelHubError, UnknownStateError
from airflow_sentinelhub.transport.finish import end_in_time
from tests.api.fake_service import FAULTS, FakeService

LAGS = st.sampled_from((0.0, 0.0, 3.0, 30.0))
WHICH = st.integers(0, 2)
OUTAGES = ("drop_before", "503_before", "503_after", "429")
TURNS = st.lists(st.tuples(WHICH, st.integers(1, 6), LAGS), min_size=2, max_size=6)
WORLD = ("a moment", "a minute", "the end", "DONE", "PARTIAL", "FAILED", "a user ends it")
SHRINK = "SENTINELHUB_NO_SHRINKING" not in os.environ
FEW = int(os.environ.get("SENTINELHUB_EXAMPLES", "80"))
MANY = 3000


@dataclass
class Copy:
    """A process that runs a try. `step` is what it is about to do; `over`: it has ended, by itself or not.

    :param request: what it is responsible for: what a user's hand ends with it, also while it only waits.
    :param effects: what its calls have brought about.
    """

    round: int
    flow: Flow[Any] = field(init=False)
    step: Any = None
    over: bool = False
    error: SentinelHubError | None = None
    request: str | None = None
    effects: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def kill(self) -> None:
        self.over, self.request = True, None


@dataclass
class Ending(Copy):
    """A process that killed tries leave behind, at the time `since`: it ends what they were responsible for."""

    ends: str = ""
    since: float = 0.0


class Copies(RuleBasedStateMachine):
    """One task instance, its tries and their twins, against one service."""

    api = "v1"
    patience = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.service = FakeService(self.api)
        self.round = 0
        self.copies: list[Copy] = []

    # Airflow

    @property
    def living(self) -> list[Copy]:
        return [copy for copy in self.copies if not copy.over]

    @property
    def tries(self) -> list[Copy]:
        """Those at work, and those that wait for what they have started."""
        return [copy for copy in self.copies if not isinstance(copy, Ending) and (copy.request or not copy.over)]

    def begin_copy(self, copy: Copy, flow: Flow[Any]) -> None:
        copy.flow, copy.step = flow, next(flow)
        self.copies.append(copy)

    @precondition(lambda self: self.tries)
    @rule(arrives=st.booleans(), which=WHICH)
    def a_users_hand(self, arrives: bool, which: int) -> None:
        """A user marks the task failed: its tries are interrupted, and what they are responsible for is ended.

        An interrupted process sends nothing more. A call that was under way just then may arrive all the same.
        """
        tries = self.tries
        late = tries[which % len(tries)]
        self._until_call(late)
        if arrives and not late.over:
            self._send(late)
        for request in sorted({copy.request for copy in tries if copy.request}):
            ending = Ending(self.round, ends=request, since=self.service.now)
            self.begin_copy(ending, end_in_time(generation(self.api), request))
        for copy in tries:
            copy.kill()

    # Time and the service

    @precondition(lambda self: self.living)
    @rule(which=WHICH, calls=st.integers(1, 8), fault=st.sampled_from(FAULTS), lag=LAGS)
    def a_fault(self, which: int, calls: int, fault: str, lag: float = 0.0) -> None:
        """One copy gets some calls further; the last of them meets the fault."""
        self._advance(which, calls, lag, [*[None] * (calls - 1), fault])

    @precondition(lambda self: self.living)
    @rule(which=WHICH, calls=st.integers(2, 12), fault=st.sampled_from(OUTAGES))
    def an_outage(self, which: int, calls: int, fault: str) -> None:
        """One copy meets the fault on each of its next calls."""
        self._advance(which, calls, 0.0, [fault] * calls)

    @precondition(lambda self: self.living)
    @rule(which=WHICH, calls=st.integers(1, 12), lag=LAGS)
    def some_calls(self, which: int, calls: int, lag: float = 0.0) -> None:
        self._advance(which, calls, lag)

    @precondition(lambda self: self.living)
    @rule(which=WHICH, lag=LAGS)
    def the_rest_of_a_try(self, which: int, lag: float = 0.0) -> None:
        self._advance(which, 200, lag)

    @precondition(lambda self: len(self.living) > 1)
    @rule(turns=TURNS)
    def they_take_turns(self, turns: list[tuple[int, int, float]]) -> None:
        """One copy gets some calls further, then another one, and so on."""
        for which, calls, lag in turns:
            if self.living:
                self._advance(which, calls, lag)

    @precondition(lambda self: len(self.living) > 1)
    @rule(which=WHICH, calls=st.integers(1, 4), fault=st.none() | st.sampled_from(FAULTS), lag=LAGS)
    def one_is_held_up(self, which: int, calls: int, fault: str | None = None, lag: float = 0.0) -> None:
        """One copy gets some calls further, then nowhere until the others have come to their end."""
        held_up = self.living[which % len(self.living)]
        self._advance(which, calls, lag, [*[None] * (calls - 1), fault])
        for copy in [*(other for other in self.living if other is not held_up), held_up]:
            self._finish(copy)

    @rule(what=st.sampled_from(WORLD))
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
    def what_was_ended_has_ended(self) -> None:
        """A process that ends a request goes on until it has ended or is gone, or is out of reach for ten minutes."""
        for ending in [copy for copy in self.copies if isinstance(copy, Ending) and copy.over]:
            self.copies.remove(ending)
            job, now, error = self.service.jobs[ending.ends], self.service.now, ending.error
            gone = job.at(now) is None and isinstance(error, NotFoundError)
            assert error is None or gone or type(error) is UnknownStateError, error
            if error is None and not any(begun > ending.since for begun in job.billed):
                assert not job.at_work(now), f"{job.id} is {job.at(now)} after its end"

    # How a copy runs

    def _advance(self, which: int, calls: int, lag: float, faults: Sequence[str | None] = ()) -> None:
        copy = self.living[which % len(self.living)]
        for fault in faults or [None] * calls:
            self._until_call(copy)
            if copy.over:
                return
            self._resume(copy, self._send(copy, fault, lag))

    def _until_call(self, copy: Copy) -> None:
        while not copy.over and not isinstance(copy.step, Send):
            received: Any = None
            if isinstance(copy.step, Sleep):
                self.service.now += copy.step.seconds
            elif isinstance(copy.step, Now):
                received = self.service.now
            elif isinstance(copy.step, Note):
                copy.notes.append(copy.step.message)
            self._resume(copy, received)

    def _send(self, copy: Copy, fault: str | None = None, lag: float = 0.0) -> Reply | Lost:
        known = len(self.service.effects)
        reply = self.service.answer(copy.step.call, fault, lag)
        copy.effects += [kind for kind, _ in self.service.effects[known:]]
        return reply

    def _resume(self, copy: Copy, received: Any) -> None:
        try:
            copy.step = copy.flow.send(received)
        except StopIteration:
            copy.over = True
        except SentinelHubError as err:
            copy.error = err
            copy.kill()

    def _finish(self, copy: Copy) -> None:
        while not copy.over:
            self._until_call(copy)
            if not copy.over:
                self._resume(copy, self._send(copy))


def explore(machine: type[Copies], examples: int, *, fixed: bool) -> None:
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
