"""Every reply of the simulator against the published contract, where that file is at hand."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from airflow_sentinelhub.simulator import Simulator

if TYPE_CHECKING:
    from .conftest import Api

CONTRACT = Path(__file__).resolve().parents[3] / "shared" / "reference" / "sentinelhub-batch.openapi.yaml"
pytestmark = pytest.mark.skipif(
    not CONTRACT.exists(), reason=f"the contract is not part of the package ({CONTRACT.name})"
)


def repaired(document: dict[str, Any]) -> dict[str, Any]:
    """The contract without its known faults, each of them against what was seen of the service."""
    document = copy.deepcopy(document)
    schemas, paths = document["components"]["schemas"], document["paths"]
    # A list of violations was seen where the contract has an object.
    schemas["Boom"]["properties"]["errors"] = {"type": ["object", "array"]}
    # Real clients send no group for a raster output.
    schemas["BatchV2RasterOutput"]["required"].remove("group")
    # A misspelling.
    schemas["S3BucketInfo"]["properties"]["region"] = schemas["S3BucketInfo"]["properties"].pop("regin")
    # The literal "<identifier>" is meant as a placeholder.
    for name in ("ProcessRequestOutputBatchResponse", "ProcessRequestOutputBatchV2Response"):
        del schemas[name]["properties"]["identifier"]["enum"]
    # Any Sentinel-2 source is a valid "bring your own" source as well, whose type is not restricted.
    schemas["ProcessRequestInputData"]["items"]["anyOf"] = schemas["ProcessRequestInputData"]["items"].pop("oneOf")
    # A 400 refers to the response of a 401.
    for path in ("/api/v1/batch/process/{requestId}", "/api/v2/batch/process/{taskId}"):
        paths[path]["put"]["responses"]["400"] = {"$ref": "#/components/responses/400"}
    # Not listed, though nothing comes without a token and no nonsense is taken.
    for path in ("/api/v1/batch/process/{requestId}/tiles", "/api/v1/batch/process/{requestId}/tiles/{tileId}"):
        for status in ("400", "401", "404"):
            paths[path]["get"]["responses"].setdefault(status, {"$ref": f"#/components/responses/{status}"})
    for path in ("/api/v1/batch/process", "/api/v1/batch/collections", "/api/v2/batch/process"):
        paths[path]["get"]["responses"]["400"] = {"$ref": "#/components/responses/400"}
    paths["/api/v1/batch/collections/{collectionId}"]["put"]["responses"]["400"] = {
        "$ref": "#/components/responses/400"
    }
    return document


class Witness:
    """Notes every reply that the client gets, and holds it against the contract."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = repaired(document)
        self.seen: set[tuple[str, str, str]] = set()

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        path = path.replace("/batch/v2", "/api/v2/batch").rstrip("/")
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
                return template, operations[method.lower()]
        raise AssertionError(f"The contract has no {method} {path}.")

    def __call__(self, reply: httpx.Response) -> None:
        if reply.request.url.path.endswith("/token"):
            return
        reply.read()
        method, status = reply.request.method, str(reply.status_code)
        template, operation = self.operation(method, reply.request.url.path)
        assert status in operation["responses"], f"{method} {template} answers {status}: {reply.text}"
        self.seen.add((method, template, status))
        response = operation["responses"][status]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        content = response.get("content")
        if content is None:
            # 401, 403 and some 409 have no body in the contract, but the wrapper was seen with them.
            assert reply.status_code >= 400 or reply.content == b""
            schema: dict[str, Any] = {"$ref": "#/components/schemas/RestErrorWrapper"}
        else:
            schema = content["application/json"]["schema"]
        if reply.content:
            assert reply.headers["content-type"].startswith("application/json")
            checker = Draft202012Validator(
                {**schema, "components": self.document["components"]}, format_checker=FormatChecker()
            )
            problems = [f"{list(error.absolute_path)}: {error.message}" for error in checker.iter_errors(reply.json())]
            assert not problems, f"{method} {template} {status}: {problems}"

    def expected(self) -> set[tuple[str, str, str]]:
        """Every success of every operation of both generations."""
        return {
            (method.upper(), template, status)
            for template, operations in self.document["paths"].items()
            for method, operation in operations.items()
            for status in operation["responses"]
            if status.startswith("2") and "statistics" not in template
        }


@pytest.fixture
def witness(api: Api) -> Iterator[Witness]:
    found = Witness(yaml.safe_load(CONTRACT.read_text()))
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


def test_every_reply_is_as_the_contract_says(api: Api, sim: Simulator, witness: Witness) -> None:
    sim.settings(wrap_collections=False)
    v1_life(api, sim)
    v2_life(api, sim)
    del api.http.headers["Authorization"]
    for path in ("/api/v1/batch/process", "/batch/v2/process", "/api/v1/batch/process/x/tiles"):
        assert api.get(path).status_code == 401
    assert witness.expected() <= witness.seen, witness.expected() - witness.seen
    statuses = {status for _, _, status in witness.seen}
    assert statuses == {"200", "201", "204", "400", "401", "403", "404", "409"}


def test_a_reply_that_is_wrong_does_not_pass(api: Api, sim: Simulator, witness: Witness) -> None:
    path = api.create("v2")
    for body in ({"status": "PARTIAL"}, {"costPU": "much"}, {"id": "x"}, {"userAction": None}):
        sim.fault("status", status=200, body=body)
        with pytest.raises(AssertionError, match=r"PARTIAL|much|uuid|None"):
            api.get(path)
    sim.fault("status", status=418)
    with pytest.raises(AssertionError, match="answers 418"):
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
    assert ("GET", "/api/v2/batch/tilinggrids", "200") in witness.seen
