"""Operators for what is done to a request besides its life cycle: restart the failed part, update, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._identity import mark_for
from airflow_sentinelhub._task import airflow_errors, checked_id
from airflow_sentinelhub.operators._job import as_json
from airflow_sentinelhub.operators._requests import OnRequest, RunsJob

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context
    from airflow_sentinelhub.api.snapshot import Snapshot

STALE_PARTIAL = 300.0
"""Seconds for which a request may still say PARTIAL after its restart was accepted (minutes were seen)."""


class SentinelHubRestartBatchOperator(RunsJob):
    """Process the failed tiles of a PARTIAL request again (v1). **This bills** the tiles that are processed again.

    - **Calls** the request, update and restartpartial (only if it is PARTIAL), then, with `wait_for_completion`, the
      request at each poll.
    - **Returns** the id of the request.
    - **On kill** and **on timeout** as with `SentinelHubStartBatchOperator`.
    - **On retry** it goes on with the restart that an earlier try has asked for, however that ended: one task restarts
      once, and a word in the request's description says so. Clear the task to restart what failed once more.

    A request that became DONE by itself meanwhile is success. One that is neither PARTIAL nor DONE nor PROCESSING has
    nothing to restart, which is an error. v2 has no restart: create a new request over the same output with
    `skip_existing`.

    :param request_id: the request. For the rest see `RunsJob` and `WaitingTask`.
    """

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.api.decide.marker import restart_word
        from airflow_sentinelhub.api.flows.restart import restart_once
        from airflow_sentinelhub.exceptions import InvalidInputError

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.about = request_id
            if self.api.restart is None:
                raise InvalidInputError(
                    f"Batch {self.api.name} cannot restart the failed part of {request_id}; create a new request over "
                    "the same output with skip_existing=True."
                )
            self.announce(context, request_id)
            if self.wait_for_completion:
                self.responsible_for(request_id, context)
            word = restart_word(mark_for(context))
            job = self.hook.run(restart_once(self.api, request_id, word, patience=self.max_unknown_time))
            self.log.info("Batch request %s: restart of the failed part, status %s", request_id, job.status)
            if self.wait_for_completion:
                self._done(self.wait_for(context, request_id, "DONE", "execute_complete", stale_partial=STALE_PARTIAL))
            return request_id

    def execute_complete(self, context: Context, event: Any = None) -> str:
        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            self.responsible_for(request_id, context)
            return self._done(self.waited(event, request_id, "DONE"))

    def _done(self, job: Snapshot) -> str:
        from airflow_sentinelhub.api.decide.verdict import progress_line

        self.log.info("Finished: %s", progress_line(job))
        return job.request_id


class SentinelHubUpdateBatchOperator(OnRequest):
    """Change the description of a request, or (v1) the collection it writes to.

    - **Calls** update.
    - **Returns** the id of the request.
    - **On kill**, **on timeout** the change is made or not; nothing else happens.
    - **On retry** it is made again, which changes nothing more.

    Refused (409) while the request is processed. The marker of a task that created the request stands in its
    description: this operator keeps it.

    :param request_id: the request; :param description: the new description, without the marker.
    :param output: v1 only: `{"collectionId": ...}`; an output without it unlinks the collection.
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, "description", "output_spec")
    template_fields_renderers = {"output_spec": "json"}

    def __init__(
        self, *, description: str | None = None, output: Mapping[str, Any] | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.description = description
        self.output_spec = output  # BaseOperator.output is the task's XCom

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.api.call import exchange
        from airflow_sentinelhub.api.decide.marker import mark_of, marked
        from airflow_sentinelhub.api.flows.read import read_patiently
        from airflow_sentinelhub.api.service.payloads import without_none
        from airflow_sentinelhub.exceptions import InvalidInputError

        with airflow_errors(self):
            request_id, update = checked_id(self.request_id), self.api.update
            output = as_json(self.output_spec, "output")
            if update is None:
                raise InvalidInputError(f"Batch {self.api.name} cannot change {request_id}; create a new request.")
            if self.description is None and output is None:
                raise InvalidInputError("Nothing to update: give description, or output (v1).")
            if output is not None and self.api.name != "v1":
                raise InvalidInputError("Batch v2 can change the description only; create a new request instead.")
            self.announce(context, request_id)
            description = self.description
            if description is not None:
                job = self.patiently(lambda: read_patiently(self.api, request_id), request_id)
                mark = mark_of(job.description)
                description = marked(description, mark) if mark else description
            payload = without_none({"description": description, "output": output})
            self.patiently(lambda: exchange(update(request_id, payload)), request_id)
            self.log.info("Updated batch request %s: %s", request_id, ", ".join(payload))
            return request_id


class SentinelHubDeleteBatchOperator(OnRequest):
    """Delete a request (v1). The service refuses while it is at work, and for ever once a tile is processed (409).

    - **Calls** delete.
    - **Returns** the id of the request that is gone.
    - **On kill**, **on timeout** the request is deleted or not.
    - **On retry** a request that is gone already is success.

    Files in the bucket stay. v2 cannot delete.

    :param request_id: the request.
    """

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.api.flows.actions import delete_once
        from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError

        with airflow_errors(self):
            request_id = checked_id(self.request_id)
            if self.api.delete is None:
                raise InvalidInputError(f"Batch {self.api.name} cannot delete requests; {request_id} is left as it is.")
            try:
                self.hook.run(delete_once(self.api.delete(request_id), self.max_unknown_time, request_id))
                self.log.info("Deleted batch request %s", request_id)
            except NotFoundError:
                if context["ti"].try_number <= 1:
                    raise
                self.log.info("Batch request %s is gone already", request_id)
            return request_id
