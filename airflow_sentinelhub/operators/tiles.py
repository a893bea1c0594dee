"""`SentinelHubListBatchTilesOperator`: the tiles of a request as a list of chunks for dynamic task mapping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator, conf
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors, checked_id
from airflow_sentinelhub.links import SentinelHubRequestLink

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context

Item = dict[str, Any]


class SentinelHubListBatchTilesOperator(SentinelHubTask, BaseOperator):
    """List the tiles of a request in chunks: `task.expand(tiles=listing.output)` maps over them.

    - **Calls** the request and its tiles page by page (v1); on v2, which lists no tiles, it reads manifest and
      execution database from the bucket.
    - **Returns** a list of chunks, each a list of small items `{"name", "status"}`, with `paths` (output id ->
      object URL) if asked for. The same on both generations: PROCESSED, FAILED, PENDING and so on.
    - **On kill**, **on timeout** and **on retry** nothing happens to the request: it only reads, and reads again.

    :param request_id: the request.
    :param status: only tiles in this status, None for all.
    :param chunk_size: tiles in a chunk. Left out, it is chosen so that there are no more chunks than Airflow maps
        over (`[core] max_map_length`): 1 for up to a thousand tiles, 98 for 100,000.
    :param with_paths: add the URLs of the outputs to each item.
    :param aws_conn_id: Airflow connection of type `aws` that may read the bucket (v2).
    :param sentinelhub_conn_id: connection of type `sentinelhub`; :param batch_api: `v1` or `v2`.
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

    def execute(self, context: Context) -> list[list[Item]]:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            size = chunk_size_of(self.chunk_size)
            items = list(self._items(request_id))
            chunks = chunked(items, size, conf.getint("core", "max_map_length", fallback=1024))
            self.log.info("Batch request %s: %d tiles in %d chunks", request_id, len(items), len(chunks))
            return chunks

    def _items(self, request_id: str) -> Iterable[Item]:
        if self.api.name == "v1":
            from airflow_sentinelhub.api.tiles import output_paths, tile_item

            paths = output_paths(self.hook.batch.get_request(request_id)) if self.with_paths else None
            for tile in self.hook.batch.iter_tiles(request_id, status=self.status):
                yield tile_item(tile, paths)
        else:
            results = self.hook.results(request_id, self.aws_conn_id)
            for tile in results.tiles(self.status):
                yield tile if self.with_paths else {"name": tile["name"], "status": tile["status"]}


def chunk_size_of(given: Any) -> int | None:
    """The chunk size as a number, from a number or a rendered template.

    :raises InvalidInputError: it is no positive whole number.
    """
    from airflow_sentinelhub.exceptions import InvalidInputError

    if given in (None, "", "None"):
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
