"""The only file that imports Airflow, knows its versions (2.11, and 3.0 to 3.3), and uses what is private of it.

Names that the common-compat provider offers for all versions come from there; the rest is settled here. A member that
Airflow does not document is used in one place only, whose text says on which versions and why.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    XCom,
    conf,
)
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context as Context

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:
    from airflow.exceptions import TaskDeferralError  # type: ignore[no-redef]

    try:
        from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]
    except ImportError:  # 2.11 has one error for both
        TaskDeferralTimeout = TaskDeferralError  # type: ignore[misc,assignment]

T = TypeVar("T")

DEFERRAL_FAILED = "__fail__"
"""`next_method` of a task whose deferral Airflow has ended itself.

Private, on all versions (3.x: `TRIGGER_FAIL_REPR`). Airflow's `resume_execution` raises then without a word about the
request; ours says whether that runs on, and cancels it at the deadline.
"""

__all__ = [
    "DEFERRAL_FAILED",
    "HAS_PAGES",
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskFacts",
    "TaskState",
    "TriggerEvent",
    "XCom",
    "airflow_url",
    "approval_operator",
    "aside",
    "conf",
    "dags_to_read",
    "deferral_error",
    "first_rescheduled",
    "get_async_connection",
    "link_key",
    "mask_secret",
    "may_read_xcoms",
    "metrics",
    "plugin_base",
    "start_of_run",
    "state_in_triggerer",
    "state_in_worker",
    "task_facts",
    "task_group",
    "tasks_with",
    "user_of_request",
    "xcom_in_triggerer",
]


def deferral_error(next_kwargs: dict[str, Any] | None) -> str:
    """Why Airflow has ended a deferral, to be asked where `next_method` is `DEFERRAL_FAILED`.

    Private, on all versions: "Trigger failure" or "Trigger timeout" (2.11: "Trigger/execution timeout").
    """
    return str((next_kwargs or {}).get("error") or "Trigger failure")


def link_key(link: type[BaseOperatorLink]) -> str:
    """The XCom key under which Airflow 3 keeps the address of an extra link.

    Private: Airflow 3 writes it when a leg of the task ends, by this name. Written earlier, the link shows while the
    first leg still runs. 2.11 computes links in the webserver, where the key does no harm.
    """
    return f"_link_{link.__name__}"


def airflow_url() -> str | None:
    """The address of this Airflow's web page, as it is configured."""
    url: str | None = conf.get("api" if AIRFLOW_V_3_0_PLUS else "webserver", "base_url", fallback=None)
    return url


def start_of_run(context: Any) -> datetime | None:
    """When the run began, as a sign of which run it is; None if that is not known.

    2.11 gives all that `dag.test()` and `airflow dags test` make for one date the same id and the same times, which are
    the date itself. Such a run lives in one process, which remembers when the first try of each of its tasks began.
    """
    run, ti = context.get("dag_run"), context["ti"]
    start = getattr(run, "start_date", None)
    if not isinstance(start, datetime):
        return None
    if AIRFLOW_V_3_0_PLUS or getattr(run, "queued_at", None) or start != getattr(run, "logical_date", None):
        return start
    key = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
    if ti.try_number <= 1 or key not in _test_runs:
        _test_runs[key] = datetime.now(timezone.utc)
    return _test_runs[key]


_test_runs: dict[tuple[Any, ...], datetime] = {}
"""2.11: when the first try of each task of a test run began. Such a run lives in one process, and this ends with it."""


_MASKERS = (
    "airflow.providers.common.compat.sdk",  # from 1.22 on, which Python 3.10 does not get
    "airflow.sdk.log",
    "airflow.utils.log.secrets_masker",
)


def mask_secret(secret: str) -> None:
    """Have Airflow blank this value in all logs from now on, in its percent-encoded form too."""
    from importlib import import_module
    from urllib.parse import quote

    mask: Any = None
    for home in _MASKERS:
        try:
            mask = import_module(home).mask_secret
            break
        except (ImportError, AttributeError):
            continue
    if mask is None:
        raise ImportError(f"This Airflow has no mask_secret in any of {', '.join(_MASKERS)}.")
    for form in {secret, quote(secret, safe="")}:
        mask(form)


async def aside(ask: Callable[[], T]) -> T:
    """What `ask` returns, which may talk to Airflow's supervisor without being async (masking does, on 3.x).

    Before 3.3 that raises in a triggerer's event loop. In asgiref's thread it comes back to that loop by itself; it is
    never cancelled, since on 3.0 that would leave the next one who asks with the wrong reply.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(sync_to_async(ask)())


def task_group(**how: Any) -> Any:
    """A TaskGroup of this Airflow."""
    from airflow.providers.common.compat.sdk import TaskGroup

    return TaskGroup(**how)


def approval_operator() -> Any:
    """Airflow's own human-in-the-loop step; None where there is none (before 3.1, or without the standard provider)."""
    from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except (ImportError, AirflowOptionalProviderFeatureException):  # the latter is what 3.0 says
        return None
    return ApprovalOperator


