"""One poller for all waits of an event loop: a thousand waiting triggers are one client.

A wait registers the request that it wants to know about and when. The poller reads: pages of the list where that takes
fewer calls, single requests otherwise, and hands out the readings. What a list says has changed is confirmed by a call
for that request, since lists lag. A wait that ends, or is cancelled, is forgotten.

While the service is out of reach, one request is read for all of them, and all learn of the failure.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from airflow_sentinelhub.api.call import Call, Flow, Patience, exchange
from airflow_sentinelhub.api.decide.pages import NOT_LISTED, goes_on, is_believed, pages_worth
from airflow_sentinelhub.api.decoding import decoded
from airflow_sentinelhub.api.paging import Walk, page_of
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import (
    RateLimitError,
    SentinelHubError,
    ServerError,
    UnreachableError,
    UnreadableReplyError,
)

_log = logging.getLogger(__name__)
PATIENCE = Patience(backoff=(2.0,), rate_limited=60.0)
"""How long one call is tried; the waits themselves are patient."""
OUTAGE = (UnreachableError, ServerError, RateLimitError)
EARLY = 0.25
"""Share of its interval by which a reading may come early, to be read with others."""
SINGLES = 6
"""Calls for single requests under way at a time; two places at the gate are left for lists."""
FORGOTTEN = 1.0
"""Seconds after which a request is forgotten that nobody waits for."""
LIST_AGAIN, LOOK_AGAIN = 300.0, 1800.0
"""Seconds for which a list that failed is not read, and after which a request that was not listed is looked for."""
MOST_PAGES = 1_000
REPORT_EVERY = 60.0
"""Seconds between two reports about the poller."""
SLICE = 128 << 10
"""Bytes of a body above which it is decoded item by item, and the event loop gets its turn in between."""


class Runs(Protocol):
    """What runs flows for the poller: a driver."""

    async def run(self, flow: Flow[Any]) -> Any: ...


@dataclass(eq=False)
class _Wait:
    """Somebody waits for a reading. Times are the event loop's, in seconds.

    :param due: when it is to be read at the latest; :param early: from when on it may be.
    """

    request_id: str
    since: float
    due: float
    early: float
    future: asyncio.Future[Snapshot]


@dataclass
class _Known:
    """What is known of a request: its waits, its last reading, and its page in the list."""

    waits: list[_Wait] = field(default_factory=list)
    last: Snapshot | None = None
    page: int | None = None
    looked: float = 0.0
    being_read: bool = False
    parse: Callable[[Any], Snapshot] | None = None


class Notes:
    """The log of the poller's driver: passes lines on, and keeps the last warning. Times are the event loop's."""

    def __init__(self) -> None:
        self._last, self._at = "", 0.0

    def log(self, level: int, msg: str, /, *args: Any) -> None:
        _log.log(level, msg, *args)
        if level >= logging.WARNING:
            self._last, self._at = msg % args, asyncio.get_running_loop().time()

    def since(self, time: float) -> str:
        """The last warning after that time, empty if there was none."""
        return self._last.rstrip(".") if self._at >= time else ""


class Poller:
    """Reads requests of one generation for all who wait. Belongs to one event loop.

    :param driver: runs the calls; :param api: the generation.
    :param count: is told of each call (`pages`, `singles`) and reading (`readings`), and once a minute how many wait
        (`waiting`), how old the oldest of their readings is (`oldest_reading`, seconds), and how late it is (`lag`).
    :param notes: the driver's log, which knows why a call has not been answered yet.
    """

    def __init__(
        self, driver: Runs, api: Generation, count: Callable[[str, float], None], notes: Notes | None = None
    ) -> None:
        self._driver = driver
        self._api = api
        self._count = count
        self._notes = notes
        self._known: dict[str, _Known] = {}
        self._changed = asyncio.Event()
        self._singles = asyncio.Semaphore(SINGLES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: asyncio.Task[None] | None = None
        self._down = False
        self._list_again = 0.0
        self._reported = asyncio.get_running_loop().time()
        self._wakes_at = float("inf")
        """When the next reading is due: a wait that wants one earlier wakes the poller."""
        self._unused: dict[str, float] = {}
        self._bodies: dict[str, _Body] = {}

    @property
    def waiting(self) -> int:
        """How many waits there are."""
        return sum(len(known.waits) for known in self._known.values())

    async def reading(self, request_id: str, within: float, until: float | None) -> Snapshot:
        """The next reading of the request.

        :param within: seconds within which it is wanted; :param until: seconds since 1970 at which it is given up.
        :raises SentinelHubError: it could not be read.
        """
        loop, name = asyncio.get_running_loop(), request_id.strip().lower()
        now = loop.time()
        # Before the end of the interval, at slightly different times: many waits that begin together drift apart.
        due = now + within * (1 - 0.1 * random.random())
        wait = _Wait(request_id, now, due, due - EARLY * within, loop.create_future())
        known = self._known.setdefault(name, _Known())
        known.waits.append(wait)
        if due < self._wakes_at:
            self._changed.set()
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._run())
        given_up = None if until is None else loop.call_later(max(until - time.time(), 0.0), self._give_up, wait)
        try:
            return await wait.future
        finally:
            if given_up is not None:
                given_up.cancel()
            if wait in known.waits:
                known.waits.remove(wait)
            if not known.waits:
                self._forget_soon(name)

    def _forget_soon(self, name: str) -> None:
        """Forget a request that nobody waits for; one whose wait goes on with its next poll comes back at once."""
        loop = asyncio.get_running_loop()
        if not self._unused:
            loop.call_later(FORGOTTEN, self._forget)
        self._unused[name] = loop.time() + FORGOTTEN

    def _forget(self) -> None:
        loop = asyncio.get_running_loop()
        over = [name for name, at in self._unused.items() if at <= loop.time() + 0.01]
        for name in over:
            del self._unused[name]
            known = self._known.get(name)
            if known is not None and not known.waits:
                del self._known[name]
                self._bodies.pop(name, None)
        if self._unused:
            loop.call_at(min(self._unused.values()), self._forget)

    async def _run(self) -> None:
        """Read what is due, until nobody waits any more."""
        loop = asyncio.get_running_loop()
        while any(known.waits for known in self._known.values()):
            self._changed.clear()
            now = loop.time()
            free = [known for known in self._known.values() if known.waits and not known.being_read]
            first = min((wait.due for known in free for wait in known.waits), default=None)
            if first is None or first > now:
                await self._until(None if first is None else first - now)
                continue
            self._report(now)
            wanted = {
                name: known
                for name, known in self._known.items()
                if not known.being_read and any(wait.early <= now for wait in known.waits)
            }
            try:
                await self._read(wanted)
            except Exception as err:
                _log.exception("The poller of batch %s broke off", self._api.name)
                failure = SentinelHubError(f"The poller of this triggerer broke off ({type(err).__name__}).")
                for known in wanted.values():
                    self._fail(known, failure)

    def _report(self, now: float) -> None:
        """Once a minute: the metrics, and a line for the log."""
        if now - self._reported < REPORT_EVERY:
            return
        self._reported = now
        waits = [wait for known in self._known.values() for wait in known.waits]
        oldest, late = max(now - wait.since for wait in waits), max(0.0, *(now - wait.due for wait in waits))
        for name, value in (("waiting", len(waits)), ("oldest_reading", oldest), ("lag", late)):
            self._count(name, value)
        wrong = self._down or now < self._list_again or late > REPORT_EVERY
        _log.log(
            logging.INFO if wrong else logging.DEBUG,
            "Batch %s: %d wait, the oldest reading is %.0f s old, the poller is %.0f s late%s%s",
            self._api.name,
            len(waits),
            oldest,
            late,
            "; Sentinel Hub is out of reach" if self._down else "",
            "; the list cannot be read, so requests are read one by one" if now < self._list_again else "",
        )

    def _give_up(self, wait: _Wait) -> None:
        if wait.future.done():
            return
        why = self._notes.since(wait.since) if self._notes is not None else ""
        wait.future.set_exception(
            UnreachableError(
                f"Batch request {wait.request_id} was not read before the time for waiting was over."
                + (f" {why}." if why else ""),
                ambiguous=False,
                over=not why,
            )
        )

    async def _until(self, seconds: float | None) -> None:
        """Wait for so long, or until somebody registers or a single reading has ended."""
        self._wakes_at = float("inf") if seconds is None else asyncio.get_running_loop().time() + seconds
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            self._wakes_at = float("inf")
            waiting.cancel()

    async def _read(self, wanted: dict[str, _Known]) -> None:
        """Read these requests: from the list, and the rest one by one."""
        if self._down and not await self._is_back(wanted):
            return
        loop = asyncio.get_running_loop()
        left = dict(wanted)
        if loop.time() >= self._list_again:
            for known in wanted.values():
                if known.page == NOT_LISTED and loop.time() - known.looked > LOOK_AGAIN:
                    known.page = None
            try:
                await self._read_list(left)
            except SentinelHubError as err:
                if _is_outage(err) and not await self._is_back(left):
                    return
                self._list_again = loop.time() + LIST_AGAIN
        for name, known in left.items():
            if known.waits and not known.being_read:
                self._begin_single(name, known)

    async def _read_list(self, left: dict[str, _Known]) -> None:
        """Read as many pages of the list as are worth it; what is read is taken out of `left`."""
        loop = asyncio.get_running_loop()
        taken = Counter(known.page for known in self._known.values() if known.page is not None)
        planned = pages_worth((known.page for known in left.values()), taken)
        walked, found_on = Walk(MOST_PAGES), list[int]()
        while not walked.over and left and (len(found_on) < planned or (planned and goes_on(found_on, len(left)))):
            call = self._api.list(sort="created:desc", viewtoken=walked.token)
            asked = loop.time()
            undecoded: Call[bytes] = Call(
                "GET", call.path, bytes, call.query, repeatable=True, about=call.about, undecoded=True
            )
            body = await self._driver.run(exchange(undecoded, PATIENCE))
            self._count("pages", 1)
            index, found = len(found_on), 0
            items, rest = _taken_apart(body, self._bodies)
            async for item in items:
                name = _name_of(item)
                known = self._known.get(name) if name else None
                if known is None:
                    continue
                known.page = index
                if name in left:
                    found += 1
                    del left[name]
                    if not self._take(known, item, asked):
                        self._begin_single(name, known)
                else:
                    self._take(known, item, asked)
            found_on.append(found)
            try:
                walked.turn(call, page_of(lambda item: item)(rest()))
            except ValueError as err:
                raise UnreadableReplyError(f"The list of batch requests is unreadable: {err}.", status=200) from None
        if planned:
            for known in left.values():
                if known.page is None or walked.over:
                    known.page, known.looked = NOT_LISTED, loop.time()

    def _take(self, known: _Known, item: Any, asked: float) -> bool:
        """Hand out what a list says about a request; False if that is to be confirmed."""
        waits = [wait for wait in known.waits if wait.since <= asked and wait.early <= asked]
        if not waits:
            return True
        try:
            known.parse = known.parse or self._api.get(waits[0].request_id).parse
            job = known.parse(item)
        except Exception:  # an entry that cannot be read: the request itself may be readable
            return False
        if not is_believed(job, known.last):
            return False
        self._hand_out(known, waits, job)
        return True

    def _hand_out(self, known: _Known, waits: Iterable[_Wait], job: Snapshot) -> None:
        known.last = job
        for wait in list(waits):
            if not wait.future.done():
                wait.future.set_result(job)
                self._count("readings", 1)
            if wait in known.waits:
                known.waits.remove(wait)

    def _fail(self, known: _Known, err: SentinelHubError) -> None:
        for wait in known.waits:
            if not wait.future.done():
                wait.future.set_exception(copy.copy(err))
        known.waits.clear()

    def _begin_single(self, name: str, known: _Known) -> None:
        """Read a request by a call of its own, beside the others: one that hangs holds up none of them."""
        known.being_read = True
        task = asyncio.ensure_future(self._single(known))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _single(self, known: _Known) -> None:
        try:
            async with self._singles:
                if known.waits:
                    await self._read_one(known)
        finally:
            known.being_read = False
            self._changed.set()

    async def _read_one(self, known: _Known) -> SentinelHubError | None:
        """Read a request and hand out the reading, or the error, which is returned too."""
        asked = asyncio.get_running_loop().time()
        request_id = known.waits[0].request_id
        self._count("singles", 1)
        try:
            job: Snapshot = await self._driver.run(exchange(self._api.get(request_id), PATIENCE))
        except SentinelHubError as err:
            self._fail(known, err)
            return err
        except Exception as err:
            _log.exception("Reading batch request %s broke off", request_id)
            failure = SentinelHubError(f"Reading batch request {request_id} broke off ({type(err).__name__}).")
            self._fail(known, failure)
            return failure
        self._hand_out(known, [wait for wait in known.waits if wait.since <= asked], job)
        return None

    async def _is_back(self, wanted: dict[str, _Known]) -> bool:
        """Read one request for all, after the service was out of reach; all learn of the failure if it still is."""
        name = next((name for name, known in wanted.items() if known.waits), None)
        if name is None:
            return False
        known = wanted.pop(name)
        err = await self._read_one(known)
        self._down = err is not None and _is_outage(err)
        if err is not None and self._down:
            for other in wanted.values():
                self._fail(other, err)
        return not self._down


def _is_outage(err: SentinelHubError) -> bool:
    """Whether the service is out of reach; one reply that cannot be read says nothing of the others."""
    return isinstance(err, OUTAGE) and not isinstance(err, UnreadableReplyError)


def _name_of(item: Any) -> str | None:
    name = item.get("id") if isinstance(item, dict) else None
    return name.strip().lower() if isinstance(name, str) else None


_START = re.compile(r'\s*\{\s*"data"\s*:\s*\[')
_BETWEEN = re.compile(r"\s*,?\s*")
_BODY_IN = re.compile(
    r'\{\s*"id"\s*:\s*"([^"\\]{1,200})"\s*,\s*'
    r'(?:"\w{1,50}"\s*:\s*(?:"[^"\\]*"|[-+.\w]+)\s*,\s*)*'
    r'"(request|processRequest)"\s*:\s*(?=\{)'
)
"""The start of an entry up to what was asked for: nearly all of its text, and the same at each reading."""
_READ: dict[str, tuple[str, ...] | None] = {
    "description": None,
    "output": ("delivery",),
    "aggregation": ("evalscript",),
}
"""What a `Snapshot` needs of what was asked for: members of members; None for a member as it is."""
_BEHIND = 4096
"""Characters behind it in which the entry is expected to end; a longer one is decoded as a whole."""
MOST_BODIES = 20_000


class _Body(NamedTuple):
    """What was asked for, as it was decoded once. The same text need not be decoded again."""

    length: int
    hashed: int
    value: Any


def _entry(decoder: json.JSONDecoder, text: str, at: int, bodies: dict[str, _Body]) -> tuple[Any, int]:
    """The entry that begins here, and where it ends. What was asked for is decoded only if its text has changed."""
    begun = _BODY_IN.match(text, at)
    if begun is None:
        return decoder.raw_decode(text, at)
    name, start = begun[1].strip().lower(), begun.end()
    kept = bodies.get(name)
    if kept is None or hash(text[start : start + kept.length]) != kept.hashed:
        value, end = decoder.raw_decode(text, start)
        if len(bodies) >= MOST_BODIES:
            bodies.clear()
        kept = bodies[name] = _Body(end - start, hash(text[start:end]), _brief(value))
    end = start + kept.length
    around = f'{text[at : begun.start(2) - 1]}"":0{text[end : end + _BEHIND]}'
    try:
        item, length = decoder.raw_decode(around)
    except ValueError:
        return decoder.raw_decode(text, at)
    item.pop("", None)
    item.setdefault(begun[2], kept.value)
    return item, end + length - len(around) + len(text[end : end + _BEHIND])


def _brief(value: dict[str, Any]) -> dict[str, Any]:
    """The members that are read of what was asked for."""
    brief = {}
    for name, inner in _READ.items():
        if name in value:
            member = value[name]
            brief[name] = (
                member
                if inner is None or not isinstance(member, dict)
                else {key: member[key] for key in inner if key in member}
            )
    return brief


def _taken_apart(body: bytes, bodies: dict[str, _Body] | None = None) -> tuple[AsyncIterator[Any], Callable[[], Any]]:
    """The entries of a page, and a function that returns the page with its links, once they have been read.

    A large body is decoded entry by entry: decoding it at once would hold up the event loop.

    :param bodies: what was asked for in entries of earlier pages, by id; is added to.
    """
    page: dict[str, Any] = {}
    kept = {} if bodies is None else bodies

    async def items() -> AsyncIterator[Any]:
        text = body.decode("utf-8", "replace") if len(body) > SLICE else ""
        start = _START.match(text)
        if not text or start is None:
            whole = decoded(body)
            page.update(whole if isinstance(whole, dict) else {"error": "it is no object"})
            for item in page["data"] if isinstance(page.get("data"), list) else ():
                yield item
            return
        decoder, at, count = json.JSONDecoder(), start.end(), 0
        while True:
            gap = _BETWEEN.match(text, at)
            at = gap.end() if gap else at
            if text[at : at + 1] == "]":
                break
            item, at = _entry(decoder, text, at, kept)
            count += 1
            yield item
            if count % 10 == 0:
                await asyncio.sleep(0)
        page.update(json.loads('{"data": [' + ("{}" if count else "") + text[at:]))

    async def guarded() -> AsyncIterator[Any]:
        try:
            async for item in items():
                yield item
        except (ValueError, RecursionError) as err:
            raise UnreadableReplyError(
                f"The list of batch requests cannot be decoded ({type(err).__name__}).", status=200
            ) from None

    return guarded(), lambda: page
