"""Areas in the files of GIS tools. What takes pyogrio or pyarrow is tested where these are installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import shapely
from shapely.geometry import box, mapping, shape

from airflow_sentinelhub.api.areas import CRS84, area_bounds, early_bounds
from airflow_sentinelhub.exceptions import InvalidInputError, SettingsError

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
WEST, EAST = box(0, 0, 1, 1), box(1, 0, 2, 1)
BOTH = box(0, 0, 2, 1)
UTM = box(500000, 5000000, 510000, 5010000)
LAMBERT = box(600000, 6100000, 610000, 6110000)


def written(path: Path, shapes: list[Any], crs: str | None = "EPSG:4326", **how: Any) -> Path:
    """A file in the format that its name says, as ogr2ogr or geopandas write it."""
    pyogrio = pytest.importorskip("pyogrio", reason="pyogrio writes these files, and reads them")
    import numpy

    geometries = numpy.array([None if one is None else shapely.to_wkb(one) for one in shapes], dtype=object)
    names = numpy.array([f"field {at}" for at in range(len(shapes))], dtype=object)
    kind = next((one.geom_type for one in shapes if one is not None), "Polygon")
    how = {"geometry_type": f"{kind} Z" if any(one is not None and one.has_z for one in shapes) else kind, **how}
    pyogrio.raw.write(path, geometry=geometries, field_data=[names], fields=["name"], crs=crs, **how)
    return path


KINDS = ["gpkg", "shp", "fgb"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", [str, Path])
def test_files_of_gis_tools(tmp_path: Path, kind: str, by: Any) -> None:
    path = written(tmp_path / f"area.{kind}", [WEST, EAST])
    bounds = area_bounds(by(path))
    assert shape(bounds["geometry"]).equals(BOTH)
    assert bounds["properties"] == {"crs": f"{EPSG}4326"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("crs", "area"), [("EPSG:32632", UTM), ("EPSG:2154", LAMBERT), ("EPSG:3857", UTM)])
def test_the_crs_of_a_file(tmp_path: Path, kind: str, crs: str, area: Any) -> None:
    bounds = area_bounds(written(tmp_path / f"area.{kind}", [area], crs))
    assert bounds["properties"] == {"crs": f"{EPSG}{crs[5:]}"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_odd_about_a_file(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    high = shapely.force_3d(WEST, 120)
    assert shape(area_bounds(written(tmp_path / f"high.{kind}", [high]))["geometry"]).equals(WEST)
    if kind != "fgb":  # it leaves a feature without a geometry out by itself
        found = area_bounds(written(tmp_path / f"some.{kind}", [None, WEST, None]))
        assert shape(found["geometry"]).equals(WEST)
        assert "2 features without a geometry" in caplog.text
    with pytest.raises(InvalidInputError, match="EPSG:27700, and the service does not take"):
        area_bounds(written(tmp_path / f"british.{kind}", [UTM], "EPSG:27700"))
    with pytest.raises(InvalidInputError, match="'Point'"):
        area_bounds(written(tmp_path / f"points.{kind}", [shapely.Point(1, 2)]))
    (tmp_path / f"broken.{kind}").write_bytes(b"no such thing")
    with pytest.raises(InvalidInputError, match=rf"file broken\.{kind} cannot be read"):
        area_bounds(tmp_path / f"broken.{kind}")


def test_a_file_without_a_crs_is_in_degrees(tmp_path: Path) -> None:
    assert area_bounds(written(tmp_path / "area.shp", [WEST], None))["properties"] == {"crs": CRS84}
    with pytest.raises(InvalidInputError, match="are these metres"):
        area_bounds(written(tmp_path / "metres.shp", [UTM], None))


def test_a_file_with_several_layers(tmp_path: Path) -> None:
    path = written(tmp_path / "area.gpkg", [WEST], layer="fields")
    written(path, [EAST], layer="forests", append=True)
    with pytest.raises(InvalidInputError, match=r"2 layers with geometries \(fields, forests\); choose one") as refused:
        area_bounds(path)
    assert str(refused.value).endswith("such as area.gpkg|layername=fields.")


@pytest.mark.parametrize("by", [str, Path])
def test_a_layer_is_chosen_as_qgis_writes_it(tmp_path: Path, by: Any) -> None:
    path = written(tmp_path / "the area.gpkg", [WEST], layer="fields west")
    written(path, [EAST], layer="Wälder", append=True)
    for layer, wanted in (
        ("layername=Wälder", EAST),
        ("layername=fields west", WEST),
        ("layerid=0", WEST),
        ("layerid=1", EAST),
        ("layerid=1|geometrytype=Polygon", EAST),
        (" layername=Wälder ", EAST),
    ):
        area = by(f"{path}|{layer}")
        assert shape(area_bounds(area)["geometry"]).equals(wanted), layer
        assert early_bounds(area) == {"area": area}


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("layername=forest", "layer layername='forest' is not there; with geometries there are: fields, forests"),
        ("layerid=7", "layer layerid='7' is not there"),
        ("layerid=one", "layer layerid='one' is not there"),
        ("layername=", "layer layername='' is not there"),
        ('layername=fields|subset="id" = 1', "a layer is chosen by .layername=NAME and nothing else"),
        ("option:X=1", "neither GeoJSON"),
    ],
)
def test_a_layer_that_cannot_be_read(tmp_path: Path, layer: str, says: str) -> None:
    path = written(tmp_path / "area.gpkg", [WEST], layer="fields")
    written(path, [EAST], layer="forests", append=True)
    with pytest.raises(InvalidInputError, match=says):
        area_bounds(f"{path}|{layer}")


def test_files_without_layers_have_none_to_choose(tmp_path: Path) -> None:
    (tmp_path / "area.geojson").write_text(json.dumps(mapping(WEST)))
    for name in ("area.geojson", "area.parquet"):
        (tmp_path / name).touch()
        with pytest.raises(InvalidInputError, match=r"has no layers to choose from; leave \|layername=x out"):
            area_bounds(tmp_path / f"{name}|layername=x")


def parquet(path: Path, shapes: list[Any], **column: Any) -> Path:
    """GeoParquet as geopandas writes it."""
    pyarrow = pytest.importorskip("pyarrow", reason="GeoParquet is written and read by pyarrow")
    from pyarrow import parquet as files

    table = pyarrow.table({"name": ["x"] * len(shapes), "geometry": [one and shapely.to_wkb(one) for one in shapes]})
    told = {"encoding": "WKB", "geometry_types": ["Polygon"], **column}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": told}}
    files.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    return path


def test_geoparquet(tmp_path: Path) -> None:
    bounds = area_bounds(parquet(tmp_path / "area.parquet", [WEST, None, EAST]))
    assert shape(bounds["geometry"]).equals(BOTH)
    assert bounds["properties"] == {"crs": CRS84}
    utm = {"type": "ProjectedCRS", "name": "WGS 84 / UTM zone 32N", "id": {"authority": "EPSG", "code": 32632}}
    assert area_bounds(parquet(tmp_path / "utm.geoparquet", [UTM], crs=utm))["properties"] == {"crs": f"{EPSG}32632"}
    assert area_bounds(parquet(tmp_path / "none.parquet", [WEST], crs=None))["properties"] == {"crs": CRS84}
    for how, says in (
        ({"crs": {"name": "Local grid"}}, "CRS without an EPSG code"),
        ({"encoding": "polygon"}, "encoded as polygon"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            area_bounds(parquet(tmp_path / "odd.parquet", [WEST], **how))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no such thing")
    with pytest.raises(InvalidInputError, match=r"file broken\.parquet cannot be read"):
        area_bounds(tmp_path / "broken.parquet")


def test_parquet_without_geometries(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="GeoParquet is written and read by pyarrow")
    from pyarrow import parquet as files

    files.write_table(pyarrow.table({"a": [1]}), tmp_path / "table.parquet")
    with pytest.raises(InvalidInputError, match="without geometries"):
        area_bounds(tmp_path / "table.parquet")


def test_geopandas(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas has shapes of its own")
    frame = geopandas.GeoDataFrame({"name": ["a", "b"]}, geometry=[WEST, EAST], crs=4326)
    for area in (frame, frame.geometry):
        bounds = area_bounds(area)
        assert shape(bounds["geometry"]).equals(BOTH)
        assert bounds["properties"] == {"crs": f"{EPSG}4326"}
    assert shape(area_bounds(frame.iloc[0])["geometry"]).equals(WEST)
    assert shape(area_bounds(frame.geometry.iloc[0])["geometry"]).equals(WEST)
    assert shape(area_bounds(frame.to_json())["geometry"]).equals(BOTH)
    utm = frame.to_crs(32632)
    assert area_bounds(utm)["properties"] == {"crs": f"{EPSG}32632"}
    assert area_bounds(utm.to_json())["properties"] == {"crs": f"{EPSG}32632"}
    assert area_bounds(frame.to_crs("OGC:CRS84"))["properties"] == {"crs": CRS84}
    assert area_bounds(list(frame.total_bounds)) == area_bounds(frame.total_bounds)
    for name in ("frame.gpkg", "frame.shp", "frame.geojson"):
        utm.to_file(tmp_path / name)
        assert area_bounds(tmp_path / name)["properties"] == {"crs": f"{EPSG}32632"}
    utm.to_parquet(tmp_path / "frame.parquet")
    assert area_bounds(tmp_path / "frame.parquet")["properties"] == {"crs": f"{EPSG}32632"}
    with pytest.raises(InvalidInputError, match="EPSG:27700"):
        area_bounds(frame.to_crs(27700))


@pytest.mark.parametrize("kind", ["gpkg", "shp", "fgb", "kml", "zip", "parquet", "geoparquet"])
def test_a_missing_library_is_one_sentence(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyogrio", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / f"area.{kind}"
    path.write_bytes(b"")
    needs = "pyarrow" if "parquet" in kind else "pyogrio"
    with pytest.raises(SettingsError, match=rf"The area's file area\.{kind} needs {needs}, which is not installed"):
        area_bounds(str(path))


TEXTS: dict[str, bytes] = {
    "area.geojson": json.dumps(mapping(WEST)).encode(),
    "area.json": b"\xef\xbb\xbf" + json.dumps(mapping(WEST)).encode(),
    "area.geojsonl": b"".join(json.dumps(mapping(WEST)).encode() + b"\n" for _ in range(2)),
    "area.wkt": WEST.wkt.encode() + b"\r\n",
    "area.txt": b"0 0 1 1\n",
    "AREA.GeoJSON": json.dumps(mapping(WEST)).encode(),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("by", [str, Path])
def test_files_of_text(tmp_path: Path, name: str, by: Any) -> None:
    (tmp_path / name).write_bytes(TEXTS[name])
    bounds = area_bounds(by(tmp_path / name))
    assert (box(*bounds["bbox"]) if "bbox" in bounds else shape(bounds["geometry"])).equals(WEST)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "neither GeoJSON nor four numbers"),
        (b"other.geojson", "holds the name of a file"),
        ("{}".encode("utf-16"), "no text in UTF-8"),
        (b"{}", "type None"),
        (b"[1, 2]", "four numbers"),
    ],
)
def test_what_is_wrong_with_a_file_of_text(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "area.geojson").write_bytes(content)
    with pytest.raises(InvalidInputError, match=says):
        area_bounds(tmp_path / "area.geojson")


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    for area in ("x" * 400 + ".geojson", "x\0.geojson", Path("x" * 400 + ".gpkg")):
        with pytest.raises(InvalidInputError, match="no such file"):
            area_bounds(area)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "area.gpkg").mkdir()
    with pytest.raises(InvalidInputError, match="no such file"):
        area_bounds(tmp_path / "area.gpkg")
