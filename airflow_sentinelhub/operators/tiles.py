"""`SentinelHubListBatchTilesOperator`: list the tiles of a request in chunks for dynamic task mapping."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from airflow_sentinelhub._compat import BaseOperator, Context, conf
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered, TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.flows.reread import until_read
from airflow_sentinelhub.api.flows.tile_list import list_tiles
from airflow_sentinelhub.api.statuses import TILE_STATUSES
from airflow_sentinelhub.api.tile_references import Item, Items, References, TileList
from airflow_sentinelhub.links import LINKS


class SentinelHubListBatchTilesOperator(SentinelHubTask, BaseOperator):
    """List the tiles of a request in chunks: `task.expand(tiles=listing.output)` maps over them.

    - **Calls** the request and, page by page, its tiles (v1). The API of v2 lists no tiles, so on v2 the operator
      reads the manifest and the execution database from the bucket. If these are missing, incomplete or older than the
      request's status, it reads them again for `max_unknown_time`, and then fails; it never returns an empty list
      instead.
    - **Returns** a list of chunks. Each chunk is a list of items `{"name", "status"}`, and with `with_paths` also
      `paths` (output id -> object URL). The statuses are the same on v1 and v2: PROCESSED, FAILED, PENDING and so on.
      With `as_references` each chunk is a reference instead: some 500 bytes, however many tiles it stands for, which
      the mapped task opens with `airflow_sentinelhub.hooks.tiles.open_tiles`.
    - **On kill** and **on timeout** (`execution_timeout`) the request is left as it is: the operator only reads.
    - **On retry** it reads again.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param status: list only tiles in this status; None, set in the DAG itself, lists all tiles. A template that
        renders to nothing is an error.
    :param chunk_size: number of tiles in a chunk. By default (None) it is the smallest number with which there are not
        more chunks than Airflow maps over (`[core] max_map_length`): 1 for up to a thousand tiles, 98 for 100,000.
        References are made of whole pages of the list by default (v2: of hundreds).
    :param with_paths: add the URLs of the outputs to each item.
    :param as_references: return references instead of items: 100,000 tiles with paths are 15 MB of items, which
        Airflow's database stores and each mapped task reads, but 0.3 MB of references. A reference that is opened
        gives the tiles of when they were listed, or an error that says what has changed.
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
        "as_references",
        "max_unknown_time",
    )
    words = {"status": (*TILE_STATUSES, None)}
    status: Rendered[str | None]
    chunk_size: Rendered[int | None]
    with_paths: Rendered[bool]
    as_references: Rendered[bool]
    aws_conn_id: Rendered[str | None]
    operator_extra_links = LINKS
    ui_color = "#dbeef4"

    def __init__(
        self,
        *,
        request_id: Templated[str],
        status: Templated[str] | None = "PROCESSED",
        chunk_size: Templated[int] | None = None,
        with_paths: Templated[bool] = False,
        as_references: Templated[bool] = False,
        aws_conn_id: Templated[str] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.status = status
        self.chunk_size = chunk_size
        self.with_paths = with_paths
        self.as_references = as_references
        self.aws_conn_id = aws_conn_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self.check_arguments()

    def execute(self, context: Context) -> list[list[Item]] | list[Item]:
        with airflow_errors(self):
            self.take_arguments()
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            found = self.reach(until_read(lambda: self._listed(request_id, self.status), self.max_unknown_time))
            chunks = found.chunks(self.chunk_size, conf.getint("core", "max_map_length", fallback=1024))
            self.log.info("Batch request %s: %d tiles (chunks: %d)", request_id, len(found), len(chunks))
            return chunks

    def _listed(self, request_id: str, status: str | None) -> Flow[Items | References]:
        """The tiles in their present status.

        :raises ResultsError: the tiles cannot be read, or cannot be read yet.
        """
        from airflow_sentinelhub.hooks.sentinelhub import reader_now
        from airflow_sentinelhub.hooks.tiles import list_from_bucket

        take = self._take(request_id, status)
        if self.api.results == "listed":
            yield from list_tiles(request_id, status, self.with_paths, take, self.max_unknown_time)
        else:
            yield from list_from_bucket(
                self.api,
                request_id,
                lambda: reader_now(self.sentinelhub_conn_id, self.aws_conn_id),
                take.add,
                status=status,
                with_paths=self.with_paths,
                seconds=self.max_unknown_time,
            )
        return take

    def _take(self, request_id: str, status: str | None) -> Items | References:
        if not self.as_references:
            return Items()
        return References(
            TileList(
                request_id=request_id,
                batch_api=self.api.name,
                sentinelhub_conn_id=self.sentinelhub_conn_id,
                aws_conn_id=self.aws_conn_id,
                place=self.hook.settings.place(),
                status=status,
                with_paths=self.with_paths,
            )
        )
