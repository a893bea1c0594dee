"""Batch v2: tasks. The same handlers answer under the old form of the path and the new one; links use the new one."""

from __future__ import annotations

from typing import Any

from . import lifecycle, payload_v2
from .clock import iso_microseconds
from .features import FeaturesError
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
    page_of_jobs,
    read_create_body,
    read_object,
)
from .jobs import FINAL, Edit, Job
from .replies import Json, Reply, error, violations
from .v1_rules import may_update
from .world import World

# seen: since March 2026 links inside replies have the new form, whichever form was called.
OLD, BASE = "/api/v2/batch", "/batch/v2"


def view(job: Job, world: World, at: float) -> Json:
    """The task as it was at a time. What is not set is absent, never null (seen)."""
    step, action = job.step(at), job.action(at)
    shown: Json = {
        "id": job.id,
        "request": job.body_at(at),
        **({"domainAccountId": world.client.account} if world.settings.domain_account_id else {}),
        "projectId": world.uuid("project"),
        "workspaceId": world.uuid("workspace"),
        "status": step.status,
        "userAction": action.name,
    }
    if action.name != "NONE":
        shown["userActionUpdated"] = iso_microseconds(action.at)
    if step.error is not None:
        shown["error"] = step.error
    if step.reason is not None:
        shown["stoppedStatusReason"] = step.reason
    shown["created"] = iso_microseconds(job.created)
    share, changed = _progress(job, world, at)
    shown["completionPercentage"] = _percent(share)
    if step.status != "CREATED" or action.name != "NONE":
        shown["lastUpdated"] = iso_microseconds(max(step.at, action.at, changed))
    shown["costPU"] = lifecycle.spent(job, world.ledger(job), at, world.settings) if job.runs else 0.0
    return shown


def _percent(share: float) -> float | int:
    """Whole numbers without a point (seen: 100)."""
    percent = round(100 * share, 2)
    return int(percent) if percent == int(percent) else percent


def _progress(job: Job, world: World, at: float) -> tuple[float, float]:
    """The finished share, 0 to 1, and when it last moved. Failed features are finished features."""
    if job.status(at) == "DONE":
        return 1.0, job.created
    if not job.runs or not job.is_analysed(at):
        return 0.0, job.created
    book = world.ledger(job)
    done = [times.finish[times.finish <= at].max(initial=job.created) for times in book.times]
    return book.finished_share(at), float(max(done)) if job.status(at) not in FINAL else job.created


def post_task(context: Context) -> Reply:
    world = context.world
    check_account(context)
    body = read_create_body(context.call)
    findings = payload_v2.check(body, world.settings.max_vertices, world.settings.place)
    if findings.found:
        return violations(findings.found)
    if world.pu_left < world.settings.minimum_balance:
        # doc: at least 1000 PU are needed; what the service says then is not known.
        message = f"At least {world.settings.minimum_balance:g} processing units are needed to create a batch request."
        return error(403, message)
    content = None
    if body["input"]["type"] == "geopackage":
        try:
            content = world.deliveries.geopackage(body, "v2")
        except FeaturesError as problem:
            return violations([("input->features", str(problem))])
    job = create(context, "v2", payload_v2.echo(body))
    if content is not None:
        world.deliveries.keep_geopackage(job, content)
    world.keep(job)
    return Reply(201, view(job, world, world.now), effect="created", request_id=job.id)


def list_tasks(context: Context) -> Reply:
    """``search`` is ignored, since it is gone from the newer contract; a setting brings it back."""
    call = context.call
    search = call.parameter("search") if context.world.settings.search_tasks else None

    def wanted(job: Job) -> bool:
        return matches(search, job.body_at(call.seen).get("description", ""))

    return Reply(200, page_of_jobs(context, f"{BASE}/process", "v2", view, wanted))


def get_task(context: Context) -> Reply:
    job = find(context, "v2")
    return Reply(200, view(job, context.world, context.call.seen), request_id=job.id)


def put_task(context: Context) -> Reply:
    """Answers the request, not the task (contract)."""
    job, now = find(context, "v2"), context.call.now
    body = read_object(context.call)
    refusal = may_update(job, now)
    if refusal is not None:
        return error(409, refusal, request_id=job.id)
    if "description" in body and not isinstance(body["description"], str):
        return violations([("description", "description has a wrong type.")])
    members = {"description": body["description"]} if "description" in body else {}
    job = job.changed(edits=(*job.edits, Edit(now, members)))
    context.world.keep(job)
    return Reply(200, job.body_at(now), effect="updated", request_id=job.id)


def action(transition: Any) -> Handler:
    return lambda context: act(context, "v2", transition)


def _routes(base: str) -> list[tuple[str, str, Handler]]:
    return [
        ("POST", f"{base}/process", post_task),
        ("GET", f"{base}/process", list_tasks),
        ("GET", f"{base}/process/{{id}}", get_task),
        ("PUT", f"{base}/process/{{id}}", put_task),
        ("POST", f"{base}/process/{{id}}/analyse", action(lifecycle.analyse)),
        ("POST", f"{base}/process/{{id}}/start", action(lifecycle.start)),
        ("POST", f"{base}/process/{{id}}/stop", action(lifecycle.end)),
        ("GET", f"{base}/tilinggrids", list_grids(f"{BASE}/tilinggrids")),
        ("GET", f"{base}/tilinggrids/{{id}}", get_grid),
    ]


ROUTES: list[tuple[str, str, Handler]] = [*_routes(OLD), *_routes(BASE)]
