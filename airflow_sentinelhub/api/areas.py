"""Areas: what users have at hand becomes the bounds of a process request.

`BBox` and `Geometry` are light values that carry `__geo_interface__`: shapely, geopandas and others take them as they
are. They have the members of the vendor's classes that need no projection, and are equal to their objects. What takes
a library or a file is left alone while a DAG is parsed, see `early_bounds`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_sentinelhub.api.area_reading import LaterError, Reading
from airflow_sentinelhub.api.crs import CRS84, Crs, crs_url, known_by
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.rings import number_of, shown
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

__all__ = [
    "CRS84",
    "BBox",
    "Geometry",
    "area_bounds",
    "bbox_of",
    "crs_url",
    "early_bounds",
    "geometry_of",
    "kept_area",
    "tolerance",
]


class _Shape(ABC):
    """What a bounding box and a geometry have in common."""

    crs: str

    def __post_init__(self) -> None:
        if type(self.crs) is str:
            object.__setattr__(self, "crs", Crs(self.crs))

    @property
    @abstractmethod
    def __geo_interface__(self) -> dict[str, Any]:
        """The area as GeoJSON, as other libraries ask for it."""

    @property
    def geometry(self) -> Any:
        """The area as an object of shapely.

        :raises InvalidInputError: it is no geometry.
        :raises SettingsError: shapely is not installed.
        """
        from airflow_sentinelhub.shapes.polygons import shape_of

        return shape_of(self.__geo_interface__)

    @property
    def wkt(self) -> str:
        """The area in well-known text; takes shapely."""
        return str(self.geometry.wkt)

    def get_geojson(self, with_crs: bool = True) -> dict[str, Any]:
        """The area as GeoJSON.

        :param with_crs: with the member `crs`.
        :raises InvalidInputError: with it, for a CRS that is not known.
        """
        if not with_crs:
            return self.__geo_interface__
        crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{Crs(self.crs).value}"}}
        return {"crs": crs, **self.__geo_interface__}


@dataclass(frozen=True, eq=False)
class BBox(_Shape):
    """A bounding box.

    :param min_x: west edge, in units of the CRS (degrees of longitude, or metres).
    :param min_y: south edge.
    :param max_x: east edge.
    :param max_y: north edge.
    :param crs: URL of the CRS as the service writes it.
    """

    min_x: float
    min_y: float
    max_x: float
    max_y: float
    crs: str = CRS84

    def __iter__(self) -> Any:
        return iter((self.min_x, self.min_y, self.max_x, self.max_y))

    def __str__(self) -> str:
        """The four edges with commas between them, as the vendor's class writes them and WFS and CSW take them."""
        return ",".join(map(str, self))

    def __eq__(self, other: object) -> bool:
        """Whether it is the same box in the same CRS, as a `BBox` of ours or of the vendor's library."""
        if not all(hasattr(other, name) for name in ("min_x", "min_y", "max_x", "max_y", "crs")):
            return NotImplemented
        theirs: Any = other
        edges = (theirs.min_x, theirs.min_y, theirs.max_x, theirs.max_y)
        return tuple(self) == edges and known_by(self.crs) == known_by(theirs.crs)

    def __hash__(self) -> int:
        return hash((*self, known_by(self.crs)))

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        return {"type": "Polygon", "coordinates": (self.get_polygon(),)}

    @property
    def geojson(self) -> dict[str, Any]:
        return self.get_geojson()

    @property
    def lower_left(self) -> tuple[float, float]:
        return self.min_x, self.min_y

    @property
    def upper_right(self) -> tuple[float, float]:
        return self.max_x, self.max_y

    @property
    def middle(self) -> tuple[float, float]:
        return (self.min_x + self.max_x) / 2, (self.min_y + self.max_y) / 2

    def get_polygon(self) -> tuple[tuple[float, float], ...]:
        """The five points of its border, clockwise; the first one is the last one, too."""
        a, b, c, d = self
        return (a, b), (a, d), (c, d), (c, b), (a, b)


@dataclass(frozen=True, eq=False)
class Geometry(_Shape):
    """A GeoJSON Polygon or MultiPolygon and the URL of its CRS."""

    geojson: Mapping[str, Any]
    crs: str = CRS84

    def __eq__(self, other: object) -> bool:
        """Whether it is the same geometry in the same CRS, as a `Geometry` of ours or of the vendor's library."""
        if isinstance(other, Geometry):
            return self.__geo_interface__ == other.__geo_interface__ and known_by(self.crs) == known_by(other.crs)
        theirs: Any = other
        if not hasattr(getattr(theirs, "geometry", None), "geom_type") or hasattr(theirs, "min_x"):
            return NotImplemented
        try:
            return known_by(self.crs) == known_by(theirs.crs) and bool(self.geometry == theirs.geometry)
        except (AttributeError, InvalidInputError):
            return False

    def __hash__(self) -> int:
        return hash(known_by(self.crs))

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        return {key: value for key, value in self.geojson.items() if key != "crs"}

    @property
    def bbox(self) -> BBox:
        """The bounding box around it; takes shapely."""
        min_x, min_y, max_x, max_y = self.geometry.bounds
        return BBox(min_x, min_y, max_x, max_y, self.crs)


