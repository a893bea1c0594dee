"""A server on loopback whose replies are bytes, for what no proper service sends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

TOKEN = b'HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n{"access_token": "a.b.c", "expires_in": 3600}\r\n'[:-1]

Answers = Callable[[bytes], AsyncIterator[bytes]]
"""Makes the pieces of a reply from the head of a request (not that of a token)."""


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Raw:
    """The server. `calls`: heads of the requests, without those for a token."""

    def __init__(self, answers: Answers) -> None:
        self.calls: list[bytes] = []
        self.tokens = 0
        self.url = ""
        self._answers = answers
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=1 << 20)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].partition(b":")[2]))
                if head.startswith(b"POST /token "):
                    self.tokens += 1
                    writer.write(TOKEN)
                else:
                    self.calls.append(head)
                    async for piece in self._answers(head):
                        writer.write(piece)
                        await writer.drain()
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def serving(answers: Answers) -> Iterator[Raw]:
    server = Raw(answers)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def always(*pieces: bytes) -> Answers:
    """The same reply to each call."""

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return answers


async def silence(head: bytes) -> AsyncIterator[bytes]:
    """No reply at all."""
    await asyncio.Event().wait()
    yield b""


def dripping(start: bytes, drop: bytes = b" ", seconds: float = 0.05) -> Answers:
    """A reply that never ends, byte by byte."""

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        yield start
        while True:
            yield drop
            await asyncio.sleep(seconds)

    return answers
