"""The only file that imports Airflow, knows its versions (2.11, and 3.0 to 3.3), and uses what is private of it.

Names that the common-compat provider offers for all versions come from there; the rest is settled here. A member that
Airflow does not document is used in one place only, whose text says on which versions and why.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Collection, Coroutine, Iterable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow import __version__ as airflow_version
from airflow.providers.common.compat import __version__ as common_compat_version
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING or tuple(map(int, common_compat_version.split(".")[:2])) >= (1, 13):
    from airflow.providers.common.compat.connection import get_async_connection
    from airflow.providers.common.compat.sdk import (
        AirflowException,
        AirflowFailException,
        AirflowOptionalProviderFeatureException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Stats,
        TaskGroup,
        XCom,
        XComArg,
        conf,
    )
else:  # the official constraints of Airflow 3.0 pin such an old one
    from airflow.configuration import conf
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowOptionalProviderFeatureException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
    from airflow.hooks.base import BaseHook
    from airflow.stats import Stats

    try:
        from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator, TaskGroup, XComArg
        from airflow.sdk.bases.xcom import BaseXCom as XCom
    except ImportError:  # 2.11
        from airflow.models.baseoperator import BaseOperator
        from airflow.models.baseoperatorlink import BaseOperatorLink
        from airflow.models.xcom import BaseXCom as XCom
        from airflow.models.xcom_arg import XComArg
        from airflow.sensors.base import BaseSensorOperator
        from airflow.utils.task_group import TaskGroup

    async def get_async_connection(conn_id):
        """The connection, read in a thread: these versions ask for it by a blocking call only."""
        from asgiref.sync import sync_to_async

        return await sync_to_async(BaseHook.get_connection)(conn_id)


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

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # 2.11
    BaseEventTrigger = None  # type: ignore[assignment,misc]

T = TypeVar("T")
_log = logging.getLogger(__name__)

NO_WATCHERS = (
    f"Watchers need Airflow 3.0 or later, and this is {airflow_version}: here a DAG with a schedule and a sensor does "
    "the same."
)
"""What is said where `BaseEventTrigger` is None."""

DEFERRAL_FAILED = "__fail__"
"""`next_method` of a task whose deferral Airflow has ended itself.

