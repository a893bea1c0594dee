"""All that our code shares within one process, in one object: `PROCESS`.

A thousand waiting triggers are one polite client. The limit is a gate of ours in front of the HTTP library's pool:
with 1,000 triggers polling at once, a shared httpx client alone answers none of them within a minute, and behind a
gate of 8 all within seconds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_sentinelhub import __version__
from airflow_sentinelhub.transport.settings import Key, Settings

if TYPE_CHECKING:
    import ssl

    from airflow_sentinelhub.transport.network import Certificates
    from airflow_sentinelhub.transport.tokens import Tokens


class Log(Protocol):
    """Where notes go: a logger of the standard library, or one of Airflow's that looks like it."""

    def log(self, level: int, msg: str, /, *args: Any) -> Any: ...


IN_FLIGHT = 8
"""Requests of one process and connection in flight at a time."""


@dataclass(frozen=True)
class InLoop:
    """What the drivers of one event loop share for one deployment and client.

    :param client: the HTTP client; :param gate: the limit on requests in flight; :param lock: is held while a token is
        asked for; :param closing: closes the client when it is closed itself, at the end of the loop.
    """

    client: Any
    gate: asyncio.Semaphore
    lock: asyncio.Lock
    closing: AsyncGenerator[None, None]


class Process:
    """What is shared within a process, why, and what ends it.

    `tokens`: the access token of each OAuth client and deployment. The service limits token requests, and a token
        serves all tasks and triggers for an hour. Dropped when the connection's secret or client id has changed.
    `fetching`: held by a thread that asks for a token, so that tasks in other threads wait for that token instead of
        asking for their own. Holds no data; ends with the process.
    `gates`: the limit on requests in flight of the worker's threads, which is for all tasks of the process together.
        A gate goes with the last driver that uses it.
    `loops`: client, gate and lock of each event loop; they work in the loop only in which they were made. They go when
        `asyncio.run` ends the loop; those of a loop that was closed without that, at the next use of this object.
    `tls`: the TLS contexts of all clients, by the certificates that they trust. Building one reads files and takes some
        30 ms, too long for an event loop that serves a thousand triggers. Holds no secret; ends with the process.
    `background`: asynchronous work that outlives what has begun it: the ending of a request, a question to Airflow. An
        event loop itself keeps only weak references. Each goes when it is done or when its loop is closed.
    `warmed_up`: whether Airflow was asked once by this triggerer; the first answer takes seconds, later ones some
        hundredths. Ends with the process.
    """

    def __init__(self) -> None:
        self.tokens: dict[Key, Tokens] = {}
        self.fetching = threading.RLock()
        self.gates: WeakValueDictionary[Key, threading.BoundedSemaphore] = WeakValueDictionary()
        self.loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, ...], InLoop]] = WeakKeyDictionary()
        self.tls: dict[Certificates, ssl.SSLContext] = {}
        self.background: set[asyncio.Future[Any]] = set()
        self.warmed_up = False
        self._changing = threading.Lock()

    def tokens_of(self, settings: Settings) -> Tokens:
        """The token store for these settings; a store that they replace is dropped with its token and its secret."""

        from airflow_sentinelhub.transport.tokens import Tokens  # loads oauthlib, which no DAG needs to be parsed

        with self._changing:
            for key, store in list(self.tokens.items()):
                if store.is_replaced_by(settings):
                    del self.tokens[key]
            return self.tokens.setdefault(settings.key, Tokens(settings))

    def gate_of(self, settings: Settings) -> threading.BoundedSemaphore:
        """The gate before the requests of worker threads."""
        with self._changing:
            return self.gates.setdefault(settings.key, threading.BoundedSemaphore(IN_FLIGHT))

    def in_this_loop(self) -> dict[tuple[str, ...], InLoop]:
        """What the running event loop shares."""
        with self._changing:
            self._drop_closed_loops()
            return self.loops.setdefault(asyncio.get_running_loop(), {})

    def leave_this_loop(self) -> None:
        """The running event loop is about to be closed."""
        with self._changing:
            self.loops.pop(asyncio.get_running_loop(), None)

    def keep(self, work: asyncio.Future[Any]) -> None:
        """Keep the work from being collected until it is done."""
        with self._changing:
            self._drop_closed_loops()
            self.background.add(work)
        work.add_done_callback(self.background.discard)

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self.loops if loop.is_closed()]:
            del self.loops[loop]
        self.background -= {work for work in self.background.copy() if work.get_loop().is_closed()}


PROCESS = Process()


def user_agent() -> str:
    return f"airflow-sentinelhub/{__version__}"
