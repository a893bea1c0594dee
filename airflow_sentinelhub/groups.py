"""`sentinelhub_batch()`: a job as a TaskGroup of its single steps, for those who want to see each of them."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from airflow_sentinelhub._compat import BaseOperator, task_group
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._arguments import arguments_of
from airflow_sentinelhub.operators._group_steps import BudgetStep, FinishStep, StartStep, approve_step
from airflow_sentinelhub.operators.batch import SentinelHubAnalyseBatchOperator, SentinelHubCreateBatchOperator

_BOUNDS = (
    "it would bound each step by itself and leave jobs without the step that watches them; SentinelHubBatchOperator, "
    "which is one task, bounds jobs with it"
)
_NOT_TAKEN = {
    "task_id": "the steps have names of their own; give group_id",
    "request_id": "the group makes its own request; SentinelHubBatchOperator goes on with one that exists",
    "task_group": "build it inside the other group's `with`",
    "task_display_name": "all steps would have the same name",
    "trigger_rule": "a step runs only after the success of the one before it, so that nothing is started after a skip, "
    "a refusal or a failure; for what comes before the group put a task with that rule in front of it",
    "wait_for_downstream": "nothing may keep the last step from watching a job that runs; depends_on_past=True starts "
    "a job only after the job of the run before has ended well",
    "wait_for_completion": "`finish` waits for the end",
    "max_active_tis_per_dag": _BOUNDS,
    "max_active_tis_per_dagrun": _BOUNDS,
    "task_concurrency": _BOUNDS,
}
"""Arguments of the operators that the steps cannot be given, and why."""
_OF_THE_RESULT = ("outlets", "do_xcom_push", "multiple_outputs")
"""Arguments of every operator that are about the job's result, which is that of `finish`."""
_APPROVAL = ("subject", "body", "options", "multiple", "defaults", "fail_on_reject", "ignore_downstream_trigger_rules")
"""Arguments of the approval that are the group's own; its `params` are the fields of a form."""

_PULL = "ti.xcom_pull(task_ids='%s', map_indexes=ti.map_index)"
_QUESTION = "Start the Sentinel Hub batch job {{ (%s or {}).get('request_id') }}?"
_COST = (
    "{%% set analysis = %s or {} %%}{{ analysis.get('tile_count') or 'an unknown number of' }} tiles, "
    "{%% if analysis.get('expected_pu') is none %%}cost not estimated{%% else %%}about "
    "{{ '{:,.0f}'.format(analysis['expected_pu']) }} processing units{%% endif %%}."
)


