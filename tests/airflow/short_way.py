"""The way of our HTTP client to a simulator in this process, around the socket where that has nothing to add."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from starlette.responses import Response

from airflow_sentinelhub.simulator.app import BODY_LIMIT
from airflow_sentinelhub.simulator.replies import Call
from airflow_sentinelhub.transport import client
from tests.in_process import ANSWERED, InProcess


@contextmanager
def short_way_to(simulator: InProcess) -> Iterator[None]:
    """Have all clients that are made meanwhile go this way."""
    client_of = client._client

    def short_client(*arguments: object) -> httpx.AsyncClient:
        made = client_of(*arguments)  # type: ignore[arg-type]
        made._transport = ShortWay(simulator, made._transport)
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(client, "_client", short_client)
        yield


class ShortWay(httpx.AsyncBaseTransport):
    """Calls the service directly.

    What is more than a request and its reply (a connection that is cut, a reply that comes late or in half) goes by
    the socket, and so does what goes by a proxy or to anybody else. What a socket may do to a plain call is tested in
    `tests/transport`, and with Airflow's processes.
    """

    def __init__(self, simulator: InProcess, by_socket: httpx.AsyncBaseTransport) -> None:
        self._simulator, self._by_socket = simulator, by_socket

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place, content = urlsplit(self._simulator.url), await request.aread()
        if (request.url.host, request.url.port) != (place.hostname, place.port) or len(content) > BODY_LIMIT:
            return await self._by_socket.handle_async_request(request)
        answer = self._simulator.answered(call_of(request, content))
        reply = answer.reply
        if answer.delay or answer.truncate or reply is None or reply.status < 200:
            request.headers[ANSWERED] = self._simulator.kept(answer)
            return await self._by_socket.handle_async_request(request)
        sent = {"request": SimpleNamespace(method=request.method.encode())}
        await request.extensions["trace"]("http11.send_request_headers.started", sent)
        await asyncio.sleep(0)  # as for a reply of the network, others go on
        body = b"" if reply.status in (204, 205, 304) else reply.content()
        head = Response(body, reply.status, dict(reply.headers), reply.media_type if body else None)
        return httpx.Response(reply.status, headers=head.raw_headers, stream=httpx.ByteStream(body))

    async def aclose(self) -> None:
        await self._by_socket.aclose()


def call_of(request: httpx.Request, content: bytes) -> Call:
    """The call that the service makes of the request when it comes by the socket."""
    path, _, query = request.url.raw_path.partition(b"?")
    headers: dict[str, str] = {}
    for name, value in request.headers.multi_items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Call(
        method=request.method,
        path=unquote(path.decode()),
        query=tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        body=content,
        base=f"{request.url.scheme}://{headers['host']}",
    )
