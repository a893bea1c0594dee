"""Mapped tasks that look at the budget of the month at the same moment, in any interleaving of their calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sentinelhub.api.call import Flow, Now, Send, Sleep, exchange
from airflow_sentinelhub.api.decide.marker import Mark, mark_of, marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.costs import OfDag, count_month, release
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from tests.api.fake_service import FakeService, Job, drive

DAG, PRICE = "d" * 12, Price(100.0, 100.0, "us")


class Paid(FakeService):
    """Every job costs 100 PU from its start on."""

    def _view(self, job: Job, seen: float) -> dict[str, Any]:
        shown = super()._view(job, seen)
        return shown | ({"valueEstimate": 300.0} if self.api == "v1" else {"costPU": shown["costPU"] * 100})

    @property
    def started(self) -> int:
        return sum(effect == "billed_start" for effect, _ in self.effects)


def analysed(service: FakeService, api: Generation, number: int) -> Snapshot:
    """The request of one of the tasks, about to be started."""
    mark = Mark(f"afx{number:016x}", 1, "0" * 8, dag=DAG, task="a" * 8)
    made = drive(service, read(api, created(service, api, mark))).result
    return made  # type: ignore[no-any-return]


def created(service: FakeService, api: Generation, mark: Mark) -> str:
    job = drive(service, exchange(api.create({"description": marked("Maps", mark)}))).result
    drive(service, exchange(api.analyse(job.request_id)))
    service.now += 60
    return str(job.request_id)


def task(api: Generation, job: Snapshot, limit: float) -> Flow[bool]:
    """What a task does between its analysis and the wait for the end."""
    policy = Policy(max_per_month=limit)
    month = yield from count_month(OfDag(DAG, (api,)), api, job, PRICE, policy, 0.0)
    if not policy.allows_in_month(PRICE.low, month.counted):
        yield from release(api, job, 0.0)
        return False
    yield from start_once(api, job.request_id)
    return True


class Race:
    """Flows that go on one call at a time, whichever is chosen."""

    def __init__(self, service: FakeService, flows: list[Flow[bool]]) -> None:
        self._service, self._flows = service, flows
        self._steps: list[Any] = [next(flow) for flow in flows]
        self.results: dict[int, bool] = {}

    def turn(self, which: int) -> None:
        """Let one of those that are not over make its next call."""
        left = [index for index in range(len(self._flows)) if index not in self.results]
        if not left:
            return
        index = left[which % len(left)]
        try:
            while True:
                step = self._steps[index]
                self._steps[index] = self._flows[index].send(self._received(step))
                if isinstance(step, Send):
                    return
        except StopIteration as end:
            self.results[index] = end.value

    def _received(self, step: Any) -> Any:
        if isinstance(step, Send):
            return self._service.answer(step.call)
        if isinstance(step, Sleep):
            self._service.now += step.seconds
        return self._service.now if isinstance(step, Now) else None


@pytest.mark.parametrize("name", ["v1", "v2"])
@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 6), st.lists(st.integers(0, 5), min_size=20, max_size=60))
def test_without_a_lag_of_the_lists_the_budget_is_never_overrun(
    name: str, tasks: int, fit: int, turns: list[int]
) -> None:
    service, api = Paid(name), generation(name)
    jobs = [analysed(service, api, number) for number in range(tasks)]
    race = Race(service, [task(api, job, fit * 100 + 50) for job in jobs])
    for turn in turns:
        race.turn(turn)
    for _ in range(300):
        race.turn(0)
    assert len(race.results) == tasks
    assert service.started <= fit, "no job more than fits"
    assert service.started == sum(race.results.values())


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_one_after_the_other_all_that_fit_are_started(name: str) -> None:
    service, api = Paid(name), generation(name)
    jobs = [analysed(service, api, number) for number in range(6)]
    assert [drive(service, task(api, job, 350)).result for job in jobs] == [True, True, True, False, False, False]
    assert [drive(service, task(api, job, 450)).result for job in jobs[3:]] == [True, False, False]


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_what_a_lagging_list_hides_is_what_it_overruns_by(name: str) -> None:
    """Said in the docs: each of the tasks that start within the lag may be started."""
    service, api = Paid(name), generation(name)
    jobs = [analysed(service, api, number) for number in range(4)]
    done = [drive(service, task(api, job, 150), lag=30.0).result for job in jobs[:2]]
    service.now += 60
    done += [drive(service, task(api, job, 150), lag=30.0).result for job in jobs[2:]]
    assert done[0] is True
    assert done[2:] == [False, False]
    assert service.started <= 2


@pytest.mark.parametrize("name", ["v1", "v2"])
@pytest.mark.parametrize("price", [None, Price(why="The bucket is locked.")])
def test_a_job_without_a_price_notes_none(name: str, price: Price | None) -> None:
    """A zero in its note would count for the others as a price that is known."""
    service, api = Paid(name), generation(name)
    job = analysed(service, api, 1)
    drive(service, count_month(OfDag(DAG, (api,)), api, job, price, Policy(max_per_month=100), 0.0))
    mark = mark_of(drive(service, read(api, job.request_id)).result.description)
    assert mark is not None
    assert (mark.expected, mark.reserved) == (None, int(service.now))
