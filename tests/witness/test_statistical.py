"""The vendor's own client takes the simulator for batch statistical, and has the names that `hook.statistical` has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.statistical import StatisticalResults
from airflow_sentinelhub.simulator import Simulator
from tests.statistical.fields import GEOPACKAGE, NDVI, put_fields
from tests.witness.environments import run
from tests.witness.test_names import signature, takes_the_same

VERSION = "3.12.0"


class Told:
    """What the vendor's client said and found, and what the simulator knows about it."""

    def __init__(self, home: Path, bucket: Path) -> None:
        with Simulator(speed=0, bucket_dir=bucket) as simulator:
            put_fields(bucket)
            given = {"simulator": simulator.as_dict(), "evalscript": NDVI}
            self.said: dict[str, Any] = run(VERSION, "statistical_life.py", given, home)
            self.journal = [call for call in simulator.journal() if not call["path"].endswith("/token")]
            self.requests = {request["id"]: request for request in simulator.requests()}
        self.bucket = bucket

    @property
    def id(self) -> str:
        return str(self.said["whole job"]["id"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bucket"))


@pytest.mark.slow
def test_it_runs_a_whole_job(told: Told) -> None:
    said = told.said["whole job"]
    assert said["created"] == ["CREATED", "NONE", 0.0, 0.0]
    assert said["straight after the action"] == "ANALYSE"
    assert said["status"]["status"] == "CREATED"
    assert "userAction" not in said["status"]
    assert said["analysed"] == "ANALYSIS_DONE"
    assert said["done"] == ["DONE", 100.0, True]
    assert said["status at the end"]["costPU"] > 0
    effects = [call["effect"] for call in told.journal if call["request_id"] == told.id and call["effect"]]
    assert effects == ["created", "analysis_started", "billed_start"]


def test_keys_come_back_masked(told: Told) -> None:
    place = {"url": "s3://farm/statistics", "accessKey": "*****", "secretAccessKey": "*****"}
    assert told.said["whole job"]["echo"] == {"s3": place}


def test_a_done_request_of_the_vendors_client_holds_a_failed_feature(told: Told) -> None:
    reader = BucketReader(mount=str(told.bucket))
    results = StatisticalResults(told.id, "s3://farm/statistics", reader, GEOPACKAGE)
    assert {feature.identifier: feature.why for feature in results.failed()} == {"field-02": "FAILED"}
    assert len(list(results.features())) == 6


def test_jobs_that_end_otherwise(told: Told) -> None:
    said = told.said["ended jobs"]
    assert said["stopped"] == ["STOPPED", "USER_ACTION"]
    refused = "Illegal to change userAction from STOP to START with task status STOPPED"
    assert re.search(r"HTTPError:\n400 ", said["start again at once"]), said["start again at once"]
    assert refused in said["start again at once"]
    assert said["cancelled"] == "STOPPED"
    assert "Failed to evaluate script!" in said["broken evalscript"]
    assert "The GeoPackage s3://farm/none.gpkg does not exist." in said["no GeoPackage"]


def test_its_paths_are_those_of_the_older_form(told: Told) -> None:
    assert {call["path"].split("/batch")[0] for call in told.journal} == {"/api/v1/statistics"}
    assert {call["status"] for call in told.journal} <= {200, 201, 204, 400}


@pytest.mark.thorough
def test_methods_have_the_vendors_names_and_arguments(tmp_path: Path) -> None:
    name = "SentinelHubBatchStatistical"
    theirs = run(VERSION, "names.py", {"names": [name]}, tmp_path)[name]
    assert len(theirs) > 7
    lacking = {
        method: arguments
        for method, arguments in theirs.items()
        if not hasattr(SentinelHubBatchStatistical, method)
        or not takes_the_same(signature(getattr(SentinelHubBatchStatistical, method)), arguments)
    }
    assert lacking == {}
