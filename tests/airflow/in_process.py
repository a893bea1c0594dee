"""A simulator that its tests tell what to do without HTTP: they move its clock thousands of times."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_sentinelhub.simulator import Simulator, SimulatorError, control
from airflow_sentinelhub.simulator.remote import PREFIX
from airflow_sentinelhub.simulator.replies import Call


class InProcess(Simulator):
    """The service is served on a socket as ever; only its control plane is called directly, in the loop that serves."""

    _loop: asyncio.AbstractEventLoop

    def prepare(self) -> None:
        super().prepare()
        assert self._server is not None
        startup = self._server.startup

        async def started(*arguments: Any, **named: Any) -> None:
            self._loop = asyncio.get_running_loop()
            await startup(*arguments, **named)

        self._server.startup = started  # type: ignore[method-assign]

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        place = urlsplit(path)
        sent = b"" if body is None else json.dumps(body).encode()
        call = Call(method, PREFIX + place.path, tuple(parse_qsl(place.query)), body=sent)

        async def tell() -> Any:
            assert self._world is not None
            return control.answer(self._world, call)

        reply = asyncio.run_coroutine_threadsafe(tell(), self._loop).result(60)
        said: dict[str, Any] = json.loads(reply.content())
        if reply.status != 200:
            raise SimulatorError(str(said.get("error", said)))
        return said
