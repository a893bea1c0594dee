"""Reads the feature manifest, which lists the features and the paths of their outputs. Works on a local copy.

A GeoPackage with tables `feature_<crs-id>`; columns `fid`, `outputId`, `identifier`, `path`, `width`, `height`,
`geometry`; one row for each feature AND output (the service's documentation). For zarr `path` is that of the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from airflow_sentinelhub.results._geometry import outer_rings
from airflow_sentinelhub.results._sqlite import TEXT, Database, DatabaseFile, opened, quoted

_ANYTHING = frozenset({"null", "integer", "real", "text", "blob"})
_COLUMNS = {"identifier": TEXT, "outputId": TEXT, "path": TEXT, "width": _ANYTHING, "height": _ANYTHING}
_TABLE = re.compile(r"feature_([0-9]{1,9})")


@dataclass(frozen=True)
class ManifestFeature:
    """A tile or a feature of the user's GeoPackage.

    :param paths: URL of each output by its id.
    :param width, height: pixels of the outputs, with buffers.
    :param crs: EPSG code.
    """

    name: str
    paths: dict[str, str] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None
    crs: int | None = None


def source(path: Path, request_id: str, url: str = "") -> DatabaseFile:
    """The file, for the readers below."""
    return DatabaseFile(path, "feature manifest", request_id, url)


def read_manifest(file: DatabaseFile) -> Iterator[ManifestFeature]:
    """All features, ordered by name, one at a time.

    :raises ResultsError: the file cannot be read.
    """
    with opened(file) as database:
        tables = _tables(file, database)
        parts = (
            f"SELECT identifier, outputId, path, width, height, {crs} FROM {quoted(name)}"
            for name, crs in tables.items()
        )
        rows = database.rows(" UNION ALL ".join(parts) + " ORDER BY 1 COLLATE BINARY")
        for name, group in groupby(rows, key=lambda row: str(row[0])):
            yield _feature(name, group)


def read_outlines(file: DatabaseFile) -> Iterator[tuple[str, int, list[list[tuple[float, float]]]]]:
    """Name, EPSG code and outer rings of each feature, once, in no order.

    The rings are empty where the geometry is missing or is no polygon.

    :raises ResultsError: the file cannot be read.
    """
    with opened(file) as database:
        for table, crs in _tables(file, database).items():
            if "geometry" not in {name.lower() for name in database.columns_of(table)}:
                continue
            rows = database.rows(f"SELECT identifier, geometry FROM {quoted(table)} GROUP BY identifier")
            for name, blob in rows:
                yield str(name), crs, outer_rings(blob)


def count_features(file: DatabaseFile) -> int:
    """How many features there are, by name."""
    with opened(file) as database:
        parts = (f"SELECT identifier FROM {quoted(name)}" for name in _tables(file, database))
        rows = database.rows(f"SELECT count(DISTINCT identifier COLLATE BINARY) FROM ({' UNION ALL '.join(parts)})")
        return next(int(count) for (count,) in rows)


def pixel_sizes(file: DatabaseFile) -> list[tuple[int, int, int]]:
    """How many features there are of each size: width and height in pixels, with buffers, and the number.

    A row without a size is that of an output without pixels (`userdata`), if its feature has others.

    :raises ResultsError: the file cannot be read, or a feature has no size.
    """
    total = count_features(file)
    with opened(file) as database:
        parts = (f"SELECT identifier, width, height FROM {quoted(name)}" for name in _tables(file, database))
        each = f"SELECT DISTINCT identifier COLLATE BINARY, width, height FROM ({' UNION ALL '.join(parts)})"
        rows = list(database.rows(f"SELECT width, height, count(*) FROM ({each}) GROUP BY 1, 2"))
    sizes = [(_whole(width), _whole(height), int(count)) for width, height, count in rows]
    found = [(width, height, count) for width, height, count in sizes if width and height and min(width, height) > 0]
    if sum(count for _, _, count in found) < total:
        raise file.error("it has a feature without width and height in pixels.")
    return found


def has_feature(file: DatabaseFile, name: str) -> bool:
    """Whether there is a feature with this name, by one look-up in each table."""
    with opened(file) as database:
        tables = _tables(file, database)
        return any(database.rows_named("1", table, "identifier", name) for table in tables)


def _feature(name: str, rows: Iterator[Any]) -> ManifestFeature:
    paths: dict[str, str] = {}
    last: Any = (None,) * 6
    for last in rows:
        paths[str(last[1])] = str(last[2])
    _, _, _, width, height, crs = last
    return ManifestFeature(name, paths, _whole(width), _whole(height), _whole(crs))


def _whole(value: Any) -> int | None:
    """The value if it is a whole number; None for any other value, which is treated as unknown."""
    return value if isinstance(value, int) else None


def _tables(file: DatabaseFile, database: Database) -> dict[str, int]:
    """The feature tables and the EPSG codes in their names."""
    found = {name: int(match[1]) for name in database.names() if (match := _TABLE.fullmatch(name))}
    if not found:
        raise file.error("it has another schema, without a table 'feature_<crs>'.")
    for name in found:
        database.require(name, _COLUMNS)
    return found
