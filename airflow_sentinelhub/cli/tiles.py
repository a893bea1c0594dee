"""`tiles`: the tiles or features of a batch request."""

from __future__ import annotations

import sys
from typing import Any

from airflow_sentinelhub.api.arguments import check_word
from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.statuses import FEATURE_STATUSES, TILE_STATUSES
from airflow_sentinelhub.api.tiles import output_paths, tile_item
from airflow_sentinelhub.cli.command import AWS_CONN_ID, BATCH_API, CONN_ID, OUTPUT, REQUEST_ID, Command, argument
from airflow_sentinelhub.cli.output import show
from airflow_sentinelhub.cli.reading import PATIENCE, FoundRequest, find, hook_of, pages

_COLUMNS = ("name", "status", "no_data", "error", "paths")


def run(args: Any) -> int:
    """Print name and status of each tile: from the service (v1), or from the files in the bucket."""
    hook = hook_of(args)
    found = find(hook, args)
    read, words = _READERS[found.api.results]
    status = None if args.status is None else args.status.upper()
    if status is not None:
        check_word("--status", status, words)
    every = read(hook, found, args)
    if not every:
        yet = "" if found.job.status.is_final else " yet"
        print(f"Batch request {found.job.request_id} is {found.job.status.value}: no tiles{yet}.", file=sys.stderr)
    rows = [row for row in every if status is None or row["status"] == status]
    columns = [name for name in _COLUMNS if name in ("name", "status") or any(name in row for row in rows)]
    if args.output == "table" and args.paths:
        rows = [{**row, "paths": " ".join((row.get("paths") or {}).values())} for row in rows]
    show(rows, args.output, columns, whole=("paths",))
    return 0


def _from_service(hook: Any, found: FoundRequest, args: Any) -> list[dict[str, Any]]:
    request_id = found.job.request_id
    paths = output_paths(hook.run(exchange(v1.get_body(request_id), PATIENCE))) if args.paths else None
    listed = pages(hook, lambda token: v1.list_tiles(request_id, viewtoken=token))
    return [tile_item(tile, paths) for page in listed for tile in page.items]


def _from_bucket(hook: Any, found: FoundRequest, args: Any) -> list[dict[str, Any]]:
    names = _COLUMNS if args.paths else _COLUMNS[:-1]
    with hook.results(found.job.request_id, args.aws_conn_id) as results:
        return [
            {name: tile[name] for name in names if tile.get(name) is not None}
            for tile in results.tiles(with_paths=args.paths)
        ]


def _of_features(hook: Any, found: FoundRequest, args: Any) -> list[dict[str, Any]]:
    from airflow_sentinelhub.hooks.storage import bucket_reader
    from airflow_sentinelhub.results.statistical import results_of_request

    request = hook.run(exchange(found.api.body(found.job.request_id), PATIENCE))
    results = results_of_request(request, bucket_reader(args.aws_conn_id, hook.settings))
    rows = []
    for feature in results.features():
        item = feature.as_item()
        row = {"name": item["identifier"], "status": item["status"]}
        row |= {"error": item["error"]} if item.get("error") else {}
        rows.append({**row, "paths": {"default": item["path"]}} if args.paths else row)
    return rows


_READERS = {
    "listed": (_from_service, TILE_STATUSES),
    "bucket": (_from_bucket, TILE_STATUSES),
    "features": (_of_features, FEATURE_STATUSES),
}
"""What reads them, and the words of their status."""

COMMAND = Command(
    "tiles",
    "list the tiles or features of a batch request with their status",
    (
        REQUEST_ID,
        CONN_ID,
        BATCH_API,
        AWS_CONN_ID,
        argument("--status", metavar="STATUS", help="only with this status, such as FAILED"),
        argument("--paths", action="store_true", help="the files of each tile, too"),
        OUTPUT,
    ),
    run,
)
