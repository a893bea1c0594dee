"""Features of a GeoPackage by the pixels that an aggregation gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results._sqlite import DatabaseFile
from airflow_sentinelhub.results.feature_sizes import feature_sizes
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage

COLUMNS = (("id", "INTEGER"), ("identifier", "TEXT"), ("geometry", "POLYGON"))


def layer(name: str, *sides: tuple[float, float]) -> Layer:
    boxes = [shapely.box(500_000, 4_600_000, 500_000 + width, 4_600_000 + height) for width, height in sides]
    rows = [
        (at, f"{name}-{at}", geometry(shapely.to_wkb(box), 32632, box.bounds)) for at, box in enumerate(boxes, start=1)
    ]
    return Layer(name, 32632, COLUMNS, rows, (0.0, 0.0, 1.0, 1.0), geometry_type="POLYGON")


def source(folder: Path, content: bytes) -> DatabaseFile:
    path = folder / "fields.gpkg"
    path.write_bytes(content)
    return DatabaseFile(path, "GeoPackage", "req-1", "s3://farm/fields.gpkg")


@pytest.mark.parametrize(
    ("aggregation", "sizes"),
    [
        ({"resx": 10, "resy": 10}, [(20, 10, 2), (21, 10, 1), (1, 1, 1)]),
        ({"resx": 10}, [(20, 10, 2), (21, 10, 1), (1, 1, 1)]),
        ({"resx": 10, "resy": -50}, [(20, 2, 2), (21, 2, 1), (1, 1, 1)]),
        ({"width": 300, "height": 20}, [(300, 20, 4)]),
        ({}, [(256, 256, 4)]),
    ],
)
def test_features_are_counted_by_their_pixels(tmp_path: Path, aggregation: Any, sizes: Any) -> None:
    file = source(tmp_path, geopackage([layer("a", (200, 100), (200.1, 100)), layer("b", (200, 100), (3, 3))]))
    assert sorted(feature_sizes(file, aggregation)) == sorted(sizes)


def test_what_is_no_geopackage_has_no_price(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="not an SQLite file"):
        feature_sizes(source(tmp_path, b"no" * 100), {"resx": 10})
