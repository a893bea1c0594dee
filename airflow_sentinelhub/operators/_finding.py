"""How a task finds its one request: an earlier try's, or a new one; and what it keeps of it until its round ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowException, AirflowFailException, AirflowSkipException
from airflow_sentinelhub._identity import (
    Kept,
    could_be_any_airflow,
    kept_before,
    mark_for,
    remember,
    remembered,
    tried,
)
from airflow_sentinelhub._task import SentinelHubTask
from airflow_sentinelhub.exceptions import SettingsError

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.decide.adoption import Stopped
    from airflow_sentinelhub.api.decide.marker import Mark
    from airflow_sentinelhub.api.flows.find_or_create import Found
    from airflow_sentinelhub.api.snapshot import Snapshot


class FindsRequest(SentinelHubTask):
    """Mixed into operators that create a request. They bring the payload and what is checked before a create."""

    log: Any

    def payload(self, context: Any) -> dict[str, Any]:
        """The payload of the create call."""
        raise AssertionError("Each operator that creates a request has a payload.")

    def _checks(self, payload: Mapping[str, Any]) -> Flow[None]:
        """What can be known to be wrong with a payload before anything is created."""
        raise AssertionError("Each operator that creates a request has checks.")

    def find_or_create(self, context: Any) -> Found:
        """The one request of this task instance: an earlier try's, or a new one.

        First it looks whether there is one, then it checks the rest: a job that is at work goes on, also when the
        evalscript, the area, the GeoPackage or the bucket's connection cannot be read any more.
        """
        from airflow_sentinelhub.api.decide.marker import job_digest
        from airflow_sentinelhub.api.flows.find_or_create import find_or_create

        mark = self.mark(context)
        self._may_have_started = tried(context) > 1
        if known := remembered(context, mark):
            self.pin(known.batch_api, known.place)
        elif tried(context) > 1:
            self._look_elsewhere(context, mark)
        payload, unfit = self._payload_or_error(context)
        if unfit is not None and not self._may_have_started:
            raise unfit  # no try before this one has made anything
        if payload is not None:
            mark = replace(mark, job=job_digest(payload))

        def check() -> Flow[None]:
            if unfit is not None:
                raise unfit
            yield from self._checks(payload or {})

        since, stopped = _since(context, mark), self._stopped()
        found = self.patiently(
            lambda: find_or_create(
                self.api,
                payload or {},
                mark,
                since=since,
                remembered=known.request_id if known else None,
                not_found=self.hook.settings.not_found(known.place, known.request_id) if known else None,
                stopped=stopped,
                check=check,
                patience=self.max_unknown_time,
            )
        )
        if unfit is not None:
            self.log.warning("What the task asks for now cannot be rendered: %s The request is gone on with.", unfit)
        verb = "Going on with" if found.adopted else "Created"
        why = f" ({found.why})" if found.adopted and found.why else ""
        self.log.info("%s batch request %s%s; marker %s", verb, found.job.request_id, why, mark)
        if not found.adopted and could_be_any_airflow():
            self.log.warning(
                "This Airflow has no name of its own ([sentinelhub] deployment, or a base URL): another one that runs "
                "this DAG on this account could take the request for its own once a task is cleared. Set one of them."
            )
        self.settled_on(context, mark, found.job)
        return found

    def mark(self, context: Any) -> Mark:
        """The marker of this try, for a job that is not rendered yet."""
        return mark_for(context, limit=self._limit())

    def _limit(self) -> float | None:
        """PU that the job may cost."""
        return None

    def settled_on(self, context: Any, mark: Mark, job: Snapshot) -> None:
        """From here on the task is about this request, at this place, until its round ends."""
        self.known, self._may_have_started = job, False
        self.pin(self.api.name)
        self._keep(context, mark, job.request_id)
        self.announce(context, job.request_id)

    def _keep(self, context: Any, mark: Mark, request_id: str, *, over: bool = False) -> None:
        remember(context, mark, Kept(request_id, self.api.name, self.hook.settings.place()), over=over)

    @contextmanager
    def ends_its_round(self, context: Any) -> Iterator[None]:
        """Note when the task ends, with a result or with an error that is not retried: after that comes a clear."""
        try:
            yield
        except (AirflowFailException, AirflowSkipException):
            self._note_end(context)
            raise
        self._note_end(context)

    def _note_end(self, context: Any) -> None:
        if self.about is not None:
            self._keep(context, self.mark(context), self.about, over=True)

    def _payload_or_error(self, context: Any) -> tuple[dict[str, Any] | None, Exception | None]:
        """The payload, or why there is none: whatever it is, it must not hide a request that is at work."""
        try:
            return self.payload(context), None
        except AirflowException as err:  # a connection that is not there
            unfit = SettingsError(str(err))
            unfit.retry_helps = True
            return None, unfit
        except Exception as err:
            return None, err

    def _look_elsewhere(self, context: Any, mark: Mark) -> None:
        """Look for requests of this task in the other generation: an earlier try may have used it.

        One of this round is gone on with there. What a round before has left at work there is ended: the user has
        cleared the task, and this job is another one. Where Airflow keeps what was done (3.3), only what it tells of is
        looked at.
        """
        from airflow_sentinelhub.api.flows.actions import end
        from airflow_sentinelhub.api.flows.find_or_create import own_requests
        from airflow_sentinelhub.api.service.generations import generation, others
        from airflow_sentinelhub.exceptions import BadRequestError, ForbiddenError, NotFoundError

        since, names = _since(context, mark), others(self.api.name)
        if context.get("task_state_store") is not None:
            former = kept_before(context, mark)
            names = tuple(name for name in names if former is not None and former.batch_api == name)
            here = self.hook.settings.base_url
            if former is not None and former.place.get("base_url", here) != here:
                self.log.warning(
                    "Batch request %s of before the clear is at %s, which the connection does not name any more. It "
                    "was left alone: if it was started, it runs on and bills.",
                    former.request_id,
                    former.place["base_url"],
                )
                return
            if former is not None and self.hook.settings.not_found(former.place, former.request_id):
                self.log.warning(
                    "Batch request %s of before the clear was made with another client id. Where that is another "
                    "account's, it cannot be seen and was left alone: if it was started, it runs on and bills.",
                    former.request_id,
                )
        for other in map(generation, names):
            try:
                found = self.patiently(partial(own_requests, other, mark, since))
            except (NotFoundError, ForbiddenError, BadRequestError):
                continue  # the deployment or the account has no such API, so there are no requests either
            for one in found:
                if one.current and (one.job.started or one.job.status.is_final):
                    self.log.warning(
                        "An earlier try has made batch request %s with batch %s; going on there until this round ends",
                        one.job.request_id,
                        other.name,
                    )
                    self.pin(other.name)
                    return
            for job in (one.job for one in found if one.job.started and not one.job.status.is_final):
                told = (job.request_id, other.name)
                self.log.warning("Batch request %s of before the clear is at work in batch %s; ending it", *told)
                self.patiently(partial(end, other, job.request_id), job.request_id, refused=True)

    def _stopped(self) -> Stopped:
        """Which STOPPED requests this task goes on with: none."""
        from airflow_sentinelhub.api.decide.adoption import NONE_STOPPED

        return NONE_STOPPED

    def continue_with(self, context: Any, first: Snapshot, *, restart: bool) -> Found:
        """The request that does what is missing of a v2 request (see `api.jobs.continuation`), found or created.

        :param restart: it restarts the failed part, which is counted; else it goes on with what was stopped.
        """
        from airflow_sentinelhub.api.decide.marker import job_digest, mark_of
        from airflow_sentinelhub.api.flows.find_or_create import find_or_create
        from airflow_sentinelhub.api.service.specification import continuation

        payload = self.payload(context)
        its = mark_of(first.description)
        mark = replace(
            self.mark(context),
            job=job_digest(payload),
            restarts=(its.restarts if its else 0) + restart,
            continues=first.request_id,
        )
        root = self._root_of(first)
        payload, since = continuation(payload, root), _since(context, mark)
        found = self.patiently(
            lambda: find_or_create(self.api, payload, mark, since=since, patience=self.max_unknown_time),
            first.request_id,
        )
        self.settled_on(context, mark, found.job)
        return found

    def _root_of(self, job: Snapshot) -> str:
        """Id of the first of the requests that continue each other."""
        from airflow_sentinelhub.api.flows.read import continued_by

        earlier = self.patiently(lambda: continued_by(self.api, job), job.request_id)
        return earlier[-1].request_id if earlier else job.request_id


SKEW = timedelta(hours=1)
"""By how much the clocks of Airflow and the service may differ, with plenty to spare."""


def _since(context: Any, mark: Mark) -> datetime | None:
    """No request of this task is older than this; None if that cannot be told.

    A run that was never cleared has no request from before its start, however far its date lies back. A clear sets the
    run's times anew, but for `run_after` (Airflow 3), which is as old as the date of a run that catches up. 2.11 has
    nothing that lasts: after a clear its search is bounded by the number of pages alone.
    """
    run = context.get("dag_run")
    lasting, start = getattr(run, "run_after", None), getattr(run, "start_date", None)
    if mark.clears == 0 and isinstance(start, datetime):
        return start - SKEW
    if mark.clears and not isinstance(lasting, datetime):
        return None
    times: list[Any] = [lasting, start, getattr(run, "queued_at", None)]
    known = [time for time in times if isinstance(time, datetime)]
    return min(known) - SKEW if known else None
