"""NDVI statistics over field parcels: one batch statistical job over a GeoPackage, then a table in mapped tasks.

The GeoPackage lies in the bucket at `fields.gpkg`: polygons with the columns `id` and `identifier`, in one CRS. The
connection `sentinelhub_bucket` (type aws) holds keys that may read it and write the results. Each run takes its week.
"""

from __future__ import annotations

import os

import pendulum
from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_sentinelhub import aggregation, input_data
from airflow_sentinelhub.operators.statistical import (
    SentinelHubBatchStatisticalOperator,
    SentinelHubListStatisticsOperator,
)

BUCKET = os.environ.get("SENTINELHUB_EXAMPLE_BUCKET", "my-bucket")
# Seconds between looks. A real job runs for minutes to hours; against the simulator a few are enough.
EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
# Where to wait: in the triggerer (no worker slot), or in the worker.
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"

with DAG(
    dag_id="sentinelhub_statistics_fields",
    schedule=CronDataIntervalTimetable("0 0 * * 1", timezone="UTC"),
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    statistics = SentinelHubBatchStatisticalOperator(
        task_id="statistics",
        geopackage=f"s3://{BUCKET}/fields.gpkg",
        data=input_data("sentinel-2-l2a", max_cloud_coverage=60),
        aggregation=aggregation("data_interval", "P7D", resolution=10),
        calculations={"ndvi": {"statistics": {"default": {"percentiles": {"k": [0.1, 0.5, 0.9]}}}}},
        evalscript="mean_ndvi.js",
        destination=f"s3://{BUCKET}/ndvi-of-fields",
        aws_conn_id="sentinelhub_bucket",
        description="NDVI of fields",
        max_processing_units=500,
        min_success_ratio=0.9,
        deferrable=DEFERRABLE,
        poll_interval=EVERY,
        analysis_poll_interval=EVERY / 6,
    )

    fields = SentinelHubListStatisticsOperator(
        task_id="fields",
        request_id=statistics.output["request_id"],
        status="OK",
        chunk_size=50,
        aws_conn_id="sentinelhub_bucket",
    )

    @dag.task
    def greenest(fields: list[dict[str, str]]) -> dict[str, float]:
        """The highest mean NDVI of each field of one chunk."""
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        hook = SentinelHubHook()
        results = hook.statistical_results(fields[0]["request_id"], aws_conn_id="sentinelhub_bucket")
        found = {}
        for feature in results.read(field["path"] for field in fields):
            means = [row["mean"] for row in feature.rows() if row["output"] == "ndvi" and row["mean"] == row["mean"]]
            if means:  # else there was never a clear sky over it
                found[feature.identifier] = round(max(means), 3)
        print(found)
        return found

    greenest.expand(fields=fields.output)

if __name__ == "__main__":
    dag.test()
