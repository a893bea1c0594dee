"""What the analysis of a request finds: errors of the evalscript, tiles, cost, outputs that exist already."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from airflow_sentinelhub.grids.tiling import estimated_count

from . import byoc, data_sources, evalscript
from .area import parse_area
from .bodies import Json, output_size, raster_url, responses_of, storage_url, tiling_of
from .cost import Rates, batch_factor, tile_estimate
from .deployments import Deployment
from .jobs import Analysis, Generation, Job
from .paths import output_urls
from .script_outputs import script_outputs
from .transfer import transfer_pu
from .units import Features, Units

# contract: whether outputs exist is checked only for fewer files than this.
_CHECKED_FILES = 5000


class Outputs(Protocol):
    """Knows which outputs are there already."""

    def exists(self, url: str) -> bool:
        """Whether there is such an object."""


def estimated_tiles(body: Json, generation: Generation) -> int:
    """What the service can say about the number of tiles before analysis; 0 for a GeoPackage."""
    wanted = tiling_of(body, generation)
    return estimated_count(parse_area(wanted[1]), wanted[0]) if wanted else 0


def analyse(
    job: Job, units: Units | None, outputs: Outputs, forced_error: str | None, rates: Rates, place: Deployment
) -> Analysis:
    """``units`` is None when the GeoPackage of a request is lost; ``forced_error`` comes from a fault."""
    request = job.body["processRequest"]
    identifiers = [response.get("identifier", "default") for response in responses_of(job.body)]
    error = (
        forced_error
        or evalscript.problem(request["evalscript"], identifiers)
        or data_sources.problem(request["input"]["data"], request["evalscript"])
        or _wrong_outputs(job)
    )
    if units is None:
        url = storage_url(job.body["input"]["features"])
        return Analysis(error or f"The GeoPackage {url} cannot be read.", 0, 0.0, 1.0)
    if error is None and not len(units):
        grid = tiling_of(job.body, job.generation)
        error = f"The area does not touch any tile of tiling grid {grid[0].id if grid else None}."
    existing: list[int] = []
    if error is None:
        existing, clash = _existing(job, units, outputs)
        error = None if clash is None else f"Output already exists: {clash}"
    estimate, factor = _estimate(job, units, rates, place)
    return Analysis(
        error=error,
        tiles=len(units),
        tile_estimate=estimate,
        factor=factor,
        existing=tuple(existing),
    )


def _wrong_outputs(job: Job) -> str | None:
    """What the script's outputs cannot be delivered as (doc). The wording is ours, no message was recorded."""
    body, generation = job.body, job.generation
    outputs = script_outputs(body["processRequest"]["evalscript"])
    asked = [response.get("identifier", "default") for response in responses_of(body)]
    chosen = {name: outputs[name] for name in asked if name in outputs and name != "userdata"}
    many = next((name for name, output in chosen.items() if output.bands > 1), None)
    if raster_url(body, generation) is None:
        return None if many is None else f"Output {many} has several bands, zarr output takes one band per output."
    settings: dict[str, Any] = body.get("output") or {}
    signed = next((name for name, output in chosen.items() if output.sample_type == "INT8"), None)
    if settings.get("cogOutput") and signed is not None:
        return f"Output {signed} has sample type INT8, which cogOutput does not support."
    if not byoc.feeds(body):
        return None
    if generation == "v1":
        return None if many is None else f"Output {many} has several bands, a batch collection takes one per output."
    band = byoc.clash(body)
    return None if band is None else f"Several outputs would become band {band} of the collection."


def _estimate(job: Job, units: Units, rates: Rates, place: Deployment) -> tuple[float, float]:
    """PU of one tile before the discount, and the discount; for features of many sizes the means.

    The discount is none on the delivery to another region, which is therefore put in such that it comes out whole.
    """
    request = job.body["processRequest"]

    def one(width: int, height: int) -> float:
        script, data = request["evalscript"], request["input"]["data"]
        pu = tile_estimate(width, height, script, data, responses_of(job.body), rates)
        moved = transfer_pu(job.body, place, width, height) if job.generation == "v2" else 0.0
        return pu + moved / batch_factor(width * height)

    if not isinstance(units, Features):
        width, height = output_size(job.body, job.generation)
        return one(width, height), batch_factor(width * height)
    counts = Counter(zip(units.widths.tolist(), units.heights.tolist(), strict=True))
    before = sum(count * one(*size) for size, count in counts.items())
    after = sum(count * one(*size) * batch_factor(size[0] * size[1]) for size, count in counts.items())
    return before / len(units), after / before


def _existing(job: Job, units: Units, outputs: Outputs) -> tuple[list[int], str | None]:
    """Tiles or features to be skipped, and the first output that is in the way (contract).

    ``skipExisting`` skips those of which all outputs are there. Any other output that is there fails the request,
    unless ``overwrite`` is set.
    """
    if raster_url(job.body, job.generation) is None or len(units) * len(responses_of(job.body)) >= _CHECKED_FILES:
        return [], None
    output: dict[str, Any] = job.body.get("output") or {}
    overwrites, skips = bool(output.get("overwrite")), bool(output.get("skipExisting"))
    skipped: list[int] = []
    for index in range(len(units)):
        urls = output_urls(job, units, index)
        there = [url for url in urls if outputs.exists(url)]
        if skips and len(there) == len(urls):
            skipped.append(index)
        elif there and not overwrites:
            return skipped, there[0]
    return skipped, None
