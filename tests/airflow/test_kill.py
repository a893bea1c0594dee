"""Who is told to end finds out why before it cancels: the whole table, on a worker and in the triggerer.

What Airflow answers is put in here; that it does answer so is shown by real processes in tests/chaos.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub import cancel
from airflow_sentinelhub._compat import AirflowTaskTimeout
from airflow_sentinelhub._compat.task_state import NO_ANSWER, TaskState
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.flows import wait as flows_wait
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.exceptions import UnknownStateError
from airflow_sentinelhub.operators import _waiting as operators_waiting
from airflow_sentinelhub.operators.batch import SentinelHubRestartBatchOperator, SentinelHubStartBatchOperator
from airflow_sentinelhub.transport import finish
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.sync import Interrupted
from airflow_sentinelhub.triggers import batch as triggers
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from tests.airflow.conftest import TaskDeferred, import_string
from tests.airflow.job import RETRY, creating, job, v1, v2

ENDED = [TaskState(True, state) for state in ("failed", "success", "skipped", "removed")] + [
    TaskState(True, None, False)
]
LEFT = [
    TaskState(True, state)
    for state in ("running", "queued", "scheduled", "restarting", "up_for_retry", "up_for_reschedule", "deferred", None)
]


def table(*left: TaskState) -> Any:
    """What Airflow answers, and whether the job is ended then. :param left: further answers at which it is not."""
    return pytest.mark.parametrize(
        ("state", "ended"),
        [(state, True) for state in ENDED] + [(state, False) for state in (*LEFT, *left)],
        ids=lambda value: (
            f"{value.state}-{value.exists}-{value.answered}" if isinstance(value, TaskState) else str(value)
        ),
    )


WORD = {"v1": "cancel", "v2": "stop"}


def asked(bench: Any) -> bool:
    return bool({"cancelled", "stopped"} & set(bench.effects()))


@pytest.fixture
def processing(bench: Any) -> str:
    request_id: str = bench.started()
    bench.clock.sleep(60)
    assert bench.status(request_id) == "PROCESSING"
    return request_id


@pytest.fixture
def airflow_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[TaskState], None]:
    def say(state: TaskState) -> None:
        async def in_triggerer(*_: Any) -> TaskState:
            return state

        monkeypatch.setattr(cancel, "state_in_worker", lambda *_: state)
        monkeypatch.setattr(cancel, "state_in_triggerer", in_triggerer)

    return say


Say = Callable[[TaskState], None]
Logged = Callable[[], str]


def trigger(bench: Any, request_id: str, **more: Any) -> Any:
    made: Any = SentinelHubBatchTrigger(
        sentinelhub_conn_id="sentinelhub_default",
        batch_api=bench.api,
        request_id=request_id,
        **{"cancel_on_kill": True, **more},
    )
    path, arguments = made.serialize()
    made = import_string(path)(**json.loads(json.dumps(arguments)))  # as the triggerer builds it
    made.task_instance = bench.context()["ti"]
    return made


# On a worker


def on_worker(bench: Any, request_id: str, **more: Any) -> Any:
    operator = job(bench, **more)()
    operator.responsible_for(request_id, bench.context())
    return operator


@table(NO_ANSWER)
def test_on_a_worker(
    bench: Any, processing: str, airflow_says: Say, logged: Logged, state: TaskState, ended: bool
) -> None:
    airflow_says(state)
    on_worker(bench, processing).on_kill()
    assert asked(bench) == ended
    assert (processing if ended else f"Did not {WORD[bench.api]} batch request {processing}") in logged()


def test_on_a_worker_that_is_to_keep_its_job(bench: Any, processing: str, airflow_says: Say, logged: Logged) -> None:
    airflow_says(TaskState(True, "failed"))
    on_worker(bench, processing, cancel_on_kill=False).on_kill()
    assert not asked(bench)
    assert "(cancel_on_kill is off): if it was started, it runs on and bills" in logged()


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_job_that_is_done_is_not_said_to_run_on(
    bench: Any, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    """As when the task is ended while its results are read."""
    airflow_says(TaskState(True, "failed"))
    made: list[Any] = []

    def operator() -> Any:
        made.append(job(bench, deferrable=deferrable)())
        monkeypatch.setattr(made[-1], "_reported", lambda *_: made[-1].on_kill())
        return made[-1]

    bench.run(operator)
    assert f"is DONE, so there is nothing to {WORD[bench.api]}" in logged()
    assert "runs on and bills" not in logged()
    assert not asked(bench)


@pytest.mark.parametrize("deferrable", [True, False])
def test_nor_is_that_of_a_step(
    bench: Any, processing: str, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    """The step is ended after its wait, in the worker or in the triggerer, and before it has returned its result."""
    airflow_says(TaskState(True, "failed"))
    given = {"request_id": processing, "wait_for_completion": True, "deferrable": deferrable}

    def operator() -> Any:
        made = SentinelHubStartBatchOperator(task_id="start", **given)
        done = made._done
        monkeypatch.setattr(made, "_done", lambda read: made.on_kill() or done(read))
        return made

    bench.run(operator)
    assert f"is DONE, so there is nothing to {WORD[bench.api]}" in logged()
    assert not asked(bench)


@v1
def test_nor_is_one_that_was_done_before_its_restart(
    bench: Any, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is ended after it has seen that there is nothing to restart, and before it waits."""
    airflow_says(TaskState(True, "failed"))
    step: Any = SentinelHubRestartBatchOperator(task_id="t", request_id=bench.ended(), wait_for_completion=True)
    monkeypatch.setattr(step, "wait_for", lambda *_, **__: step.on_kill() or step.known)
    step.execute(bench.context())
    assert "is DONE, so there is nothing to cancel" in logged()


