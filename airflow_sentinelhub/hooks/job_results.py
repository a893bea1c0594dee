"""Read the results and the cost of a job from the service's list of tiles, or from the files in the user's bucket.

A job that has ended is paid. So unreadable results are read again for a while, and then the task fails with an error
after which a retry can read them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Now, exchange
from airflow_sentinelhub.api.decide.due import Due, behind
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.decide.results import NAMED, FeatureResults, Results, TileResults
from airflow_sentinelhub.api.decide.verdict import spent
from airflow_sentinelhub.api.flows.read import continued_by
from airflow_sentinelhub.api.flows.reread import every, most_pages, reading, until_read
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import (
    ApiError,
    ResultsError,
    SettingsError,
    UnreachableError,
    UnreadResultsError,
)
from airflow_sentinelhub.hooks.storage import results_of
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.statistical import MISSING, results_of_request
from airflow_sentinelhub.results.v2 import BatchResults

NEXT_TRY = (
    "The next try of this task reads again; it starts and bills nothing. A clear would run and bill a new job: to read "
    "the results of this one, give its request_id. {flag}=False skips the reading of results."
)
"""Advice for a job whose results could not be read; `flag` is the name of the argument that switches reading off."""
_RETRIED = (SettingsError, ApiError, UnreachableError)
"""Further errors after which the results are read again: the job is paid, and a retry does not start it again."""

Patiently = Callable[[Callable[[], Flow[Any]]], Flow[Any]]


@dataclass(frozen=True)
class ResultsReader:
    """Reads the results of jobs.

    :param reader: creates a reader of the bucket. It is called for each attempt, so that a corrected connection is
        used.
    :param look: False: tiles or features are not read, and all values that come from them are None.
    :param flag: name of the argument that sets `look`, for the error.
    :param patience: seconds to try again if the results cannot be read.
    """

    reader: Callable[[], BucketReader]
    look: bool = True
    flag: str = "check_tiles"
    patience: float = 1800.0

    def read(self, api: Generation, job: Snapshot, must: bool = True) -> Flow[Results]:
        """The results of the request, including those of the requests that it continues.

        :param must: False: try only once; if that fails, log a warning and return the same as with `look=False`. This
            is for a caller that raises another error anyway.
        :raises UnreadResultsError: the results could not be read; another try reads them again.
        """
        seconds = self.patience if must else 0.0
        then = NEXT_TRY.format(flag=self.flag)

        def patiently(attempt: Callable[[], Flow[Any]]) -> Flow[Any]:
            return until_read(attempt, seconds, job=job, then=then, also=_RETRIED)

        try:
            return (yield from _READERS[api.results](self, api, job, patiently, seconds))
        except UnreadResultsError as err:
            if must:
                raise
            yield Note(str(err), warning=True)
        return _unread_features(job) if api.results == "features" else _unread_tiles(job, None)


def _restarts(job: Snapshot) -> int:
    mark = mark_of(job.description)
    return mark.restarts if mark else 0


def _unread_tiles(job: Snapshot, cost: float | None) -> TileResults:
    return TileResults(job, None, None, None, (), cost, False, _restarts(job))


def _unread_features(job: Snapshot) -> FeatureResults:
    return FeatureResults(job, None, None, (), False)


def _in_bucket(
    options: ResultsReader, api: Generation, job: Snapshot, patiently: Patiently, seconds: float
) -> Flow[TileResults]:
    """Results of v2: the cost is read from the requests, the tiles from the bucket."""
    earlier: list[Snapshot] = yield from patiently(lambda: continued_by(api, job))
    chain = [job, *earlier]
    mark = mark_of(chain[-1].description)
    missing_id = mark.continues if mark and mark.continues not in {request.request_id for request in chain} else None
    costs = [request.cost for request in chain]
    cost = None if missing_id or None in costs else sum(request_cost or 0.0 for request_cost in costs)
    if not options.look:
        return _unread_tiles(job, cost)
    first_id = missing_id or chain[-1].request_id

    def read(reader: BucketReader) -> TileResults:
        with results_of(job, reader) as results:
            counts, failed = results.counts(), tuple(sorted(results.failed()))
            unfinished, total = tuple(results.unfinished(NAMED)), results.total()
        if first_id != job.request_id:
            # The request continues others and has only the missing tiles: the manifest of the first one has all tiles.
            with BatchResults(first_id, job.output_url or "", reader, due=Due.MANIFEST) as results:
                total = results.total()
        unfinished_count = sum(counts.values()) - counts.get("PROCESSED", 0) - counts.get("FAILED", 0)
        processed = total - unfinished_count - len(failed)
        return TileResults(job, total, processed, len(failed), failed, cost, True, _restarts(job), unfinished)

    tile_results: TileResults = yield from patiently(lambda: reading(job, partial(read, options.reader())))
    return tile_results


def _listed(
    options: ResultsReader, api: Generation, job: Snapshot, patiently: Patiently, seconds: float
) -> Flow[TileResults]:
    """Results of v1: the service lists the tiles with the cost of each."""
    if not options.look:
        return _unread_tiles(job, None)
    tally: _Tally = yield from patiently(lambda: _tallied(job, patiently))
    failed, unfinished = tuple(sorted(tally.failed)), tuple(tally.unfinished)
    return TileResults(
        job, tally.total, tally.processed, len(failed), failed, tally.cost, True, _restarts(job), unfinished[:NAMED]
    )


def _tallied(job: Snapshot, patiently: Patiently) -> Flow[_Tally]:
    tally = _Tally()
    yield from every(
        lambda token: v1.list_tiles(job.request_id, viewtoken=token), tally.add, patiently, most_pages(job.tile_count)
    )
    if why := behind(job, tally.total, tally.total - tally.processed - len(tally.failed)):
        raise ResultsError(why, request_id=job.request_id, snapshot=job)
    return tally


@dataclass
class _Tally:
    """Counts of the tiles of v1. `cost`: the real cost of the tiles so far, in PU; None if it is not known."""

    total: int = 0
    processed: int = 0
    cost: float | None = 0.0
    failed: list[str] = field(default_factory=list)
    unfinished: list[tuple[str, str]] = field(default_factory=list)

    def add(self, tile: Mapping[str, Any]) -> None:
        name, status = str(tile.get("name") or tile.get("id")), str(tile.get("status"))
        self.total += 1
        cost = spent([tile])
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        if status == "PROCESSED":
            self.processed += 1
        elif status == "FAILED":
            self.failed.append(name)
        elif len(self.unfinished) < NAMED:
            self.unfinished.append((name, status))


def _features(
    options: ResultsReader, api: Generation, job: Snapshot, patiently: Patiently, seconds: float
) -> Flow[FeatureResults]:
    """Results of a job over features (batch statistical): the bucket contains a JSON file for each."""
    if not options.look:
        return _unread_features(job)
    request = yield from patiently(lambda: exchange(api.body(job.request_id)))
    then = NEXT_TRY.format(flag=options.flag)
    items = yield from read_features(request, job, options.reader, seconds, then=then, also=_RETRIED)
    failed = [item for item in items if item["status"] == "FAILED"]
    failures = tuple((item["identifier"], item["error"] or "") for item in failed[:NAMED])
    pending = sum(item["status"] == "PENDING" for item in items)
    return FeatureResults(job, len(items), len(failed), failures, True, pending)


_READERS: dict[str, Callable[..., Flow[Results]]] = {"listed": _listed, "bucket": _in_bucket, "features": _features}
"""The function that reads the results, by the value of `Generation.results`."""


def read_features(
    request: Mapping[str, Any], job: Snapshot, reader: Callable[[], BucketReader], seconds: float, **options: Any
) -> Flow[list[dict[str, Any]]]:
    """All features as items (`StatisticalFeature.as_item`); what cannot be read is read again.

    A feature whose file has been read is not read again. Files may appear shortly after the request is done; a feature
    that has no file after `seconds` counts as failed (`MISSING`). If no feature has a file, that is an error.

    :param request: body of the request, which names the places of the files.
    :param job: last reading of the request.
    :param reader: creates a reader of the bucket.
    :param seconds, options: see `until_read`.
    :raises UnreadResultsError: the bucket, a file or the list of features could not be read.
    """
    items: dict[str, dict[str, Any]] = {}
    began = yield Now()

    def attempt(time_over: bool, bucket: BucketReader) -> list[dict[str, Any]]:
        results = results_of_request(request, bucket)
        missing = []
        for feature in results.features({url: item["identifier"] for url, item in items.items()}):
            if feature.error == MISSING or feature.pending:
                missing.append(feature.as_item())
            else:
                items[feature.url] = feature.as_item()
        if results.reason:
            raise ResultsError(f"how many features there should be is not known: {results.reason.rstrip('.')}.")
        if missing and job.status.is_successful and not (time_over and items):
            names = ", ".join(item["identifier"] for item in missing[:3])
            raise ResultsError(f"{len(missing)} of {len(missing) + len(items)} features have no file ({names}).")
        return [*(items[url] for url in sorted(items)), *missing]

    def once() -> Flow[list[dict[str, Any]]]:
        now = yield Now()
        return (yield from reading(job, partial(attempt, now - began >= seconds, reader())))

    return (yield from until_read(once, seconds, job=job, **options))
