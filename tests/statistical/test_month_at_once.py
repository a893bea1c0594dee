"""Statistical jobs of one moment and the budget of a month: how far they can overrun it."""

from __future__ import annotations

import pytest

from tests.airflow.test_month_at_once import FIT, LATENCY, TASKS, race
from tests.statistical.conftest import StatisticalBench


@pytest.mark.thorough
@pytest.mark.parametrize("lag", [0.0, 25.0])
def test_who_looks_before_the_starts_are_shown_is_started(bench: StatisticalBench, lag: float) -> None:
    """The bound that the docs state: the jobs whose tasks look before the list shows the last one that fits."""
    found, looked, started = race(bench, TASKS, lag, seed=int(lag))
    assert len(found.results) == TASKS
    full = sorted(started)[FIT - 1]
    assert bench.effects().count("billed_start") == len(started) >= FIT
    assert max(looked) <= full + lag + 2 * LATENCY, "who looks later counts those that were started, and is refused"
