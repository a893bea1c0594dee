"""Homes for DAGs that `dag.test()` runs in a process of its own: Airflow's tables are made once, then copied."""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import subprocess
import sys
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
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "PYTHONPATH": str(ROOT),
    }


def program(text: str, *arguments: str) -> list[str]:
    """The command that runs this program, in which Airflow runs DAGs."""
    return [sys.executable, "-c", SELDOM + text, *arguments]


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


@cache
def _tables() -> Path:
    """A database of this Airflow without any content. It takes seconds to make: once in each process of the tests."""
    home = Path(os.environ["AIRFLOW_HOME"]) / "tables"  # a temporary one, see tests/conftest.py
    home.mkdir()
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment(home, home / "dags"), check=True, capture_output=True)
    assert not list(home.glob("airflow.db-*")), "all of it stands in the one file"
    return home / "airflow.db"
