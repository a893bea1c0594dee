"""The driver of a triggerer: runs flows in the event loop, and never blocks it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
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
    Shared,
    Sleep,
    Step,
    Work,
    ends_at,
)
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.exceptions import AuthenticationError
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.clock import EvenClock
from airflow_sentinelhub.transport.poller import Notes, Poller
from airflow_sentinelhub.transport.process import PROCESS, Log
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import Token, TokenCall

R = TypeVar("R")
_log = logging.getLogger(__name__)


class AsyncDriver:
    """Runs flows. One driver per trigger; client, token and gate are shared within the process.

    :param log: gets the flow's notes.
    :param mask: is told every secret that a log must not show.
    :param reread: reads the connection again, to see whether its secret was changed meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log | None = None,
        mask: Callable[[str], Awaitable[None]] | None = None,
        reread: Callable[[], Awaitable[Settings]] | None = None,
    ) -> None:
        self._settings = settings
        self._tokens = PROCESS.tokens_of(settings)
        self._log: Log = log or _log
        self._mask = mask
        self._reread = reread
        self._clock = EvenClock()
        self._used: str | None = None
        self._polling: tuple[asyncio.AbstractEventLoop, str, Poller] | None = None

    async def run(self, flow: Flow[R]) -> R:
        """Drive the flow to its end and return its result; its errors come out as they are."""
        try:
            step = next(flow)
            while True:
                if type(step) is Now:  # most steps are: not worth a coroutine
                    step = flow.send(self._clock.now())
                    continue
                try:
                    received = await self._perform(step)
                except BaseException as err:
                    step = flow.throw(err)
                else:
                    step = flow.send(received)
        except StopIteration as end:
            result: R = end.value
            return result

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Shared):  # what thousands of waits do: asked first
            kept = self._polling
            known = kept is not None and kept[:2] == (asyncio.get_running_loop(), step.api.name)
            poller = kept[2] if kept is not None and known else await self._poller(step.api)
            return await poller.reading(step.request_id, step.within, self._clock.by_wall(step.until))
        if isinstance(step, Send):
            return await self._send(step.call, step.until)
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds * (1 + step.jitter * random.random()))
        elif isinstance(step, Now):
            return self._clock.now()
        elif isinstance(step, Note):
            self._log.log(logging.WARNING if step.warning else logging.INFO, "%s", step.message)
        elif isinstance(step, Work):
            if (seconds := step.seconds_from(self._clock.now())) is None:
                return await asyncio.to_thread(step.function)
            return await PROCESS.threads.run_in_loop(step.function, seconds)
        elif isinstance(step, Mask):
            if self._mask is not None:
                await self._mask(step.secret)
        elif isinstance(step, Renew):
            self._tokens.refused(self._used)
        return None

    async def _poller(self, api: Generation) -> Poller:
        """The poller of this event loop and connection for a generation; its notes go to no task's log.

        What is edited in the connection counts for the waits that begin after that.
        """
        # Which certificates and proxies count takes long to find out for thousands of triggers that begin together.
        mine, key = PROCESS.in_this_loop(), (self._settings,)
        if key not in mine:
            async with PROCESS.making_in_this_loop("poller"):
                if key not in mine:
                    mine[key] = await client.in_loop(self._settings)
        pollers, ours = mine[key].pollers, self._settings
        # Connections of one account have pollers of their own: the secret of one may be wrong.
        kind = api.name, ours.conn_id, ours.path_form, ours.timeout
        if kind not in pollers:
            notes = Notes()
            driver = AsyncDriver(self._settings, notes, self._mask, self._reread)
            metrics, gate = PROCESS.metrics, mine[key].gate
            pollers[kind] = Poller(
                driver,
                api,
                metrics.count,
                notes,
                metrics.measure,
                conn_id=self._settings.conn_id,
                held=gate.held_back,
                places=mine[key].places,
            )
        self._polling = asyncio.get_running_loop(), api.name, pollers[kind]
        return pollers[kind]

    async def _send(self, call: Call[Any], until: float | None) -> Reply | Lost:
        if isinstance(call, TokenCall):
            answer = await client.ask_for_token(self._settings, self._tokens.form(), self._clock.by_wall(until))
            self._tokens.note_reply(answer)
            return answer
        try:
            token = await asyncio.wait_for(self._token(until), client.seconds_to(self._clock.by_wall(until)))
        except asyncio.TimeoutError:
            return self._tokens.not_in_time()
        self._used = token.value
        return await client.send(self._settings, call, token.value, self._clock.by_wall(until))

    async def _token(self, until: float | None) -> Token:
        async with (await client.in_loop(self._settings)).lock:
            self._follow()
            if token := self._tokens.current(time.time()):
                return token
            try:
                return await self.run(ends_at(self._tokens.fetch(), until))
            except AuthenticationError:
                if self._reread is None or not self._tokens.may_be_outdated(time.monotonic()):
                    raise
                self._tokens.succeeded_by(await self._reread())
                if not self._follow():
                    raise
                return await self.run(ends_at(self._tokens.fetch(), until))

    def _follow(self) -> bool:
        """Use the settings that have succeeded ours, in this driver or another; False if there are none."""
        newer, self._tokens = PROCESS.latest(self._tokens)
        self._settings = newer or self._settings
        return newer is not None
