"""What a task knows of its run's dates, and what its templates have said of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow_sentinelhub.api.times import Run, checked, checked_range


def run_of(context: Any) -> Run:
    """The run of the DAG that a task belongs to, for time ranges.

    Its moment is the end of the data interval, else the logical date, else `run_after`. None of them moves at a retry
    or a clear: 2.11 has the first two for every run, Airflow 3 has the third for every run. The start of the run, which
    a clear moves, is what is left where none is known.
    """
    start, end = _known(context, "data_interval_start"), _known(context, "data_interval_end")
    others = (_known(context, name) for name in ("logical_date", "run_after", "start_date"))
    return Run(
        interval=(start, end) if start and end else None,
        moment=end or next((moment for moment in others if moment), None),
        now=datetime.fromtimestamp(time.time(), tz=timezone.utc),
    )


def _known(context: Any, name: str) -> datetime | None:
    """From the context, which has no dates on Airflow 3 for a run without a logical date, or from the run itself."""
    for value in (context.get(name), getattr(context.get("dag_run"), name, None)):
        if isinstance(value, datetime):
            return value
    return None


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
