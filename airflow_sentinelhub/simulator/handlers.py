"""What the handlers of both generations share: reading bodies, finding requests, pages, actions."""

from __future__ import annotations

import email.policy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from itertools import islice
from typing import Any

from airflow_sentinelhub.grids.known import GRIDS

from . import delivery, lifecycle
from .bodies import delivery_url, zarr_url
from .faults import Fault
from .jobs import Generation, Job
from .paths import file_url
from .reading import read_json, whole_number
from .replies import Call, Json, Refusal, Reply, error, violations
from .retention import is_forgotten
from .world import World


@dataclass(frozen=True)
class Context:
    """One call to a handler: the world, the call, the parts of its path, and the faults that hit it."""

    world: World
    call: Call
    parts: Mapping[str, str]
    hits: dict[str, Fault] = field(default_factory=dict)


Handler = Callable[[Context], Reply]
Transition = Callable[[Job, lifecycle.Terms], lifecycle.Outcome]


def read_object(call: Call) -> Json:
    """The JSON object of the body."""
    if not call.body.strip():
        raise Refusal(error(400, "Request body should be non-empty."))
    return _object(call.body)


def read_create_body(call: Call) -> Json:
    """The JSON object of a create: the body itself, or a form with the parts ``request`` and ``evalscript``."""
    kind = call.headers.get("content-type", "application/json").lower()
    if kind.startswith("multipart/form-data"):
        parts = _form(call)
        body = _object(parts.get("request", b""))
        if "evalscript" in parts and isinstance(body.get("processRequest"), dict):
            body["processRequest"]["evalscript"] = parts["evalscript"].decode("utf-8", "replace")
        return body
    if "json" not in kind:
        raise Refusal(error(415))
    return read_object(call)


def _object(content: bytes) -> Json:
    try:
        body = read_json(content, "Request body")
    except ValueError as problem:
        raise Refusal(error(400, str(problem))) from None
    if not isinstance(body, dict):
        raise Refusal(error(400, "Request body should be a JSON object."))
    return body


def _form(call: Call) -> dict[str, bytes]:
    head = f"Content-Type: {call.headers['content-type']}\r\nMIME-Version: 1.0\r\n\r\n".encode("latin-1")
    try:
        # The older of the two policies: it reads the few headers of a form by plain rules.
        message = BytesParser(policy=email.policy.compat32).parsebytes(head + call.body)
    except RecursionError:
        raise Refusal(error(400, "Request body is not a valid form.")) from None
    parts: dict[str, bytes] = {}
    found: Any = message.get_payload() if message.is_multipart() else ()
    for part in found:
        if part.is_multipart():
            raise Refusal(error(400, "Request body is not a valid form."))
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = content
    return parts


def find(context: Context, generation: Generation) -> Job:
    """The request of the path as the answering replica knows it; 404 otherwise, also for one that was forgotten."""
    number = context.parts["id"]
    job = context.world.jobs.get(number)
    known = job is not None and job.generation == generation and job.exists(context.call.now)
    if job is None or not known or not listed(context, job):
        raise Refusal(error(404, request_id=number))
    return job


def check_account(context: Context) -> None:
    """403 for an account whose type may not use batch (seen at a create)."""
    if not context.world.settings.batch_account:
        raise Refusal(error(403))


def listed(context: Context, job: Job) -> bool:
    """Whether the answering replica knows the request and it is not forgotten."""
    return job.exists(context.call.seen) and not is_forgotten(job, context.call.now, context.world.settings)


def new_job(context: Context, generation: Generation, body: Json) -> Job:
    """A new request, of which nothing is in the bucket yet.

    A service that was started again without its state gives the ids of before, and their files may still be there.
    """
    world = context.world
    while True:
        job = world.new_job(generation, body)
        try:
            folder = delivery.root(delivery_url(body, generation), job.id)
            own = job.id in folder and next(iter(world.bucket.below(folder)), None) is not None
            if not own and not world.bucket.exists(file_url(job, f"request-{job.id}.json")):
                return job
        except (OSError, ValueError):
            return job  # the first file says what is wrong with the bucket


def create(context: Context, generation: Generation, body: Json) -> Job:
    """A new request of a checked body, with its JSON in the bucket, where missing rights would show (doc)."""
    world = context.world
    _check_empty(context, generation, body)
    job = new_job(context, generation, body)
    url = file_url(job, f"request-{job.id}.json")
    try:
        world.bucket.put(url, json.dumps({"id": job.id, **body}, indent=1).encode())
    except (OSError, ValueError) as problem:
        raise Refusal(violations([("output", f"Cannot write to {url}: {problem}")])) from problem
    return job


