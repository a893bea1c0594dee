"""The task that the tests of the whole job run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubCreateBatchOperator

modes = pytest.mark.parametrize("deferrable", [False, True], ids=["plain", "deferrable"])
v1 = pytest.mark.parametrize("generation", ["v1"], indirect=True)
v2 = pytest.mark.parametrize("generation", ["v2"], indirect=True)
MODES, GENERATIONS = (False, True), ("v1", "v2")
RETRY = {"try_number": 2, "max_tries": 3}
CLEARED = {"try_number": 2, "max_tries": 4}
"""What a task with three retries sees of itself: in its second try, and after a user has cleared its first."""


def thorough_but(fast: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """Values for `parametrize`, of which only those in `fast` are tried by `make test-fast`."""
    kept = list(fast)
    return [value if value in kept else pytest.param(value, marks=pytest.mark.thorough) for value in values]


def every_other(**axes: Iterable[Any]) -> pytest.MarkDecorator:
    """For `parametrize`: half of the combinations of these values.

    With three axes and more, each value of one still meets each value of every other one.
    """
    found = []
    for chosen in product(*(enumerate(values) for values in axes.values())):
        if sum(at for at, _ in chosen) % 2 == 0:
            values, marks = list[Any](), list[Any]()
            for _, value in chosen:
                values.append(value.values[0] if isinstance(value, ParameterSet) else value)
                marks += value.marks if isinstance(value, ParameterSet) else ()
            name = "-".join(str(value)[:20] for value in values)
            found.append(pytest.param(*values, marks=marks, id=name))
    return pytest.mark.parametrize(
        list(axes), found, indirect=[name for name in axes if name in ("generation", "store")]
    )


def described(bench: Any) -> dict[str, Any]:
    """What the job is, for any task that creates it."""
    return {
        "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        "evalscript": bench.ndvi,
        "area": bench.area,
        "tiling_grid": tiling_grid(1, 10),
        "destination": "s3://maps/ndvi",
        "aws_conn_id": "my_bucket",
    }


def job(bench: Any, **more: Any) -> Callable[[], SentinelHubBatchOperator]:
    """A maker of the task, whose job takes some three minutes of the simulator's time."""
    arguments: dict[str, Any] = {
        **described(bench),
        "task_id": "job",
        "retries": 3,
        "poll_interval": 20.0,
        **more,
    }
    return lambda: SentinelHubBatchOperator(**arguments)


def creating(bench: Any, **more: Any) -> Callable[[], SentinelHubCreateBatchOperator]:
    """A maker of the task that only creates the request of that job."""
    return lambda: SentinelHubCreateBatchOperator(task_id="job", **{**described(bench), **more})


class Killed(BaseException):
    """The process is gone: nothing of ours may catch this."""


def kill() -> None:
    raise Killed
