"""The results and the cost of a job, as values: tiles of a batch job, features of a statistical one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from airflow_sentinelhub.api.decide.job_result import JobResult, StatisticalResult
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Expected, Price, comparison, price_of
from airflow_sentinelhub.api.snapshot import Snapshot

NAMED = 100
"""Tiles or features that are named in a result, of each kind."""


class Results(Protocol):
    """The results of a job of any kind; `things` is its unit, `tiles` or `features`.

    :param total, failed: numbers of things; None if they were not read, by the user's choice (`checked` is False).
    :param unfinished: things that are neither done nor failed; 0 if they were not read.
    :param processing_units: PU that the job has cost, with the requests that it continues; None if not reported.
    :param restarts: number of restarts of the failed part so far.
    :param price: the expected cost of the job before its start; None: only what the last reading says.
    """

    things: str

    @property
    def job(self) -> Snapshot: ...
    @property
    def price(self) -> Price | None: ...
    @property
    def total(self) -> int | None: ...
    @property
    def processed(self) -> int | None: ...
    @property
    def failed(self) -> int | None: ...
    @property
    def unfinished(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def processing_units(self) -> float | None: ...
    @property
    def checked(self) -> bool: ...
    def expecting(self, price: Price | None) -> Results: ...
    def names(self) -> str: ...
    def unfinished_names(self) -> str: ...
    def as_result(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class TileResults:
    """The results of a batch job; see `Results`.

    :param failed_tiles: names of all failed tiles.
    :param unfinished_tiles: name and status of the first tiles that are neither done nor failed.
    :param checked: whether the tiles were read; if not, all numbers of tiles are None.
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
    price: Price | None = None

    things = "tiles"

    @property
    def unfinished(self) -> int:
        return (self.total or 0) - (self.processed or 0) - (self.failed or 0)

    def expecting(self, price: Price | None) -> TileResults:
        """The same with the cost that was expected before the start."""
        return replace(self, price=price)

    def names(self) -> str:
        return names_of(self.failed_tiles)

    def unfinished_names(self) -> str:
        """The first few unfinished tiles with their statuses, and how many more there are."""
        return names_of([f"{name} ({status})" for name, status in self.unfinished_tiles], of=self.unfinished)

    def as_result(self) -> dict[str, Any]:
        """The task's return value: small and JSON. A value that was not read is None."""
        job = self.job
        result: JobResult = {
            "request_id": job.request_id,
            "batch_api": job.generation,
            "status": str(job.status),
            "tile_count": self.total,
            "processed": self.processed,
            "failed": self.failed,
            "failed_tiles": list(self.failed_tiles[:NAMED]) if self.checked else None,
            "estimated_pu": job.estimate,
            **expected(self),
            "processing_units": self.processing_units,
            "restarts": self.restarts,
            "output_url": job.output_url,
            "checked": self.checked,
        }
        return {**result}


@dataclass(frozen=True)
class FeatureResults:
    """The results of a statistical job; see `Results`.

    :param failures: identifier and error of the first failed features; `failed` counts all.
    :param unfinished: features without a result in a request that is not DONE, such as one that was stopped.
    :param checked: whether the features were read; if not, `total` and `failed` are None.
    """

    job: Snapshot
    total: int | None
    failed: int | None
    failures: tuple[tuple[str, str], ...]
    checked: bool
    unfinished: int = 0
    price: Price | None = None

    things = "features"
    restarts = 0

    @property
    def processed(self) -> int | None:
        return None if self.total is None else self.total - (self.failed or 0) - self.unfinished

    @property
    def processing_units(self) -> float | None:
        return self.job.cost

    def expecting(self, price: Price | None) -> FeatureResults:
        """The same with the cost that was expected before the start."""
        return replace(self, price=price)

    def names(self) -> str:
        """The first few failed features with their errors, and how many more there are."""
        return names_of([f"{name} ({why})" for name, why in self.failures], of=self.failed)

    def unfinished_names(self) -> str:
        return ""

    def as_result(self) -> dict[str, Any]:
        """The task's return value: small and JSON. A value that was not read is None."""
        job = self.job
        result: StatisticalResult = {
            "request_id": job.request_id,
            "batch_api": job.generation,
            "status": str(job.status),
            "feature_count": self.total,
            "processed": self.processed,
            "failed": self.failed,
            "failed_features": [name for name, _ in self.failures] if self.checked else None,
            **expected(self),
            "processing_units": job.cost,
            "output_url": job.output_url,
            "checked": self.checked,
        }
        return {**result}


def expected(results: Results) -> Expected:
    """The members of a result that tell the expected cost."""
    return (results.price or price_of(results.job)).as_result()


def accepted(results: Results, policy: Policy) -> bool:
    """Whether the policy accepts the failures; if the results were not read, whether the service reports DONE."""
    if policy.on_partial == "accept":
        return True
    if results.failed is None or results.total is None:
        return results.job.status.is_successful
    return policy.accepts(results.failed, results.total)


def results_line(results: Results) -> str:
    """One line for the log: what is done, what has failed, what it has cost."""
    things = results.things
    done = f"{results.processed} of {results.total} {things} done" if results.checked else f"{things} not looked at"
    failed = f", {results.failed} failed" if results.failed else ""
    compared = comparison(results.price or price_of(results.job), results.processing_units)
    cost = "" if results.processing_units is None else f", {compared or f'{results.processing_units:,.1f} PU'}"
    return f"Batch request {results.job.request_id} is {results.job.status}: {done}{failed}{cost}"


def names_of(names: Sequence[str], most: int = 10, of: int | None = None) -> str:
    """The first few names, and how many more there are.

    :param of: how many there are, where not all are named.
    """
    more = (len(names) if of is None else of) - len(names[:most])
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
