"""A real GeoTIFF, as small as one can be: one band of bytes, one strip, no compression."""

from __future__ import annotations

import struct

_SHORT, _LONG, _DOUBLE = 3, 4, 12
_FORMATS = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}


def geotiff(
    pixels: bytes,
    width: int,
    height: int,
    bounds: tuple[float, float, float, float],
    crs: int,
    *,
    geographic: bool,
) -> bytes:
    """The file.

    :param pixels: one byte for each pixel, row by row from the top.
    :param bounds: west, south, east, north of the image's edges in the CRS with the EPSG code ``crs``.
    :param geographic: whether that CRS is in degrees; GeoTIFF keeps these apart from projected ones.
    """
    if len(pixels) != width * height:
        raise ValueError(f"{len(pixels)} bytes are not {width} x {height} pixels.")
    west, south, east, north = bounds
    keys = [
        (1024, 2 if geographic else 1),  # model: geographic or projected
        (1025, 1),  # a pixel is an area
        (2048 if geographic else 3072, crs),
    ]
    directory = [1, 1, 0, len(keys)]
    for key, value in keys:
        directory += [key, 0, 1, value]
    tags: list[tuple[int, int, list[float] | list[int]]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [8]),  # bits of a sample
        (259, _SHORT, [1]),  # no compression
        (262, _SHORT, [1]),  # 0 is black
        (273, _LONG, [0]),  # where the strip begins; put in below
        (277, _SHORT, [1]),  # samples of a pixel
        (278, _LONG, [height]),  # rows of the strip
        (279, _LONG, [len(pixels)]),
        (339, _SHORT, [1]),  # unsigned whole numbers
        (33550, _DOUBLE, [(east - west) / width, (north - south) / height, 0.0]),
        (33922, _DOUBLE, [0.0, 0.0, 0.0, west, north, 0.0]),  # pixel 0, 0 begins in the upper left corner
        (34735, _SHORT, directory),
    ]
    begin = 8 + 2 + 12 * len(tags) + 4
    beside = b""
    values: list[tuple[int, int, int, bytes]] = []
    for tag, kind, numbers in tags:
        content = struct.pack(f"<{len(numbers)}{_FORMATS[kind]}", *numbers)
        if len(content) > 4:
            place = struct.pack("<I", begin + len(beside))
            beside += content
            content = place
        values.append((tag, kind, len(numbers), content))
    strip = struct.pack("<I", begin + len(beside))
    entries = b"".join(
        struct.pack("<HHI", tag, kind, count) + (strip if tag == 273 else content).ljust(4, b"\0")
        for tag, kind, count, content in values
    )
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return head + beside + pixels
