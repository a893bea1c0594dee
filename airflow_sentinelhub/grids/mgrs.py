"""Names of the 100 km squares of the Military Grid Reference System, e.g. ``32TNM``.

Only what the UTM tiling grids need: from zone, hemisphere and metres to letters. No projection is done here.
"""

from __future__ import annotations

SQUARE = 100_000
BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"


def band_letter(latitude: float) -> str:
    """The letter of the latitude band: 8 degrees each from 80 S on; the last one, X, has 12."""
    index = int((latitude + 80) // 8)
    return BANDS[min(max(index, 0), len(BANDS) - 1)]


def square_letters(zone: int, easting: float, northing: float) -> str:
    """The two letters of the 100 km square that holds the point.

    Columns repeat every three zones, rows every two (even zones begin at F). Northings of the southern hemisphere carry
    UTM's 10,000 km, which is a whole number of row cycles: the same rule serves both.
    """
    column = int(easting // SQUARE)
    if not 1 <= column <= 8:
        raise ValueError(f"An easting of {easting} m lies outside the squares of a UTM zone.")
    row = int(northing // SQUARE) + (5 if zone % 2 == 0 else 0)
    return _COLUMNS[(zone - 1) % 3][column - 1] + _ROWS[row % len(_ROWS)]


def square_name(zone: int, latitude: float, easting: float, northing: float) -> str:
    """For example ``32TNM``: zone with two digits, band, column and row."""
    return f"{zone:02d}{band_letter(latitude)}{square_letters(zone, easting, northing)}"


def zone_strips() -> list[tuple[int, float, float, float, float]]:
    """The UTM zones as (zone, west, south, east, north) in degrees: 6 degrees each, but for Norway and Svalbard."""
    strips: list[tuple[int, float, float, float, float]] = []
    for zone in range(1, 61):
        west, east = -186.0 + 6 * zone, -180.0 + 6 * zone
        strips.append((zone, west, -80.0, east, 56.0))
        if zone == 31:
            strips += [(31, 0.0, 56.0, 3.0, 64.0), (31, 0.0, 64.0, 6.0, 72.0), (31, 0.0, 72.0, 9.0, 84.0)]
        elif zone == 32:
            strips += [(32, 3.0, 56.0, 12.0, 64.0), (32, 6.0, 64.0, 12.0, 72.0)]
        elif zone in (33, 35):
            strips += [(zone, west, 56.0, east, 72.0), (zone, west - 3, 72.0, east + 3, 84.0)]
        elif zone in (34, 36):
            strips.append((zone, west, 56.0, east, 72.0))
        elif zone == 37:
            strips += [(37, west, 56.0, east, 72.0), (37, 33.0, 72.0, 42.0, 84.0)]
        else:
            strips.append((zone, west, 56.0, east, 84.0))
    return strips
