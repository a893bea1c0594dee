"""Where the report of a job goes: beside its output, or to a place that a user names. Pure."""

from __future__ import annotations

import os
import re
from typing import Any

from airflow_sentinelhub.api.places import place

FORMS = (".html", ".svg", ".png", ".geojson", ".json")
"""Endings of a name that say the form of a report."""
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,6}$")
_ID = re.compile(r"(?i)<request_?id>")


def report_place(value: Any) -> str:
    """A folder or a file for a report: `s3://bucket/path/`, `s3://bucket/path/<requestId>.html`.

    :raises ValueError: it is no place in a bucket, or a file whose ending says no form of a report.
    """
    url = place(value, "report")
    bucket, _, key = url.partition("://")[2].partition("/")
    found = _ENDING.search(key)
    if found is not None and found[0].lower() not in FORMS:
        raise ValueError(value)
    if ".." in key.split("/") or not bucket:
        raise ValueError(value)
    return url


def is_place(value: Any) -> bool:
    """Whether a value is meant as a place, and not as True or False."""
    return isinstance(value, os.PathLike) or (isinstance(value, str) and "/" in value)


def report_url(given: str | bool, request_id: str, folder: str | None) -> str | None:
    """The URL of a report, None if it has no place.

    :param given: a place as `report_place` reads it, or True for a file beside the output.
    :param folder: of the output, without a slash at its end; None if the request names none.

    >>> report_url(True, "7", "s3://b/p/7")
    's3://b/p/7/report-7.html'
    >>> report_url("s3://b/<requestId>.svg", "7", None)
    's3://b/7.svg'
    """
    name = f"report-{request_id}.html"
    if not isinstance(given, str):
        return f"{folder}/{name}" if given and folder else None
    url = _ID.sub(request_id, given)
    return url if ending(url) in FORMS else f"{url.rstrip('/')}/{name}"


def ending(url: str) -> str:
    """The ending of the name of a file in a bucket, in small letters, with its dot; empty if it has none."""
    found = _ENDING.search(url.partition("://")[2].partition("/")[2])
    return "" if found is None else found[0].lower()
