"""What the poller says in the log of a triggerer, and to those who wait, while the service is out of order."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Flow, Note, Reply
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.transport import poller as module
from airflow_sentinelhub.transport.poller import Poller
from tests.transport import virtual
from tests.transport.test_poller import Account

NAME = "Batch v2 (connection sh)"


class Telling(Account):
    """An account whose driver tells the poller's notes what it meets, as that of a triggerer."""

    notes: module.Notes

    async def run(self, flow: Flow[Any]) -> Any:
        def told() -> Flow[Any]:
            received: Any = None
            thrown: BaseException | None = None
            try:
                while True:
                    step = flow.send(received) if thrown is None else flow.throw(thrown)
                    received = thrown = None
                    if isinstance(step, Note):
                        self.notes.log(logging.WARNING if step.warning else logging.INFO, "%s", step.message)
                    try:
                        received = yield step
                    except BaseException as err:
                        thrown = err
            except StopIteration as end:
                return end.value

        return await super().run(told())


@pytest.mark.thorough
def test_an_outage_of_hours_is_told_once_in_the_log_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    """One warning. A line for each minute stays at INFO; what each call has met is at DEBUG after the first."""
    account = Telling(30)
    failed: dict[str, set[str]] = {}

    async def waiting() -> None:
        account.notes = module.Notes()
        poller = Poller(account, V2, lambda name, by: None, account.notes, conn_id="sh")

        async def one(name: str) -> None:
            while True:
                try:
                    await poller.reading(name, 10.0, None)
                except errors.ServerError as err:
                    failed.setdefault(name, set()).add(str(err))

        tasks = [asyncio.ensure_future(one(name)) for name in account.jobs]
        await asyncio.sleep(60)
        account.answer = lambda call: Reply(503, {}, b"down")
        await asyncio.sleep(3600)
        account.answer = lambda call: None
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with caplog.at_level(logging.INFO, logger=module.__name__):
        virtual.run(waiting())
    lines = [(record.levelno, record.getMessage()) for record in caplog.records]
    warnings = [line for level, line in lines if level >= logging.WARNING]
    assert [line.partition(" Sentinel Hub answers. ")[0] for line in warnings] == [
        f"{NAME}: one call is made for all that wait until"
    ]
    assert [line for _, line in lines if "answers again" in line] == [f"{NAME}: Sentinel Hub answers again"]
    reports = [line for _, line in lines if "one call is made for all, since calls fail" in line]
    assert len(reports) in (59, 60, 61), "once a minute"
    assert all(line.startswith(f"{NAME}: 30 wait, ") for line in reports)
    assert set(failed) == set(account.jobs)
    for name, told in failed.items():
        named_another = {line for line in told if name not in line.split()[:3] and f"/{name} " not in line}
        assert all(line.startswith("One call is made for all requests that are waited for. ") for line in named_another)


def test_a_poller_that_is_late_says_what_it_has_met(caplog: pytest.LogCaptureFixture) -> None:
    """Such as 429s, after which its calls wait for their turn and none fails."""
    account = Telling(30)

    async def waiting() -> None:
        account.notes = module.Notes()
        poller = Poller(account, V2, lambda name, by: None, account.notes)
        tasks = [asyncio.ensure_future(poller.reading(name, 10.0, None)) for name in account.jobs]
        account.hang = {"process", *account.jobs}
        await asyncio.sleep(30)
        account.notes.log(logging.INFO, "%s", "Sentinel Hub asks to slow down (429)")
        await asyncio.sleep(200)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with caplog.at_level(logging.INFO, logger=module.__name__):
        virtual.run(waiting())
    late = [record.getMessage() for record in caplog.records if "30 wait" in record.getMessage()]
    assert len(late) == 2
    assert all(line.endswith("; the last that it has met: Sentinel Hub asks to slow down (429)") for line in late)


async def polled(poller: Poller, names: Iterable[str], seconds: float) -> None:
    """Waits for these requests, one poll after the other, for so long."""

    async def one(name: str) -> None:
        while True:
            with contextlib.suppress(errors.SentinelHubError):
                await poller.reading(name, 10.0, None)

    tasks = [asyncio.ensure_future(one(name)) for name in names]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("fails", [{"id-3"}, None], ids=["one request", "all requests"])
def test_calls_that_go_on_failing_are_told_once(fails: set[str] | None, caplog: pytest.LogCaptureFixture) -> None:
    """Such as a gateway's page for logging in, which does not show that the service is out of reach."""
    account = Telling(30)

    def answer(call: Call[Any]) -> Reply | None:
        name = call.path.rpartition("/")[2]
        if name == "process":
            return Reply(403, {}, b"{}")
        return Reply(200, {}, b"<html>") if fails is None or name in fails else None

    async def waiting() -> None:
        account.notes, account.answer = module.Notes(), answer
        await polled(Poller(account, V2, lambda name, by: None, account.notes), account.jobs, 3600)

    with caplog.at_level(logging.INFO, logger=module.__name__):
        virtual.run(waiting())
    told = [record.getMessage() for record in caplog.records if " failed (" in record.getMessage()]
    assert len(told) == 1, told[:5]


def test_no_line_of_the_poller_goes_to_the_log_of_one_of_the_waits(caplog: pytest.LogCaptureFixture) -> None:
    """A triggerer sees in the context to which task's log a line goes, and the wait that was the first may be over."""
    of_task, account, found = contextvars.ContextVar("of_task", default=""), Telling(30), list[str]()

    def note(record: logging.LogRecord) -> bool:
        found.append(of_task.get())
        return True

    async def waiting() -> None:
        of_task.set("the first")
        account.notes, account.answer = module.Notes(), lambda call: Reply(503, {}, b"down")
        await polled(Poller(account, V2, lambda name, by: None, account.notes), account.jobs, 200)

    logger = logging.getLogger(module.__name__)
    logger.addFilter(note)
    try:
        with caplog.at_level(logging.DEBUG, logger=module.__name__):
            virtual.run(waiting())
    finally:
        logger.removeFilter(note)
    assert len(found) > 3
    assert set(found) == {""}