def _check_empty(context: Context, generation: Generation, body: Json) -> None:
    """A zarr output needs an empty path (doc), which one with the request's id in it always is."""
    url = zarr_url(body, generation)
    if url is None or "<requestId>" in url:
        return
    try:
        there = context.world.there_at(url)
    except (OSError, ValueError) as problem:
        raise Refusal(violations([("output", f"Cannot list {url}: {problem}")])) from problem
    if there is not None:
        where = "zarrOutput->path" if generation == "v1" else "output->delivery"
        raise Refusal(violations([(where, f"The path of a zarr output must be empty: {there} exists.")]))


def act(context: Context, generation: Generation, transition: Transition) -> Reply:
    """An action on the request of the path: 204, or 400 with the service's words."""
    job = find(context, generation)
    outcome = transition(job, context.world.terms(job, context.hits))
    if isinstance(outcome, lifecycle.Refused):
        return error(400, outcome.message, request_id=job.id)
    if outcome.job is not job:
        context.world.keep(outcome.job)
    return Reply(204, effect=outcome.effect, request_id=job.id)


def page_of_jobs(
    context: Context,
    path: str,
    generation: Generation,
    view: Callable[[Job, World, float], Json],
    wanted: Callable[[Job], bool] = lambda job: True,
) -> Json:
    """A page of the generation's requests that exist and are wanted.

    Only as many are looked at as it takes to fill the page: what a page costs does not grow with the account.
    """
    seen = context.call.seen
    begin, count = _extent(context)
    shown = (job for job in _sorted(context, generation) if listed(context, job) and wanted(job))
    found = list(islice(shown, begin + count + 1))
    return page(context, path, len(found), lambda index: view(found[index], context.world, seen))


def _sorted(context: Context, generation: Generation) -> Iterable[Job]:
    """All requests by ``sort``; without it in the order of creation (the real default is not known)."""
    call = context.call
    wanted = call.parameter("sort")
    field_name, _, order = (wanted or "created").partition(":")
    if field_name not in ("created", "status") or order not in ("", "desc"):
        raise Refusal(error(400, f"Invalid sort: {wanted}."))
    jobs = context.world.in_order(generation)
    newest_first = order == "desc"
    ordered = reversed(jobs) if newest_first else iter(jobs)
    if field_name == "created":
        return ordered
    return sorted(ordered, key=lambda job: job.status(call.seen), reverse=newest_first)


def page(context: Context, path: str, total: int, make: Callable[[int], Any]) -> Json:
    """``{"data": [...], "links": {...}}`` with the items that ``make`` gives for the page's positions.

    The view token is an offset (seen), which clients should not know. More than the limit is cut to it (unknown whether
    the service does so or refuses). The last page has no next (seen).
    """
    call = context.call
    begin, count = _extent(context)
    links = {"currentToken": str(begin), "@id": call.url(path, viewtoken=str(begin))}
    if begin + count < total:
        links["nextToken"] = str(begin + count)
        links["next"] = call.url(path, viewtoken=str(begin + count))
    if begin > 0:
        links["previousToken"] = str(max(0, begin - count))
        links["previous"] = call.url(path, viewtoken=str(max(0, begin - count)))
    return {"data": [make(index) for index in range(begin, min(begin + count, total))], "links": links}


def _extent(context: Context) -> tuple[int, int]:
    """Position of the page's first item, and the most items that it has."""
    limit = context.world.settings.page_size
    count = min(_whole(context.call, "count", limit, least=1), limit)
    return _whole(context.call, "viewtoken", 0, least=0), count


def _whole(call: Call, name: str, default: int, least: int) -> int:
    text = call.parameter(name)
    if text is None:
        return default
    number = whole_number(text)
    if number is None or number < least:
        raise Refusal(error(400, f"Invalid {name}: {text}."))
    return number


def matches(search: str | None, text: str) -> bool:
    """``search``: words joined by | (or) and & (and), which binds stronger; letter case does not matter.

    A word is found anywhere in the description. Whether the service looks elsewhere too is not known.
    """
    if not search or not search.strip():
        return True
    text = text.lower()
    alternatives = ([word.strip().lower() for word in part.split("&")] for part in search.split("|"))
    return any(all(word in text for word in words) for words in alternatives if any(words))


def list_grids(path: str) -> Handler:
    def handler(context: Context) -> Reply:
        grids = list(GRIDS.values())
        return Reply(200, page(context, path, len(grids), lambda index: grids[index].descriptor()))

    return handler


def get_grid(context: Context) -> Reply:
    """An unknown grid is a 400 in the contract."""
    number = context.parts["id"]
    wanted = whole_number(number)
    grid = None if wanted is None else GRIDS.get(wanted)
    return error(400, f"Tiling grid {number} does not exist.") if grid is None else Reply(200, grid.descriptor())
