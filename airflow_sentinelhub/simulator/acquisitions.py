"""Acquisitions as a catalog shows them: which there are follows from the seed, and nothing is stored.

The world is cut into squares (scenes) of which each is seen again every few days. An acquisition is published hours
after it was made, some of them days after, so they come late and out of order (that they may is known; how late is
not). Its cloud cover is as the seed has it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DAY = 86_400.0
LATE_SHARE, LATE_DAYS = 0.15, 4.0
"""The share of the acquisitions that come very late, and up to how many days (ours)."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Kind:
    """A collection of the catalog: the size of its scenes in degrees, days between two views of one (about as real),
    its satellites, its resolution in metres, and whether it sees clouds."""

    name: str
    title: str
    scene: float
    revisit: float
    platforms: tuple[str, ...]
    gsd: float
    clouds: bool = True


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sentinel-2-l2a", "Sentinel 2 L2A", 1.0, 5.0, ("sentinel-2a", "sentinel-2b"), 10.0),
        Kind("sentinel-2-l1c", "Sentinel 2 L1C", 1.0, 5.0, ("sentinel-2a", "sentinel-2b"), 10.0),
        Kind("sentinel-1-grd", "Sentinel 1 GRD", 2.0, 6.0, ("sentinel-1a", "sentinel-1c"), 10.0, clouds=False),
        Kind("landsat-ot-l2", "Landsat 8-9 L2", 2.0, 8.0, ("landsat-8", "landsat-9"), 30.0),
    )
}


@dataclass(frozen=True)
class Acquisition:
    """One image: when it was taken and when it was published (simulated seconds since 1970), where, and its clouds."""

    kind: Kind
    number: str
    taken: float
    published: float
    box: Box
    platform: str
    cloud_cover: float | None


def acquisitions(kind: Kind, box: Box, begin: float, end: float, seed: int) -> Iterator[Acquisition]:
    """Those over a box that were taken from `begin` to `end`, published or not."""
    west, south, east, north = box
    size = kind.scene
    for row in range(math.floor((south + 90) / size), math.floor((north + 90) / size) + 1):
        for column in range(math.floor((west + 180) / size), math.floor((east + 180) / size) + 1):
            yield from _of_scene(kind, (column, row), begin, end, seed)


def _of_scene(kind: Kind, scene: tuple[int, int], begin: float, end: float, seed: int) -> Iterator[Acquisition]:
    column, row = scene
    period = kind.revisit * DAY
    # Around half past ten in the morning there, as such satellites fly, on a day that the scene has by itself.
    west, south = column * kind.scene - 180, row * kind.scene - 90
    offset = int(_draw(seed, kind.name, column, row) * kind.revisit) * DAY + (10.5 - west / 15) * 3600
    for number in range(math.floor((begin - offset) / period), math.floor((end - offset) / period) + 1):
        taken = round(offset + number * period + 120 * _draw(seed, kind.name, column, row, number, "taken"))
        if begin <= taken <= end:
            delay = (2 + 10 * _draw(seed, kind.name, column, row, number, "delay")) * 3600
            if _draw(seed, kind.name, column, row, number, "late") < LATE_SHARE:
                delay += DAY * LATE_DAYS * _draw(seed, kind.name, column, row, number, "days")
            clouds = round(100 * _draw(seed, kind.name, column, row, number, "clouds") ** 1.5, 2)
            yield Acquisition(
                kind,
                f"{kind.name.upper().replace('-', '_')}_{column:03d}{row:03d}_{number}",
                float(taken),
                taken + delay,
                (west, south, west + kind.scene, south + kind.scene),
                kind.platforms[number % len(kind.platforms)],
                clouds if kind.clouds else None,
            )


def _draw(seed: int, *parts: object) -> float:
    """A number from 0 to 1 that the seed and the parts decide."""
    digest = hashlib.sha256(repr((seed, *parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def newest_first(found: Sequence[Acquisition]) -> list[Acquisition]:
    """In the order in which a catalog lists them (the real one's is not known)."""
    return sorted(found, key=lambda item: (-item.taken, item.number))
