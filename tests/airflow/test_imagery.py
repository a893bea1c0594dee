"""The sensor for new imagery: poke, reschedule and deferrable, against acquisitions that are published late."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.sensors.imagery import SentinelHubNewImagerySensor
from tests.airflow.conftest import Bench

AREA = [8.5, 41.3, 9.6, 43.1]
DAY = 86_400
HOW = [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}]
modes = pytest.mark.parametrize("how", HOW, ids=["poke", "reschedule", "deferrable"])
pytestmark = pytest.mark.parametrize("generation", ["v2"], indirect=True)


def sensor(bench: Bench, **given: Any) -> Any:
    begin, days = bench.clock.utcnow(), given.pop("days", 6)
    time_range = (begin - timedelta(minutes=1), begin + timedelta(days=days))
    arguments = {"collection": "sentinel-2-l2a", "area": AREA, "time_range": time_range, "poke_interval": 43_200}
    return lambda: SentinelHubNewImagerySensor(task_id="t", **{**arguments, **given})


@modes
def test_it_waits_until_there_is_enough(bench: Bench, how: dict[str, Any]) -> None:
    began = bench.clock.time()
    found = bench.run(sensor(bench, min_count=4, timeout=12 * DAY, **how))
    assert len(found) >= 4
    assert [item["id"] for item in found] == [item["id"] for item in sorted(found, key=lambda item: item["datetime"])]
    assert set(found[0]) == {"id", "collection", "datetime", "cloud_cover", "platform", "bbox"}
    assert bench.clock.time() - began < 12 * DAY
    assert bool(bench.triggers) == bool(how.get("deferrable"))


@modes
def test_what_does_not_come_is_a_timeout(bench: Bench, how: dict[str, Any]) -> None:
    with pytest.raises(AirflowSensorTimeout):
        bench.run(sensor(bench, min_count=500, timeout=2 * DAY, **how))
    with pytest.raises(AirflowSkipException):
        bench.run(sensor(bench, min_count=500, timeout=2 * DAY, soft_fail=True, **how))


def test_what_is_there_is_returned_at_once(bench: Bench) -> None:
    bench.clock.sleep(20 * DAY)
    end = bench.clock.utcnow()
    found = bench.run(sensor(bench, time_range=(end - timedelta(days=15), end), deferrable=True))
    assert found
    assert not bench.triggers


@pytest.mark.parametrize("given", [{"collection": "sentinel-9"}, {"area": "nowhere.geojson"}, {"collection": " "}])
def test_what_cannot_be_right_is_final_and_says_why(bench: Bench, given: dict[str, Any]) -> None:
    with pytest.raises((AirflowFailException, ValueError)):
        bench.run(sensor(bench, **given))


def test_a_misspelt_collection_gets_a_proposal(bench: Bench) -> None:
    with pytest.raises(
        AirflowFailException, match=r"no collection 'SENTINEL2_L2A' \(did you mean 'sentinel-2-l2a'\?\)"
    ):
        bench.run(sensor(bench, collection="SENTINEL2_L2A"))


LITERALS: list[tuple[str, Any, str]] = [
    ("area", [170, -20, -170, -10], "The bounding box .* across the antimeridian"),
    ("area", {"type": "Point", "coordinates": [8, 41]}, "only Polygon and MultiPolygon work"),
    (
        "area",
        {"bbox": [0, 0, 9, 9], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/3857"}},
        "longitude and",
    ),
    ("area", None, "The area must be GeoJSON"),
    ("min_count", None, "min_count is a number of acquisitions from 1, not None"),
    ("collection", "", "collection is the name of a collection"),
    ("collection", None, "collection is the name of a collection"),
    ("collection", ["sentinel-2-l2a"], "collection is the name of a collection"),
]


@pytest.mark.parametrize(("name", "value", "says"), LITERALS, ids=str)
def test_what_cannot_be_right_is_an_error_of_the_dag(generation: str, name: str, value: Any, says: str) -> None:
    given = {"collection": "sentinel-2-l2a", "area": AREA, name: value}
    with pytest.raises(InvalidInputError, match=rf"{says}.* Task: seen"):
        SentinelHubNewImagerySensor(task_id="seen", **given)


@pytest.mark.parametrize("area", ["{{ params.area }}", "corsica.geojson", "POLYGON((8 41, 9 41, 9 42, 8 41))"])
def test_what_is_known_in_the_run_passes(generation: str, area: str) -> None:
    SentinelHubNewImagerySensor(task_id="seen", collection="{{ params.collection }}", area=area)


@modes
def test_exactly_enough_is_enough_and_spaces_are_no_part_of_a_name(bench: Bench, how: dict[str, Any]) -> None:
    bench.clock.sleep(20 * DAY)
    end = bench.clock.utcnow()
    given = {"time_range": (end - timedelta(days=15), end), **how}
    there = bench.run(sensor(bench, **given))
    began = bench.clock.time()
    found = bench.run(sensor(bench, collection=" sentinel-2-l2a\n", min_count=len(there), timeout=DAY, **given))
    assert found == there
    assert bench.clock.time() - began < 3600
    assert not bench.triggers


@modes
def test_without_a_timeout_it_is_that_of_airflows_configuration(
    bench: Bench, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SENSORS__DEFAULT_TIMEOUT", str(3 * DAY))
    began = bench.clock.time()
    with pytest.raises(AirflowSensorTimeout):
        bench.run(sensor(bench, min_count=500, **how))
    assert 2.5 * DAY < bench.clock.time() - began < 4 * DAY
