"""Run a whole job as one flow: collect what is known, decide the next step, do it, repeat.

`decide.next_step.next_step`, a pure function, decides. Every step is safe to repeat, so a task that comes back after a
wait or a crash begins at the top with the latest reading; no other state is needed. The flow yields the steps of
`call.py` and one more, `Await`: a worker waits itself, a deferrable operator defers to a trigger.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from airflow_sentinelhub.api.call import Flow, Note, Now, Step, Work
from airflow_sentinelhub.api.decide import errors
from airflow_sentinelhub.api.decide.costs import Month
from airflow_sentinelhub.api.decide.marker import job_digest, mark_of
from airflow_sentinelhub.api.decide.next_step import LEFT, Known, next_step, spent_up
from airflow_sentinelhub.api.decide.next_step import Step as Next
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price, may_exceed, price_from
from airflow_sentinelhub.api.decide.results import Results, results_line
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited, judge
from airflow_sentinelhub.api.flows.actions import analyse_once, end, resume, start_once
from airflow_sentinelhub.api.flows.costs import OfDag, count_month, release
from airflow_sentinelhub.api.flows.find_or_create import Settled, take_over_stopped
from airflow_sentinelhub.api.flows.price import Estimating
from airflow_sentinelhub.api.flows.read import continued_by, if_answered, left_alone, outlast, read_patiently
from airflow_sentinelhub.api.flows.restart import STALE_PARTIAL, restart_counted
from airflow_sentinelhub.api.flows.task_request import Own, Wanted, continue_with, find_own
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan
from airflow_sentinelhub.api.service.generations import OLD_REQUEST_404, Generation
from airflow_sentinelhub.api.service.specification import can_be_continued
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import SentinelHubError

R = TypeVar("R")


@dataclass(frozen=True)
class Listener:
    """Functions that the flow calls on events, in this order. They may block.

    :param settled: called with the request that processes the job from now on.
    :param read: called with every reading that the flow uses.
    :param priced: called with the expected cost, before the start.
    :param reported: called with the results of the job, before they are judged.
    :param spent: called with the PU that the request has cost, if the job ends with an error instead of results.
    """

    settled: Callable[[Own], None] = lambda own: None
    read: Callable[[Snapshot], None] = lambda job: None
    priced: Callable[[Price], None] = lambda price: None
    reported: Callable[[Results], None] = lambda results: None
    spent: Callable[[float], None] = lambda cost: None


@dataclass(frozen=True)
class Woken:
    """The state with which the flow continues after a deferred wait.

    :param waited: how the wait ended.
    :param state: the `state` of its `Await`.
    """

    waited: Waited
    state: Mapping[str, Any]


@dataclass(frozen=True)
class JobPlan:
    """How a whole job is run.

    :param policy: returns the user's limits; it raises InvalidInputError if they are invalid, which must not hide a
        running request.
    :param read_results: reads the results of a request; the flag says whether they are required, or are left out with
        a warning if they cannot be read.
    :param price: finds out the expected cost of an analysed request; None: only the service's own number counts.
    :param dag: the requests of the DAG, for its budget of a month; None: there is no such budget.
    :param estimating: how other jobs of the DAG are estimated for it, see `price_request`.
    :param request_id: continue with this request instead of finding or creating one.
    :param old_request: `request_id` cannot be new, so a 404 means within seconds that there is no such request.
    :param may_start: False: never start the request that `request_id` names.
    :param resume_stopped: restart a request that the service has stopped: `never`, `if_accepted`, `when_accepted`
        (wait while the service refuses).
    :param wait: how to wait for the end; its `max_cost` and `stale_partial` are set here.
    :param analysis_poll_interval: seconds between polls during the analysis.
    """

    policy: Callable[[], Policy]
    read_results: Callable[[Generation, Snapshot, bool], Flow[Results]]
    price: Callable[[Generation, Snapshot], Flow[Price]] | None = None
    dag: OfDag | None = None
    estimating: Callable[[], Estimating] | None = None
    request_id: str | None = None
    old_request: bool = False
    may_start: bool = True
    resume_stopped: str = "never"
    wait: WaitPlan = field(default_factory=WaitPlan)
    analysis_poll_interval: float = 10.0
    listener: Listener = field(default_factory=Listener)


def run_job(
    api: Generation, wanted: Wanted, plan: JobPlan, woken: Woken | None = None
) -> Generator[Step | Await, Any, dict[str, Any]]:
    """Find or create the request, analyse it, check the budget, start it, wait, restart what failed, judge, report.

    :param api: the generation that the job is asked for in.
    :param wanted: the request.
    :param plan: how to run it.
    :param woken: the end of the wait for which an earlier run of this flow was deferred; None for a first run.
    :returns: the result, see `Results.as_result`.
    :raises JobError: the job failed, or ended worse than the policy accepts; `skip` is set where the policy says so.
    """
    job: Snapshot | None
    if woken is None:
        own = yield from _first(api, wanted, plan)
        life = _Life(own.api, wanted, plan)
        first = job = own.settled.job
        if own.settled.continued:
            job = yield from life.take_over(first)
    else:
        life = _Life(api, wanted, plan)
        job = life.wake(woken)
    while True:
        known = yield from life.known(job)
        step = next_step(known)
        if step in _ENDS:
            return (yield from _ENDS[step](life, known))
        job = yield from _STEPS[step](life, known)


def answered(flow: Generator[Step | Await, Any, R], answer: Callable[[Await], Flow[Waited | None]]) -> Flow[R | Await]:
    """Make a flow for a driver: `answer` handles each `Await`. If it returns None, the result is the `Await` itself."""
    send: Callable[[Any], Step | Await] = flow.send
    value: Any = None
    while True:
        try:
            step = send(value)
        except StopIteration as result:
            return result.value  # type: ignore[no-any-return]
        try:
            if isinstance(step, Await):
                value = yield from answer(step)
                if value is None:
                    flow.close()
                    return step
            else:
                value = yield step
            send = flow.send
        except GeneratorExit:
            flow.close()
            raise
        except BaseException as err:
            send, value = flow.throw, err


def _first(api: Generation, wanted: Wanted, plan: JobPlan) -> Flow[Own]:
    """The request that processes the job: the given one, or the task's own."""
    if plan.request_id is not None:
        request_id = plan.request_id
        looked_up = replace(api, despite_404=OLD_REQUEST_404) if plan.old_request else api
        reading = outlast(lambda: read_patiently(looked_up, request_id), wanted.patience, request_id)
        patient = wanted.again or not plan.may_start  # a step before this one has just reached the service
        job = yield from (reading if patient else if_answered(reading, left_alone(request_id)))
        own = Own(api, Settled(job, True), wanted.mark)
    else:
        if not wanted.again:
            plan.policy()  # checks the limits; in a later try, invalid limits must not hide a running request
        own = yield from find_own(api, wanted)
    yield Work(lambda: plan.listener.settled(own))
    return own


