"""Find a task in a DAG file and preview it, as a run would render it. Airflow need not run, nor have a database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from datetime import datetime
from functools import partial
from itertools import product
from pathlib import Path
from traceback import extract_tb
from types import SimpleNamespace
from typing import Any

from airflow_sentinelhub._compat.dag_file import dags_in, template_context
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError
from airflow_sentinelhub.operators._preview import NotThereYet, Previewed
from airflow_sentinelhub.preview.report import Finding, Preview
from airflow_sentinelhub.redaction import redacted

_MOST = 50
"""Mapped tasks that are previewed together."""
_FINISH = "finish"
_RUN_ID = "manual__preview"


def previews_of(
    path: Path,
    task_id: str,
    *,
    dag_id: str | None = None,
    date: datetime | None = None,
    run_conf: dict[str, Any] | None = None,
    map_index: int | None = None,
    geopackage: str | None = None,
) -> list[Preview]:
    """Preview a task of a DAG file: one preview, or one for each index of a mapped task.

    :param task_id: of the task, of a group of `sentinelhub_batch()`, or of a step of one.
    :param dag_id: where several DAGs of the file have such a task; the others: see `python -m airflow_sentinelhub
        preview --help`.
    :raises InvalidInputError: there is no such file, DAG, task or index, or the task is none of ours.
    """
    with redirect_stdout(sys.stderr):  # the DAG's file and its macros may print
        return _previews(path, task_id, dag_id, date, run_conf, map_index, geopackage)


def _previews(
    path: Path,
    task_id: str,
    dag_id: str | None,
    date: datetime | None,
    run_conf: dict[str, Any] | None,
    map_index: int | None,
    geopackage: str | None,
) -> list[Preview]:
    dag, task, job_id = _task_in(path, task_id, dag_id)
    if getattr(task, "expand_input", None) is not None:
        _check_kind(task_id, task.operator_class)  # before it is made of values, which only its own kind understands
    previews = []
    each: Any
    for index, make in _unmapped(task, task_id, map_index):
        try:
            each = make()
        except InvalidInputError as err:
            if index is None:
                raise
            refused = Preview("v2", findings=(Finding("refused", redacted(str(err))),))
            previews.append(refused.of_task(dag.dag_id, job_id or task.task_id, index))
            continue
        if job_id is not None:
            each = each.without_request()
        _check_kind(task_id, type(each))
        ti = _NoRun(
            dag_id=dag.dag_id,
            task_id=task.task_id,
            run_id=_RUN_ID,
            map_index=-1 if index is None else index,
            try_number=1,
            max_tries=0,
            task=each,
        )
        try:
            context = template_context(dag, each, ti, _RUN_ID, date, run_conf)
        except Exception as err:  # of Airflow and of the user's timetable: whatever they raise
            raise InvalidInputError(f"A run of {dag.dag_id} cannot be made: {err}") from err
        preview: Preview = each.preview(context, geopackage=geopackage)
        previews.append(preview if job_id is None else preview.of_task(dag.dag_id, job_id, index))
    return previews


def _check_kind(task_id: str, kind: type) -> None:
    """:raises InvalidInputError: tasks of this kind create no batch request."""
    if not issubclass(kind, Previewed):
        raise InvalidInputError(
            f"Task {task_id} is a {kind.__name__}, which creates "
            "no batch request; preview can show SentinelHubBatchOperator, SentinelHubCreateBatchOperator, "
            "SentinelHubBatchStatisticalOperator and the groups of sentinelhub_batch()."
        )


class _NoRun(SimpleNamespace):
    """Stands for a task instance: nothing has run, so no task has left a result."""

    def xcom_pull(self, task_ids: Any = None, **_: Any) -> Any:
        name = task_ids if isinstance(task_ids, str) else " and ".join(map(str, task_ids or ("this task",)))
        raise NotThereYet(
            f"A template takes the result of {name}, which has not run; a preview can show only what does not depend "
            "on the results of other tasks."
        )

    def xcom_push(self, *_: Any, **__: Any) -> None:
        """Nothing is kept."""


def _task_in(path: Path, task_id: str, dag_id: str | None) -> tuple[Any, Any, str | None]:
    """The DAG, the task that describes the job, and the id of the group whose job it is."""
    if not path.is_file():
        raise InvalidInputError(f"There is no file {path}.")
    try:
        dags = dags_in(path.absolute())
    except SentinelHubError:
        raise
    except (Exception, SystemExit) as err:  # the code of the file's author
        lines = [frame.lineno for frame in extract_tb(err.__traceback__) if Path(frame.filename) == path.absolute()]
        where = f", line {lines[-1]}," if lines else ""
        raise InvalidInputError(f"{path.name}{where} cannot be read: {type(err).__name__}: {err}") from err
    if not dags:
        raise InvalidInputError(f"{path.name} defines no DAG.")
    if dag_id is not None:
        dags = [dag for dag in dags if dag.dag_id == dag_id] or _none(f"{path.name} has no DAG {dag_id}", dags)
    found = [(dag, *match) for dag in dags if (match := _match(dag, task_id)) is not None]
    if not found:
        ids = sorted(name for dag in dags for name in dag.task_dict)
        raise InvalidInputError(f"{path.name} has no task {task_id}; it has {', '.join(ids)[:300]}.")
    if len(found) > 1:
        names = ", ".join(sorted(dag.dag_id for dag, *_ in found))
        raise InvalidInputError(f"Several DAGs of {path.name} have a task {task_id}: {names}. Give --dag-id.")
    return found[0]


def _none(text: str, dags: list[Any]) -> list[Any]:
    raise InvalidInputError(f"{text}; it has {', '.join(sorted(dag.dag_id for dag in dags))}.")


def _match(dag: Any, task_id: str) -> tuple[Any, str | None] | None:
    """A step of a group stands for the group: its last step, `finish`, has all arguments of the job."""
    for group in (task_id, task_id.rpartition(".")[0]):
        finish = dag.task_dict.get(f"{group}.{_FINISH}")
        if finish is not None and f"{group}.create" in dag.task_dict:
            return finish, group
    return (dag.task_dict[task_id], None) if task_id in dag.task_dict else None


def _unmapped(task: Any, task_id: str, map_index: int | None) -> list[tuple[int | None, Callable[[], Any]]]:
    """What makes the task; of a mapped one, a task for each index, or for the one that is asked for."""
    given = getattr(task, "expand_input", None)
    if given is None or not hasattr(task, "unmap"):
        if map_index is not None:
            raise InvalidInputError(f"Task {task_id} is not mapped, so it has no map index.")
        return [(None, lambda: task)]
    value = getattr(given, "value", None)
    if isinstance(value, Mapping) and all(isinstance(items, (list, tuple, dict)) for items in value.values()):
        lists = [list(items.items()) if isinstance(items, dict) else list(items) for items in value.values()]
        rows = [dict(zip(value, combination, strict=True)) for combination in product(*lists)]
    elif isinstance(value, (list, tuple)) and all(isinstance(row, Mapping) for row in value):
        rows = [dict(row) for row in value]
    else:
        raise InvalidInputError(
            f"Task {task_id} is mapped over the result of another task, which has not run; preview shows tasks that "
            "are mapped over values in the DAG file."
        )
    if not rows:
        raise InvalidInputError(f"Task {task_id} is mapped over no values, so a run skips it.")
    if map_index is not None and not 0 <= map_index < len(rows):
        raise InvalidInputError(f"Task {task_id} has the map indexes 0 to {len(rows) - 1}, not {map_index}.")
    chosen = range(len(rows)) if map_index is None else [map_index]
    if len(chosen) > _MOST:
        raise InvalidInputError(f"Task {task_id} is mapped to {len(rows)} tasks; choose one with --map-index.")
    return [(index, partial(task.unmap, rows[index])) for index in chosen]
