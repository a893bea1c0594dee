"""Results that cannot be read (yet): what has to be there, reading again, lists page by page, and creating once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.due import Due, behind, due_of
from airflow_sentinelhub.api.decide.errors import unread_error
from airflow_sentinelhub.api.flows.actions import delete_once
from airflow_sentinelhub.api.flows.collections import collection_once
from airflow_sentinelhub.api.flows.read import outlast
from airflow_sentinelhub.api.flows.reread import every, reading, until_read
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.exceptions import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    ResultsError,
    SettingsError,
    UnknownStateError,
    UnreadResultsError,
)
from tests.api.feeding import ID, Fed, error, feed, lost, ok, page
from tests.api.test_verdict import job


@pytest.mark.parametrize(
    ("state", "cost", "due"),
    [
        (("CREATED", "NONE"), 0.0, Due.NOTHING),
        (("CREATED", "START"), 0.0, Due.NOTHING),
        (("ANALYSING", "START"), 0.0, Due.NOTHING),
        (("ANALYSIS_DONE", "ANALYSE"), 0.0, Due.MANIFEST),
        (("PROCESSING", "START"), 0.0, Due.MANIFEST),
        (("PROCESSING", "STOP"), 5.0, Due.MANIFEST),
        (("LIMBO", "START"), None, Due.MANIFEST),
        (("DONE", "ANALYSE"), 0.0, Due.MANIFEST),
        (("DONE", "START"), 5.0, Due.WHOLE),
        (("DONE", "START"), None, Due.WHOLE),
        (("DONE", "STOP"), 5.0, Due.WHOLE),
        (("FAILED", "ANALYSE"), 0.0, Due.NOTHING),
        (("FAILED", "START"), None, Due.NOTHING),
        (("FAILED", "START"), 5.0, Due.EXECUTION),
        (("STOPPED", "STOP"), 0.0, Due.NOTHING),
        (("STOPPED", "STOP"), 5.0, Due.EXECUTION),
    ],
)
def test_what_has_to_be_there(state: tuple[str, str], cost: float | None, due: Due) -> None:
    assert due_of(job(*state, generation="v2", cost=cost)) is due


@pytest.mark.parametrize(
    ("status", "count", "listed", "unfinished", "why"),
    [
        ("DONE", 9, 9, 0, None),
        ("DONE", 9, 9, 2, "2 of 9 tiles are not said to be at their end yet."),
        ("DONE", 9, 7, 0, "the list of its tiles shows 7 of 9."),
        ("DONE", 9, 0, 0, "the list of its tiles shows none."),
        ("DONE", None, 0, 0, "the list of its tiles shows none."),
        ("DONE", None, 9, 0, None),
        ("DONE", 9, 10, 0, None),
        ("PARTIAL", 9, 9, 2, None),
        ("PARTIAL", 9, 8, 0, "the list of its tiles shows 8 of 9."),
        ("PROCESSING", 9, 0, 0, None),
        ("CANCELED", 9, 0, 0, None),
        ("FAILED", 9, 0, 0, None),
    ],
)
def test_whether_a_list_of_tiles_can_be_believed(
    status: str, count: int | None, listed: int, unfinished: int, why: str | None
) -> None:
    assert behind(job(status, "START", tile_count=count), listed, unfinished) == why


# Reading again

DONE = job("DONE", "START", "v2", cost=7.0)


def read_by(*readings: Any) -> Callable[[], Any]:
    left = list(readings)

    def read() -> Any:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return read


def read_again(*readings: Any, seconds: float = 600, **how: Any) -> Fed:
    read = read_by(*readings)
    return feed(until_read(lambda: reading(DONE, read), seconds, **how))


def test_it_is_read_again_with_growing_pauses() -> None:
    fed = read_again(*[ResultsError("half of it.")] * 5, "whole")
    assert fed.result == "whole"
    assert fed.slept == [10, 20, 40, 60, 60]
    assert "half of it. Reading again in 10 s." in fed.warnings[0]


def test_at_the_end_of_the_time_it_is_an_error_that_says_all() -> None:
    fed = read_again(*[ResultsError(f"Batch request {ID}: there is no such bucket.")] * 99, seconds=65, then="And so.")
    assert fed.slept == [10, 20, 35]
    assert isinstance(fed.error, UnreadResultsError)
    assert str(fed.error) == (
        f"Batch request {ID} is DONE and paid (7.0 PU), but its results could not be read for 65 s: there is no such "
        "bucket. It does not run any more and bills nothing further. Mend the access to the bucket (aws_conn_id, or "
        "bucket_mount of the Sentinel Hub connection), or the file. And so."
    )
    assert fed.error.retry_helps
    assert (fed.error.request_id, fed.error.snapshot) == (ID, DONE)
    copy = pickle.loads(pickle.dumps(fed.error))
    assert (str(copy), copy.request_id) == (str(fed.error), ID)


def test_without_patience_it_is_read_once() -> None:
    fed = read_again(ResultsError("no."), seconds=0)
    assert isinstance(fed.error, UnreadResultsError)
    assert fed.slept == []


def test_other_errors_are_not_waited_out_unless_that_is_asked_for() -> None:
    assert isinstance(read_again(SettingsError("no boto3.")).error, SettingsError)
    fed = read_again(SettingsError("no boto3."), "there", job=DONE, also=(SettingsError,))
    assert fed.result == "there"
    fed = read_again(SettingsError("no boto3."), seconds=0, job=DONE, also=(SettingsError,))
    assert isinstance(fed.error, UnreadResultsError)
    assert isinstance(read_again(InvalidInputError("no."), also=(SettingsError,)).error, InvalidInputError)


def test_what_has_been_waited_out_within_is_not_waited_out_again() -> None:
    within = lambda: until_read(lambda: reading(DONE, read_by(*[ResultsError("no.")] * 9)), 30)  # noqa: E731
    fed = feed(until_read(within, 600))
    assert isinstance(fed.error, UnreadResultsError)
    assert sum(fed.slept) == 30
    assert str(fed.error).count("could not be read") == 1


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (job("DONE", "START"), "is DONE and paid, but"),
        (job("PARTIAL", "START"), "is PARTIAL and paid, but"),
        (job("DONE", "ANALYSE", "v2", cost=0.0), "is DONE, but"),
        (job("STOPPED", "STOP", "v2", cost=3.0), "is STOPPED, but"),
        (job("PROCESSING", "START", "v2"), "It runs on and bills."),
    ],
)
def test_the_error_says_whether_it_is_paid_and_bills(state: Any, says: str) -> None:
    assert says in str(unread_error(state, "why.", "then."))


# Lists


def walked(*script: Any, seconds: float = 600) -> tuple[Fed, list[Any]]:
    found: list[Any] = []
    patiently = partial(outlast, seconds=seconds, request_id=ID)
    fed = feed(every(lambda token: v1.list_tiles(ID, viewtoken=token), found.append, patiently), script)
    return fed, found


def test_a_bad_page_does_not_begin_the_list_anew() -> None:
    bad = [error(503)] * 12
    tiles = [{"id": number, "status": "PROCESSED"} for number in range(5)]
    fed, found = walked(page(tiles[:2], "2"), *bad, page(tiles[2:4], "4"), *bad, page(tiles[4:]))
    assert fed.error is None
    assert found == tiles
    asked = [call.params().get("viewtoken") for call in fed.sent]
    assert asked == [None, *["2"] * 13, *["4"] * 13]


def test_a_page_that_never_comes() -> None:
    fed, _ = walked(page(range(2), "2"), error(503), ..., seconds=60)
    assert isinstance(fed.error, UnknownStateError)
    fed, _ = walked(error(403))
    assert isinstance(fed.error, ForbiddenError)


# Deleting and creating

DELETE = v1.delete_request(ID)


def test_a_delete_is_patient_and_its_own_404_is_success() -> None:
    assert feed(delete_once(DELETE, 600), [error(503), error(503), ok(status=204)]).error is None
    assert feed(delete_once(DELETE, 600), [lost(), error(404)]).error is None
    assert isinstance(feed(delete_once(DELETE, 600), [error(404)]).error, NotFoundError)
    refused = [lost(ambiguous=False)] * 4
    assert isinstance(feed(delete_once(DELETE, 600), [*refused, error(404)]).error, NotFoundError), "never sent"


WANTED = {"name": "maps", "s3Bucket": "b"}
OURS = ok({"data": [{"id": "other", "name": "maps", "s3Bucket": "c"}, {"id": "ours", **WANTED}]})
NONE = ok({"data": []})
MADE = ok({"id": "ours", **WANTED}, status=201)


def created(*script: Any, look: bool = False) -> Fed:
    return feed(collection_once(WANTED, 600, look=look), script)


def posts(fed: Fed) -> int:
    return sum(call.startswith("POST") for call in fed.calls)


def test_a_collection_is_created() -> None:
    fed = created(MADE)
    assert (fed.result, fed.calls) == (("ours", False), ["POST /api/v1/batch/collections"])
    assert created(OURS, look=True).result == ("ours", True)
    assert created(NONE, MADE, look=True).result == ("ours", False)


def test_a_collection_whose_create_has_got_no_reply_is_looked_up() -> None:
    fed = created(lost(), OURS)
    assert (fed.result, posts(fed)) == (("ours", True), 1)
    fed = created(lost(), NONE, NONE, OURS)
    assert (fed.result, posts(fed)) == (("ours", True), 1), "lists lag behind"
    fed = created(ok({}, status=201), NONE, OURS)
    assert (fed.result, posts(fed)) == (("ours", True), 1), "a reply that makes no sense is none"
    fed = created(error(503), *[NONE] * 6, MADE)
    assert (fed.result, posts(fed)) == (("ours", False), 2), "it was not created"
    fed = created(lost(), *[error(503)] * 12, OURS)
    assert (fed.result, posts(fed)) == (("ours", True), 1)
