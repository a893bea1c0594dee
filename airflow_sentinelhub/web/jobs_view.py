"""What the page of all jobs shows, made of what Airflow's tables say of tasks that had a job. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow_sentinelhub._compat import TaskFacts
from airflow_sentinelhub._task import ORIGIN_KEY
from airflow_sentinelhub.api.flows.progress import progress_from
from airflow_sentinelhub.kept_progress import KEY
from airflow_sentinelhub.web.job_view import ENDED, number_in, source_of

KEYS = (ORIGIN_KEY, KEY, "processing_units")
"""XComs of a task that the page shows."""


def jobs_view(tasks: Iterable[TaskFacts], now: float, *, more: bool = False) -> dict[str, Any]:
    """The jobs, newest first, and their cost in this month (UTC) by DAG.

    A request that several tasks of a run are about (a group, a sensor) is one job; its row is that of the task that
    knows most of it. The cost of a job is counted once, in the month in which its task began.

    :param tasks: newest first; :param now: seconds since 1970; :param more: there are older ones, too.
    """
    rows: dict[str, dict[str, Any]] = {}
    for facts in tasks:
        row = _row(facts)
        if row is None:
            continue
        before = rows.get(row["request_id"].lower())
        if before is None:
            rows[row["request_id"].lower()] = row
        elif _knows_more(row, before):
            rows[row["request_id"].lower()] = {**row, "cost": _most(row["cost"], before["cost"])}
        else:
            before["cost"] = _most(row["cost"], before["cost"])
    begin = datetime.fromtimestamp(now, tz=timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    costs: dict[str, float] = {}
    for row in rows.values():
        if row["cost"] is not None and (row["started"] or 0) >= begin.timestamp():
            costs[row["dag_id"]] = costs.get(row["dag_id"], 0.0) + row["cost"]
    return {
        "now": now,
        "month": f"{begin:%Y-%m}",
        "jobs": list(rows.values()),
        "costs": dict(sorted(costs.items(), key=lambda item: -item[1])),
        "more": more,
    }


def _row(facts: TaskFacts) -> dict[str, Any] | None:
    source = source_of(facts)
    if source is None:
        return None
    kept = progress_from(facts.xcoms.get(KEY), source.request_id)
    job = kept.job if kept is not None else {}
    cost = number_in(facts.xcoms.get("processing_units"))
    return {
        "dag_id": facts.dag_id,
        "run_id": facts.run_id,
        "task_id": facts.task_id,
        "map_index": facts.map_index,
        "state": facts.state,
        "live": facts.state not in ENDED,
        "started": facts.started,
        "request_id": source.request_id,
        "batch_api": source.batch_api,
        "status": job.get("status"),
        "share": job.get("share"),
        "failed": (kept.counts or {}).get("FAILED", 0) if kept is not None else 0,
        "cost": cost if cost is not None else number_in(job.get("cost")),
        "read_at": kept.read_at if kept is not None else None,
        "unknown_since": kept.unknown_since if kept is not None else None,
    }


def _knows_more(row: dict[str, Any], before: dict[str, Any]) -> bool:
    return (row["read_at"] or 0) > (before["read_at"] or 0)


def _most(one: float | None, two: float | None) -> float | None:
    known = [cost for cost in (one, two) if cost is not None]
    return max(known) if known else None
