"""Creating batch collections (v1), as a generator: through outages, and never twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Sleep, exchange
from airflow_sentinelhub.api.flows.read import AFTER_AMBIGUOUS, outlast
from airflow_sentinelhub.api.flows.reread import every
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.exceptions import ServerError, UnreachableError


def collection_once(payload: Mapping[str, Any], seconds: float, *, look: bool) -> Flow[tuple[str, bool]]:
    """The id of the batch collection with this name and bucket, and whether it was there before.

    Creating is not repeatable: where it is not known whether the collection was created, the list is watched for it as
    long as lists may lag, before another one is created.

    :param look: an earlier try may have created it. :param seconds: see `outlast`.
    """
    unsure = False

    def attempt() -> Flow[tuple[str, bool]]:
        nonlocal unsure
        for pause in (0.0, *AFTER_AMBIGUOUS) if unsure else (0.0,):
            if pause:
                yield Sleep(pause)
            if (look or unsure) and (found := (yield from _find(payload))):
                return found, True
        unsure = False
        try:
            made = yield from exchange(v1.create_collection(dict(payload)))
        except (UnreachableError, ServerError) as err:
            unsure = err.ambiguous
            raise
        if made.get("id"):
            return str(made["id"]), False
        unsure = True
        raise UnreachableError("The reply to a create of a batch collection names no id.", ambiguous=True)

    return (yield from outlast(attempt, seconds, about=f"Batch collection {payload.get('name')!r}"))


def _find(payload: Mapping[str, Any]) -> Flow[str | None]:
    """The first collection with this name and bucket."""
    wanted = (payload.get("name"), payload.get("s3Bucket"))
    found: list[str] = []

    def visit(item: Mapping[str, Any]) -> None:
        if (item.get("name"), item.get("s3Bucket")) == wanted and item.get("id"):
            found.append(str(item["id"]))

    yield from every(lambda token: v1.list_collections(viewtoken=token), visit, lambda page: page())
    if len(found) > 1:
        yield Note(f"There are {len(found)} batch collections of this name and bucket; taking the first", warning=True)
    return found[0] if found else None
