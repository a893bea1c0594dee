"""`hook.batch`: a client of batch v1 with the methods and arguments of the vendor's `SentinelHubBatch`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.decide.verdict import Outcome
from airflow_sentinelhub.api.decoding import an_object, member
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.restart import restart_or_refusal
from airflow_sentinelhub.api.flows.tiles import monitor
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.service import payloads
from airflow_sentinelhub.api.service import v1 as endpoints
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.api.statuses import status_word
from airflow_sentinelhub.exceptions import InvalidInputError, NoRequestError, UnreadableReplyError
from airflow_sentinelhub.hooks._client import BaseBatchClient, Client, FeatureIterator, id_of, query, read_as
from airflow_sentinelhub.hooks.models import (
    BaseBatchRequest,
    BaseCollection,
    BatchCollection,
    BatchCollectionAdditionalData,
    BatchCollectionBatchData,
    BatchRequest,
    BatchRequestStatus,
    BatchTileStatus,
    BatchUserAction,
)

__all__ = [
    "BaseBatchClient",
    "BaseBatchRequest",
    "BaseCollection",
    "BatchCollection",
    "BatchCollectionAdditionalData",
    "BatchCollectionBatchData",
    "BatchRequest",
    "BatchRequestStatus",
    "BatchTileStatus",
    "BatchUserAction",
    "SentinelHubBatch",
    "new_collection",
]

Json = dict[str, Any]
RequestSpec = str | Json | BatchRequest
"""A request: its id, its JSON body, or a `BatchRequest`."""
CollectionSpec = str | Json | BatchCollection
_WRITTEN_BY_SERVICE = ("id", "userId", "accountId", "created")


class SentinelHubBatch(Client):
    """The client of batch v1. Each method takes a request or a collection as an id, a JSON body or an object.

    :raises ApiError: the service refused the call; the error contains its message, status and code.
    :raises UnreachableError: the service did not reply.
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
        :param tiling_grid: see `tiling_grid()`.
        :param output: see `output()`.
        :param bucket_name: name of the bucket, instead of `output`.
        :param description: free text, which `iter_requests` can search.
        :param kwargs: further members of the payload, such as `zarrOutput`.
        """
        process = _process_payload(sentinelhub_request)
        self._check_sources(member(process, "input", "data"))
        payload = payloads.without_none(
            {
                "processRequest": payloads.with_area(process),
                "tilingGrid": tiling_grid,
                "output": output,
                "bucketName": bucket_name,
                "description": description,
                **kwargs,
            }
        )
        return self._ask(read_as(endpoints.create(payload), BatchRequest.from_dict))

    def iter_tiling_grids(self, **kwargs: Any) -> FeatureIterator[Json]:
        """Iterate over the tiling grids, as often as wanted.

        :param kwargs: further query parameters.
        """
        return self._again(lambda token: endpoints.list_tiling_grids(**{**kwargs, "viewtoken": token}))

    def get_tiling_grid(self, grid_id: int | str) -> Json:
        """A single tiling grid."""
        return self._ask(endpoints.get_tiling_grid(grid_id))

    def iter_requests(
        self, user_id: str | None = None, search: str | None = None, sort: str | None = None, **kwargs: Any
    ) -> Iterator[BatchRequest]:
        """Iterate over existing requests.

        :param user_id: only requests of this user.
        :param search: only requests whose description contains this word, or words joined by `|` and `&`.
        :param sort: `created`, `created:desc`, `status`, `status:desc`.
        :param kwargs: further query parameters.
        """
        parameters = {**query(userid=user_id, search=search, sort=sort), **kwargs}
        return self._iterate(lambda token: _page(**{**parameters, "viewtoken": token}))

    def get_latest_request(self) -> BatchRequest:
        """The request that was created last.

        :raises NoRequestError: there is no request.
        :raises UnreadableReplyError: it has no id or no status.
        """
        page = self._ask(_page(sort="created:desc", count=1))
        if page.left_out and not page.items:
            raise UnreadableReplyError(
                "The batch request that was created last cannot be read: it has no id or no status.",
                status=200,
                about="batch requests",
            )
        if not page.items:
            raise NoRequestError("There is no batch request in this account yet.", status=404, about="batch requests")
        return page.items[0]

    def get_request(self, batch_request: RequestSpec) -> BatchRequest:
        """The request in its present state."""
        return self._ask(read_as(endpoints.get_request(id_of(batch_request)), BatchRequest.from_dict))

    def update_request(
        self, batch_request: RequestSpec, output: Json | None = None, description: str | None = None, **kwargs: Any
    ) -> Any:
        """Change the description or the collection. The service refuses (409) while the request is processed.

        :param output: `{"collectionId": ...}`; an output without `collectionId` unlinks the collection.
        """
        payload = payloads.without_none({"output": output, "description": description, **kwargs})
        return self._ask(endpoints.update_request(id_of(batch_request), payload))

    def delete_request(self, batch_request: RequestSpec) -> None:
        """Delete a request. The service refuses (409) while it is processed, and after a tile was processed."""
        return self._ask(endpoints.delete_request(id_of(batch_request)))

    def start_analysis(self, batch_request: RequestSpec) -> None:
        """Have the request analysed (free of charge). `user_action` changes at once, `status` later."""
        return self._ask(endpoints.analyse(id_of(batch_request)))

    def start_job(self, batch_request: RequestSpec) -> None:
        """Start processing, unless the request was started before or has ended. **This bills.**

        Calling it again is safe: then nothing is sent, and the log says so. If a reply is lost, the request is read
        before the start is sent again.
        """
        self._run(start_once(V1, id_of(batch_request)))

    def cancel_job(self, batch_request: RequestSpec) -> None:
        """Cancel the request, which cannot be undone. Tiles that are processed or being processed are billed."""
        return self._ask(endpoints.cancel(id_of(batch_request)))

    def restart_job(self, batch_request: RequestSpec) -> None:
        """Process the failed tiles of a PARTIAL request again. **This bills** the tiles that are processed again.

        A restart whose reply was lost is not sent again.

        :raises BadRequestError: the request is not PARTIAL; the error contains the service's words.
        :raises UnknownStateError: whether the restart was accepted is not known.
        """
        self._run(restart_or_refusal(V1, id_of(batch_request)))

    def iter_tiles(
        self, batch_request: RequestSpec, status: str | BatchTileStatus | None = None, **kwargs: Any
    ) -> FeatureIterator[Json]:
        """Iterate over the tiles, as often as wanted. There are no tiles before the analysis.

        Pages of 100 are read as they are needed, and again in the second pass.

        :param status: only tiles in this status.
        :param kwargs: further query parameters.
        """
        request_id = id_of(batch_request)
        parameters = {**query(status=None if status is None else status_word(status)), **kwargs}
        return self._again(lambda token: endpoints.list_tiles(request_id, **{**parameters, "viewtoken": token}))

    def get_tile(self, batch_request: RequestSpec, tile_id: int | None) -> Json:
        """A single tile by its id.

        :param tile_id: id of the tile; None: the first page of all tiles is returned, as by the vendor's client.
        """
        request_id = id_of(batch_request)
        if tile_id is None:
            return self._ask(read_as(endpoints.list_tiles(request_id), an_object))
        return self._ask(endpoints.get_tile(request_id, tile_id))

    def iter_collections(self, search: str | None = None, **kwargs: Any) -> FeatureIterator[Json]:
        """Iterate over the batch collections, as often as wanted.

        :param search: only collections that match this word.
        :param kwargs: further query parameters.
        """
        parameters = {**query(search=search), **kwargs}
        return self._again(lambda token: endpoints.list_collections(**{**parameters, "viewtoken": token}))

    def get_collection(self, collection_id: str) -> Json:
        """A batch collection by its id."""
        return self._ask(endpoints.get_collection(id_of(collection_id)))

    def create_collection(self, collection: Json | BatchCollection) -> Json:
        """Create a batch collection; `name` and `s3Bucket` are required. Members that the service sets are not sent."""
        return self._ask(endpoints.create_collection(new_collection(collection)))

    def update_collection(self, collection: Json | BatchCollection) -> Any:
        """Change the name of a batch collection. The service cannot change anything else of it.

        The name is all that is sent.

        :raises BadRequestError: the collection has no name; the error contains the service's words.
        """
        name = _collection_payload(collection).get("name")
        return self._ask(endpoints.update_collection(id_of(collection), query(name=name)))

    def delete_collection(self, collection: CollectionSpec) -> None:
        """Delete a batch collection. The service refuses (409) while a request uses it."""
        return self._ask(endpoints.delete_collection(id_of(collection)))

    def monitor_batch_analysis(self, batch_request: RequestSpec, sleep_time: float = 10.0) -> BatchRequest:
        """Wait until the analysis is done, and return the request. Each change is logged.

        :param sleep_time: seconds between polls.
        :raises JobError: the analysis failed, or the request was cancelled.
        """
        request_id = id_of(batch_request)
        self._reached(V1, request_id, "ANALYSIS_DONE", sleep_time)
        return self.get_request(request_id)

    def monitor_batch_job(
        self, batch_request: RequestSpec, sleep_time: float = 120.0, analysis_sleep_time: float = 10.0
    ) -> defaultdict[BatchTileStatus, list[Json]]:
        """Wait until a started request has ended, and return its tiles.

        The numbers of processed, failed and remaining tiles are logged. The wait uses the same flows and verdicts as
        the operators: it continues through an outage, and it fails if the request was not started, instead of waiting
        for ever. The tiles of a PARTIAL request are returned, too; it is no error.

        :param sleep_time: seconds between polls while the request is processed.
        :param analysis_sleep_time: seconds between polls while it is analysed.
        :return: the tiles by their status; a status in which no tile is has an empty list.
        :raises JobError: the request failed, was cancelled or was not started.
        """
        request_id = id_of(batch_request)
        self._reached(V1, request_id, "ANALYSIS_DONE", analysis_sleep_time)
        waited = self._run(monitor(V1, request_id, "DONE", self._plan(sleep_time)))
        if waited.outcome is not Outcome.PARTIAL:
            conclude(waited, request_id, "DONE")
        tiles: defaultdict[BatchTileStatus, list[Json]] = defaultdict(list, {status: [] for status in BatchTileStatus})
        for tile in self.iter_tiles(request_id):
            tiles[BatchTileStatus(str(tile["status"]))].append(tile)
        return tiles


def _page(**parameters: Any) -> Call[Page[BatchRequest]]:
    """The call for a page of requests, read as `BatchRequest`."""
    return read_as(endpoints.list_requests(**parameters), page_of(BatchRequest.from_dict))


def _process_payload(request: Any) -> Json:
    """The Process API payload, given as it is or as a `SentinelHubRequest` of the vendor's library.

    The vendor's library need not be installed.
    """
    downloads: Sequence[Any] | None = getattr(request, "download_list", None)
    payload = downloads[0].post_values if downloads else request
    if not isinstance(payload, Mapping):
        raise InvalidInputError(
            "sentinelhub_request must be a Process API payload or a SentinelHubRequest, "
            f"not {type(request).__name__}; nothing was sent."
        )
    return dict(payload)


def new_collection(collection: Json | BatchCollection) -> Json:
    """The payload that creates this batch collection, without the members that the service sets.

    :raises InvalidInputError: `name` or `s3Bucket` is missing.
    """
    payload = _collection_payload(collection)
    missing = [name for name in ("name", "s3Bucket") if not payload.get(name)]
    if missing:
        raise InvalidInputError(f"The batch collection has no {' and no '.join(missing)}; nothing was sent.")
    return {name: value for name, value in payload.items() if name not in _WRITTEN_BY_SERVICE}


def _collection_payload(collection: Json | BatchCollection) -> Json:
    if not isinstance(collection, (dict, BatchCollection)):
        raise InvalidInputError(f"A collection is a payload or a BatchCollection, not {type(collection).__name__}.")
    return payloads.without_none(collection.to_dict() if isinstance(collection, BatchCollection) else collection)
