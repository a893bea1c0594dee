"""A task as Airflow keeps it: how its deferral ended, what it is mapped over, when it and its run began."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS

_log = logging.getLogger(__name__)

DEFERRAL_FAILED = "__fail__"
"""`next_method` of a task whose deferral Airflow has ended itself.

Private, on all versions (3.x: `TRIGGER_FAIL_REPR`). Airflow's `resume_execution` raises then without a word about the
request; ours says whether that runs on, and cancels it at the deadline.
"""


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
