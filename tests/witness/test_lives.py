"""The vendor's own clients take the simulator for Sentinel Hub: the whole life of jobs of both generations."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.witness.environments import run

pytestmark = pytest.mark.thorough

V1, V2 = "3.11.1", "3.12.0"
GRIDS = [0, 1, 2, 3, 6, 7]


class Told:
    """What the vendor's client said and found, and what the simulator knows about it."""

    def __init__(self, version: str, program: str, home: Path) -> None:
        # Small pages, so that every list has several; frozen, so that time passes only where the program lets it.
        with Simulator(speed=0, page_size=10) as simulator:
            self.said: dict[str, Any] = run(version, program, {"simulator": simulator.as_dict()}, home)
            self.journal = [call for call in simulator.journal() if not call["path"].endswith("/token")]
            self.tokens = len(simulator.journal()) - len(self.journal)
            self.requests = {request["description"]: request for request in simulator.requests()}

    def effects(self, request_id: str) -> list[str]:
        return [call["effect"] for call in self.journal if call["request_id"] == request_id and call["effect"]]

    def answered(self, request_id: str) -> set[tuple[str, int]]:
        """Method and status of every call about a request that was refused."""
        calls = [call for call in self.journal if call["request_id"] == request_id]
        return {(call["method"], call["status"]) for call in calls if call["status"] >= 400}


