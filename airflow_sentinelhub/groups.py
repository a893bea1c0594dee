"""`sentinelhub_batch()`: a job as a TaskGroup of its single steps, for those who want to see each of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from airflow_sentinelhub._compat import approval, task_group
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchBudgetOperator,
    SentinelHubBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubStartBatchOperator,
)

_JOB = (
    "process_request",
    "tiling_grid",
    "geopackage",
    "output",
    "bucket_name",
    "area",
    "evalscript",
    "description",
    "aws_conn_id",
    "iam_role_arn",
    "payload_extra",
)
_WAIT = ("deferrable", "max_unknown_time")
_APPROVAL = "Start the Sentinel Hub batch job {{ ti.xcom_pull('%(analyse)s')['request_id'] }}?"
_COST = (
    "{%% set analysis = ti.xcom_pull('%(analyse)s') %%}{{ analysis['tile_count'] or 'an unknown number of' }} tiles, "
    "{%% if analysis['expected_pu'] is none %%}cost not estimated{%% else %%}about "
    "{{ '{:,.0f}'.format(analysis['expected_pu']) }} processing units{%% endif %%}."
)


def sentinelhub_batch(group_id: str, *, approve: bool = False, **arguments: Any) -> Any:
    """A TaskGroup `create` -> `analyse` -> `budget` -> `approve` -> `start` -> `finish`.

    `budget` is there only with `max_processing_units`, `approve` only if asked for: Airflow's own human-in-the-loop
    step, which shows tiles and expected cost and goes on when a person agrees (Airflow 3.1 and later). `finish` waits
    for the end, restarts what failed, judges, and returns what `SentinelHubBatchOperator` returns.

    Each step keeps the promises of its operator: retries find their request, and only one start is billed. `finish` is
    responsible for the running job: a run that is marked failed after `start` and before `finish` runs leaves the job
    running, as the log of `start` says. In one task (`SentinelHubBatchOperator`) there is no such moment.

    :param group_id: id of the group.
    :param approve: have a person agree between the analysis and the start.
    :param arguments: those of `SentinelHubBatchOperator`, with the same meaning.
    :raises InvalidInputError: `approve` on an Airflow that has no such step.
    """
    job = {name: arguments.pop(name) for name in _JOB if name in arguments}
    where = {name: arguments.pop(name) for name in ("sentinelhub_conn_id", "batch_api") if name in arguments}
    every = {name: arguments.pop(name) for name in ("poll_interval", "analysis_poll_interval") if name in arguments}
    wait = {name: arguments.pop(name) for name in _WAIT if name in arguments}
    budget = {name: arguments[name] for name in ("max_processing_units", "on_over_budget") if name in arguments}

    with task_group(group_id=group_id) as group:
        create = SentinelHubCreateBatchOperator(task_id="create", **job, **where)
        request_id = f"{{{{ ti.xcom_pull('{create.task_id}') }}}}"
        poll = {"poll_interval": every["analysis_poll_interval"]} if "analysis_poll_interval" in every else {}
        analyse = SentinelHubAnalyseBatchOperator(task_id="analyse", request_id=request_id, **poll, **wait, **where)
        steps: list[Any] = [create, analyse]
        if budget.get("max_processing_units") is not None:
            soft = budget.get("on_over_budget") in ("skip", "stop")  # nothing runs yet that could be stopped
            policy = {**budget, "on_over_budget": "skip" if soft else "fail"}
            steps.append(SentinelHubBatchBudgetOperator(task_id="budget", request_id=request_id, **policy, **where))
        if approve:
            names = {"analyse": analyse.task_id}
            asked = approval(task_id="approve", subject=_APPROVAL % names, body=_COST % names, fail_on_reject=False)
            if asked is None:
                raise InvalidInputError("approve=True needs Airflow 3.1 or later and its standard provider.")
            steps.append(asked)
        steps.append(SentinelHubStartBatchOperator(task_id="start", request_id=request_id, **where))
        steps.append(
            SentinelHubBatchOperator(
                task_id="finish", request_id=request_id, **job, **where, **every, **wait, **arguments
            )
        )
        for before, after in pairwise(steps):
            before >> after
    return group
