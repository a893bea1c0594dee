"""What the page of all jobs shows: of Airflow's tables, and of the lists of the accounts that the jobs are on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_sentinelhub._compat.task_tables import TaskFacts
from airflow_sentinelhub._task import ORIGIN_KEY
from airflow_sentinelhub.api.decide.costs import month_of
from airflow_sentinelhub.api.decoding import number
from airflow_sentinelhub.api.flows.progress import progress_from
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.hooks.account import dags_by_word, tasks_by_word
from airflow_sentinelhub.hooks.job_map import things_of
from airflow_sentinelhub.kept_progress import KEY
from airflow_sentinelhub.web.accounts import AccountReading
from airflow_sentinelhub.web.job_view import ENDED, source_of

KEYS = (ORIGIN_KEY, KEY, "processing_units")
"""XComs of a task that the page shows."""


def jobs_view(
    tasks: Iterable[TaskFacts], now: float, listed: Iterable[AccountReading] = (), *, more: bool = False
) -> dict[str, Any]:
    """The jobs, newest first, and their cost in this month (UTC) by DAG.

    A request that several tasks of a run are about (a group, a sensor) is one job; its row is that of the task that
    knows most of it. The cost of a job is counted once, in the month in which its task began, or its request was made.
    Requests that only an account lists are those of tries that were cleared, or of runs that were deleted: they are
    jobs of the same DAGs, and cost the same. Those of DAGs without a task in `tasks` are left out: who looks may not
    read them.

    :param tasks: newest first.
    :param now: seconds since 1970.
    :param more: there are older ones, too.
    :param listed: what is known of the accounts' lists.
    """
    rows: dict[str, dict[str, Any]] = {}
    tasks, listed = list(tasks), list(listed)
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
    begin = month_of(now)
    for each in listed:
        _take_in(each, rows, tasks)
    costs: dict[str, float] = {}
    for row in rows.values():
        if row["cost"] is not None and (row["started"] or 0) >= begin.timestamp():
            costs[row["dag_id"]] = costs.get(row["dag_id"], 0.0) + row["cost"]
    return {
        "now": now,
        "month": f"{begin:%Y-%m}",
        "jobs": sorted(rows.values(), key=lambda row: -(row["started"] or now)),
        "accounts": [
            {
                "conn_id": each.conn_id,
                "read_at": each.read_at,
                "error": each.error,
                "reading": each.reading,
                "unread": list(each.account.unread) if each.account is not None else [],
            }
            for each in listed
        ],
        "costs": dict(sorted(costs.items(), key=lambda item: -item[1])),
        "more": more,
    }


def _row(facts: TaskFacts) -> dict[str, Any] | None:
    source = source_of(facts)
    if source is None:
        return None
    kept = progress_from(facts.xcoms.get(KEY), source.request_id)
    job = kept.job if kept is not None else {}
    cost = number(facts.xcoms.get("processing_units"))
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
        "things": things_of(source.batch_api),
        "status": job.get("status"),
        "share": _share(job, (kept.counts or {}) if kept is not None else {}),
        "failed": (kept.counts or {}).get("FAILED", 0) if kept is not None else 0,
        "cost": cost if cost is not None else number(job.get("cost")),
        "read_at": kept.read_at if kept is not None else None,
        "unknown_since": kept.unknown_since if kept is not None else None,
        "earlier": False,
    }


def _share(job: Mapping[str, Any], counts: Mapping[str, int]) -> Any:
    """The share that is done. The service's own counts failed tiles too, so of a job that has ended it is counted."""
    done, failed = counts.get("PROCESSED"), counts.get("FAILED", 0)
    status = job.get("status")
    over = isinstance(status, str) and BatchRequestStatus(status).is_final
    return done / (done + failed) if over and done is not None and done + failed else job.get("share")


def _take_in(listed: AccountReading, rows: dict[str, dict[str, Any]], tasks: list[TaskFacts]) -> None:
    """Add what an account lists: newer states and costs of the jobs, and jobs that no task knows any more."""
    dags = dags_by_word(facts.dag_id for facts in tasks)
    names = tasks_by_word({(facts.dag_id, facts.task_id) for facts in tasks})
    for word, found in listed.account.requests if listed.account is not None else ():
        dag_id, row = dags.get(word), rows.get(found.request_id.lower())
        if row is not None:
            if not found.by_estimate or row["cost"] is None:
                row["cost"] = _most(row["cost"], found.cost)
            if (listed.read_at or 0) > (row["read_at"] or 0):
                row["status"] = found.status
        elif dag_id is not None:
            rows[found.request_id.lower()] = {
                "dag_id": dag_id,
                "run_id": None,
                "task_id": names.get(found.task or ""),
                "map_index": -1,
                "state": None,
                "live": found.running,
                "started": found.created.timestamp() if found.created else None,
                "request_id": found.request_id,
                "batch_api": found.batch_api,
                "things": things_of(found.batch_api),
                "status": found.status,
                "share": None,
                "failed": 0,
                "cost": found.cost,
                "read_at": listed.read_at,
                "unknown_since": None,
                "earlier": True,
            }


def _knows_more(row: dict[str, Any], before: dict[str, Any]) -> bool:
    return (row["read_at"] or 0) > (before["read_at"] or 0)


def _most(one: float | None, two: float | None) -> float | None:
    known = [cost for cost in (one, two) if cost is not None]
    return max(known) if known else None
