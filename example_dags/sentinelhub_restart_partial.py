"""Restart the failed part of a PARTIAL job (v1), step by step.

`SentinelHubBatchOperator(max_restarts=1)` does the same in one task, on v2 too.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import (
    SentinelHubCreateBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"

with DAG(
    dag_id="sentinelhub_restart_partial",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    create = SentinelHubCreateBatchOperator(
        task_id="create",
        batch_api="v1",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        area=[8.9, 41.9, 9.3, 42.2],
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/restarted",
    )
    start = SentinelHubStartBatchOperator(task_id="start", batch_api="v1", request_id=create.output)

    # Skipped when the job is DONE at the first go; then there is nothing to restart either.
    partial = SentinelHubBatchSensor(
        task_id="partial",
        batch_api="v1",
        request_id=create.output,
        target_status="PARTIAL",
        soft_fail=True,
        poke_interval=EVERY,
        deferrable=DEFERRABLE,
    )
    restart = SentinelHubRestartBatchOperator(
        task_id="restart",
        batch_api="v1",
        request_id=create.output,
        wait_for_completion=True,
        poll_interval=EVERY,
        deferrable=DEFERRABLE,
    )
    tiles = SentinelHubListBatchTilesOperator(
        task_id="tiles", batch_api="v1", request_id=create.output, trigger_rule="none_failed", chunk_size=50
    )
    start >> partial >> restart >> tiles

if __name__ == "__main__":
    dag.test()
