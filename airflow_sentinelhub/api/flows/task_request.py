"""The one request of a task: in whichever generation an earlier try has made it, or a new one. Nothing here bills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Work
from airflow_sentinelhub.api.decide.adoption import NONE_STOPPED, Stopped
from airflow_sentinelhub.api.decide.marker import Mark, job_digest, mark_of
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.find_or_create import Settled, find_or_create, own_requests
from airflow_sentinelhub.api.flows.read import continued_by, outlast, walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.service.payloads import grid_complaint
from airflow_sentinelhub.api.service.specification import continuation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import BadRequestError, ForbiddenError, InvalidInputError, NotFoundError

Payload = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """The request that a task wants to have.

    :param render: the payload of the create call, for one generation. Whatever it raises is kept until it is known
        that no request of this task is at work.
    :param checks: what can be known to be wrong with a payload before anything is created.
    :param mark: of this try, without the digest of the job, which only a payload has.
    :param again: an earlier try may have made a request.
    :param since: no request of this task is older.
    :param remembered: id that an earlier try of this round has written down; :param not_found: see `find_or_create`.
    :param elsewhere: further generations in which an earlier try may have made a request.
    :param went: told where the task goes on, before anything else is done there; a function that may block.
    :param stopped: which STOPPED requests the task goes on with.
    :param patience: seconds for which the service may be out of reach.
    """

    render: Callable[[Generation], Payload]
    checks: Callable[[Generation, Payload], Flow[None]]
    mark: Mark
    again: bool = False
    since: datetime | None = None
    remembered: str | None = None
    not_found: Exception | None = None
    elsewhere: tuple[Generation, ...] = ()
    went: Callable[[Generation], None] = lambda api: None
    stopped: Stopped = NONE_STOPPED
    patience: float = 1800.0


@dataclass(frozen=True)
class Own:
    """The task's request, the generation that it was found or made in, and its marker."""

    api: Generation
    settled: Settled
    mark: Mark


def find_own(api: Generation, wanted: Wanted) -> Flow[Own]:
    """Look whether there is a request of this task, then check the rest, then make one.

    A job that is at work goes on, also when the evalscript, the area, the GeoPackage or the bucket's connection cannot
    be read any more.

    :param api: the generation that the task asks for now.
    :raises Exception: what rendering has raised, once it is known that nothing is at work.
    """
    if wanted.elsewhere:
        here = api = yield from _look_elsewhere(api, wanted)
        yield Work(lambda: wanted.went(here))
    payload, unfit = _rendered(api, wanted)
    if unfit is not None and not wanted.again:
        raise unfit  # no try before this one has made anything
    mark = wanted.mark if payload is None else replace(wanted.mark, job=job_digest(payload))

    def check() -> Flow[None]:
        if unfit is not None:
            raise unfit
        yield from wanted.checks(api, payload or {})

    settled = yield from outlast(
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
    )
    if unfit is not None:
        why = f"What the task asks for now cannot be rendered: {unfit}"
        yield Note(f"{why} The task goes on with the request that is there.", warning=True)
    verb = "Going on with" if settled.adopted else "Created"
    why = f" ({settled.why})" if settled.adopted and settled.why else ""
    yield Note(f"{verb} batch request {settled.job.request_id}{why}; marker {mark}")
    return Own(api, settled, mark)


def continue_with(api: Generation, wanted: Wanted, first: Snapshot, *, restart: bool) -> Flow[Own]:
    """The request that does what is missing of another one (see `continuation`), found or created.

    :param restart: it restarts the failed part, which is counted; else it goes on with what was stopped.
    """
    payload = wanted.render(api)
    its = mark_of(first.description)
    mark = replace(
        wanted.mark,
        job=job_digest(payload),
        restarts=(its.restarts if its else 0) + restart,
        continues=first.request_id,
    )

    def attempt() -> Flow[Settled]:
        earlier = yield from continued_by(api, first)
        root = earlier[-1].request_id if earlier else first.request_id
        more = continuation(payload, root)
        return (yield from find_or_create(api, more, mark, since=wanted.since, patience=wanted.patience))

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
    """The payload, or why there is none: whatever it is, it must not hide a request that is at work."""
    try:
        return wanted.render(api), None
    except Exception as err:
        return None, err


def _look_elsewhere(api: Generation, wanted: Wanted) -> Flow[Generation]:
    """The generation in which the task goes on: another one, if an earlier try has made its request there.

    What a round before has left at work there is ended: the user has cleared the task, and this job is another one.
    """
    for other in wanted.elsewhere:
        try:
            found = yield from outlast(partial(own_requests, other, wanted.mark, wanted.since), wanted.patience)
        except (NotFoundError, ForbiddenError, BadRequestError):
            continue  # the deployment or the account has no such API, so there are no requests either
        for one in found:
            if one.current and (one.job.started or one.job.status.is_final):
                told = f"An earlier try has made batch request {one.job.request_id} with batch {other.name}"
                yield Note(f"{told}; going on there until this round ends", warning=True)
                return other
        for job in (one.job for one in found if one.job.started and not one.job.status.is_final):
            told = f"Batch request {job.request_id} of before the clear is at work in batch {other.name}"
            yield Note(f"{told}; ending it", warning=True)
            yield from outlast(partial(end, other, job.request_id), wanted.patience, job.request_id, refused=True)
    return api
