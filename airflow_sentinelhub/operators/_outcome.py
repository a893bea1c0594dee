"""What a job has brought, tile by tile where that can be seen, and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.decide.policy import Policy
    from airflow_sentinelhub.api.service.generations import Generation
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

NAMED = 100
"""Tiles that are named in a result, of each kind."""
NEXT_TRY = (
    "The next try of this task reads again; it starts and bills nothing. A clear would run the job anew: to have this "
    "one looked at, give request_id. {flag}=False does without looking."
)
"""What happens after a job whose results could not be read. :param flag: the argument that has them looked at."""


class Found(Protocol):
    """What a job of any kind has brought; `things`: what it is made of, tiles or features.

    :param total, failed: how many; None where nobody has looked, by the user's choice.
    :param unfinished: neither done nor failed; 0 where nobody has looked.
    :param processing_units: PU that it has really cost, with the requests that it continues; None where nobody says.
    :param restarts: of the failed part so far.
    """

    things: str

    @property
    def job(self) -> Snapshot: ...
    @property
    def total(self) -> int | None: ...
    @property
    def failed(self) -> int | None: ...
    @property
    def unfinished(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def processing_units(self) -> float | None: ...
    def names(self) -> str: ...
    def unfinished_names(self) -> str: ...
    def accepted_by(self, policy: Policy) -> bool: ...
    def line(self) -> str: ...
    def result(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Outcome:
    """The end of a batch job; see `Found`.

    :param failed_tiles: names of all failed tiles. :param unfinished_tiles: name and status of the first tiles that are
        neither done nor failed.
    :param checked: whether anybody has looked at the tiles; if not, all numbers of tiles are None.
    """

    job: Snapshot
    total: int | None
    processed: int | None
    failed: int | None
    failed_tiles: tuple[str, ...]
    processing_units: float | None
    checked: bool
    restarts: int
    unfinished_tiles: tuple[tuple[str, str], ...] = ()

    things = "tiles"

    @property
    def unfinished(self) -> int:
        return (self.total or 0) - (self.processed or 0) - (self.failed or 0)

    def names(self) -> str:
        return names_of(self.failed_tiles)

    def unfinished_names(self) -> str:
        """The first few unfinished tiles with their statuses, and how many more there are."""
        return names_of([f"{name} ({status})" for name, status in self.unfinished_tiles], of=self.unfinished)

    def accepted_by(self, policy: Policy) -> bool:
        """Whether so many failed tiles are good enough. Where nobody has looked, the service's own word counts."""
        return accepted(self, policy)

    def result(self) -> dict[str, Any]:
        """The task's return value: small and JSON. What nobody has looked at is None."""
        job = self.job
        return {
            "request_id": job.request_id,
            "batch_api": job.generation,
            "status": str(job.status),
            "tile_count": self.total,
            "processed": self.processed,
            "failed": self.failed,
            "failed_tiles": list(self.failed_tiles[:NAMED]) if self.checked else None,
            "estimated_pu": job.estimate,
            "expected_pu": job.expected_cost,
            "processing_units": self.processing_units,
            "restarts": self.restarts,
            "output_url": job.output_url,
            "checked": self.checked,
        }

    def line(self) -> str:
        """One line for the log."""
        tiles = f"{self.processed} of {self.total} tiles done" if self.checked else "tiles not looked at"
        failed = f", {self.failed} failed" if self.failed else ""
        cost = "" if self.processing_units is None else f", {self.processing_units:,.1f} PU"
        return f"Batch request {self.job.request_id} is {self.job.status}: {tiles}{failed}{cost}"


def accepted(found: Found, policy: Policy) -> bool:
    """Whether what has failed is good enough; where nobody has looked, whether the service says that all is done."""
    if policy.on_partial == "accept":
        return True
    if found.failed is None or found.total is None:
        return found.job.status.is_successful
    return policy.accepts(found.failed, found.total)


