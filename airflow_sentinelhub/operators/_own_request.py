"""Base of operators that create a request: how a try finds its request, and what it stores for the next try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_sentinelhub._compat import AirflowException, AirflowFailException, AirflowSkipException
from airflow_sentinelhub._identity import (
    Kept,
    could_be_any_airflow,
    earliest,
    kept_before,
    mark_for,
    remember,
    remembered,
    tried,
)
from airflow_sentinelhub._task import SentinelHubTask
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.adoption import NONE_STOPPED, Stopped
from airflow_sentinelhub.api.decide.marker import Mark
from airflow_sentinelhub.api.flows.task_request import Own, Wanted
from airflow_sentinelhub.api.service.generations import Generation, generation, others
from airflow_sentinelhub.exceptions import SettingsError


class OwnsRequest(SentinelHubTask):
    """Mixed into operators that create a request. They bring the payload and what is checked before a create."""

    log: Any

    def payload(self, context: Any, api: Generation) -> dict[str, Any]:
        """The payload of the create call. It may hold storage keys: it is neither kept nor logged."""
        raise AssertionError("Each operator that creates a request has a payload.")

    def payload_checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """What can be known to be wrong with a payload before anything is created."""
        raise AssertionError("Each operator that creates a request has checks.")

    def checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """What can be known to be wrong with the task before anything is created."""
        return self.payload_checks(api, payload)

    def wanted(self, context: Any, *, stopped: Stopped = NONE_STOPPED, look: bool = True) -> Wanted:
        """What this try searches for, and what it would create. Uses the deployment of an earlier try of this round.

        :param stopped: which STOPPED requests the task goes on with.
        :param look: False: the request is known already.
        """
        mark, again = mark_for(context, limit=self.limit()), tried(context) > 1
        known = remembered(context, mark) if look else None
        if known is not None:
            self.pin(known.batch_api, known.place)

        def render(api: Generation) -> dict[str, Any]:
            try:
                return self.payload(context, api)
            except AirflowException as err:  # a connection that is not there
                unfit = SettingsError(str(err))
                unfit.retry_helps = True
                raise unfit from err

        return Wanted(
            render=render,
            checks=self.checks,
            mark=mark,
            again=again,
            since=earliest(context, mark),
            remembered=known.request_id if known else None,
            not_found=self.hook.settings.not_found(known.place, known.request_id) if known else None,
            elsewhere=self._elsewhere(context, mark) if look and again and known is None else (),
            went=lambda api: self.pin(api.name),  # a kill from now on is about what is there
            stopped=stopped,
            patience=self.max_unknown_time,
        )

    def settle_on(self, context: Any, own: Own) -> None:
        """Bind the task to this request and its deployment until the round ends."""
        self.known, self._may_have_started = own.settled.job, False
        self.pin(own.api.name, self.hook.settings.place())
        self._keep(context, own.mark, own.settled.job.request_id)
        self.announce(context, own.settled.job.request_id)
        if not own.settled.adopted and could_be_any_airflow():
            self.log.warning(
                "No unique deployment name: another Airflow that runs this DAG on this account could adopt the request "
                "of a task that is cleared. Set [sentinelhub] deployment, or a base URL."
            )

    def _keep(self, context: Any, mark: Mark, request_id: str, *, over: bool = False) -> None:
        remember(context, mark, Kept(request_id, self.api.name, self.hook.settings.place()), over=over)

    @contextmanager
    def ends_its_round(self, context: Any) -> Iterator[None]:
        """Store that the task has ended, with a result or an error that is not retried: only a clear runs it again."""
        try:
            yield
        except (AirflowFailException, AirflowSkipException):
            self._note_end(context)
            raise
        self._note_end(context)

    def _note_end(self, context: Any) -> None:
        if self.about is not None:
            self._keep(context, mark_for(context, limit=self.limit()), self.about, over=True)

    def limit(self) -> float | None:
        """PU that the job may cost, for the marker."""
        return None

    def _elsewhere(self, context: Any, mark: Mark) -> tuple[Generation, ...]:
        """Further generations in which an earlier try may have made its request.

        Where Airflow keeps what was done (3.3), only what it tells of is looked at.
        """
        names = others(self.api.name)
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
                return ()
            if former is not None and self.hook.settings.not_found(former.place, former.request_id):
                self.log.warning(
                    "Batch request %s of before the clear was made with another client id. Where that is another "
                    "account's, it cannot be seen and was left alone: if it was started, it runs on and bills.",
                    former.request_id,
                )
        return tuple(map(generation, names))
