"""A bounding box and a geometry with their coordinate reference system: light values, GeoJSON in and out.

They carry `__geo_interface__`, so shapely, geopandas and others take them as they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.exceptions import InvalidInputError

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG = re.compile(r"(?i)epsg[:/]+(?:[\d.]*[:/]+)?(\d+)$")


def crs_url(crs: str | int) -> str:
    """The URL by which the service knows a CRS: `4326`, `"EPSG:3035"`, URN or URL in, URL out."""
    text = str(crs).strip()
    if "CRS84" in text.upper():
        return CRS84
    found = _EPSG.search(text)
    if not found and not (text.isascii() and text.isdigit()):
        raise InvalidInputError(f"CRS {text!r} is not known; give an EPSG code such as 4326 or 'EPSG:32632'.")
    return f"http://www.opengis.net/def/crs/EPSG/0/{found[1] if found else text}"


@dataclass(frozen=True)
class BBox:
    """A bounding box.

    :param min_x: west edge, in units of the CRS (degrees of longitude, or metres); :param min_y: south edge;
    :param max_x: east edge; :param max_y: north edge.
    :param crs: URL of the CRS as the service writes it.
    """

    min_x: float
    min_y: float
    max_x: float
    max_y: float
    crs: str = CRS84

    def __iter__(self) -> Any:
        return iter((self.min_x, self.min_y, self.max_x, self.max_y))

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        a, b, c, d = self
        return {"type": "Polygon", "coordinates": (((a, b), (a, d), (c, d), (c, b), (a, b)),)}


@dataclass(frozen=True)
class Geometry:
    """A GeoJSON Polygon or MultiPolygon and the URL of its CRS."""

    geojson: Mapping[str, Any] = field(hash=False)
    crs: str = CRS84

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        return {key: value for key, value in self.geojson.items() if key != "crs"}


def bounds_of(process_request: Mapping[str, Any]) -> Mapping[str, Any]:
    found = member(process_request, "input", "bounds")
    return found if isinstance(found, Mapping) else {}


def bbox_of(process_request: Mapping[str, Any]) -> BBox | None:
    """The bounding box of a process request, None where it has none."""
    bounds = bounds_of(process_request)
    try:
        min_x, min_y, max_x, max_y = map(float, bounds.get("bbox") or ())
    except (TypeError, ValueError):
        return None
    return BBox(min_x, min_y, max_x, max_y, crs=_crs_of(bounds))


def geometry_of(process_request: Mapping[str, Any]) -> Geometry | None:
    """The geometry of a process request, None where it has none."""
    bounds = bounds_of(process_request)
    shape = bounds.get("geometry")
    return Geometry(shape, crs=_crs_of(bounds)) if shape and isinstance(shape, Mapping) else None


def _crs_of(bounds: Mapping[str, Any]) -> str:
    return str(member(bounds, "properties", "crs") or CRS84)


def area_bounds(area: Any) -> dict[str, Any]:
    """The `bounds` of a process request from what a user has at hand.

    :param area: a GeoJSON geometry, Feature or FeatureCollection (dict or JSON text), a list of four numbers
        `[west, south, east, north]` in degrees, a `BBox`, a `Geometry`, or anything with `__geo_interface__`.
    :raises InvalidInputError: what was given is none of these.
    """
    if isinstance(area, BBox):
        return {"bbox": list(area), "properties": {"crs": area.crs}}
    crs = CRS84
    if isinstance(area, Geometry):
        crs, area = area.crs, dict(area.__geo_interface__)
    elif hasattr(area, "__geo_interface__"):
        area = area.__geo_interface__
    if isinstance(area, str):
        try:
            area = json.loads(area)
        except ValueError as err:
            raise InvalidInputError(f"The area is neither GeoJSON nor four numbers: {err}.") from None
    if isinstance(area, (list, tuple)):
        return {"bbox": _four_numbers(area), "properties": {"crs": crs}}
    if not isinstance(area, Mapping):
        raise InvalidInputError(f"The area must be GeoJSON or [west, south, east, north], not {type(area).__name__}.")
    named = _crs_name(area.get("crs"))
    polygons: list[Any] = []
    for shape in _shapes(area):
        polygons += _polygons(shape)
    if not polygons:
        raise InvalidInputError("The area holds no polygon; give GeoJSON with a Polygon or MultiPolygon.")
    if len(polygons) == 1:
        shape = {"type": "Polygon", "coordinates": polygons[0]}
    else:
        shape = {"type": "MultiPolygon", "coordinates": polygons}
    return {"geometry": shape, "properties": {"crs": crs_url(named) if named else crs}}


def _crs_name(crs: Any) -> str | None:
    """The name in GeoJSON's old `crs` member, which the service writes and GIS tools still do."""
    if not crs:
        return None
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    if not isinstance(properties, Mapping) or not properties.get("name"):
        raise InvalidInputError(f"The area's crs is an object with properties.name, not {str(crs)[:100]!r}.")
    return str(properties["name"])


def _shapes(area: Any) -> list[Mapping[str, Any]]:
    if not isinstance(area, Mapping):
        raise InvalidInputError(f"The area has a part that is no JSON object: {str(area)[:100]!r}.")
    kind = area.get("type")
    if kind == "FeatureCollection":
        return [shape for feature in area.get("features") or () for shape in _shapes(feature)]
    if kind == "Feature":
        return _shapes(area.get("geometry") or {})
    if kind == "GeometryCollection":
        return [shape for part in area.get("geometries") or () for shape in _shapes(part)]
    return [area]


def _polygons(shape: Mapping[str, Any]) -> list[Any]:
    kind, rings = shape.get("type"), shape.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise InvalidInputError(
            f"The area has a GeoJSON geometry of type {kind!r}; only Polygon and MultiPolygon work."
        )
    polygons = [rings or ()] if kind == "Polygon" else (rings or ())
    if not _is_list(polygons) or not all(_is_list(polygon) for polygon in polygons):
        raise InvalidInputError(f"The area has a {kind} whose coordinates are not lists of rings.")
    for polygon in polygons:
        for ring in polygon or [()]:
            for point in ring if _is_list(ring) else [ring]:
                if not _is_list(point) or len(point) < 2 or not all(_is_number(number) for number in point[:2]):
                    raise InvalidInputError(f"The area has a point that is not two numbers: {str(point)[:100]}.")
            if len(ring) < 4 or list(ring[0]) != list(ring[-1]):
                raise InvalidInputError("The area has a ring that is not closed or has fewer than four points.")
    return list(polygons)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _four_numbers(box: Any) -> list[float]:
    if len(box) != 4 or not all(_is_number(number) for number in box):
        raise InvalidInputError(f"A bounding box is four numbers [west, south, east, north], not {str(box)[:100]}.")
    west, south, east, north = box
    if west >= east or south >= north:
        raise InvalidInputError(f"The bounding box {list(box)!r} is empty: west must be below east, south below north.")
    return list(box)
