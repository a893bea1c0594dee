"""Batch statistical. The same handlers answer under the old form of the path and the new one; links use the new one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import lifecycle, statistical_payload, v2
from .features import FeaturesError
from .handlers import Context, Handler, act, check_account, find, new_job, page_of_jobs, read_create_body
from .jobs import Job
from .lifecycle import Terms
from .replies import Json, Refusal, Reply, error, violations
from .world import World

OLD, BASE = "/api/v1/statistics/batch", "/statistics/batch/v1"
# contract: the part of a request that `/status` shows.
_STATUS_PART = (
    "id",
    "status",
    "error",
    "completionPercentage",
    "lastUpdated",
    "costPU",
    "created",
    "stoppedStatusReason",
)


def view(job: Job, world: World, at: float) -> Json:
    """The request as it was at a time: as a task of v2, spelling included (costPU, seen)."""
    return v2.view(job, world, at)


def status_view(job: Job, world: World, at: float) -> Json:
    shown = view(job, world, at)
    return {name: shown[name] for name in _STATUS_PART if name in shown}


def post_request(context: Context) -> Reply:
    world = context.world
    check_account(context)
    body = read_create_body(context.call)
    findings = statistical_payload.check(body, world.settings.place)
    if findings.found:
        return violations(findings.found)
    _check_balance(world, "create", None)
    try:
        content = world.deliveries.geopackage(body, "statistical")
    except FeaturesError as problem:
        return violations([("input->features", str(problem))])
    job = new_job(context, "statistical", statistical_payload.echo(body))
    world.deliveries.keep_geopackage(job, content)
    world.keep(job)
    return Reply(201, view(job, world, world.now), effect="created", request_id=job.id)


def list_requests(context: Context) -> Reply:
    return Reply(200, page_of_jobs(context, BASE, "statistical", view))


def get_request(context: Context) -> Reply:
    job = find(context, "statistical")
    return Reply(200, view(job, context.world, context.call.seen), request_id=job.id)


def get_status(context: Context) -> Reply:
    job = find(context, "statistical")
    return Reply(200, status_view(job, context.world, context.call.seen), request_id=job.id)


def action(transition: Any, word: str) -> Handler:
    """analyse and start need 1000 PU, as create does (doc), and what comes of them shows after minutes (seen)."""

    def slowly(job: Job, terms: Terms) -> Any:
        return transition(
            job, replace(terms, settings=replace(terms.settings, action_lag=terms.settings.statistical_lag))
        )

    def handler(context: Context) -> Reply:
        if word == "stop":
            return act(context, "statistical", transition)
        _check_balance(context.world, word, find(context, "statistical"))
        return act(context, "statistical", slowly)

    return handler


def _check_balance(world: World, word: str, job: Job | None) -> None:
    """403 for an account with too little; what the service says then is not known."""
    least = world.settings.minimum_balance
    if world.pu_left + (job.planned_pu if job is not None else 0.0) < least:
        message = f"At least {least:g} processing units are needed to {word} a batch statistical request."
        raise Refusal(error(403, message, request_id=job.id if job is not None else None))


def _routes(base: str) -> list[tuple[str, str, Handler]]:
    return [
        ("POST", base, post_request),
        ("GET", base, list_requests),
        ("GET", f"{base}/{{id}}", get_request),
        ("GET", f"{base}/{{id}}/status", get_status),
        ("POST", f"{base}/{{id}}/analyse", action(lifecycle.analyse, "analyse")),
        ("POST", f"{base}/{{id}}/start", action(lifecycle.start, "start")),
        ("POST", f"{base}/{{id}}/stop", action(lifecycle.end, "stop")),
        # The old name of stop, which the vendor's client still calls.
        ("POST", f"{base}/{{id}}/cancel", action(lifecycle.end, "stop")),
    ]


ROUTES: list[tuple[str, str, Handler]] = [*_routes(OLD), *_routes(BASE)]