Private, on all versions (3.x: `TRIGGER_FAIL_REPR`). Airflow's `resume_execution` raises then without a word about the
request; ours says whether that runs on, and cancels it at the deadline.
"""

__all__ = [
    "DEFERRAL_FAILED",
    "HAS_PAGES",
    "NO_WATCHERS",
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskFacts",
    "TaskGroup",
    "TaskState",
    "TriggerEvent",
    "WatcherStore",
    "XCom",
    "XComArg",
    "airflow_url",
    "approval_operator",
    "aside",
    "asset_of",
    "cli_group",
    "conf",
    "dags_in",
    "dags_to_read",
    "deferral_error",
    "first_rescheduled",
    "get_async_connection",
    "is_alias",
    "is_asset",
    "link_key",
    "mapped_over",
    "mask_secret",
    "masked",
    "may_read_xcoms",
    "metrics",
    "operator_lineage",
    "plugin_base",
    "shows_pages",
    "start_of_run",
    "state_in_triggerer",
    "state_in_worker",
    "task_facts",
    "task_group",
    "tasks_with",
    "template_context",
    "user_of_request",
    "xcom_in_triggerer",
]


def deferral_error(next_kwargs: dict[str, Any] | None) -> str:
    """Why Airflow has ended a deferral, to be asked where `next_method` is `DEFERRAL_FAILED`.

    Private, on all versions: "Trigger failure" or "Trigger timeout" (2.11: "Trigger/execution timeout").
    """
    return str((next_kwargs or {}).get("error") or "Trigger failure")


def mapped_over(task: Any) -> dict[str, Any]:
    """Argument of a mapped task -> the output of another task that the DAG maps it over; empty for other tasks.

    Airflow makes a mapped task anew in the run, from values: only here it is seen that a None was no None of the DAG.
    Private, on all versions: the arguments that a task was made of. With `expand_kwargs` these alone tell the names.
    """
    dag = task.dag if getattr(task, "has_dag", lambda: False)() else None
    mapped = getattr(dag, "task_dict", {}).get(task.task_id)
    value = getattr(getattr(mapped, "expand_input", None), "value", None)
    if isinstance(value, dict):
        return {name: one for name, one in value.items() if _is_output(one)}
    source = next(filter(_is_output, value if isinstance(value, (list, tuple)) else (value,)), None)
    if source is None or mapped is None or dag is None:
        return {}
    in_dag = {*mapped.partial_kwargs, *(dag.default_args or {}), *(mapped.partial_kwargs.get("default_args") or {})}
    return {name: source for name in getattr(task, "_BaseOperator__init_kwargs", {}) if name not in in_dag}


def _is_output(value: Any) -> bool:
    return hasattr(value, "iter_references") and hasattr(value, "resolve")


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


def _asset_module() -> Any:
    """Where this Airflow has its assets, which are called datasets on 2.11."""
    from importlib import import_module

    return import_module("airflow.sdk" if AIRFLOW_V_3_0_PLUS else "airflow.datasets")


def asset_of(uri: str) -> Any:
    """An asset (2.11: a dataset) with this URI.

    :raises ValueError: it is none that this Airflow takes.
    """
    module = _asset_module()
    return module.Asset(uri) if AIRFLOW_V_3_0_PLUS else module.Dataset(uri)


def is_alias(outlet: Any) -> bool:
    """Whether an outlet is an alias, whose assets are known only when the task runs."""
    module = _asset_module()
    return isinstance(outlet, module.AssetAlias if AIRFLOW_V_3_0_PLUS else module.DatasetAlias)


def is_asset(outlet: Any) -> bool:
    """Whether an outlet is an asset, or refers to one by its URI or name (3.x)."""
    return hasattr(outlet, "uri") or type(outlet).__name__ == "AssetNameRef"


def operator_lineage() -> Any:
    """The class in which the OpenLineage provider, whose listener alone asks for it, takes the lineage of a task."""
    from importlib import import_module

    return import_module("airflow.providers.openlineage.extractors").OperatorLineage


def shows_pages() -> bool:
    """Whether this Airflow shows pages of plugins on its task instances (3.1 and later), and the package brings one."""
    from importlib.util import find_spec

    return HAS_PAGES and find_spec("airflow_sentinelhub.web") is not None


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
    "airflow.sdk.execution_time.secrets_masker",  # 3.0 and 3.1
    "airflow.utils.log.secrets_masker",
)


def mask_secret(secret: str) -> None:
    """Have Airflow blank this value in all logs from now on, in its percent-encoded form too."""
    from urllib.parse import quote

    mask = _of_masker("mask_secret")
    for form in {secret, quote(secret, safe="")}:
        mask(form)


def masked(text: str) -> str:
    """The text as Airflow writes it into a log: `***` for passwords of connections and secret variables in use."""
    return str(_of_masker("redact")(text))


def _of_masker(name: str) -> Any:
    """A function of Airflow's masker, which each version has elsewhere."""
    from importlib import import_module

    for home in _MASKERS:
        try:
            return getattr(import_module(home), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"This Airflow has no {name} in any of {', '.join(_MASKERS)}.")


async def aside(ask: Callable[[], T]) -> T:
    """What `ask` returns, which may talk to Airflow's supervisor without being async (masking does, on 3.x).

    Before 3.3 that raises in a triggerer's event loop. In asgiref's thread it comes back to that loop by itself; it is
    never cancelled, since on 3.0 that would leave the next one who asks with the wrong reply.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(sync_to_async(ask)())


def task_group(**how: Any) -> Any:
    """A TaskGroup of this Airflow."""
    return TaskGroup(**how)


def approval_operator() -> Any:
    """Airflow's own human-in-the-loop step; None where there is none (before 3.1, or without the standard provider)."""
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except (ImportError, AirflowOptionalProviderFeatureException):  # the latter is what 3.0 says
        return None
    return ApprovalOperator


