"""What follows from the outputs that an evalscript announces: bands of collections, and what cannot be delivered."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.script_outputs import script_outputs
from tests.growth import assert_linear

from .conftest import PROCESS_REQUEST, Api

SCRIPT = """//VERSION=3
function setup() {
  return {input: ["B04"], %s};
}
function evaluatePixel(sample) { return [sample.B04]; }
"""
KEYS = {"accessKey": "AKIA", "secretAccessKey": "hush"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("output: {bands: 3}", {"default": (3, "AUTO")}),
        ('output: {bands: 1, sampleType: "FLOAT32"}', {"default": (1, "FLOAT32")}),
        ("output: [{id: 'a', bands: 2, sampleType: SampleType.INT8}, {id: 'b'}]", {"a": (2, "INT8"), "b": (1, "AUTO")}),
        ('"output": [{"id": "a", "bands": ["x", "y"]}]', {"a": (2, "AUTO")}),
        ('output: [{bands: 4, id: "a", /* bands: 9 */ sampleType: "UINT16"}] // output: {}', {"a": (4, "UINT16")}),
        ("// output: {bands: 5}\n output: {bands: 2}", {"default": (2, "AUTO")}),
        ("output: [{id: 'a', bands: 2, more: {bands: 7}}, {id: 'b', bands: 3}]", {"a": (2, "AUTO"), "b": (3, "AUTO")}),
        ("output: makeOutputs()", {}),
        ("nothing: 1", {}),
    ],
)
def test_outputs_are_read_from_the_text(text: str, found: dict[str, tuple[int, str]]) -> None:
    outputs = script_outputs(SCRIPT % text)
    assert {name: (output.bands, output.sample_type) for name, output in outputs.items()} == found


@pytest.mark.parametrize("piece", ["{", "[", "output:[{", "/*", '"', "id:'", "bands:[", "output: {", "//", "\\"])
def test_a_long_script_is_read_once(piece: str) -> None:
    """A search that goes to the end each time takes minutes for the longest that the service accepts."""
    assert_linear(lambda size: script_outputs("//VERSION=3\noutput: [{" + piece * (size // len(piece))), 40_000)


def asked(*names: str) -> list[dict[str, Any]]:
    return [{"identifier": name, "format": {"type": "image/tiff"}} for name in names]


def request(script: str, *names: str) -> dict[str, Any]:
    process = copy.deepcopy(PROCESS_REQUEST)
    process["evalscript"] = SCRIPT % script
    process["output"] = {"responses": asked(*names)}
    return process


def raster(**members: Any) -> dict[str, Any]:
    return {"type": "raster", "delivery": {"s3": {"url": "s3://maps/byoc", **KEYS}}, "cogOutput": True, **members}


def analysed(api: Api, sim: Simulator, generation: str, **members: Any) -> tuple[str, str | None]:
    path = api.create(generation, **members)
    api.post(f"{path}/analyse")
    sim.step(60)
    found = api.get(path).json()
    return found["status"], found.get("error")


def test_bands_of_a_collection_are_named_after_the_outputs(api: Api, sim: Simulator) -> None:
    """An output ``result`` with three bands makes ``result``, ``result2``, ``result3``."""
    script = 'output: [{id: "result", bands: 3}, {id: "mask", bands: 1}]'
    path = api.create("v2", processRequest=request(script, "result", "mask"), output=raster(createCollection=True))
    assert sim.collections() == []
    api.post(f"{path}/start")
    sim.step(3000)
    (made,) = sim.collections()
    assert made["bands"] == ["result", "result2", "result3", "mask"]
    assert made["requests"] == [path.rsplit("/", 1)[1]]
    assert made["s3Bucket"] == "maps"
    assert made["tiles"] > 10
    assert made["id"] not in api.get(path).text

    # Into the one that exists: its id wins over the wish for a new one.
    output = raster(createCollection=True, collectionId=made["id"], delivery={"s3": {"url": "s3://maps/more", **KEYS}})
    again = api.create("v2", processRequest=request(script, "result", "mask"), output=output)
    api.post(f"{again}/start")
    sim.step(3000)
    (both,) = sim.collections()
    assert both["id"] == made["id"]
    assert both["tiles"] == 2 * made["tiles"]


def test_two_outputs_that_would_make_the_same_band_fail_at_analysis(api: Api, sim: Simulator) -> None:
    process = request('output: [{id: "result", bands: 3}, {id: "result2", bands: 1}]', "result", "result2")
    status, error = analysed(api, sim, "v2", processRequest=process, output=raster(createCollection=True))
    assert (status, error) == ("FAILED", "Several outputs would become band result2 of the collection.")
    # Without a collection there is nothing to clash in.
    assert analysed(api, sim, "v2", processRequest=process, output=raster())[0] == "ANALYSIS_DONE"


def test_a_batch_collection_of_v1_takes_one_band_per_output(api: Api, sim: Simulator) -> None:
    output = {"defaultTilePath": "s3://maps/v1", "cogOutput": True, "createCollection": True}
    three, one = request('output: [{id: "a", bands: 3}]', "a"), request('output: [{id: "a", bands: 1}]', "a")
    status, error = analysed(api, sim, "v1", processRequest=three, output=output)
    assert (status, error) == ("FAILED", "Output a has several bands, a batch collection takes one per output.")
    assert analysed(api, sim, "v1", processRequest=one, output=output)[0] == "ANALYSIS_DONE"


def test_a_cog_cannot_hold_int8(api: Api, sim: Simulator) -> None:
    process = request('output: [{id: "a", bands: 1, sampleType: "INT8"}]', "a")
    status, error = analysed(api, sim, "v2", processRequest=process, output=raster())
    assert (status, error) == ("FAILED", "Output a has sample type INT8, which cogOutput does not support.")
    assert analysed(api, sim, "v2", processRequest=process, output=raster(cogOutput=False))[0] == "ANALYSIS_DONE"


def cube(api: Api, script: str, url: str) -> dict[str, Any]:
    process = request(script, "a")
    process["output"]["responses"][0]["format"] = {"type": "zarr/array"}
    arrays = {"dtype": "<f4", "chunks": [1, 100, 100], "order": "C", "fill_value": 0}
    return {
        "processRequest": process,
        "input": {"type": "tiling-grid", "id": 6, "resolution": 100},
        "output": {
            "type": "zarr",
            "delivery": {"s3": {"url": url, **KEYS}},
            "group": {"zarr_format": 2},
            "arrayParameters": arrays,
        },
    }


def test_zarr_takes_one_band_per_output(api: Api, sim: Simulator) -> None:
    body = cube(api, 'output: [{id: "a", bands: 2}]', "s3://cubes/<requestId>")
    status, error = analysed(api, sim, "v2", **body)
    assert (status, error) == ("FAILED", "Output a has several bands, zarr output takes one band per output.")


def test_the_path_of_a_zarr_output_must_be_empty(api: Api, sim: Simulator) -> None:
    body = api.v2_body(**cube(api, 'output: [{id: "a", bands: 1}]', "s3://cubes/one"))
    first = api.post("/batch/v2/process", json=body)
    assert first.status_code == 201, first.text
    # The service's own files about a request are not in the way, what was delivered is.
    assert api.post("/batch/v2/process", json=body).status_code == 201
    path = f"/batch/v2/process/{first.json()['id']}"
    api.post(f"{path}/start")
    sim.step(3000)
    assert api.state(path)[0] == "DONE"
    refused = api.post("/batch/v2/process", json=body)
    assert refused.status_code == 400
    assert "The path of a zarr output must be empty" in refused.json()["error"]["message"]

    (sim.bucket_dir / "cubes/two/b01").mkdir(parents=True)
    (sim.bucket_dir / "cubes/two/b01/0.0.0").write_bytes(b"x")
    other = api.v2_body(**cube(api, 'output: [{id: "a", bands: 1}]', "s3://cubes/two"))
    assert "s3://cubes/two/b01/0.0.0 exists" in api.post("/batch/v2/process", json=other).text
    # With the id of the request in it the path is always a new one.
    for _ in range(2):
        fresh = api.v2_body(**cube(api, 'output: [{id: "a", bands: 1}]', "s3://cubes/two/<requestId>"))
        assert api.post("/batch/v2/process", json=fresh).status_code == 201
