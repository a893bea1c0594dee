"""The service's rules for a GeoPackage of features, checked before a request is sent, as far as the file can be read.

From the vendor's documentation: tables by `gpkg_geometry_columns`, polygons in an EPSG CRS; `id` INTEGER, unique;
`identifier` TEXT, not null, unique across tables; at most 700,000 features. Batch v2: `width` and `height` INTEGER up
to 3500, or `resolution` REAL, in the file or as defaults of the request. Batch statistical: one CRS; what a feature
measures in pixels comes from the aggregation, so columns of these names mean nothing to it.

The file is read as SQLite, with the standard library, and not by GDAL (pyogrio, fiona): a worker needs no further
library for it, and GDAL would follow the views and virtual tables of a file that is not to be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results._geometry import POLYGONS, GeometryError, geometry_of, outer_rings
from airflow_sentinelhub.results._sqlite import ANY_BUT_BINARY, TEXT, Database, DatabaseFile, opened, quoted, shown

MOST_FEATURES = 700_000
MOST_PIXELS = 3500
_DECLARED = (*POLYGONS, "GEOMETRY")
_Fault = tuple[str, str]  # what is wrong with a feature, and what to do
_SIZES = ("width", "height", "resolution")
_CONTENTS = {"table_name": TEXT, "data_type": TEXT}
_GEOMETRIES = {"table_name": TEXT, "column_name": TEXT, "geometry_type_name": TEXT, "srs_id": ANY_BUT_BINARY}
_SYSTEMS = {"srs_id": ANY_BUT_BINARY, "organization": ANY_BUT_BINARY, "organization_coordsys_id": ANY_BUT_BINARY}


def read_outlines(file: DatabaseFile) -> Iterator[tuple[str, int, list[list[tuple[float, float]]]]]:
    """Identifier, EPSG code and outer rings of each feature, in no order; tables that cannot be taken are left out.

    :raises ResultsError: the file cannot be read.
    """
    with opened(file) as database:
        for table in _Check(database, {}, statistical=True)._tables():
            if not isinstance(table, str):
                rows = database.rows(f"SELECT identifier, {quoted(table.geometry)} FROM {quoted(table.name)}")
                for name, blob in rows:
                    yield str(name), table.crs, outer_rings(blob)


def complaint_about(path: Path, defaults: Mapping[str, Any] | None = None, *, statistical: bool = False) -> str | None:
    """What is wrong with the file, as a sentence; None if nothing is.

    It names the table and the first row, says how many more are like it, and what to do.

    :param defaults: `width` and `height` in pixels, or `resolution` in units of the CRS, of features that name none.
    :param statistical: by the rules of batch statistical instead of those of batch v2.
    """
    try:
        with opened(_Unsent(path, "", "")) as database:
            return next(_Check(database, defaults or {}, statistical).complaints(), None)
    except ResultsError as err:
        return f"{str(err).removesuffix('.')}{_other_file(path)}."


def needs_journal(path: Path) -> bool:
    """Whether the file is in SQLite's WAL mode: changes that were made last may stand in a file `-wal` beside it."""
    return _begin_of(path, 20)[18:20] == b"\2\2"


def _begin_of(path: Path, size: int) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(size)


def _other_file(path: Path) -> str:
    """What the file is instead of a GeoPackage, where its first bytes tell; empty if they do not."""
    if not path.exists():
        return f" (there is no file {shown(path)})"
    begin = _begin_of(path, 64)
    if not begin and path.is_file():
        return " (it has 0 bytes)"
    return next((f" ({what})" for mark, what in _OTHER_FILES.items() if begin.lstrip().lower().startswith(mark)), "")


_OTHER_FILES = {
    b"pk\3\4": "it is a ZIP archive: upload the file that is in it",
    b"\x1f\x8b": "it is compressed by gzip: upload the file that is in it",
    b"{": "it is JSON: convert it to a GeoPackage",
    b"<": "it is XML or a web page, such as the answer to a download that was refused",
    b"fgb": "it is a FlatGeobuf: convert it to a GeoPackage",
    b"par1": "it is a Parquet file: convert it to a GeoPackage",
    b"\0\0\x27\x0a": "it is a Shapefile: convert it to a GeoPackage",
}
"""Begin of a file, and what it is."""


class _Unsent(DatabaseFile):
    """The file of a request that is not there yet."""

    def error(self, why: str) -> ResultsError:
        return ResultsError(f"It is no GeoPackage that can be read: {why}")


@dataclass(frozen=True)
class _Table:
    name: str
    crs: int
    geometry: str
    key: str | None  # the column that numbers its rows
    columns: frozenset[str]


