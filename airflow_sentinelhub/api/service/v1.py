"""Endpoints of batch v1 (`/api/v1/batch`), and the reading of its requests.

An endpoint is a function that returns a `Call`; it sends nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_sentinelhub.api.call import Call, path_part
from airflow_sentinelhub.api.decoding import an_object, member, number, status_in, text, whole, words_at
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.snapshot import Snapshot, common, only, readable
from airflow_sentinelhub.api.statuses import TILE_STATUSES

Json = dict[str, Any]
ROOT = "/api/v1/batch"


def read_request(body: Any) -> Snapshot:
    """The request in a reply of v1. Members other than id and status are None if they are not valid.

    :raises ValueError: the reply has no id or no status.
    """
    bucket, store = text(member(body, "bucketName")), text(member(body, "zarrOutput", "path"))
    return Snapshot(
        generation="v1",
        description=words_at(body, "description"),
        tile_count=whole(member(body, "tileCount")),
        estimate=number(member(body, "valueEstimate")),
        output_url=store or text(member(body, "output", "defaultTilePath")) or (f"s3://{bucket}" if bucket else None),
        store=bool(store),
        **common(body),
    )


def _as_is(body: Any) -> Any:
    return body


def _unwrapped(body: Any) -> Json:
    """A collection in a reply: the collection itself by the API contract, a member `data` by the vendor's client."""
    inner = an_object(body).get("data")
    return an_object(inner if isinstance(inner, dict) else body)


def _created(body: Any) -> Json:
    collection = _unwrapped(body)
    if collection.get("id") in (None, ""):
        raise ValueError("it has no id")
    return collection


def _tile(body: Any) -> Json:
    status_in(body)
    return an_object(body)


def create(payload: Json) -> Call[Snapshot]:
    """Create a request. Free of charge. Not repeatable, because the service has no idempotency key."""
    return Call("POST", f"{ROOT}/process", read_request, json=payload, about="create a batch request")


def get_request(request_id: str) -> Call[Snapshot]:
    parse = only(request_id, read_request)
    return Call("GET", _request_path(request_id), parse, repeatable=True, about=f"batch request {request_id}")


def get_body(request_id: str) -> Call[Json]:
    """Read the request as JSON, for members that a `Snapshot` lacks. The reply must have an id and a status."""
    parse = readable(only(request_id, read_request))
    return Call("GET", _request_path(request_id), parse, repeatable=True, about=f"batch request {request_id}")


def list_requests(
    *, search: str | None = None, sort: str | None = None, viewtoken: str | None = None, **query: Any
) -> Call[Page[Snapshot]]:
    """Read a page of the list of requests.

    :param search: a word, or words joined by `|` and `&`.
    :param sort: such as `created:desc`.
    """
    return Call(
        "GET",
        f"{ROOT}/process",
        page_of(read_request),
        {"search": search, "sort": sort, **query, "viewtoken": viewtoken},
        repeatable=True,
        about="list batch requests",
    )


def update_request(request_id: str, payload: Json) -> Call[Any]:
    """Change the description or the collection; an `output` without `collectionId` unlinks the collection.

    The service refuses (409) while the request is processed.
    """
    return Call(
        "PUT", _request_path(request_id), _as_is, json=payload, repeatable=True, about=f"batch request {request_id}"
    )


def delete_request(request_id: str) -> Call[None]:
    """Delete a request. The service refuses (409) while it is processed, and after a tile was processed."""
    return Call("DELETE", _request_path(request_id), lambda _: None, about=f"batch request {request_id}")


def _action(request_id: str, action: str, ends: bool = False) -> Call[None]:
    """An action on a request.

    :param ends: it ends the request, so it may be repeated, and does not wait long.
    """
    path = f"{_request_path(request_id)}/{action}"
    return Call("POST", path, lambda _: None, repeatable=ends, urgent=ends, about=f"batch request {request_id}")


def analyse(request_id: str) -> Call[None]:
    return _action(request_id, "analyse")


def start(request_id: str) -> Call[None]:
    """Start processing. **This bills.** Call it through `flows.start_once`, which never starts a request twice."""
    return _action(request_id, "start")


def cancel(request_id: str) -> Call[None]:
    """Cancel the request, which cannot be undone. A running analysis completes first.

    Tiles that are processed or being processed are billed.
    """
    return _action(request_id, "cancel", ends=True)


def restart_partial(request_id: str) -> Call[None]:
    """Process the failed tiles of a PARTIAL request again. **This bills.** The service refuses others (400)."""
    return _action(request_id, "restartpartial")


def list_tiles(
    request_id: str, *, status: str | None = None, viewtoken: str | None = None, **query: Any
) -> Call[Page[Json]]:
    """Read a page of the tiles of a request. Before the analysis the reply may contain no list.

    :param status: only tiles in this status; one that shows another one is left out of the page, if both are known.
    """
    page = page_of(_tile, may_lack_data=viewtoken is None, all_or_none=True)

    def only_these(body: Any) -> Page[Json]:
        every = page(body)
        return replace(every, items=tuple(tile for tile in every.items if tile["status"] not in others))

    others = [word for word in TILE_STATUSES if word != status]
    return Call(
        "GET",
        f"{_request_path(request_id)}/tiles",
        only_these if status in TILE_STATUSES else page,
        {"status": status, **query, "viewtoken": viewtoken},
        repeatable=True,
        about=f"tiles of batch request {request_id}",
    )


def get_tile(request_id: str, tile_id: int | str) -> Call[Json]:
    path = f"{_request_path(request_id)}/tiles/{path_part(tile_id)}"
    return Call("GET", path, _tile, repeatable=True, about=f"tile {tile_id} of batch request {request_id}")


def list_tiling_grids(*, viewtoken: str | None = None, root: str = ROOT, **query: Any) -> Call[Page[Json]]:
    """Read a page of tiling grids.

    :param root: path of the generation.
    """
    path, query = f"{root}/tilinggrids", {**query, "viewtoken": viewtoken}
    return Call("GET", path, page_of(an_object), query, repeatable=True, about="list tiling grids")


def get_tiling_grid(grid_id: int | str, *, root: str = ROOT) -> Call[Json]:
    path = f"{root}/tilinggrids/{path_part(grid_id)}"
    return Call("GET", path, an_object, repeatable=True, about=f"tiling grid {grid_id}")


def list_collections(*, search: str | None = None, viewtoken: str | None = None, **query: Any) -> Call[Page[Json]]:
    query = {"search": search, **query, "viewtoken": viewtoken}
    return Call(
        "GET", f"{ROOT}/collections", page_of(an_object), query, repeatable=True, about="list batch collections"
    )


def get_collection(collection_id: str) -> Call[Json]:
    return Call(
        "GET", _collection_path(collection_id), _unwrapped, repeatable=True, about=f"batch collection {collection_id}"
    )


def create_collection(payload: Json) -> Call[Json]:
    return Call("POST", f"{ROOT}/collections", _created, json=payload, about="create a batch collection")


def update_collection(collection_id: str, payload: Json) -> Call[Any]:
    path, about = _collection_path(collection_id), f"batch collection {collection_id}"
    return Call("PUT", path, _as_is, json=payload, repeatable=True, about=about)


def delete_collection(collection_id: str) -> Call[None]:
    """Delete a collection. The service refuses (409) while a request uses it."""
    return Call("DELETE", _collection_path(collection_id), lambda _: None, about=f"batch collection {collection_id}")


def _request_path(request_id: str) -> str:
    return f"{ROOT}/process/{path_part(request_id)}"


def _collection_path(collection_id: str) -> str:
    return f"{ROOT}/collections/{path_part(collection_id)}"