class _Life:
    """The state of one run of `run_job` besides the last reading."""

    def __init__(self, api: Generation, wanted: Wanted, plan: JobPlan) -> None:
        self.api, self.wanted, self.plan = api, wanted, plan
        self.outcome: Outcome | None = None
        self.waited = Waited(Outcome.WAITING)
        self.request_id, self.target = plan.request_id or "", "DONE"
        self.restarts, self.settled, self.rest_awaited = 0, False, False
        self.results: Results | None = None
        self.price: Price | None = None  # of the request that is analysed
        self.month: Month | None = None
        self.expected: Price | None = None  # of the job: of the first of its requests
        self.chain: tuple[str, tuple[Snapshot, ...]] = ("", ())

    def wake(self, woken: Woken) -> Snapshot | None:
        """Restore the state from before a deferred wait; returns the last reading of the wait."""
        state = woken.state
        self.restarts, self.rest_awaited = int(state["restarts"]), bool(state["rest_awaited"])
        self.request_id, self.target = str(state["request_id"]), str(state["target"])
        self.expected = price_from(state.get("price"))
        self._ended(woken.waited, settled=bool(state["settled"]))
        return woken.waited.job

    def _ended(self, waited: Waited, *, settled: bool) -> None:
        self.waited, self.outcome, self.settled, self.results = waited, waited.outcome, settled, None

    def known(self, job: Snapshot | None) -> Flow[Known]:
        """Collect what `next_step` needs to decide."""
        if job is not None:
            latest, self.request_id = job, job.request_id
            yield Work(lambda: self.plan.listener.read(latest))
            request_mark = mark_of(job.description)  # it may have been edited away
            self.restarts = max(self.restarts, request_mark.restarts if request_mark else 0)
            if self.chain[0] != job.request_id and self.outcome not in LEFT:  # else nothing depends on it
                earlier = yield from outlast(
                    lambda: continued_by(self.api, latest), self.wanted.patience, latest.request_id
                )
                self.chain = (job.request_id, tuple(earlier))
        deadline = self.plan.wait.deadline
        return Known(
            job=job,
            policy=Policy() if job is None or self.outcome in LEFT else self.plan.policy(),
            outcome=self.outcome,
            restarts=self.restarts,
            settled=self.settled,
            earlier=self.chain[1],
            results=self.results,
            rest_awaited=self.rest_awaited,
            may_start=self.plan.may_start or job is None or job.request_id != self.plan.request_id,
            late=deadline is not None and (yield Now()) >= deadline,
            resumes=self.plan.resume_stopped != "never",
            price=self.price,
            prices=self.plan.price is not None,
            month=self.month,
            counts=self.plan.dag is not None,
            restarts_parts=self.api.restart is not None,
            continues=self.results is not None and bool(self.results.failed) and self._continues(),
            estimates=self.api.estimates,
        )

    def _continues(self) -> bool:
        """Whether a new request can do the failed part. A payload that cannot be rendered says so at the create."""
        if not self.api.continues:
            return False
        try:
            return can_be_continued(self.wanted.render(self.api))
        except Exception:
            return True

    def looked(self, job: Snapshot) -> Snapshot:
        """Continue with a reading that does not come from a wait."""
        self.outcome, self.settled, self.results = None, False, None
        return job

    def wait(
        self, known: Known, target: str, *, stale_partial: float | None = None
    ) -> Generator[Step | Await, Any, Snapshot | None]:
        """Wait until the request is `target`. Readings may lag for minutes behind a restart, also of an earlier try."""
        job, plan, limit = _job(known), self.plan.wait, known.policy.max_processing_units
        if stale_partial is None:
            stale_partial = STALE_PARTIAL if self.restarts else 0.0
        every = min(self.plan.analysis_poll_interval, plan.poll_interval)
        self.target = target
        state = {
            "request_id": job.request_id,
            "batch_api": self.api.name,
            "target": target,
            "restarts": self.restarts,
            "rest_awaited": self.rest_awaited,
            "settled": stale_partial > 0,
            "price": self.expected.as_result() if self.expected else None,
        }
        waited = yield Await(
            job.request_id,
            target,
            replace(
                plan,
                poll_interval=every if target == "ANALYSIS_DONE" else plan.poll_interval,
                stale_partial=stale_partial,
                max_cost=None if limit is None else max(limit - known.spent_before, 0.0),
            ),
            state,
        )
        self._ended(waited, settled=stale_partial > 0)
        return waited.job  # type: ignore[no-any-return]

    def take_over(self, job: Snapshot) -> Flow[Snapshot]:
        """Process the missing part of a request that was stopped for its budget, which was raised since."""
        earlier = yield from outlast(lambda: continued_by(self.api, job), self.wanted.patience, job.request_id)
        spent = sum(request.cost or 0.0 for request in (job, *earlier))
        limit = self.plan.policy().max_processing_units
        allowed = "more" if limit is None else f"{limit:.0f}"
        yield Note(
            f"Batch request {job.request_id} was stopped for its budget; {spent:.0f} PU of {allowed} PU are spent; "
            "processing the rest",
            warning=True,
        )
        payload = self.wanted.render(self.api)
        if can_be_continued(payload):
            return (yield from self.continued(job, restart=False))
        mark = replace(self.wanted.mark, job=job_digest(payload))
        return (yield from take_over_stopped(self.api, job, payload, mark))

    def continued(self, job: Snapshot, *, restart: bool) -> Flow[Snapshot]:
        """Find or create the request that processes the missing part of this one, and continue with it."""
        self.price = self.month = None
        own = yield from continue_with(self.api, self.wanted, job, restart=restart)
        yield Work(lambda: self.plan.listener.settled(own))
        return self.looked(own.settled.job)

    def ask_price(self, job: Snapshot) -> Flow[None]:
        """Find out the expected cost of this request, and of the job if it is the first one."""
        if self.plan.price is None:
            return
        self.price = yield from self.plan.price(self.api, job)
        if self.expected is None:
            expected = self.expected = self.price
            yield Work(lambda: self.plan.listener.priced(expected))

    def with_price(self, job: Snapshot, results: Results) -> Flow[Results]:
        """The results with the cost that was expected, asked for now if an earlier try has started the job."""
        if self.expected is None:
            yield from self.ask_price(self.chain[1][-1] if self.chain[1] else job)
        return results.expecting(self.expected)

    def read_results(self, job: Snapshot, *, must: bool = True) -> Flow[Results]:
        return self.plan.read_results(self.api, job, must)


