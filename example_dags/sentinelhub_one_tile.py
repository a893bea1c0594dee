"""Wait for one tile only, and stop the rest of the job when it is there.

Tiles that are finished or at work when a job is cancelled are billed; the rest is not.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import (
    SentinelHubCancelBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchTileSensor

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"

with DAG(
    dag_id="sentinelhub_one_tile",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    create = SentinelHubCreateBatchOperator(
        task_id="create",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        area=[8.9, 41.9, 9.3, 42.2],
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/one-tile/<tileName>/<outputId>.<format>",
        aws_conn_id="sentinelhub_bucket",
    )
    start = SentinelHubStartBatchOperator(task_id="start", request_id=create.output)
    tile = SentinelHubBatchTileSensor(
        task_id="tile",
        request_id=create.output,
        tile="32TNM_1_2",
        poke_interval=EVERY,
        deferrable=DEFERRABLE,
        aws_conn_id="sentinelhub_bucket",
    )
    cancel = SentinelHubCancelBatchOperator(task_id="cancel", request_id=create.output)

    @dag.task
    def use() -> str:
        """Do something with the one file."""
        return "s3://my-bucket/one-tile/32TNM_1_2/default.tif"

    start >> tile
    tile >> [cancel, use()]

if __name__ == "__main__":
    dag.test()
