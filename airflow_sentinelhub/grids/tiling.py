"""An area cut into the tiles of a grid: every tile that shares surface with the area, none that only shares an edge.

Tiles are kept as whole numbers in arrays (CRS, column, row), a few bytes each, so that a continent of 100,000 tiles is
cheap; names and shapes are made for the page somebody asks for. Column c and row r of a CRS mean a tile whose UPPER
LEFT corner lies at x = c * spacing, y = (r + 1) * spacing (seen: the origin is the upper left corner, whatever the
contract says).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from airflow_sentinelhub.grids.known import Grid
from airflow_sentinelhub.grids.mgrs import SQUARE, square_name, zone_strips
from airflow_sentinelhub.grids.projection import WGS84, reproject, transformer

LAEA = 3035
# The UTM grids cover about 81 degrees north and south (seen); 80 is where UTM itself ends in the south.
_UTM_SOUTH, _UTM_NORTH = -80.0, 81.0
# Where EPSG:3035 is meant to be used, in degrees: the LAEA grids cover Europe.
_LAEA_AREA = (-35.58, 24.6, 44.83, 84.73)

Ints = npt.NDArray[np.int64]
# What makes an id of CRS, column and row: more columns and rows (some are negative) than any of the grids has.
_COLUMNS, _ROWS, _OFFSET = 1000, 2000, 200


@dataclass(frozen=True, eq=False)
class TileSet:
    """Tiles of one grid, ordered by id. ``crs`` holds EPSG codes."""

    grid: Grid
    crs: Ints
    column: Ints
    row: Ints
    ids: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, tile_id: int) -> int | None:
        index = int(np.searchsorted(self.ids, tile_id))
        return index if index < len(self.ids) and self.ids[index] == tile_id else None

    def name(self, index: int) -> str:
        """``30TVM_2_5`` (100 km square, column and row in it), ``30TVM``, ``S08E036``, ``100kmE42N20``.

        That rows count from the top is our choice, as the origin is up there. So is the last form, since the names of
        the LAEA grids are nowhere published: the lower left corner in units of 100 km, for the 20 km grid of 10 km.
        """
        column, row = int(self.column[index]), int(self.row[index])
        if self.grid.family == "wgs84":
            return f"{'S' if row < 0 else 'N'}{abs(row):02d}{'W' if column < 0 else 'E'}{abs(column):03d}"
        if self.grid.family == "laea":
            unit = 100_000 if self.grid.spacing == 100_000 else 10_000
            east, north = (int(number * self.grid.spacing) // unit for number in (column, row))
            return f"{int(self.grid.spacing) // 1000}kmE{east}N{north}"
        per_square = round(SQUARE / self.grid.spacing)
        square = _square(int(self.crs[index]), column // per_square, row // per_square)
        return square if per_square == 1 else f"{square}_{column % per_square}_{per_square - 1 - row % per_square}"

    def corners(self, index: int) -> tuple[float, float, float, float]:
        """West, south, east, north in the tile's CRS."""
        west, north = float(self.column[index]) * self.grid.spacing, float(self.row[index] + 1) * self.grid.spacing
        return west, north - self.grid.size, west + self.grid.size, north

    def geometry(self, index: int) -> dict[str, Any]:
        """The tile's outline in longitude and latitude, as GeoJSON with the ``crs`` member seen in the API."""
        west, south, east, north = self.corners(index)
        ring = [(west, south), (west, north), (east, north), (east, south), (west, south)]
        if int(self.crs[index]) != WGS84:
            x, y = zip(*ring, strict=True)
            ring = list(zip(*transformer(int(self.crs[index]), WGS84).transform(x, y), strict=True))
        return {"type": "Polygon", "crs": _crs_member(WGS84), "coordinates": [[[x, y] for x, y in ring]]}

    def outlines(self) -> npt.NDArray[np.float64]:
        """The outlines of all tiles in longitude and latitude, as an array of (tile, corner, coordinate); closed."""
        west, north = self.column * self.grid.spacing, (self.row + 1) * self.grid.spacing
        east, south = west + self.grid.size, north - self.grid.size
        corners = [(west, south), (west, north), (east, north), (east, south), (west, south)]
        found = np.array([[x, y] for x, y in corners], dtype=np.float64).transpose(2, 0, 1)
        for code in np.unique(self.crs).tolist():
            if code != WGS84:
                own = self.crs == code
                x, y = transformer(code, WGS84).transform(found[own, :, 0], found[own, :, 1])
                found[own] = np.stack((x, y), axis=-1)
        return found

    def names(self) -> list[str]:
        """The names of all tiles, in the order of their ids."""
        return [self.name(index) for index in range(len(self))]

    def origin(self, index: int) -> dict[str, Any]:
        """The upper left corner in the tile's own CRS."""
        west, _, _, north = self.corners(index)
        return {"type": "Point", "crs": _crs_member(int(self.crs[index])), "coordinates": [west, north]}

    def indices_of(self, names: set[str]) -> list[int]:
        return [index for index in range(len(self)) if self.name(index) in names]


