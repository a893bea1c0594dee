"""The edge of the web: a Starlette request becomes a call, an answer becomes a reply or a cut connection."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import control
from .remote import PREFIX
from .replies import Call, Reply
from .service import Answer, Service
from .world import World

_CUT = "sentinelhub_simulator.cut"


class CuttableProtocol(H11Protocol):
    """Uvicorn's HTTP with one addition: the application may cut the connection, as a network does."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_CUT] = transport.abort
            await inner(scope, receive, send)

        self.app = app


def make_app(world: World) -> ASGIApp:
    """The whole service as an ASGI application."""
    service = Service(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        request = Request(scope, receive)
        call = Call(
            method=request.method,
            path=request.url.path,
            query=tuple(request.query_params.multi_items()),
            headers=dict(request.headers),
            body=await request.body(),
            base=str(request.base_url).rstrip("/"),
        )
        if call.path.startswith(PREFIX):
            await _send(control.answer(world, call), scope, receive, send)
            return
        await _carry_out(service.answer(call), scope, receive, send)

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


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
    headers, content = dict(reply.headers), reply.content()
    media_type = reply.media_type if content else None
    await Response(content, reply.status, headers, media_type)(scope, receive, send)


async def _cut(scope: Scope) -> None:
    scope["extensions"][_CUT]()
    # The loop must have seen the loss, else uvicorn takes the missing reply for a mistake.
    await asyncio.sleep(0.01)


def make_server(world: World) -> uvicorn.Server:
    """A server for a socket that is bound already. It says nothing unless something is wrong."""
    config = uvicorn.Config(
        make_app(world),
        http=CuttableProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
