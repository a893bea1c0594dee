"""A request and its tiles as a file: a page, an image, or GeoJSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.reports import FORMS
from airflow_sentinelhub.api.tile_table import TileTable
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks.job_map import (
    Reads,
    RequestSource,
    ShownRequest,
    read_request,
    request_view,
    things_of,
    tiles_of,
)
from airflow_sentinelhub.maps.html import html_page
from airflow_sentinelhub.maps.places import Tile
from airflow_sentinelhub.maps.png import png_of, require_png
from airflow_sentinelhub.maps.svg import svg_map

MOST_PATHS = 5_000
"""Tiles up to which a file holds the URLs of their outputs."""


@dataclass(frozen=True)
class JobMap:
    """A request and its tiles, as they were when they were read: a map to be saved.

    :param source: where it was read.
    :param known: what was read.
    :param at: when, in seconds since 1970.
    :param kept: what a task has read of it.
    :param task: which task, see `web.job_view`. None where there is none.
    """

    source: RequestSource
    known: ShownRequest
    at: float
    kept: Progress | None = None
    task: Mapping[str, Any] | None = None

    def html(self) -> str:
        """One HTML file with the map, which needs neither a network nor Airflow."""
        table = self.known.table
        request = request_view(self.source, self.known, self.kept)
        view: dict[str, Any] = {"found": True, "now": self.at, "live": False, "request": request}
        if self.task is not None:
            view["task"] = dict(self.task)
        tiles: dict[str, Any] = {"area": self.known.area, "table": table and table.as_json()}
        if table is not None and len(table.names) <= MOST_PATHS:
            tiles["paths"] = [dict(paths) for paths in table.paths]
        return html_page(view, tiles)

    def geojson(self) -> dict[str, Any]:
        """The tiles as GeoJSON, with name, status, cost and error of each."""
        return (self.known.table or TileTable()).as_geojson()

    def svg(self) -> str:
        """The tiles and the outline of the area as an SVG image, with countries behind them and a legend."""
        table = self.known.table or TileTable()
        tiles = [Tile(table.names[owner], ring, table.statuses[owner]) for owner, ring in table.rings]
        return svg_map(tiles, self.known.area, title=self.title(), things=things_of(self.source.batch_api))

    def title(self) -> str:
        """One line: the request, its status and its tiles."""
        table, job = self.known.table, self.known.job
        status = "" if job is None else f", {job.status.value}"
        counts = {} if table is None else table.counts()
        things = things_of(self.source.batch_api)
        numbers = ", ".join(f"{number:,} {word}" for word, number in counts.items())
        things_done = f": {sum(counts.values()):,} {things} ({numbers})" if counts else ""
        return f"Batch request {self.source.request_id}{status}{things_done}"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the map to a file, in the form that the ending of its name says.

        `.html`: the whole page. `.svg`, `.png`: an image of the tiles; the latter needs the extra `png`. `.geojson`,
        `.json`: the tiles as data.

        :raises InvalidInputError: the name has another ending, the file cannot be written, or the extra is missing.
        """
        target = Path(path)
        content = self.content(target.suffix)
        try:
            target.write_bytes(content)
        except OSError as err:
            raise InvalidInputError(f"The map cannot be written to {target}: {err.strerror or err}.") from None
        return target

    def content(self, ending: str) -> bytes:
        """The map as a file with this ending, see `save`."""
        check_ending(ending)
        if ending.lower() == ".png":
            return png_of(self.svg())
        text = {".html": self.html, ".svg": self.svg}.get(ending.lower(), lambda: json.dumps(self.geojson()))()
        return text.encode()


def check_ending(ending: str) -> None:
    """Refuse the ending of a file's name that says no form of a map, or one that cannot be made here.

    :raises InvalidInputError: it says none, or it is `.png` without the extra `png`.
    """
    if ending.lower() not in FORMS:
        named = f"not as {ending}" if ending else "and this name has no ending"
        raise InvalidInputError(f"A map is saved as .html, .svg, .png or .geojson, {named}.")
    if ending.lower() == ".png":
        require_png()


def map_of(hook: Reads, source: RequestSource) -> JobMap:
    """The map of a request, read now.

    :raises SentinelHubError: the request or its tiles cannot be read.
    """
    known, now = ShownRequest(), time.time()
    read_request(hook, source, known, now)
    for table in tiles_of(hook, source, known):
        known.table, known.tiles_at = table, now
    return JobMap(source, known, now)