def _crs_member(code: int) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}


@lru_cache(maxsize=65_536)  # more than there are on Earth
def _square(crs: int, column: int, row: int) -> str:
    """Name of a 100 km square. Its band is that of its centre, so that all tiles of a square share one name."""
    x, y = (column + 0.5) * SQUARE, (row + 0.5) * SQUARE
    _, latitude = transformer(crs, WGS84).transform(x, y)
    return square_name(crs % 100, latitude, x, y)


def tiles_of(area: BaseGeometry, grid: Grid) -> TileSet:
    """The tiles of the grid that the area (longitude, latitude) covers at least partly. None at all is possible."""
    parts = [(crs, *_touched(piece, grid)) for crs, piece in _pieces(area, grid)]
    crs = np.concatenate([np.full(len(columns), code, dtype=np.int64) for code, columns, _ in parts] or [_none()])
    column = np.concatenate([columns for _, columns, _ in parts] or [_none()])
    row = np.concatenate([rows for _, _, rows in parts] or [_none()])
    # A zone that is cut by latitude (north, south, the odd strips of Norway) can give the same tile twice.
    ids, first = np.unique((crs * _COLUMNS + column + _OFFSET) * _ROWS + row + _OFFSET, return_index=True)
    return TileSet(grid, crs[first], column[first], row[first], ids)


def _none() -> Ints:
    return np.empty(0, dtype=np.int64)


def _pieces(area: BaseGeometry, grid: Grid) -> Iterator[tuple[int, BaseGeometry]]:
    """The area in the CRSs of the grid: whole, or cut at the borders of the UTM zones and at the equator."""
    if grid.family == "wgs84":
        yield WGS84, area
        return
    if grid.family == "laea":
        inside = area.intersection(shapely.box(*_LAEA_AREA))
        if inside.area > 0:
            yield LAEA, reproject(inside, WGS84, LAEA)
        return
    west, south, east, north = area.bounds
    for zone, zone_west, zone_south, zone_east, zone_north in zone_strips():
        if zone_east <= west or zone_west >= east:
            continue
        for base, low, high in ((32700, _UTM_SOUTH, 0.0), (32600, 0.0, _UTM_NORTH)):
            strip_south, strip_north = max(zone_south, low), min(zone_north, high)
            if strip_north <= max(south, strip_south) or strip_south >= north:
                continue
            piece = area.intersection(shapely.box(zone_west, strip_south, zone_east, strip_north))
            if piece.area > 0:
                yield base + zone, reproject(piece, WGS84, base + zone)


def _touched(piece: BaseGeometry, grid: Grid) -> tuple[Ints, Ints]:
    """Columns and rows of the tiles that share surface with the piece (in the grid's CRS)."""
    west, south, east, north = piece.bounds
    overlap = grid.size - grid.spacing
    columns = np.arange(math.floor((west - overlap) / grid.spacing), math.floor(east / grid.spacing) + 1)
    rows = np.arange(math.floor(south / grid.spacing), math.floor((north + overlap) / grid.spacing) + 1)
    column, row = (axis.ravel() for axis in np.meshgrid(columns, rows))
    x, y = column * grid.spacing, (row + 1) * grid.spacing
    boxes = shapely.box(x, y - grid.size, x + grid.size, y)
    shapely.prepare(piece)
    shared = shapely.intersects(piece, boxes) & ~shapely.touches(piece, boxes)
    return column[shared].astype(np.int64), row[shared].astype(np.int64)


def estimated_count(area: BaseGeometry, grid: Grid) -> int:
    """About how many tiles the area touches: what the service can say before analysis, and corrects there (seen).

    For a convex area that lies anywhere, the expected number of squares of side s it touches is
    A / s**2 + (width + height) / s + 1.
    """
    west, south, east, north = area.bounds
    surface, width, height = area.area, east - west, north - south
    if grid.family != "wgs84":
        # Metres, near enough: a degree of latitude is 111.2 km, one of longitude shrinks with the cosine.
        scale = 111_195.0
        shrink = max(math.cos(math.radians((south + north) / 2)), 0.01)
        surface, width, height = surface * scale * scale * shrink, width * scale * shrink, height * scale
    return max(1, round(surface / grid.spacing**2 + (width + height) / grid.spacing + 1))
