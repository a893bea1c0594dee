"""The stage of these tests: a real Airflow, a simulator that can be killed, and a clock that stands still.

The simulator's clock is frozen, so a job waits at a step of its life until the test moves the clock. A step is known by
what the simulator's journal says, never by time. Where a step passes within one call, a fault holds the call's reply.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from airflow_sentinelhub.simulator.remote import ControlPlane
from dev.airflow_door import Door, Rest, TaskInstance
from dev.cluster import VERSION, Cluster
from dev.processes import free_ports, running
from dev.simulator import Simulator
from tests.chaos.servers import no_postgres, postgres

T = TypeVar("T")
Act = Callable[["Run"], object]
TASK = "job"
DAGS = Path(__file__).parent / "dags"
ENDED = ("DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED")
HOLD = 12.0
"""Seconds for which a reply is held: long enough to kill somebody who waits for it."""

# As recommended for tests that kill: what takes minutes to be noticed by default is noticed in seconds.
FAST = {
    "scheduler.job_heartbeat_sec": 1,
    # Not tighter: on a busy machine a scheduler would take itself for dead, and reset its own tasks for ever.
    "scheduler.scheduler_health_check_threshold": 30,
    "scheduler.orphaned_tasks_check_interval": 5,
    "scheduler.trigger_timeout_check_interval": 2,
    "triggerer.job_heartbeat_sec": 1,
    "triggerer.triggerer_health_check_threshold": 12,
    **(
        {
            "core.parallelism": 6,
            "scheduler.task_instance_heartbeat_timeout": 30,
            "scheduler.task_instance_heartbeat_timeout_detection_interval": 2,
        }
        if VERSION >= (3, 0)
        else {
            "scheduler.local_task_job_heartbeat_sec": 2,
            "scheduler.scheduler_zombie_task_threshold": 30,
            "scheduler.zombie_detection_interval": 3,
        }
    ),
}


@dataclass(frozen=True)
class Cell:
    """Which job is looked at: the generation of the service, and where the task waits."""

    batch_api: str
    deferrable: bool

    @property
    def name(self) -> str:
        return f"{self.batch_api} {'deferrable' if self.deferrable else 'plain'}"

    @property
    def dag_id(self) -> str:
        return f"chaos_{self.name.replace(' ', '_')}"


CELLS = [Cell(batch_api, deferrable) for batch_api in ("v1", "v2") for deferrable in (False, True)]
PLAIN = [cell for cell in CELLS if not cell.deferrable]
DEFERRABLE = [cell for cell in CELLS if cell.deferrable]


ONE_AT_A_TIME = "" if VERSION >= (3, 0) else no_postgres()
"""Why only one task runs at a time: 2.11 needs PostgreSQL for more, 3.x does not. Empty if they run side by side."""


def together(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that share a kill: all of them, but where one task runs at a time two have a turn each."""
    if not ONE_AT_A_TIME:
        return [list(cells)]
    return [[cell] for cell in (CELLS[0], CELLS[3]) if cell in cells]


def small(*, on_2_11: bool = False) -> list[pytest.MarkDecorator]:
    """Of the small selection for every CI run; smaller still on 2.11, which needs minutes for each test."""
    return [pytest.mark.e2e] if on_2_11 or VERSION >= (3, 0) else []


def marked(marks: Sequence[pytest.MarkDecorator]) -> Callable[[T], T]:
    """A decorator of all these marks, be it none."""

    def with_marks(test: T) -> T:
        for mark in marks:
            test = mark(test)
        return test

    return with_marks


@dataclass
class Run:
    """One DAG run with its one job. `seen` is the journal's length before it."""

    cell: Cell
    dag_id: str
    run_id: str
    seen: int = 0


class Service(Simulator, ControlPlane):
    """The simulator on a port and with a state that outlive it."""

    url = ""

    def __init__(self) -> None:
        self._kept = tempfile.TemporaryDirectory(prefix="airflow-sentinelhub-state-")
        folder, (port,) = Path(self._kept.name), free_ports(1)
        state, buckets = folder / "state", folder / "buckets"
        options = ("--port", str(port), "--state", str(state), "--bucket-dir", str(buckets))
        super().__init__(speed=0, options=options)

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._kept.cleanup()

    def requests(self) -> list[dict[str, Any]]:
        return ControlPlane.requests(self)


