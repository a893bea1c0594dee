"""Pages: every member of `links` may be missing, and the path of a link is not ours to follow."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.api import batch, batch_v2, reading
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.exceptions import ServerError
from tests.api.feeding import error, feed, ok, page, v1, v2

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
        {"data": [1, 2], "links": {"next": "https://h/p?count=2"}},
    ],
)
def test_a_page_without_a_next_one_is_the_last(body: Any) -> None:
    assert parse(body) == Page((1, 2), None)


@pytest.mark.parametrize(
    ("links", "token"),
    [
        ({"nextToken": "100"}, "100"),
        ({"nextToken": 100}, "100"),
        ({"nextToken": 0}, "0"),
        ({"nextToken": "b64=="}, "b64=="),
        ({"next": "https://h/batch/v2/process?count=2&viewtoken=200"}, "200"),
        ({"next": "/batch/v2/process?viewtoken=a%2Fb%3D"}, "a/b="),
        ({"nextToken": "1", "next": "https://h/p?viewtoken=2"}, "1"),
    ],
)
def test_the_token_of_the_next_page_is_found(links: dict[str, Any], token: str) -> None:
    assert parse({"data": ["x"], "links": links}) == Page(("x",), token)


@pytest.mark.parametrize("body", [{"links": {}}, {"data": None, "links": {}}, {"data": []}, {}, None, [], "text"])
def test_a_list_without_data_is_empty(body: Any) -> None:
    """v1's tiles before analysis: `data` is missing or null."""
    assert parse(body) == Page((), None)


def test_an_empty_page_is_the_last_whatever_its_links_say() -> None:
    assert parse({"data": [], "links": {"nextToken": "300"}}) == Page((), None)


def test_a_walk_asks_its_own_path_with_the_next_token() -> None:
    """Links have had another path form than the one that was called since 2026."""
    next_link = {"next": "https://sh.example/batch/v2/process?viewtoken=2&sort=created%3Adesc"}
    fed = feed(
        reading.walk(lambda token: batch_v2.list_requests(sort="created:desc", viewtoken=token)),
        [ok({"data": [v2(id="1"), v2(id="2")], "links": next_link}), page([v2(id="3")])],
    )
    assert [request.request_id for request in fed.result] == ["1", "2", "3"]
    assert fed.calls == ["GET /api/v2/batch/process"] * 2
    assert [call.params() for call in fed.sent] == [
        {"sort": "created:desc"},
        {"sort": "created:desc", "viewtoken": "2"},
    ]


def test_a_walk_stops_where_it_is_told() -> None:
    fed = feed(
        reading.walk(lambda token: batch.list_requests(viewtoken=token), lambda request: request.request_id == "2"),
        [page([v1(id="1"), v1(id="2"), v1(id="3")], "3")],
    )
    assert [request.request_id for request in fed.result] == ["1"]


def test_a_walk_ends_and_says_so() -> None:
    fed = feed(reading.walk(lambda token: batch.list_requests(viewtoken=token)), [page([v1()], "1"), ...])
    assert len(fed.result) == reading.PAGE_LIMIT
    assert "100 pages" in fed.warnings[-1]


def test_a_page_that_fails_for_good_fails_the_walk() -> None:
    """A list cut short would look like a list without our request."""
    fed = feed(
        reading.walk(lambda token: batch.list_requests(viewtoken=token)),
        [page([v1(id="1")], "1"), *[error(500)] * 4],
    )
    assert isinstance(fed.error, ServerError)
