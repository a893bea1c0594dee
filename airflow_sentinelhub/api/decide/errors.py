"""Turn the end of a wait into a snapshot or an error: what happened, whether it still bills, what to do."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_sentinelhub.api.decide.adoption import ended_by_hand, stopped_by_service
from airflow_sentinelhub.api.decide.costs import Month
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.decide.results import Results
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, fate, nothing_to_do
from airflow_sentinelhub.api.estimate import LEAST, span
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
    """The last reading if the goal of the wait was reached, else the error for its outcome.

    :param wanted: the goal in words: a status, or a number of tiles in a status.
    :raises JobError: the request did not reach the goal; the subclass names the outcome.
    :raises UnknownStateError: the state of the request could not be read.
    :raises NotFoundError: the service knows no such request.
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
        raise kind(
            f"{name} was not {wanted} in time, and its state is not known. If it was started, it may run on and bill.",
            request_id=request_id,
        )
    service_message = f" The service says: {job.error.strip()}" if job.error else ""
    service_message += "." if service_message and service_message[-1] not in ".!?" else ""
    status = f"{name} is {job.status}"
    if outcome is Outcome.TIMED_OUT:
        ended = ended_by_hand(job) or job.ending
        message = f"{status}, not {wanted}, at the end of the time allowed. {fate(job)}"
        deadline_error = DeadlineError(message + (_ANEW if ended else ""), **_about(job))
        deadline_error.retry_helps = not ended
        raise deadline_error
    if outcome is Outcome.FAILED:
        advice = "Nothing was billed." if not job.started else "Processed tiles are billed."
        raise JobFailedError(
            f"{status}.{service_message} {fate(job)} {advice} Correct the request and create it anew.", **_about(job)
        )
    if outcome is Outcome.PARTIAL:
        raise JobPartialError(
            f"{status}: some tiles failed.{service_message} {fate(job)} The tiles in status FAILED are listed by the "
            "service; restart the failed part (SentinelHubRestartBatchOperator), or accept the rest.",
            **_about(job),
        )
    if outcome is Outcome.CANCELLED:
        reason = _STOPPED.get(job.stopped_reason) if job.stopped_reason else "somebody cancelled it"
        by_service = stopped_by_service(job)
        message = f"{status}: {reason or job.stopped_reason}.{service_message} {fate(job)}"
        error = JobCancelledError(message + ("" if by_service else _ANEW), **_about(job))
        error.retry_helps = by_service
        raise error
    if outcome is Outcome.NOT_STARTED:
        raise JobNotStartedError(
            f"{status} and nobody has started it, so it will never be {wanted}. {fate(job)} Start it with "
            "SentinelHubStartBatchOperator, or set wait_for_start if somebody else will.",
            **_about(job),
        )
    raise JobError(f"{status} and will not be {wanted} any more.{service_message} {fate(job)}", **_about(job))


