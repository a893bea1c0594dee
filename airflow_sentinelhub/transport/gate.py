"""Limits the requests of one process and connection: few at a time, and none for a while after a 429."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import TracebackType

from airflow_sentinelhub.api.call import RATE_LIMITED, RATE_LIMITED_JITTER, Reply, retry_after

IN_FLIGHT = 8
"""Requests of one process and connection in flight at a time."""
BURST = 0.1
"""Share of the calls of a minute that may go out at once; with it a minute has 1.1 times as many at the most."""


class Gate:
    """Lets requests through: `async with gate`. Belongs to one event loop.

    A 429 closes the gate for all requests, because the limit belongs to the account. The pause grows with each 429 in a
    row. After a pause the requests are sent at slightly different times.

    :param per_minute: calls of a minute; :param count: is told of each 429 (`rate_limited`).
    """

    paced = True
    """False, for tests: no pauses."""

    def __init__(self, per_minute: float, count: Callable[[str, int], None] = lambda name, by: None) -> None:
        self._free = asyncio.Semaphore(IN_FLIGHT)
        self._count = count
        self._closed_until = 0.0
        self._in_a_row = 0
        self._per_second = per_minute / 60
        self._most = max(per_minute * BURST, 1.0)
        self._saved, self._at = self._most, asyncio.get_running_loop().time()

    async def __aenter__(self) -> None:
        await self._free.acquire()
        delay = self._take()
        try:
            if delay > 0:
                await asyncio.sleep(delay)
            while (left := self.closed_for()) > 0:  # noqa: ASYNC110 - a pause, which may be made longer meanwhile
                await asyncio.sleep(left * (1 + RATE_LIMITED_JITTER * random.random()))
        except BaseException:
            self._saved += 1  # the call is not made
            self._free.release()
            raise

    def _take(self) -> float:
        """Seconds until it is this call's turn, by the calls that a minute may have."""
        if not self.paced:
            return 0.0
        now = asyncio.get_running_loop().time()
        self._saved = min(self._saved + (now - self._at) * self._per_second, self._most) - 1
        self._at = now
        return max(-self._saved / self._per_second, 0.0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._free.release()

    def closed_for(self) -> float:
        """Seconds for which no request is let through from now on."""
        return max(self._closed_until - asyncio.get_running_loop().time(), 0.0) if self.paced else 0.0

    def heard(self, reply: Reply) -> None:
        """Process a reply: a 429 closes the gate, any other reply resets the length of the pause."""
        if reply.status not in RATE_LIMITED:
            self._in_a_row = 0
            return
        self._count("rate_limited", 1)
        if self.closed_for() == 0:  # those that were under way when it was closed say nothing new
            pause = retry_after(reply.headers, self._in_a_row)
            self._in_a_row += 1
            self._closed_until = asyncio.get_running_loop().time() + pause
