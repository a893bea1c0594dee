"""The end of a whole job: what it has brought, whether that is good enough, and what it has cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowSkipException
from airflow_sentinelhub.operators._outcome import outcome_of
from airflow_sentinelhub.operators._waiting import WaitingTask

if TYPE_CHECKING:
    from airflow_sentinelhub.api.decide.policy import Policy
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.exceptions import JobPartialError
    from airflow_sentinelhub.operators._outcome import Found


class JudgesJob(WaitingTask):
    """Mixed into the operator of the whole job, which brings the steps that may follow."""

    resume_stopped: str | None
    aws_conn_id: str | None
    outlets: Any
    check_tiles: bool
    _go_on: Callable[..., dict[str, Any]]
    _wait: Callable[..., dict[str, Any]]
    _concluded: Any
    _restarts: Any
    _spent_before: Any
    continue_with: Any

    _waited_for_rest = False

    def _judge(self, context: Any, job: Snapshot, policy: Policy, deadline: float | None) -> dict[str, Any]:
        """The end: success, an accepted part, another start, or the error that fits."""
        from airflow_sentinelhub.api.decide.adoption import stopped_by_service
        from airflow_sentinelhub.api.decide.errors import unfinished_error
        from airflow_sentinelhub.api.decide.verdict import Waited, judge, over

        limit = policy.max_processing_units
        if job.status.value == "STOPPED" and over(job, limit, self._spent_before(job)):
            return self._over_budget(context, job, policy)
        if self.resume_stopped and stopped_by_service(job):
            return self._go_on(context, self._resumed(job), deadline)
        first = self._continued_by_failed(job)
        if first is None and job.status.value not in ("DONE", "PARTIAL"):
            self._concluded(context, Waited(judge(job, "DONE"), job), "DONE")
        found = self._found(job) if first is None else self._found_before(first, job)
        if job.status.value == "PARTIAL" and found.unfinished and not self._waited_for_rest:
            left = found.unfinished_names()
            self.log.info("Batch request %s is PARTIAL with tiles at work (%s); waiting", job.request_id, left)
            self._waited_for_rest = True
            return self._wait(context, job, "DONE", deadline, restarted=True, stale_partial=self.max_unknown_time)
        if job.status.value == "PARTIAL" and found.unfinished:
            raise unfinished_error(job, found.unfinished_names(), self.max_unknown_time)
        if first is None and found.failed and self._can_continue(found, policy):
            self.log.warning("%s; restarting the failed part by a new request", found.line())
            continued = self.continue_with(context, job, restart=True).job
            self.responsible_for(continued.request_id, context)
            return self._go_on(context, continued, deadline)
        accepted = found.accepted_by(policy)
        if found.failed and accepted:
            told = (job.request_id, found.failed, found.total, found.things, found.names())
            self.log.warning("Batch request %s: %d of %d %s failed, which is accepted: %s", *told)
        if limit is not None and found.processing_units is not None and found.processing_units > limit:
            told_cost = (job.request_id, found.processing_units, limit)
            self.log.warning("Batch request %s was done before it was seen to cost %.0f of %.0f PU", *told_cost)
        result = self._report(context, found)
        if accepted:
            return result
        error = self._too_many_failed(found)
        if policy.on_partial == "skip":
            raise AirflowSkipException(str(error)) from None
        raise error

    def _continued_by_failed(self, job: Snapshot) -> Snapshot | None:
        """The request that a failed one was to do the failed part of (v2): what that brought is judged then."""
        from airflow_sentinelhub.api.flows.read import continued_by

        if job.status.value != "FAILED":
            return None
        earlier = self.patiently(lambda: continued_by(self.api, job), job.request_id)
        if not earlier or earlier[0].status.value != "DONE":
            return None
        told = (job.request_id, earlier[0].request_id, job.error or "it gives no reason")
        self.log.warning("Batch request %s, which was to do the failed part of %s, has failed: %s", *told)
        return earlier[0]

    def _found_before(self, first: Snapshot, failed: Snapshot) -> Found:
        """What the request has brought whose failed part another one, which failed, was to do; the cost of both."""
        found: Any = self._found(first)
        cost = found.processing_units
        both = None if cost is None or failed.cost is None else cost + failed.cost
        more: Found = replace(found, processing_units=both, restarts=self._restarts(failed))
        return more

    def _can_continue(self, found: Found, policy: Policy) -> bool:
        """Whether the failed part is restarted by a new request (v2): so often it may be, and there is budget left."""
        if self.api.restart is not None or found.restarts >= policy.max_restarts:
            return False
        limit, spent = policy.max_processing_units, found.processing_units
        if limit is None or spent is None or spent < limit:
            return True
        told = (found.job.request_id, spent, limit)
        self.log.warning("The failed part of %s is not restarted: it has cost %.0f of %.0f PU already", *told)
        return False

    def _resumed(self, job: Snapshot) -> Snapshot:
        from airflow_sentinelhub.api.flows.actions import resume

        self.log.warning("Batch request %s was stopped (%s); starting it again", job.request_id, job.stopped_reason)
        return self.hook.run(resume(self.api, job.request_id, patient=self.resume_stopped == "wait"))

    def _over_budget(self, context: Any, job: Snapshot, policy: Policy) -> dict[str, Any]:
        """The job may cost, or has cost, more than allowed: end it, then fail, skip or take what is there."""
        from airflow_sentinelhub.api.decide.errors import over_budget_error
        from airflow_sentinelhub.api.flows.actions import end

        ran, request_id = job.started or job.ending or job.status.is_final, job.request_id
        if ran or policy.on_over_budget == "stop":
            job = self.patiently(lambda: end(self.api, request_id), request_id, refused=True)
        error = over_budget_error(job, policy.max_processing_units or 0, self._spent_before(job) if ran else 0.0)
        must = policy.on_over_budget == "stop"  # else the error below is raised anyway
        result = self._report(context, self._found(job, must=must)) if ran or must else {}
        if policy.on_over_budget == "fail":
            raise error
        if policy.on_over_budget == "skip":
            raise AirflowSkipException(str(error)) from None
        self.log.warning("%s", error)
        return result

    def _found(self, job: Snapshot, *, must: bool = True) -> Found:
        """What the job has brought and cost. :param must: see `outcome_of`."""
        how: dict[str, Any] = {"patience": self.max_unknown_time, "look": self.check_tiles, "must": must}
        return outcome_of(self.hook, self.api, job, self.aws_conn_id, self.log, **how)

    def _too_many_failed(self, found: Found) -> JobPartialError:
        from airflow_sentinelhub.api.decide.errors import partial_error

        return partial_error(found.job, found.failed, found.total, found.names())

    def _report(self, context: Any, found: Found) -> dict[str, Any]:
        """Tell what the job has brought and cost: log, XCom, and the events of the task's asset outlets."""
        self.log.info("%s", found.line())
        result = found.result()
        for name in ("processing_units", f"failed_{found.things}"):
            context["ti"].xcom_push(key=name, value=result[name])
        events = context.get("outlet_events")
        for outlet in self.outlets or ():
            if events is not None and hasattr(outlet, "uri"):
                told = ("request_id", "status", "processing_units", "processed", "failed")
                events[outlet].extra = {name: result[name] for name in told}
        return result
