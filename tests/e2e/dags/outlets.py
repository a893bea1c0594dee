"""A job with an asset and an alias as outlets, and two DAGs that these start. On 2.11 assets are called datasets."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

try:
    from airflow.sdk import Asset, AssetAlias, task
except ImportError:  # 2.11
    from airflow.datasets import Dataset as Asset
    from airflow.datasets import DatasetAlias as AssetAlias
    from airflow.decorators import task

BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)
MAPS, FOLDERS = Asset("s3://maps/outlets"), AssetAlias("folders")

with DAG("outlets", schedule=None, start_date=BEGIN, is_paused_upon_creation=False):
    SentinelHubBatchOperator(
        task_id="job",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        evalscript="""//VERSION=3
        function setup() { return {input: ["B04"], output: {bands: 1}}; }
        function evaluatePixel(sample) { return [sample.B04]; }""",
        area=[8.9, 41.9, 9.0, 42.0],
        tiling_grid=tiling_grid(1, 10),
        destination="s3://maps/outlets",
        aws_conn_id="sentinelhub_bucket",
        poll_interval=2,
        deferrable=True,
        outlets=[MAPS, FOLDERS],
    )

for dag_id, outlet in {"started_by_asset": MAPS, "started_by_alias": FOLDERS}.items():
    with DAG(dag_id, schedule=[outlet], start_date=BEGIN, is_paused_upon_creation=False):

        @task
        def read(**context: Any) -> list[dict[str, Any]]:
            """What the events tell that have started this run."""
            kind = "asset" if "triggering_asset_events" in context else "dataset"
            events = context[f"triggering_{kind}_events"]
            return [dict(event.extra) for found in events.values() for event in found]

        read()
