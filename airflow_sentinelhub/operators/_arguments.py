"""Checks of operator arguments while Airflow parses the DAG (templates are checked later), and their old names."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task_arguments import naming_task
from airflow_sentinelhub.api.areas import early_bounds
from airflow_sentinelhub.api.arguments import PARTS, check_part, taken
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.kinds import seconds, text
from airflow_sentinelhub.api.payload_members import members
from airflow_sentinelhub.api.places import bucket, check_geopackage_literal, check_output
from airflow_sentinelhub.api.plain import check_plain, refuse_circles, refuse_nulls
from airflow_sentinelhub.api.service.data_sources import check_sources
from airflow_sentinelhub.api.service.generations import refuse_other_kinds
from airflow_sentinelhub.api.service.payloads import check_grid_literal
from airflow_sentinelhub.api.service.specification import BatchSpecification, check_whole
from airflow_sentinelhub.api.service.statistical_specification import check_statistics, data_objects
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._files import as_json
from airflow_sentinelhub.operators._times import check_dates


def check_payload(task: Any) -> None:
    """Check the arguments that become a payload, as far as their values are known while Airflow parses the DAG.

    :raises InvalidInputError: an argument contains itself; a data collection is unknown; a number or a boolean of the
        payload has an impossible value; the area, or a place in a bucket, is not valid.
    """
    values = {name: getattr(task, name, None) for name in task.template_fields}  # a subclass may assign more after it
    own = values.get("request_id") is None
    if own:
        _check_given(values)
    if "process_request" in values:
        check_dates(values["process_request"])
    elif "aggregation" in values:
        check_dates({"input": {"data": values["data"]}}, values["aggregation"])
    check_values(values)
    if "process_request" in values and own:
        _check_batch_job(values)
    elif "aggregation" in values and own:
        _check_statistical_job(values)


def _check_given(values: Mapping[str, Any]) -> None:
    """:raises InvalidInputError: neither a whole job nor the id of a request is given, where an operator takes both."""
    if "request_id" not in values:
        return
    if "process_request" in values and values["process_request"] is None:
        raise InvalidInputError(
            "Give process_request and the other arguments that describe the job, or the request_id of a request that "
            "exists."
        )
    missing = [name for name in ("geopackage", "data", "aggregation", "destination") if values.get(name) is None]
    if "aggregation" in values and missing:
        raise InvalidInputError(f"Give {', '.join(missing)}, or the request_id of a request that exists.")


def check_values(values: Mapping[str, Any]) -> None:
    """Check each argument that becomes a part of a payload by itself, whatever the others are.

    :raises InvalidInputError: as `check_payload`.
    """
    if "process_request" in values:
        refuse_other_kinds(values.get("batch_api"))
    for name, given in values.items():
        refuse_circles(given, name)
        if name not in PARTS:
            continue
        check_part(name, given)
        value = _read(name, given)
        members(value, name, grid=name == "tiling_grid")
        if name not in ("area", "evalscript", "collection"):
            check_plain(value, name)
    grid, destination = _read("tiling_grid", values.get("tiling_grid")), values.get("destination")
    check_grid_literal(grid)
    check_output(destination, early=True)
    if (named := values.get("bucket_name")) is not None and not is_late(named):
        bucket(text(named))
    check_geopackage_literal(values.get("geopackage"))
    area, simplify = values.get("area"), values.get("simplify")
    if area is not None:
        early_bounds(area, simplify)
    for name in PARTS.intersection(values) - {"area", "evalscript", "collection"}:
        _check_nulls(_read(name, values[name]), name)
    check_sources(member(_read("process_request", values.get("process_request")), "input", "data"))
    check_sources(values.get("data"))


_LATER = "{{ what a file holds }}"
"""Takes the place of a part that stands in a file, which is read when the task runs."""
_REPLACED = ("evalscript", "bounds")
"""Members of a process request that other arguments (`evalscript`, `area`) replace, so they may be None."""


def _read(name: str, value: Any) -> Any:
    """A part of a payload as an object where its JSON stands in the DAG; `_LATER` where it is in a file.

    :raises InvalidInputError: text that begins like a JSON object is not valid JSON.
    """
    if name in ("area", "evalscript") or value is None or is_late(value):
        return value
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return as_json(value, name)
    named = isinstance(value, (str, os.PathLike))
    url = name in ("destination", "geopackage", "data") and not str(value).strip().endswith(".json")
    return _LATER if named and not url else value


def _check_nulls(value: Any, name: str) -> None:
    """:raises InvalidInputError: a member is None that the payload would keep."""
    parts = value if isinstance(value, (Mapping, list, tuple)) else {}
    if name == "payload_extra":
        parts = {key: item for key, item in value.items() if item is not None} if isinstance(value, Mapping) else {}
    refuse_nulls(parts, name, _REPLACED)


def _check_batch_job(values: Mapping[str, Any]) -> None:
    """:raises InvalidInputError: a part of the job is missing, or is there twice."""
    if values["process_request"] == {}:
        return  # an operator that is still being written; the run says what is missing
    given = {name: _read(name, values.get(name)) for name in ("process_request", "tiling_grid", "geopackage")}
    given |= {name: values.get(name) for name in ("area", "bucket_name", "evalscript", "description")}
    extra = _read("payload_extra", values.get("payload_extra"))
    destination = values.get("destination")
    if isinstance(destination, str) and isinstance(_read("destination", destination), Mapping):
        destination = _LATER  # JSON text is checked in the run
    check_whole(BatchSpecification(**given, output=destination, extra=extra or {}))


def _check_statistical_job(values: Mapping[str, Any]) -> None:
    """:raises InvalidInputError: a part of the job is missing, or is not valid."""
    if isinstance(values["data"], (Mapping, list, tuple)):
        data_objects(values["data"])
    check_statistics(
        _read("aggregation", values.get("aggregation")) or _LATER,
        values.get("evalscript"),
        _read("calculations", values.get("calculations")),
    )


def approves(value: Any) -> bool:
    """The argument `approve` of the group.

    :raises InvalidInputError: it is neither True nor False.
    """
    return bool(taken("approve", value))


_BOTH_NAMES = "Give destination; output is its old name, and both are given."


def one_destination(task_id: Any, destination: Any, output: Any, default_args: Mapping[str, Any] | None) -> Any:
    """The value of `destination`, given by that name or by its old name `output`.

    :param task_id: of the task, for the error.
    :param default_args: from which Airflow has filled in what was not given: a value of them gives way to a given one.
    :raises InvalidInputError: both are given.
    """
    if destination is None or output is None:
        return destination if output is None else output
    given = {"destination": destination, "output": output}
    of_task = [value for name, value in given.items() if (default_args or {}).get(name) is not value]
    with naming_task(task_id):
        if len(of_task) != 1:
            raise InvalidInputError(_BOTH_NAMES)
    return of_task[0]


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
