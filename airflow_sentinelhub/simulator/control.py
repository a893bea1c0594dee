"""The control plane below ``/_simulator``: for tests and scripts. No token, no journal, no faults."""

from __future__ import annotations

from collections.abc import Callable

from . import byoc_listing, faults, lifecycle
from .clock import iso_microseconds
from .reading import read_json, whole_number
from .remote import PREFIX
from .replies import Call, Json, Reply
from .world import World


def answer(world: World, call: Call) -> Reply:
    """The reply to a call of the control plane; wrong input gets a 400 with one sentence."""
    world.tick()
    path = call.path.removeprefix(PREFIX).rstrip("/")
    handler = ROUTES.get((call.method, path))
    if handler is None:
        known = ", ".join(f"{method} {PREFIX}{name}" for method, name in ROUTES)
        return Reply(404, {"error": f"The control plane knows: {known}."})
    try:
        reply = Reply(200, handler(world, call))
    except ValueError as problem:
        return Reply(400, {"error": str(problem)})
    world.commit()
    return reply


def _body(call: Call) -> Json:
    body = read_json(call.body or b"{}", "The body")
    if not isinstance(body, dict):
        raise ValueError("The body is not a JSON object.")
    return body


def _journal(world: World, call: Call) -> Json:
    since = whole_number(call.parameter("since") or "0")
    if since is None:
        raise ValueError("since is the number of a call.")
    return {"calls": world.journal.since(since)}


def _requests(world: World, call: Call) -> Json:
    """Every request, also deleted ones. ``cost`` is in PU really charged; ``planned_cost`` what it will come to."""
    return {"requests": [summary(world, number) for number in world.jobs]}


def summary(world: World, number: str) -> Json:
    job, now = world.jobs[number], world.now
    book = world.ledger(job)
    step = job.step(now)
    return {
        "id": job.id,
        "generation": job.generation,
        "status": step.status,
        "user_action": job.action(now).name,
        "description": job.body_at(now).get("description"),
        "error": step.error,
        "stopped_reason": step.reason,
        "created": iso_microseconds(job.created),
        "deleted": job.deleted is not None and job.deleted <= now,
        "tiles": job.analysis.tiles if job.analysis is not None and job.is_analysed(now) else None,
        "cost": lifecycle.spent(job, book, now, world.settings),
        "planned_cost": job.planned_pu,
        "billed_starts": len(job.billed_starts),
        "restarts": len(job.restarts),
    }


def _force(world: World, call: Call) -> Json:
    """``{"id", "status", "reason", "error"}``: the request has this status from now on."""
    body = _body(call)
    number, status = body.get("id"), body.get("status")
    if not isinstance(number, str) or number not in world.jobs:
        raise ValueError(f"There is no request {number}.")
    job = world.jobs[number]
    possible = ["FAILED", "CANCELED" if job.generation == "v1" else "STOPPED"]
    if job.status(world.now) == "PARTIAL":
        possible.append("DONE")
    if status not in possible:
        raise ValueError(f"The request can be forced to be {' or '.join(possible)}, not {status}.")
    reason = body.get("reason", "UNHEALTHY" if status == "STOPPED" else None)
    if reason not in ((None,) if status != "STOPPED" else ("OUT_OF_PU", "USER_ACTION", "UNHEALTHY")):
        raise ValueError(f"{reason} is no reason for {status}.")
    error = body.get("error")
    if error is not None and not isinstance(error, str):
        raise ValueError("The error of a request is a text.")
    world.keep(lifecycle.forced(job, str(status), reason, error, world.terms(job, {})))
    return summary(world, number)


def _clock(world: World, call: Call) -> Json:
    return {"now": iso_microseconds(world.now), "seconds": world.now, "speed": world.clock.speed}


def _set_clock(world: World, call: Call) -> Json:
    """``speed`` and ``step``, one or both; a step comes first."""
    body = _body(call)
    unknown = set(body) - {"speed", "step"}
    if unknown or not body:
        raise ValueError("The clock takes speed and step.")
    clock = world.clock
    if "step" in body:
        clock = clock.stepped(body["step"], world.moment)
    if "speed" in body:
        clock = clock.at_speed(body["speed"], world.moment)
    world.set_clock(clock)
    return _clock(world, call)


def _faults(world: World, call: Call) -> Json:
    return {"faults": [fault.as_dict() for fault in world.faults.values()]}


def _add_fault(world: World, call: Call) -> Json:
    order = _body(call)
    fault = faults.parse(str(world.counters["faults"] + 1), order)
    world.count("faults")
    world.keep_fault(fault)
    return {"id": fault.id}


def _clear_faults(world: World, call: Call) -> Json:
    world.clear_faults()
    return {"faults": []}


def _settings(world: World, call: Call) -> Json:
    return {**world.settings.as_dict(), "balance_left": world.pu_left}


def _collections(world: World, call: Call) -> Json:
    """The collections of own data (BYOC) that tasks of v2 deliver into: the service tells no task's."""
    return {"collections": byoc_listing.collections(world)}


def _limits(world: World, call: Call) -> Json:
    """The rate limits that are on, and what is left of each. The service itself does not tell any more."""
    return {"limits": world.limits.described(world.settings, world.moment, world.now, world.pu_used)}


def _change_settings(world: World, call: Call) -> Json:
    world.change_settings(_body(call))
    return _settings(world, call)


def _reset(world: World, call: Call) -> Json:
    world.reset()
    return {"reset": world.counters["resets"]}


ROUTES: dict[tuple[str, str], Callable[[World, Call], Json]] = {
    ("GET", "/journal"): _journal,
    ("GET", "/requests"): _requests,
    ("POST", "/requests"): _force,
    ("GET", "/clock"): _clock,
    ("POST", "/clock"): _set_clock,
    ("GET", "/faults"): _faults,
    ("POST", "/faults"): _add_fault,
    ("DELETE", "/faults"): _clear_faults,
    ("GET", "/settings"): _settings,
    ("POST", "/settings"): _change_settings,
    ("GET", "/limits"): _limits,
    ("GET", "/collections"): _collections,
    ("POST", "/reset"): _reset,
}
