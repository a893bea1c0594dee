"""The requested area of a payload as a shape in longitude and latitude, and its size.

Read here anew and not by the simulator's code, which stays independent of what it checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import shapely
from pyproj import Geod
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.grids.projection import WGS84, reproject

_EARTH = Geod(ellps="WGS84")
_DENSE = 0.25
"""Degrees between two points of a border: the line between them is straight on the map, not on the globe."""


def shape_of(bounds: Any) -> BaseGeometry:
    """The area of `bounds`; with a box and a geometry it is what lies in both.

    :raises InvalidInputError: it is empty, not valid, or lies outside the world.
    """
    parts: list[BaseGeometry] = []
    try:
        if (box := member(bounds, "bbox")) is not None:
            west, south, east, north = (float(number) for number in box)
            parts.append(shapely.box(west, south, east, north))
        if isinstance(geometry := member(bounds, "geometry"), Mapping):
            parts.append(shape({"type": geometry["type"], "coordinates": geometry["coordinates"]}))
        if not parts:
            raise InvalidInputError("There is no area: give area= or bounds in process_request.")
        for part in parts:
            if not part.is_valid:
                raise InvalidInputError(f"The area is not valid: {shapely.is_valid_reason(part)}.")
        area = parts[0] if len(parts) == 1 else parts[0].intersection(parts[1])
        if area.is_empty or area.area == 0:
            raise InvalidInputError("The requested area is empty.")
        area = reproject(area, _code(bounds), WGS84)
        found = area.bounds
    except (shapely.errors.ShapelyError, ProjError, KeyError, TypeError, ValueError) as err:
        if isinstance(err, InvalidInputError):
            raise
        raise InvalidInputError(f"The area cannot be read: {str(err)[:150].rstrip('.')}.") from None
    if not all(map(math.isfinite, found)) or found[0] < -180.0001 or found[2] > 180.0001 or abs(found[1]) > 90.0001:
        raise InvalidInputError("The area lies outside the world in its CRS.")
    if found[3] > 90.0001:
        raise InvalidInputError("The area lies outside the world in its CRS.")
    return area


def _code(bounds: Any) -> int:
    crs = str(member(bounds, "properties", "crs") or "CRS84").replace("::", "/").rpartition("/")[2]
    if crs.endswith("CRS84"):
        return WGS84
    try:
        return int(crs)
    except (ValueError, CRSError):
        raise InvalidInputError(f"The area has the CRS {crs!r}, which is none of EPSG.") from None


def square_kilometres(area: BaseGeometry) -> float:
    """The size of an area in longitude and latitude on the ellipsoid."""
    polygons = [part for part in shapely.get_parts(area) if part.geom_type == "Polygon" and not part.is_empty]
    dense = (orient(shapely.segmentize(part, _DENSE)) for part in polygons)
    return float(sum(abs(_EARTH.geometry_area_perimeter(part)[0]) for part in dense)) / 1e6


def rings_of(area: BaseGeometry, most: int = 3000) -> list[list[tuple[float, float]]]:
    """The borders of an area for a map, with at most about so many points in all."""
    if int(shapely.get_num_coordinates(area)) > most:
        west, south, east, north = area.bounds
        area = shapely.simplify(area, max(east - west, north - south) / 1000, preserve_topology=True)
    polygons = [part for part in shapely.get_parts(area) if part.geom_type == "Polygon"]
    return [
        [(float(x), float(y)) for x, y, *_ in ring.coords]
        for polygon in polygons
        for ring in (polygon.exterior, *polygon.interiors)
    ]
