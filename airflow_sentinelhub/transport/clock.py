"""The clock of a driver's flows: it begins at the wall clock's time and runs evenly.

The wall clock may be set by hours while something is waited for (NTP, a machine that was suspended or moved). Deadlines
and outages are counted in seconds since 1970, since they outlast a process; within one they must not jump: a wait
would end early, and a paid job with it, or run on for hours.
"""

from __future__ import annotations

import time


class EvenClock:
    """Seconds since 1970 by the wall clock when this object was made, and by the monotonic clock since then.

    A deadline that another process has set is missed by the jump of the wall clock at the most, and never met early.
    """

    def __init__(self) -> None:
        self._began, self._even = time.time(), time.monotonic()

    def now(self) -> float:
        """The time in seconds since 1970."""
        return self._began + (time.monotonic() - self._even)

    def by_wall(self, at: float | None) -> float | None:
        """A time of this clock as one of the wall clock, as that is set at the moment; None for None."""
        return None if at is None else at + (time.time() - self.now())
