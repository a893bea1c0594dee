"""The same promises where big teams run Airflow: CeleryExecutor, Redis, PostgreSQL, two workers, two triggerers."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dev.cluster import VERSION
from tests.chaos.big import BigCluster, missing, services
from tests.chaos.conftest import Record, swept
from tests.chaos.stage import CELLS, HOLD, Service, Stage, a_stage, small
from tests.chaos.test_cancels import after_all_that, let_go, mark_failed, settled, standing_still
from tests.chaos.test_clears import clear, ended_well
from tests.chaos.test_kills import kill_each, settle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(VERSION < (3, 0), reason="set up for Airflow 3"),
]
BIG = "with Celery: "


@pytest.fixture(scope="module")
def whole_big_stage(service: Service) -> Iterator[Stage]:
    with services() as settings, a_stage(service, BigCluster, **settings) as stage:
        yield stage
    assert not stage.cluster.home.exists()


@pytest.fixture
def big(whole_big_stage: Stage) -> Iterator[Stage]:
    yield from swept(whole_big_stage)


@pytest.mark.parametrize("step", ["create", pytest.param("started", marks=small())])
def test_the_tasks_process_is_killed(big: Stage, record: Record, step: str) -> None:
    if step == "create":
        big.service.fault("delay", "/process$", method="POST", times=None, seconds=HOLD)
    runs = big.begin(CELLS)
    kill_each(big, "task", step, runs)
    settle(big, runs, record, f"{BIG}SIGKILL of the task's process, step {step}")


@pytest.mark.parametrize("name", ["worker:1", "triggerer", "scheduler"])
def test_a_process_is_killed_while_the_job_is_processed(big: Stage, record: Record, name: str) -> None:
    runs = big.begin(CELLS)
    big.reach("processing", runs)
    big.cluster.kill(name)
    big.cluster.start(name)
    big.until_polled(runs)
    settle(big, runs, record, f"{BIG}SIGKILL of {name.partition(':')[0]}, while processing")


def test_a_users_hand_ends_the_job(big: Stage, record: Record) -> None:
    runs = big.begin(CELLS)
    big.reach("processing", runs)
    for run in runs:
        mark_failed(big, run)
    big.until_all("the job is ended", runs, lambda run: big.asked_to_end(run), ended=True)
    settled(big, runs, record, f"{BIG}task marked failed, while processing")


def test_cleared_while_it_runs_the_job_is_kept(big: Stage, record: Record) -> None:
    runs = big.begin(CELLS)
    big.reach("processing", runs)
    before = big.tries(runs)
    for run in runs:
        clear(big, run)
    big.until_next_try(runs, before, ["running", "deferred"])
    big.until_polled(runs)
    ended_well(big, runs)
    for run in runs:
        assert big.billed(run) == 1, big.about(run)
        assert not big.asked_to_end(run), big.about(run)
        record(f"{BIG}cleared while processing", run.cell, "kept, 1 start")


def test_a_triggerer_stands_still_and_is_robbed_of_its_triggers(big: Stage, record: Record) -> None:
    runs = big.begin(CELLS)
    big.reach("processing", runs)
    for name in ("triggerer", "triggerer:2"):
        # Whoever has a trigger loses it to the other one, and all of them at the second turn.
        with standing_still(big, name):
            big.until_polled(runs)
            big.until_polled(runs)
    let_go(big, runs)
    after_all_that(big, runs, record, f"{BIG}SIGSTOP of each triggerer, takeover, SIGCONT")


def test_both_workers_end_softly(big: Stage, record: Record) -> None:
    """A rolling deploy of the workers: SIGTERM lets them finish, SIGQUIT does not."""
    runs = big.begin(CELLS)
    big.reach("processing", runs)
    for name in ("worker:1", "worker:2"):
        big.cluster.kill(name, signal.SIGQUIT)
        big.cluster.processes[name].wait(60)
        big.cluster.start(name)
    big.until_polled(runs)
    after_all_that(big, runs, record, f"{BIG}workers ended one by one (SIGQUIT)")
