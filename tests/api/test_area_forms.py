"""Areas as databases, services and scripts hand them on: WKB, bytes, lists of shapes, `bounds`, names of a CRS."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pyproj
import pytest
import shapely
from shapely.geometry import box, mapping, shape

from airflow_sentinelhub.api.areas import CRS84, area_bounds, early_bounds
from airflow_sentinelhub.api.crs import crs_url
from airflow_sentinelhub.exceptions import InvalidInputError

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
WEST, EAST = box(8, 41, 9, 42), box(10, 41, 11, 42)
UTM = box(500_000, 4_600_000, 510_000, 4_610_000)
BOTH = shapely.union_all([WEST, EAST])


def with_srid(geometry: Any, code: int) -> bytes:
    return bytes(shapely.to_wkb(shapely.set_srid(geometry, code), include_srid=True))


WKB: list[tuple[Any, Any, str]] = [
    (WEST.wkb, WEST, CRS84),
    (bytearray(WEST.wkb), WEST, CRS84),
    (memoryview(WEST.wkb), WEST, CRS84),
    (WEST.wkb_hex, WEST, CRS84),
    (WEST.wkb_hex.lower(), WEST, CRS84),
    (f"  {WEST.wkb_hex}\n", WEST, CRS84),
    ("\\x" + WEST.wkb.hex(), WEST, CRS84),
    ("0x" + WEST.wkb_hex, WEST, CRS84),
    (shapely.to_wkb(WEST, byte_order=0), WEST, CRS84),
    (shapely.to_wkb(BOTH, hex=True, byte_order=0), BOTH, CRS84),
    (shapely.to_wkb(shapely.force_3d(WEST, 7.0)), WEST, CRS84),
    (with_srid(UTM, 32632), UTM, f"{EPSG}32632"),
    (with_srid(UTM, 32632).hex(), UTM, f"{EPSG}32632"),
    (with_srid(WEST, 4326).hex().upper(), WEST, f"{EPSG}4326"),
]


@pytest.mark.parametrize(("area", "wanted", "url"), WKB)
def test_wkb(area: Any, wanted: Any, url: str) -> None:
    bounds = area_bounds(area)
    assert shape(bounds["geometry"]).equals(wanted)
    assert bounds["properties"] == {"crs": url}
    assert early_bounds(area) == {"area": area}


@pytest.mark.parametrize(
    ("area", "says"),
    [
        (shapely.Point(1, 2).wkb, "type 'Point'"),
        (WEST.wkb[:40], "WKB has a geometry that cannot be read"),
        (WEST.wkb_hex[:80], "WKB has a geometry that cannot be read"),
        (with_srid(UTM, 27700), "EPSG:27700"),
        (shapely.Polygon().wkb, "no polygon with a ring"),
        (b"\xff\xfe", "neither text in UTF-8 nor WKB"),
        (b"", "neither GeoJSON nor four numbers"),
    ],
)
def test_wkb_that_is_no_area(area: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as refused:
        area_bounds(area)
    assert "\n" not in str(refused.value)


ARC = "CIRCULARSTRING (0 0, 1 1, 2 0, 1 -1, 0 0)"
CURVES = [
    f"CURVEPOLYGON ({ARC})",
    f"SRID=4326;CURVEPOLYGON ({ARC})",
    f"MULTISURFACE (CURVEPOLYGON ({ARC}))",
    ARC,
    f"COMPOUNDCURVE ({ARC})",
    f"GEOMETRYCOLLECTION (CURVEPOLYGON ({ARC}))",
    "TIN (((0 0, 1 0, 1 1, 0 0)))",
    "POLYHEDRALSURFACE (((0 0, 1 0, 1 1, 0 0)))",
    "TRIANGLE ((0 0, 1 0, 1 1, 0 0))",
    bytes.fromhex("010a00000000000000"),  # a curved polygon in WKB, empty
    "010A00000000000000",
]


@pytest.mark.parametrize("area", CURVES)
def test_curves_and_surfaces_that_geojson_does_not_have(area: Any) -> None:
    """Libraries differ in what they read of these; none of their errors may come through."""
    with pytest.raises(InvalidInputError, match=r"[Aa]rea") as refused:
        area_bounds(area)
    assert "\n" not in str(refused.value)


SHAPES: list[tuple[Any, Any]] = [
    ([WEST, EAST], BOTH),
    ((WEST, None, EAST), BOTH),
    (numpy.array([WEST, EAST]), BOTH),
    ([mapping(WEST), mapping(EAST)], BOTH),
    ([{"type": "Feature", "properties": None, "geometry": mapping(WEST)}, EAST], BOTH),
    (json.dumps([mapping(WEST), mapping(EAST)]), BOTH),
    (json.dumps(mapping(WEST)).encode(), WEST),
    (b"\xef\xbb\xbf" + json.dumps(mapping(WEST)).encode(), WEST),
    (WEST.wkt.encode(), WEST),
    (b"8, 41, 9, 42", WEST),
    ([" 8 ", "41", " 9", "42 "], WEST),
    (["8.0", "41e0", "9", "+42"], WEST),
    (["8", 41, 9.0, "42.0"], WEST),
    ("[ 8 , 41 , 9 , 42 ]", WEST),
    ("( 8; 41; 9; 42 )", WEST),
    ({"bbox": [8, 41, 9, 42]}, WEST),
    ({"bbox": numpy.array([8, 41, 9, 42])}, WEST),
    ({"geometry": mapping(WEST)}, WEST),
    ({"geometry": mapping(WEST), "properties": {"crs": CRS84}}, WEST),
    (json.dumps({"bbox": [8, 41, 9, 42], "properties": {"crs": f"{EPSG}4326"}}), WEST),
]


@pytest.mark.parametrize(("area", "wanted"), SHAPES)
def test_shapes_in_every_form(area: Any, wanted: Any) -> None:
    bounds = area_bounds(area)
    found = box(*bounds["bbox"]) if "bbox" in bounds else shape(bounds["geometry"])
    assert found.equals(wanted)
    json.dumps(bounds)


def test_bounds_of_a_request_keep_their_crs() -> None:
    there = {"crs": f"{EPSG}32632"}
    limits = [500000, 4600000, 510000, 4610000]
    assert area_bounds({"bbox": limits, "properties": there}) == {"bbox": limits, "properties": there}
    assert area_bounds({"geometry": mapping(UTM), "properties": there})["properties"] == there


@pytest.mark.parametrize(
    ("area", "says"),
    [
        ([WEST, "POLYGON"], "a list of geometries, and one item is no geometry: 'POLYGON'"),
        ([WEST, 5], "a list of geometries, and one item is no geometry: 5"),
        ([[8, 41], [9, 42]], "four numbers"),
        ([WEST.wkt, EAST.wkt], "four numbers"),
        ({"west": 8, "south": 41}, "type None"),
        ({"rings": [], "spatialReference": {}}, "type None"),
        ({}, "type None"),
        ({"bbox": "8,41,9,42"}, "four numbers"),
        ({"bbox": [8, 41, 9, 42], "properties": {"crs": "EPSG:27700"}}, "EPSG:27700"),
        ("// my area\n{}", "It begins with a comment, which JSON does not have"),
        ("/* mine */ {}", "It begins with a comment, which JSON does not have"),
        ("# area\n{}", "It begins with a comment, which JSON does not have"),
        ('{"type": "Polygon", "coordinates": [[[8, 41], [9, NaN], [9, 42], [8, 41]]]}', "not two numbers: .9, nan."),
        ([True, 41, 9, 42], "four numbers"),
        ([8, 41, float("inf"), 42], "four numbers"),
        ([8, 41, 0, 9, 42, 100], "four numbers"),
        ([10**400, 0, 10**401, 1], "four numbers|not in degrees"),
        ([9, 42, 8, 41], "west must be below east"),
        ([41, 100, 42, 101], "are the axes swapped"),
    ],
)
def test_what_is_no_area_is_one_sentence_with_its_value(area: Any, says: str) -> None:
    for read in (area_bounds, early_bounds):
        with pytest.raises(InvalidInputError, match=says) as refused:
            read(area)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 500


def test_an_object_with_a_template_in_it_waits_for_the_task() -> None:
    area = {"type": "Polygon", "coordinates": [[["{{ params.x }}", 41], [9, 41], [9, 42], ["{{ params.x }}", 41]]]}
    assert early_bounds(area) == {"area": area}


@pytest.mark.parametrize(
    "crs",
    [
        *(4326, 4326.0, "4326", "4326.0", numpy.int64(4326), "EPSG:4326", "epsg:4326", "EPSG 4326", "EPSG/4326"),
        *("urn:ogc:def:crs:EPSG::4326", "urn:ogc:def:crs:EPSG:6.9:4326", f"{EPSG}4326", "+init=epsg:4326"),
        *("https://www.opengis.net/def/crs/EPSG/0/4326", "https://epsg.io/4326"),
        *(pyproj.CRS(4326), pyproj.CRS("+proj=longlat +datum=WGS84"), pyproj.CRS(4326).to_wkt()),
    ],
)
def test_every_name_of_a_crs(crs: Any) -> None:
    assert crs_url(crs) == f"{EPSG}4326"


@pytest.mark.parametrize(
    "crs", [True, None, b"4326", -1, 4326.5, "WGS84", "EPSG", "EPSG:", "ESRI:54009", 10**400, [], {}]
)
def test_what_names_no_crs_is_one_sentence(crs: Any) -> None:
    with pytest.raises(InvalidInputError, match="is not known; give an EPSG code"):
        crs_url(crs)


@pytest.mark.parametrize(
    "crs",
    [
        *("EPSG:32632", 32632, "urn:ogc:def:crs:EPSG::32632", {"id": {"authority": "EPSG", "code": 32632}}),
        *({"type": "EPSG", "properties": {"code": 32632}}, {"type": "name", "properties": {"name": "EPSG:32632"}}),
    ],
)
def test_the_crs_of_geojson_in_every_form(crs: Any) -> None:
    for area in ({**mapping(UTM), "crs": crs}, {"type": "Feature", "geometry": mapping(UTM), "crs": crs}):
        assert area_bounds(area)["properties"] == {"crs": f"{EPSG}32632"}


@pytest.mark.parametrize("crs", [True, [4326], {"name": "UTM"}, 0.5, {"type": "name", "properties": {}}])
def test_a_crs_of_geojson_that_names_nothing_is_refused(crs: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"The area's crs is|CRS .* is not known"):
        area_bounds({**mapping(UTM), "crs": crs})
