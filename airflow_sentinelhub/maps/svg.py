"""A map of tiles as SVG: a pure function from tiles, their status and the outline of the area to text.

The text has no script, no style sheet and no link, and each name in it is escaped, so a page may show it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from airflow_sentinelhub.maps.places import Ring, Tile, frame_of, joined

COLOURS = {
    None: "#9ecae1",
    "PENDING": "#9ecae1",
    "SCHEDULED": "#9ecae1",
    "QUEUED": "#9ecae1",
    "PROCESSING": "#fdd16b",
    "PROCESSED": "#74c476",
    "DONE": "#74c476",
    "FAILED": "#de2d26",
}
"""Fill of a tile by its status; others are grey."""
_UNKNOWN = "#bdbdbd"
_NAMED = 5_000
"""Up to so many tiles each one has its own element with its name; more are drawn as one shape for each status."""
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def svg_map(tiles: Iterable[Tile], area: Iterable[Ring] = (), *, title: str = "", width: int = 800) -> str:
    """The map as the text of an SVG file.

    :param tiles: with outlines in longitude and latitude.
    :param area: the rings of the requested area, drawn as a line.
    :param title: what the map shows, one line; :param width: in pixels. The height follows from the tiles.
    """
    found, rings = list(tiles), [ring for ring in area if len(ring) > 0]
    given = [tile for tile in found if len(tile.outline) > 0]
    placed = joined([*(tile.outline for tile in given), *rings])
    outlines, borders = placed[: len(given)], placed[len(given) :]
    frame = frame_of(placed)
    height = 60 if frame is None else min(max(round(width * frame.aspect), 60), 4 * width)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img">'
    ]
    if title:
        parts.append(f"<title>{_text(title)}</title>")
    parts.append(f'<rect width="{width}" height="{height}" fill="#ffffff"/>')
    if frame is not None:
        across, down = width / (frame.east - frame.west), height / (frame.north - frame.south)
        west, north = frame.west, frame.north

        def path(ring: Ring) -> str:
            return "M" + "L".join(["%.1f,%.1f" % ((x - west) * across, (north - y) * down) for x, y in ring]) + "Z"  # noqa: UP031, it is the fastest

        drawn = [(tile, path(outline)) for tile, outline in zip(given, outlines, strict=True)]
        parts += _each(drawn) if len(drawn) <= _NAMED else _by_status(drawn)
        if borders:
            parts.append(
                f'<path d="{"".join(map(path, borders))}" fill="none" stroke="#08306b" stroke-width="1.5" '
                'fill-rule="evenodd"/>'
            )
    return "\n".join([*parts, "</svg>\n"])


def _each(drawn: list[tuple[Tile, str]]) -> list[str]:
    return [
        f'<path d="{path}" {_paint(tile.status)}><title>'
        f"{_text(tile.name + (f' {tile.status}' if tile.status else ''))}</title></path>"
        for tile, path in drawn
    ]


def _by_status(drawn: list[tuple[Tile, str]]) -> list[str]:
    shapes: dict[str | None, list[str]] = {}
    for tile, path in drawn:
        shapes.setdefault(tile.status, []).append(path)
    return [
        f'<path d="{"".join(paths)}" {_paint(status)}><title>'
        f"{_text(f'{len(paths):,} tiles' + (f' {status}' if status else ''))}</title></path>"
        for status, paths in shapes.items()
    ]


def _paint(status: str | None) -> str:
    return f'fill="{COLOURS.get(status, _UNKNOWN)}" fill-opacity="0.6" stroke="#555555" stroke-width="0.5"'


def _text(text: str) -> str:
    """Text for an element or an attribute, without what XML cannot hold."""
    return escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", text))
