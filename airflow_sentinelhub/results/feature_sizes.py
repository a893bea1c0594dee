"""The features of a GeoPackage by their size in pixels, as an aggregation (batch statistical) divides them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.results._geometry import GeometryError, geometry_of
from airflow_sentinelhub.results._sqlite import ANY_BUT_BINARY, TEXT, DatabaseFile, opened, quoted

_DEFAULT_SIDE = 256
_ALMOST = 1e-6


def feature_sizes(file: DatabaseFile, aggregation: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """How many features there are of each size: width and height in pixels, and the number.

    :param aggregation: of the payload, with `width` and `height`, or `resx` and `resy` in units of the CRS.
    :raises ResultsError: the file cannot be read.
    """
    x, y = (_positive(aggregation.get(name)) for name in ("resx", "resy"))
    x, y = x or y, y or x
    counts: Counter[tuple[int, int]] = Counter()
    with opened(file) as database:
        database.require("gpkg_geometry_columns", {"table_name": TEXT, "column_name": TEXT})
        tables = list(database.rows("SELECT table_name, column_name FROM gpkg_geometry_columns"))
        for name, column in tables:
            database.require(str(name), {str(column).lower(): ANY_BUT_BINARY | {"blob"}})
            if x is None or y is None:
                side = tuple(int(_positive(aggregation.get(each)) or _DEFAULT_SIDE) for each in ("width", "height"))
                (total,) = next(iter(database.rows(f"SELECT count(*) FROM {quoted(str(name))}")))
                counts[(side[0], side[1])] += int(total)
                continue
            for (blob,) in database.rows(f"SELECT {quoted(str(column))} FROM {quoted(str(name))}"):
                try:
                    size = geometry_of(blob).size if isinstance(blob, bytes) else None
                except GeometryError as err:
                    raise file.error(f"the geometry of a feature {err}.") from None
                if size is None:
                    raise file.error("a feature has no polygon.")
                counts[(_pixels(size[0], x), _pixels(size[1], y))] += 1
    return [(width, height, count) for (width, height), count in counts.items() if count]


def _pixels(length: float, resolution: float) -> int:
    """At least one pixel; a small excess over a whole number comes from the coordinates, not from the shape."""
    return max(1, math.ceil(length / resolution - _ALMOST))


def _positive(value: Any) -> float | None:
    """A length; a negative resolution is one, too (the service's y axis)."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return abs(float(value)) or None if is_number else None
