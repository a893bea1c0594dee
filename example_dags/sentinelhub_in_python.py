"""The hook in a plain Python task (v1): for code that was written for the vendor's own client.

The task holds a worker while it waits, and a retry after a crash would pay a second time: operators know better.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG

from airflow_sentinelhub import process_request, tiling_grid

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))

with DAG(
    dag_id="sentinelhub_in_python",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:

    @dag.task(retries=0)
    def job() -> dict[str, int]:
        """Create, analyse, start and watch a job; how many tiles ended in which status."""
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        batch = SentinelHubHook().batch
        payload = process_request(
            "sentinel-2-l2a",
            ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59Z"),
            area=[8.9, 41.9, 9.3, 42.2],
            evalscript=(
                "//VERSION=3\n"
                "function setup() { return {input: ['B04', 'B08'], output: {bands: 1, sampleType: 'FLOAT32'}}; }\n"
                "function evaluatePixel(sample) { return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)]; }\n"
            ),
        )
        request = batch.create(payload, tiling_grid=tiling_grid(1, 10), bucket_name="my-bucket", description="by hand")
        batch.start_analysis(request)
        request = batch.monitor_batch_analysis(request, sleep_time=EVERY / 6)
        estimate = request.value_estimate  # three times what the job will cost
        cost = "of unknown cost" if estimate is None else f"about {estimate / 3:,.0f} processing units"
        print(f"{request.tile_count} tiles, {cost}")
        batch.start_job(request)
        tiles = batch.monitor_batch_job(request, sleep_time=EVERY, analysis_sleep_time=EVERY / 6)
        return {str(status): len(found) for status, found in tiles.items()}

    job()

if __name__ == "__main__":
    dag.test()
