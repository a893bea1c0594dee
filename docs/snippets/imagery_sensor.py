"""Make the map of a week once there is an image of it with few clouds."""

import pendulum
from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
from airflow_sentinelhub.sensors.imagery import SentinelHubNewImagerySensor

AJACCIO = [8.6, 41.8, 8.9, 42.0]
RED = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(sample) { return [sample.B04]; }
"""

with DAG(
    "weekly_map",
    schedule=CronDataIntervalTimetable("0 0 * * 1", timezone="UTC"),
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
) as dag:
    seen = SentinelHubNewImagerySensor(
        task_id="seen",
        collection="sentinel-2-l2a",
        area=AJACCIO,
        max_cloud_coverage=20,
        deferrable=True,
        timeout="P4D",  # images are published up to days after they were taken
        soft_fail=True,  # a week without one has no map
    )
    job = SentinelHubBatchOperator(
        task_id="job",
        process_request=process_request("sentinel-2-l2a", time_range="data_interval"),
        evalscript=RED,
        area=AJACCIO,
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/weekly",
        aws_conn_id="my_bucket",
        deferrable=True,
    )
    seen >> job
