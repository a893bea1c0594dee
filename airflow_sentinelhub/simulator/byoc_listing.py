"""The BYOC collections of a world, for its control plane: no member of a task names the one that was made for it.

Nothing is stored: which there are follows from the tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .bodies import Json, delivery_url
from .byoc import band_names, feeds
from .jobs import Job
from .ledger import PROCESSED
from .world import World


def collections(world: World) -> list[Json]:
    """All collections that tasks have delivered into, with what came of it so far."""
    found: dict[str, Json] = {}
    for job in _feeding(world.in_order("v2"), world.now):
        output: dict[str, Any] = job.body["output"]
        # Of the two members the id of a collection that exists wins (doc).
        number = output.get("collectionId") or world.uuid("byoc", job.id)
        shown = found.setdefault(
            number,
            {
                "id": number,
                "name": job.body_at(world.now).get("description") or job.id,
                "s3Bucket": delivery_url(job.body, "v2").split("/")[2],
                "bands": band_names(job.body),
                "requests": [],
                "tiles": 0,
            },
        )
        shown["requests"].append(job.id)
        shown["tiles"] += world.ledger(job).count(PROCESSED, world.now)
    return list(found.values())


def _feeding(jobs: Iterable[Job], now: float) -> Iterable[Job]:
    return (job for job in jobs if feeds(job.body) and job.runs and job.runs[0].begin <= now)
