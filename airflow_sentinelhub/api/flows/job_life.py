"""One run of a whole job: how it is to run, and its state between the steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Now, Step, Work
from airflow_sentinelhub.api.decide.costs import Month
from airflow_sentinelhub.api.decide.marker import job_digest, mark_of
from airflow_sentinelhub.api.decide.next_step import LEFT, Known
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price, price_from
from airflow_sentinelhub.api.decide.results import Results
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.decoding import number
from airflow_sentinelhub.api.flows.costs import OfDag
from airflow_sentinelhub.api.flows.find_or_create import take_over_stopped
from airflow_sentinelhub.api.flows.price import Estimating, price_if_asked
from airflow_sentinelhub.api.flows.read import continued_by, outlast
from airflow_sentinelhub.api.flows.restart import STALE_PARTIAL
from airflow_sentinelhub.api.flows.task_request import Own, Wanted, continue_with
from airflow_sentinelhub.api.flows.wait import Await, WaitPlan
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.service.specification import can_be_continued
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import InvalidInputError


@dataclass(frozen=True)
class Listener:
    """Functions that the flow calls on events, in this order. They may block.

    :param settled: called with the request that processes the job from now on.
    :param read: called with every reading that the flow uses.
    :param priced: called with the expected cost, before the start.
    :param reported: called with the results of the job, before they are judged.
    :param spent: called with the PU that the job has cost, if it ends with an error instead of results.
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

    :param policy: the user's limits, or what is wrong with them, which must not hide a running request.
    :param read_results: reads the results of a request; the flag says whether they are required, or are left out with
        a warning if they cannot be read.
    :param estimating: how requests are estimated, see `price_request`; None: only the service's own number counts.
    :param dag: the requests of the DAG, for its budget of a month; None: there is no such budget.
    :param request_id: continue with this request instead of finding or creating one.
    :param old_request: `request_id` cannot be new, so a 404 means within seconds that there is no such request.
    :param may_start: False: never start the request that `request_id` names.
    :param resume_stopped: restart a request that the service has stopped: `never`, `if_accepted`, `when_accepted`
        (wait while the service refuses).
    :param wait: how to wait for the end; its `max_cost` and `stale_partial` are set here.
    :param analysis_poll_interval: seconds between polls during the analysis.
    """

    policy: Policy | InvalidInputError
    read_results: Callable[[Generation, Snapshot, bool], Flow[Results]]
    estimating: Callable[[], Estimating] | None = None
    dag: OfDag | None = None
    request_id: str | None = None
    old_request: bool = False
    may_start: bool = True
    resume_stopped: str = "never"
    wait: WaitPlan = field(default_factory=WaitPlan)
    analysis_poll_interval: float = 10.0
    listener: Listener = field(default_factory=Listener)

    def limits(self, api: Generation, job: Snapshot | None = None) -> Policy:
        """The limits for a request of this generation.

        :param job: the request, if there is one.
        :raises InvalidInputError: they are invalid; the request is its `snapshot`, since it may be running.
        """
        try:
            if isinstance(self.policy, InvalidInputError):
                raise self.policy
            self.policy.check_restarts(api.restart is not None)
        except InvalidInputError as err:
            err.snapshot = job
            raise
        return self.policy


class Life:
    """The state of one run of `run_job` besides the last reading, and what several of its steps do."""

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
        self.spent_before = 0.0  # before a deferred wait, where `chain` is not read again

    def wake(self, woken: Woken) -> Snapshot | None:
        """Restore the state from before a deferred wait; returns the last reading of the wait."""
        state = woken.state
        self.restarts, self.rest_awaited = int(state["restarts"]), bool(state["rest_awaited"])
        self.request_id, self.target = str(state["request_id"]), str(state["target"])
        self.expected = price_from(state.get("price"))
        self.spent_before = number(state.get("spent_before")) or 0.0
        self._ended(woken.waited, settled=bool(state["settled"]))
        return woken.waited.job

    def _ended(self, waited: Waited, *, settled: bool) -> None:
        self.waited, self.outcome, self.settled, self.results = waited, waited.outcome, settled, None

    def known(self, job: Snapshot | None) -> Flow[Known]:
        """Collect what `next_step` needs to decide."""
        if job is not None:
            latest, self.request_id = job, job.request_id
            yield Work(lambda: self.plan.listener.read(latest))
            request_mark = mark_of(job.description)  # a user may have removed the marker from the description
            self.restarts = max(self.restarts, request_mark.restarts if request_mark else 0)
            if self.chain[0] != job.request_id and self.outcome not in LEFT:  # after those, only an error is raised
                earlier = yield from outlast(
                    lambda: continued_by(self.api, latest), self.wanted.patience, latest.request_id
                )
                self.chain = (job.request_id, tuple(earlier))
        deadline = self.plan.wait.deadline
        return Known(
            job=job,
            policy=Policy() if job is None or self.outcome in LEFT else self.plan.limits(self.api, job),
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
            prices=self.plan.estimating is not None,
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
        job, plan, limit = job_of(known), self.plan.wait, known.policy.max_processing_units
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
            "spent_before": known.spent_before,
        }
        waited = yield Await(
            job.request_id,
            target,
            replace(
                plan,
                poll_interval=every if target == S.ANALYSIS_DONE else plan.poll_interval,
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
        limit = self.plan.limits(self.api, job).max_processing_units
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

    def ask_price(self, job: Snapshot, policy: Policy) -> Flow[None]:
        """Find out the expected cost of this request, and of the job if it is the first one."""
        if self.plan.estimating is None:
            return
        self.price = yield from price_if_asked(self.api, job, policy, self.plan.estimating)
        if self.expected is None:
            expected = self.expected = self.price
            yield Work(lambda: self.plan.listener.priced(expected))

    def with_price(self, job: Snapshot, results: Results, policy: Policy) -> Flow[Results]:
        """The results with the cost that was expected, asked for now if an earlier try has started the job."""
        if self.expected is None:
            yield from self.ask_price(self.chain[1][-1] if self.chain[1] else job, policy)
        return results.expecting(self.expected)

    def read_results(self, job: Snapshot, *, must: bool = True) -> Flow[Results]:
        return self.plan.read_results(self.api, job, must)


def job_of(known: Known) -> Snapshot:
    """The last reading, which every step but giving up has."""
    assert known.job is not None  # `next_step` gives up without a reading
    return known.job
