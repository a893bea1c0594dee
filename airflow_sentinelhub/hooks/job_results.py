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
from airflow_sentinelhub.api.flows.reread import every, reading, until_read
from airflow_sentinelhub.api.service import statistical, v1
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
    "The next try of this task reads again; it starts and bills nothing. A clear would run the job anew: to have this "
    "one looked at, give request_id. {flag}=False does without looking."
)
"""What happens after a job whose results could not be read. :param flag: the argument that has them looked at."""
_PASSING = (SettingsError, ApiError, UnreachableError)
"""Errors that are waited out, too: the job is paid, and another try does not start it again."""

Patiently = Callable[[Callable[[], Flow[Any]]], Flow[Any]]


@dataclass(frozen=True)
class ResultsReader:
    """Reads the results of jobs.

    :param reader: makes a reader of the bucket for each attempt, so that a corrected connection is used.
    :param look: False: tiles or features are not read, and all values that come from them are None.
    :param flag: name of the argument that says so, for the error.
    :param patience: seconds for which what cannot be read is read again.
    """

    reader: Callable[[], BucketReader]
    look: bool = True
    flag: str = "check_tiles"
    patience: float = 1800.0

    def read(self, api: Generation, job: Snapshot, must: bool = True) -> Flow[Results]:
        """What the request has brought, with the requests that it continues.

        :param must: False: one look, and where it fails as with `look=False`, with a warning: for who raises another
            error anyway.
        :raises UnreadResultsError: it could not be read; another try reads again.
        """
        seconds = self.patience if must else 0.0
        then = NEXT_TRY.format(flag=self.flag)

        def patiently(attempt: Callable[[], Flow[Any]]) -> Flow[Any]:
            return until_read(attempt, seconds, job=job, then=then, also=_PASSING)

        try:
            return (yield from _READERS[api.results](self, api, job, patiently, seconds))
        except UnreadResultsError as err:
            if must:
                raise
            yield Note(str(err), warning=True)
        return _features_not_looked_at(job) if api.results == "features" else _not_looked_at(job, None)


def _restarts(job: Snapshot) -> int:
    mark = mark_of(job.description)
    return mark.restarts if mark else 0


def _not_looked_at(job: Snapshot, cost: float | None) -> TileResults:
    return TileResults(job, None, None, None, (), cost, False, _restarts(job))


def _features_not_looked_at(job: Snapshot) -> FeatureResults:
    return FeatureResults(job, None, None, (), False)


def _in_bucket(
    how: ResultsReader, api: Generation, job: Snapshot, patiently: Patiently, seconds: float
) -> Flow[TileResults]:
    """Results of v2: the cost from the requests, the tiles from the bucket."""
    earlier: list[Snapshot] = yield from patiently(lambda: continued_by(api, job))
    chain = [job, *earlier]
    mark = mark_of(chain[-1].description)
    gone = mark.continues if mark and mark.continues not in {one.request_id for one in chain} else None
    costs = [one.cost for one in chain]
    cost = None if gone or None in costs else sum(one or 0.0 for one in costs)
    if not how.look:
        return _not_looked_at(job, cost)
    first = gone or chain[-1].request_id

    def read(reader: BucketReader) -> TileResults:
        with results_of(job, reader) as results:
            counts, failed = results.counts(), tuple(sorted(results.failed()))
            left, total = tuple(results.unfinished(NAMED)), results.total()
        if first != job.request_id:
            # A request that continues others did what was missing: all tiles are in the manifest of the first one.
            with BatchResults(first, job.output_url or "", reader, due=Due.MANIFEST) as results:
                total = results.total()
        unfinished = sum(counts.values()) - counts.get("PROCESSED", 0) - counts.get("FAILED", 0)
        done = total - unfinished - len(failed)
        return TileResults(job, total, done, len(failed), failed, cost, True, _restarts(job), left)

    found: TileResults = yield from patiently(lambda: reading(job, partial(read, how.reader())))
    return found


