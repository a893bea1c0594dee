"""Rules of the lifecycle that no run over HTTP depends on, held one by one."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.simulator import lifecycle
from airflow_sentinelhub.simulator.byoc import band_names
from airflow_sentinelhub.simulator.faults import Fault
from airflow_sentinelhub.simulator.jobs import Action, Analysis, Generation, Job, Run, Step
from airflow_sentinelhub.simulator.ledger import ledger
from airflow_sentinelhub.simulator.mishaps import mishaps
from airflow_sentinelhub.simulator.retention import is_forgotten
from airflow_sentinelhub.simulator.settings import Settings

DAY = 86400.0
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


def job(*plan: Step, generation: Generation = "v1", **members: Any) -> Job:
    given: dict[str, Any] = {"body": {}, **members}
    return Job(ID, 0, generation, 0.0, estimated_tiles=4, plan=plan or (Step(0, "CREATED"),), **given)


def run(number: int, begin: float, tiles: tuple[int, ...] | None = None) -> Run:
    return Run(number, begin, tile_seconds=10, jitter=0, concurrency=1, lead=0, stuck_seconds=5, tiles=tiles)


def terms(now: float, asked: list[Any] | None = None, found: Analysis | None = None) -> lifecycle.Terms:
    def bad_luck(size: int, chosen: tuple[int, ...] | None) -> lifecycle.Mishaps:
        if asked is not None:
            asked.append((size, chosen))
        return lifecycle.Mishaps()

    analysis = found or Analysis(None, 4, 1.0, 1.0)
    return lifecycle.Terms(now, Settings(), 1, 1e9, lambda: analysis, bad_luck)


@pytest.mark.parametrize(("existing", "worked_on"), [((), None), ((0, 2), (1, 3))])
def test_nothing_goes_wrong_with_tiles_that_are_skipped(
    existing: tuple[int, ...], worked_on: tuple[int, ...] | None
) -> None:
    asked: list[Any] = []
    lifecycle.start(job(), terms(0, asked, Analysis(None, 4, 1.0, 1.0, existing)))
    assert asked == [(4, worked_on)]


def test_an_analysis_that_is_cut_short_has_found_nothing() -> None:
    begun = lifecycle.analyse(job(generation="v2"), terms(0))
    assert isinstance(begun, lifecycle.Accepted)
    assert begun.job.analysed
    early, late = begun.job.analysed - 1, begun.job.analysed + 1
    cut = lifecycle.forced(begun.job, "STOPPED", "UNHEALTHY", None, terms(early))
    assert (cut.analysis, cut.analysed, cut.is_analysed(late)) == (None, None, False)
    kept = lifecycle.forced(begun.job, "STOPPED", "UNHEALTHY", None, terms(late))
    assert kept.is_analysed(late)


def test_the_tiles_of_earlier_runs_are_paid_out_of_the_same_units() -> None:
    analysis = Analysis(None, 4, 1.0, 1.0)
    book = ledger(job(analysis=analysis, analysed=0.0, runs=(run(1, 0), run(2, 100, (2, 3)))), 1)
    costs = book.costs.tolist()
    assert lifecycle._runs_dry(book, 1.0, sum(costs) + 0.01) is None
    assert lifecycle._runs_dry(book, 1.0, sum(costs[:3]) + 0.01) == 120  # the second tile of the second run
    assert lifecycle._runs_dry(book, 1.0, sum(costs[:2]) + 0.01) == 110


def test_a_restart_takes_the_place_of_the_healing_to_come() -> None:
    plan = (Step(0, "CREATED"), Step(0, "PROCESSING"), Step(40, "PARTIAL"), Step(5000, "DONE"))
    first = Run(1, 0, 10, 0, 1, 0, 5, failing=(1, 3), heals=5000)
    partial = job(*plan, analysis=Analysis(None, 4, 1.0, 1.0), analysed=0.0, runs=(first,))
    taken = lifecycle.restart_partial(partial, terms(100))
    assert isinstance(taken, lifecycle.Accepted)
    assert [one.heals for one in taken.job.runs] == [None, None]
    assert taken.job.runs[1].tiles == (1, 3)
    assert Step(5000, "DONE") not in taken.job.plan


@pytest.mark.parametrize("status", ["DONE", "PARTIAL"])
@pytest.mark.parametrize("feeds", [True, False])
def test_what_feeds_a_collection_of_v1_is_kept(status: str, feeds: bool) -> None:
    body = {"output": {"collectionId": ID}} if feeds else {"output": {}}
    ended = job(Step(0, "CREATED"), Step(60, status), body=body)
    assert is_forgotten(ended, 31 * DAY, Settings()) is not feeds


@pytest.mark.parametrize("generation", ["v1", "statistical"])
def test_an_action_that_changes_no_status_is_activity_all_the_same(generation: Generation) -> None:
    """A cancel that comes too late, say."""
    failed = job(Step(0, "FAILED"), generation=generation, actions=(Action(10 * DAY, "STOP"),))
    days = {"v1": Settings().retention_days, "statistical": Settings().statistical_retention_failed_days}[generation]
    assert not is_forgotten(failed, (10 + days) * DAY - 60, Settings())
    assert is_forgotten(failed, (10 + days) * DAY + 60, Settings())


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_stuck_tile_gets_stuck_as_often_as_the_fault_says(rounds: int) -> None:
    fault = Fault("1", "stuck_tiles", "", None, 1, {"names": None, "share": 1.0, "rounds": rounds})
    found = mishaps(job(), 3, (0, 2), {"stuck_tiles": fault}, Settings(), 1, lambda: None)
    assert found.stuck == ((0, rounds), (2, rounds))
    assert found.failing == ()


def test_user_data_is_no_band_of_a_collection() -> None:
    script = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: [{id: 'result', bands: 2}]}; }\n"
        "function evaluatePixel(s) { return [1, 2]; }"
    )
    responses = [{"identifier": "result"}, {"identifier": "userdata", "format": {"type": "application/json"}}]
    body = {"processRequest": {"evalscript": script, "output": {"responses": responses}}}
    assert band_names(body) == ["result", "result2"]
