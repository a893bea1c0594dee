"""The time intervals into which an aggregation (batch statistical) divides its time range: how many, and how long."""

from __future__ import annotations

import math
import re
from typing import Any

from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.service.observations import days_between

_DURATION = re.compile(r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_DAYS = (365.0, 30.0, 7.0, 1.0, 1 / 24, 1 / 1440, 1 / 86_400)
_ALMOST = 1e-9


def days_of(duration: Any) -> float | None:
    """Length of an ISO 8601 duration in days, a month as 30 of them; None for anything else and for no length."""
    match = _DURATION.fullmatch(duration.strip()) if isinstance(duration, str) else None
    if match is None:
        return None
    days = sum(int(part or 0) * unit for part, unit in zip(match.groups(), _DAYS, strict=True))
    return days if days > 0 else None


def intervals_of(aggregation: Any) -> tuple[int, float] | None:
    """Number and length (days) of the intervals of an aggregation; None if its members cannot be read.

    A shorter rest at the end of the range is left out, shortened or extended, by `lastIntervalBehavior`.
    """
    days = days_between(member(aggregation, "timeRange", "from"), member(aggregation, "timeRange", "to"))
    length = days_of(member(aggregation, "aggregationInterval", "of"))
    if days is None or length is None:
        return None
    rest = member(aggregation, "aggregationInterval", "lastIntervalBehavior") or "SKIP"
    shares = days / length
    count = math.floor(shares + _ALMOST) if rest == "SKIP" else math.ceil(shares - _ALMOST)
    return max(0, count), length
