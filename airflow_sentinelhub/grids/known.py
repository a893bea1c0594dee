"""The six tiling grids that both generations of the service offer, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Family = Literal["utm", "wgs84", "laea"]


@dataclass(frozen=True)
class Grid:
    """A tiling grid. Lengths are metres, or degrees for the one grid in WGS84.

    ``spacing`` is the distance from a tile to its neighbour, ``size`` the length of a tile's side (the API's
    tileWidth). They differ where tiles must hold a whole number of 60 m pixels: such tiles overlap their right and
    lower neighbours by 40 m (20 km grid) or 80 m (100 km grid). That the tiles of a UTM grid begin at the corners of
    the 100 km squares they are named after is inferred from their names.
    """

    id: int
    name: str
    family: Family
    size: float
    spacing: float
    resolutions: tuple[float, ...]
    chunk: tuple[int, int] | None

    @property
    def unit(self) -> str:
        return "DEGREE" if self.family == "wgs84" else "METRE"

    def pixels(self, resolution: float) -> int:
        """Side of a tile in pixels, without buffer."""
        return round(self.size / resolution)

    def offers(self, resolution: float) -> bool:
        return any(abs(resolution - offered) <= 1e-9 * offered for offered in self.resolutions)

    def descriptor(self) -> dict[str, Any]:
        """As the API shows it. chunkWidth and chunkHeight are given where their value was seen, and nowhere else."""
        properties: dict[str, Any] = {"tileWidth": self.size, "tileHeight": self.size}
        if self.chunk is not None:
            properties["chunkWidth"], properties["chunkHeight"] = self.chunk
        properties["resolutions"] = list(self.resolutions)
        properties["singleCrs"] = self.family != "utm"
        properties["unit"] = self.unit
        return {"id": self.id, "name": self.name, "properties": properties}


# Resolutions are those the API listed in 2026 (seen); the docs name 30 m for grids 0 and 2 as well, the API did not.
GRIDS: dict[int, Grid] = {
    grid.id: grid
    for grid in (
        Grid(0, "20km grid", "utm", 20040.0, 20000.0, (10.0, 20.0, 60.0), (334, 167)),
        Grid(1, "10km grid", "utm", 10000.0, 10000.0, (1.0, 10.0, 20.0, 1.4999), None),
        Grid(2, "100km grid", "utm", 100080.0, 100000.0, (360.0, 60.0, 120.0, 240.0), None),
        Grid(
            3,
            "WGS84 1 degree grid",
            "wgs84",
            1.0,
            1.0,
            (0.0005, 0.001, 0.002, 0.005, 0.008, 0.0001, 0.0002, 0.0008),
            None,
        ),
        Grid(6, "LAEA 100km grid", "laea", 100000.0, 100000.0, (40.0, 50.0, 100.0), (0, 0)),
        Grid(7, "LAEA 20km grid", "laea", 20000.0, 20000.0, (10.0, 20.0), (0, 0)),
    )
}
