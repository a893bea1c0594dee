"""Everything that the package shares within one process, in one object: `PROCESS`.

All triggers of a process share one HTTP client, behind a gate that lets 8 calls through at a time: when 1,000 triggers
poll at once, a shared httpx client alone answers none of them within a minute; with the gate it answers all of them
within seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_sentinelhub._version import __version__
from airflow_sentinelhub.transport.gate import Gate, Places
from airflow_sentinelhub.transport.metrics import Metrics
from airflow_sentinelhub.transport.settings import Key, Settings
from airflow_sentinelhub.transport.threads import Threads

if TYPE_CHECKING:
    import ssl

    from airflow_sentinelhub.transport.network import Certificates
    from airflow_sentinelhub.transport.poller import Poller
    from airflow_sentinelhub.transport.tokens import Tokens


T = TypeVar("T")


class Log(Protocol):
    """A logger of the standard library, or one of Airflow's with the same method."""

    def log(self, level: int, msg: str, /, *args: Any) -> Any: ...


@dataclass(frozen=True)
class InLoop:
    """What the drivers of one event loop share for one deployment and client.

    :param client: the HTTP client.
    :param gate: lets requests through; the clients of an account have one, as they have one limit, and the same places.
    :param lock: is held while a token is asked for.
    :param closing: closes the client when it is closed itself, at the end of the loop.
    :param pollers: read requests for all waits; by generation, connection and how its calls are made.
    :param places: who of them may make a call for a single request.
    """

    client: Any
    gate: Gate
    lock: asyncio.Lock
    closing: AsyncGenerator[None, None]
    pollers: dict[Hashable, Poller] = field(default_factory=dict)
    places: Places = field(default_factory=Places)


@dataclass(frozen=True)
class Watched:
    """What the watchers of one event loop share, by the key of what they look at.

    :param looks: the last look of each kind, and when it began.
    :param lists: what is known of the list of an account's requests.
    """

    looks: dict[Hashable, tuple[float, asyncio.Future[Any]]] = field(default_factory=dict)
    lists: dict[Hashable, Any] = field(default_factory=dict)


