"""What lies in the way of outputs when a request is analysed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator

from .conftest import Api

TWO = [
    {"identifier": "default", "format": {"type": "image/tiff"}},
    {"identifier": "userdata", "format": {"type": "application/json"}},
]
PATH = "s3://maps/two/<tileName>/<outputId>.<format>"
PLACES = {"v1": "/api/v1/batch/process", "v2": "/batch/v2/process"}


def analysed(api: Api, sim: Simulator, generation: str, **output: Any) -> dict[str, Any]:
    """The request, after its analysis."""
    body = getattr(api, f"{generation}_body")()
    body["processRequest"]["output"] = {"responses": TWO}
    if generation == "v1":
        body["output"] = {"defaultTilePath": PATH, **output}
    else:
        keys = {"accessKey": "a", "secretAccessKey": "b"}
        body["output"] = {"type": "raster", "delivery": {"s3": {"url": PATH, **keys}}, **output}
    reply = api.post(PLACES[generation], json=body)
    assert reply.status_code == 201, reply.text
    path = f"{PLACES[generation]}/{reply.json()['id']}"
    api.post(f"{path}/analyse")
    sim.step(60)
    found: dict[str, Any] = api.get(path).json()
    return found


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize("missing", ["userdata.json", "default.tif"])
@pytest.mark.parametrize(
    ("output", "passes"),
    [
        ({}, False),
        ({"overwrite": True}, True),
        ({"skipExisting": True}, False),
        ({"skipExisting": True, "overwrite": True}, True),
    ],
    ids=["nothing", "overwrite", "skip", "both"],
)
def test_one_of_two_outputs_that_is_there_fails_the_request_unless_it_may_be_overwritten(
    api: Api, sim: Simulator, generation: str, missing: str, output: dict[str, Any], passes: bool
) -> None:
    folder = sim.bucket_dir / "maps/two"
    assert analysed(api, sim, generation)["status"] == "ANALYSIS_DONE"
    name = api_tile_name(api, sim)
    for file in ("default.tif", "userdata.json"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_bytes(b"x")
    (folder / name / missing).unlink()
    try:
        found = analysed(api, sim, generation, **output)
        assert found["status"] == ("ANALYSIS_DONE" if passes else "FAILED")
        if not passes:
            there = {"userdata.json": "default.tif", "default.tif": "userdata.json"}[missing]
            assert found["error"] == f"Output already exists: s3://maps/two/{name}/{there}"
    finally:
        for left in (folder / name).iterdir():
            left.unlink()


def api_tile_name(api: Api, sim: Simulator) -> str:
    """Name of a tile of the usual area."""
    path = api.create("v1", output={"defaultTilePath": "s3://maps/names"})
    api.post(f"{path}/analyse")
    sim.step(60)
    name: str = api.get(f"{path}/tiles").json()["data"][3]["name"]
    return name
