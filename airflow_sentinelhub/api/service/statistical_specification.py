"""A statistical job in plain words, and the payload it becomes.

Only the standard library is used here: the builders run while Airflow parses DAGs. Values that are still templates
pass through untouched; what is wrong with a literal value is said at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.api.plain import plain
from airflow_sentinelhub.api.service.payloads import Json, process_request, without_none
from airflow_sentinelhub.api.service.specification import Access
from airflow_sentinelhub.api.times import Run, checked_range, is_template, resolved, resolved_range
from airflow_sentinelhub.exceptions import InvalidInputError

PLACEHOLDERS = ("<REQUEST_ID>", "<ID>", "<IDENTIFIER>")
LAST_INTERVAL = ("SKIP", "SHORTEN", "EXTEND")
_LONGEST_SIDE = 2500


def input_data(
    data: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    *,
    max_cloud_coverage: float | None = None,
    mosaicking_order: str | None = None,
    data_filter: Mapping[str, Any] | None = None,
    processing: Mapping[str, Any] | None = None,
) -> list[Any]:
    """The data of a statistical job; arguments as in `process_request()`. The time range stands in the aggregation."""
    if data is None:
        raise InvalidInputError("There is no data: give data='sentinel-2-l2a' or the service's `data` objects.")
    chosen = process_request(
        data,
        max_cloud_coverage=max_cloud_coverage,
        mosaicking_order=mosaicking_order,
        data_filter=data_filter,
        processing=processing,
    )
    sources: list[Any] = chosen["input"]["data"]
    return sources


def aggregation(
    time_range: Any,
    interval: str,
    *,
    resolution: float | tuple[float, float] | None = None,
    size: tuple[int, int] | None = None,
    last_interval: str | None = None,
    evalscript: str | None = None,
    **kwargs: Any,
) -> Json:
    """How a statistical job divides time and space.

    :param time_range: `"data_interval"`, `last(days=30)` or a pair (from, to), as in `process_request()`. Here the
        range is divided into intervals, each of which ends where the next begins: its end is sent as it is, and a date
        as the end means that whole day, to the midnight after it. (One second less, and the service would leave out
        the last interval as not whole.)
    :param interval: length of each interval by ISO 8601, such as `P10D`. What is left over at the end of the range is
        left out, see `last_interval`.
    :param resolution: size of a pixel in units of the GeoPackage's CRS, one number or (x, y); :param size: or width
        and height in pixels of each feature, at most 2500.
    :param last_interval: what happens to a last interval that is not whole: `SKIP` (the default), `SHORTEN`, `EXTEND`.
    :param evalscript: text of the script; may be given to the operator instead.
    :param kwargs: further members of the payload.
    :raises InvalidInputError: a literal value cannot be right.
    """
    if last_interval not in (None, *LAST_INTERVAL) and not is_template(last_interval):
        raise InvalidInputError(f"last_interval is one of {', '.join(LAST_INTERVAL)}, not {last_interval!r}.")
    x, y = resolution if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    width, height = size if size is not None else (None, None)
    payload = without_none(
        {
            "timeRange": checked_range(time_range, divided=True),
            "aggregationInterval": without_none({"of": interval, "lastIntervalBehavior": last_interval}),
            "resx": x,
            "resy": y,
            "width": width,
            "height": height,
            "evalscript": evalscript,
            **kwargs,
        }
    )
    if complaint := _complaint(payload):
        raise InvalidInputError(complaint)
    return payload


@dataclass(frozen=True)
class StatisticalSpecification:
    """What is to be done.

    :param geopackage: `s3://bucket/fields.gpkg`, or the service's `features` in full.
    :param data: see `input_data`; :param aggregation: see `aggregation`; :param evalscript: put into it when given.
    :param calculations: statistics and histograms by output, as the service takes them.
    :param output: `s3://bucket/path`, with placeholders or without, or the service's `output` in full.
    :param description: free text; :param extra: further members of the payload.
    """

    geopackage: str | Mapping[str, Any]
    data: Any
    aggregation: Mapping[str, Any]
    output: str | Mapping[str, Any]
    evalscript: str | None = None
    calculations: Mapping[str, Any] | None = None
    description: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def render_statistical(job: StatisticalSpecification, access: Access | None = None) -> Json:
    """The payload of a create call, with the description beside it (`statistical.described` finds a place for it).

    :raises InvalidInputError: the job is incomplete or contradicts itself.
    """
    if not isinstance(job.aggregation, Mapping) or "timeRange" not in job.aggregation:
        raise InvalidInputError("aggregation must name timeRange and aggregationInterval; build it with aggregation().")
    divided = dated(job.aggregation, Run())
    for name in ("resx", "resy", "width", "height"):
        if isinstance(divided.get(name), str):
            divided[name] = _number(name, divided[name])
    if job.evalscript is not None:
        divided["evalscript"] = job.evalscript
        divided.pop("evalscriptReference", None)
    if not str(divided.get("evalscript") or "").strip() and "evalscriptReference" not in divided:
        raise InvalidInputError(
            "There is no evalscript: give evalscript= (text, or the name of a .js file beside the DAG)."
        )
    if complaint := _complaint(divided):
        raise InvalidInputError(complaint)
    data = resolved(input_data(job.data), Run())
    payload = without_none(
        {
            "input": {"features": _features(job.geopackage, access), "data": data},
            "aggregation": divided,
            "calculations": dict(job.calculations) if job.calculations else None,
            "output": _output(job.output, access),
            "description": job.description,
            **job.extra,
        }
    )
    return dict(plain(payload))


def dated(aggregation: Any, run: Run, *, from_interval: bool = False) -> Any:
    """The aggregation with its time range as it is sent (see `times.resolved_range`).

    :raises InvalidInputError: it is no range, or this run has none.
    """
    if not isinstance(aggregation, Mapping) or "timeRange" not in aggregation:
        return aggregation
    times = resolved_range(aggregation["timeRange"], run, divided=True, from_interval=from_interval)
    return {**aggregation, "timeRange": times}


def _features(given: str | Mapping[str, Any], access: Access | None) -> Json:
    place = _place(given, access, "geopackage")
    url = str(place["s3"]["url"])
    if not url.lower().endswith(".gpkg"):
        raise InvalidInputError(f"geopackage is the place of a file that ends in .gpkg, not {url!r}.")
    return place


def _output(given: str | Mapping[str, Any], access: Access | None) -> Json:
    place = _place(given, access, "output")
    if complaint := template_complaint(str(place["s3"]["url"])):
        raise InvalidInputError(complaint)
    return place


def _place(given: str | Mapping[str, Any], access: Access | None, name: str) -> Json:
    """Storage with its access: keys are put in where the user's own payload names none."""
    place = {"s3": {"url": given}} if isinstance(given, str) else dict(given or {})
    storage = dict(place.get("s3") or {})
    url = str(storage.get("url") or "")
    if not re.match(r"s3://[^/]+/.", url):
        raise InvalidInputError(f"{name} is s3://bucket/path, not {url or given!r}.")
    if not {"accessKey", "iamRoleARN"} & set(storage):
        if access is None:
            raise InvalidInputError(
                f"Batch statistical reads and writes {url} with keys of yours: give aws_conn_id (an Airflow connection "
                "of type aws) or iam_role_arn."
            )
        storage |= access.members()
    return {**place, "s3": storage}


