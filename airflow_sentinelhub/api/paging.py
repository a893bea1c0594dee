"""Parses a page of a list of the service, and keeps track of the pages that were read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decoding import an_object, has_marker
from airflow_sentinelhub.exceptions import ListTooLongError, UnreadableReplyError, one_line

T = TypeVar("T")

_TOKEN_LIMIT = 8_000
"""Characters of the token of a page, or of the link to it, above which it is refused: it would fit into no URL."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page: its items, the token of the next page (None after the last), and how many items could not be read."""

    items: tuple[T, ...]
    next_token: str | None
    left_out: int = 0


def page_of(
    parse_item: Callable[[Any], T], *, may_lack_data: bool = False, all_or_none: bool = False
) -> Callable[[Any], Page[T]]:
    """Make a parser for a page. The parser raises ValueError for a body that is not a page.

    All members of `links` are optional. If only the link `next` is there, its `viewtoken` is used with the path that
    was called: since 2026 the service's links have another path form.

    The list shows the requests of the whole account. An item that `parse_item` refuses is left out, unless it carries
    the marker of a task: it may be the request that a task searches for, and the task would create a second one if it
    were missing from the list. Then the parser raises ValueError.

    :param parse_item: parses one item.
    :param may_lack_data: accept a page without `data` as an empty page.
    :param all_or_none: raise ValueError for any item that cannot be parsed; for lists whose items are counted.
    """

    def parse(body: Any) -> Page[T]:
        body = an_object(body)
        if body.get("error"):
            raise ValueError("it reports an error")
        data = body.get("data")
        if data is None and may_lack_data:
            data = []
        if not isinstance(data, list):
            raise ValueError("its member data is not a list")
        items: list[T] = []
        for item in data:
            try:
                items.append(parse_item(item))
            except Exception as err:
                if all_or_none:
                    raise ValueError(f"an entry of the list cannot be read: {err}") from None
                if has_marker(item):
                    raise ValueError(f"an entry with the marker of a task cannot be read: {err}") from None
        return Page(tuple(items), _next_token(body.get("links")) if data else None, len(data) - len(items))

    return parse


def _next_token(links: Any) -> str | None:
    """The token of the next page in the links of a page; None if this is the last page."""
    if links is None:
        return None
    token, link = an_object(links).get("nextToken"), links.get("next")
    if isinstance(token, (int, float)) and not isinstance(token, bool) and math.isfinite(token):
        return str(int(token) if token == int(token) else token)
    if token is not None and not isinstance(token, str):
        raise ValueError("its nextToken is not a text")
    if token or not link:
        return _of_usual_length(token) if token else None
    if not isinstance(link, str):
        raise ValueError("its link to the next page is not a text")
    found = parse_qs(urlsplit(_of_usual_length(link)).query).get("viewtoken")
    if not found:
        raise ValueError("its link to the next page has no viewtoken")
    return found[0]


def _of_usual_length(token: str) -> str:
    if len(token) > _TOKEN_LIMIT:
        raise ValueError(f"its token of the next page has {len(token):,} characters, too many for a URL")
    return token


class Walk:
    """Keeps track of the pages of a list that were read, so that a list whose pages repeat or never end is an error.

    Once the walk is over, the last page may be read again and passed to `turn`: new requests may have been added to it,
    and it may name a next page now.

    :param most: the number of pages above which the walk ends with an error; None for no limit.
    """

    def __init__(self, most: int | None = None) -> None:
        self.token: str | None = None
        """Token of the page to read next; None for the first page."""
        self.over = False
        """Whether the page that was read last is the last one of the list."""
        self._most = most
        self._pages = 0
        self._asked: set[str] = set()

    def turn(self, call: Call[Page[T]], page: Page[T]) -> None:
        """Go on to the page after this one.

        :param call: the call that returned the page, for messages.
        :param page: the page that was read last.
        :raises UnreadableReplyError: the page names a next page that was read before.
        :raises ListTooLongError: there are more than `most` pages.
        """
        self._pages += not self.over  # the last page is counted once, however often it is read
        self.over = page.next_token is None
        if page.next_token is None:
            return
        if page.next_token in self._asked:
            raise UnreadableReplyError(
                f"{call.method} {call.path} ({call.about}): page {self._pages} names "
                f"{one_line(page.next_token, 100)!r} as the next one, which was read already: the list goes in "
                "circles, so its other entries are unknown.",
                status=200,
                about=call.about,
            )
        if self._most is not None and self._pages >= self._most:
            raise ListTooLongError(
                f"{call.method} {call.path} ({call.about}): {self._pages:,} pages were read and there are more, whose "
                "entries are unknown."
            )
        self._asked.add(page.next_token)
        self.token = page.next_token
