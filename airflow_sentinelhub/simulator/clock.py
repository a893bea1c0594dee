"""The simulated clock: real, scaled, frozen or stepped. Pure: the real time always comes from outside."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

# The year 9000 and 1,000,000 times as fast: beyond that a moment soon has no date any more.
LATEST, FASTEST = 221_845_392_000.0, 1_000_000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Clock:
    """At the real time ``real`` the simulated time was ``simulated``; since then it moves ``speed`` times as fast.

    All three are plain numbers (seconds since 1970, and a factor), so that a clock can be saved. The real time is the
    wall clock, not a monotonic one: a simulator that was killed and started again finds that its world went on without
    it, as the real service does while nobody can reach it.
    """

    simulated: float
    real: float
    speed: float

    def now(self, real: float) -> float:
        """Simulated seconds since 1970, in whole microseconds. A wall clock that is set back never turns it back.

        In the year 9000 it stands still.
        """
        return min(round(self.simulated + max(0.0, real - self.real) * self.speed, 6), LATEST)

    def at_speed(self, speed: float, real: float) -> Clock:
        """From now on this fast; 0 freezes."""
        if not _is_sane(speed):
            raise ValueError(f"A clock's speed is a number of 0 or more, not {speed!r}.")
        if speed > FASTEST:
            raise ValueError(f"A clock's speed is at most {FASTEST:,.0f}, not {speed!r}.")
        return Clock(self.now(real), real, float(speed))

    def stepped(self, seconds: float, real: float) -> Clock:
        """So many simulated seconds later, at the same speed."""
        if not _is_sane(seconds):
            raise ValueError(f"A clock steps forward by a number of seconds, not by {seconds!r}.")
        if seconds > LATEST - self.now(real):
            raise ValueError(f"A clock cannot step beyond the year 9000, as it would by {seconds!r} seconds.")
        return Clock(self.now(real) + float(seconds), real, self.speed)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _is_sane(value: Any) -> bool:
    # Whole numbers of any length are compared as they are: not all of them can be made a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def iso_milliseconds(seconds: float) -> str:
    """As v1 writes times: ``2020-12-21T22:28:38.824Z`` (seen)."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def iso_microseconds(seconds: float) -> str:
    """As v2 writes times: ``2025-08-14T14:30:46.716642Z`` (seen)."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
