"""What a statistical job has brought, feature by feature where that can be seen, and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.operators._outcome import NAMED, names_of

if TYPE_CHECKING:
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.exceptions import JobPartialError
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook


@dataclass(frozen=True)
class Statistics:
    """The end of a job. `failures`: identifier and error of the first failed features; `failed` counts all."""

    job: Snapshot
    total: int
    failed: int
    failures: tuple[tuple[str, str], ...]
    checked: bool

    things = "features"
    unfinished = 0
    restarts = 0

    @property
    def processing_units(self) -> float | None:
        return self.job.cost

    def result(self) -> dict[str, Any]:
        """The task's return value: small and JSON."""
        job = self.job
        return {
            "request_id": job.request_id,
            "batch_api": job.generation,
            "status": str(job.status),
            "feature_count": self.total,
            "processed": self.total - self.failed,
            "failed": self.failed,
            "failed_features": [name for name, _ in self.failures],
            "processing_units": job.cost,
            "output_url": job.output_url,
            "checked": self.checked,
        }

    def line(self) -> str:
        """One line for the log."""
        done = f"{self.total - self.failed} of {self.total} features done" if self.checked else "features not checked"
        failed = f", {self.failed} failed" if self.failed else ""
        cost = "" if self.job.cost is None else f", {self.job.cost:,.1f} PU"
        return f"Batch request {self.job.request_id} is {self.job.status}: {done}{failed}{cost}"

    def unfinished_words(self) -> str:
        return f"{self.unfinished} of its features are neither done nor failed"

    def names(self) -> str:
        """The first few failed features with their errors, and how many more there are."""
        told = [f"{name} ({why})" for name, why in self.failures]
        return names_of(told + ["..."] * (self.failed - len(told)))


def statistics_of(hook: SentinelHubHook, job: Snapshot, aws_conn_id: str | None, log: Any) -> Statistics:
    """Read the results in the bucket, if they can be read."""
    from airflow_sentinelhub.exceptions import ResultsError, SettingsError

    total = failed = 0
    failures: list[tuple[str, str]] = []
    try:
        results = hook.statistical_results(job.request_id, aws_conn_id)
        for feature in results.features():
            total += 1
            if feature.failed:
                failed += 1
                if len(failures) < NAMED:
                    failures.append((feature.identifier, feature.why or ""))
    except (ResultsError, SettingsError) as err:
        log.warning("Its results could not be checked in the bucket, so some features may have failed: %s", err)
        return Statistics(job, 0, 0, (), False)
    if total == 0 and results.reason:
        log.warning(
            "There are no results of %s, and how many there should be is not known: %s", job.request_id, results.reason
        )
        return Statistics(job, 0, 0, (), False)
    if results.reason:
        log.warning("Whether features of %s have no result at all is not known: %s", job.request_id, results.reason)
    return Statistics(job, total, failed, tuple(failures), True)


def too_many_failed(found: Statistics) -> JobPartialError:
    """More features failed than the policy accepts."""
    from airflow_sentinelhub.api.verdict import fate
    from airflow_sentinelhub.exceptions import JobPartialError

    job = found.job
    return JobPartialError(
        f"Batch request {job.request_id} is {job.status}: {found.failed} of {found.total} features failed, more than "
        f"is accepted: {found.names()}. {fate(job)} The other features are in the bucket and paid. Allow for failed "
        "features (max_failed_features, min_success_ratio), or clear the task to run the job anew.",
        request_id=job.request_id,
        snapshot=job,
    )
