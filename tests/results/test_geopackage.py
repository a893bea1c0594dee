"""The rules for a GeoPackage of features, checked on files before a request is sent."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from airflow_sentinelhub.results import geopackage as files
from airflow_sentinelhub.results._geometry import geometry_of
from airflow_sentinelhub.results.geopackage import complaint_about, needs_journal
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage

COLUMNS = (
    ("id", "INTEGER"),
    ("identifier", "TEXT"),
    ("geometry", "POLYGON"),
    ("width", "INTEGER"),
    ("height", "INTEGER"),
    ("resolution", "REAL"),
)
FIELD = shapely.box(500_000, 4_649_000, 501_000, 4_649_500)


def layer(*rows: dict[str, Any], name: str = "fields", crs: int = 32632, columns: Any = COLUMNS, **more: Any) -> Layer:
    blob = geometry(shapely.to_wkb(FIELD, byte_order=1), crs, FIELD.bounds)
    usual = {"id": 1, "identifier": "a", "geometry": blob, "width": 100, "height": 50, "resolution": None}
    listed = [[{**usual, **row}[column] for column, _ in columns] for row in rows]
    kind = more.pop("geometry_type", "POLYGON")
    return Layer(name=name, crs=crs, columns=columns, rows=listed, bounds=FIELD.bounds, geometry_type=kind, **more)


def complaint(tmp_path: Path, *layers: Layer, defaults: Any = None) -> str | None:
    file = tmp_path / "features.gpkg"
    file.write_bytes(geopackage(layers))
    return complaint_about(file, defaults)


def test_a_good_file(tmp_path: Path) -> None:
    assert complaint(tmp_path, layer({}, {"id": 2, "identifier": "b"}), layer({"identifier": "c"}, name="more")) is None


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([layer()], "no features"),
        ([layer({}, {"id": 2})], "'a' is there twice"),
        ([layer({}), layer({}, name="more")], "'a' is there twice"),
        ([layer({"identifier": None})], "A feature has no identifier"),
        ([layer({"width": 3501})], "1 to 3500 pixels"),
        ([layer({"height": 0})], "1 to 3500 pixels"),
        ([layer({"width": None, "height": None})], "neither width and height nor resolution"),
        ([layer({}, columns=tuple(c for c in COLUMNS if c[0] != "identifier"))], "no column identifier"),
        ([layer({}, geometry_type="POINT")], "holds POINT"),
    ],
)
def test_what_the_service_would_refuse(tmp_path: Path, layers: list[Layer], said: str) -> None:
    assert said in str(complaint(tmp_path, *layers))


def blob(shape: BaseGeometry | bytes, *, flags: int = 0b11, envelope: tuple[float, ...] | None = None) -> bytes:
    """A value of a geometry column, in any form of the header; the envelope is west, east, south, north, and more."""
    if not isinstance(shape, bytes):
        if envelope is None and flags & 0b1110:
            west, south, east, north = shape.bounds
            envelope = (west, east, south, north)
        shape = shapely.to_wkb(shape, byte_order=1)
    order = "<" if flags & 1 else ">"
    numbers = envelope or ()
    return struct.pack(f"{order}2sBBi{len(numbers)}d", b"GP", 0, flags, 32632, *numbers) + shape


def only(tmp_path: Path, **row: Any) -> str:
    """What is said about a file whose second feature is this one."""
    return str(complaint(tmp_path, layer({}, {"id": 2, "identifier": "b", **row}), defaults={"resolution": 10}))


LINE = shapely.LineString([(0, 0), (1, 1)])
CURVES = {10: "CURVEPOLYGON", 12: "MULTISURFACE", 8: "CIRCULARSTRING", 15: "POLYHEDRALSURFACE"}
NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "A feature has no geometry"),
        ("POLYGON((0 0, 1 1))", "is no binary data"),
        (b"", "without its header"),
        (shapely.to_wkb(FIELD), "without its header"),
        (b"GP", "without its header"),
        (blob(FIELD)[:-1], "is not well-formed"),
        (blob(FIELD) + b"\0", "is not well-formed"),
        (blob(FIELD)[:20], "is not well-formed"),
        (blob(FIELD, flags=0b1011, envelope=(0.0, 1.0, 0.0, 1.0)), "is not well-formed"),  # there is no such envelope
        (blob(FIELD, flags=0b100011), "is not well-formed"),  # a form that is the writer's own
        (blob(FIELD, flags=0b010011), "is empty"),
        (blob(shapely.Polygon(), envelope=(NAN, NAN, NAN, NAN)), "is empty"),
        (blob(shapely.Polygon(), flags=1), "is empty"),
        (blob(shapely.MultiPolygon(), flags=1), "is empty"),
        (blob(shapely.Point(1, 1)), "is a POINT ("),
        (blob(shapely.MultiPoint([(1, 1)])), "is a MULTIPOINT ("),
        (blob(LINE), "is a LINESTRING ("),
        (blob(shapely.MultiLineString([LINE])), "is a MULTILINESTRING ("),
        (blob(shapely.GeometryCollection([FIELD])), "is a GEOMETRYCOLLECTION ("),
        *((blob(struct.pack("<BII", 1, code, 0), flags=1), f"is a {kind} (") for code, kind in CURVES.items()),
        *((blob(struct.pack(">BII", 0, code + 1000, 0), flags=1), f"is a {kind} (") for code, kind in CURVES.items()),
        (blob(struct.pack("<BII", 1, 999, 0), flags=1), "is a geometry of type 999 ("),
        (blob(struct.pack("<BII", 1, 6, 1) + shapely.to_wkb(LINE), flags=1), "with a LINESTRING in it"),
        (blob(struct.pack("<BII", 1, 6, 1000), flags=1), "is not well-formed"),
        (blob(struct.pack("<BII", 1, 6, 1) * 5000, flags=1), "with a MULTIPOLYGON in it"),
        (blob(struct.pack("<BII", 1, 3, 100_000) + bytes(400_000), flags=1), "is not well-formed"),
        (blob(struct.pack("<BIII6d", 1, 3, 1, 3, *range(6)), flags=1), "is not well-formed"),
        (blob(struct.pack("<BI", 1, 3), flags=1), "is not well-formed"),
        (blob(struct.pack("<BI", 2, 3) + bytes(9), flags=1), "is not well-formed"),
        (blob(struct.pack("<BII", 1, 3, 4_000_000_000), flags=1), "is not well-formed"),
        (
            blob(struct.pack("<BIII8d", 1, 3, 1, 4, 0, 0, 1, NAN, 1, 1, 0, 0), flags=1),
            "coordinates that are no numbers",
        ),
    ],
)
def test_geometries_that_the_service_refuses(tmp_path: Path, value: Any, said: str) -> None:
    text = only(tmp_path, geometry=value)
    assert said in text
    assert "(table 'fields', fid 2 (identifier 'b'))" in text


HOLED = shapely.Polygon([(0, 0), (90, 0), (90, 80), (0, 80)], [[(1, 1), (2, 1), (2, 2)]])


@pytest.mark.parametrize("shape", [FIELD, HOLED, shapely.MultiPolygon([HOLED, shapely.box(100, 0, 200, 50)])])
@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("flags", [0b000, 0b001, 0b011, 0b010])
def test_geometries_in_every_form(
    tmp_path: Path, shape: BaseGeometry, byte_order: Any, flavor: Any, dimensions: int, flags: int
) -> None:
    """The size is the same, whether the header tells it or not."""
    more = shapely.force_3d(shape, 5) if dimensions == 3 else shape
    wkb = shapely.to_wkb(more, byte_order=byte_order, output_dimension=dimensions, flavor=flavor)
    west, south, east, north = shape.bounds
    value = blob(wkb, flags=flags, envelope=(west, east, south, north) if flags & 0b10 else None)
    assert geometry_of(value) == (shape.geom_type.upper(), False, (east - west, north - south))


@pytest.mark.parametrize(
    "envelope", [(NAN, NAN, NAN, NAN), (5.0, 1.0, 0.0, 2.0), (0.0, float("inf"), 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)]
)
def test_an_envelope_that_is_none_is_not_believed(envelope: tuple[float, ...]) -> None:
    assert geometry_of(blob(FIELD, envelope=envelope)).size == (1000, 500)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": None}, "The id of a feature is no whole number"),
        ({"id": 2.5}, "The id of a feature is no whole number"),
        ({"id": "two"}, "The id of a feature is no whole number"),
        ({"id": b"2"}, "The id of a feature is no whole number"),
        ({"id": 1e300}, "The id of a feature is no whole number"),
        ({"id": 1}, "The id 1 is there twice"),
        ({"identifier": None}, "A feature has no identifier"),
        ({"identifier": ""}, "A feature has no identifier"),
        ({"identifier": b"b"}, "The identifier of a feature is no text"),
        ({"identifier": "a"}, "The identifier 'a' is there twice"),
        ({"width": None}, "only one of width and height"),
        ({"height": None, "resolution": 10}, "only one of width and height"),
        ({"width": 10.5}, "is not 1 to 3500 pixels"),
        ({"width": -1}, "is not 1 to 3500 pixels"),
        ({"width": "wide"}, "is not 1 to 3500 pixels"),
        ({"height": b"1"}, "is not 1 to 3500 pixels"),
        ({"height": 2**62}, "is not 1 to 3500 pixels"),
        ({"width": None, "height": None, "resolution": 0}, "no number above 0"),
        ({"width": None, "height": None, "resolution": -10.0}, "no number above 0"),
        ({"width": None, "height": None, "resolution": "fine"}, "no number above 0"),
        ({"width": None, "height": None, "resolution": float("inf")}, "no number above 0"),
        ({"width": None, "height": None, "resolution": 1000 / 3501}, "more than 3500 pixels wide or high"),
        ({"width": None, "height": None, "resolution": 1e-320}, "more than 3500 pixels wide or high"),
    ],
)
def test_values_that_the_service_refuses(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    text = only(tmp_path, **row)
    assert said in text
    assert "(table 'fields', fid 2" in text


def test_sizes_that_are_allowed(tmp_path: Path) -> None:
    coarse = {"width": None, "height": None, "resolution": 1000 / 3500}
    own = {"id": 2, "identifier": "b", "width": 3500, "height": 1, "resolution": -1}  # width and height win
    assert complaint(tmp_path, layer(coarse, own)) is None
    bare = {"width": None, "height": None}
    assert complaint(tmp_path, layer(bare), defaults={"width": 3500, "height": 1}) is None
    assert "more than 3500 pixels" in str(complaint(tmp_path, layer(bare), defaults={"resolution": 0.1}))


@pytest.mark.parametrize(
    ("defaults", "said"),
    [
        ({"width": 10}, "must be width and height, or resolution"),
        ({"width": 10, "height": 10, "resolution": 10}, "must be width and height, or resolution"),
        ({"size": 10}, "must be width and height, or resolution"),
        (10, "must be width and height, or resolution, not '10'"),
        ({"width": 3501, "height": 10}, "1 to 3500 pixels"),
        ({"width": 10.5, "height": 10}, "1 to 3500 pixels"),
        ({"width": True, "height": 10}, "1 to 3500 pixels"),
        ({"resolution": 0}, "must be a number above 0"),
        ({"resolution": "10"}, "must be a number above 0"),
        ({"resolution": NAN}, "must be a number above 0"),
    ],
)
def test_defaults_that_the_service_refuses(tmp_path: Path, defaults: Any, said: str) -> None:
    assert said in str(complaint(tmp_path, layer({}), defaults=defaults))


def test_how_many_more_there_are(tmp_path: Path) -> None:
    rows = [{"id": n, "identifier": f"f{n}", "geometry": None if n % 2 else blob(FIELD)} for n in range(1, 2200)]
    assert "fid 1 (identifier 'f1') and 1,099 more)" in str(complaint(tmp_path, layer(*rows)))


def changed(tmp_path: Path, script: str) -> str | None:
    """What is said about a good file after a change."""
    assert complaint(tmp_path, layer({})) is None
    with closing(sqlite3.connect(tmp_path / "features.gpkg")) as database:
        database.executescript(script)
    return complaint_about(tmp_path / "features.gpkg")


LOOSE = "DROP TABLE {0}; CREATE TABLE {0} AS SELECT {1}"
SRS = LOOSE.format("gpkg_spatial_ref_sys", "32632 AS srs_id, {} AS organization, {} AS organization_coordsys_id")
LISTED = LOOSE.format(
    "gpkg_geometry_columns",
    "{} AS table_name, {} AS column_name, {} AS geometry_type_name, 32632 AS srs_id",
)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (SRS.format("'EPSG'", "'abc'"), "no CRS with an EPSG code"),
        (SRS.format("'EPSG'", "NULL"), "no CRS with an EPSG code"),
        (SRS.format("'EPSG'", "-1"), "no CRS with an EPSG code"),
        (SRS.format("'EPSG'", "1e400"), "no CRS with an EPSG code"),
        (SRS.format("'ESRI'", "102100"), "no CRS with an EPSG code"),
        (SRS.format("NULL", "32632"), "no CRS with an EPSG code"),
        (SRS.format("'EPSG'", "x'00'"), "binary data"),
        ("DELETE FROM gpkg_spatial_ref_sys", "no CRS with an EPSG code"),
        (LISTED.format("NULL", "'geometry'", "'POLYGON'"), "nothing (NULL) in the column table_name"),
        (LISTED.format("x'41'", "'geometry'", "'POLYGON'"), "binary data in the column table_name"),
        (LISTED.format("'fields'", "NULL", "'POLYGON'"), "nothing (NULL) in the column column_name"),
        (LISTED.format("'fields'", "'shape'", "'POLYGON'"), "has no column 'shape'"),
        (LISTED.format("'fields'", "'geometry'", "'CURVEPOLYGON'"), "holds CURVEPOLYGON"),
        (LISTED.format("'fields'", "'geometry'", "'multisurface'"), "holds MULTISURFACE"),
        (LISTED.format("'sqlite_master'", "'sql'", "'POLYGON'"), "does not list it"),
        (LISTED.format("'others'", "'geometry'", "'POLYGON'"), "does not list it"),
        ("DELETE FROM gpkg_contents", "does not list it"),
        ("UPDATE gpkg_contents SET data_type = 'attributes'", "does not list it"),
        (
            "CREATE TABLE a AS SELECT * FROM gpkg_spatial_ref_sys; INSERT INTO a SELECT * FROM a; DROP TABLE"
            " gpkg_spatial_ref_sys; ALTER TABLE a RENAME TO gpkg_spatial_ref_sys",
            "is listed twice",
        ),
        ("DROP TABLE fields", "is not there"),
        ("ALTER TABLE fields RENAME COLUMN id TO number", "no column id"),
        ("DELETE FROM gpkg_geometry_columns", "no table with a geometry"),
        ("DROP TABLE gpkg_contents", "without the table 'gpkg_contents'"),
        ("DROP TABLE gpkg_geometry_columns", "without the table 'gpkg_geometry_columns'"),
        ("UPDATE fields SET identifier = CAST(x'ff41' AS TEXT)", "not UTF-8"),
    ],
)
def test_tables_that_the_service_refuses(tmp_path: Path, script: str, said: str) -> None:
    text = str(changed(tmp_path, script))
    assert said in text
    assert text.endswith(".")


def test_a_code_that_is_kept_as_text_is_a_code(tmp_path: Path) -> None:
    assert changed(tmp_path, SRS.format("'epsg'", "'32632'")) is None


def test_names_out_of_the_file_do_not_break_the_message(tmp_path: Path) -> None:
    text = str(complaint(tmp_path, layer({"geometry": None, "identifier": "a\nb" * 100}, name="x\ty" * 100)))
    assert text.isprintable()
    assert len(text) < 300


def test_several_crs(tmp_path: Path) -> None:
    """Batch v2 takes them, batch statistical does not."""
    layers = layer({}), layer({"id": 2, "identifier": "b"}, name="more", crs=32633)
    assert complaint(tmp_path, *layers) is None
    text = str(complaint_about(tmp_path / "features.gpkg", statistical=True))
    assert "several CRS (EPSG:32632, EPSG:32633)" in text


def test_batch_statistical_has_sizes_of_its_own(tmp_path: Path) -> None:
    """Columns of the user's that happen to be called so mean nothing to it."""
    odd = layer({"width": 12.5, "height": None, "resolution": "low"})
    assert complaint(tmp_path, odd) is not None
    assert complaint_about(tmp_path / "features.gpkg", statistical=True) is None
    complaint(tmp_path, layer({}), layer({"identifier": "b"}, name="more"))
    assert "The id 1 is there twice" in str(complaint_about(tmp_path / "features.gpkg", statistical=True))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    def make(count: int) -> Path:
        file = tmp_path_factory.mktemp("many") / "features.gpkg"
        shape = blob(FIELD)
        columns = COLUMNS[:3]
        rows = ([number, f"field-{number}", shape] for number in range(count))
        file.write_bytes(
            geopackage([Layer("fields", 32632, columns, rows, FIELD.bounds, geometry_type="POLYGON")]),
        )
        return file

    return make