def metrics(gauges: Collection[str], prefix: str) -> Callable[[str, float], None]:
    """Airflow's own metrics: a function that takes a name and a value.

    :param gauges: names whose value is set; the others are added up.
    :param prefix: what the names begin with there.
    """

    def tell(name: str, value: float) -> None:
        if name in gauges:
            Stats.gauge(prefix + name, value)
        else:
            Stats.incr(prefix + name, int(value))

    return tell


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


def first_begin(ti: Any) -> datetime | None:
    """When the first try of a task that has run began, from the tables of 2.11; None on Airflow 3, or if a try misses.

    A clear changes all times of the run on 2.11. The table of old tries (private there) keeps the begin of each: it is
    written before a retry and before a clear. A try without a begin was never run. Airflow 3 has the same table, but
    no way for a task to ask for it.
    """
    number = getattr(ti, "try_number", None)
    if AIRFLOW_V_3_0_PLUS or not isinstance(number, int) or number < 2:
        return None
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session

    where = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": getattr(ti, "map_index", -1)}
    try:
        with create_session() as session:
            rows = session.query(TaskInstanceHistory.try_number, TaskInstanceHistory.start_date).filter_by(**where)
            begins = dict(rows.all())
    except Exception as err:  # a worker that is kept from the database, or tables of another version
        _log.info("Airflow does not tell when the first try began (%s): more of the list is read", type(err).__name__)
        return None
    if not set(range(1, number)) <= begins.keys():
        return None
    known = [begin for begin in (*begins.values(), getattr(ti, "start_date", None)) if isinstance(begin, datetime)]
    return min(known, default=None)


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


def dags_in(path: Path) -> list[Any]:
    """The DAGs that a file defines: those in its variables, and those made in a `with` block or by `@dag`.

    The file is run, as Airflow itself does, but no database is asked (`DagBag` of 2.11 does). `DagContext`, which knows
    the DAGs that no variable holds, is private on all versions.

    :raises Exception: whatever the file raises.
    """
    import sys
    from importlib import import_module
    from importlib.util import module_from_spec, spec_from_file_location

    kind = import_module("airflow.sdk" if AIRFLOW_V_3_0_PLUS else "airflow.models.dag").DAG
    home = "airflow.sdk.definitions._internal.contextmanager" if AIRFLOW_V_3_0_PLUS else "airflow.models.dag"
    dag_context: Any = import_module(home).DagContext
    for folder in (str(path.parent), str(conf.get("core", "dags_folder", fallback=""))):
        if folder and folder not in sys.path:
            sys.path.append(folder)
    name = f"sentinelhub_dag_file_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    before, dag_context.current_autoregister_module_name = dag_context.current_autoregister_module_name, name
    try:
        spec.loader.exec_module(module)
    finally:
        dag_context.current_autoregister_module_name = before
        del sys.modules[name]
    registered = {item for item in dag_context.autoregistered_dags if item[1] is module}
    dag_context.autoregistered_dags -= registered
    found = [*(value for value in vars(module).values() if isinstance(value, kind)), *(dag for dag, _ in registered)]
    return list({id(dag): dag for dag in found}.values())


