"""Batch v2 over a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sentinelhub.simulator import Simulator

if TYPE_CHECKING:
    from .conftest import Api

OLD, NEW = "/api/v2/batch", "/batch/v2"


def effects(sim: Simulator) -> list[str]:
    return [call["effect"] for call in sim.journal() if call["effect"]]


def task(api: Api, path: str) -> dict[str, Any]:
    body: dict[str, Any] = api.get(path).json()
    return body


@pytest.mark.parametrize("base", [OLD, NEW])
def test_the_life_of_a_task(api: Api, sim: Simulator, base: str) -> None:
    created = api.post(f"{base}/process", json=api.v2_body())
    assert created.status_code == 201
    body = created.json()
    assert (body["status"], body["userAction"]) == ("CREATED", "NONE")
    assert (body["completionPercentage"], body["costPU"]) == (0, 0.0)
    assert len(body["created"]) == len("2025-08-14T14:30:46.716642Z")
    # What is not set is absent, never null.
    assert not {"error", "stoppedStatusReason", "userActionUpdated", "lastUpdated", "valueEstimate"} & set(body)
    path = f"{base}/process/{body['id']}"

    assert api.post(f"{path}/analyse").status_code == 204
    assert api.state(path) == ("CREATED", "ANALYSE")
    sim.step(60)
    assert api.state(path) == ("ANALYSIS_DONE", "ANALYSE")
    assert api.post(f"{path}/start").status_code == 204
    assert api.state(path) == ("ANALYSIS_DONE", "START")
    seen = []
    for _ in range(24):
        # More often than the ten seconds between the last tile and DONE.
        sim.step(7.5)
        seen.append(task(api, path))
    shares = [one["completionPercentage"] for one in seen]
    costs = [one["costPU"] for one in seen]
    assert shares == sorted(shares)
    assert costs == sorted(costs)
    assert any(0 < share < 100 for share in shares)
    assert any(0 < cost < 100 for cost in costs)
    assert any(one["completionPercentage"] == 100 and one["status"] == "PROCESSING" for one in seen), (
        "100 % is not DONE"
    )
    done = seen[-1]
    assert (done["status"], done["userAction"], done["completionPercentage"]) == ("DONE", "START", 100)
    assert done["costPU"] == 100, "the least a request costs"
    assert done["lastUpdated"] > done["userActionUpdated"] > done["created"]
    assert None not in done.values()
    assert effects(sim) == ["created", "analysis_started", "billed_start"]


def test_both_forms_of_the_path_reach_the_same_task(api: Api) -> None:
    number = api.create("v2").rpartition("/")[2]
    assert api.get(f"{OLD}/process/{number}").json() == api.get(f"{NEW}/process/{number}").json()
    assert api.get(f"/api/v1/batch/process/{number}").status_code == 404


def test_the_echo(api: Api) -> None:
    body = api.v2_body()
    body["processRequest"]["output"]["responses"].append(
        {"identifier": "userdata", "format": {"type": "application/json"}}
    )
    echo = api.post(f"{NEW}/process", json=body).json()["request"]
    storage = echo["output"]["delivery"]["s3"]
    assert storage == {"url": "s3://maps/ndvi", "accessKey": "*****", "secretAccessKey": "*****"}
    assert echo["instanceType"] == "normal"
    assert [response["logo"] for response in echo["processRequest"]["output"]["responses"]] == [False, False]
    chosen = echo["processRequest"]["input"]["data"][0]["dataFilter"]
    assert (chosen["mosaickingOrder"], chosen["maxCloudCoverage"]) == ("mostRecent", 100.0)
    defaults = {name: echo["output"][name] for name in ("overwrite", "skipExisting", "cogOutput", "createCollection")}
    assert set(defaults.values()) == {False}
    assert echo["description"] == "max NDVI"


def test_keys_are_nowhere(api: Api, sim: Simulator) -> None:
    path = api.create("v2")
    everything = [
        api.get(path).text,
        api.get(f"{NEW}/process").text,
        json.dumps(sim.journal()),
        json.dumps(sim.requests()),
    ]
    files = [file.read_text() for file in sim.bucket_dir.rglob("request-*.json")]
    assert files
    assert not any("hush" in text for text in everything + files)


def test_links_have_the_new_form_whichever_was_called(api: Api, sim: Simulator) -> None:
    for _ in range(3):
        api.create("v2")
    reply = api.get(f"{OLD}/process", params={"count": 2, "sort": "created:desc"}).json()
    assert reply["links"]["next"] == f"{sim.url}{NEW}/process?count=2&sort=created%3Adesc&viewtoken=2"
    rest = api.get(reply["links"]["next"]).json()
    assert len(rest["data"]) == 1
    assert "next" not in rest["links"]
    created = [one["created"] for one in reply["data"] + rest["data"]]
    assert created == sorted(created, reverse=True)


def test_search_is_ignored(api: Api) -> None:
    api.create("v2", description="alpha")
    assert len(api.get(f"{NEW}/process", params={"search": "beta"}).json()["data"]) == 1


def test_put_answers_the_request_and_not_the_task(api: Api, sim: Simulator) -> None:
    path = api.create("v2")
    reply = api.put(path, json={"description": "new words"})
    assert reply.status_code == 200
    assert "status" not in reply.json()
    assert reply.json()["description"] == "new words"
    assert task(api, path)["request"] == reply.json()
    assert api.put(path, json={"description": 5}).status_code == 400
    api.post(f"{path}/start")
    assert api.put(path, json={"description": "x"}).status_code == 409


def test_there_is_no_delete_and_no_cancel(api: Api) -> None:
    path = api.create("v2")
    reply = api.delete(path)
    assert reply.status_code == 405
    assert reply.json()["error"]["message"] == "HTTP 405 Method Not Allowed"
    assert api.get(f"{path}/start").status_code == 405
    for missing in ("cancel", "restartpartial", "tiles"):
        assert api.post(f"{path}/{missing}").status_code == 404


class TestStop:
    def test_straight_after_start(self, api: Api, sim: Simulator) -> None:
        path = api.create("v2")
        api.post(f"{path}/start")
        reply = api.post(f"{path}/stop")
        assert reply.status_code == 400
        assert reply.json() == {
            "error": {
                "status": 400,
                "reason": "Bad Request",
                "message": "Illegal to change userAction from START to STOP with task status CREATED",
                "code": "COMMON_BAD_PAYLOAD",
            }
        }
        # A moment later it is taken; the analysis completes first.
        sim.step(6)
        assert api.post(f"{path}/stop").status_code == 204
        assert api.state(path) == ("ANALYSING", "STOP")
        sim.step(60)
        assert api.state(path) == ("STOPPED", "STOP")
        assert task(api, path)["stoppedStatusReason"] == "USER_ACTION"
        assert task(api, path)["costPU"] == 0

    def test_while_processing_and_start_again(self, api: Api, sim: Simulator) -> None:
        path = api.create("v2")
        api.post(f"{path}/start")
        sim.step(60)
        api.post(f"{path}/stop")
        sim.step(120)
        stopped = task(api, path)
        assert stopped["status"] == "STOPPED"
        assert 0 < stopped["completionPercentage"] < 100
        reply = api.post(f"{path}/start")
        assert reply.status_code == 400
        assert "with task status STOPPED" in reply.json()["error"]["message"]
        sim.step(1800)
        assert api.post(f"{path}/start").status_code == 204
        sim.step(6)
        assert api.state(path) == ("ANALYSIS_DONE", "START")
        assert "stoppedStatusReason" not in task(api, path)
        sim.step(600)
        assert task(api, path)["completionPercentage"] == 100
        assert effects(sim) == ["created", "billed_start", "stopped", "billed_start"]

    def test_out_of_processing_units(self, api: Api, sim: Simulator) -> None:
        sim.settings(balance=1010, concurrency=2)
        first, second = api.create("v2"), api.create("v2")
        large = {"type": "tiling-grid", "id": 1, "resolution": 1}
        third = api.create("v2", input=large)
        api.post(f"{third}/start")
        sim.step(7200)
        body = task(api, third)
        assert (body["status"], body["stoppedStatusReason"]) == ("STOPPED", "OUT_OF_PU")
        assert body["userAction"] == "START"
        assert 1010 < body["costPU"] < 3000
        # Nothing is left, so nothing can be created.
        reply = api.post(f"{NEW}/process", json=api.v2_body())
        assert reply.status_code == 403
        assert "1000 processing units" in reply.json()["error"]["message"]
        assert api.state(first) == api.state(second) == ("CREATED", "NONE")

    def test_unhealthy(self, api: Api, sim: Simulator) -> None:
        path = api.create("v2")
        api.post(f"{path}/start")
        sim.step(60)
        sim.force(path.rpartition("/")[2], "STOPPED", reason="UNHEALTHY")
        assert task(api, path)["stoppedStatusReason"] == "UNHEALTHY"


def test_failed_features_do_not_show(api: Api, sim: Simulator) -> None:
    path = api.create("v2")
    sim.fault("fail_tiles", share=0.3)
    api.post(f"{path}/start")
    sim.step(3600)
    body = task(api, path)
    assert (body["status"], body["completionPercentage"]) == ("DONE", 100)
    assert "error" not in body


def test_analysis_that_ends_in_done(api: Api, sim: Simulator) -> None:
    sim.settings(done_out_of_analysis=True)
    path = api.create("v2")
    api.post(f"{path}/analyse")
    sim.step(60)
    body = task(api, path)
    assert (body["status"], body["userAction"], body["completionPercentage"]) == ("DONE", "ANALYSE", 100)
    assert body["costPU"] == 0
    assert api.post(f"{path}/start").status_code == 400


def test_analysis_that_fails(api: Api, sim: Simulator) -> None:
    body = api.v2_body()
    body["processRequest"]["evalscript"] = "//VERSION=3\nfunction setup() { return {;"
    path = f"{NEW}/process/{api.post(f'{NEW}/process', json=body).json()['id']}"
    api.post(f"{path}/start")
    sim.step(60)
    assert task(api, path)["status"] == "FAILED"
    assert "SyntaxError" in task(api, path)["error"]
    assert task(api, path)["costPU"] == 0


KEYS = {"url": "s3://maps/x", "accessKey": "a", "secretAccessKey": "b"}


def raster(**storage: Any) -> dict[str, Any]:
    return {"type": "raster", "delivery": {"s3": storage}}


@pytest.mark.parametrize(
    ("change", "parameter", "word"),
    [
        ({"description": None}, "description", "must not be null"),
        (
            {"output": {"type": "raster", "delivery": {"s3": {**KEYS, "region": None}}}},
            "output->delivery->s3->region",
            "null",
        ),
        ({"input": {"type": "tiling-grid", "id": 1}}, "input->resolution", "required"),
        ({"input": {"type": "tiling-grid", "id": 9, "resolution": 1}}, "input->id", "grid 9 does not exist"),
        ({"input": {"id": 1, "resolution": 10}}, "input->type", "required"),
        ({"input": {"type": "shapefile"}}, "input->type", "Unknown input type"),
        ({"output": {"type": "raster"}}, "output->delivery", "required"),
        ({"output": raster(url="s3://maps/x")}, "output->delivery->s3", "accessKey and secretAccessKey or iamRoleARN"),
        ({"output": raster(**KEYS, iamRoleARN="arn:x")}, "output->delivery->s3", "either"),
        ({"output": raster(**{**KEYS, "accessKey": ""})}, "output->delivery->s3", "Access to the bucket"),
        ({"output": raster(**{**KEYS, "url": "maps/x"})}, "output->delivery->s3->url", "s3://"),
        ({"output": raster(**{**KEYS, "url": "s3://maps/<tileId>"})}, "output->delivery", "must contain <tileName>"),
        ({"output": {**raster(**KEYS), "type": "png"}}, "output->type", "Unknown output type"),
        ({"output": {"type": "zarr", "delivery": {"s3": KEYS}}}, "output->group", "required"),
        ({"instanceType": "huge"}, "instanceType", "normal or large"),
        (
            {"input": {"type": "geopackage", "features": {"s3": KEYS}, "defaults": {"width": 10, "resolution": 10}}},
            "input->defaults",
            "not both",
        ),
        (
            {"input": {"type": "geopackage", "features": {"s3": KEYS}, "defaults": {"width": 4000, "height": 10}}},
            "input->defaults->width",
            "1 to 3500",
        ),
    ],
)
def test_wrong_tasks_get_a_list_of_violations(api: Api, change: dict[str, Any], parameter: str, word: str) -> None:
    reply = api.post(f"{NEW}/process", json={**api.v2_body(), **change})
    assert reply.status_code == 400
    errors = reply.json()["error"]["errors"]
    assert any(item["parameter"] == parameter and word in item["violation"] for item in errors), errors
    assert "hush" not in reply.text


@pytest.mark.parametrize(
    "delivery",
    [
        {"s3": {"url": "s3://maps/x", "iamRoleARN": "arn:aws:iam::1:role/x"}},
        {"s3": {**KEYS, "region": "eu-central-1"}},
        {"gs": {"url": "gs://maps/x", "credentials": "e30="}},
    ],
)
def test_ways_of_delivery(api: Api, delivery: dict[str, Any]) -> None:
    path = api.create("v2", output={"type": "raster", "delivery": delivery})
    shown = json.dumps(task(api, path)["request"]["output"])
    assert "e30=" not in shown
    assert "arn:aws" in shown if "iamRoleARN" in delivery.get("s3", {}) else "*****" in shown


def test_unknown_members_pass(api: Api) -> None:
    assert api.post(f"{NEW}/process", json={**api.v2_body(), "instance_type": "normal"}).status_code == 201


def test_zarr(api: Api) -> None:
    array = {"dtype": "<f4", "order": "C", "chunks": [1, 1000, 1000], "fill_value": 0}
    body = api.v2_body(
        input={"type": "tiling-grid", "id": 3, "resolution": 0.001},
        output={"type": "zarr", "delivery": {"s3": KEYS}, "group": {"zarr_format": 2}, "arrayParameters": array},
    )
    body["processRequest"]["output"]["responses"][0]["format"]["type"] = "zarr/array"
    assert api.post(f"{NEW}/process", json=body).status_code == 201
    # The member that the vendor's client sends by mistake does not count.
    body["output"]["arrayParameter"] = body["output"].pop("arrayParameters")
    reply = api.post(f"{NEW}/process", json=body)
    assert reply.status_code == 400
    assert "lacks dtype, chunks, order, fill_value" in reply.text


@pytest.mark.parametrize("name", ["sentinel2-l2a", "S2", "byoc-", ""])
def test_an_unknown_data_collection_is_refused(api: Api, sim: Simulator, name: str) -> None:
    for create, body in ((f"{OLD}/process", api.v2_body()), ("/api/v1/batch/process", api.v1_body())):
        body["processRequest"]["input"]["data"][0]["type"] = name
        refused = api.post(create, json=body)
        assert refused.status_code == 400
        (found,) = refused.json()["error"]["errors"]
        assert found["parameter"] == "processRequest->input->data->0->type"
        assert found["violation"] == f"Unknown data collection {name!r}."
    assert not effects(sim)


@pytest.mark.thorough
def test_the_cost_grows_each_billing_period(api: Api, sim: Simulator) -> None:
    """What is finished between two billings is charged at the next one, not at once (doc: from time to time)."""
    sim.settings(billing_period=30, concurrency=1, tile_seconds=4, action_lag=1)
    path = api.create("v2")
    api.post(f"{path}/start")
    while task(api, path)["status"] != "PROCESSING":
        sim.step(1)
    seen = []
    for _ in range(70):
        sim.step(1)
        seen.append(task(api, path))
    assert {one["status"] for one in seen} == {"PROCESSING"}
    costs = [one["costPU"] for one in seen]
    billed = [second for second in range(1, 70) if costs[second] != costs[second - 1]]
    assert len(billed) == 2
    assert billed[1] - billed[0] == 30
    assert len({one["completionPercentage"] for one in seen}) > 4


def test_a_page_has_no_more_than_the_limit(api: Api, sim: Simulator) -> None:
    sim.settings(page_size=2)
    for _ in range(3):
        api.create("v2")
    for asked in (2, 3, 1000):
        page = api.get(f"{NEW}/process", params={"count": asked}).json()
        assert len(page["data"]) == 2
        assert page["links"]["nextToken"] == "2"
