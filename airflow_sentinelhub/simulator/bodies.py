"""What a checked request body says, for either generation."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.grids.known import GRIDS, Grid

from .jobs import Generation

Json = dict[str, Any]
# Members that name an object storage, each with a ``url`` below it. The third one is a destination that the vendor
# keeps with its keys; it is in no contract, but a tool of the vendor reads it (client).
STORAGES = ("s3", "gs", "pl:destinations")


def tiling_of(body: Json, generation: Generation) -> tuple[Grid, Json] | None:
    """Grid and bounds of a checked body; None for a GeoPackage."""
    if generation == "statistical":
        return None
    settings = body["tilingGrid"] if generation == "v1" else body["input"]
    if generation == "v2" and settings["type"] != "tiling-grid":
        return None
    return GRIDS[settings["id"]], body["processRequest"]["input"]["bounds"]


def output_size(body: Json, generation: Generation) -> tuple[int, int]:
    """Width and height in pixels of each output, buffers included."""
    settings = body["tilingGrid"] if generation == "v1" else body["input"]
    side = GRIDS[settings["id"]].pixels(settings["resolution"])
    return side + 2 * int(settings.get("bufferX", 0)), side + 2 * int(settings.get("bufferY", 0))


def responses_of(body: Json) -> list[Json]:
    responses: list[Json] = body["processRequest"].get("output", {}).get("responses") or []
    return responses or [{"identifier": "default", "format": {"type": "image/tiff"}}]


def delivery_url(body: Json, generation: Generation) -> str:
    """Where the outputs go, as the user wrote it; a v1 bucket name as the path it stands for."""
    if generation == "v2":
        return storage_url(body["output"]["delivery"])
    if generation == "statistical":
        return storage_url(body["output"])
    if "zarrOutput" in body:
        return str(body["zarrOutput"]["path"])
    output = body.get("output", {})
    paths = [item["tilePath"] for item in output.get("responses", []) if item.get("tilePath")]
    return str(output.get("defaultTilePath") or (f"s3://{body['bucketName']}" if "bucketName" in body else paths[0]))


def raster_url(body: Json, generation: Generation) -> str | None:
    """The delivery of a raster output; None for zarr, which is one folder for all tiles, and for statistics."""
    if generation == "statistical":
        return None
    zarr = "zarrOutput" in body if generation == "v1" else body["output"]["type"] == "zarr"
    return None if zarr else delivery_url(body, generation)


def zarr_url(body: Json, generation: Generation) -> str | None:
    """The folder of a zarr output, as the user wrote it; None for other outputs."""
    is_zarr = generation != "statistical" and raster_url(body, generation) is None
    return delivery_url(body, generation) if is_zarr else None


def storage_url(place: Json) -> str:
    """Address of an object storage of a checked body."""
    return str(next(place[name]["url"] for name in STORAGES if name in place))
