"""Check arguments while the DAG is parsed, unless they are templates; each error is one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import seconds
from airflow_sentinelhub.api.areas import tolerance
from airflow_sentinelhub.api.plain import refuse_circles
from airflow_sentinelhub.api.times import is_template
from airflow_sentinelhub.exceptions import InvalidInputError


def check_times(task: Any) -> None:
    """Seconds of a task that waits. They are never templates.

    :raises InvalidInputError: one is not a time that can pass.
    """
    limit = seconds(task.timeout)
    if limit is not None and limit <= 0:
        raise InvalidInputError(f"timeout must be above 0, not {task.timeout!r}.")
    for name in ("poll_interval", "analysis_poll_interval"):
        if getattr(task, name, 1) <= 0:
            raise InvalidInputError(f"{name} must be above 0 seconds, not {getattr(task, name)!r}.")
    check_patience(task)


def check_patience(task: Any) -> None:
    """:raises InvalidInputError: `max_unknown_time` is no time."""
    if task.max_unknown_time < 0:
        raise InvalidInputError(f"max_unknown_time must be 0 seconds or more, not {task.max_unknown_time!r}.")


def check_payload(task: Any) -> None:
    """What becomes a payload, as far as it can be told to be wrong by now.

    :raises InvalidInputError: an argument contains itself; `simplify` is no length.
    """
    for name in task.template_fields:
        refuse_circles(getattr(task, name), name)
    simplify = getattr(task, "simplify", None)
    if isinstance(simplify, (str, int, float)) and not is_template(simplify):
        tolerance(simplify)


def check_status(value: Any, known: Sequence[str]) -> None:
    """A status that a list is restricted to; None, which the DAG says literally, is for all.

    :raises InvalidInputError: no such status is known.
    """
    if value is not None and value not in known:
        raise InvalidInputError(f"status is {value!r}; it must be one of {', '.join(known)}, or be None for all.")


def renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for `partial`, those with an old name by the new one: only template fields make dependencies.

    :raises InvalidInputError: both names are given.
    """
    if "output" in given and "destination" in given:
        raise InvalidInputError("Give destination; output is its old name, and both are given.")
    return {"destination" if name == "output" else name: value for name, value in given.items()}


@cache
def arguments_of(operator: type[BaseOperator]) -> dict[str, inspect.Parameter]:
    """The arguments that an operator takes by name, those of its parents up to BaseOperator included."""
    parameters: dict[str, inspect.Parameter] = {}
    for cls in operator.__mro__:
        if issubclass(cls, BaseOperator) and "__init__" in vars(cls):
            parameters = {**inspect.signature(vars(cls)["__init__"]).parameters, **parameters}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if name != "self" and parameter.kind in named}