@pytest.mark.thorough
@pytest.mark.slow
def test_the_most_features_are_checked_and_one_more_is_refused(
    many: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look at each of 700,000 takes long, and shows no more than to look at fewer."""
    assert "more than 700,000 features" in str(complaint_about(many(700_001), {"resolution": 10}))
    monkeypatch.setattr(files, "MOST_FEATURES", 20_000)
    file = many(20_000)
    assert complaint_about(file, {"resolution": 10}) is None
    with closing(sqlite3.connect(file)) as database:
        database.execute("INSERT INTO fields (id, identifier) VALUES (-1, 'one more')")
        database.commit()
    assert "more than 20,000 features" in str(complaint_about(file, {"resolution": 10}))


def test_defaults_stand_in_for_sizes(tmp_path: Path) -> None:
    bare = layer({"width": None, "height": None})
    assert complaint(tmp_path, bare, defaults={"resolution": 10}) is None


def ring(*points: tuple[float, float]) -> bytes:
    """A polygon of one ring, as it is."""
    return struct.pack(
        f"<BIII{2 * len(points)}d", 1, 3, 1, len(points), *(value for point in points for value in point)
    )


BAD_RINGS = [
    (ring((0, 0), (9, 0), (9, NAN), (0, 0)), "coordinates that are no numbers"),
    (ring((0, 0), (9, 0), (float("-inf"), 9), (0, 0)), "coordinates that are no numbers"),
    (ring((0, 0), (9, 0), (9, 9), (0, 9)), "a ring that is not closed"),
    (ring((0, 0), (9, 0), (5, 0), (0, 0)), "has no surface"),
    (ring((3, 0), (3, 9), (3, 5), (3, 0)), "has no surface"),
]


@pytest.mark.parametrize(("wkb", "said"), BAD_RINGS)
@pytest.mark.parametrize("envelope", [None, (0.0, 9.0, 0.0, 9.0)])
@pytest.mark.parametrize("statistical", [False, True])
def test_rings_that_are_none_whatever_the_header_says(
    tmp_path: Path, wkb: bytes, said: str, envelope: Any, statistical: bool
) -> None:
    value = blob(wkb, flags=0b11 if envelope else 0b1, envelope=envelope)
    complaint(tmp_path, layer({}, {"id": 2, "identifier": "b", "geometry": value}))
    text = str(complaint_about(tmp_path / "features.gpkg", {"resolution": 10}, statistical=statistical))
    assert said in text
    assert "(table 'fields', fid 2 (identifier 'b'))" in text


def test_an_envelope_that_is_too_small_does_not_hide_a_feature_that_is_too_large(tmp_path: Path) -> None:
    large = blob(shapely.box(0, 0, 40_000, 10), envelope=(0.0, 1.0, 0.0, 1.0))
    assert "more than 3500 pixels" in only(tmp_path, geometry=large, width=None, height=None)


def test_a_resolution_in_metres_where_the_crs_counts_in_degrees(tmp_path: Path) -> None:
    degrees = blob(shapely.box(8, 41, 8.01, 41.01))
    bare = {"geometry": degrees, "width": None, "height": None}
    text = str(complaint(tmp_path, layer(bare, crs=4326), defaults={"resolution": 10}))
    assert "smaller than one pixel of 10 degrees (table 'fields', fid 1 (identifier 'a'))" in text
    assert "EPSG:4326 counts in degrees" in text
    assert complaint(tmp_path, layer(bare, crs=4326), defaults={"resolution": 0.0001}) is None
    assert complaint(tmp_path, layer({**bare, "resolution": 0.0001}, crs=4326), defaults={"resolution": 10}) is None
    assert complaint(tmp_path, layer(bare, crs=4647), defaults={"resolution": 10}) is None


@pytest.mark.parametrize("identifier", [" ", "\t", "\u00a0"])
def test_an_identifier_of_blanks_is_none(tmp_path: Path, identifier: str) -> None:
    assert "A feature has no identifier" in only(tmp_path, identifier=identifier)


@pytest.mark.parametrize("name", ["width", "height"])
def test_one_half_of_a_size(tmp_path: Path, name: str) -> None:
    columns = (*COLUMNS[:3], (name, "INTEGER"))
    assert f"has {name} without its other half" in str(complaint(tmp_path, layer({}, columns=columns)))


def test_a_row_without_a_number_is_told_by_its_position(tmp_path: Path) -> None:
    text = str(
        changed(
            tmp_path,
            "CREATE TABLE other (gid, id, identifier, geometry, resolution);"
            "INSERT INTO other SELECT NULL, 1, 'a', geometry, 10 FROM fields;"
            "INSERT INTO other VALUES (NULL, 2, 'b', NULL, 10); DROP TABLE fields; ALTER TABLE other RENAME TO fields;"
            "CREATE TABLE keyed (gid, identifier, geometry, resolution)",
        )
    )
    assert "(table 'fields', id 2 (identifier 'b'))" in text
    text = str(changed(tmp_path, "ALTER TABLE fields RENAME COLUMN fid TO gid; UPDATE fields SET id = 'x'"))
    assert "(table 'fields', row 1 (identifier 'a'))" in text


OTHERS = [
    (b"PK\x03\x04" + bytes(99), "it is a ZIP archive"),
    (b"\x1f\x8b\x08" + bytes(99), "it is compressed by gzip"),
    (b' {"type": "FeatureCollection"}' * 9, "it is JSON"),
    (b"\n<!DOCTYPE html><p>Access denied" * 9, "it is XML or a web page"),
    (b"fgb\x03fgb" + bytes(99), "it is a FlatGeobuf"),
    (b"PAR1" + bytes(99), "it is a Parquet file"),
    (b"\0\0\x27\x0a" + bytes(99), "it is a Shapefile"),
    (b"", "it has 0 bytes"),
]


@pytest.mark.parametrize(("content", "said"), OTHERS)
def test_another_file_by_the_name_of_a_geopackage(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "features.gpkg"
    file.write_bytes(content)
    text = str(complaint_about(file))
    assert "It is no GeoPackage that can be read" in text
    assert text.endswith(".")
    assert said in text
    assert "there is no file" in str(complaint_about(tmp_path / "other.gpkg"))


def test_a_file_that_a_program_has_open(tmp_path: Path) -> None:
    """In WAL mode the last changes stand beside the file; a copy of it alone lacks them."""
    complaint(tmp_path, layer({}))
    file, copy = tmp_path / "features.gpkg", tmp_path / "copy.gpkg"
    assert not needs_journal(file)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO fields (id, identifier) VALUES (2, 'b')")
        database.commit()
        copy.write_bytes(file.read_bytes())
    assert needs_journal(copy)
    assert complaint_about(copy) is None
    assert not needs_journal(tmp_path / "none.gpkg")


def test_no_geopackage(tmp_path: Path) -> None:
    file = tmp_path / "features.gpkg"
    file.write_bytes(b"PK\x03\x04 a zip, by its name a GeoPackage" * 10)
    assert "no GeoPackage that can be read" in str(complaint_about(file))
