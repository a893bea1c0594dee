"""Restarting the failed part within one task: v1 restarts the request, v2 makes another one over the same output."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub import process_request
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from tests.airflow.job import RETRY, job, v2


def effects(bench: Any) -> list[str]:
    return [call["effect"] for call in bench.sim.journal() if call["effect"]]


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_failed_part_is_restarted_and_the_whole_is_done(bench: Any, deferrable: bool) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    result = bench.run(job(bench, max_restarts=1, deferrable=deferrable))

    assert (result["status"], result["failed"], result["restarts"]) == ("DONE", 0, 1)
    assert result["processed"] == result["tile_count"] > 10
    assert effects(bench).count("billed_start") + effects(bench).count("restarted") == 2


def test_a_retry_after_the_restart_pays_nothing_more(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    first = bench.run(job(bench, max_restarts=1))
    before = len(effects(bench))
    again = bench.run(job(bench, max_restarts=1), bench.context(**RETRY))

    assert again == first
    assert effects(bench)[before:] == []


@v2
def test_tiles_are_counted_in_the_first_request_though_the_last_one_knows_only_its_own(bench: Any) -> None:
    """What exists already may be missing in the files of a request that skips it."""
    failed = ["32TNM_1_2", "32TNM_1_3"]
    bench.sim.fault(kind="fail_tiles", names=failed, times=1)
    first = bench.run(job(bench, max_restarts=1))
    folder, last = Path(bench.sim.bucket_dir), first["request_id"]
    (database,) = folder.rglob(f"execution-{last}.sqlite")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM features WHERE name NOT IN (?, ?)", failed)
    (manifest,) = folder.rglob(f"featureManifest-{last}.gpkg")
    manifest.unlink()
    again = bench.run(job(bench, max_restarts=1), bench.context(**RETRY))
    assert again == first
    assert again["tile_count"] == again["processed"] > len(failed)


@v2
def test_a_failed_tile_of_which_one_output_is_there_is_done_again(bench: Any) -> None:
    """The service fails a request that finds one of two outputs, unless it may overwrite."""
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=1)
    two = ("default", "mask")
    script = bench.ndvi.replace("output: {bands: 1", 'output: [{id: "default", bands: 1}, {id: "mask", bands: 1')
    script = script.replace('sampleType: "FLOAT32"}', 'sampleType: "FLOAT32"}]')
    asked = process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30"), responses=two)

    def half_done() -> None:
        (first,) = bench.sim.requests()
        folder = Path(bench.sim.bucket_dir) / "maps/ndvi" / first["id"] / "32TNM_1_2"
        folder.mkdir(parents=True)
        (folder / "mask.tif").write_bytes(b"half of it")

    bench.clock.at(60, half_done)
    result = bench.run(job(bench, max_restarts=1, process_request=asked, evalscript=script))
    assert (result["status"], result["failed"], result["restarts"]) == ("DONE", 0, 1)
    _, second = bench.sim.requests()
    # The one tile, and not all of them again.
    assert 0 < second["planned_cost"] <= 100


def test_it_is_not_restarted_more_often_than_allowed(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2", "32TNM_1_3"], times=5)
    with pytest.raises(Exception, match="tiles failed, more than is accepted"):
        bench.run(job(bench, max_restarts=2))
    assert effects(bench).count("billed_start") + effects(bench).count("restarted") == 3


@pytest.mark.usefixtures("unpriced")
@pytest.mark.parametrize("resume", ["never", "if_accepted", "when_accepted"])
@pytest.mark.parametrize("generation", ["v2"])
def test_a_stopped_request_is_started_again_by_choice_only(bench: Any, resume: str, generation: str) -> None:
    stopped = bench.run(job(bench, max_processing_units=1e-6, on_over_budget="stop", poll_interval=5.0))
    assert stopped["status"] == "STOPPED"

    def start() -> SentinelHubStartBatchOperator:
        return SentinelHubStartBatchOperator(
            task_id="again",
            request_id=stopped["request_id"],
            resume_stopped=resume,
            wait_for_completion=True,
        )

    if resume == "when_accepted":
        assert bench.made(start) == stopped["request_id"]
        assert bench.shown(stopped["request_id"])["status"] == "DONE"
        assert max(bench.clock.slept) <= 120
    else:
        with pytest.raises(Exception, match=stopped["request_id"]) as refused:
            bench.run(start)
        assert ("somebody stopped it" if resume == "never" else "30 minutes") in str(refused.value)
