"""Decodes a page of the list of batch requests entry by entry, so that other coroutines run in between.

The members of a page may come in any order. What is no page of entries is decoded in a thread where it is large.

Nearly all of an entry's text is the payload with which the request was created. A payload is decoded only when its text
is new.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from airflow_sentinelhub.api.decoding import AT_ONCE, LARGE, decoded, may_have_unstorable, storable
from airflow_sentinelhub.exceptions import UnreadableReplyError

SLICE = 128 << 10
"""Bytes of a page above which it is decoded entry by entry."""
TURN = 0.004
"""Seconds for which entries are decoded before other coroutines get their turn; at the latest they do after ten."""
_MEMBER = re.compile(r'\s*[{,]\s*"([^"\\]*)"\s*:\s*')
"""What stands in a page before the value of a member."""
_BETWEEN = re.compile(r"\s*,?\s*")
_UP_TO_PAYLOAD = re.compile(
    r'\{\s*"id"\s*:\s*"([^"\\]{1,200})"\s*,\s*'
    r'(?:"\w{1,50}"\s*:\s*(?:"[^"\\]*"|[-+.\w]+)\s*,\s*)*'
    r'"(request|processRequest)"\s*:\s*(?=\{)'
)
"""The start of an entry up to its payload (v1 calls it processRequest, v2 and statistical request)."""
_READ: dict[str, tuple[str, ...] | None] = {
    "description": None,
    "output": ("delivery",),
    "aggregation": ("evalscript",),
}
"""The members of a payload that a `Snapshot` needs, each with the members needed of it; None for all."""
_BEHIND = 4096
"""Characters after the payload within which the entry must end; a longer entry is decoded as a whole."""
MOST_PAYLOADS = 20_000
"""Payloads that are kept; above that all are dropped and decoded anew."""


class EntryPayload(NamedTuple):
    """A payload that was decoded: the length and the hash of its text, and its members that are needed."""

    length: int
    hashed: int
    value: Any


def _entry(text: str, at: int, payloads: dict[str, EntryPayload]) -> tuple[Any, int]:
    """Decode the entry that begins at `at`; return it and where it ends. A payload with known text is not decoded."""
    begun = _UP_TO_PAYLOAD.match(text, at)
    if begun is None:
        return AT_ONCE.raw_decode(text, at)
    name, start = begun[1].strip().lower(), begun.end()
    kept = payloads.get(name)
    if kept is None or hash(text[start : start + kept.length]) != kept.hashed:
        value, end = AT_ONCE.raw_decode(text, start)
        if len(payloads) >= MOST_PAYLOADS:
            payloads.clear()
        kept = payloads[name] = EntryPayload(end - start, hash(text[start:end]), _brief(value))
    end = start + kept.length
    around = f'{text[at : begun.start(2) - 1]}"":0{text[end : end + _BEHIND]}'
    try:
        item, length = AT_ONCE.raw_decode(around)
    except ValueError:
        return AT_ONCE.raw_decode(text, at)
    item.pop("", None)
    item.setdefault(begun[2], kept.value)
    return item, end + length - len(around) + len(text[end : end + _BEHIND])


def _brief(value: dict[str, Any]) -> dict[str, Any]:
    """The members of a payload that a `Snapshot` needs. Many requests have one evalscript, which is kept once."""
    brief = {}
    for name, inner in _READ.items():
        if name in value:
            member = value[name]
            brief[name] = (
                member
                if inner is None or not isinstance(member, dict)
                else {key: _shared(member[key]) for key in inner if key in member}
            )
    return brief


def _shared(value: Any) -> Any:
    return sys.intern(value) if isinstance(value, str) else value


def _data_in(text: str, page: dict[str, Any]) -> int | None:
    """Where the entries of a page begin; what stands before them goes to `page`. None for what is no page of entries,
    or has much before them."""
    at = 0
    while begun := _MEMBER.match(text, at):
        start = begun.end()
        if begun[1] == "data":
            return start + 1 if text[start : start + 1] == "[" else None
        if text.find('"data"', start, start + LARGE) < 0:
            return None
        try:
            page[begun[1]], at = AT_ONCE.raw_decode(text, start)
        except (ValueError, RecursionError):
            return None
    return None


async def _whole(body: bytes) -> Any:
    """The JSON in a body; decoded in a thread where it is large."""
    return await asyncio.to_thread(decoded, body) if len(body) > LARGE else decoded(body)


def entries_of(
    body: bytes, payloads: dict[str, EntryPayload] | None = None
) -> tuple[AsyncIterator[Any], Callable[[], Any]]:
    """The entries of a page, and a function that returns the page with its links once all entries were read.

    :param body: the page as it was received.
    :param payloads: payloads of earlier pages by the request's id in lower case; those of this page are added.
    :raises UnreadableReplyError: (while entries are read) the page cannot be decoded.
    """
    page: dict[str, Any] = {}
    kept = {} if payloads is None else payloads

    async def items() -> AsyncIterator[Any]:
        text = body.decode("utf-8", "replace") if len(body) > SLICE else ""
        at = _data_in(text, page)
        if at is None:
            page.clear()
            whole = await _whole(body)
            page.update(whole if isinstance(whole, dict) else {"error": "it is no object"})
            for item in page["data"] if isinstance(page.get("data"), list) else ():
                yield item
            return
        odd, count = may_have_unstorable(text), 0
        while True:
            gap = _BETWEEN.match(text, at)
            at = gap.end() if gap else at
            if text[at : at + 1] == "]":
                break
            item, at = _entry(text, at, kept)
            count += 1
            yield storable(item) if odd else item
        page.update(await _whole(f'{{"data": [{"{}" if count else ""}{text[at:]}'.encode()))

    async def in_turns() -> AsyncIterator[Any]:
        count, began = 0, time.perf_counter()
        try:
            async for item in items():
                yield item
                count += 1
                if count % 10 == 0 or time.perf_counter() - began > TURN:
                    await asyncio.sleep(0)
                    began = time.perf_counter()
        except (ValueError, RecursionError) as err:
            raise UnreadableReplyError(
                f"The list of batch requests cannot be decoded ({type(err).__name__}).", status=200
            ) from None

    return in_turns(), lambda: page


def name_of(item: Any) -> str | None:
    """The id of an entry in lower case and without blanks around it; None if the entry has no id."""
    name = item.get("id") if isinstance(item, dict) else None
    return name.strip().lower() if isinstance(name, str) else None
