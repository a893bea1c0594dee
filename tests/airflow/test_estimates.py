"""The estimate before the start against what the simulator then counts, which it does by its own means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.price import price_of
from airflow_sentinelhub.api.flows.price import price_request
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.hooks.prices import CostReader, region_of
from airflow_sentinelhub.hooks.sentinelhub import reader_now
from tests.airflow.conftest import AWS
from tests.airflow.job import RETRY, job, modes, v1, v2


def script(bands: str, *, mosaicking: str = "SIMPLE", output: str = "{bands: 1, sampleType: 'FLOAT32'}") -> str:
    names = ", ".join(f'"{band}"' for band in bands.split())
    return f"""//VERSION=3
// output: {{sampleType: "UINT8"}}, input: ["B01"], mosaicking: "TILE"
function setup() {{
  return {{input: [{{bands: [{names}]}}], mosaicking: "{mosaicking}", output: {output}}};
}}
function evaluatePixel(sample) {{ return [1]; }}
"""


MANY = "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12 dataMask"
SCRIPTS = {
    "floats of twelve bands": script(MANY),
    "integers of twelve bands": script(MANY, output="{bands: 3, sampleType: 'UINT16'}"),
    "two outputs": script(MANY, output="[{id: 'default', bands: 1, sampleType: 'UINT8'}, {id: 'b', bands: 2}]"),
    "three bands": script("B02 B03 B04"),
}


def ours(bench: Any, request_id: str) -> Any:
    """Our own estimate of a request, on v1 too."""
    api = generation(bench.api)
    reading = bench.hook.run(read(api, request_id))
    reader = CostReader(lambda: reader_now("sentinelhub_default", "my_bucket"), bench.hook.settings.base_url)
    return bench.hook.run(price_request(api, reading, reader.prepared)).own


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_job_with_simple_mosaicking_costs_what_was_estimated(bench: Any, name: str) -> None:
    result = bench.run(job(bench, evalscript=SCRIPTS[name], area=[8.5, 41.5, 9.5, 42.5]))
    estimate = ours(bench, result["request_id"])
    assert estimate.low == estimate.high > 100
    assert result["processing_units"] == pytest.approx(estimate.low, rel=0.01)
    assert result["processing_units"] == pytest.approx(result["expected_pu"], rel=0.01)
    assert result["estimated_by"] == {"v1": "service", "v2": "us"}[bench.api]


@pytest.mark.parametrize("mosaicking", ["ORBIT", "TILE"])
@pytest.mark.parametrize("days", [2.0, 3.0, 5.0])
def test_a_job_of_all_observations_costs_something_within_the_range(bench: Any, mosaicking: str, days: float) -> None:
    bench.sim.settings(days_between_observations=days)
    result = bench.run(job(bench, evalscript=script("B04 B08", mosaicking=mosaicking)))
    estimate = ours(bench, result["request_id"])
    assert estimate.low < estimate.high
    assert estimate.low * 0.99 <= result["processing_units"] <= estimate.high * 1.01


@v2
@pytest.mark.parametrize("region", [None, "eu-central-1", "us-west-2"])
@pytest.mark.parametrize("name", ["floats of twelve bands", "two outputs"])
def test_a_bucket_in_another_region_costs_something_within_the_range(bench: Any, name: str, region: str | None) -> None:
    """The simulator counts every byte of the pixels; how well the service compresses them is not known."""
    bench.connection("my_bucket", **AWS, extra={} if region is None else {"region_name": region})
    result = bench.run(job(bench, evalscript=SCRIPTS[name], area=[8.5, 41.5, 9.5, 42.5]))
    estimate = ours(bench, result["request_id"])
    assert estimate.low * 0.99 <= result["processing_units"] <= estimate.high * 1.01
    named = [str(factor) for factor in estimate.factors if factor.name == "delivery to another region"]
    assert bool(named) is (estimate.low < estimate.high) is (region == "us-west-2")
    assert all("eu-central-1 to us-west-2" in text for text in named)


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("https://services.sentinel-hub.com", "eu-central-1"),
        ("https://services-uswest2.sentinel-hub.com/api", "us-west-2"),
        ("https://sh.dataspace.copernicus.eu", None),
        ("https://creodias.sentinel-hub.com", None),
        ("https://shservices.mundiwebservices.com", None),
        ("http://127.0.0.1:8080", "eu-central-1"),
        ("", None),
    ],
)
def test_the_region_of_a_service_follows_from_its_address(address: str, region: str | None) -> None:
    assert region_of(address) == region


@v2
@modes
def test_estimate_and_cost_stand_side_by_side(bench: Any, deferrable: bool, logged: Callable[[], str]) -> None:
    context = bench.context()
    result = bench.run(job(bench, evalscript=SCRIPTS["three bands"], deferrable=deferrable), context)
    assert (round(result["expected_pu_low"], 1), result["expected_pu"], result["expected_pu_high"]) == (61.0, 100, 100)
    assert context["ti"].xcoms["expected_pu"] == 100
    assert context["ti"].xcoms["estimated_by"] == "us"
    assert "100.0 PU, inside of the 61 to 100 PU estimated by us" in logged()
    retry = bench.context(**RETRY)
    again = bench.run(job(bench, evalscript=SCRIPTS["three bands"], deferrable=deferrable), retry)
    assert again == result, "a retry reports the same"
    assert (retry["ti"].xcoms["expected_pu"], retry["ti"].xcoms["estimated_by"]) == (100, "us")


@v1
def test_without_an_estimate_of_ours_the_services_number_stands(bench: Any) -> None:
    reading = bench.hook.run(read(generation("v1"), bench.run(job(bench))["request_id"]))
    price = price_of(reading)
    assert (price.by, price.low) == ("service", reading.estimate / 3)
