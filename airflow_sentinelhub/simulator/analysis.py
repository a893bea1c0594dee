"""What the analysis of a request finds: errors of the evalscript, tiles, cost, outputs that exist already."""

from __future__ import annotations

from typing import Any

from . import evalscript
from .area import parse_area
from .bodies import Json, output_size, raster_url, responses_of, storage_url, tiling_of
from .cost import batch_factor, tile_estimate
from .delivery import Bucket, object_url
from .jobs import Analysis, Generation, Job
from .tiling import TileSet, estimated_count

# contract: whether outputs exist is checked only for fewer files than this.
_CHECKED_FILES = 5000


def estimated_tiles(body: Json, generation: Generation) -> int:
    """What the service can say about the number of tiles before analysis; 0 for a GeoPackage."""
    wanted = tiling_of(body, generation)
    return estimated_count(parse_area(wanted[1]), wanted[0]) if wanted else 0


def analyse(job: Job, tiles: TileSet | None, bucket: Bucket, forced_error: str | None) -> Analysis:
    """``tiles`` is None for a request over a GeoPackage; ``forced_error`` comes from a fault."""
    request = job.body["processRequest"]
    responses = responses_of(job.body)
    identifiers = [response.get("identifier", "default") for response in responses]
    error = forced_error or evalscript.problem(request["evalscript"], identifiers)
    if tiles is None:
        url = storage_url(job.body["input"]["features"])
        return Analysis(error or f"The GeoPackage {url} cannot be read.", 0, 0.0, 1.0)
    if error is None and not len(tiles):
        error = f"The area does not touch any tile of tiling grid {tiles.grid.id}."
    width, height = output_size(job.body, job.generation)
    existing = _existing(job, tiles, responses, bucket) if error is None else []
    output: dict[str, Any] = job.body.get("output") or {}
    if existing and not output.get("overwrite") and not output.get("skipExisting"):
        error = f"Output already exists: {existing[0][1]}"
    return Analysis(
        error=error,
        tiles=len(tiles),
        tile_estimate=tile_estimate(width, height, request["evalscript"], request["input"]["data"]),
        factor=batch_factor(width * height),
        existing=tuple(index for index, _ in existing) if output.get("skipExisting") else (),
    )


def _existing(job: Job, tiles: TileSet, responses: list[Json], bucket: Bucket) -> list[tuple[int, str]]:
    """Tiles of which all outputs lie in the bucket already, with the address of the first one."""
    url = raster_url(job.body, job.generation)
    if url is None or len(tiles) * len(responses) >= _CHECKED_FILES:
        return []
    found: list[tuple[int, str]] = []
    for index in range(len(tiles)):
        tile = (int(tiles.ids[index]), tiles.name(index))
        urls = [object_url(url, job.id, tile, response) for response in responses]
        if all(bucket.exists(address) for address in urls):
            found.append((index, urls[0]))
    return found
