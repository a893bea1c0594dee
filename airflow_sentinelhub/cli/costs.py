"""`costs`: what a DAG has cost, by the marker of its requests."""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow_sentinelhub.cli.command import CONN_ID, OUTPUT, Command, argument
from airflow_sentinelhub.cli.output import one_line, out, print_table
from airflow_sentinelhub.cli.reading import hook_of, no_mark

_TASKS = ("task", "pu")
_REQUESTS = ("created", "id", "batch_api", "status", "task", "pu", "expected_pu")


def run(args: Any) -> int:
    """Sum what the account's lists show of the DAG, and print it in all, by task and by request."""
    from airflow_sentinelhub._identity import deployment_name

    costs = hook_of(args).costs(args.dag_id, args.since, task_ids=args.task_id or (), tiles=not args.quick)
    if args.output == "json":
        print(json.dumps(costs.as_dict(), indent=2), file=out())  # no secrets, but perhaps a task called `password`
        return 0
    print(one_line(f"{costs.dag_id}: {costs.total:,.1f} PU since {costs.since:%Y-%m-%d %H:%M} UTC"), file=out())
    if costs.running:
        print(f"Running: {costs.running}; in all about {costs.expected:,.1f} PU when that is done.", file=out())
    if costs.requests:
        print(file=out())
        print_table([{"task": task, "pu": cost} for task, cost in costs.by_task().items()], _TASKS)
        print(file=out())
        print_table(
            [
                {
                    "created": each.created,
                    "id": each.request_id,
                    "batch_api": each.batch_api,
                    "status": each.status,
                    "task": each.task,
                    "pu": each.cost,
                    "expected_pu": each.expected,
                }
                for each in costs.requests
            ],
            _REQUESTS,
        )
        if any(each.task and each.task not in (args.task_id or ()) for each in costs.requests):
            print("A task that was not named is shown by a digest; --task-id and its id name it.", file=out())
    else:
        print(one_line(no_mark(args.dag_id, deployment_name())), file=sys.stderr)
    for task_id in dict.fromkeys(args.task_id or ()):
        if costs.requests and all(each.task != task_id for each in costs.requests):
            print(one_line(f"None of them has the mark of a task {task_id}."), file=sys.stderr)
    for line in costs.warnings():
        print(one_line(line), file=out())
    return 0


COMMAND = Command(
    "costs",
    "what a DAG has cost this month, by task and by request",
    (
        argument("dag_id", metavar="DAG", help="id of the DAG"),
        CONN_ID,
        argument(
            "--since", metavar="DATE", help="only requests created since, such as 2026-06-01 (default: this month)"
        ),
        argument("--task-id", action="append", metavar="TASK", help="id of a task, to name it in the sums; repeatable"),
        argument(
            "--quick", action="store_true", help="v1: take a third of the service's estimate, do not read the tiles"
        ),
        OUTPUT,
    ),
    run,
)
