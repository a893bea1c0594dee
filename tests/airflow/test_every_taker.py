"""Each kind of argument is refused alike by everything that takes it: operators, sensors, the group and the hook.

The table names kinds, and not arguments: a new argument of a kind, and a new operator, are in it by themselves.
"""

from __future__ import annotations

import inspect
from typing import Any

import pendulum
import pytest

from airflow_sentinelhub import BatchSpecification, sentinelhub_batch
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.api.arguments import KINDS
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.operators._arguments import arguments_of
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
from tests.airflow.conftest import operators
from tests.airflow.test_arguments import NO_NUMBERS, NO_TIMES, NO_TRUTHS, render
from tests.airflow.test_wrong_host import GIVEN, JOB, REQUEST
from tests.names import DAG

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
HUGE = [10**400, -(10**400), float("inf"), "1e400"]


def wrong_values(name: str) -> list[Any]:
    """What no argument of the kind of this one can be."""
    says, hint = KINDS[name].says, KINDS[name].hint
    if "seconds" in hint:
        return [*NO_TIMES, *HUGE]
    if says == "is True or False":
        return [*NO_TRUTHS, 10**400]
    if "number" in says:
        fraction = [1.5, "1.5"] if "whole" in says or "tiles from 1" in says else []
        return [*NO_NUMBERS, *HUGE, *fraction, -1, "-1"]
    return ["no such word", 5, ["fail"], True] if says.startswith("must be one of") else []


NAMES = [name for name in KINDS if wrong_values(name)]
OF_THE_JOB = arguments_of(SentinelHubBatchOperator)
OF_RUN_JOB = inspect.signature(SentinelHubHook.run_job).parameters


def takers(name: str) -> list[Any]:
    return [kind for kind in operators() if name in kind.template_fields]


def arguments(kind: Any, name: str, value: Any) -> dict[str, Any]:
    given = {"task_id": "t", **GIVEN.get(kind.__name__, {"request_id": REQUEST}), name: value}
    return {**given, "aws_conn_id": "my_bucket"} if "aws_conn_id" in kind.template_fields else given


def test_the_table_has_what_there_is() -> None:
    assert len(NAMES) > 30
    others = {"check_collection", "approve", "max_failed", "check_results"}  # of the builders, the group and the hook
    assert {name for name in NAMES if not takers(name)} == others


@pytest.mark.parametrize("name", NAMES)
def test_a_literal_is_refused_by_every_operator(name: str) -> None:
    for kind in takers(name):
        for value in wrong_values(name):
            with pytest.raises(InvalidInputError, match=rf"^{name}\b.* Task: t \(test_every_taker\.py, ") as refused:
                kind(**arguments(kind, name, value))
            assert "\n" not in str(refused.value)
            assert len(str(refused.value)) < 500


@once
@pytest.mark.parametrize("name", NAMES)
def test_what_a_template_gives_is_refused_before_any_call(bench: Any, name: str) -> None:
    before = bench.mark()
    for kind in takers(name):
        for value in [value for value in wrong_values(name) if isinstance(value, str)][:4]:

            def make(kind: Any = kind, value: str = value) -> Any:
                return render(lambda: kind(**arguments(kind, name, "{{ params.it }}")), it=value)

            with pytest.raises(AirflowFailException, match=rf"^{name}\b.*\{{\{{ params\.it \}}\}}"):
                bench.run(make)
    assert bench.mark() == before


@pytest.mark.parametrize("name", [name for name in NAMES if name in OF_RUN_JOB])
@once
def test_the_hook_refuses_it(bench: Any, name: str) -> None:
    parts = {"output" if part == "destination" else part: value for part, value in JOB.items()}
    for value in wrong_values(name):
        with pytest.raises(InvalidInputError, match=rf"^{name}\b"):
            bench.hook.run_job(BatchSpecification(**parts), name="x", aws_conn_id="my_bucket", **{name: value})
    assert bench.effects() == []


@pytest.mark.parametrize("name", [name for name in NAMES if name in OF_THE_JOB])
def test_the_group_refuses_it(name: str) -> None:
    for value in wrong_values(name):
        with (
            DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")),
            pytest.raises(InvalidInputError, match=rf"^{name}\b.* Task: maps\."),
        ):
            sentinelhub_batch("maps", **JOB, aws_conn_id="my_bucket", **{name: value})