def metrics() -> Callable[[str, float], None]:
    """Airflow's own metrics: a function that takes a name and a value. Names in `_GAUGES` are set, others added up."""
    from airflow.providers.common.compat.sdk import Stats

    def tell(name: str, value: float) -> None:
        if name in _GAUGES:
            Stats.gauge(f"sentinelhub.{name}", value)
        else:
            Stats.incr(f"sentinelhub.{name}", int(value))

    return tell


_GAUGES = ("waiting", "oldest_reading", "lag")


async def get_async_connection(conn_id: str) -> Any:
    """The connection, without blocking the event loop."""
    from airflow.providers.common.compat.connection import get_async_connection as get

    return await get(conn_id)


def first_rescheduled(context: Any, retries: int) -> Any:
    """When a rescheduled sensor first ran in this try, None at its first look.

    2.11 offers that nowhere: `_orig_start_date` (private) is what its own `BaseSensorOperator` asks.
    """
    ti = context["ti"]
    if AIRFLOW_V_3_0_PLUS:
        return ti.get_first_reschedule_date(context)
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found]

    tries = (ti.max_tries or 0) - retries + 1
    where = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    return _orig_start_date(**where, try_number=tries)


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
    from airflow.sdk.execution_time import comms, task_runner

    # Private, Airflow 3 only: a trigger has no public way that waits without blocking the event loop
    # (`RuntimeTaskInstance.get_task_states` blocks). The channel is in `task_runner` on 3.0 to 3.3.
    channel = getattr(task_runner, "SUPERVISOR_COMMS", None) or getattr(comms, "SUPERVISOR_COMMS", None)
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


HAS_PAGES = AIRFLOW_V_3_1_PLUS
"""Whether this Airflow shows pages of plugins on its task instances."""


async def xcom_in_triggerer(ti: Any, key: str, value: Any = None) -> Any:
    """Write an XCom of a trigger's own task, or read it if there is no value; None where nobody answers.

    Private, Airflow 3.1 and later: a trigger has no public way. Its supervisor takes the messages that a task's takes.
    """
    from airflow.sdk.execution_time import comms, task_runner

    channel = getattr(task_runner, "SUPERVISOR_COMMS", None) or getattr(comms, "SUPERVISOR_COMMS", None)
    if channel is None:
        return None
    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    if value is None:
        return getattr(await channel.asend(comms.GetXCom(key=key, **where)), "value", None)
    # Never cancelled: that would leave the next one who asks with the wrong reply.
    return await asyncio.shield(channel.asend(comms.SetXCom(key=key, value=value, **where)))


def plugin_base() -> Any:
    """The base class of Airflow's plugins: newer than the oldest common-compat provider that we take."""
    from importlib import import_module

    try:
        return import_module("airflow.providers.common.compat.sdk").AirflowPlugin
    except AttributeError:
        return import_module("airflow.plugins_manager").AirflowPlugin


def may_read_xcoms() -> Any:
    """A dependency of FastAPI that lets only those pass who may read the XComs of the DAG in the path (`dag_id`)."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return requires_access_dag("GET", DagAccessEntity.XCOM)


def user_of_request() -> Any:
    """A dependency of FastAPI: the user of a request. Without a login it answers 401."""
    from airflow.api_fastapi.core_api.security import get_user

    return get_user


def dags_to_read(user: Any, dag_ids: Iterable[str]) -> set[str]:
    """Those of the DAGs whose XComs a user may read."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.dag import DagModel

    manager = get_auth_manager()
    team_of = getattr(DagModel, "get_team_name", None)  # from 3.2

    def may_read(dag_id: str) -> bool:
        team = {} if team_of is None else {"team_name": team_of(dag_id)}
        details = DagDetails(id=dag_id, **team)
        return bool(
            manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, details=details, user=user)
        )

    return {dag_id for dag_id in dag_ids if may_read(dag_id)}


class TaskFacts(NamedTuple):
    """What Airflow's tables say about a task instance. Times are in seconds since 1970.

    :param xcoms: values of the XComs that were asked for, by key; :param shared: values of the one XCom that was asked
        for of all tasks of the run.
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

    :param keys: of its own XComs; :param shared: key of the XCom that is read of all tasks of the run.
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
        return _facts(row, found)._replace(shared=tuple(XComModel.deserialize_value(xcom) for xcom in others))


def _facts(row: Any, xcoms: Iterable[Any]) -> TaskFacts:
    """A row of the task instances, and rows of its XComs."""
    from airflow.models.xcom import XComModel

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
        xcoms={xcom.key: XComModel.deserialize_value(xcom) for xcom in xcoms},
    )


def tasks_with(
    key: str, keys: tuple[str, ...], most: int, dag_ids: Callable[[Iterable[str]], set[str]]
) -> list[TaskFacts]:
    """The newest task instances that have an XCom with this key, newest first, read in the api-server.

    :param keys: XComs that are read of them; :param most: how many at the most.
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
