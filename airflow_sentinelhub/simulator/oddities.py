"""What the service does now and then by itself, to calls that were right. Off unless a setting asks for it."""

from __future__ import annotations

import re

from .deployments import TOKEN_PATHS
from .ledger import generator
from .replies import Call, Reply, error
from .world import World

_CREATE = re.compile(r"/(?:process|statistics/batch(?:/v1)?)/?$")
# Of the API's odd answers a third are tokens that are refused although they are alive.
_REFUSED_TOKENS = 1 / 3


def odd_answer(world: World, call: Call) -> Reply | None:
    """An answer that the call does not deserve, given before anything of it is done; mostly None.

    Token requests lack their grant type, creates their body (both seen on correct calls); a token that is alive is
    refused until another one is asked for; anything else is a 503 (expected at times, says the vendor). Which calls are
    hit depends on the seed and on the number of the call alone.
    """
    share = world.settings.odd_share
    if not share:
        return None
    dice = generator(world.seed, "odd", world.counters["resets"], world.journal.next_number())
    if dice.random() >= share:
        return None
    which = float(dice.random())
    if call.path in TOKEN_PATHS:
        return Reply(400, {"error": "invalid_request", "error_description": "Missing grant_type parameter"})
    if which < _REFUSED_TOKENS:
        world.set_counter("revoked", world.counters["tokens"])
        return error(401)
    if call.method == "POST" and _CREATE.search(call.path) and which < 2 * _REFUSED_TOKENS:
        return error(400, "Request body should be non-empty.")
    return error(503)
