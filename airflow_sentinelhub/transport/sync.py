"""The driver of a worker: runs flows in this thread.

Its calls are made in the process's own event loop (`process.py`), by the client that a triggerer uses too.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from airflow_sentinelhub.api.call import (
    Call,
    Flow,
    Lost,
    Mask,
    Note,
    Now,
    Renew,
    Reply,
    Send,
    Sleep,
    Step,
    Work,
    ends_at,
)
from airflow_sentinelhub.exceptions import AuthenticationError, Interrupted
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.clock import EvenClock
from airflow_sentinelhub.transport.process import PROCESS, Log
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import Token, TokenCall

R = TypeVar("R")


class SyncDriver:
    """Runs flows. One driver per hook; client, token and gate are shared within the process.

    :param log: gets the flow's notes.
    :param mask: is told every secret that a log must not show.
    :param reread: reads the connection again, to see whether its secret was changed meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log | None = None,
        mask: Callable[[str], None] = lambda secret: None,
        reread: Callable[[], Settings] | None = None,
    ) -> None:
        self._settings = settings
        self._tokens = PROCESS.tokens_of(settings)
        self._log: Log = log or logging.getLogger(__name__)
        self._mask = mask
        self._reread = reread
        self._clock = EvenClock()
        self._used: str | None = None
        self._stop = threading.Event()

    def run(self, flow: Flow[R]) -> R:
        """Drive the flow to its end and return its result; its errors come out as they are."""
        try:
            step = next(flow)
            while True:
                try:
                    received = self._perform(step)
                except BaseException as err:
                    step = flow.throw(err)
                else:
                    step = flow.send(received)
        except StopIteration as end:
            result: R = end.value
            return result

    def now(self) -> float:
        """The time of the flows, in seconds since 1970: see `EvenClock`."""
        return self._clock.now()

    def follow_wall(self) -> None:
        """Set the clock of the flows to the wall clock: a wait begins whose end is a time of that."""
        self._clock = EvenClock()

    @property
    def lifetime(self) -> float | None:
        """Seconds for which the access token was issued that these settings use now; None if there is none."""
        token = self._tokens.current(time.time())
        return token.lifetime if token else None

    def interrupt(self) -> None:
        """End the flow that runs in another thread, or below this signal handler, at its next sleep or call.

        A call that is under way is not cut short; none follows it. So a task whose request was ended in the middle of a
        reading cannot start it after that.
        """
        self._stop.set()

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Send):
            if self._stop.is_set():
                raise Interrupted("The task is being ended.")
            return self._send(step.call, step.until)
        if isinstance(step, Sleep):
            if self._stop.wait(step.seconds * (1 + step.jitter * random.random())):
                raise Interrupted("The task is being ended.")
        elif isinstance(step, Now):
            return self._clock.now()
        elif isinstance(step, Note):
            self._log.log(logging.WARNING if step.warning else logging.INFO, "%s", step.message)
        elif isinstance(step, Work):
            if (seconds := step.seconds_from(self._clock.now())) is None:
                return step.function()
            return PROCESS.threads.run(step.function, seconds)
        elif isinstance(step, Mask):
            self._mask(step.secret)
        elif isinstance(step, Renew):
            self._tokens.refused(self._used)
        return None

    def _send(self, call: Call[Any], until: float | None) -> Reply | Lost:
        if isinstance(call, TokenCall):
            answer = _in_loop(client.ask_for_token(self._settings, self._tokens.form(), self._clock.by_wall(until)))
            self._tokens.note_reply(answer)
            return answer
        left = client.seconds_to(self._clock.by_wall(until))
        if not PROCESS.fetching.acquire(timeout=-1 if left is None else left):
            return self._tokens.not_in_time()
        try:
            token = self._token(until)
        finally:
            PROCESS.fetching.release()
        self._used = token.value
        return _in_loop(client.send(self._settings, call, token.value, self._clock.by_wall(until)))

    def _token(self, until: float | None) -> Token:
        self._follow()
        if token := self._tokens.current(time.time()):
            return token
        try:
            return self.run(ends_at(self._tokens.fetch(), until))
        except AuthenticationError:
            if self._reread is None or not self._tokens.may_be_outdated(time.monotonic()):
                raise
            self._tokens.succeeded_by(self._reread())
            if not self._follow():
                raise
            return self.run(ends_at(self._tokens.fetch(), until))

    def _follow(self) -> bool:
        """Use the settings that have succeeded ours, in this driver or another; False if there are none."""
        newer, self._tokens = PROCESS.latest(self._tokens)
        self._settings = newer or self._settings
        return newer is not None


def _in_loop(call: Coroutine[Any, Any, Reply | Lost]) -> Reply | Lost:
    """Make a call in the process's event loop and wait for it; a signal that ends the task ends the call, too."""
    future = asyncio.run_coroutine_threadsafe(call, PROCESS.own_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
