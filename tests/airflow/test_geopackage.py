"""A GeoPackage in the place of a tiling grid, from the operator to the paths of the files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub import BatchSpecification, StatisticalSpecification, aggregation, process_request
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import InvalidInputError, ResultsError
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage

pytestmark = pytest.mark.parametrize("generation", ["v2"])
COLUMNS = (("id", "INTEGER"), ("identifier", "TEXT"), ("geometry", "POLYGON"), ("resolution", "REAL"))


def parcels(bench: Any, *names: str) -> str:
    """A GeoPackage with these parcels in the bucket; its address."""
    rows = []
    for number, name in enumerate(names):
        west = 500_000 + 2000 * number
        shape = shapely.box(west, 4_649_000, west + 1000, 4_649_500)
        rows.append([number, name, geometry(shapely.to_wkb(shape, byte_order=1), 32632, shape.bounds), 10.0])
    table = Layer(name="parcels", crs=32632, columns=COLUMNS, rows=rows, bounds=(0, 0, 1, 1), geometry_type="POLYGON")
    file = Path(bench.sim.bucket_dir) / "maps" / "parcels.gpkg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(geopackage([table]))
    return "s3://maps/parcels.gpkg"


def job(bench: Any, url: str, **more: Any) -> Any:
    return lambda: SentinelHubBatchOperator(
        task_id="job",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        evalscript=bench.ndvi,
        geopackage=url,
        destination="s3://maps/parcels/<tileName>/<outputId>.<format>",
        aws_conn_id="my_bucket",
        **more,
    )


def test_parcels_are_processed_and_listed_with_their_files(bench: Any, generation: str) -> None:
    result = bench.run(job(bench, parcels(bench, "north", "south", "west")))
    assert (result["status"], result["tile_count"], result["processed"]) == ("DONE", 3, 3)

    listed = bench.run(
        lambda: SentinelHubListBatchTilesOperator(
            task_id="tiles", request_id=result["request_id"], with_paths=True, aws_conn_id="my_bucket"
        )
    )
    tiles = [tile for chunk in listed for tile in chunk]
    assert [tile["name"] for tile in tiles] == ["north", "south", "west"]
    assert tiles[0]["paths"] == {"default": "s3://maps/parcels/north/default.tif"}


@pytest.mark.parametrize(
    ("names", "said"),
    [(("same", "same"), "'same' is there twice"), ((), "no features"), (None, "There is no GeoPackage")],
)
def test_a_file_that_breaks_the_rules_is_refused_before_anything_is_created(
    bench: Any, generation: str, names: Any, said: str
) -> None:
    url = parcels(bench, *names) if names is not None else "s3://maps/nothing.gpkg"
    with pytest.raises(AirflowFailException, match=said):
        bench.run(job(bench, url))
    assert "created" not in bench.effects()


POINT = shapely.Point(500_000, 4_649_000)


def put(bench: Any, content: bytes) -> str:
    """A file of this content in the place of the GeoPackage; its address."""
    url = parcels(bench, "a")
    (Path(bench.sim.bucket_dir) / "maps" / "parcels.gpkg").write_bytes(content)
    return url


def points() -> bytes:
    row = [1, "a", geometry(shapely.to_wkb(POINT, byte_order=1), 32632, POINT.bounds), 10.0]
    return geopackage([Layer("parcels", 32632, COLUMNS, [row], (0, 0, 1, 1), geometry_type="GEOMETRY")])


BAD = [(b"PK\x03\x04 a zip" * 99, "it is not an SQLite file"), (points(), "a POINT .table 'parcels', fid 1 ")]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_the_message_names_the_file_and_says_that_nothing_was_created(
    bench: Any, generation: str, content: bytes, said: str
) -> None:
    url = put(bench, content)
    with pytest.raises(AirflowFailException, match=rf"GeoPackage {url}: .*{said}.*\. Nothing was created\."):
        bench.run(job(bench, url))
    assert bench.effects() == []


@pytest.mark.parametrize(("content", "said"), BAD)
@pytest.mark.parametrize("statistical", [False, True])
def test_run_job_looks_at_it_too(bench: Any, generation: str, statistical: bool, content: bytes, said: str) -> None:
    url = put(bench, content)
    specification: Any = (
        StatisticalSpecification(
            geopackage=url,
            data=[{"type": "sentinel-2-l2a"}],
            aggregation=aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10),
            output="s3://maps/statistics",
            evalscript=bench.ndvi,
        )
        if statistical
        else BatchSpecification(
            process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
            evalscript=bench.ndvi,
            geopackage=url,
            output="s3://maps/parcels",
        )
    )
    with pytest.raises(InvalidInputError, match=rf"GeoPackage {url}: .*{said}.*\. Nothing was created\."):
        bench.hook.run_job(specification, name="parcels", aws_conn_id="my_bucket")
    assert bench.effects() == []


def test_a_file_that_cannot_be_read_here_is_left_to_the_service(
    bench: Any, generation: str, logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be readable for the service alone."""

    def denied(reader: Any, url: str, folder: Path) -> None:
        raise ResultsError(f"{url} cannot be read: denied.")

    url = parcels(bench, "a")
    monkeypatch.setattr("airflow_sentinelhub.results.bucket.BucketReader.fetch", denied)
    assert bench.run(job(bench, url, check_tiles=False))["status"] == "DONE"
    assert "checked by the service only: s3://maps/parcels.gpkg cannot be read: denied." in logged()


def test_a_file_that_a_program_has_open_is_told_in_the_log(bench: Any, generation: str, logged: Any) -> None:
    url = parcels(bench, "a")
    with closing(sqlite3.connect(Path(bench.sim.bucket_dir) / "maps" / "parcels.gpkg")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    bench.made(lambda: job(bench, url)())
    assert f"GeoPackage {url} was copied from a program that had it open" in logged()


def test_v1_has_none(bench: Any, generation: str) -> None:
    with pytest.raises(AirflowFailException, match="v1 has no GeoPackage"):
        bench.run(job(bench, "s3://maps/parcels.gpkg", batch_api="v1"))
    assert "created" not in bench.effects()
