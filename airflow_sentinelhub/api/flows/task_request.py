"""Find or create the one request of a task, in the generation in which an earlier try has created it. Never bills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Work
from airflow_sentinelhub.api.decide.adoption import NONE_STOPPED, Stopped, searched_to
from airflow_sentinelhub.api.decide.marker import Mark, job_digest, mark_of
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.find_or_create import Settled, find_or_create, own_requests
from airflow_sentinelhub.api.flows.read import NOTHING_STARTED, RETRIED, continued_by, if_answered, outlast, walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.service.payloads import grid_complaint
from airflow_sentinelhub.api.service.specification import continuation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import (
    BadRequestError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    SentinelHubError,
)

Payload = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """The request that a task needs.

    :param render: returns the payload of the create call, for one generation. Its error is raised only after it is
        known that no request of this task is running.
    :param checks: flow that checks a payload before anything is created, and raises an error if it is wrong.
    :param mark: of this try, without the digest of the job, which only a payload has.
    :param again: an earlier try may have created a request.
    :param unanswered: what it means for the job and for the next try if nothing answers at the service's address, in
        two sentences: then that is said within a minute. None: it is waited out, as an outage.
    :param since: no request of this task is older.
    :param remembered: id that an earlier try of this round has stored.
    :param not_found: see `find_or_create`.
    :param elsewhere: further generations in which an earlier try may have created a request.
    :param went: called with the generation that the task continues in, before anything else is done there; it may
        block.
    :param stopped: which STOPPED requests the task continues with.
    :param patience: seconds for which the service may be out of reach.
    """

    render: Callable[[Generation], Payload]
    checks: Callable[[Generation, Payload], Flow[None]]
    mark: Mark
    again: bool = False
    unanswered: tuple[str, str] | None = None
    since: datetime | None = None
    remembered: str | None = None
    not_found: Exception | None = None
    elsewhere: tuple[Generation, ...] = ()
    went: Callable[[Generation], None] = lambda api: None
    stopped: Stopped = NONE_STOPPED
    patience: float = 1800.0


@dataclass(frozen=True)
class Own:
    """The task's request, the generation in which it was found or created, and its marker."""

    api: Generation
    settled: Settled
    mark: Mark


def find_own(api: Generation, wanted: Wanted) -> Flow[Own]:
    """Search for the request of this task; if there is none, check the payload and create one.

    A running job continues even if the evalscript, the area, the GeoPackage or the bucket's connection cannot be read
    any more.

    :param api: the generation that the task asks for now.
    :raises Exception: the error of `wanted.render`, after it is known that no request is running.
    """
    finding = _find_own(api, wanted)
    sentences = wanted.unanswered or (None if wanted.again else (NOTHING_STARTED, RETRIED))
    return (yield from (finding if sentences is None else if_answered(finding, *sentences)))


def _find_own(api: Generation, wanted: Wanted) -> Flow[Own]:
    if wanted.elsewhere:
        here = api = yield from _look_elsewhere(api, wanted)
        yield Work(lambda: wanted.went(here))
    payload, render_error = _rendered(api, wanted)
    if render_error is not None and not wanted.again:
        raise render_error  # no earlier try has created a request
    mark = wanted.mark if payload is None else replace(wanted.mark, job=job_digest(payload))

    def check() -> Flow[None]:
        if render_error is not None:
            raise render_error
        yield from wanted.checks(api, payload or {})

    settled: Settled = yield from outlast(
        lambda: find_or_create(
            api,
            payload or {},
            mark,
            since=wanted.since,
            remembered=wanted.remembered,
            not_found=wanted.not_found,
            stopped=wanted.stopped,
            check=check,
            patience=wanted.patience,
        ),
        wanted.patience,
        started=wanted.again,
    )
    if render_error is not None:
        why = f"The job as the task describes it now cannot be rendered: {render_error}"
        yield Note(f"{why} The task goes on with its existing request.", warning=True)
    verb = "Going on with" if settled.adopted else "Created"
    why = f" ({settled.why})" if settled.adopted and settled.why else ""
    request_mark = mark_of(settled.job.description)
    changed = settled.adopted and bool(mark.job) and request_mark is not None and request_mark.job != mark.job
    yield Note(f"{verb} batch request {settled.job.request_id}{why}; marker {mark}", warning=changed)
    return Own(api, settled, mark)


