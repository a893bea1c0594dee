"""How many calls thousands of waits take, and how old their readings get, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Reply
from airflow_sentinelhub.transport.poller import Poller
from tests.transport import virtual
from tests.transport.test_poller import Account

INTERVAL = 10.0


class Large(Account):
    """A service that takes its time for each reply. A page has a hundred requests."""

    PER_PAGE = 100

    def __init__(self, count: int, latency: float) -> None:
        super().__init__(count)
        self.latency = latency

    async def _reply(self, call: Any) -> Any:
        await asyncio.sleep(self.latency)
        return await super()._reply(call)


class Ages:
    """How long each request was not read."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.first: dict[str, float] = {}
        self.oldest = 0.0

    def saw(self, name: str, now: float) -> None:
        self.oldest = max(self.oldest, now - self.last.get(name, now))
        self.first.setdefault(name, now)
        self.last[name] = now


async def waits(
    account: Account, ages: Ages, minutes: float, begins: Callable[[int], float], counts: dict[str, float]
) -> None:
    """All requests of the account are waited for, each from its begin on; measured is behind the first 90 seconds."""
    loop = asyncio.get_running_loop()

    def count(name: str, by: float) -> None:
        counts[name] = counts.get(name, 0) + by

    poller = Poller(account, account.api, count)

    async def one(name: str, begin: float) -> None:
        await asyncio.sleep(begin)
        within = 0.0
        while True:
            await poller.reading(name, within, None)
            ages.saw(name, loop.time())
            within = INTERVAL

    tasks = [asyncio.ensure_future(one(name, begins(number))) for number, name in enumerate(account.jobs)]
    await asyncio.sleep(90)
    account.asked.clear()
    ages.oldest = 0.0
    await asyncio.sleep(60 * minutes)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


BEGINS: dict[str, Callable[[int], float]] = {
    "at once": lambda number: 0.0,
    "one after the other": lambda number: number / 1000,
    "over a minute": lambda number: (number * 7919 % 5000) / 5000 * 60,
}


@pytest.fixture(autouse=True)
def pages_of_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", 100)


