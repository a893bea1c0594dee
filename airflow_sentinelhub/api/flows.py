"""What is done with a request, as generators: read, analyse, start once, restart, end, find or create.

Nothing here does I/O or knows the time; see `call.py`. Calls that bill are made in this file and nowhere else:
`start_once` and `restart_failed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from airflow_sentinelhub.api.adoption import Decision, Plan, after_creating, choose, notes_about
from airflow_sentinelhub.api.call import PATIENT, Call, Flow, Note, Now, Patience, Sleep, exchange
from airflow_sentinelhub.api.generations import Generation
from airflow_sentinelhub.api.marker import Mark, mark_of, marked
from airflow_sentinelhub.api.paging import Page
from airflow_sentinelhub.api.snapshot import Snapshot, snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.verdict import fate
from airflow_sentinelhub.exceptions import (
    ApiError,
    BadRequestError,
    ConflictError,
    JobError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnreachableError,
)

T = TypeVar("T")

NEW_REQUEST_404 = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between looks at a request that is answered with 404: read and write databases of the service are out of
sync for up to minutes after a create (seen in production)."""

LAGGING_LIST = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Seconds between looks at a list until it shows the request that was just created."""

AFTER_AMBIGUOUS = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between looks at what became of a call whose reply was lost."""

PAGE_LIMIT = 100
"""Pages of 100 requests that the search for a marker walks at the most where the service cannot search."""

AMBIGUOUS = (UnreachableError, ServerError)


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


def analyse_once(api: Generation, request_id: str) -> Flow[Snapshot]:
    """Have the request analysed, unless it has been or is being; free. Returns a reading from before or after."""
    return (yield from _act_once(api, request_id, api.analyse, "analyse", _analysis_asked))


def start_once(api: Generation, request_id: str) -> Flow[Snapshot]:
    """Start the request if nobody has. **This bills.** Returns a reading in which it is started, or at its end.

    Status and user action are read first. A 400 or 404, or a lost reply, means "look again": the start is sent again
    only after the request was seen, for half a minute, not to be started.
    """
    return (yield from _act_once(api, request_id, api.start, "start", _start_asked))


def _analysis_asked(job: Snapshot) -> bool:
    return job.user_action.value != "NONE" or job.status != S.CREATED


def _start_asked(job: Snapshot) -> bool:
    return job.started or job.ending or job.status.is_final


def _act_once(
    api: Generation,
    request_id: str,
    action: Callable[[str], Call[None]],
    word: str,
    asked: Callable[[Snapshot], bool],
) -> Flow[Snapshot]:
    job = yield from read_patiently(api, request_id)
    refused: ApiError | UnreachableError | None = None
    for _ in range(3):
        if asked(job):
            return job
        try:
            yield from exchange(action(request_id))
            return (yield from _seen(api, request_id, asked)) or job
        except AMBIGUOUS as err:
            yield Note(f"Whether the {word} of {request_id} arrived is not known ({err}); looking it up", warning=True)
            refused = err
        except (BadRequestError, NotFoundError, ConflictError) as err:
            yield Note(f"The {word} of {request_id} was refused ({err}); looking at it again", warning=True)
            refused = err
        job = (yield from _seen(api, request_id, asked)) or (yield from read_patiently(api, request_id))
    if asked(job) or refused is None:
        return job
    raise refused


def _seen(api: Generation, request_id: str, asked: Callable[[Snapshot], bool]) -> Flow[Snapshot | None]:
    """A reading that shows the action, waiting for lagging reads for about half a minute; None if none did."""
    for pause in (0.0, *AFTER_AMBIGUOUS):
        if pause:
            yield Sleep(pause)
        job = yield from read_patiently(api, request_id)
        if asked(job):
            return job
    return None


def count_restart(api: Generation, job: Snapshot) -> Flow[None]:
    """Write one more restart into the request's marker, so that tries that come later know how many there were."""
    mark = mark_of(job.description)
    if mark is None:
        return
    words = marked(job.description, replace(mark, restarts=mark.restarts + 1))
    try:
        yield from exchange(api.update(job.request_id, {"description": words}))
    except (BadRequestError, ConflictError) as err:
        yield Note(f"The restart could not be noted in the request's description ({err.reason})", warning=True)


