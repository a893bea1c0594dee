"""Faults that a test orders: which calls they hit, and what they do to them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from . import patterns
from .ledger import STUCK_ROUNDS_TO_FAIL, generator
from .replies import Reply, error_body, html

# These are used up when a run or an analysis really begins, not by a call that only asked for it.
AT_WORK = ("fail_tiles", "stuck_tiles", "fail_analysis")
# Where a kind hits when the order names no path: calls of the API, or those that begin the work in question.
_PATHS = {
    "lag": r"^(?!.*/token$)",
    "expire_tokens": r"^(?!.*/token$)",
    "fail_tiles": r"/(start|restartpartial)$",
    "stuck_tiles": r"/(start|restartpartial)$",
    "fail_analysis": r"/(analyse|start)$",
}
# Of these at most one hits a call, since each decides what the client gets. All others combine freely.
ANSWERS = ("status", "html", "truncate", "drop_before", "drop_after")
# Options of each kind with their defaults. ``when``: before the effect (nothing happens) or after it.
KINDS: dict[str, dict[str, Any]] = {
    # A reply with this status. retry_after_ms: number, null for no header; by default 1000 with 429. bare: no wrapper.
    "status": {
        "status": 503,
        "when": "before",
        "retry_after_ms": -1,
        "body": None,
        "bare": False,
        "message": None,
        "code": None,
    },
    # An HTML error page.
    "html": {"status": 503, "when": "before"},
    # The real reply, cut off in the middle.
    "truncate": {},
    # The connection is cut without a reply, before or after the effect.
    "drop_before": {},
    "drop_after": {},
    # The reply comes so many real seconds later, after the effect.
    "delay": {"seconds": 1.0},
    # Reads are so many simulated seconds old: what was just created is not found.
    "lag": {"seconds": 5.0},
    # All tokens given out so far are refused from now on.
    "expire_tokens": {},
    # Hit the call that begins processing (start, restartpartial): a share of the tiles, or tiles by name.
    "fail_tiles": {"share": None, "names": None},
    "stuck_tiles": {"share": None, "names": None, "rounds": STUCK_ROUNDS_TO_FAIL},
    # Hits the call that begins analysis (analyse, start).
    "fail_analysis": {"error": "Requested band 'HH' is not present in Sentinel 1 tile"},
}


LONGEST_SECONDS = 10_000_000
_HEADER = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?")


@dataclass(frozen=True)
class Fault:
    """One order. ``times``: how many more calls it hits, None for all; ``path``: see ``patterns``."""

    id: str
    kind: str
    path: str
    method: str | None
    times: int | None
    options: dict[str, Any]

    def hits(self, method: str, path: str) -> bool:
        return self.times != 0 and self.method in (None, method) and patterns.matches(self.path, path)

    def used(self) -> Fault:
        return self if self.times is None else replace(self, times=self.times - 1)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def parse(number: str, order: Any) -> Fault:
    """The fault of an order to the control plane; ValueError in one sentence."""
    if not isinstance(order, dict) or not isinstance(order.get("kind"), str) or order["kind"] not in KINDS:
        raise ValueError(f"A fault needs a kind, one of {', '.join(KINDS)}.")
    kind = order["kind"]
    options = {name: value for name, value in order.items() if name not in ("kind", "path", "method", "times")}
    unknown = set(options) - set(KINDS[kind])
    if unknown:
        known = ", ".join(KINDS[kind]) or "none"
        raise ValueError(f"A fault of kind {kind} has no option {sorted(unknown)[0]!r}; its options are: {known}.")
    path, method, times = order.get("path") or _PATHS.get(kind, ""), order.get("method"), order.get("times", 1)
    if not isinstance(path, str):
        raise ValueError("The fault's path is no regular expression: it is no text.")
    try:
        patterns.check(path)
    except ValueError as problem:
        raise ValueError(f"The fault's path {problem}") from None
    if method is not None and not isinstance(method, str):
        raise ValueError("The fault's method is a word such as GET.")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError("The fault's times is a whole number above 0, or null for ever.")
    fault = Fault(number, kind, path, method.upper() if method else None, times, {**KINDS[kind], **options})
    _check_options(fault)
    return fault


def _check_options(fault: Fault) -> None:
    options = fault.options
    for name in ("seconds", "share"):
        # Names of tiles may take the place of a share.
        if name in options and not _is_number(options[name]) and not (name == "share" and options[name] is None):
            raise ValueError(f"The fault's {name} is a number.")
    if not 0 <= options.get("seconds", 0) <= LONGEST_SECONDS:
        raise ValueError(f"The fault's seconds are from 0 to {LONGEST_SECONDS:,}.")
    if options.get("when", "before") not in ("before", "after"):
        raise ValueError("The fault's when is before or after.")
    status = options.get("status", 503)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError("The fault's status is an HTTP status from 200 to 599.")
    if not isinstance(options.get("bare", False), bool):
        raise ValueError("The fault's bare is true or false.")
    for name in ("message", "code", "error"):
        # Without an error fail_analysis would be no fault; the other two have defaults.
        missing = name != "error" and options.get(name) is None
        if name in options and not missing and not isinstance(options[name], str):
            raise ValueError(f"The fault's {name} is a text.")
    wait = options.get("retry_after_ms")
    # A text is sent as it is, as long as a header can hold it: what a client makes of it may be the test.
    if wait is not None and not (_is_number(wait) or (isinstance(wait, str) and _HEADER.fullmatch(wait))):
        raise ValueError("The fault's retry_after_ms is a number, a short text that a header can hold, or null.")
    if fault.kind in ("fail_tiles", "stuck_tiles"):
        share, names = options["share"], options["names"]
        if (share is None) == (names is None):
            raise ValueError(f"A fault of kind {fault.kind} needs either share or names.")
        if share is not None and not 0 <= share <= 1:
            raise ValueError("The fault's share is a number from 0 to 1.")
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("The fault's names is a list of tile names.")
    rounds = options.get("rounds", 1)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or not 1 <= rounds <= STUCK_ROUNDS_TO_FAIL:
        raise ValueError(f"The fault's rounds is a whole number from 1 to {STUCK_ROUNDS_TO_FAIL}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def select(faults: Iterable[Fault], method: str, path: str) -> dict[str, Fault]:
    """The faults that hit a call, oldest first of each kind, and only one of those that decide the answer."""
    chosen: dict[str, Fault] = {}
    for fault in faults:
        answers = fault.kind in ANSWERS and any(kind in ANSWERS for kind in chosen)
        if not answers and fault.kind not in chosen and fault.hits(method, path):
            chosen[fault.kind] = fault
    return chosen


def answer(fault: Fault) -> Reply:
    """What a fault of kind status or html makes the client get."""
    status = fault.options["status"]
    if fault.kind == "html":
        return html(status)
    headers = {}
    wait = fault.options["retry_after_ms"]
    if wait == -1:
        wait = 1000 if status == 429 else None
    if wait is not None:
        # Milliseconds (seen), where RFC 9110 has seconds.
        headers["retry-after"] = str(wait)
    body = fault.options["body"]
    if body is None:
        body = error_body(status, fault.options["message"], fault.options["code"])
        body = body["error"] if fault.options["bare"] else body
    return Reply(status, body, headers)


def share_of(share: float, tiles: list[int], seed: str) -> tuple[int, ...]:
    """So many of the tiles: at least one for a share above 0, not all for one below 1 (if there are two or more)."""
    count = round(share * len(tiles))
    if share > 0:
        count = max(count, 1)
    if share < 1 and len(tiles) > 1:
        count = min(count, len(tiles) - 1)
    order = generator(seed, "share").permutation(len(tiles))[:count]
    return tuple(sorted(tiles[index] for index in order.tolist()))
