"""`SentinelHubListBatchTilesOperator`: the tiles of a request as a list of chunks for dynamic task mapping."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator, conf
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors, checked_id, there
from airflow_sentinelhub.api.call import Flow, exchange
from airflow_sentinelhub.api.decide.due import behind
from airflow_sentinelhub.api.flows.read import outlast, read_patiently
from airflow_sentinelhub.api.flows.reread import every, reading, until_read
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.api.tiles import output_paths, tile_item
from airflow_sentinelhub.api.times import is_template
from airflow_sentinelhub.exceptions import InvalidInputError, ResultsError
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._arguments import check_patience, check_status

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context

Item = dict[str, Any]
_STATUSES = [str(status) for status in BatchTileStatus.__members__.values()]


class SentinelHubListBatchTilesOperator(SentinelHubTask, BaseOperator):
    """List the tiles of a request in chunks: `task.expand(tiles=listing.output)` maps over them.

    - **Calls** the request and its tiles page by page (v1); on v2, which lists no tiles, it reads manifest and
      execution database from the bucket. Where those are missing, not whole or behind the request, they are read again
      for `max_unknown_time`; then it is an error, not an empty list.
    - **Returns** a list of chunks, each a list of small items `{"name", "status"}`, with `paths` (output id ->
      object URL) if asked for. The same on both generations: PROCESSED, FAILED, PENDING and so on.
    - **On kill**, **on timeout** and **on retry** nothing happens to the request: it only reads, and reads again.

    :param request_id: the request.
    :param status: only tiles in this status; None, said so in the DAG, for all.
    :param chunk_size: tiles in a chunk. Left out (or None in the DAG), it is chosen so that there are no more chunks
        than Airflow maps over (`[core] max_map_length`): 1 for up to a thousand tiles, 98 for 100,000.
    :param with_paths: add the URLs of the outputs to each item.
    :param aws_conn_id: Airflow connection of type `aws` that may read the bucket (v2).
    :param sentinelhub_conn_id: connection of type `sentinelhub`; :param batch_api: `v1` or `v2`.
    :param max_unknown_time: seconds for which the service may be out of reach, or the bucket unreadable.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "status",
        "chunk_size",
        "aws_conn_id",
        "sentinelhub_conn_id",
        "batch_api",
    )
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"

    def __init__(
        self,
        *,
        request_id: str,
        status: str | None = "PROCESSED",
        chunk_size: int | None = None,
        with_paths: bool = False,
        aws_conn_id: str | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.status = status
        self.chunk_size = chunk_size
        self.with_paths = with_paths
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self._given = [name for name in ("status", "chunk_size") if getattr(self, name) is not None]
        check_patience(self)
        if isinstance(status, str) and not is_template(status):
            check_status(status, _STATUSES)

    def execute(self, context: Context) -> list[list[Item]]:

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            status, size = rendered(self, _STATUSES)
            self.announce(context, request_id)
            items = self.hook.run(until_read(lambda: self._items(request_id, status), self.max_unknown_time))
            chunks = chunked(items, size, conf.getint("core", "max_map_length", fallback=1024))
            self.log.info("Batch request %s: %d tiles in %d chunks", request_id, len(items), len(chunks))
            return chunks

    def _items(self, request_id: str, status: str | None) -> Flow[list[Item]]:
        """The tiles as they are now.

        :raises ResultsError: they cannot be read, or not yet.
        """
        from airflow_sentinelhub.hooks.sentinelhub import reader_now
        from airflow_sentinelhub.hooks.storage import results_of

        if self.api.results == "listed":
            return (yield from self._from_service(request_id, status))
        job = yield from outlast(
            lambda: read_patiently(self.api, request_id), self.max_unknown_time, request_id=request_id
        )

        reader = reader_now(self.sentinelhub_conn_id, self.aws_conn_id)

        def read() -> list[Item]:
            with results_of(job, reader) as results:
                tiles = results.tiles(status, with_paths=self.with_paths)
                return [
                    tile if self.with_paths else {name: tile[name] for name in ("name", "status")} for tile in tiles
                ]

        return (yield from reading(job, read))

    def _from_service(self, request_id: str, status: str | None) -> Flow[list[Item]]:
        """v1's list, each page waited out by itself."""

        patiently = partial(outlast, seconds=self.max_unknown_time, request_id=request_id)
        request = yield from patiently(lambda: exchange(v1.get_body(request_id)))
        paths = output_paths(request) if self.with_paths else None
        job, items, unfinished = v1.read_request(request), list[Item](), 0

        def visit(tile: Item) -> None:
            nonlocal unfinished
            unfinished += not BatchTileStatus(str(tile.get("status") or None)).is_final
            items.append(tile_item(tile, paths))

        yield from every(lambda token: v1.list_tiles(request_id, status=status, viewtoken=token), visit, patiently)
        # Of a request that is DONE all tiles are processed; of a PARTIAL one nobody says how many are in one status.
        whole = status is None or (BatchTileStatus(status).is_successful and job.status.is_successful)
        if why := behind(job, len(items), unfinished) if whole else None:
            raise ResultsError(why, request_id=request_id, snapshot=job)
        return items


def rendered(task: Any, known: Sequence[str]) -> tuple[str | None, int | None]:
    """Status and chunk size of an operator that lists, as they came out of templates; None for what was not given.

    :raises InvalidInputError: one that was given has come out as nothing, or makes no sense.
    """
    given = {name: there(name, getattr(task, name)) for name in task._given}
    check_status(given.get("status"), known)
    return given.get("status"), chunk_size_of(given.get("chunk_size"))


def chunk_size_of(given: Any) -> int | None:
    """The chunk size as a number, from a number or a rendered template.

    :raises InvalidInputError: it is no positive whole number.
    """

    if given is None:
        return None
    try:
        size = int(given)
    except (TypeError, ValueError):
        size = 0
    if size < 1:
        raise InvalidInputError(f"chunk_size is a number of tiles from 1, not {given!r}.")
    return size


def chunked(items: list[Item], size: int | None, most: int) -> list[list[Item]]:
    """The items in chunks of `size`; without one, in the smallest chunks of which there are at most `most`."""
    step = size or max(1, -(-len(items) // most))
    return [items[at : at + step] for at in range(0, len(items), step)]
