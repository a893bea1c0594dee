"""The rules for a GeoPackage of features, checked on files before a request is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.results.geopackage import complaint_about
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage

COLUMNS = (
    ("id", "INTEGER"),
    ("identifier", "TEXT"),
    ("geometry", "POLYGON"),
    ("width", "INTEGER"),
    ("height", "INTEGER"),
    ("resolution", "REAL"),
)
FIELD = shapely.box(500_000, 4_649_000, 501_000, 4_649_500)


def layer(*rows: dict[str, Any], name: str = "fields", crs: int = 32632, columns: Any = COLUMNS, **more: Any) -> Layer:
    blob = geometry(shapely.to_wkb(FIELD, byte_order=1), crs, FIELD.bounds)
    usual = {"id": 1, "identifier": "a", "geometry": blob, "width": 100, "height": 50, "resolution": None}
    listed = [[{**usual, **row}[column] for column, _ in columns] for row in rows]
    kind = more.pop("geometry_type", "POLYGON")
    return Layer(name=name, crs=crs, columns=columns, rows=listed, bounds=FIELD.bounds, geometry_type=kind, **more)


def complaint(tmp_path: Path, *layers: Layer, defaults: dict[str, Any] | None = None) -> str | None:
    file = tmp_path / "features.gpkg"
    file.write_bytes(geopackage(layers))
    return complaint_about(file, defaults)


def test_a_good_file(tmp_path: Path) -> None:
    assert complaint(tmp_path, layer({}, {"id": 2, "identifier": "b"}), layer({"identifier": "c"}, name="more")) is None


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([layer()], "no features"),
        ([layer({}, {"id": 2})], "'a' is there twice"),
        ([layer({}), layer({}, name="more")], "'a' is there twice"),
        ([layer({"identifier": None})], "A feature has no identifier"),
        ([layer({"width": 3501})], "1 to 3500 pixels"),
        ([layer({"height": 0})], "1 to 3500 pixels"),
        ([layer({"width": None, "height": None})], "neither width and height nor resolution"),
        ([layer({}, columns=tuple(c for c in COLUMNS if c[0] != "identifier"))], "no column identifier"),
        ([layer({}, geometry_type="POINT")], "holds POINT"),
    ],
)
def test_what_the_service_would_refuse(tmp_path: Path, layers: list[Layer], said: str) -> None:
    assert said in str(complaint(tmp_path, *layers))


def test_defaults_stand_in_for_sizes(tmp_path: Path) -> None:
    bare = layer({"width": None, "height": None})
    assert complaint(tmp_path, bare, defaults={"resolution": 10}) is None


def test_no_geopackage(tmp_path: Path) -> None:
    file = tmp_path / "features.gpkg"
    file.write_bytes(b"PK\x03\x04 a zip, by its name a GeoPackage" * 10)
    assert "no GeoPackage that can be read" in str(complaint_about(file))
