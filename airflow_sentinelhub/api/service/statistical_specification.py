"""The description of a statistical job, independent of the API, and the payload that is made from it.

The builders run while Airflow parses DAGs, so this module uses the standard library only. Literal values are checked at
once; templates are returned unchanged, and are checked after they are rendered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from airflow_sentinelhub.api.arguments import as_object, taken
from airflow_sentinelhub.api.late import Late, TimeRange
from airflow_sentinelhub.api.payload_members import members
from airflow_sentinelhub.api.places import place
from airflow_sentinelhub.api.plain import plain, refuse_nulls
from airflow_sentinelhub.api.rings import number_of, shown
from airflow_sentinelhub.api.scripts import script_text
from airflow_sentinelhub.api.service.data_sources import as_sent
from airflow_sentinelhub.api.service.payloads import Json, check_script, process_request, without_none
from airflow_sentinelhub.api.service.specification import Access, check_data
from airflow_sentinelhub.api.times import Run, checked_range, is_late, resolved, resolved_range
from airflow_sentinelhub.exceptions import InvalidInputError

PLACEHOLDERS = ("<REQUEST_ID>", "<ID>", "<IDENTIFIER>")
LAST_INTERVAL = ("SKIP", "SHORTEN", "EXTEND")
_LONGEST_SIDE = 2500


def input_data(
    data: Late[Mapping[str, Any] | Sequence[Mapping[str, Any]]] | None,
    *,
    max_cloud_coverage: Late[float] | None = None,
    mosaicking_order: Late[str] | None = None,
    data_filter: Mapping[str, Any] | None = None,
    processing: Mapping[str, Any] | None = None,
    check_collection: Late[bool] = True,
) -> list[Any]:
    """The `data` objects of a statistical job, with the arguments of `process_request()`.

    They contain no time range; that is part of the aggregation. Those of several sources are joined with `+`.

    :raises InvalidInputError: `data` is None, or a literal value is invalid.
    """
    if data is None:
        raise InvalidInputError("There is no data: give data='sentinel-2-l2a' or the service's `data` objects.")
    request = process_request(
        data,
        max_cloud_coverage=max_cloud_coverage,
        mosaicking_order=mosaicking_order,
        data_filter=data_filter,
        processing=processing,
        check_collection=check_collection,
    )
    sources: list[Any] = request["input"]["data"]
    return sources


def aggregation(
    time_range: TimeRange,
    interval: Late[str],
    *,
    resolution: Late[float] | tuple[Late[float], Late[float]] | None = None,
    size: tuple[Late[int], Late[int]] | None = None,
    last_interval: str | None = None,
    evalscript: Late[str] | None = None,
    **kwargs: Any,
) -> Json:
    """The aggregation of a statistical job: its time range, the intervals and the size of the pixels.

    :param time_range: `"data_interval"`, `last(days=30)` or a pair (from, to), as in `process_request()`. The service
        divides the range into intervals, each of which ends where the next one begins. So the end is sent without a
        second subtracted, and a date as the end includes the whole day, up to the midnight after it. With a second
        less, the service would take the last interval as incomplete and leave it out.
    :param interval: length of each interval by ISO 8601, such as `P10D`. For an incomplete interval at the end of the
        range, see `last_interval`.
    :param resolution: size of a pixel in units of the GeoPackage's CRS, one number or (x, y).
    :param size: width and height of each feature in pixels, at most 2500 each, instead of `resolution`.
    :param last_interval: what the service does with an incomplete last interval: `SKIP` (the default), `SHORTEN`,
        `EXTEND`.
    :param evalscript: text of the script; it can be given to the operator instead.
    :param kwargs: further members of the aggregation.
    :raises InvalidInputError: a literal value is invalid.
    """
    if last_interval not in (None, *LAST_INTERVAL) and not is_late(last_interval):
        raise InvalidInputError(f"last_interval is one of {', '.join(LAST_INTERVAL)}, not {shown(last_interval)}.")
    x, y = _pair(resolution, "resolution") if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    width, height = (None, None) if size is None else _pair(size, "size")
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


def _pair(value: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InvalidInputError(f"{name} is two numbers (x, y), not {shown(value)}.")
    return value[0], value[1]


@dataclass(frozen=True)
class StatisticalSpecification:
    """A statistical job.

    :param geopackage: `s3://bucket/fields.gpkg`, or the `features` of the payload in full.
    :param data: see `input_data`.
    :param aggregation: see `aggregation`.
    :param evalscript: text of the script, which replaces that of the aggregation; None: keep that.
    :param calculations: statistics and histograms by output, in the format of the service.
    :param output: `s3://bucket/path` with or without placeholders, or the `output` of the payload in full.
    :param description: free text.
    :param extra: further members of the payload.
    """

    batch_api: ClassVar[str] = "statistical"
    """The kind of job, by the name of its generation."""

    geopackage: str | Mapping[str, Any]
    data: Late[Mapping[str, Any] | Sequence[Mapping[str, Any]]]
    aggregation: Mapping[str, Any]
    output: str | Mapping[str, Any]
    evalscript: str | os.PathLike[str] | None = None
    calculations: Mapping[str, Any] | None = None
    description: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def render_statistical(job: StatisticalSpecification, access: Access | None = None) -> Json:
    """The payload of a create call, with a member `description`, which `statistical.described` moves.

    :raises InvalidInputError: the job is incomplete, or two of its values contradict each other.
    """
    check_statistics(job.aggregation, job.evalscript, job.calculations)
    job_aggregation = dict(as_object(dated(members(job.aggregation, "aggregation"), Run()), "aggregation"))
    if job.evalscript is not None:
        job_aggregation["evalscript"] = job.evalscript
        job_aggregation.pop("evalscriptReference", None)
    if job_aggregation.get("evalscript") is not None:
        job_aggregation["evalscript"] = script_text(job_aggregation["evalscript"], word=True)
    data = as_sent(resolved(data_objects(job.data), Run()))
    payload = without_none(
        {
            "input": {"features": _features(job.geopackage, access), "data": data},
            "aggregation": job_aggregation,
            "calculations": as_object(members(job.calculations, "calculations"), "calculations") or None,
            "output": _output(job.output, access),
            "description": taken("description", job.description),
            **as_object(members(job.extra, "payload_extra"), "payload_extra"),
        }
    )
    payload = dict(plain(payload))
    refuse_nulls(payload)
    return payload


def data_objects(data: Any) -> list[Any]:
    """The `data` objects of a job, however they are given.

    :raises InvalidInputError: they are no objects with the name of a collection each.
    """
    objects = input_data(members(data, "data"))
    check_data(objects, "data")
    return objects


def check_statistics(given: Any, evalscript: Any, calculations: Any) -> None:
    """Check the parts that every statistical job has, as far as they are known by now. Templates pass.

    :param given: the aggregation.
    :param evalscript: the one that replaces that of the aggregation.
    :raises InvalidInputError: the aggregation names no time range, no interval, no script, or no valid size;
        or `calculations` are no valid calculations.
    """
    if not is_late(given):
        if not isinstance(given, Mapping) or "timeRange" not in given:
            raise InvalidInputError(
                "aggregation must name timeRange and aggregationInterval; build it with aggregation()."
            )
        if evalscript is None and "evalscriptReference" not in given:
            check_script(given.get("evalscript"))
        if complaint := _complaint(members(given, "aggregation")):
            raise InvalidInputError(complaint)
    for output, wanted in {} if is_late(calculations) else as_object(calculations, "calculations").items():
        name = f"calculations.{output}"
        for kind, values in {} if is_late(wanted) else as_object(wanted, name).items():
            for band, how in {} if is_late(values) else as_object(values, f"{name}.{kind}").items():
                if not is_late(how):
                    as_object(how, f"{name}.{kind}.{band}")


def dated(aggregation: Any, run: Run, *, from_interval: bool = False) -> Any:
    """The aggregation with the time range in the form that is sent (see `times.resolved_range`).

    :raises InvalidInputError: the time range is invalid, or this run has no data interval.
    """
    if not isinstance(aggregation, Mapping) or "timeRange" not in aggregation:
        return aggregation
    times = resolved_range(aggregation["timeRange"], run, divided=True, from_interval=from_interval)
    return {**aggregation, "timeRange": times}


def _features(geopackage: str | Mapping[str, Any], access: Access | None) -> Json:
    found = _place(geopackage, access, "geopackage")
    url = str(found["s3"]["url"])
    if not url.lower().endswith(".gpkg"):
        raise InvalidInputError(f"geopackage is the place of a file that ends in .gpkg, not {shown(url)}.")
    return found


def _output(output: str | Mapping[str, Any], access: Access | None) -> Json:
    found = _place(output, access, "output")
    if complaint := template_complaint(str(found["s3"]["url"])):
        raise InvalidInputError(complaint)
    return found


def _place(value: str | Mapping[str, Any], access: Access | None, name: str) -> Json:
    """A place in S3 with credentials, which are added if the value itself contains none.

    :param value: a URL, or the member of the payload in full.
    :param name: of the argument, for errors.
    """
    if isinstance(value, (str, os.PathLike)) or not value:
        value = {"s3": {"url": value}}
    given = as_object(value, name)
    storage = as_object(given.get("s3"), f"{name}.s3")
    url = place(storage.get("url"), name)
    if not re.match(r"s3://[^/]+/.", url):
        raise InvalidInputError(f"{name} is s3://bucket/path, not {shown(url)}.")
    storage["url"] = url
    if not {"accessKey", "iamRoleARN"} & set(storage):
        if access is None:
            raise InvalidInputError(
                f"Batch statistical reads and writes {url} with keys of yours: give aws_conn_id (an Airflow connection "
                "of type aws) or iam_role_arn."
            )
        storage |= access.members()
    return {**given, "s3": storage}


def template_complaint(url: str) -> str | None:
    """What is wrong with the URL of the results, None if nothing is."""
    placeholders = set(re.findall(r"<[^<>/]*>", url))
    for name in sorted(placeholders - set(PLACEHOLDERS)):
        return f"{url}: {name} is not known to batch statistical; its placeholders are {', '.join(PLACEHOLDERS)}."
    if placeholders and not placeholders & {"<ID>", "<IDENTIFIER>"}:
        return f"{url}: a path with placeholders needs <ID> or <IDENTIFIER>, so that each feature gets its own file."
    return None


def _complaint(job_aggregation: Mapping[str, Any]) -> str | None:
    """What is wrong with an aggregation, None if nothing is. Templates are not checked."""
    size = [name for name in ("width", "height") if name in job_aggregation]
    resolution = [name for name in ("resx", "resy") if name in job_aggregation]
    if size and resolution:
        return "Give either width and height, or the resolution, not both."
    if len(size) == 1 or len(resolution) == 1:
        return f"{(size or resolution)[0]} needs its other half: width and height, or resx and resy."
    for name in (*size, *resolution):
        value, maximum = job_aggregation[name], _LONGEST_SIDE if name in size else float("inf")
        found = None if isinstance(value, str) or is_late(value) else number_of(value)
        fits = found is not None and 0 < found <= maximum and (name in resolution or found == int(found))
        if not fits and not isinstance(value, str) and not is_late(value):
            wanted = "a whole number above 0 and at most 2500" if name in size else "a number above 0"
            return f"{name} is {wanted}, not {shown(value)}."
    given = job_aggregation.get("aggregationInterval")
    interval = as_object(None if is_late(given) else given, "aggregation.aggregationInterval").get("of")
    if is_late(given):
        return None
    if not interval:
        return "aggregation names no interval (aggregationInterval.of), such as P10D."
    if not is_late(interval) and not re.fullmatch(r"P(?=.)(\d+[YMWD])*(T(\d+[HMS])+)?", str(interval)):
        return f"An interval is a duration by ISO 8601, such as P10D, not {shown(interval)}."
    if not is_late(interval) and not re.search("[1-9]", str(interval)):
        return f"An interval is longer than nothing, such as P10D, not {shown(interval)}."
    return None
