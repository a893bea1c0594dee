"""The gate before the requests of one process and connection: few at a time, and none while the service says so."""

from __future__ import annotations

import asyncio
import random
from types import TracebackType

from airflow_sentinelhub.api.call import RATE_LIMITED, RATE_LIMITED_JITTER, Reply, retry_after

IN_FLIGHT = 8
"""Requests of one process and connection in flight at a time."""


class Gate:
    """Lets requests through: `async with gate`. Belongs to one event loop.

    A 429 closes it for all, since the limit is the account's. With each further one the pause grows, until a reply of
    another kind comes. Behind a pause the requests are let through at slightly different times.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(IN_FLIGHT)
        self._closed_until = 0.0
        self._in_a_row = 0

    async def __aenter__(self) -> None:
        await self._free.acquire()
        try:
            while (left := self.closed_for()) > 0:  # noqa: ASYNC110 - a pause, which may be made longer meanwhile
                await asyncio.sleep(left * (1 + RATE_LIMITED_JITTER * random.random()))
        except BaseException:
            self._free.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._free.release()

    def closed_for(self) -> float:
        """Seconds for which no request is let through from now on."""
        return max(self._closed_until - asyncio.get_running_loop().time(), 0.0)

    def heard(self, reply: Reply) -> None:
        """Take notice of a reply: a 429 closes the gate, any other ends a row of 429s."""
        if reply.status not in RATE_LIMITED:
            self._in_a_row = 0
        elif self.closed_for() == 0:  # those that were under way when it was closed say nothing new
            pause = retry_after(reply.headers, self._in_a_row)
            self._in_a_row += 1
            self._closed_until = asyncio.get_running_loop().time() + pause
