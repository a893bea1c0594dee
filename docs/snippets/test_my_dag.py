"""A test of a DAG against the simulator, with the fixture that the package brings along."""

from airflow_sentinelhub import BatchSpecification, SentinelHubHook, process_request, tiling_grid

SCRIPT = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 1}}; }
function evaluatePixel(sample) { return [sample.B04]; }
"""


def test_my_job(sentinelhub_simulator, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", sentinelhub_simulator.airflow_connection_uri)
    sentinelhub_simulator.speed(600)

    job = BatchSpecification(
        process_request=process_request("sentinel-2-l2a", time_range=("2024-06-01", "2024-06-30")),
        area=[8.6, 41.8, 8.9, 42.0],
        evalscript=SCRIPT,
        tiling_grid=tiling_grid(1, 10),
        output="s3://my-bucket/red",
    )
    result = SentinelHubHook().run_job(job, name="red", batch_api="v1", poll_interval=1, analysis_poll_interval=1)

    assert result["status"] == "DONE"
    assert [call["effect"] for call in sentinelhub_simulator.journal()].count("billed_start") == 1
