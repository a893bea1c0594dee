"""How many observations of a place a time range holds: between a low and a high number, by the collection's revisit.

ORBIT and TILE mosaicking bill each observation, and nobody tells their number before the job has run. Revisit times
are those of the missions. The service's own estimate (v1) assumes one observation every three days, whatever the
mission, so that number is always inside of the range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_sentinelhub.api.decoding import member, number, read_time
from airflow_sentinelhub.api.service.data_sources import CUSTOM, FORMER, OWN

DAYS_ASSUMED = 3.0
"""Days between two observations that the service assumes in its own estimate."""
OVERLAP = 2.0
"""TILE mosaicking reads the tiles of a scene; a pixel where two of them overlap has two samples."""
_DAY = 86_400.0
_REVISIT: dict[str, tuple[float, float]] = {
    "sentinel-1-grd": (12.0, 1.5),
    "sentinel-2-l1c": (5.0, 2.0),
    "sentinel-2-l2a": (5.0, 2.0),
    "hls": (4.0, 1.0),
    **dict.fromkeys(("landsat-ot-l1", "landsat-ot-l2", "landsat-8-l1c"), (16.0, 3.0)),
    **dict.fromkeys(("landsat-etm-l1", "landsat-etm-l2", "landsat-tm-l1", "landsat-tm-l2"), (16.0, 3.0)),
    "landsat-mss-l1": (18.0, 3.0),
    **dict.fromkeys(("modis", "sentinel-5p-l2", "sentinel-3-olci", "sentinel-3-olci-l2"), (3.0, 0.5)),
    **dict.fromkeys(("sentinel-3-slstr", "sentinel-3-slstr-l2", "sentinel-3-synergy-l2"), (3.0, 0.5)),
}
"""Longest and shortest time between two observations of a place, in days, over the years and latitudes."""
_STILL = ("dem",)


@dataclass(frozen=True)
class Observations:
    """Observations of one data source, in a time range.

    :param low, high: at least and at most so many, from 1.
    :param why: how they come about, as part of a sentence.
    """

    low: float
    high: float
    why: str


def days_between(start: Any, stop: Any) -> float | None:
    """Days from one time of the service to another (0 if they are reversed); None if one of them is not known."""
    begin, end = read_time(start), read_time(stop)
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds() / _DAY)


def observations_of(source: Any, mosaicking: str, days: float | None = None) -> Observations | None:
    """The observations of a `data` object of the payload; None if its time range is not known.

    :param mosaicking: ORBIT or TILE.
    :param days: length of the time range, where it is not the source's own.
    """
    name = str(member(source, "type") or "")
    name = FORMER.get(name, name)
    if name in _STILL:
        return Observations(1.0, 1.0, f"{name} does not change with time")
    if days is None:
        times = member(source, "dataFilter", "timeRange")
        days = days_between(member(times, "from"), member(times, "to"))
        if days is None:
            return None
    low, high, why = _in_days(name, days)
    most = number(member(source, "dataFilter", "maxCloudCoverage"))
    if most is not None and most < 100:
        low *= most / 100
        why += f", of which the cloud limit of {most:g} % lets an unknown share pass"
    if mosaicking == "TILE":
        high *= OVERLAP
        why += ", twice as many where tiles of a scene overlap"
    return Observations(max(1.0, low), max(1.0, high), f"{name or 'the source'}: {why}")


def _in_days(name: str, days: float) -> tuple[float, float, str]:
    if name not in _REVISIT:
        kind = "a collection of yours" if name.startswith(OWN) or name in CUSTOM else "a collection unknown here"
        return 0.0, float(math.ceil(days)), f"{kind}, from one image in all to one a day in {days:g} days"
    longest, shortest = _REVISIT[name]
    longest, shortest = max(longest, DAYS_ASSUMED), min(shortest, DAYS_ASSUMED)
    return days / longest, math.ceil(days / shortest), f"one every {shortest:g} to {longest:g} days in {days:g} days"


def sources_of(data: Any) -> list[Mapping[str, Any]]:
    """The `data` objects of a payload that are objects."""
    return [source for source in data if isinstance(source, Mapping)] if isinstance(data, list) else []
