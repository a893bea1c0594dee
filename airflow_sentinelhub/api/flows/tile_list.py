"""The list of tiles of a v1 request: all of it, or the part that a reference names."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.decide.due import behind
from airflow_sentinelhub.api.flows.read import outlast
from airflow_sentinelhub.api.flows.reread import SPARE_PAGES, every, most_pages
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.api.tile_references import Item, Items, References, TileReference
from airflow_sentinelhub.api.tiles import output_paths, tile_item
from airflow_sentinelhub.exceptions import BadRequestError, ResultsError


def list_tiles(
    request_id: str, status: str | None, with_paths: bool, take: Items | References, seconds: float
) -> Flow[None]:
    """Read the list page by page; each page is read and decoded once, and retried by itself.

    :param take: gets each page and each tile.
    :param seconds: to retry while the service is out of reach.
    :raises ResultsError: the list is behind the request.
    """
    patiently = partial(outlast, seconds=seconds, request_id=request_id)
    request = yield from patiently(lambda: exchange(v1.get_body(request_id)))
    paths = output_paths(request) if with_paths else None
    job, unfinished = v1.read_request(request), 0

    def visit(tile: Item) -> None:
        nonlocal unfinished
        unfinished += not BatchTileStatus(str(tile.get("status") or None)).is_final
        take.add(tile_item(tile, paths))

    def page(token: str | None) -> Call[Page[Item]]:
        take.turn(token)
        return v1.list_tiles(request_id, status=status, viewtoken=token)

    yield from every(page, visit, patiently, most_pages(job.tile_count))
    # If the request is DONE, all its tiles are processed; if it is PARTIAL, the number of tiles with a status is
    # unknown, so a filtered list cannot be checked.
    checkable = status is None or (BatchTileStatus(status).is_successful and job.status.is_successful)
    if why := behind(job, len(take), unfinished) if checkable else None:
        raise ResultsError(why, request_id=request_id, snapshot=job)


def tiles_of(reference: TileReference, seconds: float) -> Flow[list[Item]]:
    """Read the tiles that a reference stands for: the pages on which they are, and no other.

    :raises TilesChangedError: they are not the same any more.
    """
    request_id = reference.request_id
    patiently = partial(outlast, seconds=seconds, request_id=request_id)
    paths = None
    if reference.with_paths:
        paths = output_paths((yield from patiently(lambda: exchange(v1.get_body(request_id)))))
    items: list[dict[str, Any]] = []
    end, walked = reference.skip + reference.count, Walk(reference.skip + reference.count + SPARE_PAGES)
    walked.token = reference.token
    while not walked.over and len(items) < end:
        call = v1.list_tiles(request_id, status=reference.status, viewtoken=walked.token)
        try:
            page: Page[Item] = yield from patiently(partial(exchange, call))
        except BadRequestError as err:
            if walked.token is None or walked.token != reference.token:
                raise
            raise reference.changed(f"the service refuses its page: {err}") from err
        items += (tile_item(tile, paths) for tile in page.items)
        walked.turn(call, page)
    return reference.check(items[reference.skip : end])
