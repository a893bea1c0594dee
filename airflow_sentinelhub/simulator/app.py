"""The edge of the web: a Starlette request becomes a call, an answer becomes a reply or a cut connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import control
from .access import Access, host_name
from .remote import PREFIX
from .replies import Call, Reply, error
from .service import Answer, Service
from .world import World

_log = logging.getLogger(__name__)
_CUT = "sentinelhub_simulator.cut"
# Bytes. The largest calls bring an area and an evalscript; how much the service takes is not published.
BODY_LIMIT = 4 * 1024 * 1024
# A client that sends more is listened to so much longer (bytes, seconds), since one that is cut off while it sends may
# never read the reply.
_DRAIN_BYTES, _LINGER_SECONDS = 64 * 1024 * 1024, 2.0


class CuttableProtocol(H11Protocol):
    """Uvicorn's HTTP with two additions.

    The application may cut the connection, as a network does; and what is no HTTP is answered in JSON, like the rest.
    """

    # No more is read of a connection on which something else than HTTP came.
    _ends = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_CUT] = transport.abort
            await inner(scope, receive, send)

        self.app = app

    def send_400_response(self, msg: str) -> None:
        # A body that turns out to be broken when its reply has begun can only be cut off.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            content = error(400, msg).content()
            head = (
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
                f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + content)
        self._ends = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # Whoever is still sending reads the reply only if it is not cut off at once.
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def data_received(self, data: bytes) -> None:
        if not self._ends:
            super().data_received(data)


class _Gone(Exception):
    """The client went away before it had sent its request."""


def guarded(app: ASGIApp, access: Access) -> ASGIApp:
    """The application, whose control plane is reached only by those who may use it."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http" and _is_control(scope["path"]):
            address = (scope.get("server") or (None,))[0]
            refusal = access.refusal(scope["method"], _headers(scope), address)
        if refusal is None:
            await app(scope, receive, send)
        else:
            await _send_and_drain(refusal, scope, receive, send)

    return guard


def make_app(world: World) -> ASGIApp:
    """The whole service as an ASGI application; who may use its control plane is up to ``guarded``."""
    service = Service(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        try:
            body = await _body(headers, receive)
        except _Gone:
            return
        if body is None:
            await _send_and_drain(error(413), scope, receive, send)
            return
        call = Call(
            method=scope["method"],
            path=scope["path"],
            query=tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers=headers,
            body=body,
            base=_base(scope, headers),
        )
        if _is_control(call.path):
            await _send(_safely(lambda: control.answer(world, call), call), scope, receive, send)
            return
        await _carry_out(_answer(service, call), scope, receive, send)

    return app


def _is_control(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _headers(scope: Scope) -> dict[str, str]:
    """By names in lower case; several of one name joined by commas."""
    found: dict[str, str] = {}
    for name, value in Headers(scope=scope).items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _base(scope: Scope, headers: dict[str, str]) -> str:
    """Scheme and host as the client used them; the server's own address for a host that can be none."""
    host = headers.get("host", "")
    if host_name(host) is None:
        address, port = scope.get("server") or ("127.0.0.1", 80)
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{scope['scheme']}://{host}"


async def _body(headers: dict[str, str], receive: Receive) -> bytes | None:
    """The whole body; None for one that is longer than the limit, of which no more than that is kept."""
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length[:20]) > BODY_LIMIT:
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        size += len(message.get("body", b""))
        if size > BODY_LIMIT:
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _answer(service: Service, call: Call) -> Answer:
    answers: list[Answer] = []

    def reply() -> Reply:
        answers.append(service.answer(call))
        return Reply(200)

    failed = _safely(reply, call)
    return answers[0] if answers else Answer(failed)


def _safely(answer: Callable[[], Reply], call: Call) -> Reply:
    """A mistake in the simulator is told to the client in the service's form, and to the log in full."""
    try:
        return answer()
    except Exception:
        _log.exception(
            "The simulator failed to answer %s %s; this is a defect of the simulator.", call.method, call.path
        )
        return error(500, "The simulator failed to answer this call; its log (stderr) has the details.")


async def _carry_out(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.reply is None:
        await _cut(scope)
    elif answer.truncate:
        content = answer.reply.content()
        head = Response(content, answer.reply.status, dict(answer.reply.headers), answer.reply.media_type)
        await send({"type": "http.response.start", "status": head.status_code, "headers": head.raw_headers})
        await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        # Sent for good before the cut, which would throw away what is still waiting.
        await asyncio.sleep(0.05)
        await _cut(scope)
    else:
        await _send(answer.reply, scope, receive, send)


async def _send(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    # HTTP knows no content with these, whatever somebody ordered.
    headers, content = dict(reply.headers), b"" if reply.status in (204, 205, 304) else reply.content()
    media_type = reply.media_type if content else None
    await Response(content, reply.status, headers, media_type)(scope, receive, send)


async def _send_and_drain(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request whose body is not wanted, and ends the connection when the client has sent it, or soon."""
    content = reply.content()
    head = Response(content, reply.status, {**reply.headers, "connection": "close"}, reply.media_type)
    await send({"type": "http.response.start", "status": head.status_code, "headers": head.raw_headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    try:
        await asyncio.wait_for(_drain(receive), _LINGER_SECONDS)
    except asyncio.TimeoutError:
        _log.debug("The client did not end its request in time; the connection is cut.")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    left = _DRAIN_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


async def _cut(scope: Scope) -> None:
    scope["extensions"][_CUT]()
    # The loop must have seen the loss, else uvicorn takes the missing reply for a mistake.
    await asyncio.sleep(0.01)


def make_server(world: World, access: Access) -> uvicorn.Server:
    """A server for a socket that is bound already. It says nothing unless something is wrong."""
    config = uvicorn.Config(
        guarded(make_app(world), access),
        http=CuttableProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",  # nothing is to be done there; older uvicorns print a traceback for one that ends at its start
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
