"""The steps of a job one by one, with a person who agrees to the cost before anything is billed.

The approval is Airflow's own human-in-the-loop step (3.1 and later); elsewhere the job starts after the budget check.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG

from airflow_sentinelhub import last, process_request, sentinelhub_batch, tiling_grid

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"
APPROVE = os.environ.get("SENTINELHUB_EXAMPLE_APPROVE", "false") == "true"

with DAG(
    dag_id="sentinelhub_batch_group",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    sentinelhub_batch(
        "ndvi",
        process_request=process_request("sentinel-2-l2a", last(days=30), max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        area=[8.9, 41.9, 9.3, 42.2],
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/ndvi",
        aws_conn_id="sentinelhub_bucket",
        max_processing_units=5_000,
        max_restarts=1,
        max_failed_tiles=2,
        deferrable=DEFERRABLE,
        poll_interval=EVERY,
        analysis_poll_interval=EVERY / 6,
        approve=APPROVE,
    )

if __name__ == "__main__":
    dag.test()
