"""Processes that cannot see each other share the calls of one account: how few are refused, and how long it takes.

In virtual time: each task has a gate of its own, as in a process of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from airflow_sentinelhub.api.call import Reply
from airflow_sentinelhub.api.service import statistical, v1, v2
from airflow_sentinelhub.transport import gate as module
from airflow_sentinelhub.transport.gate import Gate
from airflow_sentinelhub.transport.settings import CALLS_PER_MINUTE
from tests.transport import virtual

TASKS, CALLS = 200, 8
"""Tasks that start at once; calls of a create with its search."""
REPLY = 0.05
"""Seconds to a reply."""
A_FEW = 5.0
"""Seconds within which processes start that are started at once; 200 on one machine take longer."""
HEADERS: list[dict[str, str]] = [{}, {"retry-after": "12"}, {"retry-after": "1000"}, {"retry-after": "3398"}]
SEEDS = (1, 2, 3)


@dataclass
class Account:
    """An account with a bucket of calls that is full at first, as the service has it."""

    headers: dict[str, str]
    limit: float = 600.0
    asked: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left: float = 600.0
    filled: float = 0.0

    async def reply(self, who: str) -> Reply:
        await asyncio.sleep(REPLY)
        now = asyncio.get_running_loop().time()
        self.left, self.filled = min(self.left + (now - self.filled) * self.limit / 60, self.limit), now
        self.asked[who] += 1
        if self.left < 1:
            self.refused[who] += 1
            return Reply(429, self.headers, b"{}")
        self.left -= 1
        return Reply(200, {}, b"{}")


async def calls(account: Account, number: int, gate: Gate | None = None, who: str = "worker") -> None:
    gate, done = gate or Gate(CALLS_PER_MINUTE), 0
    while done < number:
        async with gate:
            reply = await account.reply(who)
            gate.note_reply(reply)
        done += reply.status == 200


async def tasks(account: Account, within: float) -> float:
    """Have all tasks make their calls; :returns: seconds until the last has them."""

    async def task() -> None:
        await asyncio.sleep(random.random() * within)
        await calls(account, CALLS)

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "paced", True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("headers", HEADERS)
def test_under_a_tenth_of_the_calls_of_200_tasks_that_start_at_once_is_refused(
    headers: dict[str, str], seed: int
) -> None:
    random.seed(seed)
    account = Account(headers)
    seconds = virtual.run(tasks(account, A_FEW))
    asked, refused = account.asked.total(), account.refused.total()
    assert asked - refused == TASKS * CALLS
    assert refused < 0.1 * asked
    assert seconds < 2 * TASKS * CALLS / (account.limit / 60)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("headers", HEADERS)
def test_tasks_that_run_in_step_to_the_millisecond_are_refused_once_each(headers: dict[str, str], seed: int) -> None:
    """The least that is possible: the bucket is empty before any of them is done, and each hears of it by a 429."""
    random.seed(seed)
    account = Account(headers)
    seconds = virtual.run(tasks(account, 0.0))
    assert account.refused.total() < 1.15 * TASKS
    assert seconds < 2 * TASKS * CALLS / (account.limit / 60)


@pytest.mark.parametrize("headers", HEADERS)
def test_a_triggerer_beside_200_tasks_is_hardly_ever_refused(headers: dict[str, str]) -> None:
    """It reads list pages, once in a second, before, while and after the tasks start."""
    random.seed(1)
    account = Account(headers)

    async def both() -> float:
        gate, now = Gate(CALLS_PER_MINUTE), asyncio.get_running_loop().time
        read, longest = now(), 0.0

        async def triggerer() -> None:
            nonlocal read, longest
            while True:
                await asyncio.gather(asyncio.sleep(1.0), calls(account, 1, gate, "triggerer"))
                read, longest = now(), max(longest, now() - read)

        polling = asyncio.ensure_future(triggerer())
        await asyncio.sleep(120)
        await tasks(account, A_FEW)
        await asyncio.sleep(120)
        polling.cancel()
        return longest

    longest = virtual.run(both())
    assert account.refused["triggerer"] < 0.02 * account.asked["triggerer"]
    assert account.refused.total() < 0.1 * account.asked.total()
    assert longest < 60


def test_a_process_that_is_alone_is_not_slowed_down() -> None:
    account = Account({})

    async def one() -> float:
        await calls(account, CALLS)
        return asyncio.get_running_loop().time()

    assert virtual.run(one()) == pytest.approx(CALLS * REPLY, rel=0.01)


def test_after_a_429_the_calls_become_rare_and_frequent_again() -> None:
    """One process whose account takes fewer calls than the connection names: it comes near that number and stays."""
    random.seed(1)
    account = Account({"retry-after": "1000"}, limit=60.0, left=60.0)

    async def one() -> None:
        await asyncio.wait_for(calls(account, 10**6), 3600)

    with pytest.raises(asyncio.TimeoutError):
        virtual.run(one())
    assert account.refused.total() < 0.05 * account.asked.total()
    assert account.asked.total() - account.refused.total() > 0.6 * 60 * 60


def test_each_minute_after_a_429_has_one_more_of_the_calls_with_which_it_began() -> None:
    random.seed(1)

    async def one() -> list[int]:
        gate, loop = Gate(CALLS_PER_MINUTE), asyncio.get_running_loop()
        gate.note_reply(Reply(429, {"retry-after": "0"}, b"{}"))
        began, made = loop.time() + gate.closed_for(), [0] * 9
        while (minute := int((loop.time() - began) // 60)) < 9:
            async with gate:
                made[minute] += 1
            await asyncio.sleep(1)
        return made

    made = virtual.run(one())
    assert sum(made[:3]) <= 8
    assert 15 <= sum(made[6:]) <= 30, "seven, eight and nine a minute"


def test_the_rate_after_a_429_comes_of_the_calls_of_the_last_minute_not_of_all_before() -> None:
    random.seed(1)

    async def one() -> int:
        gate, account = Gate(CALLS_PER_MINUTE), Account({})
        await calls(account, 400, gate)
        await asyncio.sleep(300)
        account.asked.clear()
        gate.note_reply(Reply(429, {"retry-after": "1000"}, b"{}"))
        going = asyncio.ensure_future(calls(account, 400, gate))
        await asyncio.sleep(60)
        going.cancel()
        return account.asked.total()

    assert virtual.run(one()) <= 4, "of 400 calls five minutes ago, hardly any counts"


def test_a_429_is_forgotten_after_some_minutes() -> None:
    async def one() -> float:
        gate, now = Gate(CALLS_PER_MINUTE), asyncio.get_running_loop().time
        gate.note_reply(Reply(429, {"retry-after": "1000"}, b"{}"))
        await asyncio.sleep(module.FORGOTTEN + 2)
        began = now()
        await calls(Account({}), CALLS, gate)
        return now() - began

    assert virtual.run(one()) == pytest.approx(CALLS * REPLY, rel=0.01)


def test_what_ends_a_request_does_not_keep_the_interval_after_a_429(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits, tiles are billed."""
    assert all(call.urgent for call in (v1.cancel("a"), v2.stop("a"), statistical.stop("a")))
    assert not any(call.urgent for call in (v1.start("a"), v2.start("a"), statistical.start("a")))
    monkeypatch.setattr(random, "random", lambda: 1.0)

    async def one() -> tuple[float, float]:
        gate, now = Gate(CALLS_PER_MINUTE), asyncio.get_running_loop().time
        gate.note_reply(Reply(429, {"retry-after": "1000"}, b"{}"))
        other = asyncio.ensure_future(calls(Account({}), 1, gate))
        async with gate.at_once():
            ended = now()
        await other
        return ended, now()

    ended, other = virtual.run(one())
    assert ended < 2 < 30 < other


