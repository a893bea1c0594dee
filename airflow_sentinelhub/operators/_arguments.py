"""Checks of operator arguments while Airflow parses the DAG (templates are checked later), and their old names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import seconds
from airflow_sentinelhub.api.areas import tolerance
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.plain import refuse_circles
from airflow_sentinelhub.api.service.data_sources import check_sources
from airflow_sentinelhub.api.times import is_template
from airflow_sentinelhub.exceptions import InvalidInputError


def check_times(task: Any) -> None:
    """Check the poll intervals and limits (in seconds) of a task that waits. They are not template fields.

    :raises InvalidInputError: one of them is 0 or negative.
    """
    limit = seconds(task.timeout)
    if limit is not None and limit <= 0:
        raise InvalidInputError(f"timeout must be above 0, not {task.timeout!r}.")
    for name in ("poll_interval", "analysis_poll_interval"):
        if getattr(task, name, 1) <= 0:
            raise InvalidInputError(f"{name} must be above 0 seconds, not {getattr(task, name)!r}.")
    check_patience(task)


def check_patience(task: Any) -> None:
    """:raises InvalidInputError: `max_unknown_time` is negative."""
    if task.max_unknown_time < 0:
        raise InvalidInputError(f"max_unknown_time must be 0 seconds or more, not {task.max_unknown_time!r}.")


def check_payload(task: Any) -> None:
    """What becomes a payload, as far as it can be told to be wrong by now.

    :raises InvalidInputError: an argument contains itself; a data collection is not known; `simplify` is no length.
    """
    for name in task.template_fields:
        refuse_circles(getattr(task, name), name)
    check_sources(member(getattr(task, "process_request", None), "input", "data"))
    check_sources(getattr(task, "data", None))
    simplify = getattr(task, "simplify", None)
    if isinstance(simplify, (str, int, float)) and not is_template(simplify):
        tolerance(simplify)


def check_status(value: Any, statuses: Sequence[str]) -> None:
    """Check the status by which a list is filtered. None, set in the DAG itself and not by a template, means all.

    :raises InvalidInputError: there is no such status.
    """
    if value is not None and value not in statuses:
        raise InvalidInputError(f"status is {value!r}; it must be one of {', '.join(statuses)}, or be None for all.")


_BOTH_NAMES = "Give destination; output is its old name, and both are given."


def one_destination(destination: Any, output: Any) -> Any:
    """The value of `destination`, given by that name or by its old name `output`.

    :raises InvalidInputError: both are given.
    """
    if destination is not None and output is not None:
        raise InvalidInputError(_BOTH_NAMES)
    return destination if output is None else output


def renamed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `partial`, with `output` renamed to `destination`.

    Airflow creates dependencies on other tasks from template fields only, and `output` is none.

    :raises InvalidInputError: both names are given.
    """
    if "output" in arguments and "destination" in arguments:
        raise InvalidInputError(_BOTH_NAMES)
    return {"destination" if name == "output" else name: value for name, value in arguments.items()}


@cache
def arguments_of(operator: type[BaseOperator]) -> dict[str, inspect.Parameter]:
    """The keyword arguments of an operator, including those of its base classes up to BaseOperator."""
    parameters: dict[str, inspect.Parameter] = {}
    for cls in operator.__mro__:
        if issubclass(cls, BaseOperator) and "__init__" in vars(cls):
            parameters = {**inspect.signature(vars(cls)["__init__"]).parameters, **parameters}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if name != "self" and parameter.kind in named}
