"""What only analysis finds wrong with the sources of data: the task is created, and fails later."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.statistical.fields import body, put_fields

from .conftest import PROCESS_REQUEST, Api

RADAR = """//VERSION=3
function setup() { return {input: ["%s"], output: {bands: 1}}; }
function evaluatePixel(sample) { return [1]; }
"""
SPAN = {"timeRange": {"from": "2019-04-01T00:00:00Z", "to": "2019-06-30T00:00:00Z"}}


def sentinel_1(polarization: str | None, **processing: Any) -> dict[str, Any]:
    wanted = SPAN if polarization is None else {**SPAN, "polarization": polarization}
    return {"type": "sentinel-1-grd", "dataFilter": wanted, "processing": processing}


CASES: list[tuple[dict[str, Any], str, str | None]] = [
    (sentinel_1("DV"), "VV", None),
    (sentinel_1("DV"), "HH", "Requested band 'HH' is not present in Sentinel 1 tile"),
    (sentinel_1("SH"), "HV", "Requested band 'HV' is not present in Sentinel 1 tile"),
    (sentinel_1("HH"), "HH", None),
    # Without a filter each tile may have any: not to be known beforehand.
    (sentinel_1(None), "HH", None),
    (sentinel_1("DV", orthorectify=True, demInstance="retteketet"), "VV", "Invalid DEM instance: retteketet"),
    (sentinel_1("DV", demInstance="COPERNICUS_30"), "VV", None),
    ({"type": "dem", "dataFilter": {"demInstance": "retteketet"}}, "DEM", "Invalid DEM instance: retteketet"),
    ({"type": "dem", "dataFilter": {"demInstance": "MAPZEN"}}, "DEM", None),
]


@pytest.mark.parametrize(("source", "band", "error"), CASES)
@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_a_source_that_cannot_be_read_fails_at_analysis_and_not_before(
    api: Api, sim: Simulator, generation: str, source: dict[str, Any], band: str, error: str | None
) -> None:
    process = {**copy.deepcopy(PROCESS_REQUEST), "evalscript": RADAR % band}
    process["input"]["data"] = [source]
    path = api.create(generation, processRequest=process)
    api.post(f"{path}/analyse")
    sim.step(60)
    found = api.get(path).json()
    assert (found["status"], found.get("error")) == ("FAILED" if error else "ANALYSIS_DONE", error)


def test_the_same_for_statistics(api: Api, sim: Simulator) -> None:
    put_fields(sim.bucket_dir)
    job = body()
    job["input"] = {**job["input"], "data": [sentinel_1("DV", demInstance="retteketet")]}
    path = f"/statistics/batch/v1/{api.post('/statistics/batch/v1', json=job).json()['id']}"
    api.post(f"{path}/analyse")
    sim.step(600)
    assert api.get(path).json()["error"] == "Invalid DEM instance: retteketet"
