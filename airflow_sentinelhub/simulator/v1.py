"""Batch v1: requests and tiles. Rules beside the life cycle (who may be changed when) are in ``v1_rules``."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import lifecycle, payload_v1
from .bodies import tiling_of
from .clock import iso_milliseconds
from .handlers import (
    Context,
    Handler,
    act,
    check_account,
    create,
    find,
    get_grid,
    list_grids,
    matches,
    page,
    page_of_jobs,
    read_create_body,
    read_object,
)
from .jobs import Edit, Job
from .ledger import PROCESSED, STATUSES
from .reading import whole_number
from .replies import Json, Refusal, Reply, error, violations
from .v1_collections import COLLECTION_ROUTES, initialise, new_collection
from .v1_rules import collection_id, may_delete, may_update
from .world import World

BASE = "/api/v1/batch"


def view(job: Job, world: World, at: float) -> Json:
    """The request as it was at a time. Members that have no value are left out."""
    body = job.body_at(at)
    tiling = tiling_of(job.body, "v1")
    step, action = job.step(at), job.action(at)
    shown: Json = {
        "id": job.id,
        "userId": world.client.user,
        "accountId": world.client.account,
        "created": iso_milliseconds(job.created),
        **body,
        "tileCount": job.estimated_tiles,
    }
    if job.analysis is not None and job.is_analysed(at) and job.analysis.tiles:
        # Before analysis an estimate, which analysis corrects; the value is known only then (seen).
        shown["tileCount"] = job.analysis.tiles
        shown["valueEstimate"] = job.analysis.tiles * job.analysis.tile_estimate
    if tiling is not None:
        shown["tileWidthPx"] = shown["tileHeightPx"] = tiling[0].pixels(job.body["tilingGrid"]["resolution"])
    shown["userAction"] = action.name
    shown["userActionUpdated"] = iso_milliseconds(action.at)
    shown["status"] = step.status
    if step.error is not None:
        shown["error"] = step.error
    return shown


def post_request(context: Context) -> Reply:
    world = context.world
    check_account(context)
    _check_used_up(context)
    body = read_create_body(context.call)
    findings = payload_v1.check(body, world.collections, world.settings.max_vertices)
    if findings.found:
        return violations(findings.found)
    body = payload_v1.echo(body)
    job = create(context, "v1", body)
    if body.get("output", {}).get("createCollection"):
        number = new_collection(world, body.get("description") or job.id, body)
        job = job.changed(body={**body, "output": {**body["output"], "collectionId": number}})
    if collection_id(job, world.now) is not None:
        initialise(world, job, world.now)
    world.keep(job)
    return Reply(201, view(job, world, world.now), effect="created", request_id=job.id)


def list_requests(context: Context) -> Reply:
    world, call = context.world, context.call
    user = call.parameter("userid") or call.parameter("userId")
    collection, search = call.parameter("collectionId"), call.parameter("search")

    def wanted(job: Job) -> bool:
        return (
            user in (None, world.client.user)
            and collection in (None, collection_id(job, call.seen))
            and matches(search, job.body_at(call.seen).get("description", ""))
        )

    return Reply(200, page_of_jobs(context, f"{BASE}/process", "v1", view, wanted))


def get_request(context: Context) -> Reply:
    job = find(context, "v1")
    return Reply(200, view(job, context.world, context.call.seen), request_id=job.id)


def put_request(context: Context) -> Reply:
    """``output`` without collectionId unlinks the collection; no ``output`` changes nothing of it (contract)."""
    job, world, now = find(context, "v1"), context.world, context.call.now
    body = read_object(context.call)
    refusal = may_update(job, now)
    if refusal is not None:
        return error(409, refusal, request_id=job.id)
    members: Json = {}
    if body.get("description") is not None:
        if not isinstance(body["description"], str):
            return violations([("description", "description has a wrong type.")])
        members["description"] = body["description"]
    if body.get("output") is not None:
        if not isinstance(body["output"], dict):
            return violations([("output", "output has a wrong type.")])
        number = body["output"].get("collectionId")
        if number is not None and (not isinstance(number, str) or number not in world.collections):
            return violations([("output->collectionId", f"Batch collection {number} does not exist.")])
        members["output"] = {**job.body_at(now).get("output", {}), "collectionId": number}
    job = job.changed(edits=(*job.edits, Edit(now, members)))
    if members.get("output", {}).get("collectionId") is not None:
        initialise(world, job, now)
    world.keep(job)
    return Reply(200, view(job, world, now), effect="updated", request_id=job.id)


def delete_request(context: Context) -> Reply:
    job, world, now = find(context, "v1"), context.world, context.call.now
    refusal = may_delete(job, world.ledger(job), now)
    if refusal is not None:
        return error(409, refusal, request_id=job.id)
    world.keep(job.changed(deleted=now))
    return Reply(204, effect="deleted", request_id=job.id)


def action(transition: Any) -> Handler:
    def handler(context: Context) -> Reply:
        if transition is not lifecycle.end:
            _check_used_up(context)
        return act(context, "v1", transition)

    return handler


def _check_used_up(context: Context) -> None:
    """403 for an account that has used up its processing units (a third party's word); the wording is ours.

    v2 and batch statistical ask for a least balance instead, and stop what is at work.
    """
    world = context.world
    # What was used is no more than what is planned, and that is quick to tell.
    if world.pu_left <= 0 and world.pu_used >= world.settings.balance:
        raise Refusal(error(403, "The processing units of this month are used up."))


def list_tiles(context: Context) -> Reply:
    """Nothing before analysis: ``data`` is missing, or null (which of them is not recorded)."""
    job, world, at = find(context, "v1"), context.world, context.call.seen
    path = f"{BASE}/process/{job.id}/tiles"
    wanted = context.call.parameter("status")
    if wanted is not None and wanted not in (*STATUSES, "QUEUED"):
        return error(400, f"Invalid status: {wanted}.", request_id=job.id)
    if not job.is_analysed(at) or (job.status(at) == "FAILED" and not job.runs):
        links = page(context, path, 0, lambda index: None)["links"]
        body: Json = {"links": links}
        return Reply(
            200, {"data": None, **body} if world.settings.null_tiles_before_analysis else body, request_id=job.id
        )
    if wanted is None:
        listed = page(context, path, world.ledger(job).size, lambda index: tile(job, world, index, at))
    else:
        code = STATUSES.index(wanted) if wanted in STATUSES else -1
        chosen = np.flatnonzero(world.ledger(job).codes(at) == code)
        listed = page(context, path, len(chosen), lambda index: tile(job, world, int(chosen[index]), at))
    return Reply(200, listed, request_id=job.id)


def get_tile(context: Context) -> Reply:
    job, number = find(context, "v1"), whole_number(context.parts["tile"])
    tiles = context.world.tiles(job) if job.is_analysed(context.call.seen) else None
    index = tiles.index_of(number) if tiles is not None and number is not None else None
    if index is None:
        return error(404, request_id=job.id)
    return Reply(200, tile(job, context.world, index, context.call.seen), request_id=job.id)


def tile(job: Job, world: World, index: int, at: float) -> Json:
    """``cost`` is before the batch discount, and 0.0 unless the tile is PROCESSED (seen for FAILED)."""
    tiles, book = world.tiles(job), world.ledger(job)
    assert tiles is not None
    code = int(book.codes(at, slice(index, index + 1))[0])
    return {
        "id": int(tiles.ids[index]),
        "requestId": job.id,
        "name": tiles.name(index),
        "status": STATUSES[code],
        "cost": float(book.costs[index]) if code == PROCESSED else 0.0,
        "geometry": tiles.geometry(index),
        "origin": tiles.origin(index),
    }


ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", f"{BASE}/process", post_request),
    ("GET", f"{BASE}/process", list_requests),
    ("GET", f"{BASE}/process/{{id}}", get_request),
    ("PUT", f"{BASE}/process/{{id}}", put_request),
    ("DELETE", f"{BASE}/process/{{id}}", delete_request),
    ("POST", f"{BASE}/process/{{id}}/analyse", action(lifecycle.analyse)),
    ("POST", f"{BASE}/process/{{id}}/start", action(lifecycle.start)),
    ("POST", f"{BASE}/process/{{id}}/cancel", action(lifecycle.end)),
    ("POST", f"{BASE}/process/{{id}}/restartpartial", action(lifecycle.restart_partial)),
    ("GET", f"{BASE}/process/{{id}}/tiles", list_tiles),
    ("GET", f"{BASE}/process/{{id}}/tiles/{{tile}}", get_tile),
    ("GET", f"{BASE}/tilinggrids", list_grids(f"{BASE}/tilinggrids")),
    ("GET", f"{BASE}/tilinggrids/{{id}}", get_grid),
    *COLLECTION_ROUTES,
]
