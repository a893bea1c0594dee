"""The rate of a connection, as somebody may write it, and what a gate makes of the least one."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import SettingsError
from airflow_sentinelhub.transport.gate import IN_FLIGHT, Gate
from airflow_sentinelhub.transport.settings import CALLS_PER_MINUTE, LEAST, Settings, settings_from
from tests.transport import virtual


def settings_with(rate: Any) -> Settings:
    extra = {"max_calls_per_minute": rate}
    return settings_from(conn_id="sh", login="id", password="secret", host="aws-eu", extra=extra)


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (None, CALLS_PER_MINUTE),
        ("", CALLS_PER_MINUTE),
        (1, 1.0),
        ("1", 1.0),
        (" 600 ", 600.0),
        ("0.5", 0.5),
        (0.25, 0.25),
        (1e6, 1e6),
    ],
)
def test_a_rate_is_a_number_of_calls_and_has_a_default(given: Any, rate: float) -> None:
    assert settings_with(given).max_calls_per_minute == rate


@pytest.mark.parametrize(
    "given",
    [
        0,
        0.0,
        -0.0,
        "0",
        -1,
        "-600",
        "nan",
        "inf",
        "-inf",
        float("nan"),
        float("inf"),
        10**400,
        5e-324,
        "5e-324",
        True,
        False,
        "fast",
        "6oo",
        " ",
        [],
        [600],
        {},
        {"rate": 1},
    ],
    ids=repr,
)
def test_what_is_no_rate_is_refused_in_one_sentence(given: Any) -> None:
    with pytest.raises(
        SettingsError, match=r"max_calls_per_minute is .*; it must be a number of calls above 0"
    ) as caught:
        settings_with(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [1.0, 0.5, LEAST])
@pytest.mark.parametrize("paced", [True])
def test_the_least_rates_hold_and_no_call_breaks_off(rate: float, paced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "paced", paced)

    async def run() -> list[float]:
        gate, times = Gate(rate), list[float]()
        for _ in range(4):
            async with gate:
                times.append(asyncio.get_running_loop().time())
        return times

    times = virtual.run(run())
    assert times[0] < 1
    between = [later - earlier for earlier, later in pairwise(times)]
    assert min(between) >= 60 / rate * 0.99


@pytest.mark.parametrize("at_once", [False, True])
def test_a_call_that_is_given_up_before_its_turn_has_taken_none_of_the_rate(
    at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand polls that were given up during a burst would hold up the next one for minutes."""
    monkeypatch.setattr(Gate, "paced", True)

    async def run() -> float:
        gate, now = Gate(60.0), asyncio.get_running_loop().time
        for _ in range(6):
            async with gate:
                pass
        for _ in range(50):
            entering = gate.at_once().__aenter__() if at_once else gate.__aenter__()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(entering, 0.001)
        began = now()
        async with gate:
            return now() - began

    assert virtual.run(run()) <= 1.1


def test_what_ends_a_request_is_the_next_call_however_many_wait_for_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are billed meanwhile. It counts as the others do: the calls after it come the later."""
    monkeypatch.setattr(Gate, "paced", True)

    async def run() -> tuple[list[float], list[float]]:
        gate, now = Gate(10.0), asyncio.get_running_loop().time

        async def call(times: list[float], *, urgent: bool = False) -> None:
            async with gate.at_once() if urgent else gate:
                times.append(now())

        polls, ends = list[float](), list[float]()
        waiting = [asyncio.ensure_future(call(polls)) for _ in range(IN_FLIGHT + 2)]
        await asyncio.sleep(1)
        waiting += [asyncio.ensure_future(call(ends, urgent=True)) for _ in range(2)]
        await asyncio.gather(*waiting)
        return polls, ends

    polls, ends = virtual.run(run())
    assert ends == pytest.approx([6.0, 12.0], abs=0.1)
    assert polls[:IN_FLIGHT] == pytest.approx([6.0 * number for number in range(IN_FLIGHT)], abs=0.1)
    assert polls[-1] >= 60 / 10.0 * (len(polls) + len(ends) - 1) - 0.1


@pytest.mark.parametrize(("before", "after"), [(LEAST, 60.0), (0.5, 540.0), (540.0, 1.0)])
def test_an_edited_rate_counts_for_calls_that_wait_for_their_turn_too(
    before: float, after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a rate that somebody has typed by mistake holds up all polls for hours after it was corrected."""
    monkeypatch.setattr(Gate, "paced", True)

    async def run() -> list[float]:
        gate, times = Gate(before), list[float]()

        async def call() -> None:
            async with gate:
                times.append(asyncio.get_running_loop().time())

        for _ in range(round(max(before * 0.1, 1.0))):
            await call()
        times.clear()
        calls = [asyncio.ensure_future(call()) for _ in range(12)]
        await asyncio.sleep(0)
        gate.keep_to(after)
        await asyncio.gather(*calls)
        return times

    times = virtual.run(run())
    assert times == sorted(times)
    between = [later - earlier for earlier, later in pairwise(times)]
    assert min(between) == pytest.approx(60 / after, rel=0.01)
    assert max(between) == pytest.approx(60 / after, rel=0.01)
    assert times[0] <= 60 / after * 1.01
