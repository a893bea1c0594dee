"""Dates in arguments: literal ones that cannot be right, and the interval that templates name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_sentinelhub.api.times import checked, checked_range


def names_both_ends(task: Any, unrendered: Any) -> bool:
    """Whether templates name the start and the end of the data interval, in an argument or in the file it names."""
    if isinstance(unrendered, str) and "{" not in unrendered and unrendered.endswith(tuple(task.template_ext)):
        environment = task.get_template_env()
        unrendered = environment.loader.get_source(environment, unrendered)[0]
    texts = list(_texts(unrendered))
    return all(any(name in text for text in texts) for name in ("data_interval_start", "data_interval_end"))


def check_dates(process_request: Any, aggregation: Any = None) -> None:
    """Refuse literal time ranges that cannot be right while the DAG is parsed; all else is checked when it is sent."""
    given = process_request.get("input") if isinstance(process_request, Mapping) else None
    checked(given.get("data") if isinstance(given, Mapping) else None)
    checked_range(aggregation.get("timeRange") if isinstance(aggregation, Mapping) else None, divided=True)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, Sequence):
        for member in value:
            yield from _texts(member)