class Stage:
    """What the tests do with Airflow and the service."""

    def __init__(self, cluster: Cluster, service: Service) -> None:
        self.cluster = cluster
        self.service = service
        self.eyes: Door = cluster.database()  # looked at several times a second

    # Runs

    def begin(self, cells: Sequence[Cell], variant: str = "") -> list[Run]:
        """One run of each cell's DAG. Time stands still from here on, also where another run was let go before."""
        self.service.speed(0)
        runs = []
        for cell in cells:
            dag_id = f"{cell.dag_id}_{variant}".rstrip("_")
            seen = len(self.service.journal())
            runs.append(Run(cell, dag_id, self.cluster.trigger(dag_id), seen))
        return runs

    def task(self, run: Run) -> TaskInstance:
        return self.eyes.task_instances(run.dag_id, run.run_id)[0]

    def state(self, run: Run) -> str:
        return str(self.task(run).state)

    def requests(self, run: Run) -> list[dict[str, Any]]:
        """The requests of a run, oldest first, without deleted ones."""
        found = [one for one in self.service.requests() if str(one["description"]).startswith(run.run_id)]
        return sorted((one for one in found if not one["deleted"]), key=lambda one: str(one["created"]))

    def request(self, run: Run) -> dict[str, Any]:
        """The newest request of a run."""
        return self.requests(run)[-1]

    def calls(self, run: Run, since: int = 0) -> list[dict[str, Any]]:
        """The journal of a run's requests."""
        ids = {one["id"] for one in self.service.requests() if str(one["description"]).startswith(run.run_id)}
        return [call for call in self.service.journal(max(since, run.seen)) if call["request_id"] in ids]

    def effects(self, run: Run, since: int = 0) -> list[str]:
        return [str(call["effect"]) for call in self.calls(run, since) if call["effect"]]

    def billed(self, run: Run) -> int:
        return self.effects(run).count("billed_start")

    def asked_to_end(self, run: Run) -> bool:
        """Whether somebody has cancelled or stopped a request of this run, and the service has taken it."""
        return bool({"cancelled", "stopped"} & set(self.effects(run)))

    def now(self) -> int:
        """The number of the journal's last call."""
        journal = self.service.journal()
        return int(journal[-1]["n"]) if journal else 0

    # Waiting for what is seen

    def until(self, what: str, look: Callable[[], T], *, timeout: float = 200) -> T:
        """What `look` finds as soon as it finds it."""
        deadline = time.monotonic() + timeout
        while True:
            self.cluster.check()
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"not seen in {timeout:g} s: {what}\n{self.report()}")
            time.sleep(0.5)

    def until_all(
        self,
        what: str,
        runs: Sequence[Run],
        look: Callable[[Run], object],
        *,
        timeout: float = 200,
        ended: bool = False,
    ) -> None:
        """Until `look` has found it for each run. `ended`: also of runs that have ended already."""
        left = list(runs)
        looks = 0

        def all_of_them() -> bool:
            nonlocal looks
            looks += 1
            # Not at every look: these are questions to a server that shares its machine with all the rest.
            over = [run for run in left if self.is_over(run)] if not ended and looks % 10 == 0 else []
            left[:] = [run for run in left if not look(run)]
            if lost := [run for run in left if run in over]:
                raise AssertionError(f"the run of {lost[0].dag_id} ended before this was seen: {what}")
            return not left

        try:
            self.until(what, all_of_them, timeout=timeout)
        except AssertionError as error:
            said = "\n\n".join(f"{run.dag_id}\n{self.about(run)}" for run in left)
            raise AssertionError(f"{error}\n{said}") from None

    def until_polled(self, runs: Sequence[Run]) -> None:
        """Until somebody reads each run's request from now on."""
        since = self.now()
        self.until_all("it is waited for", runs, lambda run: self.polled(run, since))

    def tries(self, runs: Sequence[Run]) -> dict[str, int]:
        return {run.run_id: self.task(run).try_number for run in runs}

    def until_next_try(self, runs: Sequence[Run], before: dict[str, int], states: Sequence[str]) -> None:
        def there(run: Run) -> bool:
            task = self.task(run)
            return task.try_number > before[run.run_id] and task.state in states

        self.until_all("the next try", runs, there, timeout=300)

    def polled(self, run: Run, since: int) -> bool:
        """Whether somebody has read the run's request since then."""
        return any(call["method"] == "GET" for call in self.calls(run, since))

    # Steps of a job's life

    def reach(self, step: str, runs: Sequence[Run], act: Act = lambda run: True, worker: bool = False) -> None:
        """Let the jobs come to this step, and do something to each that is there.

        `worker`: it counts only if the task's own code is at the step, not its trigger.
        """
        getattr(self, f"_reach_{step}")(runs, act, worker)

    def _reach_create(self, runs: Sequence[Run], act: Act, worker: bool) -> None:
        self.until_all("the request is created", runs, lambda run: "created" in self.effects(run) and act(run))

    def _reach_analysis(self, runs: Sequence[Run], act: Act = lambda run: True, worker: bool = False) -> None:
        self.until_all("analysis has begun", runs, lambda run: "analysis_started" in self.effects(run))
        since = self.now()
        self.until_all("it is waited for", runs, lambda run: self.waits(run) and self.polled(run, since) and act(run))

    def _reach_start(self, runs: Sequence[Run], act: Act, worker: bool) -> None:
        self._reach_analysis(runs)
        since = self.now()
        self.service.fault("drop_before", "/start$", method="POST", times=None)
        self.service.step(60)

        def asked(run: Run) -> bool:
            return any(call["path"].endswith("/start") for call in self.calls(run, since))

        self.until_all("the start is asked for in vain", runs, lambda run: asked(run) and act(run))

    def _reach_started(self, runs: Sequence[Run], act: Act, worker: bool) -> None:
        self._reach_analysis(runs)
        self.service.fault("delay", "/start$", method="POST", times=None, seconds=HOLD)
        self.service.step(60)
        self.until_all("the start is billed", runs, lambda run: self.billed(run) and act(run))

    def _reach_processing(self, runs: Sequence[Run], act: Act = lambda run: True, worker: bool = False) -> None:
        self._reach_analysis(runs)
        self.service.step(60)
        self.until_all("the start is billed", runs, self.billed)
        self.service.step(20)
        assert {self.request(run)["status"] for run in runs} == {"PROCESSING"}
        since = self.now()
        self.until_all("it is waited for", runs, lambda run: self.waits(run) and self.polled(run, since) and act(run))

    def _reach_end(self, runs: Sequence[Run], act: Act, worker: bool) -> None:
        self._reach_processing(runs)
        self.service.fault("delay", "/batch/", method="GET", times=None, seconds=HOLD)
        since = {run.run_id: self.now() for run in runs}
        awake: set[str] = set()
        self.service.step(7200)

        def read(run: Run) -> bool:
            if worker and run.run_id not in awake:
                before = self.now()
                if self.state(run) != "running":
                    since[run.run_id] = before  # what is read from here on is read by the task's own code
                    return False
                awake.add(run.run_id)
            if worker and run.cell.deferrable and run.cell.batch_api == "v2":
                return True  # it reads no request: the event was the last reading, and the results lie in the bucket
            return self.polled(run, since[run.run_id])

        self.until_all("its end is read", runs, lambda run: read(run) and act(run))

    def waits(self, run: Run) -> bool:
        return self.state(run) == ("deferred" if run.cell.deferrable else "running")

    # Kills

    def kill_process(self, found: TaskInstance, supervisor: bool = False) -> bool:
        """Kill the process of this task's code, or the one that supervises it; false if there is none just now."""
        if found.state != "running" or found.pid not in (table := running()):
            return False
        pid = table[found.pid].parent if supervisor else found.pid
        if pid == 1:  # it has no supervisor any more
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def kill_mapped(self, runs: Sequence[Run]) -> None:
        """Every process that runs a task's code now."""
        for run in runs:
            for found in self.eyes.task_instances(run.dag_id, run.run_id):
                self.kill_process(found)

    def clear_what_failed(self, runs: Sequence[Run]) -> None:
        """Airflow 3.0 fails a task whose process was killed, without a retry; so a user clears it."""
        if VERSION == (3, 0):
            self.until_all("the task fails", runs, self.is_over, ended=True)
            for run in runs:
                self.cluster.clear(run.dag_id, run.run_id, TASK)

    def signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def release(self) -> None:
        """No faults any more, and time runs."""
        self.service.clear_faults()
        self.service.speed(20)

    def finish(self, runs: Sequence[Run], timeout: float = 240) -> None:
        """Let the jobs go to their end, and their runs too."""
        self.release()
        self.until_all("the run ends", runs, self.is_over, timeout=timeout)

    def is_over(self, run: Run) -> bool:
        return self.eyes.dag_run_state(run.dag_id, run.run_id) in ("success", "failed")

    def unattended(self, run: Run) -> list[str]:
        """Requests of this run that were started and go on."""
        return [one["id"] for one in self.requests(run) if one["billed_starts"] and one["status"] not in ENDED]

    def came_of(self, run: Run) -> str:
        """How a run went, in a few words."""
        state, billed, tries = (
            self.eyes.dag_run_state(run.dag_id, run.run_id),
            self.billed(run),
            self.task(run).try_number,
        )
        ended = "" if state == "success" else f"{state}, "
        return f"{ended}{billed} start{'s' * (billed != 1)}, {tries} {'try' if tries == 1 else 'tries'}"

    def close(self, runs: Sequence[Run]) -> None:
        """After a test, however it went: nothing of it is left, and time stands still."""
        self.service.clear_faults()
        self.service.speed(0)
        for name in set(self.cluster.processes) - set(self.cluster.names):
            self.cluster.drop(name)
        for name in self.cluster.names:
            if self.cluster.processes[name].exit_code is not None:
                self.cluster.start(name)
        for run in runs:
            if not self.is_over(run):
                with contextlib.suppress(RuntimeError):
                    self.cluster.mark_run(run.dag_id, run.run_id, "failed")
        self.cluster.sweep()

    # Words

    def about(self, run: Run) -> str:
        calls = [
            f"{call['n']} {call['method']} {call['path'][-50:]} {call['status']} {call['fault'] or ''} {call['effect']}"
            for call in self.calls(run)
            if call["effect"] or call["fault"] or call["method"] != "GET"
        ]
        return "\n".join([*map(str, self.requests(run)), *calls, self.cluster.report(run.dag_id, run.run_id)])

    def log(self, run: Run) -> str:
        return "\n".join(self.cluster.task_log(run.dag_id, run.run_id, TASK))

    def report(self) -> str:
        return self.cluster.tails(4)


@contextlib.contextmanager
def a_stage(service: Service, kind: type[Cluster] = Cluster, **settings: object) -> Iterator[Stage]:
    """An Airflow beside the service; 2.11 has PostgreSQL where that can be, on which it runs tasks side by side."""
    with contextlib.ExitStack() as stack:
        if VERSION < (3, 0) and not ONE_AT_A_TIME:
            database = f"postgresql+psycopg2://{stack.enter_context(postgres())}"
            settings |= {"core.executor": "LocalExecutor", "core.parallelism": 6}
            settings["database.sql_alchemy_conn"] = database
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="airflow-sentinelhub-dags-"))
        dags = Path(folder)
        shutil.copytree(DAGS, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for cell in CELLS:
            shutil.copy(dags / "plain.js", dags / f"edited_{cell.dag_id}.js")
        cluster = stack.enter_context(kind(dags, env=service.connections("v2"), settings={**FAST, **settings}))
        if isinstance(cluster.door, Rest):
            cluster.door.patience = 150
        yield Stage(cluster, service)
