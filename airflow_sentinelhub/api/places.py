"""Places of files in buckets, as users type them: `s3://bucket/path`. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.api.rings import described, shown
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

OUTPUT = "The place of an output"
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_NO_BUCKET = re.compile(r".*\.[.-]|.*-\.|\d{1,3}(?:\.\d{1,3}){3}\Z")
_SHORTEST = 3
_LONGEST_KEY = 1024
"""Bytes."""
_URL = re.compile(r"(?s)s3://([^/]*)(/.*)?")


def place(value: Any, what: str = OUTPUT, about: str = "") -> str:
    """The URL of a place in S3, without blanks around it.

    :param value: its text, or a path object of a library for buckets, whose text it is.
    :param what: what the place is, for errors: the beginning of the sentence.
    :param about: the argument that it is.
    :raises InvalidInputError: it is no such URL, or names no bucket.
    """
    text = str(value).strip() if isinstance(value, (str, os.PathLike)) else ""
    named = f" ({about})" if about else ""
    found = _URL.fullmatch(text)
    if found is None or not found[1]:
        hint = ""
        if isinstance(value, os.PathLike) and re.match(r"(?i)s3:/[^/]", text):
            hint = " A pathlib path drops one of the slashes: give the URL as text."
        raise InvalidInputError(f"{what} is s3://bucket/path, not {_described(value)}{named}.{hint}")
    if found[1] == "None":
        raise InvalidInputError(
            f"{what} is s3://bucket/path, not {_described(value)}{named}: its template has given no bucket."
        )
    if not _is_bucket(found[1]):
        conn_id, at, bucket = found[1].partition("@")
        hint = f"; leave {conn_id}@ out, and give aws_conn_id={conn_id!r}" if at and bucket else _NAMES
        raise InvalidInputError(
            f"{what} is s3://bucket/path, not {_described(value)}{named}: {shown(found[1], 60)} is no name of a bucket"
            f"{hint}."
        )
    if wrong := _wrong_key((found[2] or "")[1:]):
        raise InvalidInputError(f"{what} is s3://bucket/path, not {_described(value)}{named}: its path {wrong}.")
    return text


_NAMES = " (3 to 63 small letters, digits, dots and hyphens; first and last a letter or a digit)"


def _is_bucket(name: str) -> bool:
    """Whether a bucket can have this name by the rules of S3. Underscores pass, which other storages allow."""
    return _BUCKET.fullmatch(name) is not None and _NO_BUCKET.match(name) is None


def _wrong_key(key: str) -> str:
    """What keeps a path from being one in a bucket; empty if nothing does."""
    if ".." in key.split("/"):
        return "has a part '..', which leads nowhere in a bucket"
    if "None" in key.split("/"):
        return "has a part 'None': its template has given nothing"
    if "//" in f"/{key.rstrip('/')}":
        return "has an empty part: its template has given nothing, or it has a slash too many"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in key):
        return "has a character that cannot be printed"
    size = len(key.encode("utf-8", "replace"))
    return f"has {size:,} bytes, more than the {_LONGEST_KEY:,} of a bucket" if size > _LONGEST_KEY else ""


def check_buckets(payload: Any) -> None:
    """Check the names of all buckets in a payload before it is sent, for what a literal may still be: too short.

    :raises InvalidInputError: one has fewer letters than the name of a bucket can have.
    """
    for key, value in payload.items() if isinstance(payload, Mapping) else enumerate(payload):
        if isinstance(value, (Mapping, list)):
            check_buckets(value)
        elif isinstance(value, str):
            found = _URL.match(value) if key in _PLACES else None
            name = found[1] if found else value if key in _BUCKETS else None
            if name is not None and len(name) < _SHORTEST:
                raise InvalidInputError(f"{shown(name)} in {key} is no name of a bucket{_NAMES}; nothing was sent.")


_PLACES, _BUCKETS = ("url", "path", "defaultTilePath", "tilePath"), ("bucketName", "s3Bucket")


def bucket(value: str) -> str:
    """The name of a bucket, without blanks around it.

    :raises InvalidInputError: no bucket can have this name.
    """
    text = value.strip()
    if not _is_bucket(text):
        hint = f"; give destination={text!r} for a place in a bucket" if "/" in text else _NAMES
        raise InvalidInputError(f"bucket_name is the name of a bucket, not {shown(value)}{hint}.")
    return text


def delivery(output: Mapping[str, Any], name: str, *, early: bool = False) -> Mapping[str, Any]:
    """The `delivery` of an output that has one, after a look at its form.

    :param output: of the payload.
    :param name: what messages call it.
    :raises InvalidInputError: it is no object with a place in it, as the service wants it.
    """
    places = output["delivery"]
    example = '{"s3": {"url": "s3://bucket/path"}}'
    if not isinstance(places, Mapping) or not places:
        given = "an empty one" if isinstance(places, Mapping) else _described(places)
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
        raise InvalidInputError(f"{name} is s3://bucket/path, or an object of the payload, not {_described(output)}.")
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
    content = str(text).lstrip("\ufeff \t\r\n").rstrip()
    return content.endswith(".json") or content.startswith("{")


def _described(value: Any) -> str:
    return described(str(value) if isinstance(value, os.PathLike) else value)
