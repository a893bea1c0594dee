"""Limits the requests of one process and connection: few at a time, and after a 429 none for a while, then rarely.

The limit belongs to the account, and the processes that use it cannot see each other. A 429 is all that they hear of
each other, so each draws the same conclusion from it: it goes on at half the rate that it had in the last minute, and
one call more a minute with each minute that passes. Its first call comes at any time of the interval, so that processes
that were refused together do not return together. A process that has seen no 429 is not slowed down by this.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from types import TracebackType

from airflow_sentinelhub.api.call import RATE_LIMITED, RATE_LIMITED_JITTER, Reply, retry_after

IN_FLIGHT = 8
"""Requests of one process and connection in flight at a time; as many again that cannot wait (`Gate.at_once`)."""
SINGLES, CONFIRMING = 5, 2
"""Of these: calls for single requests, and further ones that confirm what a list says; a place is left for lists."""
IN_DOUBT = 2
"""Of the calls for single requests: those for requests whose last call was not answered, or by an error of the service.
The next one may hang until its timeout."""
BURST = 0.1
"""Share of the calls of a minute that may go out at once; with it a minute has 1.1 times as many at the most."""
DECREASE = 0.5
"""Share of its rate at which a process goes on after a 429."""
SLOWEST = 1.0
"""Calls of a minute to which a process is slowed down at the most."""
FORGOTTEN = 600.0
"""Seconds without a 429 after which a process is no longer slowed down."""
_MINUTE = 60.0


class Purpose(Enum):
    """What a call for a single request is made for."""

    CONFIRMS = "a list says something new of it"
    READS = "it is due, and no page shows it"
    DOUBTS = "its last call was in vain"


class Places:
    """Who may make a call for a single request: one that hangs until its timeout must not hold up the others.

    Calls that confirm have places that no others take, so an end is seen however many hang; requests in doubt have few.
    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._taken: Counter[Purpose] = Counter()
        self._waiting: dict[Purpose, deque[asyncio.Future[None]]] = {purpose: deque() for purpose in Purpose}

    @asynccontextmanager
    async def one(self, purpose: Purpose) -> AsyncIterator[None]:
        """Hold a place for a call. Calls of one purpose take turns."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[purpose].append(turn)
        self._let_in()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._taken[purpose] -= 1
                self._let_in()

    def _let_in(self) -> None:
        for purpose, waiting in self._waiting.items():
            while waiting and self._has_place(purpose):
                turn = waiting.popleft()
                if not turn.done():  # else it was given up
                    self._taken[purpose] += 1
                    turn.set_result(None)

    def _has_place(self, purpose: Purpose) -> bool:
        if purpose is Purpose.DOUBTS and self._taken[purpose] >= IN_DOUBT:
            return False
        return self._taken.total() < SINGLES + CONFIRMING * (purpose is Purpose.CONFIRMS)


class Gate:
    """Lets requests through: `async with gate`. Belongs to one event loop.

    A 429 closes the gate for all requests, because the limit belongs to the account. The pause grows with each 429 in a
    row. After it the requests keep intervals, which become shorter with time; see above.

    :param per_minute: calls of a minute.
    :param count: is told of each 429 (`rate_limited`).
    """

    paced = True
    """False, for tests: no pauses."""

    def __init__(self, per_minute: float, count: Callable[[str, int], None] = lambda name, by: None) -> None:
        self.per_minute = per_minute
        self._free, self._queue = asyncio.Semaphore(IN_FLIGHT), asyncio.Lock()
        self._free_at_once = asyncio.Semaphore(IN_FLIGHT)
        self._count = count
        self._closed_until = -math.inf
        self._in_a_row = 0
        self._per_second = per_minute / 60
        self._most = max(per_minute * BURST, 1.0)
        self._saved, self._at = self._most, asyncio.get_running_loop().time()
        self._in_line = 0
        """Calls that wait for their turn by the rate, without those that cannot wait."""
        self._taken, self._edited = 0, asyncio.get_running_loop().create_future()
        self._recent, self._counted = 0.0, self._at
        self._slowed_to, self._slowed_since, self._next = math.inf, self._at, self._at
        self._slowed_until = self._spent_until = -math.inf

    def keep_to(self, per_minute: float) -> None:
        """Let so many calls a minute through from now on: the connection was edited."""
        if per_minute == self.per_minute:
            return
        self._save()
        self.per_minute, self._per_second = per_minute, per_minute / 60
        self._most = max(per_minute * BURST, 1.0)
        self._edited.set_result(None)
        self._edited = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> None:
        await self._turn()
        await self._enter(self._free)

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """Let a request through that cannot wait for minutes, such as a cancel. Only a pause makes it wait, and a rate
        that is spent, by which it is the next.

        Calls that hang hold places of their own, so they do not hold it up.
        """
        await self._enter(self._free_at_once, next_one=True)
        try:
            yield
        finally:
            self._free_at_once.release()

    async def _turn(self) -> None:
        """Keep the interval between calls after a 429. The order is that of the callers."""
        if not self.paced:
            return
        async with self._queue:
            now = asyncio.get_running_loop().time
            while (rate := self._rate()) < math.inf:
                if (left := self._next - now()) <= 0:
                    self._next = now() + _MINUTE / rate * (0.5 + random.random())
                    return
                await asyncio.sleep(left)

    def _rate(self) -> float:
        """Calls of a minute that are made at present because of 429s; infinite if none was seen lately."""
        if self._slowed_to == math.inf:
            return math.inf
        passed = asyncio.get_running_loop().time() - self._slowed_since
        rate = self._slowed_to * (1 + passed / _MINUTE)
        if passed > FORGOTTEN or rate >= self._per_second * _MINUTE:
            self._slowed_to = rate = math.inf
            self._slowed_until = asyncio.get_running_loop().time()
        return rate

    async def _enter(self, places: asyncio.Semaphore, *, next_one: bool = False) -> None:
        await places.acquire()
        number = self._take()
        try:
            await self._keep_rate(number - self._in_line if next_one else number, in_line=not next_one)
            while (left := self.closed_for()) > 0:  # noqa: ASYNC110 - a pause, which may be made longer meanwhile
                await asyncio.sleep(left * (1 + RATE_LIMITED_JITTER * random.random()))
        except BaseException:
            self._saved, self._taken = self._saved + 1, self._taken - 1  # the call is not made
            places.release()
            raise
        self._recent = self._of_a_minute() + 1

    async def _keep_rate(self, number: int, *, in_line: bool) -> None:
        """Wait until it is the turn of the call with this number."""
        self._in_line += in_line
        try:
            while (delay := self._delay(number)) > 0:
                await asyncio.wait({self._edited}, timeout=delay)
                self._spent_until = asyncio.get_running_loop().time()
        finally:
            self._in_line -= in_line

    def _of_a_minute(self) -> float:
        """Number of calls of the last minute, roughly: it falls evenly instead of by calls."""
        now = asyncio.get_running_loop().time()
        self._recent *= math.exp((self._counted - now) / _MINUTE)
        self._counted = now
        return self._recent

    def _save(self) -> None:
        """Count the calls that have become free since this was done last."""
        now = asyncio.get_running_loop().time()
        self._saved = min(self._saved + (now - self._at) * self._per_second, self._most)
        self._at = now

    def _take(self) -> int:
        """Take one of the calls that a minute may have; returns its number."""
        self._save()
        self._saved, self._taken = self._saved - 1, self._taken + 1
        return self._taken

    def _delay(self, number: int) -> float:
        """Seconds until it is the turn of the call with this number, by the rate as it is now."""
        if not self.paced:
            return 0.0
        self._save()
        return max((number - self._taken - self._saved) / self._per_second, 0.0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._free.release()

    def held_back(self, since: float) -> str:
        """Why calls wait for their turn here, or did so after that time, though the service would answer; empty if not.

        :param since: by the event loop's time.
        """
        if not self.paced:
            return ""
        if self._rate() < math.inf or max(self._slowed_until, self._closed_until) > since:
            return "Sentinel Hub asks to slow down (429)"
        saved = self._saved + (asyncio.get_running_loop().time() - self._at) * self._per_second
        if saved < 0 or self._spent_until > since:
            return f"max_calls_per_minute of the connection lets {self.per_minute:g} calls a minute through"
        return ""

    def closed_for(self) -> float:
        """Seconds for which no request is let through from now on."""
        return max(self._closed_until - asyncio.get_running_loop().time(), 0.0) if self.paced else 0.0

    def note_reply(self, reply: Reply) -> None:
        """Process a reply.

        A 429 closes the gate and makes the calls after it rare; any other reply resets the length of the pause.
        """
        if reply.status not in RATE_LIMITED:
            self._in_a_row = 0
            return
        self._count("rate_limited", 1)
        if self.closed_for() == 0:  # those that were under way when it was closed say nothing new
            pause = retry_after(reply.headers, self._in_a_row)
            self._in_a_row += 1
            rate = max(min(self._rate(), self._of_a_minute()) * DECREASE, SLOWEST)
            self._slowed_to = rate
            self._slowed_since = self._closed_until = asyncio.get_running_loop().time() + pause
            self._next = self._closed_until + random.random() * _MINUTE / rate
