"""Mapped tasks that look at the budget of the month at the same moment, in any interleaving of their calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sentinelhub.api.call import Flow, Send
from airflow_sentinelhub.api.decide.marker import Mark, marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.costs import OfDag, count_month, release
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from tests.api.fake_service import FakeService, Job, Process, drive

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
    from airflow_sentinelhub.api.call import exchange

    job = drive(service, exchange(api.create({"description": marked("Maps", mark)}))).result
    drive(service, exchange(api.analyse(job.request_id)))
    service.now += 60
    return str(job.request_id)


def task(api: Generation, job: Snapshot, limit: float) -> Flow[bool]:
    """What a task does between its analysis and the wait for the end."""
    month = yield from count_month(OfDag(DAG, (api,)), api, job, PRICE, 0.0)
    if not Policy(max_per_month=limit).allows_in_month(PRICE.low, month.counted):
        yield from release(api, job, 0.0)
        return False
    yield from start_once(api, job.request_id)
    return True


@dataclass
class Race:
    """Processes that go on one call at a time, whichever is chosen."""

    processes: list[Process]
    over: set[int] = field(default_factory=set)

    def turn(self, which: int) -> None:
        left = [index for index in range(len(self.processes)) if index not in self.over]
        if left:
            index = left[which % len(left)]
            process = self.processes[index]
            method = process._step.call.method if isinstance(process._step, Send) else None
            process.run(after=method) if method else process.run(before="GET")
            if process.fed.error is not None or process.fed._result is not None:
                self.over.add(index)


@pytest.mark.parametrize("name", ["v1", "v2"])
@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(0, 6), st.lists(st.integers(0, 5), min_size=20, max_size=60))
def test_without_a_lag_of_the_lists_the_budget_is_never_overrun(
    name: str, tasks: int, fit: int, turns: list[int]
) -> None:
    service, api = Paid(name), generation(name)
    jobs = [analysed(service, api, number) for number in range(tasks)]
    race = Race([Process(service, task(api, job, fit * 100 + 50)) for job in jobs])
    for turn in turns:
        race.turn(turn)
    while len(race.over) < tasks:
        race.turn(0)
    assert [process.fed.error for process in race.processes] == [None] * tasks
    assert service.started <= fit, "no job more than fits"
    assert service.started == sum(process.fed._result is True for process in race.processes)


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
