"""Read results with retries, page by page and file by file; raise the last error if they stay unreadable.

A job that is done is paid. So unreadable results are unknown, never empty: they are read again for a while, and then
the task fails with an error after which a retry can read them again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from airflow_sentinelhub.api.call import Call, Flow, Note, Now, Sleep, Work, exchange
from airflow_sentinelhub.api.decide.errors import ONLY_READS, unread_error
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import ResultsError, SentinelHubError, UnreadResultsError

T = TypeVar("T")

MOST_PAGES = 10_000
"""Maximal number of pages of 100 entries that are read of a list: more tiles than any request has."""
SPARE_PAGES = 10
"""Pages that a list may have beyond one for each tile: the number of tiles may lag."""
AGAIN_FIRST, AGAIN_MOST = 10.0, 60.0
"""Seconds before results are read again: for the first time, and at most."""
READ_WITHIN = 600.0
"""Seconds after which one reading of files in a bucket is given up."""


def reading(job: Snapshot, read: Callable[[], T]) -> Flow[T]:
    """Call a function that reads results from a bucket; its error gets the request and the last reading of it.

    It runs in a thread of its own, so it must not talk to Airflow: look up connections before.

    :raises ResultsError: the results cannot be read.
    """
    try:
        result: T = yield Work(read, READ_WITHIN)
        return result
    except ResultsError as err:
        raise ResultsError(str(err), request_id=job.request_id, snapshot=job) from err


def until_read(
    attempt: Callable[[], Flow[T]],
    seconds: float,
    *,
    job: Snapshot | None = None,
    then: str = ONLY_READS,
    also: tuple[type[SentinelHubError], ...] = (),
) -> Flow[T]:
    """Read results; on an error read them again, for `seconds`.

    :param attempt: reads the results; it may be repeated.
    :param seconds: 0 for a single attempt.
    :param job: the request, for errors of `attempt` that do not name it.
    :param then: sentence for the error on what a retry does.
    :param also: further errors after which to read again.
    :raises UnreadResultsError: the results could not be read for so long.
    """
    began, pause = (yield Now()), AGAIN_FIRST
    passing: tuple[type[SentinelHubError], ...] = (ResultsError, *also)
    while True:
        try:
            return (yield from attempt())
        except UnreadResultsError:
            raise
        except passing as err:
            now = yield Now()
            if now - began >= seconds:
                raise unread_error(_about(err) or job, str(err), then, now - began) from err
            yield Note(f"Results cannot be read (yet): {err} Reading again in {pause:.0f} s.", warning=True)
        yield Sleep(min(pause, began + seconds - now))
        pause = longer(pause)


def longer(pause: float) -> float:
    """The next pause (seconds) after this one."""
    return min(pause * 2, AGAIN_MOST)


def most_pages(tile_count: int | None) -> int:
    """How many pages a list of so many tiles has at the most; None: the number of tiles is not known."""
    return tile_count + SPARE_PAGES if tile_count else MOST_PAGES


def every(
    list_page: Callable[[str | None], Call[Page[T]]],
    visit: Callable[[T], object],
    patiently: Callable[[Callable[[], Flow[Page[T]]]], Flow[Page[T]]],
    most: int = MOST_PAGES,
) -> Flow[None]:
    """Read a list of any length. Each page is retried by itself, so that a failed page does not restart the list.

    :param list_page: returns the call for the page with this token.
    :param visit: called with every item in order.
    :param patiently: wraps the flow that reads a page with retries, such as `read.outlast` with its arguments.
    :param most: pages that are read at the most, such as `most_pages` of the number of tiles.
    :raises ListTooLongError: there are more pages.
    """
    walked = Walk(most)
    while not walked.over:
        call = list_page(walked.token)
        page = yield from patiently(partial(exchange, call))
        for item in page.items:
            visit(item)
        walked.turn(call, page)


def _about(err: SentinelHubError) -> Snapshot | None:
    snapshot: Snapshot | None = getattr(err, "snapshot", None)
    return snapshot
