"""Types of what the builders of payloads take: values, and what stands for them until a task runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class TaskOutput(Protocol):
    """The output of another task: of Airflow's XComArg only this is known here."""

    def iter_references(self) -> Any:
        """The tasks that it comes from."""

    @property
    def resolve(self) -> Callable[..., Any]:
        """Its value in a run."""


Late: TypeAlias = T | str | TaskOutput
"""The value, text (a template, or the value in writing), or a task's output."""


class Pair(Protocol):
    """A list, a tuple or an array of a library: its two items are dates, datetimes, texts or outputs of tasks."""

    def __getitem__(self, index: int, /) -> Any:
        """An item."""


TimeRange: TypeAlias = Late[Pair | Mapping[str, Any]]
"""A time range: both ends, `last()`, or the word `data_interval`."""
