"""What the programs run by the vendor's environment share. Imports the vendor's client, nothing of ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

from sentinelhub import CRS, BBox, DataCollection, MimeType, SentinelHubRequest, SHConfig
from sentinelhub.api.batch import utils

NDVI = """//VERSION=3
function setup() {
  return {input: ["B04", "B08"], output: {id: "default", bands: 1, sampleType: "FLOAT32"}};
}
function evaluatePixel(sample) {
  return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)];
}
"""


class Simulator:
    """The simulator's address, and its control plane."""

    def __init__(self, given: dict) -> None:
        self.url = given["url"]
        self.config = SHConfig(use_defaults=True)
        self.config.sh_base_url = given["url"]
        self.config.sh_token_url = given["auth_url"]
        self.config.sh_client_id = given["client_id"]
        self.config.sh_client_secret = given["client_secret"]

    def tell(self, place: str, /, **body: Any) -> None:
        data = json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_simulator/{place}", data, {"Content-Type": "application/json"})) as reply:
            reply.read()

    def step(self, seconds: float) -> None:
        self.tell("clock", step=seconds)


def begin() -> tuple:
    """What this program was given, and the simulator, whose clock runs when the vendor's monitors sleep.

    The monitors refuse to sleep for less than a minute (5 seconds during analysis, 15 for statistics), so there is no
    other way to watch their loops in a test than to take `time.sleep` from them: instead of it the simulator's clock is
    stepped by the same seconds. Nothing else of the vendor's client is touched, its HTTP client sleeps as it likes.
    """
    given = json.loads(sys.stdin.read())
    simulator = Simulator(given["simulator"]) if "simulator" in given else None
    slept: list = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        simulator.step(seconds)

    utils.time = SimpleNamespace(sleep=sleep)
    return given, simulator, slept


def end(result: Any) -> None:
    print(json.dumps(result))


def a_request(simulator: Simulator) -> SentinelHubRequest:
    """A request as users of the vendor's client write it."""
    return SentinelHubRequest(
        evalscript=NDVI,
        input_data=[
            SentinelHubRequest.input_data(
                DataCollection.SENTINEL2_L2A, time_interval=("2019-04-01", "2019-06-30"), maxcc=0.7
            )
        ],
        responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
        bbox=BBox((8.9, 41.9, 9.2, 42.2), CRS.WGS84),
        config=simulator.config,
    )


def refusal(call: Callable[[], Any]) -> str:
    """What the vendor's client says when a call is refused; empty if it is not."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
