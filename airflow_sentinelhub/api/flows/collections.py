"""Create a batch collection (v1) exactly once, also if the service is out of reach for a while; as a generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Sleep, exchange
from airflow_sentinelhub.api.flows.read import AFTER_AMBIGUOUS, outlast
from airflow_sentinelhub.api.flows.reread import every
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.exceptions import ServerError, UnreachableError


def collection_once(payload: Mapping[str, Any], seconds: float, *, look: bool) -> Flow[tuple[str, bool]]:
    """Find or create the batch collection with this name and bucket: its id, and whether it existed before.

    Creating is not repeatable: after a lost reply the list is read for as long as it may lag, before another
    collection is created.

    :param look: an earlier try may have created it: search for it first.
    :param seconds: see `outlast`.
    """
    unsure = False

    def attempt() -> Flow[tuple[str, bool]]:
        nonlocal unsure
        for pause in (0.0, *AFTER_AMBIGUOUS) if unsure else (0.0,):
            if pause:
                yield Sleep(pause)
            if (look or unsure) and (collection_id := (yield from _find(payload))):
                return collection_id, True
        unsure = False
        try:
            reply = yield from exchange(v1.create_collection(dict(payload)))
        except (UnreachableError, ServerError) as err:
            unsure = err.ambiguous
            raise
        if reply.get("id"):
            return str(reply["id"]), False
        unsure = True
        raise UnreachableError("The reply to a create of a batch collection names no id.", ambiguous=True)

    return (yield from outlast(attempt, seconds, about=f"Batch collection {payload.get('name')!r}"))


def _find(payload: Mapping[str, Any]) -> Flow[str | None]:
    """The first collection with this name and bucket."""
    wanted = (payload.get("name"), payload.get("s3Bucket"))
    ids: list[str] = []

    def visit(item: Mapping[str, Any]) -> None:
        if (item.get("name"), item.get("s3Bucket")) == wanted and item.get("id"):
            ids.append(str(item["id"]))

    yield from every(lambda token: v1.list_collections(viewtoken=token), visit, lambda page: page())
    if len(ids) > 1:
        yield Note(f"There are {len(ids)} batch collections of this name and bucket; taking the first", warning=True)
    return ids[0] if ids else None
