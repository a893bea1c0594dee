"""GeoPackages: their geometries and their tables, by nothing but SQLite and the well-known binary (WKB) of shapes.

The layout is that of the OGC GeoPackage Encoding Standard 1.3 (OGC 12-128r17): an SQLite file with an application id, a
table of contents, a table of coordinate systems, and geometries as WKB behind a small header.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyproj import CRS

APPLICATION_ID = 0x47504B47  # "GPKG"
USER_VERSION = 10300
# Bytes of the envelope, by the indicator in a geometry's flags.
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_EMPTY = 0x10

_SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL, CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
INSERT INTO gpkg_spatial_ref_sys VALUES
  ('Undefined cartesian SRS', -1, 'NONE', -1, 'undefined', 'undefined cartesian coordinate reference system'),
  ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', 'undefined geographic coordinate reference system');
"""


@dataclass(frozen=True)
class Layer:
    """A feature table to write: its columns (name and type, without the first, ``fid``), and its rows in their order.

    ``bounds``: west, south, east, north of all of it, in the CRS with the EPSG code ``crs``.
    """

    name: str
    crs: int
    columns: Sequence[tuple[str, str]]
    rows: Iterable[Sequence[Any]]
    bounds: tuple[float, float, float, float]
    geometry_column: str = "geometry"
    geometry_type: str = "GEOMETRY"


def geometry(wkb: bytes, crs: int, bounds: Sequence[float]) -> bytes:
    """A shape as GeoPackages hold it: header with the box (west, south, east, north), then little-endian WKB."""
    west, south, east, north = bounds
    return struct.pack("<2sBBi4d", b"GP", 0, 0b11, crs, west, east, south, north) + wkb


def wkb_of(blob: Any) -> bytes | None:
    """The WKB in a geometry; None for an empty one, ValueError for what is no geometry."""
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:2] != b"GP":
        raise ValueError("not a GeoPackage geometry")
    flags = blob[3]
    size = _ENVELOPES.get(flags >> 1 & 0b111)
    if size is None or len(blob) < 8 + size:
        raise ValueError("not a GeoPackage geometry")
    return None if flags & _EMPTY else blob[8 + size :]


def geopackage(layers: Iterable[Layer]) -> bytes:
    """The file."""

    def fill(database: sqlite3.Connection) -> None:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {USER_VERSION}")
        database.executescript(_SCHEMA)
        known: set[int] = set()
        for layer in layers:
            for code in {4326, layer.crs} - known:
                _add_crs(database, code)
                known.add(code)
            _add_layer(database, layer)

    return database_file(fill)


def _add_crs(database: sqlite3.Connection, code: int) -> None:
    crs = CRS.from_epsg(code)
    # Old style text, which is what this version of the standard asks for; 4326 has it in a fixed form.
    definition = crs.to_wkt("WKT1_GDAL")
    database.execute(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, 'EPSG', ?, ?, NULL)", (crs.name, code, code, definition)
    )


def _add_layer(database: sqlite3.Connection, layer: Layer) -> None:
    name, quoted = layer.name, _quoted(layer.name)
    columns = "".join(f", {_quoted(column)} {kind}" for column, kind in layer.columns)
    database.execute(f"CREATE TABLE {quoted} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL{columns})")
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, srs_id) "
        "VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
        (name, name, *layer.bounds, layer.crs),
    )
    database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, ?, ?, ?, 0, 0)",
        (name, layer.geometry_column, layer.geometry_type, layer.crs),
    )
    names = ", ".join(_quoted(column) for column, _ in layer.columns)
    marks = ", ".join("?" for _ in layer.columns)
    database.executemany(f"INSERT INTO {quoted} ({names}) VALUES ({marks})", layer.rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def database_file(fill: Callable[[sqlite3.Connection], None]) -> bytes:
    """The bytes of a fresh SQLite database that ``fill`` has filled."""
    handle, path = tempfile.mkstemp(suffix=".sqlite")
    os.close(handle)
    try:
        with closing(sqlite3.connect(path)) as database:
            # Nobody needs to recover a file that is thrown away in a moment.
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            fill(database)
            database.commit()
        return Path(path).read_bytes()
    finally:
        os.unlink(path)
