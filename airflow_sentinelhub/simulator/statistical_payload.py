"""What batch statistical takes when a request is created, and what of it comes back."""

from __future__ import annotations

import re
from typing import Any

from .deployments import Deployment
from .payload import Findings, Json, _check_data, is_number, null_paths
from .storage import check_storage, masked
from .times import parse_time

# contract: an evalscript is smaller than this; longer sides are refused.
EVALSCRIPT_BYTES, LARGEST_SIDE = 32 * 1024, 2500
# Ours, so that no request keeps the simulator busy for hours: 27 years of days, a year of hours.
MOST_INTERVALS = 10_000
_LONGEST_INTERVAL = 100 * 366 * 86400
PLACEHOLDERS = {"<REQUEST_ID>", "<ID>", "<IDENTIFIER>"}
_DURATION = re.compile(
    "P(?=.)"
    + "".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit in "YMWD")
    + "(?:T(?=.)"
    + "".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit in "HMS")
    + ")?"
)
_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)


def check(body: Json, place: Deployment) -> Findings:
    """What is wrong with the body. Nulls are refused, as v2 was seen to do."""
    findings = Findings()
    for path in null_paths(body):
        findings.add(path, f"{path} must not be null.")
    if findings.found:
        return findings
    given = findings.child(body, "", "input", dict)
    if given is not None:
        url = _check_bucket(findings.child(given, "input", "features", dict), "input->features", findings, place)
        if url is not None and not url.endswith(".gpkg"):
            findings.add("input->features->s3->url", "The features must be a GeoPackage (.gpkg).")
        _check_data(given, "input", findings)
    divided = findings.child(body, "", "aggregation", dict)
    if divided is not None:
        _check_aggregation(divided, findings, place)
    _check_calculations(findings.child(body, "", "calculations", dict, required=False), findings)
    output = findings.child(body, "", "output", dict)
    url = _check_bucket(output, "output", findings, place)
    used = set(re.findall(r"<[^<>/]*>", url or ""))
    for name in sorted(used - PLACEHOLDERS):
        findings.add("output->s3->url", f"Unknown placeholder {name}.")
    if used and not used & {"<ID>", "<IDENTIFIER>"}:
        findings.add("output->s3->url", "The template must contain <ID> or <IDENTIFIER>.")
    return findings


def _check_aggregation(divided: Json, findings: Findings, place: Deployment) -> None:
    where = "aggregation"
    begin = end = None
    span = findings.child(divided, where, "timeRange", dict)
    if span is not None:
        begin, end = parse_time(span.get("from")), parse_time(span.get("to"))
        if begin is None or end is None or begin > end:
            findings.add(f"{where}->timeRange", "from and to must be ISO 8601 times, from not later than to.")
    interval = findings.child(divided, where, "aggregationInterval", dict)
    if interval is not None:
        of = findings.child(interval, f"{where}->aggregationInterval", "of", str)
        length = None if of is None else seconds_of(of)
        if length == 0:
            findings.add(f"{where}->aggregationInterval->of", f"{of} is not a duration by ISO 8601.")
        elif length is not None and length > _LONGEST_INTERVAL:
            findings.add(f"{where}->aggregationInterval->of", f"{of} is longer than 100 years.")
        elif length is not None and begin and end and (end - begin).total_seconds() / length > MOST_INTERVALS:
            findings.add(f"{where}->aggregationInterval->of", f"More than {MOST_INTERVALS} intervals of {of}.")
        if interval.get("lastIntervalBehavior", "SKIP") not in ("SKIP", "SHORTEN", "EXTEND"):
            findings.add(f"{where}->aggregationInterval->lastIntervalBehavior", "Unknown lastIntervalBehavior.")
    sized = [name for name in ("width", "height") if name in divided]
    resolved = [name for name in ("resx", "resy") if name in divided]
    if sized and resolved:
        findings.add(where, "Either width and height or resx and resy can be given, not both.")
    for name in (*sized, *resolved):
        size = divided[name]
        whole = is_number(size) and size == int(size) and size <= LARGEST_SIDE
        if not is_number(size) or size <= 0 or (name in sized and not whole):
            findings.add(f"{where}->{name}", f"{name} is out of range.")
    _check_script(divided, findings, place)


def _check_calculations(asked: Any, findings: Findings) -> None:
    """Per output and band, the latter below ``statistics``: percentiles of shares from 0 to 1 (contract)."""
    for name, output in (asked or {}).items():
        where = f"calculations->{name}"
        if not isinstance(output, dict):
            findings.add(where, f"{where} must be an object.")
            continue
        for band, wanted in (findings.child(output, where, "statistics", dict, required=False) or {}).items():
            below = f"{where}->statistics->{band}"
            if not isinstance(wanted, dict):
                findings.add(below, f"{below} must be an object.")
                continue
            percentiles = findings.child(wanted, below, "percentiles", dict, required=False)
            shares = findings.child(percentiles, f"{below}->percentiles", "k", list, required=False) or []
            if not all(is_number(share) and 0 <= share <= 1 for share in shares):
                findings.add(f"{below}->percentiles->k", f"{below}->percentiles->k must be numbers from 0 to 1.")


def _check_script(divided: Json, findings: Findings, place: Deployment) -> None:
    if ("evalscript" in divided) == ("evalscriptReference" in divided):
        findings.add("aggregation->evalscript", "Exactly one of evalscript and evalscriptReference must be given.")
    elif "evalscript" in divided:
        script = findings.child(divided, "aggregation", "evalscript", str)
        if script is not None and not script.strip():
            findings.add("aggregation->evalscript", "Missing or empty evalscript.")
        elif script is not None and len(script.encode()) >= EVALSCRIPT_BYTES:
            findings.add("aggregation->evalscript", "The evalscript must be smaller than 32 KB.")
    else:
        reference = findings.child(divided, "aggregation", "evalscriptReference", dict)
        _check_bucket(reference, "aggregation->evalscriptReference", findings, place)


def _check_bucket(given: Any, where: str, findings: Findings, place: Deployment) -> str | None:
    return None if given is None else check_storage(given, where, findings, place, gs=False, kept=False)


def echo(body: Json) -> Json:
    """The request as the service shows it: without secrets."""
    echoed: Json = masked(body)
    return echoed


def seconds_of(duration: str) -> int:
    """Length of an ISO 8601 duration, months of 30 days; 0 for what is none."""
    match = _DURATION.fullmatch(duration)
    return sum(int(part or 0) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True)) if match else 0
