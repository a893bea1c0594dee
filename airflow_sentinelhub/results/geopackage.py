"""The service's rules for a GeoPackage of features, checked before a request is sent, as far as the file can be read.

From the vendor's documentation: tables by `gpkg_geometry_columns`, polygons in an EPSG CRS; `id` INTEGER; `identifier`
TEXT, not null, unique across tables; `width` and `height` INTEGER up to 3500, or `resolution` REAL, in the file or as
defaults of the request; at most 700,000 features.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

MOST_FEATURES = 700_000
MOST_PIXELS = 3500
_POLYGONS = ("POLYGON", "MULTIPOLYGON", "GEOMETRY")


def complaint_about(path: Path, defaults: Mapping[str, Any] | None = None) -> str | None:
    """What is wrong with the file, as a sentence; None if nothing is.

    :param defaults: `width` and `height`, or `resolution`, of features that name none.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            return next(_complaints(database, dict(defaults or {})), None)
    except sqlite3.Error as err:
        return f"It is no GeoPackage that can be read ({err})."


def _complaints(database: sqlite3.Connection, defaults: dict[str, Any]) -> Iterator[str]:
    tables = database.execute(
        "SELECT g.table_name, upper(g.geometry_type_name), s.organization, s.organization_coordsys_id"
        " FROM gpkg_geometry_columns g LEFT JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id"
    ).fetchall()
    if not tables:
        yield "It has no table with a geometry."
    total = 0
    for table, kind, authority, code in tables:
        if kind not in _POLYGONS:
            yield f"Table {table} holds {kind}; only POLYGON and MULTIPOLYGON work."
        if str(authority).upper() != "EPSG" or not code or int(code) <= 0:
            yield f"Table {table} has no CRS with an EPSG code."
        columns = {row[1].lower() for row in database.execute(f"PRAGMA table_info({_quoted(table)})")}
        if "id" not in columns:
            yield f"Table {table} has no column id (INTEGER, unique)."
        if "identifier" not in columns:
            yield f"Table {table} has no column identifier (TEXT, unique, not null)."
            continue
        yield from _sizes(database, table, columns, defaults)
        total += database.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()[0]
    if total == 0:
        yield "It has no features."
    if total > MOST_FEATURES:
        yield f"It has {total:,} features; at most {MOST_FEATURES:,} are allowed."
    everything = " UNION ALL ".join(f"SELECT identifier FROM {_quoted(table)}" for table, *_ in tables)
    missing = database.execute(f"SELECT count(*) FROM ({everything}) WHERE identifier IS NULL").fetchone()[0]
    if missing:
        yield f"{missing:,} features have no identifier."
    twice = database.execute(
        f"SELECT identifier FROM ({everything}) GROUP BY identifier HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if twice:
        yield f"The identifier {twice[0]!r} is there twice; identifiers must be unique across all tables."


def _sizes(database: sqlite3.Connection, table: str, columns: set[str], defaults: Mapping[str, Any]) -> Iterator[str]:
    sized = {"width", "height"} <= columns
    if sized:
        large = database.execute(
            f"SELECT count(*) FROM {_quoted(table)} WHERE NOT (width BETWEEN 1 AND {MOST_PIXELS})"
            f" OR NOT (height BETWEEN 1 AND {MOST_PIXELS})"
        ).fetchone()[0]
        if large:
            yield f"Table {table}: {large:,} features are not 1 to {MOST_PIXELS} pixels wide and high."
    if defaults:
        return
    known = [name for name in ("width", "height", "resolution") if name in columns]
    if not sized and "resolution" not in columns:
        yield f"Table {table} has neither width and height nor resolution; add them, or give defaults."
        return
    pair = "(width IS NOT NULL AND height IS NOT NULL)" if sized else "0"
    single = "resolution IS NOT NULL" if "resolution" in known else "0"
    bare = database.execute(f"SELECT count(*) FROM {_quoted(table)} WHERE NOT ({pair} OR {single})").fetchone()[0]
    if bare:
        yield f"Table {table}: {bare:,} features have neither width and height nor resolution, nor a default."


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
