"""One DAG makes maps each month; another one runs when there are new ones, and reads where they are."""

import pendulum
from airflow.sdk import DAG, Asset, AssetAlias, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

maps = Asset("s3://my-bucket/ndvi")
new_folder = AssetAlias("new-maps")  # gets an asset for the folder of each request

SCRIPT = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(sample) { return [sample.B04]; }
"""

with DAG(
    "monthly_maps",
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
) as monthly_maps:
    SentinelHubBatchOperator(
        task_id="job",
        process_request=process_request("sentinel-2-l2a", time_range="data_interval"),
        evalscript=SCRIPT,
        area=[8.6, 41.8, 8.9, 42.0],
        tiling_grid=tiling_grid(1, 10),
        destination="s3://my-bucket/ndvi",
        aws_conn_id="my_bucket",
        deferrable=True,
        outlets=[maps, new_folder],
    )

with DAG("read_maps", schedule=[maps], start_date=pendulum.datetime(2024, 1, 1, tz="UTC")) as read_maps:

    @task
    def read(triggering_asset_events):
        for events in triggering_asset_events.values():
            for event in events:
                print(event.extra["request_id"], event.extra["paths"])

    read()
