"""A small map of tiles in characters, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_sentinelhub.maps.places import Ring, frame_of, joined

_TALL = 0.5
"""Width of a character by its height."""


def text_map(outlines: Iterable[Ring], *, columns: int = 60, rows: int = 24, block: str = "#") -> list[str]:
    """The map as lines of text: `block` where there is a tile, a dot where there is none.

    :param columns, rows: the most that the map may have.
    :param block: a character such as `#`.
    """
    placed = joined(outlines)
    frame = frame_of(placed, margin=0)
    if frame is None:
        return []
    high = columns * frame.aspect * _TALL
    if high > rows:
        columns, high = max(1, round(columns * rows / high)), float(rows)
    lines = max(1, round(high))
    cells = [["."] * columns for _ in range(lines)]
    across, down = columns / (frame.east - frame.west), lines / (frame.north - frame.south)
    for ring in placed:
        x, y = [point[0] for point in ring], [point[1] for point in ring]
        left, right = (min(x) - frame.west) * across, (max(x) - frame.west) * across
        top, bottom = (frame.north - max(y)) * down, (frame.north - min(y)) * down
        for line in _between(top, bottom, lines):
            for column in _between(left, right, columns):
                cells[line][column] = block
    return ["".join(line).rstrip() for line in cells]


def _between(low: float, high: float, count: int) -> range:
    """The cells whose middle lies between; at least the one that the middle of both is in."""
    first, last = int(low + 0.5), int(high + 0.5)
    if first >= last:
        first = int((low + high) / 2)
        last = first + 1
    return range(min(max(first, 0), count - 1), min(max(last, 1), count))
