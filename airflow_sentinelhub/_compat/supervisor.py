"""The process that answers a triggerer's questions to Airflow 3, and how to ask it without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, BaseHook, get_async_connection

T = TypeVar("T")


def supervisor() -> tuple[Any, Any]:
    """Airflow 3's messages, and the channel to the supervisor of a triggerer; None outside of one.

    Private, Airflow 3 only: a trigger has no public way that waits without blocking the event loop
    (`RuntimeTaskInstance.get_task_states` blocks). The channel is in `task_runner` on 3.0 to 3.3.
    """
    from airflow.sdk.execution_time import comms, task_runner

    return comms, getattr(task_runner, "SUPERVISOR_COMMS", None) or getattr(comms, "SUPERVISOR_COMMS", None)


async def connection_in_loop(conn_id: str) -> Any:
    """A connection, read without blocking the event loop, if there is any other way.

    `dag.test()` and `airflow dags test` of 3.2 and later run a trigger beside a supervisor that takes no message by
    `await` (`InProcessSupervisorComms` has no `asend`), and Airflow calls a connection of its database undefined then.
    Nobody else runs in that event loop, so it is asked in the way that blocks.
    """
    if AIRFLOW_V_3_0_PLUS:
        _, channel = supervisor()
        if channel is not None and not hasattr(channel, "asend"):
            return BaseHook.get_connection(conn_id)
    return await get_async_connection(conn_id)


async def whole_answer(asked: Coroutine[Any, Any, T]) -> T:
    """The answer to a message, whose sending is never cancelled: the next one would get the wrong reply."""
    return await asyncio.shield(asked)


async def aside(ask: Callable[[], T]) -> T:
    """What `ask` returns, which may talk to Airflow's supervisor without being async (masking does, on 3.x).

    Before 3.3 that raises in a triggerer's event loop. In asgiref's thread it comes back to that loop by itself; it is
    never cancelled, since on 3.0 that would leave the next one who asks with the wrong reply.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(sync_to_async(ask)())


async def xcom_in_triggerer(ti: Any, key: str, value: Any = None) -> Any:
    """Write an XCom of a trigger's own task, or read it if there is no value; None where nobody answers.

    For Airflow 3.1 and later. The supervisor of a trigger takes the messages that a task's takes.
    """
    comms, channel = supervisor()
    if channel is None:
        return None
    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    if value is None:
        return getattr(await whole_answer(channel.asend(comms.GetXCom(key=key, **where))), "value", None)
    return await whole_answer(channel.asend(comms.SetXCom(key=key, value=value, **where)))
