"""What wakes a deferred task: only an event of this version about this request; all else says what becomes of it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import pytest

from airflow_sentinelhub._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_sentinelhub._task import waited_in
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
from airflow_sentinelhub.exceptions import DeadlineError, ForbiddenError, SentinelHubError, StillRunningError
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubStartBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from airflow_sentinelhub.triggers.events import error_event, event_of, read_event

REQUEST = str(uuid4())


JOB: dict[str, Any] = {"request_id": REQUEST, "generation": "v2", "status": "DONE", "user_action": "START"}


def told(**members: Any) -> dict[str, Any]:
    """The event of a wait that has come to its end."""
    return {"version": 1, "request_id": REQUEST, "outcome": "reached", "why": "", "job": JOB, **members}


def tasks() -> list[Any]:
    return [
        SentinelHubAnalyseBatchOperator(task_id="t", request_id=REQUEST, deferrable=True),
        SentinelHubStartBatchOperator(task_id="t", request_id=REQUEST, wait_for_completion=True, deferrable=True),
        SentinelHubBatchSensor(task_id="t", request_id=REQUEST, deferrable=True),
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (None, "cannot be read.* runs on and bills"),
        ({}, "cannot be read.* runs on and bills"),
        ("done", "cannot be read.* runs on and bills"),
        ({"version": 99, "outcome": "reached", "request_id": REQUEST}, "cannot be read.* runs on and bills"),
        ({"version": 1, "outcome": "reached", "request_id": str(uuid4())}, "about .*runs on and bills"),
        ({"version": 1, "outcome": "error", "message": "It broke.", "request_id": REQUEST}, "It broke."),
        (told(outcome="unheard of"), "cannot be read .*runs on and bills"),
        (told(outcome=None), "cannot be read .*runs on and bills"),
        (told(outcome=["reached"]), "cannot be read .*runs on and bills"),
        (told(job="done"), "cannot be read .*runs on and bills"),
        (told(job=[]), "cannot be read .*runs on and bills"),
        (told(job={}), "cannot be read .*runs on and bills"),
        (told(job={**JOB, "status": None}), "cannot be read .*runs on and bills"),
        (told(job={**JOB, "status": 7}), "cannot be read .*runs on and bills"),
        (told(job={key: value for key, value in JOB.items() if key != "status"}), "cannot be read .*runs on and bills"),
        (told(job={key: value for key, value in JOB.items() if key != "generation"}), "cannot be read .*runs on"),
        (told(job={**JOB, "request_id": str(uuid4())}), "cannot be read .*its job is"),
    ],
)
def test_events_that_are_none(bench: Any, event: Any, said: str) -> None:
    for task in tasks():
        with pytest.raises(SentinelHubError, match=said):
            task.resume_execution("execute_complete", {"event": event}, bench.context())
    assert bench.sim.journal() == []


def test_an_event_says_of_which_try_it_is_although_the_wait_broke_off(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would end each later try, too."""

    async def breaks_off(*_: Any) -> Any:
        raise ValueError("odd")

    monkeypatch.setattr(SentinelHubBatchTrigger, "_flow", breaks_off)
    trigger = SentinelHubBatchTrigger(
        sentinelhub_conn_id="sentinelhub_default", batch_api=bench.api, request_id=REQUEST, resume_state={"tried": 2}
    )
    event = bench.fire(trigger)
    assert "broke off" in event["message"]
    assert waited_in(event) == 2


def test_a_refusal_that_has_ended_a_wait_is_not_final_and_names_the_request(bench: Any) -> None:
    """As after a rotation of the secret: the request may be at work all the while."""
    refused = ForbiddenError("The account has lost the right.", status=403)
    event = json.loads(json.dumps(error_event(refused, REQUEST)))
    for task in tasks():
        with pytest.raises(StillRunningError, match=f"Batch request {REQUEST} may be running"):
            task.resume_execution("execute_complete", {"event": event}, bench.context())


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"status": "UNHEARD_OF"},
        {"user_action": None, "stopped_reason": 7, "created": "soon", "acted": 5},
        {"cost": "much", "estimate": [], "share_done": float("nan"), "tile_count": -1},
        {"description": None, "error": 5, "output_url": {}, "of a later version": 1},
    ],
)
def test_odd_members_of_an_event_are_not_said(members: dict[str, Any]) -> None:
    waited = read_event(told(job={**JOB, **members}), REQUEST)
    assert (waited.outcome, waited.job.request_id) == ("reached", REQUEST)
    assert waited.job.status == members.get("status", "DONE")
    assert (waited.job.cost, waited.job.created, waited.job.description) == (None, None, "")


def test_a_reading_in_an_event_is_the_reading_that_was_made() -> None:
    job = Snapshot(
        REQUEST,
        "v2",
        BatchRequestStatus.STOPPED,
        BatchUserAction("UNHEARD_OF"),
        error="no PU",
        description="maps",
        created=datetime(2025, 8, 14, 14, 1, 12, 306339, timezone.utc),
        tile_count=9,
        estimate=3.5,
        cost=7205.5,
        share_done=0.61,
        stopped_reason=StoppedStatusReason.OUT_OF_PU,
        output_url="s3://b/p",
        acted=datetime(2025, 8, 14, 14, 2, 47, 0, timezone.utc),
    )
    sent = event_of(Waited(Outcome.CANCELLED, job, "why", matching=1, total=9), REQUEST)
    read = read_event(json.loads(json.dumps(sent)), REQUEST)
    assert (read.outcome, read.job, read.why, read.matching, read.total) == (Outcome.CANCELLED, job, "why", 1, 9)


def test_a_wait_that_airflow_breaks_off(bench: Any) -> None:
    for error, kinds in (
        ("Trigger timeout", (DeadlineError, DeadlineError, AirflowSensorTimeout)),
        ("Trigger failure", (SentinelHubError, SentinelHubError, SentinelHubError)),
    ):
        for task, kind in zip(tasks(), kinds, strict=True):
            with pytest.raises(kind, match=f"{REQUEST}.*runs on and bills"):
                task.resume_execution("__fail__", {"error": error}, bench.context())
    soft = SentinelHubBatchSensor(task_id="t", request_id=REQUEST, deferrable=True, soft_fail=True)
    with pytest.raises(AirflowSkipException, match="runs on and bills"):
        soft.resume_execution("__fail__", {"error": "Trigger timeout"}, bench.context())
