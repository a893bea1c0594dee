"""`cancel`: end a batch request."""

from __future__ import annotations

import sys
from typing import Any

from airflow_sentinelhub.api.decide.verdict import fate
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.cli.command import BATCH_API, CONN_ID, OUTPUT, REQUEST_ID, Command, argument
from airflow_sentinelhub.cli.output import one_line, show
from airflow_sentinelhub.cli.reading import find, hook_of, members_of
from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError, SentinelHubError


def run(args: Any) -> int:
    """Cancel (v1) or stop (v2, statistical) a request, wait until that has taken effect, and say what was reached.

    The exit code is 0 if the request does not run any more.
    """
    hook = hook_of(args)
    try:
        api, job = find(hook, args)
    except (InvalidInputError, NotFoundError):
        raise
    except SentinelHubError as err:
        left = f"Batch request {args.request_id.strip()} was left alone: if it was started, it runs on and bills."
        raise SentinelHubError(f"{err} Nothing was sent. {left} Run the command again.") from None
    word = api.end_word
    if job.status.is_final:
        print(f"Batch request {job.request_id} is {job.status.value} already; nothing was sent.", file=sys.stderr)
    else:
        if not args.yes and not _agreed(f"{word.capitalize()} batch request {job.request_id}? {_about(job)}"):
            print(f"Nothing was sent; {job.request_id} was left as it is.", file=sys.stderr)
            return 1
        try:
            job = hook.run(end(api, job.request_id))
        except (SentinelHubError, KeyboardInterrupt) as err:
            what = f"Batch request {job.request_id} was {job.status.value} before, and it is not known what it is now"
            again = f"`show {job.request_id}` says whether it runs on and bills; to {word} it again does no harm."
            print(one_line(f"{err} {what}: {again}"), file=sys.stderr)
            if isinstance(err, KeyboardInterrupt):
                raise
            return 1
        print(f"Batch request {job.request_id} is {job.status.value}. {fate(job)}", file=sys.stderr)
    if args.output == "json":
        show({**members_of(job), "state": fate(job)}, args.output)
    return 0 if job.status.is_final or not job.started else 1


def _about(job: Any) -> str:
    words = one_line(job.description)[:100]
    return f"It is {job.status.value}{f' ({words})' if words else ''}. {fate(job)}"


def _agreed(question: str) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():  # it is None where the shell has closed it
        raise InvalidInputError(
            f"{question} There is nobody to ask here, so nothing was sent; give --yes to do it without a question."
        )
    print(f"{question} Tiles that are done or at work are billed. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


COMMAND = Command(
    "cancel",
    "cancel (v1) or stop (v2, statistical) a batch request; asks before",
    (REQUEST_ID, CONN_ID, BATCH_API, argument("--yes", "-y", action="store_true", help="do not ask"), OUTPUT),
    run,
)
