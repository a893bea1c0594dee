"""What is reported to Airflow's metrics: by which names, added up or set, and that it harms no wait."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from airflow_sentinelhub._compat import metrics as airflow_metrics
from airflow_sentinelhub.api.call import Reply
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.transport import poller as module
from airflow_sentinelhub.transport.gate import Gate
from airflow_sentinelhub.transport.metrics import COUNTERS, GAUGES, PREFIX, Metrics
from airflow_sentinelhub.transport.poller import Poller
from tests.transport import virtual
from tests.transport.test_poller import Account

ROOT = Path(__file__).resolve().parents[2]


class Told:
    """Stands for Airflow's own metrics, by the members that all of its versions have."""

    def __init__(self) -> None:
        self.added: Counter[str] = Counter()
        self.set: dict[str, list[float]] = {}
        self.broken = False
        self.asked = 0

    def incr(self, stat: str, count: int = 1, rate: int = 1, *, tags: dict[str, str] | None = None) -> None:
        self.asked += 1
        if self.broken:
            raise OSError("no such host")
        assert type(count) is int
        self.added[stat] += count

    def gauge(self, stat: str, value: float, rate: int = 1, delta: bool = False, *, tags: Any = None) -> None:
        self.asked += 1
        assert not delta
        self.set.setdefault(stat, []).append(value)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    for name in ("incr", "gauge"):
        assert callable(getattr(airflow_metrics.Stats, name))
    told = Told()
    monkeypatch.setattr(airflow_metrics, "Stats", told)
    return told


@pytest.fixture
def metrics(told: Told) -> Metrics:
    metrics = Metrics()
    metrics.begin(lambda: airflow_metrics.metrics(GAUGES, PREFIX))
    return metrics


async def minutes_of_waiting(metrics: Metrics, count: int, minutes: float) -> None:
    account = Account(count)
    poller = Poller(account, V2, metrics.count, None, metrics.measure)
    await poller.reading("id-0", 0.0, None)

    async def one(name: str) -> None:
        while True:
            await poller.reading(name, 10.0, None)

    tasks = [asyncio.ensure_future(one(name)) for name in account.jobs]
    await asyncio.sleep(60 * minutes)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(60)
    gate = Gate(600, metrics.count)
    gate.note_reply(Reply(429, {}, b"{}"))


def test_all_names_reach_airflow_with_their_values(told: Told, metrics: Metrics) -> None:
    virtual.run(minutes_of_waiting(metrics, 12, 5))
    assert set(told.added) | set(told.set) == {PREFIX + name for name in (*COUNTERS, *GAUGES)}
    assert set(told.added) == {PREFIX + name for name in COUNTERS}
    assert told.added[PREFIX + "readings"] == pytest.approx(12 * 5 * 6, rel=0.15)
    assert told.added[PREFIX + "rate_limited"] == 1
    assert max(told.set[PREFIX + "waiting"]) == 12
    assert len(told.set[PREFIX + "waiting"]) == 6, "once a minute"
    assert max(told.set[PREFIX + "oldest_reading"]) <= 11
    assert max(told.set[PREFIX + "lag"]) <= 1
    assert [values[-1] for values in told.set.values()] == [0, 0, 0], "nobody waits any more"


def test_readings_grow_old_in_the_metrics_while_a_call_hangs(
    told: Told, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(12)
    account.hang = {"process"}

    async def waiting() -> None:
        poller = Poller(account, V2, metrics.count, None, metrics.measure)
        tasks = [asyncio.ensure_future(poller.reading(name, 10.0, None)) for name in account.jobs]
        await asyncio.sleep(250)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with caplog.at_level(logging.DEBUG, logger=module.__name__):
        virtual.run(waiting())
    levels = [record.levelno for record in caplog.records if "12 wait" in record.getMessage()]
    assert levels == [logging.DEBUG, *[logging.INFO] * 3], "late by more than a minute"
    assert told.set[PREFIX + "oldest_reading"] == pytest.approx([60, 120, 180, 240], abs=0.1)
    assert told.set[PREFIX + "lag"] == pytest.approx([50, 110, 170, 230], abs=1)


def test_values_of_several_pollers_do_not_replace_each_other(told: Told, metrics: Metrics) -> None:
    one, other = mock.Mock(), mock.Mock()
    for source, values in ((one, (1000, 9.0, 0.5)), (other, (5, 300.0, 0.0))):
        for name, value in zip(("waiting", "oldest_reading", "lag"), values, strict=True):
            metrics.measure(source, name, value)
    assert {name: values[-1] for name, values in told.set.items()} == {
        PREFIX + "waiting": 1005,
        PREFIX + "oldest_reading": 300.0,
        PREFIX + "lag": 0.5,
    }
    del other, source
    gc.collect()
    metrics.measure(one, "waiting", 999)
    assert told.set[PREFIX + "waiting"][-1] == 999, "a poller whose event loop is gone does not count"


def test_metrics_that_fail_end_no_wait(told: Told, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    told.broken = True
    with caplog.at_level(logging.WARNING):
        virtual.run(minutes_of_waiting(metrics, 12, 3))
    assert [record.getMessage() for record in caplog.records] == [
        "Metrics are not reported any more: OSError at sentinelhub.singles"
    ]
    assert told.asked == 1


def test_metrics_are_made_once_and_only_when_they_are_wanted() -> None:
    metrics, made = Metrics(), list[int]()

    def make() -> Any:
        made.append(1)
        return lambda name, value: None

    metrics.count("pages", 1)
    assert made == []
    metrics.begin(make)
    metrics.begin(make)
    assert made == [1]


@pytest.mark.parametrize("wrong", [False, True])
def test_the_log_has_one_line_a_minute_and_a_louder_one_while_something_is_wrong(
    wrong: bool, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(12)
    if wrong:
        account.answer = lambda call: Reply(403, {}, b"{}") if call.path.endswith("/process") else None

    async def waiting() -> None:
        poller = Poller(account, V2, lambda name, by: None)

        async def one(name: str) -> None:
            while True:
                await poller.reading(name, 10.0, None)

        tasks = [asyncio.ensure_future(one(name)) for name in account.jobs]
        await asyncio.sleep(250)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with caplog.at_level(logging.DEBUG, logger=module.__name__):
        virtual.run(waiting())
    lines = [record for record in caplog.records if "12 wait" in record.getMessage()]
    assert len(lines) == 4
    assert {record.levelno for record in lines} == {logging.INFO if wrong else logging.DEBUG}
    assert all(("the list cannot be read" in record.getMessage()) is wrong for record in lines)


def test_the_page_names_each_metric_as_the_code_does() -> None:
    page = (ROOT / "docs" / "at-scale.md").read_text()
    rows = dict(re.findall(rf"^\| `{re.escape(PREFIX)}(\w+)` \| \w+ \| (.*) \|$", page, re.MULTILINE))
    assert rows == {**COUNTERS, **{name: what for name, (_, what) in GAUGES.items()}}
    kinds = dict(re.findall(rf"^\| `{re.escape(PREFIX)}(\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert kinds == {**dict.fromkeys(COUNTERS, "counter"), **dict.fromkeys(GAUGES, "gauge")}
