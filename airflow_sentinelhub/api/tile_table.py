"""Tiles of a job as columns: names, statuses and outlines, in a form that is small to send and quick to draw. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.api.crs import crs_url, name_in_geojson
from airflow_sentinelhub.api.decoding import member, number, text
from airflow_sentinelhub.api.projection import Place, to_degrees
from airflow_sentinelhub.exceptions import InvalidInputError

STATUSES = ("PENDING", "SCHEDULED", "QUEUED", "PROCESSING", "PROCESSED", "FAILED")
SCALE = 100_000
"""Outlines are whole numbers of so many parts of a degree: a metre or so."""
Ring = Sequence[Place]


@dataclass
class TileTable:
    """Tiles by number. All lists but `rings` have an item for each tile.

    :param rings: outer rings of the tiles in longitude and latitude, each with the number of its tile.
    :param costs: PU of each tile, None where it is not known.
    :param errors: texts of failed tiles, by the tile's number.
    :param paths: URLs of outputs by the output's id.
    :param unplaced: number of tiles that cannot be drawn: they have no outline, or one in a system not known here.
    """

    names: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    rings: list[tuple[int, Ring]] = field(default_factory=list)
    costs: list[float | None] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    paths: list[Mapping[str, str]] = field(default_factory=list)
    unplaced: int = 0

    def add(
        self,
        name: str,
        status: str,
        rings: Iterable[Ring] = (),
        *,
        cost: float | None = None,
        error: str | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        """Add a tile.

        :param rings: outer rings in degrees, see `Placer`.
        """
        index = len(self.names)
        self.names.append(name)
        self.statuses.append(status)
        self.costs.append(cost)
        self.paths.append(paths or {})
        if error:
            self.errors[index] = error
        placed = [(index, ring) for ring in rings]
        self.rings += placed
        self.unplaced += not placed

    def counts(self) -> dict[str, int]:
        """How many tiles are in each status."""
        found: dict[str, int] = {}
        for status in self.statuses:
            found[status] = found.get(status, 0) + 1
        return found

    def as_json(self) -> dict[str, Any]:
        """The columns as plain JSON.

        `xy` holds the points of all rings one after the other, each as the difference to the one before it. `sizes` is
        the number of points of each ring, or one number if it is the same for all; `owners` the tile of each ring, None
        if each tile has one ring.
        """
        words = list(dict.fromkeys((*STATUSES, *self.statuses)))
        codes = {word: code for code, word in enumerate(words)}
        sizes = [len(ring) for _, ring in self.rings]
        owners = [owner for owner, _ in self.rings]
        return {
            "words": words,
            "names": self.names,
            "status": [codes[status] for status in self.statuses],
            "sizes": sizes[0] if len(set(sizes)) == 1 else sizes,
            "owners": None if owners == list(range(len(self.names))) else owners,
            "xy": self._differences(),
            "costs": None
            if all(cost is None for cost in self.costs)
            else [None if cost is None else round(cost, 4) for cost in self.costs],
            "errors": {str(index): error for index, error in self.errors.items()},
            "unplaced": self.unplaced,
        }

    def as_geojson(self) -> dict[str, Any]:
        """The tiles as a GeoJSON collection; those that cannot be drawn have no geometry."""
        rings: dict[int, list[list[list[Place]]]] = {}
        for owner, ring in self.rings:
            rings.setdefault(owner, []).append([[*ring, ring[0]]])
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {
                        "name": name,
                        "status": self.statuses[index],
                        "processing_units": self.costs[index],
                        "error": self.errors.get(index),
                        "paths": dict(self.paths[index]),
                    },
                    "geometry": {"type": "MultiPolygon", "coordinates": rings[index]} if index in rings else None,
                }
                for index, name in enumerate(self.names)
            ],
        }

    def _differences(self) -> list[int]:
        flat: list[int] = []
        last_x = last_y = 0
        for _, ring in self.rings:
            for longitude, latitude in ring:
                x, y = round(longitude * SCALE), round(latitude * SCALE)
                flat += (x - last_x, y - last_y)
                last_x, last_y = x, y
        return flat


class Placer:
    """Brings outlines to longitude and latitude. Corners that tiles share are computed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, float, float], Place] = {}
        self._systems: dict[int, Callable[[float, float], Place] | None] = {}

    def rings(self, geometry: Any, crs: int | None = None) -> list[Ring]:
        """Outer rings of a GeoJSON polygon or multipolygon; empty for anything else, and for an unknown CRS.

        :param crs: EPSG code of the coordinates, by default the one that the geometry names, else degrees.
        """
        code = crs if crs is not None else _code_in(geometry)
        coordinates = geometry.get("coordinates") if isinstance(geometry, Mapping) else None
        if code is None or not isinstance(coordinates, (list, tuple)):
            return []
        kind = geometry.get("type")
        if kind not in ("Polygon", "MultiPolygon"):
            return []
        polygons = [coordinates] if kind == "Polygon" else coordinates
        found = [self.ring(polygon[0], code) for polygon in polygons if isinstance(polygon, (list, tuple)) and polygon]
        return [ring for ring in found if ring]

    def box(self, bbox: Any, crs: int | None = None) -> list[Ring]:
        """The ring around a box: west, south, east, north."""
        sides = [number(side) for side in bbox] if isinstance(bbox, (list, tuple)) and len(bbox) == 4 else []
        if len(sides) != 4 or None in sides:
            return []
        west, south, east, north = (side for side in sides if side is not None)
        steps = [index / 8 for index in range(8)]
        across, up = east - west, north - south
        corners = [
            *((west + across * step, south) for step in steps),
            *((east, south + up * step) for step in steps),
            *((east - across * step, north) for step in steps),
            *((west, north - up * step) for step in steps),
        ]
        ring = self.ring(corners, 4326 if crs is None else crs)
        return [ring] if ring else []

    def ring(self, points: Any, crs: int) -> list[Place]:
        """The ring in degrees, without its last point if that is the first again; empty if it cannot be read."""
        if crs not in self._systems:
            self._systems[crs] = to_degrees(crs)
        degrees = self._systems[crs]
        if degrees is None or not isinstance(points, (list, tuple)):
            return []
        ring: list[Place] = []
        try:
            for point in points:
                x, y = float(point[0]), float(point[1])
                key = (crs, x, y)
                place = self._known.get(key)
                if place is None:
                    place = self._known[key] = degrees(x, y)
                ring.append(place)
        except (TypeError, ValueError, IndexError, OverflowError):
            return []
        if any(not (math.isfinite(x) and math.isfinite(y) and abs(y) <= 90.0001) for x, y in ring):
            return []
        if len(ring) > 1 and ring[0] == ring[-1]:
            ring.pop()
        return _unwrapped(ring) if len(ring) >= 3 else []


