"""What the analysis of a request finds: errors of the evalscript, tiles, cost, outputs that exist already."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from airflow_sentinelhub.grids.tiling import estimated_count

from . import evalscript
from .area import parse_area
from .bodies import Json, output_size, raster_url, responses_of, storage_url, tiling_of
from .cost import Rates, batch_factor, tile_estimate
from .jobs import Analysis, Generation, Job
from .paths import output_urls
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


def analyse(job: Job, units: Units | None, outputs: Outputs, forced_error: str | None, rates: Rates) -> Analysis:
    """``units`` is None when the GeoPackage of a request is lost; ``forced_error`` comes from a fault."""
    request = job.body["processRequest"]
    identifiers = [response.get("identifier", "default") for response in responses_of(job.body)]
    error = forced_error or evalscript.problem(request["evalscript"], identifiers)
    if units is None:
        url = storage_url(job.body["input"]["features"])
        return Analysis(error or f"The GeoPackage {url} cannot be read.", 0, 0.0, 1.0)
    if error is None and not len(units):
        grid = tiling_of(job.body, job.generation)
        error = f"The area does not touch any tile of tiling grid {grid[0].id if grid else None}."
    existing = _existing(job, units, outputs) if error is None else []
    output: dict[str, Any] = job.body.get("output") or {}
    if existing and not output.get("overwrite") and not output.get("skipExisting"):
        error = f"Output already exists: {existing[0][1]}"
    estimate, factor = _estimate(job, units, rates)
    return Analysis(
        error=error,
        tiles=len(units),
        tile_estimate=estimate,
        factor=factor,
        existing=tuple(index for index, _ in existing) if output.get("skipExisting") else (),
    )


def _estimate(job: Job, units: Units, rates: Rates) -> tuple[float, float]:
    """PU of one tile before the discount, and the discount; for features of many sizes the means."""
    request = job.body["processRequest"]

    def one(width: int, height: int) -> float:
        script, data = request["evalscript"], request["input"]["data"]
        return tile_estimate(width, height, script, data, responses_of(job.body), rates)

    if not isinstance(units, Features):
        width, height = output_size(job.body, job.generation)
        return one(width, height), batch_factor(width * height)
    counts = Counter(zip(units.widths.tolist(), units.heights.tolist(), strict=True))
    before = sum(count * one(*size) for size, count in counts.items())
    after = sum(count * one(*size) * batch_factor(size[0] * size[1]) for size, count in counts.items())
    return before / len(units), after / before


def _existing(job: Job, units: Units, outputs: Outputs) -> list[tuple[int, str]]:
    """Tiles or features of which all outputs are there already, with the address of the first one."""
    if raster_url(job.body, job.generation) is None or len(units) * len(responses_of(job.body)) >= _CHECKED_FILES:
        return []
    found: list[tuple[int, str]] = []
    for index in range(len(units)):
        urls = output_urls(job, units, index)
        if all(outputs.exists(url) for url in urls):
            found.append((index, urls[0]))
    return found
