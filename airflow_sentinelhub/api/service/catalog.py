"""The Catalog API: which acquisitions of a collection there are over an area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decoding import an_object, member, number, read_time, text, whole
from airflow_sentinelhub.api.rings import number_of

ROOT = "/api/v1/catalog/1.0.0"
LIMIT = 100
"""Items on a page, as the vendor's client asks for."""


@dataclass(frozen=True)
class Acquisition:
    """An item of the catalog.

    :param taken: when it was taken, None if it does not say. When it was published no item says.
    :param cloud_cover: percent, None if it does not say (radar).
    """

    id: str
    collection: str
    taken: datetime | None = None
    cloud_cover: float | None = None
    platform: str | None = None
    bbox: tuple[float, ...] | None = None


@dataclass(frozen=True)
class CatalogPage:
    """A page of a search: its items, the number with which the next one is asked for, and how many were unreadable."""

    items: tuple[Acquisition, ...]
    next: int | str | None
    left_out: int = 0


def search(body: Mapping[str, Any], following: int | str | None = None) -> Call[CatalogPage]:
    """A page of what matches. A search changes nothing, so it may be repeated."""
    asked = {**body, "limit": LIMIT, **({} if following is None else {"next": following})}
    return Call(
        "POST",
        f"{ROOT}/search",
        _found,
        json=asked,
        repeatable=True,
        about=f"search the catalog for {', '.join(body['collections'])}",
        accept="application/geo+json",
    )


def _found(body: Any) -> CatalogPage:
    """:raises ValueError: it is no page of items."""
    body = an_object(body)
    features = body.get("features")
    if not isinstance(features, list):
        raise ValueError("its member features is not a list")
    items = [item for feature in features if (item := _item(feature)) is not None]
    following = member(body, "context", "next")
    following = None if following == "" else following  # as absent as null
    if following is not None and not isinstance(following, str) and (following := whole(following)) is None:
        raise ValueError("the next page is neither a number nor a text")
    return CatalogPage(tuple(items), following, len(features) - len(items))


def _item(feature: Any) -> Acquisition | None:
    """An item; None for an item without an id, since it could not be recognised at the next look."""
    name = text(member(feature, "id"))
    if not name:
        return None
    bbox = member(feature, "bbox")
    corners = [number_of(value) for value in bbox] if isinstance(bbox, list) else []
    known = [corner for corner in corners if corner is not None]
    return Acquisition(
        name,
        text(member(feature, "collection")) or "",
        read_time(member(feature, "properties", "datetime")),
        number(member(feature, "properties", "eo:cloud_cover")),
        text(member(feature, "properties", "platform")),
        tuple(known) if known and len(known) == len(corners) else None,
    )