def template_context(
    dag: Any, task: Any, ti: Any, run_id: str, date: datetime | None, run_conf: dict[str, Any] | None
) -> dict[str, Any]:
    """What the templates of a task see in a run that nobody has made: for a look ahead, without a database.

    :param ti: stands for the task instance.
    :param date: a date within the data interval of the run; None: the newest interval that is over.
    :raises Exception: Airflow refuses the params.
    """
    from importlib import import_module

    interval = _data_interval(dag, date)
    logical = interval.start
    if interval.start == interval.end and date is not None:
        logical = date
    run = SimpleNamespace(
        dag_id=dag.dag_id,
        run_id=run_id,
        run_type="manual",
        conf=dict(run_conf or {}),
        logical_date=logical,
        execution_date=logical,
        data_interval_start=interval.start,
        data_interval_end=interval.end,
        run_after=interval.end,
        start_date=datetime.now(timezone.utc),
        queued_at=datetime.now(timezone.utc),
        clear_number=0,
        external_trigger=True,
    )
    if AIRFLOW_V_3_0_PLUS:
        accessors: Any = import_module("airflow.sdk.execution_time.context")
        macros = accessors.MacrosAccessor()
        check: Any = import_module("airflow.sdk.definitions.param")
        params = check.process_params(dag, task, run.conf, suppress_exception=False)
    else:
        accessors, macros = import_module("airflow.utils.context"), import_module("airflow.macros")
        check = import_module("airflow.models.param")
        params = check.process_params(dag, task, run, suppress_exception=False)
    variables = {
        name: _Variables(accessors.VariableAccessor(deserialize_json=name == "json")) for name in ("json", "value")
    }
    ds, ts = logical.strftime("%Y-%m-%d"), logical.isoformat()
    return {
        "dag": dag,
        "dag_run": run,
        "task": task,
        "ti": ti,
        "task_instance": ti,
        "task_instance_key_str": f"{dag.dag_id}__{task.task_id}__{ds.replace('-', '')}",
        "run_id": run_id,
        "params": params,
        "macros": macros,
        "var": variables,
        "conn": accessors.ConnectionAccessor(),
        "conf": conf,
        "logical_date": logical,
        **({} if AIRFLOW_V_3_0_PLUS else {"execution_date": logical}),
        "data_interval_start": interval.start,
        "data_interval_end": interval.end,
        "ds": ds,
        "ds_nodash": ds.replace("-", ""),
        "ts": ts,
        "ts_nodash": logical.strftime("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": ts.replace("-", "").replace(":", ""),
        "prev_data_interval_start_success": None,
        "prev_data_interval_end_success": None,
        "prev_start_date_success": None,
        "prev_end_date_success": None,
        "test_mode": True,
    }


class _Variables:
    """Airflow's variables, as far as they can be looked up outside a run; else an error that says so.

    Where a variable is not in the environment or a secrets backend, each version fails in its own words (3.0 by an
    ImportError of its supervisor).
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def __getattr__(self, key: str) -> Any:
        try:
            return getattr(self._accessor, key)
        except Exception as err:
            raise LookupError(f"Variable {key} is not known here; set AIRFLOW_VAR_{key.upper()}") from err

    def get(self, key: str, *default: Any, **named: Any) -> Any:
        try:
            return self.__getattr__(key)
        except LookupError:
            for value in (*default, *named.values()):
                return value
            raise


def _data_interval(dag: Any, date: datetime | None) -> Any:
    """The data interval that a date is in; without a date the newest one that is over."""
    import pendulum
    from airflow.timetables.base import DataInterval, TimeRestriction

    timetable = dag.timetable
    if not hasattr(
        timetable, "infer_manual_data_interval"
    ):  # from 3.2 on, DAG files have timetables that only describe
        from airflow.serialization.encoders import coerce_to_core_timetable

        timetable = coerce_to_core_timetable(timetable)
    moment = pendulum.instance(date) if date is not None else pendulum.now("UTC")
    try:
        last = timetable.infer_manual_data_interval(run_after=moment)
    except NotImplementedError:
        return DataInterval.exact(moment)
    if last.start == last.end:
        return DataInterval.exact(moment) if date is not None else last
    if date is None:
        return last
    following = timetable.next_dagrun_info(
        last_automated_data_interval=last, restriction=TimeRestriction(None, None, True)
    )
    return last if following is None else following.data_interval


def cli_group(name: str, about: str, commands: list[tuple[Any, Callable[[Any], None]]]) -> Any:
    """A group of commands for Airflow's own command line.

    :param commands: values with `name`, `help` and `arguments` (flags and options), each with the function that runs.
    """
    from airflow.cli import cli_config

    arg: Any = cli_config.Arg

    return cli_config.GroupCommand(
        name=name,
        help=about,
        subcommands=[
            cli_config.ActionCommand(
                name=command.name,
                help=command.help,
                func=run,
                args=[arg(flags=each.flags, **each.options) for each in command.arguments],
            )
            for command, run in commands
        ],
    )


HAS_PAGES = tuple(int(part) for part in airflow_version.split(".")[:2]) >= (3, 1)
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
    except (ImportError, AttributeError):
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


class WatcherStore:
    """Where a watcher keeps what it remembers, so that it outlives the triggerer.

    On Airflow 3.3 this is the state of the asset that it watches for; where there is none (3.0 to 3.2), a Variable,
    since these versions give a watcher no other place that lasts. Outside of a triggerer nothing is kept.

    A Variable belongs to one trigger, since each of two that write to the same one would overwrite what the other has
    told. A trigger without one begins with the last that another trigger of the same entry has written: its former
    self, whose pace was another one.

    :param trigger: the watcher.
    :param key: name of its entry.
    :param pace: what distinguishes it from other triggers of the same entry: a word that the name of its Variable ends
        with.
    """

    def __init__(self, trigger: Any, key: str, pace: str = "") -> None:
        # Private, Airflow 3.3: by its public methods an accessor of several assets can be asked only by those who
        # know the assets, which a watcher does not; all assets that share a watcher get the same events.
        accessors = getattr(trigger, "asset_state_store", None)
        named = getattr(accessors, "_by_name", None) or {}
        self._states = [named[name] for name in sorted(named)]
        self._key = key
        self._names = [f"{key}_{pace}", key] if pace else [key]

    async def read(self) -> Any:
        """What was written, None if nothing ever was; an exception of Airflow's if that cannot be told."""
        if self._states:
            for state in self._states:
                if (value := await _whole_answer(state.aget(self._key))) is not None:
                    return value
            return None
        for name in self._names:
            if (value := await self._variable(name)) is not None:
                return value
        return None

    async def _variable(self, name: str) -> Any:
        comms, channel = _channel()
        if channel is None:
            return None
        try:
            reply = await _whole_answer(channel.asend(comms.GetVariable(key=name)))
        except Exception as err:
            if "VARIABLE_NOT_FOUND" in f"{getattr(err, 'error', '')}{err}":
                return None
            raise
        text = getattr(reply, "value", None)
        if text is not None:
            return json.loads(text)
        if "VARIABLE_NOT_FOUND" in str(getattr(reply, "error", "")):
            return None
        raise AirflowException(f"The Variable {name} cannot be read.")

    async def write(self, value: Any) -> None:
        """Write it, in place of what was there; an exception of Airflow's if that fails."""
        for state in self._states:
            await _whole_answer(state.aset(self._key, value))
        comms, channel = _channel()
        if self._states or channel is None:
            return
        about = "What a Sentinel Hub watcher has told already. Deleted, it begins anew with what comes from then on."
        for name in self._names:
            asked = comms.PutVariable(key=name, value=json.dumps(value), description=about)
            if getattr(await _whole_answer(channel.asend(asked)), "error", None):
                raise AirflowException(f"The Variable {name} cannot be written.")


def _channel() -> tuple[Any, Any]:
    """Airflow 3's messages, and the channel to the supervisor of a triggerer; None outside of one.

    Private, Airflow 3 only; see `_ask_supervisor`.
    """
    from airflow.sdk.execution_time import comms, task_runner

    return comms, getattr(task_runner, "SUPERVISOR_COMMS", None) or getattr(comms, "SUPERVISOR_COMMS", None)


async def _whole_answer(asked: Coroutine[Any, Any, T]) -> T:
    """The answer to a message, whose sending is never cancelled: the next one would get the wrong reply."""
    return await asyncio.shield(asked)
