"""Areas in files: text (GeoJSON, WKT), and what pyogrio and pyarrow read (GeoPackage, Shapefile, GeoParquet, ...)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_sentinelhub.exceptions import InvalidInputError, SettingsError
from airflow_sentinelhub.shapes._libraries import needed_for
from airflow_sentinelhub.shapes.polygons import from_wkb

TEXTS = (".geojson", ".json", ".geojsonl", ".geojsons", ".geojsonseq", ".ndjson", ".wkt", ".txt")
PARQUET = (".parquet", ".geoparquet")
OF_GIS = (".gpkg", ".shp", ".fgb", ".kml", ".kmz", ".zip")
NAMES = (*TEXTS, *PARQUET, *OF_GIS)
"""How the names of files end in which an area can be."""


def read(path: Path) -> tuple[str | list[Mapping[str, Any] | None], str | None]:
    """What is in a file: its text, or the GeoJSON of its geometries (None for a feature without one) and its CRS.

    :raises InvalidInputError: it cannot be read, or has several layers; :raises SettingsError: a library is missing.
    """
    kind = path.suffix.lower()
    try:
        if kind in PARQUET:
            return _parquet(path)
        if kind in OF_GIS:
            return _of_gis(path)
        return path.read_text("utf-8-sig"), None
    except OSError as err:
        raise InvalidInputError(f"The area's file {path} cannot be read: {err.strerror or err}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"The area's file {path} is no text in UTF-8.") from None


def _of_gis(path: Path) -> tuple[list[Mapping[str, Any] | None], str | None]:
    what = f"The area's file {path.name}"
    with needed_for(what):
        import pyogrio
    path.open("rb").close()  # says why it cannot be read
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) != 1:
            told = f"{len(layers)} layers with geometries ({', '.join(layers)[:100]})" if layers else "no geometries"
            raise InvalidInputError(f"{what} has {told}; give a file with one layer.")
        meta, _, geometries, _ = pyogrio.raw.read(path, layer=layers[0], columns=[], force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as err:
        raise InvalidInputError(f"{what} cannot be read: {_said(err)}.") from None
    return [from_wkb(binary, path.name) for binary in geometries], meta.get("crs") or None


def _parquet(path: Path) -> tuple[list[Mapping[str, Any] | None], str | None]:
    what = f"The area's file {path.name}"
    try:
        with needed_for(what, "pyarrow"):
            from pyarrow import ArrowException, parquet
    except SettingsError:
        if not _gdal_reads_parquet():
            raise
        return _of_gis(path)
    path.open("rb").close()  # says why it cannot be read
    try:
        told = (parquet.read_schema(path).metadata or {}).get(b"geo")
        geo = json.loads(told) if told else None
        if not isinstance(geo, dict) or geo.get("primary_column") not in (geo.get("columns") or {}):
            raise InvalidInputError(f"{what} is Parquet without geometries (no `geo` metadata of GeoParquet).")
        column = geo["columns"][geo["primary_column"]]
        if column.get("encoding") != "WKB":
            raise InvalidInputError(f"{what} has geometries encoded as {column.get('encoding')}; only WKB can be read.")
        rows = parquet.read_table(path, columns=[geo["primary_column"]]).column(0).to_pylist()
    except (ArrowException, ValueError) as err:
        if isinstance(err, InvalidInputError):
            raise
        raise InvalidInputError(f"{what} cannot be read: {_said(err)}.") from None
    return [from_wkb(binary, path.name) for binary in rows], _crs_of_parquet(column, what)


def _said(err: Exception) -> str:
    """The first sentence of a library's error, cut."""
    return " ".join(str(err).partition(";")[0].split())[:150].rstrip(".")


def _gdal_reads_parquet() -> bool:
    """Whether the GDAL of pyogrio was built with it; that of its wheels is not."""
    try:
        import pyogrio
    except ImportError:
        return False
    return "Parquet" in pyogrio.list_drivers()


def _crs_of_parquet(column: Mapping[str, Any], what: str) -> str | None:
    """The CRS by GeoParquet's rules: left out it is CRS84, null is unknown."""
    if "crs" not in column:
        return "OGC:CRS84"
    if column["crs"] is None:
        return None
    known = column["crs"].get("id") if isinstance(column["crs"], dict) else None
    if not isinstance(known, dict) or not known.get("code"):
        raise InvalidInputError(f"{what} has a CRS without an EPSG code; reproject it, for example to EPSG:4326.")
    return f"{known.get('authority')}:{known['code']}"
