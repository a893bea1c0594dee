"""A user's hand and the clock end a job; the machinery of Airflow never does."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence

import pytest

from dev.cluster import VERSION
from tests.chaos.conftest import Record
from tests.chaos.said import said, says_it_runs_on
from tests.chaos.stage import CELLS, ONE_AT_A_TIME, TASK, Run, Stage, small, together


def mark_failed(stage: Stage, run: Run) -> None:
    stage.cluster.mark(run.dag_id, run.run_id, TASK, "failed")


def mark_success(stage: Stage, run: Run) -> None:
    stage.cluster.mark(run.dag_id, run.run_id, TASK, "success")


def mark_run_failed(stage: Stage, run: Run) -> None:
    stage.cluster.mark_run(run.dag_id, run.run_id, "failed")


HANDS: dict[str, Callable[[Stage, Run], None]] = {
    "task marked failed": mark_failed,
    "run marked failed": mark_run_failed,
    "task marked success": mark_success,
}


def settled(stage: Stage, runs: Sequence[Run], record: Record, row: str) -> None:
    """Every job is ended, once asked for, and was billed once at the most."""
    stage.service.step(120)
    for run in runs:
        request = stage.request(run)
        billed = stage.billed(run)
        ended = "ended" if request["status"] in ("CANCELED", "STOPPED") else request["status"].lower()
        record(row, run.cell, f"{ended}, {billed} start{'s' * (billed != 1)}")
    for run in runs:
        assert stage.request(run)["status"] in ("CANCELED", "STOPPED"), stage.about(run)
        assert stage.billed(run) == 1, stage.about(run)
        assert stage.unattended(run) == []


def kept(stage: Stage, runs: Sequence[Run], record: Record, row: str) -> None:
    """Every job goes on, and somebody has said so."""
    stage.until_all("it is said that the job runs on", runs, lambda run: says_it_runs_on(stage, run), ended=True)
    for run in runs:
        record(row, run.cell, "runs on, and says so" if not stage.asked_to_end(run) else "ended")
    for run in runs:
        assert not stage.asked_to_end(run), stage.about(run)
        assert stage.request(run)["status"] == "PROCESSING", stage.about(run)
        assert stage.billed(run) == 1, stage.about(run)


@pytest.mark.parametrize(
    "hand",
    [
        pytest.param(name, id=name.replace(" ", "-"), marks=small(on_2_11=True) if name == "task marked failed" else [])
        for name in HANDS
    ],
)
def test_a_users_hand_ends_the_job(stage: Stage, record: Record, hand: str) -> None:
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        for run in runs:
            HANDS[hand](stage, run)
        stage.until_all("the job is ended", runs, lambda run: stage.asked_to_end(run), ended=True)
        settled(stage, runs, record, f"{hand}, while processing")


def test_a_job_that_is_ended_at_the_service_is_not_started_again(stage: Stage, record: Record) -> None:
    """Four retries are left, and none pays for another job: a person has ended it."""
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        for run in runs:
            if run.cell.batch_api == "v1":
                stage.service.force(stage.request(run)["id"], "CANCELED")
            else:
                stage.service.force(stage.request(run)["id"], "STOPPED", reason="USER_ACTION")
        until_failed(stage, runs)
        for run in runs:
            billed = stage.billed(run)
            row = "cancelled or stopped by a person at the service"
            record(row, run.cell, f"final error, {billed} start{'s' * (billed != 1)}")
            assert billed == 1, stage.about(run)
            assert stage.unattended(run) == []
            assert "clear the task to run the job anew" in said(stage, run)


def test_a_users_hand_leaves_a_job_that_is_to_be_kept(stage: Stage, record: Record) -> None:
    for cells in together(CELLS):
        runs = stage.begin(cells, "keep")
        stage.reach("processing", runs)
        for run in runs:
            mark_failed(stage, run)
        kept(stage, runs, record, "task marked failed, `cancel_on_kill=False`")


def test_a_stop_that_is_refused_comes_about_later(stage: Stage, record: Record) -> None:
    """Straight after a start the service refuses to end a request; a killed task has no time to ask again."""
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        fault = {"status": 400, "code": "COMMON_BAD_PAYLOAD", "message": "The request cannot be ended just now."}
        stage.service.fault("status", "/(stop|cancel)$", method="POST", times=None, **fault)
        since = stage.now()
        for run in runs:
            mark_failed(stage, run)
        until_refused_twice(stage, runs, since)
        assert not any(stage.asked_to_end(run) for run in runs)
        stage.service.clear_faults()
        stage.until_all("the job is ended", runs, lambda run: stage.asked_to_end(run), ended=True)
        settled(stage, runs, record, "task marked failed, the service refuses to end the job at first")


def until_refused_twice(stage: Stage, runs: Sequence[Run], since: int) -> None:
    def refused(run: Run) -> bool:
        calls = [call for call in stage.calls(run, since) if call["path"].endswith(("/stop", "/cancel"))]
        return sum(call["status"] == 400 for call in calls) >= 2

    stage.until_all("the end is asked for in vain", runs, refused, ended=True)


@pytest.mark.parametrize("limit", ["timeout", "execution"])
@pytest.mark.parametrize("keep", [False, True], ids=["cancelled", "kept"])
def test_the_time_allowed_is_over(stage: Stage, record: Record, limit: str, keep: bool) -> None:
    name = "`timeout`" if limit == "timeout" else "`execution_timeout`"
    for cells in together(CELLS):
        runs = stage.begin(cells, f"{limit}_keep" if keep else limit)
        stage.reach("processing", runs)
        if keep:
            until_failed(stage, runs)
            kept(stage, runs, record, f"{name} over, `cancel_on_timeout=False`")
            continue
        stage.until_all("the job is ended", runs, lambda run: stage.asked_to_end(run), ended=True)
        # A wait that ends its job stays until that has taken effect.
        settled(stage, runs, record, f"{name} over")
        until_failed(stage, runs)


def until_failed(stage: Stage, runs: Sequence[Run]) -> None:
    stage.until_all("the task fails", runs, lambda run: stage.state(run) == "failed", ended=True)


def after_all_that(stage: Stage, runs: Sequence[Run], record: Record, row: str) -> None:
    """Nobody has asked for the end of any job, and they are waited for to their end."""
    for run in runs:
        assert not stage.asked_to_end(run), stage.about(run)
    stage.finish(runs)
    for run in runs:
        record(row, run.cell, stage.came_of(run))
    for run in runs:
        assert stage.eyes.dag_run_state(run.dag_id, run.run_id) == "success", stage.about(run)
        assert stage.billed(run) == 1, stage.about(run)
        assert not stage.asked_to_end(run), stage.about(run)
        assert stage.unattended(run) == []


def test_a_triggerer_that_restarts(stage: Stage, record: Record) -> None:
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        stage.cluster.end("triggerer")
        stage.cluster.start("triggerer")
        stage.until_polled(runs)
        after_all_that(stage, runs, record, "SIGTERM of triggerer, and a new one")


# Not on every run: a process that is stopped in the middle of writing keeps SQLite locked for all others.
@pytest.mark.skipif(bool(ONE_AT_A_TIME), reason=ONE_AT_A_TIME)
def test_a_triggerer_that_stood_still_and_was_robbed_of_its_triggers(stage: Stage, record: Record) -> None:
    runs = stage.begin(CELLS)
    stage.reach("processing", runs)
    with standing_still(stage, "triggerer"):
        stage.cluster.start("triggerer:2")
        stage.until_polled(runs)
        stage.until_polled(runs)
    let_go(stage, runs)
    after_all_that(stage, runs, record, "SIGSTOP of triggerer, takeover by a second one, SIGCONT")


@contextlib.contextmanager
def standing_still(stage: Stage, name: str) -> Iterator[None]:
    """SIGSTOP of the process and its children, as on a machine that is suspended; then SIGCONT."""
    pids = stage.cluster.processes[name].members()
    for pid in pids:
        stage.signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            stage.signal(pid, signal.SIGCONT)


def let_go(stage: Stage, runs: Sequence[Run]) -> None:
    """Awake again, a triggerer learns that its triggers are not its own any more."""
    deferred = [run for run in runs if run.cell.deferrable]
    left = "another trigger or the next try of its task waits for it"
    stage.until_all("it lets go", deferred, lambda run: left in said(stage, run))


def test_a_scheduler_that_resets_healthy_tasks(stage: Stage, record: Record) -> None:
    """A new scheduler takes the running tasks of a killed one for orphans; the old copies are told to end beside it."""
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        before = stage.tries(runs)
        stage.cluster.kill("scheduler")
        stage.cluster.start("scheduler")
        if VERSION >= (3, 0):
            stage.until_next_try([run for run in runs if not run.cell.deferrable], before, ["running"])
        stage.until_polled(runs)
        after_all_that(stage, runs, record, "healthy tasks reset by a new scheduler")


def test_a_rolling_deploy(stage: Stage, record: Record) -> None:
    """One process after the other is ended and started again, as deployments do."""
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        for name in stage.cluster.names:
            # A scheduler waits for its tasks for ever: then it is killed, with its workers.
            stage.cluster.end(name, grace=10)
            stage.cluster.start(name)
        stage.until_polled(runs)
        after_all_that(stage, runs, record, "a rolling deploy")