def restart_failed(api: Generation, request_id: str) -> Flow[Snapshot]:
    """Process the failed tiles of a PARTIAL request again (v1). **This bills** the tiles that are processed again.

    A request that became DONE by itself, or that somebody has restarted, is left as it is: the 400 of the service
    means "look again". After the service has accepted, the status may say PARTIAL for minutes: trust the reply.

    :raises JobError: the request is in a state that has nothing to restart.
    """
    assert api.restart is not None
    job = yield from read_patiently(api, request_id)
    if job.status != S.PARTIAL:
        if job.status in (S.DONE, S.PROCESSING):
            return job
        raise _nothing_to_restart(job)
    try:
        yield from exchange(api.restart(request_id))
    except BadRequestError as err:
        yield Note(f"The restart of {request_id} was refused ({err.reason}); looking at it again", warning=True)
        for pause in (0.0, *AFTER_AMBIGUOUS):
            yield Sleep(pause)
            job = yield from read_patiently(api, request_id)
            if job.status != S.PARTIAL:
                return job
        raise
    except AMBIGUOUS as err:
        yield Note(f"Whether the restart of {request_id} arrived is not known ({err}); looking it up", warning=True)
        for pause in AFTER_AMBIGUOUS:
            yield Sleep(pause)
            job = yield from read_patiently(api, request_id)
            if job.status != S.PARTIAL:
                return job
        raise
    return job


def _nothing_to_restart(job: Snapshot) -> JobError:
    return JobError(
        f"Batch request {job.request_id} is {job.status}; only a PARTIAL request has a failed part to restart. "
        f"{fate(job)} Create a new request for the whole job.",
        request_id=job.request_id,
        snapshot=job,
    )


def end(api: Generation, request_id: str, *, poll_interval: float = 5.0, attempts: int = 40) -> Flow[Snapshot]:
    """Cancel (v1) or stop (v2) the request, and wait until that has taken effect. Returns the last reading.

    v2 refuses to stop a request whose start has not taken effect yet (400): the stop is sent again until it is taken.
    A v2 request that nobody has started cannot be stopped and need not be: it bills nothing.

    :raises JobError: it has not ended after `attempts` looks.
    """
    accepted = False
    job = yield from read_patiently(api, request_id)
    for _ in range(attempts):
        if job.status.is_final or (api.restart is None and not job.started and not job.ending):
            return job
        if not accepted:
            try:
                yield from exchange(api.end(request_id))
                accepted = True
                yield Note(f"Asked Sentinel Hub to {api.end_word} batch request {request_id}")
            except (BadRequestError, NotFoundError) as err:
                yield Note(f"The {api.end_word} of {request_id} was refused for now ({err}); trying again")
        yield Sleep(poll_interval)
        job = yield from read_patiently(api, request_id)
    if job.status.is_final:
        return job
    raise JobError(
        f"Batch request {request_id} is still {job.status} long after the {api.end_word} was asked for. "
        f"{fate(job)} Look at it again and {api.end_word} it by hand if need be.",
        request_id=request_id,
        snapshot=job,
    )


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


@dataclass(frozen=True)
class Found:
    """The request that a try goes on with. `adopted`: it existed before; `why` says in which state."""

    job: Snapshot
    adopted: bool
    why: str = ""


def find_or_create(
    api: Generation,
    payload: dict[str, Any],
    mark: Mark,
    *,
    since: datetime | None = None,
    remembered: str | None = None,
) -> Flow[Found]:
    """The one request of this task: a remembered one, one that carries the marker, or a new one. Never bills.

    :param payload: the job as the generation takes it; the marker is put into its description.
    :param since: no request of this task is older than this (bounds the walk through v2's list).
    :param remembered: id that an earlier try of the same round has stored.
    """
    if remembered:
        try:
            job = yield from read(api, remembered)
            decision = choose([job], mark)
            if decision.plan is Plan.ADOPT and mark_of(job.description):
                return Found(job, True, decision.why)
        except NotFoundError:
            yield Note(f"The remembered batch request {remembered} does not exist any more; looking for others")
    ended: dict[str, Snapshot] = {}
    for _ in range(6):
        found = yield from _current(api, (yield from find(api, mark.identity, since)), ended)
        decision = choose(found, mark)
        if decision.plan is Plan.CREATE:
            created = yield from _create(api, {**payload, "description": marked(payload.get("description"), mark)})
            yield from _remove(api, decision.remove)
            if created is None:
                continue  # the reply was lost: look for it
            chosen = yield from _second_look(api, created, mark, since)
            return Found(chosen, chosen.request_id != created.request_id, "a copy of this task made it")
        job = _of(decision)
        yield from _remove(api, decision.remove)
        if decision.plan is Plan.ADOPT:
            yield from _claim(api, job, payload, mark, found)
            return Found(job, True, decision.why)
        yield Note(f"Batch request {job.request_id} of this task: {decision.why}; waiting for its end", warning=True)
        ended[job.request_id] = yield from end(api, job.request_id)
    raise JobError("No request could be settled on for this task after six rounds of looking; nothing was started.")


