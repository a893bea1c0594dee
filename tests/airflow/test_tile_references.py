"""Tiles as references: the operator that lists them, and the task that opens one, on both generations."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import InvalidInputError, MovedError, NotFoundError, TilesChangedError
from airflow_sentinelhub.hooks.tiles import open_tiles
from airflow_sentinelhub.operators.batch import SentinelHubListBatchTilesOperator
from tests.airflow.job import v1, v2
from tests.airflow.test_unread import empty, file


def listed(bench: Any, request_id: str, **how: Any) -> Any:
    made = lambda: SentinelHubListBatchTilesOperator(  # noqa: E731
        task_id="tiles", request_id=request_id, aws_conn_id="my_bucket", **how
    )
    return json.loads(json.dumps(bench.run(made)))


@pytest.mark.parametrize("how", [{}, {"with_paths": True}, {"status": None}, {"chunk_size": 7}], ids=str)
def test_opened_references_are_the_items(bench: Any, how: dict[str, Any]) -> None:
    bench.sim.settings(page_size=5)
    request_id = bench.ended()
    plain = [item for chunk in listed(bench, request_id, **how) for item in chunk]
    chunks = listed(bench, request_id, as_references="true", **how)
    assert len(plain) == 24
    assert [item for chunk in chunks for item in open_tiles(chunk)] == plain
    assert all(len(json.dumps(chunk)) < 600 for chunk in chunks)
    assert bench.sim.client_secret not in json.dumps(chunks)


def test_chunks_of_items_are_returned_as_they_are(bench: Any) -> None:
    chunks = listed(bench, bench.ended(), chunk_size=5)
    before = bench.mark()
    assert [open_tiles(chunk) for chunk in chunks] == chunks
    assert bench.mark() == before


@v1
def test_opening_one_of_v1_reads_its_pages_only(bench: Any) -> None:
    bench.sim.settings(page_size=5)
    chunks = listed(bench, bench.ended(), as_references=True, chunk_size=5)
    before = len(bench.calls("GET", "/tiles"))
    assert len(open_tiles(chunks[3])) == 5
    assert len(bench.calls("GET", "/tiles")) == before + 1


@v2
def test_a_status_that_has_changed_in_the_bucket_is_noticed(bench: Any) -> None:
    request_id = bench.ended()
    first, *others = listed(bench, request_id, as_references=True, chunk_size=5)
    with closing(sqlite3.connect(file(bench, request_id))) as database:
        database.execute("UPDATE features SET status = 'FATAL' WHERE name = ?", (first["last"],))
        database.commit()
    with pytest.raises(TilesChangedError, match=r"It stood for 5 tiles, from .*; now there are 4 tiles, from"):
        open_tiles(first)
    assert [len(open_tiles(other)) for other in others] == [5, 5, 5, 4]


@v2
def test_files_that_are_gone_for_a_while_are_waited_for(bench: Any) -> None:
    request_id = bench.ended()
    (chunk,) = listed(bench, request_id, as_references=True)
    bench.clock.at(60, empty(bench, request_id))
    assert len(open_tiles(chunk)) == 24


@v1
def test_a_request_that_is_gone_is_not_found(bench: Any) -> None:
    (chunk,) = listed(bench, bench.ended(), as_references=True, with_paths=True)
    with pytest.raises(NotFoundError):
        open_tiles({**chunk, "request_id": "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"}, max_unknown_time=0)


def test_an_edited_connection_does_not_open_the_tiles_of_another_account(bench: Any) -> None:
    (chunk,) = listed(bench, bench.ended(), as_references=True)
    chunk["place"] = {**chunk["place"], "base_url": "https://elsewhere.example", "account": "00000000"}
    with pytest.raises(MovedError, match=r"elsewhere\.example"):
        open_tiles(chunk)


@pytest.mark.parametrize("given", ["abc", 3, None, {"name": "a"}])
def test_what_is_no_chunk_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="one chunk of SentinelHubListBatchTilesOperator"):
        open_tiles(given)


def test_all_chunks_at_once_are_refused(bench: Any) -> None:
    chunks = listed(bench, bench.ended(), as_references=True, chunk_size=5)
    for given in (chunks, [chunks]):
        with pytest.raises(InvalidInputError, match=r"opens one chunk.* If the listing is mapped itself"):
            open_tiles(given)


@pytest.mark.parametrize("given", [[1, 2], ["ab"], [None], [[{"name": "a"}]], [[["a", 1]]], range(3)], ids=str)
def test_a_list_of_what_are_no_tiles_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="something else than tiles"):
        open_tiles(given)


def test_the_time_to_retry_is_read_as_everywhere(bench: Any) -> None:
    (chunk,) = listed(bench, bench.ended(), as_references=True)
    for given in (timedelta(minutes=1), "90", "PT5M", 0):
        assert len(open_tiles(chunk, max_unknown_time=given)) == 24
    for wrong in (None, "abc", -1, float("nan"), []):
        with pytest.raises(InvalidInputError, match="max_unknown_time must be 0 seconds or more, not"):
            open_tiles(chunk, max_unknown_time=wrong)  # type: ignore[arg-type]
