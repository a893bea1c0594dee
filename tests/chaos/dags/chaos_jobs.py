"""One whole job a DAG, in every variant that the tests kill: generation, mode, and what is asked of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

KEEP = {"cancel_on_kill": False, "cancel_on_timeout": False}
# No retry: what is looked at is the end of the one try.
VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "keep": KEEP,
    "timeout": {"timeout": timedelta(seconds=90), "retries": 0},
    "timeout_keep": {"timeout": timedelta(seconds=90), "retries": 0, **KEEP},
    "execution": {"execution_timeout": timedelta(seconds=90), "retries": 0},
    "execution_keep": {"execution_timeout": timedelta(seconds=90), "retries": 0, **KEEP},
}


def job(batch_api: str, deferrable: bool, evalscript: str = "plain.js", **more: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"retries": 4, "retry_delay": timedelta(seconds=1)}
    return {
        **defaults,
        "task_id": "job",
        "process_request": process_request(data="sentinel-2-l2a", time_range=("2024-06-01", "2024-06-30")),
        "evalscript": evalscript,
        "area": [8.60, 42.00, 8.75, 42.10],
        "tiling_grid": tiling_grid(1, 20),
        "destination": f"s3://chaos/{{{{ run_id }}}}/{batch_api}",
        "aws_conn_id": "sentinelhub_bucket",
        # The tests find a run's requests by its name.
        "description": "{{ run_id }}",
        "batch_api": batch_api,
        "deferrable": deferrable,
        "poll_interval": 1.5,
        "analysis_poll_interval": 1.5,
        **more,
    }


def dag(name: str) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)


for batch_api in ("v1", "v2"):
    for deferrable in (False, True):
        name = f"chaos_{batch_api}_{'deferrable' if deferrable else 'plain'}"
        for variant, given in VARIANTS.items():
            with dag(f"{name}_{variant}".rstrip("_")) as made:
                SentinelHubBatchOperator(**job(batch_api, deferrable, **given))
            globals()[made.dag_id] = made
        with dag(f"{name}_edited") as made:
            # The test edits this file while the job runs.
            SentinelHubBatchOperator(**job(batch_api, deferrable, evalscript=f"edited_{name}.js"))
        globals()[made.dag_id] = made
        with dag(f"{name}_mapped") as made:
            arguments = job(batch_api, deferrable)
            arguments.pop("area")
            areas = [[8.60, 42.00, 8.65, 42.05], [8.70, 42.00, 8.75, 42.05], [8.60, 42.10, 8.65, 42.15]]
            SentinelHubBatchOperator.partial(**arguments).expand(area=areas)
        globals()[made.dag_id] = made