def test_calls_that_were_given_up_in_the_queue_cost_nothing() -> None:
    """A thousand triggers are cancelled while they wait for their turn: the next call does not wait for theirs."""

    async def one() -> float:
        gate, now = Gate(60.0), asyncio.get_running_loop().time
        waiting = [asyncio.ensure_future(calls(Account({}), 1, gate)) for _ in range(200)]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        began = now()
        await calls(Account({}), 1, gate)
        return now() - began

    assert virtual.run(one()) < 10


def test_an_edited_rate_counts_for_those_that_wait_already() -> None:
    async def one() -> tuple[float, float, float]:
        gate, now = Gate(600.0), asyncio.get_running_loop().time
        await calls(Account({}), 100, gate)
        gate.keep_to(60.0)
        began = now()
        await calls(Account({}), 60, gate)
        slow = now() - began
        gate.keep_to(60.0)  # read once more, unchanged
        gate.keep_to(6000.0)
        began = now()
        await calls(Account({}, limit=6000.0, left=6000.0), 60, gate)
        return slow, now() - began, gate.per_minute

    slow, fast, rate = virtual.run(one())
    assert 45 < slow < 62
    assert fast < 5
    assert rate == 6000.0


def test_the_pause_grows_with_each_429_in_a_row_and_begins_anew_after_a_reply() -> None:
    async def one() -> list[float]:
        gate, pauses = Gate(540.0), list[float]()
        for status in (429, 429, 429, 200, 429):
            await asyncio.sleep(gate.closed_for())
            gate.note_reply(Reply(status, {"retry-after": "1"}, b"{}"))
            pauses.append(gate.closed_for())
        return pauses

    first, second, third, after, again = virtual.run(one())
    assert 0 < first < second < third
    assert after == 0
    assert again == pytest.approx(first)


