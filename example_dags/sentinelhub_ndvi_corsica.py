"""Maximum NDVI over Corsica: create, analyse, look at the cost, start, wait for tiles, publish them in mapped tasks.

The same DAG runs on both generations of the service: `batch_api` of the connection decides. On v2, which writes with
your own keys, the connection `sentinelhub_bucket` (type aws) holds them; v1 works by bucket policy and ignores it.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG

from airflow_sentinelhub import last, process_request, tiling_grid
from airflow_sentinelhub.operators.batch import (
    AnalysisResult,
    SentinelHubAnalyseBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor

# Seconds between looks. A real job runs for hours and wants 60 or more; against the simulator a few are enough.
EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
# Where to wait: in the triggerer (no worker slot), or in the worker.
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"

with DAG(
    dag_id="sentinelhub_ndvi_corsica",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    create = SentinelHubCreateBatchOperator(
        task_id="create",
        process_request=process_request(data="sentinel-2-l2a", time_range=last(days=30), max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        area="corsica.geojson",
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/ndvi",
        aws_conn_id="sentinelhub_bucket",
        description="Maximum NDVI, Corsica",
    )

    analyse = SentinelHubAnalyseBatchOperator(
        task_id="analyse",
        request_id=create.output,
        aws_conn_id="sentinelhub_bucket",
        poll_interval=EVERY / 6,
        deferrable=DEFERRABLE,
    )

    @dag.task
    def cost(analysis: AnalysisResult) -> float | None:
        """Look at the expected cost before anything is billed."""
        if analysis["expected_pu"] is None:
            print("The cost could not be estimated; the log of `analyse` says why.")
            return None
        print(f"{analysis['tile_count']} tiles, about {analysis['expected_pu']:,.0f} processing units")
        if analysis["expected_pu"] > 5_000:
            raise ValueError("More than 5,000 PU: nothing was started.")
        return analysis["expected_pu"]

    start = SentinelHubStartBatchOperator(task_id="start", request_id=create.output)

    half = SentinelHubBatchTileSensor(
        task_id="half_of_the_tiles",
        request_id=create.output,
        share=0.5,
        deferrable=DEFERRABLE,
        poke_interval=EVERY,
        timeout=24 * 3600,
        aws_conn_id="sentinelhub_bucket",
    )

    done = SentinelHubBatchSensor(
        task_id="done", request_id=create.output, deferrable=DEFERRABLE, poke_interval=EVERY, timeout=24 * 3600
    )

    tiles = SentinelHubListBatchTilesOperator(
        task_id="tiles",
        request_id=create.output,
        status="PROCESSED",
        chunk_size=50,
        aws_conn_id="sentinelhub_bucket",
    )

    @dag.task
    def publish(tiles: list[dict[str, str]]) -> int:
        """Do something with the tiles of one chunk."""
        print("publishing", ", ".join(tile["name"] for tile in tiles))
        return len(tiles)

    analyse >> cost(analyse.output) >> start >> half >> done >> tiles
    publish.expand(tiles=tiles.output)

if __name__ == "__main__":
    dag.test()
