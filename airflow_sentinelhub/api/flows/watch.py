"""Read the requests that a watcher looks at: those created since a time, from the list, and single ones again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from airflow_sentinelhub.api.call import Flow, Patience
from airflow_sentinelhub.api.flows.read import read, walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot

PATIENCE = Patience(backoff=(2.0,), rate_limited=60.0)
"""How long one call is tried; the watcher itself looks again at its next turn."""


class ListReading(NamedTuple):
    """What was read of the list of requests, newest first, each once.

    :param pages: how many were read.
    :param complete: whether the list was read back to the time that was asked for.
    """

    jobs: list[Snapshot]
    pages: int
    complete: bool


def requests_since(api: Generation, since: datetime, most_pages: int | None = None) -> Flow[ListReading]:
    """The requests of the account that were created since a time.

    One whose time of creation is not said is among them.

    :param most_pages: no more pages than these are read; None: as many as it takes.
    :raises SentinelHubError: the list cannot be read so far.
    """
    pages, complete = 0, True

    def enough(jobs: Sequence[Snapshot]) -> bool:
        """Whether the next pages are older, which is known only if this page is sorted; or are not to be read."""
        nonlocal pages, complete
        pages += 1
        times = [job.created for job in jobs if job.created is not None]
        if bool(times) and times[-1] < since and all(earlier <= later for later, earlier in pairwise(times)):
            return True
        complete = most_pages is None or pages < most_pages
        return not complete

    found: dict[str, Snapshot] = {}
    for job in (yield from walk(lambda token: api.list(sort="created:desc", viewtoken=token), enough)):
        if job.created is None or job.created >= since:
            found.setdefault(job.request_id.lower(), job)
    return ListReading(list(found.values()), pages, complete)


def current_state(api: Generation, request_id: str) -> Flow[Snapshot]:
    """One reading of the request itself: lists lag."""
    return (yield from read(api, request_id, PATIENCE))
