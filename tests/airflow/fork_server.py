"""A process that has imported Airflow, and forks for each program that runs DAGs by `dag.test()`.

Airflow takes as long to import, and to build the API that a task calls within its own process, as a short DAG takes
to run. A fork shares nothing with the next one but the environment in which Airflow was imported.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import sys
from typing import Any, NoReturn, TextIO

from sqlalchemy.orm import configure_mappers

IMPORTED = (
    "airflow.models.dag",
    "airflow.models.dagrun",
    "airflow.serialization.serialized_objects",
    "airflow.dag_processing.dagbag",
    "airflow.jobs.triggerer_job_runner",
    "airflow.sdk",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.api_fastapi.execution_api.app",
    "airflow.providers.common.compat.sdk",
    "a2wsgi",
)
"""What `dag.test()` imports."""


def serve() -> None:
    """Run the programs that come as lines of JSON, one after the other; answers their process, then its exit code."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Airflow says while it is imported is no answer
    _import_airflow()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _tell(answers, child)
        _tell(answers, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _import_airflow() -> None:
    for name in IMPORTED:
        with contextlib.suppress(ModuleNotFoundError):  # of another version
            importlib.import_module(name)
    configure_mappers()  # else the first query does, in each program
    if (supervisor := sys.modules.get("airflow.sdk.execution_time.supervisor")) is None:
        return  # 2.11: its tasks call no API
    # 3.3 keeps it for all tasks of a process. Those before build it anew for each task, for seconds.
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    supervisor.in_process_api_server().app._cadwyn_initialize()


def _tell(answers: TextIO, number: int) -> None:
    print(number, file=answers, flush=True)


def _become(program: dict[str, Any]) -> NoReturn:
    """Be a process that runs this program, in all that it can see, and ends as any other does."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(os.open(program.get(name, os.devnull), os.O_RDWR), number)
    os.environ.clear()
    os.environ.update(program["environment"])
    sys.argv = ["-c", *program["arguments"]]
    importlib.invalidate_caches()  # the folder of DAGs is another one now
    exec(compile(program["text"], "<string>", "exec"), {"__name__": "__main__"})
    sys.exit(0)
