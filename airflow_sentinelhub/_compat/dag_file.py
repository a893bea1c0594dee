"""The DAGs of a file, and what the templates of a task see in a run that does not exist."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, conf


def dags_in(path: Path) -> list[Any]:
    """The DAGs that a file defines: those in its variables, and those made in a `with` block or by `@dag`.

    The file is run, as Airflow itself does, but no database is asked (`DagBag` of 2.11 does). `DagContext`, which knows
    the DAGs that no variable holds, is private on all versions.

    :raises Exception: whatever the file raises.
    """
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
    """What the templates of a task see in a run that does not exist: for a preview, without a database.

    :param ti: stands for the task instance.
    :param date: a date within the data interval of the run; None: the newest interval that is over.
    :raises Exception: Airflow refuses the params.
    """
    interval = _data_interval(dag, date)
    logical = interval.start
    if interval.start == interval.end and date is not None:
        logical = date
    run = _run_of(dag, run_id, interval, logical, run_conf)
    accessors, macros, params = _parts_of_version(dag, task, run)
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


def _run_of(dag: Any, run_id: str, interval: Any, logical: datetime, run_conf: dict[str, Any] | None) -> Any:
    """Stands for a run that a user has started by hand, and that was never cleared."""
    return SimpleNamespace(
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


def _parts_of_version(dag: Any, task: Any, run: Any) -> tuple[Any, Any, Any]:
    """Where this Airflow has the accessors of variables and connections; its macros; the checked params of the run.

    :raises Exception: Airflow refuses the params.
    """
    if AIRFLOW_V_3_0_PLUS:
        accessors: Any = import_module("airflow.sdk.execution_time.context")
        check: Any = import_module("airflow.sdk.definitions.param")
        params = check.process_params(dag, task, run.conf, suppress_exception=False)
        return accessors, accessors.MacrosAccessor(), params
    check = import_module("airflow.models.param")
    params = check.process_params(dag, task, run, suppress_exception=False)
    return import_module("airflow.utils.context"), import_module("airflow.macros"), params


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
    # From 3.2 on, DAG files have timetables that only describe.
    if not hasattr(timetable, "infer_manual_data_interval"):
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