def sentinelhub_batch(group_id: str, *, approve: bool = False, **arguments: Any) -> Any:
    """A TaskGroup `create` -> `analyse` -> `budget` -> `approve` -> `start` -> `finish`.

    `budget` is there only with `max_processing_units`, `approve` only if asked for: Airflow's own human-in-the-loop
    step, which shows tiles and expected cost, goes on when a person agrees, and is skipped with all that follows when
    the person refuses (Airflow 3.1 and later). `finish` waits for the end, restarts what failed, judges, and returns
    what `SentinelHubBatchOperator` returns: `group.get_child_by_label("finish").output["request_id"]` names the
    request, in a mapped task group too.

    Each step keeps the promises of its operator: retries find their request, and only one start is billed. After a
    skip, a refusal or a failure nothing is started, whatever trigger rule the DAG's `default_args` hold. `finish` is
    responsible for the running job, and never starts one: a request that is not started when it comes to run is an
    error. A run that is marked failed after `start` and before `finish` runs leaves the job running, as the log of
    `start` says, and a `pool` that is full keeps `finish` from watching. In one task (`SentinelHubBatchOperator`)
    there is no such moment.

    Arguments go to every step that has them, those of Airflow's operators (`retries`, `pool`, callbacks, ...) to all.
    What the steps do with some of them:

    - `timeout` and `execution_timeout` bound each step by itself; `execution_timeout` is also the time in which
      `approve` must be answered, unless `response_timeout` is given.
    - `retries` is not for `approve`: Airflow forgets the answer at a retry, so a refusal could become an approval.
    - `depends_on_past`: `start` waits until `finish` of the run before has ended well; `finish` waits for nobody.
    - `outlets`, `do_xcom_push` and `multiple_outputs` are those of `finish`, whose result is the group's.

    :param group_id: id of the group.
    :param approve: have a person agree between the analysis and the start. With it, the arguments of Airflow's
        `ApprovalOperator` `response_timeout`, `assigned_users` and `notifiers` are taken too.
    :param arguments: those of `SentinelHubBatchOperator`, with the same meaning.
    :raises InvalidInputError: an argument that no step takes; `approve` on an Airflow that has no such step.
    """
    asking = approve_step() if approve else None
    if approve and asking is None:
        raise InvalidInputError(
            "approve=True needs Airflow 3.1 or later and its standard provider, whose human-in-the-loop step asks."
        )
    answers = {name for name in arguments_of(asking) if name not in _APPROVAL} if asking else set()
    _check_names(arguments, {*arguments_of(FinishStep), *answers})
    early = {name: value for name, value in arguments.items() if name not in _OF_THE_RESULT}
    of_group = {"dag": arguments["dag"]} if arguments.get("dag") else {}

    # Whatever is not said here, Airflow takes from the DAG's default_args.
    early |= {"do_xcom_push": True, "multiple_outputs": False}
    after = {"trigger_rule": "all_success"}
    watching: dict[str, Any] = {"depends_on_past": False, "wait_for_downstream": False}
    watching |= dict.fromkeys(("max_active_tis_per_dag", "max_active_tis_per_dagrun"))

    with task_group(group_id=group_id, **of_group) as group:
        create = _step(SentinelHubCreateBatchOperator, "create", early)
        on_request = {**after, "request_id": create.output}  # in a mapped group its output has the right map index
        finish = _step(FinishStep, "finish", arguments, **on_request, **watching)
        every = min(finish.analysis_poll_interval, finish.poll_interval)
        analyse = _step(SentinelHubAnalyseBatchOperator, "analyse", early, **on_request, poll_interval=every)
        steps: list[Any] = [create, analyse]
        if finish.max_processing_units is not None:
            limits = {name: getattr(finish, name) for name in ("max_processing_units", "on_over_budget")}
            steps.append(_step(BudgetStep, "budget", early, **on_request, **limits))
        if asking is not None:
            texts = {"subject": _QUESTION % (_PULL % create.task_id), "body": _COST % (_PULL % analyse.task_id)}
            steps.append(_asking(asking, early, finish.execution_timeout, **after, **texts))
        start = _step(StartStep, "start", early, **on_request, wait_for_completion=False)
        if start.depends_on_past:
            start.wait_for_downstream = True  # until `finish` of the run before has ended
        steps += [start, finish]
        for before, behind in pairwise(steps):
            before >> behind
    return group


def _step(operator: type[BaseOperator], task_id: str, given: dict[str, Any], **ours: Any) -> Any:
    """A step with those arguments that its operator takes; what the group says counts more."""
    takes = arguments_of(operator)
    return operator(task_id=task_id, **{**{name: given[name] for name in given if name in takes}, **ours})


def _asking(operator: Any, given: dict[str, Any], execution_timeout: Any, **ours: Any) -> Any:
    """`approve`: asks once; without an answer of a person it is not approved."""
    own = {name: value for name, value in given.items() if name != "params"}
    fixed = {"retries": 0, "fail_on_reject": False, "ignore_downstream_trigger_rules": False, "defaults": None}
    if "response_timeout" in arguments_of(operator) and execution_timeout is not None:
        own |= {"response_timeout": own.get("response_timeout") or execution_timeout, "execution_timeout": None}
    return _step(operator, "approve", own, **fixed, **ours)


def _check_names(given: dict[str, Any], known: set[str]) -> None:
    """:raises InvalidInputError: an argument that the steps cannot be given, or that none of them has."""
    for name in given:
        if name in _NOT_TAKEN:
            raise InvalidInputError(f"sentinelhub_batch() takes no {name}: {_NOT_TAKEN[name]}.")
        if name not in known:
            (close, *_) = [*get_close_matches(name, sorted(known - set(_NOT_TAKEN)), 1), None]
            hint = f"; did you mean {close}?" if close else ", and neither has SentinelHubBatchOperator."
            raise InvalidInputError(f"sentinelhub_batch() has no argument {name}{hint}")