@dataclass
class _Check:
    """The check of one file."""

    database: Database
    defaults: Mapping[str, Any]
    statistical: bool
    ids: set[int] = field(default_factory=set)
    identifiers: set[str] = field(default_factory=set)

    def complaints(self) -> Iterator[str]:
        if not self.statistical:
            yield from _about_defaults(self.defaults)
        tables: dict[str, _Table] = {}
        for found in self._tables():
            if isinstance(found, str):
                yield found
            elif found.name.lower() in tables:
                yield f"Table {shown(found.name)} is listed twice; a table has one geometry and one CRS."
            else:
                tables[found.name.lower()] = found
        if not tables:
            yield "It has no table with a geometry."
        codes = sorted({table.crs for table in tables.values()})
        if self.statistical and len(codes) > 1:
            named = ", ".join(f"EPSG:{code}" for code in codes)
            yield f"Its tables have several CRS ({named}); batch statistical takes one CRS in a file."
        total = 0
        for table in tables.values():
            # One more than are allowed is too many, however many there are.
            limited = f"SELECT 1 AS one FROM {quoted(table.name)} LIMIT {MOST_FEATURES + 1 - total}"
            total += next(int(count) for (count,) in self.database.rows(f"SELECT count(one) FROM ({limited})"))
            if total > MOST_FEATURES:
                yield f"It has more than {MOST_FEATURES:,} features, which is the most in a file; split it."
        if total == 0:
            yield "It has no features."
        for table in tables.values():
            yield from self._rows(table)

    def _tables(self) -> Iterator[str | _Table]:
        """The tables of features; a text where one cannot be taken."""
        database = self.database
        database.require("gpkg_contents", _CONTENTS)
        database.require("gpkg_geometry_columns", _GEOMETRIES)
        database.require("gpkg_spatial_ref_sys", _SYSTEMS)
        rows = database.rows(
            "SELECT g.table_name, g.column_name, g.geometry_type_name, s.organization, s.organization_coordsys_id,"
            " c.data_type FROM gpkg_geometry_columns g LEFT JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id"
            " LEFT JOIN gpkg_contents c ON c.table_name = g.table_name"
        )
        for name, geometry, kind, authority, code, content in list(rows):
            yield self._table(str(name), str(geometry), str(kind).upper(), authority, _whole(code), content)

    def _table(self, name: str, geometry: str, kind: str, authority: Any, code: int, content: Any) -> str | _Table:
        table = f"Table {shown(name)}"
        if content != "features":
            return f"{table} has a geometry, but gpkg_contents does not list it as a table of features; write it anew."
        if kind not in _DECLARED:
            return f"{table} holds {_word(kind)}; only POLYGON and MULTIPOLYGON work."
        if str(authority).upper() != "EPSG" or code <= 0:
            return f"{table} has no CRS with an EPSG code; write its features in a CRS that has one."
        columns = self.database.columns_of(name)
        known = frozenset(column.lower() for column in columns)
        if not columns:
            return f"{table} is listed, but is not there; write the file anew."
        if "id" not in known:
            return f"{table} has no column id (INTEGER, unique)."
        if "identifier" not in known:
            return f"{table} has no column identifier (TEXT, unique, not null)."
        if geometry.lower() not in known:
            return f"{table} has no column {shown(geometry)}, which is listed as that of its geometry."
        if not self.statistical and not self.defaults and not ({"width", "height"} <= known or "resolution" in known):
            if alone := [name for name in ("width", "height") if name in known]:
                return f"{table} has {alone[0]} without its other half; add width and height, or give defaults."
            return f"{table} has neither width and height nor resolution; add them, or give defaults."
        key = next((column for column in ("fid", "ogc_fid", "id") if column in known), None)
        return _Table(name, code, geometry, key, known)

    def _rows(self, table: _Table) -> Iterator[str]:
        """What is wrong with features: the first kind of fault, with its first row and how many more there are."""
        columns = [quoted(table.key) if table.key else "NULL", "id", "identifier", quoted(table.geometry)]
        columns += [name if name in table.columns and not self.statistical else "NULL" for name in _SIZES]
        if not self.statistical:  # whose files are named by the id, whatever the table
            self.ids.clear()
        fault: _Fault | None = None
        first, more = "", 0
        rows = self.database.rows(f"SELECT {', '.join(columns)} FROM {quoted(table.name)}")
        for at, (key, *row) in enumerate(rows, 1):
            found = self._fault(table, *row)
            if found is None:
                continue
            if fault is None:
                fault, first = found, _row(table, key, at, row[1])
            elif found == fault:
                more += 1
        if fault is not None:
            where = f"table {shown(table.name)}, {first}{f' and {more:,} more' if more else ''}"
            yield f"{fault[0]} ({where}); {fault[1]}."

    def _fault(
        self, table: _Table, number: Any, identifier: Any, blob: Any, width: Any, height: Any, resolution: Any
    ) -> _Fault | None:
        if not isinstance(number, int):
            return "The id of a feature is no whole number", "id must be INTEGER and unique"
        if identifier is None or (isinstance(identifier, str) and not identifier.strip()):
            return "A feature has no identifier", "give each a text that no other has"
        if not isinstance(identifier, str):
            return "The identifier of a feature is no text", "identifier must be TEXT and unique"
        if number in self.ids:
            return f"The id {number} is there twice", "id must be unique" + (
                " across all tables, since files of results are named by it" if self.statistical else " in its table"
            )
        self.ids.add(number)
        if identifier in self.identifiers:
            return (
                f"The identifier {shown(identifier)} is there twice",
                "identifiers must be unique across all tables",
            )
        self.identifiers.add(identifier)
        if blob is None:
            return "A feature has no geometry", "give it a polygon, or remove it"
        if not isinstance(blob, bytes):
            return "The geometry of a feature is no binary data", "write the file anew"
        try:
            shape = geometry_of(blob)
        except GeometryError as err:
            return f"The geometry of a feature {err}", "mend it, or remove the feature"
        if shape.kind not in POLYGONS:
            return f"The geometry of a feature is a {shape.kind}", "only POLYGON and MULTIPOLYGON work"
        if shape.size is None:
            return "The geometry of a feature is empty", "give it a polygon, or remove it"
        if not all(shape.size):
            return "The geometry of a feature has no surface", "give it a polygon that is not a line, or remove it"
        return None if self.statistical else self._fault_of_size(table, shape.size, width, height, resolution)

    def _fault_of_size(
        self, table: _Table, size: tuple[float, float], width: Any, height: Any, resolution: Any
    ) -> _Fault | None:
        """The feature's own width and height come before its resolution, both before the defaults."""
        if (width is None) != (height is None):
            return "A feature has only one of width and height", "give both, or resolution"
        if width is None and resolution is None:
            width, height, resolution = (self.defaults.get(name) for name in _SIZES)
        if width is not None:
            if _fits(width) and _fits(height):
                return None
            return (
                f"A feature is not 1 to {MOST_PIXELS} pixels wide and high",
                "width and height must be whole numbers (INTEGER) in these bounds",
            )
        if resolution is None:
            return "A feature has neither width and height nor resolution", "add them, or give defaults"
        if not _is_resolution(resolution):
            return "The resolution of a feature is no number above 0", "give it in units of the CRS"
        if table.crs in _DEGREES and resolution > max(size):
            return (
                f"A feature is smaller than one pixel of {resolution:g} degrees",
                f"EPSG:{table.crs} counts in degrees: 10 metres are about 0.0001",
            )
        # A small excess over a whole number comes from the coordinates, not from the shape.
        if max(size) / resolution - 1e-6 > MOST_PIXELS:
            return (
                f"At its resolution a feature is more than {MOST_PIXELS} pixels wide or high",
                "give it a coarser one, in units of the CRS, or split it",
            )
        return None


