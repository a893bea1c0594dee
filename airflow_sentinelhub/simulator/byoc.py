"""Collections of the user's own data (BYOC) that tasks of v2 deliver into.

The service takes the bands of such a collection from the outputs: an output ``result`` with three bands makes
``result``, ``result2`` and ``result3`` (doc). No member of a task names the collection that was made for it, so the
control plane lists them. Nothing is stored: which there are follows from the tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .bodies import Json, delivery_url, responses_of
from .jobs import Job
from .ledger import PROCESSED
from .script_outputs import ScriptOutput, script_outputs

if TYPE_CHECKING:
    from .world import World


def band_names(body: Json) -> list[str]:
    """Bands of the collection that a task delivers into, in the order of its outputs; some twice where they clash."""
    outputs = script_outputs(body["processRequest"]["evalscript"])
    names: list[str] = []
    for response in responses_of(body):
        name = response.get("identifier", "default")
        if name != "userdata":
            count = outputs.get(name, ScriptOutput()).bands
            names += [name, *(f"{name}{number}" for number in range(2, count + 1))]
    return names


def clash(body: Json) -> str | None:
    """The first band that two outputs would make."""
    names = band_names(body)
    return next((name for index, name in enumerate(names) if name in names[:index]), None)


def feeds(body: Json) -> bool:
    """Whether the task of this body delivers into a collection."""
    output = body.get("output") or {}
    return bool(output.get("createCollection")) or output.get("collectionId") is not None


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
