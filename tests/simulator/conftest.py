"""A simulator with a frozen clock on a real socket, and a plain HTTP client that talks to it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests import plain_http

NDVI = """//VERSION=3
function setup() {
  return {input: [{bands: ["B04", "B08"]}], output: {bands: 1, sampleType: "FLOAT32"}};
}
function evaluatePixel(sample) {
  return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)];
}
"""
PROCESS_REQUEST: dict[str, Any] = {
    "input": {
        "bounds": {"bbox": [8.9, 41.9, 9.3, 42.3]},
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


class Api:
    """The service as a client sees it: ``api.post(path)``, with a token, never raising for a status."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.http = plain_http.Client(base_url=simulator.url, timeout=20)
        self.login()

    def login(self) -> None:
        reply = self.http.post(
            self.simulator.auth_url,
            data={
                "grant_type": "client_credentials",
                "client_id": self.simulator.client_id,
                "client_secret": self.simulator.client_secret,
            },
        )
        self.http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.http, name)

    def v1_body(self, **members: Any) -> dict[str, Any]:
        body = {
            "processRequest": copy.deepcopy(PROCESS_REQUEST),
            "tilingGrid": {"id": 1, "resolution": 10},
            "output": {"defaultTilePath": "s3://maps/ndvi"},
            "description": "max NDVI",
        }
        return {**body, **members}

    def v2_body(self, **members: Any) -> dict[str, Any]:
        body = {
            "processRequest": copy.deepcopy(PROCESS_REQUEST),
            "input": {"type": "tiling-grid", "id": 1, "resolution": 10},
            "output": {
                "type": "raster",
                "delivery": {"s3": {"url": "s3://maps/ndvi", "accessKey": "AKIA", "secretAccessKey": "hush"}},
            },
            "description": "max NDVI",
        }
        return {**body, **members}

    def create(self, generation: str, **members: Any) -> str:
        """Path of a new request."""
        base = {"v1": "/api/v1/batch/process", "v2": "/batch/v2/process"}[generation]
        reply = self.post(base, json=getattr(self, f"{generation}_body")(**members))
        assert reply.status_code == 201, reply.text
        return f"{base}/{reply.json()['id']}"

    def state(self, path: str) -> tuple[str, str]:
        body = self.get(path).json()
        return body["status"], body["userAction"]

    def statuses(self, path: str) -> list[str]:
        """Statuses of all tiles of a v1 request, page by page."""
        found, url = [], f"{path}/tiles"
        while url:
            reply = self.get(url).json()
            found += [tile["status"] for tile in reply["data"]]
            url = reply["links"].get("next")
        return found


@pytest.fixture(scope="session")
def server() -> Iterator[Simulator]:
    with Simulator(speed=0) as simulator:
        yield simulator


@pytest.fixture
def sim(server: Simulator) -> Simulator:
    """Empty and frozen. One server for all tests, since ending one takes longer than most tests."""
    server.reset()
    return server


@pytest.fixture
def api(sim: Simulator) -> Iterator[Api]:
    client = Api(sim)
    yield client
    client.http.close()
