"""Every reply of the simulator against the contract of the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.contract.checker import Contract, Exchange, the_contract
from tests.contract.faults import unknown

if TYPE_CHECKING:
    from .conftest import Api


pytest.importorskip("openapi_core", minversion="0.23", reason="older ones have other words for what they find")


class Witness:
    """Holds every reply that the client gets against the contract; what of it is known to be wrong is not ours."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, reply: httpx.Response) -> None:
        url = reply.request.url
        if url.path.endswith("/token"):
            return
        reply.read()
        exchange = Exchange(
            method=reply.request.method,
            path=url.path,
            query=tuple(url.params.multi_items()),
            headers=dict(reply.request.headers),
            body=reply.request.content,
            status=reply.status_code,
            reply_headers=dict(reply.headers),
            reply=reply.content,
        )
        operation = self.contract.operation_of(exchange)
        assert operation is not None, f"The contract has no {exchange.method} {exchange.path}."
        self.seen.add((operation, reply.status_code))
        # Many of the requests here are wrong on purpose.
        findings = unknown(self.contract.findings(exchange))
        problems = [str(finding) for finding in findings if finding.side == "reply"]
        assert not problems, problems

    def expected(self) -> set[tuple[str, int]]:
        """Every success of every operation of both generations."""
        return {
            (name, status)
            for name in self.contract.operations
            for status in self.contract.successes(name)
            if "statistics" not in name
        }


@pytest.fixture
def witness(api: Api) -> Iterator[Witness]:
    found = Witness(the_contract())
    api.http.event_hooks["response"].append(found)
    yield found
    api.http.event_hooks["response"].clear()


def v1_life(api: Api, sim: Simulator) -> None:
    base = "/api/v1/batch"
    api.get(f"{base}/tilinggrids/")
    api.get(f"{base}/tilinggrids/1")
    api.get(f"{base}/tilinggrids/99")
    number = api.post(f"{base}/collections", json={"name": "c", "s3Bucket": "maps"}).json()["id"]
    api.post(f"{base}/collections", json={})
    api.put(f"{base}/collections/{number}", json={"name": "d"})
    api.put(f"{base}/collections/{number}", json={})
    api.get(f"{base}/collections")
    output = {"defaultTilePath": "s3://maps/x", "cogOutput": True, "collectionId": number}
    api.post(f"{base}/process", json={})
    path = api.create("v1", output=output, tilingGrid={"id": 1, "resolution": 10, "bufferX": 5, "bufferY": 5})
    api.get(f"{base}/collections/{number}")
    api.delete(f"{base}/collections/{number}")
    api.put(path, json={"description": "new"})
    api.put(path, json={"description": 5})
    api.get(f"{path}/tiles")
    api.post(f"{path}/restartpartial")
    api.post(f"{path}/analyse")
    sim.step(60)
    api.get(path)
    sim.fault("fail_tiles", share=0.3)
    api.post(f"{path}/start")
    for seconds in (30, 30, 3600):
        sim.step(seconds)
        api.get(path)
        tiles = api.get(f"{path}/tiles", params={"count": 3}).json()["data"]
    api.get(f"{path}/tiles/{tiles[0]['id']}")
    api.get(f"{path}/tiles/0")
    api.get(f"{path}/tiles", params={"status": "FAILED"})
    api.get(f"{path}/tiles", params={"status": "x"})
    api.post(f"{path}/restartpartial")
    api.put(path, json={"description": "late"})
    api.delete(path)
    api.post(f"{path}/cancel")
    sim.step(60)
    api.get(f"{base}/process", params={"search": "new", "sort": "created:desc", "collectionId": number})
    api.get(f"{base}/process", params={"sort": "x"})
    api.delete(f"{base}/collections/{number}")
    ring = [[9, 42], [9.1, 42], [9.1, 42.1], [9, 42]]
    body = api.v1_body()
    body["processRequest"]["input"]["bounds"] = {"geometry": {"type": "Polygon", "coordinates": [ring]}}
    shaped = api.post(f"{base}/process", json=body).json()["id"]
    sim.fault("fail_analysis", error="Invalid DEM instance")
    api.post(f"{base}/process/{shaped}/analyse")
    sim.step(60)
    api.get(f"{base}/process/{shaped}")
    api.delete(f"{base}/process/{shaped}")
    api.get(f"{base}/process/{shaped}")


