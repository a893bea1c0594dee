"""How the pages answer: tiles once and then 304, packed or not, made once for all viewers; and what bounds them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub._compat.task_tables import TaskFacts
from airflow_sentinelhub.api.tile_table import TileTable
from airflow_sentinelhub.hooks import job_map, map_file
from airflow_sentinelhub.hooks.job_map import RequestSource, ShownRequest
from airflow_sentinelhub.hooks.map_file import JobMap
from airflow_sentinelhub.web import accounts, app, reading
from airflow_sentinelhub.web.accounts import Accounts
from airflow_sentinelhub.web.app import HEADERS, MOST_JOBS
from airflow_sentinelhub.web.reading import MOST_KEPT, Readings

Login = Callable[..., dict[str, str]]
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
TILES = "/job/a/r/t/-1/tiles"


def facts(request_id: str = ID, conn_id: str = "c") -> TaskFacts:
    origin = {"request_id": request_id, "batch_api": "v2", "sentinelhub_conn_id": conn_id}
    return TaskFacts("a", "r", "t", -1, "running", 1, "Op", 1.0, None, {"sentinelhub_request": origin})


def known(*names: str, revision: int = 1) -> ShownRequest:
    table = TileTable()
    for name in names:
        table.add(name, "PROCESSED", [[(9, 42), (9, 43), (10, 43)]])
    return ShownRequest(table=table, revision=revision)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> ShownRequest:
    """What is known of the one request that there is."""
    there = known("one")
    monkeypatch.setattr(app, "task_facts", lambda *_: facts())
    monkeypatch.setattr(Readings, "of", lambda *_: there)
    return there


def test_tiles_that_have_not_changed_are_not_sent_again(pages: Any, login: Login, shown: ShownRequest) -> None:
    headers = login("VIEWER")
    first = pages.get(TILES, headers=headers)
    assert first.json()["table"]["names"] == ["one"]
    again = pages.get(TILES, headers={**headers, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert {name: again.headers[name] for name in HEADERS} == HEADERS
    shown.table.add("two", "FAILED")  # type: ignore[union-attr]
    shown.revision += 1
    changed = pages.get(TILES, headers={**headers, "If-None-Match": first.headers["ETag"]})
    assert changed.json()["table"]["names"] == ["one", "two"]
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_the_tag_is_of_what_is_sent_not_of_a_count_of_readings() -> None:
    """A request of the next try, or another process of the api-server, comes to the same number with other tiles."""
    one, two = RequestSource(ID, "v2", "c"), RequestSource("other", "v2", "c")
    tag = app._Packed().of(one, known("one"))[1]
    assert app._Packed().of(one, known("one", revision=7))[1] == tag
    assert app._Packed().of(two, known("one"))[1] != tag
    assert app._Packed().of(one, known("two"))[1] != tag


def test_a_request_that_was_forgotten_meanwhile_does_not_count_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else tiles that were packed before would be sent for those that are read now."""
    now = [1_000.0]
    kept = Readings(lambda: now[0])
    monkeypatch.setattr(kept._threads, "submit", lambda *_: None)
    source = RequestSource(ID, "v2", "c")
    before = kept.of(source).revision
    now[0] += 1
    for number in range(MOST_KEPT):
        kept.of(RequestSource(str(number), "v2", "c"))
    assert kept.of(source).revision > before + 100


def test_a_304_is_for_those_who_may_look(pages: Any, login: Login, shown: ShownRequest) -> None:
    tag = pages.get(TILES, headers=login("VIEWER")).headers["ETag"]
    assert pages.get(TILES, headers={"If-None-Match": tag}).status_code == 401
    assert pages.get(TILES, headers={**login(None), "If-None-Match": tag}).status_code == 403


@pytest.mark.parametrize(("accepted", "packing"), [("gzip, br", "gzip"), ("identity", None), ("", None)])
def test_tiles_are_packed_for_those_who_can_unpack_them(
    pages: Any, login: Login, shown: ShownRequest, accepted: str, packing: str | None
) -> None:
    reply = pages.get(TILES, headers={**login("VIEWER"), "Accept-Encoding": accepted})
    assert reply.headers.get("Content-Encoding") == packing
    assert "Accept-Encoding" in reply.headers["Vary"]
    assert reply.json()["request_id"] == ID


