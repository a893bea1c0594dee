"""The work of a statistical request: its features, what analysis finds, and the JSON file of each feature.

The forms of the files are those that the vendor's client and its tests know: a good result, one with errors in single
intervals, a failed one in either of two shapes, and empty statistics as the text "NaN".
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from airflow_sentinelhub.grids.tiling import Ints

from . import data_sources
from . import evalscript as scripts
from .cost import Rates, batch_factor, statistical_estimate
from .delivery import ANY_ID, fill_in, is_object_url
from .features import FeaturesError, read_features
from .jobs import Analysis, Job
from .ledger import FAILED, Codes, generator
from .payload import Json
from .statistical_payload import LARGEST_SIDE, seconds_of
from .times import parse_time
from .units import Features, Floats

if TYPE_CHECKING:
    from .lifecycle import Terms

INTERVAL_ERRORS = ("BAD_REQUEST", "EXECUTION_ERROR", "TIMEOUT")


def features_of(body: Json, content: bytes) -> Features:
    """The features of the GeoPackage, with the sizes that the aggregation gives them.

    :raises FeaturesError: a rule is broken; batch statistical takes one CRS only (doc).
    """
    found = read_features(content, {"width": 1, "height": 1}, None)
    if len(set(found.crs.tolist())) > 1:
        raise FeaturesError("All features of the GeoPackage must have the same CRS.")
    divided = body["aggregation"]
    if "resx" in divided or "resy" in divided:
        sides = shapely.bounds(found.polygons)
        x, y = (
            abs(float(divided.get("resx", divided.get("resy")))),
            abs(float(divided.get("resy", divided.get("resx")))),
        )
        widths = _pixels(sides[:, 2] - sides[:, 0], x, "width")
        heights = _pixels(sides[:, 3] - sides[:, 1], y, "height")
    else:
        widths = np.full(len(found), int(divided.get("width", 256)), dtype=np.int64)
        heights = np.full(len(found), int(divided.get("height", 256)), dtype=np.int64)
    for number, identifier in zip(found.numbers.tolist(), found.names, strict=True):
        if not is_object_url(result_url(body, ANY_ID, number, identifier)):
            raise FeaturesError(f"The identifier {identifier} cannot be part of the path of a result.")
    return replace(found, widths=widths, heights=heights)


def _pixels(lengths: Floats, resolution: float, name: str) -> Ints:
    """At least one pixel; a small excess over a whole number comes from the coordinates, not from the shape."""
    with np.errstate(over="ignore"):
        pixels = np.maximum(1, np.ceil(lengths / resolution - 1e-6))
    if pixels.max() > LARGEST_SIDE:
        raise FeaturesError(
            f"The {name} of a feature is {pixels.max():g} pixels, more than the {LARGEST_SIDE} allowed."
        )
    whole: Ints = pixels.astype(np.int64)
    return whole


def analyse(job: Job, units: Features | None, script: str | None, forced_error: str | None, rates: Rates) -> Analysis:
    """``units`` is None when the GeoPackage is lost, ``script`` when its object in the bucket is."""
    if units is None:
        url = job.body["input"]["features"]["s3"]["url"]
        return Analysis(forced_error or f"The GeoPackage {url} cannot be read.", 0, 0.0, 1.0)
    if script is None:
        return Analysis(forced_error or "The evalscript cannot be read.", len(units), 0.0, 1.0)
    error = forced_error or scripts.problem(script, ()) or data_sources.problem(job.body["input"]["data"], script)
    pixels = units.widths * units.heights
    data = job.body["input"]["data"]
    each = [
        statistical_estimate(int(width), int(height), script, data, rates)
        for width, height in zip(units.widths.tolist(), units.heights.tolist(), strict=True)
    ]
    many = _observed(job.body, script, rates)
    before = sum(each) * many
    after = sum(cost * batch_factor(int(size)) for cost, size in zip(each, pixels.tolist(), strict=True)) * many
    return Analysis(error, len(units), before / len(units), after / before if before else 1.0)


def _observed(body: Json, script: str, rates: Rates) -> float:
    """How many times the price of one image the intervals cost: each has its own observations (ORBIT, TILE)."""
    data = [item for item in body["input"]["data"] if isinstance(item, dict)]

    def within(begin: datetime, end: datetime) -> list[Any]:
        times = {"from": begin.isoformat(), "to": end.isoformat()}
        return [{**item, "dataFilter": {**(item.get("dataFilter") or {}), "timeRange": times}} for item in data]

    one = statistical_estimate(512, 512, script, body["input"]["data"], rates)
    each = [statistical_estimate(512, 512, script, within(*times), rates) for times in intervals(body)]
    return sum(each) / one


def intervals(body: Json) -> list[tuple[datetime, datetime]]:
    """The time range cut into intervals; what is left at the end as ``lastIntervalBehavior`` says (contract)."""
    divided = body["aggregation"]
    begin, end = parse_time(divided["timeRange"]["from"]), parse_time(divided["timeRange"]["to"])
    assert begin is not None
    assert end is not None
    step = timedelta(seconds=seconds_of(divided["aggregationInterval"]["of"]))
    behavior = divided["aggregationInterval"].get("lastIntervalBehavior", "SKIP")
    found: list[tuple[datetime, datetime]] = []
    at = begin
    while at < end:
        after = at + step
        if after <= end or behavior == "EXTEND":
            found.append((at, after))
        elif behavior == "SHORTEN":
            found.append((at, end))
        at = after
    return found


def results(
    job: Job, units: Features, codes: Codes, indices: list[int], script: str, oddities: Oddities, seed: int
) -> Iterator[tuple[str, bytes]]:
    """Address and content of the file of each of these features."""
    for index in indices:
        number, identifier = int(units.numbers[index]), units.name(index)
        body: Json = {"id": number, "identifier": identifier}
        if codes[index] == FAILED and number % 2:
            body["error"] = {"type": "EXECUTION_ERROR"}
        elif codes[index] == FAILED:
            body["response"] = {"data": None, "status": "FAILED"}
        else:
            data = _data(job, units, index, script, oddities, seed)
            body["response"] = {"data": data, "status": "OK"}
        yield result_url(job.body, job.id, number, identifier), json.dumps(body).encode()


class Oddities:
    """Which features have no data at all, and which have errors in single intervals."""

    def __init__(self, empty: Collection[int] = (), troubled: Collection[int] = ()) -> None:
        self.empty, self.troubled = empty, troubled


def result_url(body: Json, request_id: str, number: int, identifier: str) -> str:
    """Where the file of a feature is written: a plain path means ``<path>/<REQUEST_ID>/<ID>.json`` (contract)."""
    url = str(body["output"]["s3"]["url"])
    path = url if "<" in url else url.rstrip("/") + "/<REQUEST_ID>/<ID>.json"
    return fill_in(path, {"<REQUEST_ID>": request_id, "<ID>": str(number), "<IDENTIFIER>": identifier})


def _data(job: Job, units: Features, index: int, script: str, oddities: Oddities, seed: int) -> list[Json]:
    random = generator(seed, job.id, "statistics", index)
    samples = int(units.widths[index]) * int(units.heights[index])
    named = {output.id: output.bands for output in scripts.outputs(script) if output.id != scripts.DATA_MASK}
    outputs = named or {"default": 1}
    items: list[Json] = []
    for order, (begin, end) in enumerate(intervals(job.body)):
        item: Json = {"interval": {"from": _time(begin), "to": _time(end)}}
        level = float(random.uniform(0.1, 0.8))
        if index in oddities.troubled and order == index % max(1, len(intervals(job.body))):
            item["error"] = {"type": INTERVAL_ERRORS[index % len(INTERVAL_ERRORS)]}
        else:
            empty = index in oddities.empty
            item["outputs"] = {
                name: _output(job, name, count, level, samples, empty) for name, count in outputs.items()
            }
        items.append(item)
    return items


def _output(job: Job, name: str, count: int, level: float, samples: int, empty: bool) -> Json:
    asked = job.body.get("calculations") or {}
    wanted = asked.get(name) or asked.get("default") or {}
    bands: Json = {}
    for number in range(count):
        band = f"B{number}"
        statistics = wanted.get("statistics") or {}
        shares = ((statistics.get(band) or statistics.get("default") or {}).get("percentiles") or {}).get("k") or []
        spread = 0.1 * level
        of_band: Json = {
            "min": level - spread,
            "max": level + spread,
            "mean": level,
            "stDev": spread / math.sqrt(3),
            "sampleCount": samples,
            "noDataCount": samples if empty else samples // 50,
        }
        if shares:
            of_band["percentiles"] = {f"{100 * share}": level + (2 * share - 1) * spread for share in shares}
        bands[band] = {"stats": _emptied(of_band) if empty else of_band}
    return {"bands": bands}


def _emptied(statistics: Json) -> Json:
    """Statistics over nothing: the text "NaN" for every number but the counts (seen)."""
    return {
        name: value if name.endswith("Count") else dict.fromkeys(value, "NaN") if isinstance(value, dict) else "NaN"
        for name, value in statistics.items()
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def script_of(body: Json, read: Any) -> str | None:
    """The evalscript: the text itself, or what the bucket holds at its reference."""
    divided = body["aggregation"]
    if "evalscript" in divided:
        return str(divided["evalscript"])
    try:
        content = read(divided["evalscriptReference"]["s3"]["url"])
    except (OSError, ValueError):
        return None
    return None if content is None else content.decode("utf-8", "replace")


def terms(
    job: Job, usual: Terms, script: str | None, features: Callable[[Job], Features | None], forced_error: str | None
) -> Terms:
    """What decides about an action on a statistical request, which is stopped when the account has less left than the
    least balance (doc).

    ``features`` is asked only if the request is analysed.
    """
    return replace(
        usual,
        pu_left=usual.pu_left - usual.settings.minimum_balance,
        analyse=lambda: analyse(job, features(job), script, forced_error, usual.settings.rates),
    )
