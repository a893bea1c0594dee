"""Operators for the single steps of a batch job: create, analyse, start, cancel; the others are named here too.

Every one answers the same five questions: what it calls, what it returns, what happens on kill, on timeout, on retry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._task import airflow_errors, checked_id
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._checks import check_resume
from airflow_sentinelhub.operators._job import JobOperator
from airflow_sentinelhub.operators._requests import OnRequest, RunsJob, WaitOnRequest
from airflow_sentinelhub.operators.budget import SentinelHubBatchBudgetOperator
from airflow_sentinelhub.operators.collections import (
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubDeleteBatchCollectionOperator,
    SentinelHubUpdateBatchCollectionOperator,
)
from airflow_sentinelhub.operators.job import SentinelHubBatchOperator
from airflow_sentinelhub.operators.manage import (
    SentinelHubDeleteBatchOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.operators.tiles import SentinelHubListBatchTilesOperator

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context
    from airflow_sentinelhub.api.snapshot import Snapshot

__all__ = [
    "SentinelHubAnalyseBatchOperator",
    "SentinelHubBatchBudgetOperator",
    "SentinelHubBatchOperator",
    "SentinelHubCancelBatchOperator",
    "SentinelHubCreateBatchCollectionOperator",
    "SentinelHubCreateBatchOperator",
    "SentinelHubDeleteBatchCollectionOperator",
    "SentinelHubDeleteBatchOperator",
    "SentinelHubListBatchTilesOperator",
    "SentinelHubRestartBatchOperator",
    "SentinelHubStartBatchOperator",
    "SentinelHubUpdateBatchCollectionOperator",
    "SentinelHubUpdateBatchOperator",
]


class SentinelHubCreateBatchOperator(JobOperator):
    """Create a batch request, or find the one that an earlier try of this task has created. Free of charge.

    - **Calls** the list of tiling grids, the list of requests (to find its own), then create.
    - **Returns** the id of the request (also pushed as `request_id` the moment it is known).
    - **On kill** nothing runs at the service: a request that is not started costs nothing.
    - **On timeout** the same.
    - **On retry** it finds the request by its marker in the description. A task that was cleared makes a new request
      only if the job has changed or the old one has been used up.

    Arguments: see `JobOperator`.
    """

    operator_extra_links = (SentinelHubRequestLink(),)

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.api.decide.adoption import ended_by_hand
        from airflow_sentinelhub.api.decide.errors import conclude
        from airflow_sentinelhub.api.decide.verdict import Waited, judge

        with self.ends_its_round(context), airflow_errors(self):
            job = self.find_or_create(context).job
            if ended_by_hand(job):
                conclude(Waited(judge(job), job), job.request_id, "created")
            return job.request_id


class SentinelHubAnalyseBatchOperator(WaitOnRequest):
    """Have a request analysed and wait until that is done. Free of charge; errors in the evalscript show here.

    - **Calls** the request, analyse (unless it has been asked for), then the request at each poll.
    - **Returns** `{"request_id", "status", "tile_count", "estimated_pu", "expected_pu"}`: `estimated_pu` is the
      service's number without the batch factor, `expected_pu` a third of it, what the job will probably cost (PU;
      both None on v2, which does not estimate, as is `tile_count`).
    - **On kill** the analysis goes on at the service and costs nothing.
    - **On timeout** the task fails; the request stays as it is and costs nothing.
    - **On retry** it looks first, and goes on waiting.

    :param request_id: the request. For the rest see `WaitingTask`; `poll_interval` is 10 seconds here.
    """

    def __init__(self, *, poll_interval: float = 10.0, **kwargs: Any) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_sentinelhub.api.flows.actions import analyse_once

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            self.hook.run(analyse_once(self.api, request_id, patience=self.max_unknown_time))
            return self._result(self.wait_for(context, request_id, "ANALYSIS_DONE"))

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        with airflow_errors(self):
            return self._result(self.waited(event, checked_id(self.request_id), "ANALYSIS_DONE"))

    def _result(self, job: Snapshot) -> dict[str, Any]:
        from airflow_sentinelhub.api.decide.verdict import progress_line

        self.log.info("Analysis: %s", progress_line(job))
        return {
            "request_id": job.request_id,
            "status": str(job.status),
            "tile_count": job.tile_count,
            "estimated_pu": job.estimate,
            "expected_pu": job.expected_cost,
        }


class SentinelHubStartBatchOperator(RunsJob):
    """Start a request exactly once, and wait for its end if asked to. **This bills.**

    - **Calls** the request, start (only if nobody has started it), then, with `wait_for_completion`, the request at
      each poll.
    - **Returns** the id of the request.
    - **On kill** it finds out why. A user's hand (marked failed or success, the run marked failed): the request is
      cancelled, if it waits for the end and `cancel_on_kill` is on. Anything else (a clear, a restart of Airflow): it
      runs on, and the next try attaches to it.
    - **On timeout** the request is cancelled if `cancel_on_timeout`, and the task fails.
    - **On retry** it reads status and user action first and never starts twice. A lost reply is looked up.

    A request that has failed or was cancelled cannot be started. One that was stopped (v2) can be started again, by
    choice; for 30 minutes after a user's stop the service refuses that.

    :param request_id: the request.
    :param resume_stopped: None: a STOPPED request is an error; `fail`: start it again, and fail if the service refuses;
        `wait`: start it again, and wait in this worker while it refuses. For the rest see `RunsJob` and `WaitingTask`.
    """

    def __init__(self, *, resume_stopped: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.resume_stopped = resume_stopped
        check_resume(resume_stopped)

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.api.decide.errors import conclude
        from airflow_sentinelhub.api.decide.verdict import Waited, judge
        from airflow_sentinelhub.api.flows.actions import resume, start_once

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            if self.wait_for_completion:
                self.responsible_for(request_id, context)
            job = self.hook.run(start_once(self.api, request_id, patience=self.max_unknown_time))
            if self.resume_stopped and self._may_resume(job):
                job = self.hook.run(resume(self.api, request_id, patient=self.resume_stopped == "wait"))
            if job.status.value in ("FAILED", "CANCELED", "STOPPED"):
                conclude(Waited(judge(job, "DONE"), job), request_id, "started")
            self.log.info("Batch request %s is started (%s, action %s)", request_id, job.status, job.user_action)
            if self.wait_for_completion:
                self._done(context, self.wait_for(context, request_id, "DONE"))
            return request_id

    def execute_complete(self, context: Context, event: Any = None) -> str:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.responsible_for(request_id, context)
            return self._done(context, self.waited(event, request_id, "DONE"))

    def _may_resume(self, job: Snapshot) -> bool:
        """Whether this is a request that `resume_stopped` is about."""
        return job.status.value == "STOPPED"

    def _done(self, context: Context, job: Snapshot) -> str:
        from airflow_sentinelhub.api.decide.verdict import progress_line

        self.log.info("Finished: %s", progress_line(job))
        return job.request_id


class SentinelHubCancelBatchOperator(OnRequest):
    """Cancel (v1) or stop (v2) a request and wait until that has taken effect.

    - **Calls** the request, cancel or stop (again and again while v2 refuses it, straight after a start), then the
      request until it has ended.
    - **Returns** the status it ended in; a request that had ended before is left as it is.
    - **On kill** the request may be on its way to its end or not; run the task again.
    - **On timeout** (`execution_timeout`) the same.
    - **On retry** it looks first.

    Tiles that are finished or at work are billed.

    :param request_id: the request; :param poll_interval: seconds between looks.
    """

    def __init__(self, *, poll_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_interval = poll_interval

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.api.flows.actions import end

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.announce(context, request_id)
            job = self.patiently(lambda: end(self.api, request_id, poll_interval=self.poll_interval), request_id)
            self.log.info("Batch request %s is %s", request_id, job.status)
            return str(job.status)
