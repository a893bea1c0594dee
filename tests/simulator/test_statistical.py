"""Batch statistical over a socket: its rules that differ from those of v2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.simulator.conftest import Api
from tests.statistical.fields import body, put_fields

BASE = "/statistics/batch/v1"
LAG = 100  # seconds, more than `statistical_lag`


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    bucket = tmp_path_factory.mktemp("bucket")
    put_fields(Path(bucket))
    with Simulator(speed=0, bucket_dir=bucket) as simulator:
        yield simulator


@pytest.fixture
def client(farm: Simulator) -> Iterator[Api]:
    farm.reset()
    api = Api(farm)
    yield api
    api.http.close()


def test_results_of_a_forgotten_request_are_not_those_of_a_new_one(tmp_path: Path) -> None:
    put_fields(tmp_path)
    given = []
    for _ in range(2):
        with Simulator(speed=0, bucket_dir=tmp_path) as simulator:
            api = Api(simulator)
            path = created(api)
            assert api.post(f"{path}/start").status_code == 204
            simulator.step(7200)
            assert shown(api, path)["status"] == "DONE"
            given.append(path)
            api.http.close()
    assert len(set(given)) == 2


def created(api: Api) -> str:
    reply = api.post(BASE, json=body())
    assert reply.status_code == 201, reply.text
    return f"{BASE}/{reply.json()['id']}"


def shown(api: Api, path: str) -> dict[str, Any]:
    """The status part, which says of the request what the whole says."""
    part: dict[str, Any] = api.get(f"{path}/status").json()
    whole = api.get(path).json()
    assert part == {name: whole[name] for name in part}
    assert set(whole) - set(part) <= {
        *("request", "userAction", "userActionUpdated", "domainAccountId", "projectId", "workspaceId"),
    }
    return part


def test_the_status_part_has_what_is_known_of_each_state(client: Api, farm: Simulator) -> None:
    path = created(client)
    farm.settings(concurrency=1, tile_seconds=300)
    always = {"id", "status", "completionPercentage", "costPU", "created"}
    assert set(shown(client, path)) == always
    client.post(f"{path}/start")
    farm.step(2 * LAG + 60)
    assert set(shown(client, path)) == always | {"lastUpdated"}
    client.post(f"{path}/stop")
    farm.step(LAG)
    stopped = shown(client, path)
    assert set(stopped) == always | {"lastUpdated", "stoppedStatusReason"}
    assert (stopped["status"], stopped["stoppedStatusReason"]) == ("STOPPED", "USER_ACTION")


def test_a_failed_analysis_says_why(client: Api, farm: Simulator) -> None:
    broken = body()
    broken["aggregation"]["evalscript"] = "//VERSION=3\nfunction setup("
    path = f"{BASE}/{client.post(BASE, json=broken).json()['id']}"
    client.post(f"{path}/analyse")
    farm.step(2 * LAG)
    failed = shown(client, path)
    assert failed["status"] == "FAILED"
    assert "evalscript" in failed["error"]


def test_there_is_no_least_cost(client: Api, farm: Simulator) -> None:
    """Six fields of 20 x 20 pixels, three intervals, two of three bands, at least a hundredth of a unit each."""
    path = created(client)
    client.post(f"{path}/start")
    farm.step(4 * 3600)
    done = shown(client, path)
    assert (done["status"], done["completionPercentage"]) == ("DONE", 100)
    assert done["costPU"] == pytest.approx(6 * 3 * 0.01 * 2 / 3)


@pytest.mark.parametrize("word", ["analyse", "start"])
def test_a_thousand_units_are_needed_for_each_step(client: Api, farm: Simulator, word: str) -> None:
    path = created(client)
    farm.settings(balance=999)
    refused = client.post(f"{path}/{word}")
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == (
        f"At least 1000 processing units are needed to {word} a batch statistical request."
    )
    assert client.post(BASE, json=body()).status_code == 403
    farm.settings(balance=1000)
    assert client.post(f"{path}/{word}").status_code == 204


def test_what_is_reserved_for_a_request_counts_for_it(client: Api, farm: Simulator) -> None:
    """A start that is repeated when the request itself has reserved what is lacking now is no want of units."""
    path = created(client)
    farm.settings(balance=1000)
    assert client.post(f"{path}/start").status_code == 204
    assert client.post(f"{path}/start").status_code == 204
