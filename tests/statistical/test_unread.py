"""Results of features that cannot be read, or not yet, are unknown: never none, never good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import InvalidInputError, JobPartialError, UnreadResultsError
from airflow_sentinelhub.operators.statistical import SentinelHubListStatisticsOperator
from tests.statistical.conftest import StatisticalBench
from tests.statistical.fields import GEOPACKAGE

modes = pytest.mark.parametrize("deferrable", [False, True], ids=["plain", "deferred"])


def files(bench: StatisticalBench, request_id: str) -> dict[Path, bytes]:
    place = bench.sim.bucket_dir / "farm" / "statistics" / request_id
    return {path: path.read_bytes() for path in sorted(place.glob("[0-9]*.json"))}


def away(kept: dict[Path, bytes]) -> Callable[[], None]:
    """Take files away; returns what puts them back."""
    for path in kept:
        path.unlink()

    def back() -> None:
        for path, content in kept.items():
            path.write_bytes(content)

    return back


def listing(request_id: str, **how: Any) -> Callable[[], SentinelHubListStatisticsOperator]:
    return lambda: SentinelHubListStatisticsOperator(task_id="list", request_id=request_id, **how)


@modes
def test_a_bucket_that_cannot_be_read_is_no_success(bench: StatisticalBench, deferrable: bool) -> None:
    first = bench.run(bench.whole())
    bench.connect(bucket_mount="/nowhere/at/all")
    retry = {"try_number": 2}
    with pytest.raises(UnreadResultsError) as caught:
        bench.run(bench.whole(deferrable=deferrable, max_unknown_time=300), bench.context(**retry))
    said = str(caught.value)
    assert f"Batch request {first['request_id']} is DONE and paid" in said
    assert "there is no folder /nowhere/at/all" in said
    assert "The next try of this task reads again; it starts and bills nothing." in said
    assert "check_features=False" in said

    bench.clock.at(300, bench.connect)
    assert bench.run(bench.whole(deferrable=deferrable), bench.context(**retry)) == first
    assert bench.effects().count("billed_start") == 1


@pytest.mark.parametrize("missing", [1, 6])
def test_files_that_come_after_the_end_are_waited_for(bench: StatisticalBench, missing: int) -> None:
    request_id = bench.run(bench.whole())["request_id"]
    kept = dict(list(files(bench, request_id).items())[:missing])

    bench.clock.at(300, away(kept))
    assert bench.run(bench.whole())["failed"] == 0
    bench.clock.at(300, away(kept))
    assert sum(map(len, bench.run(listing(request_id)))) == 6

    away(kept)
    never = bench.whole(max_unknown_time=300)
    if missing == 1:
        with pytest.raises(JobPartialError, match=r"1 of 6 features failed.*\(MISSING\)"):
            bench.run(never)
    else:
        with pytest.raises(UnreadResultsError, match="6 of 6 features have no file"):
            bench.run(never)
    assert bench.effects().count("billed_start") == 1


def test_a_file_that_is_half_there_is_read_again_and_the_others_are_not(
    bench: StatisticalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_sentinelhub.results.bucket import BucketReader

    request_id = bench.run(bench.whole())["request_id"]
    path, content = list(files(bench, request_id).items())[-1]
    path.write_bytes(content[: len(content) // 2])
    bench.clock.at(100, lambda: path.write_bytes(content))
    fetched: list[str] = []
    fetch = BucketReader.fetch

    def counted(self: BucketReader, url: str, folder: Path) -> Path | None:
        fetched.append(url)
        return fetch(self, url, folder)

    monkeypatch.setattr(BucketReader, "fetch", counted)
    assert bench.run(bench.whole())["failed"] == 0
    times = {url: fetched.count(url) for url in fetched if url.endswith(".json")}
    assert times.pop(f"s3://farm/statistics/{request_id}/{path.name}") > 2
    assert set(times.values()) == {1}


def test_without_the_geopackage_it_is_unknown_what_is_missing(bench: StatisticalBench) -> None:
    request_id = bench.run(bench.whole())["request_id"]
    path = bench.sim.bucket_dir / GEOPACKAGE.removeprefix("s3://")
    back = away({path: path.read_bytes()})
    for make in (
        bench.whole(request_id=request_id, max_unknown_time=60),
        listing(request_id, max_unknown_time=60),
    ):
        with pytest.raises(UnreadResultsError, match=rf"how many features there should be .* no {GEOPACKAGE} any more"):
            bench.run(make)
    bench.clock.at(60, back)
    assert bench.run(bench.whole(request_id=request_id))["feature_count"] == 6


@modes
def test_whoever_wants_no_look_gets_none(bench: StatisticalBench, deferrable: bool) -> None:
    bench.sim.fault("fail_tiles", names=["field-01"])
    bench.connect(bucket_mount="/nowhere/at/all")
    with pytest.raises(AirflowFailException, match=r"no folder /nowhere/at/all.*check_features=False.*created nothing"):
        bench.run(bench.whole())
    assert bench.effects() == []
    result = bench.run(bench.whole(deferrable=deferrable, check_features=False))
    told = {name: result[name] for name in ("feature_count", "processed", "failed", "failed_features", "checked")}
    assert told == {**dict.fromkeys(told), "checked": False}
    assert result["processing_units"] is not None


def test_no_look_contradicts_limits_that_need_one(bench: StatisticalBench) -> None:
    for limits in ({"max_failed_features": 3}, {"min_success_ratio": 0.9}):
        (name,) = limits
        said = rf"With check_features=False the results .* so {name} has no effect"
        with pytest.raises(InvalidInputError, match=said):
            bench.whole(check_features=False, **limits)()

    def rendered() -> Any:
        task = bench.whole(check_features=False, max_failed_features="{{ params.most }}")()
        task.max_failed_features = "3"
        return task

    with pytest.raises(AirflowFailException, match="so max_failed_features has no effect"):
        bench.run(rendered)


@pytest.mark.parametrize("name", ["status", "chunk_size"])
@pytest.mark.parametrize("value", [None, "", "None"])
def test_a_filter_that_comes_out_as_nothing_is_not_everything(bench: StatisticalBench, name: str, value: Any) -> None:
    request_id = bench.run(bench.whole())["request_id"]

    def rendered() -> Any:
        task = listing(request_id, **{name: "{{ params.filter }}"})()
        setattr(task, name, value)
        return task

    with pytest.raises(AirflowFailException, match=f"^{name} is given in the DAG, but has come out as"):
        bench.run(rendered)
    assert sum(map(len, bench.run(listing(request_id, **{name: None})))) == 6
    with pytest.raises(InvalidInputError, match="status is 'PROCESSED'; it must be one of OK, FAILED"):
        listing(request_id, status="PROCESSED")()


def test_a_feature_of_a_job_at_work_has_not_failed(bench: StatisticalBench) -> None:
    request_id = bench.started()
    items = [item for chunk in bench.run(listing(request_id, status=None)) for item in chunk]
    assert {item["status"] for item in items} == {"PENDING"}
    assert not any("error" in item for item in items)
    assert sum(map(len, bench.run(listing(request_id, status="PENDING")))) == len(items) == 6
    for status in ("OK", "FAILED"):
        assert bench.run(listing(request_id, status=status)) == []


@pytest.mark.parametrize("outage", [{"status": 503, "times": 12}, {"status": 403, "times": 3}], ids=str)
def test_an_outage_while_it_is_judged(bench: StatisticalBench, outage: dict[str, Any]) -> None:
    """It begins between the last poll and the look at the results."""
    request_id = bench.run(bench.whole())["request_id"]
    seen = bench.mark()

    def struck() -> Any:
        task = bench.whole(request_id=request_id)()
        reader = task.results_reader()

        def judged(*asked: Any) -> Any:
            bench.sim.fault("status", request_id, method="GET", **outage)
            return reader.read(*asked)

        task.results_reader = lambda: SimpleNamespace(read=judged)
        return task

    assert bench.run(struck)["failed"] == 0
    assert bench.faults_left() == []
    assert bench.effects(seen) == []


def test_the_list_waits_an_outage_out(bench: StatisticalBench) -> None:
    request_id = bench.run(bench.whole())["request_id"]
    bench.sim.fault("status", request_id, method="GET", status=503, times=12)
    assert sum(map(len, bench.run(listing(request_id)))) == 6
    assert bench.faults_left() == []
