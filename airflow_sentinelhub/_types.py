"""The types that stand in the signatures of operators and sensors."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, overload

if sys.version_info >= (3, 11):
    from typing import Unpack as Unpack
else:
    from typing_extensions import Unpack as Unpack

from airflow_sentinelhub._compat import TaskGroup, XComArg

T = TypeVar("T")

Templated: TypeAlias = T | str | XComArg
"""A templated argument as a DAG gives it: the value, text (a template, or the value in writing), or a task's output."""


class Rendered(Generic[T]):
    """Type of an attribute that holds a templated argument; it is used in annotations only.

    `__init__` assigns what the DAG gives. In the run Airflow replaces that by what it has rendered, and then
    `take_arguments` by a `T`. While a DAG is parsed, only checks that let templates pass read the attribute. For a type
    checker this is a descriptor: anything is assigned, and a `T` is read.
    """

    @overload
    def __get__(self, task: None, owner: type) -> Rendered[T]: ...
    @overload
    def __get__(self, task: object, owner: type) -> T: ...
    def __get__(self, task: object | None, owner: type) -> Any:
        raise AttributeError("This class is for annotations.")

    def __set__(self, task: object, value: object) -> None:
        raise AttributeError("This class is for annotations.")


class _Named(TypedDict):
    task_id: str


_Callbacks: TypeAlias = Callable[..., Any] | list[Callable[..., Any]] | None


class _OfOneTask(TypedDict, total=False):
    """Airflow's arguments that `sentinelhub_batch()` does not take, see there."""

    task_group: TaskGroup | None
    task_display_name: str | None
    trigger_rule: str
    wait_for_downstream: bool
    task_concurrency: int | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None


class SharedArguments(TypedDict, total=False):
    """Airflow's arguments that are the same for all steps of `sentinelhub_batch()`."""

    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: bool | float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    dag: Any
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: _Callbacks
    on_failure_callback: _Callbacks
    on_success_callback: _Callbacks
    on_retry_callback: _Callbacks
    on_skipped_callback: _Callbacks
    pre_execute: Callable[..., Any] | None
    post_execute: Callable[..., Any] | None
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class TaskArguments(_Named, _OfOneTask, SharedArguments):
    """The arguments of Airflow's BaseOperator, so that a type checker finds one that is misspelt.

    These are those of Airflow 2.11 to 3.3; which of them an Airflow takes it says itself when it parses a DAG.
    """


class SensorArguments(TaskArguments, total=False):
    """The arguments of Airflow's BaseSensorOperator, but for those that our sensors have themselves."""

    mode: Literal["poke", "reschedule"]
    soft_fail: bool
    never_fail: bool
    silent_fail: bool
    exponential_backoff: bool
    max_wait: timedelta | float | None
