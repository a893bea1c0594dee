"""What is left of a reading that is over: no timer, no task, no place taken. In virtual time."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.transport import poller as module
from airflow_sentinelhub.transport.gate import SINGLES
from airflow_sentinelhub.transport.poller import LIST_AGAIN, LIST_SOON, LOOK_AGAIN, LOOK_SOON, Notes, Poller
from airflow_sentinelhub.transport.waits import FORGOTTEN
from tests.transport import virtual
from tests.transport.test_poller import Account, a_list_that_says


def poller_of(account: Account, notes: Notes | None = None) -> Poller:
    return Poller(account, account.api, lambda name, by: None, notes)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", Account.PER_PAGE)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock of the poller is that of the loop."""

    class Wall:
        @staticmethod
        def time() -> float:
            return asyncio.get_running_loop().time()

    monkeypatch.setattr(module, "time", Wall)


def timers_of(loop: asyncio.AbstractEventLoop, name: str) -> list[Any]:
    """The timers of a loop that are still to come and call a method with this name."""
    scheduled: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
    return [one for one in scheduled if not one.cancelled() and name in repr(one)]


@pytest.mark.parametrize("how", ["read", "failed", "cancelled"])
@pytest.mark.thorough
def test_a_reading_that_is_over_leaves_no_timer_for_its_end(how: str, wall: None) -> None:
    """A wait of a week polls 60,000 times: each would leave a timer, and the wait that it holds, for a week."""
    account = Account(1)
    if how == "failed":
        account.answer = lambda call: Reply(404, {}, b"{}")

    async def run() -> tuple[int, bool]:
        loop, poller = asyncio.get_running_loop(), poller_of(account)
        reading = asyncio.ensure_future(
            poller.reading("id-0", 0.0 if how != "cancelled" else 60.0, loop.time() + 7 * 86400)
        )
        await asyncio.sleep(0.01)
        waits = [weakref.ref(wait) for wait in poller._waits]
        assert len(timers_of(loop, "_give_up")) == 1
        if how == "cancelled":
            reading.cancel()
        await asyncio.wait({reading})
        reading.exception() if how == "failed" else None
        await asyncio.sleep(0.1)
        del reading
        gc.collect()
        kept = any(ref() is not None for ref in waits)
        await asyncio.sleep(60.0)  # the poller sees at the end of the interval that nobody waits
        return len(timers_of(loop, "_give_up")), kept

    assert virtual.run(run()) == (0, False)


def test_many_waits_have_one_timer_and_each_is_given_up_at_its_time(wall: None) -> None:
    """Also those whose time is earlier than that of the waits before them."""
    account = Account(1)
    account.hang = {"process", "id-0"}

    async def run() -> tuple[int, list[float]]:
        loop, poller = asyncio.get_running_loop(), poller_of(account)
        began = loop.time()

        async def one(seconds: float) -> float:
            with pytest.raises(errors.UnreachableError, match="was not read before the time for waiting was over"):
                await poller.reading("id-0", 1.0, began + seconds)
            return loop.time() - began

        waits = [asyncio.ensure_future(one(seconds)) for seconds in (50.0, 20.0, 90.0, 20.0, 70.0)]
        waits.append(asyncio.ensure_future(poller.reading("id-0", 1.0, None)))
        await asyncio.sleep(0.01)
        timers = len(timers_of(loop, "_give_up"))
        ended = list(await asyncio.gather(*waits[:-1]))
        assert not waits[-1].done()
        waits[-1].cancel()
        return timers, ended

    timers, ended = virtual.run(run())
    assert timers == 1
    assert ended == pytest.approx([50.0, 20.0, 90.0, 20.0, 70.0], abs=0.01)


def test_a_time_that_has_passed_is_given_up_at_once(wall: None) -> None:
    account = Account(1)
    account.hang = {"id-0"}

    async def run() -> float:
        loop, poller = asyncio.get_running_loop(), poller_of(account)
        await asyncio.sleep(100)
        with pytest.raises(errors.UnreachableError) as caught:
            await poller.reading("id-0", 0.0, 1.0)
        assert caught.value.over
        return loop.time()

    assert virtual.run(run()) < 100.2


@pytest.mark.parametrize("since", ["before", "during"])
def test_what_is_given_up_says_the_last_trouble_of_its_own_time_only(since: str, wall: None) -> None:
    account = Account(1)
    account.hang = {"id-0"}

    async def run() -> errors.UnreachableError:
        loop, notes = asyncio.get_running_loop(), Notes()
        poller = poller_of(account, notes)
        notes.log(40, "%s refused.", "The proxy")
        await asyncio.sleep(5)
        reading = asyncio.ensure_future(poller.reading("id-0", 0.0, loop.time() + 60))
        await asyncio.sleep(5)
        if since == "during":
            notes.log(30, "%s", "The name is not known.")
            notes.log(20, "a line of no warning")
        with pytest.raises(errors.UnreachableError) as caught:
            await reading
        return caught.value

    err = virtual.run(run())
    assert ("proxy" in str(err)) is False
    assert ("The name is not known." in str(err)) is (since == "during")
    assert err.over is (since == "before"), "why it was not read is known"


