"""The wall clock is set by hours while something is waited for: no wait ends early, none hangs, none misses its end.

A machine that was suspended, or whose monotonic clock stood still, sees the same as a wall clock that was set forward.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Lost, Reply, Send, Sleep, Work, ends_at, exchange
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.service.generations import V2, Generation
from airflow_sentinelhub.exceptions import UnreachableError
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.clock import EvenClock
from airflow_sentinelhub.transport.poller import Poller
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver
from tests.transport import virtual
from tests.transport.test_poller import Account

HOUR, INTERVAL, UNKNOWN = 3600.0, 30.0, 1800.0
BEGAN = 1_800_000_000.0
Jumps = list[tuple[float, float]]
JUMPS: dict[str, Jumps] = {
    "never": [],
    "forwards": [(310.0, 5 * HOUR)],
    "backwards": [(310.0, -5 * HOUR)],
    "there and back": [(310.0, 5 * HOUR), (500.0, -5 * HOUR)],
    "to 1970": [(310.0, -BEGAN)],
    "again and again": [(60.0 * number, 1000.0 * (-1) ** number * number) for number in range(1, 70)],
    "forwards at the begin": [(0.1, 5 * HOUR)],
    "backwards just before the end": [(HOUR - 40, -5 * HOUR)],
}


class World(Account):
    """A service and the clocks. `even`: seconds that have passed; the wall clock is set at some of them.

    :param jumps: when the wall clock is set, and by how much.
    """

    def __init__(self, jumps: Jumps) -> None:
        super().__init__(1)
        self.even, self.jumps = 0.0, jumps
        self.now: Callable[[], float] = lambda: self.even
        self.ends_after: float | None = None
        self.out: tuple[float, float] = (0.0, 0.0)

    def monotonic(self) -> float:
        return 500.0 + self.now()

    def wall(self) -> float:
        even = self.now()
        return BEGAN + even + sum(by for at, by in self.jumps if at <= even)

    def reply(self, call: Call[Any]) -> Reply | Lost:
        self.asked.append(call.path)
        begin, end = self.out
        if begin <= self.now() < end:
            return Lost("no reply", ambiguous=False)
        done = self.ends_after is not None and self.now() >= self.ends_after
        status = "DONE" if done else "PROCESSING"
        return Reply(200, {}, f'{{"id": "id-0", "status": "{status}", "userAction": "START"}}'.encode())


SETTINGS = Settings("http://127.0.0.1:9", "http://127.0.0.1:9/token", "clocks", "secret")


class InThread(SyncDriver):
    def __init__(self, world: World) -> None:
        super().__init__(SETTINGS)
        self.world = world

    def _perform(self, step: Any) -> Any:
        if isinstance(step, Sleep):
            self.world.even += step.seconds
            return None
        if isinstance(step, Send):
            self.world.even += 0.05
            return self.world.reply(step.call)
        return super()._perform(step)


class InLoop(AsyncDriver):
    def __init__(self, world: World) -> None:
        super().__init__(SETTINGS)
        self.world = world
        self.polling: Poller | None = None

    async def _poller(self, api: Generation) -> Poller:
        self.polling = self.polling or Poller(InLoop(self.world), api, lambda name, by: None)
        return self.polling

    async def _send(self, call: Call[Any], until: float | None) -> Reply | Lost:
        await asyncio.sleep(0.05)
        return self.world.reply(call)


def waited(kind: str, world: World, plan: WaitPlan, monkeypatch: pytest.MonkeyPatch) -> tuple[Waited, float]:
    """How a wait has ended, and how many seconds it took."""
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)
    if kind == "worker":
        return InThread(world).run(wait(V2, "id-0", "DONE", plan)), world.even

    async def run() -> tuple[Waited, float]:
        loop = asyncio.get_running_loop()
        world.now = loop.time
        ended = await asyncio.wait_for(InLoop(world).run(wait(V2, "id-0", "DONE", plan)), 40 * HOUR)
        return ended, loop.time()

    return virtual.run(run())


def plan_of(**more: Any) -> WaitPlan:
    return WaitPlan(
        **{"poll_interval": INTERVAL, "deadline": BEGAN + HOUR, "max_unknown_time": UNKNOWN, "known": True, **more}
    )


both = pytest.mark.parametrize("kind", ["worker", "triggerer"])
jumping = pytest.mark.parametrize("jumps", JUMPS.values(), ids=JUMPS)


@both
@jumping
@pytest.mark.parametrize("end", [1200.0, 3500.0])
def test_a_job_that_ends_in_time_is_seen_to(
    kind: str, jumps: Jumps, end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(jumps)
    world.ends_after = end
    ended, took = waited(kind, world, plan_of(), monkeypatch)
    assert ended.outcome is Outcome.REACHED
    assert end <= took <= end + 1.2 * INTERVAL


@both
@jumping
def test_a_deadline_is_neither_early_nor_missed(kind: str, jumps: Jumps, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(jumps)
    ended, took = waited(kind, world, plan_of(), monkeypatch)
    assert ended.outcome is Outcome.TIMED_OUT
    assert HOUR <= took <= HOUR + INTERVAL
    assert len(world.asked) >= 0.8 * HOUR / INTERVAL, "it has polled all the time"


@both
@jumping
def test_an_outage_that_is_over_in_time_ends_no_wait(kind: str, jumps: Jumps, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(jumps)
    world.out, world.ends_after = (300.0, 900.0), 1000.0
    ended, took = waited(kind, world, plan_of(), monkeypatch)
    assert ended.outcome is Outcome.REACHED
    assert took <= 1000.0 + 1.2 * INTERVAL


@both
@jumping
def test_an_outage_that_lasts_ends_it_when_its_time_is_over(
    kind: str, jumps: Jumps, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(jumps)
    world.out = (300.0, 1e9)
    ended, took = waited(kind, world, plan_of(deadline=None), monkeypatch)
    assert ended.outcome is Outcome.UNKNOWN
    assert 300.0 + UNKNOWN - INTERVAL <= took <= 300.0 + UNKNOWN + 3 * INTERVAL


@jumping
@pytest.mark.thorough
def test_the_poller_goes_on_for_many(jumps: Jumps, monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait hangs or is given up early, whatever is set in between."""
    world, account = World(jumps), Account(100)
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)
    longest = dict.fromkeys(account.jobs, 0.0)

    async def one(poller: Poller, name: str) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await poller.reading(name, INTERVAL, world.wall() + HOUR)
            longest[name], last = max(longest[name], loop.time() - last), loop.time()

    async def run() -> None:
        world.now = asyncio.get_running_loop().time
        poller = Poller(account, V2, lambda name, by: None)
        tasks = [asyncio.ensure_future(one(poller, name)) for name in account.jobs]
        await asyncio.sleep(900)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual.run(run())
    assert 0.8 * INTERVAL <= max(longest.values()) <= 1.1 * INTERVAL


