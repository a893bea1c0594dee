"""The same DAG on both generations: the same tiles, the same outcome, the same return values."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import output, process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator

WAYS_TO_SAY_IT = {
    "a place": {"destination": "s3://maps/ndvi"},
    "a bucket": {"bucket_name": "maps"},
    "v1's words": {"destination": output(default_tile_path="s3://maps/<tileName>/<outputId>.<format>", overwrite=True)},
    "v2's words": {"destination": {"type": "raster", "delivery": {"s3": {"url": "s3://maps/ndvi"}}, "overwrite": True}},
}
NUMBERS = ("status", "tile_count", "processed", "failed", "failed_tiles", "restarts", "output_url", "checked")


def one_dag(bench: Any, where: dict[str, Any], **limits: Any) -> tuple[Any, Any]:
    """The whole job, then its tiles; what both tasks return."""
    result = bench.run(
        lambda: SentinelHubBatchOperator(
            task_id="job",
            process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
            evalscript=bench.ndvi,
            area=bench.area,
            tiling_grid=tiling_grid(1, 10),
            aws_conn_id="my_bucket",
            **where,
            **limits,
        )
    )
    tiles = bench.run(
        lambda: SentinelHubListBatchTilesOperator(
            task_id="tiles", request_id=result["request_id"], status=None, with_paths=True, aws_conn_id="my_bucket"
        )
    )
    return result, sorted((tile for chunk in tiles for tile in chunk), key=lambda tile: tile["name"])


def on_both(bench: Any, where: dict[str, Any], **limits: Any) -> list[tuple[Any, Any]]:
    runs = []
    for generation in ("v1", "v2"):
        bench.connect(batch_api=generation)
        runs.append(one_dag(bench, where, **limits))
    return runs


def without_id(tiles: list[dict[str, Any]], request_id: str) -> list[Any]:
    return [{**tile, "paths": [path.replace(request_id, "ID") for path in tile["paths"].values()]} for tile in tiles]


@pytest.mark.parametrize("generation", ["v1"])
@pytest.mark.parametrize("where", WAYS_TO_SAY_IT.values(), ids=WAYS_TO_SAY_IT)
def test_both_return_the_same(bench: Any, generation: str, where: dict[str, Any]) -> None:
    (first, tiles), (second, same_tiles) = on_both(bench, where)
    assert {name: first[name] for name in NUMBERS} == {name: second[name] for name in NUMBERS}
    assert first["processed"] == first["tile_count"] > 10
    assert without_id(tiles, first["request_id"]) == without_id(same_tiles, second["request_id"])


@pytest.mark.parametrize("generation", ["v1"])
def test_failed_tiles_are_the_same_failure(bench: Any, generation: str) -> None:
    def lost(tiles: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(tile["name"], tile["status"]) for tile in tiles]

    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2", "32TNM_1_3"], times=2)
    (first, tiles), (second, same_tiles) = on_both(bench, WAYS_TO_SAY_IT["a place"], max_failed_tiles=2)
    assert (first["status"], second["status"]) == ("PARTIAL", "DONE")  # the service's own words differ
    assert first["failed_tiles"] == second["failed_tiles"] == ["32TNM_1_2", "32TNM_1_3"]
    assert (first["processed"], first["tile_count"]) == (second["processed"], second["tile_count"])
    assert lost(tiles) == lost(same_tiles)
