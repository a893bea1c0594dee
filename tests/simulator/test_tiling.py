"""Areas cut into tiles: checked against known squares and by projecting back."""

from __future__ import annotations

import pytest
import shapely
from pyproj import Transformer

from airflow_sentinelhub.grids.known import GRIDS
from airflow_sentinelhub.grids.mgrs import band_letter, square_letters, square_name, zone_strips
from airflow_sentinelhub.grids.tiling import TileSet, estimated_count, tiles_of
from airflow_sentinelhub.simulator.area import AreaError, crs_urn, epsg_code, parse_area

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


def bbox(west: float, south: float, east: float, north: float) -> dict[str, object]:
    return {"bbox": [west, south, east, north], "properties": {"crs": CRS84}}


def names(tiles: TileSet) -> set[str]:
    return {tiles.name(index) for index in range(len(tiles))}


# Names of squares as the MGRS gives them, with a place inside each.
@pytest.mark.parametrize(
    ("name", "longitude", "latitude"),
    [
        ("32TNM", 9.15, 42.3),  # Corte, Corsica
        ("32TNL", 9.2, 41.5),  # Bonifacio
        ("30TVK", -3.7, 40.4),  # Madrid
        ("33UUU", 13.4, 52.52),  # Berlin
        ("31UDQ", 2.35, 48.85),  # Paris
        ("18TWL", -74.0, 40.7),  # New York
        ("37MBU", 36.8, -1.3),  # Nairobi
        ("34HBH", 18.42, -33.92),  # Cape Town
        ("56HLH", 151.2, -33.87),  # Sydney
        ("32VKN", 5.33, 60.39),  # Bergen, in the widened zone 32
        ("33XWG", 15.6, 78.2),  # Longyearbyen, in the widened zone 33
    ],
)
def test_squares_have_their_mgrs_names(name: str, longitude: float, latitude: float) -> None:
    zone = int(name[:2])
    crs = (32600 if latitude >= 0 else 32700) + zone
    easting, northing = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    assert square_name(zone, latitude, easting, northing) == name
    point = bbox(longitude - 1e-4, latitude - 1e-4, longitude + 1e-4, latitude + 1e-4)
    assert names(tiles_of(parse_area(point), GRIDS[2])) == {name}


def test_letters_follow_the_rules_of_the_mgrs() -> None:
    assert [band_letter(latitude) for latitude in (-80, -0.1, 0, 41.9, 71.9, 72, 83.9)] == list("CMNTWXX")
    assert square_letters(31, 500_000, 0) == "EA"
    assert square_letters(32, 500_000, 0) == "NF"
    assert square_letters(33, 500_000, 0) == "WA"
    assert square_letters(31, 500_000, 10_000_000 - 1) == "EV"
    with pytest.raises(ValueError, match="outside"):
        square_letters(31, 950_000, 0)


def test_zones_cover_the_world_once() -> None:
    """Every point between 80 S and 84 N lies in exactly one strip."""
    strips = zone_strips()
    for longitude in range(-179, 180, 2):
        for latitude in range(-79, 84, 2):
            inside = [s for s in strips if s[1] <= longitude < s[3] and s[2] <= latitude < s[4]]
            assert len(inside) == 1, (longitude, latitude, inside)


def test_corsica() -> None:
    tiles = tiles_of(parse_area(bbox(8.53, 41.33, 9.56, 43.03)), GRIDS[2])
    assert {"32TML", "32TNL", "32TMM", "32TNM", "32TMN", "32TNN"} == names(tiles)
    assert set(tiles.crs.tolist()) == {32632}