def _claim(api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark, found: list[Snapshot]) -> Flow[None]:
    """Say that this round goes on with a request of an earlier one, so that the next try knows it too.

    Otherwise a try that comes after the end of the request would take it for one that the user wanted to have made
    again. The description says it; where the service refuses to change that (v1 while processing), a *note* does: a
    request of its own that is never started and costs nothing.
    """
    its = mark_of(job.description)
    if its is None or its.round >= mark.round:
        return
    if any(
        (note := mark_of(other.description)) and note.round >= mark.round
        for other in notes_about(found, job.request_id)
    ):
        return
    claimed = replace(mark, job=its.job, restarts=its.restarts)
    try:
        yield from exchange(api.update(job.request_id, {"description": marked(job.description, claimed)}))
    except (BadRequestError, ConflictError):
        words = marked(payload.get("description"), replace(mark, adopts=job.request_id))
        made = yield from exchange(api.create({**payload, "description": words}))
        yield Note(
            f"Batch request {made.request_id} notes that {job.request_id} goes on for this task; it bills nothing"
        )


def _of(decision: Decision) -> Snapshot:
    assert decision.request is not None
    return decision.request


def _current(api: Generation, found: list[Snapshot], ended: dict[str, Snapshot]) -> Flow[list[Snapshot]]:
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


def _create(api: Generation, payload: dict[str, Any]) -> Flow[Snapshot | None]:
    """Create; None if the reply was lost and whether the request exists has to be looked up."""
    try:
        request = yield from exchange(api.create(payload))
        return snapshot(request)
    except RateLimitError:
        raise
    except AMBIGUOUS as err:
        yield Note(f"Whether the batch request was created is not known ({err}); looking for it", warning=True)
        mark = mark_of(payload["description"])
        assert mark is not None
        before = yield Now()
        for pause in AFTER_AMBIGUOUS:
            yield Sleep(pause)
            if (yield from find(api, mark.identity, datetime.fromtimestamp(before - 600).astimezone())):
                return None
        yield Note("It was not created; creating it again (which is free)", warning=True)
        return None


def _second_look(api: Generation, created: Snapshot, mark: Mark, since: datetime | None) -> Flow[Snapshot]:
    """Agree with copies of this task that created at the same time: everyone takes the oldest.

    The list is read until it shows our own request: then it shows all older ones too.
    """
    found: list[Snapshot] = []
    for pause in LAGGING_LIST:
        if pause:
            yield Sleep(pause)
        found = yield from find(api, mark.identity, since)
        if any(job.request_id == created.request_id for job in found):
            break
    else:
        yield Note(f"The list of requests still does not show {created.request_id}; going on with it", warning=True)
    if len(found) < 2:
        return created
    decision = after_creating((yield from _current(api, found, {})), created, mark)
    yield from _remove(api, decision.remove)
    return _of(decision)


def _remove(api: Generation, jobs: tuple[Snapshot, ...]) -> Flow[None]:
    for job in jobs:
        if api.delete is None:
            yield Note(f"Batch request {job.request_id} is left over, never started; it bills nothing")
            continue
        try:
            yield from exchange(api.delete(job.request_id))
            yield Note(f"Deleted batch request {job.request_id}, which was never started")
        except (ApiError, UnreachableError) as err:
            yield Note(f"Batch request {job.request_id}, never started, could not be deleted ({err})", warning=True)
