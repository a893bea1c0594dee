"""`show`: one batch request."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.decide.verdict import fate
from airflow_sentinelhub.cli.command import BATCH_API, CONN_ID, OUTPUT, REQUEST_ID, Command
from airflow_sentinelhub.cli.output import show
from airflow_sentinelhub.cli.reading import PATIENCE, find, hook_of, members_of


def run(args: Any) -> int:
    """Print the state of a request; as JSON with all that the service says about it."""
    hook = hook_of(args)
    api, job = find(hook, args)
    members = {**members_of(job), "state": fate(job)}
    if args.output == "json":
        members["request"] = hook.run(exchange(api.body(job.request_id), PATIENCE))
    show(members, args.output)
    return 0


COMMAND = Command(
    "show",
    "show a batch request: its status, its cost, and whether it runs on and bills",
    (REQUEST_ID, CONN_ID, BATCH_API, OUTPUT),
    run,
)
