"""`SentinelHubListBatchTilesOperator`: list the tiles of a request in chunks for dynamic task mapping."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator, conf
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors, checked_id
from airflow_sentinelhub.api.call import Flow, exchange
from airflow_sentinelhub.api.decide.due import behind
from airflow_sentinelhub.api.flows.read import outlast, read_patiently
from airflow_sentinelhub.api.flows.reread import every, most_pages, reading, until_read
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.api.tiles import output_paths, tile_item
from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._arguments import check_status

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context

Item = dict[str, Any]
_STATUSES = [str(status) for status in BatchTileStatus.__members__.values()]


class SentinelHubListBatchTilesOperator(SentinelHubTask, BaseOperator):
    """List the tiles of a request in chunks: `task.expand(tiles=listing.output)` maps over them.

    - **Calls** the request and, page by page, its tiles (v1). The API of v2 lists no tiles, so on v2 the operator
      reads the manifest and the execution database from the bucket. If these are missing, incomplete or older than the
      request's status, it reads them again for `max_unknown_time`, and then fails; it never returns an empty list
      instead.
    - **Returns** a list of chunks. Each chunk is a list of items `{"name", "status"}`, and with `with_paths` also
      `paths` (output id -> object URL). The statuses are the same on v1 and v2: PROCESSED, FAILED, PENDING and so on.
    - **On kill** and **on timeout** (`execution_timeout`) the request is left as it is: the operator only reads.
    - **On retry** it reads again.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param status: list only tiles in this status; None, set in the DAG itself, lists all tiles. A template that
        renders to nothing is an error.
    :param chunk_size: number of tiles in a chunk. By default (None) it is the smallest number with which there are not
        more chunks than Airflow maps over (`[core] max_map_length`): 1 for up to a thousand tiles, 98 for 100,000.
    :param with_paths: add the URLs of the outputs to each item.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket (v2).
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param max_unknown_time: seconds to retry while the service is out of reach or the bucket cannot be read; then the
        task fails.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "status",
        "chunk_size",
        "aws_conn_id",
        "sentinelhub_conn_id",
        "batch_api",
        "with_paths",
        "max_unknown_time",
    )
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"

    def __init__(
        self,
        *,
        request_id: str,
        status: str | None = "PROCESSED",
        chunk_size: int | str | None = None,
        with_paths: bool | str = False,
        aws_conn_id: str | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float | timedelta | str = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.status = status
        self.chunk_size = chunk_size
        self.with_paths: Any = with_paths
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        with self.literals():
            check_status(status, _STATUSES)

    def execute(self, context: Context) -> list[list[Item]]:

        with airflow_errors(self):
            self.take_arguments()
            request_id = checked_id(self.request_id)
            check_status(self.status, _STATUSES)
            self.announce(context, request_id)
            items = self.hook.run(until_read(lambda: self._items(request_id, self.status), self.max_unknown_time))
            chunks = chunked(items, self.chunk_size, conf.getint("core", "max_map_length", fallback=1024))
            self.log.info("Batch request %s: %d tiles in %d chunks", request_id, len(items), len(chunks))
            return chunks

    def _items(self, request_id: str, status: str | None) -> Flow[list[Item]]:
        """The tiles in their present status.

        :raises ResultsError: the tiles cannot be read, or cannot be read yet.
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
        """The list of tiles of v1; each page is retried by itself."""

        patiently = partial(outlast, seconds=self.max_unknown_time, request_id=request_id)
        request = yield from patiently(lambda: exchange(v1.get_body(request_id)))
        paths = output_paths(request) if self.with_paths else None
        job, items, unfinished = v1.read_request(request), list[Item](), 0

        def visit(tile: Item) -> None:
            nonlocal unfinished
            unfinished += not BatchTileStatus(str(tile.get("status") or None)).is_final
            items.append(tile_item(tile, paths))

        yield from every(
            lambda token: v1.list_tiles(request_id, status=status, viewtoken=token),
            visit,
            patiently,
            most_pages(job.tile_count),
        )
        # If the request is DONE, all its tiles are processed; if it is PARTIAL, the number of tiles with a status is
        # unknown, so a filtered list cannot be checked.
        checkable = status is None or (BatchTileStatus(status).is_successful and job.status.is_successful)
        if why := behind(job, len(items), unfinished) if checkable else None:
            raise ResultsError(why, request_id=request_id, snapshot=job)
        return items


def chunked(items: list[Item], size: Any, max_chunks: int) -> list[list[Item]]:
    """The items in chunks of `size`; by default, of the smallest size that gives at most `max_chunks` chunks."""
    step = size or max(1, -(-len(items) // max_chunks))
    return [items[start : start + step] for start in range(0, len(items), step)]
