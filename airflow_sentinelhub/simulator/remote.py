"""Telling a simulator what to do, from a test in this process or in any other."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

PREFIX = "/_simulator"


class SimulatorError(RuntimeError):
    """The simulator cannot start, or refused what it was told; one sentence."""


class ControlPlane:
    """The control plane of a simulator that runs at ``url``, wherever that is."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """Base URL of the service."""
        return self._url

    def step(self, seconds: float) -> dict[str, Any]:
        """So many simulated seconds later."""
        return self._control("POST", "/clock", {"step": seconds})

    def speed(self, speed: float) -> dict[str, Any]:
        """From now on so many simulated seconds pass in a real one; 0 freezes."""
        return self._control("POST", "/clock", {"speed": speed})

    def clock(self) -> dict[str, Any]:
        """``now`` (ISO), ``seconds`` since 1970 and ``speed``."""
        return self._control("GET", "/clock")

    def fault(
        self, kind: str, path: str = "", *, method: str | None = None, times: int | None = 1, **options: Any
    ) -> str:
        """Orders a fault for the next ``times`` calls (None: all) whose path matches; returns its id."""
        order = {"kind": kind, "path": path, "method": method, "times": times, **options}
        return str(self._control("POST", "/faults", order)["id"])

    def clear_faults(self) -> None:
        self._control("DELETE", "/faults")

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        """The calls the service got after call number ``since``."""
        calls: list[dict[str, Any]] = self._control("GET", f"/journal?since={since}")["calls"]
        return calls

    def requests(self) -> list[dict[str, Any]]:
        """Every request of either generation, deleted ones included."""
        requests: list[dict[str, Any]] = self._control("GET", "/requests")["requests"]
        return requests

    def force(self, request_id: str, status: str, **options: Any) -> dict[str, Any]:
        """The request has this status from now on (``reason``, ``error``)."""
        return self._control("POST", "/requests", {"id": request_id, "status": status, **options})

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Changes settings, if any are given, and returns them all."""
        return self._control("POST", "/settings", changes) if changes else self._control("GET", "/settings")

    def collections(self) -> list[dict[str, Any]]:
        """The collections of own data (BYOC) that tasks of v2 have delivered into: ``id``, ``bands``, ``tiles``."""
        collections: list[dict[str, Any]] = self._control("GET", "/collections")["collections"]
        return collections

    def limits(self) -> list[dict[str, Any]]:
        """The rate limits that are on, each with what is ``left`` of it."""
        limits: list[dict[str, Any]] = self._control("GET", "/limits")["limits"]
        return limits

    def reset(self) -> None:
        """An empty service with the settings and the speed it was started with."""
        self._control("POST", "/reset")

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        place = urlsplit(self.url)
        connection = HTTPConnection(place.hostname or "", place.port, timeout=60)
        try:
            if body is None:
                connection.request(method, f"{PREFIX}{path}")
            else:
                headers = {"Content-Type": "application/json"}
                connection.request(method, f"{PREFIX}{path}", json.dumps(body), headers)
            response = connection.getresponse()
            reply: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            refusal = reply.get("error", reply)
            # A call that came no further than the edge is refused in the form of the service.
            raise SimulatorError(str(refusal.get("message", refusal) if isinstance(refusal, dict) else refusal))
        return reply
