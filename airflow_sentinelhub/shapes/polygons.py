"""Polygons as lists of rings of points (GeoJSON's coordinates): put together, cut, and simplified, by shapely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.shapes._libraries import needed_for

Polygons = list[Any]
_OVERLAPPING = "An area whose polygons may touch, overlap or cross themselves"
_ACROSS = "An area across the antimeridian"
_SIMPLIFIED = "An area that is simplified"


def united(polygons: Sequence[Any], *, at_antimeridian: bool = False, simplify: float | None = None) -> Polygons:
    """The polygons as one valid geometry: what touches or overlaps is put together.

    :param polygons: of each, its rings; the first one is the outer one.
    :param at_antimeridian: longitudes may go beyond 180 degrees; what does is cut off and comes on the other side.
    :param simplify: the largest distance by which an edge may move, in units of the coordinates. Polygons stay valid.
    :returns: of each polygon its rings, closed; outer ones counter-clockwise, as RFC 7946 wants it.
    :raises InvalidInputError: a polygon is not valid by itself, or nothing is left of them.
    :raises SettingsError: shapely is not installed.
    """
    with needed_for(_ACROSS if at_antimeridian else _OVERLAPPING if simplify is None else _SIMPLIFIED):
        import shapely
    shapes = []
    for number, (shell, *holes) in enumerate(polygons, 1):
        shape = shapely.Polygon(shell, holes)
        if not shape.is_valid:
            which = "The polygon" if len(polygons) == 1 else f"Polygon {number} of {len(polygons)}"
            raise InvalidInputError(
                f"{which} of the area is not valid: {shapely.is_valid_reason(shape)}. Mend it, for example by "
                "`Fix geometries` in QGIS or make_valid() of shapely."
            )
        shapes.append(shape)
    try:
        whole = shapely.unary_union(shapes)
        if at_antimeridian:
            whole = shapely.unary_union([_band(whole, turns) for turns in (-1, 0, 1)])
        if simplify is not None:
            whole = shapely.simplify(whole, simplify, preserve_topology=True)
            whole = whole if whole.is_valid else shapely.unary_union(shapely.get_parts(whole))
    except shapely.errors.ShapelyError as err:
        raise InvalidInputError(f"The polygons of the area cannot be put together: {_reason(err)}.") from None
    parts = [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon" and part.area > 0]
    if not parts:
        raise InvalidInputError("The area is empty: nothing is left of its polygons.")
    return [_rings(part) for part in parts]


def _band(whole: Any, turns: int) -> Any:
    """What lies within 180 degrees of a meridian that is so many turns round the world away, put where it belongs."""
    import shapely

    middle = 360 * turns
    part = whole.intersection(shapely.box(middle - 180, -90, middle + 180, 90))
    return part if not turns else shapely.transform(part, lambda points: points - [middle, 0])


def _rings(polygon: Any) -> list[list[list[float]]]:
    from shapely.geometry.polygon import orient

    turned = orient(polygon)
    return [[[x, y] for x, y in ring.coords] for ring in (turned.exterior, *turned.interiors)]


def shape_of(geojson: Mapping[str, Any]) -> Any:
    """The geometry as an object of shapely.

    :raises InvalidInputError: it is no geometry.
    :raises SettingsError: shapely is not installed.
    """
    with needed_for("A geometry as an object of shapely"):
        import shapely.geometry
    try:
        return shapely.geometry.shape(dict(geojson))
    except (shapely.errors.ShapelyError, AttributeError, KeyError, TypeError, ValueError) as err:
        raise InvalidInputError(f"The geometry cannot be read: {_reason(err)}.") from None


def from_wkt(text: str) -> Mapping[str, Any]:
    """The GeoJSON of a geometry in well-known text.

    :raises InvalidInputError: the text is not well-known text.
    """
    with needed_for("An area as WKT"):
        import shapely
    try:
        return _geojson(shapely.from_wkt(text))
    except (shapely.errors.ShapelyError, ValueError, NotImplementedError) as err:
        raise InvalidInputError(f"The area {text[:60]!r} looks like WKT and cannot be read: {_reason(err)}.") from None


def from_wkb(binary: Any, where: str) -> Mapping[str, Any] | None:
    """The GeoJSON of a geometry in well-known binary, None for none.

    :param where: what it stands in, for messages.
    :raises InvalidInputError: it cannot be read.
    """
    if binary is None:
        return None
    with needed_for(f"The area in {where}"):
        import shapely
    try:
        return _geojson(shapely.from_wkb(binary))
    except (shapely.errors.ShapelyError, TypeError, ValueError, NotImplementedError) as err:
        raise InvalidInputError(f"The area in {where} has a geometry that cannot be read: {_reason(err)}.") from None


def from_wkb_with_srid(binary: bytes) -> tuple[Mapping[str, Any] | None, int]:
    """The GeoJSON of a geometry in well-known binary and the EPSG code that it carries, 0 for none.

    :raises InvalidInputError: it cannot be read.
    """
    found = from_wkb(binary, "WKB")
    import shapely

    return found, int(shapely.get_srid(shapely.from_wkb(binary)))


def _geojson(geometry: Any) -> Mapping[str, Any]:
    import shapely

    flat = shapely.force_2d(geometry)
    if flat is None:  # of a collection with curves
        raise ValueError("it has parts that GeoJSON does not have, such as curves")
    found: Mapping[str, Any] = flat.__geo_interface__
    return found


def _reason(err: Exception) -> str:
    return " ".join(str(err).split())[:150].rstrip(".")


def srid_of(geometry: Any) -> int:
    """The EPSG code that a geometry of shapely carries with it, 0 if it carries none or is not one of shapely's."""
    if not type(geometry).__module__.startswith("shapely."):
        return 0
    import shapely

    return int(shapely.get_srid(geometry))
