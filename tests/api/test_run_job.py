"""The life of a job as one flow: a wait in place, or one that is left and come back from, are the same life."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Flow, Note, Send, Work
from airflow_sentinelhub.api.decide.marker import Mark, identity, mark_of, marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.results import TileResults
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.run_job import JobPlan, Listener, Woken, answered, run_job
from airflow_sentinelhub.api.flows.task_request import Wanted
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan, wait
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as Status
from airflow_sentinelhub.exceptions import DeadlineError, InvalidInputError, JobError, JobPartialError, SentinelHubError
from tests.api.fake_service import FakeService, drive

PLACE = {"type": "raster", "delivery": {"s3": {"url": "s3://maps/ndvi"}}}
MARK = Mark(identity("production", "dag", "run", "task", -1), 0, "")


def nothing(*_: Any) -> Flow[None]:
    yield from ()


def brought(api: Any, job: Snapshot, must: bool) -> Flow[TileResults]:
    yield from nothing()
    mark, failed = mark_of(job.description), int(job.status.value == "PARTIAL")
    restarts = mark.restarts if mark else 0
    return TileResults(job, 9, 9 - failed, failed, ("31UFS_0",) * failed, 9.0, True, restarts)


@pytest.fixture(params=["v1", "v2"])
def service(request: pytest.FixtureRequest) -> FakeService:
    return FakeService(request.param)


def life(service: FakeService, woken: Woken | None = None, **how: Any) -> Generator[Any, Any, dict[str, Any]]:
    policy = how.pop("policy", Policy())
    plan = JobPlan(
        policy=how.pop("limits", lambda: policy),
        read_results=brought,
        wait=how.pop("wait", WaitPlan(known=True)),
        **how,
    )
    payload: dict[str, Any] = {"description": "max NDVI", "processRequest": {}, "output": PLACE}
    return run_job(generation(service.api), Wanted(lambda api: payload, nothing, MARK, again=True), plan, woken)


def in_place(service: FakeService) -> Callable[[Await], Flow[Waited | None]]:
    api = generation(service.api)
    return lambda asked: wait(api, asked.request_id, asked.target, asked.plan)


def left(asked: Await) -> Flow[Waited | None]:
    yield from ()
    return None


def whole(service: FakeService, **how: Any) -> Any:
    return drive(service, answered(life(service, **how), in_place(service)))


def in_parts(service: FakeService, **how: Any) -> tuple[Any, list[str]]:
    """As a deferrable task: at each wait the flow ends, the wait is done by somebody else, and a new flow goes on."""
    api, woken, targets = generation(service.api), None, []
    while True:
        fed = drive(service, answered(life(service, woken, **how), left))
        if fed.error is not None or not isinstance(fed.result, Await):
            return fed, targets
        asked = fed.result
        targets.append(asked.target)
        waited = drive(service, wait(api, asked.request_id, asked.target, asked.plan)).result
        woken = Woken(waited, asked.state)


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(max_restarts=1), Policy(max_failed=1), Policy(on_partial="accept")]
)
@pytest.mark.parametrize("outcome", ["DONE", "PARTIAL", "FAILED"])
def test_a_life_in_parts_is_the_life_in_one(service: FakeService, outcome: str, policy: Policy) -> None:
    other = FakeService(service.api)
    service.outcome = other.outcome = outcome
    one, (parts, targets) = whole(service, policy=policy), in_parts(other, policy=policy)
    assert [effect for effect, _ in service.effects] == [effect for effect, _ in other.effects]
    assert type(one.error) is type(parts.error)
    if one.error is None:
        assert {**one.result, "request_id": ""} == {**parts.result, "request_id": ""}
    assert targets[:2] == ["ANALYSIS_DONE", "DONE"]


def test_a_part_that_is_done_twice_does_nothing_twice(service: FakeService) -> None:
    """The process dies after each part, and another one begins with nothing but what the service shows."""
    for _ in range(4):
        drive(service, answered(life(service), left))
        service.now += 60
    service.now += 600
    assert whole(service).result["status"] == "DONE"
    effects = [effect for effect, _ in service.effects]
    assert (effects.count("created"), effects.count("billed_start")) == (1, 1)


def test_what_happens_is_told_in_order(service: FakeService) -> None:
    heard: list[str] = []
    listener = Listener(
        settled=lambda own: heard.append(f"settled {own.settled.job.status}"),
        read=lambda job: heard.append(f"read {job.status}"),
        reported=lambda results: heard.append(f"reported {results.job.status}"),
    )
    run(service, life(service, listener=listener))
    assert heard[0] == "settled CREATED"
    assert heard[-1] == "reported DONE"
    assert "read ANALYSIS_DONE" in heard


def run(service: FakeService, flow: Any) -> None:
    """Drive a flow whose functions are really called."""

    def worked(inner: Flow[Any]) -> Flow[Any]:
        send, value = inner.send, None
        while True:
            try:
                step = send(value)
            except StopIteration as end:
                return end.value
            value = step.function() if isinstance(step, Work) else (yield step)

    fed = drive(service, worked(answered(flow, in_place(service))))
    assert fed.error is None, fed.error


def test_limits_without_sense_do_not_hide_a_request_that_is_at_work(service: FakeService) -> None:
    drive(service, answered(life(service), left))

    def limits() -> Policy:
        raise InvalidInputError("max_restarts makes no sense.")

    fed = whole(service, limits=limits)
    assert "makes no sense" in str(fed.error)
    assert [effect for effect, _ in service.effects].count("created") == 1


def test_a_skip_is_said_on_the_error(service: FakeService) -> None:
    service.outcome = "PARTIAL"
    fed = whole(service, policy=Policy(on_partial="skip"))
    assert isinstance(fed.error, JobPartialError)
    assert fed.error.skip


def test_the_request_that_was_given_is_not_started_where_somebody_else_does(service: FakeService) -> None:
    drive(service, answered(life(service), left))
    (number,) = service.jobs
    service.now += 120
    fed = whole(service, request_id=number, may_start=False)
    assert "nobody has started it" in str(fed.error)
    assert [effect for effect, _ in service.effects].count("billed_start") == 0


def test_what_is_late_when_its_analysis_is_seen_to_be_done_is_not_started(service: FakeService) -> None:
    """The wait has reached what it waited for; whoever was to go on came only after the time allowed."""
    how = {"wait": WaitPlan(known=True, deadline=service.now + 60, end_at_deadline=True)}
    asked = drive(service, answered(life(service, **how), left)).result
    waited = drive(service, wait(generation(service.api), asked.request_id, asked.target, asked.plan)).result
    assert waited.outcome is Outcome.REACHED
    service.now += 60
    fed = drive(service, answered(life(service, Woken(waited, asked.state), **how), left))
    assert isinstance(fed.error, DeadlineError)
    assert "is ANALYSIS_DONE, not DONE, at the end of the time allowed" in str(fed.error)
    assert "billed_start" not in [effect for effect, _ in service.effects]


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.TIMED_OUT, Outcome.NOT_STARTED])
def test_what_a_wait_has_ended_with_is_said_without_another_call(outcome: Outcome) -> None:
    """Of a request that continues another one, in a task that is woken: a service out of reach would hide it."""
    words = marked("", replace(MARK, job="0" * 8, restarts=1, continues="5f2a7a4e-0000-4000-8000-000000000001"))
    job = Snapshot("5f2a7a4e-0000-4000-8000-000000000002", "v2", Status("PROCESSING"), description=words)
    state = {"request_id": job.request_id, "target": "DONE", "restarts": 1, "rest_awaited": False, "settled": True}

    def limits() -> Policy:
        raise InvalidInputError("max_restarts makes no sense.")

    flow = life(FakeService("v2"), Woken(Waited(outcome, job, "it is out of reach"), state), limits=limits)
    steps: list[Any] = []
    with pytest.raises(JobError):
        steps.extend(flow)
    assert not any(isinstance(step, Send) for step in steps)


# The flow that answers


def asking(*steps: Any) -> Generator[Any, Any, list[Any]]:
    got = []
    for step in steps:
        try:
            got.append((yield step))
        except SentinelHubError as err:
            got.append(str(err))
    return got


AWAIT = Await("5f2a", "DONE", WaitPlan())


def test_answers_and_steps_reach_the_flow() -> None:
    reached = Waited(Outcome.REACHED)

    def answer(asked: Await) -> Flow[Waited | None]:
        yield Note("waiting")
        return reached

    flow = answered(asking(Note("a"), AWAIT), answer)
    assert next(flow) == Note("a")
    assert flow.send(1) == Note("waiting")
    with pytest.raises(StopIteration) as end:
        flow.send(None)
    assert end.value.value == [1, reached]


def test_errors_of_steps_and_of_answers_reach_the_flow() -> None:
    def answer(asked: Await) -> Flow[Waited | None]:
        raise JobError("it broke")
        yield

    flow = answered(asking(Note("a"), AWAIT), answer)
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.throw(JobError("refused"))
    assert end.value.value == ["refused", "it broke"]


def test_without_an_answer_the_flow_ends_with_what_it_has_asked() -> None:
    inner = asking(AWAIT, Note("never"))
    with pytest.raises(StopIteration) as end:
        next(answered(inner, left))
    assert end.value.value is AWAIT
    assert inner.gi_frame is None, "closed"


def test_a_flow_that_is_closed_closes_the_one_within() -> None:
    inner = asking(Note("a"), Note("b"))
    flow = answered(inner, left)
    next(flow)
    flow.close()
    assert inner.gi_frame is None
