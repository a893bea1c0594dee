"""What a DAG has cost, by the marker of its requests, and the budget of a calendar month."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub._identity import mark_for
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.cli.main import main
from airflow_sentinelhub.exceptions import InvalidInputError, StillRunningError
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from tests.airflow.job import RETRY, job, modes, v1, v2
from tests.airflow.test_estimates import SCRIPTS

DEAR = SCRIPTS["floats of twelve bands"]
ENDS = {"fail": AirflowFailException, "skip": AirflowSkipException}


def tries(bench: Any, number: int) -> dict[str, Any]:
    """A try of one of several mapped tasks."""
    context: dict[str, Any] = bench.context(map_index=number)
    return context


def dag_of(context: dict[str, Any]) -> str:
    return str(context["ti"].dag_id)


def test_the_jobs_of_a_dag_are_summed_by_request_and_task(bench: Any) -> None:
    contexts = [tries(bench, number) for number in range(2)]
    results = [bench.run(job(bench, evalscript=DEAR), context) for context in contexts]
    bench.create()  # somebody else's
    costs = bench.hook.costs(dag_of(contexts[0]), task_ids=[contexts[0]["ti"].task_id])
    assert [each.request_id for each in costs.requests] == [each["request_id"] for each in reversed(results)]
    assert costs.total == pytest.approx(sum(each["processing_units"] for each in results))
    assert costs.expected == costs.total
    assert costs.by_task() == {contexts[0]["ti"].task_id: pytest.approx(costs.total)}
    assert (costs.running, costs.unknown, costs.unread) == (0, (), ())
    assert bench.hook.costs("another_dag").requests == ()


def test_a_running_job_counts_with_what_it_will_cost(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    context = bench.context()
    bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=10_000), context)
    during: list[Any] = []

    def look() -> None:
        capsys.readouterr()
        during.append(bench.hook.costs(dag_of(context)))
        assert main(["costs", dag_of(context)]) == 0
        during.append(capsys.readouterr().out)

    bench.clock.at(60, look)
    done = bench.run(
        job(bench, evalscript=DEAR, max_processing_units_per_month=10_000, poll_interval=5.0), tries(bench, 7)
    )
    costs, printed = during
    assert f"Running: 1; in all about {costs.expected:,.1f} PU when that is done." in printed
    assert "shown by a digest; --task-id" in printed
    assert main(["costs", dag_of(context), "--task-id", "no_such_task"]) == 0
    assert "None of them has the mark of a task no_such_task." in capsys.readouterr().err
    assert main(["costs", dag_of(context), "--task-id", context["ti"].task_id]) == 0
    assert "digest" not in capsys.readouterr().out
    running = costs.requests[0]
    assert running.running
    assert running.expected == pytest.approx(done["expected_pu"], abs=0.01)
    assert running.counted == pytest.approx(done["expected_pu"], abs=0.01)


@v2
def test_what_is_older_than_asked_for_is_not_counted(bench: Any) -> None:
    context = bench.context()
    bench.run(job(bench), context)
    now = bench.clock.utcnow()
    assert bench.hook.costs(dag_of(context), now).requests == ()
    assert len(bench.hook.costs(dag_of(context), now - timedelta(days=1)).requests) == 1
    before = now - timedelta(days=1)
    for since in (before.replace(tzinfo=None), before.date(), before.date().isoformat(), before.isoformat()):
        assert len(bench.hook.costs(dag_of(context), since=since).requests) == 1
    with pytest.raises(InvalidInputError, match="since='June' is no moment"):
        bench.hook.costs(dag_of(context), "June")


def test_a_list_that_cannot_be_read_is_an_error_not_a_smaller_sum(bench: Any) -> None:
    context = bench.context()
    bench.run(job(bench), context)
    bench.sim.fault("status", "/process", method="GET", status=200, body={"data": "?"}, times=None)
    with pytest.raises(Exception, match=r"its member data is not a list|it has no list of data"):
        bench.hook.costs(dag_of(context))


def test_an_api_that_the_account_does_not_have_is_told(bench: Any) -> None:
    context = bench.context()
    result = bench.run(job(bench), context)
    bench.sim.fault("status", "/statistics", method="GET", status=403, body={}, times=None)
    costs = bench.hook.costs(dag_of(context))
    assert [each.request_id for each in costs.requests] == [result["request_id"]]
    assert costs.unread == ("Batch statistical does not answer on this account (403), so its jobs are not counted.",)


# The budget of a month


@modes
@pytest.mark.parametrize("policy", ["fail", "skip", "stop"])
def test_the_job_that_would_exceed_the_month_is_not_started(bench: Any, deferrable: bool, policy: str) -> None:
    first = bench.run(job(bench, evalscript=DEAR), tries(bench, 0))
    limit = first["expected_pu"] * 1.5
    make = job(
        bench,
        evalscript=DEAR,
        max_processing_units_per_month=limit,
        on_over_budget=policy,
        deferrable=deferrable,
    )
    if policy == "stop":
        assert bench.run(make, tries(bench, 1))["processed"] == 0
    else:
        with pytest.raises(ENDS[policy]) as caught:
            bench.run(make, tries(bench, 1))
        said = str(caught.value)
        assert f"would exceed the {limit:,.0f} PU of max_processing_units_per_month" in said
        assert f"one other job of this DAG counts {first['processing_units']:,.0f} PU" in said
        assert "It has not been started and bills nothing." in said
    assert bench.effects().count("billed_start") == 1
    roomy = job(bench, evalscript=DEAR, max_processing_units_per_month=limit * 2, deferrable=deferrable)
    if policy != "stop":
        assert bench.run(roomy, bench.context(map_index=1, **RETRY))["status"] == "DONE"


@v2
def test_last_month_does_not_count(bench: Any) -> None:
    bench.run(job(bench, evalscript=DEAR), tries(bench, 0))
    bench.clock.sleep(32 * 86_400)
    result = bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=300), tries(bench, 1))
    assert result["status"] == "DONE"


@v2
def test_the_configuration_gives_the_budget_of_tasks_that_have_none(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SENTINELHUB__MAX_PROCESSING_UNITS_PER_MONTH", "120")
    assert bench.run(job(bench), tries(bench, 0))["status"] == "DONE"
    with pytest.raises(AirflowFailException, match="would exceed the 120 PU of max_processing_units_per_month"):
        bench.run(job(bench), tries(bench, 1))
    own = job(bench, max_processing_units_per_month=1000)
    assert bench.run(own, bench.context(map_index=1, **RETRY))["status"] == "DONE"


@v2
@pytest.mark.parametrize("written", ["a lot", "-1", "0", "nan"])
def test_an_invalid_budget_of_the_configuration_is_told_as_such_and_starts_nothing(
    bench: Any, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    task = job(bench)()
    monkeypatch.setenv("AIRFLOW__SENTINELHUB__MAX_PROCESSING_UNITS_PER_MONTH", written)
    seen = bench.mark()
    told = r"Airflow's configuration, section \[sentinelhub\]: max_processing_units_per_month must be"
    with pytest.raises(InvalidInputError, match=told):
        job(bench)()
    with pytest.raises(AirflowFailException, match=told):
        bench.run(lambda: task, tries(bench, 0))
    assert bench.effects(seen) == []


@v2
def test_an_invalid_budget_of_the_configuration_names_the_job_that_runs_already(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = bench.run(job(bench), bench.context())
    task = job(bench)()
    monkeypatch.setenv("AIRFLOW__SENTINELHUB__MAX_PROCESSING_UNITS_PER_MONTH", "a lot")
    with pytest.raises(StillRunningError, match=r"section \[sentinelhub\]") as error:
        bench.run(lambda: task, bench.context(**RETRY))
    assert result["request_id"] in str(error.value)


@v2
def test_a_budget_whose_template_renders_to_nothing_is_not_that_of_the_configuration(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SENTINELHUB__MAX_PROCESSING_UNITS_PER_MONTH", "120")

    def rendered() -> Any:
        task = job(bench, max_processing_units_per_month="{{ params.budget }}")()
        task.max_processing_units_per_month = None
        return task

    seen = bench.mark()
    with pytest.raises(AirflowFailException, match="max_processing_units_per_month is given in the DAG"):
        bench.run(rendered, tries(bench, 0))
    assert bench.effects(seen) == []


def test_a_job_that_is_about_to_start_counts_for_those_behind_it(bench: Any) -> None:
    """Two hundred mapped tasks look at the same moment: each has noted before that it is about to start."""
    waiting = mark_for(tries(bench, 0))
    noted = replace(waiting, expected=300.0, reserved=int(bench.clock.now))
    older = bench.create(evalscript=DEAR, description=f"Maps {noted}")
    bench.act(older, "analyse")
    bench.clock.sleep(60)
    make = job(bench, evalscript=DEAR, max_processing_units_per_month=400)
    with pytest.raises(AirflowFailException, match="one other job of this DAG counts 300 PU"):
        bench.run(make, tries(bench, 1))
    bench.clock.sleep(3600)  # its task has not come to start it
    done = bench.run(make, bench.context(map_index=1, **RETRY))
    assert done["status"] == "DONE"
    mark: Any = mark_of(description(bench, done["request_id"]))
    assert mark.expected == pytest.approx(done["expected_pu"], abs=0.01)


def test_a_refused_job_does_not_count_for_those_behind_it(bench: Any) -> None:
    with pytest.raises(AirflowFailException, match="max_processing_units_per_month"):
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=100), tries(bench, 0))
    (refused,) = bench.sim.requests()
    mark: Any = mark_of(description(bench, refused["id"]))
    assert (mark.expected, mark.reserved) == (None, None)
    assert (
        bench.run(job(bench, evalscript=DEAR, max_processing_units_per_month=400), tries(bench, 1))["status"] == "DONE"
    )


def description(bench: Any, request_id: str) -> str:
    shown = bench.shown(request_id)
    return str(shown.get("description") or shown["request"]["description"])


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_start_step_looks_at_the_month(bench: Any, policy: str) -> None:
    first = bench.run(job(bench, evalscript=DEAR), tries(bench, 0))
    second = bench.create(evalscript=DEAR)
    bench.act(second, "analyse")
    bench.clock.sleep(60)

    def start(limit: float) -> Callable[[], SentinelHubStartBatchOperator]:
        return lambda: SentinelHubStartBatchOperator(
            task_id="start",
            request_id=second,
            max_processing_units_per_month=limit,
            on_over_budget=policy,
            aws_conn_id="my_bucket",
        )

    with pytest.raises(ENDS[policy], match="max_processing_units_per_month"):
        bench.run(start(first["expected_pu"] * 1.5))
    assert bench.effects().count("billed_start") == 1
    bench.run(start(first["expected_pu"] * 2.5))
    assert bench.effects().count("billed_start") == 2
    bench.run(start(1), bench.context(**RETRY))  # it is started already: nothing is refused any more


@v2
def test_a_job_by_name_has_no_month(bench: Any) -> None:
    from airflow_sentinelhub.api.service.specification import BatchSpecification

    with pytest.raises(InvalidInputError, match="belongs to no DAG"):
        bench.hook.run_job(BatchSpecification(process_request={}), name="maps", max_processing_units_per_month=1000)


@v1
def test_without_the_tiles_the_estimate_of_v1_is_taken(bench: Any) -> None:
    context = bench.context()
    result = bench.run(job(bench, evalscript=DEAR), context)
    (each,) = bench.hook.costs(dag_of(context), tiles=False).requests
    assert each.by_estimate
    assert each.cost == pytest.approx(result["expected_pu"])
    assert each.created == datetime.fromisoformat(str(each.created)).astimezone(timezone.utc)


@v1
def test_a_tile_that_does_not_say_its_cost_is_told_and_the_estimate_is_taken(bench: Any) -> None:
    context = bench.context()
    request_id = bench.run(job(bench, evalscript=DEAR), context)["request_id"]
    first, *others = bench.hook.batch.iter_tiles(request_id)
    body = {"data": [{**first, "cost": None}, *others], "links": {}}
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=None)
    costs = bench.hook.costs(dag_of(context))
    assert costs.requests[0].by_estimate
    assert f"A tile of {request_id} is processed, and the service does not say" in " ".join(costs.warnings())


# The command line


def test_the_command_shows_the_sums(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    context = bench.context()
    result = bench.run(job(bench, evalscript=DEAR), context)
    assert main(["costs", dag_of(context), "--task-id", context["ti"].task_id]) == 0
    shown = capsys.readouterr().out
    assert f"{dag_of(context)}: {result['processing_units']:,.1f} PU since" in shown
    assert result["request_id"] in shown
    assert re.search(rf"{context['ti'].task_id} +{result['processing_units']:,.0f}", shown)

    assert main(["costs", dag_of(context), "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == pytest.approx(result["processing_units"])

    assert main(["costs", "another_dag"]) == 0
    assert "another_dag: 0.0 PU since" in capsys.readouterr().out
    assert main(["costs", dag_of(context), "--since", "June"]) == 1
    assert "since='June' is no moment" in capsys.readouterr().err


@v2
@pytest.mark.parametrize("task_id", ["password", "a.b-c", "Übung", "x" * 250, "1"])
def test_the_command_sums_tasks_of_any_name(bench: Any, capsys: pytest.CaptureFixture[str], task_id: str) -> None:
    context = bench.context(task_id=task_id)
    bench.run(job(bench), context)
    capsys.readouterr()  # the log of the task
    assert main(["costs", dag_of(context), "--task-id", task_id, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_task"] == {task_id: 100}
    assert main(["costs", dag_of(context), "--task-id", task_id]) == 0
    assert task_id[:50] in capsys.readouterr().out


def test_the_command_tells_which_task_of_those_that_were_named_has_no_request(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    contexts = [bench.context(task_id=task_id) for task_id in ("one", "two")]
    for context in contexts:
        bench.run(job(bench), context)
    capsys.readouterr()  # the log of the tasks
    named = [word for task_id in ("one", "two", "three") for word in ("--task-id", task_id)]
    assert main(["costs", dag_of(contexts[0]), *named]) == 0
    told = capsys.readouterr().err
    assert "mark of a task three." in told
    assert told.count("None of them has the mark") == 1
    assert main(["costs", "another_dag", *named]) == 0
    assert "None of them has the mark" not in capsys.readouterr().err


@v1
def test_the_command_says_what_is_an_estimate(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    context = bench.context()
    bench.run(job(bench), context)
    assert main(["costs", dag_of(context), "--quick"]) == 0
    assert "Requests of v1 for which a third of the service's estimate stands: 1." in capsys.readouterr().out
