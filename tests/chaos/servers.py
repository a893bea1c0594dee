"""Servers that a larger Airflow needs, from the system's packages: each its own, on a free port, with nothing kept."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dev.processes import Process, free_ports, wait_for

USER = "airflow"
ORDINARY = "postgres"
"""Who runs PostgreSQL if we are root, which it refuses."""


def no_module(*modules: str) -> str:
    """Which of these Python packages is missing, in a sentence; empty if all are there."""
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"the Python package {module} is not installed"
    return ""


def no_postgres() -> str:
    """Why no PostgreSQL can be started here, in a sentence; empty if it can."""
    if postgres_folder() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and not (shutil.which("setpriv") and any(one.pw_name == ORDINARY for one in pwd.getpwall())):
        return f"PostgreSQL refuses to run as root, and there is no user {ORDINARY} to run it"
    return no_module("psycopg2")


def no_redis() -> str:
    return "" if shutil.which("redis-server") else "redis-server is not installed"


def postgres_folder() -> Path | None:
    """Where initdb is; Debian keeps it off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent  # the others lie beside it, not beside a link to it
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def _as_ordinary_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", *command]


def _bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TZ")}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="airflow-sentinelhub-db-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL with an empty database; gives `user@host:port/database`."""
    binaries = postgres_folder()
    assert binaries is not None
    (port,), env = free_ports(1), _bare()
    with _folder() as folder:
        data = folder / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            for path in (folder, data):
                shutil.chown(path, ORDINARY)
        initdb = [str(binaries / "initdb"), "-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync", "-D", str(data)]
        subprocess.run(_as_ordinary_user(initdb), env=env, check=True, capture_output=True, cwd=folder)
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [str(binaries / "postgres"), "-D", str(data), *options, "-c", "max_connections=200"]
        server = Process("postgres", _as_ordinary_user(command), env=env, log=folder / "postgres.log")
        createdb = [str(binaries / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", USER, "airflow"]

        def made() -> bool:
            return subprocess.run(createdb, env=env, capture_output=True, check=False).returncode == 0

        try:
            if not wait_for(made, timeout=60, every=0.5):
                raise RuntimeError(f"PostgreSQL does not answer\n{server.tail()}")
            yield f"{USER}@127.0.0.1:{port}/airflow"
        finally:
            server.end(5, signal.SIGINT)


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis; gives its URL."""
    (port,) = free_ports(1)
    with _folder() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        server = Process("redis", command, env=_bare(), log=folder / "redis.log")
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.end(5, signal.SIGINT)
