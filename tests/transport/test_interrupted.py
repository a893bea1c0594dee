"""A task that is being ended sends nothing any more: the next call could be the start that bills."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Flow, Lost, Reply, exchange
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import Interrupted, SyncDriver

ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


class InterruptedInACall(SyncDriver):
    """The signal comes while the first call is under way, and its handler runs before the reply is there."""

    def __init__(self) -> None:
        super().__init__(Settings("http://localhost", "http://localhost/token", "id", "secret"))
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