class Process:
    """What is shared within a process, why, and what ends it.

    `tokens`: the access token of each OAuth client and deployment. The service limits token requests, and a token
        serves all tasks and triggers for an hour. Dropped when the connection's secret or client id has changed.
    `fetching`: held by a thread that asks for a token, so that tasks in other threads wait for that token instead of
        asking for their own. Holds no data; ends with the process.
    `own_loop`: the event loop in which the calls of a worker's threads are made, in a thread of its own. It is started
        at the first call and ends with the process.
    `threads`: the few threads in which buckets are read. The default ones of an event loop look up names for
        everybody in a triggerer, and a bucket that does not answer would keep them.
    `loops`: client, gate and lock of each event loop; they work in the loop only in which they were made. They go when
        `asyncio.run` ends the loop; those of a loop that was closed without that, at the next use of this object.
    `tls`: the TLS contexts of all clients, by the certificates that they trust. Building one reads files and takes some
        30 ms, too long for an event loop that serves a thousand triggers. Holds no secret; ends with the process.
    `background`: asynchronous work that outlives what has begun it: the ending of a request, a question to Airflow. An
        event loop itself keeps only weak references. Each goes when it is done or when its loop is closed.
    `warmed_up`: whether Airflow was asked once by this triggerer; the first answer takes seconds, later ones some
        hundredths. Ends with the process.
    `warned`: warnings that were logged once and need not be logged again.
    `rates`: calls of a minute by account and connection, as they were read last: an edit counts for waits that have
        begun before, too. Of several connections of one account the lowest counts.
    `metrics`: counts the calls and readings of all pollers, and passes them on to Airflow's own metrics.
    `next_record`: when a triggerer has planned its last record of progress, by a clock that runs evenly: its waits take
        turns. Ends with the process.
    `making`: held while something is made for a loop: triggers that begin together wait for one. It goes with the loop.
    `watched`: what the watchers of each event loop share. It goes with the loop, as `loops` does.
    `bucket_clients`: clients of buckets that the waits of a triggerer share, by keys and settings. Each goes with the
        last reader that has it.
    `looked_up`: when a triggerer has looked up a connection, and what came of it, by event loop and id.

    A forked process starts with an empty object: threads and event loops belong to its parent.
    """

    def __init__(self) -> None:
        self.tokens: dict[Key, Tokens] = {}
        self.fetching = threading.RLock()
        self.threads = Threads()
        self.loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Any, ...], InLoop]] = WeakKeyDictionary()
        self.tls: dict[Certificates, ssl.SSLContext] = {}
        self.background: set[asyncio.Future[Any]] = set()
        self.warmed_up = False
        self.warned: set[str] = set()
        self.metrics = Metrics()
        self.rates: dict[Key, dict[str, float]] = {}
        self.next_record = 0.0
        self.making: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()
        self.watched: WeakKeyDictionary[asyncio.AbstractEventLoop, Watched] = WeakKeyDictionary()
        self.looked_up: dict[tuple[asyncio.AbstractEventLoop, str], tuple[float, asyncio.Future[Any]]] = {}
        self.bucket_clients: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._changing = threading.RLock()  # a signal handler may need it below a function that holds it

    def tokens_of(self, settings: Settings) -> Tokens:
        """The token store for these settings; a store that they replace is dropped with its token and its secret."""

        from airflow_sentinelhub.transport.tokens import Tokens  # loads oauthlib, which no DAG needs to be parsed

        with self._changing:
            for key, store in list(self.tokens.items()):
                if store.is_replaced_by(settings):
                    del self.tokens[key]
            return self.tokens.setdefault(settings.key, Tokens(settings))

    def latest(self, tokens: Tokens) -> tuple[Settings | None, Tokens]:
        """The settings that have succeeded those of a token store, and their store; None and the store itself if none.

        The refusal of a secret that was rotated is met by one driver of many: the others learn of the new one here.
        """
        newer = None
        while tokens.successor is not None:
            newer = tokens.successor
            tokens = self.tokens_of(newer)
        return newer, tokens

    def own_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop for calls of threads that have none."""
        with self._changing:
            if self._own_loop is None:
                self._own_loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._own_loop.run_forever, name="sentinelhub-calls", daemon=True)
                thread.start()
                atexit.register(_end, self._own_loop, thread, os.getpid())
            return self._own_loop

    def read_settings(self, settings: Settings) -> None:
        """A connection was read: its rate counts from now on."""
        with self._changing:
            for of_account in self.rates.values():
                of_account.pop(settings.conn_id, None)  # it may have been edited to be one of another account
            self.rates.setdefault(settings.key, {})[settings.conn_id] = settings.max_calls_per_minute

    def rate_of(self, settings: Settings) -> float:
        """Calls of a minute for the account of these settings."""
        return min(self.rates.get(settings.key, {}).values(), default=settings.max_calls_per_minute)

    def warn_once(self, log: Log, level: int, message: str) -> None:
        """Log a message unless this process has logged it before."""
        if message not in self.warned:
            self.warned.add(message)
            log.log(level, "%s", message)

    def in_this_loop(self) -> dict[tuple[Any, ...], InLoop]:
        """What the running event loop shares."""
        loop = asyncio.get_running_loop()
        with self._changing:
            if loop not in self.loops:  # thousands of triggers ask for it as they begin
                self._drop_closed_loops()
            return self.loops.setdefault(loop, {})

    def making_in_this_loop(self, what: str) -> asyncio.Lock:
        """The lock under which something is made for the running event loop."""
        with self._changing:
            return self.making.setdefault(asyncio.get_running_loop(), {}).setdefault(what, asyncio.Lock())

    def watched_in_this_loop(self) -> Watched:
        """What the watchers of the running event loop share."""
        with self._changing:
            self._drop_closed_loops()
            return self.watched.setdefault(asyncio.get_running_loop(), Watched())

    def leave_this_loop(self) -> None:
        """The running event loop is about to be closed."""
        with self._changing:
            loop = asyncio.get_running_loop()
            self.loops.pop(loop, None)
            self.making.pop(loop, None)
            self.watched.pop(loop, None)
            self.looked_up = {key: known for key, known in self.looked_up.items() if key[0] is not loop}

    async def look_up(self, name: str, look_up: Callable[[], Coroutine[Any, Any, T]], kept: float) -> T:
        """What is looked up by this name in the event loop; those who ask together, or within `kept` seconds, share it.

        :param kept: 0: it is looked up anew.
        """
        key = (asyncio.get_running_loop(), name)
        known = self.looked_up.get(key)
        if known is None or not time.monotonic() - known[0] < kept:
            known = self.looked_up[key] = time.monotonic(), asyncio.ensure_future(look_up())

            def forget(reading: asyncio.Future[Any]) -> None:
                """Also if whoever had waited for it was cancelled meanwhile: the next one tries again."""
                failed = reading.cancelled() or reading.exception() is not None
                if failed and (latest := self.looked_up.get(key)) is not None and latest[1] is reading:
                    del self.looked_up[key]

            known[1].add_done_callback(forget)
        found: T = await asyncio.shield(known[1])
        return found

    def keep(self, work: asyncio.Future[Any]) -> None:
        """Keep the work from being collected until it is done."""
        with self._changing:
            self._drop_closed_loops()
            self.background.add(work)
        work.add_done_callback(self.background.discard)

    def _drop_closed_loops(self) -> None:
        for of_loops in (self.loops, self.making, self.watched):
            for loop in [loop for loop in of_loops if loop.is_closed()]:
                del of_loops[loop]
        self.looked_up = {key: known for key, known in self.looked_up.items() if not key[0].is_closed()}
        self.background -= {work for work in self.background.copy() if work.get_loop().is_closed()}


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    """Close the clients of a loop and end its thread, at the end of the process that has started it."""
    if os.getpid() != process:
        return

    async def close() -> None:
        await loop.shutdown_asyncgens()
        loop.stop()

    asyncio.run_coroutine_threadsafe(close(), loop)
    thread.join(1.0)


PROCESS = Process()
os.register_at_fork(after_in_child=PROCESS.__init__)  # type: ignore[misc]


def user_agent() -> str:
    return f"airflow-sentinelhub/{__version__}"
