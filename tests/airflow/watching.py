"""Watchers as a triggerer runs them, in one process and in the time of the simulator."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from airflow_sentinelhub.triggers import _watcher
from tests.told import things_of


class Store:
    """Stands for the store of Airflow: outlives triggers, and fails when told to."""

    kept: dict[str, str] = {}
    broken: set[str] = set()
    asked: list[str] = []

    def __init__(self, trigger: Any, key: str, pace: str = "") -> None:
        self._key = key

    async def read(self) -> Any:
        self.asked.append("read")
        if "read" in self.broken:
            raise RuntimeError("no answer")
        return json.loads(self.kept[self._key]) if self._key in self.kept else None

    async def write(self, value: Any) -> None:
        self.asked.append("sending" if value["sending"] else "sent")
        if "write" in self.broken:
            raise RuntimeError("no answer")
        self.kept[self._key] = json.dumps(value)

    @classmethod
    def empty(cls) -> None:
        cls.kept, cls.broken, cls.asked = {}, set(), []


class _Over(BaseException):
    """The time of a watcher is over."""


class Live:
    """Runs a watcher, built anew as by a triggerer, for some simulated time; what it tells."""

    def __init__(self, bench: Any, monkeypatch: Any) -> None:
        self._bench = bench
        self._end = 0.0
        Store.empty()
        monkeypatch.setattr(_watcher, "WatcherStore", Store)
        members = {name: getattr(asyncio, name) for name in dir(asyncio) if not name.startswith("_")}
        monkeypatch.setattr(_watcher, "asyncio", SimpleNamespace(**{**members, "sleep": self._sleep}))

    async def _sleep(self, seconds: float) -> None:
        if seconds and self._bench.clock.now >= self._end:  # with 0 it lets others run, in the middle of a look
            raise _Over
        self._bench.clock.sleep(seconds)
        await asyncio.sleep(0)

    def __call__(self, watcher: type[Any], seconds: float, **arguments: Any) -> list[dict[str, Any]]:
        _, kwargs = watcher(**arguments).serialize()
        built = watcher(**json.loads(json.dumps(kwargs)))
        self._end = self._bench.clock.now + seconds
        told: list[dict[str, Any]] = []

        async def run() -> None:
            async for event in built.run():
                Store.asked.append("event")
                told.extend(things_of(json.loads(json.dumps(event.payload))))

        try:
            asyncio.run(run())
        except _Over:
            return told
        raise AssertionError("a watcher does not end by itself")
