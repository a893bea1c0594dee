"""Replies at random: good ones, and what proxies, other versions and broken disks make of them. Seeded, bounded."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from airflow_sentinelhub.api.call import Call, Lost, Reply
from tests.api.feeding import ID, OTHER, v1, v2

STATUSES = (*[200] * 30, 201, 204, 206, 299, 301, 302, 304, 400, 401, 403, 404, 407, 408, 409, 418, 425, 429, 500, 503)
TYPES = ("application/json", "text/html", "application/octet-stream", "")
DIGITS = "a number of ten thousand digits"
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    9.5,
    10**30,
    DIGITS,
    float("nan"),
    float("inf"),
    "",
    " ",
    "text",
    "\ud800",
    "\x00\n\x1b[2J\u2028",
    "x" * 5000,
    "afx0123456789abcdef r0 j01234567",
    ID,
    [],
    {},
    [None],
    [[[]]],
    {"a": {"b": []}},
)
BODIES = (
    b"",
    b"   ",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"text"',
    b"[" * 100_000,
    b'{"data":' * 100_000,
    b"<html><head><title>Sign in</title></head></html>",
    b"<html><title>" + b"x" * 100_000,
    b"\xff\xfe\x00\x01",
    b'{"error": {"message": "no", "secretAccessKey": "hush"}}',
    b'{"error": ["a"]}',
    b'{"error": {"message": {"a": 1}, "code": 5, "errors": [1, 2, {"parameter": {}, "violation": []}]}}',
    b'{"data": {}}',
    b'{"data": "x"}',
    b'{"data": null}',
    b'{"links": {}}',
)
TILE = {"id": 38963, "requestId": ID, "name": "S08E036", "status": "PROCESSED", "cost": 139.87}


def good(call: Call[Any], dice: random.Random) -> Any:
    """A body that makes sense as the answer to this call."""
    request = v1 if call.path.startswith("/api/v1/batch") else v2
    status = dice.choice(("CREATED", "ANALYSIS_DONE", "PROCESSING", "DONE", "PARTIAL", "FAILED", "HIBERNATING"))
    one = request(status, dice.choice(("NONE", "ANALYSE", "START", "CANCEL")), id=dice.choice((*[ID] * 9, OTHER)))
    if "/tiles/" in call.path:
        return TILE
    if call.path.endswith("/tiles"):
        return _page([{**TILE, "id": n} for n in range(3)], dice)
    if call.method == "GET" and ID not in call.path:
        return _page([request(id=dice.choice((ID, OTHER, "3"))) for _ in range(3)], dice)
    return one


def _page(items: list[Any], dice: random.Random) -> dict[str, Any]:
    links = dice.choice(({}, {}, None, {"nextToken": dice.randrange(50)}, {"next": "/p?viewtoken=7"}, {"next": "/p"}))
    return {"data": items, "links": links}


def spoilt(body: Any, dice: random.Random) -> Any:
    """The body with some of its parts changed, taken away, or wrapped into others."""
    body = copy.deepcopy(body)
    for _ in range(dice.choice((1, 1, 2, 5))):
        holder, key = _some_place(body, dice)
        if holder is None:
            return copy.deepcopy(dice.choice(VALUES))
        how = dice.randrange(4)
        if how == 0 and isinstance(holder, dict):
            del holder[key]
        elif how == 1:
            holder[key] = [holder[key]]
        else:
            holder[key] = copy.deepcopy(dice.choice(VALUES))
    return body


def _some_place(body: Any, dice: random.Random) -> tuple[Any, Any]:
    places: list[tuple[Any, Any]] = []
    stack = [body]
    while stack:
        at = stack.pop()
        inner = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
        for key, value in inner:
            places.append((at, key))
            stack.append(value)
    top = [place for place in places if place[0] is body]
    return dice.choice(dice.choice((places, top))) if places else (None, None)


def written(body: Any) -> bytes:
    return json.dumps(body).replace(f'"{DIGITS}"', "9" * 10_000).encode()


def odd(dice: random.Random, share_good: float = 0.3) -> Callable[[Call[Any]], Reply | Lost]:
    """Answers calls at random; this share of the replies is as it should be."""

    def answer(call: Call[Any]) -> Reply | Lost:
        if dice.random() < share_good:
            return Reply(200, {"content-type": TYPES[0]}, written(good(call, dice)))
        if dice.random() < 0.03:
            return Lost("the connection was cut", ambiguous=dice.random() < 0.5)
        body = dice.choice(BODIES) if dice.random() < 0.3 else written(spoilt(good(call, dice), dice))
        if dice.random() < 0.1:
            body = body[: dice.randrange(len(body) + 1)]
        headers = {"content-type": dice.choice(TYPES), "location": dice.choice(("", "https://login/\n?x", "\x00"))}
        headers["retry-after"] = dice.choice(("", "soon", "-1", "1e999", "2000"))
        return Reply(dice.choice(STATUSES), headers, body)

    return answer
