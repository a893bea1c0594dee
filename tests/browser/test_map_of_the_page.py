"""The map of a job's page: which tile lies where, how it looks, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.played import Play, Played, table, view
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


def test_a_click_chooses_a_tile_and_one_beside_it_none(play: Play) -> None:
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
    played.page.mouse.click(*played.point(RIGHT, 0.02))
    assert not played.page.locator(".detail").is_visible()
    assert [what for what in played.asked if what.startswith("tile/")] == ["tile/0", "tile/1"]


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
    played.page.wait_for_function("document.querySelector('.detail').innerText.includes('…') === false")
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
    seen = {word: played.colour(across) for word, across in (("done", 0.3), ("failed", 0.45))}
    assert seen["done"] != seen["failed"]
    water = played.colour(0.02)
    played.page.uncheck(".legend label:has-text('failed') input")
    played.wait_for_colour(0.45, water)
    played.wait_for_colour(0.3, seen["done"])
    played.page.check(".legend label:has-text('failed') input")
    played.wait_for_colour(0.45, seen["failed"])


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
    played.page.goto("http://airflow.test/sentinelhub/job/d/r/t/-1")
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
    played.page.wait_for_function(f"{root} === '{other}'")
    played.page.wait_for_function(f"{COLOUR}.join() !== before", arg=before)
    played.page.emulate_media(color_scheme=scheme)
    played.wait_for_colour(LEFT, before)
    assert played.page.locator(".legend canvas").count() == 2
