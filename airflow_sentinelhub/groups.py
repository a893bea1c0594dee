"""`sentinelhub_batch()`: a job as a TaskGroup with one task for each step."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from airflow_sentinelhub._compat import BaseOperator, task_group
from airflow_sentinelhub._types import Unpack
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._arguments import approves, arguments_of, shorter
from airflow_sentinelhub.operators._group_arguments import GroupArguments
from airflow_sentinelhub.operators._group_steps import BudgetStep, CreateStep, FinishStep, StartStep, approve_step
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator

_LIMITS_STEPS = (
    "it would limit each step by itself, and leave running jobs without the step that watches them; "
    "SentinelHubBatchOperator, which is one task, limits jobs with it"
)
_NOT_TAKEN = {
    "task_id": "the steps have fixed names; give group_id",
    "request_id": "the group creates its own request; SentinelHubBatchOperator continues with an existing one",
    "task_group": "call sentinelhub_batch() inside the `with` block of the other group",
    "task_display_name": "all steps would have the same name",
    "trigger_rule": "a step runs only after the success of the step before it, so that nothing is started after a "
    "skip, a refusal or a failure; to run the group by another rule, put a task with that rule in front of it",
    "wait_for_downstream": "the last step must never wait while a job is running; depends_on_past=True starts a job "
    "only after the job of the previous run has succeeded",
    "wait_for_completion": "the step `finish` waits for the end",
    "max_active_tis_per_dag": _LIMITS_STEPS,
    "max_active_tis_per_dagrun": _LIMITS_STEPS,
    "task_concurrency": _LIMITS_STEPS,
}
"""Arguments of the operators that the group does not accept, and the reasons."""
_OF_THE_RESULT = ("outlets", "do_xcom_push", "multiple_outputs")
"""Arguments of every operator that concern the job's result; the group passes them to `finish` only."""
_APPROVAL = ("subject", "body", "options", "multiple", "defaults", "fail_on_reject", "ignore_downstream_trigger_rules")
"""Arguments of `ApprovalOperator` that the group sets itself. Its `params` are the fields of a form."""

_PULL = "ti.xcom_pull(task_ids='%s', map_indexes=ti.map_index)"
_QUESTION = "Start the Sentinel Hub batch job {{ (%s or {}).get('request_id') }}?"
_COST = (
    "{%% set analysis = %s or {} %%}{{ analysis.get('tile_count') or 'an unknown number of' }} tiles, "
    "{%% set low, high = analysis.get('expected_pu_low'), analysis.get('expected_pu_high') %%}"
    "{%% if low is none or high is none %%}cost not estimated{%% else %%}about {{ '{:,.0f}'.format(low) }}"
    "{%% if high > low %%} to {{ '{:,.0f}'.format(high) }}{%% endif %%} processing units, "
    "{{ \"a third of the service's estimate\" if analysis.get('estimated_by') == 'service' else 'estimated by us' }}"
    "{%% endif %%}."
)