def too_many_failed_error(results: Results) -> JobPartialError:
    """The error for a job with more failed tiles or features than the policy accepts."""
    job, things = results.job, results.things
    status = f"Batch request {job.request_id} is {job.status}"
    allow = "max_failed_tiles" if things == "tiles" else "max_failed_features"
    restarts = "Allow for restarts (max_restarts)" if things == "tiles" else ""
    if results.failed is None:
        return JobPartialError(
            f"{status}: some {things} failed; their names were not read. {fate(job)} The other {things} are in the "
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
    """The error for a PARTIAL request that has unfinished tiles for too long.

    :param tiles: their names, for the message.
    :param seconds: how long they were waited for.
    """
    return JobPartialError(
        f"Batch request {job.request_id} is {job.status}, but after {seconds:,.0f} s some tiles are neither done nor "
        f"failed: {tiles}. {fate(job)} The tiles that are done are in the bucket and paid. Ask Sentinel Hub's support "
        "about it; a retry of this task looks again.",
        **_about(job),
    )


def over_budget_error(
    job: Snapshot,
    allowed: float,
    before: float = 0.0,
    *,
    things: str = "tiles",
    price: Price | None = None,
    policy: str = "fail",
) -> OverBudgetError:
    """The error for a job that would cost, or has cost, more than allowed. The message names the compared number.

    :param allowed: the budget (PU).
    :param before: PU that the requests continued by this one have cost.
    :param things: what the job is divided into: `tiles` or `features`.
    :param price: the expected cost, for a job that has not been started.
    :param policy: `on_over_budget`, by which the task ends the same way once more if nothing is changed.
    """
    if job.cost is not None and (job.started or job.cost > 0):
        cost = f"has cost {before + job.cost:,.0f} PU"
        cost += f" with the requests that it continues ({before:,.0f} PU)" if before else ""
    elif job.expected_cost is None and price is not None and price.low is not None and price.high is not None:
        cost = f"would cost about {span(price.low, price.high)} PU ({_whence(price)})"
        cost += f", after the {before:,.0f} PU of the requests that it continues" if before else ""
    else:
        estimate = f"a third of the service's estimate of {job.estimate or 0:,.0f}"
        cost = f"would cost about {job.expected_cost or 0:,.0f} PU ({estimate})"
    return OverBudgetError(
        f"Batch request {job.request_id} {cost}, more than the {allowed:,.0f} PU of max_processing_units. {fate(job)} "
        f"{_after_over_budget(before + (job.cost or 0.0), things, policy)}",
        **_about(job),
    )


def over_month_error(job: Snapshot, allowed: float, month: Month, price: Price | None) -> OverBudgetError:
    """The error for a job that would exceed the budget of the month.

    :param allowed: PU that the jobs of the DAG may cost in the month.
    :param month: what the others count in it.
    """
    expected = str(price) if price is not None and price.known else "an unknown number of PU"
    unknown = f" (of {len(month.unknown)} the full cost is not known)" if month.unknown else ""
    return OverBudgetError(
        f"Batch request {job.request_id} would exceed the {allowed:,.0f} PU of max_processing_units_per_month: "
        f"{month.others()} {month.counted:,.0f} PU in this calendar month (UTC){unknown}, and "
        f"this one would cost {expected}. {fate(job)} Nothing was paid for it. Raise the budget, or clear the task "
        "next month; cleared as it is, it is counted anew, and pays nothing while the budget is used up.",
        **_about(job),
    )


def _whence(price: Price) -> str:
    """How our estimate comes about, in a few words."""
    if price.own is None:
        return "our estimate"
    return "our estimate: " + ", ".join(
        f"{factor.name} {factor.how} {factor.span}"
        for factor in price.own.factors
        if (factor.value, factor.most) != (1.0, 1.0) and (factor.how != LEAST or price.high == factor.most)
    )


_AGAIN = {"fail": "fails", "skip": "is skipped", "stop": "ends like this"}


def _after_over_budget(paid: float, things: str, policy: str) -> str:
    """What was paid, what of it is kept, and what a clear of the task does after its job has exceeded the budget."""
    ends = _AGAIN.get(policy, "ends like this")
    if not paid:
        return (
            "Nothing was paid and nothing was written. Raise max_processing_units, or ask for fewer or coarser "
            f"tiles, and clear the task. Cleared as it is, it {ends} again and pays nothing."
        )
    waits = "" if things == "tiles" else " The service starts it again only 30 minutes after the stop; the task waits."
    return (
        f"{paid:,.0f} PU are paid, and the {things} that are done stay in the bucket. For the rest, raise "
        "max_processing_units above that and clear the task: it then does only what is missing, and what is paid "
        f"counts.{waits} Cleared with the same limit it {ends} again and pays nothing; with another job (area, grid, "
        "evalscript, ...) it starts anew and pays for all of it."
    )


def not_estimated_error(job: Snapshot, allowed: float, why: str | None = None) -> JobError:
    """The error for a job that has a budget (`allowed`, PU) but no estimate to compare it with.

    :param why: why there is no estimate of ours, for a task that requires one; None: the service gives none.
    """
    if why is not None:
        return JobError(
            f"Batch request {job.request_id} is {job.status}, but its cost could not be estimated, which "
            f"require_estimate asks for. {why or 'The service gives no estimate.'} {fate(job)} A retry of this task "
            "looks again; with require_estimate=False it starts without an estimate.",
            **_about(job),
        )
    return JobError(
        f"Batch request {job.request_id} is {job.status}, but the service gives no estimate of its cost that could be "
        f"compared with the {allowed:,.0f} PU of max_processing_units. {fate(job)} A retry of this task looks again; "
        "without max_processing_units it starts without an estimate.",
        **_about(job),
    )


def with_fate(message: str, job: Snapshot) -> str:
    """The message of an error, and the state of the request: if the message does not name it, or if it is running."""
    running = job.started and not job.status.is_final
    if job.request_id in message and not running:
        return message
    retry = " A retry of this task attaches to it again." if running else ""
    return f"{message} Batch request {job.request_id} is {job.status}. {fate(job)}{retry}"


def skipped_if(skips: bool, error: SentinelHubError) -> SentinelHubError:
    """The error; with `skips` it is marked so that the task is skipped instead of failed."""
    error.skip = skips
    return error


def unread_error(job: Snapshot | None, why: str, then: str, seconds: float | None = None) -> UnreadResultsError:
    """The error for results that could not be read for too long.

    :param why: the last error.
    :param then: the sentence on what a retry does.
    :param seconds: how long it was tried.
    """
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
