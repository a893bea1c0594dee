"""Read requests and lists, as generators; reads of the service lag behind its writes, and the flows allow for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

from airflow_sentinelhub.api.call import PATIENT, Call, Flow, Lost, Note, Now, Patience, Send, Shared, Sleep, exchange
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import (
    ApiError,
    NotFoundError,
    RateLimitError,
    SentinelHubError,
    ServerError,
    UnknownStateError,
    UnreachableError,
)

T = TypeVar("T")

LAGGING_LIST = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Seconds between readings of a list until it shows the request that was just created."""

AFTER_AMBIGUOUS = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between readings of a request after a call whose reply was lost."""

PAGE_LIMIT = 1_000
"""Maximal number of pages of 100 entries that are read in search of a marker, where the service has no search."""


def read(api: Generation, request_id: str, patience: Patience = PATIENT) -> Flow[Snapshot]:
    """One reading of the request.

    :raises UnreadableReplyError: the reply cannot be decoded, or is about another request.
    """
    return (yield from exchange(api.get(request_id), patience))


def next_reading(api: Generation, request_id: str, within: float, patience: Patience) -> Flow[Snapshot]:
    """The next reading of a request that somebody waits for, at the latest after so many seconds (`within`).

    In a triggerer the poller of the process reads for all triggers together.
    """
    job: Snapshot | None = yield Shared(api, request_id, within)
    if job is not None:
        return job
    if within > 0:
        yield Sleep(within)
    return (yield from read(api, request_id, patience))


def read_patiently(api: Generation, request_id: str) -> Flow[Snapshot]:
    """One reading of the request; a 404 is retried for a minute, since the request may be new (`api.despite_404`)."""
    return (yield from despite_404(lambda: read(api, request_id), request_id, api.despite_404))


OUTAGE = (UnreachableError, ServerError, RateLimitError)
"""Errors that say nothing about the request: the service is out of reach, out of order, or asks to slow down."""
PAUSE_FIRST, PAUSE_MOST = 5.0, 60.0


SILENCE = 30.0
"""Seconds after which a task gives up whose calls have never been answered, since nothing answers at the address. A
call is repeated some times before that is looked at: it is said within the first minute."""


RETRIED = "A retry of this task tries again, and longer."


def nothing_answers(nowhere: str, seconds: float, job: str, again: str = RETRIED) -> UnknownStateError:
    """The error for a task whose calls have never been answered.

    :param nowhere: where, and why (see `Lost`).
    :param job: a sentence on what that means for the task's job.
    :param again: a sentence on the next try.
    """
    return UnknownStateError(
        f"{nowhere} No call of this task was answered in {seconds:.0f} s. {job} Check the host and auth_url of "
        f"the Sentinel Hub connection, and the way there (network, proxy). {again}"
    )


NOTHING_STARTED = "Nothing was started for this task, so nothing runs and nothing is billed."


def left_alone(request_id: str) -> str:
    """What it means for a request that the service was not reached."""
    return f"Batch request {request_id} was not touched: if it was started before, it runs on and bills."


def if_answered(flow: Flow[T], job: str, again: str = RETRIED) -> Flow[T]:
    """Run a flow, and give it up soon if none of its calls is ever answered because nothing answers at the address.

    Only for a first try, which cannot have left a job behind: a retry waits an outage out.

    :param job, again: see `nothing_answers`.
    :raises UnknownStateError: nothing answers.
    """
    received: Any = None
    thrown: BaseException | None = None
    began: float | None = None
    answered = False
    try:
        while True:
            step = flow.send(received) if thrown is None else flow.throw(thrown)
            received = thrown = None
            if began is None and isinstance(step, Send):
                began = yield Now()
            try:
                received = yield step
            except BaseException as err:  # the flow handles its own error
                thrown = err
            if answered or began is None or not isinstance(step, Send):
                continue
            outcome = received if thrown is None else thrown
            nowhere = outcome.nowhere if isinstance(outcome, (Lost, UnreachableError)) else ""
            answered = not nowhere
            if nowhere and (seconds := (yield Now()) - began) >= SILENCE:
                flow.close()
                raise nothing_answers(nowhere, seconds, job, again)
    except StopIteration as end:
        result: T = end.value
        return result


def outlast(
    flow: Callable[[], Flow[T]],
    seconds: float,
    request_id: str | None = None,
    about: str | None = None,
    *,
    refused: bool = False,
    started: bool = True,
) -> Flow[T]:
    """Run a flow, and run it again while the service is out of reach, for `seconds`.

    Only for flows that read, or that read before they act, so that running one twice has no further effect.

    :param seconds: 0: one attempt, and the flow's own error is raised.
    :param request_id: the request, if it is known yet.
    :param about: name of another subject, for the message.
    :param refused: a refusal (401, 403, ..., but not 404) counts as an outage too: for ending a request, which must not
        keep running because of a temporary refusal.
    :param started: False: it is known that no request of this task was started, and the error says so.
    :raises UnknownStateError: the service was out of reach for longer.
    """
    passing = (*OUTAGE, ApiError) if refused else OUTAGE
    if seconds <= 0:
        return (yield from flow())
    began, pause = (yield Now()), PAUSE_FIRST
    while True:
        try:
            return (yield from flow())
        except passing as err:
            if isinstance(err, NotFoundError):
                raise
            now = yield Now()
            if now - began >= seconds:
                raise _out_of_reach(err, seconds, request_id, about, started) from err
            yield Note(f"{err} Trying again in {pause:.0f} s.", warning=True)
        yield Sleep(min(pause, began + seconds - now))
        pause = min(pause * 2, PAUSE_MOST)


def _out_of_reach(
    err: SentinelHubError, seconds: float, request_id: str | None, about: str | None, started: bool
) -> UnknownStateError:
    if about:
        return UnknownStateError(
            f"{about}: Sentinel Hub was out of reach for {seconds:.0f} s ({err}) Nothing of it is billed. A retry of "
            "this task looks first and goes on."
        )
    if not started:
        return UnknownStateError(
            f"Sentinel Hub was out of reach for {seconds:.0f} s ({err}) {NOTHING_STARTED} A retry of this task looks "
            "first and goes on."
        )
    what = f"Batch request {request_id}" if request_id else "The batch request of this task"
    return UnknownStateError(
        f"{what}: Sentinel Hub was out of reach for {seconds:.0f} s ({err}) It was left alone: if it was started, it "
        "runs on and bills. A retry of this task attaches to it again.",
        request_id=request_id or "",
    )


def despite_404(attempt: Callable[[], Flow[T]], request_id: str, pauses: tuple[float, ...]) -> Flow[T]:
    """Run a flow, and again after each of these pauses while its call is answered with 404.

    A new request is answered so at first, whatever the call: not only where it is read.
    """
    for pause in pauses:
        try:
            return (yield from attempt())
        except NotFoundError:
            yield Note(f"Sentinel Hub does not know batch request {request_id} (yet); trying again in {pause:.0f} s")
            yield Sleep(pause)
    return (yield from attempt())


def seen(api: Generation, request_id: str, asked: Callable[[Snapshot], bool]) -> Flow[Snapshot | None]:
    """The first reading that shows the action (`asked`), within about half a minute; None if no reading does."""
    for pause in (0.0, *AFTER_AMBIGUOUS):
        if pause:
            yield Sleep(pause)
        job = yield from read_patiently(api, request_id)
        if asked(job):
            return job
    return None


def walk(
    list_page: Callable[[str | None], Call[Page[T]]], stop: Callable[[Sequence[T]], bool] | None = None
) -> Flow[list[T]]:
    """All items of a list, up to the end of the first page for which `stop` returns True.

    :raises ListTooLongError: the list has more than PAGE_LIMIT pages.
    :raises UnreadableReplyError: a page cannot be decoded, or the pages go in circles.
    """
    items: list[T] = []
    walked, noted = Walk(PAGE_LIMIT), False
    while not walked.over:
        call = list_page(walked.token)
        page: Page[T] = yield from exchange(call)
        if page.left_out and not noted:
            noted = True
            yield Note(f"{call.about}: entries that cannot be read are left out; none carries a task's marker")
        items.extend(page.items)
        if stop and stop(page.items):
            return items
        walked.turn(call, page)
    return items


def find(
    api: Generation,
    identity: str,
    since: datetime | None,
    back_to: Callable[[Sequence[Snapshot]], datetime | None] = lambda jobs: None,
    on_page: Callable[[Sequence[Snapshot]], None] = lambda jobs: None,
) -> Flow[list[Snapshot]]:
    """The requests that carry this identity, newest first, each once.

    v1 is searched; v2 has no search, so its list is walked from the newest back to `since`. A list that cannot be read
    to its end is an error, never a shorter list.

    :param back_to: how far back the list is read by what the requests with this identity say that were read so far,
        see `api.decide.adoption.searched_to`.
    :param on_page: is called with all requests of each page.
    """

    ours: list[Snapshot] = []

    def earliest(jobs: Sequence[Snapshot]) -> datetime | None:
        on_page(jobs)
        ours.extend(job for job in jobs if (mark := mark_of(job.description)) and mark.identity == identity)
        return back_to(ours)

    jobs = yield from find_marked(api, identity, since, earliest)
    return [job for job in jobs if (mark := mark_of(job.description)) and mark.identity == identity]


def find_marked(
    api: Generation,
    search: str | None,
    since: datetime | None,
    earliest: Callable[[Sequence[Snapshot]], datetime | None] = lambda jobs: None,
) -> Flow[list[Snapshot]]:
    """The requests that carry a marker, newest first, each once.

    :param search: where the service can search, only those with this word; None: all of them.
    :param since: the list is not read further back, unless it is searched.
    :param earliest: the same by what is on a page and those before it, None where that says nothing.
    """
    searched = api.search and search is not None

    def page(token: str | None) -> Call[Page[Snapshot]]:
        query = {"search": search} if searched else {}
        return api.list(sort="created:desc", viewtoken=token, **query)

    def too_old(jobs: Sequence[Snapshot]) -> bool:
        """Whether the next pages are older than `since`; known only if this page is sorted."""
        by_page = earliest(jobs)
        if searched:
            return False
        end = max((time for time in (since, by_page) if time is not None), default=None)
        times = [job.created for job in jobs if job.created is not None]
        if end is None or not times:
            return False
        return times[-1] < end and all(earlier <= later for later, earlier in pairwise(times))

    requests: dict[str, Snapshot] = {}
    for job in (yield from walk(page, too_old)):
        if mark_of(job.description):
            requests.setdefault(job.request_id.lower(), job)
    return list(requests.values())


def continued_by(api: Generation, job: Snapshot) -> Flow[list[Snapshot]]:
    """The requests that this one continues (v2), the latest first; the list ends at one that does not exist."""
    earlier: list[Snapshot] = []
    mark = mark_of(job.description)
    while mark and mark.continues and mark.continues not in {request.request_id for request in earlier}:
        try:
            earlier.append((yield from read(api, mark.continues)))
        except NotFoundError:
            break
        mark = mark_of(earlier[-1].description)
    return earlier


def with_newer_marker(job: Snapshot, description: str) -> Snapshot:
    """The reading with this other description of the same request, if the marker there was written by a later try.

    Also if the reading has no marker: a user may have removed it, and it is the request of this task all the same.
    """
    own, other = mark_of(job.description), mark_of(description)
    newer = other is not None and (own is None or (other.tried or 0) > (own.tried or 0))
    return replace(job, description=description) if newer else job


def current(api: Generation, requests: list[Snapshot], ended: dict[str, Snapshot]) -> Flow[list[Snapshot]]:
    """The requests in their current state: lists lag, so those that have not ended are read again.

    :param ended: requests by id whose final reading is known; they are not read again. The list may show a newer marker
        of theirs, since another try can have adopted them meanwhile.
    """
    jobs: list[Snapshot] = []
    for job in requests:
        if job.request_id in ended:
            jobs.append(with_newer_marker(ended[job.request_id], job.description))
        elif job.status.is_final:
            jobs.append(job)
        else:
            try:
                jobs.append((yield from read_patiently(api, job.request_id)))
            except NotFoundError:
                if job.started or api.delete is None:  # it cannot have been deleted: the reading of the list counts
                    jobs.append(job)
    return jobs
