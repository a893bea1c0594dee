"""Read results again while they cannot be read, page by page and file by file, and raise the error at last.

A job that is done is paid. So whatever cannot be read of it is unknown, never empty: it is read again for a while, and
then the task fails in a way that another try can mend.
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
"""Pages of 100 entries that a list is read at the most: more tiles than any request has."""
AGAIN_FIRST, AGAIN_MOST = 10.0, 60.0
"""Seconds before results are read again: at first, and at the most."""


def reading(job: Snapshot, read: Callable[[], T]) -> Flow[T]:
    """Call a function that blocks and reads results; its error says which request, in which state, it was about.

    :raises ResultsError: they cannot be read.
    """
    try:
        result: T = yield Work(read)
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
    """Read results, and read them again while they cannot be read, for so many seconds.

    :param attempt: reads them; it may be repeated. :param seconds: 0 for a single attempt.
    :param job: whose they are, where the attempt's errors do not say.
    :param then: what the next try does, for the error; :param also: further errors that are waited out.
    :raises UnreadResultsError: they could not be read for so long.
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
    """The pause after this one."""
    return min(pause * 2, AGAIN_MOST)


def every(
    list_page: Callable[[str | None], Call[Page[T]]],
    visit: Callable[[T], object],
    patiently: Callable[[Callable[[], Flow[Page[T]]]], Flow[Page[T]]],
) -> Flow[None]:
    """Walk a list, however long it is. Each page is waited out by itself, so that a bad one does not begin it anew.

    :param list_page: the call for the page with this token; :param visit: is given every item in order.
    :param patiently: makes a patient flow of the one that reads a page, such as `reading.outlast` with its arguments.
    """
    walked = Walk(MOST_PAGES)
    while not walked.over:
        call = list_page(walked.token)
        page = yield from patiently(partial(exchange, call))
        for item in page.items:
            visit(item)
        walked.turn(call, page)


def _about(err: SentinelHubError) -> Snapshot | None:
    found: Snapshot | None = getattr(err, "snapshot", None)
    return found
