"""A small job, whose run and DAG are deleted while somebody looks, and one that runs while they look."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

for name, area in (("short", (8.6, 41.5, 8.9, 41.8)), ("long", (8.5, 41.3, 9.6, 43.1))):
    with DAG(name, schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False):
        SentinelHubBatchOperator(
            task_id="job",
            batch_api="v2",
            area=area,
            tiling_grid=tiling_grid(1, 10),
            process_request=process_request(data="sentinel-2-l2a", time_range=("2026-05-01", "2026-06-01")),
            evalscript="//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}} }\n"
            "function evaluatePixel(s) { return [s.B04] }",
            destination=f"s3://my-bucket/{name}",
            aws_conn_id="sentinelhub_bucket",
            max_failed_tiles=100,
            retries=0,
            poll_interval=2,
            analysis_poll_interval=1,
            deferrable=True,
        )