def test_rows_count_from_the_top_and_the_origin_is_the_upper_left_corner() -> None:
    # 32TNM: easting 500 to 600 km, northing 4600 to 4700 km.
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    west, south = to_degrees.transform(521_000, 4_641_000)
    east, north = to_degrees.transform(529_000, 4_649_000)
    tiles = tiles_of(parse_area(bbox(west, south, east, north)), GRIDS[1])
    assert names(tiles) == {"32TNM_2_5"}
    origin = tiles.origin(0)
    assert origin["coordinates"] == [520_000.0, 4_650_000.0]
    assert origin["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32632"


def test_tiles_of_the_20_km_grid_overlap_their_right_and_lower_neighbours() -> None:
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    west, south = to_degrees.transform(520_010, 4_650_010)
    east, north = to_degrees.transform(520_030, 4_650_030)
    # 20 m right of the tile 0: still within the 40 m by which it is larger than its spacing.
    assert names(tiles_of(parse_area(bbox(west, south, east, north)), GRIDS[0])) == {"32TNM_0_2", "32TNM_1_2"}


def test_the_one_degree_grid_is_named_after_its_lower_left_corner() -> None:
    tiles = tiles_of(parse_area(bbox(36.2, -7.8, 36.8, -7.2)), GRIDS[3])
    assert names(tiles) == {"S08E036"}
    # As in the one tile that was recorded: y from -8 to -7, origin at -7.
    assert tiles.origin(0)["coordinates"] == [36.0, -7.0]
    ring = tiles.geometry(0)["coordinates"][0]
    assert ring == [[36.0, -8.0], [36.0, -7.0], [37.0, -7.0], [37.0, -8.0], [36.0, -8.0]]
    assert names(tiles_of(parse_area(bbox(-1.5, 0.5, 0.5, 1.5)), GRIDS[3])) == {
        f"N{y:02d}{x}" for y in (0, 1) for x in ("W002", "W001", "E000")
    }


def test_an_area_that_only_shares_an_edge_with_a_tile_does_not_touch_it() -> None:
    assert names(tiles_of(parse_area(bbox(8, 41, 9, 42)), GRIDS[3])) == {"N41E008"}


def test_laea_tiles_are_named_in_units_of_100_and_10_km() -> None:
    to_degrees = Transformer.from_crs(3035, 4326, always_xy=True)
    west, south = to_degrees.transform(4_230_000, 2_030_000)
    area = parse_area(bbox(west, south, west + 0.01, south + 0.01))
    assert names(tiles_of(area, GRIDS[6])) == {"100kmE42N20"}
    assert names(tiles_of(area, GRIDS[7])) == {"20kmE422N202"}


def test_an_area_over_two_zones_has_tiles_in_two_crs() -> None:
    tiles = tiles_of(parse_area(bbox(5.9, 45.0, 6.1, 45.2)), GRIDS[1])
    assert set(tiles.crs.tolist()) == {32631, 32632}


def test_an_area_over_the_equator_has_tiles_of_both_hemispheres() -> None:
    tiles = tiles_of(parse_area(bbox(36.1, -0.1, 36.3, 0.1)), GRIDS[1])
    assert set(tiles.crs.tolist()) == {32637, 32737}
    assert {name[:3] for name in names(tiles)} == {"37N", "37M"}


@pytest.mark.parametrize("number", sorted(GRIDS))
@pytest.mark.parametrize("bounds", [bbox(8.4, 41.3, 9.7, 43.1), bbox(5.2, 59.5, 6.8, 60.7), bbox(-9.5, 38, -5.2, 39)])
def test_tiles_cover_the_area_and_all_of_them_touch_it(number: int, bounds: dict[str, object]) -> None:
    area = parse_area(bounds)
    tiles = tiles_of(area, GRIDS[number])
    shapes = [shapely.geometry.shape(tiles.geometry(index)) for index in range(len(tiles))]
    missing = area.difference(shapely.union_all(shapes))
    # Corners are joined by straight lines in degrees, which leaves slivers between large tiles.
    assert missing.area < 1e-3 * area.area
    assert all(shape.buffer(0.01).intersects(area) for shape in shapes)
    assert len(names(tiles)) == len(tiles) == len(set(tiles.ids.tolist()))
    assert all(tiles.index_of(int(number)) == index for index, number in enumerate(tiles.ids))
    assert tiles.index_of(1) is None


def test_the_estimate_is_near_and_not_exact() -> None:
    counts = []
    for west in (8.1, 10.37, 11.9, -3.3):
        area = parse_area(bbox(west, 41.3, west + 1.3, 42.9))
        counts.append((estimated_count(area, GRIDS[1]), len(tiles_of(area, GRIDS[1]))))
    assert all(abs(guess - real) <= 0.15 * real for guess, real in counts)
    assert any(guess != real for guess, real in counts)


def test_a_continent_is_cut_whole() -> None:
    tiles = tiles_of(parse_area(bbox(-10, 35, 32, 62)), GRIDS[1])
    assert len(tiles) > 90_000
    page = {(tiles.name(index), str(tiles.geometry(index))) for index in range(50_000, 50_100)}
    assert len(page) == 100


def test_outside_a_grid_there_is_nothing() -> None:
    assert len(tiles_of(parse_area(bbox(36, -8, 37, -7)), GRIDS[6])) == 0
    assert len(tiles_of(parse_area(bbox(10, 82, 11, 83)), GRIDS[1])) == 0


class TestArea:
    def test_all_crs_mean_the_same_place(self) -> None:
        degrees = parse_area(bbox(9.0, 42.0, 9.2, 42.2))
        for code in (4326, 3857, 32632, 3035):
            project = Transformer.from_crs(4326, code, always_xy=True).transform
            corners = [project(x, y) for x in (9.0, 9.2) for y in (42.0, 42.2)]
            bounds = {
                "bbox": [
                    min(x for x, _ in corners),
                    min(y for _, y in corners),
                    max(x for x, _ in corners),
                    max(y for _, y in corners),
                ],
                "properties": {"crs": f"http://www.opengis.net/def/crs/EPSG/0/{code}"},
            }
            area = parse_area(bounds)
            assert area.buffer(2e-4).covers(degrees)
            assert area.area < 1.2 * degrees.area

    def test_epsg_4326_has_longitude_first_too(self) -> None:
        bounds = {"bbox": [9.0, 42.0, 9.2, 42.2], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/4326"}}
        assert parse_area(bounds).bounds == (9.0, 42.0, 9.2, 42.2)

    def test_the_corners_of_a_bbox_may_come_in_any_order(self) -> None:
        assert parse_area({"bbox": [9.2, 42.0, 9.0, 42.2]}).bounds == (9.0, 42.0, 9.2, 42.2)

    def test_bbox_and_geometry_together_mean_what_lies_in_both(self) -> None:
        ring = [[9, 42], [9, 44], [11, 44], [11, 42], [9, 42]]
        area = parse_area({"bbox": [8, 41, 10, 43], "geometry": {"type": "Polygon", "coordinates": [ring]}})
        assert area.bounds == (9.0, 42.0, 10.0, 43.0)

    @pytest.mark.parametrize(
        ("bounds", "where", "text"),
        [
            ({}, "", "Either bbox or geometry"),
            ({"bbox": [1, 2, 3]}, "bbox", "four numbers"),
            ({"bbox": [1, 2, 3, "4"]}, "bbox", "four numbers"),
            ({"bbox": [1, 2, 1, 3]}, "bbox", "empty"),
            ({"bbox": [100, 100, 101, 101]}, "bbox", "outside the world"),
            ({"bbox": [8, 41, 9, 42], "properties": {"crs": "EPSG:4326"}}, "properties->crs", "Unsupported CRS"),
            (
                {"bbox": [8, 41, 9, 42], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/99999"}},
                "properties->crs",
                "Unsupported CRS",
            ),
            ({"geometry": {"type": "Point", "coordinates": [8, 41]}}, "geometry", "Polygon or MultiPolygon"),
            ({"geometry": {"type": "Polygon", "coordinates": "x"}}, "geometry->coordinates", "no valid coordinates"),
            ({"geometry": {"type": "Polygon"}}, "geometry->coordinates", "no valid coordinates"),
            (
                {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}},
                "geometry",
                "not valid",
            ),
            ("corsica", "", "must be an object"),
        ],
    )
    def test_wrong_bounds_are_named(self, bounds: object, where: str, text: str) -> None:
        with pytest.raises(AreaError, match=text) as caught:
            parse_area(bounds, 1500)
        assert caught.value.where == where

    def test_too_many_vertices(self) -> None:
        circle = shapely.Point(9, 42).buffer(0.5, quad_segs=400)
        bounds = {"geometry": shapely.geometry.mapping(circle)}
        with pytest.raises(AreaError, match="1601 vertices, more than the 1500 allowed"):
            parse_area(bounds, 1500)
        assert parse_area(bounds, None).area == pytest.approx(circle.area)

    def test_names_of_crs(self) -> None:
        assert epsg_code(CRS84) == epsg_code("urn:ogc:def:crs:OGC::CRS84") == 4326
        assert epsg_code("urn:ogc:def:crs:EPSG::32633") == 32633
        assert epsg_code(None) is None
        assert crs_urn(CRS84) == "urn:ogc:def:crs:OGC::CRS84"
        assert crs_urn("http://www.opengis.net/def/crs/EPSG/0/32633") == "urn:ogc:def:crs:EPSG::32633"
