"""How a wait ends for the user: a snapshot, or an error that says what happened, whether it still bills, what to do."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_sentinelhub.api.decide.adoption import ended_by_hand, stopped_by_service
from airflow_sentinelhub.api.decide.results import Results
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, fate, nothing_to_do
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.statuses import StoppedStatusReason
from airflow_sentinelhub.exceptions import (
    DeadlineError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobNotStartedError,
    JobPartialError,
    NotFoundError,
    OverBudgetError,
    SentinelHubError,
    UnknownStateError,
    UnreadResultsError,
)

_STOPPED = {
    StoppedStatusReason.OUT_OF_PU: "the account has run out of processing units; buy or wait for more",
    StoppedStatusReason.USER_ACTION: "somebody stopped it; it can be started again after 30 minutes",
    StoppedStatusReason.UNHEALTHY: "the service stopped it as unhealthy; the vendor may restart it, ask their support",
}

ONLY_READS = "A retry of this task reads again; it only reads, so nothing is started or billed."

_ANEW = " A retry does not start it again; clear the task to run the job anew."


def conclude(waited: Waited, request_id: str, wanted: str) -> Snapshot:
    """The last reading if what was waited for has come, else the error that fits.

    :param wanted: what was waited for, in words: a status, or a goal for tiles.
    """
    job = waited.job
    if waited.outcome is Outcome.REACHED and job is not None:
        return job
    _raise(waited, job, f"Batch request {request_id}", request_id, wanted)


def _raise(waited: Waited, job: Snapshot | None, name: str, request_id: str, wanted: str) -> NoReturn:
    outcome = waited.outcome
    if outcome is Outcome.NOT_FOUND:
        raise NotFoundError(waited.why, status=404, about=name)
    if outcome is Outcome.UNKNOWN:
        known = f" It was {job.status} when it was last read." if job else ""
        raise UnknownStateError(
            f"{name}: its state could not be read for too long ({waited.why}).{known} It was left alone: "
            "if it was started, it runs on and bills. A retry of this task attaches to it again.",
            request_id=request_id,
            snapshot=job,
        )
    if outcome is Outcome.UNREAD:
        raise unread_error(job, waited.why, ONLY_READS)
    if job is None:
        kind = DeadlineError if outcome is Outcome.TIMED_OUT else JobError
        raise kind(f"{name} was not {wanted} in time, and its state is not known.", request_id=request_id)
    said = f" The service says: {job.error.strip()}" if job.error else ""
    said += "." if said and said[-1] not in ".!?" else ""
    status = f"{name} is {job.status}"
    if outcome is Outcome.TIMED_OUT:
        ended = ended_by_hand(job) or job.ending
        told = f"{status}, not {wanted}, at the end of the time allowed. {fate(job)}"
        late = DeadlineError(told + (_ANEW if ended else ""), **_about(job))
        late.retry_helps = not ended
        raise late
    if outcome is Outcome.FAILED:
        advice = "Nothing was billed." if not job.started else "Processed tiles are billed."
        raise JobFailedError(
            f"{status}.{said} {fate(job)} {advice} Correct the request and create it anew.", **_about(job)
        )
    if outcome is Outcome.PARTIAL:
        raise JobPartialError(
            f"{status}: some tiles failed.{said} {fate(job)} The tiles in status FAILED are listed by the service; "
            "restart the failed part (SentinelHubRestartBatchOperator), or accept the rest.",
            **_about(job),
        )
    if outcome is Outcome.CANCELLED:
        because = _STOPPED.get(job.stopped_reason) if job.stopped_reason else "somebody cancelled it"
        by_service = stopped_by_service(job)
        told = f"{status}: {because or job.stopped_reason}.{said} {fate(job)}"
        error = JobCancelledError(told + ("" if by_service else _ANEW), **_about(job))
        error.retry_helps = by_service
        raise error
    if outcome is Outcome.NOT_STARTED:
        raise JobNotStartedError(
            f"{status} and nobody has started it, so it will never be {wanted}. {fate(job)} Start it with "
            "SentinelHubStartBatchOperator, or set wait_for_start if somebody else will.",
            **_about(job),
        )
    raise JobError(f"{status} and will not be {wanted} any more.{said} {fate(job)}", **_about(job))


def too_many_failed_error(results: Results) -> JobPartialError:
    """More tiles or features failed than the policy accepts."""
    job, things = results.job, results.things
    status = f"Batch request {job.request_id} is {job.status}"
    allow = "max_failed_tiles" if things == "tiles" else "max_failed_features"
    restarts = "Allow for restarts (max_restarts)" if things == "tiles" else ""
    if results.failed is None:
        return JobPartialError(
            f"{status}: some {things} failed; which, nobody has looked. {fate(job)} The other {things} are in the "
            f"bucket and paid. {restarts + ', take' if restarts else 'Take'} what is there (on_partial='accept'), or "
            "clear the task to run the job anew.",
            **_about(job),
        )
    either = f"{restarts} or failed tiles" if restarts else "Allow for failed features"
    return JobPartialError(
        f"{status}: {results.failed} of {results.total} {things} failed, more than is accepted: {results.names()}. "
        f"{fate(job)} The other {things} are in the bucket and paid. {either} ({allow}, min_success_ratio), or clear "
        "the task to run the job anew.",
        **_about(job),
    )


def unfinished_error(job: Snapshot, tiles: str, seconds: float) -> JobPartialError:
    """The request has ended PARTIAL, and tiles of it are neither done nor failed, for too long."""
    return JobPartialError(
        f"Batch request {job.request_id} is {job.status}, but after {seconds:,.0f} s some tiles are neither done nor "
        f"failed: {tiles}. {fate(job)} The tiles that are done are in the bucket and paid. Ask Sentinel Hub's support "
        "about it; a retry of this task looks again.",
        **_about(job),
    )


def over_budget_error(job: Snapshot, allowed: float, before: float = 0.0) -> OverBudgetError:
    """The job may cost, or has cost, more than allowed; which number was compared is said.

    :param before: PU that the requests have cost which this one continues.
    """
    if job.cost is not None and (job.started or job.cost > 0):
        said = f"has cost {before + job.cost:,.0f} PU"
        said += f" with the requests that it continues ({before:,.0f} PU)" if before else ""
    else:
        estimate = f"a third of the service's estimate of {job.estimate or 0:,.0f}"
        said = f"would cost about {job.expected_cost or 0:,.0f} PU ({estimate})"
    return OverBudgetError(
        f"Batch request {job.request_id} {said}, more than the {allowed:,.0f} PU of max_processing_units. {fate(job)} "
        f"{_after_over_budget(job)}",
        **_about(job),
    )


def _after_over_budget(job: Snapshot) -> str:
    """What a clear of the task does after its job has passed the budget."""
    if job.cost:
        return (
            "What is done is paid and stays. Raise max_processing_units and clear the task: it then does only what is "
            "missing, and what is paid counts. Cleared with the same limit it fails again and pays nothing; with "
            "another job (area, grid, evalscript, ...) it starts anew."
        )
    return "Nothing was paid. Raise max_processing_units, or ask for fewer or coarser tiles, and clear the task."


def not_estimated_error(job: Snapshot, allowed: float) -> JobError:
    """There is a budget, and no estimate to compare it with."""
    return JobError(
        f"Batch request {job.request_id} is {job.status}, but the service gives no estimate of its cost that could be "
        f"compared with the {allowed:,.0f} PU of max_processing_units. {fate(job)} A retry of this task looks again; "
        "without max_processing_units it starts without an estimate.",
        **_about(job),
    )


def skipped_if(skips: bool, error: SentinelHubError) -> SentinelHubError:
    """The error, marked where the user's policy has the task skipped instead of failed."""
    error.skip = skips
    return error


def unread_error(job: Snapshot | None, why: str, then: str, seconds: float | None = None) -> UnreadResultsError:
    """The error for results that could not be read for too long: state and cost of the job, what to mend, what next."""
    for prefix in ("Batch request", "Batch statistical request") if job else ():
        why = why.removeprefix(f"{prefix} {job.request_id if job else ''}: ")
    long = "too long" if seconds is None else f"{seconds:.0f} s"
    state = f"Batch request {job.request_id} is {job.status}{_paid(job)}" if job else "A batch request is there"
    return UnreadResultsError(
        f"{state}, but its results could not be read for {long}: {why} {fate(job)} Mend the access to the bucket "
        f"(aws_conn_id, or bucket_mount of the Sentinel Hub connection), or the file. {then}",
        request_id=job.request_id if job else "",
        snapshot=job,
    )


def _paid(job: Snapshot) -> str:
    if job.status not in (S.DONE, S.PARTIAL) or nothing_to_do(job):
        return ""
    return " and paid" if job.cost is None else f" and paid ({job.cost:,.1f} PU)"


def _about(job: Snapshot) -> dict[str, Any]:
    return {"request_id": job.request_id, "snapshot": job}
