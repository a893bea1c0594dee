"""What the page of a job shows, made of facts. Pure: the page's frontend only draws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub._compat import TaskFacts
from airflow_sentinelhub._task import ORIGIN_KEY, REQUEST_ID_KEY
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.flows.progress import progress_from
from airflow_sentinelhub.kept_progress import KEY
from airflow_sentinelhub.web.reading import Known, Source

KEYS = (REQUEST_ID_KEY, ORIGIN_KEY, KEY, "processing_units", "return_value")
"""XComs of a task that the page shows."""
ENDED = ("success", "failed", "skipped", "removed", "upstream_failed")
WAITING_FOR = {
    None: "has not started",
    "scheduled": "is about to start",
    "queued": "waits for a slot",
    "up_for_retry": "waits for its next try",
}


def source_of(facts: TaskFacts) -> Source | None:
    """Where the task's request can be read; None if the task has none (yet), or has not written down where it is."""
    origin = facts.xcoms.get(ORIGIN_KEY)
    if not isinstance(origin, Mapping):
        return None
    request_id, batch_api, conn_id = (origin.get(name) for name in ("request_id", "batch_api", "sentinelhub_conn_id"))
    if not all(isinstance(value, str) and value for value in (request_id, batch_api, conn_id)):
        return None
    place, aws = origin.get("place"), origin.get("aws_conn_id")
    return Source(
        str(request_id),
        str(batch_api),
        str(conn_id),
        aws if isinstance(aws, str) else None,
        tuple(sorted((str(name), str(value)) for name, value in place.items())) if isinstance(place, Mapping) else (),
    )


def job_view(facts: TaskFacts | None, known: Known | None, now: float) -> dict[str, Any]:
    """All that the page shows beside the map.

    :param facts: the task instance, None if there is none; :param known: what was read of its request.
    :param now: seconds since 1970.
    """
    if facts is None:
        return {"found": False, "now": now, "notice": "This task instance is not in Airflow's tables (any more)."}
    source = source_of(facts)
    view: dict[str, Any] = {
        "found": True,
        "now": now,
        "task": {
            "dag_id": facts.dag_id,
            "run_id": facts.run_id,
            "task_id": facts.task_id,
            "map_index": facts.map_index,
            "state": facts.state,
            "try_number": facts.try_number,
            "operator": facts.operator,
            "started": facts.started,
            "ended": facts.ended,
        },
        "live": facts.state not in ENDED,
        "request": None,
    }
    if source is None:
        return {**view, "notice": _no_job(facts)}
    kept = progress_from(facts.xcoms.get(KEY), source.request_id)
    known = known or Known()
    job = dict(kept.job) if kept is not None else {}
    read_at = kept.read_at if kept is not None else None
    if known.job is not None and known.read_at is not None and known.read_at > (read_at or 0):
        job, read_at = {**job, **_members(known)}, known.read_at
    mark = mark_of(str(job.get("description") or ""))
    counts = known.table.counts() if known.table is not None and not known.partly else None
    view["request"] = {
        "id": source.request_id,
        "batch_api": source.batch_api,
        "conn_id": source.conn_id,
        "job": job,
        "read_at": read_at,
        "by_task": kept is not None,
        "unknown_since": kept.unknown_since if kept is not None else None,
        "why": kept.why if kept is not None else "",
        "error": known.error,
        "reading": known.reading,
        "states": [list(state) for state in kept.states] if kept is not None else [],
        "course": [list(point) for point in kept.course] if kept is not None else [],
        "counts": counts or (kept.counts if kept is not None else None),
        "budget": kept.budget if kept is not None and kept.budget else mark.limit if mark is not None else None,
        "every": kept.every if kept is not None else None,
        "final_cost": _number(facts.xcoms.get("processing_units")),
        "marker": None if mark is None else str(mark),
        "payload": known.payload,
        "tiles": {
            "revision": known.revision,
            "number": None if known.table is None else len(known.table.names),
            "read_at": known.tiles_at,
            "partly": known.partly,
            "error": known.tiles_error,
        },
    }
    return view


def _members(known: Known) -> dict[str, Any]:
    """A reading of the page's own, in the form of `Progress.job`."""
    job = known.job
    assert job is not None
    return {
        "status": str(job.status),
        "user_action": str(job.user_action),
        "error": job.error,
        "description": job.description,
        "created": None if job.created is None else job.created.timestamp(),
        "acted": None if job.acted is None else job.acted.timestamp(),
        "tile_count": job.tile_count,
        "expected_cost": job.expected_cost,
        "cost": job.cost,
        "stopped_reason": None if job.stopped_reason is None else str(job.stopped_reason),
        "output_url": job.output_url,
        "share": job.share_done,
    }


def _no_job(facts: TaskFacts) -> str:
    """Why there is nothing to show, in one sentence."""
    if facts.xcoms.get(REQUEST_ID_KEY) and "Sentinel" in facts.operator:
        return (
            f"This task is about batch request {facts.xcoms[REQUEST_ID_KEY]}, but it ran with a version of "
            "airflow-sentinelhub that did not write down where the request can be read."
        )
    if "Sentinel" in facts.operator and facts.state not in ENDED:
        return f"This task has no batch request yet: it {WAITING_FOR.get(facts.state, 'is looking for it')}."
    if "Sentinel" in facts.operator:
        return "This task ended before it had a batch request. Its log says why."
    return "This task has no Sentinel Hub job."


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
