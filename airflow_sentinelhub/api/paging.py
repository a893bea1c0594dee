"""Pages of the service's lists, walked lazily."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page: its items, and the token of the next page (None after the last)."""

    items: tuple[T, ...]
    next_token: str | None


def page_of(parse_item: Callable[[Any], T]) -> Callable[[Any], Page[T]]:
    """A parser for a page whose items are read by `parse_item`.

    All members of `links` are optional. Where only the link `next` is there, its `viewtoken` is taken and the path is
    ours: since 2026 links point to another path form than the one that was called. A list without `data` (tiles
    before analysis) is an empty one.
    """

    def parse(body: Any) -> Page[T]:
        body = body if isinstance(body, dict) else {}
        items = tuple(parse_item(item) for item in body.get("data") or ())
        links = body.get("links") or {}
        token = links.get("nextToken")
        if token is None and links.get("next"):
            token = next(iter(parse_qs(urlsplit(str(links["next"])).query).get("viewtoken", ())), None)
        return Page(items, None if token is None or not items else str(token))

    return parse
