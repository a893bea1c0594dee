"""Run by the environment of sentinelhub 3.12: the whole life of batch statistical requests."""

from __future__ import annotations

import warnings

from sentinelhub import (
    DataCollection,
    Geometry,
    SentinelHubBatchStatistical,
    SentinelHubStatistical,
    monitor_batch_statistical_analysis,
    monitor_batch_statistical_job,
)
from sentinelhub.geometry import CRS

from tests.witness.vendor import Simulator, begin, end, refusal

FIELD = "POLYGON ((500000 4600000, 500200 4600000, 500200 4600200, 500000 4600200, 500000 4600000))"


def a_request(simulator: Simulator, evalscript: str) -> SentinelHubStatistical:
    """A request of the Statistical API as users of the vendor's client write it."""
    return SentinelHubStatistical(
        aggregation=SentinelHubStatistical.aggregation(
            evalscript=evalscript,
            time_interval=("2024-06-01", "2024-06-30"),
            aggregation_interval="P10D",
            resolution=(10, 10),
        ),
        input_data=[SentinelHubStatistical.input_data(DataCollection.SENTINEL2_L2A, maxcc=0.3)],
        geometry=Geometry(FIELD, CRS("32632")),
        calculations={"default": {"statistics": {"default": {"percentiles": {"k": [0.1, 0.9]}}}}},
        config=simulator.config,
    )


def whole_job(client: SentinelHubBatchStatistical, simulator: Simulator, script: str, slept: list) -> dict:
    """Create, analysis, start, DONE, with the vendor's monitors."""
    said: dict = {}
    place = client.s3_specification("s3://farm/statistics", access_key="AKIA", secret_access_key="hush")
    fields = client.s3_specification("s3://farm/fields.gpkg", access_key="AKIA", secret_access_key="hush")
    request = client.create_from_request(a_request(simulator, script), fields, place)
    said["id"] = request.request_id
    said["created"] = [request.status.value, request.user_action.value, request.completion_percentage, request.cost_pu]
    said["echo"] = request.request["output"]
    client.start_analysis(request)
    said["straight after the action"] = client.get_request(request).user_action.value
    said["status"] = client.get_status(request)
    monitor_batch_statistical_analysis(request, client.config, sleep_time=5)
    said["analysed"] = client.get_request(request).status.value
    simulator.tell("faults", kind="fail_tiles", names=["field-02"])
    client.start_job(request)
    del slept[:]
    monitor_batch_statistical_job(request, client.config, sleep_time=15, analysis_sleep_time=5)
    done = client.get_request(request)
    said["done"] = [done.status.value, done.completion_percentage, done.cost_pu > 0]
    said["status at the end"] = client.get_status(request)
    said["slept"] = sorted(set(slept))
    return said


def ended_jobs(client: SentinelHubBatchStatistical, simulator: Simulator, script: str) -> dict:
    said: dict = {}
    payload = a_request(simulator, script).payload
    place = client.s3_specification("s3://farm/other", access_key="AKIA", secret_access_key="hush")
    fields = client.s3_specification("s3://farm/fields.gpkg", access_key="AKIA", secret_access_key="hush")

    def create(**members: object) -> object:
        given = {
            "input_features": fields,
            "input_data": payload["input"]["data"],
            "aggregation": payload["aggregation"],
            "calculations": None,
            "output": place,
        }
        return client.create(**{**given, **members})

    stopped = create()
    client.start_job(stopped)
    simulator.step(230)
    client.stop_job(stopped)
    simulator.step(60)
    ended = client.get_status(stopped)
    said["stopped"] = [ended["status"], ended["stoppedStatusReason"]]
    said["start again at once"] = refusal(lambda: client.start_job(stopped))
    early = create()
    client.start_analysis(early)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.cancel_job(early)
    simulator.step(600)
    said["cancelled"] = client.get_request(early).status.value
    broken = create(aggregation={**payload["aggregation"], "evalscript": "//VERSION=3\nfunction setup("})
    client.start_analysis(broken)
    said["broken evalscript"] = refusal(lambda: monitor_batch_statistical_analysis(broken, client.config, sleep_time=5))
    lost = client.s3_specification("s3://farm/none.gpkg", access_key="AKIA", secret_access_key="hush")
    said["no GeoPackage"] = refusal(lambda: create(input_features=lost))
    return said


def main() -> None:
    given, simulator, slept = begin()
    client = SentinelHubBatchStatistical(config=simulator.config)
    whole = whole_job(client, simulator, given["evalscript"], slept)
    end({"whole job": whole, "ended jobs": ended_jobs(client, simulator, given["evalscript"])})


if __name__ == "__main__":
    main()
