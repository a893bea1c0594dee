"""Jobs whose pages are looked at: done, failed; mapped and not; and tasks without a job."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_sentinelhub import aggregation, input_data, process_request, sentinelhub_batch, tiling_grid
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchOperator,
    SentinelHubCreateBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor

EVIL = '</script><script>alert("owned")</script><img src=x onerror=alert(1)>'
JOB = {
    "process_request": process_request(data="sentinel-2-l2a", time_range=("2026-05-01", "2026-06-01")),
    "evalscript": "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}} }\n"
    "function evaluatePixel(s) { return [s.B04] }",
    "destination": "s3://my-bucket/pages",
    "aws_conn_id": "sentinelhub_bucket",
    "description": EVIL,
    "retries": 0,
}
NDVI = """//VERSION=3
function setup() {
  return {input: [{bands: ["B04", "B08", "dataMask"]}],
    output: [{id: "ndvi", bands: 1, sampleType: "FLOAT32"}, {id: "dataMask", bands: 1}]};
}
function evaluatePixel(s) { return {ndvi: [(s.B08 - s.B04) / (s.B08 + s.B04)], dataMask: [s.dataMask]}; }
"""
WAITS = {"poll_interval": 2, "analysis_poll_interval": 1, "deferrable": True}
SMALL, OTHER, CORSICA = (8.6, 41.5, 8.9, 41.8), (9.0, 42.0, 9.3, 42.4), (8.5, 41.3, 9.6, 43.1)

with DAG("pages", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False):
    for api in ("v1", "v2"):
        # Ends well, since failed tiles are accepted.
        SentinelHubBatchOperator(
            task_id=f"{api}_done",
            batch_api=api,
            area=CORSICA,
            tiling_grid=tiling_grid(1, 10),
            max_processing_units=50_000,
            max_failed_tiles=1_000,
            **JOB,
            **WAITS,
        )
        SentinelHubBatchOperator(
            task_id=f"{api}_failed", batch_api=api, area=CORSICA, tiling_grid=tiling_grid(1, 10), **JOB, **WAITS
        )
        # Nobody looks at it before the service is away.
        SentinelHubBatchOperator(
            task_id=f"{api}_unseen", batch_api=api, area=SMALL, tiling_grid=tiling_grid(1, 10), **JOB, **WAITS
        )
    SentinelHubBatchOperator.partial(
        task_id="mapped", batch_api="v2", tiling_grid=tiling_grid(1, 10), max_failed_tiles=100, **JOB, **WAITS
    ).expand(area=[SMALL, OTHER])

    # A mapped group: each of its steps has an index.
    @task_group(group_id="areas")
    def areas(area: object) -> None:
        sentinelhub_batch(
            "job",
            batch_api="v2",
            area=area,
            tiling_grid=tiling_grid(1, 10),
            max_processing_units=50_000,
            max_failed_tiles=100,
            **JOB,
            **WAITS,
        )

    areas.expand(area=[SMALL, OTHER])
    for name, most in (("statistics", 100), ("statistics_failed", 0)):
        SentinelHubBatchStatisticalOperator(
            task_id=name,
            geopackage="s3://my-bucket/fields.gpkg",
            data=input_data("sentinel-2-l2a"),
            aggregation=aggregation(("2026-05-01", "2026-06-01"), "P10D", resolution=10),
            evalscript=NDVI,
            destination=f"s3://my-bucket/{name}",
            aws_conn_id="sentinelhub_bucket",
            max_failed_features=most,
            retries=0,
            **WAITS,
        )
    create = SentinelHubCreateBatchOperator(
        task_id="create", batch_api="v2", area=SMALL, tiling_grid=tiling_grid(1, 10), **JOB
    )
    analyse = SentinelHubAnalyseBatchOperator(
        task_id="analyse", batch_api="v2", request_id=create.output, poll_interval=2, deferrable=True
    )
    SentinelHubBatchSensor(
        task_id="analysed",
        batch_api="v2",
        request_id=analyse.output,
        target_status="ANALYSIS_DONE",
        poke_interval=2,
        deferrable=False,
    )

    @task
    def no_job() -> None:
        """Nothing of ours."""

    no_job()
