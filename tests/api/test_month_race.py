"""Mapped tasks that look at the budget of the month at the same moment, in any interleaving of their calls."""

from __future__ import annotations

from datetime import datetime, timezone
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sentinelhub.api import decoding
from airflow_sentinelhub.api.call import Call, Flow, Lost, Now, Reply, Send, Sleep, Work, exchange
from airflow_sentinelhub.api.decide.marker import Mark, mark_of, marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.costs import SETTLING, OfDag, costs_of_dag, count_month, release
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import ServerError, UnknownStateError
from tests.api import fake_service
from tests.api.fake_service import FakeService, Job, drive
from tests.api.feeding import error

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
@pytest.mark.parametrize("lag", [0.0, 1.0, 30.0, 55.0])
def test_nobody_decides_before_the_list_shows_its_own_note(name: str, lag: float) -> None:
    """Then it shows each note that was written before, too: a list that lags less than a minute hides nobody."""
    service, api = Paid(name), generation(name)
    jobs = [analysed(service, api, number) for number in range(4)]
    waited = [drive(service, task(api, job, 150), lag=lag) for job in jobs]
    assert [each.result for each in waited] == [True, False, False, False]
    assert sum(waited[0].slept) >= lag
    assert lag or not waited[0].slept, "without a lag nothing is waited for"
    assert not any("does not show it" in text for text in waited[0].warnings)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_what_a_list_hides_that_lags_longer_is_what_it_overruns_by(name: str) -> None:
    """Said in the docs, and in the log: after a minute the job is started by what the list shows."""
    service, api = Paid(name), generation(name)
    jobs = [analysed(service, api, number) for number in range(3)]
    service.now += 300
    policy, dag = Policy(max_per_month=150), OfDag(DAG, (api,))
    waited = [drive(service, count_month(dag, api, job, PRICE, policy, 0.0), lag=300.0) for job in jobs]
    assert [each.result.counted for each in waited] == [0, 0, 0]
    assert all(sum(each.slept) == sum(SETTLING) for each in waited)
    assert all("the list of the account does not show it as about to start" in str(each.warnings) for each in waited)
    assert drive(service, task(api, analysed(service, api, 9), 150)).result is False, "the notes are seen by then"


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_job_that_the_sums_leave_out_is_not_waited_for(name: str) -> None:
    """One that was created long before the month is in no reading, so the list cannot show its note."""
    service, api = Paid(name), generation(name)
    job = analysed(service, api, 1)
    service.now += 45 * 86_400
    assert not drive(service, task(api, job, 150)).slept


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_list_that_does_not_answer_is_asked_again(name: str) -> None:
    """An outage that is shorter than the task's patience ends neither the start of a job nor the sums of a DAG."""
    service, api = Paid(name), generation(name)
    older, job = analysed(service, api, 1), analysed(service, api, 2)
    drive(service, task(api, older, 1000))
    dag = OfDag(DAG, (api,))

    def out(until: float) -> Any:
        def answer(call: Call[Any]) -> Reply | Lost:
            is_list = call.method == "GET" and not call.path.rpartition("/process")[2].strip("/")
            return error(503) if is_list and service.now < until else service.answer(call)

        return answer

    def counting(patience: float) -> Flow[Any]:
        return count_month(dag, api, job, PRICE, Policy(max_per_month=1000), patience)

    def summing(patience: float) -> Flow[Any]:
        return costs_of_dag(dag, "maps", datetime.fromtimestamp(0, timezone.utc), {}, tiles=False, patience=patience)

    for flow in (counting, summing):
        fed = drive(service, flow(3600.0), out(service.now + 1200))
        assert fed.error is None
        assert sum(fed.slept) >= 1200
        month = fed.result
        assert (month.counted if flow is counting else month.expected) == pytest.approx(100)
        assert isinstance(drive(service, flow(0.0), out(service.now + 1200)).error, ServerError)
        assert isinstance(drive(service, flow(60.0), out(service.now + 1200)).error, UnknownStateError)


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


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("tasks", "name", "lag"), [(60, "v1", 0.0), (200, "v2", 25.0)])  # the latter takes seconds
@pytest.mark.slow
def test_two_hundred_tasks_that_start_at_once(
    tasks: int, name: str, lag: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said in the docs: while the lists lag less than a minute, they overrun the budget by nothing."""
    monkeypatch.setattr(fake_service, "PAGE", 200)
    monkeypatch.setattr(decoding, "LARGE", 10 << 20)  # decoded at once: no event loop is held up here
    service, api, order = Paid(name), generation(name), Random(int(lag))
    jobs = [analysed(service, api, number) for number in range(tasks)]
    flows = [task(api, job, 2050) for job in jobs]
    due = [(service.now + order.uniform(0, 2), index, next(flow)) for index, flow in enumerate(flows)]
    results = {}
    while due:
        due.sort(key=lambda item: item[:2])
        moment, index, step = due.pop(0)
        service.now, wait = max(service.now, moment), 0.0
        try:
            while not wait:
                received: Any = service.now if isinstance(step, Now) else None
                if isinstance(step, Send):
                    received, wait = service.answer(step.call, lag=lag), order.uniform(0.05, 2)
                wait = step.seconds if isinstance(step, Sleep) else wait
                received = step.function() if isinstance(step, Work) else received
                step = flows[index].send(received)
            due.append((service.now + wait, index, step))
        except StopIteration as end:
            results[index] = end.value
    assert len(results) == tasks
    assert 0 < service.started <= 20
    assert service.started == sum(results.values())


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_younger_job_whose_task_stays_away_counts_until_it_is_refused(name: str) -> None:
    """It may have looked before the older one could be seen, and still start."""
    service, api = Paid(name), generation(name)
    older, younger = analysed(service, api, 1), analysed(service, api, 2)
    policy, dag = Policy(max_per_month=150), OfDag(DAG, (api,))
    drive(service, count_month(dag, api, younger, PRICE, policy, 0.0))
    waited = drive(service, count_month(dag, api, older, PRICE, policy, 0.0))
    assert waited.result.counted == 100
    assert sum(waited.slept) == sum(SETTLING)
    drive(service, release(api, younger, 0.0))
    mark = mark_of(drive(service, read(api, younger.request_id)).result.description)
    assert mark is not None
    assert (mark.expected, mark.reserved) == (None, None)
    assert not drive(service, count_month(dag, api, older, PRICE, policy, 0.0)).slept