@pytest.mark.parametrize("by", [5 * HOUR, -5 * HOUR])
def test_what_is_given_up_at_a_time_has_as_long_as_it_was_given(by: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call, a reading of the poller, and work in a thread get the seconds that are left by the flow's clock."""
    world = World([(10.0, by)])
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)
    given: list[float] = []
    monkeypatch.setattr(
        "airflow_sentinelhub.transport.process.PROCESS.threads.run", lambda function, seconds: given.append(seconds)
    )

    async def send(settings: Any, call: Any, token: str, until: float | None) -> Any:
        assert until is not None
        given.append(until - time.time())
        return Reply(200, {}, b"{}")

    monkeypatch.setattr("airflow_sentinelhub.transport.sync.client.send", send)
    driver = SyncDriver(SETTINGS)
    monkeypatch.setattr(driver, "_token", lambda until: given.append(until - driver.now()) or FakeToken())
    until = driver.now() + 60.0
    world.even = 20.0
    call = Call("GET", "/x", bytes, repeatable=True, about="x", undecoded=True)

    def flow() -> Any:
        yield Send(call)
        yield Work(lambda: None, within=100.0)

    driver.run(ends_at(flow(), until))
    assert given == pytest.approx([40.0, 40.0, 40.0], abs=0.5)


@pytest.mark.parametrize("by", [5 * HOUR, -5 * HOUR])
@pytest.mark.parametrize("waits_for", ["service", "token", "turn for a token"])
def test_what_is_given_up_in_a_triggerer_has_as_long_as_it_was_given(
    waits_for: str, by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call, the call for a token, or the turn to make that one: none is given up early, and none hangs."""
    world = World([(10.0, by)])
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)

    given = list[float]()

    async def hangs(until: float | None) -> Lost:
        assert until is not None
        given.append(until - time.time())
        await asyncio.sleep(max(given[-1], 0.0))
        return Lost("no reply", ambiguous=False, over=True)

    async def send(settings: Any, call: Any, token: str, until: float | None) -> Any:
        return await hangs(until)

    async def ask(settings: Any, form: str, until: float | None) -> Any:
        return await hangs(until)

    async def token(until: float | None) -> Any:
        if waits_for == "service":
            return FakeToken()
        await asyncio.sleep(2 * HOUR)

    monkeypatch.setattr("airflow_sentinelhub.transport.client.send", send)
    monkeypatch.setattr("airflow_sentinelhub.transport.client.ask_for_token", ask)
    settings = Settings("http://127.0.0.1:9", "http://127.0.0.1:9/token", f"given up, {waits_for} {by}", "secret")
    call = Call("GET", "/x", bytes, repeatable=True, about="x", undecoded=True)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        world.now = loop.time
        driver = AsyncDriver(settings)
        if waits_for != "token":
            monkeypatch.setattr(driver, "_token", token)
        await asyncio.sleep(20)
        with pytest.raises(UnreachableError):
            await driver.run(ends_at(exchange(call), driver._clock.now() + 40))
        return loop.time()

    assert virtual.run(run()) == pytest.approx(60.0, abs=0.5)
    assert given[:1] == ([] if waits_for == "turn for a token" else [pytest.approx(40.0, abs=0.5)])


@pytest.mark.parametrize("by", [5 * HOUR, -5 * HOUR])
def test_the_turn_for_a_token_is_waited_for_as_long_as_was_given(by: float, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([(10.0, by)])
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)
    given = list[float]()

    class Fetching:
        def acquire(self, timeout: float) -> bool:
            given.append(timeout)
            return False

    monkeypatch.setattr("airflow_sentinelhub.transport.process.PROCESS.fetching", Fetching())
    driver = SyncDriver(SETTINGS)
    until = driver.now() + 60.0
    world.even = 20.0
    call = Call("GET", "/x", bytes, repeatable=True, about="x", undecoded=True)
    with pytest.raises(UnreachableError):
        driver.run(ends_at(exchange(call), until))
    assert given[0] == pytest.approx(40.0)


class FakeToken:
    value = "a.b.c"


def test_a_clock_begins_at_the_wall_and_runs_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([(10.0, -3 * HOUR)])
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)
    clock = EvenClock()
    assert clock.now() == BEGAN
    world.even = 20.0
    assert clock.now() == BEGAN + 20
    assert clock.by_wall(BEGAN + 50) == pytest.approx(world.wall() + 30)
    assert clock.by_wall(None) is None
    assert EvenClock().now() == world.wall()


def test_a_call_that_was_given_up_while_the_clock_was_set_is_one_failed_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(1)
    account.hang = {"id-0"}
    world = World([(5.0, -5 * HOUR)])
    monkeypatch.setattr(time, "time", world.wall)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        world.now = loop.time
        poller = Poller(account, V2, lambda name, by: None)
        with pytest.raises(UnreachableError, match="before the time for waiting was over"):
            await poller.reading("id-0", 0.0, world.wall() + 60)
        return loop.time()

    assert virtual.run(run()) == pytest.approx(60.0, abs=0.1)


@pytest.mark.parametrize("by", [5 * HOUR, -5 * HOUR])
def test_a_deadline_that_is_made_after_the_clock_was_set_counts_by_the_new_time(
    by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task has made calls, the wall clock is set, and then it waits until a time of the wall clock."""
    world = World([(10.0, by)])
    monkeypatch.setattr(time, "time", world.wall)
    monkeypatch.setattr(time, "monotonic", world.monotonic)
    driver = InThread(world)
    world.even = 20.0
    driver.follow_wall()
    assert driver.now() == world.wall()
    ended = driver.run(wait(V2, "id-0", "DONE", plan_of(deadline=world.wall() + HOUR)))
    assert ended.outcome is Outcome.TIMED_OUT
    assert HOUR <= world.even - 20.0 <= HOUR + INTERVAL
