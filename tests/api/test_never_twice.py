"""Never pay twice, whatever happens: random interleavings of copies of one task, with faults, crashes, retries, clears.

A copy runs a try of the task: find or create, analyse, start. What a user's hand ends has ended; see `exploring.py`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide import adoption
from airflow_sentinelhub.api.decide.marker import Mark, identity
from airflow_sentinelhub.api.flows import find_or_create as finding
from airflow_sentinelhub.api.flows.actions import analyse_once, start_once
from airflow_sentinelhub.api.flows.find_or_create import LAG_PATIENCE, find_or_create
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.exceptions import UnknownStateError
from tests.api import fake_service
from tests.api.exploring import FEW, MANY, WHICH, Copies, Copy, explore
from tests.api.fake_service import FINAL

WHO = identity("production", "dag", "run", "task", -1)
PAYLOAD = {"description": "max NDVI", "processRequest": {}}
JOBS = ("aaaaaaaa", "bbbbbbbb")


class Tries(Copies):
    """One task instance, its tries and their twins, against one service.

    `lag`: seconds for which the list is taken to lag at the most.

    `round` counts what the user has asked for: it grows by a clear, and when the run is made again. What Airflow shows
    of that to a try are `tried`, `max_tries`, `clears` and `born`; `retries` is what the DAG says by now.
    """

    lag = LAG_PATIENCE

    def __init__(self) -> None:
        super().__init__()
        self.job = JOBS[0]
        self.retries = 3
        self.tried, self.max_tries, self.clears, self.born = 1, 3, 0, 1_000
        self.ended: int | None = None
        self.remembered: dict[int, str] = {}
        self.taken: list[tuple[str, int, float]] = []
        self.begun = {0: self.service.now}
        self.numbers = {3}
        self.moved = ""
        self.checked = 0

    @initialize(repeated_start=st.sampled_from((204, 400)), patience=st.sampled_from((0.0, 1800.0)))
    def begin(self, repeated_start: int, patience: float) -> None:
        self.service.repeated_start, self.patience = repeated_start, patience
        self.spawn()

    # Airflow

    def spawn(self, *, remembers: bool = False) -> None:
        copy = Copy(self.round)
        memory = self.remembered.get(self.round) if remembers else None
        mark = Mark(
            WHO,
            self.max_tries,
            self.job,
            tried=self.tried,
            clears=self.clears,
            born=self.start_of(self.born),
            ended=self.ended if self.round not in self.remembered else None,  # a try that has stored more is at work
        )
        self.begin_copy(copy, self._try(copy, mark, memory))

    def start_of(self, born: int) -> int:
        """What the marker says of a start of the run: here its number, so that the markers are the same each time."""
        return born

    @precondition(lambda self: len(self.living) < 3)
    @rule(remembers=st.booleans())
    def a_twin(self, remembers: bool) -> None:
        """Another copy of the same try."""
        self.spawn(remembers=remembers)

    @precondition(lambda self: self.tries)
    @rule(which=WHICH, remembers=st.booleans(), lives_on=st.booleans(), changed=st.booleans(), queued=st.booleans())
    def a_crash_and_a_retry(self, which: int, remembers: bool, lives_on: bool, changed: bool, queued: bool) -> None:
        """The next try, also beside one that was only given up for dead. The job may have been edited.

        :param queued: somebody has set the run to queued by hand: that moves its start and nothing else. Not beside a
            clear of another task: the two look like a clear of this one, in a run that had finished.

        Beside what a deleted run has left on v2 the old tries do not live on, see `a_clear`.
        """
        if queued and self.moved != "clears":
            self.born, self.moved = self.born + 1, "born"
        if not lives_on:
            self.tries[which % len(self.tries)].kill()
        if changed and not (self.api == "v2" and self.living):
            self.job = JOBS[self.job == JOBS[0]]
        self.tried += 1
        self._end_old_copies_beside_a_left_over()
        self.spawn(remembers=remembers)

    @rule(retries=st.integers(0, 4))
    def an_edit_of_retries(self, retries: int) -> None:
        self.retries = retries

    @rule()
    def a_clear_of_another_task(self) -> None:
        """From 3.2 on the run counts that too."""
        if self.moved != "born":
            self.clears, self.moved = self.clears + 1, "clears"

    @rule(survivors=st.booleans(), changed=st.booleans(), finished=st.booleans(), counted=st.booleans())
    def a_clear(self, survivors: bool, changed: bool, finished: bool, counted: bool) -> None:
        """A user clears the task, after changing the job or not; old copies may outlive that.

        :param finished: the run had ended; :param counted: it is 3.2 or later, where each clear is counted.

        On v2, which can neither delete nor end what was not analysed, an old copy that outlives a clear *with a changed
        job* between its look and its start cannot be kept from starting: that case is left out. So is a clear whose
        number is that of the round before, in a run that goes on and does not count it: it looks like a retry. Where it
        is counted, Airflow 3.3 keeps that the task had ended (`ended`). One whose number is that of a round before that
        one is left out too: of these nothing is kept.

        On v2, a request that a *deleted run* has left unstarted cannot be deleted either. A copy of the first try of
        the new run sees that it is none of its own, and makes one; a newer try cannot tell it from one of an earlier
        round of its run, and takes it. If the old copy is between its last look and its start just then, both start.
        Nothing in a marker tells the two runs apart for certain, so that no copy lives beside a newer try here while
        there is such a request.
        """
        max_tries = self.tried + self.retries
        if max_tries in self.numbers and not (finished or (counted and max_tries == self.max_tries)):
            return
        self.numbers = {max_tries} if finished else {*self.numbers, max_tries}
        changed = changed and not (self.api == "v2" and survivors)
        if not survivors:
            for copy in self.tries:
                copy.kill()
        self.round += 1
        self.ended = self.tried if max_tries == self.max_tries and not finished else None
        self.moved = ""
        self.max_tries = max_tries
        self.tried += 1
        if finished or counted:
            self.clears += 1
        if finished:
            self.born += 1
        if changed:
            self.job = JOBS[self.job == JOBS[0]]
        self._end_old_copies_beside_a_left_over()
        self.begun[self.round] = self.service.now
        self.spawn()

    def _end_old_copies_beside_a_left_over(self) -> None:
        """See `a_clear`."""
        marks = [job.mark(self.service.now) for job in self.service.marked(WHO) if not job.billed]
        if self.api == "v2" and any(
            mark.adopts is None and mark.job == self.job and self._life(mark) < self.born // 1_000 - 1 for mark in marks
        ):
            for copy in self.tries:
                copy.kill()

    @precondition(lambda self: self.living)
    @rule(which=WHICH, calls=st.integers(0, 8), changed=st.booleans(), finished=st.booleans(), counted=st.booleans())
    def a_clear_that_one_outlives(self, which: int, calls: int, changed: bool, finished: bool, counted: bool) -> None:
        """An old copy gets nowhere from before the clear until the new try has come to its end."""
        old = self.living[which % len(self.living)]
        self._advance(which, calls, 0.0)
        self.a_clear(survivors=True, changed=changed, finished=finished, counted=counted)
        for copy in [*(other for other in self.living if other is not old), old]:
            self._finish(copy)

    @rule(changed=st.booleans())
    def a_run_made_again(self, changed: bool) -> None:
        """The run is deleted and made again under its id: what it has left is none of the new one's."""
        for copy in self.tries:
            copy.kill()
        self.round += 1
        self.numbers = {self.retries}
        self.tried, self.max_tries, self.clears, self.ended, self.moved = 1, self.retries, 0, None, ""
        self.born += 1_000
        if changed:
            self.job = JOBS[self.job == JOBS[0]]
        self.begun[self.round] = self.service.now
        self.spawn()

    # What must hold

    @invariant()
    def never_two(self) -> None:
        """Each start was right at its moment: nothing else ran, and this round had not got what it wanted.

        What had come to its end before the user cleared the task is to be made anew, although a copy whose readings lag
        may take it for one that waits for its start, write down that it has taken it, and fail with "it is CANCELED".
        The same goes for what an old copy ends, since its job has changed, before a newer try takes it by old readings.
        """
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
                if self._life_of(other) != self._life_of(job):
                    continue
                told = f"{number} of {mark} was started while {other.id} of {other.mark(at)} was {state}"
                assert not other.running(at), told
                # One whose job has changed may still be on its way to its end: it was told to, and bills no new tile.
                assert state.status in FINAL or other.mark(at).job != mark.job, told
                round = self._taken_by(job, at)
                if state.status != "FAILED" and (round < 0 or self._over_since(other, at) >= self.begun[round]):
                    until = self._over_since(other, at) if state.status in ("CANCELED", "STOPPED") else at
                    assert self._taken_by(other, until) < round, told
        self.checked = len(service.effects)

    def _taken_by(self, job: Any, at: float) -> int:
        """The last round in which a try has gone on with the request.

        One that could not record it (the service makes no new request for half a minute), and says so, does not count:
        a retry after the end takes the request for one of the round before.
        """
        return max((round for number, round, when in self.taken if number == job.id and when <= at), default=-1)

    @staticmethod
    def _over_since(job: Any, at: float) -> float:
        """When the request has ended; when somebody has asked for its end."""
        state = job.at(at)
        asked = [time for time in job.acted if time <= at]
        return asked[-1] if state.action in ("CANCEL", "STOP") else float(state.at)

    def _life_of(self, job: Any) -> int:
        """In which life of the run the request was started. Each life may start one.

        A run that is made again can start a request that the deleted one has left: its marker is of the new run then.
        """
        return self._life(job.mark(job.billed[0]))

    def _life(self, mark: Any) -> int:
        return int(mark.born // 1_000 - 1)

    def teardown(self) -> None:
        """When all is quiet again, one more try ends with one request that runs, is done, or was ended by hand.

        If it cannot be sure of that it starts nothing and says that a retry looks again, which then must be sure.
        """
        self.never_two()
        self.service.outcome = "DONE"
        for copy in self.living:
            self._finish(copy)
        self.what_was_ended_has_ended()
        last = self._one_more_try()
        if isinstance(last.error, UnknownStateError):
            assert "This request was not started" in str(last.error)
            last = self._one_more_try()
        assert last.error is None, last.error
        now = self.service.now
        live = [job.id for job in self.service.marked(WHO) if job.running(now)]
        ended = [job.id for job in self.service.marked(WHO) if self._is_over(job, now)]
        assert last.request in live or last.request in ended, "nothing runs and nothing is done"
        said = " ".join(self.notes_that_count(last))
        unsaid = [number for number in live if number != last.request and number not in said]
        assert not unsaid or self.may_be_unsaid(), "something runs, and nobody says so"
        self.never_two()

    def _one_more_try(self) -> Copy:
        self.tried += 1
        self.spawn()
        self._finish(self.copies[-1])
        return self.copies[-1]

    def notes_that_count(self, last: Copy) -> list[str]:
        """Where it must stand that something runs of which the last try takes no care."""
        return last.notes

    def may_be_unsaid(self) -> bool:
        """Whether the list was not read back to all that runs."""
        return False

    def _is_over(self, job: Any, now: float) -> bool:
        """It has ended in this round, and not by the service's fault."""
        state = job.at(now)
        return state is not None and state.status in FINAL[:2] + FINAL[3:] and self._taken_by(job, now) >= self.round

    # A try

    def _try(self, copy: Copy, mark: Mark, memory: str | None) -> Flow[str]:
        api = generation(self.api)
        found = yield from find_or_create(api, PAYLOAD, mark, remembered=memory, patience=self.lag)
        number = copy.request = found.job.request_id
        if (mark.tried, mark.clears) == (1, 0):  # later it cannot be told from one of an earlier round of this run
            taken = self.service.jobs[number].mark(self.service.now)
            assert self._life(taken) == self._life(mark), "a run has taken what a deleted one has left"
        if not any("Could not record" in note for note in copy.notes):
            self.taken.append((number, copy.round, self.service.now))
        job = yield from analyse_once(api, number, patience=self.patience)
        if str(job.status) not in FINAL:
            yield from start_once(api, number, patience=self.patience)
        return number


class TriesOnV2(Tries):
    api = "v2"


class TriesThatSearchNoFurther(TriesOnV2):
    """A page has one request, and the search goes no moment further back than to the request behind which none counts,
    or to the start of the run of which a request of the first try tells. So the starts are times of the service here.

    After a create it goes back as far as the list may lag here. What a deleted run has left running is told by the try
    that creates the request of the new one, unless the reply to its create is lost, or it ends before the list shows
    what it has created: then the list is read to the start of the run, and the hour by which it is read further back is
    left out here.
    """

    lag = 31.0

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[int, int] = {}
        self.before = fake_service.PAGE, adoption.BEFORE_LAST, finding.BEFORE_LAST, finding.LAG_PATIENCE
        self._set(1, timedelta(0), timedelta(0), self.lag)

    @staticmethod
    def _set(page: int, margin: timedelta, further: timedelta, lag: float) -> None:
        fake_service.PAGE, adoption.BEFORE_LAST, finding.BEFORE_LAST, finding.LAG_PATIENCE = page, margin, further, lag

    def start_of(self, born: int) -> int:
        if born not in self.starts:
            latest = max(self.starts.values(), default=0)
            self.starts[born] = max(round(self.service.now * 1_000_000), latest + 1)
        return self.starts[born]

    def _life(self, mark: Any) -> int:
        return next(number // 1_000 - 1 for number, at in self.starts.items() if at == mark.born)

    def notes_that_count(self, last: Copy) -> list[str]:
        return [note for copy in self.copies for note in copy.notes]

    def may_be_unsaid(self) -> bool:
        return any(
            (copy.over and copy.effects and copy.effects[-1] == "created")
            or any(note.startswith("Whether the batch request was created") for note in copy.notes)
            for copy in self.copies
        )

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self._set(*self.before)


@pytest.mark.parametrize("machine", [Tries, TriesOnV2, TriesThatSearchNoFurther], ids=["v1", "v2", "v2, near"])
@pytest.mark.thorough
def test_never_two_whatever_the_order(machine: type[Tries]) -> None:
    """The same orders every time, so that nobody is stopped by luck; the one below looks for new ones."""
    explore(machine, FEW, fixed=True)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", [Tries, TriesOnV2, TriesThatSearchNoFurther], ids=["v1", "v2", "v2, near"])
def test_never_two_in_orders_never_tried(machine: type[Tries]) -> None:
    explore(machine, MANY, fixed=False)
