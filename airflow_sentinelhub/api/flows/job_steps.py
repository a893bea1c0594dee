"""What each step of a whole job does: a table of the steps after which `run_job` decides again, and one of its ends."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Step, Work
from airflow_sentinelhub.api.decide import errors
from airflow_sentinelhub.api.decide.costs import Month
from airflow_sentinelhub.api.decide.next_step import Known, NextStep, next_step, spent_up
from airflow_sentinelhub.api.decide.price import may_exceed
from airflow_sentinelhub.api.decide.results import Results, results_line
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, judge
from airflow_sentinelhub.api.flows.actions import analyse_once, end, resume, start_once
from airflow_sentinelhub.api.flows.costs import count_month, release
from airflow_sentinelhub.api.flows.job_life import Life, job_of
from airflow_sentinelhub.api.flows.read import outlast
from airflow_sentinelhub.api.flows.restart import restart_counted
from airflow_sentinelhub.api.flows.wait import Await
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import SentinelHubError

Doing = Generator["Step | Await", Any, "Snapshot | None"]


def _analyse(life: Life, known: Known) -> Doing:
    life.looked((yield from analyse_once(life.api, job_of(known).request_id, patience=life.wanted.patience)))
    return (yield from life.wait(known, "ANALYSIS_DONE"))


def _await_analysis(life: Life, known: Known) -> Doing:
    return (yield from life.wait(known, "ANALYSIS_DONE"))


def _estimate(life: Life, known: Known) -> Doing:
    yield from life.ask_price(job_of(known), known.policy)
    return job_of(known)


def _count_month(life: Life, known: Known) -> Doing:
    plan, job = life.plan, job_of(known)
    assert plan.dag is not None
    life.month = yield from count_month(
        plan.dag, life.api, job, known.price, known.policy, life.wanted.patience, plan.estimating
    )
    return job


def _start(life: Life, known: Known) -> Doing:
    monthly = known.policy.max_per_month
    if monthly is not None and known.month is not None and may_exceed(known.price, monthly, known.month.counted):
        why = f"the budget of the month, {monthly:,.0f} PU, may be exceeded ({known.price})"
        yield Note(f"Batch request {job_of(known).request_id} is started, but {why}", warning=True)
    limit = known.policy.max_processing_units
    if limit is not None and may_exceed(known.price, limit, known.spent_before):
        why = f"it may cost more than the {limit:,.0f} PU of max_processing_units ({known.price})"
        yield Note(
            f"Batch request {job_of(known).request_id} is started, but {why}; if so, it is stopped", warning=True
        )
    job = yield from start_once(life.api, job_of(known).request_id, patience=life.wanted.patience)
    yield Work(lambda: life.plan.listener.read(job))
    yield Note(f"Batch request {job.request_id} is started")
    return (yield from life.wait(known, "DONE"))


def _await_end(life: Life, known: Known) -> Doing:
    if life.restarts and job_of(known).status == S.PARTIAL:
        yield Note(f"Batch request {job_of(known).request_id} was PARTIAL and restarted; reading its state again")
    return (yield from life.wait(known, "DONE"))


def _resume(life: Life, known: Known) -> Doing:
    job = job_of(known)
    why = f"Batch request {job.request_id} was stopped ({job.stopped_reason}); starting it again"
    yield Note(why, warning=True)
    patient = life.plan.resume_stopped == "when_accepted"
    return life.looked((yield from resume(life.api, job.request_id, patient=patient)))


def _restart(life: Life, known: Known) -> Doing:
    job, most = job_of(known), known.policy.max_restarts
    yield Note(f"Batch request {job.request_id} is PARTIAL; restarting its failed part", warning=True)
    life.restarts = known.restarts + 1
    restarted = yield from restart_counted(life.api, job.request_id, most, patience=life.wanted.patience)
    yield Work(lambda: life.plan.listener.read(restarted))
    return (yield from life.wait(known, "DONE"))


def _read_results(life: Life, known: Known) -> Doing:
    job, before = job_of(known), known.continued
    if before is None:
        life.results = yield from life.read_results(job)
        return job
    why = job.error or "it gives no reason"
    yield Note(
        f"Batch request {job.request_id}, which was to do the failed part of {before.request_id}, has failed: {why}",
        warning=True,
    )
    results: Any = yield from life.read_results(before)
    cost = results.processing_units
    total_cost = None if cost is None or job.cost is None else cost + job.cost
    life.results = replace(results, processing_units=total_cost, restarts=life.restarts)
    return job


def _await_rest(life: Life, known: Known) -> Doing:
    assert known.results is not None
    names = known.results.unfinished_names()
    yield Note(
        f"Batch request {job_of(known).request_id} is PARTIAL, but some tiles are still processed ({names}); waiting"
    )
    life.rest_awaited = True
    return (yield from life.wait(known, "DONE", stale_partial=life.plan.wait.max_unknown_time))


def _continue(life: Life, known: Known) -> Doing:
    assert known.results is not None
    yield Note(f"{results_line(known.results)}; restarting the failed part by a new request", warning=True)
    return (yield from life.continued(job_of(known), restart=True))


STEPS: dict[NextStep, Callable[[Life, Known], Doing]] = {
    NextStep.ANALYSE: _analyse,
    NextStep.AWAIT_ANALYSIS: _await_analysis,
    NextStep.ESTIMATE: _estimate,
    NextStep.COUNT_MONTH: _count_month,
    NextStep.START: _start,
    NextStep.AWAIT_END: _await_end,
    NextStep.RESUME: _resume,
    NextStep.RESTART: _restart,
    NextStep.READ_RESULTS: _read_results,
    NextStep.AWAIT_REST: _await_rest,
    NextStep.CONTINUE: _continue,
}

Ending = Flow[dict[str, Any]]


def _succeed(life: Life, known: Known) -> Ending:
    return (yield from _reported(life, known)).as_result()


def _too_many_failed(life: Life, known: Known) -> Ending:
    results = yield from _reported(life, known)
    raise errors.skipped_if(known.policy.on_partial == "skip", errors.too_many_failed_error(results))


def _reported(life: Life, known: Known) -> Flow[Results]:
    results, job, limit = known.results, job_of(known), known.policy.max_processing_units
    assert results is not None
    results = yield from life.with_price(job, results, known.policy)
    restarts_left = known.continues and results.restarts < known.policy.max_restarts
    if results.failed and known.continued is None and restarts_left and spent_up(known, results):
        cost = f"it has cost {results.processing_units:.0f} of {limit:.0f} PU already"
        yield Note(f"The failed part of {job.request_id} is not restarted: {cost}", warning=True)
    if results.failed and next_step(known) is NextStep.SUCCEED:
        failed = f"{results.failed} of {results.total} {results.things} failed"
        yield Note(f"Batch request {job.request_id}: {failed}, which is accepted: {results.names()}", warning=True)
    if limit is not None and results.processing_units is not None and results.processing_units > limit:
        cost = f"{results.processing_units:.0f} of {limit:.0f} PU"
        late = f"has cost {cost}: no reading showed that before its end"
        yield Note(f"Batch request {job.request_id} is {job.status} and {late}", warning=True)
    yield from _report(life, results)
    return results


def _report(life: Life, results: Results) -> Flow[None]:
    yield Note(results_line(results))
    yield Work(lambda: life.plan.listener.reported(results))


def _still_unfinished(life: Life, known: Known) -> Ending:
    assert known.results is not None
    seconds = life.plan.wait.max_unknown_time
    raise errors.unfinished_error(job_of(known), known.results.unfinished_names(), seconds)
    yield  # never reached; it makes this function a generator, as all ends are


def _over_month(life: Life, known: Known) -> Ending:
    """The job would exceed the budget of the month: it is not started."""
    limit = known.policy.max_per_month or 0
    yield from release(life.api, job_of(known), life.wanted.patience)

    def error(job: Snapshot) -> SentinelHubError:
        return errors.over_month_error(job, limit, known.month or Month(), known.price)

    return (yield from _not_paid_for(life, known, error))


def _over_budget(life: Life, known: Known) -> Ending:
    """The job may cost, or has cost, more than allowed: end it; then fail, skip, or succeed with what is done."""
    limit, things = known.policy.max_processing_units or 0, life.api.pricing.things

    def error(job: Snapshot) -> SentinelHubError:
        policy = known.policy.on_over_budget
        return errors.over_budget_error(job, limit, known.spent_before, things=things, price=known.price, policy=policy)

    return (yield from _not_paid_for(life, known, error))


def _not_paid_for(life: Life, known: Known, error_of: Callable[[Snapshot], SentinelHubError]) -> Ending:
    """End the request if it runs, or if the job is to stop; then fail, skip, or succeed with what is done.

    :param error_of: makes the error from the last reading.
    """
    job, policy = job_of(known), known.policy
    request_id = job.request_id
    ran, must = job.started or job.ending or job.status.is_final, policy.on_over_budget == "stop"
    if ran or must:
        job = yield from outlast(lambda: end(life.api, request_id), life.wanted.patience, request_id, refused=True)
    error = error_of(job)
    if not ran and not must:
        raise errors.skipped_if(policy.on_over_budget == "skip", error)
    results = yield from life.read_results(job, must=must)  # without `must` the error below comes
    results = yield from life.with_price(job, results, policy)
    yield from _report(life, results)
    if not must:
        raise errors.skipped_if(policy.on_over_budget == "skip", error)
    yield Note(str(error), warning=True)
    return results.as_result()


def _not_estimated(life: Life, known: Known) -> Ending:
    why = known.price.why if known.price is not None and known.policy.require_estimate else None
    raise errors.not_estimated_error(job_of(known), known.policy.max_processing_units or 0, why)
    yield  # never reached; it makes this function a generator, as all ends are


def _give_up(life: Life, known: Known) -> Ending:
    """Raise the error that says why the job cannot be finished; report what it has cost."""
    job, waited, target = known.job, life.waited, life.target
    if known.outcome in (None, Outcome.REACHED) and job is not None:  # the reading says why
        late, target = known.late and not job.status.is_final, "DONE"
        waited = Waited(Outcome.TIMED_OUT if late else judge(job, target), job)
    if job is not None and job.cost is not None:
        cost = job.cost + (known.spent_before or life.spent_before)
        yield Work(lambda: life.plan.listener.spent(cost))
    errors.conclude(waited, life.request_id, target)
    raise AssertionError("A request that is given up on has not reached its target.")


ENDS: dict[NextStep, Callable[[Life, Known], Ending]] = {
    NextStep.SUCCEED: _succeed,
    NextStep.TOO_MANY_FAILED: _too_many_failed,
    NextStep.STILL_UNFINISHED: _still_unfinished,
    NextStep.OVER_MONTH: _over_month,
    NextStep.OVER_BUDGET: _over_budget,
    NextStep.NOT_ESTIMATED: _not_estimated,
    NextStep.GIVE_UP: _give_up,
}