def test_what_is_given_up_at_a_gate_that_429s_have_closed_says_so(wall: None) -> None:
    """No call fails then: they only wait for their turn."""
    account = Account(1)
    account.hang = {"id-0"}

    async def run() -> errors.UnreachableError:
        loop, notes = asyncio.get_running_loop(), Notes()
        reading = asyncio.ensure_future(poller_of(account, notes).reading("id-0", 0.0, loop.time() + 60))
        await asyncio.sleep(5)
        notes.log(20, "%s", "Sentinel Hub asks to slow down (429)")
        with pytest.raises(errors.UnreachableError) as caught:
            await reading
        return caught.value

    err = virtual.run(run())
    assert "429" in str(err)
    assert not err.over, "why it was not read is known"


def test_a_reading_that_is_wanted_earlier_than_the_next_one_wakes_the_poller() -> None:
    account = Account(9)

    async def run() -> float:
        loop, poller = asyncio.get_running_loop(), poller_of(account)
        late = asyncio.ensure_future(poller.reading("id-0", 600.0, None))
        await asyncio.sleep(1)
        await poller.reading("id-5", 10.0, None)
        late.cancel()
        return loop.time()

    assert virtual.run(run()) <= 11.1


def test_so_many_single_readings_are_under_way_at_a_time_and_one_that_hangs_counts() -> None:
    account = Account(60)
    account.answer = lambda call: Reply(403, {}, b"{}") if call.path.endswith("/process") else None
    at_once: list[int] = [0, 0]

    class Slow(Account):
        async def _reply(self, call: Call[Any]) -> Reply | Lost:
            if call.path.endswith("/process"):
                return Reply(403, {}, b"{}")
            at_once[0] += 1
            at_once[1] = max(at_once)
            await asyncio.sleep(1)
            at_once[0] -= 1
            return await super()._reply(call)

    slow = Slow(60)

    async def run() -> None:
        poller = poller_of(slow)
        await asyncio.gather(*(poller.reading(name, 0.0, None) for name in slow.jobs))

    virtual.run(run())
    assert at_once[1] == SINGLES


@pytest.mark.thorough
def test_one_that_is_not_waited_for_any_more_is_not_read_when_its_turn_comes() -> None:
    """Sixty wait for a place; those that end meanwhile take no call."""

    class Slow(Account):
        async def _reply(self, call: Call[Any]) -> Reply | Lost:
            if not call.path.endswith("/process"):
                await asyncio.sleep(1)
            return await super()._reply(call)

    account = Slow(60)
    account.answer = lambda call: Reply(403, {}, b"{}") if call.path.endswith("/process") else None

    broken: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: broken.append(what))
        poller = poller_of(account)
        readings = [asyncio.ensure_future(poller.reading(name, 0.0, None)) for name in account.jobs]
        await asyncio.sleep(1.5)
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
        await asyncio.sleep(60)
        gc.collect()

    virtual.run(run())
    assert len(account.singles) <= 2 * SINGLES
    assert broken == []


@pytest.mark.parametrize("by", ["single", "page"])
def test_who_comes_while_a_call_is_under_way_gets_no_reading_of_before(by: str) -> None:
    """Else a wait that began after an action could be told of the state before it."""

    class Slow(Account):
        async def _reply(self, call: Call[Any]) -> Reply | Lost:
            reply = await super()._reply(call)  # as the service saw it when it was asked
            await asyncio.sleep(5)
            return reply

    account = Slow(9)

    async def run() -> tuple[Any, Any]:
        poller = poller_of(account)
        names = list(account.jobs) if by == "page" else ["id-0"]
        first = [asyncio.ensure_future(poller.reading(name, 0.0, None)) for name in names]
        await asyncio.sleep(1)
        account.jobs["id-0"]["userAction"] = "STOP"
        second = await poller.reading("id-0", 0.0, None)
        return (await asyncio.gather(*first))[0], second

    before, after = virtual.run(run())
    assert (before.user_action, after.user_action) == ("START", "STOP")


