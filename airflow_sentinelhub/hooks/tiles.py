"""Tiles of a request of either generation: all of them for a list, or those of one chunk by its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_sentinelhub.api.arguments import taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.flows import tile_list
from airflow_sentinelhub.api.flows.read import outlast, read_patiently
from airflow_sentinelhub.api.flows.reread import reading, until_read
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.tile_references import Item, TileReference, reference_from
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.hooks.storage import bucket_reader, results_of
from airflow_sentinelhub.results.bucket import BucketReader


def open_tiles(
    tiles: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, max_unknown_time: float | timedelta | str = 1800.0
) -> list[Item]:
    """The tiles of one chunk of `SentinelHubListBatchTilesOperator`, in the task that is mapped over its chunks.

    A chunk that is a reference (`as_references=True`) is read from the service (v1: the pages on which its tiles are)
    or from the bucket (v2: manifest and execution database). Chunks of plain items are returned as they are, so that
    a task does not depend on which of them it gets.

    :param tiles: the chunk.
    :param max_unknown_time: seconds to retry while the service is out of reach or the bucket cannot be read.
    :returns: items as the operator has them without `as_references`.
    :raises TilesChangedError: the tiles are not the same any more as when they were listed.
    :raises InvalidInputError: it is no chunk, or no length of time; nothing was sent.
    """
    seconds: float = taken("max_unknown_time", max_unknown_time)
    reference = reference_from(tiles)
    if reference is not None:
        hook = SentinelHubHook(reference.sentinelhub_conn_id, place=reference.place)
        return hook.run(_opened(hook, reference, seconds))
    if isinstance(tiles, (str, bytes, Mapping)) or not isinstance(tiles, Sequence):
        raise InvalidInputError(
            f"open_tiles wants one chunk of SentinelHubListBatchTilesOperator, not a value of type "
            f"{type(tiles).__name__}. Map over its output: publish.expand(tiles=listing.output)."
        )
    if any(not isinstance(tile, Mapping) or reference_from(tile) for tile in tiles):
        raise InvalidInputError(
            "open_tiles got a list of chunks, or of something else than tiles, and opens one chunk. Map over them: "
            "publish.expand(tiles=listing.output). If the listing is mapped itself, its output is a list of such "
            "lists; make one list of them in a task between."
        )
    return [dict(tile) for tile in tiles]


def list_from_bucket(
    api: Generation,
    request_id: str,
    reader: Callable[[], BucketReader],
    take: Callable[[Item], object],
    *,
    status: str | None,
    with_paths: bool,
    seconds: float,
) -> Flow[None]:
    """Read the tiles of a v2 request from the bucket, in the order of their names.

    :param reader: makes a reader of the bucket.
    :param take: gets each tile.
    :param seconds: to retry while the service is out of reach.
    :raises ResultsError: the tiles cannot be read, or cannot be read yet.
    """
    job = yield from outlast(lambda: read_patiently(api, request_id), seconds, request_id=request_id)
    bucket = reader()

    def read() -> None:
        with results_of(job, bucket) as results:
            for tile in results.tiles(status, with_paths=with_paths):
                take(tile if with_paths else {name: tile[name] for name in ("name", "status")})

    yield from reading(job, read)


def _opened(hook: SentinelHubHook, reference: TileReference, seconds: float) -> Flow[list[Item]]:
    api = generation(reference.batch_api)
    if api.results == "listed":
        return (yield from tile_list.tiles_of(reference, seconds))

    def attempt() -> Flow[list[Item]]:
        found: list[Item] = []

        def take(item: Item) -> None:
            if reference.first <= item["name"] <= reference.last:
                found.append(item)

        yield from list_from_bucket(
            api,
            reference.request_id,
            lambda: bucket_reader(reference.aws_conn_id, hook.settings),
            take,
            status=reference.status,
            with_paths=reference.with_paths,
            seconds=seconds,
        )
        return found

    return reference.check((yield from until_read(attempt, seconds)))
