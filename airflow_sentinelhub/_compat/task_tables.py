"""Task instances and their XComs, read from Airflow's tables in the api-server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class TaskFacts(NamedTuple):
    """What Airflow's tables say about a task instance. Times are in seconds since 1970.

    :param xcoms: values of the XComs that were asked for, by key.
    :param shared: values of the one XCom that was asked for of all tasks of the run.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    operator: str
    started: float | None
    ended: float | None
    xcoms: dict[str, Any]
    shared: tuple[Any, ...] = ()


MOST_SHARED = 200
"""XComs of other tasks that are read at the most."""


def task_facts(
    dag_id: str, run_id: str, task_id: str, map_index: int, keys: tuple[str, ...], shared: str
) -> TaskFacts | None:
    """A task instance and some of its XComs, read in the api-server; None if there is no such task instance.

    :param keys: of its own XComs.
    :param shared: key of the XCom that is read of all tasks of the run.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    with create_session() as session:
        row = session.query(TaskInstance).filter_by(**where).one_or_none()
        if row is None:
            return None
        found = session.query(XComModel).filter_by(**where).filter(XComModel.key.in_(keys)).all()
        others = session.query(XComModel).filter_by(dag_id=dag_id, run_id=run_id, key=shared).limit(MOST_SHARED).all()
        return _facts(row, found)._replace(shared=tuple(_value_of(xcom) for xcom in others))


def _facts(row: Any, xcoms: Iterable[Any]) -> TaskFacts:
    """A row of the task instances, and rows of its XComs."""
    return TaskFacts(
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=row.map_index,
        state=row.state and str(getattr(row.state, "value", row.state)),
        try_number=row.try_number,
        operator=str(row.operator or ""),
        started=row.start_date.timestamp() if row.start_date else None,
        ended=row.end_date.timestamp() if row.end_date else None,
        xcoms={xcom.key: _value_of(xcom) for xcom in xcoms},
    )


def _value_of(xcom: Any) -> Any:
    """The value of a row of the XComs, as the JSON that it is: ours hold nothing else.

    Whoever may write XComs may write anything, so no class that a value names is looked for, as Airflow would.
    """
    value = xcom.value
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def tasks_with(
    key: str, keys: tuple[str, ...], most: int, dag_ids: Callable[[Iterable[str]], set[str]]
) -> list[TaskFacts]:
    """The newest task instances that have an XCom with this key, newest first, read in the api-server.

    :param keys: XComs that are read of them.
    :param most: how many at the most.
    :param dag_ids: chooses the DAGs that may be read of those that have such tasks.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = dag_ids([dag_id for (dag_id,) in session.query(XComModel.dag_id).filter_by(key=key).distinct()])
        if not found:
            return []
        newest = (
            session.query(XComModel)
            .filter(XComModel.key == key, XComModel.dag_id.in_(found))
            .order_by(XComModel.timestamp.desc())
            .limit(most)
            .all()
        )
        tasks = []
        for xcom in newest:
            names = ("dag_id", "run_id", "task_id", "map_index")
            where = {name: getattr(xcom, name) for name in names}
            row = session.query(TaskInstance).filter_by(**where).one_or_none()
            if row is not None:
                xcoms = session.query(XComModel).filter_by(**where).filter(XComModel.key.in_(keys)).all()
                tasks.append(_facts(row, xcoms))
        return tasks
