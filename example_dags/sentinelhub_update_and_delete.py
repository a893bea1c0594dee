"""Change the description of a request, and delete it before it is started (v1)."""

from __future__ import annotations

import pendulum
from airflow import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import (
    SentinelHubCreateBatchOperator,
    SentinelHubDeleteBatchOperator,
    SentinelHubUpdateBatchOperator,
)

with DAG(
    dag_id="sentinelhub_update_and_delete",
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
        destination="s3://my-bucket/never-started",
        description="A first thought",
    )
    update = SentinelHubUpdateBatchOperator(
        task_id="update", batch_api="v1", request_id=create.output, description="A second thought, {{ ds }}"
    )
    delete = SentinelHubDeleteBatchOperator(task_id="delete", batch_api="v1", request_id=create.output)
    update >> delete

if __name__ == "__main__":
    dag.test()
