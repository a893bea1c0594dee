"""Batch v2 over the features of a GeoPackage: field parcels instead of the tiles of a grid.

The GeoPackage lies in a bucket of yours (`identifier` unique, `width` and `height` or `resolution`, polygons in an EPSG
CRS); it is checked before anything is sent, as far as it can be read from here. Each run takes the images of its month.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_sentinelhub import process_request
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))
DEFERRABLE = os.environ.get("SENTINELHUB_EXAMPLE_DEFERRABLE", "true") == "true"

with DAG(
    dag_id="sentinelhub_geopackage",
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:
    parcels = SentinelHubBatchOperator(
        task_id="parcels",
        batch_api="v2",
        process_request=process_request("sentinel-2-l2a", "data_interval", max_cloud_coverage=30),
        evalscript="max_ndvi.js",
        geopackage="s3://my-bucket/parcels.gpkg",
        destination="s3://my-bucket/parcels/<tileName>/<outputId>.<format>",
        aws_conn_id="sentinelhub_bucket",
        max_processing_units=5_000,
        max_restarts=1,
        deferrable=DEFERRABLE,
        poll_interval=EVERY,
        analysis_poll_interval=EVERY / 6,
    )

    tiles = SentinelHubListBatchTilesOperator(
        task_id="tiles",
        batch_api="v2",
        request_id=parcels.output["request_id"],
        with_paths=True,
        chunk_size=50,
        aws_conn_id="sentinelhub_bucket",
    )

    @dag.task
    def publish(tiles: list[dict[str, Any]]) -> list[str]:
        """Do something with the files of one chunk of parcels."""
        return [path for tile in tiles for path in tile["paths"].values()]

    publish.expand(tiles=tiles.output)

if __name__ == "__main__":
    dag.test()
