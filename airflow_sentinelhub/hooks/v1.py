"""`hook.batch`: batch v1 with the names, arguments and meaning of the vendor's `SentinelHubBatch`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.verdict import Outcome
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.restart import restart_failed
from airflow_sentinelhub.api.flows.wait import WaitPlan, monitor, wait
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.service import payloads
from airflow_sentinelhub.api.service import v1 as endpoints
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError, UnreadableReplyError
from airflow_sentinelhub.hooks._client import Client, id_of, query, read_as
from airflow_sentinelhub.hooks.models import BatchCollection, BatchRequest, BatchTileStatus

Json = dict[str, Any]
RequestSpec = str | Json | BatchRequest
"""A request: its id, its payload, or the object."""
CollectionSpec = str | Json | BatchCollection
_WRITTEN_BY_SERVICE = ("id", "userId", "accountId", "created")


class SentinelHubBatch(Client):
    """Batch v1. Wherever a request or a collection is taken: an id, a raw payload or the object.

    :raises ApiError: the service refused, with its words, status and code; :raises UnreachableError: no reply.
    """

    tiling_grid = staticmethod(payloads.tiling_grid)
    output = staticmethod(payloads.output)

    def create(
        self,
        sentinelhub_request: Any,
        tiling_grid: Json,
        output: Json | None = None,
        bucket_name: str | None = None,
        description: str | None = None,
        **kwargs: Any,
    ) -> BatchRequest:
        """Create a request (free of charge) and return it.

        :param sentinelhub_request: Process API payload, or a `SentinelHubRequest` of the vendor's library.
        :param tiling_grid: see `tiling_grid()`; :param output: see `output()`; :param bucket_name: instead of it.
        :param description: free text, searchable.
        :param kwargs: further members of the payload, such as `zarrOutput`.
        """
        payload = payloads.without_none(
            {
                "processRequest": _process_payload(sentinelhub_request),
                "tilingGrid": tiling_grid,
                "output": output,
                "bucketName": bucket_name,
                "description": description,
                **kwargs,
            }
        )
        return self._ask(read_as(endpoints.create(payload), BatchRequest.from_dict))

    def iter_tiling_grids(self, **kwargs: Any) -> Iterator[Json]:
        """Iterate over the tiling grids. :param kwargs: further query parameters."""
        return self._iterate(lambda token: endpoints.list_tiling_grids(**{**kwargs, "viewtoken": token}))

    def get_tiling_grid(self, grid_id: int | str) -> Json:
        """A single tiling grid."""
        return self._ask(endpoints.get_tiling_grid(grid_id))

    def iter_requests(
        self, user_id: str | None = None, search: str | None = None, sort: str | None = None, **kwargs: Any
    ) -> Iterator[BatchRequest]:
        """Iterate over existing requests.

        :param user_id: only those of this user; :param search: a word, or words joined by `|` and `&`.
        :param sort: `created`, `created:desc`, `status`, `status:desc`; :param kwargs: further query parameters.
        """
        asked = {**query(userid=user_id, search=search, sort=sort), **kwargs}
        return self._iterate(lambda token: _page(**{**asked, "viewtoken": token}))

    def get_latest_request(self) -> BatchRequest:
        """The request that was created last.

        :raises NotFoundError: there is none; :raises UnreadableReplyError: it makes no sense.
        """
        page = self._ask(_page(sort="created:desc", count=1))
        if page.left_out and not page.items:
            raise UnreadableReplyError(
                "The batch request that was created last cannot be read: it has no id or no status.",
                status=200,
                about="batch requests",
            )
        if not page.items:
            raise NotFoundError("There is no batch request in this account yet.", status=404, about="batch requests")
        return page.items[0]

    def get_request(self, batch_request: RequestSpec) -> BatchRequest:
        """The request as it is now."""
        return self._ask(read_as(endpoints.get_request(id_of(batch_request)), BatchRequest.from_dict))

    def update_request(
        self, batch_request: RequestSpec, output: Json | None = None, description: str | None = None, **kwargs: Any
    ) -> Any:
        """Change description or collection. Refused (409) while the request is processed.

        :param output: `{"collectionId": ...}`; an output without it unlinks the collection.
        """
        payload = payloads.without_none({"output": output, "description": description, **kwargs})
        return self._ask(endpoints.update_request(id_of(batch_request), payload))

    def delete_request(self, batch_request: RequestSpec) -> None:
        """Delete a request that is neither at work nor has a processed tile; else 409."""
        return self._ask(endpoints.delete_request(id_of(batch_request)))

    def start_analysis(self, batch_request: RequestSpec) -> None:
        """Have the request analysed (free of charge). `user_action` moves at once, `status` later."""
        return self._ask(endpoints.analyse(id_of(batch_request)))

    def start_job(self, batch_request: RequestSpec) -> None:
        """Start processing, unless it has been started. **This bills.** Never sent again blind after a lost reply."""
        self._run(start_once(V1, id_of(batch_request)))

    def cancel_job(self, batch_request: RequestSpec) -> None:
        """Cancel for good. What is finished or running is charged."""
        return self._ask(endpoints.cancel(id_of(batch_request)))

    def restart_job(self, batch_request: RequestSpec) -> None:
        """Process the failed part of a PARTIAL request again. **This bills** what is processed again."""
        self._run(restart_failed(V1, id_of(batch_request)))

    def iter_tiles(
        self, batch_request: RequestSpec, status: str | BatchTileStatus | None = None, **kwargs: Any
    ) -> Iterator[Json]:
        """Iterate over the tiles, lazily, a page of 100 at a time. None before analysis.

        :param status: only tiles in this status; :param kwargs: further query parameters.
        """
        request_id = id_of(batch_request)
        asked = {**query(status=str(status) if status else None), **kwargs}
        return self._iterate(lambda token: endpoints.list_tiles(request_id, **{**asked, "viewtoken": token}))

    def get_tile(self, batch_request: RequestSpec, tile_id: int | None) -> Json:
        """A single tile by its id."""
        if tile_id is None:
            raise InvalidInputError("get_tile needs the id of a tile.")
        return self._ask(endpoints.get_tile(id_of(batch_request), tile_id))

    def iter_collections(self, search: str | None = None, **kwargs: Any) -> Iterator[Json]:
        """Iterate over the batch collections."""
        asked = {**query(search=search), **kwargs}
        return self._iterate(lambda token: endpoints.list_collections(**{**asked, "viewtoken": token}))

    def get_collection(self, collection_id: str) -> Json:
        """A batch collection by its id."""
        return self._ask(endpoints.get_collection(id_of(collection_id)))

    def create_collection(self, collection: Json | BatchCollection) -> Json:
        """Create a batch collection; `name` and `s3Bucket` are required. What only the service writes is left out."""
        return self._ask(endpoints.create_collection(new_collection(collection)))

    def update_collection(self, collection: Json | BatchCollection) -> Any:
        """Change the name of a batch collection, which is all of it that can be changed."""
        name = _collection_payload(collection, ("name",))["name"]
        return self._ask(endpoints.update_collection(id_of(collection), {"name": name}))

    def delete_collection(self, collection: CollectionSpec) -> None:
        """Delete a batch collection that no request uses; else 409."""
        return self._ask(endpoints.delete_collection(id_of(collection)))

    def monitor_batch_analysis(self, batch_request: RequestSpec, sleep_time: float = 10.0) -> BatchRequest:
        """Wait until the analysis is done, with a line in the log at each change, and return the request.

        :param sleep_time: seconds between looks.
        :raises JobError: the analysis failed, or the request was cancelled.
        """
        request_id = id_of(batch_request)
        plan = WaitPlan(poll_interval=sleep_time)
        conclude(self._run(wait(V1, request_id, "ANALYSIS_DONE", plan)), request_id, "ANALYSIS_DONE")
        return self.get_request(request_id)

    def monitor_batch_job(
        self, batch_request: RequestSpec, sleep_time: float = 120.0, analysis_sleep_time: float = 10.0
    ) -> dict[BatchTileStatus, list[Json]]:
        """Wait until a started request has ended, with tiles done, failed and left in the log; return its tiles.

        Built from the same flows and verdicts as the operators: an outage is waited out, a cancel ends it, and a
        request that nobody has started is an error instead of an endless wait. PARTIAL is returned, not raised.

        :param sleep_time: seconds between looks while it is processed; :param analysis_sleep_time: and analysed.
        :return: status -> tiles.
        :raises JobError: the request failed or was cancelled.
        """
        request_id = id_of(batch_request)
        analysed = WaitPlan(poll_interval=analysis_sleep_time)
        conclude(self._run(wait(V1, request_id, "ANALYSIS_DONE", analysed)), request_id, "ANALYSIS_DONE")
        ended = self._run(monitor(V1, request_id, "DONE", WaitPlan(poll_interval=sleep_time)))
        if ended.outcome is not Outcome.PARTIAL:
            conclude(ended, request_id, "DONE")
        tiles: dict[BatchTileStatus, list[Json]] = {}
        for tile in self.iter_tiles(request_id):
            tiles.setdefault(BatchTileStatus(str(tile["status"])), []).append(tile)
        return tiles


def _page(**asked: Any) -> Call[Page[BatchRequest]]:
    """The call for a page of requests, read as objects."""
    return read_as(endpoints.list_requests(**asked), page_of(BatchRequest.from_dict))


def _process_payload(given: Any) -> Json:
    """The Process API payload from a payload, or from a `SentinelHubRequest` (which need not be installed)."""
    downloads: Sequence[Any] | None = getattr(given, "download_list", None)
    found = downloads[0].post_values if downloads else given
    if not isinstance(found, Mapping):
        raise InvalidInputError(
            "sentinelhub_request must be a Process API payload or a SentinelHubRequest, "
            f"not {type(given).__name__}; nothing was sent."
        )
    return payloads.with_area(found)


def new_collection(collection: Json | BatchCollection) -> Json:
    """What is sent to create a batch collection."""
    given = _collection_payload(collection, ("name", "s3Bucket"))
    return {name: value for name, value in given.items() if name not in _WRITTEN_BY_SERVICE}


def _collection_payload(collection: Json | BatchCollection, required: tuple[str, ...]) -> Json:
    if not isinstance(collection, (dict, BatchCollection)):
        raise InvalidInputError(f"A collection is a payload or a BatchCollection, not {type(collection).__name__}.")
    given = collection.to_dict() if isinstance(collection, BatchCollection) else collection
    payload = payloads.without_none(given)
    missing = [name for name in required if not payload.get(name)]
    if missing:
        raise InvalidInputError(f"The batch collection has no {' and no '.join(missing)}; nothing was sent.")
    return payload
