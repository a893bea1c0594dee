"""What only analysis finds wrong with the sources of data: the task is created, and fails later."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator, data_sources
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


SETUPS: dict[str, tuple[str, bool]] = {
    "in a comment": ("// 'HH' is not here\nfunction setup() { return {input: ['VV'], output: {bands: 1}}; }", True),
    "in another text": (
        "const NAMES = {'HH': 1};\nfunction setup() { return {input: ['VV'], output: {bands: 1}}; }",
        True,
    ),
    "an output of this name": ("function setup() { return {input: ['VV'], output: {id: 'HH', bands: 1}}; }", True),
    "of another source": (
        "function setup() { return {input: [{datasource: 's1', bands: ['VV']}, {datasource: 'other', bands: ['HH']}], "
        "output: {bands: 1}}; }",
        True,
    ),
    "of this source": (
        "function setup() { return {input: [{datasource: 's1', bands: ['HH']}, {datasource: 'other', bands: ['VV']}], "
        "output: {bands: 1}}; }",
        False,
    ),
    "computed": ("function setup() { return {input: ['H', 'V'].map((x) => x + x), output: {bands: 1}}; }", False),
    "in a template": ("function setup() { return {input: [`HH`], output: {bands: 1}}; }", False),
    "the mask beside it": ("function setup() { return {input: ['VV', 'dataMask'], output: {bands: 1}}; }", True),
}


@pytest.mark.parametrize("name", SETUPS)
def test_only_bands_that_the_script_reads_of_the_source_must_be_there(name: str) -> None:
    setup, good = SETUPS[name]
    script = f"//VERSION=3\n{setup}\nfunction evaluatePixel(sample) {{ return [1]; }}"
    found = data_sources.problem([{**sentinel_1("DV"), "id": "s1"}], script)
    assert found == (None if good else "Requested band 'HH' is not present in Sentinel 1 tile")


def test_the_same_for_statistics(api: Api, sim: Simulator) -> None:
    put_fields(sim.bucket_dir)
    job = body()
    job["input"] = {**job["input"], "data": [sentinel_1("DV", demInstance="retteketet")]}
    path = f"/statistics/batch/v1/{api.post('/statistics/batch/v1', json=job).json()['id']}"
    api.post(f"{path}/analyse")
    sim.step(600)
    assert api.get(path).json()["error"] == "Invalid DEM instance: retteketet"
