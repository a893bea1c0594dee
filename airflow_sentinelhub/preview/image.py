"""The file of a preview's map: SVG or PNG, by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.maps.png import png_of, require_png


def renderer(path: str) -> Callable[[str], bytes]:
    """What makes the content of a map's file out of the text of its SVG.

    :param path: of the file, which ends in `.svg` or `.png`.
    :raises InvalidInputError: it has another ending, or the library for PNG (extra `png`) is not installed.
    """
    ending = Path(path).suffix.lower()
    if ending == ".svg":
        return str.encode
    if ending != ".png":
        raise InvalidInputError(f"--map writes a file whose name ends in .svg or .png, not {path!r}.")
    require_png()
    return png_of
