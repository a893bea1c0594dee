"""The state of a task instance, asked from its trigger or from its own process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS
from airflow_sentinelhub._compat.supervisor import supervisor


class TaskState(NamedTuple):
    """What Airflow says about a task instance.

    `answered` is False if it did not say, `exists` if the task's row is gone.
    """

    answered: bool
    state: str | None = None
    exists: bool = True


NO_ANSWER = TaskState(False)


async def state_in_triggerer(
    dag_id: str, run_id: str, task_id: str, map_index: int, wait: float, keep: Callable[[asyncio.Future[Any]], None]
) -> TaskState:
    """The state of a task instance, asked from a trigger.

    Airflow 3 answers through the triggerer's supervisor, 2.11 from the database. While a triggerer of Airflow 3 shuts
    down nobody answers any more, so the wait is bounded; the question itself is never cancelled, since on 3.0 that
    would leave the next one with the wrong reply.

    :param keep: keeps the question from being collected while nobody waits for it any more.
    """
    if AIRFLOW_V_3_0_PLUS:
        asked = asyncio.ensure_future(_ask_supervisor(dag_id, run_id, task_id, map_index))
    else:
        loop = asyncio.get_running_loop()
        asked = asyncio.ensure_future(loop.run_in_executor(None, _ask_database, dag_id, run_id, task_id, map_index))
    keep(asked)
    done, _ = await asyncio.wait({asked}, timeout=wait)
    if not done or asked.cancelled() or asked.exception() is not None:
        return NO_ANSWER
    return asked.result()


async def _ask_supervisor(dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskState:
    comms, channel = supervisor()
    if channel is None:
        return NO_ANSWER
    wanted = None if map_index is None or map_index < 0 else map_index
    asked = comms.GetTaskStates(dag_id=dag_id, task_ids=[task_id], run_ids=[run_id], map_index=wanted)
    reply = await channel.asend(asked)
    return _state_of(getattr(reply, "task_states", None), run_id, task_id, map_index)


def _state_of(states: Any, run_id: str, task_id: str, map_index: int) -> TaskState:
    """Our task's state in the answer; a mapped task is named with its index."""
    if not isinstance(states, dict):
        return NO_ANSWER
    mine = states.get(run_id) or {}
    for name in (f"{task_id}_{map_index}", task_id):
        if name in mine:
            return TaskState(True, None if mine[name] is None else str(getattr(mine[name], "value", mine[name])))
    return TaskState(True, None, exists=False)


def _ask_database(dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskState:
    """2.11: triggers and tasks have the database."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        row = (
            session.query(TaskInstance.state)
            .filter_by(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
            .one_or_none()
        )
    return TaskState(True, None, exists=False) if row is None else TaskState(True, row[0] and str(row[0]))


def state_in_worker(ti: Any, wait: float) -> TaskState:
    """The state of a task instance, asked from its own task while it is being ended.

    In a thread, because the signal may have come in the middle of another question on the same channel.
    """
    found: list[TaskState] = []
    index = int(getattr(ti, "map_index", -1))

    def ask() -> None:
        if not AIRFLOW_V_3_0_PLUS:
            found.append(_ask_database(ti.dag_id, ti.run_id, ti.task_id, index))
            return
        states = type(ti).get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=None if index < 0 else index
        )
        found.append(_state_of(states, ti.run_id, ti.task_id, index))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(wait)
    return found[0] if found else NO_ANSWER
