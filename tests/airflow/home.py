"""Homes for DAGs that `dag.test()` runs in a process of its own.

Airflow is imported once, and its tables are made once: each program is a fork of that process, each home has a copy."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SELDOM = "import gc; gc.set_threshold(50_000, 20, 100)\n"
"""For the begin of a program that imports Airflow and ends soon: garbage is looked for seldom, which saves a tenth."""


def environment(home: Path, dags: Path) -> dict[str, str]:
    """Of a process whose Airflow lives in this home, and nothing of the developer's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "0",  # a trigger waits for so long, and a second, before it polls
        "PYTHONPATH": str(ROOT),
    }


def program(text: str, *arguments: str) -> list[str]:
    """The command that runs this program, in which Airflow runs DAGs."""
    return [sys.executable, "-c", SELDOM + text, *arguments]


def live_in(folder: Path) -> tuple[Path, dict[str, str]]:
    """Make this folder, with its `dags`, the home of what `run` runs from now on; it gets tables, unless it has some.

    Answers the path by which they know it, always the same, and their environment.
    """
    have_tables(folder)
    _move_to(folder)
    home = _place() / "home"
    return home, environment(home, home / "dags")


def run(text: str, *arguments: str, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """What a program says in which Airflow runs DAGs."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory(dir=_place()) as folder:
        said = {name: Path(folder) / name for name in ("stdout", "stderr")}
        for file in said.values():
            file.touch()
        given = {"text": text, "arguments": arguments, "environment": env}
        print(json.dumps({**given, **{name: str(file) for name, file in said.items()}}), file=server.stdin, flush=True)
        first = server.stdout.readline()
        assert first, (_place() / "server.log").read_text()[-6000:]
        end = threading.Timer(timeout, os.kill, (int(first), signal.SIGKILL))
        end.start()
        code = int(server.stdout.readline())
        end.cancel()
        return subprocess.CompletedProcess(
            arguments, code, *(file.read_text(errors="replace") for file in said.values())
        )


@cache
def _place() -> Path:
    return Path(tempfile.mkdtemp(dir=os.environ["AIRFLOW_HOME"]))  # a temporary one, see tests/conftest.py


def _move_to(folder: Path) -> None:
    link = _place() / "home"
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)


@cache
def _server() -> subprocess.Popen[str]:
    """A process that runs programs by a fork of itself; see fork_server.py."""
    home = _place() / "home"
    with (_place() / "server.log").open("w") as log:
        server = subprocess.Popen(
            program("from tests.airflow.fork_server import serve\nserve()"),
            cwd=ROOT,
            env=environment(home, home / "dags"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    atexit.register(server.communicate)  # it ends when there is no more to read
    return server


def only(dags: Path, name: str) -> None:
    """Leave this DAG file alone in the folder of the DAGs, the others in one beside it.

    For each of its runs `dag.test()` of 3.3 parses all files of the folder, and writes their DAGs into the database.
    """
    others = dags.with_name("other_dags")
    others.mkdir(exist_ok=True)
    for file in dags.glob("*.py"):
        file.rename(others / file.name)
    (others / f"{name}.py").rename(dags / f"{name}.py")
    importlib.invalidate_caches()


def put_tables(home: Path) -> None:
    """Give a home the tables of a new Airflow."""
    shutil.copy(_tables(), home / "airflow.db")


def have_tables(home: Path) -> None:
    """Give a home the tables of a new Airflow, unless it has some. The file alone may be there, from a mere look."""
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        found = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table'").fetchone()
    if not found:
        put_tables(home)


def have_own_tables() -> None:
    """Give the home of this process the tables of a new Airflow, if it has none.

    A connection that a mere look has left open would not see them.
    """
    from airflow import settings

    home = Path(os.environ["AIRFLOW_HOME"])
    if settings.engine is not None:
        settings.engine.dispose()
    have_tables(home)


@cache
def _tables() -> Path:
    """A database of this Airflow without any content. It takes seconds to make: once in each process of the tests."""
    folder = _place() / "tables"
    folder.mkdir()
    _move_to(folder)
    home = _place() / "home"
    migrate = "from airflow.__main__ import main\nmain()"
    done = run(migrate, "db", "migrate", env=environment(home, home / "dags"), timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(folder.glob("airflow.db-*")), "all of it stands in the one file"
    return folder / "airflow.db"
