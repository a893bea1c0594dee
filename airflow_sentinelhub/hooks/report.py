"""The report of a job: its map as a file, written to the bucket in which its output is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.reports import ending, report_url
from airflow_sentinelhub.exceptions import ResultsError, SentinelHubError, one_line
from airflow_sentinelhub.hooks.job_map import Reads, RequestSource, ShownRequest, read_request, things_of, tiles_of
from airflow_sentinelhub.hooks.map_file import JobMap
from airflow_sentinelhub.hooks.storage import bucket_reader
from airflow_sentinelhub.redaction import redacted
from airflow_sentinelhub.results.root import delivery_root

LONGEST = 300.0
"""Seconds after which no more tiles are read for a report; it then has a part of them, and says so."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".geojson": "application/geo+json",
    ".json": "application/json",
}


class Written(NamedTuple):
    """A report that was written.

    :param url: of the file in the bucket.
    :param page: where a browser shows it, empty if that is not known.
    """

    url: str
    page: str


def report_of(
    hook: Reads,
    source: RequestSource,
    kept: Progress | None = None,
    task: Mapping[str, Any] | None = None,
    clock: Callable[[], float] | None = None,
) -> JobMap:
    """The map of a request, read now. Tiles that cannot be read are left out, and the map says why.

    :param kept: what a task has read of the request.
    :param task: which task, see `web.job_view`.
    :raises SentinelHubError: the request itself cannot be read.
    """
    clock = clock or time.time
    known, began = ShownRequest(), clock()
    read_request(hook, source, known, began)
    try:
        for table in tiles_of(hook, source, known):
            known.table, known.tiles_at = table, clock()
            if clock() - began > LONGEST:
                known.partly = True
                things = things_of(source.batch_api)
                known.tiles_error = f"It takes too long; {len(table.names):,} {things} were read in {LONGEST:.0f} s."
                break
    except SentinelHubError as err:
        known.tiles_error = redacted(one_line(str(err), 1_000))
    return JobMap(source, known, clock(), kept, task)


def write_report(
    hook: Reads,
    source: RequestSource,
    given: str | bool,
    kept: Progress | None = None,
    task: Mapping[str, Any] | None = None,
) -> Written:
    """Write the report of a request to the bucket.

    :param given: True: beside the output of the request; else the place, see `api.reports.report_place`.
    :raises SentinelHubError: the request cannot be read, or the file cannot be written.
    """
    made = report_of(hook, source, kept, task)
    job = made.known.job
    folder = delivery_root(job.output_url, source.request_id) if job is not None and job.output_url else None
    url = report_url(given, source.request_id, folder)
    if url is None:
        raise ResultsError("The request names no place for its output; name one for the report.")
    form = ending(url)
    reader = bucket_reader(source.aws_conn_id, hook.settings)
    reader.put(url, made.content(form), TYPES[form])
    return Written(url, reader.page(url))
