"""Areas as GIS tools write them: one table for each kind of input, with what the service is sent or the sentence.

What is sent is judged by shapely and by the simulator's own reading of bounds, which refuses what the service refuses.
"""

from __future__ import annotations

import json
import logging
import math
import re
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import shapely
import shapely.geometry
from shapely.geometry import box, mapping, shape

from airflow_sentinelhub.api.areas import CRS84, BBox, Geometry, area_bounds, early_bounds
from airflow_sentinelhub.api.rings import plainly_valid
from airflow_sentinelhub.api.service.payloads import finished, process_request
from airflow_sentinelhub.exceptions import InvalidInputError, SettingsError
from airflow_sentinelhub.simulator.area import parse_area

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
HOLE = [[0.2, 0.2], [0.2, 0.8], [0.8, 0.8], [0.8, 0.2], [0.2, 0.2]]
UTM = [
    [500000.0, 5000000.0],
    [510000.0, 5000000.0],
    [510000.0, 5010000.0],
    [500000.0, 5010000.0],
    [500000.0, 5000000.0],
]


def polygon(*rings: Any, **more: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings), **more}


def feature(geometry: Any, **more: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": "x"}, "geometry": geometry, **more}


def features(*geometries: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", **more, "features": [feature(geometry) for geometry in geometries]}


def moved(ring: Any, x: float = 0, y: float = 0) -> list[list[float]]:
    return [[a + x, b + y] for a, b in ring]


def named(name: str) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": name}}


def sent(area: Any, **how: Any) -> shapely.Geometry:
    """The shape that the service is sent. The simulator takes it, and it is JSON of two dimensions."""
    bounds = area_bounds(area, **how)
    assert json.loads(json.dumps(bounds, allow_nan=False)) == bounds
    assert parse_area(bounds, 1500).is_valid
    found = box(*bounds["bbox"]) if "bbox" in bounds else shape(bounds["geometry"])
    assert found.is_valid
    assert not found.has_z
    assert bounds["geometry"]["type"] in ("Polygon", "MultiPolygon") if "geometry" in bounds else True
    return found


def refused(area: Any, **how: Any) -> str:
    with pytest.raises(InvalidInputError) as raised:
        area_bounds(area, **how)
    message = str(raised.value)
    assert len(message) < 420
    assert "\n" not in message
    assert message.encode()
    return message


# Every form

FORMS: list[tuple[str, Any]] = [
    ("dict", polygon(SQUARE)),
    ("tuples", {"type": "Polygon", "coordinates": tuple(tuple(map(tuple, ring)) for ring in [SQUARE])}),
    ("numpy", {"type": "Polygon", "coordinates": numpy.array([SQUARE])}),
    ("numpy points", {"type": "Polygon", "coordinates": [list(numpy.array(SQUARE, dtype="float32"))]}),
    ("decimals", {"type": "Polygon", "coordinates": [[[Decimal(x), Decimal(y)] for x, y in SQUARE]]}),
    ("text", json.dumps(polygon(SQUARE))),
    ("pretty text with BOM", "\ufeff" + json.dumps(features(polygon(SQUARE)), indent=2) + "\r\n"),
    ("lines (ogr2ogr -f GeoJSONSeq)", "\n".join(json.dumps(feature(polygon(SQUARE))) for _ in range(2)) + "\n"),
    ("RFC 8142 (osmium)", "".join(f"\x1e{json.dumps(feature(polygon(SQUARE)))}\n" for _ in range(2))),
    ("WKT", "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))"),
    ("WKT small", " polygon((0 0,1 0,1 1,0 1,0 0)) "),
    ("WKT Z", "POLYGON Z ((0 0 5, 1 0 5, 1 1 5, 0 1 5, 0 0 5))"),
    ("WKT multi", "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 1, 0 0)))"),
    ("WKT collection", "GEOMETRYCOLLECTION (POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0)))"),
    ("EWKT", "SRID=4326;POLYGON((0 0, 1 0, 1 1, 0 1, 0 0))"),
    ("numbers", [0, 0, 1, 1]),
    ("numbers of numpy", numpy.array([0.0, 0.0, 1.0, 1.0])),
    ("numbers from templates", ["0", "0.0", "1", " 1"]),
    ("text of numbers", "0, 0, 1, 1"),
    ("text of numbers, spaces", "0 0 1.0 1e0"),
    ("text of numbers, brackets", "(0.0, 0.0, 1.0, 1.0)"),
    ("text of numbers, JSON", "[0, 0, 1, 1]"),
    ("shapely", box(0, 0, 1, 1)),
    ("shapely bounds", box(0, 0, 1, 1).bounds),
    ("shapely with SRID", shapely.set_srid(box(0, 0, 1, 1), 4326)),
    ("a row", SimpleNamespace(geometry=box(0, 0, 1, 1), name="x")),
    ("features with shapes", {"type": "FeatureCollection", "features": [feature(box(0, 0, 1, 1))]}),
    ("the vendor's", SimpleNamespace(geometry=box(0, 0, 1, 1), crs=SimpleNamespace(value="4326"))),
    ("ours", BBox(0, 0, 1, 1)),
    ("ours, too", Geometry(polygon(SQUARE))),
]


def name_of(value: Any) -> str:
    """The name of a case, the same in each process: no addresses, and no sets, whose order changes."""
    return "a set" if isinstance(value, (set, frozenset)) else re.sub(r" at 0x\w+", "", repr(value))[:50]


@pytest.mark.parametrize("area", [area for _, area in FORMS], ids=[name for name, _ in FORMS])
def test_an_area_in_every_form(area: Any) -> None:
    assert sent(area).equals(box(0, 0, 1, 1))


NONE: list[tuple[Any, str]] = [
    ("corsica", "'corsica' is neither GeoJSON nor four numbers"),
    ("", "'' is neither GeoJSON"),
    ("{", "'{' is neither GeoJSON"),
    ('{"type": "Polygon", "coordinates": [', "neither GeoJSON nor four numbers"),
    ("{'type': 'Polygon'}", "| tojson"),
    ("x" * 5000, "neither GeoJSON"),
    ("null", "neither GeoJSON"),
    ("<kml><Polygon/></kml>", "neither GeoJSON"),
    ("https://example.org/corsica.geojson", "neither GeoJSON"),
    ("1,2,3", "four numbers"), ("1 2 3 4 5", "four numbers"), ("1,2,,3", "neither GeoJSON"), ("1-2-3-4", "neither"),
    ("POLYGON ((0 0, 1 0", "looks like WKT"), ("POLYGON ((0 0, 1 x, 1 1, 0 0))", "looks like WKT"),
    ("POLYGON EMPTY", "no polygon"), ("POINT (1 2)", "is a POINT;"), ("LINESTRING (0 0, 1 1)", "is a LINESTRING;"),
    ("SRID=4326;multipoint((1 2))", "is a MULTIPOINT;"), ("GEOMETRYCOLLECTION (POINT (1 2))", "'Point'"),
    ("SRID=27700;POLYGON((0 0, 1 0, 1 1, 0 0))", "EPSG:27700"),
    (7, "not int (7)"), (None, "not NoneType"), (True, "not bool"), (b"{}", "type None"), ({1, 2}, "not set"),
    (object(), "not object"), (numpy.float64(1), "not float"),
    ([], "four numbers"), ([1, 2, 3], "four numbers"), ([[1, 2], [3, 4]], "four numbers"),
    ([1, 2, 3, None], "four numbers"), (numpy.zeros((2, 2)), "four numbers"), (["a", "b", "c", "d"], "four numbers"),
    ([math.nan, 0, 1, 1], "four numbers"), ([0, 0, math.inf, 1], "four numbers"),
    (Path("no_such_file.geojson"), "no such file"), ("no_such_file.gpkg", "no such file"),
    (Path("/no/such/file.GPKG"), "no such file"), (Path("area.docx"), "kind that is not read"),
    ({"rings": [SQUARE], "spatialReference": {"wkid": 4326}}, "type None"),
    ({"type": "Topology", "objects": {}}, "'Topology'"), ({"type": ["Polygon"]}, "type ['Polygon']"),
    ({"type": "FeatureCollection", "features": {"a": 1}}, "no list"), (Geometry({"type": "Point"}), "'Point'"),
    (shapely.Point(1, 2), "'Point'"), (shapely.LinearRing(SQUARE), "'LinearRing'"), (shapely.Polygon(), "no polygon"),
]  # fmt: skip


@pytest.mark.parametrize(("area", "says"), NONE, ids=name_of)
def test_what_is_no_area_is_refused_with_its_value(area: Any, says: str) -> None:
    assert says in refused(area)


@pytest.mark.parametrize(
    "area", ["POINT (1 2)", "LINESTRING Z (0 0 1, 1 1 1)", "POINTZ(1 2 3)", "multicurve ((0 0, 1 1))"]
)
def test_well_known_text_without_a_surface_is_refused_while_a_dag_is_parsed(area: str) -> None:
    with pytest.raises(InvalidInputError, match="only POLYGON and MULTIPOLYGON work"):
        early_bounds(area)


# Polygons of one area

TOGETHER: list[tuple[str, Any, shapely.Geometry]] = [
    ("neighbours", features(polygon(SQUARE), polygon(moved(SQUARE, 1))), box(0, 0, 2, 1)),
    ("overlapping", features(polygon(SQUARE), polygon(moved(SQUARE, 0.5))), box(0, 0, 1.5, 1)),
    ("the same twice", features(polygon(SQUARE), polygon(SQUARE)), box(0, 0, 1, 1)),
    ("one in the other", features(polygon(SQUARE), polygon(HOLE[::-1])), box(0, 0, 1, 1)),
    ("an island in a lake", features(polygon(SQUARE, HOLE), polygon(moved(HOLE, 0))), box(0, 0, 1, 1)),
    ("neighbours within a MultiPolygon", {"type": "MultiPolygon", "coordinates": [[SQUARE], [moved(SQUARE, 1)]]},
     box(0, 0, 2, 1)),
    ("a grid", features(*(polygon(moved(SQUARE, x, y)) for x in range(5) for y in range(5))), box(0, 0, 5, 5)),
    ("corner to corner", features(polygon(SQUARE), polygon(moved(SQUARE, 1, 1))),
     shapely.MultiPolygon([box(0, 0, 1, 1), box(1, 1, 2, 2)])),
    ("apart", features(polygon(SQUARE), polygon(moved(SQUARE, 3))),
     shapely.MultiPolygon([box(0, 0, 1, 1), box(3, 0, 4, 1)])),
    ("a collection", {"type": "GeometryCollection", "geometries": [polygon(SQUARE), {"type": "MultiPolygon",
     "coordinates": [[moved(SQUARE, 1)]]}]}, box(0, 0, 2, 1)),
    ("collections in features", features({"type": "GeometryCollection", "geometries": [polygon(SQUARE)]}),
     box(0, 0, 1, 1)),
    ("neighbours as WKT", "GEOMETRYCOLLECTION(POLYGON((0 0,1 0,1 1,0 1,0 0)),POLYGON((1 0,2 0,2 1,1 1,1 0)))",
     box(0, 0, 2, 1)),
    ("a hole", polygon(SQUARE, HOLE), shapely.Polygon(SQUARE, [HOLE])),
    ("a hole, both clockwise", polygon(SQUARE[::-1], HOLE), shapely.Polygon(SQUARE, [HOLE])),
    ("a hole that touches its shell", polygon(SQUARE, [[0, 0.5], [0.5, 0.4], [0.5, 0.6], [0, 0.5]]),
     shapely.Polygon(SQUARE, [[[0, 0.5], [0.5, 0.4], [0.5, 0.6]]])),
    ("clockwise", polygon(SQUARE[::-1]), box(0, 0, 1, 1)),
    ("points twice", polygon([point for point in SQUARE for _ in range(2)]), box(0, 0, 1, 1)),
    ("a point on a straight edge", polygon([[0, 0], [0.5, 0], *SQUARE[1:]]), box(0, 0, 1, 1)),
    ("an hourglass of two", features(polygon([[0, 0], [1, 0], [0.5, 0.5], [0, 0]]),
     polygon([[0.5, 0.5], [1, 1], [0, 1], [0.5, 0.5]])), shapely.MultiPolygon(
         [shapely.Polygon([(0, 0), (1, 0), (0.5, 0.5)]), shapely.Polygon([(0.5, 0.5), (1, 1), (0, 1)])])),
    # heights, as Google Earth and GNSS receivers write them
    ("heights", polygon([[x, y, 100.0] for x, y in SQUARE]), box(0, 0, 1, 1)),
    ("another height at the end", polygon([[x, y, at] for at, (x, y) in enumerate(SQUARE)]), box(0, 0, 1, 1)),
    ("a height here and there", polygon([[*point, 5] if at % 2 else point for at, point in enumerate(SQUARE)]),
     box(0, 0, 1, 1)),
    ("height and measure", polygon([[x, y, 0, 7] for x, y in SQUARE]), box(0, 0, 1, 1)),
    ("heights that are NaN", polygon([[x, y, math.nan] for x, y in SQUARE]), box(0, 0, 1, 1)),
    ("null geometries", features(None, polygon(SQUARE), None), box(0, 0, 1, 1)),
    ("empty geometries", features(polygon(), polygon(SQUARE), {"type": "MultiPolygon", "coordinates": []}),
     box(0, 0, 1, 1)),
    ("an empty collection", features({"type": "GeometryCollection", "geometries": []}, polygon(SQUARE)),
     box(0, 0, 1, 1)),
    ("members of geojson.io, QGIS and OSM", {"type": "FeatureCollection", "name": "area", "generator": "overpass-ide",
     "xy_coordinate_resolution": 1e-9, "bbox": [0, 0, 1, 1], "crs": named("urn:ogc:def:crs:OGC:1.3:CRS84"),
     "features": [{"type": "Feature", "id": "relation/1", "properties": {"@id": "relation/1", "fill": "#555"},
          "bbox": [0, 0, 1, 1], "geometry": {**polygon(SQUARE), "bbox": [0, 0, 1, 1]}}]}, box(0, 0, 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("area", "wanted"), [row[1:] for row in TOGETHER], ids=[row[0] for row in TOGETHER])
def test_polygons_become_one_valid_geometry(area: Any, wanted: shapely.Geometry) -> None:
    assert sent(area).equals(wanted)
    again = area_bounds(area_bounds(area)["geometry"])
    assert shape(again["geometry"]).equals(wanted)


BOWTIE = [[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]
WRONG: list[tuple[str, Any, str]] = [
    ("a bow tie", polygon(BOWTIE), "is not valid: Self-intersection"),
    ("a bow tie among others", features(polygon(SQUARE), polygon(BOWTIE)), "Polygon 2 of 2 of the area is not valid"),
    ("a hole outside", polygon(SQUARE, moved(HOLE, 5)), "is not valid: Hole lies outside"),
    ("holes in each other", polygon(SQUARE, HOLE, [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.4]]), "is not valid"),
    ("a hole across its shell", polygon(SQUARE, moved(HOLE, 0.5)), "is not valid"),
    ("a spike", polygon([[0, 0], [1, 0], [1, 1], [1, 3], [1, 1], [0, 1], [0, 0]]), "is not valid"),
    ("not closed", polygon(SQUARE[:-1]), "not closed"),
    ("not closed, with heights", polygon([[x, y, 5] for x, y in SQUARE[:-1]]), "not closed"),
    ("three points", polygon([[0, 0], [1, 1], [0, 0]]), "fewer than four"),
    ("one point four times", polygon([[0, 0]] * 4), "on one line"),
    ("a line there and back", polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), "on one line"),
    ("a flat hole", polygon(SQUARE, [[0.2, 0.2], [0.4, 0.4], [0.6, 0.6], [0.2, 0.2]]), "on one line"),
    ("no points", polygon([]), "fewer than four"),
    ("no ring", {"type": "Polygon"}, "not one ring"),
    ("NaN", polygon([[0, 0], [1, math.nan], [1, 1], [0, 0]]), "not two numbers: [1, nan]"),
    ("Infinity as text", '{"type": "Polygon", "coordinates": [[[0,0],[1,Infinity],[1,1],[0,0]]]}', "not two numbers"),
    ("1e999 as text", '{"type": "Polygon", "coordinates": [[[0,0],[1,1e999],[1,1],[0,0]]]}', "not two numbers"),
    ("text as a number", polygon([["0", "0"], ["1", "0"], ["1", "1"], ["0", "0"]]), "not two numbers"),
    ("a point", features(mapping(shapely.Point(1, 2))), "type 'Point'; only Polygon"),
    ("points and lines beside a polygon", features(polygon(SQUARE), mapping(shapely.Point(1, 2)),
     mapping(shapely.Point(3, 2)), mapping(shapely.LineString([(0, 0), (1, 1)]))),
     "type 'Point' (2 of them), 'LineString'; only"),
    ("a line in a collection", {"type": "GeometryCollection", "geometries": [polygon(SQUARE),
     mapping(shapely.LineString([(0, 0), (1, 1)]))]}, "'LineString'"),
    ("all null", features(None, None), "2 features without a geometry"),
    ("nothing", features(), "no polygon"),
]  # fmt: skip


@pytest.mark.parametrize(("area", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_with_polygons_is_one_sentence(area: Any, says: str) -> None:
    assert says in refused(area)


def test_an_area_that_contains_itself_is_one_sentence() -> None:
    circle: dict[str, Any] = {"type": "GeometryCollection", "geometries": []}
    circle["geometries"].append(circle)
    assert refused(circle).startswith("area.geometries[0] contains itself")
    ring: list[Any] = [[0, 0], [1, 0]]
    ring.append(ring)
    assert "contains itself" in refused(polygon(ring))
    deep: Any = polygon(SQUARE)
    for _ in range(300):
        deep = {"type": "GeometryCollection", "geometries": [deep]}
    assert "nested more than" in refused(deep)
    assert "nested more than" in refused(json.dumps(deep))


def test_what_is_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        area_bounds(features(None, polygon(SQUARE), polygon(), feature(None)))
    assert [record.getMessage() for record in caplog.records] == [
        "The area has 3 features without a geometry, left out of it."
    ]
    caplog.clear()
    early_bounds(features(None, polygon(SQUARE)))
    assert not caplog.records


def test_polygons_that_the_library_gives_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(_: Any) -> Any:
        raise shapely.errors.GEOSException("TopologyException: unable to\nassign hole to a shell")

    monkeypatch.setattr(shapely, "unary_union", gives_up)
    assert "cannot be put together: TopologyException" in refused(features(polygon(SQUARE), polygon(SQUARE)))


def test_random_polygons_are_judged_as_shapely_does() -> None:
    """Whatever passes without the library is valid; what is clearly valid passes."""
    draw = numpy.random.default_rng(20240601)
    plain = 0
    for _ in range(300):
        points = draw.integers(0, 6, size=(draw.integers(3, 7), 2)).astype(float).tolist()
        ring = [*points, points[0]]
        other = moved(HOLE, *draw.integers(0, 6, size=2).astype(float).tolist())
        for polygons in ([[ring]], [[ring, other]], [[ring], [other]]):
            valid = shapely.MultiPolygon([(one[0], one[1:]) for one in polygons]).is_valid
            if plainly_valid(polygons):
                plain += 1
                assert valid, polygons
    assert plain > 100
    circle = [list(point) for point in shapely.Point(5, 50).buffer(1, 300).exterior.coords]
    assert plainly_valid([[circle]])


# Coordinate reference systems

CRS: list[tuple[str, Any, str]] = [
    ("none", features(polygon(SQUARE)), CRS84),
    ("null", {**features(polygon(SQUARE)), "crs": None}, CRS84),
    ("file, QGIS", features(polygon(UTM), crs=named("urn:ogc:def:crs:EPSG::32632")), f"{EPSG}32632"),
    ("file, short", features(polygon(UTM), crs=named("EPSG:32633")), f"{EPSG}32633"),
    ("file, CRS84", features(polygon(SQUARE), crs=named("urn:ogc:def:crs:OGC:1.3:CRS84")), CRS84),
    ("file, CRS84 short", features(polygon(SQUARE), crs=named("OGC:CRS84")), CRS84),
    ("file, CRS84 of the service", polygon(SQUARE, crs=named("urn:ogc:def:crs:OGC::CRS84")), CRS84),
    ("feature", {"type": "FeatureCollection", "features": [feature(polygon(UTM), crs=named("EPSG:3857"))]},
     f"{EPSG}3857"),
    ("geometry", features(polygon(UTM, crs=named("urn:ogc:def:crs:EPSG::3035"))), f"{EPSG}3035"),
    ("geometry in a collection", {"type": "GeometryCollection", "geometries": [
        polygon(UTM, crs=named("urn:ogc:def:crs:EPSG::3035"))]}, f"{EPSG}3035"),
    ("at each level", {**features(polygon(UTM, crs=named("EPSG:3857"))), "crs": named("urn:ogc:def:crs:EPSG::3857")},
     f"{EPSG}3857"),
    ("a link", polygon(UTM, crs={"type": "link", "properties": {
        "href": "http://spatialreference.org/ref/epsg/32632/proj4/", "type": "proj4"}}), f"{EPSG}32632"),
    ("a link of OGC", polygon(UTM, crs={"type": "link", "properties": {
        "href": "https://www.opengis.net/def/crs/EPSG/9.9.1/3857"}}), f"{EPSG}3857"),
    ("a link to epsg.io", polygon(UTM, crs={"type": "link", "properties": {"href": "https://epsg.io/32632"}}),
     f"{EPSG}32632"),
    ("the oldest form", polygon(UTM, crs={"type": "EPSG", "properties": {"code": 32632}}), f"{EPSG}32632"),
    ("GML", polygon(UTM, crs=named("http://www.opengis.net/gml/srs/epsg.xml#32632")), f"{EPSG}32632"),
    ("x-ogc", polygon(UTM, crs=named("urn:x-ogc:def:crs:EPSG:32632")), f"{EPSG}32632"),
    ("EWKT", "SRID=3857;POLYGON((0 0, 1000 0, 1000 1000, 0 0))", f"{EPSG}3857"),
    ("shapely's SRID", shapely.set_srid(box(0, 0, 1000, 1000), 32632), f"{EPSG}32632"),
    ("pyproj", SimpleNamespace(__geo_interface__=features(polygon(UTM)), crs=SimpleNamespace(to_epsg=lambda: 32632)),
     f"{EPSG}32632"),
    ("pyproj, CRS84", SimpleNamespace(__geo_interface__=features(polygon(SQUARE)), crs=SimpleNamespace(
        to_epsg=lambda: None, to_authority=lambda: ("OGC", "CRS84"))), CRS84),
    ("the vendor's", SimpleNamespace(geometry=shape(polygon(UTM)), crs=SimpleNamespace(value="32632")), f"{EPSG}32632"),
    ("a box", BBox(500000, 5000000, 510000, 5010000, crs="EPSG:32632"), f"{EPSG}32632"),
    ("neighbours", features(polygon(UTM), polygon(moved(UTM, 10000)), crs=named("EPSG:32632")), f"{EPSG}32632"),
    ("the same by two names", {**features(polygon(SQUARE, crs=named("EPSG:4326"))), "crs": named("OGC:CRS84")},
     f"{EPSG}4326"),
    ("UTM south", features(polygon(UTM), crs=named("EPSG:32733")), f"{EPSG}32733"),
    ("national", features(polygon(UTM), crs=named("EPSG:2154")), f"{EPSG}2154"),
]  # fmt: skip


@pytest.mark.parametrize(("area", "url"), [row[1:] for row in CRS], ids=[row[0] for row in CRS])
def test_a_crs_is_read_wherever_it_stands(area: Any, url: str) -> None:
    bounds = area_bounds(area)
    assert bounds["properties"] == {"crs": url}
    assert "crs" not in bounds.get("geometry", {})
    assert "crs" not in json.dumps(bounds.get("geometry"))


WRONG_CRS: list[tuple[str, Any, str]] = [
    ("two", {"type": "FeatureCollection", "features": [feature(polygon(UTM), crs=named("EPSG:32632")),
     feature(polygon(UTM), crs=named("EPSG:32633"))]}, "two coordinate reference systems, EPSG:32632 and EPSG:32633"),
    ("two levels", {**features(polygon(UTM, crs=named("EPSG:32632"))), "crs": named("EPSG:3857")}, "two coordinate"),
    ("one names none", {"type": "FeatureCollection", "features": [feature(polygon(UTM), crs=named("EPSG:32632")),
     feature(polygon(SQUARE))]}, "EPSG:32632 and CRS84"),
    ("object and text", Geometry(polygon(SQUARE, crs=named("EPSG:3857")), crs=f"{EPSG}32632"), "two coordinate"),
    ("not taken", features(polygon(SQUARE), crs=named("EPSG:4258")), "EPSG:4258, and the service does not take"),
    ("no EPSG", features(polygon(SQUARE), crs=named("ESRI:102001")), "EPSG code"),
    ("compound", features(polygon(SQUARE), crs=named("urn:ogc:def:crs,crs:EPSG::4326,crs:EPSG::5773")),
     "EPSG:5773, and the service does not take"),
    ("a word", features(polygon(SQUARE), crs=named("WGS84")), "'WGS84' is not known"),
    ("text", {**polygon(SQUARE), "crs": "EPSG:27700"}, "EPSG:27700"),
    ("empty properties", {**polygon(SQUARE), "crs": {"type": "name", "properties": {}}}, "properties.name"),
    ("a list", {**polygon(SQUARE), "crs": [4326]}, "properties.name"),
    ("a box", BBox(0, 0, 1, 1, crs="EPSG:27700"), "EPSG:27700"),
    ("SRID", shapely.set_srid(box(0, 0, 1, 1), 25832), "EPSG:25832"),
    ("pyproj without a code", SimpleNamespace(__geo_interface__=polygon(SQUARE), crs=SimpleNamespace(
        to_epsg=lambda: None, to_authority=lambda: None, name="Local grid")), "'Local grid' is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("area", "says"), [row[1:] for row in WRONG_CRS], ids=[row[0] for row in WRONG_CRS])
def test_a_crs_is_never_ignored(area: Any, says: str) -> None:
    assert says in refused(area)


def test_degrees_that_say_metres_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    area_bounds(polygon(SQUARE, crs=named("EPSG:3035")))
    assert "said to be in EPSG:3035, but its coordinates look like degrees" in caplog.text


# The world

WORLD: list[tuple[str, Any, shapely.Geometry]] = [
    ("the world", [-180, -90, 180, 90], box(-180, -90, 180, 90)),
    ("the world as a polygon", mapping(box(-180, -90, 180, 90)), box(-180, -90, 180, 90)),
    ("a pole", mapping(box(-180, 80, 180, 90)), box(-180, 80, 180, 90)),
    ("Fiji in two parts", {"type": "MultiPolygon", "coordinates": [mapping(box(177, -20, 180, -15))["coordinates"],
     mapping(box(-180, -20, -178, -15))["coordinates"]]},
     shapely.MultiPolygon([box(177, -20, 180, -15), box(-180, -20, -178, -15)])),
    ("Fiji as a box", [177, -20, 182, -15], shapely.MultiPolygon([box(177, -20, 180, -15), box(-180, -20, -178, -15)])),
    ("Fiji as a polygon", mapping(box(177, -20, 182, -15)),
     shapely.MultiPolygon([box(177, -20, 180, -15), box(-180, -20, -178, -15)])),
    ("Fiji from the other side", mapping(box(-183, -20, -178, -15)),
     shapely.MultiPolygon([box(177, -20, 180, -15), box(-180, -20, -178, -15)])),
    ("all of it beyond", [190, 10, 200, 20], box(-170, 10, -160, 20)),
    ("all of it beyond, a polygon", mapping(box(190, 10, 200, 20)), box(-170, 10, -160, 20)),
    ("noise in a box", [-180.0000000001, -90.0000000001, -170, -80], box(-180, -90, -170, -80)),
    ("noise", mapping(box(-180.0000000001, -90.0000000001, -170, -80)), box(-180, -90, -170, -80)),
]  # fmt: skip


@pytest.mark.parametrize(("area", "wanted"), [row[1:] for row in WORLD], ids=[row[0] for row in WORLD])
def test_the_edges_of_the_world(area: Any, wanted: shapely.Geometry) -> None:
    found = sent(area)
    assert found.equals(wanted)
    assert -180 <= found.bounds[0] <= found.bounds[2] <= 180


OUTSIDE: list[tuple[str, Any, str]] = [
    ("swapped", mapping(box(-10, 120, 10, 140)), "axes swapped?"),
    ("swapped box", [-10, 120, 10, 140], "axes swapped?"),
    ("swapped WKT", "POLYGON((-33 150, -34 150, -34 151, -33 150))", "axes swapped?"),
    ("metres", polygon(UTM), "are these metres?"),
    ("metres in a box", [500000, 5000000, 510000, 5010000], "are these metres?"),
    ("metres that say degrees", polygon(UTM, crs=named("EPSG:4326")), "are these metres?"),
    ("beyond the pole", mapping(box(0, 80, 10, 95)), "axes swapped?"),
    ("beyond the pole, wide", mapping(box(100, 80, 110, 95)), "not in degrees"),
    ("round the world twice", [-360, 0, 360, 10], "not in degrees"),
    ("RFC 7946 without a cut", polygon([[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]), "half round the world"),
    ("a box that is crossed", [177, -20, -178, -15], "antimeridian has longitudes beyond 180"),
    ("an empty box", [9, 40, 8, 42], "is empty"),
    ("a flat box", [8, 40, 9, 40], "is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("area", "says"), [row[1:] for row in OUTSIDE], ids=[row[0] for row in OUTSIDE])
def test_what_is_outside_the_world_is_one_sentence(area: Any, says: str) -> None:
    assert says in refused(area)


# Many points


def coast(points: int, x: float = 9.0, y: float = 42.0, radius: float = 0.5) -> list[list[float]]:
    """A ring with this many points, its end not counted; each second one stands out by some tens of metres."""
    ring = []
    for at in range(points):
        angle, reach = 2 * math.pi * at / points, radius + 0.0003 * (at % 2)
        ring.append([x + reach * math.cos(angle), y + reach * math.sin(angle)])
    return [*ring, ring[0]]


def test_as_many_points_as_the_service_takes() -> None:
    assert shapely.get_num_coordinates(sent(polygon(coast(1499)))) == 1500
    assert "The area has 1,501 vertices" in refused(polygon(coast(1500)))
    assert "simplify=100" in refused(polygon(coast(5000)))
    assert "4,002 vertices" in refused(features(polygon(coast(2000)), polygon(coast(2000, 12))))


def test_points_are_counted_when_polygons_are_put_together() -> None:
    many = features(*(polygon(moved(SQUARE, x / 10, y / 10)) for x in range(25) for y in range(25)))
    assert sent(many).area == pytest.approx(3.4 * 3.4)


@pytest.mark.parametrize("metres", [100, "100", 100.0, Decimal(100), numpy.float64(100)])
def test_an_area_is_simplified_if_it_is_asked_for(metres: Any) -> None:
    given = shape(polygon(coast(5000)))
    found = sent(mapping(given), simplify=metres)
    assert shapely.get_num_coordinates(found) < 1500
    assert found.hausdorff_distance(given) <= 100 / 111_000
    assert "even" not in refused(polygon(coast(5000)))
    assert "simplify=0.01 is not enough" in refused(mapping(given), simplify=0.01)


def test_metres_are_metres_in_a_projected_crs() -> None:
    ring = [[x * 111_000, y * 111_000] for x, y in coast(3000)]
    given = shape(polygon(ring))
    bounds = area_bounds(polygon(ring, crs=named("EPSG:32632")), simplify=100)
    found = shape(bounds["geometry"])
    assert 1 < found.hausdorff_distance(given) <= 100
    assert shapely.get_num_coordinates(found) < 1500


@pytest.mark.thorough
def test_simplifying_keeps_neighbours_and_holes() -> None:
    ring = coast(2000)
    hole = coast(2000, radius=0.25)[::-1]
    found = sent(features(polygon(ring, hole), polygon(coast(2000, 9.9))), simplify=100)
    assert len(found.interiors) >= 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("simplify", [0, -1, math.nan, math.inf, "wide", "", True, [100], "nan"])
def test_what_is_no_tolerance_is_refused(simplify: Any) -> None:
    assert "simplify is a number of metres above 0" in refused(polygon(SQUARE), simplify=simplify)


# Without the libraries


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra `areas`."""
    import sys

    for name in ("shapely", "pyogrio", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    "area",
    [
        polygon(SQUARE), polygon(SQUARE, HOLE), features(polygon(SQUARE), polygon(moved(SQUARE, 3))), [0, 0, 1, 1],
        "0, 0, 1, 1", BBox(0, 0, 1, 1), json.dumps(features(None, polygon(SQUARE))), [177, -20, 182, -15],
        polygon(UTM, crs=named("EPSG:32632")), polygon(coast(1499)),
    ],
)  # fmt: skip
def test_what_is_plainly_valid_takes_no_library(area: Any) -> None:
    assert area_bounds(area) == early_bounds(area)


NEEDING: list[tuple[Any, dict[str, Any], str]] = [
    (features(polygon(SQUARE), polygon(moved(SQUARE, 1))), {}, "polygons may touch"),
    (polygon(BOWTIE), {}, "cross themselves"),
    (polygon(SQUARE), {"simplify": 10}, "is simplified"),
    ("POLYGON ((0 0, 1 0, 1 1, 0 0))", {}, "as WKT"),
    (mapping(box(177, -20, 182, -15)), {}, "antimeridian"),
]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("area", "how", "says"), NEEDING)
def test_what_takes_a_library_says_which_one(area: Any, how: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=r"needs shapely, which is not installed here") as raised:
        area_bounds(area, **how)
    assert "pip install 'airflow-sentinelhub[areas]'; nothing was sent." in str(raised.value)
    assert says in str(raised.value)


# While the DAG is parsed


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("area", "how"),
    [
        *((area, how) for area, how, _ in NEEDING),
        ("fields.gpkg", {}), (Path("fields.shp"), {}), ("{{ params.area }}", {}), ("corsica.geojson", {}),
        (["{{ a }}", "{{ b }}", 3, 4], {}), (polygon(SQUARE), {"simplify": "{{ params.metres }}"}),
        (SimpleNamespace(resolve=1, iter_references=1), {}),
    ],
)  # fmt: skip
def test_what_takes_a_library_or_a_file_waits_for_the_task(area: Any, how: dict[str, Any]) -> None:
    bounds = process_request("sentinel-2-l2a", area=area, **how)["input"]["bounds"]
    assert bounds == {"area": area, **how}


def test_what_has_waited_is_read_when_it_is_sent() -> None:
    request = process_request("sentinel-2-l2a", area=features(polygon(SQUARE), polygon(moved(SQUARE, 1))))
    assert "area" in request["input"]["bounds"]
    done = finished(request, evalscript="x")["input"]["bounds"]
    assert shape(done["geometry"]).equals(box(0, 0, 2, 1))
    many = process_request("sentinel-2-l2a", area=polygon(coast(5000)), simplify=100)
    assert shapely.get_num_coordinates(shape(finished(many, evalscript="x")["input"]["bounds"]["geometry"])) < 1500
    other = finished(request, evalscript="x", area=[0, 0, 1, 1])
    assert other["input"]["bounds"] == {"bbox": [0, 0, 1, 1], "properties": {"crs": CRS84}}


@pytest.mark.parametrize("area", [row[1] for row in WRONG if "not valid" not in row[2]])
def test_what_is_plainly_wrong_is_said_while_the_dag_is_parsed(area: Any) -> None:
    with pytest.raises(InvalidInputError):
        process_request("sentinel-2-l2a", area=area)


def test_a_shape_of_shapely_becomes_json_while_the_dag_is_parsed() -> None:
    json.dumps(process_request("sentinel-2-l2a", area=box(0, 0, 1, 1)))
