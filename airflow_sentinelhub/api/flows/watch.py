"""Read the requests that a watcher looks at: those created since a time, from the list, and single ones again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from airflow_sentinelhub.api.call import Flow, Patience
from airflow_sentinelhub.api.flows.read import read, walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot

PATIENCE = Patience(backoff=(2.0,), rate_limited=60.0)
"""How long one call is tried; the watcher itself looks again at its next turn."""


def requests_since(api: Generation, since: datetime) -> Flow[list[Snapshot]]:
    """The requests of the account that were created since a time, newest first, each once.

    One whose time of creation is not said is among them.

    :raises SentinelHubError: the list cannot be read to that time.
    """

    def too_old(jobs: Sequence[Snapshot]) -> bool:
        """Whether the next pages are older; known only if this page is sorted."""
        times = [job.created for job in jobs if job.created is not None]
        return bool(times) and times[-1] < since and all(earlier <= later for later, earlier in pairwise(times))

    found: dict[str, Snapshot] = {}
    for job in (yield from walk(lambda token: api.list(sort="created:desc", viewtoken=token), too_old)):
        if job.created is None or job.created >= since:
            found.setdefault(job.request_id.lower(), job)
    return list(found.values())


def current_state(api: Generation, request_id: str) -> Flow[Snapshot]:
    """One reading of the request itself: lists lag."""
    return (yield from read(api, request_id, PATIENCE))
