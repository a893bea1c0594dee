"""What a tile costs, in processing units (PU)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from . import evalscript as scripts
from .times import parse_time

# doc: the batch discount, for tiles of at least 10,000 pixels; and the least a request costs.
BATCH_FACTOR = 1 / 3
DISCOUNT_PIXELS = 10_000
MINIMUM_PU = 100.0
# doc: the area of one unit in pixels, and the least of it that is counted; the bands of one unit.
_UNIT_PIXELS, _LEAST_AREA, _UNIT_BANDS = 512 * 512, 0.01, 3
# doc: by the format of an output; TIFF counts twice where its samples are 32 bit floats. Of zarr the text says nothing:
# it is counted like TIFF, since the reason given is the amount of data.
_FORMATS = {"application/octet-stream": 1.4}
_FLOATS, _FLOAT_FORMATS = 2.0, ("image/tiff", "zarr/array")
# doc: orthorectification of Sentinel-1 GRD.
_ORTHORECTIFIED, _RADAR = 2.0, ("sentinel-1-grd", "S1GRD")
# doc: a data sample counts, and an elevation model has one for a pixel, whatever the time range says.
_TIMELESS = ("dem", "DEM")


@dataclass(frozen=True)
class Rates:
    """What the texts about the price leave open.

    :param days_between_observations: for ORBIT and TILE mosaicking; v1's estimate assumes one every three days (doc).
    :param orthorectification: whether that of Sentinel-1 counts twice, as the text says today; by older versions of the
        text it is "not applied at the moment".
    """

    days_between_observations: float = 3.0
    orthorectification: bool = True


def tile_estimate(
    width: int,
    height: int,
    evalscript: str,
    data: Iterable[Any],
    responses: Sequence[Any] | None = None,
    rates: Rates | None = None,
) -> float:
    """PU of one tile BEFORE the batch discount, which is how v1 estimates and how it reports the cost of tiles.

    One PU is 512 x 512 pixels of three input bands in 8 or 16 bits and one observation; everything else is
    proportional (doc). ``responses`` are those of the request; None: one TIFF of the script's first output.
    """
    area = max(_LEAST_AREA, width * height / _UNIT_PIXELS)
    return area * _format_factor(evalscript, responses) * _read(evalscript, list(data), rates or Rates())


def statistical_estimate(
    width: int, height: int, evalscript: str, data: Iterable[Any], rates: Rates | None = None
) -> float:
    """PU of the statistics of one polygon in one interval, before the discount: no image is delivered, so no format
    counts."""
    return tile_estimate(width, height, evalscript, data, (), rates)


def _format_factor(evalscript: str, responses: Sequence[Any] | None) -> float:
    """The dearest of the outputs that are asked for: they come from one run of the script."""
    outputs = scripts.outputs(evalscript)
    first = outputs[0].sample_type if outputs else "AUTO"
    types = {output.id: output.sample_type for output in outputs}
    factors = [1.0]
    for response in [{}] if responses is None else responses:
        kind = response.get("format", {}).get("type", "image/tiff")
        floats = types.get(response.get("identifier", "default"), first) == "FLOAT32"
        factors.append(_FLOATS if floats and kind in _FLOAT_FORMATS else _FORMATS.get(kind, 1.0))
    return max(factors)


def _read(evalscript: str, data: list[Any], rates: Rates) -> float:
    """Input bands by observations by processing, of all data sources together, in units."""
    bands = {source: count for source, count in scripts.bands_of_sources(evalscript).items() if count} or {None: 1}
    many = scripts.mosaicking(evalscript) != "SIMPLE"
    total = 0.0
    for source, count in bands.items():
        items = [item for item in data if isinstance(item, dict)]
        # A source that the request does not name by an id: any of its data may be meant, the dearest counts.
        items = [item for item in items if source is not None and item.get("id") == source] or items
        factors = [_factor(item, many, rates) for item in items]
        total += count / _UNIT_BANDS * max([1.0, *factors])
    return total


def _factor(item: Any, many: bool, rates: Rates) -> float:
    timeless = item.get("type") in _TIMELESS
    observations = max(1.0, _days(item) / rates.days_between_observations) if many and not timeless else 1.0
    processing = item.get("processing")
    wanted = processing.get("orthorectify") if isinstance(processing, dict) else None
    radar = item.get("type") in _RADAR and str(wanted).lower() == "true"
    return observations * (_ORTHORECTIFIED if radar and rates.orthorectification else 1.0)


def _days(item: Any) -> float:
    wanted = item.get("dataFilter", {}).get("timeRange", {}) if isinstance(item, dict) else {}
    begin, end = parse_time(wanted.get("from")), parse_time(wanted.get("to"))
    return (end - begin).total_seconds() / 86400 if begin and end else 0.0


def batch_factor(pixels: int) -> float:
    """The share of the estimate that is really charged for tiles of so many pixels."""
    return BATCH_FACTOR if pixels >= DISCOUNT_PIXELS else 1.0


def charged(pu: float) -> float:
    """What a finished request costs if its tiles cost ``pu``: nothing for nothing, else at least 100 PU (doc)."""
    return max(pu, MINIMUM_PU) if pu > 0 else 0.0
