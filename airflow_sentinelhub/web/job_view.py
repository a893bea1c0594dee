"""What the page of a job shows, made of facts. Pure: the page's frontend only draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_sentinelhub._compat.task_tables import TaskFacts
from airflow_sentinelhub._task import ORIGIN_KEY, REPORT_KEY, REQUEST_ID_KEY
from airflow_sentinelhub.api.decoding import number
from airflow_sentinelhub.api.flows.progress import progress_from
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.hooks.job_map import RequestSource, ShownRequest, request_view
from airflow_sentinelhub.kept_progress import KEY
from airflow_sentinelhub.redaction import redacted

KEYS = (REQUEST_ID_KEY, ORIGIN_KEY, KEY, REPORT_KEY, "processing_units")
"""XComs of a task that the page shows."""
ENDED = ("success", "failed", "skipped", "removed", "upstream_failed")
WAITING_FOR = {
    None: "has not started",
    "scheduled": "is about to start",
    "queued": "waits for a slot",
    "up_for_retry": "waits for its next try",
}


def source_of(facts: TaskFacts) -> RequestSource | None:
    """Where the task's request can be read; None if the task has none (yet), or has not written down where it is."""
    origin = facts.xcoms.get(ORIGIN_KEY)
    if not isinstance(origin, Mapping):
        return None
    request_id, batch_api, conn_id = (origin.get(name) for name in ("request_id", "batch_api", "sentinelhub_conn_id"))
    if not all(isinstance(value, str) and value for value in (request_id, batch_api, conn_id)):
        return None
    place, aws = origin.get("place"), origin.get("aws_conn_id") or _bucket_of(str(request_id), facts.shared)
    return RequestSource(
        str(request_id),
        str(batch_api),
        str(conn_id),
        aws if isinstance(aws, str) else None,
        tuple(sorted((str(name), str(value)) for name, value in place.items())) if isinstance(place, Mapping) else (),
    )


def _bucket_of(request_id: str, origins: Iterable[Any]) -> Any:
    """The bucket's connection that another task of the run has for this request: a sensor for a status has none."""
    for origin in origins:
        if isinstance(origin, Mapping) and origin.get("request_id") == request_id and origin.get("aws_conn_id"):
            return origin["aws_conn_id"]
    return None


def job_view(facts: TaskFacts | None, known: ShownRequest | None, now: float) -> dict[str, Any]:
    """All that the page shows beside the map.

    :param facts: the task instance, None if there is none.
    :param known: what was read of its request.
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
    view["request"] = request_view(source, known or ShownRequest(), kept)
    status = view["request"]["job"].get("status")
    # The job of a step that has ended may run: then the page goes on reading it.
    view["live"] = view["live"] or (isinstance(status, str) and not BatchRequestStatus(status).is_final)
    report = facts.xcoms.get(REPORT_KEY)
    view["request"]["report"] = redacted(report) if isinstance(report, str) else None
    view["request"]["final_cost"] = number(facts.xcoms.get("processing_units"))
    return view


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
