"""Time ranges in arguments: check literal dates, and recognise templates that use the data interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_sentinelhub.api.scripts import file_of, text_of
from airflow_sentinelhub.api.times import checked, checked_range
from airflow_sentinelhub.operators._files import folders_of


def names_both_ends(task: Any, name: str) -> bool:
    """Whether a template uses both `data_interval_start` and `data_interval_end`.

    :param name: of the argument; if it stands for a file in the DAG, that is read.
    """
    unrendered = task._in_dag.get(name)
    if (path := file_of(unrendered, folders_of(task))) is not None:
        unrendered = text_of(path, name)
    texts = list(_texts(unrendered))
    return all(any(name in text for text in texts) for name in ("data_interval_start", "data_interval_end"))


def check_dates(process_request: Any, aggregation: Any = None) -> None:
    """Check literal time ranges while Airflow parses the DAG; templates are checked when the payload is made.

    :raises InvalidInputError: a time range cannot be right.
    """
    job_input = process_request.get("input") if isinstance(process_request, Mapping) else None
    checked(job_input.get("data") if isinstance(job_input, Mapping) else None)
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
