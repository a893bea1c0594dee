"""`hook.batch` has the vendor's methods with the vendor's arguments, and takes ids, payloads and objects alike."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import ApiError, InvalidInputError, JobFailedError
from airflow_sentinelhub.hooks.models import BatchCollection, BatchTileStatus
from airflow_sentinelhub.hooks.v1 import SentinelHubBatch

pytestmark = pytest.mark.parametrize("generation", ["v1"], indirect=True)

VENDOR = {
    "create": "sentinelhub_request tiling_grid output bucket_name description **kwargs",
    "tiling_grid": "grid_id resolution buffer **kwargs",
    "output": "default_tile_path overwrite skip_existing cog_output cog_parameters create_collection collection_id "
    "responses **kwargs",
    "iter_tiling_grids": "**kwargs",
    "get_tiling_grid": "grid_id",
    "iter_requests": "user_id search sort **kwargs",
    "get_latest_request": "",
    "get_request": "batch_request",
    "update_request": "batch_request output description **kwargs",
    "delete_request": "batch_request",
    "start_analysis": "batch_request",
    "start_job": "batch_request",
    "cancel_job": "batch_request",
    "restart_job": "batch_request",
    "iter_tiles": "batch_request status **kwargs",
    "get_tile": "batch_request tile_id",
    "iter_collections": "search **kwargs",
    "get_collection": "collection_id",
    "create_collection": "collection",
    "update_collection": "collection",
    "delete_collection": "collection",
}


@pytest.mark.parametrize("name", VENDOR)
def test_names_and_arguments(generation: str, name: str) -> None:
    mine = inspect.signature(getattr(SentinelHubBatch, name)).parameters.values()
    names = ["**" + one.name if one.kind is one.VAR_KEYWORD else one.name for one in mine if one.name != "self"]
    assert " ".join(names) == VENDOR[name]


@pytest.mark.parametrize("form", ["id", "payload", "object"])
def test_a_request_in_every_form(bench: Any, form: str) -> None:
    batch = bench.hook.batch
    made = batch.get_request(bench.create())
    given = {"id": made.request_id, "payload": made.to_dict(), "object": made}[form]
    assert batch.get_request(given).request_id == batch.get_latest_request().request_id == made.request_id
    batch.update_request(given, description="renamed")
    assert [one.request_id for one in batch.iter_requests(search="renamed", sort="created:desc")] == [made.request_id]
    batch.start_analysis(given)
    assert batch.monitor_batch_analysis(given).value_estimate > 0
    batch.start_job(given)
    tiles = batch.monitor_batch_job(given)
    assert set(tiles) == set(BatchTileStatus)
    assert [status for status, found in tiles.items() if found] == [BatchTileStatus.PROCESSED]
    assert tiles[BatchTileStatus.FAILED] == []
    first = tiles[BatchTileStatus.PROCESSED][0]
    assert batch.get_tile(given, first["id"])["name"] == first["name"]
    assert len(list(batch.iter_tiles(given, status=BatchTileStatus.PROCESSED))) == sum(map(len, tiles.values()))
    assert list(batch.iter_tiles(given, status="FAILED")) == []
    batch.cancel_job(bench.started())
    other = bench.create()
    batch.delete_request(batch.get_request(other) if form == "object" else other)
    assert bench.effects().count("billed_start") == 2


def test_collections(bench: Any) -> None:
    batch = bench.hook.batch
    made = batch.create_collection(BatchCollection(name="maps", s3_bucket="bucket"))
    batch.update_collection({"id": made["id"], "name": "atlas"})
    assert batch.get_collection(made["id"])["name"] == "atlas"
    assert [one["id"] for one in batch.iter_collections(search="atlas")] == [made["id"]]
    batch.delete_collection(made["id"])
    assert list(batch.iter_collections()) == []


def test_iterators_are_lazy(bench: Any) -> None:
    bench.sim.settings(page_size=5)
    request_id = bench.ended()
    before = bench.mark()
    tiles = bench.hook.batch.iter_tiles(request_id)
    assert [call for call in bench.sim.journal(before) if call["path"].endswith("/tiles")] == []
    for _ in range(6):
        next(tiles)
    assert len([call for call in bench.sim.journal(before) if call["path"].endswith("/tiles")]) == 2


def test_bad_input(bench: Any) -> None:
    """Our own exceptions; the service's words, status and code where it was the service that refused."""
    batch = bench.hook.batch
    for wrong in (
        lambda: batch.get_request(7),
        lambda: batch.get_request(None),
        lambda: batch.create_collection({"name": "maps"}),
        lambda: batch.create_collection({"s3Bucket": "maps"}),
        lambda: batch.create("no payload", {"id": 1, "resolution": 10}),
    ):
        with pytest.raises(InvalidInputError):
            wrong()
    assert bench.effects() == []
    running = bench.started()
    for refused in (lambda: batch.delete_request(running), lambda: batch.update_request(running, description="x")):
        with pytest.raises(ApiError) as caught:
            refused()
        assert caught.value.status == 409
        assert caught.value.code
        assert "processed" in caught.value.reason or "cancelled" in caught.value.reason
    failed = bench.create(evalscript="//VERSION=3\n(")
    batch.start_analysis(failed)
    with pytest.raises(JobFailedError, match="never closed"):
        batch.monitor_batch_analysis(failed)
