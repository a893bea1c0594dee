"""The life of a job as one flow: a wait in place, or one that is left and come back from, are the same life."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Flow, Lost, Note, Reply, Send, Work, exchange
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.marker import Mark, identity, mark_of, marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.decide.results import TileResults
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.estimate import Estimate
from airflow_sentinelhub.api.flows.costs import OfDag
from airflow_sentinelhub.api.flows.job_life import JobPlan, Listener, Woken
from airflow_sentinelhub.api.flows.price import Estimating
from airflow_sentinelhub.api.flows.read import SILENCE
from airflow_sentinelhub.api.flows.restart import STALE_PARTIAL
from airflow_sentinelhub.api.flows.run_job import answered, run_job
from airflow_sentinelhub.api.flows.task_request import Wanted, continue_with, find_own
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan, wait
from airflow_sentinelhub.api.service.generations import NEW_REQUEST_404, OLD_REQUEST_404, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction
from airflow_sentinelhub.exceptions import (
    DeadlineError,
    InvalidInputError,
    JobError,
    JobPartialError,
    NotFoundError,
    OverBudgetError,
    SentinelHubError,
    UnknownStateError,
)
from tests.api.fake_service import FakeService, State, drive
from tests.api.feeding import ID, Fed, error, ok, v2

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
    wanted = how.pop("wanted", {})
    plan = JobPlan(
        policy=how.pop("policy", Policy()),
        read_results=how.pop("read_results", brought),
        wait=how.pop("wait", WaitPlan(known=True)),
        **how,
    )
    payload: dict[str, Any] = {"description": "max NDVI", "processRequest": {}, "output": PLACE}
    wanted = {"render": lambda api: payload, "checks": nothing, "mark": MARK, "again": True, **wanted}
    return run_job(generation(service.api), Wanted(**wanted), plan, woken)


def in_place(service: FakeService, seen: list[Await] | None = None) -> Callable[[Await], Flow[Waited | None]]:
    """Waits in this process. :param seen: is filled with what was asked for."""
    api, waits = generation(service.api), [] if seen is None else seen

    def answer(asked: Await) -> Flow[Waited | None]:
        waits.append(asked)
        assert len(waits) < 20, "it waits for ever"
        return (yield from wait(api, asked.request_id, asked.target, asked.plan))

    return answer


def left(asked: Await) -> Flow[Waited | None]:
    yield from ()
    return None


def in_place_until(target: str, service: FakeService) -> Callable[[Await], Flow[Waited | None]]:
    """Waits in this process, but for this status: there the task ends."""
    waits = in_place(service)
    return lambda asked: left(asked) if asked.target == target else waits(asked)


def whole(service: FakeService, **how: Any) -> Any:
    return run(service, life(service, **how))


def in_parts(service: FakeService, **how: Any) -> tuple[Any, list[str]]:
    """As a deferrable task: at each wait the flow ends, the wait is done by somebody else, and a new flow goes on."""
    api, woken, targets = generation(service.api), None, []
    while True:
        fed = run(service, life(service, woken, **how), left)
        if fed.error is not None or not isinstance(fed.result, Await):
            return fed, targets
        asked = fed.result
        targets.append(asked.target)
        assert len(targets) < 20, "it waits for ever"
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
    assert run(service, life(service, listener=listener)).error is None
    assert heard[0] == "settled CREATED"
    assert heard[-1] == "reported DONE"
    assert "read ANALYSIS_DONE" in heard


def run(service: FakeService, flow: Any, answer: Callable[[Await], Flow[Waited | None]] | None = None) -> Fed:
    """Drive a flow whose functions are really called."""

    def worked(inner: Flow[Any]) -> Flow[Any]:
        send, value = inner.send, None
        while True:
            try:
                step = send(value)
            except StopIteration as end:
                return end.value
            value = step.function() if isinstance(step, Work) else (yield step)

    return drive(service, worked(answered(flow, answer or in_place(service))))


def test_limits_without_sense_do_not_hide_a_request_that_is_at_work(service: FakeService) -> None:
    drive(service, answered(life(service), left))
    fed = whole(service, policy=InvalidInputError("max_restarts makes no sense."))
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
    job = Snapshot("5f2a7a4e-0000-4000-8000-000000000002", "v2", BatchRequestStatus("PROCESSING"), description=words)
    state = {"request_id": job.request_id, "target": "DONE", "restarts": 1, "rest_awaited": False, "settled": True}
    policy = InvalidInputError("max_restarts makes no sense.")
    flow = life(FakeService("v2"), Woken(Waited(outcome, job, "it is out of reach"), state), policy=policy)
    steps: list[Any] = []
    with pytest.raises(JobError):
        steps.extend(flow)
    assert not any(isinstance(step, Send) for step in steps)


def effects(service: FakeService, effect: str) -> int:
    return [name for name, _ in service.effects].count(effect)


def test_in_the_first_try_limits_without_sense_are_said_before_any_call(service: FakeService) -> None:
    policy = InvalidInputError("max_restarts makes no sense.")
    with pytest.raises(InvalidInputError, match="makes no sense"):  # raised by the very first step
        whole(service, policy=policy, wanted={"again": False})
    assert service.effects == []


def test_after_the_time_that_is_allowed_nothing_is_started(service: FakeService) -> None:
    drive(service, answered(life(service), left))
    service.now += 120
    fed = whole(service, wait=WaitPlan(known=True, deadline=service.now))
    assert isinstance(fed.error, DeadlineError)
    assert effects(service, "billed_start") == 0


def test_the_analysis_is_waited_for_with_its_own_interval_and_never_a_longer_one(service: FakeService) -> None:
    for poll_interval, analysis_poll_interval, expected in [(60.0, 5.0, [5.0, 60.0]), (3.0, 5.0, [3.0, 3.0])]:
        seen: list[Await] = []
        plan = {"wait": WaitPlan(poll_interval), "analysis_poll_interval": analysis_poll_interval}
        other = FakeService(service.api)
        drive(other, answered(life(other, **plan), in_place(other, seen)))
        assert [asked.plan.poll_interval for asked in seen] == expected


def test_what_was_started_is_told_before_the_wait(service: FakeService) -> None:
    """A kill during the wait has to know that the request runs."""
    last: list[Snapshot] = []

    def answer(asked: Await) -> Flow[Waited | None]:
        yield from ()
        if asked.target == "DONE":
            assert last[-1].started
            return None
        return (yield from wait(generation(service.api), asked.request_id, asked.target, asked.plan))

    assert isinstance(run(service, life(service, listener=Listener(read=last.append)), answer)._result, Await)


def test_a_restart_is_counted_though_its_marker_was_edited_away() -> None:
    """By the state of the wait, and by the marker where another process goes on."""
    service = FakeService("v1")
    service.outcome = "PARTIAL"
    policy = Policy(max_restarts=1)
    api, woken = generation("v1"), None
    for _ in range(20):
        fed = drive(service, answered(life(service, woken, policy=policy), left))
        if fed.error is not None:
            break
        asked = fed.result
        waited = drive(service, wait(api, asked.request_id, asked.target, asked.plan)).result
        if effects(service, "restarted"):
            waited = replace(waited, job=replace(waited.job, description="Edited by hand"))
        woken = Woken(waited, asked.state)
    assert isinstance(fed.error, JobPartialError)
    assert effects(service, "restarted") == 1


def test_another_process_waits_out_a_reading_of_before_the_restart() -> None:
    service = FakeService("v1")
    service.outcome = "PARTIAL"
    asked: list[Await] = []

    def until_restarted(one: Await) -> Flow[Waited | None]:
        yield from ()
        if effects(service, "restarted"):
            return None
        return (yield from wait(generation("v1"), one.request_id, one.target, one.plan))

    policy = Policy(max_restarts=1)
    drive(service, answered(life(service, policy=policy), until_restarted))
    fed = drive(service, answered(life(service, policy=policy), in_place(service, asked)))
    assert isinstance(fed.error, JobPartialError)
    assert [one.plan.stale_partial for one in asked] == [STALE_PARTIAL]
    assert not any("restarting" in words for words in fed.warnings)
    assert effects(service, "restarted") == 1


def test_tiles_at_work_are_waited_for_once_in_parts_too(service: FakeService) -> None:
    service.outcome = "PARTIAL"

    def unfinished(api: Any, job: Snapshot, must: bool) -> Flow[TileResults]:
        yield from nothing()
        return TileResults(job, 9, 7, 1, ("31UFS_0",), 9.0, True, 0, (("31UFS_1", "PROCESSING"),))

    fed, targets = in_parts(service, read_results=unfinished)
    assert "31UFS_1 (PROCESSING)" in str(fed.error)
    assert targets == ["ANALYSIS_DONE", "DONE", "DONE"]

    other, seen = FakeService(service.api), list[Await]()
    other.outcome = "PARTIAL"
    patient = WaitPlan(known=True, max_unknown_time=77.0)
    drive(other, answered(life(other, read_results=unfinished, wait=patient), in_place(other, seen)))
    assert [asked.plan.stale_partial for asked in seen] == [0.0, 0.0, 77.0], "as long as the last tiles may take"


def test_the_failed_part_may_cost_what_is_left() -> None:
    """Also in the error; the service says of each request that it has cost 1 PU."""
    service, seen = FakeService("v2"), list[Await]()
    service.outcome = "PARTIAL"
    policy = Policy(20.0, max_restarts=2)
    drive(service, answered(life(service, policy=policy), in_place(service, seen)))
    assert [asked.plan.max_cost for asked in seen if asked.target == "DONE"] == [20.0, 19.0, 18.0]

    first = next(iter(service.jobs.values()))
    assert first.running(service.now) is False
    spent = [asked for asked in seen if asked.target == "DONE"][-1]
    job = drive(service, wait(generation("v2"), spent.request_id, "DONE", WaitPlan())).result.job
    woken = Woken(Waited(Outcome.OVER_BUDGET, replace(job, cost=18.5)), spent.state)
    fed = drive(service, answered(life(service, woken, policy=policy), left))
    assert "has cost 3 PU with the requests that it continues (2 PU)" in str(fed.error)


def test_what_a_failed_job_has_cost_is_told() -> None:
    service, spent = FakeService("v2"), list[float]()
    service.outcome = "FAILED"
    fed = run(service, life(service, listener=Listener(spent=spent.append)))
    assert isinstance(fed.error, JobError)
    assert spent == [1.0]


def test_a_cost_that_was_seen_too_late_is_a_warning() -> None:
    for limit, expected in [(8.0, True), (9.0, False)]:
        fed = whole(FakeService("v2"), policy=Policy(limit))
        assert fed.result["status"] == "DONE"
        assert (
            any("has cost 9 of 8 PU: no reading showed that before its end" in words for words in fed.warnings)
            is expected
        )


def test_a_step_that_may_not_start_its_request_starts_the_one_that_does_the_failed_part() -> None:
    service = FakeService("v2")
    service.outcome = "PARTIAL"
    drive(service, answered(life(service), in_place(service)))
    (number,) = service.jobs
    service.outcome = "DONE"
    fed = whole(service, request_id=number, may_start=False, policy=Policy(max_restarts=1))
    assert fed.result["status"] == "DONE"
    assert fed.result["request_id"] != number
    assert effects(service, "billed_start") == 2


def test_a_failed_part_that_fails_leaves_what_is_there_and_its_cost_counts() -> None:
    service = FakeService("v2")

    def one_failed(api: Any, job: Snapshot, must: bool) -> Flow[TileResults]:
        yield from nothing()
        service.outcome = "FAILED"  # from now on
        return TileResults(job, 9, 8, 1, ("31UFS_0",), 9.0, True, 0)

    fed = whole(service, read_results=one_failed, policy=Policy(max_restarts=1, on_partial="accept"))
    result = {name: fed.result[name] for name in ("status", "failed", "processing_units", "restarts")}
    assert result == {"status": "DONE", "failed": 1, "processing_units": 10.0, "restarts": 1}
    assert effects(service, "billed_start") == 2


def test_what_would_cost_too_much_has_brought_nothing_to_be_read(service: FakeService) -> None:
    def never(api: Any, job: Snapshot, must: bool) -> Flow[TileResults]:
        raise AssertionError("There is nothing to read.")

    asked = drive(service, answered(life(service), left)).result
    waited = drive(service, wait(generation(service.api), asked.request_id, asked.target, asked.plan)).result
    woken = Woken(replace(waited, job=replace(waited.job, estimate=300.0, cost=None)), asked.state)
    fed = drive(service, answered(life(service, woken, policy=Policy(99.0), read_results=never), left))
    assert "would cost about 100 PU" in str(fed.error)
    assert [effect for effect, _ in service.effects] == ["created"]


@pytest.mark.parametrize(("policy", "must"), [("fail", False), ("skip", False), ("stop", True)])
def test_what_was_stopped_over_the_budget_is_read_and_told(policy: str, must: bool) -> None:
    """It is STOPPED already: by an earlier try, or by the trigger. The results must be known only to succeed."""
    service, asked_for, told = FakeService("v2"), list[bool](), list[Any]()

    def some(api: Any, job: Snapshot, must: bool) -> Flow[TileResults]:
        asked_for.append(must)
        return (yield from brought(api, job, must))

    asked = drive(service, answered(life(service), left)).result
    waited = drive(service, wait(generation("v2"), asked.request_id, asked.target, asked.plan)).result
    ended = replace(waited.job, status=BatchRequestStatus.STOPPED, user_action=BatchUserAction.STOP, cost=30.0)
    service.jobs[asked.request_id].become(service.now, State(service.now, "STOPPED", "STOP"))
    woken = Woken(Waited(Outcome.OVER_BUDGET, ended), asked.state)
    how: dict[str, Any] = {"policy": Policy(20.0, on_over_budget=policy), "read_results": some}
    fed = run(service, life(service, woken, listener=Listener(reported=told.append), **how))
    assert (asked_for, len(told)) == ([must], 1)
    assert fed._result["status"] == "STOPPED" if must else isinstance(fed.error, OverBudgetError)


def test_a_job_that_has_failed_before_the_time_was_over_has_failed(service: FakeService) -> None:
    service.outcome = "FAILED"
    whole(service)
    (number,) = service.jobs
    fed = whole(service, request_id=number, wait=WaitPlan(known=True, deadline=service.now))
    assert isinstance(fed.error, JobError)
    assert not isinstance(fed.error, DeadlineError)


@pytest.mark.parametrize(("resume", "seconds"), [("if_accepted", 0.0), ("when_accepted", 1800.0)])
def test_a_refused_resumption_is_waited_out_by_choice_only(resume: str, seconds: float) -> None:
    stopped = v2("STOPPED", "STOP", stoppedStatusReason="UNHEALTHY")

    def refusing_starts(call: Call[Any]) -> Reply:
        return ok(stopped) if call.method == "GET" else error(400, "It cannot be started again yet.")

    service = FakeService("v2")
    flow = answered(life(service, request_id=ID, resume_stopped=resume), in_place(service))
    fed = drive(service, flow, refusing_starts)
    assert "refuses to start it again" in str(fed.error)
    assert seconds <= fed.waited <= seconds * 1.1


# The request of a task


def refusing(*_: Any) -> Flow[None]:
    raise InvalidInputError("There is no such grid.")
    yield


def test_what_is_wrong_with_a_payload_is_said_before_the_create(service: FakeService) -> None:
    fed = whole(service, wanted={"checks": refusing})
    assert "no such grid" in str(fed.error)
    assert service.effects == []


def test_what_cannot_be_rendered_is_said_at_once_where_no_try_came_before(service: FakeService) -> None:
    def unfit(api: Any) -> dict[str, Any]:
        raise InvalidInputError("There is no such file.")

    with pytest.raises(InvalidInputError, match="no such file"):  # raised by the very first step
        whole(service, wanted={"render": unfit, "again": False})
    fed = whole(service, wanted={"render": unfit})
    assert "no such file" in str(fed.error)
    assert fed.calls, "it has looked first"


@pytest.mark.parametrize("restart", [False, True])
def test_a_request_that_goes_on_with_another_one(restart: bool) -> None:
    """It writes where the first of all of them has written, and a restart is counted."""
    service, api = FakeService("v2"), generation("v2")
    for number in range(2):
        mark = replace(MARK, job="aaaaaaaa", restarts=number, continues=next(iter(service.jobs), ""))
        service._really(api.create({"description": marked("max NDVI", mark), "output": PLACE}), service.now)
    root, before = service.jobs
    first = drive(service, exchange(api.get(before))).result
    payload = {"description": "max NDVI", "output": {**PLACE, "delivery": {"s3": {"url": "s3://maps/<requestId>"}}}}
    fed = drive(service, continue_with(api, Wanted(lambda api: payload, nothing, MARK), first, restart=restart))
    assert (fed.result.mark.restarts, fed.result.mark.continues) == (1 + restart, before)
    (sent,) = [call.json for call in fed.sent if call.method == "POST" and call.path.endswith("/process")]
    assert isinstance(sent, dict)
    assert sent["output"]["delivery"]["s3"]["url"] == f"s3://maps/{root}"


@pytest.mark.parametrize(("parts", "goes_on"), [(1, False), (2, True)])
def test_only_a_request_that_was_started_keeps_a_task_in_the_other_generation(parts: int, goes_on: bool) -> None:
    there, here = FakeService("v1"), FakeService("v2")
    asked: list[Await] = []

    def answer(one: Await) -> Flow[Waited | None]:
        yield from ()
        asked.append(one)
        if len(asked) == parts:
            return None
        return (yield from wait(generation("v1"), one.request_id, one.target, one.plan))

    drive(there, answered(life(there), answer))
    here.now = there.now
    payload = {"description": "max NDVI", "processRequest": {}, "output": PLACE}
    wanted = Wanted(lambda api: payload, nothing, MARK, again=True, elsewhere=(generation("v1"),))
    by_path = {"v1": there, "v2": here}
    fed = drive(
        here,
        find_own(generation("v2"), wanted),
        lambda call: by_path["v1" if "/v1/" in call.path else "v2"].answer(call),
    )
    assert fed.result.api.name == ("v1" if goes_on else "v2")
    assert effects(here, "created") == (not goes_on)


def priced(asked: list[str], *prices: float) -> Callable[[], Estimating]:
    """Requests are expected to cost these PU, in the order in which they come. :param asked: the id of each."""
    known: dict[str, Estimate] = {}

    def estimate(api: Any, job: Snapshot, payload: Any) -> Estimate:
        asked.append(job.request_id)
        if job.request_id not in known:
            known[job.request_id] = Estimate(prices[len(known)], prices[len(known)], ())
        return known[job.request_id]

    return lambda: estimate


def test_the_failed_part_has_a_price_of_its_own_and_the_job_that_of_its_first_request() -> None:
    """A budget is compared with what the new request will cost, not once more with the cost of the whole job."""
    service, asked, told = FakeService("v2"), list[str](), list[Price]()
    service.outcome = "PARTIAL"
    policy = Policy(12.5, max_restarts=1, on_partial="accept")
    listener = Listener(priced=told.append)
    fed = run(service, life(service, estimating=priced(asked, 12.0, 2.0), policy=policy, listener=listener))
    assert (fed.result["restarts"], effects(service, "billed_start")) == (1, 2)
    assert asked == list(service.jobs)
    assert (fed.result["expected_pu"], [price.low for price in told]) == (12.0, [12.0])


def test_a_required_estimate_reads_the_bucket_though_the_results_are_not_read() -> None:
    policy = Policy(require_estimate=True, unread_by="check_tiles")
    fed = whole(FakeService("v2"), policy=policy, estimating=priced([], 12.0))
    assert (fed.error, fed.result["expected_pu"]) == (None, 12.0)


def test_a_job_that_is_over_the_budget_of_the_month_takes_its_note_back(service: FakeService) -> None:
    """The note that it is about to start would count against the other jobs of the DAG."""
    dag = OfDag("d" * 8, (generation(service.api),))
    fed = whole(service, estimating=priced([], 12.0), policy=Policy(max_per_month=11.0), dag=dag)
    assert isinstance(fed.error, OverBudgetError)
    (job,) = service.jobs.values()
    notes = [mark.reserved is not None for _, text in job.words if (mark := mark_of(text))]
    assert notes == [False, True, False]
    assert effects(service, "billed_start") == 0


def test_the_price_is_known_after_a_wait_in_another_process(service: FakeService) -> None:
    asked: list[str] = []
    fed, _ = in_parts(service, estimating=priced(asked, 12.0, 99.0))
    assert (fed.result["expected_pu"], len(asked)) == (12.0, 1)


@pytest.mark.parametrize(
    ("limits", "asked_for"),
    [({}, 0), ({"max_processing_units": 99.0}, 1), ({"max_per_month": 99.0}, 1), ({"require_estimate": True}, 1)],
    ids=str,
)
def test_where_the_results_are_not_read_the_bucket_is_read_for_a_limit_that_needs_the_price(
    limits: dict[str, Any], asked_for: int
) -> None:
    service, asked = FakeService("v2"), list[str]()
    policy = Policy(unread_by="check_tiles", **limits)
    fed = whole(service, policy=policy, estimating=priced(asked, 12.0))
    assert (fed.result["status"], len(asked)) == ("DONE", asked_for)


def test_a_later_try_asks_for_the_price_of_the_first_request_of_the_job() -> None:
    """An earlier one has been killed while the failed part was processed; the price was known to it alone."""
    service, asked = FakeService("v2"), list[str]()
    service.outcome = "PARTIAL"
    policy, waits = Policy(max_restarts=1, on_partial="accept"), in_place(service)

    def killed(awaited: Await) -> Flow[Waited | None]:
        return left(awaited) if len(service.jobs) > 1 and awaited.target == "DONE" else waits(awaited)

    drive(service, answered(life(service, policy=policy), killed))
    first, second = service.jobs
    fed = whole(service, policy=policy, estimating=priced(asked, 12.0))
    assert (fed.result["request_id"], fed.result["expected_pu"], asked) == (second, 12.0, [first])


def test_a_job_that_was_stopped_for_its_budget_goes_on_by_a_request_for_the_rest() -> None:
    """Once the budget is higher: the service says of each request that it has cost 1 PU."""
    service = FakeService("v2")

    def wanted(limit: float) -> dict[str, Any]:
        return {"mark": replace(MARK, limit=limit), "stopped": Stopped(limit)}

    asked = drive(service, answered(life(service, wanted=wanted(0.5)), in_place_until("DONE", service))).result
    service.jobs[asked.request_id].become(service.now, State(service.now, "STOPPED", "STOP"))
    fed = whole(service, wanted=wanted(5.0), policy=Policy(5.0))
    assert fed.result["request_id"] != asked.request_id
    assert (fed.result["status"], effects(service, "billed_start")) == ("DONE", 2)
    assert any("was stopped for its budget; 1 PU of 5 PU are spent" in words for words in fed.warnings)


@pytest.mark.parametrize("old", [False, True])
def test_a_request_that_cannot_be_new_is_soon_said_to_be_missing(service: FakeService, old: bool) -> None:
    fed = whole(service, request_id=ID, old_request=old)
    assert isinstance(fed.error, NotFoundError)
    assert (sum(OLD_REQUEST_404) <= fed.waited < sum(NEW_REQUEST_404)) is old


@pytest.mark.parametrize("may_start", [False, True])
def test_a_step_after_another_one_waits_for_a_service_that_has_just_answered(may_start: bool) -> None:
    """A first try without another one before it says soon that nothing answers at the address."""
    service = FakeService("v2")
    number = drive(service, answered(life(service), in_place_until("DONE", service))).result.request_id
    begun = service.now

    def answer(call: Call[Any]) -> Reply | Lost:
        away = service.now < begun + 10 * SILENCE
        return Lost("refused", False, nowhere="Nothing answers at h.") if away else service.answer(call)

    flow = answered(life(service, request_id=number, may_start=may_start, wanted={"again": False}), in_place(service))
    fed = drive(service, flow, answer)
    assert isinstance(fed.error, UnknownStateError) if may_start else fed.result["status"] == "DONE"


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


def test_a_job_that_has_changed_since_its_request_was_started_is_said_with_a_warning(service: FakeService) -> None:
    """A script that is run again under the same name, or a retry after an edit: the old results are what it gets."""
    assert whole(service).error is None
    other: dict[str, Any] = {"description": "other", "processRequest": {"evalscript": "//VERSION=3"}, "output": PLACE}
    api = generation(service.api)
    flow = find_own(api, Wanted(lambda api: other, nothing, MARK, again=True))
    notes: list[Note] = []

    def noted(inner: Flow[Any]) -> Flow[Any]:
        step = next(inner)
        try:
            while True:
                if isinstance(step, Note):
                    notes.append(step)
                step = inner.send((yield step))
        except StopIteration as end:
            return end.value

    drive(service, noted(flow))
    (going_on,) = [note for note in notes if "Going on with" in note.message]
    assert going_on.warning
    assert "though the job has changed" in going_on.message


def test_another_kind_of_job_is_a_value_that_the_flow_is_given() -> None:
    """Nothing in the flows or decisions asks for the name of a generation."""
    service = FakeService("v2")
    kind = replace(generation("v2"), name="mosaics", end_word="halt")
    payload: dict[str, Any] = {"description": "max NDVI", "processRequest": {}, "output": PLACE}
    plan = JobPlan(policy=Policy(), read_results=brought, wait=WaitPlan(known=True))
    flow = run_job(kind, Wanted(lambda api: payload, nothing, MARK), plan)
    fed = drive(service, answered(flow, lambda asked: wait(kind, asked.request_id, asked.target, asked.plan)))
    assert fed.error is None
    assert fed.result["status"] == "DONE"
    assert effects(service, "billed_start") == 1
