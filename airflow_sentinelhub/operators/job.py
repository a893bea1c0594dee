"""`SentinelHubBatchOperator`: the whole job in one task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowSkipException
from airflow_sentinelhub._task import airflow_errors, checked_id, deadline_from, default_deferrable
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._job import JobOperator
from airflow_sentinelhub.operators._outcome import Outcome as JobOutcome
from airflow_sentinelhub.operators._outcome import names_of, outcome_of
from airflow_sentinelhub.operators._waiting import WaitingTask
from airflow_sentinelhub.operators.manage import STALE_PARTIAL

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context
    from airflow_sentinelhub.api.policy import Policy
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.api.waiting import Waited

_LIMITS = (
    "max_processing_units",
    "on_over_budget",
    "max_restarts",
    "max_failed_tiles",
    "min_success_ratio",
    "on_partial",
)


class SentinelHubBatchOperator(WaitingTask, JobOperator):
    """The whole job in one task: create, analyse, check the budget, start, wait, restart what failed, judge.

    - **Calls** everything that the single steps call, in their order; **start exactly once**.
    - **Returns** `{"request_id", "batch_api", "status", "tile_count", "processed", "failed", "failed_tiles",
      "estimated_pu", "expected_pu", "processing_units", "restarts", "output_url", "checked"}`. `failed_tiles` are
      names, a hundred at the most; `checked` tells whether single tiles could be looked at.
    - **On kill** it finds out why. A user's hand (marked failed or success, the run marked failed): the job is
      cancelled, if `cancel_on_kill`. A restart of Airflow, a takeover, a clear: it is left to the try that comes next.
    - **On timeout** (`timeout`, or `execution_timeout`, also while deferred) the job is cancelled if
      `cancel_on_timeout`, and the task fails saying which.
    - **On retry** it finds its request by the marker and goes on where the last try was; nothing is paid twice. A
      cleared task keeps a running job if it has not changed, replaces it if it has, and runs anew if it was done.

    :param request_id: go on with this request, instead of finding or creating one.
    :param max_processing_units: PU that the job may cost. v1 estimates before the start: a third of its estimate,
        the expected cost, is compared. v2 does not estimate: the cost is watched while it runs.
    :param on_over_budget: `fail`, `skip`, or `stop`: end the job and succeed with what is there. A running job is
        stopped in each case.
    :param max_restarts: how often the failed part is restarted: a PARTIAL job on v1; on v2, which has no restart, by a
        new request over the same output that skips what is there.
    :param max_failed_tiles: failed tiles that are accepted; :param min_success_ratio: share of tiles that must be
        done. :param on_partial: what happens when more has failed: `fail`, `skip`, or `accept`.
    :param cancel_on_kill: see above; :param cancel_on_timeout: see above.
    :param deferrable: wait in the triggerer; `[operators] default_deferrable` if left out.
    :param poll_interval: seconds between polls; :param analysis_poll_interval: and during analysis.
    :param timeout: for the whole job, as timedelta or seconds.
    :param max_unknown_time: seconds for which the state may be unreadable before the task fails (the job runs on).

    For what describes the job see `JobOperator`. Bound the number of jobs at a time with a `pool` or
    `max_active_tis_per_dag`; a deferred task occupies its pool slot only if the pool includes deferred tasks.
    """

    template_fields: Sequence[str] = (*JobOperator.template_fields, "request_id", *_LIMITS)
    operator_extra_links = (SentinelHubRequestLink(),)

    def __init__(
        self,
        *,
        request_id: str | None = None,
        max_processing_units: float | str | None = None,
        on_over_budget: str = "fail",
        max_restarts: int | str = 0,
        max_failed_tiles: int | str | None = None,
        min_success_ratio: float | str | None = None,
        on_partial: str = "fail",
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 60.0,
        analysis_poll_interval: float = 10.0,
        timeout: timedelta | float | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.max_processing_units = max_processing_units
        self.on_over_budget = on_over_budget
        self.max_restarts = max_restarts
        self.max_failed_tiles = max_failed_tiles
        self.min_success_ratio = min_success_ratio
        self.on_partial = on_partial
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.analysis_poll_interval = analysis_poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        _check(self)

    def execute(self, context: Context) -> dict[str, Any]:
        with airflow_errors():
            deadline = deadline_from(context, self.timeout, self.execution_timeout, deferring=self.deferrable)
            job = self._request(context)
            self.responsible_for(job.request_id, context)
            return self._go_on(context, job, deadline)

    def _request(self, context: Any) -> Snapshot:
        """The request of this task: the one it was given, else an earlier try's, else a new one."""
        from airflow_sentinelhub.api.flows import read_patiently

        if self.request_id is None:
            return self.find_or_create(context).job
        request_id = checked_id(self.request_id)
        self.announce(context, request_id)
        return self.hook.run(read_patiently(self.api, request_id))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Called when the trigger has fired."""
        from airflow_sentinelhub.triggers.events import memory_of, read_event

        with airflow_errors():
            memory = memory_of(event)
            self.responsible_for(memory["request_id"], context)
            waited = read_event(event, memory["request_id"])
            return self._after(context, waited, memory["target"], memory["deadline"])

    def _policy(self) -> Policy:
        from airflow_sentinelhub.api.policy import policy_from

        return policy_from(**{name: getattr(self, name) for name in _LIMITS})

    def _go_on(self, context: Any, job: Snapshot, deadline: float | None) -> dict[str, Any]:
        """Take the next step, and the next, until the job is judged or the task defers."""
        from airflow_sentinelhub.api import flows
        from airflow_sentinelhub.api.marker import mark_of
        from airflow_sentinelhub.api.policy import Step, next_step

        policy, api = self._policy(), self.api
        mark = mark_of(job.description)
        left = policy.max_restarts - (mark.restarts if mark else 0)
        step = next_step(job, left, api.restart is not None)
        if step is Step.JUDGE:
            return self._judge(context, job, policy, deadline)
        if step is Step.ANALYSE:
            job = self.hook.run(flows.analyse_once(api, job.request_id))
            step = Step.AWAIT_ANALYSIS
        if step is Step.AWAIT_ANALYSIS:
            return self._wait(context, job.request_id, "ANALYSIS_DONE", deadline, policy)
        if step is Step.START:
            if not policy.allows(job.expected_cost):
                return self._over_budget(context, job, policy)
            job = self.hook.run(flows.start_once(api, job.request_id))
            self.log.info("Batch request %s is started", job.request_id)
        stale = 0.0
        if step is Step.RESTART:
            self.log.warning("Batch request %s is PARTIAL; restarting its failed part", job.request_id)
            self.hook.run(flows.count_restart(api, job))
            self.hook.run(flows.restart_failed(api, job.request_id))
            stale = STALE_PARTIAL
        return self._wait(context, job.request_id, "DONE", deadline, policy, stale)

    def _wait(
        self,
        context: Any,
        request_id: str,
        target: str,
        deadline: float | None,
        policy: Policy,
        stale_partial: float = 0.0,
    ) -> dict[str, Any]:
        usual = self.poll_interval
        if target == "ANALYSIS_DONE":
            self.poll_interval = min(self.analysis_poll_interval, usual)
        try:
            waited = self.wait(
                request_id,
                target,
                "execute_complete",
                deadline,
                stale_partial=stale_partial,
                max_cost=policy.max_processing_units,
                memory={"request_id": request_id, "target": target, "deadline": deadline},
            )
        finally:
            self.poll_interval = usual
        return self._after(context, waited, target, deadline)

    def _after(self, context: Any, waited: Waited, target: str, deadline: float | None) -> dict[str, Any]:
        """What a wait has brought."""
        from airflow_sentinelhub.api.endings import conclude
        from airflow_sentinelhub.api.verdict import Outcome

        if waited.outcome is Outcome.OVER_BUDGET and waited.job is not None:
            return self._over_budget(context, waited.job, self._policy())
        if waited.outcome is Outcome.PARTIAL and waited.job is not None:
            return self._go_on(context, waited.job, deadline)
        assert self._running is not None
        return self._go_on(context, conclude(waited, self._running, target), deadline)

    def _judge(self, context: Any, job: Snapshot, policy: Policy, deadline: float | None) -> dict[str, Any]:
        """The end: success, an accepted part, or the error that fits."""
        from airflow_sentinelhub.api.endings import conclude, partial_error
        from airflow_sentinelhub.api.verdict import judge
        from airflow_sentinelhub.api.waiting import Waited

        if job.status.value not in ("DONE", "PARTIAL"):
            conclude(Waited(judge(job, "DONE"), job), job.request_id, "DONE")
        outcome = outcome_of(self.hook, self.api, job, self.aws_conn_id, self.log)
        if outcome.failed and self.api.restart is None and outcome.restarts < policy.max_restarts:
            self.log.warning("%s; restarting the failed part by a new request", outcome.line())
            continued = self.continue_with(context, job).job
            self.responsible_for(continued.request_id, context)
            return self._go_on(context, continued, deadline)
        if outcome.failed and policy.on_partial != "accept" and not policy.accepts(outcome.failed, outcome.total):
            error = partial_error(job, outcome.failed, outcome.total, names_of(outcome.failed_tiles))
            if policy.on_partial == "skip":
                self._report(context, outcome)
                raise AirflowSkipException(str(error)) from None
            raise error
        if outcome.failed:
            self.log.warning(
                "Batch request %s: %d of %d tiles failed, which is accepted: %s",
                job.request_id,
                outcome.failed,
                outcome.total,
                names_of(outcome.failed_tiles),
            )
        return self._report(context, outcome)

    def _over_budget(self, context: Any, job: Snapshot, policy: Policy) -> dict[str, Any]:
        """The job may cost, or has cost, more than allowed: end it, then fail, skip or take what is there."""
        from airflow_sentinelhub.api.endings import over_budget_error
        from airflow_sentinelhub.api.flows import end

        if job.started or policy.on_over_budget == "stop":
            job = self.hook.run(end(self.api, job.request_id))
        error = over_budget_error(job, policy.max_processing_units or 0)
        if policy.on_over_budget == "fail":
            raise error
        if policy.on_over_budget == "skip":
            raise AirflowSkipException(str(error)) from None
        self.log.warning("%s", error)
        return self._report(context, outcome_of(self.hook, self.api, job, self.aws_conn_id, self.log))

    def _report(self, context: Any, outcome: JobOutcome) -> dict[str, Any]:
        """Tell what the job has brought and cost: log, XCom, and the events of the task's asset outlets."""
        self.log.info("%s", outcome.line())
        result = outcome.result()
        context["ti"].xcom_push(key="processing_units", value=result["processing_units"])
        events = context.get("outlet_events")
        for outlet in self.outlets or ():
            if events is not None and hasattr(outlet, "uri"):
                events[outlet].extra = {
                    name: result[name] for name in ("request_id", "status", "processing_units", "processed", "failed")
                }
        return result


def _check(operator: SentinelHubBatchOperator) -> None:
    """Contradictions in literal limits are said while the DAG is parsed; templated ones when the task runs."""
    from airflow_sentinelhub.api.policy import check_literals
    from airflow_sentinelhub.exceptions import InvalidInputError

    check_literals(**{name: getattr(operator, name) for name in _LIMITS})
    limit = operator.timeout.total_seconds() if isinstance(operator.timeout, timedelta) else operator.timeout
    if limit is not None and limit <= 0:
        raise InvalidInputError(f"timeout must be above 0, not {operator.timeout!r}.")
    if operator.max_unknown_time < 0 or operator.poll_interval <= 0 or operator.analysis_poll_interval <= 0:
        raise InvalidInputError("poll_interval, analysis_poll_interval and max_unknown_time are positive seconds.")
