"""Attacks on the poller and the gate: poisoned replies, odd 429s, two loops, an edited rate. In virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.api.service.generations import V1, V2
from airflow_sentinelhub.transport import list_pages
from airflow_sentinelhub.transport.gate import IN_FLIGHT, SINGLES, Gate
from airflow_sentinelhub.transport.poller import Poller
from tests.transport import virtual
from tests.transport.test_poller import Account

INTERVAL = 10.0


class Hundreds(Account):
    """A page has a hundred requests, and a reply takes a moment."""

    PER_PAGE = 100

    async def _reply(self, call: Any) -> Any:
        await asyncio.sleep(0.05)
        return await super()._reply(call)


@pytest.fixture(autouse=True)
def pages_of_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", 100)


class Waiting:
    """All requests of the account, each waited for again and again; `longest`: without a reading, by request."""

    def __init__(self, account: Account, poller: Poller) -> None:
        self.account, self.poller = account, poller
        self.longest: dict[str, float] = dict.fromkeys(account.jobs, 0.0)
        self.failed: dict[str, list[Exception]] = {}

    async def one(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            try:
                await self.poller.reading(name, INTERVAL, None)
            except errors.SentinelHubError as err:
                self.failed.setdefault(name, []).append(err)
                continue
            self.longest[name] = max(self.longest[name], loop.time() - last)
            last = loop.time()

    async def during(self, seconds: float) -> None:
        tasks = [asyncio.ensure_future(self.one(name)) for name in self.account.jobs]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def waited(account: Hundreds, seconds: float) -> Waiting:
    """All requests of this account were waited for by one poller, in an event loop of its own."""

    async def run() -> Waiting:
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        await waiting.during(seconds)
        return waiting

    return virtual.run(run())


POISON: dict[str, dict[str, Any]] = {
    "no status": {"status": None},
    "a list for a status": {"status": ["PROCESSING"]},
    "an unknown word": {"status": "HALF_DONE"},
    "odd numbers": {"completionPercentage": 1e300, "costPU": -1e300},
    "a deep payload": {"request": {"description": {"x": [[[[]]]] * 50}, "output": 7}},
    "a long error": {"status": "FAILED", "error": "x" * 100_000},
    "an odd time": {"created": "yesterday", "userActionUpdated": 7},
    "an odd action": {"userAction": {"START": 1}},
    "a surrogate": {"description": "\ud800"},
}


@pytest.mark.parametrize("name", POISON)
@pytest.mark.thorough
def test_one_poisoned_request_among_hundreds_delays_no_other(name: str) -> None:
    count = 1000 if name == "no status" else 300
    poisoned = f"id-{count // 2}"
    account = Hundreds(count)
    account.jobs[poisoned] |= POISON[name]

    waiting = waited(account, 120)
    assert set(waiting.failed) <= {poisoned}
    assert max(seconds for name, seconds in waiting.longest.items() if name != poisoned) <= 1.3 * INTERVAL
    assert account.pages <= 14 * count / 100
    assert set(account.singles) <= {poisoned}
    assert len(account.singles) <= 40


def test_entries_that_are_no_requests_are_left_out() -> None:
    account = Hundreds(300)

    def answer(call: Call[Any]) -> Reply | Lost | None:
        if not call.path.endswith("/process"):
            return None
        start = int(call.params().get("viewtoken", 0))
        items: list[Any] = [
            *list(account.jobs.values())[start : start + 100],
            None,
            7,
            "text",
            [],
            {},
            {"id": 7},
            {"id": ""},
        ]
        links = {"nextToken": start + 100} if start < 200 else {}
        return Reply(200, {}, json.dumps({"data": items, "links": links}).encode())

    account.answer = answer

    waiting = waited(account, 60)
    assert waiting.failed == {}
    assert account.singles == []


def test_a_list_that_lags_for_minutes_shows_no_request_twice_and_no_end_by_itself() -> None:
    """It shows what was there two minutes ago: new requests are missing in it, and those that have ended run in it."""
    account = Hundreds(150)
    old = [dict(job) for job in account.jobs.values()][:100]
    account.jobs["id-3"]["status"] = "DONE"

    def answer(call: Call[Any]) -> Reply | Lost | None:
        return (
            Reply(200, {}, json.dumps({"data": old, "links": {}}).encode()) if call.path.endswith("/process") else None
        )

    account.answer = answer

    async def run() -> tuple[Waiting, Any]:
        poller = Poller(account, V2, lambda name, by: None)
        waiting = Waiting(account, poller)
        await waiting.during(60)
        old[3]["status"] = "DONE"
        return waiting, await poller.reading("id-3", 0.0, None)

    waiting, job = virtual.run(run())
    assert waiting.failed == {}
    assert max(waiting.longest.values()) <= 1.3 * INTERVAL  # those that the list lacks are read one by one
    assert job.status == "DONE"
    assert account.singles.count("id-3") == 1


Order = Callable[[list[Any], int], list[Any]]
ORDERS: dict[str, Order] = {
    "the oldest first": lambda jobs, walk: jobs[::-1],
    "by id": lambda jobs, walk: sorted(jobs, key=lambda job: str(job["id"])),
    "another one each time": lambda jobs, walk: jobs if walk % 2 else jobs[::-1],
    "each one twice": lambda jobs, walk: [job for job in jobs for _ in range(2)],
    "ten come in front of the others each time": lambda jobs, walk: [
        *({"id": f"new-{walk}-{number}", "status": "CREATED"} for number in range(10 * walk)),
        *jobs,
    ],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_whatever_the_order_of_the_list_all_are_read_in_time(order: Order) -> None:
    account, walks = Hundreds(500), [0]

    def answer(call: Call[Any]) -> Reply | Lost | None:
        if not call.path.endswith("/process"):
            return None
        start = int(call.params().get("viewtoken", 0))
        walks[0] += start == 0
        jobs = order(list(account.jobs.values()), walks[0])
        links = {"nextToken": start + 100} if start + 100 < len(jobs) else {}
        return Reply(200, {}, json.dumps({"data": jobs[start : start + 100], "links": links}).encode())

    account.answer = answer

    waiting = waited(account, 120)
    assert waiting.failed == {}
    assert max(waiting.longest.values()) <= 1.3 * INTERVAL
    assert len(account.asked) <= 2 * 13 * 10


@pytest.mark.parametrize("lags", [False, True], ids=["gone from the list", "still listed"])
def test_requests_that_are_deleted_while_they_are_waited_for_end_their_waits_alone(lags: bool) -> None:
    account = Hundreds(300)
    deleted = {f"id-{index}" for index in range(0, 300, 60)}
    shown = dict(account.jobs)

    def answer(call: Call[Any]) -> Reply | Lost | None:
        if not call.path.endswith("/process") or not lags:
            return None
        start = int(call.params().get("viewtoken", 0))
        links = {"nextToken": start + 100} if start < 200 else {}
        return Reply(200, {}, json.dumps({"data": list(shown.values())[start : start + 100], "links": links}).encode())

    account.answer = answer

    async def run() -> tuple[dict[str, Any], Waiting]:
        poller = Poller(account, V2, lambda name, by: None)
        waiting = Waiting(account, poller)
        waiting.longest = dict.fromkeys(shown, 0.0)
        going = asyncio.ensure_future(waiting.during(120))
        await asyncio.sleep(30)
        for name in deleted:
            del account.jobs[name]
        await going
        readings = (poller.reading(name, 0.0, None) for name in sorted(deleted))
        found = await asyncio.gather(*readings, return_exceptions=True)
        return dict(zip(sorted(deleted), found, strict=True)), waiting

    found, waiting = virtual.run(run())
    assert max(seconds for name, seconds in waiting.longest.items() if name not in deleted) <= 1.3 * INTERVAL
    assert set(waiting.failed) <= deleted
    if lags:
        return  # the list says that they run: that they are gone is seen when the list shows it
    assert all(isinstance(err, errors.NotFoundError) for err in found.values())
    assert set(waiting.failed) == deleted
    assert all(isinstance(err, errors.NotFoundError) for failed in waiting.failed.values() for err in failed)


RETRY_AFTER = [
    "",
    "0",
    "-5",
    "nan",
    "inf",
    "-inf",
    "1e309",
    "soon",
    "9" * 400,
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "0x10",
    "٣",
]


@pytest.mark.parametrize("given", RETRY_AFTER)
@pytest.mark.parametrize("name", ["retry-after", "Retry-After"])
def test_whatever_a_429_asks_for_the_gate_opens_again(name: str, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "paced", True)

    async def one() -> float:
        gate, now = Gate(540), asyncio.get_running_loop().time
        for _ in range(300):
            async with gate:
                pass
        began = now()
        gate.note_reply(Reply(429, {name: given}, b"{}"))
        async with gate:
            return now() - began

    assert 0.0 <= virtual.run(one()) < 400


def test_two_event_loops_have_pollers_of_their_own() -> None:
    """As a triggerer beside a worker's thread: what one leaves behind does not hold up the other."""
    account = Hundreds(200)

    for _ in range(2):
        waiting = waited(account, 30)
        assert waiting.failed == {}
        assert max(waiting.longest.values()) <= 1.3 * INTERVAL


