"""How far back the search for a task's request goes where the service cannot search."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

from airflow_sentinelhub._identity import SKEW, earliest, mark_for

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def since(**run: Any) -> datetime | None:
    ti = SimpleNamespace(dag_id="maps", run_id="run", task_id="job", map_index=-1, max_tries=0, try_number=1)
    context = {"ti": ti, "dag_run": SimpleNamespace(**run) if run else None}
    return earliest(context, mark_for(context))


def test_a_run_never_cleared_has_nothing_from_before_its_start_however_old_its_date_is() -> None:
    assert since(queued_at=NOON - DAY, start_date=NOON, run_after=NOON - 365 * DAY, clear_number=0) == NOON - SKEW


def test_a_clear_sets_the_times_of_a_run_anew_but_for_run_after() -> None:
    cleared = {"queued_at": NOON + 9 * DAY, "start_date": NOON + 9 * DAY, "clear_number": 1}
    assert since(run_after=NOON, **cleared) == NOON - SKEW
    assert since(**cleared) is None


def test_without_a_count_of_clears_the_earliest_time_bounds_it() -> None:
    assert since(queued_at=NOON, start_date=NOON + DAY, run_after=NOON - DAY) == NOON - DAY - SKEW


def test_nothing_known() -> None:
    assert since() is None