def _unwrapped(ring: list[Place]) -> list[Place]:
    """The ring in one piece: one that crosses the antimeridian goes on beyond 180 degrees."""
    longitudes = [x for x, _ in ring]
    if max(longitudes) - min(longitudes) <= 180:
        return ring
    if max(longitudes) - min(longitudes) >= 359.9 and len(ring) > 8:
        return ring  # around the world, not across its edge
    return [(x + 360 if x < 0 else x, y) for x, y in ring]


def _code_in(geometry: Any) -> int | None:
    """The EPSG code that a geometry names, 4326 if it names none; None for a name that is no code."""
    try:
        name = name_in_geojson(member(geometry, "crs"))
    except InvalidInputError:
        return None
    return 4326 if name is None else code_of(name)


def code_of(crs: str) -> int | None:
    """The EPSG code of a CRS by any of its names, None if it has none."""
    try:
        last = crs_url(crs).rpartition("/")[2]
    except InvalidInputError:
        return None
    return 4326 if last == "CRS84" else int(last)


def area_rings(body: Any, placer: Placer) -> list[Ring]:
    """Outer rings of the area that a request names, in degrees; none if it names none.

    :param body: the request as the service shows it, of any generation.
    """
    places = (("processRequest",), ("request", "processRequest"), ("request",), ())
    bounds = next(
        (found for place in places if isinstance(found := member(body, *place, "input", "bounds"), Mapping)), None
    )
    if bounds is None:
        return []
    crs = text(member(bounds, "properties", "crs"))
    code = None if crs is None else code_of(crs)
    geometry = bounds.get("geometry")
    if geometry is not None:
        return placer.rings(geometry, code)
    return placer.box(bounds.get("bbox"), code)
