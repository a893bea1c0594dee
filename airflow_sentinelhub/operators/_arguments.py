"""Checks of operator arguments while Airflow parses the DAG (templates are checked later), and their old names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.api.areas import early_bounds
from airflow_sentinelhub.api.arguments import PARTS, check_part, members, seconds, text
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.places import bucket, check_geopackage_literal, check_output
from airflow_sentinelhub.api.plain import refuse_circles
from airflow_sentinelhub.api.service.data_sources import check_sources
from airflow_sentinelhub.api.service.payloads import check_grid_literal
from airflow_sentinelhub.api.service.specification import refuse_statistical
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError


def check_payload(task: Any) -> None:
    """What becomes a payload, as far as it can be told to be wrong by now.

    :raises InvalidInputError: an argument contains itself; a data collection is not known; a number or a boolean of the
        payload cannot be right; the area is none; a place is none.
    """
    if "process_request" in task.template_fields:
        refuse_statistical(getattr(task, "batch_api", None))
    for name in task.template_fields:
        value = getattr(task, name)
        refuse_circles(value, name)
        if name in PARTS:
            check_part(name, value)
            members(value, name, grid=name == "tiling_grid")
    check_grid_literal(getattr(task, "tiling_grid", None))
    check_output(getattr(task, "destination", None), early=True)
    if (name := getattr(task, "bucket_name", None)) is not None and not is_late(name):
        bucket(text(name))
    check_geopackage_literal(getattr(task, "geopackage", None))
    area, simplify = getattr(task, "area", None), getattr(task, "simplify", None)
    if area is not None:
        early_bounds(area, simplify)
    check_sources(member(getattr(task, "process_request", None), "input", "data"))
    check_sources(getattr(task, "data", None))


def check_status(value: Any, statuses: Sequence[str]) -> None:
    """Check the status by which a list is filtered. None, set in the DAG itself and not by a template, means all.

    :raises InvalidInputError: there is no such status.
    """
    if value is not None and not is_late(value) and value not in statuses:
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


def shorter(interval: Any, other: Any) -> Any:
    """The shorter one of two poll intervals in any form; the first, if one of them is known only in the run."""
    return interval if is_late(interval) or is_late(other) else min(interval, other, key=seconds)


@cache
def arguments_of(operator: type[BaseOperator]) -> dict[str, inspect.Parameter]:
    """The keyword arguments of an operator, including those of its base classes up to BaseOperator."""
    parameters: dict[str, inspect.Parameter] = {}
    for cls in operator.__mro__:
        if issubclass(cls, BaseOperator) and "__init__" in vars(cls):
            parameters = {**inspect.signature(vars(cls)["__init__"]).parameters, **parameters}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if name != "self" and parameter.kind in named}