def test_a_list_that_has_failed_is_read_again_after_minutes() -> None:
    account = Account(9)
    account.answer = lambda call: Reply(403, {}, b"{}") if call.path.endswith("/process") else None

    async def run() -> tuple[int, int, int]:
        poller = poller_of(account)

        async def all_of_them() -> None:
            await asyncio.gather(*(poller.reading(name, 10.0, None) for name in account.jobs))

        await all_of_them()
        failed = account.pages
        account.answer = lambda call: None
        for _ in range(3):
            await all_of_them()
        soon = account.pages
        await asyncio.sleep(LIST_AGAIN)
        await all_of_them()
        return failed, soon, account.pages

    failed, soon, later = virtual.run(run())
    assert failed == soon
    assert later == soon + 3


def test_a_list_that_fails_once_in_a_while_is_read_again_soon_each_time() -> None:
    """Only failures in a row make the pause longer."""
    account, late = Account(9), list[float]()

    async def run() -> None:
        loop, poller = asyncio.get_running_loop(), poller_of(account)

        async def one(name: str) -> None:
            while True:
                await poller.reading(name, 10.0, None)

        waits = [asyncio.ensure_future(one(name)) for name in account.jobs]
        for _ in range(6):
            looks = list[float]()

            def once(call: Call[Any], looks: list[float] = looks) -> Reply | None:
                if not call.path.endswith("/process"):
                    return None
                looks.append(loop.time())
                return Reply(503, {}, b"") if loop.time() < looks[0] + 5 else None

            account.answer = once
            await asyncio.sleep(LIST_AGAIN)
            late.append(min(look for look in looks if look >= looks[0] + 5) - looks[0])
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    virtual.run(run())
    assert max(late) <= LIST_SOON + 10.0, "the pause, and an interval"


def test_a_call_for_one_request_is_left_out_if_a_page_was_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty wait for their turn when the list is back: it answers them all."""

    class Slow(Account):
        async def _reply(self, call: Call[Any]) -> Reply | Lost:
            await asyncio.sleep(0.1 if call.path.endswith("/process") else 5.0)
            return await super()._reply(call)

    account = Slow(60)
    account.PER_PAGE = 100
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", 100)

    async def run() -> None:
        loop, poller = asyncio.get_running_loop(), poller_of(account)
        back = loop.time() + 3
        account.answer = lambda call: (
            Reply(503, {}, b"") if call.path.endswith("/process") and loop.time() < back else None
        )

        async def one(name: str) -> None:
            await poller.reading(name, 0.0, None)
            while True:
                await poller.reading(name, 30.0, None)

        waits = [asyncio.ensure_future(one(name)) for name in account.jobs]
        await asyncio.sleep(120)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    virtual.run(run())
    assert SINGLES < len(account.singles) < 45


@pytest.mark.thorough
def test_requests_that_the_list_lacks_are_looked_for_soon_and_ever_more_seldom() -> None:
    """The list may lag by a moment, or never show them: a page is cheaper than single calls, where it shows them."""
    account = Account(6)
    hidden, account.jobs = account.jobs, {}

    def answer(call: Call[Any]) -> Reply | None:
        name = call.path.rpartition("/")[2]
        return Reply(200, {}, json.dumps(hidden[name]).encode()) if name in hidden else None

    account.answer = answer

    async def run() -> tuple[list[int], int, int]:
        poller = poller_of(account)
        looks = list[int]()

        async def minutes(number: float) -> int:
            account.asked.clear()
            until = asyncio.get_running_loop().time() + 60 * number

            async def one(name: str) -> None:
                while asyncio.get_running_loop().time() < until:
                    await poller.reading(name, 10.0, None)

            await asyncio.gather(*map(one, hidden))
            looks.append(account.pages)
            return len(account.singles)

        for _ in range(6):
            await minutes(LOOK_AGAIN / 60)
        account.jobs.update(hidden)
        found = await minutes(LOOK_AGAIN / 60) and await minutes(5)
        shown, account.jobs = account.jobs, {}
        await minutes(0.5)
        account.jobs = shown
        await minutes(LOOK_SOON / 60)
        return looks[:6], found, await minutes(5)

    looks, found, found_again = virtual.run(run())
    assert 4 <= looks[0] <= 10, "the first one, and others within half an hour"
    assert max(looks[3:]) <= 2
    assert (found, found_again) == (0, 0)


@pytest.mark.parametrize("kind", ["no answer", "an empty page", "the same page again"])
def test_a_list_that_fails_for_seconds_does_not_have_hundreds_read_one_by_one_for_minutes(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call for each takes nearly all that the account may make, and each is then read once in a minute."""
    broken = {"no answer": Reply(503, {}, b""), "an empty page": Reply(200, {}, b'{"data": [], "links": {}}')}

    class Slow(Account):
        async def _reply(self, call: Call[Any]) -> Reply | Lost:
            await asyncio.sleep(0.65)  # six at a time: some nine calls a second, as a minute's calls allow
            return await super()._reply(call)

    account = Slow(300)
    again = {"data": [{"id": "id-0", "status": "PROCESSING", "userAction": "START"}], "links": {"nextToken": "3"}}
    reply = broken.get(kind, Reply(200, {}, json.dumps(again).encode()))
    account.PER_PAGE = 100
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", 100)
    longest = dict.fromkeys(account.jobs, 0.0)

    async def run() -> int:
        loop, poller = asyncio.get_running_loop(), poller_of(account)

        async def one(name: str) -> None:
            while True:
                last = loop.time()
                await poller.reading(name, 10.0, None)
                longest[name] = max(longest[name], loop.time() - last)

        tasks = [asyncio.ensure_future(one(name)) for name in account.jobs]
        await asyncio.sleep(60)
        account.answer = lambda call: reply if call.path.endswith("/process") else None
        await asyncio.sleep(12)
        account.answer = lambda call: None
        await asyncio.sleep(60)
        account.asked.clear()
        longest.update(dict.fromkeys(longest, 0.0))
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(account.singles)

    assert virtual.run(run()) == 0
    assert max(longest.values()) <= 13


