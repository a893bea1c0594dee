"""Runs calls that block, such as reading a bucket, in a few daemon threads.

`asyncio.to_thread` uses the threads in which the event loop resolves host names for all triggers, and the interpreter
waits for them, as for those of any executor, before it exits. A bucket that accepts a connection and never answers
would block both.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from queue import SimpleQueue
from sys import _current_frames as frames_of_threads  # documented, in spite of its name
from typing import Any

from airflow_sentinelhub.exceptions import ResultsError

AT_A_TIME, SPARE = 4, 12
"""Threads that work, and threads that take the place of those whose call was given up but has not ended yet."""
CUT_EVERY = 1.0
"""Seconds between two cuts of the connections of calls that were given up: a library may repeat its call."""


class Threads:
    """Runs calls in daemon threads, each for a limited time. A thread is started when it is needed.

    When a call is given up, the connection that it reads from is cut, again and again until the call has ended, so that
    a slow reply does not occupy the thread for ever. Until then another thread takes its place, up to `SPARE` of them;
    after that, further calls wait, and are given up when their time is over.
    """

    def __init__(self) -> None:
        self._running: dict[Future[Any], int] = {}
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._given_up: set[Future[Any]] = set()
        self._started = 0
        self._cutting = False
        self._changing = threading.Lock()

    def run(self, function: Callable[[], Any], seconds: float) -> Any:
        """Call the function in a thread and wait for what it returns or raises.

        :raises ResultsError: that took longer.
        """
        future = self._submit(function)
        try:
            return future.result(seconds)
        except FutureTimeoutError:
            if future.done():
                raise  # the function's own error
            raise _too_long(seconds) from None
        finally:
            self._give_up(future)

    async def run_in_loop(self, function: Callable[[], Any], seconds: float) -> Any:
        """The same, without blocking the event loop."""
        future = self._submit(function)
        waiting = asyncio.wrap_future(future)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=seconds)
            if not done:
                raise _too_long(seconds)
            return waiting.result()
        finally:
            self._give_up(future)
            waiting.cancel()

    def _submit(self, function: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, partial(contextvars.copy_context().run, function)))
        with self._changing:
            if self._started < AT_A_TIME:
                self._start()
        return future

    def _cut_given_up(self) -> None:
        """Cut the connections of calls that were given up, again and again until all of them have ended.

        In a thread of its own: it would hold up the event loop. The lock is held for one call at a time, so that its
        thread cannot have gone on to another one.
        """
        while True:
            with self._changing:
                given_up = list(self._given_up)
                self._cutting = bool(given_up)
            if not given_up:
                return
            for future in given_up:
                with self._changing:
                    if future in self._given_up:
                        _cut_connection(self._running[future])
            time.sleep(CUT_EVERY)

    def _start(self) -> None:
        self._started += 1
        threading.Thread(target=self._work, name="sentinelhub-bucket", daemon=True).start()

    def _give_up(self, future: Future[Any]) -> None:
        if future.cancel() or future.done():
            return
        with self._changing:
            if future not in self._running:
                return  # it has ended just now
            self._given_up.add(future)
            if not self._cutting:
                self._cutting = True
                threading.Thread(target=self._cut_given_up, name="sentinelhub-cut", daemon=True).start()
            if len(self._given_up) <= SPARE:
                self._start()

    def _work(self) -> None:
        while True:
            future, function = self._calls.get()
            with self._changing:
                if not future.set_running_or_notify_cancel():
                    continue
                self._running[future] = threading.get_ident()
            try:
                result = function()
            except BaseException as err:  # it is the caller's
                future.set_exception(err)
            else:
                future.set_result(result)
            with self._changing:
                del self._running[future]
                self._given_up.discard(future)
                if self._started - len(self._given_up) > AT_A_TIME:
                    self._started -= 1
                    return


def _cut_connection(thread: int) -> None:
    """Shut the connection down from which a thread is reading, if it does: its library meets the end of the stream.

    No library of ours limits the time of a whole reply, and a blocked reading cannot be ended from outside otherwise.
    """
    frame = frames_of_threads().get(thread)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, (socket.SocketIO, socket.socket)):
                with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(value.fileno())) as twin:
                    twin.shutdown(socket.SHUT_RDWR)
        frame = frame.f_back


def _too_long(seconds: float) -> ResultsError:
    return ResultsError(f"There was no answer within {seconds:.0f} s; reading was given up.")
