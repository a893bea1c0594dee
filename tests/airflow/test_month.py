"""The budget of a calendar month and the sums of a DAG where the lists of the account are not plain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub._identity import mark_for
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from tests.airflow.job import job, v1, v2
from tests.airflow.test_costs import DEAR, dag_of, description, tries


def next_month(now: datetime) -> datetime:
    return (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)


def test_what_is_created_in_one_month_and_started_in_the_next_counts_in_the_next(bench: Any) -> None:
    now = bench.clock.utcnow()
    bench.clock.sleep((next_month(now) - now).total_seconds() - 10)
    first = bench.run(job(bench, evalscript=DEAR), tries(bench, 0))
    assert bench.state(first["request_id"])["status"] == "DONE"
    created = bench.hook.costs("maps", now).requests[0].created
    assert created < next_month(now) < bench.clock.utcnow(), "the analysis has lasted over the end of the month"
    limit = first["expected_pu"] * 1.5
    with pytest.raises(AirflowFailException, match="one other job of this DAG counts 244 PU in this calendar month"):
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=limit), tries(bench, 1))


@v2
def test_who_is_about_to_start_when_the_month_ends_counts_in_the_next(bench: Any) -> None:
    now = bench.clock.utcnow()
    bench.clock.sleep((next_month(now) - now).total_seconds() - 70)
    noted = mark_for(tries(bench, 0))
    older = bench.create(evalscript=DEAR, description=f"Maps {noted}")
    bench.act(older, "analyse")
    bench.clock.sleep(60)
    from airflow_sentinelhub.api.call import exchange
    from airflow_sentinelhub.api.service import v2 as service

    words = f"Maps {noted} e300 u{int(bench.clock.now):08x}"
    bench.hook.run(exchange(service.update_request(older, {"description": words})))
    bench.clock.sleep(20)
    with pytest.raises(AirflowFailException, match="one other job of this DAG counts 300 PU in this calendar month"):
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=400), tries(bench, 1))


@v1
def test_the_search_names_a_whole_word_of_the_description(bench: Any) -> None:
    """Whether the service finds parts of words is not known."""
    context = bench.context()
    result = bench.run(job(bench, evalscript=DEAR), context)
    since = bench.mark()
    assert len(bench.hook.costs(dag_of(context)).requests) == 1
    queries = [call["query"] for call in bench.sim.journal(since) if "search" in str(call["query"])]
    asked = {words for query in queries for words in _searched(query)}
    assert len(asked) == 1
    assert asked < set(description(bench, result["request_id"]).split())


def _searched(query: Any) -> list[str]:
    found = query["search"] if isinstance(query, dict) else parse_qs(str(query))["search"]
    return [found] if isinstance(found, str) else list(found)


@v1
def test_of_a_cancelled_job_the_tiles_tell_what_it_has_cost(bench: Any) -> None:
    contexts = [tries(bench, number) for number in range(2)]
    request_id = bench.create(evalscript=DEAR, description=f"Maps {mark_for(contexts[0])}")
    idle = bench.create(evalscript=DEAR, description=f"Maps {mark_for(contexts[1])}")
    for each in (request_id, idle):
        bench.act(each, "analyse")
    bench.clock.sleep(60)
    bench.act(request_id, "start")
    bench.clock.sleep(60)
    for each in (request_id, idle):
        bench.act(each, "end")
    bench.clock.sleep(600)
    spent = bench.state(request_id)["cost"]
    assert 100 < spent < 240, "a part of it is done"
    costs = bench.hook.costs("maps")
    assert {each.request_id: each.cost for each in costs.requests} == {request_id: pytest.approx(spent), idle: 0}
    assert costs.unknown == ()
    quick = bench.hook.costs("maps", tiles=False)
    assert set(quick.unknown) == {idle, request_id}, "without the tiles nobody knows"
    with pytest.raises(AirflowFailException, match=f"one other job of this DAG counts {spent:,.0f} PU"):
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=spent + 200), tries(bench, 2))


@v1
def test_a_job_that_is_deleted_while_the_sums_are_made_is_told(bench: Any) -> None:
    context = bench.context()
    result = bench.run(job(bench, evalscript=DEAR), context)
    bench.sim.fault("status", f"/{result['request_id']}/tiles", method="GET", status=404, body={}, times=None)
    costs = bench.hook.costs(dag_of(context))
    assert costs.requests[0].by_estimate
    assert f"has deleted {result['request_id']} since it was listed" in costs.unread[0]


def test_jobs_of_the_other_generation_count_too(bench: Any) -> None:
    """A task may name another generation than the connection."""
    other = {"v1": "v2", "v2": "v1"}[bench.api]
    first = bench.run(job(bench, evalscript=DEAR, batch_api=other), tries(bench, 0))
    assert [each.batch_api for each in bench.hook.costs("maps").requests] == [other]
    limit = first["expected_pu"] * 1.5
    with pytest.raises(AirflowFailException, match="one other job of this DAG counts 244 PU"):
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=limit), tries(bench, 1))


@v2
def test_a_generation_that_is_not_there_any_more_has_no_jobs(bench: Any, logged: Callable[[], str]) -> None:
    context = bench.context()
    bench.sim.fault("status", "/v1/batch/process", method="GET", status=404, body={}, times=None)
    bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=1000), context)
    costs = bench.hook.costs(dag_of(context))
    assert (len(costs.requests), costs.unread) == (1, ())
    assert "does not answer" not in logged()


@v2
def test_a_running_job_that_nobody_has_priced_counts_with_our_estimate(bench: Any) -> None:
    """It was started without a budget of the month, so its description tells no price, and it has billed nothing."""
    started = bench.create(evalscript=DEAR, description=f"Maps {mark_for(tries(bench, 0))}")
    bench.act(started, "analyse")
    bench.clock.sleep(60)
    bench.sim.settings(tile_seconds=4000)
    bench.act(started, "start")
    mark: Any = mark_of(description(bench, started))
    assert mark.expected is None
    with pytest.raises(AirflowFailException, match="one other job of this DAG counts 244 PU"):
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=400), tries(bench, 1))


@pytest.mark.thorough
def test_dags_whose_ids_begin_alike_are_not_mixed_up(bench: Any) -> None:
    ids = ("maps", "maps_2", "map", "maps.x", "MAPS", "m\u00e4ps", "maps & more | 1")
    results = {dag_id: bench.run(job(bench), bench.context(dag_id=dag_id)) for dag_id in ids}
    for dag_id, result in results.items():
        assert [each.request_id for each in bench.hook.costs(dag_id).requests] == [result["request_id"]]


# What is said, and what is left behind


ORBIT = DEAR.replace('mosaicking: "SIMPLE"', 'mosaicking: "ORBIT"')


def start(request_id: str, **arguments: Any) -> Callable[[], SentinelHubStartBatchOperator]:
    return lambda: SentinelHubStartBatchOperator(
        task_id="start", request_id=request_id, aws_conn_id="my_bucket", **arguments
    )


def analysed(bench: Any, **members: Any) -> str:
    request_id = str(bench.create(**members))
    bench.act(request_id, "analyse")
    bench.clock.sleep(60)
    return request_id


def test_the_own_list_that_is_refused_is_an_error_not_an_empty_month(bench: Any) -> None:
    path = {"v1": "/v1/batch/process$", "v2": "/v2/batch/process$"}[bench.api]
    bench.sim.fault("status", path, method="GET", status=403, body={}, times=None)
    with pytest.raises(SentinelHubError, match="403"):
        bench.hook.costs("maps")


def test_a_start_step_that_is_refused_takes_its_note_back(bench: Any) -> None:
    request_id = analysed(bench, evalscript=DEAR, description=f"Maps {mark_for(tries(bench, 0))}")
    with pytest.raises(AirflowFailException, match="max_processing_units_per_month"):
        bench.run(start(request_id, max_processing_units_per_month=200))
    mark: Any = mark_of(description(bench, request_id))
    assert (mark.expected, mark.reserved) == (None, None)
    assert description(bench, request_id).startswith("Maps ")


@v2
def test_what_only_may_exceed_the_month_is_started_with_a_warning(bench: Any, logged: Callable[[], str]) -> None:
    done = bench.run(job(bench, evalscript=ORBIT, max_processing_units_per_month=2_500), tries(bench, 0))
    assert done["expected_pu_low"] < 2_500 < done["expected_pu_high"]
    assert "but the budget of the month, 2,500 PU, may be exceeded" in logged()
    request_id = analysed(bench, evalscript=ORBIT)
    limit = done["processing_units"] + 2_500
    bench.run(start(request_id, max_processing_units_per_month=limit), bench.context(dag_id="maps"))
    assert f"{request_id}: the budget of the month may be exceeded" in logged()


@v2
def test_a_note_that_the_service_refuses_is_told(bench: Any, logged: Callable[[], str]) -> None:
    bench.sim.fault("status", "/v2/batch/process/", method="PUT", status=403, body={}, times=None)
    done = bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=1_000), tries(bench, 0))
    assert done["status"] == "DONE"
    said = logged()
    assert f"The description of batch request {done['request_id']} could not be changed" in said
    assert f"Batch request {done['request_id']} counts in the budget of the month once it is started" in said


@v2
def test_sums_begin_with_the_month_if_nobody_says_otherwise(bench: Any) -> None:
    first = bench.run(job(bench, evalscript=DEAR), tries(bench, 0))
    bench.clock.sleep(32 * 86_400)
    second = bench.run(job(bench, evalscript=DEAR), tries(bench, 1))
    costs = bench.hook.costs("maps")
    assert [each.request_id for each in costs.requests] == [second["request_id"]]
    assert costs.since == bench.clock.utcnow().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert len(bench.hook.costs("maps", "2020-01-01").requests) == 2, first["request_id"]


@v2
def test_a_failed_part_has_a_price_of_its_own(bench: Any, logged: Callable[[], str]) -> None:
    """The request that continues another one is a smaller job: what the whole one costs is not noted for it again."""
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    bench.run(job(bench, evalscript=DEAR, max_restarts=1, max_processing_units_per_month=10_000), tries(bench, 0))
    first, second = bench.sim.requests()
    noted = [mark_of(description(bench, each["id"])) for each in (first, second)]
    whole, part = (mark.expected if mark is not None else None for mark in noted)
    assert whole is not None
    assert part is not None
    assert part < whole
    said = logged()
    assert all(f"Batch request {each['id']}: expected cost about" in said for each in (first, second))


@v2
def test_a_failed_part_is_held_against_the_month_anew(bench: Any) -> None:
    """The request that it continues has cost its share by then."""
    bench.sim.fault(kind="fail_tiles", share=0.3, times=1)
    with pytest.raises(AirflowFailException, match="one other job of this DAG counts 100 PU in this calendar month"):
        bench.run(job(bench, max_restarts=1, max_processing_units_per_month=99), tries(bench, 0))
    assert bench.effects().count("billed_start") == 1
