"""The HTTP client of worker and triggerer: sends a call and returns its reply, or why there is none.

Both make their calls here, in an event loop, so that certificates, proxies, time limits and limits on the size of
replies are the same for both. Client and gate belong to the loop they were made in; all calls of a process share them.

A time limit is for the whole call, not for each read: from its turn at the gate to the last byte of the reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.transport.gate import IN_FLIGHT, Gate, Places
from airflow_sentinelhub.transport.network import Certificates, cause_of, certificates, proxy_for, proxy_variables
from airflow_sentinelhub.transport.process import PROCESS, InLoop, user_agent
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import authorization

KEPT_ALIVE = 65.0
"""Seconds for which an idle connection is kept: a poll a minute takes no new TLS handshake."""
MOST_BYTES = 64 << 20
"""Bytes of a reply's body after decompression above which it is not read."""
MOST_VALUES = 3_000_000
"""Values in a body above which it is not read: each takes some 100 bytes of memory. A large list has half a million."""
CONNECT = 10.0
"""Seconds for the connection, before anything is sent: a wrong address is known long before a slow reply is."""
_PIECE = 1 << 20
"""Bytes that are decompressed at a time: some 3 ms."""

_asking: ContextVar[bool] = ContextVar("asking", default=False)
"""Whether the HTTP library is at work for us, in this task of the event loop."""


def seconds_to(until: float | None) -> float | None:
    """Seconds from now to a time in seconds since 1970, 0 if it has passed; None for no time."""
    return None if until is None else max(until - time.time(), 0.0)


async def send(settings: Settings, call: Call[Any], token: str, until: float | None) -> Reply | Lost:
    """Make a call with an access token, when it is its turn.

    :param until: seconds since 1970 at which it is given up; None: `settings.timeout` after its turn has come.
    """
    headers = {"Accept": call.accept, "Content-Type": "application/json", **authorization(token)}
    url = settings.url(call.path)
    content = {"params": call.params(), "json": call.json, "headers": headers}
    if call.within is not None:
        settings = replace(settings, timeout=min(settings.timeout, call.within))
    answer = await _request(settings, call.method, url, until, call.urgent, **content)
    return replace(answer, secrets=(token, settings.client_secret)) if isinstance(answer, Reply) else answer


async def ask_for_token(settings: Settings, form: str, until: float | None) -> Reply | Lost:
    """Make the call for an access token.

    :param form: the body, with the credentials.
    """
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return await _request(settings, "POST", settings.token_url, until, True, content=form, headers=headers)


async def _request(
    settings: Settings, method: str, url: str, until: float | None, urgent: bool, **content: Any
) -> Reply | Lost:
    progress = _Progress()
    try:
        return await asyncio.wait_for(_in_turn(settings, method, url, progress, urgent, content), seconds_to(until))
    except asyncio.TimeoutError:
        if progress.sent:
            return Lost("no reply before the time for waiting was over", ambiguous=True, over=True)
        held = progress.gate.held_back(progress.since) if progress.gate is not None and not progress.begun else ""
        what = (
            f"was not asked, since {held or 'other calls went first'},"
            if not progress.begun
            else "was not connected to"
        )
        text = f"{url.split('?')[0]} {what} before the time for waiting was over"
        return Lost(text, ambiguous=False, over=True, busy=bool(held))


