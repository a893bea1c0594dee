"""The driver of a triggerer: runs flows with httpx, in the event loop.

It never blocks the loop: one TLS context for the process (building one takes about 30 ms), no file read, no
connection look-up. Client and gate belong to the loop they were made in.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from airflow_sentinelhub.api.call import Call, Flow, Lost, Mask, Note, Now, Renew, Reply, Send, Sleep, Step, Work
from airflow_sentinelhub.transport.network import cause_of, certificates, proxy_for
from airflow_sentinelhub.transport.process import IN_FLIGHT, PROCESS, InLoop, Log, user_agent
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import Token, TokenCall, authorization

R = TypeVar("R")

_asking: ContextVar[bool] = ContextVar("asking", default=False)
"""Whether the HTTP library is at work for us, in this task of the event loop."""


def _not_our_request(record: logging.LogRecord) -> bool:
    """Filters out the INFO line of httpx about a request of ours; the lines of others who use httpx pass."""
    return record.levelno != logging.INFO or not _asking.get()


def _client(settings: Settings, tls: ssl.SSLContext | bool) -> httpx.AsyncClient:
    """A client, whose requests are not logged: Airflow 3 silences httpx, 2.11 would log a line at each poll.

    httpx can only be told so at its logger, which keeps the filter: adding it again changes nothing.
    """
    logging.getLogger("httpx").addFilter(_not_our_request)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    proxied = {url: proxy for url in (settings.base_url, settings.token_url) if (proxy := proxy_for(settings, url))}
    return httpx.AsyncClient(
        verify=tls,
        trust_env=False,
        limits=limits,
        timeout=settings.timeout,
        headers={"User-Agent": user_agent()},
        mounts={
            f"{urlsplit(url).scheme}://{urlsplit(url).netloc}": httpx.AsyncHTTPTransport(
                verify=tls, trust_env=False, limits=limits, proxy=_proxy(proxy, tls)
            )
            for url, proxy in proxied.items()
        },
    )


def _proxy(url: str, tls: ssl.SSLContext | bool) -> httpx.Proxy:
    encrypted = url.startswith("https:") and isinstance(tls, ssl.SSLContext)
    return httpx.Proxy(url, ssl_context=tls) if encrypted else httpx.Proxy(url)  # type: ignore[arg-type]


async def _closing(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Closes the client at the end of the event loop, at which `asyncio.run` closes the loop's generators."""
    try:
        yield
    finally:
        PROCESS.leave_this_loop()
        await client.aclose()


async def _shared_of(settings: Settings) -> InLoop:
    mine = PROCESS.in_this_loop()
    key = (*settings.key, str(settings.verify), settings.proxy or "")
    if key not in mine:
        tls: ssl.SSLContext | bool = False
        if any(url.startswith("https") for url in (settings.base_url, settings.token_url)):
            tls = await _context_of(settings)
        client = _client(settings, tls)
        closing = _closing(client)
        mine[key] = InLoop(client, asyncio.Semaphore(IN_FLIGHT), asyncio.Lock(), closing)
        await anext(closing)  # from here on the loop knows it
    return mine[key]


async def _context_of(settings: Settings) -> ssl.SSLContext:
    """The TLS context of all clients that trust the same certificates."""
    trusted = certificates(settings)
    if trusted not in PROCESS.tls:
        made = await asyncio.to_thread(trusted.context)
        PROCESS.tls.setdefault(trusted, made)
    return PROCESS.tls[trusted]


class AsyncDriver:
    """Runs flows. One driver per trigger; client, token and limit are shared within the process.

    :param log: gets the flow's notes; :param mask: is told every secret that a log must not show.
    """

    def __init__(
        self, settings: Settings, log: Log | None = None, mask: Callable[[str], Awaitable[None]] | None = None
    ) -> None:
        self._settings = settings
        self._tokens = PROCESS.tokens_of(settings)
        self._log: Log = log or logging.getLogger(__name__)
        self._mask = mask
        self._used: str | None = None

    async def run(self, flow: Flow[R]) -> R:
        """Drive the flow to its end and return its result; its errors come out as they are."""
        try:
            step = next(flow)
            while True:
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
        if isinstance(step, Send):
            return await self._send(step.call)
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds * (1 + step.jitter * random.random()))
        elif isinstance(step, Now):
            return time.time()
        elif isinstance(step, Note):
            self._log.log(logging.WARNING if step.warning else logging.INFO, "%s", step.message)
        elif isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        elif isinstance(step, Mask):
            if self._mask is not None:
                await self._mask(step.secret)
        elif isinstance(step, Renew):
            self._tokens.refused(self._used)
        return None

    async def _send(self, call: Call[Any]) -> Reply | Lost:
        shared = await _shared_of(self._settings)
        if isinstance(call, TokenCall):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            return await self._request(
                shared, "POST", self._settings.token_url, content=self._tokens.form(), headers=form
            )
        token = await self._token(shared)
        self._used = token.value
        url = self._settings.url(call.path)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        headers |= authorization(token.value)
        return await self._request(shared, call.method, url, params=call.params(), json=call.json, headers=headers)

    async def _token(self, shared: InLoop) -> Token:
        async with shared.lock:
            if token := self._tokens.current(time.time()):
                return token
            return await self.run(self._tokens.fetch())

    async def _request(self, shared: InLoop, method: str, url: str, **how: Any) -> Reply | Lost:
        async with shared.gate:
            asking = _asking.set(True)
            try:
                got = await shared.client.request(method, url, timeout=self._settings.timeout, **how)
            except (httpx.ConnectTimeout, httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol) as err:
                why = cause_of(err, url, proxy_for(self._settings, url), self._settings.timeout)
                return Lost(f"{url.split('?')[0]} cannot be reached: {why}", ambiguous=False)
            except httpx.TimeoutException:
                return Lost(f"no reply within {self._settings.timeout:.0f} s", ambiguous=True)
            except httpx.TransportError:
                return Lost("the connection was cut", ambiguous=True)
            except httpx.HTTPError as err:
                return Lost(f"the exchange broke off ({type(err).__name__})", ambiguous=True)
            finally:
                _asking.reset(asking)
        return Reply(got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.content)
