"""How far back the search for a task's request goes where the service cannot search."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from airflow_sentinelhub.operators._job import _since

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def test_a_day_before_the_run_began_to_be() -> None:
    run = SimpleNamespace(queued_at=NOON, start_date=NOON + DAY, run_after=NOON - DAY, clear_number=0)
    assert _since({"dag_run": run}) == NOON - 2 * DAY


def test_a_clear_sets_the_times_of_a_run_anew_but_for_run_after() -> None:
    cleared = {"queued_at": NOON + 9 * DAY, "start_date": NOON + 9 * DAY, "clear_number": 1}
    assert _since({"dag_run": SimpleNamespace(run_after=NOON, **cleared)}) == NOON - DAY
    assert _since({"dag_run": SimpleNamespace(**cleared)}) is None


def test_nothing_known() -> None:
    assert _since({"dag_run": None}) is None
