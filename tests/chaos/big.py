"""An Airflow as big teams run it: CeleryExecutor, Redis, PostgreSQL, two workers, two triggerers."""

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

from dev.cluster import Cluster
from dev.processes import Process, free_ports, wait_for

USER = "airflow"


class BigCluster(Cluster):
    @property
    def names(self) -> tuple[str, ...]:
        return ("api-server", "scheduler", "dag-processor", "triggerer", "triggerer:2", "worker:1", "worker:2")

    def _command(self, name: str) -> list[str | Path]:
        if name.startswith("worker"):
            return [self._program, "celery", "worker", "-H", f"{name.replace(':', '')}@%h"]
        return super()._command(name)


def missing() -> str:
    """What is not on this machine, in a sentence; empty if all is there."""
    modules = ("airflow.providers.celery", "airflow.providers.postgres", "psycopg2", "asyncpg", "redis")
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"the Python package {module} is not installed"
    if shutil.which("redis-server") is None:
        return "redis-server is not installed"
    if postgres_folder() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and (not _ordinary_user() or not shutil.which("setpriv")):
        return "PostgreSQL refuses to run as root, and there is no user postgres to run it"
    return ""


def postgres_folder() -> Path | None:
    """Where initdb is; Debian keeps it off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent  # the others lie beside it, not beside a link to it
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def _ordinary_user() -> str | None:
    return next((one.pw_name for one in pwd.getpwall() if one.pw_name == "postgres"), None)


def _as_ordinary_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    user = str(_ordinary_user())
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]


@contextlib.contextmanager
def services() -> Iterator[dict[str, object]]:
    """Redis and PostgreSQL of their own on free ports; gives the settings that make an Airflow use them."""
    folder = Path(tempfile.mkdtemp(prefix="airflow-sentinelhub-db-"))
    data, binaries = folder / "data", postgres_folder()
    assert binaries is not None
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TZ")}
    redis_port, postgres_port = free_ports(2)
    started: list[Process] = []
    try:
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            for path in (folder, data):
                shutil.chown(path, str(_ordinary_user()))
        run = {"env": env, "check": True, "capture_output": True, "cwd": folder}
        initdb = [str(binaries / "initdb"), "-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync", "-D", str(data)]
        subprocess.run(_as_ordinary_user(initdb), **run)  # type: ignore[call-overload]
        options = ["-p", str(postgres_port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        server = [str(binaries / "postgres"), "-D", str(data), *options, "-c", "max_connections=200"]
        started.append(Process("postgres", _as_ordinary_user(server), env=env, log=folder / "postgres.log"))
        redis = ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        started.append(Process("redis", redis, env=env, log=folder / "redis.log"))
        createdb = [str(binaries / "createdb"), "-h", "127.0.0.1", "-p", str(postgres_port), "-U", USER, "airflow"]

        def made() -> bool:
            return subprocess.run(createdb, env=env, capture_output=True, check=False).returncode == 0

        if not wait_for(made, timeout=60, every=0.5):
            raise RuntimeError("PostgreSQL does not answer\n" + "\n".join(one.tail() for one in started))
        address = f"{USER}@127.0.0.1:{postgres_port}/airflow"
        yield {
            "core.executor": "CeleryExecutor",
            "database.sql_alchemy_conn": f"postgresql+psycopg2://{address}",
            "celery.broker_url": f"redis://127.0.0.1:{redis_port}/0",
            "celery.result_backend": f"db+postgresql://{address}",
            "celery.worker_concurrency": 2,
        }
    finally:
        for process in started:
            process.end(5, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)
