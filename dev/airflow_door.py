"""Asking a running Airflow what it does: over REST on Airflow 3, in its database and by its own code on 2.11.

2.11 needs no web server to run DAGs, so none is started for it.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class TaskInstance:
    """One try of one task. `pid` is the process that runs the task's code, while it runs."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    pid: int | None = None

    @property
    def name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class Door(Protocol):
    def import_errors(self) -> list[str]: ...
    def trigger(self, dag_id: str, run_id: str, conf: Json) -> bool:
        """Unpause the DAG and start a run; false while Airflow does not know the DAG yet."""

    def dag_run_state(self, dag_id: str, run_id: str) -> str: ...
    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]: ...
    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int, key: str) -> Any: ...
    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, str | None]:
        """Address by name of each extra link that the web page shows on a task instance; None: it is greyed out."""

    def mark(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str) -> None: ...
    def mark_run(self, dag_id: str, run_id: str, state: str) -> None: ...
    def clear(self, dag_id: str, run_id: str, task_id: str) -> None: ...
    def delete_run(self, dag_id: str, run_id: str) -> None: ...


class Rest:
    """The public API of Airflow 3. Without a login it asks for none (simple auth manager, all admins)."""

    def __init__(
        self,
        url: str,
        patience: float = 30,
        login: Json | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` raises when it is no use to wait for an answer any longer."""
        self.url = url
        self.patience = patience
        self.login = login
        self.check = check
        self._token = ""
        # A proxy of the user's has no business with 127.0.0.1.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Json | None = None, accept: tuple[int, ...] = ()) -> Json:
        """One request, sent again while the server starts or SQLite is locked; an accepted error answers its status."""
        deadline = time.monotonic() + self.patience
        while True:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            request = urllib.request.Request(
                self.url + path, None if body is None else json.dumps(body).encode(), headers, method=method
            )
            try:
                with self._opener.open(request, timeout=30) as reply:
                    return dict(json.loads(reply.read() or b"{}"))
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")
                if error.code in accept:
                    return {"status": error.code}
                if error.code == 401 and path != "/auth/token":
                    reply = self.call("POST" if self.login else "GET", "/auth/token", self.login)
                    self._token = str(reply["access_token"])
                elif error.code < 500 or time.monotonic() > deadline:
                    raise RuntimeError(f"Airflow answered {error.code} to {method} {path}: {said[:2000]}") from None
            except (OSError, ValueError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Airflow does not answer {method} {path}: {error}") from None
            self.check()
            time.sleep(0.3)

    def import_errors(self) -> list[str]:
        found = self.call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in found]

    def trigger(self, dag_id: str, run_id: str, conf: Json) -> bool:
        if self.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False}, accept=(404,)).get("status") == 404:
            return False
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        # 409: the first attempt was answered with an error, but the run had been made.
        return self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, accept=(404, 409)).get("status") != 404

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", _run(dag_id, run_id))["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        rows: list[Json] = []
        while True:
            path = f"{_run(dag_id, run_id)}/taskInstances?limit=100&offset={len(rows)}&order_by=id"
            page = self.call("GET", path)
            rows += page["task_instances"]
            if not page["task_instances"] or len(rows) >= page["total_entries"]:
                return sorted((_instance(row) for row in rows), key=lambda found: (found.task_id, found.map_index))

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int, key: str) -> Any:
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{urllib.parse.quote(key)}"
        return self.call("GET", f"{path}?map_index={map_index}&stringify=false", accept=(404,)).get("value")

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, str | None]:
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/links?map_index={map_index}"
        return dict(self.call("GET", path)["extra_links"])

    def mark(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str) -> None:
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}"
        self.call("PATCH", path if map_index < 0 else f"{path}/{map_index}", {"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self.call("PATCH", _run(dag_id, run_id), {"state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self.call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", {**body, "reset_dag_runs": True})

    def delete_run(self, dag_id: str, run_id: str) -> None:
        # 404: the first attempt was answered with an error, but the run had been deleted.
        self.call("DELETE", _run(dag_id, run_id), accept=(404,))


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"


def _instance(row: Json) -> TaskInstance:
    return TaskInstance(
        row["task_id"], row["map_index"], row["state"], row["try_number"], row["max_tries"], row.get("pid")
    )


class Database:
    """Airflow 2.11 without its web server: its database tells, a Python program acts (some seconds a call)."""

    def __init__(self, url: str, python: Callable[[str], str]) -> None:
        self.url = url
        self.python = python

    def import_errors(self) -> list[str]:
        return [f"{row['filename']}: {row['stacktrace']}" for row in self._rows("select * from import_error")]

    def trigger(self, dag_id: str, run_id: str, conf: Json) -> bool:
        if not self._rows("select 1 from serialized_dag where dag_id = :dag_id", dag_id=dag_id):
            return False
        self.python(
            "from airflow.api.common.trigger_dag import trigger_dag; from airflow.models import DagModel;"
            f"DagModel.get_dagmodel({dag_id!r}).set_is_paused(False);"
            f"trigger_dag({dag_id!r}, run_id={run_id!r}, conf={conf!r})"
        )
        return True

    def run_ids(self, dag_id: str) -> list[str]:
        """The runs of a DAG, the oldest first."""
        return [
            row["run_id"]
            for row in self._rows("select run_id from dag_run where dag_id = :dag_id order by id", dag_id=dag_id)
        ]

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        query = "select state from dag_run where dag_id = :dag_id and run_id = :run_id"
        (row,) = self._rows(query, dag_id=dag_id, run_id=run_id)
        return str(row["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        query = "select * from task_instance where dag_id = :dag_id and run_id = :run_id order by task_id, map_index"
        return [_instance(row) for row in self._rows(query, dag_id=dag_id, run_id=run_id)]

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int, key: str) -> Any:
        task = "dag_id = :dag_id and run_id = :run_id and task_id = :task_id and map_index = :map_index"
        named = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index, "key": key}
        rows = self._rows(f"select value from xcom where {task} and key = :key", **named)
        return json.loads(bytes(rows[0]["value"])) if rows else None

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, str | None]:
        # What the REST API of 2.11 does.
        said = self.python(
            "import json; from airflow.models.dagbag import DagBag; from airflow.models import DagRun;"
            f"task = DagBag(read_dags_from_db=True).get_dag({dag_id!r}).get_task({task_id!r});"
            f"(run,) = DagRun.find(dag_id={dag_id!r}, run_id={run_id!r});"
            f"ti = run.get_task_instance({task_id!r}, map_index={map_index});"
            "print('\\n' + json.dumps({name: task.get_extra_links(ti, name) or None for name in task.extra_links}))"
        )
        return dict(json.loads(said.strip().splitlines()[-1]))

    def mark(self, dag_id: str, run_id: str, task_id: str, map_index: int, state: str) -> None:
        # What the button of the 2.11 web page does.
        self.python(
            "from airflow.models.dagbag import DagBag; from airflow.api.common.mark_tasks import set_state;"
            f"dag = DagBag(read_dags_from_db=True).get_dag({dag_id!r}); task = dag.get_task({task_id!r});"
            f"set_state(tasks=[({'task' if map_index < 0 else f'(task, {map_index})'})], run_id={run_id!r},"
            f" state={state!r}, commit=True)"
        )

    def asset_events(self, dag_id: str, run_id: str) -> list[Json]:
        """The events of a run's outlets, which 2.11 calls datasets: who has emitted each, and what it tells."""
        tables = self._rows("select name from sqlite_master where name in ('asset_event', 'dataset_event')")
        query = (
            f"select * from {tables[0]['name']} where source_dag_id = :dag_id and source_run_id = :run_id order by id"
        )
        return [{**row, "extra": json.loads(row["extra"])} for row in self._rows(query, dag_id=dag_id, run_id=run_id)]

    def dag_hashes(self, dag_id: str) -> list[str]:
        """What tells the versions of a DAG apart that Airflow has parsed so far; one at most on 2.11."""
        rows = self._rows("select dag_hash from serialized_dag where dag_id = :dag_id", dag_id=dag_id)
        return sorted(str(row["dag_hash"]) for row in rows)

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self.python(
            "from airflow.models.dagbag import DagBag; from airflow.api.common import mark_tasks;"
            f"dag = DagBag(read_dags_from_db=True).get_dag({dag_id!r});"
            f"mark_tasks.set_dag_run_state_to_{state}(dag=dag, run_id={run_id!r}, commit=True)"
        )

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        self.python(
            "from airflow.models.dagbag import DagBag; from airflow.models import DagRun;"
            f"dag = DagBag(read_dags_from_db=True).get_dag({dag_id!r});"
            f"(run,) = DagRun.find(dag_id={dag_id!r}, run_id={run_id!r});"
            f"dag.clear(task_ids=[{task_id!r}], start_date=run.execution_date, end_date=run.execution_date)"
        )

    def delete_run(self, dag_id: str, run_id: str) -> None:
        # What the REST API of 2.11 does.
        self.python(
            "from airflow.models import DagRun; from airflow.utils.session import create_session\n"
            "with create_session() as session:\n"
            f"    session.query(DagRun).filter_by(dag_id={dag_id!r}, run_id={run_id!r}).delete()"
        )

    def _rows(self, query: str, **values: Any) -> list[Json]:
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    @cached_property
    def _engine(self) -> Any:
        """It keeps no connection: processes are killed around it, and a file may be deleted."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        return create_engine(self.url, poolclass=NullPool)


def sqlite_url(file: object) -> str:
    """A file to be read only."""
    return f"sqlite:///file:{file}?mode=ro&uri=true&timeout=20"


class Said(NamedTuple):
    """One line of a task's log. Airflow 2.11 does not say which logger wrote it."""

    text: str
    logger: str = ""


def log_lines(text: str) -> Iterator[Said]:
    """What a task's log says, in plain words: Airflow 3 writes one JSON object a line."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            yield Said(line)
            continue
        logger = str(entry.get("logger", ""))
        yield Said(str(entry.get("event", line)), logger)
        for error in entry.get("error_detail") or ():
            yield Said(f"{error.get('exc_type')}: {error.get('exc_value')}", logger)
