"""The types in the signatures: what a type checker lets a DAG give to operators and sensors."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest

from airflow_sentinelhub._compat import BaseOperator, BaseSensorOperator, XComArg
from airflow_sentinelhub._types import SensorArguments, TaskArguments
from airflow_sentinelhub.operators._group_steps import BudgetStep, FinishStep, StartStep

OWN = {"poke_interval", "timeout"}
"""Arguments of Airflow's sensor that our sensors have themselves."""
OF_SOME_AIRFLOWS = {"retry_policy", "task_concurrency", "render_template_as_native_obj"}


def accepts(hint: Any, kind: type) -> bool:
    return hint is Any or kind in (hint, *get_args(hint))


def names(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.name != "self" and one.kind is not one.VAR_KEYWORD}


def test_a_templated_argument_takes_text_and_the_output_of_a_task(operator_class: type[BaseOperator]) -> None:
    hints = get_type_hints(operator_class.__init__)
    late = {*operator_class.template_fields, "output"} & names(operator_class)
    assert late
    assert {name for name in late if not (accepts(hints[name], str) and accepts(hints[name], XComArg))} == set()


@pytest.mark.parametrize("step", [BudgetStep, FinishStep, StartStep])
def test_so_do_the_steps_of_the_group(step: type[BaseOperator]) -> None:
    hints = get_type_hints(step.__init__)
    own = names(step) & set(step.template_fields)
    assert {name for name in own if not (accepts(hints[name], str) and accepts(hints[name], XComArg))} == set()


def test_what_is_accepted_is_told_from_what_is_not() -> None:
    assert accepts(str | None, str)
    assert accepts(Any, XComArg)
    assert not accepts(str | None, XComArg)


def test_further_arguments_are_those_of_airflow(operator_class: type[BaseOperator]) -> None:
    """`**kwargs` without a type would let a type checker pass whatever is misspelt."""
    sensor = issubclass(operator_class, BaseSensorOperator)
    (kwargs,) = get_args(get_type_hints(operator_class.__init__)["kwargs"])
    assert kwargs is (SensorArguments if sensor else TaskArguments)


def test_airflows_arguments_are_known() -> None:
    task = names(BaseOperator.__init__)
    assert task - set(TaskArguments.__annotations__) == set()
    assert set(TaskArguments.__annotations__) - task <= OF_SOME_AIRFLOWS
    sensor = names(BaseSensorOperator.__init__) - task
    assert set(SensorArguments.__annotations__) - set(TaskArguments.__annotations__) == sensor - OWN


def test_help_names_each_argument_with_its_type(operator_class: type[BaseOperator]) -> None:
    told = {name: str(one.annotation) for name, one in inspect.signature(operator_class).parameters.items()}
    assert all(text and "ForwardRef" not in text and len(text) < 80 for text in told.values()), told
    assert told["max_unknown_time"] == "Templated[float | timedelta]"