def outcome_of(
    hook: SentinelHubHook,
    api: Generation,
    job: Snapshot,
    aws_conn_id: str | None,
    log: Any,
    *,
    patience: float = 1800.0,
    look: bool = True,
    must: bool = True,
) -> Outcome:
    """Look at the tiles: v1 lists them, v2 leaves a database in the bucket.

    :param patience: seconds for which tiles that cannot be read are read again.
    :param look: False: nobody looks, and all that only the tiles could tell is None.
    :param must: False: one look, and where it fails as with `look=False`, with a warning. For who raises another error
        anyway.
    :raises UnreadResultsError: the tiles could not be read; another try reads again.
    """
    from airflow_sentinelhub.api.flows.reread import until_read
    from airflow_sentinelhub.exceptions import ApiError, SettingsError, UnreachableError, UnreadResultsError

    # The job is at its end and paid: whatever goes wrong here is no reason for an error that no retry follows.
    passing = (SettingsError, ApiError, UnreachableError)

    def patiently(attempt: Any) -> Flow[Any]:
        seconds = patience if must else 0.0
        return until_read(attempt, seconds, job=job, then=NEXT_TRY.format(flag="check_tiles"), also=passing)

    try:
        if api.name == "v1":
            return _by_tiles(hook, job, patiently) if look else _not_looked(job, None)
        return _by_files(hook, api, job, aws_conn_id, patiently, look)
    except UnreadResultsError as err:
        if must:
            raise
        log.warning("%s", err)
        return _not_looked(job, None)


def _restarts(job: Snapshot) -> int:
    from airflow_sentinelhub.api.decide.marker import mark_of

    mark = mark_of(job.description)
    return mark.restarts if mark else 0


def _not_looked(job: Snapshot, cost: float | None) -> Outcome:
    return Outcome(job, None, None, None, (), cost, False, _restarts(job))


def _by_files(
    hook: SentinelHubHook, api: Generation, job: Snapshot, aws_conn_id: str | None, patiently: Any, look: bool
) -> Outcome:
    """v2: the cost stands in the requests, the tiles in the bucket."""
    from airflow_sentinelhub.api.decide.due import Due
    from airflow_sentinelhub.api.decide.marker import mark_of
    from airflow_sentinelhub.api.flows.read import continued_by
    from airflow_sentinelhub.api.flows.reread import reading
    from airflow_sentinelhub.hooks.sentinelhub import reader_now
    from airflow_sentinelhub.hooks.storage import results_of
    from airflow_sentinelhub.results.batch import BatchResults

    earlier: list[Snapshot] = hook.run(patiently(lambda: continued_by(api, job)))
    chain = [job, *earlier]
    mark = mark_of(chain[-1].description)
    gone = mark.continues if mark and mark.continues not in {one.request_id for one in chain} else None
    costs = [one.cost for one in chain]
    cost = None if gone or None in costs else sum(one or 0.0 for one in costs)
    if not look:
        return _not_looked(job, cost)
    first = gone or chain[-1].request_id

    def read() -> Outcome:
        reader = reader_now(hook.sentinelhub_conn_id, aws_conn_id)
        with results_of(job, reader) as results:
            counts, failed = results.counts(), tuple(sorted(results.failed()))
            left, total = tuple(results.unfinished(NAMED)), results.total()
        if first != job.request_id:
            # A request that continues others did what was missing: all tiles are in the manifest of the first one.
            with BatchResults(first, job.output_url or "", reader, due=Due.MANIFEST) as results:
                total = results.total()
        unfinished = sum(counts.values()) - counts.get("PROCESSED", 0) - counts.get("FAILED", 0)
        done = total - unfinished - len(failed)
        return Outcome(job, total, done, len(failed), failed, cost, True, _restarts(job), left)

    found: Outcome = hook.run(patiently(lambda: reading(job, read)))
    return found


def _by_tiles(hook: SentinelHubHook, job: Snapshot, patiently: Any) -> Outcome:
    """v1: the service lists the tiles, with what each has cost."""
    tally: _Tally = hook.run(patiently(lambda: _tallied(job, patiently)))
    failed, left = tuple(sorted(tally.failed)), tuple(tally.unfinished)
    return Outcome(
        job, tally.total, tally.processed, len(failed), failed, tally.cost, True, _restarts(job), left[:NAMED]
    )


def _tallied(job: Snapshot, patiently: Any) -> Flow[_Tally]:
    from airflow_sentinelhub.api.decide.due import behind
    from airflow_sentinelhub.api.flows.reread import every
    from airflow_sentinelhub.api.service import v1
    from airflow_sentinelhub.exceptions import ResultsError

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
        from airflow_sentinelhub.api.decide.verdict import spent

        name, status = str(tile.get("name") or tile.get("id")), str(tile.get("status"))
        self.total += 1
        self.cost += spent([tile])
        if status == "PROCESSED":
            self.processed += 1
        elif status == "FAILED":
            self.failed.append(name)
        elif len(self.unfinished) < NAMED:
            self.unfinished.append((name, status))


def names_of(tiles: Sequence[str], most: int = 10, of: int | None = None) -> str:
    """The first few names, and how many more there are. :param of: how many there are, where not all are named."""
    more = (len(tiles) if of is None else of) - len(tiles[:most])
    return ", ".join(tiles[:most]) + (f" and {more} more" if more > 0 else "")
