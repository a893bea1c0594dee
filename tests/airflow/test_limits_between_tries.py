"""Limits that are wrong in a later try, or wrong only where the request is: they hide no request that runs."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import InvalidInputError, StillRunningError
from tests.airflow.job import CLEARED, RETRY, Killed, described, job, kill, modes, v1, v2
from tests.airflow.test_edits import Store, a_try, killed, starts, store
from tests.airflow.test_group import group, steps
from tests.airflow.test_hook_run_job import run

__all__ = ["store"]

WRONG: dict[str, Any] = {"max_restarts": "junk", "max_processing_units": "", "on_over_budget": "stop"}
RUNS_ON = "is PROCESSING. It runs on and bills."


def killed_run(bench: Any, **how: Any) -> str:
    """A run of `hook.run_job` that dies while its request is processed; the id of that."""
    bench.clock.at(90, kill)
    with pytest.raises(Killed):
        run(bench, **how)
    (request,) = bench.sim.requests()
    return str(request["id"])


def of_task(bench: Any, number: int) -> dict[str, Any]:
    return {"name": None, "context": bench.context(try_number=number)}


# `hook.run_job`


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_limit_of_a_retry_names_the_request_that_runs(bench: Any, name: str) -> None:
    request_id = killed_run(bench, **of_task(bench, 1))
    with pytest.raises(InvalidInputError, match=f"{name}.* Batch request {request_id} {RUNS_ON} A retry of this task"):
        run(bench, **{name: WRONG[name]}, **of_task(bench, 2))
    assert run(bench, **of_task(bench, 3))["request_id"] == request_id
    assert starts(bench) == 1


@pytest.mark.parametrize(("name", "value"), [*WRONG.items(), ("timeout", "junk")])
def test_a_wrong_option_of_a_script_says_that_an_earlier_run_may_have_left_a_job(
    bench: Any, name: str, value: Any
) -> None:
    killed_run(bench)
    with pytest.raises(InvalidInputError, match=rf"{name}.* has started a batch request, that runs on and bills\.$"):
        run(bench, **{name: value})
    with pytest.raises(InvalidInputError) as of_first_try:
        run(bench, **{name: value}, **of_task(bench, 1))
    assert "batch request" not in str(of_first_try.value)


@v1
@pytest.mark.parametrize("by_name", [False, True])
def test_limits_that_only_v1_knows_go_on_with_its_request_after_an_edit(bench: Any, by_name: bool) -> None:
    """v1 tells by its status that a part has failed; v2, which the connection names since, only by its results."""
    given = {"check_results": False, "max_restarts": 1}
    first, second = ({}, {}) if by_name else (of_task(bench, 1), of_task(bench, 2))
    request_id = killed_run(bench, **given, **first)
    bench.connect(batch_api="v2")
    result = run(bench, **given, **second)
    assert (result["request_id"], result["status"]) == (request_id, "DONE")
    before = bench.mark()
    with pytest.raises(InvalidInputError, match=r"check_results=False .* max_restarts has no effect"):
        run(
            bench,
            **given,
            **({"name": "other"} if by_name else {**of_task(bench, 1), "context": bench.context(task_id="other")}),
        )
    assert by_name or bench.mark() == before, "in a first try it is said before any call"
    assert (bench.effects().count("created"), starts(bench)) == (1, 1)


# The operator


@modes
@pytest.mark.parametrize("cleared", [False, True], ids=["retry", "clear"])
def test_a_wrong_limit_of_a_later_try_hides_no_request_and_starts_none(
    bench: Any, deferrable: bool, cleared: bool
) -> None:
    killed(bench, job(bench), bench.context())
    (former,) = (str(one["id"]) for one in bench.sim.requests())
    for name, value in {"max_processing_units": "", "on_partial": "nonsense", "min_success_ratio": "2"}.items():

        def wrong(name: str = name, value: str = value) -> Any:
            task = job(bench, deferrable=deferrable, **{name: "{{ params.limit }}"})()
            setattr(task, name, value)  # what the template has rendered to
            return task

        with pytest.raises(StillRunningError, match=f"{name} .* Batch request {former} {RUNS_ON}"):
            bench.run(wrong, bench.context(**(CLEARED if cleared else RETRY)))
        before = bench.effects()
        with pytest.raises(AirflowFailException, match=name):  # in the first try of another task nothing is created
            bench.run(wrong, bench.context(task_id="other"))
        assert bench.effects() == before
    assert starts(bench) == 1


@v1
@pytest.mark.parametrize("wrong", ["limits", "job"])
def test_what_cannot_be_created_here_ends_nothing_in_the_other_generation(
    bench: Any, store: Store | None, wrong: str
) -> None:
    """The connection names v2 since the clear; what v1 processes is paid, and is ended only for what can take over."""
    given: dict[str, Any] = {"check_tiles": False, "max_restarts": 1} if wrong == "limits" else {}
    killed(bench, job(bench, **given), a_try(bench, store))
    (former,) = (str(one["id"]) for one in bench.sim.requests())
    bench.connect(batch_api="v2")
    given |= {"aws_conn_id": None} if wrong == "job" else {}
    words = "max_restarts has no effect" if wrong == "limits" else "aws_conn_id"
    with pytest.raises(StillRunningError, match=f"{words}.* Batch request {former} {RUNS_ON}"):
        bench.run(job(bench, **given), a_try(bench, store, **CLEARED))
    assert bench.status(former) == "PROCESSING"
    assert bench.effects().count("created") == 1


# The group


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_restarts", "-1"), ("on_partial", "nonsense"), ("min_success_ratio", None), ("max_failed_tiles", "")],
)
def test_the_group_creates_nothing_for_limits_that_its_last_step_would_refuse(
    bench: Any, name: str, value: Any
) -> None:
    create = steps(group(**described(bench), **{name: "{{ params.limit }}"}))["create"]
    setattr(create, name, value)  # what the template has rendered to
    with pytest.raises(AirflowFailException, match=name):
        bench.run(lambda: create)
    assert bench.effects() == []


@v2
def test_nor_for_limits_that_contradict_each_other_in_the_generation_of_the_connection(bench: Any) -> None:
    create = steps(group(**described(bench), check_tiles=False, max_restarts=1))["create"]
    with pytest.raises(AirflowFailException, match=r"check_tiles=False .* max_restarts has no effect"):
        bench.run(lambda: create)
    assert bench.effects() == []
