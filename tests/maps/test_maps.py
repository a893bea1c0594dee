"""Maps of tiles: what stands in the SVG, and where."""

from __future__ import annotations

import math
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.maps.land import land_in
from airflow_sentinelhub.maps.legend import paint
from airflow_sentinelhub.maps.looks import LOOKS, look
from airflow_sentinelhub.maps.places import Frame, Tile, frame_of, joined
from airflow_sentinelhub.maps.png import FONT, png_of
from airflow_sentinelhub.maps.svg import svg_map
from airflow_sentinelhub.maps.terminal import text_map
from airflow_sentinelhub.simulator.jobs import FINAL

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def square(west: float, south: float, side: float = 1.0) -> list[tuple[float, float]]:
    return [
        (west, south),
        (west, south + side),
        (west + side, south + side),
        (west + side, south),
        (west, south),
    ]


def named(text: str) -> dict[str, str | None]:
    """The fill of each shape that has a name."""
    paths = ET.fromstring(text).iter(f"{SVG}path")
    return {name: path.get("fill") for path in paths if (name := path.findtext(f"{SVG}title")) is not None}


def words(text: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(text).iter(f"{SVG}text")]


def test_each_tile_has_its_name_and_the_look_of_its_status() -> None:
    tiles = [Tile("one", square(9, 42), "PROCESSED"), Tile("two", square(10, 42), "FAILED"), Tile("3", square(9, 43))]
    text = svg_map(tiles, [square(9.2, 42.2, 0.5)], title="Corsica")
    assert named(text) == {"one PROCESSED": paint("PROCESSED"), "two FAILED": paint("FAILED"), "3": paint(None)}
    assert ET.fromstring(text).findtext(f"{SVG}title") == "Corsica"


def test_each_fill_is_defined_in_the_same_file_and_statuses_differ_in_more_than_colour() -> None:
    tiles = [Tile(str(at), square(at, 0), status) for at, status in enumerate([*LOOKS, None, "NEW_WORD"])]
    text = svg_map(tiles)
    defined = {pattern.get("id") for pattern in ET.fromstring(text).iter(f"{SVG}pattern")}
    used = {fill for element in ET.fromstring(text).iter() if (fill := element.get("fill", "")).startswith("url(")}
    assert used == {f"url(#{name})" for name in defined}
    assert not re.search("https?:|//", text.replace("http://www.w3.org/2000/svg", "")), "nothing is loaded"
    for one, two in (("PROCESSED", "FAILED"), ("PROCESSED", "PROCESSING"), ("PENDING", "PROCESSING")):
        assert look(one).pattern != look(two).pattern


def test_the_legend_says_in_words_what_is_drawn() -> None:
    tiles = [Tile(str(at), square(at, 0), "FAILED" if at == 3 else "PROCESSED") for at in range(1200)]
    text = svg_map(tiles, [square(9, 42)], title="Batch request 7")
    assert words(text) == ["Batch request 7", "1,199 done", "1 failed", "area asked for"]
    assert words(svg_map([Tile("a", square(0, 0))])) == ["1 planned"]


def test_the_legend_stays_within_the_image() -> None:
    tiles = [Tile(str(at), square(at, 0), f"A_RATHER_LONG_STATUS_{at}" * 9) for at in range(30)]
    root = ET.fromstring(svg_map(tiles, title="t" * 500, width=400))
    height = float(root.get("height", "0"))
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x", "-1")) <= 400
        assert 0 <= float(element.get("y", "-1")) <= height
        assert len(element.text or "") < 60


def test_the_pages_have_the_same_looks() -> None:
    source = (ROOT / "ui" / "src" / "looks.ts").read_text()
    found = re.findall(r'(\w+): \{ label: "([^"]*)", colour: \{ light: "([^"]*)", .*?pattern: "(\w+)"', source)
    assert {name: tuple(rest) for name, *rest in found} == {name: tuple(look) for name, look in LOOKS.items()}


def test_the_pages_and_the_simulator_know_each_status_and_with_which_a_request_ends() -> None:
    """A page that does not know a final status would ask for the request for ever."""
    source = (ROOT / "ui" / "src" / "states.ts").read_text()
    words, as_tiles = (
        set(re.findall(r"(\w+):", part)) for part in re.findall(r"= \{\n(.*?)\n\}", source, re.DOTALL)[:2]
    )
    (ends,) = re.findall(r"isFinal.*?\[(.*?)\]", source, re.DOTALL)
    final = {status.value for status in BatchRequestStatus if status.is_final}
    assert words == {status.value for status in BatchRequestStatus}
    assert set(re.findall(r"\w+", ends)) == FINAL == final
    assert as_tiles >= final


