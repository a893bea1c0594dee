"""From the coordinates of tiles to longitude and latitude, for drawing them. Pure, without a library of projections.

The service's grids are in UTM, in WGS84 and in Europe's equal-area projection (EPSG:3035). The formulas are those of
Karney (2011) for transverse Mercator, to the third order (some centimetres), and of Snyder (1987) for the equal-area
projection. Any other system is not known here: what is in it cannot be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Place = tuple[float, float]
"""Longitude and latitude in degrees, or the two coordinates of a projection."""

_A, _F = 6378137.0, 1 / 298.257222101
_N = _F / (2 - _F)
_RADIUS = _A / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_BETA = (_N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96, _N**2 / 48 + _N**3 / 15, 17 * _N**3 / 480)
_E2 = _F * (2 - _F)
_E = math.sqrt(_E2)
_DELTA = (2 * _N - 2 * _N**2 / 3 - 2 * _N**3, 7 * _N**2 / 3 - 8 * _N**3 / 5, 56 * _N**3 / 15)


def to_degrees(epsg: int) -> Callable[[float, float], Place] | None:
    """A function from coordinates in the system with this EPSG code to degrees; None for a system not known here."""
    if epsg in (4326, 84):
        return lambda x, y: (x, y)
    if 32601 <= epsg <= 32660:
        return _utm(epsg - 32600, 0.0)
    if 32701 <= epsg <= 32760:
        return _utm(epsg - 32700, 10_000_000.0)
    if epsg == 3035:
        return _equal_area
    if epsg in (3857, 900913):
        return _web_mercator
    return None


def _utm(zone: int, false_northing: float) -> Callable[[float, float], Place]:
    middle = zone * 6 - 183.0

    def degrees(x: float, y: float) -> Place:
        xi, eta = (y - false_northing) / (0.9996 * _RADIUS), (x - 500_000.0) / (0.9996 * _RADIUS)
        along, across = xi, eta
        for order, beta in enumerate(_BETA, 1):
            along -= beta * math.sin(2 * order * xi) * math.cosh(2 * order * eta)
            across -= beta * math.cos(2 * order * xi) * math.sinh(2 * order * eta)
        conformal = math.asin(math.sin(along) / math.cosh(across))
        latitude = conformal + sum(delta * math.sin(2 * order * conformal) for order, delta in enumerate(_DELTA, 1))
        return middle + math.degrees(math.atan2(math.sinh(across), math.cos(along))), math.degrees(latitude)

    return degrees


def _authalic(latitude: float) -> float:
    sine = math.sin(latitude)
    return (1 - _E2) * (sine / (1 - _E2 * sine * sine) - math.log((1 - _E * sine) / (1 + _E * sine)) / (2 * _E))


_POLE = _authalic(math.pi / 2)
_RQ = _A * math.sqrt(_POLE / 2)
_LAT0, _LON0 = math.radians(52.0), 10.0
_BETA0 = math.asin(_authalic(_LAT0) / _POLE)
_D = _A * math.cos(_LAT0) / math.sqrt(1 - _E2 * math.sin(_LAT0) ** 2) / (_RQ * math.cos(_BETA0))


def _equal_area(x: float, y: float) -> Place:
    x, y = x - 4_321_000.0, y - 3_210_000.0
    rho = math.hypot(x / _D, _D * y)
    if rho == 0:
        return _LON0, math.degrees(_LAT0)
    angle = 2 * math.asin(min(rho / (2 * _RQ), 1.0))
    sine, cosine = math.sin(angle), math.cos(angle)
    beta = math.asin(cosine * math.sin(_BETA0) + _D * y * sine * math.cos(_BETA0) / rho)
    longitude = math.atan2(x * sine, _D * rho * math.cos(_BETA0) * cosine - _D**2 * y * math.sin(_BETA0) * sine)
    latitude = (
        beta
        + (_E2 / 3 + 31 * _E2**2 / 180 + 517 * _E2**3 / 5040) * math.sin(2 * beta)
        + (23 * _E2**2 / 360 + 251 * _E2**3 / 3780) * math.sin(4 * beta)
        + 761 * _E2**3 / 45360 * math.sin(6 * beta)
    )
    return _LON0 + math.degrees(longitude), math.degrees(latitude)


def _web_mercator(x: float, y: float) -> Place:
    return math.degrees(x / _A), math.degrees(2 * math.atan(math.exp(y / _A)) - math.pi / 2)
