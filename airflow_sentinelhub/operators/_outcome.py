"""What a job has brought, tile by tile where that can be seen, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow_sentinelhub.api.generations import Generation
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

NAMED = 100
"""Failed tiles that are named in the result."""


class Found(Protocol):
    """What a job of any kind has brought; `things`: what it is made of, tiles or features.

    :param processing_units: PU that it has really cost, with the requests that it continues; None where nobody says.
    :param unfinished: neither done nor failed; :param restarts: of the failed part so far.
    """

    things: str

    @property
    def job(self) -> Snapshot: ...
    @property
    def total(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def unfinished(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def processing_units(self) -> float | None: ...
    def names(self) -> str: ...
    def unfinished_words(self) -> str: ...
    def line(self) -> str: ...
    def result(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Outcome:
    """The end of a batch job; see `Found`."""

    job: Snapshot
    total: int
    processed: int
    failed: int
    failed_tiles: tuple[str, ...]
    processing_units: float | None
    checked: bool
    restarts: int

    things = "tiles"

    @property
    def unfinished(self) -> int:
        return self.total - self.processed - self.failed if self.checked else 0

    def names(self) -> str:
        return names_of(self.failed_tiles)

    def unfinished_words(self) -> str:
        return f"{self.unfinished} of its tiles are neither done nor failed"

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
    from airflow_sentinelhub.api.flows import continued_by
    from airflow_sentinelhub.api.marker import mark_of

    mark = mark_of(job.description)
    restarts = mark.restarts if mark else 0
    if api.name == "v1":
        return _by_tiles(hook, job, restarts)
    earlier = hook.run(continued_by(api, job))
    cost = None if job.cost is None else job.cost + sum(one.cost or 0.0 for one in earlier)
    results = hook.results(job.request_id, aws_conn_id)
    if not results.checked:
        log.warning("Its tiles could not be checked in the bucket, so some may have failed: %s", results.reason)
        return Outcome(job, 0, 0, 0, (), cost, False, restarts)
    failed, counts = tuple(sorted(results.failed())), results.counts()
    unfinished = sum(counts.values()) - counts.get("PROCESSED", 0) - len(failed)
    if unfinished and job.status.is_successful:
        log.warning("%d tiles of %s are not said to be done in its execution database", unfinished, job.request_id)
    # A request that continues others did what was missing: the rest of the tiles stands in the first one's manifest.
    total = hook.results(earlier[-1].request_id, aws_conn_id).total() if earlier else results.total()
    return Outcome(job, total, total - unfinished - len(failed), len(failed), failed, cost, True, restarts)


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
