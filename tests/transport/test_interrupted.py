"""A task that is being ended sends nothing any more: the next call could be the start that bills."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from typing import Any, NoReturn

import pytest

from airflow_sentinelhub.api.call import Call, Flow, Lost, Reply, exchange
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import Interrupted, SyncDriver

ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
SETTINGS = Settings("http://localhost", "http://localhost/token", "id", "secret")


class InterruptedInACall(SyncDriver):
    """The signal comes while the first call is under way, and its handler runs before the reply is there."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.sent: list[str] = []

    def _send(self, call: Call[Any], until: float | None) -> Reply | Lost:
        self.sent.append(f"{call.method} {call.path.rpartition('/')[2]}")
        self.interrupt()
        return Reply(204)


def test_no_call_follows_the_one_in_which_the_task_was_ended() -> None:
    driver = InterruptedInACall()

    def analyse_and_start() -> Flow[None]:
        yield from exchange(V1.analyse(ID))
        yield from exchange(V1.start(ID))

    with pytest.raises(Interrupted):
        driver.run(analyse_and_start())

    assert driver.sent == ["POST analyse"]


class Ended(BaseException):
    """What the handler of a signal raises."""


def test_a_signal_that_ends_a_task_ends_the_call_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would go on in the process's event loop, and hold a place there until its timeout."""
    main, ended = threading.main_thread().ident, threading.Event()
    assert main == threading.get_ident()

    async def hangs(*given: Any) -> NoReturn:
        try:
            while sys._current_frames()[main].f_code.co_name != "wait":  # noqa: ASYNC110 - no event tells of that
                await asyncio.sleep(0.001)
            signal.pthread_kill(main, signal.SIGUSR1)
            await asyncio.Event().wait()
            raise AssertionError
        finally:
            ended.set()

    def end(number: int, frame: Any) -> NoReturn:
        raise Ended

    monkeypatch.setattr(client, "ask_for_token", hangs)
    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(Ended):
            SyncDriver(SETTINGS).run(exchange(V1.analyse(ID)))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.wait(20)
