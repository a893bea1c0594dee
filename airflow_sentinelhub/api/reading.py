"""Reading requests and lists, as generators: patient with a service whose reads lag behind its writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from airflow_sentinelhub.api.call import PATIENT, Call, Flow, Note, Patience, Sleep, exchange
from airflow_sentinelhub.api.generations import Generation
from airflow_sentinelhub.api.marker import mark_of
from airflow_sentinelhub.api.paging import Page
from airflow_sentinelhub.api.snapshot import Snapshot, snapshot
from airflow_sentinelhub.exceptions import NotFoundError

T = TypeVar("T")

NEW_REQUEST_404 = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between looks at a request that is answered with 404: read and write databases of the service are out of
sync for up to minutes after a create (seen in production)."""

LAGGING_LIST = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Seconds between looks at a list until it shows the request that was just created."""

AFTER_AMBIGUOUS = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between looks at what became of a call whose reply was lost."""

PAGE_LIMIT = 100
"""Pages of 100 requests that the search for a marker walks at the most where the service cannot search."""


def read(api: Generation, request_id: str, patience: Patience = PATIENT) -> Flow[Snapshot]:
    """One reading of the request."""
    request = yield from exchange(api.get(request_id), patience)
    return snapshot(request)


def read_patiently(api: Generation, request_id: str) -> Flow[Snapshot]:
    """A reading that gives the service a minute to know a request that it has just created."""
    return (yield from _despite_404(lambda: read(api, request_id), request_id))


def _despite_404(attempt: Callable[[], Flow[T]], request_id: str) -> Flow[T]:
    for pause in NEW_REQUEST_404:
        try:
            return (yield from attempt())
        except NotFoundError:
            yield Note(f"Sentinel Hub does not know batch request {request_id} (yet); looking again in {pause:.0f} s")
            yield Sleep(pause)
    return (yield from attempt())


def seen(api: Generation, request_id: str, asked: Callable[[Snapshot], bool]) -> Flow[Snapshot | None]:
    """A reading that shows the action, waiting for lagging reads for about half a minute; None if none did."""
    for pause in (0.0, *AFTER_AMBIGUOUS):
        if pause:
            yield Sleep(pause)
        job = yield from read_patiently(api, request_id)
        if asked(job):
            return job
    return None


def walk(list_page: Callable[[str | None], Call[Page[T]]], stop: Callable[[T], bool] | None = None) -> Flow[list[T]]:
    """All items of a list, up to the first for which `stop` says so, PAGE_LIMIT pages at the most."""
    items: list[T] = []
    token: str | None = None
    for _ in range(PAGE_LIMIT):
        page: Page[T] = yield from exchange(list_page(token))
        for item in page.items:
            if stop and stop(item):
                return items
            items.append(item)
        token = page.next_token
        if token is None:
            return items
    yield Note(f"Stopped reading a list after {PAGE_LIMIT} pages", warning=True)
    return items


def find(api: Generation, identity: str, since: datetime | None) -> Flow[list[Snapshot]]:
    """The requests that carry this identity, newest first.

    v1 is searched; v2 has no search, so its list is walked from the newest back to `since`.
    """

    def page(token: str | None) -> Call[Page[Any]]:
        query = {"search": identity} if api.search else {}
        return api.list(sort="created:desc", viewtoken=token, **query)

    def too_old(request: Any) -> bool:
        return not api.search and since is not None and request.created is not None and request.created < since

    requests = yield from walk(page, too_old)
    jobs = [snapshot(request) for request in requests]
    return [job for job in jobs if (mark := mark_of(job.description)) and mark.identity == identity]


def current(api: Generation, found: list[Snapshot], ended: dict[str, Snapshot]) -> Flow[list[Snapshot]]:
    """The found requests as they are now: lists lag behind, so those not at their end are read again."""
    jobs: list[Snapshot] = []
    for job in found:
        if job.request_id in ended:
            jobs.append(ended[job.request_id])
        elif job.status.is_final:
            jobs.append(job)
        else:
            try:
                jobs.append((yield from read_patiently(api, job.request_id)))
            except NotFoundError:
                continue  # deleted meanwhile
    return jobs
