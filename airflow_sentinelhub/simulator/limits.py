"""Rate limits: token buckets, as the service has them for requests and for processing units (doc).

A bucket holds what may be used at once, is filled up evenly, and never holds more than that: nothing is saved up. Of
several limits all must let a call pass; one that is refused uses nothing of any.

Requests are counted in REAL seconds, since the clients' clocks are real. Processing units are counted in simulated
seconds, in which they are used up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .replies import Reply, error_body, html
from .settings import Settings

Kind = Literal["REQUESTS", "PROCESSING_UNITS", "TOKENS"]
_MINUTE, _MONTH = 60.0, 744 * 3600.0
# Seconds: the most that a header tells to wait, a third of a year.
LONGEST_WAIT = 10_000_000.0


@dataclass(frozen=True)
class Policy:
    """One limit: so much in so many seconds. ``period`` is the same as an ISO 8601 duration."""

    kind: Kind
    capacity: float
    seconds: float
    period: str

    @property
    def rate(self) -> float:
        """What flows in per second."""
        return self.capacity / self.seconds


def policies(settings: Settings) -> list[Policy]:
    """The limits that are on."""
    possible: tuple[tuple[Kind, float | None, float, str], ...] = (
        ("REQUESTS", settings.requests_per_minute, _MINUTE, "PT1M"),
        ("REQUESTS", settings.requests_per_month, _MONTH, "PT744H"),
        ("PROCESSING_UNITS", settings.pu_per_minute, _MINUTE, "PT1M"),
        ("TOKENS", settings.tokens_per_minute, _MINUTE, "PT1M"),
    )
    return [Policy(kind, float(most), seconds, period) for kind, most, seconds, period in possible if most is not None]


@dataclass
class _Bucket:
    left: float
    at: float
    # Processing units that the account had used by then.
    used: float = 0.0


class Limits:
    """The buckets of a service. They are full at its start: how full they were is not kept on disk."""

    def __init__(self) -> None:
        self._buckets: dict[Policy, _Bucket] = {}

    def clear(self) -> None:
        self._buckets.clear()

    def wait(self, asked: Iterable[Policy], now: float, used: float = 0.0) -> float:
        """Seconds until a call may be made; 0 for one that may be made now, and then it counts.

        :param asked: the policies that the call must pass, all with this clock.
        :param used: processing units that the account has used in all. A call that begins work passes while something
            is left in the bucket, however much it will use.
        """
        chosen = [(policy, self._filled(policy, now, used)) for policy in asked]
        waits = [(_needed(policy) - bucket.left) / policy.rate for policy, bucket in chosen]
        # What a float makes of 599.9999999 is a whole request.
        longest = max((wait for wait in waits if wait > 1e-6), default=0.0)
        if not longest:
            for policy, bucket in chosen:
                bucket.left -= 0.0 if policy.kind == "PROCESSING_UNITS" else 1.0
        return longest

    def described(self, settings: Settings, real: float, simulated: float, used: float) -> list[dict[str, Any]]:
        """The limits that are on, in the words of the vendor's library, and what is left of each."""
        shown = []
        for policy in policies(settings):
            pu = policy.kind == "PROCESSING_UNITS"
            bucket = self._filled(policy, simulated if pu else real, used if pu else 0.0)
            shown.append(
                {
                    "type": policy.kind,
                    "capacity": policy.capacity,
                    "samplingPeriod": policy.period,
                    "nanosBetweenRefills": round(1e9 / policy.rate),
                    "left": bucket.left,
                }
            )
        return shown

    def _filled(self, policy: Policy, now: float, used: float) -> _Bucket:
        bucket = self._buckets.get(policy)
        if bucket is None:
            bucket = self._buckets[policy] = _Bucket(policy.capacity, now, used)
        passed, spent = max(0.0, now - bucket.at), max(0.0, used - bucket.used)
        bucket.left = min(policy.capacity, bucket.left + passed * policy.rate) - spent
        bucket.at, bucket.used = max(now, bucket.at), max(used, bucket.used)
        return bucket


def _needed(policy: Policy) -> float:
    return min(1.0, policy.capacity)


def refusal(seconds: float, settings: Settings) -> Reply:
    """The 429 of the API. Its header counts milliseconds (seen), where RFC 9110 has seconds."""
    body = error_body(429)
    wait = math.ceil(min(seconds, LONGEST_WAIT) * 1000)
    headers = {"retry-after": str(wait)} if settings.retry_after else {}
    return Reply(429, body["error"] if settings.bare_429 else body, headers)


def refused_token() -> Reply:
    """The 429 of the token endpoint: a page in HTML (seen), of whose headers nothing is known."""
    return html(429)
