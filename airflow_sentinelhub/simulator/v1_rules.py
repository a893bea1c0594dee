"""Who may change or delete a v1 request. Pure."""

from __future__ import annotations

from .jobs import Job
from .ledger import PROCESSED, Ledger


def collection_id(job: Job, at: float) -> str | None:
    """The batch collection the request feeds."""
    number = (job.body_at(at).get("output") or {}).get("collectionId")
    return None if number is None else str(number)


def is_started(job: Job, at: float) -> bool:
    """Confirmed for processing, or being processed."""
    status = job.status(at)
    waits = status in ("CREATED", "ANALYSING", "ANALYSIS_DONE") and job.action(at).name == "START"
    return waits or status == "PROCESSING" or any(run.begin > at for run in job.runs)


def may_update(job: Job, at: float) -> str | None:
    """Why not, or None. Refused while it is processed or waits to be (contract); the wording is ours."""
    return "The request is being processed or waits to be processed." if is_started(job, at) else None


def may_delete(job: Job, book: Ledger, at: float) -> str | None:
    """Why not, or None (contract): not while processed, analysed or confirmed, never with processed tiles."""
    status = job.status(at)
    if is_started(job, at) or status == "ANALYSING" or (status == "CREATED" and job.action(at).name == "ANALYSE"):
        return "The request must be cancelled before it is deleted."
    if job.runs and book.count(PROCESSED, at):
        return "A request with processed tiles cannot be deleted."
    return None


def uses_collection(job: Job, number: str, at: float) -> bool:
    """Whether the request keeps a collection from being deleted: any but FAILED and CANCELED does (contract)."""
    return (
        job.generation == "v1"
        and job.exists(at)
        and collection_id(job, at) == number
        and job.status(at) not in ("FAILED", "CANCELED")
    )
