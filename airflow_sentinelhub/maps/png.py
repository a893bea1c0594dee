"""An SVG image as PNG, by resvg (extra `png`): a library of its own, without a browser or a network.

Images of containers have no fonts, so its letters come from a font that ships with the package.
"""

from __future__ import annotations

from pathlib import Path

from airflow_sentinelhub.exceptions import InvalidInputError

FONT = Path(__file__).with_name("font.ttf")
"""Letters of DejaVu Sans: Latin, Greek and Cyrillic ones."""


def require_png() -> None:
    """Refuse a PNG where its library is missing.

    :raises InvalidInputError: it is.
    """
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        raise InvalidInputError(
            "A map as .png needs the package resvg-py (pip install 'airflow-sentinelhub[png]'); .svg needs nothing."
        ) from None


def png_of(svg: str, zoom: float = 2.0) -> bytes:
    """The image as PNG.

    :param svg: text of the SVG.
    :param zoom: pixels of the PNG for each of the SVG.
    :raises InvalidInputError: the library is missing.
    """
    require_png()
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, skip_system_fonts=True, font_files=[str(FONT)]))