def _job(known: Known) -> Snapshot:
    assert known.job is not None  # `next_step` gives up without a reading
    return known.job


Doing = Generator["Step | Await", Any, "Snapshot | None"]


def _analyse(life: _Life, known: Known) -> Doing:
    life.looked((yield from analyse_once(life.api, _job(known).request_id, patience=life.wanted.patience)))
    return (yield from life.wait(known, "ANALYSIS_DONE"))


def _await_analysis(life: _Life, known: Known) -> Doing:
    return (yield from life.wait(known, "ANALYSIS_DONE"))


def _estimate(life: _Life, known: Known) -> Doing:
    yield from life.ask_price(_job(known))
    return _job(known)


def _count_month(life: _Life, known: Known) -> Doing:
    plan, job = life.plan, _job(known)
    assert plan.dag is not None
    life.month = yield from count_month(
        plan.dag, life.api, job, known.price, known.policy, life.wanted.patience, plan.estimating
    )
    return job


def _start(life: _Life, known: Known) -> Doing:
    monthly = known.policy.max_per_month
    if monthly is not None and known.month is not None and may_exceed(known.price, monthly, known.month.counted):
        why = f"the budget of the month, {monthly:,.0f} PU, may be exceeded ({known.price})"
        yield Note(f"Batch request {_job(known).request_id} is started, but {why}", warning=True)
    limit = known.policy.max_processing_units
    if limit is not None and may_exceed(known.price, limit, known.spent_before):
        why = f"it may cost more than the {limit:,.0f} PU of max_processing_units ({known.price})"
        yield Note(f"Batch request {_job(known).request_id} is started, but {why}; it is stopped then", warning=True)
    job = yield from start_once(life.api, _job(known).request_id, patience=life.wanted.patience)
    yield Work(lambda: life.plan.listener.read(job))
    yield Note(f"Batch request {job.request_id} is started")
    return (yield from life.wait(known, "DONE"))


