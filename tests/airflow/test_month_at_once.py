"""Mapped tasks that look at the budget of a month at the same moment, on the simulator, whose lists lag."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest

from airflow_sentinelhub._identity import mark_for
from airflow_sentinelhub.api.call import Flow, Now, Send, Sleep
from airflow_sentinelhub.api.decide.marker import marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.costs import OfDag, count_month, release
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.snapshot import Snapshot

TASKS, FIT = 30, 20
LATENCY = 2.0
"""Seconds that a call takes at most here."""


def create(bench: Any, number: int) -> str:
    """The request of one of the tasks, with its marker."""
    mark = mark_for(bench.context(map_index=number))
    request_id = str(bench.create(description=marked("Maps", mark)))
    bench.act(request_id, "analyse")
    return request_id


def task(api: Generation, dag: str, job: Snapshot, looked: list[float], started: list[float]) -> Flow[bool]:
    """What a task does between its analysis and the wait for the end."""
    cost = job.expected_cost or 300.0
    policy = Policy(max_per_month=(FIT + 0.5) * cost)
    month = yield from count_month(OfDag(dag, (api,)), api, job, Price(cost, cost, "us"), policy, 60.0)
    if not policy.allows_in_month(cost, month.counted):
        yield from release(api, job, 60.0)
        return False
    looked.append((yield Now()))
    yield from start_once(api, job.request_id, patience=60.0)
    started.append((yield Now()))
    return True


class AtOnce:
    """Runs flows side by side in the bench's time. Every call takes some time, by a seed."""

    def __init__(self, bench: Any, flows: list[Flow[bool]], seed: int) -> None:
        self._bench, self._hook, self._random = bench, bench.hook, random.Random(seed)
        self._flows = flows
        self.results: dict[int, bool] = {}

    def run(self) -> AtOnce:
        clock = self._bench.clock
        due = [(clock.now + self._random.uniform(0, LATENCY), index, next(f)) for index, f in enumerate(self._flows)]
        heapq.heapify(due)
        while due:
            moment, index, step = heapq.heappop(due)
            if moment > clock.now:
                clock.sleep(moment - clock.now)
            try:
                while True:
                    wait, received = self._done(step)
                    step = self._flows[index].send(received)
                    if wait:
                        heapq.heappush(due, (clock.now + wait, index, step))
                        break
            except StopIteration as end:
                self.results[index] = end.value
        return self

    def _done(self, step: Any) -> tuple[float, Any]:
        if isinstance(step, Send):
            return self._random.uniform(0.05, LATENCY), self._hook.run(_only(step))
        if isinstance(step, Sleep):
            return step.seconds, None
        return 0.0, self._hook.run(_only(step))


def _only(step: Any) -> Any:
    return (yield step)


def race(bench: Any, tasks: int, lag: float, seed: int) -> tuple[AtOnce, list[float], list[float]]:
    """The tasks, each with its request analysed, and the lists behind by so many seconds."""
    bench.sim.settings(tile_seconds=20_000)
    api = generation(bench.api)
    ids = [create(bench, number) for number in range(tasks)]
    bench.clock.sleep(600)
    jobs = [bench.hook.run(read(api, request_id)) for request_id in ids]
    dag = mark_for(bench.context()).dag
    assert dag is not None
    bench.sim.settings(replica_lag=lag)
    looked: list[float] = []
    started: list[float] = []
    random.Random(seed).shuffle(jobs)
    return AtOnce(bench, [task(api, dag, job, looked, started) for job in jobs], seed).run(), looked, started


@pytest.mark.thorough
@pytest.mark.parametrize("lag", [0.0, 5.0, 25.0])
@pytest.mark.slow
def test_tasks_that_start_at_once_do_not_overrun_the_month(bench: Any, lag: float) -> None:
    """The bound that the docs state: nothing, while the lists lag less than a minute."""
    found, _, _ = race(bench, TASKS, lag, seed=int(lag))
    assert len(found.results) == TASKS
    starts = bench.effects().count("billed_start")
    assert starts == sum(found.results.values())
    assert 0 < starts <= FIT
