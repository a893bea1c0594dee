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
    note_begin,
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
    """Mixed into operators that create a request. Each of them implements `payload` and `payload_checks`."""

    log: Any

    def payload(self, context: Any, api: Generation) -> dict[str, Any]:
        """The payload of the create call. It may contain storage keys, so it is neither stored nor logged."""
        raise AssertionError(f"{type(self).__name__} must define payload.")

    def payload_checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """Check the payload before anything is created; raises an error if it is wrong."""
        raise AssertionError(f"{type(self).__name__} must define payload_checks.")

    def checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """Check the task before anything is created; by default, its payload."""
        return self.payload_checks(api, payload)

    def wanted(
        self, context: Any, *, limit: float | None = None, stopped: Stopped = NONE_STOPPED, look: bool = True
    ) -> Wanted:
        """The request that this try searches for, or creates if there is none.

        If an earlier try of this round has stored a request, the task uses the deployment of that request.

        :param limit: PU that the job may cost, for the marker; None for no limit.
        :param stopped: which STOPPED requests the task continues with.
        :param look: False: the request is known already, so nothing that earlier tries have stored is read.
        """
        mark, again = mark_for(context, limit=limit), tried(context) > 1
        stored = remembered(context, mark) if look else None
        if look:
            note_begin(context)
        if stored is not None:
            self.pin(stored.batch_api, stored.place)

        def render(api: Generation) -> dict[str, Any]:
            try:
                return self.payload(context, api)
            except AirflowException as err:  # Airflow has no such connection
                settings_error = SettingsError(str(err))
                settings_error.retry_helps = True
                raise settings_error from err

        return Wanted(
            render=render,
            checks=self.checks,
            mark=mark,
            again=again,
            since=earliest(context, mark),
            remembered=stored.request_id if stored else None,
            not_found=self.hook.settings.not_found(stored.place, stored.request_id) if stored else None,
            elsewhere=self._elsewhere(context, mark) if look and again and stored is None else (),
            went=lambda api: self.pin(api.name),  # from now on, `on_kill` ends requests of that generation
            stopped=stopped,
            patience=self.max_unknown_time,
        )

    def settle_on(self, context: Any, own: Own) -> None:
        """Store the request and its deployment, so that all tries of this round use them, and push them to XCom."""
        self.known = own.settled.job
        self.pin(own.api.name, self.hook.settings.place())
        self._store(context, own.mark, own.settled.job.request_id)
        self.announce(context, own.settled.job.request_id)
        if not own.settled.adopted and could_be_any_airflow():
            self.log.warning(
                "No unique deployment name. If this is the only Airflow that runs the DAG on this Sentinel Hub "
                "account, nothing is to be done. If there are others (a copy, a colleague's), one could take over the "
                "request of another one's task that is cleared: give each its own name, such as "
                "AIRFLOW__SENTINELHUB__DEPLOYMENT=production, while no job is under way."
            )

    def _store(self, context: Any, mark: Mark, request_id: str, *, over: bool = False) -> None:
        remember(context, mark, Kept(request_id, self.api.name, self.hook.settings.place()), over=over)

    @contextmanager
    def ends_its_round(self, context: Any) -> Iterator[None]:
        """Store that the task has ended, by a result, a skip or a final error, so that only a clear runs it again."""
        try:
            yield
        except (AirflowFailException, AirflowSkipException):
            self._note_end(context)
            raise
        self._note_end(context)

    def _note_end(self, context: Any) -> None:
        if self.about is not None:
            self._store(context, mark_for(context), self.about, over=True)

    def _elsewhere(self, context: Any, mark: Mark) -> tuple[Generation, ...]:
        """Further generations in which an earlier try may have created its request.

        If Airflow has a task state store (3.3), only the generation of the stored request counts.
        """
        names = others(self.api.name)
        if context.get("task_state_store") is not None:
            stored = kept_before(context, mark)
            names = tuple(name for name in names if stored is not None and stored.batch_api == name)
            base_url = self.hook.settings.base_url
            if stored is not None and stored.place.get("base_url", base_url) != base_url:
                self.log.warning(
                    "Batch request %s of before the clear is at %s, which the connection does not name any more. It "
                    "was left alone: if it was started, it runs on and bills.",
                    stored.request_id,
                    stored.place["base_url"],
                )
                return ()
            if stored is not None and self.hook.settings.not_found(stored.place, stored.request_id):
                self.log.warning(
                    "Batch request %s of before the clear was made with another client id. If that belongs to another "
                    "account, the request cannot be read and was left alone: if it was started, it runs on and bills.",
                    stored.request_id,
                )
        return tuple(map(generation, names))