def test_waits_that_fail_together_get_an_error_each() -> None:
    """One error object in two tasks would gather both tracebacks, and what one adds to it the other would tell."""
    account = Account(1)
    account.answer = lambda call: Reply(404, {}, b"{}")

    async def run() -> list[Any]:
        poller = poller_of(account)
        readings = (poller.reading("id-0", 0.0, None) for _ in range(3))
        return list(await asyncio.gather(*readings, return_exceptions=True))

    found = virtual.run(run())
    assert len({id(err) for err in found}) == 3


def test_a_request_is_kept_from_one_poll_to_the_next_and_forgotten_after_that(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(9)

    async def run() -> None:
        poller = poller_of(account)
        for _ in range(3):
            await asyncio.gather(*(poller.reading(name, 0.0, None) for name in account.jobs))
            await asyncio.sleep(FORGOTTEN / 2)
        poller._payloads["id-0"] = ("x", {})  # type: ignore[assignment]
        known = poller._waits.get("id-0")
        assert known is not None
        assert known.last is not None
        stays = asyncio.ensure_future(poller.reading("id-1", 60.0, None))
        await asyncio.sleep(2 * FORGOTTEN)
        assert poller._waits.get("id-0") is None
        assert poller._waits.get("id-1") is not None, "somebody waits for it"
        assert "id-0" not in poller._payloads
        stays.cancel()

    virtual.run(run())


def test_each_request_is_kept_for_a_moment_of_its_own() -> None:
    """One that ends shortly before another is forgotten comes back at its next poll, with what is known of it."""
    account = Account(2)

    async def run() -> tuple[bool, bool, bool]:
        poller = poller_of(account)
        await poller.reading("id-0", 0.0, None)
        await asyncio.sleep(0.9 * FORGOTTEN)
        await poller.reading("id-1", 0.0, None)
        await asyncio.sleep(0.2 * FORGOTTEN)
        gone, kept = poller._waits.get("id-0") is None, poller._waits.get("id-1") is not None
        await asyncio.sleep(FORGOTTEN)
        return gone, kept, poller._waits.get("id-1") is None

    assert virtual.run(run()) == (True, True, True)


@pytest.mark.parametrize("bad", ["id-0", "id-3"])
def test_an_outage_is_told_from_one_reply_that_cannot_be_read(bad: str) -> None:
    """After an outage one request is read for all; one unreadable reply holds up no other."""
    account = Account(9)
    a_list_that_says(account)
    listed = account.answer

    def answer(call: Call[Any]) -> Reply | Lost | None:
        name = call.path.rpartition("/")[2]
        return Reply(200, {}, b"<html>") if name in ("process", bad) else listed(call)

    account.answer = answer

    async def run() -> list[Any]:
        poller = poller_of(account)
        readings: list[Any] = []
        for _ in range(2):
            found = (poller.reading(name, 0.0, None) for name in account.jobs)
            readings = list(await asyncio.gather(*found, return_exceptions=True))
        return readings

    found = virtual.run(run())
    assert [index for index, one in enumerate(found) if isinstance(one, Exception)] == [int(bad[3:])]


def test_ids_in_other_letters_are_one_request() -> None:
    account = Account(1)

    async def run() -> list[Any]:
        poller = poller_of(account)
        found = await asyncio.gather(*(poller.reading(name, 0.0, None) for name in ("id-0", "ID-0", " id-0 ", "Id-0")))
        return list(found)

    assert {job.request_id for job in virtual.run(run())} == {"id-0"}
    assert len(account.asked) == 1
    assert account.api is V2
