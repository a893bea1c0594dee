"""Whoever is killed, at whatever step of the job's life: one billed start, and the run ends well."""

from __future__ import annotations

import pytest

from dev.cluster import VERSION
from tests.chaos.conftest import Record
from tests.chaos.stage import CELLS, HOLD, Cell, Run, Stage, small, together

STEPS = {
    "create": "after create, before its reply",
    "analysis": "during analysis",
    "start": "start asked for, nothing billed yet",
    "started": "after start, before its reply",
    "processing": "while processing",
    "end": "while the end is being read",
}
PLACES = {
    "task": "the task's process",
    "supervisor": "its supervisor",
    "triggerer": "triggerer",
    "scheduler": "scheduler",
    "simulator": "the service",
}
# One of each place for every CI run.
SMALL = {("task", "create"), ("supervisor", "start"), ("triggerer", "processing"), ("simulator", "started")}
# Deferred, so there is no process of the task.
NOBODY = {(place, step) for place in ("task", "supervisor") for step in ("analysis", "processing")}


def cells_of(place: str, step: str) -> list[Cell]:
    return [cell for cell in CELLS if not (cell.deferrable and (place, step) in NOBODY)]


def marks(place: str, step: str) -> list[pytest.MarkDecorator]:
    if (place, step) == ("task", "end") and VERSION == (3, 0):
        why = "Airflow 3.0 fails a killed task without a retry; to clear it after the job's end asks for a new job"
        return [pytest.mark.skip(reason=why)]
    return small(on_2_11=place == "task") if (place, step) in SMALL else []


@pytest.mark.parametrize(
    ("place", "step"),
    [pytest.param(place, step, id=f"{place}-{step}", marks=marks(place, step)) for place in PLACES for step in STEPS],
)
def test_one_billed_start_whoever_is_killed(stage: Stage, record: Record, place: str, step: str) -> None:
    for cell in CELLS:
        if cell not in cells_of(place, step):
            record(f"SIGKILL of {PLACES[place]}, {STEPS[step]}", cell, "no such process")
    for cells in together(cells_of(place, step)):
        if step == "create":
            stage.service.fault("delay", "/process$", method="POST", times=None, seconds=HOLD)
        runs = stage.begin(cells)
        if place in ("task", "supervisor"):
            kill_each(stage, place, step, runs)
        else:
            stage.reach(step, runs)
            kill(stage, place)
        settle(stage, runs, record, f"SIGKILL of {PLACES[place]}, {STEPS[step]}")


def kill_each(stage: Stage, place: str, step: str, runs: list[Run]) -> None:
    """Each as soon as it is at the step; then the clock stands still until the next try is there.

    So a killed supervisor's child runs on beside the next try.
    """
    killed: dict[str, int] = {}

    def strike(run: Run) -> bool:
        found = stage.task(run)
        if stage.kill_process(found, supervisor=place == "supervisor"):
            killed[run.run_id] = found.try_number
        return run.run_id in killed

    stage.reach(step, runs, strike, worker=True)
    stage.service.clear_faults()
    if place == "task":
        stage.clear_what_failed(runs)
    if place == "supervisor" and VERSION < (3, 0):
        # The child of the killed one writes into the database by itself: where it defers or ends, no try comes after.
        runs = [run for run in runs if not run.cell.deferrable and step != "end"]
    stage.until_next_try(runs, killed, ["running", "deferred", "success", "failed"])


def kill(stage: Stage, place: str) -> None:
    if place == "simulator":
        stage.service.process.kill()
        stage.service.start()
        stage.service.clear_faults()
    else:
        stage.cluster.kill(place)
        stage.service.clear_faults()
        stage.cluster.start(place)


def settle(stage: Stage, runs: list[Run], record: Record, row: str) -> None:
    """To the end of the runs, and what must be true then."""
    stage.finish(runs)
    for run in runs:
        record(row, run.cell, stage.came_of(run))
    for run in runs:
        about = stage.about(run)
        assert stage.eyes.dag_run_state(run.dag_id, run.run_id) == "success", about
        assert stage.billed(run) == 1, about
        assert stage.unattended(run) == [], about
        assert not stage.asked_to_end(run), about


@pytest.mark.parametrize("call", ["create", "start"])
def test_one_billed_start_though_the_reply_is_lost(stage: Stage, record: Record, call: str) -> None:
    """The service has done it, and the connection is cut before it can say so."""
    path = {"create": "/process$", "start": "/start$"}[call]
    for cells in together(CELLS):
        stage.service.fault("drop_after", path, method="POST", times=len(cells))
        runs = stage.begin(cells)
        stage.reach("processing", runs)
        lost = [call for run in runs for call in stage.calls(run) if call["fault"] == "drop_after" and call["effect"]]
        assert len(lost) == len(cells)
        settle(stage, runs, record, f"reply to the {call} lost")
        assert all(stage.effects(run).count("created") == 1 for run in runs)
