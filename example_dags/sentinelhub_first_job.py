"""Maximum NDVI of the last month around Ajaccio: one job, and a task for each chunk of its tiles."""

import pendulum
from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator

MAX_NDVI = """//VERSION=3
function setup() {
  return {input: ["B04", "B08", "dataMask"], output: {bands: 1, sampleType: "FLOAT32"}, mosaicking: "ORBIT"};
}
function evaluatePixel(samples) {
  const seen = samples.filter((sample) => sample.dataMask);
  return [Math.max(-1, ...seen.map((sample) => (sample.B08 - sample.B04) / (sample.B08 + sample.B04)))];
}
"""

with DAG(
    "sentinelhub_first_job",
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),  # each run has the month before it
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2},  # a retry goes on with its job: nothing is paid twice
) as dag:
    ndvi = SentinelHubBatchOperator(
        task_id="ndvi",
        process_request=process_request("sentinel-2-l2a", time_range="data_interval"),
        evalscript=MAX_NDVI,  # or the name of a file beside the DAG
        area=[8.6, 41.8, 8.9, 42.0],  # or a file, GeoJSON, WKT, a GeoDataFrame
        tiling_grid=tiling_grid(1, 10),  # grid id, resolution in metres
        destination="s3://my-bucket/ndvi",
        aws_conn_id="my_bucket",  # keys never stand in a DAG
        max_processing_units=500,
        deferrable=True,
        poll_interval=5,  # for a first try; a real job takes hours: leave it out, and it is 60
    )
    tiles = SentinelHubListBatchTilesOperator(
        task_id="tiles",
        request_id=ndvi.output["request_id"],
        aws_conn_id="my_bucket",
        chunk_size=50,  # 120 tiles are 3 mapped tasks, not 120
    )

    @dag.task
    def publish(tiles: list[dict[str, str]]) -> int:
        print("Tiles:", ", ".join(tile["name"] for tile in tiles))
        return len(tiles)

    publish.expand(tiles=tiles.output)
