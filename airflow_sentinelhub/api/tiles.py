"""Tiles of v1 as small items, and where their files lie. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_sentinelhub.api.decoding import member, text

_ENDINGS = {"image/tiff": "tif", "application/json": "json", "image/png": "png", "image/jpeg": "jpg"}


def tile_item(
    tile: Mapping[str, Any], paths: Callable[[Mapping[str, Any]], dict[str, str]] | None = None
) -> dict[str, Any]:
    """A tile of the service as an item for dynamic task mapping."""
    item = {"name": tile.get("name") or str(tile.get("id")), "status": str(tile.get("status"))}
    return {**item, "paths": paths(tile)} if paths else item


def output_paths(request: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """A function from a tile to the URLs of its outputs, by the service's rule for paths.

    A path without placeholders means `<path>/<requestId>/<tileName>/<outputId>.<format>`; files really end in `.tif`
    and `.json`.

    :param request: the request as the service shows it.
    """
    output = request.get("output")
    bucket = text(request.get("bucketName"))
    base = str(member(output, "defaultTilePath") or f"s3://{bucket}").rstrip("/")
    template = base if "<" in base else f"{base}/<requestId>/<tileName>/<outputId>.<format>"
    own = {item.get("identifier"): item.get("tilePath") for item in member(output, "responses") or ()}
    responses = member(request, "processRequest", "output", "responses") or [{"identifier": "default"}]

    def paths(tile: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for response in responses:
            name = str(response.get("identifier") or "default")
            kind = str((response.get("format") or {}).get("type") or "image/tiff")
            url = own.get(name) or template
            for word, value in (
                ("<requestId>", str(request["id"])),
                ("<tileName>", str(tile.get("name"))),
                ("<tileId>", str(tile.get("id"))),
                ("<outputId>", name),
                ("<format>", _ENDINGS.get(kind, kind.rpartition("/")[2])),
            ):
                url = url.replace(word, value)
            found[name] = url
        return found

    return paths
