"""Who waits for a reading of which request: the book that the poller keeps. Times are the event loop's, in seconds."""

from __future__ import annotations

import asyncio
import copy
import heapq
import random
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.api.decide.pages import NOT_LISTED
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.exceptions import SentinelHubError

EARLY, EARLY_ON_PAGE = 0.25, 0.75
"""Shares of its interval by which a reading may come early: so that a call is made for it with others, and from a page
that is read for others. Together one interval: of two groups one joins the other, whatever lies between. One that was
read too lately for a page of the other comes to its own turn when the other may be read early."""
SPREAD = 0.05
"""Share of its interval by which a reading is due before the end, at random: single calls drift apart."""
GATHER = 0.05
"""Seconds that a reading waits at least for others: the triggers of a new triggerer register one after the other."""
GATHER_MOST = 1.0
"""Seconds that it waits at the most while others go on registering that want to be read at once."""
FORGOTTEN = 1.0
"""Seconds after which a request is forgotten that nobody waits for."""


@dataclass(eq=False)
class Wait:
    """Somebody waits for a reading.

    :param since: when the wait began.
    :param due: when the request is to be read at the latest.
    :param early: from when on a call may be made for it.
    :param on_page: from when on it takes a reading from a page read for others.
    :param given_up: when it is given up, infinite for never.
    """

    request_id: str
    since: float
    due: float
    early: float
    on_page: float
    given_up: float
    future: asyncio.Future[Snapshot]


@dataclass
class PolledRequest:
    """What is known of a request.

    :param waits: who waits for its next reading.
    :param last: its last reading.
    :param page: index of the page of the list on which it was, None where that is not known.
    :param looked: when it was missed in the list.
    :param missed: how often in a row it was.
    :param being_read: whether a call for this request alone is under way, or one will confirm what a page says.
    :param queued: whether such a call waits for its turn, if no page is quicker.
    :param failed: when such a call has failed last.
    :param read: when the last such call was made that was answered.
    :param in_doubt: whether the last such call has failed so that the next one may hang.
    :param parse: reads its entry in the list.
    :param ended_in_list: the end that a page has shown before it was asked for this request.
    """

    waits: list[Wait] = field(default_factory=list)
    last: Snapshot | None = None
    page: int | None = None
    looked: float = 0.0
    missed: int = 0
    being_read: bool = False
    queued: bool = False
    failed: float = 0.0
    read: float = 0.0
    in_doubt: bool = False
    parse: Callable[[Any], Snapshot] | None = None
    ended_in_list: BatchRequestStatus | None = None

    @property
    def is_asked_for(self) -> bool:
        """Whether a call for this request alone is made, or will be."""
        return self.being_read or self.queued

    @property
    def depth(self) -> int:
        """How many pages of the list are read before that of the request; 0 where it is not in the list."""
        page = self.page
        return 0 if page is None or page == NOT_LISTED else page

    def may_be_read(self, at: float) -> bool:
        """Whether somebody may have a reading at that time."""
        for wait in self.waits:  # noqa: SIM110 - thousands are asked at a time, and any() takes three times as long
            if wait.early <= at:
                return True
        return False

    def hand_out(self, waits: Iterable[Wait], job: Snapshot) -> int:
        """Give these waits the reading, and end them; return how many still wanted it."""
        self.last, given = job, 0
        for wait in list(waits):
            if not wait.future.done():
                wait.future.set_result(job)
                given += 1
            if wait in self.waits:
                self.waits.remove(wait)
        return given

    def fail(self, err: SentinelHubError) -> None:
        """Give all waits the error, each an object of its own, and end them."""
        for wait in self.waits:
            if not wait.future.done():
                wait.future.set_exception(copy.copy(err))
        self.waits.clear()


class Waits:
    """The requests that somebody waits for, by id in lower case. A wait that has ended is forgotten soon after.

    :param forgotten: is told the id of a request that was forgotten.
    """

    def __init__(self, forgotten: Callable[[str], object]) -> None:
        self._known: dict[str, PolledRequest] = {}
        self._unused: dict[str, float] = {}
        """When each request is forgotten that nobody waits for."""
        self._forgotten = forgotten
        self._last_at_once = float("-inf")
        """When the last wait was added that wants to be read at once."""

    def __len__(self) -> int:
        return sum(len(known.waits) for known in self._known.values())

    def __iter__(self) -> Iterator[Wait]:
        return (wait for known in self._known.values() for wait in known.waits)

    def get(self, name: str) -> PolledRequest | None:
        """What is known of the request with this id, in lower case; None if nobody waits for it."""
        return self._known.get(name)

    def add(self, request_id: str, within: float, given_up: float) -> Wait:
        """Register a wait for a request whose next reading is wanted within so many seconds."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = now + within * (1 - SPREAD * random.random())
        early, on_page = due - EARLY * within, due - EARLY_ON_PAGE * within
        if due <= now + GATHER:
            self._last_at_once = now
        wait = Wait(request_id, now, max(due, now + GATHER), early, on_page, given_up, loop.create_future())
        name = _name(request_id)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = PolledRequest()
        known.waits.append(wait)
        return wait

    def end(self, wait: Wait) -> None:
        """Remove a wait. Its request is kept for a moment, in which the next poll of the same wait comes back."""
        name = _name(wait.request_id)
        known = self._known.get(name)
        if known is not None and wait in known.waits:
            known.waits.remove(wait)
        if known is None or not known.waits:
            loop = asyncio.get_running_loop()
            if not self._unused:
                loop.call_later(FORGOTTEN, self._forget)
            self._unused[name] = loop.time() + FORGOTTEN

    def _forget(self) -> None:
        """Once a second, not at the moment of each: a thousand waits end in every interval."""
        loop = asyncio.get_running_loop()
        late = loop.time() + 0.01
        over = [name for name, at in self._unused.items() if at <= late]
        for name in over:
            del self._unused[name]
            known = self._known.get(name)
            if known is not None and not known.waits:
                del self._known[name]
                self._forgotten(name)
        if self._unused:
            loop.call_later(FORGOTTEN, self._forget)

    def lately_read(self, most: int, but: Container[str]) -> list[PolledRequest]:
        """So many of the requests that are waited for and not being read, those first whose own call was answered last.

        :param but: ids of requests that are left out, in lower case.
        """
        free = (
            known for name, known in self._known.items() if known.waits and not known.being_read and name not in but
        )
        return heapq.nlargest(most, free, key=lambda known: known.read)

    def first_due(self) -> float | None:
        """When the next reading is due of all requests that no call is made for alone; None if there is none.

        It is put off while others register that want to be read at once: whoever comes when a list is being read may
        have to wait until it is read once more.
        """
        free = (known for known in self._known.values() if not known.is_asked_for)
        due = min((wait.due for known in free for wait in known.waits), default=None)
        return None if due is None else max(due, min(self._last_at_once + GATHER, due + GATHER_MOST))

    def readable(self, now: float, per_page: float = 0.0, *, queued: bool = False) -> dict[str, PolledRequest]:
        """The requests that may be read, and are not being read.

        :param per_page: seconds that a page of the list takes: a request may be read that may be so once its page is.
        :param queued: those too whose call waits for its turn: they wait since the list had failed, and it may be back.
        """
        return {
            name: known
            for name, known in self._known.items()
            if not known.being_read and (queued or not known.queued) and known.may_be_read(now + per_page * known.depth)
        }

    def on_pages(self) -> Counter[int]:
        """How many requests are known to be on each page of the list."""
        return Counter(known.page for known in self._known.values() if known.page is not None)


def _name(request_id: str) -> str:
    return request_id.strip().lower()
