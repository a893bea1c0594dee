"""References to chunks of tiles: their size, the calls that make and open them, and what becomes of changes."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Reply
from airflow_sentinelhub.api.flows.tile_list import list_tiles, tiles_of
from airflow_sentinelhub.api.tile_references import Items, References, TileList, TileReference, reference_from
from airflow_sentinelhub.exceptions import (
    BadRequestError,
    InvalidInputError,
    ListTooLongError,
    ResultsError,
    TilesChangedError,
)
from tests.api.feeding import ID, Fed, error, feed, ok

MANY = 105_209
"""Tiles of a large country on the 10 km grid."""
MOST = 1024
"""Chunks over which Airflow maps at most, by default."""
PLACE = {"base_url": "https://services.sentinel-hub.com", "token_url": "https://services.sentinel-hub.com/token"}
LISTED = TileList(ID, "v1", "sentinelhub_default", None, {**PLACE, "account": "0123abcd"}, "PROCESSED", True)


class Service:
    """A v1 request with many tiles, in pages; `names` may be changed between calls."""

    def __init__(self, count: int, page: int = 100) -> None:
        self.names, self.page = [f"{1 + n % 60:02}TVM_{n // 10}_{n % 10}" for n in range(count)], page
        self.pages: list[int] = []

    def reply(self, call: Call[Any]) -> Reply:
        if not call.path.endswith("/tiles"):
            output = {"defaultTilePath": "s3://maps-of-a-team/ndvi/2026", "responses": []}
            body = {"id": ID, "status": "DONE", "tileCount": len(self.names), "output": output}
            return ok({**body, "processRequest": {"output": {"responses": [{"identifier": "ndvi"}]}}})
        assert call.query.get("status") == "PROCESSED", "as the list was asked for"
        start = int(call.query.get("viewtoken") or 0)
        self.pages.append(start)
        shown = self.names[start : start + self.page]
        data = [{"id": start + n, "name": name, "status": "PROCESSED"} for n, name in enumerate(shown)]
        over = start + self.page >= len(self.names)
        return ok({"data": data, "links": {} if over else {"nextToken": str(start + self.page)}})

    def listing(self, take: Items | References) -> Fed:
        fed = feed(list_tiles(ID, "PROCESSED", True, take, 0.0), [self.reply, ...])
        assert fed.result is None
        return fed

    def chunks(self, size: int | None = None, most: int = MOST) -> list[dict[str, Any]]:
        take = References(LISTED)
        self.listing(take)
        return json.loads(json.dumps(take.chunks(size, most)))

    def opened(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        self.pages.clear()
        reference = reference_from(chunk)
        assert reference is not None
        items: list[dict[str, Any]] = feed(tiles_of(reference, 0.0), [self.reply, ...]).result
        return items


def peak(do: Callable[[], object]) -> int:
    """Bytes that it needs beyond what was there."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_references_to_a_hundred_thousand_tiles_are_small_and_each_page_is_read_once() -> None:
    service, plain, few = Service(MANY), Items(), References(LISTED)
    service.listing(plain)
    service.pages.clear()
    calls = service.listing(few).calls
    assert len(calls) == 1 + len(service.pages) == 1 + -(-MANY // 100)
    assert len(set(service.pages)) == len(service.pages)
    chunks = few.chunks(None, MOST)
    assert len(json.dumps(plain.chunks(None, MOST))) > 12_000_000
    assert len(json.dumps(chunks)) < 400_000
    assert len(few) == sum(chunk["count"] for chunk in chunks) == MANY
    for number in (0, 1, len(chunks) // 2, len(chunks) - 1):
        before = sum(chunk["count"] for chunk in chunks[:number])
        wanted = plain.items[before : before + chunks[number]["count"]]
        assert service.opened(chunks[number]) == wanted
        assert len(service.pages) == -(-len(wanted) // 100)


@pytest.mark.slow
def test_the_size_of_all_references_has_a_bound() -> None:
    few = References(LISTED)
    for number in range(300_000):
        few.turn(str(number)) if number % 100 == 0 else None
        few.add({"name": f"tile {number}", "status": "PROCESSED"})
    chunks = few.chunks(None, MOST)
    assert len(chunks) <= MOST
    assert len(json.dumps(chunks)) < 700_000


def test_references_need_little_memory_while_they_are_made() -> None:
    def fill(take: Items | References) -> None:
        for number in range(5_000):
            paths = {name: f"s3://maps/ndvi/2026/{ID}/tile-{number}/{name}.tif" for name in ("ndvi", "mask")}
            take.add({"name": f"tile-{number}", "status": "PROCESSED", "paths": paths})

    assert peak(lambda: fill(References(LISTED))) < 0.25 * peak(lambda: fill(Items()))


@pytest.mark.parametrize("count", [1, 2, 24, 99, 100, 101, 250])
@pytest.mark.parametrize("size", [None, 1, 7, 100, 1000])
@pytest.mark.parametrize("page", [5, 100])
def test_chunks_of_any_size_are_all_tiles_in_order(count: int, size: int | None, page: int) -> None:
    service, plain = Service(count, page), Items()
    service.listing(plain)
    chunks = service.chunks(size, most=10)
    assert size or len(chunks) <= 10
    assert [item for chunk in chunks for item in service.opened(chunk)] == plain.items


def test_no_tiles_are_no_chunks() -> None:
    assert References(LISTED).chunks(None, MOST) == Items().chunks(None, MOST) == []


CHANGES: dict[str, Callable[[list[str]], object]] = {
    "one is gone": lambda names: names.pop(110),
    "one more at the start": lambda names: names.insert(0, "new"),
    "one has another name": lambda names: names.__setitem__(150, "other"),
    "two have changed places": lambda names: names.__setitem__(slice(150, 152), names[151:149:-1]),
    "all are gone": lambda names: names.clear(),
    "it ends before": lambda names: names.__delitem__(slice(120, None)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_list_that_has_changed_is_an_error_that_says_so(change: Callable[[list[str]], object]) -> None:
    service = Service(300)
    first, middle, _ = service.chunks(100)
    change(service.names)
    with pytest.raises(TilesChangedError, match=f"{ID}: its list of tiles in status PROCESSED has changed") as caught:
        service.opened(middle)
    assert repr(middle["first"]) in str(caught.value)
    assert "Clear the task that listed the tiles" in str(caught.value)
    assert not caught.value.retry_helps
    if service.names[:100] == Service(300).names[:100]:
        assert len(service.opened(first)) == 100  # what has not changed is not refused


def test_a_page_that_was_asked_for_again_counts_once_and_by_its_last_token() -> None:
    few = References(LISTED)
    for tokens, tiles in ((("", "first"), 100), (("second", "again"), 50)):
        for token in tokens:
            few.turn(token or None)
        for number in range(tiles):
            few.add({"name": f"tile {number}", "status": "PROCESSED"})
    found = [(chunk["token"], chunk["skip"], chunk["count"]) for chunk in few.chunks(None, MOST)]
    assert found == [("first", 0, 100), ("again", 0, 50)]


def test_tiles_whose_members_come_in_another_order_are_the_same() -> None:
    """As another version of the provider may write them, or the service may name the outputs of a tile."""
    paths = {name: f"s3://maps/{name}.tif" for name in ("ndvi", "mask")}
    tiles: list[dict[str, Any]] = [{"name": f"tile {n}", "status": "PROCESSED", "paths": paths} for n in range(3)]
    few = References(LISTED)
    for tile in tiles:
        few.add(tile)
    reference = reference_from(few.chunks(None, MOST)[0])
    assert reference is not None
    turned = [{**dict(reversed(tile.items())), "paths": dict(reversed(paths.items()))} for tile in tiles]
    assert json.dumps(turned) != json.dumps(tiles)
    assert reference.check(turned) == tiles
    turned[1]["paths"]["mask"] = "s3://maps/other.tif"
    with pytest.raises(TilesChangedError):
        reference.check(turned)


def test_what_is_no_whole_reference_is_refused() -> None:
    (chunk,) = Service(3).chunks()
    assert reference_from([{"name": "a"}]) is None
    assert reference_from({"name": "a"}) is None
    with pytest.raises(InvalidInputError, match="has the form 2; this version of the provider reads 1"):
        reference_from({**chunk, "sentinelhub_tiles": 2})
    for name in ("request_id", "count", "digest", "first"):
        with pytest.raises(InvalidInputError, match="is not whole"):
            reference_from({key: value for key, value in chunk.items() if key != name})
    wrong = {name: [5, [], {}] for name in chunk if name not in ("sentinelhub_tiles", "place")}
    wrong.update(count=["3", 1.5, True, 0, None], skip=["1", 0.5, False, -1, None], with_paths=["false", 1, None])
    for name in ("request_id", "digest", "first", "last", "sentinelhub_conn_id", "batch_api"):
        wrong[name].append(None)
    wrong["place"] = ["abc", [], None, {"base_url": 5}]
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidInputError, match="is not whole"):
                reference_from({**chunk, name: value})
    assert reference_from({**chunk, "later": 1}) == TileReference(**asdict(reference_from(chunk)))  # type: ignore[arg-type]


def test_a_page_whose_token_the_service_does_not_know_any_more_is_a_list_that_has_changed() -> None:
    service = Service(300)
    chunk = service.chunks(150)[1]
    reference = reference_from(chunk)
    assert reference is not None
    assert reference.token == "100"
    refused = error(400, "Invalid viewtoken: 100")

    def reply(call: Call[Any]) -> Reply:
        return refused if call.query.get("viewtoken") == "100" else service.reply(call)

    with pytest.raises(TilesChangedError, match=r"150 tiles, from .*; the service refuses its page: .* 100\. Clear"):
        assert feed(tiles_of(reference, 0.0), [reply, ...]).result
    with pytest.raises(BadRequestError):  # a token that the service has just given says nothing of the reference
        assert feed(tiles_of(replace(reference, token=None, skip=150), 0.0), [reply, ...]).result
    with pytest.raises(BadRequestError):  # so does the first page, which is asked for without a token
        assert feed(tiles_of(replace(reference, token=None, with_paths=False), 0.0), [lambda call: refused, ...]).result


def test_an_outage_while_a_reference_is_opened_is_outlasted_page_by_page() -> None:
    service, out = Service(300), [5]
    (chunk,) = service.chunks(300)

    def reply(call: Call[Any]) -> Reply:
        start = call.query.get("viewtoken")
        if start == "200" and out[0]:
            out[0] -= 1
            return Reply(503, {}, b"")
        return service.reply(call)

    reference = reference_from(chunk)
    assert reference is not None
    service.pages.clear()
    assert len(feed(tiles_of(reference, 600.0), [reply, ...]).result) == 300
    assert service.pages == [0, 100, 200]


DONE, RUNS, FAILED = "PROCESSED", "SCHEDULED", "FAILED"


@pytest.mark.parametrize(
    ("state", "tiles", "asked", "why"),
    [
        ("DONE", [DONE] * 3, None, None),
        ("DONE", [DONE] * 2, None, "shows 2 of 3"),
        ("DONE", [DONE, DONE, RUNS], None, "1 of 3 tiles are not said to be at their end yet"),
        ("DONE", [DONE] * 3, DONE, None),
        ("DONE", [DONE, DONE, RUNS], DONE, "shows 2 of 3"),
        ("DONE", [DONE] * 3, FAILED, None),
        ("DONE", [DONE] * 3, RUNS, None),
        ("PARTIAL", [DONE, FAILED], None, "shows 2 of 3"),
        ("PARTIAL", [DONE, DONE, FAILED], DONE, None),
        ("PARTIAL", [DONE, DONE, FAILED], FAILED, None),
        ("PROCESSING", [DONE, RUNS], None, None),
    ],
)
def test_a_list_that_is_behind_its_request_is_no_list_and_one_that_cannot_be_checked_is_taken(
    state: str, tiles: list[str], asked: str | None, why: str | None
) -> None:
    def reply(call: Call[Any]) -> Reply:
        if not call.path.endswith("/tiles"):
            output = {"defaultTilePath": "s3://maps/ndvi", "responses": []}
            asked_for = {"output": {"responses": [{"identifier": "ndvi"}]}}
            body = {"id": ID, "status": state, "userAction": "START", "tileCount": 3, "output": output}
            return ok({**body, "processRequest": asked_for})
        wanted = call.query.get("status")
        data = [{"id": n, "name": f"t{n}", "status": tile} for n, tile in enumerate(tiles) if wanted in (None, tile)]
        return ok({"data": data, "links": {}})

    take = Items()
    fed = feed(list_tiles(ID, asked, False, take, 0.0), [reply, ...])
    assert (why is None) is (fed.error is None), fed.error
    if why is None:
        assert [item["status"] for item in take.items] == [tile for tile in tiles if asked in (None, tile)]
        assert not any("paths" in item for item in take.items), "they were not asked for"
    else:
        assert isinstance(fed.error, ResultsError)
        assert why in str(fed.error)
        assert fed.error.snapshot is not None


def test_a_list_of_tiles_that_never_ends_is_given_up_by_the_number_of_tiles() -> None:
    def reply(call: Call[Any]) -> Reply:
        if not call.path.endswith("/tiles"):
            return ok({"id": ID, "status": "PROCESSING", "userAction": "START", "tileCount": 3})
        token = int(call.query.get("viewtoken") or 0)
        assert token < 100
        return ok({"data": [{"id": token, "name": "t", "status": DONE}], "links": {"nextToken": str(token + 1)}})

    fed = feed(list_tiles(ID, None, False, Items(), 0.0), [reply, ...])
    assert isinstance(fed.error, ListTooLongError)
