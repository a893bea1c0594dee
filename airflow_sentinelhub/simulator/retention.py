"""When the service forgets a request. Pure."""

from __future__ import annotations

from .jobs import Job
from .settings import Settings
from .v1_rules import collection_id, is_started

_DAY = 86400.0


def is_forgotten(job: Job, at: float, settings: Settings) -> bool:
    """Whether the request was removed for want of activity: 404 from then on. Its outputs stay.

    v1: failed or never started, or finished without feeding a collection (doc). Batch statistical: everything that
    waits for nothing, CREATED and FAILED sooner than the rest (doc). v2: nothing, its retention is not known.
    """
    days = _days(job, at, settings)
    return days is not None and at - max(job.step(at).at, job.action(at).at) > days * _DAY


def _days(job: Job, at: float, settings: Settings) -> float | None:
    """Days after the last activity; None for ever."""
    status = job.status(at)
    if job.generation == "v2" or status in ("ANALYSING", "PROCESSING") or is_started(job, at):
        return None
    if job.generation == "v1":
        kept = status == "CANCELED" or (status in ("DONE", "PARTIAL") and collection_id(job, at) is not None)
        return None if kept else settings.retention_days
    if status == "CREATED":
        return settings.statistical_retention_created_days
    if status == "FAILED":
        return settings.statistical_retention_failed_days
    return settings.statistical_retention_days
