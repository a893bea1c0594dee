"""The metrics of a process: what is counted, what is measured, and who is told.

Several pollers report the same names: one for each event loop, connection and generation. A counter is their sum, and
so is the number of waits; of ages the highest counts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

_log = logging.getLogger(__name__)
PREFIX = "sentinelhub."
"""What the names begin with in Airflow's metrics."""
COUNTERS = {
    "pages": "pages of the list that a poller has read",
    "singles": "calls for one request that a poller has made",
    "readings": "readings that waits have been given",
    "rate_limited": "replies 429",
}
"""Names that are added up, and what of."""
GAUGES: dict[str, tuple[Callable[[Iterable[float]], float], str]] = {
    "waiting": (sum, "waits that there are"),
    "oldest_reading": (max, "seconds since the wait that has waited longest for a reading has begun to"),
    "lag": (max, "seconds by which the poller is late with the reading that is most overdue"),
}
"""Names that are set, each with how the values of several pollers become one, and what it is."""


class Metrics:
    """Counts and measures. Safe to use from several threads."""

    def __init__(self) -> None:
        self._tell: Callable[[str, float], None] | None = None
        self._begun = False
        self._measured: dict[str, WeakKeyDictionary[object, float]] = {name: WeakKeyDictionary() for name in GAUGES}
        self._changing = threading.RLock()  # a signal handler may need it below a function that holds it

    def begin(self, make: Callable[[], Callable[[str, float], None]]) -> None:
        """Report from now on, if nothing was reported so far.

        :param make: makes what is told each name and value: Airflow's own metrics. That is not told anything any more
            after it has raised an error: a metric must not end a wait.
        """
        if not self._begun:
            self._begun, self._tell = True, make()

    def count(self, name: str, by: float) -> None:
        """Add to a counter."""
        self._report(name, by)

    def measure(self, source: object, name: str, value: float) -> None:
        """Set the value of one poller. It counts as long as the poller exists."""
        with self._changing:
            of_all = self._measured[name]
            of_all[source] = value
            together = GAUGES[name][0](of_all.values())
        self._report(name, together)

    def _report(self, name: str, value: float) -> None:
        if self._tell is None:
            return
        try:
            self._tell(name, value)
        except Exception as err:  # whatever a client of metrics raises
            self._tell = None
            _log.warning("Metrics are not reported any more: %s at %s%s", type(err).__name__, PREFIX, name)