def v2_life(api: Api, sim: Simulator) -> None:
    base = "/batch/v2"
    api.get(f"{base}/tilinggrids")
    api.get(f"{base}/tilinggrids/3")
    api.get(f"{base}/tilinggrids/x")
    api.post(f"{base}/process", json={"description": None})
    sim.settings(minimum_balance=2e6)
    api.post(f"{base}/process", json=api.v2_body())
    sim.settings(minimum_balance=1000)
    storage = {"url": "s3://maps/x", "accessKey": "a", "secretAccessKey": "b", "region": "eu-central-1"}
    path = api.create("v2", output={"type": "raster", "delivery": {"s3": storage}})
    api.put(path, json={"description": "new"})
    api.put(path, json={"description": []})
    api.post(f"{path}/stop")
    api.post(f"{path}/analyse")
    sim.step(60)
    api.get(path)
    api.post(f"{path}/start")
    api.put(path, json={"description": "late"})
    for seconds in (30, 30):
        sim.step(seconds)
        api.get(path)
    api.post(f"{path}/stop")
    sim.step(30)
    api.get(path)
    api.post(f"{path}/start")
    sim.fault("fail_analysis", error="Invalid DEM instance")
    failed = api.create("v2")
    api.post(f"{failed}/start")
    sim.step(60)
    api.get(failed)
    for _ in range(3):
        api.create("v2")
    api.get(f"{base}/process", params={"count": 2, "viewtoken": 2, "sort": "status"})
    api.get(f"{base}/process", params={"count": "x"})
    api.get(f"{base}/process/{'0' * 8}-0000-4000-8000-{'0' * 12}")


@pytest.mark.slow
def test_every_reply_is_as_the_contract_says(api: Api, sim: Simulator, witness: Witness) -> None:
    sim.settings(wrap_collections=False)
    v1_life(api, sim)
    v2_life(api, sim)
    del api.http.headers["Authorization"]
    for path in ("/api/v1/batch/process", "/batch/v2/process", "/api/v1/batch/process/x/tiles"):
        assert api.get(path).status_code == 401
    assert witness.expected() <= witness.seen, witness.expected() - witness.seen
    assert {status for _, status in witness.seen} == {200, 201, 204, 400, 401, 403, 404, 409}


def test_a_reply_that_is_wrong_does_not_pass(api: Api, sim: Simulator, witness: Witness) -> None:
    path = api.create("v2")
    for body in ({"status": "PARTIAL"}, {"costPU": "much"}, {"id": "x"}, {"userAction": None}):
        sim.fault("status", status=200, body=body)
        with pytest.raises(AssertionError, match=r"PARTIAL|much|uuid|None"):
            api.get(path)
    sim.fault("status", status=418)
    with pytest.raises(AssertionError, match="status 418"):
        api.get(path)


def test_the_recorded_answers_pass_too(witness: Witness) -> None:
    """What was seen of the real service must not be refused by the same check, or the check is wrong."""
    grids = {
        "data": [
            {
                "id": 0,
                "name": "20km grid",
                "properties": {
                    "tileWidth": 20040.0,
                    "tileHeight": 20040.0,
                    "chunkWidth": 334,
                    "chunkHeight": 167,
                    "resolutions": [10.0, 20.0, 60.0],
                    "singleCrs": False,
                    "unit": "METRE",
                },
            }
        ],
        "links": {"currentToken": "0", "@id": "https://services.sentinel-hub.com/api/v2/batch/tilinggrids?viewtoken=0"},
    }
    reply = httpx.Response(
        200,
        content=json.dumps(grids),
        headers={"content-type": "application/json"},
        request=httpx.Request("GET", "https://services.sentinel-hub.com/api/v2/batch/tilinggrids"),
    )
    witness(reply)
    assert ("GET /api/v2/batch/tilinggrids", 200) in witness.seen