@dataclass
class _Progress:
    """The progress of a call. `begun`: the gate let it through; `sent`: the service may have received some of it."""

    gate: Gate | None = None
    since: float = 0.0
    begun: bool = False
    sent: bool = False

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by the HTTP library at each step; a proxy is asked for a tunnel before anything is sent."""
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self.sent = True


async def _in_turn(
    settings: Settings, method: str, url: str, progress: _Progress, urgent: bool, content: dict[str, Any]
) -> Reply | Lost:
    shared = await in_loop(settings)
    progress.gate, progress.since = shared.gate, asyncio.get_running_loop().time()
    content["timeout"] = httpx.Timeout(settings.timeout, connect=min(settings.timeout, CONNECT))
    async with shared.gate.at_once() if urgent else shared.gate:
        progress.begun = True
        asking = _asking.set(True)
        try:
            reply = await asyncio.wait_for(_exchange(shared.client, method, url, progress, content), settings.timeout)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, asyncio.TimeoutError) as err:
            return _lost(err, settings, url, progress)
        finally:
            _asking.reset(asking)
        shared.gate.note_reply(reply)
        return reply


def _lost(err: Exception, settings: Settings, url: str, progress: _Progress) -> Lost:
    if not progress.sent:
        why = cause_of(err, url, proxy_for(settings, url), min(settings.timeout, CONNECT))
        place, what = urlsplit(url), "Nothing that is trusted" if why.startswith("certificate") else "Nothing"
        nowhere = f"{what} answers at {place.scheme}://{place.netloc.rpartition('@')[2]}: {why}."
        return Lost(f"{url.split('?')[0]} cannot be reached: {why}", ambiguous=False, nowhere=nowhere)
    if isinstance(err, (asyncio.TimeoutError, httpx.TimeoutException)):
        return Lost(f"no reply within {settings.timeout:.0f} s", ambiguous=True)
    if isinstance(err, httpx.DecodingError):
        return Lost(f"the reply was broken ({err})", ambiguous=True)
    if isinstance(err, httpx.TransportError):
        return Lost("the connection was cut", ambiguous=True)
    return Lost(f"the exchange broke off ({type(err).__name__})", ambiguous=True)


async def _exchange(
    client: httpx.AsyncClient, method: str, url: str, progress: _Progress, content: dict[str, Any]
) -> Reply:
    async with client.stream(method, url, extensions={"trace": progress.trace}, **content) as got:
        headers = {name.lower(): value for name, value in got.headers.items()}
        body, values, counted = bytearray(), 0, 0
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in _WINDOW_BITS:
            return Reply(got.status_code, headers, unread=f"is encoded as {encoding[:50]!r}, which was not asked for")
        try:
            async for piece in _decompressed(_limited(got.aiter_raw()), _WINDOW_BITS[encoding]):
                body += piece
                if len(body) > MOST_BYTES:
                    raise _TooLarge(f"above {MOST_BYTES >> 20} MiB")
                if len(body) <= MOST_VALUES:  # a value takes a byte at least: pages of a list are not counted
                    continue
                values += sum(body.count(begin, counted) for begin in (b",", b"[", b"{"))
                counted = len(body)
                if values > MOST_VALUES:
                    raise _TooLarge(f"more than {MOST_VALUES:,} values")
        except _TooLarge as err:
            return Reply(got.status_code, headers, unread=f"is too large: {err}")
        return Reply(got.status_code, headers, body)


class _TooLarge(Exception):
    """The body of a reply is above a limit."""


async def _limited(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body as it was sent. Compressed bytes are limited too: an endless stream of them may decompress to nothing.

    :raises _TooLarge: it is above the limit.
    """
    sent = 0
    async for piece in pieces:
        sent += len(piece)
        if sent > MOST_BYTES:
            raise _TooLarge(f"above {MOST_BYTES >> 20} MiB")
        yield piece


_WINDOW_BITS: dict[str, int | None] = {"": None, "identity": None, "gzip": 31, "x-gzip": 31, "deflate": 15}
"""How zlib reads the encodings of a body; None: as it is."""
_ACCEPTED = "gzip, deflate"


async def _decompressed(pieces: AsyncIterator[bytes], window_bits: int | None) -> AsyncIterator[bytes]:
    """The body, decompressed, in pieces of limited size. Other coroutines run after each piece.

    :raises httpx.DecodingError: it is cut off, or is not compressed as its header says.
    """
    if window_bits is None:
        async for piece in pieces:
            yield piece
        return
    decoder, begun = zlib.decompressobj(window_bits), False
    async for piece in pieces:
        waiting = piece
        while waiting:
            if not begun and window_bits == 15 and waiting[0] & 0x0F != 8:
                decoder = zlib.decompressobj(-15)  # deflate without a header, as some servers send it
            begun = True
            try:
                yield decoder.decompress(waiting, _PIECE)
            except zlib.error as err:
                raise httpx.DecodingError(f"it is not compressed as it says: {err}") from None
            waiting = decoder.unconsumed_tail
            if decoder.eof:
                waiting, decoder, begun = decoder.unused_data, zlib.decompressobj(window_bits), False
            await asyncio.sleep(0)
    while begun and (left := decoder.decompress(b"", _PIECE)):
        yield left
    if begun and not decoder.eof:
        raise httpx.DecodingError("it is cut off")


