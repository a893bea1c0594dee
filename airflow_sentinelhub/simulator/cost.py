"""What a tile costs, in processing units (PU)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from . import evalscript as scripts

# doc: the batch discount, for tiles of at least 10,000 pixels; and the least a request costs.
BATCH_FACTOR = 1 / 3
DISCOUNT_PIXELS = 10_000
MINIMUM_PU = 100.0
# doc: for ORBIT and TILE mosaicking one observation every three days is assumed.
_DAYS_BETWEEN_OBSERVATIONS = 3.0


def tile_estimate(width: int, height: int, evalscript: str, data: Iterable[Any]) -> float:
    """PU of one tile BEFORE the batch discount, which is how v1 estimates and how it reports the cost of tiles.

    One PU is 512 x 512 pixels of three input bands in 8 or 16 bits and one observation; everything else is
    proportional, 32 bit floats count twice (doc).
    """
    pixels = width * height / (512 * 512)
    bands = scripts.input_bands(evalscript) / 3
    depth = 2.0 if scripts.sample_type(evalscript) == "FLOAT32" else 1.0
    return pixels * bands * depth * _observations(evalscript, data)


def _observations(evalscript: str, data: Iterable[Any]) -> float:
    if scripts.mosaicking(evalscript) == "SIMPLE":
        return 1.0
    days = [_days(item) for item in data]
    return max([1.0, *(day / _DAYS_BETWEEN_OBSERVATIONS for day in days)])


def _days(item: Any) -> float:
    wanted = item.get("dataFilter", {}).get("timeRange", {}) if isinstance(item, dict) else {}
    begin, end = parse_time(wanted.get("from")), parse_time(wanted.get("to"))
    return (end - begin).total_seconds() / 86400 if begin and end else 0.0


def parse_time(text: Any) -> datetime | None:
    """An ISO 8601 time with a zone, or None: ``2019-01-31`` alone will not do (contract)."""
    if not isinstance(text, str) or "T" not in text.upper():
        return None
    try:
        time = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    # Further years have no room for another zone or one more interval; there is no data of them anyway.
    return time if time.tzinfo and 1000 <= time.year <= 9000 else None


def batch_factor(pixels: int) -> float:
    """The share of the estimate that is really charged for tiles of so many pixels."""
    return BATCH_FACTOR if pixels >= DISCOUNT_PIXELS else 1.0


def charged(pu: float) -> float:
    """What a finished request costs if its tiles cost ``pu``: nothing for nothing, else at least 100 PU (doc)."""
    return max(pu, MINIMUM_PU) if pu > 0 else 0.0
