"""Tiles as columns, and their outlines in longitude and latitude."""

from __future__ import annotations

import math
import random
from typing import Any

import pyproj
import pytest

from airflow_sentinelhub.api.projection import to_degrees
from airflow_sentinelhub.api.tile_table import SCALE, Placer, TileTable, area_rings

SQUARE = [[399960.0, 4890240.0], [420000.0, 4890240.0], [420000.0, 4910280.0], [399960.0, 4910280.0]]
BOUNDS = {
    **{32600 + zone: (200_000, 800_000, 0, 9_300_000) for zone in (1, 31, 60)},
    **{32700 + zone: (200_000, 800_000, 1_200_000, 9_999_000) for zone in (1, 20, 60)},
    3035: (2_600_000, 7_300_000, 1_400_000, 5_500_000),
    3857: (-2e7, 2e7, -1.9e7, 1.9e7),
    4326: (-180, 180, -90, 90),
}


@pytest.mark.parametrize("epsg", BOUNDS)
def test_coordinates_are_those_of_proj(epsg: int) -> None:
    west, east, south, north = BOUNDS[epsg]
    proj = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    ours, chance = to_degrees(epsg), random.Random(epsg)
    assert ours is not None
    for _ in range(500):
        x, y = chance.uniform(west, east), chance.uniform(south, north)
        (there, up), (longitude, latitude) = proj.transform(x, y), ours(x, y)
        assert abs((there - longitude + 180) % 360 - 180) * math.cos(math.radians(latitude)) < 1e-6  # a decimetre
        assert up == pytest.approx(latitude, abs=1e-6)


@pytest.mark.parametrize("epsg", [0, 32600, 32661, 32700, 32761, 2154, -1])
def test_another_system_is_not_known(epsg: int) -> None:
    assert to_degrees(epsg) is None


def crs(name: str) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": name}}


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::32632", "EPSG:32632"])
def test_an_outline_is_in_the_system_that_it_names(name: str) -> None:
    (ring,) = Placer().rings({"type": "Polygon", "coordinates": [[*SQUARE, SQUARE[0]]], "crs": crs(name)})
    assert len(ring) == 4
    assert all(7.5 < x < 8.1 and 44 < y < 44.5 for x, y in ring)


def test_a_multipolygon_has_a_ring_for_each_part() -> None:
    parts = [[[[0, 0], [1, 0], [1, 1], [0, 0]]], [[[5, 5], [6, 5], [6, 6], [5, 5]], [[5, 5], [5.1, 5], [5, 5.1]]]]
    assert [len(ring) for ring in Placer().rings({"type": "MultiPolygon", "coordinates": parts})] == [3, 3]


@pytest.mark.parametrize(
    "geometry",
    [
        *(None, "x", 7, [], {}, {"type": "Polygon"}, {"type": "Point", "coordinates": [1, 2]}),
        {"coordinates": [[[0, 0], [1, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 95], [1, 1]]]},
        {"type": "Polygon", "coordinates": [SQUARE], "crs": crs("EPSG:2154")},
        {"type": "Polygon", "coordinates": [SQUARE], "crs": crs("nowhere")},
        {"type": "Polygon", "coordinates": [SQUARE], "crs": "nowhere"},
    ],
)
def test_what_cannot_be_drawn_is_counted_and_raises_nothing(geometry: Any) -> None:
    table = TileTable()
    table.add("a", "PENDING", Placer().rings(geometry))
    assert (table.unplaced, table.rings, table.names) == (1, [], ["a"])


def test_a_tile_on_the_antimeridian_is_in_one_piece() -> None:
    (ring,) = Placer().rings(
        {"type": "Polygon", "coordinates": [[[179.5, 0], [-179.5, 0], [-179.5, 1], [179.5, 1], [179.5, 0]]]}
    )
    assert {x for x, _ in ring} == {179.5, 180.5}


def test_columns_say_what_was_added() -> None:
    table = TileTable()
    table.add("a", "PROCESSED", [[(0, 0), (1, 0), (1, 1), (0, 1)]], cost=1.5, paths={"default": "s3://b/a.tif"})
    table.add("b", "FAILED", [[(1, 0), (2, 0), (2, 1), (1, 1)]], error="EXECUTION_ERROR")
    table.add("c", "STRANGE")
    said = table.as_json()
    assert [said["words"][code] for code in said["status"]] == ["PROCESSED", "FAILED", "STRANGE"]
    assert said["sizes"] == 4
    assert said["owners"] == [0, 1]
    assert said["costs"] == [1.5, None, None]
    assert said["errors"] == {"1": "EXECUTION_ERROR"}
    assert said["unplaced"] == 1
    points, x, y = [], 0, 0
    for dx, dy in zip(said["xy"][::2], said["xy"][1::2], strict=True):
        x, y = x + dx, y + dy
        points.append((x / SCALE, y / SCALE))
    assert points == [place for _, ring in table.rings for place in ring]
    assert table.counts() == {"PROCESSED": 1, "FAILED": 1, "STRANGE": 1}
    features = table.as_geojson()["features"]
    assert [feature["properties"]["name"] for feature in features] == ["a", "b", "c"]
    assert features[0]["geometry"]["coordinates"][0][0][0] == features[0]["geometry"]["coordinates"][0][0][-1]
    assert features[2]["geometry"] is None


BOX = {"bbox": [8.5, 41.3, 9.6, 43.1], "properties": {"crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}}
UTM = {
    "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32632"},
}


@pytest.mark.parametrize("bounds", [BOX, UTM])
@pytest.mark.parametrize(
    "around",
    [
        lambda bounds: {"processRequest": {"input": {"bounds": bounds}}},
        lambda bounds: {"request": {"processRequest": {"input": {"bounds": bounds}}}},
        lambda bounds: {"request": {"input": {"bounds": bounds}}},
    ],
)
def test_the_area_is_found_in_each_generation(bounds: Any, around: Any) -> None:
    (ring,) = area_rings(around(bounds), Placer())
    assert all(7 < x < 10 and 41 < y < 45 for x, y in ring)


@pytest.mark.parametrize("body", [None, {}, {"request": {}}, {"request": {"input": {"bounds": {"bbox": [1, 2]}}}}])
def test_a_request_may_name_no_area(body: Any) -> None:
    assert area_rings(body, Placer()) == []