def _not_our_request(record: logging.LogRecord) -> bool:
    """Filters out the INFO line of httpx about a request of ours; the lines of others who use httpx pass."""
    return record.levelno != logging.INFO or not _asking.get()


def _shows_no_headers(record: logging.LogRecord) -> bool:
    """Filters out the DEBUG line with the headers of a reply to us: cookies, and places to which it leads."""
    return "receive_response_headers.complete" not in str(record.msg) or not _asking.get()


def _client(settings: Settings, tls: ssl.SSLContext | bool, proxies: Mapping[str, str | None]) -> httpx.AsyncClient:
    """A client, whose requests are not logged: Airflow 3 silences httpx, 2.11 would log a line at each poll.

    httpx can only be told so at its logger, which keeps the filter: adding it again changes nothing.
    """
    logging.getLogger("httpx").addFilter(_not_our_request)
    logging.getLogger("httpcore.http11").addFilter(_shows_no_headers)
    limits = httpx.Limits(
        max_connections=2 * IN_FLIGHT, max_keepalive_connections=IN_FLIGHT, keepalive_expiry=KEPT_ALIVE
    )
    return httpx.AsyncClient(
        verify=tls,
        trust_env=False,
        limits=limits,
        headers={"User-Agent": user_agent(), "Accept-Encoding": _ACCEPTED},
        mounts={
            f"{urlsplit(url).scheme}://{urlsplit(url).netloc}": httpx.AsyncHTTPTransport(
                verify=tls, trust_env=False, limits=limits, proxy=_proxy(proxy, tls)
            )
            for url, proxy in proxies.items()
            if proxy
        },
    )


def _proxy(url: str, tls: ssl.SSLContext | bool) -> httpx.Proxy:
    encrypted = urlsplit(url).scheme == "https" and isinstance(tls, ssl.SSLContext)
    return httpx.Proxy(url, ssl_context=tls) if encrypted else httpx.Proxy(url)  # type: ignore[arg-type]


async def _closing(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Closes the client at the end of the event loop, at which `asyncio.run` closes the loop's generators."""
    try:
        yield
    finally:
        PROCESS.leave_this_loop()
        await client.aclose()


async def in_loop(settings: Settings) -> InLoop:
    """What the calls of the running event loop share for these settings."""
    mine, urls = PROCESS.in_this_loop(), (settings.base_url, settings.token_url)
    trusted, environ = certificates(settings), proxy_variables()
    proxies = {url: proxy_for(settings, url, environ) for url in urls}
    key = (*settings.key, trusted, *proxies.values())
    if key not in mine:
        async with PROCESS.making_in_this_loop("client"):  # a thousand triggers that begin together make one
            if key not in mine:
                encrypted = any(url.startswith("https") for url in urls)
                client = await asyncio.to_thread(_made, settings, trusted if encrypted else None, proxies)
                # Clients of one account with other certificates or proxies have one limit.
                kin = next((one for known, one in mine.items() if known[: len(settings.key)] == settings.key), None)
                gate = kin.gate if kin else Gate(PROCESS.rate_of(settings), PROCESS.metrics.count)
                places, closing = kin.places if kin else Places(), _closing(client)
                mine[key] = InLoop(client, gate, asyncio.Lock(), closing, places=places)
                await anext(closing)  # from here on the loop knows it
    mine[key].gate.keep_to(PROCESS.rate_of(settings))
    return mine[key]


def _made(settings: Settings, trusted: Certificates | None, proxies: Mapping[str, str | None]) -> httpx.AsyncClient:
    """A client, and all that its first call loads: that takes too long for an event loop.

    :param trusted: None where nothing is encrypted.
    """
    _load()
    tls: ssl.SSLContext | bool = False
    if trusted is not None:
        if trusted not in PROCESS.tls:
            PROCESS.tls.setdefault(trusted, trusted.context())
        tls = PROCESS.tls[trusted]
    return _client(settings, tls, proxies)


@cache
def _load() -> None:
    """Have the HTTP library load what it loads at its first call, by one that reaches nobody."""

    async def call() -> None:
        nobody = httpx.AsyncHTTPTransport(uds=os.path.join(os.devnull, "nobody"))
        async with httpx.AsyncClient(transport=nobody, trust_env=False) as client:
            with contextlib.suppress(httpx.HTTPError):
                await client.get("http://nobody.invalid")

    asyncio.run(call())
