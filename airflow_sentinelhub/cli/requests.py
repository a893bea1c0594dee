"""`requests`: the batch requests of the account."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from airflow_sentinelhub.api.arguments import check_word
from airflow_sentinelhub.api.decide.marker import dag_word, mark_of, unmarked
from airflow_sentinelhub.api.service.generations import Generation, never_ends
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import REQUEST_STATUSES, BatchRequestStatus
from airflow_sentinelhub.api.times import moment
from airflow_sentinelhub.cli.command import BATCH_API, CONN_ID, OUTPUT, Command, argument
from airflow_sentinelhub.cli.output import one_line, show
from airflow_sentinelhub.cli.reading import NOT_OFFERED, generations_of, hook_of, members_of, no_mark, pages
from airflow_sentinelhub.exceptions import InvalidInputError

_COLUMNS = ("id", "batch_api", "status", "created", "percent_done", "tiles", "expected_pu", "cost_pu", "description")
_MOST_PAGES = 1000


def run(args: Any) -> int:
    """Read the lists of the account, newest first, and print what matches."""
    from airflow_sentinelhub._identity import deployment_name

    if args.limit < 1:
        raise InvalidInputError(f"--limit is a number above 0, not {args.limit}.")
    hook, since = hook_of(args), None if args.since is None else moment(args.since, "--since")
    deployment = deployment_name()
    word = None if args.dag_id is None else dag_word(deployment, args.dag_id)
    statuses = {status.upper() for status in args.status or ()}
    for status in sorted(statuses):
        check_word("--status", status, REQUEST_STATUSES)
    apis, found, refused = generations_of(hook, args), list[Snapshot](), list[Exception]()
    for api in apis:
        matching = list[Snapshot]()
        try:
            for job in _listed(hook, api, since):
                mark = mark_of(job.description)
                of_dag = word is None or (mark is not None and mark.dag == word)
                if of_dag and (not statuses or job.status.value in statuses) and not (mark and mark.adopts):
                    matching.append(job)
                if len(matching) >= args.limit:
                    break
        except NOT_OFFERED as err:
            refused.append(err)
            print(f"Batch {api.name} could not be listed: {one_line(str(err))}", file=sys.stderr)
        found += matching
    if len(refused) == len(apis):
        raise refused[0]
    earliest = datetime.min.replace(tzinfo=timezone.utc)
    found.sort(key=lambda job: job.created or earliest, reverse=True)
    if len(found) > args.limit:
        del found[args.limit :]
    if len(found) == args.limit:
        print(f"The {args.limit} newest; there may be more (--limit).", file=sys.stderr)
    if word is not None and not found and not statuses:
        print(one_line(no_mark(args.dag_id, deployment)), file=sys.stderr)
    if not found and statuses and all(BatchRequestStatus(status).is_final for status in statuses):
        for never in filter(None, (never_ends(sorted(statuses), api.name) for api in apis)):
            print(f"{never[0].upper()}{never[1:]}", file=sys.stderr)
    if not found and not args.batch_api:
        names = " and ".join(api.name for api in apis)
        print(f"Only batch {names} were asked; --batch-api names another generation.", file=sys.stderr)
    rows = [members_of(job) for job in found]
    if args.output == "table":
        rows = [{**row, "description": unmarked(row["description"])} for row in rows]
    show(rows, args.output, _COLUMNS)
    return 0


def _listed(hook: Any, api: Generation, since: datetime | None) -> Iterator[Snapshot]:
    """The requests from the newest back to a time. A page that is not sorted does not end the list."""
    listed = pages(hook, lambda token: api.list(sort="created:desc", viewtoken=token))
    for number, page in enumerate(listed, 1):
        if page.left_out:
            print(f"{page.left_out} requests of batch {api.name} could not be read.", file=sys.stderr)
        created = [job.created for job in page.items]
        yield from (job for job in page.items if since is None or job.created is None or job.created >= since)
        times = [time for time in created if time is not None]
        over = since is not None and len(times) == len(created) and all(time < since for time in times[-1:])
        if over and times == sorted(times, reverse=True):
            return
        if number == _MOST_PAGES and page.next_token is not None:
            print(f"The list of batch {api.name} was read to page {_MOST_PAGES} only.", file=sys.stderr)
            return


COMMAND = Command(
    "requests",
    "list the batch requests of the account, newest first",
    (
        CONN_ID,
        BATCH_API,
        argument("--status", action="append", metavar="STATUS", help="only with this status; repeatable"),
        argument("--dag-id", metavar="DAG", help="only those of this DAG, by the marker in their description"),
        argument("--since", metavar="DATE", help="only those created since, such as 2026-06-01 (UTC)"),
        argument("--limit", type=int, default=50, metavar="N", help="at most so many (default: 50)"),
        OUTPUT,
    ),
    run,
)
