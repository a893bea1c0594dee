"""Shapes and points from one CRS to another."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

WGS84 = 4326


@lru_cache(maxsize=256)
def transformer(source: int, target: int) -> Transformer:
    """From EPSG code to EPSG code, x before y on both sides. Making one takes milliseconds, so each is made once."""
    return Transformer.from_crs(source, target, always_xy=True)


def reproject(area: BaseGeometry, source: int, target: int) -> BaseGeometry:
    """The shape in another CRS. Long edges get points in between, since a straight edge is not straight elsewhere."""
    if source == target:
        return area
    west, south, east, north = area.bounds
    step = max(east - west, north - south) / 64
    dense = shapely.segmentize(area, step) if step > 0 else area
    project = transformer(source, target)

    def convert(points: Any) -> Any:
        x, y = project.transform(points[:, 0], points[:, 1])
        points[:, 0], points[:, 1] = x, y
        return points

    return shapely.transform(dense, lambda points: convert(points.copy()))
