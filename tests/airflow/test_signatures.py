"""The types in the signatures: what a type checker lets a DAG give to operators and sensors."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest

from airflow_sentinelhub._compat import AirflowException, BaseOperator, BaseSensorOperator, XComArg
from airflow_sentinelhub._types import SensorArguments, TaskArguments
from airflow_sentinelhub.api.decide.results import FeatureResults, TileResults
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.groups import _APPROVAL, _NOT_TAKEN
from airflow_sentinelhub.hooks._options import JobOptions
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.operators._arguments import arguments_of
from airflow_sentinelhub.operators._group_arguments import GroupArguments
from airflow_sentinelhub.operators._group_steps import BudgetStep, CreateStep, FinishStep, StartStep, approve_step
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubCreateBatchOperator
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.sensors.statistical import SentinelHubBatchStatisticalSensor

OWN = {"poke_interval", "timeout"}
"""Arguments of Airflow's sensor that our sensors have themselves."""
ID = "0b7a3f9e-0d5c-4c3e-9f5e-5f1d2f7f1a11"
OF_THE_APPROVAL = {"response_timeout", "assigned_users", "notifiers"}
OF_SOME_AIRFLOWS = {"retry_policy", "task_concurrency", "render_template_as_native_obj"}


def accepts(hint: Any, kind: type) -> bool:
    return hint is Any or kind in (hint, *get_args(hint))


def same_where_told(some: dict[str, Any], others: dict[str, Any], names: set[str]) -> bool:
    """Python 3.10 makes Any with None for its default an Optional[Any]."""
    told = {name for name in names if some.get(name) is not Any}
    assert {name: some.get(name) for name in told} == {name: others[name] for name in told}
    return told != set()


def names(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.name != "self" and one.kind is not one.VAR_KEYWORD}


def test_a_templated_argument_takes_text_and_the_output_of_a_task(operator_class: type[BaseOperator]) -> None:
    hints = get_type_hints(operator_class.__init__)
    late = {*operator_class.template_fields, "output"} & names(operator_class)
    assert late
    assert {name for name in late if not (accepts(hints[name], str) and accepts(hints[name], XComArg))} == set()


@pytest.mark.parametrize("step", [BudgetStep, CreateStep, FinishStep, StartStep])
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


def test_no_argument_of_a_base_class_is_taken(operator_class: type[BaseOperator]) -> None:
    """Airflow's `partial` passes what any base class declares, and only the run would refuse it."""
    bases = [cls for cls in operator_class.__mro__[1:] if cls.__module__.startswith("airflow_sentinelhub")]
    inherited = {name for cls in bases if "__init__" in vars(cls) for name in names(inspect.unwrap(cls.__init__))}
    assert inherited - names(operator_class) - names(BaseSensorOperator) - names(BaseOperator) == set()


def test_a_statistical_sensor_refuses_a_generation_by_its_name() -> None:
    for make in (SentinelHubBatchStatisticalSensor, SentinelHubBatchStatisticalSensor.partial):
        with pytest.raises((TypeError, AirflowException), match=r"batch_api") as caught:
            make(task_id="wait", request_id=ID, batch_api="v1")
        assert "multiple values" not in str(caught.value)


def test_airflows_arguments_are_known() -> None:
    task = names(BaseOperator.__init__)
    assert task - set(TaskArguments.__annotations__) == set()
    assert set(TaskArguments.__annotations__) - task <= OF_SOME_AIRFLOWS
    sensor = names(BaseSensorOperator.__init__) - task
    assert set(SensorArguments.__annotations__) - set(TaskArguments.__annotations__) == sensor - OWN


def test_the_group_takes_the_arguments_of_the_whole_job() -> None:
    of_a_job, of_a_group = get_type_hints(SentinelHubBatchOperator.__init__), get_type_hints(GroupArguments)
    own = names(SentinelHubBatchOperator.__init__) - {"request_id"}
    of_a_job["process_request"] = get_type_hints(SentinelHubCreateBatchOperator.__init__)["process_request"]
    assert same_where_told(of_a_group, of_a_job, own)
    assert set(of_a_group) - own - OF_THE_APPROVAL == set(TaskArguments.__annotations__) - set(_NOT_TAKEN)
    assert GroupArguments.__required_keys__ == {"process_request"}


@pytest.mark.skipif(approve_step() is None, reason="this Airflow asks nobody")
def test_the_group_takes_the_arguments_of_the_approval() -> None:
    own = set(arguments_of(approve_step())) - set(arguments_of(BaseOperator))
    assert own - set(_APPROVAL) == OF_THE_APPROVAL


def test_a_job_in_python_takes_what_its_overloads_say() -> None:
    """Both overloads name the options by one table, since the result depends on the specification."""
    told = inspect.signature(SentinelHubHook.run_job).parameters
    assert set(told) - {"self", "specification"} == set(JobOptions.__annotations__)
    hints, options = get_type_hints(SentinelHubHook.run_job), get_type_hints(JobOptions)
    assert same_where_told(options, hints, set(options))


def test_results_are_described_member_by_member() -> None:
    operators = (SentinelHubBatchOperator, SentinelHubBatchStatisticalOperator)
    told = [set(get_type_hints(cls.execute, localns={"Context": dict})["return"].__annotations__) for cls in operators]
    snapshot = Snapshot("id", "v2", BatchRequestStatus("DONE"))
    batch = TileResults(snapshot, 1, 1, 0, (), 1.0, True, 0).as_result()
    features = FeatureResults(snapshot, 1, 0, (), True).as_result()
    assert told == [set(batch), set(features)]


def test_help_names_each_argument_with_its_type(operator_class: type[BaseOperator]) -> None:
    told = {name: str(one.annotation) for name, one in inspect.signature(operator_class).parameters.items()}
    assert all(text and "ForwardRef" not in text and len(text) < 80 for text in told.values()), told
    assert told["max_unknown_time"] == "Templated[float | timedelta]"
