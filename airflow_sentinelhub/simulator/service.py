"""From a call to its reply: routes, tokens, faults, journal. Synchronous: one call is one indivisible step."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from . import catalog, faults, limits, oauth, statistical, v1, v2
from .clock import iso_microseconds
from .deployments import TOKEN_PATHS
from .handlers import Context, Handler
from .jobs import Generation
from .oddities import odd_answer
from .replies import Call, Refusal, Reply, error
from .settings import Settings
from .world import World

# Where a POST creates a request or begins its work.
_WORK = re.compile(r"/(?:process|statistics/batch(?:/v1)?|analyse|start|restartpartial)/?$")


@dataclass(frozen=True)
class Answer:
    """What the server has to do: send ``reply`` after ``delay`` real seconds, or cut the connection (None).

    ``truncate``: send the head and half of the body, then cut.
    """

    reply: Reply | None
    delay: float = 0.0
    truncate: bool = False


class Service:
    """The public side of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        tables: tuple[tuple[Generation | None, list[tuple[str, str, Handler]]], ...] = (
            ("v1", v1.ROUTES),
            ("v2", v2.ROUTES),
            ("statistical", statistical.ROUTES),
            (None, catalog.ROUTES),
        )
        self._routes = [
            (method, _pattern(path), handler, generation)
            for generation, routes in tables
            for method, path, handler in routes
        ]

    def answer(self, call: Call) -> Answer:
        """Answers, keeps the journal, and has everything on disk before it returns."""
        world = self.world
        world.tick()
        hits = faults.select(world.faults.values(), call.method, call.path)
        if "expire_tokens" in hits:
            world.set_counter("revoked", world.counters["tokens"])
        lag = max(float(hits["lag"].options["seconds"]) if "lag" in hits else 0.0, world.settings.replica_lag)
        call = replace(call, now=world.now, seen=world.now - lag)
        made = next((hits[kind] for kind in ("status", "html") if kind in hits), None)
        odd = odd_answer(world, call) if not any(kind in hits for kind in faults.ANSWERS) else None
        real: Reply | None = odd
        if odd is None and "drop_before" not in hits and (made is None or made.options["when"] == "after"):
            real = self._really(call, hits)
        # What was to go wrong at work is used up, and named, only when the work has begun.
        idle = () if real is not None and real.effect is not None else faults.AT_WORK
        hits = {kind: fault for kind, fault in hits.items() if kind not in idle}
        for fault in hits.values():
            world.keep_fault(fault.used())
        sent = faults.answer(made) if made is not None else real
        if "drop_before" in hits or "drop_after" in hits:
            sent = None
        world.record(
            {
                "at": iso_microseconds(world.now),
                "method": call.method,
                "path": call.path,
                "query": urlencode(call.query),
                "status": sent.status if sent else None,
                "fault": ",".join([*hits, *(["odd"] if odd else [])]) or None,
                "request_id": (real.request_id if real else None) or _request_id(call.path),
                "effect": real.effect if real else None,
            }
        )
        world.commit()
        delay = float(hits["delay"].options["seconds"]) if "delay" in hits else 0.0
        return Answer(sent, delay, truncate="truncate" in hits and sent is not None)

    def _really(self, call: Call, hits: dict[str, faults.Fault]) -> Reply:
        """What the service does and says when nothing comes in between."""
        world = self.world
        settings = world.settings
        if call.path in TOKEN_PATHS:
            return self._token(call)
        routes = [
            (method, found, handler)
            for method, pattern, handler, generation in self._routes
            if (found := pattern.match(call.path)) and _offers(settings, generation)
        ]
        if not routes:
            return error(404)
        if not oauth.accepts(world.client, call.headers.get("authorization"), world.counters["revoked"], world.moment):
            return error(401)
        waits = self._wait(call)
        if waits:
            return limits.refusal(waits, settings)
        chosen: tuple[re.Match[str], Handler] | None = next(
            ((found, handler) for method, found, handler in routes if method == call.method), None
        )
        if chosen is None:
            return error(405)
        try:
            return chosen[1](Context(world, call, chosen[0].groupdict(), hits))
        except Refusal as refusal:
            return refusal.reply

    def _wait(self, call: Call) -> float:
        """Real seconds until the account may make this call; 0 when it may now."""
        world = self.world
        on = limits.policies(world.settings)
        work = [policy for policy in on if policy.kind == "PROCESSING_UNITS" and _begins_work(call)]
        if work:
            simulated = world.limits.wait(work, world.now, world.pu_used)
            if simulated:
                return simulated / (world.clock.speed or 1.0)
        return world.limits.wait([policy for policy in on if policy.kind == "REQUESTS"], world.moment)

    def _token(self, call: Call) -> Reply:
        world, settings = self.world, self.world.settings
        if call.path not in settings.place.token_paths:
            # The authority of another deployment lives elsewhere; here its realm is not known.
            return Reply(404, {"error": "Realm does not exist"})
        if call.method != "POST":
            return error(405)
        asked = [policy for policy in limits.policies(settings) if policy.kind == "TOKENS"]
        if world.limits.wait(asked, world.moment):
            return limits.refused_token()
        number, lifetime = world.count("tokens"), settings.token_lifetime
        return oauth.token_reply(world.client, call.body, number, lifetime, world.moment, settings.batch_account)


def _begins_work(call: Call) -> bool:
    """Whether the call may lead to work that uses processing units."""
    return call.method == "POST" and _WORK.search(call.path) is not None


def _offers(settings: Settings, generation: Generation | None) -> bool:
    """Whether the deployment has the service at all; the path of one that it has not is unknown to it.

    All of them have the catalog (None).
    """
    if generation is None:
        return True
    if generation == "v1" and not settings.v1_answers:
        return False
    return settings.place.offers(generation)


def _pattern(path: str) -> re.Pattern[str]:
    """``/process/{id}`` as a pattern; a slash at the end does no harm (doc, for the grids)."""
    return re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?$")


def _request_id(path: str) -> str | None:
    """The request that a path is about, also when the call did not get that far."""
    match = re.search(r"/(?:process|statistics/batch(?:/v1)?)/(?!v1$)([^/]+)", path)
    return match[1] if match else None
