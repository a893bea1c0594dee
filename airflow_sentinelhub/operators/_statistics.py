"""What a statistical job has brought, feature by feature where that can be seen, and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.operators._outcome import NAMED, NEXT_TRY, accepted, names_of

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.decide.policy import Policy
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.exceptions import JobPartialError
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook


@dataclass(frozen=True)
class Statistics:
    """The end of a job. `failures`: identifier and error of the first failed features; `failed` counts all.

    `total` and `failed` are None where nobody has looked at the features (`checked` is False).
    """

    job: Snapshot
    total: int | None
    failed: int | None
    failures: tuple[tuple[str, str], ...]
    checked: bool

    things = "features"
    unfinished = 0
    restarts = 0

    @property
    def processed(self) -> int | None:
        return None if self.total is None else self.total - (self.failed or 0)

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
            "processed": self.processed,
            "failed": self.failed,
            "failed_features": [name for name, _ in self.failures] if self.checked else None,
            "processing_units": job.cost,
            "output_url": job.output_url,
            "checked": self.checked,
        }

    def line(self) -> str:
        """One line for the log."""
        done = f"{self.processed} of {self.total} features done" if self.checked else "features not looked at"
        failed = f", {self.failed} failed" if self.failed else ""
        cost = "" if self.job.cost is None else f", {self.job.cost:,.1f} PU"
        return f"Batch request {self.job.request_id} is {self.job.status}: {done}{failed}{cost}"

    def names(self) -> str:
        """The first few failed features with their errors, and how many more there are."""
        return names_of([f"{name} ({why})" for name, why in self.failures], of=self.failed)

    def unfinished_names(self) -> str:
        return ""

    def accepted_by(self, policy: Policy) -> bool:
        """Whether so many failed features are good enough. Where nobody has looked, the service's own word counts."""
        return accepted(self, policy)


def statistics_of(
    hook: SentinelHubHook,
    job: Snapshot,
    aws_conn_id: str | None,
    log: Any,
    *,
    patience: float = 1800.0,
    look: bool = True,
    must: bool = True,
) -> Statistics:
    """Look at the results in the bucket. Arguments: see `outcome_of`.

    :raises UnreadResultsError: they could not be read; another try reads again.
    """
    from airflow_sentinelhub.api.call import exchange
    from airflow_sentinelhub.api.flows.reread import until_read
    from airflow_sentinelhub.api.service.statistical import get_body
    from airflow_sentinelhub.exceptions import ApiError, SettingsError, UnreachableError, UnreadResultsError

    if not look:
        return Statistics(job, None, None, (), False)
    passing = (SettingsError, ApiError, UnreachableError)
    seconds, then = patience if must else 0.0, NEXT_TRY.format(flag="check_features")
    how: dict[str, Any] = {"then": then, "also": passing}
    try:
        request = hook.run(until_read(lambda: exchange(get_body(job.request_id)), seconds, job=job, **how))
        seen = hook.run(read_features(hook, request, job, aws_conn_id, seconds, **how))
    except UnreadResultsError as err:
        if must:
            raise
        log.warning("%s", err)
        return Statistics(job, None, None, (), False)
    bad = [item for item in seen if item["status"] == "FAILED"]
    failures = tuple((item["identifier"], item["error"] or "") for item in bad[:NAMED])
    return Statistics(job, len(seen), len(bad), failures, True)


def read_features(
    hook: SentinelHubHook,
    request: Mapping[str, Any],
    job: Snapshot,
    aws_conn_id: str | None,
    seconds: float,
    **how: Any,
) -> Flow[list[dict[str, Any]]]:
    """All features as small items (`StatisticalFeature.as_item`), read again while they cannot be read.

    What has been read is not read again. A feature of a request that is done may get its file a moment later; one that
    still has none at the end of the time has failed (`MISSING`), unless none has any: then nothing could be read.

    :param request: as the service shows it, with the places of the files; :param job: the reading that counts.
    :param seconds, how: see `until_read`.
    :raises UnreadResultsError: the bucket, a file or the list of features could not be read.
    """
    from airflow_sentinelhub.api.call import Now
    from airflow_sentinelhub.api.flows.reread import reading, until_read
    from airflow_sentinelhub.exceptions import ResultsError
    from airflow_sentinelhub.hooks.sentinelhub import reader_now
    from airflow_sentinelhub.results.statistical import MISSING, results_of_request

    read: dict[str, dict[str, Any]] = {}
    began = yield Now()

    def attempt(late: bool) -> list[dict[str, Any]]:
        results = results_of_request(request, reader_now(hook.sentinelhub_conn_id, aws_conn_id))
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
        return (yield from reading(job, lambda: attempt(now - began >= seconds)))

    return (yield from until_read(once, seconds, job=job, **how))


def too_many_failed(found: Statistics) -> JobPartialError:
    """More features failed than the policy accepts."""
    from airflow_sentinelhub.api.decide.verdict import fate
    from airflow_sentinelhub.exceptions import JobPartialError

    job = found.job
    return JobPartialError(
        f"Batch request {job.request_id} is {job.status}: {found.failed} of {found.total} features failed, more than "
        f"is accepted: {found.names()}. {fate(job)} The other features are in the bucket and paid. Allow for failed "
        "features (max_failed_features, min_success_ratio), or clear the task to run the job anew.",
        request_id=job.request_id,
        snapshot=job,
    )