def test_a_step_answers_for_its_request_when_its_wait_in_the_triggerer_has_failed(
    bench: Any, processing: str, airflow_says: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service could not be reached, so the request may run; the step is ended while it says so."""
    airflow_says(TaskState(True, "failed"))
    bench.sim.settings(tile_seconds=4000.0)
    given = {"wait_for_completion": True, "deferrable": True, "max_unknown_time": 60.0}
    step: Any = SentinelHubStartBatchOperator(task_id="start", request_id=processing, **given)
    with pytest.raises(TaskDeferred) as deferred:
        step.execute(bench.context())
    bench.sim.fault("status", f"{processing}$", method="GET", status=503, times=None)
    event = bench.fire(deferred.value.trigger)
    assert event["outcome"] == "unknown"
    bench.sim.clear_faults()
    again: Any = SentinelHubStartBatchOperator(task_id="start", request_id=processing, **given)
    read = operators_waiting.read_event
    monkeypatch.setattr(operators_waiting, "read_event", lambda *told: again.on_kill() or read(*told))
    with pytest.raises(UnknownStateError, match="It was left alone: if it was started, it runs on"):
        again.resume_execution("execute_complete", {"event": event}, bench.context())
    assert asked(bench)


@pytest.mark.parametrize("end", ["PARTIAL", "FAILED", "STOPPED"])
def test_an_end_that_was_read_before_a_restart_does_not_keep_the_job_from_being_ended(
    bench: Any, processing: str, airflow_says: Say, end: str
) -> None:
    """The task is ended after it has restarted the failed part, or gone on with a stopped job, and before it reads."""
    airflow_says(TaskState(True, "failed"))
    operator = on_worker(bench, processing)
    shown = bench.hook.run(read(generation(bench.api), processing))
    operator.known = replace(shown, status=BatchRequestStatus(end))
    operator.on_kill()
    assert asked(bench)


def test_a_request_that_is_done_does_not_keep_the_one_that_does_its_failed_part_from_being_ended(
    bench: Any, processing: str, airflow_says: Say
) -> None:
    """The task is ended after it has begun to answer for the second request, and before it has read that."""
    airflow_says(TaskState(True, "failed"))
    operator = on_worker(bench, processing)
    shown = bench.hook.run(read(generation(bench.api), processing))
    first = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
    operator.known = replace(shown, request_id=first, status=BatchRequestStatus.DONE)
    operator.on_kill()
    assert asked(bench)


@pytest.mark.parametrize("cancel", [True, False])
def test_an_execution_timeout_on_a_worker(bench: Any, processing: str, airflow_says: Say, cancel: bool) -> None:
    """Airflow says `running` then: it is the error that tells."""
    airflow_says(TaskState(True, "running"))
    operator = on_worker(bench, processing, cancel_on_timeout=cancel, cancel_on_kill=not cancel)
    try:
        raise AirflowTaskTimeout("the time is over")
    except AirflowTaskTimeout:
        operator.on_kill()
    assert asked(bench) == cancel


def test_a_task_without_a_request_has_nothing_to_end(bench: Any, airflow_says: Say) -> None:
    airflow_says(TaskState(True, "failed"))
    job(bench)().on_kill()
    assert bench.effects() == []


@pytest.mark.parametrize(("state", "left"), [("failed", True), ("restarting", False)])
def test_a_task_that_still_looks_for_its_request_has_it_found_and_ended(
    bench: Any, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch, state: str, left: bool
) -> None:
    """A retry beside a job that an earlier try has started; the process that is left behind runs for real here."""
    started = bench.made(creating(bench), bench.context())
    bench.act(started, "start")
    bench.clock.sleep(60)
    airflow_says(TaskState(True, state))
    told: list[str] = []
    monkeypatch.setattr(finish.subprocess, "Popen", lambda *_, **__: Told(told))
    operator = job(bench)()
    bench.sim.fault("status", "/process$", method="GET", status=503, times=None)
    context = bench.context(**RETRY)
    bench.clock.at(5, operator.on_kill)
    with pytest.raises(Interrupted):
        operator.execute(context)
    assert bool(told) == left
    searches, leaves = "searches in the background for requests with afx", "in its description (the task is restarting)"
    assert (searches if left else leaves) in logged()
    bench.sim.clear_faults()
    if left:
        monkeypatch.setattr("sys.stdin", io.StringIO(told[0]))
        assert finish.main() == 0
    assert asked(bench) == left


def test_a_kill_after_the_look_in_the_other_generation_ends_what_was_found_there(
    bench: Any, airflow_says: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`batch_api` was edited between the tries; the task is killed before it has settled on its request."""
    bench.act(bench.made(creating(bench), bench.context()), "start")
    bench.clock.sleep(60)
    bench.connect(batch_api="v1" if bench.api == "v2" else "v2")
    airflow_says(TaskState(True, "failed"))
    told: list[str] = []
    monkeypatch.setattr(finish.subprocess, "Popen", lambda *_, **__: Told(told))
    operator = job(bench)()
    monkeypatch.setattr(operator.__class__, "payload", lambda self, *_: self.on_kill())
    with pytest.raises(Interrupted):
        operator.execute(bench.context(**RETRY))
    monkeypatch.setattr("sys.stdin", io.StringIO(told[0]))
    assert finish.main() == 0
    assert asked(bench)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_task_that_is_ended_at_a_look_does_not_go_on_to_defer(
    bench: Any, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    airflow_says(TaskState(True, "failed"))
    monkeypatch.setattr(finish.subprocess, "Popen", lambda *_, **__: Told([]))  # v2 refuses to stop what is not started
    operator = job(bench, deferrable=deferrable)()
    answer = operator._answer
    monkeypatch.setattr(operator, "_answer", lambda awaited: operator.on_kill() or answer(awaited))
    with pytest.raises(Interrupted):
        operator.execute(bench.context())
    assert "cannot be read" not in logged()


def test_a_task_that_was_given_its_request_answers_for_it_before_it_can_be_read(
    bench: Any, processing: str, airflow_says: Say
) -> None:
    """`finish` of the group, say, marked failed while the service is out of reach."""
    airflow_says(TaskState(True, "failed"))
    operator = job(bench, request_id=processing)()
    bench.sim.fault("status", f"{processing}$", method="GET", status=503, times=None)
    bench.clock.at(5, operator.on_kill)
    with pytest.raises(Interrupted):
        operator.execute(bench.context())
    assert asked(bench)


def test_a_task_that_is_ended_at_its_deadline_says_nothing_of_its_request(
    bench: Any, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill comes while the request is being ended: what becomes of that is left to the next try."""
    airflow_says(TaskState(True, "restarting"))
    bench.sim.settings(tile_seconds=4000.0)
    operator = job(bench, timeout=150)()
    end = flows_wait.end
    monkeypatch.setattr(flows_wait, "end", lambda *given: operator.on_kill() or end(*given))
    with pytest.raises(Interrupted):
        operator.execute(bench.context())
    assert "could not be ended" not in logged()


class Told:
    """Stands for the process that is left behind: keeps what it is told."""

    pid = 4711

    def __init__(self, told: list[str]) -> None:
        self.stdin, self._told = self, told

    def write(self, data: bytes) -> None:
        self._told.append(data.decode())

    def close(self) -> None:
        pass


@pytest.mark.parametrize("wait", [True, False])
def test_a_step_that_waits_is_responsible_before_it_starts(bench: Any, airflow_says: Say, wait: bool) -> None:
    """A hand that comes while the step still looks: nothing is started any more, and what waits is ended."""
    request_id = bench.create()
    bench.act(request_id, "analyse")
    bench.clock.sleep(60)
    airflow_says(TaskState(True, "failed"))
    step = SentinelHubStartBatchOperator(task_id="start", request_id=request_id, wait_for_completion=wait)
    bench.clock.at(1, step.on_kill)
    bench.sim.fault("status", f"/{request_id}$", method="GET", status=503, times=2)
    with pytest.raises(Interrupted):
        step.execute(bench.context())
    bench.clock.sleep(30)
    assert asked(bench) == wait
    assert "billed_start" not in bench.effects()


def test_a_step_that_does_not_wait_leaves_what_it_has_started(bench: Any, processing: str, airflow_says: Say) -> None:
    airflow_says(TaskState(True, "failed"))
    start = SentinelHubStartBatchOperator(task_id="start", request_id=processing)
    start.execute(bench.context())
    start.on_kill()
    assert not asked(bench)


@pytest.mark.parametrize("what", ["job", "job of a request", "step"])
def test_a_connection_that_names_another_generation_since_ends_the_request_where_it_is(
    bench: Any, airflow_says: Say, what: str
) -> None:
    """A flow in a worker reads an edited connection when the service refuses the secret, here after its first call."""
    airflow_says(TaskState(True, "failed"))
    given = {} if what == "job" else {"request_id": bench.started()}
    task: Any = job(bench, **given)()
    if what == "step":
        task = SentinelHubStartBatchOperator(task_id="start", wait_for_completion=True, **given)

    def edit() -> None:
        bench.connect(batch_api="v1" if bench.api == "v2" else "v2")
        task.hook._read_again()

    bench.sim.fault("status", "/batch/", status=503, times=1)
    bench.clock.at(0.1, edit)
    bench.clock.at(120, task.on_kill)
    with pytest.raises(Interrupted):
        task.execute(bench.context())
    assert asked(bench)
    bench.clock.sleep(30)
    (request,) = bench.sim.requests()
    assert (request["generation"], request["status"]) in (("v1", "CANCELED"), ("v2", "STOPPED"))
    assert request["generation"] == bench.api


@v2
def test_what_is_refused_on_a_worker_is_left_to_a_process_that_goes_on_asking(
    bench: Any, processing: str, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[tuple[Any, ...]] = []
    monkeypatch.setattr(finish, "leave_behind", lambda *told: left.append(told) or 4711)
    airflow_says(TaskState(True, "failed"))
    bench.sim.fault("status", "/stop$", method="POST", status=400, times=None)
    bench.connect(batch_api="v1")  # the process has no task that would tell it another generation
    on_worker(bench, processing, batch_api="v2").on_kill()
    assert 1 < len(bench.calls("POST", "/stop")) < 6
    assert [(api, number) for _, api, number in left] == [("v2", processing)]
    said = logged()
    assert "process 4711 retries in the background. It gives up after ten minutes." in said
    assert "it is billed until it has ended" in said


@v2
def test_what_is_refused_straight_after_a_start_is_asked_again_while_the_task_lives(
    bench: Any, processing: str, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "leave_behind", lambda *told: pytest.fail("a process was left behind"))
    airflow_says(TaskState(True, "failed"))
    bench.sim.fault("status", "/stop$", method="POST", status=400, times=2)
    on_worker(bench, processing).on_kill()
    assert asked(bench)
    assert "Sentinel Hub accepted" in logged()


def test_in_a_pod_nothing_is_promised_that_the_pod_may_not_live_to_keep(
    bench: Any, processing: str, airflow_says: Say, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "leave_behind", lambda *told: 4711)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    airflow_says(TaskState(True, "failed"))
    bench.sim.fault("status", "/(stop|cancel)$", method="POST", status=503, times=None)
    on_worker(bench, processing).on_kill()
    said = logged()
    assert "or when this pod ends: with the KubernetesExecutor the pod ends with the task" in said
    assert "the request by hand" in said


@pytest.mark.parametrize("known", [True, False], ids=["the request", "the marker"])
def test_the_process_that_is_left_behind_outlasts_a_refusal(
    bench: Any, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Rights that are refused for a moment: the request would run on and bill, and nobody else ends it."""
    request_id = bench.made(creating(bench), bench.context())
    bench.act(request_id, "start")
    bench.clock.sleep(60)
    told: list[str] = []
    monkeypatch.setattr(finish.subprocess, "Popen", lambda *_, **__: Told(told))
    mark = mark_of(bench.hook.run(read(generation(bench.api), request_id)).description)
    given = {"request_id": request_id} if known else {"mark": str(mark)}
    finish.leave_behind(bench.hook.settings, bench.api, **given)
    bench.sim.fault("status", "/(stop|cancel)$", method="POST", status=403, times=2)
    monkeypatch.setattr("sys.stdin", io.StringIO(told[0]))
    assert finish.main() == 0
    assert asked(bench)


def test_the_process_that_is_left_behind_is_no_part_of_the_session_of_its_task(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow ends the process group of a task that is killed."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o700)
    monkeypatch.setattr(finish.sys, "executable", str(python))
    left = finish.leave_behind(bench.hook.settings, bench.api, "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10")
    try:
        assert os.getsid(left) == left
    finally:
        os.kill(left, signal.SIGKILL)


# In the triggerer


doors = pytest.mark.parametrize("door", ["on_kill", "cleanup"])


@table()
@doors
def test_in_the_triggerer(
    bench: Any, processing: str, airflow_says: Say, logged: Logged, state: TaskState, ended: bool, door: str
) -> None:
    airflow_says(state)
    asyncio.run(getattr(trigger(bench, processing), door)())
    assert asked(bench) == ended
    assert (processing if ended else "another trigger or the next try of its task waits for it") in logged()


Answers = Callable[[], Awaitable[TaskState]]


@pytest.fixture
def airflow_answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], None]:
    """Airflow answers a trigger so; whoever ends a trigger waits for the first answer only for a moment."""

    def answers(answer: Answers) -> None:
        monkeypatch.setattr(cancel, "state_in_triggerer", lambda *_: answer())
        monkeypatch.setattr(cancel, "AGAIN_AFTER", 0.001)
        for wait in ("ANSWER_WITHIN", "ANSWER_AFTER_KILL"):
            monkeypatch.setattr(triggers, wait, 0.01)

    return answers


async def until_decided() -> None:
    await asyncio.gather(*PROCESS.background)


@pytest.mark.parametrize(("state", "ended"), [("failed", True), ("deferred", False)])
@doors
def test_an_airflow_that_answers_late_still_has_the_job_of_a_failed_task_ended(
    bench: Any,
    processing: str,
    airflow_answers: Callable[[Answers], None],
    logged: Logged,
    state: str,
    ended: bool,
    door: str,
) -> None:
    """As on a machine that is busy: a user has marked the task failed, and nobody else would end its job."""

    async def story() -> None:
        late = asyncio.Event()

        async def answer() -> TaskState:
            await late.wait()
            return TaskState(True, state)

        airflow_answers(answer)
        await getattr(trigger(bench, processing), door)()
        assert not asked(bench)
        said = logged()
        assert f"Airflow has not answered yet whether a task still waits for batch request {processing}" in said
        assert "another trigger or the next try" not in said, "that is not known"
        late.set()
        await until_decided()

    asyncio.run(story())
    assert asked(bench) == ended
    assert ("another trigger or the next try of its task waits for it" in logged()) != ended


def test_an_airflow_that_cannot_answer_is_asked_again(
    bench: Any, processing: str, airflow_answers: Callable[[Answers], None], logged: Logged
) -> None:
    """As with SQLite, whose file is locked for a moment."""
    replies = [NO_ANSWER] * 3 + [TaskState(True, "failed")]

    async def answer() -> TaskState:
        return replies.pop(0)

    async def story() -> None:
        airflow_answers(answer)
        await trigger(bench, processing).cleanup()
        await until_decided()

    asyncio.run(story())
    assert asked(bench)
    assert replies == []


def test_an_airflow_that_never_answers_has_the_job_left_alone_and_says_so(
    bench: Any,
    processing: str,
    airflow_answers: Callable[[Answers], None],
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancel, "ASKED_FOR", 0.0)

    async def answer() -> TaskState:
        return NO_ANSWER

    async def story() -> None:
        airflow_answers(answer)
        await trigger(bench, processing).cleanup()
        await until_decided()

    asyncio.run(story())
    assert not asked(bench)
    assert f"{processing} (Airflow did not say why, for ten minutes): if it was started, it runs on" in logged()


def test_both_doors_end_a_request_once(bench: Any, processing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[Any] = []

    async def failed(*given: Any) -> TaskState:
        questions.append(given)
        return TaskState(True, "failed")

    monkeypatch.setattr(cancel, "state_in_triggerer", failed)

    async def as_3_3_does() -> None:
        made = trigger(bench, processing)
        await made.on_kill()
        await made.cleanup()

    asyncio.run(as_3_3_does())
    assert len(bench.calls("POST", "/stop" if bench.api == "v2" else "/cancel")) == 1
    assert len(questions) == 1


def test_a_trigger_whose_event_is_out_ends_nothing(bench: Any, processing: str, airflow_says: Say) -> None:
    """Its task decides then, also about a request that is still at work."""
    airflow_says(TaskState(True, "failed"))

    async def fire() -> None:
        made = trigger(bench, processing, target_status="PROCESSING")
        async for _ in made.run():
            pass
        await made.cleanup()

    asyncio.run(fire())
    assert not asked(bench)


@pytest.mark.parametrize("ends", [True, False])
def test_a_trigger_is_to_keep_its_job_if_its_task_says_so(bench: Any, ends: bool) -> None:
    bench.run(job(bench, deferrable=True, cancel_on_kill=ends))
    assert {arguments["cancel_on_kill"] for _, arguments in bench.triggers} == {ends}


def test_a_trigger_that_is_to_keep_its_job(bench: Any, processing: str, airflow_says: Say, logged: Logged) -> None:
    airflow_says(TaskState(True, "failed"))
    asyncio.run(trigger(bench, processing, cancel_on_kill=False).cleanup())
    assert not asked(bench)
    assert "(the task is failed, and cancel_on_kill is off): if it was started, it runs on and bills" in logged()


@v2
def test_a_stop_that_is_refused_or_out_of_reach_comes_about_later(
    bench: Any, processing: str, airflow_says: Say, logged: Logged
) -> None:
    airflow_says(TaskState(True, "failed"))
    bench.sim.fault("status", "/stop$", method="POST", status=400, times=3)
    bench.clock.at(30, lambda: bench.sim.fault("status", "/process/", status=503, times=12))
    asyncio.run(trigger(bench, processing).cleanup())
    assert bench.effects().count("stopped") == 1
    assert f"Batch request {processing} is STOPPED" in logged()
    assert bench.faults_left() == []