def _await_end(life: _Life, known: Known) -> Doing:
    if life.restarts and _job(known).status.value == "PARTIAL":
        yield Note(f"Batch request {_job(known).request_id} was PARTIAL and restarted; reading its state again")
    return (yield from life.wait(known, "DONE"))


def _resume(life: _Life, known: Known) -> Doing:
    job = _job(known)
    why = f"Batch request {job.request_id} was stopped ({job.stopped_reason}); starting it again"
    yield Note(why, warning=True)
    patient = life.plan.resume_stopped == "when_accepted"
    return life.looked((yield from resume(life.api, job.request_id, patient=patient)))


def _restart(life: _Life, known: Known) -> Doing:
    job, most = _job(known), known.policy.max_restarts
    yield Note(f"Batch request {job.request_id} is PARTIAL; restarting its failed part", warning=True)
    life.restarts = known.restarts + 1
    yield from restart_counted(life.api, job.request_id, most, patience=life.wanted.patience)
    return (yield from life.wait(known, "DONE"))


def _read_results(life: _Life, known: Known) -> Doing:
    job, before = _job(known), known.continued
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


def _await_rest(life: _Life, known: Known) -> Doing:
    assert known.results is not None
    names = known.results.unfinished_names()
    yield Note(f"Batch request {_job(known).request_id} is PARTIAL with tiles at work ({names}); waiting")
    life.rest_awaited = True
    return (yield from life.wait(known, "DONE", stale_partial=life.plan.wait.max_unknown_time))


def _continue(life: _Life, known: Known) -> Doing:
    assert known.results is not None
    yield Note(f"{results_line(known.results)}; restarting the failed part by a new request", warning=True)
    return (yield from life.continued(_job(known), restart=True))


_STEPS: dict[Next, Callable[[_Life, Known], Doing]] = {
    Next.ANALYSE: _analyse,
    Next.AWAIT_ANALYSIS: _await_analysis,
    Next.ESTIMATE: _estimate,
    Next.COUNT_MONTH: _count_month,
    Next.START: _start,
    Next.AWAIT_END: _await_end,
    Next.RESUME: _resume,
    Next.RESTART: _restart,
    Next.READ_RESULTS: _read_results,
    Next.AWAIT_REST: _await_rest,
    Next.CONTINUE: _continue,
}

Ending = Flow[dict[str, Any]]


def _succeed(life: _Life, known: Known) -> Ending:
    return (yield from _reported(life, known)).as_result()


def _too_many_failed(life: _Life, known: Known) -> Ending:
    results = yield from _reported(life, known)
    raise errors.skipped_if(known.policy.on_partial == "skip", errors.too_many_failed_error(results))


