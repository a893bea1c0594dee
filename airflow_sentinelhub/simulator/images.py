"""The outputs themselves: small, but real GeoTIFFs and JSON files, for tests that read what a job delivers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from pyproj import CRS

from .bodies import raster_url, responses_of
from .geotiff import geotiff
from .jobs import Job
from .paths import output_url
from .units import Units, extent, sizes

# Pixels: an image shows the whole extent of its tile, but with no longer a side than this.
LONGEST_SIDE = 64


def images(job: Job, units: Units, indices: list[int]) -> Iterator[tuple[str, bytes]]:
    """Address and content of each output of these tiles or features. Nothing for zarr."""
    if raster_url(job.body, job.generation) is None:
        return
    widths, heights = sizes(units, job.body, job.generation)
    geographic = {int(code): bool(CRS.from_epsg(int(code)).is_geographic) for code in np.unique(units.crs)}
    for index in indices:
        width, height, crs = int(widths[index]), int(heights[index]), int(units.crs[index])
        shrink = min(1.0, LONGEST_SIDE / max(width, height))
        columns, rows = max(1, round(width * shrink)), max(1, round(height * shrink))
        picture: bytes | None = None
        for response in responses_of(job.body):
            kind = response.get("format", {}).get("type")
            if kind == "application/json":
                content = {"requestId": job.id, "tileName": units.name(index)}
                yield output_url(job, units, index, response), json.dumps(content).encode()
                continue
            if picture is None:
                bounds = extent(units, index, job.body, job.generation)
                pixels = _slope(columns, rows)
                picture = geotiff(pixels, columns, rows, bounds, crs, geographic=geographic[crs])
            yield output_url(job, units, index, response), picture


def _slope(columns: int, rows: int) -> bytes:
    """From dark in the upper left to light in the lower right; never 0, which many take for no data."""
    across, down = np.linspace(0, 127, columns), np.linspace(1, 128, rows)
    return (down[:, None] + across[None, :]).astype(np.uint8).tobytes()
