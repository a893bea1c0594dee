"""The features of a GeoPackage: names, outlines and sizes in pixels, as batch v2 processes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.grids.projection import WGS84, reproject
from airflow_sentinelhub.preview.shape import rings_of, square_kilometres
from airflow_sentinelhub.results._sqlite import ANY_BUT_BINARY, TEXT, Database, DatabaseFile, opened, quoted
from airflow_sentinelhub.results.feature_sizes import feature_sizes

_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_ALMOST = 1e-6
_SIZES = ("width", "height", "resolution")


@dataclass(frozen=True)
class Features:
    """The features of a job.

    :param sizes: how many there are of each width and height.
    :param outlines: one ring each, longitude and latitude.
    """

    names: list[str]
    outlines: list[list[tuple[float, float]]]
    sizes: list[tuple[int, int, int]]
    area_km2: float


def features_of(path: Path, payload: Mapping[str, Any], area: BaseGeometry | None, *, statistical: bool) -> Features:
    """The features that are processed: those that touch the area, where there is one, each of them whole.

    :param payload: of the create call, whose defaults or aggregation say how large a feature is in pixels.
    :raises ResultsError: the file cannot be read.
    :raises InvalidInputError: a feature cannot be.
    """
    source = DatabaseFile(path, "GeoPackage", "of this job", str(path))
    defaults = (payload.get("input") or {}).get("defaults") or {}
    names, outlines, total = list[str](), list[list[tuple[float, float]]](), 0.0
    counts: Counter[tuple[int, int]] = Counter()
    with opened(source) as database:
        for name, shape, code, size in _rows(database):
            try:
                flat = reproject(shape, code, WGS84)
            except (ProjError, shapely.errors.ShapelyError):
                raise InvalidInputError(f"Feature {name} cannot be brought to longitude and latitude.") from None
            if area is not None and not area.intersects(flat):
                continue
            names.append(name)
            outlines.append(rings_of(flat)[0])
            total += square_kilometres(flat)
            if not statistical:
                counts[_pixels(name, shape, size, defaults)] += 1
    if statistical:
        return Features(names, outlines, feature_sizes(source, payload.get("aggregation") or {}), total)
    return Features(names, outlines, [(width, height, count) for (width, height), count in counts.items()], total)


def _rows(database: Database) -> Iterator[tuple[str, BaseGeometry, int, dict[str, Any]]]:
    database.require("gpkg_geometry_columns", {"table_name": TEXT, "column_name": TEXT, "srs_id": ANY_BUT_BINARY})
    codes = dict(database.rows("SELECT srs_id, organization_coordsys_id FROM gpkg_spatial_ref_sys"))
    tables = list(database.rows("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns"))
    for table, column, number in tables:
        there = {str(name).lower() for name in database.columns_of(str(table))}
        sizes = ", ".join(name if name in there else "NULL" for name in _SIZES)
        sql = f"SELECT identifier, {quoted(str(column))}, {sizes} FROM {quoted(str(table))}"
        for name, blob, *size in database.rows(sql):
            yield (
                str(name),
                _shape(str(name), blob),
                int(codes.get(number) or number),
                dict(zip(_SIZES, size, strict=True)),
            )


def _shape(name: str, blob: Any) -> BaseGeometry:
    try:
        start = 8 + _ENVELOPES[blob[3] >> 1 & 0b111]
        shape: BaseGeometry = shapely.from_wkb(blob[start:])
    except (TypeError, IndexError, KeyError, ValueError, NotImplementedError, shapely.errors.ShapelyError):
        raise InvalidInputError(f"The geometry of feature {name} cannot be read.") from None
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise InvalidInputError(f"The geometry of feature {name} is no polygon.")
    return shape


def _pixels(name: str, shape: BaseGeometry, own: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height: the feature's own come before its resolution, both before the defaults of the request."""
    width, height, resolution = (own[each] for each in _SIZES)
    if width is None and height is None and resolution is None:
        width, height, resolution = (defaults.get(each) for each in _SIZES)
    if width is not None and height is not None:
        return int(width), int(height)
    if not isinstance(resolution, int | float) or not resolution > 0:
        raise InvalidInputError(f"Feature {name} has neither width and height nor resolution.")
    west, south, east, north = shape.bounds
    return tuple(max(1, math.ceil(side / resolution - _ALMOST)) for side in (east - west, north - south))  # type: ignore[return-value]
