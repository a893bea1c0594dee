"""What is in an area of any form: GeoJSON, WKT, numbers, objects of other libraries, files. It becomes polygons.

Only the standard library is loaded here. What takes more, shapely or a file, is done in `shapes/`.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_sentinelhub.api.crs import CRS84, DEGREES, name_in_geojson, name_of, same, short_name, taken_url
from airflow_sentinelhub.api.plain import refuse_circles
from airflow_sentinelhub.api.rings import (
    Polygon,
    boxes_in_world,
    check_degrees,
    check_world,
    coordinate,
    count,
    in_world,
    is_list,
    looks_like_degrees,
    plainly_valid,
    polygons_in,
    shown,
    within_noise,
)
from airflow_sentinelhub.exceptions import InvalidInputError

log = logging.getLogger(__name__)

MOST_VERTICES = 1500
"""Points that an area may have. The service does not publish its limit, but refuses areas with more than some."""
_METRES_OF_A_DEGREE = 111_320.0
_WKT = re.compile(
    r"(?is)(?:SRID\s*=\s*(\d+)\s*;)?\s*((?:(?:MULTI)?(?:POLYGON|POINT|LINESTRING|SURFACE|CURVE)|GEOMETRYCOLLECTION|"
    r"CURVEPOLYGON|COMPOUNDCURVE|CIRCULARSTRING|LINEARRING|POLYHEDRALSURFACE|TIN|TRIANGLE)\s*(?:Z|M|ZM)?\s*"
    r"(?:\(.*|EMPTY))"
)
_NO_SURFACE = re.compile(r"(?i)(?:MULTI)?(?:POINT|LINESTRING|CURVE(?!P))|COMPOUNDCURVE|CIRCULARSTRING|LINEARRING")
_WKB = re.compile(r"(?:\\x|0x)?(0[01](?:[0-9A-Fa-f]{2}){8,})")
_LAYER = re.compile(r"(?s)(.+?\.\w+)\|(\s*\w+\s*=.*)")
_COMMENT = re.compile(r"//|/\*|#|<!--")
_NUMBERS = re.compile(r"[(]?\s*([-+\d.eE]+(?:(?:\s*[,;]\s*|\s+)[-+\d.eE]+)+)\s*[)]?")
_FORMS = "give one of these, a pathlib path, a shape of shapely or geopandas, or a BBox or Geometry of this package"


class LaterError(Exception):
    """The area cannot be read while a DAG is parsed: that takes a library or a file, and waits until the task runs."""


class Reading:
    """What has been found in an area: its polygons, the CRS that they are in, and what else there is.

    :param early: neither load a library nor read a file: a `LaterError` is raised instead.
    """

    def __init__(self, early: bool = False) -> None:
        self._early = early
        self.crs_of_box = CRS84
        self._polygons: list[Polygon] = []
        self._crs: str | None = None
        self._without = 0
        self._others: Counter[str] = Counter()

    # What is given

    def take(self, area: Any) -> list[float] | None:
        """Read an area; a bounding box is returned as it is.

        :raises InvalidInputError: it has none of the forms of an area.
        """
        if isinstance(area, os.PathLike):
            return self._file(Path(area))
        if isinstance(area, str):
            return self._text(area)
        if isinstance(area, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(area))
        if isinstance(area, Mapping) and "type" not in area and ("bbox" in area or "geometry" in area):
            return self._bounds_of_payload(area)
        geojson, crs = (area, None) if isinstance(area, Mapping) else self._interface(area)
        if geojson is not None:
            self.shapes(geojson, crs)
            return None
        listed = area.tolist() if hasattr(area, "tolist") else area
        if is_list(listed):
            if any(isinstance(item, Mapping) or hasattr(item, "__geo_interface__") for item in listed):
                for item in listed:
                    self._one_of_several(item)
                return None
            return _four_numbers(listed)
        raise InvalidInputError(
            f"The area must be GeoJSON or [west, south, east, north], not {type(area).__name__} ({shown(area, 60)}); "
            f"WKT and the name of a file are taken, too: {_FORMS}."
        )

    def _one_of_several(self, item: Any) -> None:
        geojson, crs = (item, None) if item is None or isinstance(item, Mapping) else self._interface(item)
        if geojson is None and item is not None:
            raise InvalidInputError(f"The area is a list of geometries, and one item is no geometry: {shown(item)}.")
        refuse_circles(geojson, "area")
        self._shape(geojson, None if crs is None else taken_url(crs))

    def _bounds_of_payload(self, bounds: Mapping[str, Any]) -> list[float] | None:
        """Read the `bounds` of a process request, as other tools of the vendor write them."""
        properties = bounds.get("properties")
        crs = properties.get("crs") if isinstance(properties, Mapping) else None
        if bounds.get("geometry") is not None:
            self.shapes({"type": "Feature", "geometry": bounds["geometry"]}, crs)
            return None
        self.crs_of_box = CRS84 if crs is None else taken_url(crs)
        return _four_numbers(_listed(bounds.get("bbox")))

    def _bytes(self, given: bytes) -> list[float] | None:
        """Read well-known binary, as databases give it, or text in UTF-8."""
        if given[:1] in (b"\x00", b"\x01"):
            self._needs_more()
            from airflow_sentinelhub.shapes.polygons import from_wkb_with_srid

            geojson, srid = from_wkb_with_srid(given)
            self._shape(geojson, taken_url(srid) if srid else None)
            return None
        try:
            return self._text(given.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise InvalidInputError(
                f"The area {shown(given, 60)} is neither text in UTF-8 nor WKB (well-known binary)."
            ) from None

    def shapes(self, geojson: Mapping[str, Any], crs: Any = None) -> None:
        """Read GeoJSON.

        :param crs: any name of the CRS that is known from elsewhere.
        """
        refuse_circles(geojson, "area")
        self._shape(geojson, None if crs is None else taken_url(crs))

    def box(self, given: Any, crs: str) -> dict[str, Any]:
        """The `bounds` of a bounding box."""
        box, url = _four_numbers(given), taken_url(crs)
        west, south, east, north = box
        if west >= east or south >= north:
            hint = " A box across the antimeridian has longitudes beyond 180, such as [177, -20, 182, -15]."
            raise InvalidInputError(
                f"The bounding box {box!r} is empty: west must be below east, south below north."
                + (hint if url in DEGREES and -180 <= east < west <= 180 and south < north else "")
            )
        if url in DEGREES:
            box = west, south, east, north = within_noise(box)
            check_world(*box)
            if west < -180 or east > 180:
                return _geometry(boxes_in_world(*box), url)
        return {"bbox": box, "properties": {"crs": url}}

    def _text(self, given: str) -> list[float] | None:
        text = given.lstrip("\ufeff\x1e \t\r\n").rstrip()
        if text[:1] in ("{", "["):
            return self.take(_json(text))
        if wkt := _WKT.fullmatch(text):
            if flat := _NO_SURFACE.match(wkt[2]):
                raise InvalidInputError(
                    f"The area is a {flat[0].upper()}; only POLYGON and MULTIPOLYGON work, since a job needs a surface."
                )
            self._needs_more()
            from airflow_sentinelhub.shapes.polygons import from_wkt

            self.shapes(from_wkt(wkt[2]), wkt[1])
            return None
        if wkb := _WKB.fullmatch(text):
            return self._bytes(bytes.fromhex(wkb[1]))
        if len(text) < 1000 and (numbers := _NUMBERS.fullmatch(text)):
            return _four_numbers(re.split(r"[,;\s]+", numbers[1]))
        if is_name_of_file(text):
            return self._file(Path(text))
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, (bool, int, float)):
            return self.take(value)
        comment = " It begins with a comment, which JSON does not have." if _COMMENT.match(text) else ""
        raise InvalidInputError(
            f"The area {shown(given)} is neither GeoJSON nor four numbers, and no WKT or name of a file; {_FORMS}."
            + comment
        )

    def _file(self, path: Path) -> list[float] | None:
        self._needs_more()
        from airflow_sentinelhub.shapes.files import NAMES, read

        name, layer = file_and_layer(str(path))
        path = Path(name)
        if not path.name.lower().endswith(NAMES):
            kinds = ", ".join(NAMES)
            raise InvalidInputError(
                f"The area {shown(str(path))} is a file of a kind that is not read; its name must end in {kinds}."
            )
        if not os.path.isfile(path):
            where = "" if path.is_absolute() else " beside the DAG or in the working directory"
            raise InvalidInputError(
                f"The area {shown(str(path))} is neither GeoJSON nor four numbers, and there is no such file{where}."
            )
        found, crs = read(path, layer)
        if isinstance(found, str):
            if is_name_of_file(found.strip()):
                raise InvalidInputError(f"The area's file {path.name} holds the name of a file, and no area.")
            return self._text(found)
        for shape in found:
            self._shape(shape, None if crs is None else taken_url(crs))
        return None

    def _needs_more(self) -> None:
        if self._early:
            raise LaterError

    def _interface(self, area: Any) -> tuple[Mapping[str, Any] | None, Any]:
        """The GeoJSON of an object of shapely, geopandas or the like, and the CRS that it names; None for none."""
        geojson = getattr(area, "__geo_interface__", None)
        if not isinstance(geojson, Mapping):  # a row of a GeoDataFrame, a shape of the vendor's library
            geojson = getattr(getattr(area, "geometry", None), "__geo_interface__", None)
        if not isinstance(geojson, Mapping):
            return None, None
        crs = getattr(area, "crs", None)
        if crs is not None:
            return geojson, name_of(crs)
        from airflow_sentinelhub.shapes.polygons import srid_of

        return geojson, srid_of(area) or srid_of(getattr(area, "geometry", None)) or None

    # GeoJSON

    def _shape(self, area: Any, crs: str | None) -> None:
        """:param crs: URL of the CRS of what it stands in, None for none."""
        if area is None:
            self._without += 1
            return
        geojson = area if isinstance(area, Mapping) else getattr(area, "__geo_interface__", None)
        if not isinstance(geojson, Mapping):
            raise InvalidInputError(f"The area has a part that is no JSON object: {shown(area)}.")
        name = name_in_geojson(geojson.get("crs"))
        if name is not None:
            own = taken_url(name)
            if crs is not None and not same(own, crs):
                raise InvalidInputError(_two_crs(crs, own))
            crs = own
        kind = geojson.get("type")
        if kind == "FeatureCollection":
            self._parts(geojson, "features", crs)
        elif kind == "GeometryCollection":
            self._parts(geojson, "geometries", crs)
        elif kind == "Feature":
            self._shape(geojson.get("geometry"), crs)
        elif kind in ("Polygon", "MultiPolygon"):
            self._add(polygons_in(geojson), crs or CRS84)
        else:
            self._others[shown(kind, 40)] += 1

    def _parts(self, geojson: Mapping[str, Any], name: str, crs: str | None) -> None:
        parts = geojson.get(name) or ()
        if not is_list(parts):
            raise InvalidInputError(f"The area has a {geojson['type']} whose {name} are no list: {shown(parts)}.")
        for part in parts:
            self._shape(part, crs)

    def _add(self, polygons: list[Polygon], url: str) -> None:
        if not polygons:
            self._without += 1
            return
        if self._crs is not None and not same(self._crs, url):
            raise InvalidInputError(_two_crs(self._crs, url))
        self._crs = self._crs or url
        self._polygons += polygons

    # What it becomes

    def bounds(self, simplify: float | None) -> dict[str, Any]:
        """The `bounds` of the polygons that were found.

        :param simplify: metres by which the border may move, None to leave it as it is.
        :raises InvalidInputError: they are no valid area, or there is something else.
        """
        url = self._crs or CRS84
        self._check()
        polygons, beyond, unit = self._polygons, False, 1.0
        if url in DEGREES:
            polygons, unit = in_world(polygons), _METRES_OF_A_DEGREE
            beyond = check_degrees(polygons)
        elif looks_like_degrees(polygons) and not self._early:
            log.warning(
                "The area is said to be in %s, but its coordinates look like degrees; check its CRS.", short_name(url)
            )
        points = count(polygons)
        if simplify is None and not beyond:
            if points <= MOST_VERTICES and plainly_valid(polygons):
                return _geometry(polygons, url)
            if points > MOST_VERTICES and len(polygons) == 1:
                raise _too_many(points, None)
        self._needs_more()
        from airflow_sentinelhub.shapes.polygons import united

        reach = None if simplify is None else simplify / unit
        whole = united(polygons, at_antimeridian=beyond, simplify=reach)
        if count(whole) > MOST_VERTICES:
            raise _too_many(count(whole), simplify)
        return _geometry(whole, url)

    def _check(self) -> None:
        """Say what is wrong with an area that is not all polygons, and what has been left out."""
        if self._others:
            kinds = ", ".join(
                kind + (f" ({times} of them)" if times > 1 else "") for kind, times in self._others.items()
            )
            raise InvalidInputError(
                f"The area has a GeoJSON geometry of type {kinds}; only Polygon and MultiPolygon work, since a job "
                "needs a surface."
            )
        plural = "feature" if self._without == 1 else "features"
        if not self._polygons:
            why = f", but {self._without} {plural} without a geometry" if self._without else ""
            raise InvalidInputError(
                f"The area holds no polygon with a ring{why}; give GeoJSON with a Polygon or MultiPolygon."
            )
        if self._without and not self._early:
            log.warning("The area has %d %s without a geometry, left out of it.", self._without, plural)


def _geometry(polygons: Sequence[Polygon], url: str) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "MultiPolygon", "coordinates": list(polygons)}
    if len(polygons) == 1:
        shape = {"type": "Polygon", "coordinates": polygons[0]}
    return {"geometry": shape, "properties": {"crs": url}}


def _two_crs(one: str, two: str) -> str:
    return (
        f"The area is in two coordinate reference systems, {short_name(one)} and {short_name(two)} (what names none "
        "is in CRS84); reproject it to one of them."
    )


def _too_many(points: int, simplify: float | None) -> InvalidInputError:
    cure = "give a simpler area, or simplify=100 (metres by which its border may move)"
    if simplify is not None:
        cure = f"simplify={simplify:g} is not enough"
    return InvalidInputError(
        f"The area has {points:,} vertices (points), and batch processing takes {MOST_VERTICES:,} at the most; {cure}."
    )


def _json(text: str) -> Any:
    """JSON text, or one object of JSON in each line, as some tools write features."""
    try:
        return json.loads(text)
    except RecursionError:
        reason = "it is nested too deep"
    except ValueError as err:
        reason = str(err)
    lines = [line.strip("\x1e \t\r") for line in text.split("\n")]
    try:
        features = [json.loads(line) for line in lines if line]
    except (ValueError, RecursionError):
        features = []
    if features and all(isinstance(feature, dict) for feature in features):
        return {"type": "FeatureCollection", "features": features}
    hint = " It looks like a dict of Python: write `| tojson` in the template." if "{'" in text[:100] else ""
    raise InvalidInputError(f"The area {shown(text, 60)} is neither GeoJSON nor four numbers: {reason}.{hint}")


def is_name_of_file(text: str) -> bool:
    """Whether text looks like the name of a file in which an area can be."""
    from airflow_sentinelhub.shapes.files import NAMES

    text = file_and_layer(text)[0]
    return len(text) < 1000 and "\n" not in text and "://" not in text and text.lower().endswith(NAMES)


def file_and_layer(name: str) -> tuple[str, str]:
    """The name of a file, and which layer of it is meant: `fields.gpkg|layername=west`, as QGIS writes it."""
    found = _LAYER.fullmatch(name)
    return (found[1], found[2].strip()) if found else (name, "")


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _four_numbers(box: Sequence[Any]) -> list[float]:
    if not is_list(box):
        raise InvalidInputError(f"A bounding box is four numbers [west, south, east, north], not {shown(box)}.")
    numbers = [number for number in map(coordinate, box) if number is not None]
    if len(box) != 4 or len(numbers) != 4:
        raise InvalidInputError(f"A bounding box is four numbers [west, south, east, north], not {shown(box)}.")
    return numbers
