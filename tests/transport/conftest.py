"""Both drivers behind one face, against one simulator. Sleeps are noted and not slept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Flow, Sleep
from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class QuickSync(SyncDriver):
    def _perform(self, step: Any) -> Any:
        return None if isinstance(step, Sleep) else super()._perform(step)


class QuickAsync(AsyncDriver):
    async def _perform(self, step: Any) -> Any:
        return None if isinstance(step, Sleep) else await super()._perform(step)


@dataclass
class Ran:
    """What came of a flow, the same to compare whichever driver ran it: ids are no part of it."""

    result: Any = None
    error: BaseException | None = None
    calls: list[tuple[str, str, int | None, str | None]] = field(default_factory=list)

    @property
    def told(self) -> tuple[str, str, str]:
        shown = _UUID.sub("ID", repr(self.result))
        shown = re.sub(r"datetime\(.*?\)+", "TIME", shown)
        return type(self.error).__name__, _UUID.sub("ID", str(self.error)), shown


class Harness:
    """Runs a flow with one driver, and tells what the simulator saw."""

    def __init__(self, kind: str, simulator: Simulator) -> None:
        self.kind, self.simulator = kind, simulator
        self.masked: list[str] = []
        self.settings = Settings(
            simulator.url, simulator.auth_url, simulator.client_id, simulator.client_secret, timeout=2.0, conn_id="sh"
        )

    def run(self, *flows: Flow[Any], **changed: Any) -> Ran:
        """Run the flows one after another with one driver, in one event loop."""
        ran, settings = Ran(), replace(self.settings, **changed)
        before = len(self.simulator.journal())
        try:
            if self.kind == "sync":
                driver = QuickSync(settings, mask=self.masked.append)
                for flow in flows:
                    ran.result = driver.run(flow)
            else:
                ran.result = asyncio.run(self._all(QuickAsync(settings, mask=self._mask), flows))
        except Exception as err:
            ran.result, ran.error = None, err
        journal = self.simulator.journal()[before:]
        ran.calls = [
            (call["method"], _UUID.sub("ID", call["path"]), call["status"], call["effect"]) for call in journal
        ]
        return ran

    async def _mask(self, secret: str) -> None:
        self.masked.append(secret)

    async def _all(self, driver: AsyncDriver, flows: tuple[Flow[Any], ...]) -> Any:
        result = None
        for flow in flows:
            result = await driver.run(flow)
        return result


@pytest.fixture(scope="module")
def served() -> Iterator[Simulator]:
    with Simulator(speed=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(served: Simulator) -> Simulator:
    """Empty, without faults; and no token is left from another test."""
    served.reset()
    served.clear_faults()
    PROCESS.tokens.clear()
    return served


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest, simulator: Simulator) -> Harness:
    return Harness(request.param, simulator)


@pytest.fixture
def both(simulator: Simulator) -> Callable[..., Ran]:
    """Do the same with each driver on an empty service, hold that the same came of it, and return it."""

    def do(body: Callable[[Harness], Ran]) -> Ran:
        found = []
        for kind in ("sync", "async"):
            simulator.reset()
            simulator.clear_faults()
            PROCESS.tokens.clear()
            found.append(body(Harness(kind, simulator)))
        one, two = found
        assert one.told == two.told
        assert one.calls == two.calls
        return one

    return do
