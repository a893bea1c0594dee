"""A user clears a task; tasks are mapped; an Airflow has a copy: each job starts once, for whom it should."""

from __future__ import annotations

import re
from functools import partial

import pytest

from dev.cluster import VERSION
from tests.chaos.conftest import Record
from tests.chaos.said import says_it_runs_on
from tests.chaos.stage import (
    CELLS,
    DEFERRABLE,
    HOLD,
    ONE_AT_A_TIME,
    PLAIN,
    TASK,
    Run,
    Service,
    Stage,
    a_stage,
    marked,
    small,
    together,
)

WARNING = "though the job has changed since it was started"


def clear(stage: Stage, run: Run) -> None:
    """A user clears the task. Airflow 3.0 leaves one that was running at `restarting` for ever: there it takes two."""
    twice = VERSION == (3, 0) and stage.state(run) == "running"
    stage.cluster.clear(run.dag_id, run.run_id, TASK)
    if twice:
        stage.until("the old try has been told to end", lambda: says_it_runs_on(stage, run))
        stage.cluster.clear(run.dag_id, run.run_id, TASK)


def ended_well(stage: Stage, runs: list[Run]) -> None:
    stage.finish(runs)
    for run in runs:
        assert stage.eyes.dag_run_state(run.dag_id, run.run_id) == "success", stage.about(run)
        assert stage.unattended(run) == [], stage.about(run)


def test_cleared_after_success_it_runs_anew(stage: Stage, record: Record) -> None:
    for cells in together(CELLS):
        runs = stage.begin(cells)
        ended_well(stage, runs)
        first = {run.run_id: stage.request(run)["id"] for run in runs}
        for run in runs:
            clear(stage, run)
        stage.until_all("a second start", runs, lambda run: stage.billed(run) == 2, timeout=300, ended=True)
        ended_well(stage, runs)
        for run in runs:
            statuses = {one["id"]: (one["status"], one["billed_starts"]) for one in stage.requests(run)}
            assert statuses.pop(first[run.run_id]) == ("DONE", 1), stage.about(run)
            assert list(statuses.values()) == [("DONE", 1)], stage.about(run)
            record("cleared after success", run.cell, "a new job, 1 start each")


@marked(small(on_2_11=True))
def test_cleared_while_it_runs_the_job_is_kept(stage: Stage, record: Record) -> None:
    for cells in together(CELLS):
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        before = stage.tries(runs)
        for run in runs:
            clear(stage, run)
        stage.until_next_try(runs, before, ["running", "deferred"])
        stage.until_polled(runs)
        ended_well(stage, runs)
        for run in runs:
            assert stage.billed(run) == 1, stage.about(run)
            assert not stage.asked_to_end(run), stage.about(run)
            record("cleared while processing, job unchanged", run.cell, "kept, 1 start")


def test_cleared_while_it_runs_a_changed_job_is_replaced(stage: Stage, record: Record) -> None:
    for cells in together(CELLS):
        runs = stage.begin(cells, "edited")
        stage.reach("processing", runs)
        first = {run.run_id: stage.request(run)["id"] for run in runs}
        for run in runs:
            edit(stage, run)
            clear(stage, run)
        # On 2.11 the clear of a task that runs leaves `max_tries` as it is: it cannot be told from a retry.
        kept = [run for run in runs if VERSION < (3, 0) and not run.cell.deferrable]
        replaced = [run for run in runs if run not in kept]
        stage.until_all("it is said that the job has changed", kept, lambda run: WARNING in stage.log(run), timeout=300)
        stage.until_all("the old job is ended, or kept", replaced, partial(ended_or_kept, stage), timeout=300)
        # A machine that is so busy that a worker's heartbeats are late: the scheduler hands its task on as a retry.
        kept += [run for run in replaced if not run.cell.deferrable and not stage.asked_to_end(run)]
        replaced = [run for run in replaced if run not in kept]
        # It has ended when the clock moves.
        stage.release()
        stage.until_all("a second start", replaced, lambda run: stage.billed(run) == 2, timeout=300)
        ended_well(stage, runs)
        for run in kept:
            assert stage.billed(run) == 1, stage.about(run)
            assert not stage.asked_to_end(run), stage.about(run)
            rounds = set(re.findall(r"marker afx\w+ (r\d+)", stage.log(run)))
            assert len(rounds) == 1, f"Airflow has told the clear from a retry: {stage.about(run)}"
            record("cleared while processing, evalscript edited", run.cell, "kept with a warning, 1 start")
        for run in replaced:
            statuses = {one["id"]: (one["status"], one["billed_starts"]) for one in stage.requests(run)}
            old = statuses.pop(first[run.run_id])
            assert old in (("CANCELED", 1), ("STOPPED", 1)), stage.about(run)
            assert list(statuses.values()) == [("DONE", 1)], stage.about(run)
            record("cleared while processing, evalscript edited", run.cell, "ended, a new job, 1 start each")


def ended_or_kept(stage: Stage, run: Run) -> bool:
    """Whether the old job is being ended, or the log of a task that waits in a worker says that it goes on with it."""
    return bool(stage.asked_to_end(run)) or (not run.cell.deferrable and WARNING in stage.log(run))


def edit(stage: Stage, run: Run) -> None:
    file = stage.cluster.dags / f"edited_{run.cell.dag_id}.js"
    file.write_text(file.read_text() + "// and now something else\n")


@pytest.mark.skipif(bool(ONE_AT_A_TIME), reason=ONE_AT_A_TIME)
def test_mapped_tasks_start_one_job_each(stage: Stage, record: Record) -> None:
    """Their workers are killed after the create: each goes on with its own request."""
    for cells in (DEFERRABLE, PLAIN):  # six tasks at a time: there is no place for more that wait in a worker
        stage.service.fault("delay", "/process$", method="POST", times=None, seconds=HOLD)
        runs = stage.begin(cells, "mapped")
        stage.until_all("three are created", runs, lambda run: stage.effects(run).count("created") == 3)
        stage.kill_mapped(runs)
        stage.clear_what_failed(runs)
        ended_well(stage, runs)
        for run in runs:
            # Two copies that create at the same time leave one over that is never started.
            started = [one for one in stage.requests(run) if one["billed_starts"]]
            assert [one["billed_starts"] for one in started] == [1, 1, 1], stage.about(run)
            assert stage.billed(run) == 3, stage.about(run)
            record("3 mapped tasks, killed after create", run.cell, "3 jobs, 1 start each")


@pytest.mark.skipif(bool(ONE_AT_A_TIME), reason=ONE_AT_A_TIME)
def test_a_copy_of_a_deployment_leaves_its_jobs_alone(stage: Stage, service: Service, record: Record) -> None:
    """The same DAG, run and task in a copy of an Airflow, on the same account: another job."""
    runs = stage.begin(DEFERRABLE)
    stage.reach("processing", runs)
    with a_stage(service, **{"sentinelhub.deployment": "a copy"}) as copy:
        again = [Run(run.cell, run.dag_id, run.run_id, stage.now()) for run in runs]
        for run in again:
            copy.until("the copy knows the DAG", lambda run=run: copy.cluster.door.trigger(run.dag_id, run.run_id, {}))
        copy.until_all("the copy has its own", again, lambda run: "created" in copy.effects(run))
        stage.release()
        copy.finish(again)
    ended_well(stage, runs)
    for run in runs:
        assert [one["billed_starts"] for one in stage.requests(run)] == [1, 1], stage.about(run)
        assert not stage.asked_to_end(run), stage.about(run)
        record("the same run in a copy of this Airflow", run.cell, "2 jobs, 1 start each")