@pytest.mark.parametrize("per_minute", [0.5, 540.0])
def test_calls_are_held_back_from_a_429_until_they_are_as_frequent_as_before(per_minute: float) -> None:
    async def one() -> list[bool]:
        gate, slowed = Gate(per_minute), list[bool]()
        slowed.append(bool(gate.held_back(asyncio.get_running_loop().time())))
        gate.note_reply(Reply(429, {"retry-after": "10000"}, b"{}"))
        for seconds in (5.0, 10.0, module.FORGOTTEN):
            slowed.append("429" in gate.held_back(asyncio.get_running_loop().time()))
            await asyncio.sleep(seconds)
        return [*slowed, bool(gate.held_back(asyncio.get_running_loop().time()))]

    assert virtual.run(one()) == [False, True, True, per_minute > 1, False]


def test_a_poll_that_began_while_calls_were_rare_is_told_of_the_429_after_that_too() -> None:
    async def one() -> tuple[str, str]:
        gate, now = Gate(540.0), asyncio.get_running_loop().time
        gate.note_reply(Reply(429, {"retry-after": "1000"}, b"{}"))
        await asyncio.sleep(10.0)
        began = now()
        await asyncio.sleep(module.FORGOTTEN)
        async with gate:
            return gate.held_back(began), gate.held_back(now())

    assert virtual.run(one()) == ("Sentinel Hub asks to slow down (429)", "")


def test_callers_are_let_through_in_their_order_after_a_429() -> None:
    random.seed(1)

    async def one() -> list[int]:
        gate, came = Gate(540.0), list[int]()
        gate.note_reply(Reply(429, {"retry-after": "1000"}, b"{}"))

        async def call(number: int) -> None:
            async with gate:
                came.append(number)

        async def callers() -> None:
            waiting = []
            for number in range(60):
                waiting.append(asyncio.ensure_future(call(number)))
                await asyncio.sleep(random.random() * 5)
                waiting[number].cancel() if number % 7 == 3 else None
            await asyncio.gather(*waiting, return_exceptions=True)

        await callers()
        return came

    came = virtual.run(one())
    assert len(came) > 50
    assert came == sorted(came)


def test_a_gate_that_is_not_paced_holds_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "paced", False)

    async def one() -> tuple[float, bool]:
        gate = Gate(1.0)
        for _ in range(20):
            async with gate:
                gate.note_reply(Reply(429, {"retry-after": "60000"}, b"{}"))
        return asyncio.get_running_loop().time(), gate.held_back(asyncio.get_running_loop().time())

    seconds, why = virtual.run(one())
    assert seconds < 0.1
    assert why == ""


def test_a_rate_that_is_spent_holds_calls_back_until_all_have_had_their_turn() -> None:
    async def one() -> list[str]:
        gate, said = Gate(60.0), list[str]()
        for number in (6, 3):
            going = asyncio.gather(*(calls(Account({}), 1, gate) for _ in range(number)))
            await asyncio.sleep(0.1)
            said.append(gate.held_back(asyncio.get_running_loop().time()))
            await going
            said.append(gate.held_back(asyncio.get_running_loop().time()))
        return [*said, gate.held_back(0.0)]

    spent = "max_calls_per_minute of the connection lets 60 calls a minute through"
    assert virtual.run(one()) == ["", "", spent, "", spent], "a poll that began before is told, too"


def test_an_edit_of_the_rate_takes_no_call_and_grants_none() -> None:
    async def one() -> tuple[float, int]:
        now = asyncio.get_running_loop().time
        fresh, used, began = Gate(1.0), Gate(6.0), now()
        fresh.keep_to(2.0)
        await calls(Account({}), 1, fresh)
        first = now() - began
        await calls(Account({}), 1, used)
        await asyncio.sleep(5.0)
        used.keep_to(600.0)
        account = Account({})
        going = asyncio.ensure_future(calls(account, 100, used))
        await asyncio.sleep(1.0)
        going.cancel()
        return first, account.asked.total()

    first, made = virtual.run(one())
    assert first < 1
    assert 5 <= made <= 12, "those of one second at the new rate"


def test_a_lowered_rate_lowers_what_may_be_made_at_once_after_a_pause() -> None:
    async def one() -> tuple[int, int]:
        edited, new = Gate(6000.0), Gate(60.0)
        edited.keep_to(60.0)
        made = []
        for gate in (edited, new):
            await calls(Account({}), 1, gate)
            await asyncio.sleep(3600)
            account = Account({}, limit=6000.0, left=6000.0)
            going = asyncio.ensure_future(calls(account, 6000, gate))
            await asyncio.sleep(5)
            going.cancel()
            made.append(account.asked.total())
        return made[0], made[1]

    edited, new = virtual.run(one())
    assert edited == new < 20
