"""References to chunks of tiles: small values that stand for them in XCom, and that tell whether they still hold. Pure.

A list of 105,209 tiles with paths is 15 MB of JSON; as references it is a few hundred KB, because there are at most as
many as Airflow maps over. A reference names the tiles of one chunk by where they stand in the list, and holds a digest
of them, so that a list that has changed since is noticed.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from airflow_sentinelhub.exceptions import InvalidInputError, TilesChangedError

Item = dict[str, Any]
VERSION = 1
_KEY = "sentinelhub_tiles"
"""Member that tells a reference from other values; its value is the version of the form."""
PAGE = 100
"""Tiles of a chunk at least, by default, where the list has no pages (v2)."""
_MARK = 8
"""Bytes of the digest of a tile."""
_TYPES: dict[Any, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "bool": (bool,),
    "dict[str, str]": (dict,),
}
"""What the members of a reference are, by their annotations."""


@dataclass(frozen=True)
class TileList:
    """Which list of tiles it is.

    :param place: deployment and account, see `Settings.place`.
    :param status: of its tiles, None for all.
    :param with_paths: whether items have `paths`.
    """

    request_id: str
    batch_api: str
    sentinelhub_conn_id: str
    aws_conn_id: str | None
    place: dict[str, str]
    status: str | None
    with_paths: bool


@dataclass(frozen=True)
class TileReference(TileList):
    """The tiles of one chunk.

    :param count: number of tiles.
    :param first: name of the first one.
    :param last: of the last one.
    :param digest: of all their members.
    :param token: of the page on which they begin, None for the first page.
    :param skip: tiles before them on that page. Both say nothing on v2, where tiles are found by their names.
    """

    count: int
    first: str
    last: str
    digest: str
    token: str | None = None
    skip: int = 0

    def as_json(self) -> Item:
        """As a value for XCom."""
        return {_KEY: VERSION, **asdict(self)}

    def check(self, items: list[Item]) -> list[Item]:
        """The items, if they are the tiles for which the reference was made.

        :raises TilesChangedError: they are not.
        """
        marks = b"".join(map(_mark, items))
        if len(items) == self.count and _digest(marks) == self.digest:
            return items
        now = f"there are {len(items)} tiles"
        if items:
            now += f", from {items[0]['name']!r} to {items[-1]['name']!r}"
        if len(items) == self.count and (self.first, self.last) == (items[0]["name"], items[-1]["name"]):
            now = "some of them have another status, other paths or another name"
        raise self.changed(f"now {now}.")

    def changed(self, how: str) -> TilesChangedError:
        """The error for a list that is not any more as it was; `how` ends the sentence."""
        return TilesChangedError(
            f"Batch request {self.request_id}: its list of tiles{f' in status {self.status}' if self.status else ''} "
            f"has changed since this reference was made. It stood for {self.count} tiles, from {self.first!r} to "
            f"{self.last!r}; {how} Clear the task that listed the tiles, so that its references are made anew; "
            "this only reads, so nothing is billed by it.",
            request_id=self.request_id,
        )


@dataclass
class Items:
    """Takes the tiles of a list, or other items, as they are."""

    items: list[Item] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    def turn(self, token: str | None) -> None:
        """A page with this token begins."""

    def add(self, item: Item) -> None:
        self.items.append(item)

    def chunks(self, size: int | None, most: int) -> list[list[Item]]:
        """The items in chunks of `size`; by default, of the smallest size that gives at most `most` chunks."""
        return [self.items[start:end] for start, end in _ranges(len(self.items), size, most, 1)]


@dataclass
class References:
    """Takes the tiles of a list and keeps of each a name and a few bytes, whatever it holds."""

    of: TileList
    _names: list[str] = field(default_factory=list)
    _marks: bytearray = field(default_factory=bytearray)
    _tokens: list[str | None] = field(default_factory=list)
    _starts: array[int] = field(default_factory=lambda: array("L"))

    def __len__(self) -> int:
        return len(self._names)

    def turn(self, token: str | None) -> None:
        """A page with this token begins. A page that is read again counts once."""
        if not self._starts or self._starts[-1] != len(self._names):
            self._tokens.append(token)
            self._starts.append(len(self._names))
        else:
            self._tokens[-1] = token

    def add(self, item: Item) -> None:
        self._names.append(str(item["name"]))
        self._marks += _mark(item)

    def chunks(self, size: int | None, most: int) -> list[Item]:
        """References to chunks of `size`; by default of whole pages, and of as few as give at most `most` chunks."""
        page = self._starts[1] if len(self._starts) > 1 else PAGE
        return [self._reference(start, end).as_json() for start, end in _ranges(len(self._names), size, most, page)]

    def _reference(self, start: int, end: int) -> TileReference:
        token, skip = None, 0
        if self._starts:
            page = bisect_right(self._starts, start) - 1
            token, skip = self._tokens[page], start - self._starts[page]
        return TileReference(
            **vars(self.of),
            count=end - start,
            first=self._names[start],
            last=self._names[end - 1],
            digest=_digest(bytes(self._marks[_MARK * start : _MARK * end])),
            token=token,
            skip=skip,
        )


def reference_from(value: Any) -> TileReference | None:
    """The reference that a value is, None for a value of another kind.

    :raises InvalidInputError: it is a reference in a form that is not known here, or not a whole one.
    """
    if not isinstance(value, Mapping) or _KEY not in value:
        return None
    if value[_KEY] != VERSION:
        raise InvalidInputError(
            f"The reference to tiles has the form {value[_KEY]!r}; this version of the provider reads {VERSION}. Clear "
            "the task that listed the tiles."
        )
    members = {member.name: value[member.name] for member in fields(TileReference) if member.name in value}
    try:
        found = TileReference(**members)
    except TypeError:
        found = None
    if found is None or not _is_whole(found):
        raise InvalidInputError(
            "The reference to tiles is not whole; pass it on as SentinelHubListBatchTilesOperator has returned it."
        )
    return found


def _is_whole(found: TileReference) -> bool:
    typed = all(type(getattr(found, member.name)) in _TYPES[member.type] for member in fields(found))
    return typed and found.count > 0 and found.skip >= 0 and all(isinstance(part, str) for part in found.place.values())


def _ranges(total: int, size: int | None, most: int, unit: int) -> Iterable[tuple[int, int]]:
    """Where chunks begin and end; by default they have the fewest units that give at most `most` chunks."""
    step = size or unit * max(1, -(-total // (most * unit)))
    return ((start, min(start + step, total)) for start in range(0, total, step))


def _mark(item: Item) -> bytes:
    encoded = json.dumps(item, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(encoded.encode("utf-8", "surrogatepass"), digest_size=_MARK).digest()


def _digest(marks: bytes) -> str:
    return hashlib.blake2b(marks, digest_size=12).hexdigest()
