"""The budget of a month and the sums of statistical jobs, whose description nobody can change after the create."""

from __future__ import annotations

import pytest

from airflow_sentinelhub import aggregation
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import DeadlineError
from tests.statistical.conftest import StatisticalBench

FINE = aggregation(("2024-06-01", "2024-06-30"), "P1D", resolution=1)


def test_a_running_job_counts_with_our_estimate(bench: StatisticalBench) -> None:
    """The service tells no price, nobody could note one, and in its first minutes nothing is billed."""
    first = bench.run(bench.whole(aggregation=FINE), bench.context(map_index=0))
    expected = first["expected_pu"]
    bench.sim.settings(tile_seconds=40_000)
    running = bench.whole(aggregation=FINE, timeout=600, cancel_on_timeout=False)
    with pytest.raises(DeadlineError):
        bench.run(running, bench.context(map_index=1))
    costs = bench.hook.costs("maps")
    assert [(each.batch_api, each.running) for each in costs.requests] == [
        ("statistical", True),
        ("statistical", False),
    ]
    limit = expected * 2.5
    last = bench.whole(aggregation=FINE, max_processing_units_per_month=limit)
    with pytest.raises(AirflowFailException, match=f"2 other jobs of this DAG count {2 * expected:,.0f} PU"):
        bench.run(last, bench.context(map_index=2))
    assert bench.effects().count("billed_start") == 2


def test_jobs_of_other_dags_and_without_a_marker_are_not_summed(bench: StatisticalBench) -> None:
    bench.create()
    results = {dag: bench.run(bench.whole(), bench.context(dag_id=dag)) for dag in ("fields", "fields_2")}
    for dag, result in results.items():
        costs = bench.hook.costs(dag)
        assert [each.request_id for each in costs.requests] == [result["request_id"]]
        assert costs.total == pytest.approx(result["processing_units"])
