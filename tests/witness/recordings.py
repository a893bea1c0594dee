"""Replies of the simulator in all states of a job's life."""

from __future__ import annotations

from typing import Any

import httpx

from airflow_sentinelhub.simulator import Simulator
from tests import plain_http
from tests.statistical.fields import body, put_fields

Json = dict[str, Any]
NDVI = """//VERSION=3
function setup() {
  return {input: ["B04", "B08"], output: {id: "default", bands: 1, sampleType: "FLOAT32"}};
}
function evaluatePixel(sample) {
  return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)];
}
"""
PROCESS: Json = {
    "input": {
        "bounds": {
            "bbox": [8.9, 41.9, 9.2, 42.2],
            "properties": {"crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
        },
        "data": [
            {
                "type": "sentinel-2-l2a",
                "dataFilter": {"timeRange": {"from": "2019-04-01T00:00:00Z", "to": "2019-06-30T00:00:00Z"}},
            }
        ],
    },
    "output": {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]},
    "evalscript": NDVI,
}


def of_the_simulator() -> list[tuple[tuple[str, str], Json]]:
    """((model, when), reply)."""
    with Simulator(speed=0) as simulator, plain_http.Client(base_url=simulator.url) as http:
        form = {"grant_type": "client_credentials"}
        form |= {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
        token = http.post(simulator.auth_url, data=form).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        return [*_v1(simulator, http), *_collection(http), *_v2(simulator, http), *_statistical(simulator, http)]


def _states(
    model: str, simulator: Simulator, http: httpx.Client, path: str, acts: list[tuple[str, float]]
) -> list[tuple[tuple[str, str], Json]]:
    """The request after each of these actions and so many seconds."""
    found = [((model, "simulator: new"), _json(http.get(path)))]
    for act, seconds in acts:
        if act:
            assert http.post(f"{path}/{act}").status_code == 204
        simulator.step(seconds)
        found.append(((model, f"simulator: {act or 'later'}, {seconds:g} s"), _json(http.get(path))))
    return found


def _v1(simulator: Simulator, http: httpx.Client) -> list[tuple[tuple[str, str], Json]]:
    base = "/api/v1/batch/process"
    job = {
        "processRequest": PROCESS,
        "tilingGrid": {"id": 1, "resolution": 10, "bufferX": 2},
        "output": {"defaultTilePath": "s3://maps/ndvi", "overwrite": True},
        "description": "max NDVI",
    }
    simulator.fault("fail_tiles", share=0.2)
    path = f"{base}/{_json(http.post(base, json=job))['id']}"
    acts = [("analyse", 1.0), ("", 10), ("", 60), ("start", 1.0), ("", 30), ("", 3600), ("restartpartial", 20)]
    found = _states("BatchRequest", simulator, http, path, [*acts, ("", 3601)])
    assert [reply["status"] for _, reply in found] == [
        *("CREATED", "CREATED", "ANALYSING", "ANALYSIS_DONE", "ANALYSIS_DONE", "PROCESSING", "PARTIAL", "PROCESSING"),
        "DONE",
    ]
    ring = [[8.9, 41.9], [9.2, 41.9], [9.2, 42.2], [8.9, 41.9]]
    bounds = {"geometry": {"type": "Polygon", "coordinates": [ring]}}
    shaped = {"properties": PROCESS["input"]["bounds"]["properties"], **bounds}
    job["processRequest"] = {**PROCESS, "input": {**PROCESS["input"], "bounds": shaped}}
    found.append((("BatchRequest", "simulator: by geometry"), _json(http.post(base, json=job))))
    return found


def _collection(http: httpx.Client) -> list[tuple[tuple[str, str], Json]]:
    made = _json(http.post("/api/v1/batch/collections", json={"name": "ndvi", "s3Bucket": "maps"}))
    return [(("BatchCollection", "simulator: new"), made["data"])]


def _v2(simulator: Simulator, http: httpx.Client) -> list[tuple[tuple[str, str], Json]]:
    base = "/batch/v2/process"
    access = {"url": "s3://maps/ndvi", "accessKey": "AKIA", "secretAccessKey": "hush"}
    job = {
        "processRequest": PROCESS,
        "input": {"type": "tiling-grid", "id": 1, "resolution": 10},
        "output": {"type": "raster", "delivery": {"s3": access}, "overwrite": True},
    }
    path = f"{base}/{_json(http.post(base, json=job))['id']}"
    acts = [("analyse", 1.0), ("", 10), ("", 60), ("start", 1.0), ("", 30), ("stop", 30), ("", 2000), ("start", 3600)]
    found = _states("BatchProcessRequest", simulator, http, path, acts)
    assert [reply["status"] for _, reply in found] == [
        *("CREATED", "CREATED", "ANALYSING", "ANALYSIS_DONE", "ANALYSIS_DONE", "PROCESSING", "STOPPED", "STOPPED"),
        "DONE",
    ]
    return found


def _statistical(simulator: Simulator, http: httpx.Client) -> list[tuple[tuple[str, str], Json]]:
    base = "/statistics/batch/v1"
    put_fields(simulator.bucket_dir)
    path = f"{base}/{_json(http.post(base, json=body()))['id']}"
    acts = [("analyse", 1.0), ("", 100), ("", 60), ("start", 1.0), ("", 150), ("stop", 30), ("", 4000), ("start", 3600)]
    found = _states("BatchStatisticalRequest", simulator, http, path, acts)
    seen = {reply["status"] for _, reply in found}
    assert seen == {"CREATED", "ANALYSING", "ANALYSIS_DONE", "PROCESSING", "STOPPED", "DONE"}, seen
    return found


def _json(reply: httpx.Response) -> Json:
    assert reply.status_code in (200, 201), reply.text
    found: Json = reply.json()
    return found