def test_pollers_of_three_accounts_and_two_generations_do_not_wait_for_each_other() -> None:
    """One does not answer, one is out of order, and one is well."""
    silent, broken, well, old = Hundreds(100), Hundreds(100), Hundreds(100), Hundreds(100, V1)
    silent.hang = {"process", *silent.jobs}
    broken.answer = lambda call: Reply(500, {}, b"")

    async def run() -> list[Waiting]:
        all_of_them = [
            Waiting(account, Poller(account, account.api, lambda name, by: None))
            for account in (silent, broken, well, old)
        ]
        await asyncio.gather(*(waiting.during(60) for waiting in all_of_them))
        return all_of_them

    _, _, good, v1 = virtual.run(run())
    for waiting in (good, v1):
        assert waiting.failed == {}
        assert max(waiting.longest.values()) <= 1.3 * INTERVAL


@pytest.mark.parametrize("seconds", [5.0, 25.0])
@pytest.mark.parametrize("count", [3, 500], ids=["single calls", "pages"])
def test_a_loop_that_others_block_delays_readings_by_that_and_fails_none(count: int, seconds: float) -> None:
    """A foreign trigger in the same triggerer computes, or sleeps, for so long; twice a minute."""
    account = Hundreds(count)

    async def run() -> Waiting:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual.VirtualLoop)
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        going = asyncio.ensure_future(waiting.during(240))
        for _ in range(4):
            await asyncio.sleep(30)
            loop.blocked(seconds)
        await going
        return waiting

    waiting = virtual.run(run())
    assert waiting.failed == {}
    assert max(waiting.longest.values()) <= 1.3 * INTERVAL + seconds
    assert len(account.asked) <= (count if count < 10 else 13 * count // 100) * 30


def refusing(listed: bool) -> Callable[[Call[Any]], Reply | None]:
    """A gateway that lets only one kind of call through."""
    return lambda call: Reply(403, {}, b"{}") if call.path.endswith("/process") is listed else None


@pytest.mark.thorough
def test_where_the_list_is_refused_all_are_read_one_by_one() -> None:
    account = Hundreds(300)
    account.answer = refusing(listed=True)

    waiting = waited(account, 120)
    assert waiting.failed == {}
    assert max(waiting.longest.values()) <= 1.3 * INTERVAL
    assert account.pages <= 2, "a list that is refused is tried again seldom"


def test_where_single_requests_are_refused_the_list_still_says_what_runs_and_an_end_is_never_kept_silent() -> None:
    """An end is not believed to a list alone: who waits for it is told that the request cannot be read, and why."""
    account = Hundreds(300)
    account.answer = refusing(listed=False)
    ended = {f"id-{index}" for index in range(0, 300, 100)}

    async def run() -> Waiting:
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        going = asyncio.ensure_future(waiting.during(120))
        await asyncio.sleep(30)
        for name in ended:
            account.jobs[name]["status"] = "DONE"
        await going
        return waiting

    waiting = virtual.run(run())
    assert set(waiting.failed) == ended
    assert all(isinstance(err, errors.ForbiddenError) for failed in waiting.failed.values() for err in failed)
    assert min(map(len, waiting.failed.values())) >= 5, "at each interval"
    others = {name: seconds for name, seconds in waiting.longest.items() if name not in ended}
    assert max(others.values()) <= 1.3 * INTERVAL


def test_single_calls_that_fail_now_and_then_say_nothing_while_pages_are_answered() -> None:
    account = Hundreds(300)
    account.answer = lambda call: None if call.path.endswith("/process") else Reply(503, {}, b"")

    async def run() -> Waiting:
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        going = asyncio.ensure_future(waiting.during(120))
        for number in range(5):
            await asyncio.sleep(20)
            ended = account.jobs[f"over-{number}"] = {**account.jobs["id-7"], "id": f"over-{number}", "status": "DONE"}
            with pytest.raises(errors.ServerError):
                await waiting.poller.reading(ended["id"], 0.0, None)
        await going
        return waiting

    assert virtual.run(run()).failed == {}


def test_requests_that_nobody_waits_for_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A triggerer runs for months: what it keeps of requests, their payloads too, is that of those waited for."""
    monkeypatch.setattr(list_pages, "SLICE", 0)
    account = Hundreds(500)
    for number, job in enumerate(account.jobs.values()):
        job["request"] = {"description": "x" * 1000, "number": number}

    async def run() -> tuple[int, int, int, int]:
        poller = Poller(account, V2, lambda name, by: None)
        going = asyncio.ensure_future(poller.reading("id-7", 100.0, None))
        waiting = Waiting(account, poller)
        await waiting.during(45)
        during = len(poller._waits._known), len(poller._payloads)
        await asyncio.sleep(5)
        after = len(poller._waits._known), len(poller._payloads)
        going.cancel()
        return *during, *after

    known, payloads, known_after, payloads_after = virtual.run(run())
    assert (known, payloads) == (500, 500)
    assert (known_after, payloads_after) <= (1, 1)


@pytest.mark.parametrize("listed", [True, False], ids=["the list fails for a moment", "nothing answers for a minute"])
def test_a_request_whose_call_always_fails_does_not_stand_for_the_service(listed: bool) -> None:
    """It is the first that is waited for, so the first that would be asked whether the service answers again."""
    account = Hundreds(100)
    account.jobs["id-0"]["status"] = 7

    def answer(call: Call[Any]) -> Reply | Lost | None:
        name = call.path.rpartition("/")[2]
        if name == "id-0":
            return Reply(500, {}, b"")
        out = 30 <= asyncio.get_running_loop().time() < (32 if listed else 90)
        return Reply(503, {}, b"") if out and (name == "process" or not listed) else None

    account.answer = answer

    async def run() -> tuple[set[str], set[str]]:
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        going = asyncio.ensure_future(waiting.during(240))
        await asyncio.sleep(120)
        meanwhile = set(waiting.failed)
        waiting.failed.clear()
        await going
        return meanwhile, set(waiting.failed)

    meanwhile, later = virtual.run(run())
    assert meanwhile == ({"id-0"} if listed else set(account.jobs))
    assert later == {"id-0"}


TIMEOUT = 60.0


class Hanging(Hundreds):
    """The calls for some requests hang until their timeout, and some requests are in no list."""

    def __init__(self, count: int, hang: set[str], unlisted: set[str]) -> None:
        super().__init__(count)
        self.poisoned, self.unlisted = hang, {name: self.jobs.pop(name) for name in sorted(unlisted)}

    async def _reply(self, call: Any) -> Any:
        name = call.path.rpartition("/")[2]
        if name in self.poisoned:
            await asyncio.sleep(TIMEOUT)
            return Lost("no reply", ambiguous=True)
        if name in self.unlisted:
            await asyncio.sleep(0.05)
            return Reply(200, {}, json.dumps(self.unlisted[name]).encode())
        return await super()._reply(call)


def names(first: int, end: int) -> list[str]:
    return [f"id-{number}" for number in range(first, end)]


@pytest.mark.parametrize("listed", [True, False], ids=["of listed ones", "of unlisted ones"])
def test_an_end_is_confirmed_however_many_calls_of_other_requests_hang(listed: bool) -> None:
    """Those that hang are read because they are in no list, or to confirm what the list says of them."""
    hang = set(names(0, 6 if listed else 60))
    account = Hanging(100, hang, set() if listed else hang)
    for name in hang if listed else ():
        account.jobs[name]["status"] = "DONE"
    ended, seen = dict[str, float](), dict[str, float]()

    async def run() -> None:
        loop, poller = asyncio.get_running_loop(), Poller(account, V2, lambda name, by: None)

        async def one(name: str) -> None:
            while (await poller.reading(name, INTERVAL, None)).status != "DONE":
                pass
            seen[name] = loop.time()

        waits = [asyncio.gather(*map(one, names(60, 80))), *(poller.reading(name, INTERVAL, None) for name in hang)]
        going = asyncio.gather(*waits, return_exceptions=True)
        await asyncio.sleep(15)
        for name in names(60, 80):
            account.jobs[name]["status"], ended[name] = "DONE", loop.time()
            await asyncio.sleep(2)
        await asyncio.sleep(2 * INTERVAL)
        going.cancel()

    virtual.run(run())
    assert set(seen) == set(names(60, 80))
    assert max(seen[name] - ended[name] for name in ended) <= 1.2 * INTERVAL


def test_requests_whose_calls_always_hang_slow_down_no_others_for_long() -> None:
    """None of them is in a list: once each of the poisoned ones has failed, the others are read in time."""
    account = Hanging(40, set(names(0, 20)), set(names(0, 40)))

    async def run() -> dict[str, float]:
        account.jobs = dict(account.unlisted)
        waiting = Waiting(account, Poller(account, V2, lambda name, by: None))
        account.jobs = {}
        waits = [asyncio.ensure_future(waiting.one(name)) for name in account.unlisted]
        await asyncio.sleep(20 / SINGLES * 3 * TIMEOUT)
        waiting.longest = dict.fromkeys(waiting.longest, 0.0)
        await asyncio.sleep(600)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert set(waiting.failed) == account.poisoned
        return waiting.longest

    longest = virtual.run(run())
    assert 0 < max(longest[name] for name in names(20, 40)) <= 1.3 * INTERVAL


def test_a_request_in_doubt_is_trusted_again_once_it_answers() -> None:
    async def run() -> list[bool]:
        account = Hundreds(1)
        poller, found = Poller(account, V2, lambda name, by: None), list[bool]()
        answers = (Reply(500, {}, b""), None, Lost("cut", ambiguous=True), Reply(404, {}, b"{}"), Reply(403, {}, b"{}"))
        for answer in answers:
            account.answer = lambda call, answer=answer: answer
            await asyncio.gather(poller.reading("id-0", 0.0, None), return_exceptions=True)
            known = poller._waits.get("id-0")
            assert known is not None
            found.append(known.in_doubt)
        return found

    assert virtual.run(run()) == [True, False, True, False, False]


def test_what_cannot_wait_is_not_held_up_by_calls_that_hang() -> None:
    """A cancel while eight polls hang: tiles are billed until it is made."""

    async def run() -> float:
        gate = Gate(6000.0)
        for _ in range(IN_FLIGHT):
            await gate.__aenter__()
        async with gate.at_once():
            return asyncio.get_running_loop().time()

    assert virtual.run(asyncio.wait_for(run(), 60)) < 1


def test_a_wait_that_is_cancelled_before_its_request_is_asked_for_all_harms_no_other() -> None:
    """Its list is refused, and calls for single requests fail: two that were read lately are asked for, in turn."""
    account, told = Hundreds(30), list[str]()
    poller = Poller(account, V2, lambda name, by: None)
    tasks: dict[str, asyncio.Task[None]] = {}

    async def one(name: str) -> None:
        while True:
            try:
                await poller.reading(name, INTERVAL, None)
            except errors.SentinelHubError as err:
                told.append(str(err))

    cancelled: list[str] = []

    def answer(call: Any) -> Reply | None:
        if call.path.endswith("process"):
            return Reply(403, {}, b"{}")
        if asyncio.get_running_loop().time() < 3 * INTERVAL:
            return None
        asked = [known for known in poller._waits._known.values() if known.being_read]
        if poller._may_be_down and not any(known.queued for known in asked) and not cancelled:
            cancelled.extend(known.waits[0].request_id for known in poller._waits.lately_read(2, but=poller._in_vain))
            for name in cancelled:
                tasks[name].cancel()
        return Reply(503, {}, b"")

    async def run() -> None:
        account.answer = answer
        tasks.update({name: asyncio.ensure_future(one(name)) for name in account.jobs})
        await asyncio.sleep(6 * INTERVAL)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    virtual.run(run())
    assert len(cancelled) == 2
    assert told
    assert all("was answered with 503" in line for line in told), told


def test_refused_credentials_are_tried_by_one_call_for_all() -> None:
    """Else a thousand waits would send a secret that was rotated some thousand times a minute."""
    account = Hundreds(60)
    poller = Poller(account, V2, lambda name, by: None)
    waiting = Waiting(account, poller)

    async def run() -> int:
        going = asyncio.ensure_future(waiting.during(300))
        await asyncio.sleep(60)
        account.answer, before = lambda call: Reply(401, {}, b"{}"), len(account.asked)
        await asyncio.sleep(180)
        calls = len(account.asked) - before
        account.answer = lambda call: None
        await going
        return calls

    calls = virtual.run(run())
    assert calls <= 180, "each is made again once, with a new token"
    assert set(waiting.failed) == set(account.jobs)
    assert all(isinstance(err, errors.AuthenticationError) for failed in waiting.failed.values() for err in failed)
