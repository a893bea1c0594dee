"""Tiles of v1 as small items, and where their files lie. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_sentinelhub.api.decoding import member, text
from airflow_sentinelhub.exceptions import ResultsError

_ENDINGS = {"image/tiff": "tif", "application/json": "json", "image/png": "png", "image/jpeg": "jpg"}


def tile_item(
    tile: Mapping[str, Any], paths: Callable[[Mapping[str, Any]], dict[str, str]] | None = None
) -> dict[str, Any]:
    """A tile of the service as an item for dynamic task mapping."""
    item = {"name": _word(tile, "name") or str(tile.get("id")), "status": str(tile.get("status"))}
    return {**item, "paths": paths(tile)} if paths else item


def output_paths(request: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """A function from a tile to the URLs of its outputs, by the service's rule for paths.

    A path without placeholders means `<path>/<requestId>/<tileName>/<outputId>.<format>`; files really end in `.tif`
    and `.json`. Of zarr it is the store, which all tiles share.

    :param request: the request as the service shows it.
    :returns: a function that raises `ResultsError` where a path is not known.
    """
    output, request_id = request.get("output"), str(request["id"])
    store, bucket = text(member(request, "zarrOutput", "path")), text(request.get("bucketName"))
    base = text(member(output, "defaultTilePath")) or (f"s3://{bucket}" if bucket else "")
    template = base if "<" in base or not base else f"{base.rstrip('/')}/<requestId>/<tileName>/<outputId>.<format>"
    own = {item.get("identifier"): text(item.get("tilePath")) for item in _objects(member(output, "responses"))}
    responses = _objects(member(request, "processRequest", "output", "responses")) or [{"identifier": "default"}]

    def paths(tile: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for response in responses:
            name = str(response.get("identifier") or "default")
            kind = text(member(response, "format", "type")) or "image/tiff"
            url = store or own.get(name) or template
            if not url:
                raise ResultsError(
                    f"Batch request {request_id} names no place for its output {name!r}.", request_id=request_id
                )
            for word, value in (
                ("<requestId>", request_id),
                ("<tileName>", _word(tile, "name")),
                ("<tileId>", _word(tile, "id")),
                ("<outputId>", name),
                ("<format>", _ENDINGS.get(kind, kind.rpartition("/")[2])),
            ):
                if word in url and value is None:
                    raise ResultsError(
                        f"A tile of batch request {request_id} (id {_word(tile, 'id')}, name {_word(tile, 'name')}) "
                        f"lacks what stands for {word} in the paths of its files, so these are not known.",
                        request_id=request_id,
                    )
                url = url.replace(word, str(value))
            found[name] = url
        return found

    return paths


def _word(tile: Mapping[str, Any], name: str) -> str | None:
    """The name or the id of a tile as text, None if it has none."""
    value = tile.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
