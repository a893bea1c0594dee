"""Copies of one try that run beside it, or outlive a clear: they agree on one request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Lost, Reply
from airflow_sentinelhub.api.decide.marker import Mark
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.find_or_create import find_or_create
from airflow_sentinelhub.api.service.generations import generation
from tests.api import fake_service
from tests.api.fake_service import FakeService, Process, drive
from tests.api.feeding import error
from tests.api.finding import PAYLOAD, WHO, A, B, created, search, settle, start, tried

# Twins: copies of the same try


def test_twins_that_create_at_once_agree(service: FakeService) -> None:
    """Both look, see nothing, and create; each then sees the other's."""
    one, two = Process(service, search(service)), Process(service, search(service))
    one.run(before="POST")
    two.run(before="POST")
    first, second = one.run(), two.run()
    assert created(service) == 2
    assert first.result.job.request_id == second.result.job.request_id
    assert {first.result.adopted, second.result.adopted} == {True, False}
    left = [job for job in service.jobs.values() if job.at(service.now)]
    assert len(left) == (1 if service.api == "v1" else 2)


def test_a_twin_that_created_later_takes_what_the_first_has_started(service: FakeService) -> None:
    two = Process(service, search(service))
    two.run(before="POST")
    number = settle(service).job.request_id
    start(service, number)
    service.now += 5
    late = two.run().result
    assert (late.job.request_id, late.why) == (number, "it is running")


def test_a_twin_does_not_go_on_with_one_while_it_cannot_tell_whether_the_other_is_started(v1: FakeService) -> None:
    """Of two requests of the same job the younger was started a moment ago, which a lagging read does not show."""
    settle(v1)
    v1.now += 1
    v1._create({"description": str(Mark(WHO, 0, A))})
    v1.now += 60
    younger = list(v1.jobs)[1]
    v1._start(v1.jobs[younger])
    fed = drive(v1, search(v1), lambda call: stale_reads(v1, call))
    assert fed.result.job.request_id == younger
    assert fed.result.why == "it is running"


def test_a_list_that_never_shows_our_own_request_is_not_gone_on_past(service: FakeService) -> None:
    """It may hide that another copy has started one. A retry may mend that, and nothing was started."""
    fed = drive(service, search(service), lambda call: service.answer(call, lag=10_000.0 if call.query else 0.0))
    assert type(fed.error) is errors.UnknownStateError
    assert "still does not show" in str(fed.error)
    assert "not started and bills nothing" in str(fed.error)
    assert fed.waited >= 1800
    assert created(service) == 1


@pytest.mark.parametrize("lag", [90.0, 1000.0])
def test_a_list_that_lags_for_minutes_is_waited_for(service: FakeService, lag: float) -> None:
    fed = drive(service, search(service), lag=lag)
    assert not fed.result.adopted
    assert created(service) == 1


def test_what_runs_is_gone_on_with_at_once_whatever_cannot_be_deleted_beside_it(v1: FakeService) -> None:
    """The service refuses to delete a request while it is analysed."""
    running = settle(v1).job.request_id
    start(v1, running)
    v1._create({"description": str(Mark(WHO, 0, A))})
    v1._analyse(list(v1.jobs.values())[-1])
    fed = drive(v1, search(v1))
    assert fed.result.job.request_id == running
    assert "Could not delete" in fed.warnings[0]
    assert fed.waited == 0


def test_a_list_that_lags_for_a_minute_is_waited_for_whatever_patience_there_is(service: FakeService) -> None:
    fed = drive(service, search(service, patience=0.0), lag=60)
    assert not fed.result.adopted
    assert created(service) == 1


