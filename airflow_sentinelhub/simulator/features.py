"""The GeoPackage that a v2 task takes instead of a tiling grid: read, checked by the documented rules, cut to the area.

doc: feature tables of any name; shapes are polygons or multipolygons in a CRS of EPSG; columns ``id`` (whole numbers,
unique), ``identifier`` (text, unique across tables), and ``width`` with ``height``, or ``resolution``, unless the task
brings defaults. The wording of the refusals is ours, none was recorded.
"""

from __future__ import annotations

import math
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import shapely
from pyproj.exceptions import ProjError
from shapely import GeometryType
from shapely.geometry.base import BaseGeometry

from airflow_sentinelhub.grids.projection import WGS84, reproject

from .area import FARTHEST, epsg_code
from .bodies import Json
from .gpkg import wkb_of
from .units import Features

MOST_FEATURES = 700_000
# Ours, for reading a file: some hundred thousand features take a few.
LONGEST_SECONDS = 20.0
LARGEST_SIDE = 3500
_KINDS = ("POLYGON", "MULTIPOLYGON")
_SIZES = ("width", "height", "resolution")


class FeaturesError(ValueError):
    """The GeoPackage breaks a rule; the text is one sentence."""


@dataclass(frozen=True)
class _Table:
    name: str
    geometry: str
    crs: int
    columns: frozenset[str]


def read_features(
    content: bytes, defaults: Json | None, area: BaseGeometry | None, most: int = MOST_FEATURES
) -> Features:
    """The features that touch the area (longitude and latitude; None: all), in the order of the file.

    :param defaults: ``width`` and ``height`` or ``resolution`` for features that have none.
    :raises FeaturesError: a rule is broken, or nothing is left to process.
    """
    rows = list(_rows(content, most))
    _check_unique(rows)
    if area is not None:
        rows = _touching(rows, area)
    if not rows:
        raise FeaturesError("The GeoPackage has no features" + ("." if area is None else " that touch the area."))
    pixels = [_pixels(row, defaults or {}) for row in rows]
    polygons = np.empty(len(rows), dtype=object)
    polygons[:] = [row.shape for row in rows]
    return Features(
        crs=np.array([row.crs for row in rows], dtype=np.int64),
        names=tuple(row.identifier for row in rows),
        polygons=polygons,
        widths=np.array([width for width, _ in pixels], dtype=np.int64),
        heights=np.array([height for _, height in pixels], dtype=np.int64),
        numbers=np.array([row.id for row in rows], dtype=np.int64),
    )


@dataclass(frozen=True)
class _Row:
    table: str
    crs: int
    id: int
    identifier: str
    shape: BaseGeometry
    width: Any
    height: Any
    resolution: Any


def _rows(content: bytes, most: int) -> Iterator[_Row]:
    handle, path = tempfile.mkstemp(suffix=".gpkg")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Read-only, and given up when it takes too long: a file can hold views and indexes that never end.
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            deadline = time.monotonic() + LONGEST_SECONDS
            database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            tables = list(_tables(database))
            total = sum(
                database.execute(f"SELECT count(*) FROM {_quoted(table.name)}").fetchone()[0] for table in tables
            )
            if total > most:
                raise FeaturesError(f"The GeoPackage has {total} features, more than the {most} allowed.")
            for table in tables:
                yield from _rows_of(database, table)
    except (sqlite3.Error, UnicodeError):
        raise FeaturesError("The file is not a valid GeoPackage.") from None
    finally:
        os.unlink(path)


def _tables(database: sqlite3.Connection) -> Iterator[_Table]:
    found = database.execute(
        "SELECT c.table_name, g.column_name, g.geometry_type_name, s.organization, s.organization_coordsys_id "
        "FROM gpkg_contents c JOIN gpkg_geometry_columns g ON g.table_name = c.table_name "
        "LEFT JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id WHERE c.data_type = 'features' ORDER BY c.rowid"
    ).fetchall()
    if not found:
        raise FeaturesError("The GeoPackage has no feature table.")
    for name, column, kind, organization, code in found:
        if str(kind).upper() not in _KINDS:
            raise FeaturesError(f"Table {name} holds geometries of type {kind}, not POLYGON or MULTIPOLYGON.")
        crs = (
            epsg_code(f"http://www.opengis.net/def/crs/EPSG/0/{code}") if str(organization).upper() == "EPSG" else None
        )
        if crs is None:
            raise FeaturesError(f"The CRS of table {name} is not one of EPSG.")
        columns = frozenset(row[1] for row in database.execute(f"PRAGMA table_info({_quoted(name)})"))
        for required in ("id", "identifier"):
            if required not in columns:
                raise FeaturesError(f"Table {name} has no column {required}.")
        yield _Table(str(name), str(column), crs, columns)


