"""What a request works through one by one: the tiles of a grid, or the features of a GeoPackage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import shapely

from airflow_sentinelhub.grids.tiling import Ints, TileSet

from .bodies import Json, output_size
from .jobs import Generation

Shapes = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class Units(Protocol):
    """Numbered from 0. ``ids`` are what ``<tileId>`` stands for, ``crs`` EPSG codes."""

    @property
    def ids(self) -> Ints: ...

    @property
    def crs(self) -> Ints: ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What ``<tileName>`` stands for: the tile's name, or the feature's identifier."""

    def indices_of(self, names: set[str]) -> list[int]:
        """The units with these names."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a GeoPackage: each with its shape in its own CRS and the size in pixels of its outputs."""

    crs: Ints
    names: Sequence[str]
    polygons: Shapes
    widths: Ints
    heights: Ints
    # The column ``id`` of the file, unique in each of its tables.
    numbers: Ints

    @cached_property
    def ids(self) -> Ints:
        return np.arange(1, len(self.names) + 1, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def indices_of(self, names: set[str]) -> list[int]:
        return [index for index, name in enumerate(self.names) if name in names]


def sizes(units: Units, body: Json, generation: Generation) -> tuple[Ints, Ints]:
    """Widths and heights in pixels of the outputs, buffers included."""
    if isinstance(units, Features):
        return units.widths, units.heights
    width, height = output_size(body, generation)
    return np.full(len(units), width, dtype=np.int64), np.full(len(units), height, dtype=np.int64)


def shapes(units: Units) -> Shapes:
    """The outlines in each unit's CRS, without buffers."""
    if isinstance(units, Features):
        return units.polygons
    boxes = _boxes(units)
    outlines: Shapes = shapely.box(boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3])
    return outlines


def extent(units: Units, index: int, body: Json, generation: Generation) -> tuple[float, float, float, float]:
    """West, south, east, north of what the outputs of a unit show, buffers included, in the unit's CRS."""
    if isinstance(units, Features):
        west, south, east, north = (float(side) for side in shapely.bounds(units.polygons[index]))
        return west, south, east, north
    assert isinstance(units, TileSet)
    settings = body["tilingGrid"] if generation == "v1" else body["input"]
    x, y = (float(settings["resolution"]) * int(settings.get(name) or 0) for name in ("bufferX", "bufferY"))
    west, south, east, north = units.corners(index)
    return west - x, south - y, east + x, north + y


def _boxes(units: Units) -> Floats:
    assert isinstance(units, TileSet)
    west, north = units.column * units.grid.spacing, (units.row + 1) * units.grid.spacing
    return np.stack([west, north - units.grid.size, west + units.grid.size, north], axis=1)
