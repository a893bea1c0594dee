"""A real Airflow for tests and the demo: every process of a deployment, in a temporary home, on free ports.

    with Cluster(dags=Path("example_dags"), env={"AIRFLOW_CONN_X": "..."}) as cluster:
        run_id = cluster.trigger("my_dag")
        assert cluster.wait("my_dag", run_id) == "success"

It runs the Airflow of the interpreter that runs it, and imports nothing of it: the test process stays untouched.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dev.airflow_door import Database, Door, Rest, TaskInstance, log_lines, sqlite_url
from dev.processes import Process, end, free_ports

VERSION = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
ENDED = ("success", "failed")


class Cluster:
    """Airflow as separate processes: on 3.x api-server, scheduler (with local workers), dag-processor and triggerer;
    on 2.11 scheduler and triggerer.

    It uses SQLite if `settings` name no other database. There 2.11 allows one task at a time, each some seconds to
    start; with another one and the LocalExecutor it runs them side by side.

    `env` reaches every process (connections, PYTHONPATH); `settings` are Airflow options such as
    {"scheduler.task_instance_heartbeat_timeout": 10}.
    """

    def __init__(
        self, dags: Path, *, env: Mapping[str, str] | None = None, settings: Mapping[str, object] | None = None
    ) -> None:
        self.dags = dags.resolve()
        self.home = Path()
        self.processes: dict[str, Process] = {}
        self.down: set[str] = set()  # ended on purpose; any other that ends is an error
        self.door: Door
        self._extra_env = dict(env or {})
        self._extra_settings = dict(settings or {})
        self._retired: list[Process] = []
        self.environment: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The processes of this Airflow, in the order of their start."""
        return (
            ("api-server", "scheduler", "dag-processor", "triggerer")
            if VERSION >= (3, 0)
            else ("scheduler", "triggerer")
        )

    # Life

    def __enter__(self) -> Cluster:
        self.home = Path(tempfile.mkdtemp(prefix="airflow-sentinelhub-"))
        try:
            self.environment = self._environment()
            self.airflow("db", "migrate")
            for name in self.names:
                self.start(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str) -> Process:
        """Start a process, or start it anew after it was killed or ended. `triggerer:2` is a second triggerer."""
        if name in self.processes:
            old = self.processes[name]
            if old.exit_code is None:
                raise RuntimeError(f"{name} is running already")
            # Its children may be alive still (a task, a log server): they are ended with the cluster.
            self._retired.append(old)
        # New ports for the log servers: the one of a killed process stays, and keeps its port.
        worker, triggerer = free_ports(2)
        ports = {"logging.worker_log_server_port": worker, "logging.trigger_log_server_port": triggerer}
        env = {**self.environment, **as_env(ports)}
        process = Process(name, self._command(name), env=env, log=self.home / f"{name}.log")
        self.processes[name] = process
        self.down.discard(name)
        return process

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process alone; what it started lives on, as after a real crash."""
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            self.down.add(name)
        self.processes[name].kill(number)

    def end(self, name: str, grace: float = 30) -> None:
        """End one process as a deployment does (SIGTERM), and all that it started."""
        self.down.add(name)
        self.processes[name].end(grace)

    def sweep(self) -> None:
        """End what killed processes have left: workers of a killed scheduler, log servers of a killed triggerer."""
        end(self._retired, 1)
        self._retired.clear()

    def drop(self, name: str) -> None:
        """End a process that is not started again, such as a second triggerer."""
        self.end(name)
        self._retired.append(self.processes.pop(name))
        self.down.discard(name)

    def stop(self, grace: float = 8) -> None:
        """End everything that was ever started here. A scheduler may wait for a task for ever: the grace is short."""
        try:
            end([*self._retired, *self.processes.values()], grace)
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    # Work

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, timeout: float = 180) -> str:
        """Start a run as soon as Airflow knows the DAG; answers its run id."""
        run_id = f"test__{secrets.token_hex(4)}"
        deadline = time.monotonic() + timeout
        while not self.door.trigger(dag_id, run_id, dict(conf or {})):
            self.check()
            if errors := self.door.import_errors():
                raise RuntimeError("Airflow cannot import a DAG file:\n" + "\n".join(errors))
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow does not know the DAG {dag_id} after {timeout:g} s\n{self.tails()}")
            time.sleep(0.5)
        return run_id

    def watch(self, dag_id: str, run_id: str, *, timeout: float = 300) -> Iterator[list[TaskInstance]]:
        """Until the run has ended: at every look, the task instances that changed since the one before (often none).

        It looks in the database: a look several times a second would keep the server of 3.x busy.
        """
        deadline = time.monotonic() + timeout
        before: dict[tuple[str, int], TaskInstance] = {}
        state, eyes = "", self.database()
        while state not in ENDED:
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{dag_id} has not ended after {timeout:g} s\n{self.report(dag_id, run_id, processes=True)}"
                )
            # First the run, then its tasks: so the last look shows how they ended.
            state = eyes.dag_run_state(dag_id, run_id)
            now = {(found.task_id, found.map_index): found for found in eyes.task_instances(dag_id, run_id)}
            yield [found for key, found in now.items() if _moved(before.get(key), found)]
            before = now
            if state not in ENDED:
                time.sleep(0.4)

    def wait(
        self,
        dag_id: str,
        run_id: str,
        *,
        timeout: float = 300,
        on_change: Callable[[TaskInstance], None] = lambda found: None,
    ) -> str:
        """The state in which the run ended, `success` or `failed`."""
        for changed in self.watch(dag_id, run_id, timeout=timeout):
            for found in changed:
                on_change(found)
        return self.dag_run_state(dag_id, run_id)

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        return self.door.dag_run_state(dag_id, run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        return self.door.task_instances(dag_id, run_id)

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstance | None:
        for found in self.task_instances(dag_id, run_id):
            if (found.task_id, found.map_index) == (task_id, map_index):
                return found
        return None

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, key: str = "return_value") -> Any:
        return self.door.xcom(dag_id, run_id, task_id, map_index, key)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Set a task's state by hand, as a user does in the web page: `failed` or `success`."""
        self.door.mark(dag_id, run_id, task_id, map_index, state)

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of a whole run by hand."""
        self.door.mark_run(dag_id, run_id, state)

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, as a user does who wants it to run again."""
        self.door.clear(dag_id, run_id, task_id)

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run that has ended, as a user does in the web page: it may be made again under its id."""
        self.door.delete_run(dag_id, run_id)

    def database(self) -> Database:
        """Airflow's database, to look at: it answers in a thousandth of the time that the server of 3.x takes."""
        url = self._extra_settings.get("database.sql_alchemy_conn", sqlite_url(self.home / "airflow.db"))
        return Database(str(url), self.python)

    def airflow(self, *arguments: str, timeout: float = 120) -> str:
        """What an `airflow` command of this deployment says."""
        return self._run([self._program, *arguments], timeout)

    def python(self, code: str, timeout: float = 120) -> str:
        """What a Python program says that runs in this deployment's environment."""
        return self._run([sys.executable, "-c", code], timeout)

    # What happened

    def check(self) -> None:
        """Raise if a process has ended by itself."""
        for name, process in self.processes.items():
            if name not in self.down and process.exit_code is not None:
                raise RuntimeError(f"airflow {name} ended with {process.exit_code}:\n{process.tail()}")

    def task_log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
        """What the task said so far in all its tries, on the worker and in the triggerer."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        files = sorted(folder.glob("attempt=*.log*"))
        return [said.text for file in files for said in log_lines(file.read_text(errors="replace"))]

    def report(self, dag_id: str, run_id: str, lines: int = 30, processes: bool = False) -> str:
        """Everything that helps to see why a run did not end well."""
        parts = []
        with contextlib.suppress(Exception):
            for found in self.task_instances(dag_id, run_id):
                parts.append(f"{found.name}: {found.state}, try {found.try_number}")
                if found.state not in ("success", None):
                    log = self.task_log(dag_id, run_id, found.task_id, found.map_index)
                    parts += [f"    {line}" for line in log[-lines:]]
        return "\n".join([*parts, self.tails(lines)] if processes else parts)

    def tails(self, lines: int = 30) -> str:
        return "\n".join(f"--- {name}\n{process.tail(lines)}" for name, process in self.processes.items())

    # How it is set up

    @property
    def _program(self) -> Path:
        return Path(sys.executable).parent / "airflow"

    def _command(self, name: str) -> list[str | Path]:
        return [self._program, name.partition(":")[0]]

    def _run(self, command: list[str | Path], timeout: float) -> str:
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # Nothing of the developer's own Airflow may reach this one.
        env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        env["AIRFLOW_HOME"] = str(self.home)
        # The executor of 2.11 finds `airflow` by its name.
        env["PATH"] = os.pathsep.join([str(self._program.parent), env.get("PATH", "")])
        env.update(PYTHONUNBUFFERED="1", NO_PROXY="127.0.0.1,localhost", SCARF_ANALYTICS="false", DO_NOT_TRACK="true")
        settings: dict[str, object] = {
            "core.dags_folder": self.dags,
            "core.load_examples": False,
            "core.dags_are_paused_at_creation": True,  # only what is asked for runs, whatever lies in the folder
            "scheduler.min_file_process_interval": 30,
            "scheduler.scheduler_idle_sleep_time": 0.3,
            "triggerer.job_heartbeat_sec": 1,
            "usage_data_collection.enabled": False,
            "sentinelhub.deployment": self.home.name,
        }
        if VERSION >= (3, 0):
            (port,) = free_ports(1)
            url = f"http://127.0.0.1:{port}"
            settings |= {
                "api.host": "127.0.0.1",
                "api.port": port,
                "api.workers": 1,
                "api.base_url": url,
                "api_auth.jwt_secret": secrets.token_hex(32),
                "core.execution_api_server_url": f"{url}/execution/",
                "core.executor": "LocalExecutor",
                "core.parallelism": 4,
                "core.simple_auth_manager_all_admins": True,
                "dag_processor.refresh_interval": 5,
                "dag_processor.min_file_process_interval": 30,
                # With the default of 5 s a task whose trigger fires sooner than that may be marked failed.
                "workers.min_heartbeat_interval": 1,
                # The server builds what answers tasks at the first call of one, which takes a busy machine a minute:
                # with the default of 5 s that task gives up after its five attempts, and fails before it has begun.
                "workers.execution_api_timeout": 150,
            }
            # A busy machine may take a minute to start the server.
            self.door = Rest(url, patience=150, check=self.check)
        else:
            settings |= {"core.executor": "SequentialExecutor"}
            self.door = self.database()
        return {**env, **as_env({**settings, **self._extra_settings}), **self._extra_env}


def as_env(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"AIRFLOW__{name.replace('.', '__').upper()}": str(value) for name, value in settings.items()}


def _moved(old: TaskInstance | None, new: TaskInstance) -> bool:
    return old is None or (old.state, old.try_number) != (new.state, new.try_number)
