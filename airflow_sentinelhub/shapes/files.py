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


def read(path: Path, layer: str = "") -> tuple[str | list[Mapping[str, Any] | None], str | None]:
    """What is in a file: its text, or the GeoJSON of its geometries (None for a feature without one) and its CRS.

    :param layer: which layer, as QGIS writes it behind the name of the file: `layername=fields` or `layerid=0`.
    :raises InvalidInputError: it cannot be read, or has several layers and none is chosen.
    :raises SettingsError: a library is missing.
    """
    kind = path.suffix.lower()
    try:
        if kind in OF_GIS:
            return _of_gis(path, layer)
        if layer:
            raise InvalidInputError(f"The area's file {path.name} has no layers to choose from; leave |{layer} out.")
        if kind in PARQUET:
            return _parquet(path)
        return path.read_text("utf-8-sig"), None
    except OSError as err:
        raise InvalidInputError(f"The area's file {path} cannot be read: {err.strerror or err}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"The area's file {path} is no text in UTF-8.") from None


def _of_gis(path: Path, layer: str = "") -> tuple[list[Mapping[str, Any] | None], str | None]:
    what = f"The area's file {path.name}"
    wanted = _wanted(what, layer)
    with needed_for(what):
        import pyogrio
    path.open("rb").close()  # says why it cannot be read
    try:
        layers = {str(name): kind is not None for name, kind in pyogrio.list_layers(path)}
        chosen = _chosen(what, path.name, layers, wanted)
        meta, _, geometries, _ = pyogrio.raw.read(path, layer=chosen, columns=[], force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as err:
        raise InvalidInputError(f"{what} cannot be read: {_reason(err)}.") from None
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
        geo_member = (parquet.read_schema(path).metadata or {}).get(b"geo")
        geo = json.loads(geo_member) if geo_member else None
        if not isinstance(geo, dict) or geo.get("primary_column") not in (geo.get("columns") or {}):
            raise InvalidInputError(f"{what} is Parquet without geometries (no `geo` metadata of GeoParquet).")
        column = geo["columns"][geo["primary_column"]]
        if column.get("encoding") != "WKB":
            raise InvalidInputError(f"{what} has geometries encoded as {column.get('encoding')}; only WKB can be read.")
        rows = parquet.read_table(path, columns=[geo["primary_column"]]).column(0).to_pylist()
    except (ArrowException, ValueError) as err:
        if isinstance(err, InvalidInputError):
            raise
        raise InvalidInputError(f"{what} cannot be read: {_reason(err)}.") from None
    return [from_wkb(binary, path.name) for binary in rows], _crs_of_parquet(column, what)


def _wanted(what: str, layer: str) -> tuple[str, str] | None:
    """Option and value of a choice of a layer, None for none.

    :raises InvalidInputError: it is no choice of a layer, or a filter of rows, which is not read.
    """
    options = dict(option.partition("=")[::2] for option in layer.split("|") if option)
    options.pop("geometrytype", None)  # what is not of the type is refused anyway
    if not options:
        return None
    ((name, value),) = list(options.items())[:1]
    if len(options) > 1 or name not in ("layername", "layerid"):
        raise InvalidInputError(
            f"{what} is followed by |{layer[:60]}; a layer is chosen by |layername=NAME and nothing else: save "
            "what a filter selects as a layer of its own."
        )
    return name, value


def _chosen(what: str, file: str, layers: Mapping[str, bool], wanted: tuple[str, str] | None) -> str:
    """The layer to read: the one that is wanted, or the only one with geometries.

    :param layers: names of all layers, and whether they have geometries.
    :raises InvalidInputError: there is no such layer, or it takes a choice.
    """
    full = [name for name, has_shapes in layers.items() if has_shapes]
    choice = f"{', '.join(full[:10])}{', ...' if len(full) > 10 else ''}"
    if wanted is not None:
        option, value = wanted
        names = list(layers)
        at = int(value) if option == "layerid" and value.isascii() and value.isdigit() else len(names)
        name = value if option == "layername" else names[at] if at < len(names) else None
        if name in full:
            return str(name)
        why = "has no geometries" if name in layers else "is not there"
        raise InvalidInputError(
            f"{what}: the layer {option}={value[:60]!r} {why}; with geometries there are: {choice}."
        )
    if not full:
        raise InvalidInputError(f"{what} has no geometries; give a file with a layer of polygons.")
    if len(full) > 1:
        raise InvalidInputError(
            f"{what} has {len(full)} layers with geometries ({choice}); choose one, such as {file}|layername={full[0]}."
        )
    return full[0]


def _reason(err: Exception) -> str:
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
