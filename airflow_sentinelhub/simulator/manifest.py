"""What v2's analysis leaves in the bucket: the feature manifest, a GeoPackage (doc).

Tables ``feature_<crs-id>``, one row for each feature AND output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely

from airflow_sentinelhub.grids.tiling import Ints

from .bodies import responses_of
from .gpkg import Layer, geometry, geopackage
from .jobs import Job
from .paths import output_url
from .units import Units, shapes, sizes

_COLUMNS = (
    ("outputId", "TEXT"),
    ("identifier", "TEXT"),
    ("path", "TEXT"),
    ("width", "INTEGER"),
    ("height", "INTEGER"),
    ("geometry", "GEOMETRY"),
)


def feature_manifest(job: Job, units: Units) -> bytes:
    """The file."""
    return geopackage(_layer(job, units, int(code)) for code in np.unique(units.crs))


def _layer(job: Job, units: Units, code: int) -> Layer:
    chosen = np.flatnonzero(units.crs == code)
    outlines = shapes(units)[chosen]
    west, south, east, north = (float(side) for side in shapely.total_bounds(outlines))
    return Layer(
        name=f"feature_{code}",
        crs=code,
        columns=_COLUMNS,
        rows=_rows(job, units, chosen, outlines, code),
        bounds=(west, south, east, north),
    )


def _rows(job: Job, units: Units, chosen: Ints, outlines: Any, code: int) -> Iterator[Sequence[Any]]:
    responses = responses_of(job.body)
    widths, heights = sizes(units, job.body, job.generation)
    shapes_wkb, boxes = shapely.to_wkb(outlines, byte_order=1), shapely.bounds(outlines)
    for position, index in enumerate(chosen.tolist()):
        name, blob = units.name(index), geometry(shapes_wkb[position], code, boxes[position])
        for response in responses:
            yield (
                str(response.get("identifier", "default")),
                name,
                output_url(job, units, index, response),
                int(widths[index]),
                int(heights[index]),
                blob,
            )
