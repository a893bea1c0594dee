"""What the client of batch v1 sends, call by call, and what it makes of a list that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Send
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import InvalidInputError, NoRequestError, UnreadableReplyError
from airflow_sentinelhub.hooks.v1 import BatchCollection, SentinelHubBatch, new_collection
from tests.api.feeding import ID, v1


def sent(method: Callable[[SentinelHubBatch], Any], answer: Any) -> tuple[Any, Send]:
    """What the method returns for this answer to its one call, and the call."""
    steps: list[Any] = []

    def run(flow: Any) -> Any:
        steps.append(next(flow))
        return steps[-1].call.parse(answer)

    return method(SentinelHubBatch(run)), steps[0]


def test_every_filter_of_the_requests_is_sent() -> None:
    found, step = sent(
        lambda batch: list(batch.iter_requests("me", "max&ndvi", "created:desc", count=7)),
        {"data": [v1()], "links": {}},
    )
    assert [one.request_id for one in found] == [ID]
    assert dict(step.call.params()) == {"userid": "me", "search": "max&ndvi", "sort": "created:desc", "count": "7"}


@pytest.mark.parametrize(
    ("status", "ids"), [("FAILED", [2, 3]), (BatchTileStatus.PROCESSED, [1, 3]), ("DONE", [1, 2, 3]), (None, [1, 2, 3])]
)
def test_tiles_are_left_out_by_a_status_that_is_known(status: Any, ids: list[int]) -> None:
    """The service's docs call PROCESSED tiles DONE: what it makes of that word is not known here."""
    tiles = [{"id": 1, "status": "PROCESSED"}, {"id": 2, "status": "FAILED"}, {"id": 3, "status": "A_NEW_ONE"}]
    found, _ = sent(lambda batch: list(batch.iter_tiles(ID, status)), {"data": tiles, "links": {}})
    assert [tile["id"] for tile in found] == ids


@pytest.mark.parametrize(
    ("data", "error"), [([], NoRequestError), ([{"id": ID}], UnreadableReplyError), ([{}], UnreadableReplyError)]
)
def test_the_latest_request_of_a_list_that_is_empty_or_cannot_be_read(data: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        sent(lambda batch: batch.get_latest_request(), {"data": data, "links": {}})


def test_a_collection_is_created_without_what_the_service_writes() -> None:
    told = {"id": ID, "userId": "u", "accountId": "a", "created": "2024-01-02T03:04:05Z", "name": "n", "s3Bucket": "b"}
    for given in (told, BatchCollection.from_dict({**told, "additionalData": None})):
        assert new_collection(given) == {"name": "n", "s3Bucket": "b"}
    with pytest.raises(InvalidInputError, match="no name and no s3Bucket"):
        new_collection({})


@pytest.mark.parametrize(("given", "payload"), [({"name": "new", "s3Bucket": "b"}, {"name": "new"}), ({}, {})])
def test_the_name_is_all_that_an_update_of_a_collection_sends(given: Any, payload: Any) -> None:
    _, step = sent(lambda batch: batch.update_collection({"id": ID, **given}), None)
    assert step.call.json == payload