def bounds_of(process_request: Mapping[str, Any]) -> Mapping[str, Any]:
    found = member(process_request, "input", "bounds")
    return found if isinstance(found, Mapping) else {}


def bbox_of(process_request: Mapping[str, Any]) -> BBox | None:
    """The bounding box of a process request, whichever corners it is given by; None where it has none."""
    bounds = bounds_of(process_request)
    try:
        min_x, min_y, max_x, max_y = map(float, bounds.get("bbox") or ())
    except (TypeError, ValueError):
        return None
    west, east, south, north = *sorted((min_x, max_x)), *sorted((min_y, max_y))
    return BBox(west, south, east, north, crs=_crs_of(bounds))


def geometry_of(process_request: Mapping[str, Any]) -> Geometry | None:
    """The geometry of a process request, None where it has none. Its GeoJSON names its CRS, as the vendor's does."""
    bounds = bounds_of(process_request)
    shape = bounds.get("geometry")
    if not shape or not isinstance(shape, Mapping):
        return None
    found = Geometry(shape, crs=_crs_of(bounds))
    try:
        return Geometry(found.get_geojson(), crs=found.crs)
    except InvalidInputError:  # an unknown CRS: the code that needs the coordinates raises the error
        return found


def _crs_of(bounds: Mapping[str, Any]) -> str:
    return str(member(bounds, "properties", "crs") or CRS84)


# An area in any form


def area_bounds(area: Any, simplify: Any = None) -> dict[str, Any]:
    """The `bounds` of a process request from what a user has at hand.

    Polygons that touch or overlap become one geometry; heights, repeated points and features without a geometry are
    left out. Without a CRS coordinates are longitude, latitude, in degrees; in whichever CRS, x comes before y.

    :param area: a GeoJSON geometry, Feature or FeatureCollection (dict or JSON text), or a list of these; WKT, with
        `SRID=3857;` or not; WKB (bytes, or hexadecimal text); a list, tuple or text of four numbers `[west, south,
        east, north]`; a `BBox` or a `Geometry`; `bounds` of a process request; anything with `__geo_interface__`
        (shapely, geopandas); a path, or the name of a file: GeoJSON, WKT, GeoPackage, Shapefile, FlatGeobuf,
        GeoParquet, with `|layername=fields` behind it where it has several layers.
    :param simplify: metres by which the border may move, to have fewer points. None: it is left as it is.
    :raises InvalidInputError: what was given is none of these, is no valid area, or has too many points.
    :raises SettingsError: what it takes to read it is not installed.
    """
    return _bounds(area, tolerance(simplify), Reading())


def early_bounds(area: Any, simplify: Any = None) -> dict[str, Any]:
    """The same while a DAG is parsed: what takes a library or a file is kept as `{"area": ...}`, for `kept_area`.

    :raises InvalidInputError: as far as can be told by now, it is no area.
    """
    try:
        if not _comes_later(area) and not is_late(simplify):
            return _bounds(area, tolerance(simplify), Reading(early=True))
    except LaterError:
        pass
    return {"area": area} if simplify is None else {"area": area, "simplify": simplify}


def kept_area(process_request: Any) -> tuple[Any, Any]:
    """Area and `simplify` that `early_bounds` has kept in a process request for later; None and None for none."""
    bounds = bounds_of(process_request) if isinstance(process_request, Mapping) else {}
    return bounds.get("area"), bounds.get("simplify")


def tolerance(simplify: Any) -> float | None:
    """The argument `simplify`, which may have come out of a template, in metres.

    :raises InvalidInputError: it is no length above 0.
    """
    if simplify is None:
        return None
    try:
        metres = number_of(float(simplify) if isinstance(simplify, str) else simplify)
    except ValueError:
        metres = None
    if metres is None or metres <= 0:
        raise InvalidInputError(f"simplify is a number of metres above 0, not {shown(simplify)}.")
    return metres


def _bounds(area: Any, simplify: float | None, reading: Reading) -> dict[str, Any]:
    if isinstance(area, BBox):
        return reading.box(list(area), area.crs)
    if isinstance(area, Geometry):
        reading.shapes(area.geojson, area.crs)
    else:
        box = reading.take(area)
        if box is not None:
            return reading.box(box, reading.crs_of_box)
    return reading.bounds(simplify)


def _comes_later(area: Any) -> bool:
    """Whether it is the output of another task, or a template, or a list or an object with one in it."""
    if isinstance(area, Mapping):
        return any(map(_comes_later, area.values()))
    if isinstance(area, (list, tuple)):
        return any(map(_comes_later, area))
    return is_late(area)
