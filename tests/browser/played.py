"""The pages in a browser, without Airflow: a test says what it answers, and when it is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.tile_table import TileTable
from airflow_sentinelhub.maps.html import STATIC

HOST = "http://airflow.test"
JOB, JOBS = f"{HOST}/sentinelhub/job/d/r/t/-1", f"{HOST}/sentinelhub/jobs"
NOW = 1_780_000_000.0
"""2026-05-28 20:26:40 UTC."""
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
COLOUR = """([across, down]) => [...document.querySelectorAll('.map canvas')].map((canvas) => [...canvas
  .getContext('2d').getImageData(canvas.width * across, canvas.height * down, 3, 3).data]).flat()"""
HELD = """
(() => {
  const real = window.setTimeout.bind(window);
  window.held = [];
  window.setTimeout = (f, ms = 0, ...more) => ms < 1000 ? real(f, ms, ...more) : window.held.push([ms, f]);
  window.pass = () => window.held.splice(0).map(([ms, f]) => { f(); return ms; });
  Object.defineProperty(Document.prototype, 'hidden', { get: () => window.away === true });
})();
"""
"""Timers of a second and more go off when the test says so, and nobody sees the page while `away` is true."""

Square = tuple[str, str, float]
Ring = list[tuple[float, float]]


def square(west: float, south: float = 45.0, side: float = 1.0) -> Ring:
    return [(west, south), (west, south + side), (west + side, south + side), (west + side, south)]


def table_of(*tiles: tuple[str, str, list[Ring]], **columns: Any) -> dict[str, Any]:
    """Tiles of any outlines. :param tiles: name, status and rings of each."""
    made = TileTable()
    for name, status, rings in tiles:
        made.add(name, status, rings)
    return {**made.as_json(), **columns}


def table(*squares: Square, side: float = 1.0, **columns: Any) -> dict[str, Any]:
    """Squares of one degree along 45 degrees north. :param squares: name, status and western edge of each."""
    return table_of(*((name, status, [square(west, side=side)]) for name, status, west in squares), **columns)


def view(*, live: bool = True, found: bool = True, job: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    """What the backend says of a job in work; :param request: members of the request that are otherwise."""
    tiles = {"revision": 1, "number": 2, "read_at": NOW - 30, "partly": False, "error": ""}
    whole: dict[str, Any] = {
        "id": ID,
        "batch_api": "v2",
        "things": "tiles",
        "conn_id": "c",
        "job": {"status": "PROCESSING", "tile_count": 2, **(job or {})},
        "read_at": NOW - 20,
        "by_task": True,
        "unknown_since": None,
        "why": "",
        "error": "",
        "reading": False,
        "states": [],
        "course": [],
        "counts": None,
        "budget": None,
        "every": 60.0,
        "final_cost": None,
        "marker": None,
        "payload": None,
        "report": None,
        **request,
        "tiles": {**tiles, **request.get("tiles", {})},
    }
    task = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "state": "deferred", "try_number": 1}
    task |= {"operator": "SentinelHubBatchOperator", "started": NOW - 600, "ended": None}
    return {"found": found, "now": NOW, "live": live, "task": task, "request": whole}


def row(**members: Any) -> dict[str, Any]:
    """A row of the page of all jobs: in work, unless it is told otherwise."""
    return {
        "dag_id": "d",
        "run_id": "r",
        "task_id": "t",
        "map_index": -1,
        "state": "deferred",
        "live": True,
        "started": NOW - 600,
        "request_id": ID,
        "batch_api": "v2",
        "things": "tiles",
        "status": "PROCESSING",
        "share": 0.5,
        "failed": 0,
        "cost": 12.5,
        "read_at": NOW - 20,
        "unknown_since": None,
        "earlier": False,
        **members,
    }


class Played:
    """A page, and what it is answered.

    :param facts: the answer to each question for facts: JSON, a status, or None for no answer at all.
    :param tiles: the same for tiles.
    :param files: the same for the files of one tile.
    :param asked: paths that were asked for, the last part of each.
    :param tags: `If-None-Match` of each question for tiles.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.facts: Any = view()
        self.tiles: Any = {"area": [], "table": table(("one", "PROCESSED", 9.0), ("two", "PENDING", 10.0))}
        self.files: Any = {"name": "one", "paths": {}}
        self.asked: list[str] = []
        self.tags: list[str | None] = []
        page.route("**/*", self._answer)

    def open(self, url: str = JOB) -> Played:
        """Open a page, and wait until it shows what it was answered."""
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready=true]")
        return self

    def again(self) -> list[int]:
        """Let the time pass until the page asks again, and wait for what it shows. :return: how long, in ms."""
        self.page.wait_for_function("() => held.length > 0")
        pauses: list[int] = self.page.evaluate("pass()")
        self.page.wait_for_function("() => held.length > 0")
        return pauses

    def text(self, where: str = "main") -> str:
        return str(self.page.inner_text(where))

    def numbers(self) -> dict[str, list[str]]:
        """The large numbers by their names, each with the note below it."""
        cells = self.page.locator(".numbers > div").all()
        found = [cell.locator("dt, dd").all_inner_texts() for cell in cells]
        return {name: rest for name, *rest in found}

    def colour(self, across: float, down: float = 0.5) -> list[int]:
        """Of the map's picture at a place, in shares of its width and height."""
        found: list[int] = self.page.evaluate(COLOUR, [across, down])
        return found

    def wait_for_colour(self, across: float, wanted: list[int], *, other: bool = False) -> None:
        """Wait until a place has a colour (see `colour`), or another one."""
        same = "!==" if other else "==="
        script = f"([across, wanted]) => ({COLOUR})([across, 0.5]).join() {same} wanted.join()"
        self.page.wait_for_function(script, arg=[across, wanted])

    def point(self, across: float, down: float = 0.5) -> tuple[float, float]:
        """A place of the map on the screen, in shares of its width and height."""
        box = self.page.locator(".map").bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def _answer(self, route: Any) -> None:
        path = route.request.url.removeprefix(f"{HOST}/sentinelhub/")
        last = path.rsplit("/", 1)[-1]
        if last == "countries.json":
            route.fulfill(status=404)  # the map does without land
        elif "/static/" in f"/{path}":
            route.fulfill(path=str(STATIC / last))
        elif last == "facts":
            self._say(route, last, self.facts)
        elif last == "tiles":
            self.tags.append(route.request.headers.get("if-none-match"))
            self._say(route, last, self.tiles)
        elif "/tile/" in path:
            self._say(route, f"tile/{last}", self.files)
        else:
            route.fulfill(path=str(STATIC / ("jobs.html" if path == "jobs" else "job.html")))

    def _say(self, route: Any, what: str, answer: Any) -> None:
        self.asked.append(what)
        if answer is None:
            route.abort()
        elif isinstance(answer, int):
            route.fulfill(status=answer)
        else:
            text = answer if isinstance(answer, str) else json.dumps(answer)
            route.fulfill(body=text, content_type="application/json", headers={"ETag": f'"{hash(text)}"'})


Play = Callable[..., Played]
Show = Callable[[Any], Played]


@contextmanager
def pages(browser: Any) -> Iterator[Play]:
    """Makes pages that are played; an error of their scripts is one of the test."""
    contexts, wrong = [], list[str]()

    def made(*, before: str = "", **settings: Any) -> Played:
        settings = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Asia/Tokyo", **settings}
        context = browser.new_context(**settings)
        contexts.append(context)
        context.add_init_script(HELD + before)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"a script ran: {dialog.message}"))
        return Played(page)

    yield made
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def play(browser: Any) -> Iterator[Play]:
    """Makes pages that are played; an error of their scripts fails the test."""
    with pages(browser) as made:
        yield made


@pytest.fixture(scope="module")
def show(browser: Any) -> Iterator[Show]:
    """Shows one answer after the other on one page of a job, which stays open."""
    with pages(browser) as made:
        played = made().open()

        def shown(facts: Any) -> Played:
            played.facts = facts
            played.again()
            return played

        yield shown


def read(path: Path | str) -> Any:
    """The JSON of a file that was downloaded."""
    return json.loads(Path(path).read_text())
