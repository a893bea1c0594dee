"""Requests that the service forgets for want of activity."""

from __future__ import annotations

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.statistical.fields import body, put_fields

from .conftest import Api

DAY = 86400.0
BASE = "/statistics/batch/v1"


@pytest.fixture
def statistical(api: Api, sim: Simulator) -> str:
    """Path of a new statistical request."""
    put_fields(sim.bucket_dir)
    reply = api.post(BASE, json=body())
    assert reply.status_code == 201, reply.text
    return f"{BASE}/{reply.json()['id']}"


def is_there(api: Api, path: str) -> bool:
    """Whether the request is known by its id, by its status and in the list; all three say the same."""
    number = path.rsplit("/", 1)[1]
    found = {
        api.get(path).status_code == 200,
        api.get(f"{path}/status").status_code == 200,
        number in [item["id"] for item in api.get(BASE).json()["data"]],
    }
    assert len(found) == 1
    return found.pop()


def stands(api: Api, sim: Simulator, path: str, days: float) -> bool:
    """Whether the request is still there shortly before so many days, and gone shortly after."""
    sim.step(days * DAY - 3600)
    before = is_there(api, path)
    sim.step(7200)
    return before and not is_there(api, path)


def test_a_statistical_request_that_is_only_created_is_removed_after_7_days(
    api: Api, sim: Simulator, statistical: str
) -> None:
    assert stands(api, sim, statistical, 7)
    for verb in ("analyse", "start", "stop"):
        assert api.post(f"{statistical}/{verb}").status_code == 404


def test_a_failed_one_after_15_days(api: Api, sim: Simulator, statistical: str) -> None:
    sim.fault("fail_analysis")
    api.post(f"{statistical}/analyse")
    sim.step(120)
    assert api.state(statistical)[0] == "FAILED"
    assert stands(api, sim, statistical, 15)


@pytest.mark.parametrize("ending", ["ANALYSIS_DONE", "DONE", "STOPPED"])
def test_all_others_after_30_days_without_activity(api: Api, sim: Simulator, statistical: str, ending: str) -> None:
    api.post(f"{statistical}/{'analyse' if ending == 'ANALYSIS_DONE' else 'start'}")
    sim.step(120)
    if ending == "STOPPED":
        api.post(f"{statistical}/stop")
    sim.step(600)
    assert api.state(statistical)[0] == ending
    assert stands(api, sim, statistical, 30)


def test_an_action_counts_as_activity(api: Api, sim: Simulator, statistical: str) -> None:
    sim.step(6 * DAY)
    api.post(f"{statistical}/analyse")
    sim.step(6 * DAY)
    assert is_there(api, statistical)
    api.post(f"{statistical}/start")
    sim.step(29 * DAY)
    assert is_there(api, statistical)


def test_how_long_is_a_matter_of_settings(api: Api, sim: Simulator, statistical: str) -> None:
    sim.settings(statistical_retention_created_days=1)
    assert stands(api, sim, statistical, 1)


def test_a_task_of_v2_is_kept_since_its_retention_is_not_known(api: Api, sim: Simulator) -> None:
    path = api.create("v2")
    sim.step(1000 * DAY)
    assert api.get(path).status_code == 200
