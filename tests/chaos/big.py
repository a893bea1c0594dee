"""An Airflow as big teams run it: CeleryExecutor, Redis, PostgreSQL, two workers, two triggerers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dev.cluster import Cluster
from tests.chaos.servers import no_module, no_postgres, no_redis, postgres, redis


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
    modules = ("airflow.providers.celery", "airflow.providers.postgres", "asyncpg", "redis")
    return no_module(*modules) or no_redis() or no_postgres()


@contextlib.contextmanager
def services() -> Iterator[dict[str, object]]:
    """Redis and PostgreSQL; gives the settings that make an Airflow use them."""
    with postgres() as database, redis() as broker:
        yield {
            "core.executor": "CeleryExecutor",
            "database.sql_alchemy_conn": f"postgresql+psycopg2://{database}",
            "celery.broker_url": broker,
            "celery.result_backend": f"db+postgresql://{database}",
            "celery.worker_concurrency": 2,
        }
