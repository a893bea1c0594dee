"""Batch v1 over a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sentinelhub.simulator import Simulator

if TYPE_CHECKING:
    from .conftest import Api

BASE = "/api/v1/batch"


def effects(sim: Simulator) -> list[str]:
    return [call["effect"] for call in sim.journal() if call["effect"]]


def partial(api: Api, sim: Simulator, share: float = 0.2) -> str:
    """Path of a PARTIAL request."""
    path = api.create("v1")
    sim.fault("fail_tiles", share=share)
    api.post(f"{path}/start")
    sim.step(3600)
    assert api.state(path)[0] == "PARTIAL"
    return path


def test_the_life_of_a_request(api: Api, sim: Simulator) -> None:
    created = api.post(f"{BASE}/process", json=api.v1_body())
    assert created.status_code == 201
    body = created.json()
    assert (body["status"], body["userAction"]) == ("CREATED", "NONE")
    assert body["userActionUpdated"] == body["created"]
    assert body["created"].endswith("Z")
    assert len(body["created"]) == len("2020-12-21T22:28:38.824Z")
    assert (body["tileWidthPx"], body["tileHeightPx"]) == (1000, 1000)
    assert "valueEstimate" not in body
    assert "error" not in body
    assert body["output"] == {
        "defaultTilePath": "s3://maps/ndvi",
        "overwrite": False,
        "skipExisting": False,
        "cogOutput": False,
        "createCollection": False,
        "collectionId": None,
    }
    path = f"{BASE}/process/{body['id']}"
    # Nothing is listed before analysis.
    assert "data" not in api.get(f"{path}/tiles").json()

    analyse = api.post(f"{path}/analyse", headers={"Content-Type": "application/json"})
    assert (analyse.status_code, analyse.content) == (204, b"")
    assert api.state(path) == ("CREATED", "ANALYSE")
    sim.step(6)
    assert api.state(path) == ("ANALYSING", "ANALYSE")
    sim.step(60)
    analysed = api.get(path).json()
    assert analysed["status"] == "ANALYSIS_DONE"
    # 1000 x 1000 pixels, two of three bands, 32 bit floats; before the discount.
    estimate = analysed["tileCount"] * 1_000_000 / 512**2 * 2 / 3 * 2
    assert analysed["valueEstimate"] == pytest.approx(estimate)
    assert set(api.statuses(path)) == {"PENDING"}
    assert len(api.statuses(path)) == analysed["tileCount"]

    assert api.post(f"{path}/start").status_code == 204
    assert api.state(path) == ("ANALYSIS_DONE", "START")
    sim.step(60)
    assert api.state(path)[0] == "PROCESSING"
    assert {"PROCESSING", "PENDING"} <= set(api.statuses(path))
    sim.step(3600)
    assert api.state(path) == ("DONE", "START")
    assert set(api.statuses(path)) == {"PROCESSED"}
    assert effects(sim) == ["created", "analysis_started", "billed_start"]
    summary = sim.requests()[0]
    assert summary["billed_starts"] == 1
    assert summary["cost"] == 100, "the least a request costs"
    costs = [tile["cost"] for tile in api.get(f"{path}/tiles").json()["data"]]
    assert sum(costs) == pytest.approx(estimate, rel=0.1)


def test_the_tile_count_changes_at_analysis(api: Api, sim: Simulator) -> None:
    counts = []
    for west in (8.5, 8.537, 8.61):
        body = api.v1_body()
        body["processRequest"]["input"]["bounds"]["bbox"] = [west, 41.5, west + 0.9, 42.9]
        path = f"{BASE}/process/{api.post(f'{BASE}/process', json=body).json()['id']}"
        before = api.get(path).json()["tileCount"]
        api.post(f"{path}/analyse")
        sim.step(60)
        counts.append((before, api.get(path).json()["tileCount"]))
    assert any(before != after for before, after in counts)


def test_actions_on_requests_that_do_not_exist(api: Api) -> None:
    for word in ("7b5fb2a0-4a3e-4a72-9f2c-1a1f2e3d4c5b", "not-a-uuid"):
        for method, path in [
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/analyse"),
            ("POST", "/start"),
            ("POST", "/cancel"),
            ("POST", "/restartpartial"),
            ("GET", "/tiles"),
            ("GET", "/tiles/1"),
        ]:
            reply = api.request(method, f"{BASE}/process/{word}{path}", json={})
            assert reply.status_code == 404
            assert reply.json() == {
                "error": {"status": 404, "reason": "Not Found", "message": "Not Found", "code": "COMMON_NOT_FOUND"}
            }


def test_a_task_of_v2_is_not_a_request_of_v1(api: Api) -> None:
    number = api.create("v2").rpartition("/")[2]
    assert api.get(f"{BASE}/process/{number}").status_code == 404


class TestTiles:
    @pytest.mark.thorough
    def test_pages_of_100_with_links(self, api: Api, sim: Simulator) -> None:
        body = api.v1_body()
        body["processRequest"]["input"]["bounds"]["bbox"] = [8.5, 41.4, 9.6, 43.0]
        path = f"{BASE}/process/{api.post(f'{BASE}/process', json=body).json()['id']}"
        api.post(f"{path}/analyse")
        sim.step(60)
        total = api.get(path).json()["tileCount"]
        assert total > 150
        first = api.get(f"{path}/tiles").json()
        assert len(first["data"]) == 100
        assert first["links"]["currentToken"] == "0"
        assert first["links"]["nextToken"] == "100"
        assert first["links"]["next"] == f"{sim.url}{path}/tiles?viewtoken=100"
        second = api.get(first["links"]["next"]).json()
        assert second["links"]["previous"].endswith("viewtoken=0")
        ids = [tile["id"] for tile in first["data"] + second["data"]]
        assert len(set(ids)) == len(ids) == min(total, 200)
        last = api.get(f"{path}/tiles", params={"viewtoken": total - 1, "count": 5}).json()
        assert len(last["data"]) == 1
        assert not {"next", "nextToken"} & set(last["links"])
        # More than the limit is cut to it.
        assert len(api.get(f"{path}/tiles", params={"count": 1000}).json()["data"]) == 100

    def test_by_status_and_one_by_one(self, api: Api, sim: Simulator) -> None:
        path = partial(api, sim)
        statuses = api.statuses(path)
        failed = api.get(f"{path}/tiles", params={"status": "FAILED", "count": 1}).json()
        assert len(failed["data"]) == 1
        assert "status=FAILED" in failed["links"]["next"]
        tile = failed["data"][0]
        assert tile["cost"] == 0.0
        assert api.get(f"{path}/tiles/{tile['id']}").json() == tile
        done = api.get(f"{path}/tiles", params={"status": "PROCESSED"}).json()["data"]
        assert len(done) == statuses.count("PROCESSED")
        assert all(item["cost"] > 0 for item in done)
        assert all(item["requestId"] == path.rpartition("/")[2] for item in done)
        assert api.get(f"{path}/tiles", params={"status": "QUEUED"}).json()["data"] == []
        assert api.get(f"{path}/tiles", params={"status": "DONE"}).status_code == 400
        for wrong in ("1", "x", "-1"):
            assert api.get(f"{path}/tiles/{wrong}").status_code == 404

    @pytest.mark.parametrize("query", ["count=0", "count=x", "count=-1", "viewtoken=x", "viewtoken=-5"])
    def test_nonsense_in_the_query(self, api: Api, query: str) -> None:
        assert api.get(f"{BASE}/process?{query}").status_code == 400

    def test_nothing_after_an_analysis_that_failed(self, api: Api, sim: Simulator) -> None:
        sim.settings(null_tiles_before_analysis=True)
        path = api.create("v1")
        assert api.get(f"{path}/tiles").json()["data"] is None
        sim.fault("fail_analysis", error="Invalid DEM instance: retteketet")
        api.post(f"{path}/analyse")
        sim.step(60)
        body = api.get(path).json()
        assert (body["status"], body["error"]) == ("FAILED", "Invalid DEM instance: retteketet")
        assert api.get(f"{path}/tiles").json()["data"] is None


class TestRestart:
    def test_of_a_partial_request(self, api: Api, sim: Simulator) -> None:
        path = partial(api, sim)
        assert api.get(path).json()["error"] == "Too many failed tiles"
        failed = api.statuses(path).count("FAILED")
        assert 0 < failed < len(api.statuses(path))
        assert api.post(f"{path}/restartpartial").status_code == 204
        assert api.state(path) == ("PARTIAL", "START")
        sim.step(6)
        assert api.state(path)[0] == "PROCESSING"
        sim.step(3600)
        assert api.state(path)[0] == "DONE"
        assert "error" not in api.get(path).json()
        assert set(api.statuses(path)) == {"PROCESSED"}
        assert effects(sim)[-1] == "restarted"
        assert sim.requests()[0]["billed_starts"] == 1

    def test_partial_again_when_the_fault_stays(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/analyse")
        sim.step(60)
        name = api.get(f"{path}/tiles").json()["data"][3]["name"]
        sim.fault("fail_tiles", names=[name], times=None)
        for action in ("start", "restartpartial", "restartpartial"):
            assert api.post(f"{path}/{action}").status_code == 204
            sim.step(3600)
            assert api.state(path)[0] == "PARTIAL"
            failed = api.get(f"{path}/tiles", params={"status": "FAILED"}).json()["data"]
            assert [tile["name"] for tile in failed] == [name]

    def test_of_a_request_that_became_done_by_itself(self, api: Api, sim: Simulator) -> None:
        path = partial(api, sim)
        sim.force(path.rpartition("/")[2], "DONE")
        reply = api.post(f"{path}/restartpartial")
        assert reply.status_code == 400
        assert reply.json()["error"]["message"] == "Only requests with status PARTIAL can be restarted."
        assert set(api.statuses(path)) == {"PROCESSED"}


class TestCancel:
    def test_it_takes_effect_later(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/start")
        sim.step(80)
        assert api.post(f"{path}/cancel").status_code == 204
        assert api.state(path) == ("PROCESSING", "CANCEL")
        sim.step(6)
        assert api.state(path) == ("CANCELED", "CANCEL")
        sim.step(600)
        assert set(api.statuses(path)) == {"PROCESSED", "PENDING"}
        assert effects(sim)[-1] == "cancelled"

    def test_it_is_never_refused(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/start")
        sim.step(3600)
        assert api.post(f"{path}/cancel").status_code == 204
        assert api.state(path) == ("DONE", "START")
        assert effects(sim)[-1] == "billed_start"


class TestDelete:
    def test_what_was_never_started(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        assert api.delete(path).status_code == 204
        assert api.get(path).status_code == 404
        assert api.get(f"{BASE}/process").json()["data"] == []
        assert effects(sim) == ["created", "deleted"]

    def test_after_analysis_and_failure(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/analyse")
        assert api.delete(path).status_code == 409, "asked for, though the status is still CREATED"
        sim.step(6)
        assert api.delete(path).status_code == 409, "being analysed"
        sim.step(60)
        assert api.delete(path).status_code == 204

    def test_running_and_processed_requests_stay(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/start")
        for _ in range(4):
            assert api.delete(path).status_code == 409
            sim.step(30)
        sim.step(3600)
        reply = api.delete(path)
        assert (reply.status_code, reply.json()["error"]["reason"]) == (409, "Conflict")

    def test_cancelled_before_any_tile_was_processed(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/start")
        sim.step(3)
        api.post(f"{path}/cancel")
        sim.step(60)
        assert api.delete(path).status_code == 204


class TestUpdate:
    def test_description(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        reply = api.put(path, json={"description": "new words"})
        assert reply.status_code == 200
        assert reply.json()["description"] == "new words"
        assert reply.json()["output"]["defaultTilePath"] == "s3://maps/ndvi"
        assert api.get(path).json() == reply.json()
        assert effects(sim) == ["created", "updated"]

    def test_not_while_it_is_processed_or_waits_to_be(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/start")
        for _ in range(4):
            assert api.put(path, json={"description": "x"}).status_code == 409
            sim.step(15)
        sim.step(3600)
        assert api.put(path, json={"description": "x"}).status_code == 200

    @pytest.mark.parametrize("body", [{"description": 5}, {"output": 5}, {"output": {"collectionId": []}}, []])
    def test_wrong_types(self, api: Api, body: Any) -> None:
        assert api.put(api.create("v1"), json=body).status_code == 400


class TestList:
    def test_search_sort_and_filters(self, api: Api, sim: Simulator) -> None:
        paths = []
        for words in ("alpha corsica", "beta corsica", "alpha sardinia"):
            paths.append(api.create("v1", description=words))
            sim.step(1)
        api.post(f"{paths[1]}/analyse")
        sim.step(60)

        def found(**query: Any) -> list[str]:
            return [item["description"] for item in api.get(f"{BASE}/process", params=query).json()["data"]]

        assert found(search="corsica") == ["alpha corsica", "beta corsica"]
        assert found(search="alpha&corsica") == ["alpha corsica"]
        assert found(search="beta|sardinia") == ["beta corsica", "alpha sardinia"]
        assert found(search="alpha&sardinia|beta") == ["beta corsica", "alpha sardinia"]
        assert found(search="malta") == []
        assert found(sort="created:desc", count=1) == ["alpha sardinia"]
        assert found(sort="created")[0] == "alpha corsica"
        assert found(sort="status")[0] == "beta corsica"
        assert found(sort="status:desc")[-1] == "beta corsica"
        assert api.get(f"{BASE}/process", params={"sort": "name"}).status_code == 400
        user = api.get(paths[0]).json()["userId"]
        assert len(found(userid=user)) == len(found(userId=user)) == 3
        assert found(userid="somebody-else") == []

    def test_pages_keep_the_query(self, api: Api) -> None:
        for _ in range(5):
            api.create("v1", description="page me")
        url, seen = f"{BASE}/process?search=page%26me&count=2", []
        while url:
            reply = api.get(url).json()
            assert len(reply["data"]) <= 2
            seen += [item["id"] for item in reply["data"]]
            url = reply["links"].get("next")
        assert len(set(seen)) == 5

    def test_v2_tasks_are_not_in_it(self, api: Api) -> None:
        api.create("v2")
        assert api.get(f"{BASE}/process").json()["data"] == []

    def test_old_requests_are_forgotten(self, api: Api, sim: Simulator) -> None:
        idle, done, fed = api.create("v1"), api.create("v1"), None
        number = api.post(f"{BASE}/collections", json={"name": "c", "s3Bucket": "maps"}).json()["data"]["id"]
        output = {"defaultTilePath": "s3://maps/b", "cogOutput": True, "collectionId": number}
        fed = api.create("v1", output=output)
        cancelled = api.create("v1")
        for path in (done, fed):
            api.post(f"{path}/start")
        api.post(f"{cancelled}/cancel")
        sim.step(20 * 86400)
        api.login()
        assert api.get(idle).status_code == 200
        sim.step(20 * 86400)
        api.login()
        assert [api.get(path).status_code for path in (idle, done, fed, cancelled)] == [404, 404, 200, 200]
        assert len(api.get(f"{BASE}/process").json()["data"]) == 2


class TestGrids:
    @pytest.mark.parametrize("base", ["/api/v1/batch", "/api/v2/batch", "/batch/v2"])
    def test_all_six_on_one_page(self, api: Api, base: str) -> None:
        for slash in ("", "/"):
            reply = api.get(f"{base}/tilinggrids{slash}").json()
            assert [grid["id"] for grid in reply["data"]] == [0, 1, 2, 3, 6, 7]
            assert set(reply["links"]) == {"currentToken", "@id"}
        # As it was seen in 2026.
        assert reply["data"][0] == {
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
        assert api.get(f"{base}/tilinggrids/3").json()["properties"]["unit"] == "DEGREE"
        for wrong in ("4", "x"):
            assert api.get(f"{base}/tilinggrids/{wrong}").status_code == 400


class TestCollections:
    PATH = f"{BASE}/collections"

    def new(self, api: Api, name: str = "ndvi-2020") -> str:
        reply = api.post(self.PATH, json={"name": name, "s3Bucket": "maps"})
        assert reply.status_code == 201
        return str(reply.json()["data"]["id"])

    def test_life(self, api: Api, sim: Simulator) -> None:
        number = self.new(api)
        assert api.put(f"{self.PATH}/{number}", json={"name": "renamed"}).status_code == 204
        assert api.get(f"{self.PATH}/{number}").json()["data"]["name"] == "renamed"
        assert [item["name"] for item in api.get(self.PATH, params={"search": "named"}).json()["data"]] == ["renamed"]
        assert api.get(self.PATH, params={"search": "other"}).json()["data"] == []
        sim.settings(wrap_collections=False)
        assert api.get(f"{self.PATH}/{number}").json()["s3Bucket"] == "maps"
        assert api.delete(f"{self.PATH}/{number}").status_code == 204
        assert api.get(f"{self.PATH}/{number}").status_code == 404
        assert api.get(self.PATH).json()["data"] == []

    @pytest.mark.parametrize("body", [{}, {"name": "x"}, {"s3Bucket": "maps"}, {"name": "", "s3Bucket": "maps"}])
    def test_name_and_bucket_are_required(self, api: Api, body: dict[str, str]) -> None:
        reply = api.post(self.PATH, json=body)
        assert reply.status_code == 400
        assert "is required" in reply.json()["error"]["message"]

    def test_a_band_has_the_sample_type_of_its_output(self, api: Api) -> None:
        number, body = self.new(api), api.v1_body()
        told = '[{id: "a", bands: 1, sampleType: "UINT16"}, {id: "b", bands: 1, sampleType: "FLOAT32"}]'
        request = body["processRequest"]
        request["evalscript"] = request["evalscript"].replace('{bands: 1, sampleType: "FLOAT32"}', told)
        tiff = {"type": "image/tiff"}
        request["output"]["responses"] = [{"identifier": name, "format": tiff} for name in ("a", "b")]
        output = {"defaultTilePath": "s3://maps/x/<tileName>/<outputId>", "cogOutput": True, "collectionId": number}
        api.create("v1", processRequest=request, output=output)
        bands = api.get(f"{self.PATH}/{number}").json()["data"]["additionalData"]["bands"]
        assert bands == {
            "a": {"bitDepth": 16, "sampleFormat": "UINT"},
            "b": {"bitDepth": 32, "sampleFormat": "FLOAT"},
        }

    def test_linking_initialises_it_and_protects_it(self, api: Api, sim: Simulator) -> None:
        number = self.new(api)
        assert "batchData" not in api.get(f"{self.PATH}/{number}").json()["data"]
        path = api.create("v1", output={"defaultTilePath": "s3://maps/x", "cogOutput": True})
        assert api.put(path, json={"output": {"collectionId": number}}).json()["output"]["collectionId"] == number
        collection = api.get(f"{self.PATH}/{number}").json()["data"]
        assert collection["batchData"] == {"tilingGridId": 1}
        assert collection["additionalData"] == {"bands": {"default": {"bitDepth": 32, "sampleFormat": "FLOAT"}}}
        assert [item["id"] for item in api.get(f"{BASE}/process", params={"collectionId": number}).json()["data"]] == [
            path.rpartition("/")[2]
        ]
        assert api.delete(f"{self.PATH}/{number}").status_code == 409
        # Another grid does not fit any more.
        other = api.create("v1", tilingGrid={"id": 0, "resolution": 10})
        assert api.put(other, json={"output": {"collectionId": number}}).status_code == 400
        # Without collectionId the collection is unlinked; without output nothing changes.
        assert api.put(path, json={"description": "x"}).json()["output"]["collectionId"] == number
        assert api.put(path, json={"output": {}}).json()["output"]["collectionId"] is None
        assert api.delete(f"{self.PATH}/{number}").status_code == 204

    def test_only_cancelled_and_failed_requests_let_it_go(self, api: Api, sim: Simulator) -> None:
        number = self.new(api)
        output = {"defaultTilePath": "s3://maps/x", "cogOutput": True, "collectionId": number}
        path = api.create("v1", output=output)
        api.post(f"{path}/cancel")
        assert api.delete(f"{self.PATH}/{number}").status_code == 409
        sim.step(10)
        assert api.delete(f"{self.PATH}/{number}").status_code == 204

    def test_a_request_can_make_one(self, api: Api) -> None:
        output = {"defaultTilePath": "s3://maps/x", "cogOutput": True, "createCollection": True}
        path = api.create("v1", output=output, description="mine")
        number = api.get(path).json()["output"]["collectionId"]
        collection = api.get(f"{self.PATH}/{number}").json()["data"]
        assert (collection["name"], collection["s3Bucket"]) == ("mine", "maps")

    def test_one_that_does_not_exist(self, api: Api) -> None:
        missing = "7b5fb2a0-4a3e-4a72-9f2c-1a1f2e3d4c5b"
        output = {"defaultTilePath": "s3://maps/x", "cogOutput": True, "collectionId": missing}
        reply = api.post(f"{BASE}/process", json=api.v1_body(output=output))
        assert reply.status_code == 400
        assert reply.json()["error"]["errors"][0]["parameter"] == "output->collectionId"


def test_the_request_lies_in_the_bucket(api: Api, sim: Simulator) -> None:
    number = api.create("v1", output={"defaultTilePath": "s3://maps/a/<tileName>/<outputId>.<format>"}).rpartition("/")[
        2
    ]
    written = json.loads((sim.bucket_dir / "maps" / "a" / f"request-{number}.json").read_text())
    assert written["id"] == number
    other = api.post(f"{BASE}/process", json={**without(api.v1_body(), "output"), "bucketName": "plain"}).json()
    assert (sim.bucket_dir / "plain" / other["id"] / f"request-{other['id']}.json").exists()


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "parameter", "word"),
    [
        ({"processRequest": None}, "processRequest", "required"),
        ({"processRequest": {"evalscript": "x"}}, "processRequest->input", "required"),
        ({"processRequest": []}, "processRequest", "wrong type"),
        ({"tilingGrid": None}, "tilingGrid->id", "required"),
        ({"tilingGrid": {"id": 4, "resolution": 10}}, "tilingGrid->id", "grid 4 does not exist"),
        ({"tilingGrid": {"id": 1, "resolution": 30}}, "tilingGrid->resolution", "only 1, 1.4999, 10, 20"),
        ({"tilingGrid": {"id": "1", "resolution": 10}}, "tilingGrid->id", "wrong type"),
        ({"tilingGrid": {"id": 1, "resolution": 10, "bufferX": -1}}, "tilingGrid->bufferX", "whole number"),
        ({"output": None}, "output", "One of output, bucketName and zarrOutput"),
        ({"output": {}}, "output->defaultTilePath", "required"),
        ({"output": {"defaultTilePath": "/maps"}}, "output->defaultTilePath", "s3://"),
        ({"output": {"defaultTilePath": "s3://maps/<name>"}}, "output->defaultTilePath", "Unknown placeholder <name>"),
        ({"output": {"defaultTilePath": "s3://maps/<requestId>.tif"}}, "output->defaultTilePath", "must contain"),
        ({"output": {"defaultTilePath": "s3://maps/x", "overwrite": "yes"}}, "output->overwrite", "wrong type"),
        (
            {"output": {"defaultTilePath": "s3://maps/x", "createCollection": True}},
            "output->cogOutput",
            "needs cogOutput",
        ),
        ({"bucketName": "maps"}, "bucketName", "cannot be given together"),
        (
            {"zarrOutput": {"path": "s3://maps/z", "group": {"zarr_format": 2}}},
            "zarrOutput",
            "cannot be given together",
        ),
        ({"description": 7}, "description", "wrong type"),
    ],
)
def test_wrong_requests_get_a_list_of_violations(api: Api, change: dict[str, Any], parameter: str, word: str) -> None:
    reply = api.post(f"{BASE}/process", json={**api.v1_body(), **change})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["status"], error["reason"], error["code"]) == (400, "Bad Request", "COMMON_BAD_PAYLOAD")
    assert any(item["parameter"] == parameter and word in item["violation"] for item in error["errors"]), error
    assert error["message"] == "".join(f"{item['violation']}\n" for item in error["errors"])
    assert api.get(f"{BASE}/process").json()["data"] == []


@pytest.mark.parametrize(
    ("where", "value", "parameter"),
    [
        (["input", "bounds"], {}, "processRequest->input->bounds"),
        (["input", "bounds", "bbox"], [1, 2], "processRequest->input->bounds->bbox"),
        (["input", "data"], [], "processRequest->input->data"),
        (["input", "data"], ["S2"], "processRequest->input->data->0->type"),
        (
            ["input", "data", 0, "dataFilter", "timeRange", "from"],
            "2019-04-01",
            "processRequest->input->data->0->dataFilter->timeRange",
        ),
        (
            ["input", "data", 0, "dataFilter", "timeRange", "from"],
            "2020-04-01T00:00:00Z",
            "processRequest->input->data->0->dataFilter->timeRange",
        ),
        (
            ["input", "data", 0, "dataFilter", "maxCloudCoverage"],
            101,
            "processRequest->input->data->0->dataFilter->maxCloudCoverage",
        ),
        (["evalscript"], " ", "processRequest->evalscript"),
        (["output", "width"], 512, "processRequest->output->width"),
        (["output", "resx"], 10, "processRequest->output->resx"),
        (["output", "responses", 0, "format"], "image/tiff", "processRequest->output->responses->0->format"),
        (
            ["output", "responses", 0, "format", "type"],
            "image/gif",
            "processRequest->output->responses->0->format->type",
        ),
    ],
)
def test_wrong_process_requests(api: Api, where: list[Any], value: Any, parameter: str) -> None:
    body = api.v1_body()
    place = body["processRequest"]
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    reply = api.post(f"{BASE}/process", json=body)
    assert reply.status_code == 400
    assert parameter in [item["parameter"] for item in reply.json()["error"]["errors"]]


def test_bodies_that_are_none(api: Api) -> None:
    empty = api.post(f"{BASE}/process", content=b"")
    assert empty.status_code == 400
    assert empty.json()["error"]["message"] == "Request body should be non-empty."
    for content in (b"{", b"[]", b"null", b'{"description": NaN}'):
        assert api.post(f"{BASE}/process", content=content).status_code == 400
    assert api.post(f"{BASE}/process", content=b"<x/>", headers={"Content-Type": "text/xml"}).status_code == 415


def test_nulls_are_missing_members_in_v1(api: Api) -> None:
    path = api.create("v1", bucketName=None, zarrOutput=None)
    assert "bucketName" not in api.get(path).json()


def test_the_deprecated_twins_of_the_tiling_grid(api: Api) -> None:
    body = {**without(api.v1_body(), "tilingGrid"), "tilingGridId": 1, "resolution": 20}
    assert api.post(f"{BASE}/process", json=body).json()["tilingGrid"] == {"id": 1, "resolution": 20}


def test_zarr(api: Api, sim: Simulator) -> None:
    zarr = {
        "path": "s3://maps/zarr/<requestId>",
        "group": {"zarr_format": 2},
        "arrayParameters": {"dtype": "<f4", "order": "C", "chunks": [1, 1000, 1000], "fill_value": 0},
    }
    body = {**without(api.v1_body(), "output"), "zarrOutput": zarr, "tilingGrid": {"id": 6, "resolution": 50}}
    body["processRequest"]["output"]["responses"][0]["format"]["type"] = "zarr/array"
    reply = api.post(f"{BASE}/process", json=body)
    assert reply.status_code == 201, reply.text
    for wrong in ([1, 999, 1000], [1, 1000, 999], [2, 1000, 1000], [1, 0, 1000], [1000, 1000], [1, 1000, "1000"]):
        zarr["arrayParameters"]["chunks"] = wrong
        assert "dividing the tile" in api.post(f"{BASE}/process", json=body).text
    zarr["arrayParameters"]["chunks"] = [1, 1000, 1000]
    assert (
        "WGS84 and LAEA" in api.post(f"{BASE}/process", json={**body, "tilingGrid": {"id": 1, "resolution": 10}}).text
    )


def test_multipart(api: Api) -> None:
    body = api.v1_body()
    script = body["processRequest"].pop("evalscript")
    for base, request in ((f"{BASE}/process", body), ("/batch/v2/process", {**api.v2_body()})):
        request["processRequest"].pop("evalscript", None)
        reply = api.post(base, files={"request": (None, json.dumps(request)), "evalscript": (None, script)})
        assert reply.status_code == 201, reply.text
        shown = reply.json().get("request", reply.json())
        assert shown["processRequest"]["evalscript"].strip() == script.strip()


def test_a_geometry_comes_back_with_a_urn(api: Api) -> None:
    body = api.v1_body()
    ring = [[9, 42], [9.1, 42], [9.1, 42.1], [9, 42]]
    body["processRequest"]["input"]["bounds"] = {"geometry": {"type": "Polygon", "coordinates": [ring]}}
    shown = api.post(f"{BASE}/process", json=body).json()["processRequest"]["input"]["bounds"]["geometry"]
    assert shown["crs"] == {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC::CRS84"}}
    assert shown["coordinates"] == [ring]


def test_existing_outputs(api: Api, sim: Simulator) -> None:
    template = "s3://maps/here/<tileName>/<outputId>.<format>"
    path = api.create("v1", output={"defaultTilePath": template})
    api.post(f"{path}/analyse")
    sim.step(60)
    tiles = [tile["name"] for tile in api.get(f"{path}/tiles").json()["data"]]
    for name in tiles[:5]:
        file = sim.bucket_dir / "maps" / "here" / name / "default.tif"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"II*")
    refused = api.create("v1", output={"defaultTilePath": template})
    skipping = api.create("v1", output={"defaultTilePath": template, "skipExisting": True})
    writing = api.create("v1", output={"defaultTilePath": template, "overwrite": True})
    for request in (refused, skipping, writing):
        api.post(f"{request}/start")
    sim.step(3600)
    assert api.get(refused).json()["error"].startswith("Output already exists: s3://maps/here/")
    costs = [tile["cost"] for tile in api.get(f"{skipping}/tiles").json()["data"]]
    assert [cost == 0 for cost in costs[:6]] == [True] * 5 + [False]
    assert all(tile["cost"] > 0 for tile in api.get(f"{writing}/tiles").json()["data"])