def _about_defaults(defaults: Any) -> Iterator[str]:
    """What is wrong with the defaults of a request."""
    if not defaults:
        return
    if not isinstance(defaults, Mapping):
        yield f"The defaults of the request must be width and height, or resolution, not {shown(defaults)}."
    given = {name: defaults[name] for name in _SIZES if defaults.get(name) is not None}
    if set(given) not in ({"width", "height"}, {"resolution"}):
        yield "The defaults of the request must be width and height, or resolution."
    if not all(_fits(given[name]) for name in given if name != "resolution"):
        yield f"In the defaults of the request, width and height must be whole numbers, 1 to {MOST_PIXELS} pixels."
    if not _is_resolution(given.get("resolution", 1)):
        yield "In the defaults of the request, resolution must be a number above 0, in units of the CRS."


def _fits(pixels: Any) -> bool:
    return isinstance(pixels, int) and not isinstance(pixels, bool) and 1 <= pixels <= MOST_PIXELS


def _is_resolution(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _whole(code: Any) -> int:
    """The value as an EPSG code; 0 if it is not one."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        return int(code)
    return code if isinstance(code, int) else 0


def _word(kind: str) -> str:
    """A geometry type as the file calls it."""
    return kind if kind.isalpha() and kind.isascii() and len(kind) < 30 else shown(kind)


_DEGREES = frozenset(
    {4140, 4148, 4152, 4167, 4171, 4230, 4258, 4267, 4269, 4275, 4277, 4283, 4314, 4326, 4490, 4612, 4617, 4619, 4674}
)
"""EPSG codes of CRS that count in degrees, those that are in use."""


def _row(table: _Table, key: Any, at: int, identifier: Any) -> str:
    """A row, for messages: its number in the table, or its position where rows have none, and its identifier."""
    number = f"{table.key} {key}" if isinstance(key, int) else f"row {at}"
    return f"{number} (identifier {shown(identifier)})" if isinstance(identifier, str) and identifier else number
