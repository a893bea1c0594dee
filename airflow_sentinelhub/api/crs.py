"""Coordinate reference systems: known by many names, of which the service takes one, the URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.exceptions import InvalidInputError, one_line

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG_URL = "http://www.opengis.net/def/crs/EPSG/0/"
DEGREES = (CRS84, f"{_EPSG_URL}4326")
"""The two whose coordinates are longitude and latitude, in this order. For the service they are the same."""

TAKEN = frozenset(
    (
        *(4326, 3857, *range(32601, 32661), *range(32701, 32761)),
        *(2154, 2180, 2193, 3003, 3004, 3031, 3035, 3346, 3413, 3416, 3765, 3794, 3844, 3912, 3995, 4026, 5514, 28992),
    )
)
"""EPSG codes that the service takes, by its documents (CRS support of the Process API)."""

_EPSG = re.compile(r"(?i)\bepsg(?:\.xml)?[:/#\s]+(?:[\d.]*[:/]+)?(\d+)/?(?:(?:proj4|ogcwkt|esriwkt)/?)?$")
_EPSG_IO = re.compile(r"(?i)\bepsg\.io/(\d+)/?$")
_CRS84 = re.compile(r"(?i)\bCRS:?84h?\b")
_CODE = re.compile(r"(?a)(\d{1,9})(?:\.0*)?")
_NAMED_IN_WKT = re.compile(r'(?:ID|AUTHORITY)\["(EPSG|OGC)",\s*"?(\w+)"?\]\s*\]\s*$')


def crs_url(crs: Any) -> str:
    """The URL by which the service knows a CRS.

    :param crs: `4326`, `"EPSG:3035"`, URN, URL, a link to a catalogue of EPSG codes, WKT that ends with its
        code, or an object of pyproj or of the vendor's library.
    :raises InvalidInputError: it names no EPSG code, and is not CRS84.
    """
    text = name_of(crs).strip()
    if in_wkt := _NAMED_IN_WKT.search(text):
        text = f"{in_wkt[1]}:{in_wkt[2]}"
    if _CRS84.search(text):
        return CRS84
    found = _EPSG.search(text) or _EPSG_IO.search(text) or _CODE.fullmatch(text)
    if not found:
        raise InvalidInputError(
            f"CRS {one_line(text, 100)!r} is not known; give an EPSG code such as 4326 or 'EPSG:32632'."
        )
    return f"{_EPSG_URL}{int(found[1])}"


def taken_url(crs: Any) -> str:
    """The same for the CRS of an area.

    :raises InvalidInputError: the service does not take this CRS.
    """
    url = crs_url(crs)
    if url != CRS84 and int(url.rpartition("/")[2]) not in TAKEN:
        raise InvalidInputError(
            f"The area is in {short_name(url)}, and the service does not take this coordinate reference system; "
            "reproject it, for example to EPSG:4326."
        )
    return url


def short_name(url: str) -> str:
    """`EPSG:3035` for the URL of a CRS."""
    return "CRS84" if url == CRS84 else f"EPSG:{url.rpartition('/')[2]}"


def same(one: str, two: str) -> bool:
    """Whether coordinates in the CRSs of these URLs mean the same."""
    return one == two or {one, two} == set(DEGREES)


def name_in_geojson(crs: Any) -> str | None:
    """The name in GeoJSON's old `crs` member, which the service writes and GIS tools still do; None for none.

    Taken are the name itself or its code, too, and the member of PROJJSON.

    :raises InvalidInputError: it names nothing.
    """
    if crs is None or crs == {} or crs == "":
        return None
    if isinstance(crs, (str, int)) and not isinstance(crs, bool):
        return str(crs)
    known = crs.get("id") if isinstance(crs, Mapping) else None
    if isinstance(known, Mapping) and known.get("code"):
        return f"{known.get('authority')}:{known['code']}"
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    if isinstance(properties, Mapping):
        for name in ("name", "href"):
            if properties.get(name):
                return str(properties[name])
        if str(crs.get("type")).upper() == "EPSG" and properties.get("code"):
            return f"EPSG:{properties['code']}"
    raise InvalidInputError(f"The area's crs is an object with properties.name, not {one_line(repr(crs), 100)}.")


def name_of(crs: Any) -> str:
    """What a CRS is called that is an object of pyproj or of the vendor's library, or a name already."""
    if isinstance(crs, str):
        return str(crs)
    if callable(getattr(crs, "to_epsg", None)):
        if code := crs.to_epsg():
            return str(code)
        authority = crs.to_authority() if callable(getattr(crs, "to_authority", None)) else None
        return ":".join(authority) if authority else str(getattr(crs, "name", None) or crs)
    return str(getattr(crs, "value", crs))


class Crs(str):
    """The URL of a CRS, with the members that a `CRS` of the vendor's library has, and equal to such a one."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The EPSG code as a text: `4326`. CRS84 has this one too.

        :raises InvalidInputError: the URL names no CRS.
        """
        return _degrees_by_code(crs_url(self)).rpartition("/")[2]

    @property
    def epsg(self) -> int:
        return int(self.value)

    @property
    def name(self) -> str:
        """The name of the vendor's member: `WGS84`, `POP_WEB`, `UTM_33N`, `EPSG_3035`."""
        zone = f"UTM_{self.epsg % 100}{'N' if self.epsg < 32700 else 'S'}"
        return zone if self.is_utm() else {4326: "WGS84", 3857: "POP_WEB"}.get(self.epsg, f"EPSG_{self.value}")

    @property
    def opengis_string(self) -> str:
        return f"{_EPSG_URL}{self.value}"

    def ogc_string(self) -> str:
        return f"EPSG:{self.value}"

    def is_utm(self) -> bool:
        return 32601 <= self.epsg <= 32660 or 32701 <= self.epsg <= 32760

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not callable(getattr(other, "ogc_string", None)):
            return str.__eq__(self, other) is True
        return known_by(self) == known_by(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def known_by(crs: Any) -> str:
    """One name for all CRSs with the same coordinates, for comparisons: a URL, or else the given name."""
    try:
        return _degrees_by_code(crs_url(name_of(crs)))
    except InvalidInputError:
        return name_of(crs)


def _degrees_by_code(url: str) -> str:
    return DEGREES[1] if url == CRS84 else url
