"""What the service does by itself, without a fault being ordered: the races and surprises seen in production."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.__main__ import _parser, _settings
from airflow_sentinelhub.simulator.settings import REALISTIC, Settings
from tests import plain_http

from .conftest import Api

PLACES = {"v1": "/api/v1/batch/process", "v2": "/batch/v2/process"}


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_404_right_after_create_since_reads_are_late(api: Api, sim: Simulator, generation: str) -> None:
    sim.settings(replica_lag=5)
    path = api.create(generation)
    number = path.rsplit("/", 1)[1]

    def seen() -> list[bool]:
        listed = [item["id"] for item in api.get(PLACES[generation]).json()["data"]]
        return [api.get(path).status_code == 200, number in listed]

    sim.step(4)
    assert seen() == [False, False]
    assert api.post(f"{path}/start").status_code == 404
    sim.step(1)
    assert seen() == [True, True]
    assert api.post(f"{path}/start").status_code == 204
    # An action was taken and does not show.
    assert api.state(path) == ("CREATED", "NONE")
    sim.step(5)
    assert api.state(path)[1] == "START"


@pytest.mark.slow
def test_odd_answers_come_by_themselves_as_often_as_the_setting_says(api: Api, sim: Simulator) -> None:
    """503; a token that is alive is refused; a create misses its body; a token request its grant type."""
    sim.settings(odd_share=0.2)
    seen: Counter[tuple[str, int, str]] = Counter()
    bodies = {"v1": api.v1_body(), "v2": api.v2_body()}
    for _ in range(100):
        for generation, base in PLACES.items():
            for method in ("GET", "POST"):
                reply = api.request(method, base, json=bodies[generation] if method == "POST" else None)
                told = reply.json().get("error", {})
                told = told.get("message", "") if isinstance(told, dict) else told
                seen[method, reply.status_code, told if reply.status_code >= 400 else ""] += 1
                if reply.status_code == 401:
                    while "access_token" not in (renewed := _token(api)):
                        assert renewed["error_description"] == "Missing grant_type parameter"
                        seen["TOKEN", 400, renewed["error_description"]] += 1
                    api.http.headers["Authorization"] = f"Bearer {renewed['access_token']}"
    answered = {(method, status) for method, status, _ in seen}
    assert {("GET", 503), ("GET", 401), ("POST", 503), ("POST", 401), ("POST", 400), ("TOKEN", 400)} <= answered
    assert {told for method, status, told in seen if (method, status) == ("POST", 400)} == {
        "Request body should be non-empty."
    }
    odd = sum(count for (_, status, _), count in seen.items() if status >= 400)
    assert 0.1 < odd / sum(seen.values()) < 0.3
    # None of them did anything.
    made = [call for call in sim.journal() if call["effect"] == "created"]
    assert all(call["status"] == 201 for call in made)
    assert len(made) == len(sim.requests()) == seen["POST", 201, ""]
    assert {call["fault"] for call in sim.journal() if call["status"] in (400, 401, 503)} == {"odd"}


def _token(api: Api) -> dict[str, Any]:
    sim = api.simulator
    form = {"grant_type": "client_credentials", "client_id": sim.client_id, "client_secret": sim.client_secret}
    found: dict[str, Any] = api.post(sim.auth_url, data=form).json()
    return found


def test_odd_answers_are_the_same_for_the_same_seed() -> None:
    told = []
    for _ in range(2):
        with Simulator(speed=0, seed=3, odd_share=0.3) as simulator:
            told.append([plain_http.get(f"{simulator.url}{PLACES['v2']}").status_code for _ in range(40)])
    assert told[0] == told[1]
    assert 503 in told[0]


def test_a_fault_that_is_ordered_decides_before_chance_does(api: Api, sim: Simulator) -> None:
    sim.settings(odd_share=1)
    sim.fault("status", status=418)
    assert api.get(PLACES["v2"]).status_code == 418
    assert api.get(PLACES["v2"]).status_code in (401, 503)


@pytest.mark.parametrize(("runs", "again"), [(1, "DONE"), (2, "PARTIAL"), (None, "PARTIAL")])
def test_partial_again_after_a_restart(api: Api, sim: Simulator, runs: int | None, again: str) -> None:
    """Tiles fail by themselves; the same ones fail again where the cause lasts."""
    sim.settings(tile_failure_share=0.3, tile_failure_runs=runs)
    path = api.create("v1")
    api.post(f"{path}/start")
    sim.step(3000)
    assert api.state(path)[0] == "PARTIAL"
    first = api.statuses(path)
    assert 0 < first.count("FAILED") < len(first)
    assert api.post(f"{path}/restartpartial").status_code == 204
    sim.step(3000)
    assert api.state(path)[0] == again
    assert api.statuses(path) == (first if again == "PARTIAL" else ["PROCESSED"] * len(first))
    if runs == 2:
        assert api.post(f"{path}/restartpartial").status_code == 204
        sim.step(3000)
        assert api.state(path)[0] == "DONE"


def test_a_task_of_v2_is_done_with_features_that_failed_by_themselves(api: Api, sim: Simulator) -> None:
    sim.settings(tile_failure_share=0.3)
    path = api.create("v2")
    number = path.rsplit("/", 1)[1]
    api.post(f"{path}/start")
    sim.step(3000)
    assert api.state(path)[0] == "DONE"
    file = sim.bucket_dir / f"maps/ndvi/{number}/execution-{number}.sqlite"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        statuses = Counter(status for (status,) in database.execute("SELECT status FROM features"))
    assert 0 < statuses["FATAL"] < statuses.total()


def test_tiles_get_stuck_by_themselves_and_are_processed_all_the_same(api: Api, sim: Simulator) -> None:
    sim.settings(stuck_share=1, tile_jitter=0, concurrency=1000)
    path = api.create("v1")
    api.post(f"{path}/start")
    # Analysis, the lead, and the time after which a tile counts as stuck.
    sim.step(31 + 10 + 120 + 2)
    assert set(api.statuses(path)) == {"PENDING"}
    sim.step(3000)
    assert set(api.statuses(path)) == {"PROCESSED"}


def test_a_fault_for_a_tile_comes_on_top(api: Api, sim: Simulator) -> None:
    sim.settings(tile_failure_share=0.3)
    path = api.create("v1")
    api.post(f"{path}/analyse")
    sim.step(60)
    name = api.get(f"{path}/tiles").json()["data"][0]["name"]
    sim.fault("fail_tiles", names=[name])
    api.post(f"{path}/start")
    sim.step(3000)
    failed = [tile["name"] for tile in api.get(f"{path}/tiles").json()["data"] if tile["status"] == "FAILED"]
    assert name in failed
    assert len(failed) > 1


def test_nothing_odd_happens_unless_it_is_asked_for() -> None:
    quiet = Settings()
    assert {name: getattr(quiet, name) for name in REALISTIC} == {
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "replica_lag": 0.0,
        "odd_share": 0.0,
        "tile_failure_share": 0.0,
        "stuck_share": 0.0,
    }
    quiet.updated(REALISTIC)


def test_one_word_on_the_command_line_turns_it_all_on_and_single_settings_win() -> None:
    assert _settings(_parser().parse_args(["--realistic"])) == dict(REALISTIC)
    changed = _settings(_parser().parse_args(["--realistic", "--set", "odd_share=0", "--deployment", "cdse"]))
    assert changed == {**REALISTIC, "odd_share": 0, "deployment": "cdse"}


@pytest.mark.parametrize("value", [1.5, -0.1, True])
@pytest.mark.parametrize("name", [name for name in Settings().as_dict() if name.endswith("_share")])
def test_a_share_is_one(sim: Simulator, name: str, value: Any) -> None:
    with pytest.raises(Exception, match=f"The setting {name}"):
        sim.settings(**{name: value})


def test_a_feature_that_is_skipped_cannot_fail(api: Api, sim: Simulator) -> None:
    """Neither by itself nor by an order: its outputs are there, so nothing is done about it."""
    storage = {"url": "s3://maps/skip/<tileName>/<outputId>.<format>", "accessKey": "a", "secretAccessKey": "b"}
    output = {"type": "raster", "delivery": {"s3": storage}, "skipExisting": True}
    failed = []
    for share, order in ((0.0, 0.5), (1.0, 0.0), (0.0, 1.0)):
        sim.settings(tile_failure_share=share)
        path = api.create("v2", output=output)
        number = path.rsplit("/", 1)[1]
        if order:
            sim.fault("fail_tiles", share=order)
        api.post(f"{path}/start")
        sim.step(3000)
        assert api.state(path)[0] == "DONE"
        with closing(sqlite3.connect(sim.bucket_dir / f"maps/skip/execution-{number}.sqlite")) as database:
            rows = database.execute("SELECT name FROM features WHERE status = 'FATAL'")
            failed.append({name for (name,) in rows})
    assert len(failed[0]) > 1
    assert failed[0] == failed[1] == failed[2]