@pytest.mark.parametrize(
    ("where", "there"),
    [
        ((9.0, 42.0, 9.2, 42.2), True),  # Corsica
        ((-36.0, 40.0, -35.0, 41.0), False),  # the Atlantic
        ((179.5, -17.2, 180.5, -16.5), True),  # Fiji, beyond the antimeridian
        ((539.0, 68.0, 541.0, 69.0), True),  # Chukotka, once around
        ((-181.0, 68.0, -179.5, 69.0), True),
        ((0.0, -88.0, 10.0, -85.0), True),  # around the pole
        ((178.0, -50.0, 182.0, -48.0), False),  # nothing is drawn across the whole world
    ],
)
def test_land_is_where_it_is(where: tuple[float, float, float, float], there: bool) -> None:
    frame = Frame(*where)
    rings = land_in(frame)
    assert bool(rings) is there
    x, y = (frame.east - frame.west) * 0.051, (frame.north - frame.south) * 0.051
    for east, north in (point for ring in rings for point in ring):
        assert frame.west - x <= east <= frame.east + x
        assert frame.south - y <= north <= frame.north + y


def test_a_map_of_a_small_place_is_small_although_the_world_is_large() -> None:
    assert len(svg_map([Tile("a", square(9, 42, 0.1))])) < 6_000
    assert len(svg_map([Tile("a", square(-20, 0, 80))])) < 350_000


def drawn_by(colour: str, png: bytes) -> int:
    """Pixels of a PNG that have this colour."""
    width, height, raw = read_png(png)
    wanted = bytes.fromhex(colour) + b"\xff"
    assert len(raw) == width * height * 4
    return sum(raw[at : at + 4] == wanted for at in range(0, len(raw), 4))


def read_png(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and RGBA of a PNG with 8 bits; only its rows are unfiltered here."""
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    raw, rows, before = zlib.decompress(data), [], bytearray(width * 4)
    for row in range(height):
        start = row * (width * 4 + 1)
        kind, line = raw[start], bytearray(raw[start + 1 : start + 1 + width * 4])
        for i in range(len(line)):
            left, up = line[i - 4] if i >= 4 else 0, before[i]
            corner = before[i - 4] if i >= 4 else 0
            near = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            line[i] = (line[i] + (0, left, up, (left + up) // 2, near)[kind]) & 255
        rows.append(bytes(line))
        before = line
    return width, height, b"".join(rows)


@pytest.mark.thorough
def test_a_png_has_letters_although_the_machine_has_no_fonts() -> None:
    pytest.importorskip("resvg_py")
    tiles = [Tile("a", square(9, 42, 0.1), "PROCESSED")]
    dark = [drawn_by("1f2933", png_of(svg_map(tiles, title=title, width=200), 1)) for title in (" ", "WWW Ж Ü ?")]
    assert dark[0] + 20 < dark[1], "the words are drawn"
    assert FONT.stat().st_size < 60_000
    assert FONT.with_name("font-licence.txt").exists()


def test_north_is_up_and_east_is_right() -> None:
    tiles = [Tile("southwest", square(0, 0)), Tile("northeast", square(5, 5))]
    root = ET.fromstring(svg_map(tiles))
    first, second = (
        tuple(map(float, re.findall(r"[\d.]+", str(path.get("d")))[:2]))
        for path in root.iter(f"{SVG}path")
        if path.find(f"{SVG}title") is not None
    )
    assert first[0] < second[0]
    assert first[1] > second[1]


@given(st.text(), st.text(), st.text())
@pytest.mark.slow
def test_any_name_makes_an_svg_without_script(name: str, status: str, title: str) -> None:
    text = svg_map([Tile(f"<script>{name}", square(0, 0), f'"/>{status}')], title=f"</svg>{title}")
    root = ET.fromstring(text)
    tags = ("svg", "title", "rect", "path", "defs", "pattern", "text", "use")
    assert {element.tag for element in root.iter()} <= {f"{SVG}{tag}" for tag in tags}
    assert "<script" not in text


def test_many_tiles_are_one_shape_for_each_status() -> None:
    tiles = [Tile(str(at), square(at % 100, at // 100), "FAILED" if at % 2 else None) for at in range(6000)]
    assert list(named(svg_map(tiles, things="fields"))) == ["3,000 fields", "3,000 fields FAILED"]


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
    root = ET.fromstring(svg_map(tiles))
    assert [*root.findall(f"{SVG}path"), *root.findall(f"{SVG}use")] == []
    assert text_map(tile.outline for tile in tiles) == []


def test_a_map_in_characters() -> None:
    lines = text_map([square(0, 0), square(1, 1)], columns=8, block="#")
    assert lines == ["....####", "....####", "####....", "####...."]
    assert all(len(line) <= 60 for line in text_map([square(0, 0, 20), square(30, 50)]))
    assert text_map([square(0, 0, 0)]) != []
