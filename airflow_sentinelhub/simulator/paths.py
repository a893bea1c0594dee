"""Where each output of each tile or feature of a request is written."""

from __future__ import annotations

from collections.abc import Iterator

from .bodies import Json, delivery_url, raster_url, responses_of
from .delivery import object_url, root
from .jobs import Job
from .units import Units


def output_url(job: Job, units: Units, index: int, response: Json) -> str:
    """The object; for zarr, which is one folder for all, that folder."""
    url = raster_url(job.body, job.generation)
    if url is None:
        return delivery_url(job.body, job.generation).replace("<requestId>", job.id)
    return object_url(_own_path(job, response) or url, job.id, (int(units.ids[index]), units.name(index)), response)


def output_urls(job: Job, units: Units, index: int) -> list[str]:
    """All objects of one tile or feature."""
    return [output_url(job, units, index, response) for response in responses_of(job.body)]


def fixed_part(job: Job) -> str | None:
    """The beginning that all paths of the request's outputs share; None for zarr."""
    url = raster_url(job.body, job.generation)
    if url is None:
        return None
    if "<" not in url:
        url = url.rstrip("/") + "/<requestId>"
    return url.replace("<requestId>", job.id).partition("<")[0]


def file_url(job: Job, name: str) -> str:
    """An object about the request itself, such as ``request-<id>.json``, at the root of the delivery."""
    return f"{root(delivery_url(job.body, job.generation), job.id)}/{name}"


def _own_path(job: Job, response: Json) -> str | None:
    """v1 may have a path for each response (contract)."""
    if job.generation != "v1":
        return None
    responses = (job.body.get("output") or {}).get("responses") or []
    own: Iterator[str] = (
        item["tilePath"]
        for item in responses
        if item.get("tilePath") and item.get("identifier", "default") == response.get("identifier", "default")
    )
    return next(own, None)
