"""A job with an asset and an alias as outlets, and two DAGs that these start; and jobs that are mapped, with an asset.

On 2.11 assets are called datasets.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
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
MAPS, FOLDERS, PARTS = Asset("s3://maps/outlets"), AssetAlias("folders"), Asset("s3://maps/parts")
BATCH_API = "v2"
JOB: dict[str, Any] = {
    "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
    "evalscript": """//VERSION=3
        function setup() { return {input: ["B04"], output: {bands: 1}}; }
        function evaluatePixel(sample) { return [sample.B04]; }""",
    "tiling_grid": tiling_grid(1, 10),
    "aws_conn_id": "sentinelhub_bucket",
    "poll_interval": 2,
    "deferrable": True,
}
AREA = [8.9, 41.9, 9.0, 42.0]


def stumble(context: Any, result: Any = None) -> None:
    """The first try of the first part fails when its job is done and paid."""
    ti = context["ti"]
    if (ti.map_index, ti.try_number) == (0, 1):
        raise RuntimeError("stumbled behind a job that is done")


with DAG("outlets", schedule=None, start_date=BEGIN, is_paused_upon_creation=False):
    SentinelHubBatchOperator(task_id="job", area=AREA, destination="s3://maps/outlets", outlets=[MAPS, FOLDERS], **JOB)

with DAG("mapped_outlets", schedule=None, start_date=BEGIN, is_paused_upon_creation=False):
    SentinelHubBatchOperator.partial(
        task_id="parts",
        batch_api=BATCH_API,
        destination="s3://maps/parts",
        outlets=[PARTS],
        retries=1,
        retry_delay=timedelta(seconds=1),
        post_execute=stumble,
        **JOB,
    ).expand(area=[AREA, [9.0, 42.0, 9.1, 42.1]])

with DAG("started_by_parts", schedule=[PARTS], start_date=BEGIN):  # Airflow 3.0 takes no outlet that starts no DAG

    @task
    def nothing() -> None:
        """It stays paused."""

    nothing()

for dag_id, outlet in {"started_by_asset": MAPS, "started_by_alias": FOLDERS}.items():
    with DAG(dag_id, schedule=[outlet], start_date=BEGIN, is_paused_upon_creation=False):

        @task
        def read(**context: Any) -> list[dict[str, Any]]:
            """What the events tell that have started this run."""
            kind = "asset" if "triggering_asset_events" in context else "dataset"
            events = context[f"triggering_{kind}_events"]
            return [dict(event.extra) for found in events.values() for event in found]

        read()
