"""A GeoPackage in the place of a tiling grid, from the operator to the paths of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub import process_request
from airflow_sentinelhub._compat import AirflowFailException
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


def test_v1_has_none(bench: Any, generation: str) -> None:
    with pytest.raises(AirflowFailException, match="v1 has no GeoPackage"):
        bench.run(job(bench, "s3://maps/parcels.gpkg", batch_api="v1"))
    assert "created" not in bench.effects()
