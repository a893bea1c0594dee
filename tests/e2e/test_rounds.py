"""What a task sees of itself and its run at retries and clears: what telling a retry from a clear stands on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dev.airflow_door import Database, TaskInstance
from dev.cluster import ENDED, VERSION, Cluster
from dev.processes import wait_for

# This is Airflow's own behaviour, the same as long as its version is.
pytestmark = pytest.mark.slow

RETRIES = 3
COUNTS_EVERY_CLEAR = VERSION >= (3, 2)
"""Whether `clear_number` counts clears in a run that goes on, too."""


@dataclass
class Note:
    """What a task saw at the start of a call; see dags/rounds.py."""

    call: str
    of: int
    run_id: str
    try_number: int
    max_tries: int
    retries: int
    clear_number: int
    start_date: str
    kept: int | None


@dataclass
class Run:
    """A run of the DAG, whose tasks do what they are told."""

    cluster: Cluster
    eyes: Database
    folder: Path
    dag_id: str
    run_id: str

    def until(self, what: str, look: Callable[[], Any], timeout: float = 240) -> Any:
        def checked() -> Any:
            self.cluster.check()
            return look()

        found = wait_for(checked, timeout=timeout, every=0.3)
        report = "" if found else self.cluster.report(self.dag_id, self.run_id, processes=True)
        assert found, f"not within {timeout:g} s: {what}; noted: {self.notes()}\n{report}"
        return found

    def notes(self, task_id: str = "mine") -> list[Note]:
        file = self.folder / f"{task_id}.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [Note(**json.loads(line)) for line in lines]

    def until_noted(self, number: int, task_id: str = "mine") -> list[Note]:
        self.until(f"{task_id} has taken {number} notes", lambda: len(self.notes(task_id)) >= number)
        return self.notes(task_id)

    def row(self, task_id: str = "mine") -> TaskInstance:
        (found,) = [one for one in self.eyes.task_instances(self.dag_id, self.run_id) if one.task_id == task_id]
        return found

    def until_in(self, state: str, task_id: str = "mine") -> None:
        self.until(f"{task_id} is {state}", lambda: self.row(task_id).state == state)

    def until_deferred(self, task_id: str = "mine") -> None:
        """Deferred, and the scheduler knows that the process which deferred has ended.

        An event that comes sooner than that may be taken for the end of the resumed task, which is then failed.
        """
        self.until_in("deferred", task_id)
        words = (
            "Received executor event with state success",
            f"task_id='{task_id}'",
            f"run_id='{self.run_id}'",
            f"try_number={self.row(task_id).try_number}",
        )
        scheduler = self.cluster.processes["scheduler"]
        self.until(
            f"the scheduler knows that the process of {task_id} has ended",
            lambda: any(all(word in line for word in words) for line in scheduler.output().splitlines()),
        )

    def let_go(self, number: int, task_id: str = "mine") -> None:
        """What this call of the task was waiting for has come."""
        (self.folder / f"{task_id}.{number}").touch()

    def clear(self, task_id: str = "mine") -> None:
        self.cluster.clear(self.dag_id, self.run_id, task_id)

    def end(self) -> list[Note]:
        """The notes of a run that has ended well."""
        self.until("the run has ended", lambda: self.eyes.dag_run_state(self.dag_id, self.run_id) in ENDED)
        assert self.row().state == "success", self.cluster.report(self.dag_id, self.run_id)
        return self.notes()


class Begin:
    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.eyes = cluster.database()

    def conf(self, **told: list[str]) -> dict[str, Any]:
        return {"folder": str(self.folder), **told}

    def __call__(self, dag_id: str = "rounds", **told: list[str]) -> Run:
        return Run(self.cluster, self.eyes, self.folder, dag_id, self.cluster.trigger(dag_id, self.conf(**told)))


@pytest.fixture
def begin(cluster: Cluster, tmp_path: Path) -> Iterator[Begin]:
    yield Begin(cluster, tmp_path)
    # However the test went, nothing of it holds up the tests that follow: 2.11 runs one task at a time here.
    for task_id in ("mine", "other"):
        for number in range(9):
            (tmp_path / f"{task_id}.{number}").touch()


def each(notes: list[Note], name: str) -> list[Any]:
    return [getattr(note, name) for note in notes]


def test_a_run_that_nobody_clears(begin: Begin, e2e_dags: Path) -> None:
    """Retries, a deferral and an edit of `retries` change neither `max_tries` nor the start of the run."""
    run = begin("rounds_edited", mine=["fail", "defer", "fail", "ok"])
    run.until_noted(2)
    run.until_deferred()
    file = e2e_dags / "rounds.py"
    edited = file.read_text().replace("EDITED = 3", "EDITED = 2")
    assert edited != file.read_text()
    file.write_text(edited)
    run.let_go(1)

    notes = run.end()
    assert each(notes, "retries") == [3, 3, 2, 2]
    assert each(notes, "max_tries") == [3, 3, 3, 3]
    assert each(notes, "clear_number") == [0, 0, 0, 0]
    assert len(set(each(notes, "start_date"))) == 1
    assert datetime.fromisoformat(notes[0].start_date).utcoffset() is not None
    first, deferred, resumed, last = each(notes, "try_number")
    assert first < deferred == resumed < last
    # Airflow 3.0 does not forget the deferral when the resumed call fails: the next try is resumed, not executed.
    again = "resume" if VERSION == (3, 0) else "execute"
    assert each(notes, "call") == ["execute", "execute", "resume", again]
    assert each(notes, "of") == [-1, -1, 1, 1 if VERSION == (3, 0) else -1]


@pytest.mark.parametrize(
    ("act", "state", "run_ended"),
    [
        ("hold", "running", False),
        ("defer", "deferred", False),
        ("ok", "success", False),
        ("ok", "success", True),
        ("die", "failed", True),
    ],
    ids=["running", "deferred", "success", "success of a run that has ended", "failed"],
)
def test_a_clear_of_this_task(begin: Begin, act: str, state: str, run_ended: bool) -> None:
    """`max_tries` becomes another one and stays it over the retries that follow."""
    goes_on = state == "success" and not run_ended  # because of another task
    run = begin(mine=[act, "fail", "ok"], other=["defer"] if goes_on else [])
    run.until_noted(1)
    if state == "deferred":
        run.until_deferred()
    else:
        run.until_in(state)
    if run_ended:
        run.until("the run has ended", lambda: run.eyes.dag_run_state(run.dag_id, run.run_id) in ENDED)
    if goes_on:
        run.until_deferred("other")
    tries = run.row().try_number
    run.clear()
    if state == "running":
        run.until("the old try has been told to end", (run.folder / "mine.told").exists)
        if VERSION == (3, 0):  # it leaves the task at `restarting` for ever
            run.clear()
    run.until_noted(3)
    run.let_go(0, "other")

    before, *after = run.end()
    assert before.max_tries == RETRIES
    # 2.11 ends a running task that is cleared, and that is all: the next try looks like any retry.
    unseen = state == "running" and VERSION < (3, 0)
    assert set(each(after, "max_tries")) == {RETRIES if unseen else tries + RETRIES}
    assert before.try_number <= tries < after[0].try_number < after[1].try_number
    assert len(set(each(after, "start_date"))) == 1
    assert (after[0].start_date != before.start_date) == run_ended
    assert before.clear_number == 0
    assert set(each(after, "clear_number")) == {1 if run_ended or COUNTS_EVERY_CLEAR else 0}
    # The store of 3.3 outlives a clear.
    assert after[0].kept == (before.try_number if VERSION >= (3, 3) else None)


def test_a_clear_of_another_task(begin: Begin) -> None:
    """It changes nothing for this one, but the count of clears, and that in the middle of a try."""
    run = begin(mine=["defer", "fail", "ok"])
    run.until_deferred()
    run.until_in("success", "other")
    run.clear("other")
    run.until_noted(2, "other")
    run.let_go(0)

    notes = run.end()
    assert set(each(notes, "max_tries")) == {RETRIES}
    assert len(set(each(notes, "start_date"))) == 1
    assert notes[0].try_number == notes[1].try_number < notes[2].try_number
    assert each(notes, "clear_number") == ([0, 1, 1] if COUNTS_EVERY_CLEAR else [0, 0, 0])


def test_a_run_that_is_queued_by_hand(begin: Begin) -> None:
    """It starts anew though nothing was cleared: the start of the run changes in the middle of a try."""
    run = begin(mine=["defer", "fail", "ok"])
    run.until_deferred()
    run.until_in("success", "other")
    run.cluster.mark_run(run.dag_id, run.run_id, "queued")
    run.until("the run runs again", lambda: run.eyes.dag_run_state(run.dag_id, run.run_id) == "running")
    run.let_go(0)

    notes = run.end()
    assert notes[0].start_date != notes[1].start_date == notes[2].start_date
    assert notes[0].try_number == notes[1].try_number < notes[2].try_number
    assert set(each(notes, "max_tries")) == {RETRIES}
    assert set(each(notes, "clear_number")) == {0}


def test_a_run_that_is_made_again_under_its_id(begin: Begin) -> None:
    """Only the start of the run tells it from the one that was deleted; the store of 3.3 goes with the run."""
    run = begin()
    run.end()
    run.cluster.delete_run(run.dag_id, run.run_id)
    assert run.cluster.door.trigger(run.dag_id, run.run_id, begin.conf())
    run.until_noted(2)

    old, *later = run.end()  # on a busy machine Airflow may try one of the two again
    new = next(note for note in later if note.start_date != old.start_date)
    assert datetime.fromisoformat(old.start_date) < datetime.fromisoformat(new.start_date)
    assert (new.run_id, new.max_tries, new.clear_number) == (old.run_id, RETRIES, 0)
    assert new.kept is None


def test_two_test_runs_of_one_date(begin: Begin, e2e_dags: Path) -> None:
    """They start at their date, not now. On 2.11 they have one id too: nothing tells the second from the first."""
    # On 2.11 the second run deletes the first, for which SQLAlchemy must know the table of users.
    date, users = (
        ("execution_date", "airflow.providers.fab.auth_manager.models,") if VERSION < (3, 0) else ("logical_date", "")
    )
    begin.cluster.python(
        f"import {users} runpy; from datetime import datetime, timezone;"
        f"dag = runpy.run_path({str(e2e_dags / 'rounds.py')!r})['rounds_tested'];"
        f"[dag.test({date}=datetime(2026, 3, 3, tzinfo=timezone.utc), run_conf={begin.conf()!r}) for _ in range(2)]",
        timeout=300,
    )

    first, second = Run(begin.cluster, begin.eyes, begin.folder, "rounds_tested", "").notes()
    assert {first.start_date, second.start_date} == {"2026-03-03T00:00:00+00:00"}
    assert (first.run_id == second.run_id) == (VERSION < (3, 0))
    assert {(note.try_number, note.max_tries, note.clear_number) for note in (first, second)} == {(1, RETRIES, 0)}
    assert second.kept is None
