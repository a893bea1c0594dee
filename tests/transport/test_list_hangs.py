"""A list that hangs, is slow or fails for a moment, and calls for single requests beside it. In virtual time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest

from airflow_sentinelhub.api.call import Lost, Reply
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.transport.poller import PAGE_LATE, Poller
from tests.transport import virtual
from tests.transport.test_poller import Account
from tests.transport.test_poller_attacks import INTERVAL, TIMEOUT, Waiting, pages_of_a_hundred
from tests.transport.test_waits_attacked import Service, Settled, Triggerer, outcomes, run, settled

__all__ = ["pages_of_a_hundred", "run"]  # fixtures


class Slow(Account):
    """Each reply takes its time, and is cut off where the call has less; a page has a hundred requests."""

    PER_PAGE = 100
    failing = (0.0, 0.0)
    """From when to when the list is out of order."""

    def __init__(self, count: int, page: float, single: float) -> None:
        super().__init__(count)
        self.page, self.single = page, single

    async def _reply(self, call: Any) -> Any:
        listed = call.path.endswith("/process")
        takes, has = self.page if listed else self.single, min(TIMEOUT, call.within or TIMEOUT)
        await asyncio.sleep(min(takes, has))
        if takes >= has:
            self.asked.append("cut off")
            return Lost("no reply", ambiguous=True)
        if listed and self.failing[0] <= asyncio.get_running_loop().time() < self.failing[1]:
            return Reply(503, {}, b"")
        return await super()._reply(call)


async def a_while(account: Slow, seconds: float, begins: float = 0.0) -> Waiting:
    """All requests of the account are waited for; the page is slow from `begins` on."""
    page, account.page = account.page, 0.1
    asyncio.get_running_loop().call_later(begins, setattr, account, "page", page)
    waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
    await waiting.during(seconds)
    return waiting


@pytest.mark.parametrize(("timeout", "intervals"), [(60.0, 3.0), (5.0, 1.5)])
def test_a_page_whose_connection_is_dead_is_asked_for_again_before_three_intervals_are_over(
    timeout: float, intervals: float, run: Any
) -> None:
    """As after a router has forgotten a connection that was kept alive: the first call that uses it hangs."""
    hung = list[str]()

    class Dead(Service):
        async def reply(self, request: httpx.Request) -> httpx.Response:
            if asyncio.get_running_loop().time() >= 45 and request.url.path.endswith("/process") and not hung:
                hung.append(request.url.path)
                await asyncio.Event().wait()
            return await super().reply(request)

    async def work() -> tuple[Settled, float]:
        triggerer = Triggerer(service)
        triggerer.settings = replace(triggerer.settings, timeout=timeout)
        tasks = triggerer.begin()
        await asyncio.sleep(46)
        service.all_done()
        return await settled(tasks, 3 * INTERVAL), max(triggerer.ends.values())

    service = Dead(30)
    found, last = run(service, work())
    assert outcomes(found) == {"reached": 30}
    assert hung
    assert last <= 46 + intervals * INTERVAL
    assert service.calls == {"page": 6, "single": 30}


def test_a_list_that_hangs_for_good_does_not_keep_requests_from_being_read_one_by_one() -> None:
    account = Slow(30, TIMEOUT, 0.1)
    waiting = virtual.run(a_while(account, 500, 45))
    assert waiting.failed == {}
    assert max(waiting.longest.values()) <= INTERVAL + 2 * PAGE_LATE + 3
    assert account.asked.count("cut off") <= 8, "it is tried ever more seldom"


def test_pages_that_are_slow_by_themselves_are_waited_for() -> None:
    account = Slow(30, 1.5 * PAGE_LATE, 0.1)
    waiting = virtual.run(a_while(account, 500))
    assert waiting.failed == {}
    assert "cut off" not in account.asked, "the limit comes of the pages before"
    assert account.pages >= 10


@pytest.mark.parametrize(("single", "calls"), [(0.5, 250), (2.0, 60)])
def test_a_list_that_is_back_reads_all_that_wait_for_a_call_of_their_own(single: float, calls: int) -> None:
    """Hundreds would wait for their turn, each with a call that the page has made needless."""
    account = Slow(300, 0.3, single)
    account.failing = (45.0, 57.0)
    waiting = virtual.run(a_while(account, 150))
    assert waiting.failed == {}
    assert max(waiting.longest.values()) <= 3 * INTERVAL
    assert len(account.singles) <= calls


def test_calls_that_wait_for_their_turn_are_not_made_once_one_call_stands_for_all() -> None:
    """Hundreds wait for it, since the list does not show them, when nothing answers any more."""
    account = Slow(300, 0.3, 2.0)
    listed = [job for name, job in account.jobs.items() if int(name[3:]) < 20]
    page = Reply(200, {}, json.dumps({"data": listed, "links": {}}).encode())
    account.answer = lambda call: page if call.path.endswith("/process") else None

    async def work() -> int:
        going = asyncio.ensure_future(a_while(account, 500))
        await asyncio.sleep(50)
        account.answer = lambda call: Reply(503, {}, b"")
        await asyncio.sleep(25)
        account.asked.clear()
        await asyncio.sleep(60)
        going.cancel()
        return len(account.asked)

    assert virtual.run(work()) <= 2 * 60 / 4.0, "one call after the other, each tried twice"


@pytest.mark.parametrize("paused", [True, False], ids=["the list is paused", "no page is worth its call"])
def test_an_outage_that_only_calls_for_single_requests_meet_takes_one_call_for_all(paused: bool) -> None:
    account = Slow(300, 0.3, 0.1)
    page, out = Reply(200, {}, b'{"data": [], "links": {}}'), [False]

    def answer(call: Any) -> Reply | None:
        listed = call.path.endswith("/process")
        return Reply(503, {}, b"") if out[0] or (listed and paused) else page if listed else None

    account.answer = answer

    async def work() -> tuple[int, int, dict[str, list[Exception]], float]:
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        going = asyncio.ensure_future(waiting.during(500))
        await asyncio.sleep(101)
        account.asked.clear()
        out[0] = True
        await asyncio.sleep(20)
        singles, pages = len(account.singles), account.pages
        failed, waiting.failed, out[0] = waiting.failed, {}, False
        await asyncio.sleep(15)
        waiting.failed, waiting.longest = {}, dict.fromkeys(waiting.longest, 0.0)
        await asyncio.sleep(60)
        going.cancel()
        assert waiting.failed == {}
        return singles, pages, failed, max(waiting.longest.values())

    singles, pages, failed, longest = virtual.run(work())
    assert singles + pages <= 30, "those under way, and one probe after the other"
    assert set(failed) == set(account.jobs), "all learn of it"
    assert longest <= 1.3 * INTERVAL


def test_requests_whose_calls_always_fail_do_not_stand_for_the_service_where_the_list_is_refused() -> None:
    """As many as are asked for at a time, the first ones: none that answers comes between them."""
    account = Slow(100, 0.3, 0.1)
    poisoned = {f"id-{number}" for number in range(8)}

    def answer(call: Any) -> Reply | None:
        name = call.path.rpartition("/")[2]
        if name == "process":
            return Reply(403, {}, b"{}")
        begun = asyncio.get_running_loop().time() >= 45
        return Reply(500, {}, b"") if name in poisoned and begun else None

    account.answer = answer
    waiting = virtual.run(a_while(account, 200))
    assert set(waiting.failed) == poisoned
    assert max(seconds for name, seconds in waiting.longest.items() if name not in poisoned) <= 1.3 * INTERVAL


def test_no_request_is_asked_for_twice_at_a_time() -> None:
    """The list is back and says that those are done which are just being asked for, or are the next ones."""
    account, under_way, most = Slow(300, 0.3, 5.0), Counter[str](), Counter[str]()
    account.failing = (45.0, 75.0)
    reply, tasks = account._reply, list[int]()

    async def counted(call: Any) -> Any:
        name = call.path.rpartition("/")[2]
        if name == "process" and asyncio.get_running_loop().time() >= account.failing[1]:
            numbers = [int(one[3:]) for one, calls in under_way.items() if calls and one != "process"]
            for number in range(min(numbers, default=0), max(numbers, default=0) + 4):
                account.jobs[f"id-{number}"]["status"] = "DONE"
        under_way[name] += 1
        most[name] = max(most[name], under_way[name])
        try:
            return await reply(call)
        finally:
            under_way[name] -= 1

    account._reply = counted  # type: ignore[method-assign]

    async def work() -> None:
        going = asyncio.ensure_future(a_while(account, 120))
        await asyncio.sleep(74)
        tasks.append(len(asyncio.all_tasks()))
        await going

    virtual.run(work())
    assert set(most.values()) == {1}
    assert any(job["status"] == "DONE" for job in account.jobs.values())
    assert tasks[0] <= 2 * 300 + 20, "one that waits, and one call that waits for its turn"