@pytest.mark.parametrize("hours", [0.1, 3.0, 30.0])
def test_a_copy_that_is_held_up_before_its_create_sees_what_was_started_since(
    v2: FakeService, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine was suspended, say."""
    monkeypatch.setattr(fake_service, "PROCESSING", 1_000_000.0)
    old = Process(v2, search(v2))
    old.run(before="POST")
    v2.now += 60
    running = settle(v2).job.request_id
    start(v2, running)
    for number in range(9):
        v2._create({"description": f"of another {number}"})
    v2.now += hours * 3600
    assert old.run().result.job.request_id == running


def test_after_a_create_a_twins_request_is_seen_that_the_list_hid_before(v2: FakeService) -> None:
    """It stands some pages behind our own, since others create too."""
    first = settle(v2).job.request_id
    for number in range(9):
        v2._create({"description": f"of another {number}"})
    v2.now += 20
    assert settle(v2, lag=30).job.request_id == first
    assert created(v2) == 11


def test_a_twin_whose_own_request_the_list_never_shows_takes_the_older_one(service: FakeService) -> None:
    """Even a list that lags for minutes may show the older of two."""
    first = settle(service).job.request_id
    service.now += 200
    two = Process(service, search(service), lag=250)
    two.run(after="POST")
    service.now += 60
    assert created(service) == 2
    assert two.run().result.job.request_id == first


# Old copies that outlive a clear


def test_an_old_copy_does_not_start_the_old_job_beside_the_new_one(v1: FakeService) -> None:
    """The old copy has settled on its request; the new try, of another job, deletes it before it makes its own."""
    old = settle(v1).job.request_id
    new = settle(v1, round=2, job=B).job.request_id
    assert drive(v1, start_once(generation("v1"), old)).error is not None
    start(v1, new)
    assert [number for kind, number in v1.effects if kind == "billed_start"] == [new]


def stale_reads(service: FakeService, call: Call[Any]) -> Reply | Lost:
    """The replica that answers for single requests is behind the one that lists them."""
    return service.answer(call, lag=30.0 if call.method == "GET" and not call.query else 0.0)


def test_an_old_copy_that_starts_behind_a_lagging_read_is_ended(v1: FakeService) -> None:
    """The new try still reads that nobody has started the old request: the refused delete tells."""
    old = settle(v1).job.request_id
    v1.now += 60
    start(v1, old)
    fed = drive(v1, search(v1, round=2, job=B), lambda call: stale_reads(v1, call))
    assert fed.result.job.request_id != old
    assert [kind for kind, _ in v1.effects] == ["created", "billed_start", "ended", "created"]
    assert v1.jobs[old].acted[-1] - v1.jobs[old].billed[0] < 1, "each second of it bills"
    v1.now += 60
    state = v1.jobs[old].at(v1.now)
    assert state is not None
    assert state.status == "CANCELED"


def test_a_copy_of_this_round_that_starts_the_job_of_before_an_edit_behind_a_lagging_read_is_gone_on_with(
    v1: FakeService,
) -> None:
    """The refused delete tells that somebody has acted; a moment later the reading tells what."""
    other = settle(v1).job.request_id
    v1.now += 60
    start(v1, other)
    fed = drive(v1, search(v1, job=B), lambda call: stale_reads(v1, call))
    assert fed.result.job.request_id == other
    assert [kind for kind, _ in v1.effects] == ["created", "billed_start"]


def test_what_cannot_be_deleted_and_never_shows_that_it_was_started_is_ended(v1: FakeService) -> None:
    """A replica that lags for minutes: another job must not be gone on with beside one that is at work."""
    other = settle(v1).job.request_id
    v1.now += 2000
    start(v1, other)
    drive(v1, search(v1, job=B), lambda call: v1.answer(call, lag=1000.0 if call.path.endswith(other) else 0.0))
    v1.now += 60
    assert not v1.jobs[other].at_work(v1.now)


def test_what_v2_would_not_end_is_not_asked_for(v2: FakeService) -> None:
    """A request that was never analysed, of a job of before a change."""
    settle(v2)
    fed = drive(v2, search(v2, round=2, job=B))
    assert not fed.result.adopted
    assert [call for call in fed.sent if call.path.endswith("/stop")] == []
    assert "Left over" in fed.notes[0]


def test_a_delete_that_fails_for_another_reason_than_a_start_holds_nothing_up(v1: FakeService) -> None:
    old = settle(v1).job.request_id
    fed = drive(
        v1,
        search(v1, round=2, job=B),
        lambda call: error(403, "no rights") if call.method == "DELETE" else v1.answer(call),
    )
    assert fed.result.job.request_id != old
    assert fed.waited == 0
    assert [call for call in fed.sent if call.path.endswith("/cancel")] == []


def test_what_is_left_over_of_the_same_job_is_not_ended(v2: FakeService) -> None:
    """v2 deletes nothing. A copy of this task may be about to start it; then it is found to be running."""
    oldest = settle(v2).job.request_id
    v2.now += 1
    v2._create({"description": str(Mark(WHO, 0, A))})
    younger = list(v2.jobs)[1]
    v2._analyse(v2.jobs[younger])
    v2.now += 60
    assert settle(v2).job.request_id == oldest
    assert [kind for kind, _ in v2.effects] == ["created", "created"]


def test_an_old_copy_that_creates_late_goes_on_with_the_new_job(service: FakeService) -> None:
    old = Process(service, search(service))
    old.run(before="POST")
    new = settle(service, round=2, job=B).job.request_id
    service.now += 1
    late = old.run().result
    assert (late.job.request_id, late.why) == (new, "a later try of this task has made it")


def test_a_copy_of_the_new_try_ends_what_an_old_copy_started_meanwhile(service: FakeService) -> None:
    """Found by the look after the create: the old copy has created and started between look and create."""
    new = Process(service, search(service, round=2, job=B))
    new.run(before="POST")
    old = settle(service).job.request_id
    start(service, old)
    service.now += 30
    late = new.run().result
    state = service.jobs[old].at(service.now)
    assert state is not None
    assert state.status in ("CANCELED", "STOPPED")
    assert late.job.request_id not in (old, "")
    assert service.jobs[late.job.request_id].mark(service.now).job == B


def test_a_twin_of_a_changed_job_that_has_started_is_not_joined_by_a_second(v1: FakeService) -> None:
    """The DAG was edited between two tries of one round, and both live."""
    edited = Process(v1, search(v1, job=B))
    edited.run(before="POST")
    number = settle(v1).job.request_id
    start(v1, number)
    found = edited.run().result
    assert found.job.request_id == number
    assert "changed" in found.why


def test_what_a_newer_try_adopts_while_an_old_copy_waits_for_its_end_is_the_old_copys_too(service: FakeService) -> None:
    """The old copy is about to end the request of the round before; the newer try wants the very same job.

    The newer try still reads that it is running, and by then the service accepts a new description.
    """
    api = generation(service.api)
    number = drive(service, find_or_create(api, PAYLOAD, tried(1, 0, B))).result.job.request_id
    start(service, number)
    service.now += 30
    old = Process(service, find_or_create(api, PAYLOAD, tried(2, 3, A)))
    old.run(before="POST")
    began, service.now = service.now, service.now + 1
    while service.jobs[number].running(service.now):
        service.now += 1
    newer = find_or_create(api, PAYLOAD, tried(3, 3, B))
    assert drive(service, newer, lag=service.now - began).result.job.request_id == number
    service.now += 60
    assert old.run().result.job.request_id == number
    assert created(service) == 1


def test_a_request_of_a_run_that_was_queued_by_hand_is_recorded_with_the_new_start(service: FakeService) -> None:
    """Else a clear of another task, which counts too, would look like a clear of this one, and what runs be ended."""
    api = generation(service.api)
    number = drive(service, find_or_create(api, PAYLOAD, tried(1, 3, A))).result.job.request_id
    start(service, number)
    service.now += 30
    queued = tried(2, 3, A, born=2_000)
    assert drive(service, find_or_create(api, PAYLOAD, queued)).result.job.request_id == number
    written = len(service.effects)
    assert drive(service, find_or_create(api, PAYLOAD, replace(queued, tried=3))).result.job.request_id == number
    assert len(service.effects) == written, "once is enough"
    service.now += 60
    other_cleared = tried(4, 3, B, born=2_000)
    found = drive(service, find_or_create(api, PAYLOAD, replace(other_cleared, clears=1))).result
    assert found.job.request_id == number
    assert found.job.started
