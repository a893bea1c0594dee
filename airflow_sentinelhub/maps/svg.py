"""A map of tiles as SVG: from tiles, their status and the outline of the area to text. Nothing is asked or sent.

The text has no script, no style sheet and no link to another file, and each name in it is escaped, so a page may show
it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

from airflow_sentinelhub.maps.land import land_in
from airflow_sentinelhub.maps.legend import legend, paint, patterns, text
from airflow_sentinelhub.maps.places import Frame, Ring, Tile, frame_of, joined

_NAMED = 5_000
"""Up to so many tiles each one has its own element with its name; more are drawn as one shape for each status."""
_WATER, _LAND, _BORDER, _AREA = "#dfe9ef", "#f4f2ec", "#5b5548", "#3a4654"


def svg_map(
    tiles: Iterable[Tile], area: Iterable[Ring] = (), *, title: str = "", width: int = 800, things: str = "tiles"
) -> str:
    """The map as the text of an SVG file, with countries behind it and a legend below it.

    :param tiles: with outlines in longitude and latitude.
    :param area: the rings of the requested area, drawn as a line.
    :param title: what the map shows, one line.
    :param width: in pixels. The height follows from the tiles.
    :param things: what the tiles are called.
    """
    found, rings = list(tiles), [ring for ring in area if len(ring) > 0]
    given = [tile for tile in found if len(tile.outline) > 0]
    placed = joined([*(tile.outline for tile in given), *rings])
    outlines, borders = placed[: len(given)], placed[len(given) :]
    frame = frame_of(placed)
    height = 60 if frame is None else min(max(round(width * frame.aspect), 60), 4 * width)
    below, deep = legend([tile.status for tile in found], title, width, height, _AREA if borders else None)
    whole = height + deep
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" '
        'role="img">'
    ]
    if title:
        parts.append(f"<title>{text(title)}</title>")
    parts += patterns(tile.status for tile in found)
    parts.append(f'<rect width="{width}" height="{height}" fill="{_WATER}"/>')
    if frame is not None:
        path = _projection(frame, width, height)
        land = "".join(map(path, _coarser(land_in(frame), frame, width)))
        if land:
            name = f"sentinelhub-land-{crc32(land.encode()):x}"
            parts.append(f'<defs><path id="{name}" d="{land}" fill-rule="evenodd"/></defs>')
            parts.append(f'<use href="#{name}" fill="{_LAND}"/>')
        drawn = [(tile, path(outline)) for tile, outline in zip(given, outlines, strict=True)]
        parts += _each(drawn) if len(drawn) <= _NAMED else _by_status(drawn, things)
        if land:
            parts.append(f'<use href="#{name}" fill="none" stroke="{_BORDER}" stroke-opacity="0.7"/>')
        if borders:
            parts.append(
                f'<path d="{"".join(map(path, borders))}" fill="none" stroke="{_AREA}" stroke-width="1.5" '
                'fill-rule="evenodd"/>'
            )
    # It covers what of the land reaches beyond the map.
    parts.append(f'<rect y="{height}" width="{width}" height="{deep}" fill="#ffffff"/>')
    return "\n".join([*parts, *below, "</svg>\n"])


def _projection(frame: Frame, width: int, height: int) -> Callable[[Ring], str]:
    """Makes the path of a ring."""
    across, down = width / (frame.east - frame.west), height / (frame.north - frame.south)
    west, north = frame.west, frame.north

    def path(ring: Ring) -> str:
        return "M" + "L".join(["%.1f,%.1f" % ((x - west) * across, (north - y) * down) for x, y in ring]) + "Z"  # noqa: UP031, it is the fastest

    return path


def _coarser(rings: Iterable[Ring], frame: Frame, width: int) -> Iterator[Ring]:
    """The rings without points that are less than half a pixel from the one before, and without those that are less."""
    least = (frame.east - frame.west) / width / 2
    for ring in rings:
        kept = [ring[0]]
        for point in ring:
            if abs(point[0] - kept[-1][0]) >= least or abs(point[1] - kept[-1][1]) >= least * frame.shrink:
                kept.append(point)
        if len(kept) >= 3:
            yield kept


def _each(drawn: list[tuple[Tile, str]]) -> list[str]:
    return [
        f'<path d="{path}" {_paint(tile.status)}><title>'
        f"{text(tile.name + (f' {tile.status}' if tile.status else ''))}</title></path>"
        for tile, path in drawn
    ]


def _by_status(drawn: list[tuple[Tile, str]], things: str) -> list[str]:
    shapes: dict[str | None, list[str]] = {}
    for tile, path in drawn:
        shapes.setdefault(tile.status, []).append(path)
    return [
        f'<path d="{"".join(paths)}" {_paint(status)}><title>'
        f"{text(f'{len(paths):,} {things}' + (f' {status}' if status else ''))}</title></path>"
        for status, paths in shapes.items()
    ]


def _paint(status: str | None) -> str:
    return f'fill="{paint(status)}" stroke="#ffffff" stroke-width="0.5"'
