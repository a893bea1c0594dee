"""The map of a job's page: which tile lies where, how it looks, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.played import JOB, Play, Played, read, square, table, table_of, view
from tests.browser.played import play as play

PAIR = [("one", "PROCESSED", 9.0), ("two", "FAILED", 10.0)]
LEFT, RIGHT = 0.45, 0.55


def opened(played: Played, *squares: Any, area: Any = (), **columns: Any) -> Played:
    played.tiles = {"area": list(area), "table": table(*squares, **columns)}
    played.open()
    played.page.wait_for_selector("body[data-land]")
    return played


def point_at(played: Played, across: float, down: float = 0.5) -> None:
    x, y = played.point(across, down)
    played.page.mouse.move(x - 3, y)
    played.page.mouse.move(x, y)


@pytest.mark.parametrize("west", [9.0, -180.0, 178.5, 179.0])
def test_the_tile_below_the_pointer_says_its_name_and_status(play: Play, west: float) -> None:
    """Everywhere, and on both sides of the antimeridian."""
    played = opened(play(), ("one", "PROCESSED", west), ("two", "FAILED", west + 1))
    tip = played.page.locator(".tip")
    for across, words in ((LEFT, "one done"), (RIGHT, "two failed")):
        point_at(played, across)
        assert tip.inner_text() == words
        assert played.page.evaluate("document.querySelector('.map').style.cursor") == "pointer"
    point_at(played, RIGHT, 0.02)
    assert not tip.is_visible()
    assert played.page.evaluate("document.querySelector('.map').style.cursor") == ""
    point_at(played, LEFT)
    played.page.mouse.move(1, 1)
    assert not tip.is_visible()


def test_a_click_chooses_a_tile(play: Play) -> None:
    """Two clicks within a quarter of a second are a double click too, which zooms: a third would come too soon."""
    played = opened(play(), *PAIR, costs=[1.25, None], errors={"1": "Too dark."})
    played.files = {"name": "one", "paths": {"default": "s3://b/one.tif"}}
    played.page.mouse.click(*played.point(LEFT))
    played.page.locator(".detail", has_text="s3://b/one.tif").wait_for()
    assert "1.3 PU" in played.text(".detail")
    assert "Error" not in played.text(".detail")
    played.files = {"name": "two", "paths": {}}
    played.page.mouse.click(*played.point(RIGHT))
    played.page.locator(".detail", has_text="none yet").wait_for()
    assert "not said for this tile" in played.text(".detail")
    assert "Too dark." in played.text(".detail")
    assert [what for what in played.asked if what.startswith("tile/")] == ["tile/0", "tile/1"]


def test_a_click_beside_the_tiles_chooses_none(play: Play) -> None:
    played = opened(play(), *PAIR)
    played.files = {"name": "two", "paths": {}}
    played.page.mouse.click(*played.point(RIGHT))
    played.page.locator(".detail", has_text="none yet").wait_for()
    played.page.mouse.click(*played.point(RIGHT, 0.02))
    played.page.locator(".detail").wait_for(state="hidden")
    assert [what for what in played.asked if what.startswith("tile/")] == ["tile/1"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "not known here"),
        (404, "not known here"),
        ({"name": "another", "paths": {"a": "s3://b/another.tif"}}, "not known here"),
        ({"name": "one", "paths": {"a": "s3://b/a", "b": "s3://b/b"}}, "s3://b/a\ns3://b/b"),
    ],
)
def test_the_files_of_a_tile(play: Play, answer: Any, words: str) -> None:
    """A list that was read anew may have another tile at the place: its files are not shown."""
    played = opened(play(), *PAIR)
    played.files = answer
    played.page.mouse.click(*played.point(LEFT))
    place = played.page.locator(".detail dd").last
    played.page.wait_for_function("() => document.querySelector('.detail').innerText.includes('…') === false")
    assert place.inner_text() == words


def test_a_tile_is_found_by_its_name(play: Play) -> None:
    played = opened(play(), ("one", "PROCESSED", 9.0), ("far", "PENDING", 60.0))
    find = played.page.locator("input[type=search]")
    wrong = "document.querySelector('input[type=search]').validationMessage"
    find.fill(" far ")
    find.press("Enter")
    assert "Tile far" in played.text(".detail h2")
    played.page.wait_for_timeout(300)
    point_at(played, 0.5)
    assert played.text(".tip") == "far waiting", "the map went there"
    find.fill("nothing")
    find.press("Enter")
    assert played.page.evaluate(wrong) == "There is no tile with this name."
    find.fill("")
    find.press("Enter")
    assert played.page.evaluate(wrong) == ""
    played.page.click("text=Whole job")
    played.page.wait_for_timeout(300)
    point_at(played, 0.5)
    assert not played.page.locator(".tip").is_visible(), "between both of them"


def test_the_legend_counts_and_hides(play: Play) -> None:
    played = opened(play(), *PAIR, ("three", "FAILED", 11.0), ("odd", "NEW_WORD", 12.0), unplaced=2)
    labels = played.page.locator(".legend label").all_inner_texts()
    assert labels == ["1 done", "2 failed", "1 new_word"]
    assert "as of 28 May, 20:26:10" in played.text(".legend")
    assert "2 without a known place" in played.text(".legend")
    seen = {word: played.colour(across) for word, across in (("done", 0.14), ("failed", 0.4))}
    assert seen["done"] != seen["failed"]
    water = played.colour(0.005)
    played.page.uncheck(".legend label:has-text('failed') input")
    played.wait_for_colour(0.4, water)
    played.wait_for_colour(0.14, seen["done"])
    played.page.check(".legend label:has-text('failed') input")
    played.wait_for_colour(0.4, seen["failed"])


def test_a_hidden_status_stays_hidden_when_the_tiles_are_read_again(play: Play) -> None:
    played = opened(play(), *PAIR)
    played.page.uncheck(".legend label:has-text('failed') input")
    played.facts = view(tiles={"revision": 2, "read_at": 1.0})
    played.again()
    assert not played.page.locator(".legend label:has-text('failed') input").is_checked()


def test_what_somebody_has_moved_the_map_to_stays_when_the_tiles_are_read_again(play: Play) -> None:
    played = opened(play(), ("one", "PROCESSED", 9.0), ("far", "PENDING", 60.0))
    find = played.page.locator("input[type=search]")
    find.fill("far")
    find.press("Enter")
    played.facts = view(tiles={"revision": 2})
    played.tiles = {"area": [], "table": table(("one", "PROCESSED", 9.0), ("far", "PROCESSED", 60.0))}
    played.again()
    played.page.wait_for_timeout(300)
    point_at(played, 0.5)
    assert played.text(".tip") == "far done"


def test_the_area_is_there_before_the_tiles(play: Play) -> None:
    played = play()
    played.tiles = {"area": [[[9.0, 45.0], [9.0, 46.0], [10.0, 46.0], [9.0, 45.0]]], "table": None}
    played.page.goto(JOB)
    played.page.wait_for_selector("body[data-land]")
    assert played.page.get_attribute("body", "data-ready") == "false"
    assert played.page.locator(".legend label").count() == 0
    scale = played.text(".ol-scale-line")
    played.facts = view(tiles={"revision": 2})
    played.tiles = {"area": played.tiles["area"], "table": table(("one", "PROCESSED", 9.0), ("far", "PENDING", 60.0))}
    played.again()
    played.page.wait_for_timeout(300)
    assert played.text(".ol-scale-line") != scale, "the map shows all tiles, the first time that there are some"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_as_light_as_the_browser_or_as_airflow_around_it(play: Play, scheme: Any) -> None:
    played = opened(play(color_scheme=scheme), *PAIR)
    root = "document.documentElement.dataset.theme"
    assert played.page.evaluate(root) == scheme
    before = played.colour(LEFT)
    other = "light" if scheme == "dark" else "dark"
    played.page.emulate_media(color_scheme=other)
    played.page.wait_for_function(f"() => {root} === '{other}'")
    played.wait_for_colour(LEFT, before, other=True)
    played.page.emulate_media(color_scheme=scheme)
    played.wait_for_colour(LEFT, before)
    assert played.page.locator(".legend canvas").count() == 2


@pytest.mark.parametrize("around", ["light", "dark"])
def test_airflows_page_around_it_decides_how_light_it_is(play: Play, around: str) -> None:
    played = play(color_scheme="light" if around == "dark" else "dark")
    outer = f'<html class="{around}"><body><iframe src="{JOB}" width="1200" height="800"></iframe></body></html>'
    played.page.route("**/outer", lambda route: route.fulfill(body=outer, content_type="text/html"))
    played.page.goto("http://airflow.test/outer")
    frame = played.page.frame_locator("iframe")
    frame.locator(f":root[data-theme={around}]").wait_for(state="attached")
    other = "light" if around == "dark" else "dark"
    played.page.evaluate("other => (document.documentElement.className = other)", other)
    frame.locator(f":root[data-theme={other}]").wait_for(state="attached")


TRIANGLE = [(9.0, 45.0), (9.0, 46.0), (10.0, 45.0)]
PARTS = ("parts", "FAILED", [TRIANGLE, square(20.0)])


def test_a_tile_of_several_parts_is_one_tile(play: Play) -> None:
    played = play()
    played.tiles = {
        "area": [],
        "table": table_of(PARTS, ("unplaced", "FAILED", []), ("last", "PENDING", [square(24.0)])),
    }
    played.open()
    for across, words in ((0.038, "parts failed"), (0.38, None), (0.71, "parts failed"), (0.948, "last waiting")):
        point_at(played, across, 0.54)
        tip = played.page.locator(".tip")
        assert (tip.inner_text() if tip.is_visible() else None) == words, across
    with played.page.expect_download() as download:
        played.page.click("text=Download GeoJSON")
    first, second = read(download.value.path())["features"]
    assert first["geometry"]["coordinates"] == [[[*map(list, ring), list(ring[0])]] for ring in PARTS[2]]
    assert second["geometry"] is None
    played.page.click(".failed li button >> nth=1")
    assert "Tile unplaced" in played.text(".detail h2"), "nothing is on the map, and all else is said"


def test_beside_a_slanted_border_there_is_no_tile(play: Play) -> None:
    played = play()
    played.tiles = {"area": [], "table": table_of(("one", "FAILED", [TRIANGLE]))}
    played.open()
    for across, down, there in ((0.4, 0.8, True), (0.6, 0.2, False)):
        point_at(played, across, down)
        assert played.page.locator(".tip").is_visible() is there


def test_tiles_too_small_for_a_pattern_have_the_colour_of_their_status(play: Play) -> None:
    block = [(f"{x} {y}", "FAILED", [square(9 + x / 10, 45 + y / 10, 0.1)]) for x in range(10) for y in range(10)]
    ends = [("west", "PENDING", [square(-31.0)]), ("east", "PENDING", [square(49.0)])]
    played = play()
    played.tiles = {"area": [], "table": table_of(*ends, *block)}
    played.open()
    red, green, blue, _ = played.colour(0.5)[:4]
    assert (red, green, blue) == pytest.approx((0xC8, 0x50, 0x1E), abs=40)


def test_files_that_come_late_are_not_shown_for_another_tile(play: Play) -> None:
    played = opened(play(), *PAIR)
    late: list[Any] = []
    played.page.route("**/tile/0", lambda route: late.append(route))
    played.page.mouse.click(*played.point(LEFT))
    played.page.wait_for_function("() => document.querySelector('.detail').innerText.includes('one')")
    played.files = {"name": "two", "paths": {"a": "s3://b/two.tif"}}
    played.page.mouse.click(*played.point(RIGHT))
    played.page.locator(".detail", has_text="s3://b/two.tif").wait_for()
    late[0].fulfill(json={"name": "one", "paths": {"a": "s3://b/one.tif"}})
    played.page.wait_for_timeout(200)
    assert "s3://b/two.tif" in played.text(".detail")
    assert "one.tif" not in played.text(".detail")


def test_what_lies_beyond_the_antimeridian_is_found_too(play: Play) -> None:
    played = opened(play(), ("one", "PROCESSED", 178.5), ("two", "FAILED", -180.0))
    find = played.page.locator("input[type=search]")
    find.fill("one")
    find.press("Enter")
    played.page.wait_for_timeout(300)
    point_at(played, 0.5)
    assert played.text(".tip") == "one done"
    point_at(played, 0.842)
    assert played.text(".tip") == "two failed"
