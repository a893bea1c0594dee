"""Finding or creating the request of a task at the fake service: what its tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_sentinelhub.api.call import Call, Flow, Lost, Reply
from airflow_sentinelhub.api.decide.marker import Mark, identity
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.find_or_create import Settled, find_or_create
from airflow_sentinelhub.api.service.generations import generation
from tests.api.fake_service import FakeService, drive

WHO = identity("production", "dag", "run", "task", -1)
A, B = "aaaaaaaa", "bbbbbbbb"
PAYLOAD = {"description": "max NDVI", "processRequest": {}}
FIRST = Mark(WHO, 3, A, tried=1, clears=0, born=1_000)


def search(service: FakeService, round: int = 0, job: str = A, **how: Any) -> Flow[Settled]:
    return find_or_create(generation(service.api), PAYLOAD, Mark(WHO, round, job), **how)


def settle(service: FakeService, round: int = 0, job: str = A, *, lag: float = 0.0, **how: Any) -> Settled:
    found: Settled = drive(service, search(service, round, job, **how), lag=lag).result
    return found


def start(service: FakeService, number: str) -> None:
    drive(service, start_once(generation(service.api), number)).result  # noqa: B018


def created(service: FakeService) -> int:
    return [kind for kind, _ in service.effects].count("created")


def unwilling(service: FakeService, fault: str, times: float) -> Callable[[Call[Any]], Reply | Lost]:
    """An answer by which the next requests are not created, or their replies get lost."""
    left = times

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal left
        creates = call.method == "POST" and call.path.endswith("/process")
        left -= creates
        return service.answer(call, fault if creates and left >= 0 else None)

    return answer


def tried(number: int, round: int, job: str, **more: Any) -> Mark:
    return Mark(WHO, round, job, tried=number, clears=0, **{"born": 1_000, **more})
