"""How far back the search for a task's request goes where the service cannot search."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from airflow_sentinelhub._identity import SKEW, earliest, mark_for, note_begin
from tests.airflow.test_edits import Store

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


# The first try, and what it leaves to later ones


class Run:
    """A run and one task of it, as Airflow changes their members; a create is noted with its time."""

    def __init__(self, store: Store | None, lasting: bool) -> None:
        self.now = NOON
        self.store = store
        self.run = SimpleNamespace(start_date=NOON, clear_number=0)
        if lasting:
            self.run.run_after = NOON - 365 * DAY
        self.tries = 0
        self.created: list[datetime] = []
        self.first: datetime | None = None

    def retry(self) -> None:
        """The task comes to its next try, and creates a request in it."""
        self.tries += 1
        ti = SimpleNamespace(dag_id="maps", run_id="run", task_id="job", map_index=-1, max_tries=9)
        ti.try_number, ti.start_date = self.tries, self.now
        context = {"ti": ti, "dag_run": self.run, "task_state_store": self.store}
        note_begin(context)
        bound = earliest(context, mark_for(context))
        assert bound is None or all(bound <= created for created in self.created)
        if self.tries == 1:
            assert bound == self.run.start_date - SKEW, "a run of last year is not searched back to last year"
            self.first = bound
        if self.store is not None and getattr(self.run, "run_after", NOON) < NOON:
            assert bound == self.first
        self.now += timedelta(minutes=3)
        self.created.append(self.now)

    def clear(self) -> None:
        """A user clears a task of the run, which is at work."""
        self.run.clear_number += 1

    def clear_finished(self) -> None:
        self.run.clear_number += 1
        self.run.start_date = self.now

    def queue(self) -> None:
        """A user sets the run to queued: its start moves, alone."""
        self.run.start_date = self.now


STEPS = ("retry", "clear", "clear_finished")


@settings(deadline=None)
@given(
    steps=strategies.lists(
        strategies.tuples(strategies.sampled_from((*STEPS, "queue")), strategies.integers(0, 90 * 24 * 60)), max_size=9
    ),
    kept=strategies.booleans(),
    lasting=strategies.booleans(),
)
def test_no_bound_hides_what_an_earlier_try_has_created(
    steps: list[tuple[str, int]], kept: bool, lasting: bool
) -> None:
    """Without the store of 3.3, a run that is set to queued cannot be told from one that was never touched."""
    run = Run(Store() if kept else None, lasting)
    for step, minutes in steps:
        run.now += timedelta(minutes=minutes)
        if kept or step in STEPS:
            getattr(run, step)()


def test_what_is_no_time_in_the_store_is_ignored() -> None:
    for found in ("soon", 7, None, {}, ["2026-06-01T12:00:00+00:00"], "2026-06-01T12:00:00"):
        store = Store()
        store.set("sentinelhub_begin", found)
        ti = SimpleNamespace(dag_id="maps", run_id="run", task_id="job", map_index=-1, max_tries=0, try_number=2)
        run = SimpleNamespace(start_date=NOON, clear_number=0)
        context = {"ti": ti, "dag_run": run, "task_state_store": store}
        assert earliest(context, mark_for(context)) == NOON - SKEW


def test_a_copy_of_the_first_try_does_not_move_its_begin() -> None:
    run = Run(Store(), lasting=True)
    run.retry()
    run.now, run.tries = run.now + DAY, 0
    run.run.start_date = run.now
    with pytest.raises(AssertionError, match="last year"):
        run.retry()  # it is searched back to the first copy
