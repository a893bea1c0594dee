"""What will it cost? The analysis estimates the job, a person agrees to the price, the job starts, the bill is read.

The approval is Airflow's own human-in-the-loop step (3.1 and later), switched on by SENTINELHUB_EXAMPLE_APPROVE=true;
else the job starts if its own budget and that of the month allow it. On v2 the connection `sentinelhub_bucket` (type
aws) has to read the bucket, where the service lists the tiles; see docs/cost.md.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG

from airflow_sentinelhub import last, process_request, tiling_grid
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchBudgetOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubStartBatchOperator,
)

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"
APPROVE = os.environ.get("SENTINELHUB_EXAMPLE_APPROVE", "false") == "true"

PRICE = (
    "{% set price = ti.xcom_pull(task_ids='analyse') %}{{ price['tile_count'] }} tiles, "
    "{% if price['estimated_by'] %}{{ price['expected_pu_low'] | round | int }} to "
    "{{ price['expected_pu_high'] | round | int }} processing units, "
    "{{ \"a third of the service's estimate\" if price['estimated_by'] == 'service' else 'estimated by us' }}"
    "{% else %}cost not estimated{% endif %}."
)

with DAG(
    dag_id="sentinelhub_what_will_it_cost",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    create = SentinelHubCreateBatchOperator(
        task_id="create",
        process_request=process_request("sentinel-2-l2a", last(days=30), max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        area=[8.9, 41.9, 9.3, 42.2],
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/ndvi",
        aws_conn_id="sentinelhub_bucket",
    )
    # Free of charge: how many tiles, and how many processing units?
    analyse = SentinelHubAnalyseBatchOperator(
        task_id="analyse",
        request_id=create.output,
        aws_conn_id="sentinelhub_bucket",
        poll_interval=EVERY / 6,
        deferrable=DEFERRABLE,
    )
    # Refuses the job if even the low value of the estimate is too much, or if there is no estimate.
    budget = SentinelHubBatchBudgetOperator(
        task_id="budget",
        request_id=create.output,
        max_processing_units=5_000,
        require_estimate=True,
        aws_conn_id="sentinelhub_bucket",
    )
    # Bills, unless the jobs of this DAG would cost more than this in the calendar month.
    start = SentinelHubStartBatchOperator(
        task_id="start",
        request_id=create.output,
        max_processing_units_per_month=20_000,
        aws_conn_id="sentinelhub_bucket",
        wait_for_completion=True,
        poll_interval=EVERY,
        deferrable=DEFERRABLE,
    )

    @dag.task
    def bill(dag_id: str) -> dict[str, float]:
        """What this DAG has cost this month, by task."""
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        costs = SentinelHubHook().costs(dag_id, task_ids=["create"])
        print(f"{costs.total:,.0f} processing units this month, {costs.running} jobs are running")
        return costs.by_task()

    create >> analyse >> budget
    if APPROVE:
        from airflow.providers.standard.operators.hitl import ApprovalOperator

        budget >> ApprovalOperator(task_id="approve", subject="Start the job?", body=PRICE) >> start
    else:
        budget >> start
    start >> bill("{{ dag.dag_id }}")

if __name__ == "__main__":
    dag.test()
