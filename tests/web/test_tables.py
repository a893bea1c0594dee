"""What is read of Airflow's tables: the task instance that is asked for and no other one, and the newest jobs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy

from airflow_sentinelhub._compat.task_tables import task_facts, tasks_with
from airflow_sentinelhub.web.job_view import KEYS, job_view
from airflow_sentinelhub.web.jobs_view import jobs_view

KEY = "sentinelhub_request"
BORN = datetime(2026, 5, 1, tzinfo=timezone.utc)
Put = Callable[..., None]


@pytest.fixture
def put(tables: None) -> Iterator[Put]:
    """Writes a task instance with XComs into the tables, as Airflow would have; they are empty again afterwards."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    made = (XComModel.__table__, TaskInstance.__table__, DagRun.__table__)
    runs: dict[tuple[str, str], int] = {}

    def write(dag_id: str = "d", run_id: str = "r", task_id: str = "t", map_index: int = -1, **more: Any) -> None:
        at, xcoms = more.pop("at", 0), more.pop("xcoms", {})
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        as_column = TaskInstance.__table__.c.id.type.python_type  # text before Airflow 3.2
        columns = {
            "id": as_column(str(uuid.uuid4())),
            "try_number": 1,
            "max_tries": 1,
            "pool": "p",
            "pool_slots": 1,
            "operator": "Op",
        }
        columns |= {"start_date": BORN + timedelta(seconds=at), "dag_version_id": uuid.uuid4(), **more}
        known = (dag_id, run_id) in runs
        number = runs.setdefault((dag_id, run_id), len(runs) + 1)
        run = {"id": number, "dag_id": dag_id, "run_id": run_id, "run_type": "manual", "state": "running"}
        run |= {"run_after": BORN, "clear_number": 0, "triggered_by": "TEST"}
        rows = [
            {**where, "dag_run_id": number, "key": key, "value": value, "timestamp": BORN + timedelta(seconds=at)}
            for key, value in xcoms.items()
        ]
        with create_session() as session:
            session.execute(sqlalchemy.text("PRAGMA foreign_keys=OFF"))
            if not known:
                session.execute(DagRun.__table__.insert(), run)
            session.execute(TaskInstance.__table__.insert(), {**where, **columns})
            for row in rows:
                session.execute(XComModel.__table__.insert(), row)

    yield write
    with create_session() as session:
        session.execute(sqlalchemy.text("PRAGMA foreign_keys=OFF"))
        for table in made:
            session.execute(table.delete())


def test_the_task_instance_that_is_asked_for(put: Put) -> None:
    put(xcoms={KEY: {"request_id": "1"}, "return_value": {"large": 1}}, state="deferred", try_number=2)
    for other in ({"dag_id": "other"}, {"run_id": "other"}, {"task_id": "other"}, {"map_index": 5}):
        put(**other, xcoms={KEY: {"request_id": f"of {other}"}})
    found = task_facts("d", "r", "t", -1, KEYS, KEY)
    assert found is not None
    assert (found.state, found.try_number, found.operator) == ("deferred", 2, "Op")
    assert found.started == BORN.timestamp()
    assert found.xcoms == {KEY: {"request_id": "1"}}, "nothing but what was asked for"
    assert len(found.shared) == 3, "those of the same run"
    mapped = task_facts("d", "r", "t", 5, KEYS, KEY)
    assert mapped is not None
    assert mapped.xcoms == {KEY: {"request_id": "of {'map_index': 5}"}}


@pytest.mark.parametrize(
    "where", [("no", "r", "t", -1), ("d", "no", "t", -1), ("d", "r", "no", -1), ("d", "r", "t", 5)]
)
def test_a_task_instance_that_is_not_there(put: Put, where: tuple[str, str, str, int]) -> None:
    """Such as that of a run that was deleted while somebody looks."""
    put(xcoms={KEY: {"request_id": "1"}})
    assert task_facts(*where, KEYS, KEY) is None


def test_the_newest_jobs_of_the_dags_that_may_be_read(put: Put) -> None:
    for number in range(6):
        put(dag_id="secret" if number % 2 else "open", run_id=f"r{number}", at=number, xcoms={KEY: number})
    put(dag_id="open", run_id="none", at=9, xcoms={"other": 1})
    seen: list[set[str]] = []

    def may(dag_ids: Any) -> set[str]:
        seen.append(set(dag_ids))
        return {"open"}

    assert [task.run_id for task in tasks_with(KEY, (KEY,), 10, may)] == ["r4", "r2", "r0"]
    assert [task.run_id for task in tasks_with(KEY, (KEY,), 2, may)] == ["r4", "r2"]
    assert seen[0] == {"open", "secret"}
    assert tasks_with(KEY, (KEY,), 10, lambda _: set()) == []


CLASS = {"__version__": 1, "__data__": {}}
NO_VALUES = [
    json.dumps({**CLASS, "__classname__": "os.system"}),
    json.dumps({**CLASS, "__classname__": "datetime.datetime"}),
    json.dumps({**CLASS, "__classname__": "airflow_sentinelhub.nothing.Here"}),
    {**CLASS, "__classname__": "os.system"},
    "{",
    "[" * 50_000,
    '{"a": NaN}',
    [],
    7,
]


@pytest.mark.parametrize("value", NO_VALUES, ids=range(len(NO_VALUES)))
def test_a_value_of_another_shape_hides_no_other_one(put: Put, value: Any) -> None:
    """Whoever may write XComs of one DAG hides neither the page of a task nor the jobs of other DAGs."""
    put(xcoms={KEY: {"request_id": "1"}, "request_id": value})
    put(dag_id="other", at=1, xcoms={KEY: value})
    found = task_facts("d", "r", "t", -1, KEYS, KEY)
    assert found is not None
    assert found.xcoms[KEY] == {"request_id": "1"}
    assert job_view(found, None, 1.0)["found"] is True
    newest = tasks_with(KEY, KEYS, 10, set)
    assert [task.dag_id for task in newest] == ["other", "d"]
    json.dumps(jobs_view(newest, 1.0), allow_nan=False)


@pytest.mark.parametrize(("kept", "read"), [('{"request_id": "1"}', {"request_id": "1"}), ("1-a", "1-a"), (None, None)])
def test_a_value_that_was_kept_as_text_is_read_too(put: Put, kept: Any, read: Any) -> None:
    put(xcoms={KEY: kept})
    found = task_facts("d", "r", "t", -1, KEYS, KEY)
    assert found is not None
    assert found.xcoms == {KEY: read}