@pytest.fixture(scope="module")
def v1(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(V1, "v1_life.py", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(V2, "v2_life.py", tmp_path_factory.mktemp("home"))


def refused(told: str, status: int, message: str) -> None:
    """The vendor's client failed with this status, and shows the service's words."""
    assert told.startswith("DownloadFailedException"), told
    assert re.search(rf"HTTPError:\n{status} ", told), told
    assert f'"message": "{message}' in told, told


# v1


@pytest.mark.slow
def test_v1_runs_a_whole_job_through_partial_to_done(v1: Told) -> None:
    said = v1.said["whole job"]
    assert said["created"] == ["CREATED", "NONE", 15, None]
    assert said["area"] == [[8.9, 41.9, 9.2, 42.2], "4326", None]
    assert said["straight after the action"] == ["CREATED", "ANALYSE"]
    assert said["analysed"] == ["ANALYSIS_DONE", True, 15]
    assert said["monitored"] == {"PROCESSED": 12, "FAILED": 3}
    assert said["partial"] == ["PARTIAL", "Too many failed tiles"]
    assert said["restarted"] == {"PROCESSED": 15}
    assert said["done"] == "DONE"
    # The monitor went round its loop, at the least pace it allows.
    assert 60 in said["slept"]

    request = v1.requests["the whole job"]
    assert v1.effects(said["id"]) == ["created", "analysis_started", "billed_start", "restarted"]
    assert (request["status"], request["billed_starts"], request["restarts"]) == ("DONE", 1, 1)
    assert v1.answered(said["id"]) == {("POST", 400), ("DELETE", 409)}


def test_v1_tiles(v1: Told) -> None:
    said = v1.said["whole job"]
    assert said["tiles before analysis"].startswith(
        "MissingDataInRequestException: No tiles found, please run analysis"
    )
    assert said["tiles after analysis"] == {"PENDING": 15}
    assert len(said["failed"]) == 3
    assert said["failed by word"] == said["failed"]
    assert said["one tile is as listed"]
    kinds = {"id": "int", "requestId": "str", "name": "str", "status": "str", "cost": "float"}
    assert said["tile"] == {**kinds, "geometry": "dict", "origin": "dict"}
    # 15 tiles on pages of 10: the second page was asked for with the token of the first.
    queries = [call["query"] for call in v1.journal if call["path"].endswith(f"{said['id']}/tiles")]
    assert "viewtoken=10" in queries


def test_v1_refuses_as_the_client_expects(v1: Told) -> None:
    job, ended, collections = v1.said["whole job"], v1.said["ended jobs"], v1.said["collections"]
    for told in (job["restart too early"], job["restart a DONE"]):
        refused(told, 400, "Only requests with status PARTIAL can be restarted.")
    for told in (job["delete a PARTIAL"], ended["update at work"], ended["delete at work"], collections["in use"]):
        refused(told, 409, "")
    for told in (ended["deleted"], collections["deleted"]):
        refused(told, 404, "Not Found")
    assert v1.said["none yet"] == "ValueError: No batch request is available"


def test_v1_jobs_that_end_otherwise(v1: Told) -> None:
    said = v1.said["ended jobs"]
    assert said["cancelled at work"] == "CANCELED"
    assert said["cancelled while"] == "ANALYSING"
    assert (said["completes"], said["cancelled in analysis"]) == ("ANALYSIS_DONE", "CANCELED")
    assert 'with status FAILED and error message: "Failed to evaluate script!' in said["broken evalscript"]
    assert said["updated"] == "to be deleted"
    assert said["delete"] == ""
    found = {name: (request["status"], request["deleted"]) for name, request in v1.requests.items()}
    assert found["cancelled at work"] == found["cancelled in analysis"] == ("CANCELED", False)
    assert found["to be deleted"] == ("FAILED", True)
    assert v1.requests["cancelled in analysis"]["billed_starts"] == 0


def test_v1_lists(v1: Told) -> None:
    said = v1.said["lists"]
    newest_first = ["cancelled in analysis", "cancelled at work", "the whole job"]
    assert said["latest"] == newest_first[0]
    assert said["newest first"] == newest_first
    assert said["search"] == ["cancelled at work", "cancelled in analysis"]
    assert said["both words"] == ["cancelled at work"]
    assert said["either word"] == 2
    assert said["by status"] == ["CANCELED", "CANCELED", "DONE"]
    assert (said["mine"], said["somebody's"], said["page by page"], said["final"]) == (3, 0, 3, 1)
    assert v1.said["grids"] == {"ids": GRIDS, "one is as listed": True}


def test_v1_collections(v1: Told) -> None:
    said = v1.said["collections"]
    assert said["created"] == {"name": "ndvi", "s3Bucket": "maps"}
    assert said["updated"] == "max ndvi"
    assert said["found"] == ["max ndvi"]
    assert said["requests"] == 1
    assert said["filled by its request"] == [{"tilingGridId": 1}, ["default"]]
    assert said["delete"] == ""
    about = [call for call in v1.journal if "/collections" in call["path"]]
    assert [call["effect"] for call in about if call["effect"]] == ["created", "updated", "deleted"]


# v2


@pytest.mark.slow
def test_v2_runs_a_whole_task(v2: Told) -> None:
    said = v2.said["whole task"]
    assert said["created"] == ["CREATED", "NONE", 0.0, 0.0]
    assert said["straight after the action"] == ["CREATED", "ANALYSE"]
    assert said["analysed"] == "ANALYSIS_DONE"
    assert said["done"] == ["DONE", 100.0, True, True]
    assert 60 in said["slept"]
    assert v2.effects(said["id"]) == ["created", "analysis_started", "billed_start"]
    refused(said["start a DONE"], 400, "Illegal to change userAction from START to START with task status DONE")


def test_v2_echoes_the_request_with_its_keys_masked(v2: Told) -> None:
    echo = v2.said["whole task"]["echo"]
    assert echo["input"] == {"type": "tiling-grid", "id": 1, "resolution": 10, "bufferX": 2, "bufferY": 2}
    assert echo["instanceType"] == "normal"
    place = {"url": "s3://maps/ndvi", "accessKey": "*****", "secretAccessKey": "*****", "region": "eu-central-1"}
    assert echo["output"]["delivery"] == {"s3": place}
    # Defaults that were not sent come back too.
    assert (echo["output"]["cogOutput"], echo["output"]["createCollection"]) == (True, False)


def test_v2_tasks_that_end_otherwise(v2: Told) -> None:
    said = v2.said["ended tasks"]
    refused(said["stop too early"], 400, "Illegal to change userAction from START to STOP with task status CREATED")
    refused(said["update at work"], 409, "")
    assert said["stopped"] == ["STOPPED", "USER_ACTION", True]
    refused(
        said["start again at once"], 400, "Illegal to change userAction from STOP to START with task status STOPPED"
    )
    assert said["started again"] == "DONE"
    assert v2.requests["stopped at work"]["billed_starts"] == 2
    assert 'with status FAILED and error message: "Failed to evaluate script!' in said["broken evalscript"]
    assert said["answer to an update"] == ["description", "input", "instanceType", "output", "processRequest"]
    assert said["updated"] == "broken"
    assert said["out of analysis"] == ["DONE", "ANALYSE", 100.0, 0.0]
    assert v2.requests["nothing to do"]["billed_starts"] == 0


def test_v2_lists(v2: Told) -> None:
    said = v2.said["lists"]
    assert said["newest first"] == ["nothing to do", "broken", "stopped at work", "the whole task"]
    assert Counter(said["by status"]) == {"DONE": 3, "FAILED": 1}
    assert said["by status"] == sorted(said["by status"])
    assert said["page by page"] == 4
    assert v2.said["none yet"] == []
    assert v2.said["grids"] == {"ids": GRIDS, "one is as listed": True}
    # Links have the newer form of the paths; this client calls the older one and reads tokens alone.
    assert {call["path"].rsplit("/process", 1)[0] for call in v2.journal if "/process" in call["path"]} == {
        "/api/v2/batch"
    }


# Both


@pytest.mark.parametrize("told", ["v1", "v2"])
def test_it_reads_retry_after_as_milliseconds(told: str, request: pytest.FixtureRequest) -> None:
    life: Told = request.getfixturevalue(told)
    assert 0.35 < life.said["rate limited"]["seconds"] < 10
    assert [call["status"] for call in life.journal[-2:]] == [429, 200]


@pytest.mark.parametrize("told", ["v1", "v2"])
def test_it_never_met_anything_unexpected(told: str, request: pytest.FixtureRequest) -> None:
    """One token for all calls, and no refusal but those asked for."""
    life: Told = request.getfixturevalue(told)
    assert life.tokens == 1
    assert {call["status"] for call in life.journal} <= {200, 201, 204, 400, 404, 409, 429}
    assert len(life.journal) > 50


def test_our_create_takes_the_vendors_request(tmp_path: Path) -> None:
    with Simulator(speed=0) as simulator:
        said = run(V1, "ours_beside_it.py", {"simulator": simulator.as_dict()}, tmp_path)
    assert said["theirs"]["input"]["bounds"]["bbox"] == [8.9, 41.9, 9.2, 42.2]
    assert said["v1"]["processRequest"] == said["v2"]["processRequest"] == said["theirs"]
    assert said["v1"]["tilingGrid"] == {"id": 1, "resolution": 10}
    assert said["v2"]["output"]["delivery"]["s3"]["iamRoleARN"] == "arn:aws:iam::1:role/m"
    # theirs first: the vendor's __eq__ says False for whatever is not of its own class
    no = {"other edges", "other CRS", "other geometry", "geometry in another CRS", "a box is no geometry"}
    areas = dict(said["areas"])
    assert areas.pop("theirs first") == [False, False]
    assert areas.pop("crs") == [True, True, False, True]
    assert areas.pop("crs not equal") == [False, True]
    assert areas == {name: name not in no for name in areas}
    sent, told, looked_up, equal = said["statuses"]
    assert sent == {"status": "FAILED"}
    assert told == "Batch request a is FAILED."
    assert looked_up == "found"
    assert equal == [True, True, True, False, False]
    assert said["collection"] == [True, "7c3d1a9e-2f4b-4b0e-8c1d-5e6f7a8b9c44", ["B1", "B2"]]
