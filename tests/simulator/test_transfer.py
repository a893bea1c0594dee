"""Delivery to another region of the same cloud costs 0.03 PU a MB."""

from __future__ import annotations

import pytest

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.deployments import DEPLOYMENTS
from airflow_sentinelhub.simulator.transfer import transfer_pu

from .conftest import PROCESS_REQUEST, Api

# A hundred bands of 16 bits: delivering them costs more than making them.
SCRIPT = """//VERSION=3
function setup() { return {input: ["B04"], output: {bands: 100, sampleType: "UINT16"}}; }
function evaluatePixel(sample) { return [1]; }
"""


def price(api: Api, sim: Simulator, region: str | None) -> float:
    """PU of one and the same task whose bucket is in this region."""
    storage = {"url": "s3://maps/there", "accessKey": "AKIA", "secretAccessKey": "hush"}
    if region is not None:
        storage["region"] = region
    output = {"type": "raster", "delivery": {"s3": storage}, "overwrite": True}
    path = api.create("v2", processRequest={**PROCESS_REQUEST, "evalscript": SCRIPT}, output=output)
    api.post(f"{path}/start")
    sim.step(3000)
    found: float = api.get(path).json()["costPU"]
    return found


@pytest.mark.parametrize(
    ("deployment", "near", "far"),
    [("aws-eu", "eu-central-1", "us-west-2"), ("aws-us-west-2", "us-west-2", "eu-central-1")],
)
def test_another_region_costs_3_hundredths_of_a_pu_a_megabyte(
    api: Api, sim: Simulator, deployment: str, near: str, far: str
) -> None:
    sim.settings(deployment=deployment)
    # The least that a request costs.
    assert [price(api, sim, region) for region in (near, None)] == [100.0, 100.0]
    # Tiles of 1000 x 1000 pixels and 200 bytes each, and what it costs to make them.
    one = 0.03 * 200 + 1000 * 1000 / (512 * 512) / 3 / 3
    assert price(api, sim, far) == pytest.approx(one * int(sim.requests()[-1]["tiles"]), rel=0.1)


def test_only_pictures_are_weighed_and_only_in_another_region_of_the_same_cloud(api: Api) -> None:
    body = api.v2_body(processRequest={**PROCESS_REQUEST, "evalscript": SCRIPT})
    body["processRequest"]["output"] = {
        "responses": [
            {"identifier": "default", "format": {"type": "image/tiff"}},
            {"identifier": "userdata", "format": {"type": "application/json"}},
        ]
    }
    storage = {"url": "s3://maps/there", "region": "us-west-2"}
    body["output"]["delivery"] = {"s3": storage}
    assert transfer_pu(body, DEPLOYMENTS["aws-eu"], 500, 1000) == pytest.approx(0.03 * 100)
    assert transfer_pu(body, DEPLOYMENTS["aws-us-west-2"], 500, 1000) == 0.0
    assert transfer_pu(body, DEPLOYMENTS["cdse"], 500, 1000) == 0.0
    body["output"]["delivery"] = {"gs": storage}
    assert transfer_pu(body, DEPLOYMENTS["aws-eu"], 500, 1000) == 0.0


def test_on_copernicus_data_space_no_region_is_known_to_cost_more(api: Api, sim: Simulator) -> None:
    sim.settings(deployment="cdse")
    assert price(api, sim, "anywhere") == pytest.approx(price(api, sim, None), rel=0.1)
