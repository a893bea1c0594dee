"""Pages of the service's lists, walked lazily."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decoding import an_object, has_marker
from airflow_sentinelhub.exceptions import ListTooLongError, UnreadableReplyError, one_line

T = TypeVar("T")

_TOKEN_LIMIT = 8_000
"""Characters of the token of a page, or of the link to it."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page: its items, the token of the next page (None after the last), and how many items could not be read."""

    items: tuple[T, ...]
    next_token: str | None
    left_out: int = 0


def page_of(
    parse_item: Callable[[Any], T], *, may_lack_data: bool = False, all_or_none: bool = False
) -> Callable[[Any], Page[T]]:
    """A parser for a page whose items are read by `parse_item`. It raises ValueError for what is no page.

    All members of `links` are optional. Where only the link `next` is there, its `viewtoken` is taken and the path is
    ours: since 2026 links point to another path form than the one that was called.

    An item that cannot be read is somebody else's and is left out, unless it carries the marker of a task: it may be
    the request that somebody looks for, and a list without it would have it made again.

    :param may_lack_data: a page without `data` is an empty one.
    :param all_or_none: an item that cannot be read makes the page unreadable: where items are counted.
    """

    def parse(body: Any) -> Page[T]:
        body = an_object(body)
        if body.get("error"):
            raise ValueError("it speaks of an error")
        data = body.get("data")
        if data is None and may_lack_data:
            data = []
        if not isinstance(data, list):
            raise ValueError("it has no list of data")
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
    if links is None:
        return None
    token, link = an_object(links).get("nextToken"), links.get("next")
    if isinstance(token, (int, float)) and not isinstance(token, bool):
        return str(int(token) if token == int(token) else token)
    if token is not None and not isinstance(token, str):
        raise ValueError("its nextToken is none")
    if token or not link:
        return _of_usual_length(token) if token else None
    if not isinstance(link, str):
        raise ValueError("its link to the next page is none")
    found = parse_qs(urlsplit(_of_usual_length(link)).query).get("viewtoken")
    if not found:
        raise ValueError("its link to the next page names no viewtoken")
    return found[0]


def _of_usual_length(token: str) -> str:
    if len(token) > _TOKEN_LIMIT:
        raise ValueError(f"its token of the next page has {len(token):,} characters, which fit into no URL")
    return token


class Walk:
    """How far a walk through a list has come. It ends with an error where the pages go in circles or do not end.

    Where it is over, `turn` takes the last page once more: it may have been filled up, and name a next one.

    :param most: pages that are read at the most, None for any number.
    """

    def __init__(self, most: int | None = None) -> None:
        self.token: str | None = None
        """Token of the page to ask for next, None for the first."""
        self.over = False
        self._most = most
        self._pages = 0
        self._asked: set[str] = set()

    def turn(self, call: Call[Page[T]], page: Page[T]) -> None:
        """Go on behind this page, which that call has brought.

        :raises UnreadableReplyError: the page names a next one that was read already.
        :raises ListTooLongError: there are more pages than are read.
        """
        self._pages += not self.over  # the last page again is the same page
        self.over = page.next_token is None
        if page.next_token is None:
            return
        if page.next_token in self._asked:
            raise UnreadableReplyError(
                f"{call.method} {call.path} ({call.about}): page {self._pages} names "
                f"{one_line(page.next_token, 100)!r} as the next one, which was read already: the list goes in "
                "circles, and what else it holds is not known.",
                status=200,
                about=call.about,
            )
        if self._most is not None and self._pages >= self._most:
            raise ListTooLongError(
                f"{call.method} {call.path} ({call.about}): {self._pages:,} pages were read and there are more; what "
                "stands on them is not known."
            )
        self._asked.add(page.next_token)
        self.token = page.next_token
