"""The features of a GeoPackage in a preview: which ones, their outlines, and their sizes in pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.preview.features import features_of
from airflow_sentinelhub.preview.make import preview_of
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage

URL = "s3://farm/fields.gpkg"
SCRIPT = "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}} }\nfunction evaluatePixel(s) {}"
SIDES = ("width", "height", "resolution")


def blob(shape: Any, crs: int = 4326, envelope: int = 1) -> bytes:
    """A geometry with an envelope of this kind: none, or of two, three (with z or m) or four dimensions."""
    west, south, east, north = shape.bounds
    numbers = [west, east, south, north, 0, 0, 0, 0][: {0: 0, 1: 4, 2: 6, 3: 6, 4: 8}[envelope]]
    return struct.pack(f"<2sBBi{len(numbers)}d", b"GP", 0, envelope << 1 | 1, crs, *numbers) + shapely.to_wkb(shape)


def file_of(
    path: Path, *features: tuple[Any, ...], crs: int = 4326, columns: Sequence[str] = SIDES, **more: Any
) -> Path:
    """Features `f0`, `f1` ... of a geometry (or its bytes), and values for `columns`."""
    kinds = {"width": "INTEGER", "height": "INTEGER", "resolution": "REAL"}
    described = [("id", "INTEGER"), ("identifier", "TEXT"), ("geometry", "GEOMETRY")]
    described += [(name, kinds[name]) for name in columns]
    rows = [
        (at, f"f{at}", shape if isinstance(shape, bytes) else geometry(shape.wkb, crs, shape.bounds), *sizes)
        for at, (shape, *sizes) in enumerate(features)
    ]
    made = path / "fields.gpkg"
    made.write_bytes(geopackage([Layer("fields", crs, described, rows, (0, 0, 1, 1), **more)]))
    return made


def payload(**defaults: Any) -> dict[str, Any]:
    return {
        "processRequest": {"input": {"data": [{"type": "sentinel-2-l2a"}]}, "evalscript": SCRIPT},
        "input": {"type": "geopackage", "features": {"s3": {"url": URL}}, "defaults": defaults},
    }


SQUARE = shapely.box(9, 42, 9.1, 42.1)


@pytest.mark.parametrize("envelope", [0, 1, 2, 3, 4])
def test_a_geometry_is_read_whatever_envelope_it_has(tmp_path: Path, envelope: int) -> None:
    file = file_of(tmp_path, (blob(SQUARE, envelope=envelope), 10, 20, None))
    found = features_of(file, payload(), None, statistical=False)
    assert sorted(found.outlines[0])[0] == (9.0, 42.0)
    assert found.area_km2 == pytest.approx(91.9, rel=0.01)


def test_an_outline_is_the_outer_one_without_heights(tmp_path: Path) -> None:
    hole = shapely.Polygon(SQUARE.exterior.coords, [shapely.box(9.04, 42.04, 9.06, 42.06).exterior.coords])
    high = shapely.force_3d(SQUARE, 7.0)
    file = file_of(tmp_path, (hole, 10, 20, None), (blob(high), 10, 20, None))
    found = features_of(file, payload(), None, statistical=False)
    for outline in found.outlines:
        assert {len(point) for point in outline} == {2}
        assert shapely.Polygon(outline).bounds == SQUARE.bounds
    assert found.names == ["f0", "f1"]


def test_the_crs_is_that_of_the_organisation_whatever_number_the_file_gives_it(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    square = shapely.box(500_000, 4_649_000, 500_500, 4_649_500)
    file = file_of(tmp_path, (square, 50, 50, None), crs=32632)
    with closing(sqlite3.connect(file)) as database:
        for table in ("gpkg_spatial_ref_sys", "gpkg_geometry_columns", "gpkg_contents"):
            database.execute(f"UPDATE {table} SET srs_id = 100077 WHERE srs_id = 32632")
        database.commit()
    found = features_of(file, payload(), None, statistical=False)
    assert found.outlines[0][0] == pytest.approx((9.0, 42.0), abs=0.02)
    assert found.area_km2 == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize(
    ("own", "defaults", "size"),
    [
        ((30, 40, None), {}, (30, 40)),
        ((30, 40, 0.01), {}, (30, 40)),
        ((None, None, 0.01), {}, (10, 10)),
        ((None, None, 0.03), {}, (4, 4)),  # a part of a pixel is one
        ((None, None, 5.0), {}, (1, 1)),
        ((None, None, None), {"resolution": 0.05}, (2, 2)),
        ((None, None, None), {"width": 7, "height": 8}, (7, 8)),
        ((None, None, 0.05), {"width": 7, "height": 8}, (2, 2)),  # its own come first
        ((7, None, 0.05), {}, (2, 2)),  # a width alone is none
        ((None, None, None), {"width": 7, "height": 8, "resolution": 0.05}, (7, 8)),
    ],
)
def test_the_size_of_a_feature(tmp_path: Path, own: Any, defaults: dict[str, Any], size: tuple[int, int]) -> None:
    file = file_of(tmp_path, (SQUARE, *own))
    assert features_of(file, payload(**defaults), None, statistical=False).sizes == [(*size, 1)]


def test_sizes_of_a_file_without_such_columns_are_those_of_the_request(tmp_path: Path) -> None:
    file = file_of(tmp_path, (SQUARE,), columns=())
    assert features_of(file, payload(width=3, height=4), None, statistical=False).sizes == [(3, 4, 1)]
    with pytest.raises(InvalidInputError, match="Feature f0 has neither width and height nor resolution"):
        features_of(file, payload(), None, statistical=False)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (blob(SQUARE)[:20], "cannot be read"),
        (b"GP", "cannot be read"),
        (b"", "cannot be read"),
        (None, "cannot be read"),
        (shapely.Point(9, 42), "is no polygon"),
        (blob(shapely.LineString([(9, 42), (9, 43)])), "is no polygon"),
        (geometry(shapely.Polygon().wkb, 4326, (0, 0, 0, 0)), "is no polygon"),
        (geometry(SQUARE.wkb, 4326, SQUARE.bounds)[:3] + b"\x0f" + b"\0" * 90, "cannot be read"),
    ],
)
def test_a_feature_that_cannot_be_read_is_named(tmp_path: Path, shape: Any, why: str) -> None:
    file = file_of(tmp_path, (SQUARE, 1, 1, None), (shape if shape is not None else b"", 1, 1, None))
    with pytest.raises(InvalidInputError, match=f"feature f1 {why}"):
        features_of(file, payload(), None, statistical=False)


def test_the_features_of_a_job(tmp_path: Path) -> None:
    file = file_of(tmp_path, *((shapely.box(9 + at, 42, 9.1 + at, 42.1), 10, 10, None) for at in range(3)))
    bounds = {"bbox": [9.5, 41, 12, 43], "properties": {"crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}}
    asked = payload()
    asked["processRequest"]["input"]["bounds"] = bounds
    found = preview_of(asked, "v2", geopackage=file)
    assert found.names == ["f1", "f2"]
    assert found.area_km2 == pytest.approx(2 * 91.9, rel=0.01), "of the features, not of the area around them"
    bounds["bbox"] = [0, 0, 1, 1]
    assert found.refused == []
    assert (
        f"GeoPackage {URL}: it has no features that touch the area." in preview_of(asked, "v2", geopackage=file).refused
    )


def test_a_file_that_is_not_there_is_refused_and_a_folder_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.gpkg", tmp_path):
        assert preview_of(payload(), "v2", geopackage=path).refused == [f"There is no GeoPackage at {path}."]
