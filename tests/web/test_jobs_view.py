"""The page of all jobs: one row for each request, and what this month has cost."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_sentinelhub._compat.task_tables import TaskFacts
from airflow_sentinelhub.api.decide.costs import RequestCost, month_of
from airflow_sentinelhub.api.decide.marker import dag_word, task_word
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.hooks.account import Account
from airflow_sentinelhub.web.accounts import AccountReading
from airflow_sentinelhub.web.jobs_view import jobs_view

NOW = datetime(2026, 3, 31, 23, 0, tzinfo=timezone.utc).timestamp()
DAY = 86400.0


def task(
    number: int, paid: Any = None, ago: float = DAY, task_id: str = "t", state: str = "success", **job: Any
) -> Any:
    request_id = f"5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b{number:02}"
    origin = {"request_id": request_id, "batch_api": "v2", "sentinelhub_conn_id": "c"}
    kept = Progress(request_id, "v2")
    status = BatchRequestStatus(job.pop("status", "DONE"))
    kept.read(Waited(Outcome.WAITING, Snapshot(request_id, "v2", status, **job)), None, NOW - ago)
    xcoms = {"sentinelhub_request": origin, "sentinelhub_progress": kept.as_json(), "processing_units": paid}
    return TaskFacts(f"dag{number % 2}", "r", task_id, -1, state, 1, "Op", NOW - ago, None, xcoms)


def test_the_months_cost_by_dag() -> None:
    view = jobs_view([task(1, 10.0), task(2, 2.5), task(3, 4.0), task(5, 100.0, ago=40 * DAY)], NOW)
    assert view["month"] == "2026-03"
    assert view["costs"] == {"dag1": 14.0, "dag0": 2.5}
    assert len(view["jobs"]) == 4


def test_a_request_of_several_tasks_is_one_job_and_is_paid_once() -> None:
    tasks = [task(1, None, task_id="sensor", cost=9.0), task(1, 10.0, task_id="finish", ago=2 * DAY), task(1, 10.0)]
    view = jobs_view(tasks, NOW)
    assert [(row["task_id"], row["cost"]) for row in view["jobs"]] == [("sensor", 10.0)]
    assert view["costs"] == {"dag1": 10.0}


def test_of_several_tasks_the_one_that_has_read_last_is_shown_with_the_highest_cost() -> None:
    older, newer = task(1, 10.0, ago=3 * DAY), task(1, 4.0, ago=DAY, task_id="later")
    for tasks in ([older, newer], [newer, older]):
        (row,) = jobs_view(tasks, NOW)["jobs"]
        assert (row["task_id"], row["cost"]) == ("later", 10.0)


def test_the_cost_of_a_job_whose_task_has_not_ended_is_what_it_has_read() -> None:
    (row,) = jobs_view([task(1, None, cost=9.0, status="PROCESSING", state="deferred")], NOW)["jobs"]
    assert row["cost"] == 9.0
    (row,) = jobs_view([task(1, 0.0, cost=9.0)], NOW)["jobs"]
    assert row["cost"] == 0.0


def test_a_task_that_has_not_started_is_the_newest() -> None:
    tasks = [task(1, ago=2 * DAY), task(2)._replace(started=None), task(3, ago=DAY)]
    assert [row["request_id"][-2:] for row in jobs_view(tasks, NOW)["jobs"]] == ["02", "03", "01"]


def test_an_id_in_other_letters_is_the_same_request() -> None:
    loud = task(1, 4.0)
    loud.xcoms["sentinelhub_request"]["request_id"] = loud.xcoms["sentinelhub_request"]["request_id"].upper()
    for tasks in ([loud], [loud, task(1, 4.0)], [task(1, 4.0), loud]):
        view = jobs_view(tasks, NOW, [listed(("dag1", cost(1, cost=4.0)))])
        assert (len(view["jobs"]), view["costs"]) == (1, {"dag1": 4.0})


def test_what_is_not_known_costs_nothing_and_is_said_as_not_known() -> None:
    view = jobs_view([task(1, "x"), task(2, True), task(3, float("nan"))], NOW)
    assert [row["cost"] for row in view["jobs"]] == [None, None, None]
    assert view["costs"] == {}
    json.dumps(view, allow_nan=False)


def test_a_task_without_a_readable_origin_is_left_out() -> None:
    assert jobs_view([task(1)._replace(xcoms={"sentinelhub_request": "x"})], NOW)["jobs"] == []


def test_failed_tiles_are_not_done_although_the_service_counts_them() -> None:
    done = task(1, 10.0, share_done=1.0)
    done.xcoms["sentinelhub_progress"]["counts"] = {"PROCESSED": 16, "FAILED": 2}
    (row,) = jobs_view([done], NOW)["jobs"]
    assert row["share"] == pytest.approx(16 / 18)
    assert row["failed"] == 2
    running = task(1, share_done=0.25, status="PROCESSING")
    running.xcoms["sentinelhub_progress"]["counts"] = {"PROCESSED": 16, "FAILED": 2}
    running.xcoms["sentinelhub_progress"]["job"]["share"] = 0.25
    (row,) = jobs_view([running], NOW)["jobs"]
    assert row["share"] == 0.25, "of those that are still to come nothing is counted"


def listed(*requests: tuple[str, RequestCost], **members: Any) -> AccountReading:
    account = Account(month_of(NOW), tuple((dag_word("", dag_id), cost) for dag_id, cost in requests))
    return AccountReading("c", **{"account": account, "read_at": NOW - 60, **members})


def cost(number: int, **members: Any) -> RequestCost:
    request_id = f"5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b{number:02}"
    created = datetime.fromtimestamp(NOW - 3 * DAY, tz=timezone.utc)
    return RequestCost(request_id, "v2", members.pop("status", "DONE"), created, started=True, **members)


def test_a_cleared_try_that_only_the_account_lists_is_counted_and_shown() -> None:
    task_of = task_word("", "dag1", "t")
    view = jobs_view(
        [task(1, 10.0)], NOW, [listed(("dag1", cost(1, cost=10.0)), ("dag1", cost(9, cost=7.0, task=task_of)))]
    )
    assert view["costs"] == {"dag1": 17.0}
    rows = {row["request_id"][-2:]: row for row in view["jobs"]}
    assert (rows["01"]["earlier"], rows["09"]["earlier"]) == (False, True)
    assert (rows["09"]["task_id"], rows["09"]["run_id"]) == ("t", None)
    (account,) = view["accounts"]
    assert (account["conn_id"], account["read_at"]) == ("c", NOW - 60)


def test_jobs_of_dags_that_may_not_be_read_are_left_out() -> None:
    view = jobs_view([task(1, 10.0)], NOW, [listed(("secret", cost(9, cost=7.0)))])
    assert view["costs"] == {"dag1": 10.0}
    assert len(view["jobs"]) == 1
    assert "secret" not in json.dumps(view)


def test_the_newer_reading_of_a_job_is_shown() -> None:
    running = task(1, None, ago=2 * DAY, status="PROCESSING", cost=3.0)
    (row,) = jobs_view([running], NOW, [listed(("dag1", cost(1, cost=8.0)))])["jobs"]
    assert (row["status"], row["cost"]) == ("DONE", 8.0)
    (row,) = jobs_view([running], NOW, [listed(("dag1", cost(1, cost=8.0)), read_at=NOW - 3 * DAY)])["jobs"]
    assert row["status"] == "PROCESSING"


def test_an_estimate_never_takes_the_place_of_what_a_task_has_counted() -> None:
    (row,) = jobs_view([task(1, 4.0)], NOW, [listed(("dag1", cost(1, cost=9.0, by_estimate=True)))])["jobs"]
    assert row["cost"] == 4.0


def test_an_account_that_cannot_be_read_is_said() -> None:
    view = jobs_view([task(1, 4.0)], NOW, [AccountReading("c", error="no network")])
    assert view["costs"] == {"dag1": 4.0}
    assert view["accounts"] == [
        {"conn_id": "c", "read_at": None, "error": "no network", "reading": False, "unread": []}
    ]
