"""`SentinelHubBatchOperator`: the whole job in one task."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import airflow_errors, checked_id, deadline_from, default_deferrable
from airflow_sentinelhub.api.decide.marker import job_digest, mark_of
from airflow_sentinelhub.api.decide.policy import check_literals, limits_given
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._checks import check_looks, check_resume, check_times
from airflow_sentinelhub.operators._job import JobOperator
from airflow_sentinelhub.operators._judging import JudgesJob
from airflow_sentinelhub.operators.manage import STALE_PARTIAL

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.decide.adoption import Stopped
    from airflow_sentinelhub.api.decide.policy import Policy
    from airflow_sentinelhub.api.decide.verdict import Waited
    from airflow_sentinelhub.api.snapshot import Snapshot

_LIMITS = (
    "max_processing_units",
    "on_over_budget",
    "max_restarts",
    "max_failed_tiles",
    "min_success_ratio",
    "on_partial",
)


class SentinelHubBatchOperator(JudgesJob, JobOperator):
    """The whole job in one task: create, analyse, check the budget, start, wait, restart what failed, judge.

    - **Calls** everything that the single steps call, in their order; **start exactly once**.
    - **Returns** `{"request_id", "batch_api", "status", "tile_count", "processed", "failed", "failed_tiles",
      "estimated_pu", "expected_pu", "processing_units", "restarts", "output_url", "checked"}`. `failed_tiles` are
      names, a hundred at the most; `checked` tells whether single tiles were looked at.
    - **On kill** it finds out why. A user's hand (marked failed or success, the run marked failed): the job is
      cancelled, if `cancel_on_kill`. A restart of Airflow, a takeover, a clear: it is left to the try that comes next.
      In a worker it asks for the cancel for some seconds; docs/kubernetes.md says what that means for a pod.
    - **On timeout** (`timeout`, or `execution_timeout`, also while deferred) the job is cancelled if
      `cancel_on_timeout`, and the task fails saying which, without a retry. A job that was left is found by the retry.
    - **On retry** it finds its request by the marker and goes on where the last try was; nothing is paid twice. A job
      that was cancelled or stopped, by a person or by this task, is a final error and no retry starts it again.
    - **On clear** it keeps a running job if it has not changed, replaces it if it has, and runs anew if it was at its
      end; for one that was stopped over the budget see `on_over_budget`.

    :param request_id: go on with this request, instead of finding or creating one.
    :param max_processing_units: PU that the job may cost. v1 estimates before the start: a third of its estimate,
        the expected cost, is compared. v2 does not estimate: the cost is watched while it runs, over all requests of
        the job. It is stopped when a poll has seen that, and what is at work then is billed too; a job that was done
        before stays a success, with a warning. None, or left out in the DAG: no limit. As every limit it is refused
        where its template, or the task that it comes from, has made nothing of it.
    :param on_over_budget: `fail`, `skip`, or `stop`: end the job and succeed with what is there. A running job is
        stopped in each case. A clear with a higher limit then has only done what is missing (v2), and what was paid
        counts; with the same limit it pays nothing; with another job it starts anew.
    :param max_restarts: how often the failed part is restarted: a PARTIAL job on v1; on v2, which has no restart, by a
        new request over the same output that skips what is there.
    :param max_failed_tiles: failed tiles that are accepted; :param min_success_ratio: share of tiles that must be
        done. :param on_partial: what happens when more has failed: `fail`, `skip`, or `accept`. Tiles of a PARTIAL job
        that are neither done nor failed are waited for, `max_unknown_time` long.
    :param check_tiles: False: tiles are not looked at when the job is done, so on v2 its bucket need not be readable.
        What the service calls DONE is a success then, whatever has failed in it: `tile_count`, `processed`, `failed`
        and `failed_tiles` are None, and `checked` is False. True: tiles that cannot be read are read again for
        `max_unknown_time`; then the task fails, and its next try reads again.
    :param resume_stopped: what happens when the service stops the job because the account has run out of PU, or as
        unhealthy (v2): None: the task fails, and another try pays for the whole job anew; `fail`: the job is started
        again where it was, and the task fails if that is refused; `wait`: it waits in this worker while it is refused,
        an hour at the most. What a person has stopped stays so until the task is cleared, which runs the job anew.
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
    reads_by = "check_tiles"

    _restarts_asked = 0

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
        check_tiles: bool = True,
        resume_stopped: str | None = None,
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
        self.check_tiles = check_tiles
        self.resume_stopped = resume_stopped
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.analysis_poll_interval = analysis_poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        limits = {name: getattr(self, name) for name in _LIMITS}
        self._given = limits_given(**limits)
        check_literals(**limits)
        check_looks(self.reads_by, check_tiles, self._needs_a_look(self.batch_api))
        check_resume(resume_stopped)
        check_times(self)

    def execute(self, context: Context) -> dict[str, Any]:
        with self.ends_its_round(context), airflow_errors(self):
            self._may_have_started = tried(context) > 1
            deadline = deadline_from(context, self.timeout, self.execution_timeout, deferring=self.deferrable)
            job, continued = self._request(context)
            self.responsible_for(job.request_id, context)
            if continued:
                job = self._continued(context, job)
            return self._settled(context, job, deadline)

    def _request(self, context: Any) -> tuple[Snapshot, bool]:
        """The request of this task: the one it was given, else an earlier try's, else a new one.

        And whether it was stopped for its budget, which is higher now.
        """
        from airflow_sentinelhub.api.flows.read import read_patiently

        if self.request_id is None:
            if not self._may_have_started:
                self._policy()  # said before any call; in later tries it must not hide a request that is at work
            self.responsible_for(None, context, self.mark(context))
            found = self.find_or_create(context)
            return found.job, found.continued
        request_id = checked_id(self.request_id)
        self.announce(context, request_id)
        self.known = self.patiently(lambda: read_patiently(self.api, request_id), request_id)
        self._policy()  # only now: the request may be at work, which the error then says
        return self.known, False

    def _checks(self, payload: Mapping[str, Any]) -> Flow[None]:
        """What contradicts itself is said before anything is created."""
        self._policy()
        yield from super()._checks(payload)

    def _limit(self) -> float | None:
        """PU that the job may cost; None too where the limits make no sense, which is said before a create."""
        try:
            return self._policy().max_processing_units
        except InvalidInputError:
            return None

    def _continued(self, context: Any, job: Snapshot) -> Snapshot:
        """Have done what is missing of a request that was stopped for its budget, which was raised since."""
        from airflow_sentinelhub.api.flows.find_or_create import take_over_stopped
        from airflow_sentinelhub.api.service.specification import can_be_continued

        spent = self._spent_before(job) + (job.cost or 0.0)
        told = (job.request_id, spent, self._limit() or float("inf"))
        self.log.warning("Batch request %s was stopped for its budget; %.0f PU of %.0f PU are spent; going on", *told)
        payload = self.payload(context)
        if can_be_continued(payload):
            job = self.continue_with(context, job, restart=False).job
            self.responsible_for(job.request_id, context)
            return job
        mark = replace(self.mark(context), job=job_digest(payload))
        return self.hook.run(take_over_stopped(self.api, job, payload, mark))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Called when the trigger has fired."""
        from airflow_sentinelhub.triggers.events import read_event, resume_state_of

        with self.ends_its_round(context), airflow_errors(self):
            self._may_have_started = True
            state = resume_state_of(event)
            self.pin(state["batch_api"], state["place"])
            self.responsible_for(state["request_id"], context)
            self._restarts_asked = state["restarts"]
            self._waited_for_rest = state["waited_for_rest"]
            waited = read_event(event, state["request_id"])
            self.known = waited.job
            return self._after(context, waited, state["target"], state["deadline"], state["restarted"])

    def _needs_a_look(self, batch_api: str | None) -> dict[str, Any]:
        """The limits that only a look at the tiles can apply. v1 restarts the failed part by itself."""
        given = {"max_failed_tiles": self.max_failed_tiles, "min_success_ratio": self.min_success_ratio}
        restarts = self.max_restarts if batch_api not in (None, "v1") else 0
        return given if restarts in (0, "0") else {**given, "max_restarts": restarts}

    def _policy(self) -> Policy:
        from airflow_sentinelhub.api.decide.policy import policy_from, refuse_nothing

        if not self.check_tiles:
            check_looks(self.reads_by, False, self._needs_a_look(self.api.name))
        limits = {name: getattr(self, name) for name in _LIMITS}
        refuse_nothing(self._given, **limits)
        return policy_from(**limits)

    def _stopped(self) -> Stopped:
        from airflow_sentinelhub.api.decide.adoption import Stopped

        return Stopped(self._policy().max_processing_units, resume=bool(self.resume_stopped))

    def _go_on(self, context: Any, job: Snapshot, deadline: float | None) -> dict[str, Any]:
        """Take the next step, and the next, until the job is judged or the task defers."""
        from airflow_sentinelhub.api.decide.errors import not_estimated_error
        from airflow_sentinelhub.api.decide.policy import Step, next_step
        from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
        from airflow_sentinelhub.api.flows.actions import analyse_once, start_once
        from airflow_sentinelhub.api.flows.restart import restart_counted

        policy, api, patience = self._policy(), self.api, self.max_unknown_time
        self.known = job
        step = next_step(job, policy.max_restarts - self._restarts(job), api.restart is not None)
        if step is Step.JUDGE:
            return self._judge(context, job, policy, deadline)
        if step in (Step.ANALYSE, Step.AWAIT_ANALYSIS, Step.START) and not self._may_start(job):
            return self._wait(context, job, "DONE", deadline)
        if step is Step.ANALYSE:
            job = self.hook.run(analyse_once(api, job.request_id, patience=patience))
            step = Step.AWAIT_ANALYSIS
        if step is Step.AWAIT_ANALYSIS:
            return self._wait(context, job, "ANALYSIS_DONE", deadline)
        if step is Step.START:
            if deadline is not None and time.time() >= deadline:
                self._concluded(context, Waited(Outcome.TIMED_OUT, job), "DONE")
            if policy.max_processing_units is not None and api.estimates and job.estimate is None:
                raise not_estimated_error(job, policy.max_processing_units)
            if not policy.allows(job.expected_cost):
                return self._over_budget(context, job, policy)
            job = self.hook.run(start_once(api, job.request_id, patience=patience))
            self.known = job
            self.log.info("Batch request %s is started", job.request_id)
        if step is Step.RESTART:
            self.log.warning("Batch request %s is PARTIAL; restarting its failed part", job.request_id)
            self._restarts_asked = self._restarts(job) + 1
            self.hook.run(restart_counted(api, job.request_id, policy.max_restarts, patience=patience))
            return self._wait(context, job, "DONE", deadline, restarted=True)
        return self._wait(context, job, "DONE", deadline)

    def _may_start(self, job: Snapshot) -> bool:
        """Whether this task starts a request that nobody has started; else it only waits for it, and says so."""
        return True

    def _wait(
        self,
        context: Any,
        job: Snapshot,
        target: str,
        deadline: float | None,
        *,
        restarted: bool = False,
        stale_partial: float = STALE_PARTIAL,
    ) -> dict[str, Any]:
        """Wait for the status, and go on. A restart, also of an earlier try, may not show for minutes (seen)."""
        limit, restarted = self._policy().max_processing_units, restarted or self._restarts(job) > 0
        analysis = target == "ANALYSIS_DONE"
        plan = self.plan(
            context,
            deadline=deadline,
            poll_interval=min(self.analysis_poll_interval, self.poll_interval) if analysis else self.poll_interval,
            stale_partial=stale_partial if restarted else 0.0,
            max_cost=None if limit is None else max(limit - self._spent_before(job), 0.0),
        )
        waited = self.wait(
            job.request_id,
            target,
            plan,
            resume_state={
                "request_id": job.request_id,
                "batch_api": self.api.name,
                "place": self.hook.settings.place(),
                "target": target,
                "deadline": deadline,
                "restarted": restarted,
                "restarts": self._restarts(job),
                "waited_for_rest": self._waited_for_rest,
            },
        )
        return self._after(context, waited, target, deadline, restarted)

    def _restarts(self, job: Snapshot) -> int:
        """How often this task has asked for the restart of the failed part: by the marker, which may be edited away."""
        mark = mark_of(job.description)
        return max(mark.restarts if mark else 0, self._restarts_asked)

    def _settled(self, context: Any, job: Snapshot, deadline: float | None) -> dict[str, Any]:
        """Go on with a reading, but for a PARTIAL that may be older than the restart that an earlier try asked for."""
        if job.status.value != "PARTIAL" or not self._restarts(job):
            return self._go_on(context, job, deadline)
        self.log.info("Batch request %s was PARTIAL and restarted; looking what became of it", job.request_id)
        return self._wait(context, job, "DONE", deadline)

    def _spent_before(self, job: Snapshot) -> float:
        """PU that the requests have cost which this one continues (v2)."""
        from airflow_sentinelhub.api.flows.read import continued_by

        earlier = self.patiently(lambda: continued_by(self.api, job), job.request_id)
        return sum(one.cost or 0.0 for one in earlier)

    def _after(
        self, context: Any, waited: Waited, target: str, deadline: float | None, restarted: bool
    ) -> dict[str, Any]:
        """What a wait has brought; `restarted`: it was a wait that does not believe the first PARTIAL that it sees."""
        from airflow_sentinelhub.api.decide.adoption import stopped_by_service
        from airflow_sentinelhub.api.decide.verdict import Outcome

        job = waited.job
        if job is not None and waited.outcome is Outcome.OVER_BUDGET:
            return self._over_budget(context, job, self._policy())
        resumable = job is not None and bool(self.resume_stopped) and stopped_by_service(job)
        its = mark_of(job.description) if job is not None else None
        to_judge = waited.outcome is Outcome.FAILED and its is not None and its.continues is not None
        if job is not None and (resumable or to_judge or waited.outcome is Outcome.PARTIAL):
            return (self._go_on if restarted else self._settled)(context, job, deadline)
        return self._go_on(context, self._concluded(context, waited, target), deadline)

    def _concluded(self, context: Any, waited: Waited, target: str) -> Snapshot:
        """What was waited for, or the error that fits; what it has cost is told in both cases."""
        from airflow_sentinelhub.api.decide.errors import conclude
        from airflow_sentinelhub.api.decide.verdict import Outcome

        assert self._running is not None
        if waited.outcome is not Outcome.REACHED and waited.job is not None and waited.job.cost is not None:
            context["ti"].xcom_push(key="processing_units", value=waited.job.cost)
        return conclude(waited, self._running, target)
