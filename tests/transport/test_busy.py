"""A service that asks to slow down (429) is busy, not lost: what a wait makes of it, in both drivers, in virtual time.

Gate, client, poller and drivers are the real ones; only the service, and the time, are not.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from airflow_sentinelhub.api.call import Flow, Sleep
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.wait import BUSY, WaitPlan, wait
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.transport import client, poller, sync
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.gate import Gate
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver
from tests.transport import virtual

BEGAN = 1_700_000_000.0
SETTINGS = Settings("http://127.0.0.1:9", "http://127.0.0.1:9/token", "busy", "secret", conn_id="sh")
INTERVAL = 10.0


def answer(status: int, body: Any) -> httpx.Response:
    async def content() -> AsyncIterator[bytes]:
        yield json.dumps(body).encode()

    return httpx.Response(status, headers={"retry-after": "1000"}, content=content())


@dataclass
class Service:
    """Answers `status` while it is out of order, from one second to another; the job is done at a third.

    :param asked: times of the calls about requests; :param refused: of those that were answered with `status`.
    """

    out: tuple[float, float]
    done: float = float("inf")
    status: int = 429
    asked: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    async def reply(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        if request.url.path == "/token":
            return answer(200, {"access_token": "a.b.c", "expires_in": 3600})
        self.asked.append(now)
        if self.out[0] <= now < self.out[1]:
            self.refused.append(now)
            return answer(self.status, {})
        name = request.url.path.rpartition("/")[2]
        job = {"id": name, "status": "DONE" if now >= self.done else "PROCESSING", "userAction": "START"}
        return answer(200, job if name != "process" else {"data": [], "links": {}})


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Gate, "paced", True)
    random.seed(1)
    PROCESS.tokens.clear()
    yield
    PROCESS.tokens.clear()


def ended(kind: str, service: Service, monkeypatch: pytest.MonkeyPatch, **plan: Any) -> tuple[Waited, float]:
    """How a wait has ended, and after how many seconds."""
    loop = virtual.VirtualLoop()
    monkeypatch.setattr(time, "time", lambda: BEGAN + loop.time())
    monkeypatch.setattr(time, "monotonic", loop.time)
    monkeypatch.setattr(
        client, "_client", lambda *given: httpx.AsyncClient(transport=httpx.MockTransport(service.reply))
    )

    class InThread(SyncDriver):
        def _perform(self, step: Any) -> Any:
            return (
                loop.run_until_complete(asyncio.sleep(step.seconds))
                if isinstance(step, Sleep)
                else super()._perform(step)
            )

    def in_loop(call: Coroutine[Any, Any, Any]) -> Any:
        return loop.run_until_complete(call)

    monkeypatch.setattr(sync, "_in_loop", in_loop)
    flow: Flow[Waited] = wait(V2, "id-0", "DONE", WaitPlan(**{"poll_interval": INTERVAL, "known": True, **plan}))
    try:
        if kind == "worker":
            return InThread(SETTINGS).run(flow), loop.time()
        return loop.run_until_complete(asyncio.wait_for(AsyncDriver(SETTINGS).run(flow), 20_000)), loop.time()
    finally:
        virtual.end(loop)


both = pytest.mark.parametrize("kind", ["worker", "triggerer"])


@both
@pytest.mark.parametrize("begin", [0.0, 95.0], ids=["at first", "later"])
@pytest.mark.parametrize("seconds", [70.0, 300.0])
def test_a_storm_of_429s_that_ends_is_waited_out_whatever_the_time_allowed_for_an_outage(
    kind: str, begin: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service((begin, begin + seconds), done=begin + seconds + 400)
    waited, _ = ended(kind, service, monkeypatch, max_unknown_time=60.0)
    assert waited.outcome is Outcome.REACHED
    assert 2 <= len(service.refused) <= 20, "our own gate holds the calls back"


@both
@pytest.mark.parametrize("allowed", [60.0, 600.0, 1800.0])
def test_a_storm_that_does_not_end_ends_the_wait(kind: str, allowed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service((95.0, float("inf")))
    waited, after = ended(kind, service, monkeypatch, max_unknown_time=allowed)
    assert waited.outcome is Outcome.UNKNOWN
    assert str(waited.job and waited.job.status) == "PROCESSING"
    assert "429" in waited.why
    assert max(allowed, BUSY) <= after - 85 <= max(allowed, BUSY) + 2 * INTERVAL


@both
def test_an_outage_ends_it_when_its_own_time_is_over(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service((95.0, float("inf")), status=503)
    waited, after = ended(kind, service, monkeypatch, max_unknown_time=60.0)
    assert waited.outcome is Outcome.UNKNOWN
    assert 60 <= after - 85 <= 60 + 3 * INTERVAL


@both
def test_the_deadline_ends_a_wait_in_a_storm_too(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service((95.0, float("inf")))
    waited, after = ended(kind, service, monkeypatch, max_unknown_time=60.0, deadline=BEGAN + 400)
    assert waited.outcome is Outcome.TIMED_OUT
    assert 400 <= after <= 405


@both
def test_a_wait_that_allows_no_time_at_all_ends_at_the_first_poll(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, after = ended(kind, Service((95.0, float("inf"))), monkeypatch, max_unknown_time=0.0)
    assert waited.outcome is Outcome.UNKNOWN
    assert after <= 95 + 300, "of one poll"


def test_the_log_of_a_triggerer_names_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A triggerer has a poller for each connection: which of them is in trouble?"""
    with caplog.at_level(logging.DEBUG, logger=poller.__name__):
        ended("triggerer", Service((95.0, 400.0), done=500.0), monkeypatch)
    reports = [line for line in caplog.messages if " wait, the oldest reading is" in line]
    assert len(reports) > 5
    assert all(line.startswith("Batch v2 (connection sh): 1 wait") for line in reports)