def sentinelhub_batch(group_id: str, *, approve: bool = False, **arguments: Unpack[GroupArguments]) -> Any:
    """A TaskGroup `create` -> `analyse` -> `budget` -> `approve` -> `start` -> `finish`.

    The group contains `budget` only with `max_processing_units` or `require_estimate`, and `approve` only with
    `approve=True`. `approve` is
    Airflow's human-in-the-loop operator (Airflow 3.1 and later): it shows the number of tiles and the expected cost,
    succeeds if a user approves, and is skipped with all steps after it if the user refuses. `finish` waits for the end,
    restarts what failed, judges, and returns the result of `SentinelHubBatchOperator`:
    `group.get_child_by_label("finish").output["request_id"]` is the id of the request, also in a mapped task group.

    Each step behaves like its operator: a retry finds the request, and only one start is billed. After a skip, a
    refusal or a failure nothing is started, whatever trigger rule the `default_args` of the DAG contain. `finish` is
    responsible for the running job and never starts one; if the request is not started when `finish` runs, it fails.
    There are two gaps that `SentinelHubBatchOperator`, which is a single task, does not have: if the run is marked
    failed after `start` and before `finish` runs, the job is left running, as the log of `start` says; and `finish`
    cannot watch the job while it waits for a slot in a full `pool`.

    Each argument goes to every step that has it; those of Airflow's operators (`retries`, `pool`, callbacks, ...) go to
    all steps, with these exceptions:

    - `timeout` and `execution_timeout` limit each step by itself. `execution_timeout` is also the time to answer
      `approve`, unless `response_timeout` is given.
    - `retries` does not apply to `approve`: Airflow loses the answer at a retry, so a refusal could become an approval.
    - `depends_on_past`: `start` waits until `finish` of the previous run has succeeded; `finish` does not wait.
    - `outlets`, `do_xcom_push` and `multiple_outputs` go to `finish`, whose result is the result of the group.

    :param group_id: id of the group.
    :param approve: let a user approve the job between the analysis and the start. The group then also takes
        `response_timeout`, `assigned_users` and `notifiers` of Airflow's `ApprovalOperator`.
    :param arguments: those of `SentinelHubBatchOperator`, with the same meaning.
    :raises InvalidInputError: no step takes one of the arguments, or this Airflow has no `ApprovalOperator`.
    """
    given: dict[str, Any] = {**arguments}
    approve = approves(approve)
    approval = approve_step() if approve else None
    if approve and approval is None:
        raise InvalidInputError(
            "approve=True needs Airflow 3.1 or later and its standard provider, whose human-in-the-loop step asks."
        )
    approval_names = {name for name in arguments_of(approval) if name not in _APPROVAL} if approval else set()
    _check_names(given, {*arguments_of(FinishStep), *approval_names})
    step_arguments = {name: value for name, value in given.items() if name not in _OF_THE_RESULT}
    group_arguments = {"dag": given["dag"]} if given.get("dag") else {}

    # The values below are set explicitly, because Airflow would take them from the `default_args` of the DAG.
    step_arguments |= {"do_xcom_push": True, "multiple_outputs": False}
    rule = {"trigger_rule": "all_success"}
    never_waits: dict[str, Any] = {"depends_on_past": False, "wait_for_downstream": False}
    never_waits |= dict.fromkeys(("max_active_tis_per_dag", "max_active_tis_per_dagrun"))

    with task_group(group_id=group_id, **group_arguments) as group:
        create = _step(CreateStep, "create", step_arguments)
        on_request = {**rule, "request_id": create.output}  # in a mapped group its output has the right map index
        finish = _step(FinishStep, "finish", given, **on_request, **never_waits)
        interval = shorter(finish.analysis_poll_interval, finish.poll_interval)
        analyse = _step(
            SentinelHubAnalyseBatchOperator, "analyse", step_arguments, **on_request, poll_interval=interval
        )
        steps: list[Any] = [create, analyse]
        if finish.max_processing_units is not None or finish.require_estimate is not False:
            limits = {name: getattr(finish, name) for name in BudgetStep.limits}
            steps.append(_step(BudgetStep, "budget", step_arguments, **on_request, **limits))
        if approval is not None:
            texts = {"subject": _QUESTION % (_PULL % create.task_id), "body": _COST % (_PULL % analyse.task_id)}
            steps.append(_approve(approval, step_arguments, finish.execution_timeout, **rule, **texts))
        start = _step(StartStep, "start", step_arguments, **on_request, wait_for_completion=False)
        if start.depends_on_past:
            start.wait_for_downstream = True  # waits until `finish` of the previous run has succeeded
        steps += [start, finish]
        for upstream, downstream in pairwise(steps):
            upstream >> downstream
    return group


def _step(operator: type[BaseOperator], task_id: str, arguments: dict[str, Any], **fixed: Any) -> Any:
    """A step with those of the arguments that its operator takes, and with `fixed`, which takes precedence."""
    names = arguments_of(operator)
    return operator(task_id=task_id, **{**{name: arguments[name] for name in arguments if name in names}, **fixed})


def _approve(operator: Any, arguments: dict[str, Any], execution_timeout: Any, **fixed: Any) -> Any:
    """The step `approve`. It asks once; without an answer of a user the job is not approved."""
    taken = {name: value for name, value in arguments.items() if name != "params"}
    settings = {"retries": 0, "fail_on_reject": False, "ignore_downstream_trigger_rules": False, "defaults": None}
    if "response_timeout" in arguments_of(operator) and execution_timeout is not None:
        taken |= {"response_timeout": taken.get("response_timeout") or execution_timeout, "execution_timeout": None}
    return _step(operator, "approve", taken, **settings, **fixed)


def _check_names(arguments: dict[str, Any], known: set[str]) -> None:
    """:raises InvalidInputError: the group does not accept one of the arguments, or no step has it."""
    for name in arguments:
        if name in _NOT_TAKEN:
            raise InvalidInputError(f"sentinelhub_batch() takes no {name}: {_NOT_TAKEN[name]}.")
        if name not in known:
            (match, *_) = [*get_close_matches(name, sorted(known - set(_NOT_TAKEN)), 1), None]
            hint = f"; did you mean {match}?" if match else ", and neither has SentinelHubBatchOperator."
            raise InvalidInputError(f"sentinelhub_batch() has no argument {name}{hint}")
