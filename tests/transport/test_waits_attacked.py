"""Attacks on whole waits of a triggerer: flows, poller, client and gate are the real ones. In virtual time."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.gate import IN_FLIGHT, Gate
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from tests.transport import virtual

BEGAN, INTERVAL = 1_700_000_000.0, 10.0
PAGE = 100


def answer(status: int, body: Any, raw: bytes | None = None) -> httpx.Response:
    async def content() -> AsyncIterator[bytes]:
        yield json.dumps(body).encode() if raw is None else raw

    return httpx.Response(status, headers={"retry-after": "1000"}, content=content())


class Service:
    """An account of so many requests, all at work, the first of them the newest; `listed` of them are in its list.

    :param odd: answers a call in its place, by the time, the path and the token of the page; None: as usual.
    """

    def __init__(self, count: int, listed: int | None = None, per_page: int = PAGE) -> None:
        self.per_page = per_page
        self.names = [f"id-{index}" for index in range(count)]
        self.listed = self.names[:listed]
        self.status: dict[str, str] = {}
        self.odd: Callable[[float, str, str | None], httpx.Response | None] = lambda now, path, token: None
        self.calls: Counter[str] = Counter()

    async def reply(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        path, token = request.url.path, request.url.params.get("viewtoken")
        if path == "/token":
            return answer(200, {"access_token": "a.b.c", "expires_in": 3600})
        name = path.rpartition("/")[2]
        self.calls["page" if name == "process" else "single"] += 1
        if (odd := self.odd(asyncio.get_running_loop().time(), path, token)) is not None:
            return odd
        if name == "process":
            return answer(200, self.page(int(token or 0)))
        return answer(200, self.job(name)) if name in self.names else answer(404, {})

    def job(self, name: str) -> dict[str, Any]:
        return {"id": name, "status": self.status.get(name, "PROCESSING"), "userAction": "START"}

    def page(self, start: int) -> dict[str, Any]:
        end = start + self.per_page
        links = {"nextToken": str(end)} if end < len(self.listed) else {}
        return {"data": [self.job(name) for name in self.listed[start:end]], "links": links}

    def all_done(self) -> None:
        self.status = dict.fromkeys(self.names, "DONE")


Settled = dict[str, "Waited | BaseException"]


class Triggerer:
    """Waits for requests as the triggers of one process do."""

    def __init__(self, service: Service, rate: float = 540.0) -> None:
        self.service, self.ends = service, dict[str, float]()
        self.settings = Settings(
            "http://127.0.0.1:9", "http://127.0.0.1:9/token", "c", "s", conn_id="sh", max_calls_per_minute=rate
        )

    async def one(self, name: str, **plan: Any) -> Waited:
        flow = wait(V2, name, "DONE", WaitPlan(**{"poll_interval": INTERVAL, "known": True, **plan}))
        waited = await AsyncDriver(self.settings).run(flow)
        self.ends[name] = asyncio.get_running_loop().time()
        return waited

    def begin(self, **plan: Any) -> dict[str, asyncio.Task[Waited]]:
        return {name: asyncio.ensure_future(self.one(name, **plan)) for name in self.service.names}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Service, Any], Any]]:
    monkeypatch.setattr(Gate, "paced", True)
    random.seed(1)
    PROCESS.tokens.clear()

    def run_it(service: Service, work: Any) -> Any:
        monkeypatch.setattr(
            client, "_client", lambda *given: httpx.AsyncClient(transport=httpx.MockTransport(service.reply))
        )

        async def timed() -> Any:
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(time, "time", lambda: BEGAN + loop.time())
            monkeypatch.setattr(time, "monotonic", loop.time)
            return await work

        return virtual.run(timed())

    yield run_it
    PROCESS.tokens.clear()


async def settled(tasks: dict[str, asyncio.Task[Waited]], seconds: float) -> Settled:
    """What became of the waits within so many seconds; all must have ended."""
    done = await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), seconds)
    return dict(zip(tasks, done, strict=True))


def outcomes(found: Settled) -> Counter[str]:
    return Counter(str(one.outcome.value) if isinstance(one, Waited) else repr(one) for one in found.values())


@pytest.mark.parametrize("listed", [300, 250, 0], ids=["all listed", "some not", "none"])
@pytest.mark.slow
def test_many_waits_live_through_a_storm_of_429s_with_little_patience(listed: int, run: Any) -> None:
    """Five minutes of 429s, while each wait allows an outage of one; then all go on, and the ends are seen."""
    service = Service(300, listed)
    service.odd = lambda now, path, token: answer(429, {}) if 60 <= now < 360 else None

    async def work() -> Settled:
        tasks = Triggerer(service).begin(max_unknown_time=60.0)
        await asyncio.sleep(60)
        before = service.calls.total()
        await asyncio.sleep(300)
        assert service.calls.total() - before <= 60, "our own gate holds the calls back"
        await asyncio.sleep(600)
        assert not any(task.done() for task in tasks.values())
        service.all_done()
        return await settled(tasks, 600)

    assert outcomes(run(service, work())) == {"reached": 300}


@pytest.mark.thorough
def test_at_one_call_a_minute_a_healthy_job_is_not_unknown_because_others_are_read_first(run: Any) -> None:
    service = Service(300)

    async def work() -> Settled:
        tasks = Triggerer(service, rate=1.0).begin(max_unknown_time=60.0)
        await asyncio.sleep(1800)
        assert service.calls.total() <= 32
        assert not any(task.done() for task in tasks.values())
        service.all_done()
        return await settled(tasks, 300 * 3600)

    found = outcomes(run(service, work()))
    assert set(found) <= {"reached", "unknown"}, found


def test_a_rate_at_which_nothing_is_ever_read_ends_the_wait_and_says_why(run: Any) -> None:
    service = Service(40, 0)  # no list: a call for each

    async def work() -> Settled:
        return await settled(Triggerer(service, rate=0.5).begin(max_unknown_time=60.0), 7200)

    found = run(service, work())
    unknown = [one for one in found.values() if isinstance(one, Waited) and one.outcome is Outcome.UNKNOWN]
    assert len(unknown) == 40
    assert all("max_calls_per_minute" in one.why for one in unknown)


FEW = 40
"""Requests on a page of the test below."""
ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda page: b"",
    "cut off": lambda page: json.dumps(page).encode()[:-20],
    "a page of words": lambda page: b"<html>login</html>",
    "the first page again": lambda page: {**page, "links": {"nextToken": "0"}},
    "the same page again": lambda page: {**page, "links": {"nextToken": str(FEW)}},
    "no entries, and more": lambda page: {"data": [], "links": {"nextToken": str(2 * FEW)}},
    "links of another kind": lambda page: {**page, "links": [1]},
    "each entry a hundred times": lambda page: {**page, "data": page["data"] * 100},
    "ids in capitals": lambda page: {**page, "data": [{**job, "id": job["id"].upper()} for job in page["data"]]},
    "ids with blanks": lambda page: {**page, "data": [{**job, "id": f" {job['id']}\n"} for job in page["data"]]},
    "ids of others": lambda page: {**page, "data": [{**job, "id": f"x{job['id']}"} for job in page["data"]]},
    "an error beside the data": lambda page: {**page, "error": {"status": 500}},
    "deep": lambda page: b'{"data": ' + b"[" * 100_000,
}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("which", ["0", str(FEW)])
def test_an_odd_page_of_the_list_costs_no_wait_its_end(
    kind: str, which: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", FEW)
    service = Service(60, per_page=FEW)

    def odd(now: float, path: str, token: str | None) -> httpx.Response | None:
        if not path.endswith("process") or (token or "0") != which or now < 30:
            return None
        made = ODD[kind](service.page(int(which)))
        return answer(200, None, made) if isinstance(made, bytes) else answer(200, made)

    service.odd = odd

    async def work() -> tuple[Settled, float]:
        tasks = Triggerer(service).begin(max_unknown_time=120.0)
        await asyncio.sleep(60)
        service.all_done()
        began = asyncio.get_running_loop().time()
        return await settled(tasks, 600), asyncio.get_running_loop().time() - began

    found, seconds = run(service, work())
    assert outcomes(found) == {"reached": 60}
    assert seconds <= 50, "60 calls of their own, at 540 a minute"


@pytest.mark.slow
def test_an_account_that_changes_between_two_pages_of_a_walk(run: Any) -> None:
    """Others create and delete requests all the time: entries move from page to page, and are missed or seen twice."""
    service, dice = Service(300), random.Random(7)

    def odd(now: float, path: str, token: str | None) -> None:
        if path.endswith("process"):
            for _ in range(dice.randrange(8)):
                service.listed.insert(dice.randrange(len(service.listed)), f"other-{dice.random()}")
            for name in [name for name in service.listed if name.startswith("other") and dice.random() < 0.05]:
                service.listed.remove(name)

    service.odd = odd

    async def work() -> tuple[Settled, float]:
        tasks = Triggerer(service).begin(max_unknown_time=60.0)
        await asyncio.sleep(300)
        assert not any(task.done() for task in tasks.values())
        service.all_done()
        began = asyncio.get_running_loop().time()
        return await settled(tasks, 300), asyncio.get_running_loop().time() - began

    found, seconds = run(service, work())
    assert outcomes(found) == {"reached": 300}
    assert seconds <= 60


@pytest.mark.thorough
def test_jobs_that_vanish_from_list_and_service_end_as_unknown_and_the_others_go_on(run: Any) -> None:
    service = Service(120)
    gone = service.names[::12]

    async def work() -> Settled:
        tasks = Triggerer(service).begin(max_unknown_time=60.0)
        await asyncio.sleep(60)
        for name in gone:
            service.names.remove(name)
            service.listed.remove(name)
        await asyncio.sleep(200)
        service.all_done()
        return await settled(tasks, 300)

    found = run(service, work())
    assert outcomes(found) == {"unknown": 10, "reached": 110}
    for name in gone:
        ended = found[name]
        assert isinstance(ended, Waited)
        assert "404" in ended.why


@pytest.mark.parametrize("storm", [False, True], ids=["well", "429s"])
@pytest.mark.slow
def test_waits_that_are_cancelled_at_any_moment_leave_nothing_and_hold_up_nobody(storm: bool, run: Any) -> None:
    """As a triggerer that is given a user's mark, or loses its triggers to another one."""
    service = Service(60, 40)
    if storm:
        service.odd = lambda now, path, token: answer(429, {}) if now < 100 else None

    async def work() -> tuple[Settled, int, int, list[str]]:
        loop, dice, triggerer = asyncio.get_running_loop(), random.Random(3), Triggerer(service)
        for _ in range(12):
            tasks = triggerer.begin(max_unknown_time=60.0)
            for task in tasks.values():
                loop.call_later(dice.choice([0.0, 1e-6, 0.03, 0.06, 1.0, 9.0, 12.0]), task.cancel)
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        tasks = triggerer.begin(max_unknown_time=60.0)
        await asyncio.sleep(300)
        service.all_done()
        found = await settled(tasks, 300)
        await asyncio.sleep(120)
        (shared,) = {id(one): one for one in PROCESS.in_this_loop().values()}.values()
        left = [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return found, sum(poller.waiting for poller in shared.pollers.values()), shared.gate._free._value, left

    found, waiting, free, left = run(service, work())
    assert outcomes(found) == {"reached": 60}
    assert (waiting, free) == (0, IN_FLIGHT)
    assert left == []


class Strict(Service):
    """Answers only at the paths since 2026, and to those who have the right secret."""

    async def reply(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token" and b"wrong" in await request.aread():
            return answer(401, {"error": "invalid_client"})
        if request.url.path.startswith("/api/v2"):
            return answer(404, {})
        return await super().reply(request)


@pytest.mark.parametrize(
    "before",
    [
        {"path_form": "version-first"},
        {"timeout": 0.01},
        {"conn_id": "another", "path_form": "version-first"},
        {"conn_id": "another", "client_secret": "wrong"},
    ],
    ids=" ".join,
)
def test_what_is_wrong_in_a_connection_holds_up_no_wait_that_begins_with_what_is_right(
    before: dict[str, Any], run: Any
) -> None:
    """It was edited since the first wait began, or that is one of another connection of the account."""
    service = Strict(2)

    async def work() -> tuple[Waited, bool]:
        first, second = Triggerer(service), Triggerer(service)
        second.settings = replace(second.settings, path_form="service-first")
        first.settings = replace(second.settings, **before)
        waiting = asyncio.ensure_future(first.one("id-0"))
        await asyncio.sleep(60)
        service.all_done()
        ended = await asyncio.wait_for(second.one("id-1"), 60)
        going = not waiting.done()
        waiting.cancel()
        return ended, going

    ended, going = run(service, work())
    assert ended.outcome is Outcome.REACHED
    assert going
