"""A simulator in this process whose every exchange is kept, whoever the client is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.contract.checker import Exchange

_SERVICE = ("/api/", "/batch/", "/statistics/")


class Recorder:
    """What went over the wire, in the order of the replies."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def around(self, inner: Any) -> Any:
        """The application, with its exchanges kept. Cut connections are none."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or not scope["path"].startswith(_SERVICE):
                await inner(scope, receive, send)
                return
            request, status, headers, reply = b"", 0, {}, b""

            async def listening() -> Any:
                nonlocal request
                message = await receive()
                request += message.get("body", b"")
                return message

            async def speaking(message: Any) -> None:
                nonlocal status, headers, reply
                if message["type"] == "http.response.start":
                    status, headers = message["status"], _headers(message["headers"])
                reply += message.get("body", b"")
                await send(message)

            await inner(scope, listening, speaking)
            if status:
                query = Recorder._query(scope["query_string"])
                sent = _headers(scope["headers"])
                self.exchanges.append(
                    Exchange(scope["method"], scope["path"], query, sent, request, status, headers, reply)
                )

        return app

    @staticmethod
    def _query(raw: bytes) -> tuple[tuple[str, str], ...]:
        from urllib.parse import parse_qsl

        return tuple(parse_qsl(raw.decode("ascii"), keep_blank_values=True))


def _headers(raw: Any) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


@contextmanager
def recorded(**settings: Any) -> Iterator[tuple[Simulator, Recorder]]:
    """A simulator with a frozen clock and the recorder around it."""
    from airflow_sentinelhub.simulator import app

    recorder, make_app = Recorder(), app.make_app
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "make_app", lambda world: recorder.around(make_app(world)))
        with Simulator(speed=0, **settings) as simulator:
            yield simulator, recorder