@pytest.mark.parametrize(
    ("count", "most", "latency", "begins"),
    [
        (1000, 65, 0.02, "at once"),
        (1000, 70, 0.1, "over a minute"),
        pytest.param(5000, 350, 0.1, "one after the other", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.thorough
def test_calls_a_minute_and_the_age_of_readings(count: int, most: float, latency: float, begins: str) -> None:
    """Waits that began at different times join, so that a page is read once an interval for all who are on it."""
    account, ages = Large(count, latency), Ages()
    virtual.run(waits(account, ages, 2, BEGINS[begins], {}))
    assert len(account.asked) / 2 <= most
    assert account.singles == []
    assert len(ages.last) == count
    assert ages.oldest <= 1.2 * INTERVAL


GROUPS: dict[str, Callable[[int], bool]] = {
    "two on the first pages": lambda number: number in (142, 150),
    "one on the first page": lambda number: number == 42,
    "those of the first page": lambda number: number < 100,
    "those of the last pages": lambda number: number >= 100,
    "every second": lambda number: number % 2 == 0,
}


@pytest.mark.parametrize("gap", range(1, 10))
@pytest.mark.parametrize("apart", GROUPS)
@pytest.mark.thorough
def test_of_two_groups_one_joins_the_other_whatever_lies_between(apart: str, gap: int) -> None:
    """Whichever pages they are on: each page is asked for once an interval soon, and no request by itself."""
    for part in (0, 3, 6):
        account, ages = Large(300, 0.2), Ages()
        after = gap + part / 10
        virtual.run(waits(account, ages, 1, lambda number: after if GROUPS[apart](number) else 0.0, {}))  # noqa: B023
        assert account.singles == [], after
        assert len(account.asked) <= 3 * 7, after


@pytest.mark.parametrize(("count", "seconds"), [(1000, 2.0), pytest.param(5000, 6.0, marks=pytest.mark.thorough)])
def test_after_a_restart_all_are_read_soon(count: int, seconds: float) -> None:
    account, ages = Large(count, 0.05), Ages()
    asked = list[str]()

    async def begin() -> None:
        working = asyncio.ensure_future(waits(account, ages, 0, lambda number: number / 10_000, {}))
        await asyncio.sleep(seconds)
        asked.extend(account.asked)
        await working

    virtual.run(begin())
    assert len(ages.first) == count
    assert max(ages.first.values()) <= seconds
    assert len(asked) <= 2.5 * count / 100, "those that register while pages are read are few"


@pytest.mark.parametrize(("count", "alone"), [(300, 0), (300, 40)])
def test_an_end_is_seen_within_the_interval_whatever_the_waits_joined(count: int, alone: int) -> None:
    """Half of the waits began half an interval later; jobs end one by one, and each is confirmed by one call.

    :param alone: requests that no page shows, which are read one by one.
    """
    account, delays, loop_of = Large(count, 0.05), list[float](), list[Any]()
    whole = account.jobs
    ends = {name: 30.0 + 5.0 * number / 10 for number, name in enumerate(list(whole)[:200])}

    async def end(name: str) -> None:
        await asyncio.sleep(ends[name])
        whole[name]["status"] = "DONE"

    async def one(poller: Poller, number: int, name: str) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.0 if number % 2 else INTERVAL / 2)
        within = 0.0
        while (await poller.reading(name, within, None)).status != "DONE":
            within = INTERVAL
        delays.append(loop.time() - ends[name])

    async def run() -> None:
        loop_of.append(asyncio.get_running_loop())
        poller = Poller(account, account.api, lambda name, by: None)
        tasks = [asyncio.ensure_future(end(name)) for name in ends]
        tasks += [asyncio.ensure_future(one(poller, number, name)) for number, name in enumerate(whole)]
        await asyncio.sleep(150)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    if alone:
        hidden = set(list(whole)[150 : 150 + alone])
        reply = account.answer

        def answer(call: Any) -> Any:
            if not call.path.endswith("/process"):
                return reply(call)
            listed = [job for name, job in whole.items() if name not in hidden]
            start = int(call.params().get("viewtoken", 0))
            links = {"nextToken": start + 100} if start + 100 < len(listed) else {}
            return Reply(200, {}, json.dumps({"data": listed[start : start + 100], "links": links}).encode())

        account.answer = answer
    virtual.run(run())
    ordered = sorted(delays)
    assert len(ordered) == len(ends)
    assert ordered[-1] <= INTERVAL + 0.5
    assert ordered[len(ordered) // 2] <= 0.55 * INTERVAL


async def first_readings(count: int, apart: float) -> tuple[list[str], float]:
    """Waits that begin one after the other, so many seconds apart: the calls, and when the first has its reading."""
    loop, account = asyncio.get_running_loop(), Large(count, 0.0)
    poller, began = Poller(account, account.api, lambda name, by: None), loop.time()
    read: list[float] = []

    async def one(name: str) -> None:
        await poller.reading(name, 0.0, None)
        read.append(loop.time() - began)

    waits = []
    for name in account.jobs:
        waits.append(asyncio.ensure_future(one(name)))
        await asyncio.sleep(apart)
    await asyncio.gather(*waits)
    return account.asked, read[0]


@pytest.mark.parametrize("apart", [0.0002, 0.001])
def test_waits_that_begin_one_after_the_other_are_read_by_one_walk(apart: float) -> None:
    """A triggerer that starts needs a while to begin thousands of waits."""
    asked, first = virtual.run(first_readings(400, apart))
    assert asked == [f"page {number}" for number in (0, 100, 200, 300)]
    assert first < 400 * apart + 0.1


def test_waits_that_go_on_beginning_hold_up_none_for_longer_than_a_second() -> None:
    _, first = virtual.run(first_readings(100, 0.04))
    assert 0.9 < first < 1.2
