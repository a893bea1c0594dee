"""Coordinates of polygons: read from GeoJSON and checked, as far as that takes no library for geometries. Pure.

A polygon is a list of rings, the outer one first; a ring is a list of points [x, y] whose last one is the first one.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from airflow_sentinelhub.exceptions import InvalidInputError

Point = list[float]
Ring = list[Point]
Polygon = list[Ring]

_NOISE = 1e-6
"""Degrees by which a tool's arithmetic may leave the world."""


def shown(value: Any, limit: int = 100) -> str:
    """A value as a part of a message: in one line, cut."""
    try:
        text = " ".join(repr(value).split())
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def described(value: Any) -> str:
    """A value in a message about what may hold keys: text and numbers as `shown`, of anything else its type."""
    if value is None or isinstance(value, (str, int, float)):
        return shown(value)
    return f"a {type(value).__name__}"


def is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def number_of(value: Any) -> float | None:
    """A finite number as it is, also of numpy or a Decimal; None for anything else."""
    if not isinstance(value, (bool, str, int, float)) and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int):
        return None if abs(value) > sys.float_info.max else value if type(value) is int else int(value)
    if not math.isfinite(value):
        return None
    return value if type(value) is float else float(value)


def coordinate(value: Any) -> float | None:
    """A number as `number_of` reads it, also from text, as templates within lists and objects give it."""
    if not isinstance(value, str):
        return number_of(value)
    try:
        return number_of(int(value) if re.fullmatch(r"(?a)\s*-?\d{1,9}\s*", value) else float(value))
    except ValueError:
        return None


def polygons_in(shape: Mapping[str, Any]) -> list[Polygon]:
    """The polygons of a GeoJSON Polygon or MultiPolygon, in two dimensions and without repeated points.

    Empty ones are left out.

    :raises InvalidInputError: the coordinates are not those of such a geometry.
    """
    kind, given = shape["type"], _listed(shape.get("coordinates"))
    if given is None:
        raise InvalidInputError(f"The area has a {kind} without coordinates: not one ring.")
    polygons = [given] if kind == "Polygon" else [*map(_listed, given)] if is_list(given) else [given]
    if not all(is_list(polygon) for polygon in polygons):
        raise InvalidInputError(f"The area has a {kind} whose coordinates are not lists of rings.")
    return [[_ring(ring, hole=at > 0) for at, ring in enumerate(polygon)] for polygon in polygons if len(polygon)]


def _listed(value: Any) -> Any:
    """Coordinates as they are, or as lists where they are an array of numpy."""
    return value.tolist() if hasattr(value, "tolist") else value


def _ring(given: Any, hole: bool) -> Ring:
    ring: Ring = []
    given = _listed(given)
    for point in map(_listed, given if is_list(given) else [given]):
        x, y = map(number_of, point[:2]) if is_list(point) and len(point) >= 2 else (None, None)
        if x is None or y is None:
            raise InvalidInputError(f"The area has a point that is not two numbers: {shown(point)}.")
        if not ring or ring[-1] != [x, y]:
            ring.append([x, y])
    if len(given) < 4 or (len(ring) > 1 and ring[0] != ring[-1]):
        raise InvalidInputError(
            f"The area has a ring that is not closed or has fewer than four points: {shown(given, 150)}."
        )
    if len(ring) < 4 or _on_one_line(ring):
        name = "hole" if hole else "polygon"
        raise InvalidInputError(f"The area has a {name} whose points lie on one line, a ring without a surface.")
    return ring


def _on_one_line(ring: Ring) -> bool:
    first, second = ring[:2]
    return all(_side(first, second, point) == 0 for point in ring)


def count(polygons: Iterable[Polygon]) -> int:
    """How many points they have, the last one of each ring included, as the service counts."""
    return sum(len(ring) for polygon in polygons for ring in polygon)


def check_degrees(polygons: Iterable[Polygon]) -> bool:
    """Whether longitudes go beyond 180 degrees, as those of an area across the antimeridian may.

    :raises InvalidInputError: these are no longitudes and latitudes, or a jump between -180 and 180 leaves two ways to
        read them.
    """
    rings = [ring for polygon in polygons for ring in polygon]
    xs, ys = [x for ring in rings for x, _ in ring], [y for ring in rings for _, y in ring]
    check_world(min(xs), min(ys), max(xs), max(ys))
    for ring in rings:
        for (x1, _), (x2, _) in pairwise(ring):
            if abs(x2 - x1) > 180 and {abs(x1), abs(x2)} != {180}:
                raise InvalidInputError(
                    f"The area has an edge from longitude {x1:.10g} to {x2:.10g}, more than half round the world. If "
                    "it crosses the antimeridian, write longitudes beyond 180 (179 to 181) or a polygon on either side "
                    "of it; if it is that long, put a point between."
                )
    return min(xs) < -180 or max(xs) > 180


