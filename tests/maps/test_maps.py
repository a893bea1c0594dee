"""Maps of tiles: what stands in the SVG, and where."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sentinelhub.maps.places import Tile, frame_of, joined
from airflow_sentinelhub.maps.svg import COLOURS, svg_map
from airflow_sentinelhub.maps.terminal import text_map

SVG = "{http://www.w3.org/2000/svg}"


def square(west: float, south: float, side: float = 1.0) -> list[tuple[float, float]]:
    return [
        (west, south),
        (west, south + side),
        (west + side, south + side),
        (west + side, south),
        (west, south),
    ]


def test_each_tile_has_its_name_and_the_colour_of_its_status() -> None:
    tiles = [Tile("one", square(9, 42), "PROCESSED"), Tile("two", square(10, 42), "FAILED"), Tile("3", square(9, 43))]
    root = ET.fromstring(svg_map(tiles, [square(9.2, 42.2, 0.5)], title="Corsica"))
    drawn = {path.findtext(f"{SVG}title"): path.get("fill") for path in root.iter(f"{SVG}path")}
    assert drawn == {
        "one PROCESSED": COLOURS["PROCESSED"],
        "two FAILED": COLOURS["FAILED"],
        "3": COLOURS[None],
        None: "none",
    }
    assert root.findtext(f"{SVG}title") == "Corsica"


def test_north_is_up_and_east_is_right() -> None:
    tiles = [Tile("southwest", square(0, 0)), Tile("northeast", square(5, 5))]
    root = ET.fromstring(svg_map(tiles))
    first, second = (
        tuple(map(float, re.findall(r"[\d.]+", str(path.get("d")))[:2])) for path in root.iter(f"{SVG}path")
    )
    assert first[0] < second[0]
    assert first[1] > second[1]


@given(st.text(), st.text(), st.text())
def test_any_name_makes_an_svg_without_script(name: str, status: str, title: str) -> None:
    text = svg_map([Tile(f"<script>{name}", square(0, 0), f'"/>{status}')], title=f"</svg>{title}")
    root = ET.fromstring(text)
    assert {element.tag for element in root.iter()} <= {f"{SVG}{tag}" for tag in ("svg", "title", "rect", "path")}
    assert "<script" not in text


def test_many_tiles_are_one_shape_for_each_status() -> None:
    tiles = [Tile(str(at), square(at % 100, at // 100), "FAILED" if at % 2 else None) for at in range(6000)]
    root = ET.fromstring(svg_map(tiles))
    assert [path.findtext(f"{SVG}title") for path in root.iter(f"{SVG}path")] == ["3,000 tiles", "3,000 tiles FAILED"]


def test_neighbours_at_the_antimeridian_are_drawn_side_by_side() -> None:
    torn = [(179.9, 0.0), (179.9, 1.0), (-179.9, 1.0), (-179.9, 0.0), (179.9, 0.0)]
    placed = joined([square(178.9, 0), torn, square(-179.9, 0)])
    frame = frame_of(placed)
    assert frame is not None
    assert frame.east - frame.west < 4
    assert all(math.dist(a, b) < 2 for ring in placed for a, b in pairwise(ring))


def test_the_whole_world_is_left_as_it_is() -> None:
    world = [square(west, 0, 10) for west in range(-180, 180, 10)]
    frame = frame_of(joined(world), margin=0)
    assert frame is not None
    assert (frame.west, frame.east) == pytest.approx((-180, 180))


@pytest.mark.parametrize("tiles", [[], [Tile("none", [])]])
def test_nothing_to_draw_is_an_empty_map(tiles: list[Tile]) -> None:
    assert list(ET.fromstring(svg_map(tiles)).iter(f"{SVG}path")) == []
    assert text_map(tile.outline for tile in tiles) == []


def test_a_map_in_characters() -> None:
    lines = text_map([square(0, 0), square(1, 1)], columns=8, block="#")
    assert lines == ["....####", "....####", "####....", "####...."]
    assert all(len(line) <= 60 for line in text_map([square(0, 0, 20), square(30, 50)]))
    assert text_map([square(0, 0, 0)]) != []
