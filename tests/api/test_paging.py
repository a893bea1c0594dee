"""Pages: every member of `links` may be missing, the path of a link is not ours to follow, and no list is shortened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Reply, exchange
from airflow_sentinelhub.api.decide.verdict import TileGoal
from airflow_sentinelhub.api.flows import read as reading
from airflow_sentinelhub.api.flows import tiles
from airflow_sentinelhub.api.flows.counting import TileMemory
from airflow_sentinelhub.api.paging import Page, Walk, page_of
from airflow_sentinelhub.api.service import statistical
from airflow_sentinelhub.api.service import v1 as service_v1
from airflow_sentinelhub.api.service import v2 as service_v2
from airflow_sentinelhub.api.service.generations import V1, V2
from airflow_sentinelhub.exceptions import ListTooLongError, ServerError, UnreadableReplyError
from airflow_sentinelhub.hooks._client import Client
from tests.api.feeding import ID, Fed, error, feed, ok, page, v1, v2

MARK = "afx0123456789abcdef r0 j01234567"

parse = page_of(lambda item: item)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [1, 2]},
        {"data": [1, 2], "links": None},
        {"data": [1, 2], "links": {}},
        {"data": [1, 2], "links": {"currentToken": "0", "@id": "https://h/api/v2/batch/process?viewtoken=0"}},
        {"data": [1, 2], "links": {"previous": "https://h/p?viewtoken=0", "previousToken": "0"}},
        {"data": [1, 2], "links": {"next": "", "nextToken": None}},
        {"data": [1, 2], "links": {"next": None, "nextToken": ""}},
        {"data": [1, 2], "error": None},
    ],
)
def test_a_page_without_a_next_one_is_the_last(body: Any) -> None:
    assert parse(body) == Page((1, 2), None)


@pytest.mark.parametrize(
    ("links", "token"),
    [
        ({"nextToken": "100"}, "100"),
        ({"nextToken": 100}, "100"),
        ({"nextToken": 100.0}, "100"),
        ({"nextToken": 0.5}, "0.5"),
        ({"nextToken": 0}, "0"),
        ({"nextToken": "b64=="}, "b64=="),
        ({"next": "https://h/batch/v2/process?count=2&viewtoken=200"}, "200"),
        ({"next": "/batch/v2/process?viewtoken=a%2Fb%3D"}, "a/b="),
        ({"nextToken": "1", "next": "https://h/p?viewtoken=2"}, "1"),
        ({"nextToken": "1", "next": ["x"]}, "1"),
        ({"nextToken": "", "next": "https://h/p?viewtoken=2"}, "2"),
    ],
)
def test_the_token_of_the_next_page_is_found(links: dict[str, Any], token: str) -> None:
    assert parse({"data": ["x"], "links": links}) == Page(("x",), token)


@pytest.mark.parametrize(
    "links",
    [
        [],
        [1],
        7,
        "https://h/p?viewtoken=2",
        True,
        {"nextToken": ["2"]},
        {"nextToken": {"token": "2"}},
        {"nextToken": True},
        {"nextToken": float("nan")},
        {"nextToken": float("inf")},
        {"next": 7},
        {"next": {"href": "https://h/p?viewtoken=2"}},
        {"next": "https://h/p?count=2"},
        {"next": "https://[h/p?viewtoken=2"},
    ],
)
def test_links_that_do_not_say_whether_there_is_more_make_a_page_unreadable(links: Any) -> None:
    """A list cut short would look like a list without our request."""
    with pytest.raises(ValueError, match=r"object|nextToken|link|URL"):
        parse({"data": [1], "links": links})
    call: Call[Page[Any]] = Call("GET", "/p", parse, about="a list")
    fed = feed(exchange(call), [ok({"data": [1], "links": links})])
    assert isinstance(fed.error, UnreadableReplyError)


def test_a_last_page_that_is_read_again_and_again_counts_once() -> None:
    """Tiles are counted on at the last page, for hours: that must not make the list one that does not end."""
    walk, call = Walk(3), Call[Page[Any]]("GET", "/p", parse, about="a list")
    walk.turn(call, Page((1,), "a"))
    for _ in range(5):
        walk.turn(call, Page((2,), None))
    walk.turn(call, Page((2,), "b"))
    assert (walk.over, walk.token) == (False, "b")
    with pytest.raises(ListTooLongError):
        walk.turn(call, Page((3,), "c"))


@pytest.mark.parametrize(("length", "fits"), [(8_000, True), (8_001, False)])
@pytest.mark.parametrize("member", ["nextToken", "next"])
def test_a_token_that_fits_into_no_url_is_refused(member: str, length: int, fits: bool) -> None:
    start = "https://h/p?viewtoken=" if member == "next" else ""
    given = start + "x" * (length - len(start))
    body = {"data": [1], "links": {member: given}}
    if fits:
        assert parse(body).next_token == given.removeprefix(start)
        return
    with pytest.raises(ValueError, match=r"8,001 characters, too many for a URL"):
        parse(body)


# Replies that are no lists

LISTS: dict[str, Callable[..., Call[Page[Any]]]] = {
    "requests, v1": service_v1.list_requests,
    "requests, v2": service_v2.list_requests,
    "requests, statistical": statistical.list_requests,
    "readings, v1": V1.list,
    "readings, v2": V2.list,
    "grids": service_v1.list_tiling_grids,
    "collections": service_v1.list_collections,
    "tiles": lambda **query: service_v1.list_tiles(ID, **query),
}
NO_LISTS: dict[str, Reply] = {
    "an error": ok({"error": {"status": 500, "message": "no"}}),
    "an error beside data": ok({"data": [], "error": "no"}),
    "null": Reply(200, {}, b"null"),
    "an array": ok([v1()]),
    "a text": ok("data"),
    "a number": ok(7),
    "204": Reply(204),
    "nothing": Reply(200, {}, b"  "),
    "data is an object": ok({"data": {}}),
    "data is a text": ok({"data": "x"}),
    "data is a number": ok({"data": 0}),
    "data is false": ok({"data": False}),
}
WITHOUT_DATA: dict[str, Reply] = {
    "an empty object": ok({}),
    "links alone": ok({"links": {}}),
    "data is null": ok({"data": None, "links": {}}),
}


# One reply for each branch of the parser, which all lists must go through.
BRANCHES = ("an error beside data", "an array", "204", "data is an object", *WITHOUT_DATA)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in LISTS for kind in BRANCHES),
        *(("requests, v1", kind) for kind in NO_LISTS if kind not in BRANCHES),
    ],
)
def test_what_is_no_list_is_unreadable_and_never_empty(name: str, kind: str) -> None:
    reply = {**NO_LISTS, **WITHOUT_DATA}[kind]
    fed = feed(exchange(LISTS[name]()), [reply, ...] if kind in NO_LISTS or name != "tiles" else [reply])
    if name == "tiles" and kind in WITHOUT_DATA:  # before the analysis
        assert fed.result == Page((), None)
    else:
        assert isinstance(fed.error, UnreadableReplyError)
        assert isinstance(fed.error, reading.OUTAGE)
        assert len(fed.sent) == 4


@pytest.mark.parametrize("kind", WITHOUT_DATA)
def test_only_the_first_page_of_tiles_may_lack_its_data(kind: str) -> None:
    fed = feed(exchange(service_v1.list_tiles(ID, viewtoken="100")), [WITHOUT_DATA[kind], ...])
    assert isinstance(fed.error, UnreadableReplyError)


def test_an_empty_page_is_the_last_whatever_its_links_say() -> None:
    assert parse({"data": [], "links": {"nextToken": "300"}}) == Page((), None)


# Entries that cannot be read

STRANGE: dict[str, Any] = {
    "no object": 7,
    "null": None,
    "a list": [1],
    "no id": {"status": "DONE", "description": "somebody's"},
    "a number as id": {"id": 7, "status": "DONE"},
    "an empty id": {"id": " ", "status": "DONE"},
    "an endless id": {"id": "x" * 1000, "status": "DONE"},
    "an id with a line break": {"id": "a\nb", "status": "DONE"},
    "no status": {"id": "5"},
    "status null": {"id": "5", "status": None},
    "a number as status": {"id": "5", "status": 3},
    "an object as status": {"id": "5", "status": {"name": "DONE"}},
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize(
    "name", ["requests, v1", "requests, v2", "requests, statistical", "readings, v1", "readings, v2"]
)
def test_what_cannot_be_read_of_somebody_else_is_left_out(name: str, kind: str) -> None:
    body = v1 if "v1" in name else v2
    found = feed(exchange(LISTS[name]()), [page([body(id="1"), STRANGE[kind], body(id="2")], "3")]).result
    assert [one.request_id for one in found.items] == ["1", "2"]
    assert (found.next_token, found.left_out) == ("3", 1)


@pytest.mark.parametrize(
    "item",
    [
        {"status": "DONE", "description": f"maps {MARK}"},
        {"id": "5", "request": {"description": MARK}},
        {"id": "5", "status": None, "note": [{"x": MARK}]},
        [MARK],
        MARK,
        {MARK: 1},
    ],
)
@pytest.mark.parametrize("name", ["readings, v1", "readings, v2"])
def test_what_cannot_be_read_and_carries_a_marker_makes_the_page_unreadable(name: str, item: Any) -> None:
    """It may be the very request that a task looks for; without it another one would be made and paid."""
    fed = feed(exchange(LISTS[name]()), [page([(v1 if "v1" in name else v2)(), item]), ...])
    assert isinstance(fed.error, UnreadableReplyError)
    assert "with the marker of a task" in str(fed.error)


def test_pages_of_which_nothing_can_be_read_are_walked_on() -> None:
    fed = walked(page([7, None], "2"), page([v1(id="2")]))
    assert [job.request_id for job in fed.result] == ["2"]
    assert ["left out" in note for note in fed.notes] == [True]


@pytest.mark.parametrize("tile", [7, None, {}, {"id": 1}, {"status": None}, {"status": 7}, {"status": ""}, []])
def test_a_tile_that_cannot_be_read_makes_its_page_unreadable(tile: Any) -> None:
    """Tiles are counted: one left out would be one that is not done."""
    fed = feed(exchange(service_v1.list_tiles(ID)), [page([{"id": 1, "status": "PROCESSED"}, tile]), ...])
    assert isinstance(fed.error, UnreadableReplyError)
    fed = feed(exchange(service_v1.get_tile(ID, 1)), [ok(tile), ...])
    assert isinstance(fed.error, UnreadableReplyError)


# Walks


def walked(*script: Any, stop: Callable[[Any], bool] | None = None) -> Fed:
    return feed(reading.walk(lambda token: V1.list(viewtoken=token), stop), script)


def test_a_walk_asks_its_own_path_with_the_next_token() -> None:
    """Links have had another path form than the one that was called since 2026."""
    next_link = {"next": "https://sh.example/batch/v2/process?viewtoken=2&sort=created%3Adesc"}
    fed = feed(
        reading.walk(lambda token: service_v2.list_requests(sort="created:desc", viewtoken=token)),
        [ok({"data": [v2(id="1"), v2(id="2")], "links": next_link}), page([v2(id="3")])],
    )
    assert [request.request_id for request in fed.result] == ["1", "2", "3"]
    assert fed.calls == ["GET /api/v2/batch/process"] * 2
    assert [call.params() for call in fed.sent] == [
        {"sort": "created:desc"},
        {"sort": "created:desc", "viewtoken": "2"},
    ]


def test_a_walk_stops_where_it_is_told() -> None:
    fed = walked(page([v1(id="1"), v1(id="2"), v1(id="3")], "3"), stop=lambda jobs: jobs[-1].request_id == "3")
    assert [request.request_id for request in fed.result] == ["1", "2", "3"], "what was read already costs nothing"


def test_a_page_that_fails_for_good_fails_the_walk() -> None:
    """A list cut short would look like a list without our request."""
    fed = walked(page([v1(id="1")], "1"), *[error(500)] * 4)
    assert isinstance(fed.error, ServerError)


def endless(call: Call[Any]) -> Reply:
    return page([v1()], str(int(call.params().get("viewtoken", 0)) + 1))


def test_a_list_that_does_not_end_is_an_error_and_no_shorter_list() -> None:
    fed = walked(endless, ...)
    assert len(fed.sent) == reading.PAGE_LIMIT == 1000
    assert isinstance(fed.error, ListTooLongError)
    assert fed.error.retry_helps
    assert "GET /api/v1/batch/process (list batch requests): 1,000 pages were read and there are more" in str(fed.error)


def test_a_list_of_as_many_pages_as_are_read_is_whole() -> None:
    def until(call: Call[Any]) -> Reply:
        at = int(call.params().get("viewtoken", 0)) + 1
        return page([v1(id=str(at))], str(at) if at < reading.PAGE_LIMIT else None)

    assert len(walked(until, ...).result) == reading.PAGE_LIMIT


CIRCLES: dict[str, list[str]] = {"the same page": ["1", "1"], "an earlier page": ["1", "2", "3", "2"]}


@pytest.mark.parametrize("kind", CIRCLES)
@pytest.mark.parametrize("way", ["walk", "iterate", "count", "one tile"])
def test_pages_that_go_in_circles_end_with_an_error_that_says_so(way: str, kind: str) -> None:
    entry = {"id": "1", "status": "FAILED", "name": "a"} if "tile" in way or way == "count" else v1()
    script = [page([entry], token) for token in CIRCLES[kind]]
    if way == "iterate":
        replies = iter(script)
        client = Client(lambda flow: feed(flow, [next(replies)]).result)
        with pytest.raises(UnreadableReplyError, match="goes in circles"):
            list(client._iterate(lambda token: service_v1.list_requests(viewtoken=token)))
        assert list(replies) == []
        return
    flows: dict[str, Any] = {
        "walk": lambda: reading.walk(lambda token: V1.list(viewtoken=token)),
        "count": lambda: tiles.look_at_tiles(V1, ID, TileGoal("FAILED", count=9)),
        "one tile": lambda: tiles.look_at_tiles(V1, ID, TileGoal(tile="b")),
    }
    fed = feed(flows[way](), [*[ok(v1("PROCESSING", "START"))] * (way != "walk"), *script])
    assert isinstance(fed.error, UnreadableReplyError)
    assert isinstance(fed.error, reading.OUTAGE)
    assert f"page {len(script)} names '{CIRCLES[kind][-1]}' as the next one" in str(fed.error)
    assert "goes in circles" in str(fed.error)


@pytest.mark.parametrize("goal", [TileGoal("FAILED", count=99), TileGoal(tile="b")], ids=str)
def test_a_list_of_tiles_that_has_more_pages_than_there_are_tiles_is_an_error(goal: TileGoal) -> None:
    """The list of 9 tiles ends after 19 pages at the latest, in whichever poll."""
    asked = 0

    def answer(call: Call[Any]) -> Reply:
        nonlocal asked
        if not call.path.endswith("/tiles"):
            return ok(v1("PROCESSING", "START"))
        asked += 1
        return page([{"status": "FAILED", "name": "a"}], str(asked))

    memory = TileMemory()
    for _ in range(20):
        fed = feed(tiles.look_at_tiles(V1, ID, goal, memory=memory), [answer, ...])
        if fed.error is not None:
            break
    assert isinstance(fed.error, ListTooLongError)
    assert f"tiles of batch request {ID}): 19 pages" in str(fed.error)
    assert asked == 19
