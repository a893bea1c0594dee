"""Count v1's tiles by status, a few pages a poll: the list has 100 tiles a page and no total.

A count goes on where the last poll has stopped. It is never larger than the number of tiles seen, so a count that is
not complete delays a success and makes none. What is known between the polls of a wait is kept in a `TileMemory`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.flows.reread import most_pages
from airflow_sentinelhub.api.flows.wait import POLL
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import RateLimitError, SentinelHubError, ServerError, UnreachableError

CALLS = 5
"""Calls about tiles that one poll makes at the most. The reading of the request is the sixth."""
RECOUNT_AFTER = 10
"""Polls after which tiles are counted anew from the first page, beside the count that goes on at its last page."""
USUAL_PAGE = 100
"""Tiles on a page, until one was seen."""
COURSE = ("PENDING", "SCHEDULED", "QUEUED", "PROCESSING", "FAILED", "PROCESSED")
"""All statuses of a tile, in the order in which it has them."""
UNFINISHED = COURSE[:4]
"""Those of a tile that is not at its end."""
LASTING = BatchTileStatus.PROCESSED.value
"""The one status that no tile leaves: a restart makes FAILED tiles PENDING again."""

_KEPT = (UnreachableError, ServerError, RateLimitError)
"""Errors after which the same page is asked for again; after others, such as a token that has expired, the first."""


class Calls:
    """How many calls a poll may still make."""

    def __init__(self, left: int = CALLS) -> None:
        self.left = left


class Pages:
    """A walk through the pages of a list of tiles that may go on in a later poll.

    :param status: list only tiles in this status; None for all.
    :param tile_count: number of tiles of the request.
    :param on_page: is called after each page that was read.
    """

    def __init__(
        self,
        request_id: str,
        status: str | None,
        tile_count: int | None,
        on_page: Callable[[Pages], None] = lambda pages: None,
    ) -> None:
        self.status = status
        self.number = 0
        """Tiles on the pages that were read."""
        self.pages = 0
        """Pages that were read, each as often as it was."""
        self.last = 0
        """Tiles on the page that was read last."""
        self._request_id, self._tile_count, self._on_page = request_id, tile_count, on_page
        self._begin()

    def _begin(self) -> None:
        self.number = self.pages = self.last = 0
        self._walk = Walk(most_pages(self._tile_count))

    @property
    def complete(self) -> bool:
        """The last page was read."""
        return self._walk.over

    def read(self, calls: Calls) -> Flow[Page[dict[str, Any]]]:
        """Read the next page; after the last one, that one again: more tiles may stand on it now.

        :raises ListTooLongError: the list has more pages than the request can have.
        """
        call = v1.list_tiles(self._request_id, status=self.status, viewtoken=self._walk.token)
        calls.left -= 1
        try:
            page = yield from exchange(call, POLL)
        except _KEPT:
            raise
        except SentinelHubError:
            self._begin()
            raise
        self._took(call, page)
        return page

    def _took(self, call: Call[Page[dict[str, Any]]], page: Page[dict[str, Any]]) -> None:
        again = self._walk.over
        try:
            self._walk.turn(call, page)
        except SentinelHubError:
            self._begin()
            raise
        self.number += len(page.items) - (self.last if again else 0)
        self.last = len(page.items)
        self.pages += 1
        self._on_page(self)

    def read_on(self, calls: Calls, enough: float) -> Flow[None]:
        """Read pages until `enough` tiles are counted, the list has ended, or no calls are left."""
        while calls.left > 0:
            yield from self.read(calls)
            if self.complete or self.number >= enough:
                return


class TileMemory:
    """What a wait knows of a request's tiles between its polls: counts by status, and where one tile stands.

    Made once for each wait. One that is lost (a sensor in reschedule mode has a new process at each poke) costs the
    calls to count again, as far as the goal needs; the verdicts stay the same.
    """

    def __init__(self) -> None:
        self._state: tuple[Any, ...] = ()
        self._tiles: tuple[Any, ...] = ()
        self._counts: dict[str | None, Pages] = {}
        self._recount: Pages | None = None
        self._polls_since_recount = 0
        self._poll = 0
        self._seen_at: dict[str, int] = {}  # status -> the poll in which it was seen to have tiles
        self._few_in = -1  # the last poll in which few tiles were in other statuses
        self.page_size = USUAL_PAGE
        """About how many tiles stand on a page."""
        self.least = 0
        """Number of tiles that are `LASTING`, at least."""
        self.by_others = True
        """Look at the other statuses first in the next poll."""
        self.tile_id: str | None = None
        """Id of the one tile, once it was found by its name."""
        self.search: Pages | None = None
        """How far the one tile was looked for."""

    def begin(self, job: Snapshot, *, over_the_end: bool = False) -> Calls:
        """Begin a poll with this reading of the request, and forget what it makes void.

        :param over_the_end: counts go on when the request has ended; else they begin anew, to be judged.
        """
        self._poll += 1
        tiles = (job.request_id, job.tile_count)
        state = (job.acted, job.status if job.status.is_final and not over_the_end else None)
        if tiles != self._tiles:
            self.least, self.tile_id = 0, None
            self._seen_at.clear()
            self._few_in = -1
        if (tiles, state) != (self._tiles, self._state):
            self.forget()
        self._tiles, self._state = tiles, state
        return Calls()

    def forget(self) -> None:
        """Forget all counts: the next poll counts anew."""
        self._counts.clear()
        self._recount = self.search = None
        self._polls_since_recount = 0

    def count(self, job: Snapshot, status: str | None) -> Pages:
        """The count of the tiles in the status, as far as it has come; None: in any."""
        if status not in self._counts:
            self._counts[status] = self._pages(job, status)
        return self._counts[status]

    def next_count(self, job: Snapshot, status: str, *, lasting: bool) -> Pages:
        """The count to go on with in a poll, while tiles move.

        One that fits into a poll begins anew each time. A longer one goes on, if tiles stay in the status
        (`lasting`), else until it is complete.
        """
        count = self.count(job, status)
        if count.complete and (not lasting or count.pages <= CALLS):
            del self._counts[status]
        return self.count(job, status)

    def has_lately(self, status: str) -> bool:
        """Whether tiles were seen in the status: ever, if tiles stay in it, else in this poll or the last two."""
        at = self._seen_at.get(status)
        return at is not None and (status == LASTING or at >= self._poll - 2)

    def few_again(self) -> bool:
        """Note that this poll has found few tiles in other statuses; returns whether the one before did, too."""
        again, self._few_in = self._few_in == self._poll - 1, self._poll
        return again

    def pages_for(self, tiles: int) -> int:
        """Number of pages that this number of tiles takes, about."""
        return -(-tiles // self.page_size)

    def _pages(self, job: Snapshot, status: str | None) -> Pages:
        return Pages(job.request_id, status, job.tile_count, self._saw)

    def _saw(self, pages: Pages) -> None:
        if pages.last and pages.status is not None:
            self._seen_at[pages.status] = self._poll
        if not pages.complete:
            self.page_size = max(pages.last, 1)
        if pages.status == LASTING:
            self.least = max(self.least, pages.number)

    def recount(self, job: Snapshot, calls: Calls, enough: int) -> Flow[None]:
        """Count the lasting tiles anew now and then, with the calls that are left.

        Tokens are opaque. Where they stand for a tile and not for a number of tiles, the count that goes on at its last
        page misses tiles that come to the pages before.
        """
        count = self._counts[LASTING]
        if not count.complete or count.pages <= CALLS:
            return
        self._polls_since_recount += 1
        if self._recount is None:
            if self._polls_since_recount < RECOUNT_AFTER:
                return
            self._recount = self._pages(job, LASTING)
        again = self._recount
        yield from again.read_on(calls, enough)
        if again.complete:
            if again.number > count.number:
                self._counts[LASTING] = again
            self._recount, self._polls_since_recount = None, 0
