"""Places of files in buckets, as users type them: `s3://bucket/path`. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.api.rings import shown, told
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

OUTPUT = "The place of an output"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_URL = re.compile(r"s3://([^/]*)(/.*)?")


def place(value: Any, what: str = OUTPUT, about: str = "") -> str:
    """The URL of a place in S3, without blanks around it.

    :param value: its text, or a path object of a library for buckets, whose text it is.
    :param what: what the place is, for errors: the beginning of the sentence; :param about: the argument that it is.
    :raises InvalidInputError: it is no such URL, or names no bucket.
    """
    text = str(value).strip() if isinstance(value, (str, os.PathLike)) else ""
    named = f" ({about})" if about else ""
    found = _URL.fullmatch(text)
    if found is None or not found[1]:
        hint = ""
        if isinstance(value, os.PathLike) and re.match(r"(?i)s3:/[^/]", text):
            hint = " A pathlib path drops one of the slashes: give the URL as text."
        raise InvalidInputError(f"{what} is s3://bucket/path, not {_told(value)}{named}.{hint}")
    if found[1] == "None":
        raise InvalidInputError(
            f"{what} is s3://bucket/path, not {_told(value)}{named}: its template has given no bucket."
        )
    if not _BUCKET.fullmatch(found[1]):
        conn_id, at, bucket = found[1].partition("@")
        hint = f"; leave {conn_id}@ out, and give aws_conn_id={conn_id!r}" if at and bucket else ""
        raise InvalidInputError(
            f"{what} is s3://bucket/path, not {_told(value)}{named}: {shown(found[1], 60)} is no name of a bucket"
            f"{hint}."
        )
    return text


def bucket(value: str) -> str:
    """The name of a bucket, without blanks around it.

    :raises InvalidInputError: it is none.
    """
    text = value.strip()
    if not _BUCKET.fullmatch(text):
        hint = f"; give destination={text!r} for a place in a bucket" if "/" in text else ""
        raise InvalidInputError(f"bucket_name is the name of a bucket, not {shown(value)}{hint}.")
    return text


def delivery(output: Mapping[str, Any], name: str, *, early: bool = False) -> Mapping[str, Any]:
    """The `delivery` of an output that has one, after a look at its form.

    :param output: of the payload; :param name: what messages call it.
    :raises InvalidInputError: it is no object with a place in it, as the service wants it.
    """
    places = output["delivery"]
    example = '{"s3": {"url": "s3://bucket/path"}}'
    if not isinstance(places, Mapping) or not places:
        given = "an empty one" if isinstance(places, Mapping) else _told(places)
        raise InvalidInputError(f"{name}.delivery is an object such as {example}, not {given}.")
    for kind, given in places.items():
        if early and is_late(given):
            continue
        if not isinstance(given, Mapping) or not given.get("url"):
            raise InvalidInputError(f"{name}.delivery.{kind} is an object with a url, as in {example}.")
        if kind == "s3" and not (early and is_late(given["url"])):
            place(given["url"], f"{name}.delivery.s3.url")
    return places


def check_output(output: Any, name: str = "destination", *, early: bool = False) -> None:
    """Check where results go: a URL, or the `output` of the payload.

    :param early: a DAG is parsed: templates, JSON text and the name of a file with it are left for later.
    :raises InvalidInputError: it is no place, or none of the payload's forms of one.
    """
    if output is None or (early and is_late(output)):
        return
    if isinstance(output, (str, os.PathLike)):
        if not (early and _is_json(output)):
            place(output, about=name)
        return
    if not isinstance(output, Mapping):
        raise InvalidInputError(f"{name} is s3://bucket/path, or an object of the payload, not {_told(output)}.")
    if "delivery" in output and not (early and is_late(output["delivery"])):
        delivery(output, name, early=early)
    path = output.get("defaultTilePath")
    if path is not None and not (early and is_late(path)):
        place(path, about=f"{name}.defaultTilePath")


def check_geopackage_literal(given: Any) -> None:
    """Check the place of a GeoPackage, as far as it stands in the DAG; an object of the payload is left for later.

    :raises InvalidInputError: it is text and no place.
    """
    if given is None or is_late(given) or isinstance(given, Mapping) or _is_json(given):
        return
    place(given, "geopackage")


def _is_json(text: Any) -> bool:
    """Whether it is JSON text, or the name of a file with it."""
    told = str(text).lstrip("\ufeff \t\r\n").rstrip()
    return told.endswith(".json") or told.startswith("{")


def _told(value: Any) -> str:
    return told(str(value) if isinstance(value, os.PathLike) else value)
