"""What a watcher remembers, and which things of a list are new to it: each makes one event, also after a restart.

The service says neither when a request has ended nor when an acquisition was published. So a watcher remembers by
name what it has told, over a window that looks back; a list that comes late or out of order changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

VERSION = 1
MARGIN = 86_400.0
"""Seconds for which a thing is remembered after it has left the window."""


@dataclass(frozen=True)
class Sight:
    """A thing that a list shows.

    :param name: its id.
    :param at: its time, seconds since 1970: it is forgotten some time after that has left the window.
    :param mark: a higher number makes the same thing news again (a request that was restarted).
    """

    name: str
    at: float
    mark: float = 0.0

    @cached_property
    def key(self) -> str:
        """The short name under which it is remembered."""
        return _key_of(self.name)


def _key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


@dataclass
class Memory:
    """What a watcher has told (`sent`), and what it was about to tell when it wrote this down (`sending`).

    Both map keys of sights to their time and mark. What is in `sending` at the start of a watcher may have been told or
    not: it is told again, and said to be a repetition. What is older than `since` may be forgotten, or was never looked
    at; None for a memory that does not say.
    """

    sent: dict[str, tuple[float, float]] = field(default_factory=dict)
    sending: dict[str, tuple[float, float]] = field(default_factory=dict)
    since: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, for the store of Airflow."""
        parts = {"sent": self.sent, "sending": self.sending}
        return {
            "version": VERSION,
            "since": self.since,
            **{name: {key: list(pair) for key, pair in part.items()} for name, part in parts.items()},
        }

    @classmethod
    def from_json(cls, value: Any) -> Memory:
        """The memory that was written down.

        :raises ValueError: it is no memory of a watcher, or one of an unknown version.
        """
        if not isinstance(value, Mapping) or value.get("version") != VERSION:
            raise ValueError("it is not the memory of a watcher of this version")
        try:
            sent, sending = (
                {str(key): (float(at), float(mark)) for key, (at, mark) in value[name].items()}
                for name in ("sent", "sending")
            )
            since = None if value.get("since") is None else float(value["since"])
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise ValueError(f"it cannot be read ({type(err).__name__})") from None
        return cls(sent, sending, since)

    def news(self, sights: Iterable[Sight]) -> list[Sight]:
        """What was not told yet, the earliest first."""
        found = {sight.key: sight for sight in sights if self.is_news(sight)}
        return sorted(found.values(), key=lambda sight: (sight.at, sight.name))

    def is_news(self, sight: Sight) -> bool:
        """Whether it was not told yet, or was told before it got a higher mark."""
        known = self.sent.get(sight.key)
        return known is None or sight.mark > known[1]

    def begin(self, sights: Sequence[Sight]) -> list[Sight]:
        """Note that these are about to be told; returns those that may have been told already."""
        again = [sight for sight in sights if sight.key in self.sending]
        self.sending.update({sight.key: (sight.at, sight.mark) for sight in sights})
        return again

    def end(self, sights: Iterable[Sight], window_begin: float, shown: Collection[str] = ()) -> None:
        """Note that these were told, and forget what has left the window.

        :param window_begin: seconds since 1970.
        :param shown: names of all that the list shows now. A catalog may show what was taken before the window (an
            image of a month, by its end): it is remembered for as long as it is shown.
        """
        for sight in sights:
            self.sending.pop(sight.key, None)
            self.sent[sight.key] = (sight.at, sight.mark)
        old = [
            (part, key) for part in (self.sent, self.sending) for key in part if part[key][0] < window_begin - MARGIN
        ]
        kept = {_key_of(name) for name in shown} if old else set()
        for part, key in old:
            if key not in kept:
                del part[key]
        self.since = window_begin

    def look_back(self, sights: Iterable[Sight], window_begin: float) -> bool:
        """Take for told what a longer window shows of the time of which nothing is known any more.

        :param sights: what the first look of a watcher shows.
        :param window_begin: of this look, seconds since 1970.
        :return: whether there is such a time.
        """
        if self.since is None or window_begin >= self.since:
            return False
        for sight in sights:
            if sight.at < self.since and sight.key not in self.sending:
                self.sent.setdefault(sight.key, (sight.at, sight.mark))
        self.since = window_begin
        return True
