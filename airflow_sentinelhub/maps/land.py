"""The countries of the world for maps, from the data set that ships with the pages (Natural Earth): no network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from airflow_sentinelhub.maps.html import STATIC
from airflow_sentinelhub.maps.places import Frame, Point, unwrapped

BEYOND = 0.05
"""By how much of its sides the land reaches beyond a frame, so that the edges of what is cut off are not seen."""


def land_in(frame: Frame) -> list[list[Point]]:
    """The rings of all countries within a frame, cut off a little beyond it; to be filled by the even-odd rule.

    :param frame: in degrees; its longitudes may go beyond 180, the land does so too.
    """
    x, y = (frame.east - frame.west) * BEYOND, (frame.north - frame.south) * BEYOND
    box = Frame(frame.west - x, frame.south - y, frame.east + x, frame.north + y)
    return [cut for shift in (0.0, -360.0, 360.0) for ring in _world() if (cut := _cut(ring, box, shift))]


class _Ring(NamedTuple):
    points: list[Point]
    box: Frame


@cache
def _world() -> list[_Ring]:
    """The rings of all countries. They take a quarter of a second and ten megabytes, once in a process that draws."""
    world = json.loads((STATIC / "countries.json").read_text())
    arcs = [_arc(arc, world["transform"]) for arc in world["arcs"]]
    made = [_ring(numbers, arcs) for numbers in _rings_of(world["objects"]["countries"])]
    return [
        _Ring(points, Frame(min(xs), min(ys), max(xs), max(ys)))
        for points in made
        for xs, ys in [tuple(zip(*points, strict=True))]
    ]


def _arc(arc: Sequence[Sequence[int]], transform: Any) -> list[Point]:
    """The points of an arc of TopoJSON: each is kept as the difference to the one before it."""
    (across, up), (west, south) = transform["scale"], transform["translate"]
    xs, ys = accumulate(step[0] for step in arc), accumulate(step[1] for step in arc)
    return [(x * across + west, y * up + south) for x, y in zip(xs, ys, strict=True)]


def _rings_of(countries: Any) -> Iterator[Sequence[int]]:
    for country in countries["geometries"]:
        polygons = [country["arcs"]] if country["type"] == "Polygon" else country.get("arcs", ())
        for polygon in polygons:
            yield from polygon


def _ring(numbers: Sequence[int], arcs: Sequence[list[Point]]) -> list[Point]:
    """The ring of these arcs; the complement of a number stands for its arc from the end to the beginning."""
    ring: list[Point] = []
    for number in numbers:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        ring += arc[1:] if ring else arc
    return _whole(ring)


def _whole(ring: list[Point]) -> list[Point]:
    """The ring in one piece, with its middle in the world: one across the antimeridian jumps from 180 to -180 there."""
    whole = unwrapped(ring)
    turn = whole[-1][0] - whole[0][0]
    if abs(turn) > 180:  # it goes around a pole
        pole = math.copysign(90, whole[0][1])
        whole += [(whole[-1][0], pole), (whole[0][0], pole)]
    longitudes = [x for x, _ in whole]
    shift = 360 * round((min(longitudes) + max(longitudes)) / 720)
    return [(x - shift, y) for x, y in whole] if shift else whole


def _cut(ring: _Ring, box: Frame, shift: float) -> list[Point]:
    """The part of a ring within a box (Sutherland and Hodgman); empty if there is none."""
    if ring.box.east + shift < box.west or ring.box.west + shift > box.east:
        return []
    if ring.box.north < box.south or ring.box.south > box.north:
        return []
    part: list[Point] = [(x + shift, y) for x, y in ring.points]
    for axis, bound, sign in ((0, box.west, 1), (0, box.east, -1), (1, box.south, 1), (1, box.north, -1)):
        part = list(_cut_side(part, axis, bound, sign))
        if not part:
            return []
    return part


def _cut_side(ring: list[Point], axis: int, bound: float, sign: int) -> Iterator[Point]:
    """What of a ring lies on one side of a line.

    :param sign: 1: what is more than the bound, -1: what is less.
    """
    before = ring[-1]
    for point in ring:
        inside, was_inside = (point[axis] - bound) * sign >= 0, (before[axis] - bound) * sign >= 0
        if inside != was_inside:
            share = (bound - before[axis]) / (point[axis] - before[axis])
            other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            yield (bound, other) if axis == 0 else (other, bound)
        if inside:
            yield point
        before = point
