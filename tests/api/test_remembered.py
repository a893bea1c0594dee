"""A request that the task remembers by its id: it is read by itself, whatever lists and markers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.marker import Mark, identity, marked
from airflow_sentinelhub.api.flows.find_or_create import find_or_create
from airflow_sentinelhub.api.service.generations import generation
from tests.api.fake_service import FakeService, State, drive
from tests.api.feeding import error
from tests.api.finding import PAYLOAD, WHO, A, B, created, search, settle, start


def test_a_remembered_request_is_read_and_no_list(service: FakeService) -> None:
    number = settle(service).job.request_id
    fed = drive(service, search(service, remembered=number))
    assert fed.result.job.request_id == number
    assert len(fed.sent) == 1


def test_a_remembered_request_belongs_to_this_round_whatever_its_marker_says(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 600
    assert settle(service, round=2, remembered=number).job.request_id == number


COPIED = str(Mark(identity("production", "dag", "run", "another task", -1), 0, B, tried=1))


@pytest.mark.parametrize("text", ["edited by hand", f"edited by hand {COPIED}"], ids=["words", "words of another task"])
def test_a_remembered_request_counts_though_somebody_has_edited_its_description(
    service: FakeService, text: str
) -> None:
    """And gets its marker back where the service lets us, so that others find it too."""
    number = settle(service).job.request_id
    service.jobs[number].words.append((service.now, text))
    for moment in (0, 20, 600):
        service.now += moment
        again = settle(service, remembered=number)
        assert again.job.request_id == number
        if not moment:
            start(service, number)
            service.jobs[number].words.append((service.now, text))
    assert created(service) == 1
    assert service.jobs[number].description(service.now).startswith("edited by hand afx")


def test_a_remembered_request_that_is_being_ended_is_waited_for_and_final(service: FakeService) -> None:
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    service.jobs[number].words.append((service.now, "edited by hand"))
    service._end(service.jobs[number], *(("CANCEL", "CANCELED") if service.api == "v1" else ("STOP", "STOPPED")))
    found = settle(service, remembered=number)
    assert found.job.request_id == number
    assert found.job.status in ("CANCELED", "STOPPED")
    assert created(service) == 1


def test_a_remembered_request_that_no_list_shows_any_more_counts_too(service: FakeService) -> None:
    """Its marker was edited away, and the service refuses a new description."""
    number = settle(service).job.request_id
    start(service, number)
    service.now += 60
    service.jobs[number].words.append((service.now, "edited by hand"))
    service._end(service.jobs[number], *(("CANCEL", "CANCELED") if service.api == "v1" else ("STOP", "STOPPED")))
    refused = error(409, "The request is being processed.")
    fed = drive(
        service,
        search(service, remembered=number),
        lambda call: refused if call.method == "PUT" else service.answer(call),
    )
    assert fed.result.job.request_id == number
    assert fed.result.job.status in ("CANCELED", "STOPPED")
    assert created(service) == 1


def test_a_remembered_request_was_stopped_for_the_budget_that_it_had_then(v2: FakeService) -> None:
    mark = Mark(WHO, 0, A, tried=1, limit=100.0)
    v2._create({"description": marked("max NDVI", mark)})
    (number,) = v2.jobs
    v2.jobs[number].billed.append(v2.now)
    v2.jobs[number].become(v2.now, State(v2.now, "STOPPED", "STOP"))

    def answer(call: Call[Any]) -> Reply | Lost:
        reply = v2.answer(call)
        assert isinstance(reply, Reply)
        return replace(reply, body=reply.body.replace(b'"costPU": 1.0', b'"costPU": 150.0'))

    raised = replace(mark, tried=2, limit=300.0)
    flow = find_or_create(generation("v2"), PAYLOAD, raised, remembered=number, stopped=Stopped(300.0))
    found = drive(v2, flow, answer).result
    assert (found.job.request_id, found.continued) == (number, True)


@pytest.mark.parametrize("outcome", ["gone", "FAILED"])
def test_a_remembered_request_that_is_of_no_use_is_forgotten(service: FakeService, outcome: str) -> None:
    service.outcome = "FAILED"
    number = settle(service).job.request_id
    if outcome == "gone":
        number = number[:-1] + "x"
    else:
        start(service, number)
        service.now += 600
    assert settle(service, remembered=number).job.request_id != number
