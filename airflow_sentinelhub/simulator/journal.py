"""The journal: every call the service got, what was answered, and what really happened."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

_LIMIT = 200_000


class Journal:
    """The last 200,000 calls, numbered from 1 for the life of the service (a reset begins anew)."""

    def __init__(self) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=_LIMIT)
        self._last = 0

    def next_number(self) -> int:
        return self._last + 1

    def add(self, entry: dict[str, Any]) -> None:
        self._calls.append(entry)
        self._last = entry["n"]

    def since(self, number: int) -> list[dict[str, Any]]:
        """The calls with a higher number."""
        skip = number - self._calls[0]["n"] + 1 if self._calls else 0
        return list(islice(self._calls, max(0, skip), None))

    def clear(self) -> None:
        self._calls.clear()
        self._last = 0