def template_complaint(url: str) -> str | None:
    """What is wrong with a place for results; None if nothing is."""
    used = set(re.findall(r"<[^<>/]*>", url))
    for name in sorted(used - set(PLACEHOLDERS)):
        return f"{url}: {name} is not known to batch statistical; its placeholders are {', '.join(PLACEHOLDERS)}."
    if used and not used & {"<ID>", "<IDENTIFIER>"}:
        return f"{url}: a path with placeholders needs <ID> or <IDENTIFIER>, so that each feature gets its own file."
    return None


def _complaint(divided: Mapping[str, Any]) -> str | None:
    """What is wrong with an aggregation; None if nothing is. Templates are not looked into."""
    sized = [name for name in ("width", "height") if name in divided]
    resolved = [name for name in ("resx", "resy") if name in divided]
    if sized and resolved:
        return "Give either width and height, or the resolution, not both."
    if len(sized) == 1 or len(resolved) == 1:
        return f"{(sized or resolved)[0]} needs its other half: width and height, or resx and resy."
    for name in (*sized, *resolved):
        value, most = divided[name], _LONGEST_SIDE if name in sized else float("inf")
        if not isinstance(value, str) and not 0 < value <= most:
            return f"{name} is a number above 0{' and at most 2500' if name in sized else ''}, not {value!r}."
    interval = (divided.get("aggregationInterval") or {}).get("of")
    if not interval:
        return "aggregation names no interval (aggregationInterval.of), such as P10D."
    if not is_template(interval) and not re.fullmatch(r"P(?=.)(\d+[YMWD])*(T(\d+[HMS])+)?", str(interval)):
        return f"An interval is a duration by ISO 8601, such as P10D, not {interval!r}."
    return None


def _number(name: str, text: str) -> float | int:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidInputError(f"{name} is a number, not {text!r}.")
