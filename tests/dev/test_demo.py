"""The demo's own decisions: which service it asks for, and when it may say that all went well."""

from __future__ import annotations

import json
import socket
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from dev import demo
from dev.airflow_door import TaskInstance
from dev.simulator import with_extra

URI = "sentinelhub://id:secret@127.0.0.1:1234/http?token_url=http%3A%2F%2F127.0.0.1%2Ftoken"


def task(name: str, state: str | None = "success", map_index: int = -1) -> TaskInstance:
    return TaskInstance(name, map_index, state, 1, 0)


def request(**changes: Any) -> dict[str, Any]:
    return {"id": "a-b", "status": "DONE", "billed_starts": 1, "cost": 1234.56, "tiles": 130, **changes}


GOOD = [task("start"), task("publish", map_index=0), task("publish", map_index=1)]


def test_the_connection_gets_the_generation() -> None:
    parts = urllib.parse.urlsplit(with_extra(URI, batch_api="v1"))
    assert parts.netloc == "id:secret@127.0.0.1:1234"
    assert urllib.parse.parse_qs(parts.query) == {"token_url": ["http://127.0.0.1/token"], "batch_api": ["v1"]}


def test_the_connection_gets_the_generation_in_extra_json() -> None:
    uri = "sentinelhub://id:secret@h?" + urllib.parse.urlencode({"__extra__": json.dumps({"batch_api": "v2", "a": 1})})
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(with_extra(uri, batch_api="v1")).query)
    assert json.loads(query["__extra__"][0]) == {"batch_api": "v1", "a": 1}


def test_all_went_well() -> None:
    assert demo.verdict([request()], GOOD) == ""


@pytest.mark.parametrize(
    ("requests", "tasks", "problem"),
    [
        ([], GOOD, "one batch request"),
        ([request(), request()], GOOD, "one batch request"),
        ([request(status="PARTIAL")], GOOD, "one batch request"),
        ([request(billed_starts=2)], GOOD, "started once"),
        ([request()], [*GOOD, task("publish", "failed", 2)], "publish[2]"),
        ([request()], [*GOOD, task("report", None)], "report"),
        ([request()], [task("start")], "No mapped task"),
    ],
)
def test_what_did_not_go_well(requests: list[dict[str, Any]], tasks: list[TaskInstance], problem: str) -> None:
    assert problem in demo.verdict(requests, tasks)


def test_the_table() -> None:
    assert demo.results([request()], [*GOOD, task("publish", "failed", 2)], 3703.7) == {
        "request": "a-b",
        "status": "DONE",
        "tiles": 130,
        "PU": "1,234.6 expected (a third of the service's estimate of 3,703.7), 1,234.6 charged",
        "billed starts": 1,
        "mapped tasks": "2 of 3 succeeded",
    }
    assert demo.results([], [], None)["status"] == "none"


def test_the_estimate_comes_from_the_analysis() -> None:
    assert demo.estimate(["id", {"estimated_pu": 12.5}, None]) == 12.5
    assert demo.estimate(["id", {"estimated_pu": None}]) is None


def test_a_taken_port_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert demo.demo_ui(demo.parse(["--ui", "--port", str(port)])) == 1
    said = capsys.readouterr().err
    assert said == f"Port {port} is taken: choose another one with PORT=..., or none to get a free one.\n"


def test_log_lines_of_ours_are_told_once(tmp_path: Path) -> None:
    story = demo.Story(tmp_path, "r", "d")
    log = tmp_path / "logs" / "dag_id=d" / "run_id=r" / "task_id=t" / "attempt=1.log"
    log.parent.mkdir(parents=True)

    def line(text: str, logger: str) -> str:
        return json.dumps({"event": text, "logger": logger}) + "\n"

    log.write_text(
        line("10 of 130 tiles", "airflow_sentinelhub.triggers.batch") + line("noise", "airflow.core") + '{"ev'
    )
    assert list(story.log()) == ["10 of 130 tiles"]
    log.write_text(log.read_text()[:-4] + line("11 of 130 tiles", "airflow_sentinelhub.triggers.batch"))
    assert list(story.log()) == ["11 of 130 tiles"]
    assert list(story.log()) == []


def test_states_are_told_and_deferrals_counted(tmp_path: Path) -> None:
    story = demo.Story(tmp_path, "r", "d")
    changed = [task("wait", "deferred"), task("next", "scheduled"), TaskInstance("again", 3, "running", 2, 2)]
    assert [line.split() for line in story.states(changed)] == [
        ["wait", "deferred"],
        ["again[3]", "running", "(try", "2)"],
    ]
    assert story.deferrals == 1


def test_the_map_is_written_by_a_program_that_can_be_run(tmp_path: Path) -> None:
    compile(demo.map_code("5f2a4c1e", "v2", tmp_path / "map.html"), "map", "exec")


def test_the_tab_is_that_of_a_task_of_the_example() -> None:
    assert demo.tab("http://x", "d", "r") == f"http://x/dags/d/runs/r/tasks/{demo.TAB_OF}/plugin/sentinelhub"
    assert f'task_id="{demo.TAB_OF}"' in (demo.ROOT / "example_dags" / f"{demo.DAG}.py").read_text()
