"""The feature manifest, by hand and broken; the simulator's is read in test_batch_results."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results import manifest
from airflow_sentinelhub.results.manifest import ManifestFeature

MakeFile = Callable[..., Path]


def table(code: int) -> str:
    return (
        f"CREATE TABLE feature_{code} (fid INTEGER PRIMARY KEY AUTOINCREMENT, outputId TEXT, identifier TEXT, "
        "path TEXT, width INTEGER, height INTEGER, geometry GEOMETRY)"
    )


def row(code: int, output: str, name: str) -> str:
    return (
        f"INSERT INTO feature_{code} (outputId, identifier, path, width, height, geometry) "
        f"VALUES ('{output}', '{name}', 's3://b/{name}/{output}.tif', 100, 90, x'4750')"
    )


def paths(name: str, *outputs: str) -> dict[str, str]:
    return {output: f"s3://b/{name}/{output}.tif" for output in outputs}


def test_rows_of_a_feature_are_one_feature_wherever_they_are(sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        table(32631),
        table(32632),
        *(row(32632, "ndvi", name) for name in ("b", "d")),
        *(row(32631, output, name) for output in ("ndvi", "mask") for name in ("c", "a")),
        *(row(32632, "mask", name) for name in ("d", "b")),
    )
    file = manifest.source(path, "req-1")
    assert list(manifest.read_manifest(file)) == [
        ManifestFeature("a", paths("a", "ndvi", "mask"), 100, 90, 32631),
        ManifestFeature("b", paths("b", "ndvi", "mask"), 100, 90, 32632),
        ManifestFeature("c", paths("c", "ndvi", "mask"), 100, 90, 32631),
        ManifestFeature("d", paths("d", "ndvi", "mask"), 100, 90, 32632),
    ]
    assert manifest.count_features(file) == 4


def test_other_tables_are_left_alone(sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        table(4326),
        "CREATE TABLE feature_count (n INTEGER)",
        "CREATE TABLE rtree_feature_4326_geometry (id)",
        row(4326, "default", "S08E036"),
    )
    assert manifest.count_features(manifest.source(path, "req-1")) == 1


def test_names_that_sql_might_trip_over(sqlite_file: MakeFile) -> None:
    names = ["Ünï", "a b", 'say "hi"', "😀", "\uffff", "𐀀", "Z", "a"]
    path = sqlite_file(
        table(4326),
        rows=[("default", name, f"s3://b/{name}", 1, 1, None) for name in names],
        into="INSERT INTO feature_4326 (outputId, identifier, path, width, height, geometry) VALUES (?, ?, ?, ?, ?, ?)",
    )
    found = [feature.name for feature in manifest.read_manifest(manifest.source(path, "req-1"))]
    assert found == sorted(names)


def test_one_row_at_a_time(sqlite_file: MakeFile) -> None:
    """Reading stops where the reader stops: nothing holds the file afterwards."""
    path = sqlite_file(table(4326), row(4326, "default", "a"), row(4326, "default", "b"))
    features = manifest.read_manifest(manifest.source(path, "req-1"))
    assert next(features).name == "a"
    features.close()  # type: ignore[attr-defined]
    path.unlink()


def test_a_reader_half_read_may_end_in_another_thread(sqlite_file: MakeFile) -> None:
    """Where the garbage collector happens to run, or the next thread of a pool."""
    path = sqlite_file(table(4326), *(row(4326, "default", name) for name in "abc"))
    features = manifest.read_manifest(manifest.source(path, "req-1"))
    assert next(features).name == "a"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: next(features).name).result() == "b"
        pool.submit(features.close).result()  # type: ignore[attr-defined]


@pytest.mark.parametrize("read", [lambda file: list(manifest.read_manifest(file)), manifest.count_features])
def test_broken_ones(sqlite_file: MakeFile, tmp_path: Path, read: Callable[[manifest.DatabaseFile], object]) -> None:
    def said(path: Path) -> str:
        with pytest.raises(
            ResultsError, match=r"req-1: the feature manifest at s3://b/m\.gpkg cannot be read"
        ) as caught:
            read(manifest.source(path, "req-1", "s3://b/m.gpkg"))
        return str(caught.value)

    assert "another schema, without a table" in said(sqlite_file("CREATE TABLE gpkg_contents (table_name TEXT)"))
    assert "no column outputId, path" in said(
        sqlite_file("CREATE TABLE feature_4326 (identifier TEXT, width INTEGER, height INTEGER)")
    )
    whole = sqlite_file(table(4326), *(row(4326, "default", f"{number:05}") for number in range(500))).read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    assert "half of it" in said(tmp_path / "half")
    (tmp_path / "text").write_text("not found")
    assert "not an SQLite file" in said(tmp_path / "text")


def sized(code: int, output: str, name: str, size: str) -> str:
    return (
        f"INSERT INTO feature_{code} (outputId, identifier, path, width, height, geometry) "
        f"VALUES ('{output}', '{name}', 's3://b/{name}/{output}.tif', {size}, x'4750')"
    )


def test_features_are_counted_by_their_pixels(sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        table(32631),
        table(32632),
        *(row(32631, output, name) for output in ("ndvi", "mask") for name in ("a", "b", "c")),
        row(32632, "ndvi", "d"),
        sized(32632, "ndvi", "e", "7, 8"),
        sized(32632, "userdata", "e", "NULL, NULL"),
    )
    assert sorted(manifest.pixel_sizes(manifest.source(path, "req-1"))) == [(7, 8, 1), (100, 90, 4)]


@pytest.mark.parametrize("size", ["NULL, NULL", "NULL, 5", "0, 5", "-1, 5", "'wide', 5", "1.5, 5"])
def test_a_feature_without_pixels_has_no_price(sqlite_file: MakeFile, size: str) -> None:
    path = sqlite_file(table(32631), row(32631, "ndvi", "a"), sized(32631, "ndvi", "b", size))
    with pytest.raises(ResultsError, match="a feature without width and height in pixels"):
        manifest.pixel_sizes(manifest.source(path, "req-1"))
