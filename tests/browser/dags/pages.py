"""Jobs whose pages are looked at: one that runs, one that ends in part, mapped ones, and a task without a job."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

EVIL = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>'
JOB = {
    "process_request": process_request(data="sentinel-2-l2a", time_range=("2026-05-01", "2026-06-01")),
    "evalscript": "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}} }\n"
    "function evaluatePixel(s) { return [s.B04] }",
    "destination": "s3://my-bucket/pages",
    "aws_conn_id": "sentinelhub_bucket",
    "poll_interval": 2,
    "analysis_poll_interval": 1,
    "retries": 0,
}
CORSICA = (8.5, 41.3, 9.6, 43.1)
BOXES = ((8.6, 41.5, 8.9, 41.8), (9.0, 42.0, 9.3, 42.4))

with DAG("pages", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False):
    for batch_api in ("v1", "v2"):
        for deferrable in (True, False):
            SentinelHubBatchOperator(
                task_id=f"{batch_api}_{'deferred' if deferrable else 'in_worker'}",
                batch_api=batch_api,
                area=CORSICA,
                tiling_grid=tiling_grid(1, 10),
                description=EVIL,
                max_processing_units=50_000,
                max_failed_tiles=1_000,
                deferrable=deferrable,
                **JOB,
            )
    SentinelHubBatchOperator.partial(
        task_id="mapped", batch_api="v2", tiling_grid=tiling_grid(1, 10), deferrable=True, **JOB
    ).expand(area=list(BOXES))

    @task
    def no_job() -> None:
        """Nothing of ours."""

    no_job()