def _listed(
    how: ResultsReader, api: Generation, job: Snapshot, patiently: Patiently, seconds: float
) -> Flow[TileResults]:
    """The service lists the tiles, with what each has cost."""
    if not how.look:
        return _not_looked_at(job, None)
    tally: _Tally = yield from patiently(lambda: _tallied(job, patiently))
    failed, left = tuple(sorted(tally.failed)), tuple(tally.unfinished)
    return TileResults(
        job, tally.total, tally.processed, len(failed), failed, tally.cost, True, _restarts(job), left[:NAMED]
    )


def _tallied(job: Snapshot, patiently: Patiently) -> Flow[_Tally]:
    tally = _Tally()
    yield from every(lambda token: v1.list_tiles(job.request_id, viewtoken=token), tally.add, patiently)
    if why := behind(job, tally.total, tally.total - tally.processed - len(tally.failed)):
        raise ResultsError(why, request_id=job.request_id, snapshot=job)
    return tally


@dataclass
class _Tally:
    """Tiles of v1, as they are counted one by one. `cost`: PU that they have really cost."""

    total: int = 0
    processed: int = 0
    cost: float = 0.0
    failed: list[str] = field(default_factory=list)
    unfinished: list[tuple[str, str]] = field(default_factory=list)

    def add(self, tile: Mapping[str, Any]) -> None:
        name, status = str(tile.get("name") or tile.get("id")), str(tile.get("status"))
        self.total += 1
        self.cost += spent([tile])
        if status == "PROCESSED":
            self.processed += 1
        elif status == "FAILED":
            self.failed.append(name)
        elif len(self.unfinished) < NAMED:
            self.unfinished.append((name, status))


def _features(
    how: ResultsReader, api: Generation, job: Snapshot, patiently: Patiently, seconds: float
) -> Flow[FeatureResults]:
    """One JSON file for each feature lies in the bucket."""
    if not how.look:
        return _features_not_looked_at(job)
    request = yield from patiently(lambda: exchange(statistical.get_body(job.request_id)))
    then = NEXT_TRY.format(flag=how.flag)
    seen = yield from read_features(request, job, how.reader, seconds, then=then, also=_PASSING)
    bad = [item for item in seen if item["status"] == "FAILED"]
    failures = tuple((item["identifier"], item["error"] or "") for item in bad[:NAMED])
    return FeatureResults(job, len(seen), len(bad), failures, True)


_READERS: dict[str, Callable[..., Flow[Results]]] = {"listed": _listed, "bucket": _in_bucket, "features": _features}
"""By `Generation.results`."""


def read_features(
    request: Mapping[str, Any], job: Snapshot, reader: Callable[[], BucketReader], seconds: float, **how: Any
) -> Flow[list[dict[str, Any]]]:
    """All features as small items (`StatisticalFeature.as_item`), read again while they cannot be read.

    What has been read is not read again. A feature of a request that is done may get its file a moment later; one that
    still has none at the end of the time has failed (`MISSING`), unless none has any: then nothing could be read.

    :param request: as the service shows it, with the places of the files; :param job: the reading that counts.
    :param reader: makes a reader of the bucket; :param seconds, how: see `until_read`.
    :raises UnreadResultsError: the bucket, a file or the list of features could not be read.
    """
    read: dict[str, dict[str, Any]] = {}
    began = yield Now()

    def attempt(late: bool, bucket: BucketReader) -> list[dict[str, Any]]:
        results = results_of_request(request, bucket)
        missing = []
        for feature in results.features({url: item["identifier"] for url, item in read.items()}):
            if feature.error == MISSING:
                missing.append(feature.as_item())
            else:
                read[feature.url] = feature.as_item()
        if results.reason:
            raise ResultsError(f"how many features there should be is not known: {results.reason.rstrip('.')}.")
        if missing and job.status.is_successful and not (late and read):
            named = ", ".join(item["identifier"] for item in missing[:3])
            raise ResultsError(f"{len(missing)} of {len(missing) + len(read)} features have no file ({named}).")
        return [*(read[url] for url in sorted(read)), *missing]

    def once() -> Flow[list[dict[str, Any]]]:
        now = yield Now()
        return (yield from reading(job, partial(attempt, now - began >= seconds, reader())))

    return (yield from until_read(once, seconds, job=job, **how))