def _rows_of(database: sqlite3.Connection, table: _Table) -> Iterator[_Row]:
    chosen = ["id", "identifier", _quoted(table.geometry)]
    chosen += [name if name in table.columns else "NULL" for name in _SIZES]
    for number, identifier, blob, *size in database.execute(f"SELECT {', '.join(chosen)} FROM {_quoted(table.name)}"):
        where = f"Table {table.name}, feature {identifier or number}:"
        if not isinstance(number, int):
            raise FeaturesError(f"{where} id is not a whole number.")
        if not isinstance(identifier, str) or not identifier:
            raise FeaturesError(f"{where} identifier is not a text.")
        yield _Row(table.name, table.crs, number, identifier, _shape(blob, where), *size)


def _shape(blob: Any, where: str) -> BaseGeometry:
    try:
        wkb = wkb_of(blob)
        # Odd numbers are looked at below; no warning of them is wanted.
        with np.errstate(all="ignore"):
            shape = None if wkb is None else shapely.from_wkb(wkb)
        # By number: shapely has no names, and no answers to other questions, for curves, which its library can read.
        kind = None if shape is None else int(shapely.get_type_id(shape))
    except NotImplementedError:
        raise FeaturesError(f"{where} the geometry is a curve, not a polygon or multipolygon.") from None
    except (ValueError, shapely.errors.ShapelyError):
        raise FeaturesError(f"{where} the geometry cannot be read.") from None
    if shape is None or kind is None:
        raise FeaturesError(f"{where} the geometry is empty.")
    if kind not in (GeometryType.POLYGON, GeometryType.MULTIPOLYGON):
        name = shape.geom_type if kind in list(GeometryType) else "curve"
        raise FeaturesError(f"{where} the geometry is a {name}, not a polygon or multipolygon.")
    if shape.is_empty:
        raise FeaturesError(f"{where} the geometry is empty.")
    polygon: BaseGeometry = shape
    # Also false for what is no number.
    if not (np.abs(shapely.get_coordinates(polygon)) <= FARTHEST).all():
        raise FeaturesError(f"{where} the geometry has coordinates that lie nowhere on Earth.")
    return polygon


def _check_unique(rows: Sequence[_Row]) -> None:
    ids: set[tuple[str, int]] = set()
    identifiers: set[str] = set()
    for row in rows:
        if (row.table, row.id) in ids:
            raise FeaturesError(f"Table {row.table}: id {row.id} is not unique.")
        if row.identifier in identifiers:
            raise FeaturesError(f"The identifier {row.identifier} is not unique.")
        ids.add((row.table, row.id))
        identifiers.add(row.identifier)


def _touching(rows: Sequence[_Row], area: BaseGeometry) -> list[_Row]:
    shapely.prepare(area)
    return [row for row in rows if _touches(row, area)]


def _touches(row: _Row, area: BaseGeometry) -> bool:
    try:
        return bool(area.intersects(reproject(row.shape, row.crs, WGS84)))
    except (ProjError, shapely.errors.ShapelyError):
        raise FeaturesError(
            f"Table {row.table}, feature {row.identifier}: the geometry cannot be brought to longitude and latitude."
        ) from None


def _pixels(row: _Row, defaults: Json) -> tuple[int, int]:
    """Width and height: the feature's own before its resolution, both before the task's defaults (doc)."""
    where = f"Table {row.table}, feature {row.identifier}:"
    width, height, resolution = row.width, row.height, row.resolution
    if (width is None) != (height is None):
        raise FeaturesError(f"{where} width and height must be given together.")
    if width is None and resolution is None:
        width, height = defaults.get("width"), defaults.get("height")
        resolution = defaults.get("resolution")
    if width is None:
        if resolution is None:
            raise FeaturesError(f"{where} neither width and height nor resolution are given.")
        if not isinstance(resolution, int | float) or not resolution > 0:
            raise FeaturesError(f"{where} resolution is not a number above 0.")
        west, south, east, north = row.shape.bounds
        # At least one pixel; a small excess over a whole number comes from the coordinates, not from the shape.
        exact = [max(1.0, side / resolution - 1e-6) for side in (east - west, north - south)]
        width, height = (math.ceil(side) if side < math.inf else side for side in exact)
    for name, value in (("width", width), ("height", height)):
        if not isinstance(value, int) or not 1 <= value <= LARGEST_SIDE:
            raise FeaturesError(f"{where} {name} is {value} pixels, not a whole number from 1 to {LARGEST_SIDE}.")
    return width, height


def _quoted(name: str) -> str:
    return '"' + str(name).replace('"', '""') + '"'
