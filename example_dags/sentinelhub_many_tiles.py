"""A job with many tiles: its list travels through XCom as references, which the mapped tasks open.

A list of 100,000 tiles with paths is 15 MB, which Airflow's database would store and each of the mapped tasks would
read. A reference has some 500 bytes, however many tiles it stands for.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"

with DAG(
    dag_id="sentinelhub_many_tiles",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    ndvi = SentinelHubBatchOperator(
        task_id="ndvi",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        area="corsica.geojson",
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/many",
        aws_conn_id="sentinelhub_bucket",
        deferrable=DEFERRABLE,
        poll_interval=EVERY,
        analysis_poll_interval=EVERY / 6,
    )
    tiles = SentinelHubListBatchTilesOperator(
        task_id="tiles",
        request_id=ndvi.output["request_id"],
        with_paths=True,
        as_references=True,
        chunk_size=50,  # leave it out, and there are as many whole pages to a chunk as Airflow's limit asks for
        aws_conn_id="sentinelhub_bucket",
    )

    @dag.task(max_active_tis_per_dag=8)  # each of them reads a part of the list, or on v2 two files of the bucket
    def publish(tiles: dict[str, Any]) -> int:
        """Do something with the files of one chunk."""
        from airflow_sentinelhub.hooks.tiles import open_tiles

        files = [path for tile in open_tiles(tiles) for path in tile["paths"].values()]
        print("publishing", *files, sep="\n")
        return len(files)

    publish.expand(tiles=tiles.output)

if __name__ == "__main__":
    dag.test()
