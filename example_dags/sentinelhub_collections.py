"""Batch collections (v1): create one, rename it, delete it."""

from __future__ import annotations

import pendulum
from airflow import DAG

from airflow_sentinelhub.operators.batch import (
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubDeleteBatchCollectionOperator,
    SentinelHubUpdateBatchCollectionOperator,
)

with DAG(
    dag_id="sentinelhub_collections",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    create = SentinelHubCreateBatchCollectionOperator(
        task_id="create",
        collection={"name": "ndvi-{{ ds_nodash }}", "s3Bucket": "my-bucket", "batchData": {"tilingGridId": 1}},
    )
    update = SentinelHubUpdateBatchCollectionOperator(
        task_id="update", collection_id=create.output, name="ndvi-{{ ds_nodash }}-final"
    )
    delete = SentinelHubDeleteBatchCollectionOperator(task_id="delete", collection_id=create.output)
    update >> delete

if __name__ == "__main__":
    dag.test()
