"""The requested area: from the bounds of a process request to a shape in longitude and latitude.

Coordinates are always easting, northing or longitude, latitude, in EPSG:4326 too (contract): the axis order that the
EPSG registry gives to 4326 does not apply here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from airflow_sentinelhub.grids.projection import WGS84, reproject

# Beyond all coordinates of all CRSs on Earth (those in millimetres left aside).
FARTHEST = 1e9
_URI = re.compile(r"^https?://www\.opengis\.net/def/crs/(?:EPSG/0/([0-9]{1,9})|OGC/1\.3/(CRS84))$")
_URN = re.compile(r"^urn:ogc:def:crs:(?:EPSG::([0-9]{1,9})|OGC:(?:1\.3)?:(CRS84))$")


class AreaError(ValueError):
    """The bounds are wrong: ``where`` is the member below ``bounds``, the text one sentence."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(text)
        self.where = where


@lru_cache(maxsize=256)
def _is_flat_crs(code: int) -> bool:
    try:
        crs = CRS.from_epsg(code)
    except CRSError:
        return False
    return crs.is_projected or (crs.is_geographic and len(crs.axis_info) == 2)


def epsg_code(crs: Any) -> int | None:
    """The EPSG code of a CRS written as the service writes it (URI in properties, URN in a geometry), else None."""
    match = (_URI.fullmatch(crs) or _URN.fullmatch(crs)) if isinstance(crs, str) else None
    if match is None:
        return None
    code = int(match[1]) if match[1] else WGS84
    return code if _is_flat_crs(code) else None


def crs_urn(crs: str) -> str:
    """The URN that the service puts into a geometry it echoes (seen: ``urn:ogc:def:crs:OGC::CRS84``)."""
    match = _URI.fullmatch(crs) or _URN.fullmatch(crs)
    return f"urn:ogc:def:crs:EPSG::{match[1]}" if match and match[1] else "urn:ogc:def:crs:OGC::CRS84"


def parse_area(bounds: Any, max_vertices: int | None = None) -> BaseGeometry:
    """The area in longitude and latitude; raises AreaError. With bbox and geometry given it is what lies in both.

    ``max_vertices`` is None for bounds that were checked before.
    """
    if not isinstance(bounds, dict):
        raise AreaError("", "bounds must be an object.")
    properties = bounds.get("properties") or {}
    if not isinstance(properties, dict):
        raise AreaError("properties", "properties must be an object.")
    crs = properties.get("crs", "http://www.opengis.net/def/crs/OGC/1.3/CRS84")
    code = epsg_code(crs)
    if code is None:
        raise AreaError("properties->crs", f"Unsupported CRS: {crs}.")
    parts: list[BaseGeometry] = []
    if bounds.get("bbox") is not None:
        parts.append(_bbox(bounds["bbox"]))
    if bounds.get("geometry") is not None:
        parts.append(_polygon(bounds["geometry"], max_vertices))
    if not parts:
        raise AreaError("", "Either bbox or geometry must be specified.")
    try:
        area = parts[0] if len(parts) == 1 else parts[0].intersection(parts[1])
    except shapely.errors.GEOSException:
        raise AreaError("geometry", "geometry and bbox cannot be cut with each other.") from None
    if area.is_empty or area.area == 0:
        raise AreaError("bbox" if "bbox" in bounds else "geometry", "The requested area is empty.")
    return _to_wgs84(area, code)


def _bbox(bbox: Any) -> BaseGeometry:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise AreaError("bbox", "bbox must be a list of four numbers.")
    if not all(_is_on_earth(value) for value in bbox):
        raise AreaError("bbox", "The area lies outside the world in its CRS.")
    x1, y1, x2, y2 = bbox
    box: BaseGeometry = shapely.box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return box


def _polygon(geometry: Any, max_vertices: int | None) -> BaseGeometry:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise AreaError("geometry", "geometry must be a GeoJSON Polygon or MultiPolygon.")
    try:
        coordinates = geometry.get("coordinates")
        flat = _rings(coordinates) if kind == "Polygon" else [_rings(part) for part in _list(coordinates)]
        polygon: BaseGeometry = shape({"type": kind, "coordinates": flat})
        vertices = int(shapely.get_num_coordinates(polygon))
    except (ValueError, shapely.errors.ShapelyError) as error:
        raise AreaError("geometry->coordinates", "geometry holds no valid coordinates.") from error
    if polygon.is_empty:
        raise AreaError("geometry->coordinates", "geometry holds no valid coordinates.")
    if max_vertices is not None and vertices > max_vertices:
        raise AreaError("geometry", f"The geometry has {vertices} vertices, more than the {max_vertices} allowed.")
    if not polygon.is_valid:
        raise AreaError("geometry", f"The geometry is not valid: {shapely.is_valid_reason(polygon)}.")
    return polygon


def _list(value: Any) -> Sequence[Any]:
    """The value, which must be a list with something in it; ValueError."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("no list, or an empty one")
    return value


def _rings(rings: Any) -> list[list[tuple[float, float]]]:
    """The rings of a polygon without heights; ValueError for what is none."""
    return [[_position(position) for position in _list(ring)] for ring in _list(rings)]


def _position(position: Any) -> tuple[float, float]:
    if len(_list(position)) < 2 or not all(_is_number(number) and _is_on_earth(number) for number in position[:2]):
        raise ValueError("no position")
    return float(position[0]), float(position[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_on_earth(number: float) -> bool:
    """Whether it can be a coordinate in metres, feet or degrees; false for what is no number (NaN)."""
    return abs(number) <= FARTHEST


def _to_wgs84(area: BaseGeometry, code: int) -> BaseGeometry:
    try:
        area = reproject(area, code, WGS84)
    except (ProjError, shapely.errors.ShapelyError):
        raise AreaError("bbox", "The area cannot be brought from its CRS to longitude and latitude.") from None
    west, south, east, north = area.bounds
    if not (-180.0001 <= west <= east <= 180.0001 and -90.0001 <= south <= north <= 90.0001):
        raise AreaError("bbox", "The area lies outside the world in its CRS.")
    return area