def continue_with(api: Generation, wanted: Wanted, first: Snapshot, *, restart: bool) -> Flow[Own]:
    """Find or create the request that processes the missing part of another one (see `continuation`).

    :param first: the other request.
    :param restart: True: it restarts the failed part, which counts as a restart; False: it continues a stopped job.
    """
    payload = wanted.render(api)
    first_mark = mark_of(first.description)
    mark = replace(
        wanted.mark,
        job=job_digest(payload),
        restarts=(first_mark.restarts if first_mark else 0) + restart,
        continues=first.request_id,
    )

    def attempt() -> Flow[Settled]:
        earlier = yield from continued_by(api, first)
        root = earlier[-1].request_id if earlier else first.request_id
        continuing_payload = continuation(payload, root)
        return (yield from find_or_create(api, continuing_payload, mark, since=wanted.since, patience=wanted.patience))

    return Own(api, (yield from outlast(attempt, wanted.patience, first.request_id)), mark)


def check_grid(api: Generation, payload: Mapping[str, Any]) -> Flow[None]:
    """Refuse a grid or a resolution that the deployment does not offer before anything is created.

    :raises InvalidInputError: it offers no such grid.
    """
    grid = payload.get("tilingGrid") or payload.get("input") or {}
    if "id" not in grid or api.grids is None:
        return
    grids = yield from walk(api.grids)
    if complaint := grid_complaint(grid, grids):
        raise InvalidInputError(complaint)


def _rendered(api: Generation, wanted: Wanted) -> tuple[Payload | None, Exception | None]:
    """The payload, or the error of rendering it: no error may hide a running request."""
    try:
        return wanted.render(api), None
    except Exception as err:
        return None, err


def _checked_instead(api: Generation, wanted: Wanted, replaced: Snapshot) -> Flow[None]:
    """Check the job that is to be created instead of a running request, before that is ended."""
    try:
        yield from wanted.checks(api, wanted.render(api))
    except SentinelHubError as err:
        err.snapshot = replaced
        raise


def _look_elsewhere(api: Generation, wanted: Wanted) -> Flow[Generation]:
    """The generation in which the task continues: another one if a try of this round has a request there.

    A running request of an earlier round in another generation is ended: the user has cleared the task since. That the
    job can be created here is checked before.

    :raises Exception: it cannot; a `SentinelHubError` has the request that runs there as its `snapshot`.
    """
    checked = False
    for other in wanted.elsewhere:
        try:
            back_to = partial(searched_to, mark=wanted.mark)
            look = partial(own_requests, other, wanted.mark, wanted.since, back_to)
            requests = yield from outlast(look, wanted.patience)
        except (NotFoundError, ForbiddenError, BadRequestError):
            continue  # the deployment or the account has no such API, so there are no requests either
        for owned_request in requests:
            if owned_request.current and (owned_request.job.started or owned_request.job.status.is_final):
                message = (
                    f"An earlier try has made batch request {owned_request.job.request_id} with batch {other.name}"
                )
                yield Note(f"{message}; going on there until this round ends", warning=True)
                return other
        for job in (
            owned_request.job
            for owned_request in requests
            if owned_request.job.started and not owned_request.job.status.is_final
        ):
            if not checked:
                yield from _checked_instead(api, wanted, job)
                checked = True
            message = f"Batch request {job.request_id} from before the clear is running in batch {other.name}"
            yield Note(f"{message}; ending it", warning=True)
            yield from outlast(partial(end, other, job.request_id), wanted.patience, job.request_id, refused=True)
    return api
