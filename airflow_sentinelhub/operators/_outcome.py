"""What a job has brought, tile by tile where that can be seen, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_sentinelhub.api.generations import Generation
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

NAMED = 100
"""Failed tiles that are named in the result."""


@dataclass(frozen=True)
class Outcome:
    """The end of a job. `processing_units` is what it has really cost, None where nobody says."""

    job: Snapshot
    total: int
    processed: int
    failed: int
    failed_tiles: tuple[str, ...]
    processing_units: float | None
    checked: bool
    restarts: int

    def result(self) -> dict[str, Any]:
        """The task's return value: small and JSON."""
        job = self.job
        return {
            "request_id": job.request_id,
            "batch_api": job.generation,
            "status": str(job.status),
            "tile_count": self.total,
            "processed": self.processed,
            "failed": self.failed,
            "failed_tiles": list(self.failed_tiles[:NAMED]),
            "estimated_pu": job.estimate,
            "expected_pu": job.expected_cost,
            "processing_units": self.processing_units,
            "restarts": self.restarts,
            "output_url": job.output_url,
            "checked": self.checked,
        }

    def line(self) -> str:
        """One line for the log."""
        tiles = f"{self.processed} of {self.total} tiles done" if self.checked else "tiles not checked"
        failed = f", {self.failed} failed" if self.failed else ""
        cost = "" if self.processing_units is None else f", {self.processing_units:,.1f} PU"
        return f"Batch request {self.job.request_id} is {self.job.status}: {tiles}{failed}{cost}"


def outcome_of(hook: SentinelHubHook, api: Generation, job: Snapshot, aws_conn_id: str | None, log: Any) -> Outcome:
    """Look at the tiles: v1 lists them, v2 leaves a database in the bucket, which is read if it can be."""
    from airflow_sentinelhub.api.marker import mark_of

    mark = mark_of(job.description)
    restarts = mark.restarts if mark else 0
    if api.name == "v1":
        return _by_tiles(hook, job, restarts)
    results = hook.results(job.request_id, aws_conn_id)
    if not results.checked:
        log.warning("Its tiles could not be checked in the bucket, so some may have failed: %s", results.reason)
        return Outcome(job, 0, 0, 0, (), job.cost, False, restarts)
    failed = tuple(sorted(results.failed()))
    processed, total = results.counts().get("PROCESSED", 0), results.total()
    if mark and mark.continues:  # it did what was missing: the rest of the tiles stands in the first one's manifest
        total = hook.results(_first(hook, mark.continues), aws_conn_id).total()
        processed = total - len(failed)
    return Outcome(job, total, processed, len(failed), failed, job.cost, True, restarts)


def _first(hook: SentinelHubHook, request_id: str) -> str:
    """The request with which a chain of continuations began."""
    from airflow_sentinelhub.api.marker import mark_of

    mark = mark_of(hook.batch_v2.get_request(request_id).description)
    return _first(hook, mark.continues) if mark and mark.continues else request_id


def _by_tiles(hook: SentinelHubHook, job: Snapshot, restarts: int) -> Outcome:
    total = processed = 0
    cost = 0.0
    failed: list[str] = []
    for tile in hook.batch.iter_tiles(job.request_id):
        total += 1
        cost += float(tile.get("cost") or 0)
        processed += tile.get("status") == "PROCESSED"
        if tile.get("status") == "FAILED":
            failed.append(str(tile.get("name") or tile.get("id")))
    return Outcome(job, total, processed, len(failed), tuple(sorted(failed)), cost / 3, True, restarts)


def names_of(tiles: Sequence[str], most: int = 10) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(tiles) - most} more" if len(tiles) > most else ""
    return ", ".join(tiles[:most]) + more
