"""What the page of a job makes of an answer: words, numbers, states, when it asks again, what stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.played import ID, JOB, NOW, Play, Show, read, table, view
from tests.browser.played import play as play
from tests.browser.played import show as show

EVIL = '<img src=x onerror=alert(1)>"&<b>bold</b>'


@pytest.mark.parametrize(
    ("status", "action", "words", "colour"),
    [
        ("CREATED", "START", "created", "QUEUED"),
        ("ANALYSING", "START", "being analysed", "QUEUED"),
        ("ANALYSIS_DONE", "ANALYSE", "analysed", "QUEUED"),
        ("PROCESSING", "START", "in work", "PROCESSING"),
        ("PROCESSING", "CANCEL", "in work is being ended", "PROCESSING"),
        ("PROCESSING", "STOP", "in work is being ended", "PROCESSING"),
        ("DONE", "START", "done", "PROCESSED"),
        ("PARTIAL", "START", "done in part", "FAILED"),
        ("FAILED", "START", "failed", "FAILED"),
        ("CANCELED", "CANCEL", "cancelled ended by request", "PENDING"),
        ("STOPPED", "STOP", "stopped ended by request", "PENDING"),
        ("NEW_WORD", "START", "new_word", "QUEUED"),
        (None, None, "not read yet", "QUEUED"),
    ],
)
def test_each_status_has_its_words_and_its_colour(
    show: Show, status: str | None, action: str | None, words: str, colour: str
) -> None:
    played = show(view(job={"status": status, "user_action": action}))
    assert " ".join(played.text("h1").split()) == words
    assert played.page.get_attribute("h1 .badge", "data-status") == colour


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ((NOW, "CREATED", "ANALYSE"), "created, analysis asked for"),
        ((NOW, "ANALYSING", "ANALYSE"), "being analysed"),
        ((NOW, "ANALYSIS_DONE", "START"), "analysed, start asked for"),
        ((NOW, "CREATED", "START"), "created, start asked for"),
        ((NOW, "PROCESSING", "START"), "in work"),
        ((NOW, "PROCESSING", "CANCEL"), "in work, cancel asked for"),
        ((NOW, "PROCESSING", "STOP"), "in work, stop asked for"),
        ((NOW, "CANCELED", "CANCEL"), "cancelled"),
        ((NOW, "STOPPED", "STOP"), "stopped"),
        ((NOW, "DONE", "NONE"), "done"),
    ],
)
def test_what_happened_tells_what_was_asked_for_but_not_done_yet(show: Show, state: Any, said: str) -> None:
    played = show(view(states=[state]))
    assert played.text(".states li span") == said
    assert played.text(".states time") == "28 May, 20:26:40"


@pytest.mark.parametrize(
    ("kept", "named", "hour"),
    [
        (None, "UTC", "20:26"),
        ("local", "Asia/Tokyo", "05:26"),
        ("Europe/Rome", "Europe/Rome", "22:26"),
        ("x", "UTC", "20:26"),
    ],
)
def test_times_are_in_the_zone_of_airflows_own_page(play: Play, kept: str | None, named: str, hour: str) -> None:
    before = "" if kept is None else f"""localStorage.setItem('timezone', '"{kept}"');"""
    played = play(before=before)
    played.facts = view(states=[(NOW, "DONE", "START")])
    played.open()
    assert hour in played.text(".states time")
    assert named in played.page.locator("h2", has_text="What happened").inner_text()


COURSE = [[NOW - 1200, 0.1, 10.0], [NOW - 600, 0.4, 40.0], [NOW, 0.4, 40.0]]
UNREAD = {"table": None, "area": []}


@pytest.mark.parametrize(
    ("job", "more", "expected"),
    [
        # While it runs the service's share counts, afterwards what the tiles say.
        ({"share": 0.25}, {}, {"Done": "25 %", "Tiles": "1 of 2", "Time left": "unknown"}),
        ({"status": "DONE", "share": 1.0}, {}, {"Done": "50 %", "Time left": "none"}),
        ({}, {}, {"Done": "50 %"}),
        ({"share": 0.9999}, {}, {"Done": "99.9 %"}),
        ({"share": 0.1239}, {}, {"Done": "12.3 %"}),
        ({"share": 1.0}, {}, {"Done": "100 %"}),
        ({"share": 0.4}, {"course": COURSE}, {"Time left": "40 min"}),
        ({"share": 0.4}, {"course": [[NOW - 60, 0.1, None], [NOW, 0.4, None]]}, {"Time left": "2 min"}),
        ({"share": 0.4}, {"course": [[NOW, 0.4, None]]}, {"Time left": "unknown"}),
        # Costs.
        ({}, {}, {"Cost": "unknown"}),
        ({"cost": 99.96}, {}, {"Cost": "100 PU"}),
        ({"cost": 12.34}, {}, {"Cost": "12.3 PU"}),
        ({"cost": 12345.6}, {}, {"Cost": "12,346 PU"}),
        ({"cost": 0.0}, {}, {"Cost": "0 PU"}),
        ({"cost": 10.0}, {"final_cost": 20.0}, {"Cost": "20 PU"}),
        ({"expected_cost": 300.0}, {}, {"Cost": "about 300 PU"}),
        # When it was read.
        ({}, {}, {"Read": "20 s ago"}),
        ({}, {"read_at": None}, {"Read": "not yet"}),
        ({}, {"read_at": NOW + 5}, {"Read": "0 s ago"}),
        ({}, {"read_at": NOW - 89}, {"Read": "89 s ago"}),
        ({}, {"read_at": NOW - 91}, {"Read": "2 min ago"}),
        ({}, {"read_at": NOW - 7200}, {"Read": "2 h ago"}),
        ({}, {"read_at": NOW - 3 * 86400}, {"Read": "3 days ago"}),
        # A list that is read in part is not all.
        ({"tile_count": 7}, {"tiles": {"partly": True}, "course": []}, {"Tiles": "1 of 7", "Done": "unknown"}),
    ],
)
def test_the_numbers(show: Show, job: dict[str, Any], more: dict[str, Any], expected: dict[str, str]) -> None:
    played = show(view(job=job, **more))
    shown = played.numbers()
    assert {name: shown[name][0] for name in expected} == expected


@pytest.mark.parametrize(
    ("facts", "name", "note"),
    [
        (view(job={"cost": 60.0}, budget=50), "Cost", "over the budget of 50"),
        (view(job={"cost": 50.0}, budget=50), "Cost", "budget 50 PU"),
        (view(job={"cost": 5.0, "expected_cost": 7.0}, budget=50), "Cost", "budget 50 PU, expected 7"),
        (view(job={"expected_cost": 7.0}), "Cost", ""),
        (view(job={"share": 0.4}, course=COURSE), "Time left", "1.8 tiles an hour"),
        (view(job={"share": 0.4}, course=[[NOW - 6, 0.3, None], [NOW, 0.4, None]]), "Time left", "2 tiles a minute"),
        (view(), "Read", "by the waiting task"),
        (view(live=False), "Read", "by the task"),
        (view(by_task=False), "Read", "by this page"),
        (view(), "Tiles", "none failed"),
    ],
)
def test_the_notes_below_the_numbers(show: Show, facts: Any, name: str, note: str) -> None:
    played = show(facts)
    assert played.numbers()[name][1:] == ([note] if note else [])


@pytest.mark.parametrize(
    ("age", "every", "live", "old"),
    [
        (181, 60.0, True, True),
        (179, 60.0, True, False),
        (181, 60.0, False, False),
        (700, 300.0, True, False),
        (901, 300.0, True, True),
        (181, None, True, True),
    ],
)
def test_a_reading_that_should_have_been_repeated_is_marked(
    show: Show, age: float, every: float | None, live: bool, old: bool
) -> None:
    played = show(view(read_at=NOW - age, every=every, live=live))
    assert played.page.locator(".numbers.old").count() == old


@pytest.mark.parametrize(
    ("facts", "notes"),
    [
        (view(), []),
        (view(job={"error": EVIL}), [f"The service says: {EVIL}"]),
        (
            view(unknown_since=NOW - 600, why="It rains."),
            ["cannot be read since 28 May, 20:16:40: It rains. What is shown"],
        ),
        (view(unknown_since=NOW - 600, why="It rains.", live=False), []),
        (
            view(error="No bucket."),
            ["Reading the request for this page failed: No bucket. What is shown was read on 28 May"],
        ),
        (view(error="No bucket.", read_at=None), ["No bucket. Nothing of it was read yet."]),
        (view(tiles={"error": "No file."}), ["The tiles cannot be read: No file."]),
        (view(tiles={"error": "No file."}, things="features"), ["The features cannot be read: No file."]),
    ],
)
def test_what_went_wrong_is_said_once_each(show: Show, facts: Any, notes: list[str]) -> None:
    played = show(facts)
    said = played.page.locator(".note").all_inner_texts()
    assert len(said) == len(notes)
    assert all(note in text for note, text in zip(notes, said, strict=True))


@pytest.mark.parametrize(
    ("facts", "pause"),
    [
        (view(), 5_000),
        (view(reading=True), 1_000),
        (view(live=False), 60_000),
        (view(live=False, reading=True), 1_000),
        (None, 10_000),
        (502, 10_000),
        ('{"now', 10_000),
    ],
)
def test_how_soon_the_page_asks_again(play: Play, facts: Any, pause: int) -> None:
    played = play()
    played.open()
    played.facts = facts
    played.again()
    assert played.again() == [pause]


def test_a_page_without_a_job_asks_again_for_as_long_as_its_task_lives(play: Play) -> None:
    for live, pause in ((True, 5_000), (False, 60_000)):
        played = play()
        played.facts = {**view(live=live), "request": None, "notice": EVIL}
        played.page.goto(JOB)
        assert played.again() == [pause]
        assert played.text(".notice") == EVIL


def test_nobody_asks_for_what_nobody_sees(play: Play) -> None:
    played = play().open()
    played.page.wait_for_function("() => held.length > 0")
    before = len(played.asked)
    played.page.evaluate("window.away = true, pass()")
    played.page.evaluate("document.dispatchEvent(new Event('x'))")
    assert len(played.asked) == before
    assert played.page.evaluate("held.length") == 0
    played.facts = view(job={"status": "DONE"})
    played.page.evaluate("window.away = false, document.dispatchEvent(new Event('visibilitychange'))")
    played.page.locator("h1", has_text="done").wait_for()
    assert played.again() == [5_000]


def test_the_hour_since_when_nothing_new_comes_stays_and_goes(play: Play) -> None:
    played = play().open()
    played.facts = None
    played.again()
    first = played.text(".notes")
    assert "Nothing new since" in first
    assert "Airflow does not answer. The job goes on without this page, and bills if it was started." in first
    age = played.text(".numbers time")
    played.page.wait_for_timeout(1_100)
    played.again()
    assert played.text(".notes") == first
    assert played.text(".numbers time") != age, "what is shown grows older"
    played.facts = view()
    played.again()
    assert played.text(".notes") == ""
    played.facts = None
    played.again()
    assert "Nothing new since" in played.text(".notes")
    assert played.text(".notes") != first, "another time without an answer begins by itself"


def test_a_first_answer_that_does_not_come_is_said_instead_of_a_job(play: Play) -> None:
    for answer, words in (
        (None, "Airflow does not answer."),
        (500, "Airflow answered with 500."),
        ("{", "Airflow's answer broke off."),
        (401, "You are not logged in to Airflow any more."),
        (403, "You may not see this: it is for those who may read the DAG's XComs."),
    ):
        played = play()
        played.facts = answer
        played.page.goto(JOB)
        played.page.locator(".notice", has_text=words).wait_for()
        played.facts = view()
        played.again()
        played.page.wait_for_selector("body[data-ready=true]")


def test_tiles_are_asked_for_when_they_have_changed_and_again_after_no_answer(play: Play) -> None:
    played = play().open()
    played.again()
    assert played.asked.count("tiles") == 1, "the same revision"
    played.facts, played.tiles = view(tiles={"revision": 2}), 500
    played.again()
    played.again()
    assert played.asked.count("tiles") == 3
    tag = played.tags[1]
    assert played.tags == [None, tag, tag]
    assert tag is not None
    played.tiles = 304
    played.again()
    played.again()
    assert played.asked.count("tiles") == 4, "304: there is nothing new"
    assert played.numbers()["Tiles"][0] == "1 of 2"
    played.facts = view(tiles={"revision": 3})
    played.tiles = {"area": [], "table": table(("one", "PROCESSED", 9.0), ("two", "PROCESSED", 10.0))}
    played.again()
    assert played.numbers()["Tiles"][0] == "2 of 2"


def test_what_somebody_has_opened_or_chosen_stays_while_numbers_change(play: Play) -> None:
    played = play()
    played.facts = view(payload={"a": 1})
    played.open().page.click("summary")
    played.page.fill("input[type=search]", "one")
    played.page.keyboard.press("Enter")
    played.page.wait_for_selector(".detail:not([hidden])")
    played.facts = view(payload={"a": 1}, job={"share": 0.75, "cost": 3.0}, tiles={"revision": 2})
    played.tiles = {"area": [], "table": table(("one", "FAILED", 9.0), ("two", "PROCESSED", 10.0))}
    played.again()
    assert played.page.locator("details[open]").count() == 1
    assert played.numbers()["Done"][0] == "75 %"
    assert "one failed" in " ".join(played.text(".detail h2").split()), "the chosen one as it is now"
    played.page.click("text=Close")
    assert played.page.locator(".detail:not([hidden])").count() == 0


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("s3://bucket/a/b/<tile>/x.tif", "https://s3.console.aws.amazon.com/s3/buckets/bucket?prefix=a%2Fb%2F"),
        ("s3://bucket", "https://s3.console.aws.amazon.com/s3/buckets/bucket?prefix="),
        ("s3://bucket/a b&c/", "https://s3.console.aws.amazon.com/s3/buckets/bucket?prefix=a%20b%26c%2F"),
        ("s3://bucket/a/part", "https://s3.console.aws.amazon.com/s3/buckets/bucket?prefix=a%2F"),
        ("gs://bucket/a/", None),
        ("javascript:alert(1)//s3://b/", None),
        (None, None),
    ],
)
def test_the_link_to_the_bucket(show: Show, url: str | None, link: str | None) -> None:
    played = show(view(job={"output_url": url}))
    found = played.page.locator("a", has_text="Open bucket")
    assert (found.get_attribute("href") if found.count() else None) == link
    if url:
        assert url in played.text(".about")
    assert played.page.locator("text=Copy output path").count() == bool(url)


def test_whatever_a_text_holds_it_is_shown_as_text(play: Play) -> None:
    played = play()
    played.facts = view(job={"description": EVIL, "output_url": EVIL}, marker=EVIL, report=EVIL, payload={"a": EVIL})
    played.facts["task"] |= {"dag_id": EVIL, "run_id": EVIL, "task_id": EVIL, "map_index": 0, "try_number": 3}
    played.tiles = {"area": [], "table": table((EVIL, "FAILED", 9.0), errors={"0": EVIL}, unplaced=1)}
    played.open()
    said = played.text(".about")
    assert said.count(EVIL) == 7, "task twice, run, description, marker, output, report"
    assert f"{EVIL} · {EVIL} [0]" in said
    assert "3 (deferred)" in said
    assert played.text(".failed").count(EVIL) == 2
    played.page.click(".failed li button")
    assert played.text(".detail").count(EVIL) == 2
    assert played.page.locator("img, main b").count() == 0


def test_an_id_is_copied(play: Play) -> None:
    played = play()
    played.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    played.open().page.click("text=Copy id")
    played.page.locator("button", has_text="Copied").wait_for()
    played.page.evaluate("pass()")
    played.page.locator("button", has_text="Copy id").wait_for()


@pytest.mark.parametrize(("works", "words"), [("true", "Copied"), ("false", "Could not copy")])
def test_without_the_right_to_the_clipboard_an_id_is_copied_the_old_way(play: Play, works: str, words: str) -> None:
    played = play().open()
    played.page.evaluate(
        """works => {
          const refuse = () => Promise.reject(new Error('no'));
          Object.defineProperty(navigator, 'clipboard', { value: { writeText: refuse } });
          document.execCommand = (what) => { window.copied = [what, document.activeElement.value]; return works; };
        }""",
        works == "true",
    )
    played.page.click("text=Copy id")
    played.page.locator("button", has_text=words).wait_for()
    assert played.page.evaluate("window.copied") == ["copy", ID]
    assert played.page.locator("textarea").count() == 0


def test_failed_tiles_are_listed_up_to_some_number_and_all_of_them_downloaded(play: Play) -> None:
    played = play()
    squares = [(f"t{number}", "FAILED", number / 10) for number in range(203)]
    made = table(*squares, ("good", "PROCESSED", 60.0), side=0.1, errors={"0": "Too dark."})
    played.tiles = {"area": [], "table": made}
    played.facts = view(job={"status": "DONE"})
    played.open()
    assert played.text("h1").strip() == "done, 203 tiles failed"
    assert played.text(".card:has(.failed) h2") == "203 failed tiles"
    assert played.page.locator(".failed li").count() == 200
    assert "and 3 more" in played.text(".card:has(.failed)")
    assert "Too dark." in played.text(".failed li >> nth=0")
    with played.page.expect_download() as download:
        played.page.click("text=Download GeoJSON")
    assert download.value.suggested_filename == "failed-tiles.geojson"
    features = read(download.value.path())["features"]
    assert [feature["properties"]["name"] for feature in features] == [name for name, *_ in squares]
    assert features[0]["properties"] | {"processing_units": None} == {
        "name": "t0",
        "status": "FAILED",
        "processing_units": None,
        "error": "Too dark.",
    }
    ring = features[12]["geometry"]["coordinates"][0][0]
    assert ring == [[1.2, 45.0], [1.2, 45.1], [1.3, 45.1], [1.3, 45.0], [1.2, 45.0]]


def test_one_failed_tile_is_one(play: Play) -> None:
    played = play()
    played.tiles = {"area": [], "table": table(("one", "FAILED", 9.0), ("two", "PROCESSED", 10.0))}
    played.facts = view(job={"status": "DONE"}, things="features")
    played.open()
    assert played.text("h1").strip() == "done, 1 feature failed"
    assert played.text(".card:has(.failed) h2") == "1 failed feature"


def test_another_request_than_before_is_another_page(play: Play) -> None:
    played = play()
    played.tiles = {"area": [], "table": table(("one", "FAILED", 9.0), ("two", "PROCESSED", 10.0))}
    played.open().page.click(".failed li button")
    played.facts = view(id="other", tiles={"revision": 1})
    played.tiles = {"area": [], "table": table(("three", "PROCESSED", 9.0))}
    played.again()
    assert ID not in played.text()
    assert played.tags[-1] is None, "the tag of the other request's tiles says nothing"
    assert played.page.locator(".failed li").count() == 0
    assert played.page.locator(".detail:not([hidden])").count() == 0
    assert played.numbers()["Tiles"][0] == "1 of 1"


@pytest.mark.parametrize(
    ("course", "budget", "said"),
    [
        ([], None, None),
        ([[NOW, 0.5, 1.0]], None, None),
        ([[NOW, 0.5, 1.0], [NOW, 0.6, 2.0]], None, None),
        (
            [[NOW - 3600, 0.1, 10.0], [NOW - 9, None, None], [NOW, 0.5, 50.0]],
            None,
            "From 19:26 to 20:26: 50 % done, 50 PU.",
        ),
        ([[NOW - 60, None, None], [NOW, None, None]], None, None),
        ([[NOW - 3600, 0.1, 10.0], [NOW, 0.5, 50.0]], None, "From 19:26 to 20:26: 50 % done, 50 PU."),
        ([[NOW - 3600, None, 10.0], [NOW, None, 50.0]], 60.0, "From 19:26 to 20:26: unknown done, 50 PU."),
        ([[NOW - 3600, 0.1, None], [NOW, 0.5, None]], 60.0, "From 19:26 to 20:26: 50 % done, unknown PU."),
        ([[NOW - 3600, 0.1, 10.0], [NOW, 0.5, 50.0]], 500.0, "From 19:26 to 20:26: 50 % done, 50 PU."),
    ],
)
def test_the_course(show: Show, course: Any, budget: float | None, said: str | None) -> None:
    played = show(view(course=course, budget=budget))
    chart = played.page.locator("svg.chart")
    assert chart.count() == (said is not None)
    if said is None:
        return
    assert chart.get_attribute("aria-label") == said
    known = [[point[index] is not None for point in course] for index in (1, 2)]
    for kind, there in zip(("share", "cost"), known, strict=True):
        assert chart.locator(f"polyline.{kind}").count() == any(there)
    assert chart.locator("line.budget").count() == (budget == 60.0 and any(known[1]))
    if any(known[0]) and any(known[1]):
        assert chart.locator("polyline.share").get_attribute("points") == "44.0,132.6 588.0,79.0"
        assert chart.locator("polyline.cost").get_attribute("points") == "44.0,119.2 588.0,12.0"
    if budget == 60.0 and any(known[1]):
        assert chart.locator("polyline.cost").get_attribute("points") == "44.0,123.7 588.0,34.3"
