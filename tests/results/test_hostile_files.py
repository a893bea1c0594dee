"""SQLite files that are broken, or made to do harm: every reader ends soon, in a result or in one sentence of ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results import execution, manifest, statistical
from airflow_sentinelhub.results._sqlite import DatabaseFile, opened
from airflow_sentinelhub.results.geopackage import complaint_about

pytestmark = pytest.mark.thorough

FEATURES = "CREATE TABLE features (id INTEGER, name TEXT, status TEXT, error TEXT, delivered BOOLEAN)"
MANIFEST = (
    "CREATE TABLE feature_4326 (fid INTEGER PRIMARY KEY, outputId TEXT, identifier TEXT, path TEXT, width INTEGER, "
    "height INTEGER, geometry GEOMETRY)"
)
CONTENTS = "CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT)"
GEOMETRIES = "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT, srs_id)"
SYSTEMS = "CREATE TABLE gpkg_spatial_ref_sys (srs_id, organization TEXT, organization_coordsys_id INTEGER)"
FIELDS = "CREATE TABLE fields (fid INTEGER PRIMARY KEY, id INTEGER, identifier TEXT, geom BLOB, resolution REAL)"
LAYER = (
    "INSERT INTO gpkg_contents VALUES ('fields', 'features')",
    "INSERT INTO gpkg_geometry_columns VALUES ('fields', 'geom', 'POLYGON', 32632)",
    "INSERT INTO gpkg_spatial_ref_sys VALUES (32632, 'EPSG', 32632)",
)
WHOLE = {"features": FEATURES, "feature_4326": MANIFEST, "contents": CONTENTS, "g": GEOMETRIES, "s": SYSTEMS}

READERS: dict[str, Callable[[Path], Any]] = {
    "states": lambda path: list(execution.read_states(execution.source(path, "req-1"))),
    "counts": lambda path: execution.count_tiles(execution.source(path, "req-1")),
    "failed": lambda path: execution.failed_names(execution.source(path, "req-1")),
    "unfinished": lambda path: execution.unfinished(execution.source(path, "req-1")),
    "manifest": lambda path: list(manifest.read_manifest(manifest.source(path, "req-1"))),
    "total": lambda path: manifest.count_features(manifest.source(path, "req-1")),
    "ids": lambda path: statistical._features(DatabaseFile(path, "GeoPackage", "req-1")),
    "check": complaint_about,
}
EXECUTION = ("states", "counts", "failed", "unfinished")


def said(path: Path, *readers: str) -> str:
    """What these readers (all, if none is named) say about a file that none of them can read."""
    texts = []
    for name in readers or READERS:
        if name == "check":
            texts.append(str(READERS[name](path)))
            assert texts[-1] != "None"
            continue
        with pytest.raises(ResultsError) as caught:
            READERS[name](path)
        texts.append(str(caught.value))
    assert all("\n" not in text and text.endswith(".") and len(text) < 500 for text in texts), texts
    return "\n".join(texts)


def made(path: Path, *statements: str, script: str = "") -> Path:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.executescript(script)
        database.commit()
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(8192),
        b"PK\x03\x04" + bytes(200),
        b"SQLite format 3\0",
        b"SQLite format 3\0" + bytes(84),
        b"SQLite format 3\0" + bytes(8192),
        b"SQLite format 3\0" + b"\xff" * 8192,
    ],
)
def test_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    said(path)


def test_no_file(tmp_path: Path) -> None:
    assert "no file" in said(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "no file" in said(tmp_path / "pipe")
    said(tmp_path / "gone")


@pytest.mark.parametrize("head", [b"", b"SQLite format 3\0\x10\x00\x01\x01\x00\x40\x20\x20"])
def test_two_gigabytes_of_nothing(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(head)
    os.truncate(path, 2 << 30)
    said(path)


def test_cut_at_any_place_or_changed_anywhere(tmp_path: Path) -> None:
    path = made(tmp_path / "whole", *WHOLE.values(), FIELDS, *LAYER)
    with closing(sqlite3.connect(path)) as database:
        database.executemany("INSERT INTO features VALUES (?, ?, 'FATAL', '', 0)", ((n, f"t{n}") for n in range(500)))
        database.commit()
    whole = path.read_bytes()
    for at in range(0, len(whole), 997):
        path.write_bytes(whole[:at])
        said(path)
        for junk in (b"\xff" * 16, bytes(16)):
            path.write_bytes(whole[:at] + junk + whole[at + 16 :])
            for read in READERS.values():
                try:
                    read(path)
                except ResultsError:
                    continue


def test_a_file_in_wal_mode_is_read(tmp_path: Path) -> None:
    path = made(
        tmp_path / "wal", "PRAGMA journal_mode = WAL", FEATURES, "INSERT INTO features VALUES (1,'a','DONE','',1)"
    )
    assert path.read_bytes()[18:20] == b"\x02\x02"
    assert READERS["counts"](path) == {"PROCESSED": 1}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["wal"]


ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
VIEWS = {
    "features": f"{ENDLESS} SELECT n AS id, 'a' || n AS name, 'DONE' AS status, '' AS error, 1 AS delivered FROM c",
    "feature_4326": f"{ENDLESS} SELECT n AS fid, '' AS outputId, n AS identifier, '' AS path, 1 AS width,"
    " 1 AS height FROM c",
    "gpkg_contents": f"{ENDLESS} SELECT 't' || n AS table_name, 'features' AS data_type FROM c",
    "gpkg_geometry_columns": f"{ENDLESS} SELECT 't' || n AS table_name, 'g' AS column_name,"
    " 'POLYGON' AS geometry_type_name, 1 AS srs_id FROM c",
}


def test_endless_views(tmp_path: Path) -> None:
    path = made(tmp_path / "x", *(f"CREATE VIEW {name} AS {query}" for name, query in VIEWS.items()), SYSTEMS)
    assert said(path).count("view") == len(READERS)


def test_views_that_the_schema_calls_tables(tmp_path: Path) -> None:
    views = [f"CREATE VIEW {name} AS {query}" for name, query in VIEWS.items()]
    change = "PRAGMA writable_schema = ON; UPDATE sqlite_master SET type = 'table'"
    said(made(tmp_path / "x", *views, SYSTEMS, script=f"{change};"))
    # As far as the text of the schema can lie: SQLite goes by the text, whatever stands beside it.
    lies = f"{change}, sql = replace(sql, 'CREATE VIEW', 'CREATE TABLE');"
    said(made(tmp_path / "x", *views, SYSTEMS, script=lies))
    tables = [f"CREATE TABLE {name} (x)" for name in VIEWS]
    hidden = "; ".join(
        f"UPDATE sqlite_master SET sql = 'CREATE VIEW {name} AS {query.replace(chr(39), chr(39) * 2)}' "
        f"WHERE name = '{name}'"
        for name, query in VIEWS.items()
    )
    said(made(tmp_path / "x", *tables, SYSTEMS, script=f"PRAGMA writable_schema = ON; {hidden};"))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM v",
        "SELECT count(*) FROM (SELECT name FROM v)",
        f"{ENDLESS} SELECT n FROM c",
        "SELECT hex(zeroblob(100))",
        "SELECT load_extension('x')",
        "PRAGMA journal_mode = WAL",
        "ATTACH 'other' AS other",
        "DELETE FROM features",
    ],
)
def test_whatever_is_asked_only_plain_tables_answer(tmp_path: Path, query: str) -> None:
    path = made(tmp_path / "x", FEATURES, "CREATE VIEW v AS SELECT * FROM features")
    with opened(execution.source(path, "req-1")) as database, pytest.raises(ResultsError, match="computes"):
        list(database.rows(query))


def test_virtual_tables(tmp_path: Path) -> None:
    made(tmp_path / "x", "CREATE VIRTUAL TABLE features USING fts5(id, name, status, error, delivered)")
    assert "virtual" in said(tmp_path / "x", *EXECUTION)


@pytest.mark.parametrize("kind", ["VIRTUAL", "STORED"])
def test_computed_columns(tmp_path: Path, kind: str) -> None:
    much = "name TEXT AS (hex(zeroblob(100000000)))" if kind == "VIRTUAL" else "name TEXT AS ('a') STORED"
    made(
        tmp_path / "x",
        FEATURES.replace("name TEXT", much),
        MANIFEST.replace("identifier TEXT", much.replace("name", "identifier")),
        "INSERT INTO features (id, status) VALUES (1, 'DONE')" if kind == "VIRTUAL" else "SELECT 1",
        CONTENTS,
        GEOMETRIES,
        SYSTEMS,
        FIELDS.replace("identifier TEXT", much.replace("name", "identifier")),
        *LAYER,
    )
    assert said(tmp_path / "x").count("is computed, not stored") == len(READERS)


def test_a_tree_of_pages_that_never_ends(tmp_path: Path) -> None:
    """Inner pages whose children are all one and the same page: a small file with more rows than can be counted."""
    path = made(tmp_path / "x", "PRAGMA page_size = 512", FEATURES)
    with closing(sqlite3.connect(path)) as database:
        row = (1, "a", "DONE", "", 1)
        database.executemany("INSERT INTO features VALUES (?, ?, ?, ?, ?)", (row for _ in range(20_000)))
        database.commit()
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'features'").fetchone()
    content = bytearray(path.read_bytes())
    pages = [bytes(content[at : at + 512]) for at in range(0, len(content), 512)]
    leaf = next(number for number, page in enumerate(pages, 1) if page[0] == 13 and number > 1)
    inner = [number for number, page in enumerate(pages, 1) if page[0] == 5 and number != root]
    chain = [root, *inner[:8]]
    for at, number in enumerate(chain):
        child = (chain[at + 1] if at + 1 < len(chain) else leaf).to_bytes(4, "big")
        page = bytearray(pages[inner[0] - 1])
        cells = int.from_bytes(page[3:5], "big")
        for cell in range(cells):
            place = int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell], "big")
            page[place : place + 4] = child
        page[8:12] = child
        content[(number - 1) * 512 : number * 512] = page
    path.write_bytes(content)
    assert "more work" in said(path, *EXECUTION)


@pytest.mark.parametrize("column", ["name", "status", "error", "delivered"])
@pytest.mark.parametrize("value", ["x'00ff'", "CAST(x'ff41' AS TEXT)", "NULL", "1e400", "99999999999999999999", "1.5"])
def test_values_of_another_type_in_the_execution_database(tmp_path: Path, column: str, value: str) -> None:
    """Each is read for what it is, or is a sentence; what must be a name is never made up."""
    table = "CREATE TABLE features (id, name, status, error, delivered)"
    values = {"id": "1", "name": "'a'", "status": "'DONE'", "error": "''", "delivered": "1", column: value}
    path = made(tmp_path / "x", table, f"INSERT INTO features VALUES ({', '.join(values.values())})")
    if column == "name" or value == "x'00ff'":
        for reader in EXECUTION:
            if not (value.startswith("CAST") and reader in ("counts", "failed")):  # which read no name
                said(path, reader)
        return
    for reader in EXECUTION:
        try:
            READERS[reader](path)
        except ResultsError:
            said(path, reader)


@pytest.mark.parametrize("column", ["outputId", "identifier", "path", "width", "height"])
@pytest.mark.parametrize("value", ["x'00ff'", "CAST(x'ff41' AS TEXT)", "NULL", "1e400", "99999999999999999999", "'12'"])
def test_values_of_another_type_in_the_manifest(tmp_path: Path, column: str, value: str) -> None:
    table = "CREATE TABLE feature_4326 (outputId, identifier, path, width, height)"
    values = {"outputId": "'o'", "identifier": "'a'", "path": "'p'", "width": "1", "height": "1", column: value}
    path = made(tmp_path / "x", table, f"INSERT INTO feature_4326 VALUES ({', '.join(values.values())})")
    if column in ("width", "height") and not value.startswith("CAST"):
        (feature,) = READERS["manifest"](path)
        assert getattr(feature, column) is None
    elif value != "'12'":
        said(path, "manifest")


@pytest.mark.parametrize("name", ["feature_٤٣٢٦", "feature_" + "9" * 5000, "feature_1234567890"])
def test_tables_that_are_no_feature_tables(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "x", MANIFEST.replace("feature_4326", f'"{name}"'))
    assert "without a table 'feature_<crs>'" in said(path, "manifest", "total")


def test_a_name_with_a_zero_byte(tmp_path: Path) -> None:
    script = "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = 'feature_1' || char(0);"
    said(made(tmp_path / "x", MANIFEST, script=script), "manifest", "total")


def test_text_that_is_not_utf8_in_the_schema(tmp_path: Path) -> None:
    path = made(tmp_path / "x", FEATURES, MANIFEST)
    path.write_bytes(
        path.read_bytes().replace(b"identifier", b"\xff\xfe\xfd\xfcntifie").replace(b"status", b"\xfftatus")
    )
    said(path)


def test_two_names_that_differ_in_case_are_two_features(tmp_path: Path) -> None:
    path = made(tmp_path / "x", MANIFEST.replace("identifier TEXT", "identifier TEXT COLLATE NOCASE"))
    with closing(sqlite3.connect(path)) as database:
        database.executemany("INSERT INTO feature_4326 VALUES (NULL, 'o', ?, 'p', 1, 1, NULL)", [("a",), ("A",)])
        database.commit()
    assert READERS["total"](path) == len(READERS["manifest"](path)) == 2


@pytest.mark.parametrize("value", ["NULL", "'abc'", "1.5", "x'00'", "99999999999999999999"])
def test_ids_of_the_features_of_a_statistical_request(tmp_path: Path, value: str) -> None:
    path = made(
        tmp_path / "x", CONTENTS, FIELDS, LAYER[0], f"INSERT INTO fields (id, identifier) VALUES ({value}, 'a')"
    )
    assert "in the column id" in said(path, "ids")


def test_one_id_for_two_features_of_a_statistical_request(tmp_path: Path) -> None:
    two = "INSERT INTO fields (id, identifier) VALUES (7, 'a'), (7, 'b')"
    assert "two features have the id 7" in said(made(tmp_path / "x", CONTENTS, FIELDS, LAYER[0], two), "ids")