def check_world(west: float, south: float, east: float, north: float) -> None:
    """:raises InvalidInputError: these limits are not those of longitudes and latitudes."""
    if -90 <= south <= north <= 90 and -360 <= west <= east <= 360 and east - west <= 360:
        return
    extent = f"x from {west:.10g} to {east:.10g}, y from {south:.10g} to {north:.10g}"
    if -90 <= west <= east <= 90 and -180 <= south <= north <= 180:
        raise InvalidInputError(
            f"The area has latitudes beyond 90 degrees ({extent}): are the axes swapped? Longitude comes first."
        )
    raise InvalidInputError(
        f"The area is not in degrees of longitude and latitude ({extent}); are these metres? Then name their CRS, such "
        "as EPSG:32632."
    )


def within_noise(degrees: Point) -> Point:
    """Longitudes and latitudes in turn; those that a tool's arithmetic has put beyond the edge of the world, at it."""
    return [_at_edge(value, 90 if at % 2 else 180) for at, value in enumerate(degrees)]


def _at_edge(value: float, most: float) -> float:
    return math.copysign(most, value) if most < abs(value) <= most + _NOISE else value


def in_world(polygons: list[Polygon]) -> list[Polygon]:
    """The same for each point of polygons."""
    return [[[within_noise(point) for point in ring] for ring in polygon] for polygon in polygons]


def looks_like_degrees(polygons: Iterable[Polygon]) -> bool:
    return all(abs(x) <= 180 and abs(y) <= 90 for polygon in polygons for ring in polygon for x, y in ring)


def boxes_in_world(west: float, south: float, east: float, north: float) -> list[Polygon]:
    """A bounding box whose longitudes go beyond 180 degrees as a polygon on either side of the antimeridian."""
    polygons = []
    for turns in (-1, 0, 1):
        left, right = max(west, 360 * turns - 180) - 360 * turns, min(east, 360 * turns + 180) - 360 * turns
        if left < right:
            polygons.append([[[left, south], [right, south], [right, north], [left, north], [left, south]]])
    return polygons


# Validity


def plainly_valid(polygons: Sequence[Polygon]) -> bool:
    """Whether polygons are one valid geometry without a doubt: no edge meets another one, no ring lies wrong.

    False does not mean invalid: rings that touch in a point, or polygons that share an edge, take a library to judge.
    """
    return _edges_are_apart(polygons) and _rings_lie_right(polygons)


def _edges_are_apart(polygons: Sequence[Polygon]) -> bool:
    """Sweep over the edges from west to east, and compare those that are side by side."""
    edges = []
    rings = [ring for polygon in polygons for ring in polygon]
    for name, ring in enumerate(rings):
        for at, (a, b) in enumerate(pairwise(ring)):
            edges.append((min(a[0], b[0]), max(a[0], b[0]), min(a[1], b[1]), max(a[1], b[1]), name, at, a, b))
    edges.sort(key=lambda edge: edge[0])
    beside: list[Any] = []
    for edge in edges:
        beside = [other for other in beside if other[1] >= edge[0]]
        for other in beside:
            if other[2] <= edge[3] and other[3] >= edge[2] and _meet(edge, other, rings):
                return False
        beside.append(edge)
    return True


def _meet(one: Any, two: Any, rings: Sequence[Ring]) -> bool:
    """Whether two edges meet where they should not. What is too close to be told counts as a meeting."""
    (*_, name, at, a, b), (*_, other, there, c, d) = one, two
    if name == other:
        edges = len(rings[name]) - 1
        if (at + 1) % edges == there:
            return _turns_back(a, b, d)
        if (there + 1) % edges == at:
            return _turns_back(c, d, b)
    return _side(a, b, c) * _side(a, b, d) <= 0 and _side(c, d, a) * _side(c, d, b) <= 0


def _turns_back(a: Point, b: Point, c: Point) -> bool:
    """Whether the edge from b to c lies on the one from a to b."""
    return _side(a, b, c) == 0 and (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0


def _side(a: Point, b: Point, c: Point) -> int:
    """On which side of the line from a to b the point c lies: 1 left, -1 right, 0 on it or too close to tell."""
    one, two = (b[0] - a[0]) * (c[1] - a[1]), (b[1] - a[1]) * (c[0] - a[0])
    size = max(abs(value) for point in (a, b, c) for value in point)
    reach = max(abs(b[0] - a[0]), abs(b[1] - a[1]), abs(c[0] - a[0]), abs(c[1] - a[1]))
    return 0 if abs(one - two) <= 1e-14 * size * reach else 1 if one > two else -1


def _rings_lie_right(polygons: Sequence[Polygon]) -> bool:
    """Holes within their polygon and beside each other, polygons beside each other; edges do not meet."""
    limits = [_limits(polygon[0]) for polygon in polygons]
    for index, (shell, *holes) in enumerate(polygons):
        if any(not _within(hole[0], shell) for hole in holes):
            return False
        if any(_within(one[0], two) for one in holes for two in holes if one is not two):
            return False
        x, y = shell[0]
        for other, (west, south, east, north) in enumerate(limits):
            if other != index and west <= x <= east and south <= y <= north and _within(shell[0], polygons[other][0]):
                return False
    return True


def _limits(ring: Ring) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


def _within(point: Point, ring: Ring) -> bool:
    """Whether a point that is on none of its edges lies within a ring."""
    x, y = point
    crossed = False
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            crossed = not crossed
    return crossed
