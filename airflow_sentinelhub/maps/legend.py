"""The legend of a map as SVG: the fill of each status, and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from airflow_sentinelhub.maps.looks import LOOKS, look

_SIZE = 8
"""Pixels after which a pattern repeats."""
_OPACITY = {"full": 0.85, "cross": 0.85, "none": 0.3}
_LINE, _MARGIN, _GAP, _SWATCH = 22, 12, 22, 16
_LETTER = 7.2
"""Pixels of a letter, at the most on average: text that is too long is cut off."""
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FONT = 'font-family="DejaVu Sans, system-ui, sans-serif" font-size="12"'
_AREA = "area asked for"


def text(value: str) -> str:
    """Text for an element or an attribute, without what XML cannot hold."""
    return escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", value))


def paint(status: str | None) -> str:
    """The fill of a tile, for its attribute `fill`; it needs what `patterns` makes for the same status."""
    return f"url(#{_id(status)})"


def _id(status: str | None) -> str:
    """A name for the pattern of a look: a page may show several maps, and the same name then means the same."""
    _, colour, pattern = look(status)
    return f"sentinelhub-{pattern}-{colour[1:]}"


def patterns(statuses: Iterable[str | None]) -> list[str]:
    """The patterns of these statuses, as lines of SVG; none if there are no statuses."""
    made = {_id(status): _pattern(status) for status in statuses}
    return ["<defs>", *made.values(), "</defs>"] if made else []


def _pattern(status: str | None) -> str:
    _, colour, kind = look(status)
    parts = [f'<rect width="{_SIZE}" height="{_SIZE}" fill="{colour}" fill-opacity="{_OPACITY.get(kind, 0.5)}"/>']
    if kind in ("stripes", "cross"):
        parts.append(f'<path d="M-2,2L2,-2M0,8L8,0M6,10L10,6" stroke="{colour}" stroke-width="1.4"/>')
    if kind == "cross":
        parts.append('<path d="M-2,6L2,10M0,0L8,8M6,-2L10,2" stroke="#fff0e8" stroke-width="1.4"/>')
    if kind == "dots":
        parts.append(f'<rect x="3" y="3" width="2" height="2" fill="{colour}"/>')
    return (
        f'<pattern id="{_id(status)}" width="{_SIZE}" height="{_SIZE}" patternUnits="userSpaceOnUse">'
        f"{''.join(parts)}</pattern>"
    )


def legend(
    statuses: Sequence[str | None], title: str, width: int, top: int, area: str | None = None
) -> tuple[list[str], int]:
    """The legend as lines of SVG, and its height in pixels.

    :param statuses: of all tiles.
    :param title: of the map.
    :param width: of the map.
    :param top: where it begins.
    :param area: colour of the line around the area, None if none is drawn.
    """
    order = {name: at for at, name in enumerate(LOOKS)}
    present = sorted(set(statuses), key=lambda status: (order.get(status or "", len(order)), status or ""))
    entries: list[tuple[str, str | None]]
    entries = [(f"{statuses.count(status):,} {look(status).label}", paint(status)) for status in present]
    entries += [(_AREA, None)] if area else []
    parts, x, y = [], float(_MARGIN), top
    if title:
        y += _LINE
        parts.append(_words(_cut(title, width - 2 * _MARGIN), _MARGIN, y))
    if entries:
        y += _LINE
    for label, fill in entries:
        label = _cut(label, width - 2 * _MARGIN - _SWATCH)
        wide = _SWATCH + 7 + len(label) * _LETTER
        if x > _MARGIN and x + wide > width - _MARGIN:
            x, y = _MARGIN, y + _LINE
        parts.append(_sample(fill, x, y, area))
        parts.append(_words(label, x + _SWATCH + 7, y))
        x += wide + _GAP
    return parts, (y - top + 10) if parts else 0


def _sample(fill: str | None, x: float, y: float, line: str | None) -> str:
    if fill is None:
        return f'<path d="M{x:.0f},{y - 5}h{_SWATCH}" stroke="{line}" stroke-width="1.5"/>'
    return f'<rect x="{x:.0f}" y="{y - 12}" width="{_SWATCH}" height="14" fill="{fill}" stroke="#c9c4b8"/>'


def _words(words: str, x: float, y: float) -> str:
    return f'<text x="{x:.0f}" y="{y}" {_FONT} fill="#1f2933">{text(words)}</text>'


def _cut(words: str, width: float) -> str:
    """The words, on one line, with their end left out if they are wider than that."""
    line, most = " ".join(words.split()), max(int(width / _LETTER), 1)
    return line if len(line) <= most else f"{line[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
