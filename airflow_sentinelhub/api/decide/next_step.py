"""Decide the next step of a whole job: one pure function of what is known about the job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airflow_sentinelhub.api.decide.adoption import stopped_by_service
from airflow_sentinelhub.api.decide.costs import Month
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.decide.results import Results, accepted
from airflow_sentinelhub.api.decide.verdict import Outcome, over
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S


class NextStep(str, Enum):
    """The next step of a whole job. The last seven end the task."""

    ANALYSE = "analyse"
    """Ask for the analysis, and wait for it."""
    AWAIT_ANALYSIS = "await_analysis"
    ESTIMATE = "estimate"
    """Find out what the request will cost."""
    COUNT_MONTH = "count_month"
    """Find out what the other jobs of the DAG cost in this month."""
    START = "start"
    """Start the request, which bills, and wait for its end."""
    AWAIT_END = "await_end"
    RESUME = "resume"
    """Start a request again that the service has stopped."""
    RESTART = "restart"
    """Have the service process the failed part again (v1), which bills."""
    READ_RESULTS = "read_results"
    """Read the results of the job."""
    AWAIT_REST = "await_rest"
    """The request has ended with tiles still being processed: wait for them once."""
    CONTINUE = "continue"
    """Have the failed part processed by a new request (v2), which bills."""
    SUCCEED = "succeed"
    TOO_MANY_FAILED = "too_many_failed"
    STILL_UNFINISHED = "still_unfinished"
    OVER_MONTH = "over_month"
    """The job would exceed the budget of the month: do not start it. `on_over_budget` says how the task ends."""
    OVER_BUDGET = "over_budget"
    """The job would cost, or has cost, more than its budget: end it. `on_over_budget` says how the task ends."""
    NOT_ESTIMATED = "not_estimated"
    GIVE_UP = "give_up"
    """The job cannot be finished: raise the error that says why."""


@dataclass(frozen=True)
class Known:
    """What is known about a job when its next step is decided.

    :param job: the last reading, None if the state could not be read.
    :param outcome: how the last wait ended; None if the reading does not come from a wait.
    :param restarts: how often the task has asked for the restart of the failed part.
    :param settled: PARTIAL is the true status: the wait was long enough to exclude a reading from before a restart.
    :param earlier: the requests that this one continues, the latest first.
    :param results: the results of the job, None before they were read. For a failed request that continues a DONE one,
        the results of both.
    :param rest_awaited: the unfinished tiles of a PARTIAL request have been waited for.
    :param may_start: the task may start the request; else another task has to.
    :param late: the deadline has passed.
    :param resumes: the task restarts requests that the service has stopped.
    :param price: the expected cost, None before it was asked for.
    :param prices: the expected cost can be asked for.
    :param month: what the other jobs of the DAG count in this month, None before it was asked for.
    :param counts: the month can be counted.
    :param restarts_parts, estimates: what the service can do (see `Generation`).
    :param continues: a new request can do the failed part.
    """

    job: Snapshot | None
    policy: Policy
    outcome: Outcome | None = None
    restarts: int = 0
    settled: bool = False
    earlier: tuple[Snapshot, ...] = ()
    results: Results | None = None
    rest_awaited: bool = False
    may_start: bool = True
    late: bool = False
    resumes: bool = False
    price: Price | None = None
    prices: bool = False
    month: Month | None = None
    counts: bool = False
    restarts_parts: bool = False
    continues: bool = False
    estimates: bool = False

    @property
    def spent_before(self) -> float:
        """PU that the requests continued by this one have cost."""
        return sum(request.cost or 0.0 for request in self.earlier)

    @property
    def continued(self) -> Snapshot | None:
        """If this request has failed: the DONE request whose failed part it was created to process, else None."""
        failed = self.job is not None and self.job.status == S.FAILED
        return self.earlier[0] if failed and self.earlier and self.earlier[0].status == S.DONE else None


LEFT = (Outcome.UNKNOWN, Outcome.NOT_FOUND, Outcome.UNREAD, Outcome.TIMED_OUT, Outcome.NOT_STARTED)
"""Outcomes of a wait after which nothing is done; only an error is raised."""


def next_step(known: Known) -> NextStep:
    """The next step of a whole job, from `known` alone, so that any try can continue where another was killed.

    | the request | step |
    | --- | --- |
    | cannot be read, was not started by the other task, or the deadline has passed | give up |
    | has exceeded its budget | over budget |
    | PARTIAL after a restart, and the reading may be older than the restart | await the end |
    | PARTIAL, restarts are left | restart |
    | STOPPED by the service, and the task resumes | resume |
    | FAILED, or ended by a person, and it continues no request that is DONE | give up |
    | DONE, PARTIAL, or a failed part of a DONE one | read the results, then judge them (`_judged`) |
    | running | await the end |
    | not started, and the task must not start it | await the end |
    | analysed, its cost not asked for yet | estimate |
    | analysed, under a budget of the month that was not looked at | count the month |
    | analysed | start, unless a budget or the time forbids it |
    | new | analyse |
    """
    job = known.job
    if job is None or known.outcome in LEFT:
        return NextStep.GIVE_UP
    if known.outcome is Outcome.OVER_BUDGET:
        return NextStep.OVER_BUDGET
    if job.status == S.PARTIAL:
        if known.restarts and not known.settled:
            return NextStep.AWAIT_END
        if known.restarts_parts and known.restarts < known.policy.max_restarts:
            return NextStep.RESTART
        return _judged(known)
    if job.status == S.STOPPED and over(job, known.policy.max_processing_units, known.spent_before):
        return NextStep.OVER_BUDGET
    if known.resumes and stopped_by_service(job):
        return NextStep.RESUME
    if job.status == S.DONE or known.continued is not None:
        return _judged(known)
    if job.status.is_final:
        return NextStep.GIVE_UP
    if job.started or job.ending:
        return NextStep.AWAIT_END
    if not known.may_start:
        return NextStep.AWAIT_END
    if job.status == S.ANALYSIS_DONE:
        return _start(known, job)
    if job.status == S.CREATED and job.user_action.value == "NONE":
        return NextStep.ANALYSE
    return NextStep.AWAIT_ANALYSIS


def _start(known: Known, job: Snapshot) -> NextStep:
    if known.late:
        return NextStep.GIVE_UP
    if known.policy.max_processing_units is not None and known.estimates and job.estimate is None:
        return NextStep.NOT_ESTIMATED
    if known.prices and known.price is None:
        return NextStep.ESTIMATE
    low = job.expected_cost if known.price is None else known.price.low
    if low is None and known.policy.require_estimate:
        return NextStep.NOT_ESTIMATED
    if not known.policy.allows(low, known.spent_before):
        return NextStep.OVER_BUDGET
    if known.policy.max_per_month is None or not known.counts:
        return NextStep.START
    if known.month is None:
        return NextStep.COUNT_MONTH
    return NextStep.START if known.policy.allows_in_month(low, known.month.counted) else NextStep.OVER_MONTH


def _judged(known: Known) -> NextStep:
    """The next step of a job that has ended, by its results."""
    results = known.results
    if results is None:
        return NextStep.READ_RESULTS
    if known.job is not None and known.job.status == S.PARTIAL and results.unfinished:
        return NextStep.STILL_UNFINISHED if known.rest_awaited else NextStep.AWAIT_REST
    if results.failed and known.continued is None and may_continue(known, results):
        return NextStep.CONTINUE
    return NextStep.SUCCEED if accepted(results, known.policy) else NextStep.TOO_MANY_FAILED


def may_continue(known: Known, results: Results) -> bool:
    """Whether a new request may process the failed part: it can, and restarts and PU remain."""
    return known.continues and results.restarts < known.policy.max_restarts and not spent_up(known, results)


def spent_up(known: Known, results: Results) -> bool:
    """Whether the job has already cost as much as its budget."""
    limit, spent = known.policy.max_processing_units, results.processing_units
    return limit is not None and spent is not None and spent >= limit
