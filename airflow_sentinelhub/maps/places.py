"""Tiles and outlines in longitude and latitude, put side by side on a flat map, across the antimeridian too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]
Ring = Sequence[Sequence[float]]


class Tile(NamedTuple):
    """A tile or feature on a map.

    :param name: shown when a reader points at it.
    :param outline: its ring in longitude and latitude, in degrees.
    :param status: of the service, such as `PROCESSED` and `FAILED`; None: not started.
    """

    name: str
    outline: Ring
    status: str | None = None


class Frame(NamedTuple):
    """What a map shows: longitudes may go beyond 180 degrees, so that both sides of the antimeridian meet."""

    west: float
    south: float
    east: float
    north: float

    @property
    def shrink(self) -> float:
        """By how much a degree of longitude is shorter than one of latitude in the middle of the map."""
        return max(math.cos(math.radians((self.south + self.north) / 2)), 0.05)

    @property
    def aspect(self) -> float:
        """Height by width."""
        return max((self.north - self.south) / ((self.east - self.west) * self.shrink), 1e-3)

    def at(self, point: Sequence[float]) -> Point:
        """The place of a point as shares of the width (from the left) and of the height (from the top)."""
        return (point[0] - self.west) / (self.east - self.west), (self.north - point[1]) / (self.north - self.south)


def joined(rings: Iterable[Ring]) -> list[Ring]:
    """The rings with longitudes that make them neighbours: none is torn apart at the antimeridian."""
    given = [ring for ring in rings if len(ring) > 0]
    longitudes = [point[0] for ring in given for point in ring]
    if not longitudes or max(longitudes) - min(longitudes) <= 180:
        return given
    whole = [unwrapped(ring) for ring in given]
    middles = [sum(point[0] for point in ring) / len(ring) for ring in whole]
    ordered = sorted(set(middles))
    gaps = [(after - before, after) for before, after in pairwise(ordered)]
    widest, start = max(gaps, default=(0.0, 0.0))
    if widest <= 360 - (ordered[-1] - ordered[0]):
        return list(whole)
    return [
        [(point[0] + 360, point[1]) for point in ring] if middle < start else ring
        for middle, ring in zip(middles, whole, strict=True)
    ]


def unwrapped(ring: Ring) -> list[Point]:
    """The ring without a jump at the antimeridian: its longitudes go beyond 180 degrees instead."""
    whole, before = [], ring[0][0]
    for point in ring:
        before = point[0] - 360 * round((point[0] - before) / 360)
        whole.append((before, point[1]))
    return whole


def frame_of(rings: Iterable[Ring], margin: float = 0.03) -> Frame | None:
    """The smallest frame around the rings, with a margin (a share of its sides); None if there are none."""
    points = [point for ring in rings for point in ring]
    longitudes = [point[0] for point in points if math.isfinite(point[0])]
    latitudes = [point[1] for point in points if math.isfinite(point[1])]
    if not longitudes or not latitudes:
        return None
    west, east, south, north = min(longitudes), max(longitudes), min(latitudes), max(latitudes)
    x, y = max((east - west) * margin, 1e-6), max((north - south) * margin, 1e-6)
    return Frame(west - x, south - y, east + x, north + y)
