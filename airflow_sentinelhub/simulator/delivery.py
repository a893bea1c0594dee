"""Where results go: the bucket, and the paths in it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

# In the place of a request's id before there is one.
ANY_ID = "0" * 36
PLACEHOLDERS = {"<requestId>", "<tileName>", "<tileId>", "<outputId>", "<format>"}
# Real files end in .tif although the contract says "e.g. tiff", user data in userdata.json (seen).
EXTENSIONS = {"image/tiff": "tif", "application/json": "json", "zarr/array": "zarr"}
_URL = re.compile(r"(s3|gs)://([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(/[^\x00-\x1f\x7f\ud800-\udfff]*)?")
# What the name of an object begins with while it is being written.
_PART = ".part-"
# Bytes: of a key in S3, and of one part of it, which is the name of a file where buckets are folders.
_LONGEST_KEY, _LONGEST_PART = 1024, 255


class Bucket(Protocol):
    """Where objects are put. Addresses are whole: ``s3://bucket/key``."""

    def put(self, url: str, content: bytes) -> None:
        """Writes the object; the bucket is made on first use."""

    def get(self, url: str) -> bytes | None:
        """The object's content, or None when there is no such object."""

    def exists(self, url: str) -> bool:
        """Whether there is such an object."""

    def below(self, url: str) -> Iterator[str]:
        """Addresses of the objects in a folder, also those further below."""


class LocalBucket:
    """Buckets as folders: ``s3://maps/ndvi/a.tif`` is the file ``<folder>/maps/ndvi/a.tif``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._resolved = folder.resolve()

    def path(self, url: str) -> Path:
        """The file of an object; ValueError for an address that is none or leads out of the folder."""
        if not is_object_url(url):
            raise ValueError(f"{url} is not the address of an object in a bucket.")
        path = (self._resolved / url.split("://", 1)[1]).resolve()
        if not path.is_relative_to(self._resolved):
            raise ValueError(f"{url} leads out of the folder of the buckets.")
        return path

    def put(self, url: str, content: bytes) -> None:
        path = self.path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that nobody reads half an object.
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=_PART)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise

    def get(self, url: str) -> bytes | None:
        path = self.path(url)
        return path.read_bytes() if path.is_file() else None

    def exists(self, url: str) -> bool:
        return self.path(url).is_file()

    def below(self, url: str) -> Iterator[str]:
        folder = self.path(url)
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.startswith(_PART):
                yield f"{url.rstrip('/')}/{path.relative_to(folder).as_posix()}"


def is_object_url(url: Any) -> bool:
    """Whether it is an ``s3://`` or ``gs://`` address with a bucket name and a key that can exist.

    Not so: a ``..``, which leads out of the folder where buckets are folders; control characters; more than 255 bytes
    between two slashes, or 1024 in all.
    """
    if not isinstance(url, str) or not _URL.fullmatch(url):
        return False
    parts = [part.encode() for part in url.split("/")[3:]]
    if b".." in parts or any(len(part) > _LONGEST_PART for part in parts):
        return False
    return len(b"/".join(parts)) <= _LONGEST_KEY


def root(url: str, request_id: str) -> str:
    """The folder of a delivery, where the files about the request lie (the vendor's own rule).

    Without a placeholder it is ``<url>/<id>``; with one, everything before the first path segment that still holds a
    placeholder after the id was put in.
    """
    url = url.rstrip("/")
    if "<" not in url:
        url += "/<requestId>"
    segments = url.replace("<requestId>", request_id).split("/")
    first = next((index for index, segment in enumerate(segments) if "<" in segment), len(segments))
    return "/".join(segments[:first])


def template(url: str) -> str:
    """The path template of a delivery: a plain path means ``<path>/<requestId>/<tileName>/<outputId>.<format>``."""
    return url if "<" in url else url.rstrip("/") + "/<requestId>/<tileName>/<outputId>.<format>"


def object_url(url: str, request_id: str, tile: tuple[int, str], response: dict[str, Any]) -> str:
    """Where one output of one tile (id, name) is written."""
    kind = response.get("format", {}).get("type", "image/tiff")
    values = {
        "<requestId>": request_id,
        "<tileId>": str(tile[0]),
        "<tileName>": tile[1],
        "<outputId>": response.get("identifier", "default"),
        "<format>": EXTENSIONS.get(kind, "tif"),
    }
    return fill_in(template(url), values)


def fill_in(path: str, values: Mapping[str, str]) -> str:
    """The path with its placeholders replaced, each once: a value that looks like a placeholder stays as it is."""
    return re.sub(r"<[^<>/]*>", lambda match: values.get(match[0], match[0]), path)


def bad_outputs(url: str, responses: Iterable[dict[str, Any]], tile: tuple[int, str] = (0, "00XXX_00_00")) -> list[str]:
    """Identifiers of the outputs that would make an address of no object (``../up``) of a delivery path.

    ``tile``: id and name of the tile or feature; by default one like those of the grids.
    """
    return [
        response["identifier"] for response in responses if not is_object_url(object_url(url, ANY_ID, tile, response))
    ]


def template_problems(url: Any, outputs: int, required: Iterable[str] = ("<tileName>", "<tileId>")) -> list[str]:
    """What is wrong with a delivery path, in sentences. ``required``: placeholders of which a template needs one."""
    if not is_object_url(url):
        return [f"{url} is not a valid path: expected s3://<bucket>/<path>."]
    used = set(re.findall(r"<[^<>/]*>", url))
    problems = [f"Unknown placeholder {name}." for name in sorted(used - PLACEHOLDERS)]
    if used and not used & set(required):
        problems.append(f"The path template must contain {' or '.join(required)}.")
    if used and outputs > 1 and "<outputId>" not in used:
        problems.append("The path template must contain <outputId> when there are several outputs.")
    return problems
