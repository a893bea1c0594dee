"""Geometries as a GeoPackage holds them: a header with flags and an envelope, then well-known binary (WKB). Pure.

By the OGC GeoPackage Encoding Standard 1.3, clause 2.1.3; the words are those of its geometry types.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

POLYGONS = ("POLYGON", "MULTIPOLYGON")
_KINDS = {
    1: "POINT",
    2: "LINESTRING",
    3: "POLYGON",
    4: "MULTIPOINT",
    5: "MULTILINESTRING",
    6: "MULTIPOLYGON",
    7: "GEOMETRYCOLLECTION",
    8: "CIRCULARSTRING",
    9: "COMPOUNDCURVE",
    10: "CURVEPOLYGON",
    11: "MULTICURVE",
    12: "MULTISURFACE",
    13: "CURVE",
    14: "SURFACE",
    15: "POLYHEDRALSURFACE",
    16: "TIN",
    17: "TRIANGLE",
}
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}  # bytes, by the indicator in the flags
_EMPTY, _EXTENDED = 0x10, 0x20
_ORDERS = ">", "<"
_UINT = tuple(struct.Struct(order + "I") for order in _ORDERS)
_FEWEST_POINTS = 4  # of a ring, whose last one is the first again
_UNREADABLE = "is not well-formed"


class GeometryError(ValueError):
    """The bytes are no geometry; the text says why, as the rest of a sentence about the geometry."""


class StoredGeometry(NamedTuple):
    """What is read of a geometry.

    :param kind: a type's name.
    :param size: width and height in the units of its CRS; None where it is empty, or no polygon.
    """

    kind: str
    empty: bool
    size: tuple[float, float] | None = None


def geometry_of(blob: bytes) -> StoredGeometry:
    """The geometry in a value of a GeoPackage's geometry column.

    :raises GeometryError: the value is no geometry.
    """
    if len(blob) < 8 or blob[:2] != b"GP":
        raise GeometryError("is not in the form of a GeoPackage (without its header 'GP')")
    flags = blob[3]
    length = _ENVELOPES.get(flags >> 1 & 0b111)
    if flags & _EXTENDED or length is None or len(blob) < 8 + length + 5:
        raise GeometryError(_UNREADABLE)
    at = 8 + length
    try:
        kind = _part(blob, at).kind
        if kind not in POLYGONS or flags & _EMPTY:
            return StoredGeometry(kind, empty=bool(flags & _EMPTY))
        box, end = _read(blob, at, kind)  # the envelope in the header is not believed
    except struct.error:
        raise GeometryError(_UNREADABLE) from None
    if end != len(blob):
        raise GeometryError(_UNREADABLE)
    if box is None:
        return StoredGeometry(kind, empty=True)
    west, east, south, north = box
    return StoredGeometry(kind, empty=False, size=(east - west, north - south))


def outer_rings(blob: object) -> list[list[tuple[float, float]]]:
    """The outer rings of a polygon or multipolygon, as pairs of coordinates; none for anything else."""
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:2] != b"GP":
        return []
    length = _ENVELOPES.get(blob[3] >> 1 & 0b111)
    if length is None or blob[3] & (_EMPTY | _EXTENDED):
        return []
    rings: list[list[tuple[float, float]]] = []
    try:
        _collect(blob, 8 + length, rings)
    except (GeometryError, struct.error):
        return []
    return rings


def _collect(blob: bytes, at: int, rings: list[list[tuple[float, float]]]) -> int:
    """Add the outer rings of the polygons at this place; returns their end."""
    little, kind, dimensions, pieces = _part(blob, at)
    if kind not in POLYGONS:
        raise GeometryError(f"is a {kind}")
    at += 9
    for piece in range(pieces):
        if kind == "MULTIPOLYGON":
            if _part(blob, at).kind != "POLYGON":
                raise GeometryError(_UNREADABLE)
            at = _collect(blob, at, rings)
            continue
        (points,) = _UINT[little].unpack_from(blob, at)
        end = at + 4 + 8 * dimensions * points
        if points < _FEWEST_POINTS or end > len(blob):
            raise GeometryError(_UNREADABLE)
        if piece == 0:
            numbers = struct.unpack_from(f"{_ORDERS[little]}{points * dimensions}d", blob, at + 4)
            rings.append(list(zip(numbers[::dimensions], numbers[1::dimensions], strict=True)))
        at = end
    return at


class _Part(NamedTuple):
    little: int
    kind: str
    dimensions: int
    pieces: int  # rings, or polygons


def _part(blob: bytes, at: int) -> _Part:
    """What the WKB at this place begins with. Pieces are counted of polygons only."""
    little = blob[at] if at < len(blob) else 2
    if little > 1:
        raise GeometryError(_UNREADABLE)
    (code,) = _UINT[little].unpack_from(blob, at + 1)
    # ISO adds 1000 for Z, 2000 for M, 3000 for both; the extended form sets the highest bits instead.
    more, base = divmod(code % 0x10000000, 1000)
    kind = _KINDS.get(base, f"geometry of type {code}")
    if kind not in POLYGONS:
        return _Part(little, kind, 0, 0)
    dimensions = 2 + {1: 1, 2: 1, 3: 2}.get(more, 0) + (code >> 31 & 1) + (code >> 30 & 1)
    return _Part(little, kind, dimensions, _UINT[little].unpack_from(blob, at + 5)[0])


def _read(blob: bytes, at: int, expected: str) -> tuple[tuple[float, ...] | None, int]:
    """Box and end of the polygons at this place. The box is None without any points."""
    little, kind, dimensions, pieces = _part(blob, at)
    if kind != expected:
        raise GeometryError(f"is a MULTIPOLYGON with a {kind} in it")
    at += 9
    box: tuple[float, ...] | None = None
    if kind == "MULTIPOLYGON":
        for _ in range(pieces):
            part_box, at = _read(blob, at, "POLYGON")
            box = _around(box, part_box)
        return box, at
    for _ in range(pieces):
        (points,) = _UINT[little].unpack_from(blob, at)
        end = at + 4 + 8 * dimensions * points
        if points < _FEWEST_POINTS or end > len(blob):
            raise GeometryError(_UNREADABLE)
        box = _around(box, _box_of(blob, at + 4, little, points, dimensions))
        at = end
    return box, at


def _box_of(blob: bytes, at: int, little: int, points: int, dimensions: int) -> tuple[float, ...]:
    numbers = struct.unpack_from(f"{_ORDERS[little]}{points * dimensions}d", blob, at)
    xs, ys = numbers[::dimensions], numbers[1::dimensions]
    if not (all(map(math.isfinite, xs)) and all(map(math.isfinite, ys))):
        raise GeometryError("has coordinates that are no numbers")
    if xs[0] != xs[-1] or ys[0] != ys[-1]:
        raise GeometryError("has a ring that is not closed: its last point is not the first one")
    return min(xs), max(xs), min(ys), max(ys)


def _around(box: tuple[float, ...] | None, other: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if box is None or other is None:
        return other if box is None else box
    return min(box[0], other[0]), max(box[1], other[1]), min(box[2], other[2]), max(box[3], other[3])
