"""Areas: what users have at hand becomes the bounds of a process request, or a sentence."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from airflow_sentinelhub.api.areas import CRS84, BBox, Geometry, area_bounds, bbox_of, crs_url, geometry_of
from airflow_sentinelhub.exceptions import InvalidInputError

RING = [[8.9, 41.9], [9.3, 41.9], [9.3, 42.3], [8.9, 41.9]]
OTHER = [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 1.0]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}
SECOND = {"type": "Polygon", "coordinates": [OTHER]}
MULTI = {"type": "MultiPolygon", "coordinates": [[RING], [OTHER]]}
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


def feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": "x"}, "geometry": geometry}


@pytest.mark.parametrize(
    ("given", "geometry"),
    [
        (POLYGON, POLYGON),
        (MULTI, MULTI),
        (feature(POLYGON), POLYGON),
        ({"type": "FeatureCollection", "features": [feature(POLYGON)]}, POLYGON),
        ({"type": "FeatureCollection", "features": [feature(POLYGON), feature(SECOND)]}, MULTI),
        ({"type": "GeometryCollection", "geometries": [POLYGON]}, POLYGON),
        ({"type": "MultiPolygon", "coordinates": [[RING]]}, POLYGON),
        (json.dumps(feature(POLYGON)), POLYGON),
        (f"  {json.dumps(POLYGON)}\n", POLYGON),
        (Geometry(POLYGON), POLYGON),
        ({**POLYGON, "bbox": [0, 0, 1, 1]}, POLYGON),
    ],
)
def test_geojson_in_every_wrapping(given: Any, geometry: Any) -> None:
    assert area_bounds(given) == {"geometry": geometry, "properties": {"crs": CRS84}}


@pytest.mark.parametrize("given", [[8.9, 41.9, 9.3, 42.3], (8.9, 41.9, 9.3, 42.3), "[8.9, 41.9, 9.3, 42.3]"])
def test_four_numbers(given: Any) -> None:
    assert area_bounds(given) == {"bbox": [8.9, 41.9, 9.3, 42.3], "properties": {"crs": CRS84}}


def test_shapes_of_others() -> None:
    shapely = pytest.importorskip("shapely.geometry")
    found = area_bounds(shapely.box(8.9, 41.9, 9.3, 42.3))
    assert found["geometry"]["type"] == "Polygon"
    assert json.loads(json.dumps(found))["geometry"]["coordinates"][0][0] == [9.3, 41.9]


def test_a_box_and_a_geometry_keep_their_crs() -> None:
    url = f"{EPSG}32632"
    assert area_bounds(BBox(1, 2, 3, 4, crs=url)) == {"bbox": [1, 2, 3, 4], "properties": {"crs": url}}
    assert area_bounds(Geometry(POLYGON, crs=url))["properties"] == {"crs": url}
    named = {**POLYGON, "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}}
    found = area_bounds(named)
    assert found["properties"] == {"crs": f"{EPSG}3035"}
    assert "crs" not in found["geometry"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (4326, f"{EPSG}4326"),
        ("4326", f"{EPSG}4326"),
        ("EPSG:32632", f"{EPSG}32632"),
        ("epsg:3035", f"{EPSG}3035"),
        ("urn:ogc:def:crs:EPSG::3035", f"{EPSG}3035"),
        ("urn:ogc:def:crs:EPSG:6.9:3035", f"{EPSG}3035"),
        (f"{EPSG}3857", f"{EPSG}3857"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", CRS84),
        (CRS84, CRS84),
        ("mars", None),
        ("", None),
    ],
)
def test_a_crs_by_any_name(given: Any, url: str | None) -> None:
    if url is None:
        with pytest.raises(InvalidInputError, match="give an EPSG code"):
            crs_url(given)
    else:
        assert crs_url(given) == url


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("corsica", "neither GeoJSON nor four numbers"),
        ("{", "neither GeoJSON nor four numbers"),
        ("", "neither GeoJSON nor four numbers"),
        ("7", "not int"),
        (7, "not int"),
        (object(), "not object"),
        ([1, 2, 3], "four numbers"),
        ([1, 2, 3, "four"], "four numbers"),
        ([True, 2, 3, 4], "four numbers"),
        ([float("nan"), 2, 3, 4], "four numbers"),
        ("[1, 2, 3, Infinity]", "four numbers"),
        ([9.3, 41.9, 8.9, 42.3], "is empty"),
        ([8.9, 42.3, 9.3, 41.9], "is empty"),
        ([1, 1, 1, 1], "is empty"),
        ({}, "type None"),
        ({"type": "Point", "coordinates": [1, 2]}, "type 'Point'"),
        ({"type": "LineString", "coordinates": RING}, "type 'LineString'"),
        ({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]}, "type 'Point'"),
        ({"type": "FeatureCollection", "features": []}, "no polygon"),
        ({"type": "FeatureCollection", "features": None}, "no polygon"),
        (feature(None), "holds no polygon with a ring, but 1 feature without a geometry"),
        ({"type": "MultiPolygon", "coordinates": []}, "no polygon"),
        ({"type": "Polygon", "coordinates": []}, "ring"),
        ({"type": "Polygon"}, "ring"),
        ({"type": "Polygon", "coordinates": [RING[:-1]]}, "not closed"),
        ({"type": "Polygon", "coordinates": [RING[:2]]}, "fewer than four"),
        ({"type": "Polygon", "coordinates": [[["a", "b"]] * 4]}, "not two numbers"),
        ({"type": "Polygon", "coordinates": [[[1]] * 4]}, "not two numbers"),
        ({"type": "Polygon", "coordinates": [[1, 2, 3, 1]]}, "not two numbers"),
        ({"type": "Polygon", "coordinates": RING}, "not closed|not two numbers"),
        ({"type": "Polygon", "coordinates": "text"}, "lists of rings"),
        ({"type": "Polygon", "coordinates": 7}, "coordinates"),
        ({"type": "MultiPolygon", "coordinates": 7}, "coordinates"),
        ({"type": "Polygon", "coordinates": [[[float("inf"), 1]] * 4]}, "not two numbers"),
        ({"type": "FeatureCollection", "features": ["x"]}, "JSON object"),
        ({**POLYGON, "crs": "EPSG:27700"}, "EPSG:27700"),
        ({**POLYGON, "crs": ["EPSG:4326"]}, "crs"),
        ({**POLYGON, "crs": {"type": "name", "properties": {"name": "mars"}}}, "EPSG code"),
    ],
)
def test_what_is_wrong_with_an_area_is_said_in_a_sentence(given: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as raised:
        area_bounds(given)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


UTM = "http://www.opengis.net/def/crs/EPSG/0/32632"


def test_areas_in_the_two_crs_of_degrees_are_equal() -> None:
    degrees = "http://www.opengis.net/def/crs/EPSG/0/4326"
    assert BBox(1, 2, 3, 4) == BBox(1, 2, 3, 4, crs=degrees)
    assert len({BBox(1, 2, 3, 4), BBox(1.0, 2, 3, 4, crs=degrees), BBox(1, 2, 3, 4, crs=UTM)}) == 2
    assert Geometry({"type": "Polygon"}) == Geometry({"type": "Polygon"}, crs=degrees)
    assert hash(Geometry({"type": "Polygon"})) == hash(Geometry({"type": "Polygon"}, crs=degrees))
    assert BBox(1, 2, 3, 4) != BBox(1, 2, 3, 5)
    assert Geometry({"type": "Polygon"}) != Geometry({"type": "MultiPolygon"})
    for other in (None, 7, "x", (1, 2, 3, 4), object()):
        assert BBox(1, 2, 3, 4) != other
        assert Geometry({"type": "Polygon"}) != other


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda area: pickle.loads(pickle.dumps(area))])
def test_areas_can_be_copied(copied: Any) -> None:
    for area in (BBox(1, 2, 3, 4, crs=UTM), Geometry({"type": "Polygon", "coordinates": []}, crs=UTM)):
        again = copied(area)
        assert again == area
        assert (again.crs, again.crs.value, again.crs.epsg, again.crs.is_utm()) == (UTM, "32632", 32632, True)
        assert json.dumps(again.crs) == json.dumps(UTM)


def test_what_is_no_crs_is_kept_as_it_is() -> None:
    odd = BBox(1, 2, 3, 4, crs="Mars 2000")
    assert odd.crs == "Mars 2000"
    assert odd != BBox(1, 2, 3, 4)
    assert odd == BBox(1, 2, 3, 4, crs="Mars 2000")
    with pytest.raises(InvalidInputError, match="Mars 2000"):
        _ = odd.crs.value  # type: ignore[attr-defined]


def test_a_geometry_of_a_request_as_shapely_reads_it() -> None:
    pytest.importorskip("shapely")
    square = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
    area = Geometry(square, crs=UTM)
    assert (area.geometry.area, area.bbox) == (4, BBox(0, 0, 2, 2, crs=UTM))
    assert area.wkt.startswith("POLYGON ((0 0")
    assert area.get_geojson()["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32632"
    for broken in ({}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": 7}, {"type": "Cube", "coordinates": []}):
        with pytest.raises(InvalidInputError):
            _ = Geometry(broken).geometry


def test_a_box_of_a_request_by_any_two_corners() -> None:
    for corners in ([1, 2, 3, 4], [3, 4, 1, 2], [3, 2, 1, 4], [1, 4, 3, 2]):
        read = bbox_of({"input": {"bounds": {"bbox": corners}}})
        assert list(read or ()) == [1, 2, 3, 4]
        assert str(read) == "1.0,2.0,3.0,4.0"


@pytest.mark.parametrize("own", [None, "urn:ogc:def:crs:EPSG::32632", "urn:ogc:def:crs:OGC::CRS84"])
@pytest.mark.parametrize(("crs", "named"), [(UTM, "32632"), (CRS84, "4326"), (None, "4326")])
def test_geojson_of_a_request_names_the_crs_of_its_coordinates(own: str | None, crs: str | None, named: str) -> None:
    """Written to a file it stays where it is: readers take GeoJSON without the member for degrees."""
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 0]]]}
    given = {**shape, "crs": {"type": "name", "properties": {"name": own}}} if own else shape
    bounds = {"geometry": given, "properties": {"crs": crs} if crs else {}}
    read = geometry_of({"input": {"bounds": bounds}})
    assert read is not None
    assert read.geojson == {**shape, "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{named}"}}}
    assert read == Geometry(shape, crs=crs or CRS84)
    assert area_bounds(read)["geometry"]["coordinates"] == shape["coordinates"]


def test_geojson_of_a_request_in_a_crs_that_nobody_knows() -> None:
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 0]]]}
    read = geometry_of({"input": {"bounds": {"geometry": shape, "properties": {"crs": "Mars 2000"}}}})
    assert read is not None
    assert (read.geojson, read.crs) == (shape, "Mars 2000")
    with pytest.raises(InvalidInputError, match="Mars 2000"):
        read.get_geojson()
    assert read.get_geojson(with_crs=False) == shape
