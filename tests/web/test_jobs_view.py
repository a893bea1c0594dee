"""The page of all jobs: one row for each request, and what this month has cost."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from airflow_sentinelhub._compat import TaskFacts
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
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


def test_what_is_not_known_costs_nothing_and_is_said_as_not_known() -> None:
    view = jobs_view([task(1, "x"), task(2, True), task(3, float("nan"))], NOW)
    assert [row["cost"] for row in view["jobs"]] == [None, None, None]
    assert view["costs"] == {}
    json.dumps(view, allow_nan=False)


def test_a_task_without_a_readable_origin_is_left_out() -> None:
    assert jobs_view([task(1)._replace(xcoms={"sentinelhub_request": "x"})], NOW)["jobs"] == []
