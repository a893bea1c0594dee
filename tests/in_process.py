"""A simulator that its tests reach without a socket, for what needs none: they call it thousands of times."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_sentinelhub.simulator import Simulator, SimulatorError, app, control
from airflow_sentinelhub.simulator.remote import PREFIX
from airflow_sentinelhub.simulator.replies import Call, Reply
from airflow_sentinelhub.simulator.service import Answer, Service

DRAW = os.environ.get("SENTINELHUB_DRAW", "")
"""Other random numbers for every test, to find those that hold with some only."""
ANSWERED = "x-answered"
"""Header of a call that comes by the socket to fetch an answer that is there already."""


class InProcess(Simulator):
    """The service is served on a socket as ever; its control plane is called directly, and so may be the service."""

    _by_service = staticmethod(app._answer)
    _names: Iterator[int]
    _one_at_a_time: threading.Lock
    _patched: pytest.MonkeyPatch
    _service: Service

    def prepare(self) -> None:
        super().prepare()
        assert self._world is not None
        self._names, self._one_at_a_time = count(), threading.Lock()
        self._kept: dict[str, Answer] = {}
        self._service, self._patched = Service(self._world), pytest.MonkeyPatch()
        self._patched.setattr(app, "_answer", self._by_socket)

    def stop(self) -> None:
        super().stop()
        self._patched.undo()

    def begin(self, test: str) -> None:
        """An empty service whose random numbers follow from the test's name, whatever ran before it."""
        assert self._world is not None
        drawn = sha256(f"{DRAW}/{test}".encode()).digest()
        with self._one_at_a_time:
            self._world.set_counter("resets", int.from_bytes(drawn[:6], "big"))
        self.reset()

    def answered(self, call: Call) -> Answer:
        """What the service has done, and what it wants to be sent."""
        with self._one_at_a_time:
            return self._by_service(self._service, call)

    def told(self, call: Call) -> Reply:
        """The reply of the control plane."""
        world = self._world
        assert world is not None
        with self._one_at_a_time:
            return app._safely(lambda: control.answer(world, call), call)

    def kept(self, answer: Answer) -> str:
        """The name by which this answer is had by the socket."""
        name = str(next(self._names))
        self._kept[name] = answer
        return name

    def _by_socket(self, service: Service, call: Call) -> Answer:
        kept = self._kept.pop(call.headers.get(ANSWERED, ""), None)
        if kept is not None:
            return kept
        with self._one_at_a_time:
            return self._by_service(service, call)

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        place = urlsplit(path)
        sent = b"" if body is None else json.dumps(body).encode()
        reply = self.told(Call(method, PREFIX + place.path, tuple(parse_qsl(place.query)), body=sent))
        said: dict[str, Any] = json.loads(reply.content())
        if reply.status != 200:
            raise SimulatorError(str(said.get("error", said)))
        return said
