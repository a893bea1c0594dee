"""Results that cannot be read, or not yet: which of them have to be there, reading them again, and the error at last.

A job that is done is paid. So whatever cannot be read of it is unknown, never empty: it is read again for a while, and
then the task fails in a way that another try can mend.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import TypeVar

from airflow_sentinelhub.api.call import Call, Flow, Note, Now, Sleep, Work, exchange
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.verdict import fate, nothing_to_do
from airflow_sentinelhub.exceptions import ResultsError, SentinelHubError, UnreadResultsError

T = TypeVar("T")

MOST_PAGES = 10_000
"""Pages of 100 entries that a list is read at the most: more tiles than any request has."""
AGAIN_FIRST, AGAIN_MOST = 10.0, 60.0
"""Seconds before results are read again: at first, and at the most."""
ONLY_READS = "A retry of this task reads again; it only reads, so nothing is started or billed."


class Due(IntEnum):
    """What of a v2 job has to be in the bucket; each needs more than the one before."""

    NOTHING = 0
    """Nothing, before the analysis or where nothing was processed: what is there is read."""
    MANIFEST = 1
    """The feature manifest, or a database instead. Without a database no feature has been worked on."""
    EXECUTION = 2
    """The execution database, as it is."""
    WHOLE = 3
    """The execution database, in which every feature is at its end."""


def due_of(job: Snapshot) -> Due:
    """What a v2 request must have left in its bucket by now."""
    if job.status in (S.CREATED, S.ANALYSING):
        return Due.NOTHING
    if job.status == S.DONE:
        return Due.MANIFEST if nothing_to_do(job) else Due.WHOLE
    if job.status.is_final:  # an analysis that failed leaves nothing; what has cost something was worked on
        return Due.EXECUTION if job.cost else Due.NOTHING
    return Due.MANIFEST


def behind(job: Snapshot, listed: int, unfinished: int) -> str | None:
    """Why v1's list of tiles is not the whole truth about a request that has ended; None if it may be.

    :param listed: tiles in the list; :param unfinished: those that are neither PROCESSED nor FAILED.
    """
    if job.status not in (S.DONE, S.PARTIAL):
        return None
    if not listed:
        return "the list of its tiles shows none."
    if listed < (job.tile_count or 0):
        return f"the list of its tiles shows {listed} of {job.tile_count}."
    if unfinished and job.status == S.DONE:
        return f"{unfinished} of {listed} tiles are not said to be at their end yet."
    return None


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


def unread_error(job: Snapshot | None, why: str, then: str, seconds: float | None = None) -> UnreadResultsError:
    """The error for results that could not be read for too long: state and cost of the job, what to mend, what next."""
    for prefix in ("Batch request", "Batch statistical request") if job else ():
        why = why.removeprefix(f"{prefix} {job.request_id if job else ''}: ")
    long = "too long" if seconds is None else f"{seconds:.0f} s"
    state = f"Batch request {job.request_id} is {job.status}{_paid(job)}" if job else "A batch request is there"
    return UnreadResultsError(
        f"{state}, but its results could not be read for {long}: {why} {fate(job)} Mend the access to the bucket "
        f"(aws_conn_id, or bucket_mount of the Sentinel Hub connection), or the file. {then}",
        request_id=job.request_id if job else "",
        snapshot=job,
    )


def _paid(job: Snapshot) -> str:
    if job.status not in (S.DONE, S.PARTIAL) or nothing_to_do(job):
        return ""
    return " and paid" if job.cost is None else f" and paid ({job.cost:,.1f} PU)"


def _about(err: SentinelHubError) -> Snapshot | None:
    found: Snapshot | None = getattr(err, "snapshot", None)
    return found
