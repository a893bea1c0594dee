"""How the cluster reads Airflow: patience with a server that starts, plain lines out of its logs."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dev.airflow_door import Database, Rest, TaskInstance, log_lines, sqlite_url


class Server(HTTPServer):
    answers: list[tuple[int, Any]]
    asked: list[tuple[str, str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        code, body = self.server.answers.pop(0)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rest(server: Server) -> Rest:
    return Rest(f"http://127.0.0.1:{server.server_port}", patience=5)


def test_a_token_is_fetched_when_it_is_asked_for(server: Server, rest: Rest) -> None:
    server.answers = [(401, {}), (201, {"access_token": "t"}), (200, {"state": "running"})]
    assert rest.dag_run_state("d", "r/1") == "running"
    assert server.asked == [
        ("GET", "/api/v2/dags/d/dagRuns/r%2F1", None),
        ("GET", "/auth/token", None),
        ("GET", "/api/v2/dags/d/dagRuns/r%2F1", "Bearer t"),
    ]


def test_a_locked_database_is_waited_out_and_no_run_is_made_twice(server: Server, rest: Rest) -> None:
    server.answers = [(200, {}), (500, {"detail": "Database error"}), (409, {"detail": "exists"})]
    assert rest.trigger("d", "r", {})
    assert [method for method, _, _ in server.asked] == ["PATCH", "POST", "POST"]


def test_a_login(server: Server, rest: Rest) -> None:
    rest.login = {"username": "admin", "password": "p"}
    server.answers = [(401, {}), (201, {"access_token": "t"}), (200, {"state": "queued"})]
    assert rest.dag_run_state("d", "r") == "queued"
    assert server.asked[1][:2] == ("POST", "/auth/token")


def test_an_unknown_dag_is_not_an_error_yet(server: Server, rest: Rest) -> None:
    server.answers = [(404, {"detail": "not found"})]
    assert not rest.trigger("d", "r", {})


def test_an_error_says_what_was_asked_and_answered(server: Server, rest: Rest) -> None:
    server.answers = [(422, {"detail": "no such state"})]
    with pytest.raises(RuntimeError, match=r"422 to PATCH /api/v2/dags/d/dagRuns/r/taskInstances/t/3: .*no such state"):
        rest.mark("d", "r", "t", 3, "purple")


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RuntimeError, match="does not answer GET /api/v2/importErrors"):
        Rest("http://127.0.0.1:1", patience=0).import_errors()


def test_nobody_waits_for_a_server_that_has_ended() -> None:
    def ended() -> None:
        raise RuntimeError("airflow api-server ended with 1")

    with pytest.raises(RuntimeError, match="api-server ended"):
        Rest("http://127.0.0.1:1", patience=60, check=ended).import_errors()


def test_task_instances_are_read_page_by_page(server: Server, rest: Rest) -> None:
    row = {"task_id": "t", "state": None, "try_number": 1, "max_tries": 0, "pid": 7}
    rows = [{**row, "map_index": index} for index in (1, 0)]
    server.answers = [(200, {"task_instances": [one], "total_entries": 2}) for one in rows]
    assert rest.task_instances("d", "r") == [TaskInstance("t", index, None, 1, 0, 7) for index in (0, 1)]
    assert server.asked[1][1].endswith("/taskInstances?limit=100&offset=1&order_by=id")


def test_the_names_of_task_instances() -> None:
    assert TaskInstance("t", -1, None, 1, 0).name == "t"
    assert TaskInstance("t", 4, None, 1, 0).name == "t[4]"


def test_logs_in_plain_words() -> None:
    text = "\n".join(
        [
            "[2026-01-01] {op.py:1} INFO - a line of 2.11",
            '{"timestamp": "2026-01-01T00:00:00Z", "event": "a line of 3.x", "logger": "x"}',
            '{"event": "Task failed", "error_detail": [{"exc_type": "ValueError", "exc_value": "no"}]}',
            "[1]",
        ]
    )
    assert [said.text for said in log_lines(text)] == [
        "[2026-01-01] {op.py:1} INFO - a line of 2.11",
        "a line of 3.x",
        "Task failed",
        "ValueError: no",
        "[1]",
    ]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """As 2.11 has it: the value of an XCom is JSON in bytes."""
    file = tmp_path / "airflow.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.executescript("""
            create table dag_run (dag_id, run_id, state);
            insert into dag_run values ('maps', 'r1', 'running'), ('maps', 'r2', 'success');
            create table xcom (dag_id, run_id, task_id, map_index, key, value);
            insert into xcom values ('maps', 'r1', 'job', -1, 'request_id', cast('"5f2a"' as blob));
        """)
    return Database(sqlite_url(file), lambda code: code)


def test_the_database_tells(database: Database) -> None:
    assert [database.dag_run_state("maps", run) for run in ("r1", "r2")] == ["running", "success"]
    assert database.xcom("maps", "r1", "job", -1, "request_id") == "5f2a"
    assert database.xcom("maps", "r2", "job", -1, "request_id") is None


def test_nobody_writes_into_the_database_from_outside(database: Database) -> None:
    with pytest.raises(Exception, match="readonly database"):
        database._rows("delete from dag_run")