def _reported(life: _Life, known: Known) -> Flow[Results]:
    results, job, limit = known.results, _job(known), known.policy.max_processing_units
    assert results is not None
    results = yield from life.with_price(job, results)
    restarts_left = known.continues and results.restarts < known.policy.max_restarts
    if results.failed and known.continued is None and restarts_left and spent_up(known, results):
        cost = f"it has cost {results.processing_units:.0f} of {limit:.0f} PU already"
        yield Note(f"The failed part of {job.request_id} is not restarted: {cost}", warning=True)
    if results.failed and next_step(known) is Next.SUCCEED:
        failed = f"{results.failed} of {results.total} {results.things} failed"
        yield Note(f"Batch request {job.request_id}: {failed}, which is accepted: {results.names()}", warning=True)
    if limit is not None and results.processing_units is not None and results.processing_units > limit:
        cost = f"{results.processing_units:.0f} of {limit:.0f} PU"
        yield Note(f"Batch request {job.request_id} was done before it was seen to cost {cost}", warning=True)
    yield from _report(life, results)
    return results


def _report(life: _Life, results: Results) -> Flow[None]:
    yield Note(results_line(results))
    yield Work(lambda: life.plan.listener.reported(results))


def _still_unfinished(life: _Life, known: Known) -> Ending:
    assert known.results is not None
    seconds = life.plan.wait.max_unknown_time
    raise errors.unfinished_error(_job(known), known.results.unfinished_names(), seconds)
    yield  # a generator like the others


def _over_month(life: _Life, known: Known) -> Ending:
    """The job would exceed the budget of the month: it is not started."""
    limit = known.policy.max_per_month or 0
    yield from release(life.api, _job(known), life.wanted.patience)

    def error(job: Snapshot) -> SentinelHubError:
        return errors.over_month_error(job, limit, known.month or Month(), known.price)

    return (yield from _not_paid_for(life, known, error))


def _over_budget(life: _Life, known: Known) -> Ending:
    """The job may cost, or has cost, more than allowed: end it, then fail, skip or take what is there."""
    limit, things = known.policy.max_processing_units or 0, life.api.pricing.things

    def error(job: Snapshot) -> SentinelHubError:
        policy = known.policy.on_over_budget
        return errors.over_budget_error(job, limit, known.spent_before, things=things, price=known.price, policy=policy)

    return (yield from _not_paid_for(life, known, error))


def _not_paid_for(life: _Life, known: Known, error_of: Callable[[Snapshot], SentinelHubError]) -> Ending:
    """End the request if it runs or has to end; then fail, skip or take what is there.

    :param error_of: makes the error from the last reading.
    """
    job, policy = _job(known), known.policy
    request_id = job.request_id
    ran, must = job.started or job.ending or job.status.is_final, policy.on_over_budget == "stop"
    if ran or must:
        job = yield from outlast(lambda: end(life.api, request_id), life.wanted.patience, request_id, refused=True)
    error = error_of(job)
    if not ran and not must:
        raise errors.skipped_if(policy.on_over_budget == "skip", error)
    results = yield from life.read_results(job, must=must)  # else the error below is raised anyway
    results = yield from life.with_price(job, results)
    yield from _report(life, results)
    if not must:
        raise errors.skipped_if(policy.on_over_budget == "skip", error)
    yield Note(str(error), warning=True)
    return results.as_result()


def _not_estimated(life: _Life, known: Known) -> Ending:
    why = known.price.why if known.price is not None and known.policy.require_estimate else None
    raise errors.not_estimated_error(_job(known), known.policy.max_processing_units or 0, why)
    yield  # a generator like the others


def _give_up(life: _Life, known: Known) -> Ending:
    """Raise the error that says why the job cannot be finished; report what it has cost."""
    job, waited, target = known.job, life.waited, life.target
    if known.outcome in (None, Outcome.REACHED) and job is not None:  # no wait says why
        late, target = known.late and not job.status.is_final, "DONE"
        waited = Waited(Outcome.TIMED_OUT if late else judge(job, target), job)
    if job is not None and job.cost is not None:
        cost = job.cost
        yield Work(lambda: life.plan.listener.spent(cost))
    errors.conclude(waited, life.request_id, target)
    raise AssertionError("A request that is given up on has not reached its target.")


_ENDS: dict[Next, Callable[[_Life, Known], Ending]] = {
    Next.SUCCEED: _succeed,
    Next.TOO_MANY_FAILED: _too_many_failed,
    Next.STILL_UNFINISHED: _still_unfinished,
    Next.OVER_MONTH: _over_month,
    Next.OVER_BUDGET: _over_budget,
    Next.NOT_ESTIMATED: _not_estimated,
    Next.GIVE_UP: _give_up,
}
