"""Operators that change or delete a request without processing it: update, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

from airflow_sentinelhub._compat import Context
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered, TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.decide.marker import mark_of, marked
from airflow_sentinelhub.api.flows.actions import delete_once
from airflow_sentinelhub.api.flows.read import left_alone, read_patiently
from airflow_sentinelhub.api.service.payloads import without_none
from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError
from airflow_sentinelhub.operators._arguments import check_payload, one_destination, renamed
from airflow_sentinelhub.operators._files import as_json
from airflow_sentinelhub.operators._on_request import OnRequest, StepResult, step_result


class DeletedResult(TypedDict):
    """The request that was deleted."""

    request_id: str
    batch_api: str


class SentinelHubUpdateBatchOperator(OnRequest):
    """Change the description of a request, or (v1) the collection it writes to.

    - **Calls** the request, then update.
    - **Returns** a `StepResult`.
    - **On kill** and **on timeout** (`execution_timeout`) the change may have been made or not.
    - **On retry** it sends the same change again, which is harmless.

    The service refuses (409) while the request is processed. If a task has created the request, the description
    contains the marker of that task; this operator keeps the marker.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param description: the new description, without the marker.
    :param destination: v1 only: `{"collectionId": ...}`; a destination without `collectionId` unlinks the collection.
    :param output: old name of `destination`.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    description: Rendered[str | None]

    template_fields: Sequence[str] = (*OnRequest.template_fields, "description", "destination")
    template_fields_renderers = {"destination": "json"}

    def __init__(
        self,
        *,
        request_id: Templated[str],
        description: Templated[str] | None = None,
        destination: Templated[str | Mapping[str, Any]] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        output: Templated[str | Mapping[str, Any]] | None = None,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        destination = one_destination(self.task_id, destination, output, kwargs.get("default_args"))
        self.request_id = request_id
        self.description = description
        self.destination = destination
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        with self.literals():
            check_payload(self)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Like Airflow's `partial`, but takes `output` as `destination`, whose values create task dependencies."""
        return super().partial(**renamed(kwargs))

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
            self.take_arguments()
            request_id, update = checked_id(self.request_id), self.api.update
            output = as_json(self.destination, "destination")
            if update is None:
                raise InvalidInputError(f"Batch {self.api.name} cannot change {request_id}; create a new request.")
            if self.description is None and output is None:
                raise InvalidInputError("Nothing to update: give description, or destination (v1).")
            if output is not None and not self.api.collections:
                raise InvalidInputError(
                    f"Batch {self.api.name} can change the description only; create a new request instead."
                )
            self.announce(context, request_id)
            description = self.description
            job = self.patiently(lambda: read_patiently(self.api, request_id), request_id)
            if description is not None:
                mark = mark_of(job.description)
                description = marked(description, mark) if mark else description
            payload = without_none({"description": description, "output": output})
            self.patiently(lambda: exchange(update(request_id, payload)), request_id)
            self.log.info("Updated batch request %s: %s", request_id, ", ".join(payload))
            return step_result(job)


class SentinelHubDeleteBatchOperator(OnRequest):
    """Delete a request (v1). The service refuses (409) while it is processed, and after a tile was processed.

    - **Calls** delete.
    - **Returns** the id of the deleted request, as `{"request_id", "batch_api"}`.
    - **On kill** and **on timeout** (`execution_timeout`) the request may have been deleted or not.
    - **On retry** it succeeds if the request does not exist any more.

    The files in the bucket are kept. v2 has no delete.

    :param request_id: id of the request, or the result of another step (such as `create.output`).
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    def __init__(
        self,
        *,
        request_id: Templated[str],
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        self.check_arguments()

    def execute(self, context: Context) -> DeletedResult:
        with airflow_errors(self):
            self.take_arguments()
            self._tried = tried(context)
            request_id = checked_id(self.request_id)
            if self.api.delete is None:
                raise InvalidInputError(f"Batch {self.api.name} cannot delete requests; {request_id} is left as it is.")
            try:
                flow = delete_once(self.api.delete(request_id), self.max_unknown_time, request_id)
                self.reach(flow, left_alone(request_id))
                self.log.info("Deleted batch request %s", request_id)
            except NotFoundError:
                if self._tried <= 1:
                    raise
                self.log.info("Batch request %s does not exist any more", request_id)
            return {"request_id": request_id, "batch_api": self.api.name}