def test_a_job_that_is_not_there_has_no_tiles(pages: Any, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "task_facts", lambda *_: None)
    reply = pages.get(TILES, headers=login("VIEWER"))
    assert (reply.status_code, reply.json()["detail"]) == (404, "This task has no Sentinel Hub job.")
    assert pages.get("/job/a/r/t/-1/facts", headers=login("VIEWER")).json()["found"] is False


def test_tiles_are_packed_once_for_all_viewers_and_only_some_are_kept() -> None:
    packed, there = app._Packed(), known("one")
    first, _ = packed.of(RequestSource("0", "v2", "c"), there)
    assert packed.of(RequestSource("0", "v2", "c"), there)[0] is first
    for number in range(1, MOST_KEPT + 3):
        packed.of(RequestSource(str(number), "v2", "c"), there)
    assert len(packed._made) == MOST_KEPT
    assert RequestSource("0", "v2", "c") not in packed._made, "the one that nobody has looked at for longest is gone"
    again = json.loads(gzip.decompress(packed.of(RequestSource("0", "v2", "c"), known("two", revision=2))[0]))
    assert again["table"]["names"] == ["two"]


def test_the_page_of_all_jobs_says_that_there_are_more(
    pages: Any, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Accounts, "of", lambda *_: [])
    for number, more in ((MOST_JOBS - 1, False), (MOST_JOBS, True)):
        monkeypatch.setattr(app, "tasks_with", lambda *_, number=number: [facts()] * number)
        assert pages.get("/jobs/facts", headers=login("VIEWER")).json()["more"] is more


def test_only_so_many_accounts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    kept = Accounts(lambda: 1_000.0)
    monkeypatch.setattr(kept._threads, "submit", lambda _, source: read.append(source.conn_id))
    listed = kept.of(RequestSource(ID, "v2", f"c{number}") for number in range(accounts.MOST_ACCOUNTS + 5))
    assert read == [each.conn_id for each in listed] == [f"c{number}" for number in range(accounts.MOST_ACCOUNTS)]


@pytest.mark.parametrize("kind", [Readings, Accounts])
def test_what_is_being_read_is_not_read_a_second_time_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    now, begun = [1_000.0], []
    kept = kind(lambda: now[0])
    monkeypatch.setattr(kept._threads, "submit", lambda _, source, *more: begun.append(source))
    source = RequestSource(ID, "v2", "c")
    for _ in range(5):
        kept.of(source if kind is Readings else [source])
        now[0] += 10_000
    assert len(begun) == 1


def test_what_took_long_to_read_is_read_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]

    def slow(*_: Any) -> None:
        now[0] += 1_000

    monkeypatch.setattr(Readings, "_read_all", slow)
    monkeypatch.setattr(accounts, "hook_of", slow)
    monkeypatch.setattr(accounts, "account_of", lambda *_: None)
    source, tiles, lists = RequestSource(ID, "v2", "c"), Readings(lambda: now[0]), Accounts(lambda: now[0])
    tiles._read(source, ShownRequest())
    assert tiles._again[source] == now[0] + reading.SHARE * 1_000
    lists._read(source)
    assert lists._again[source] == now[0] + reading.SHARE * 1_000


def test_a_file_holds_paths_up_to_some_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made = JobMap(RequestSource(ID, "v2", "c"), known("one", "two"), 1.0)
    assert '"paths":[{}' in made.html()
    monkeypatch.setattr(map_file, "MOST_PATHS", 1)
    assert '"paths":[{}' not in made.html()


def test_a_page_that_is_left_open_does_not_hold_the_whole_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers that bound what a page may ask for: whoever raises one looks at what it costs."""
    assert job_map.MOST_TILES <= 200_000
    assert MOST_KEPT <= 16
    assert accounts.AGAIN >= 60
