"""Operators that change or delete a request without a step of its life: update, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_sentinelhub._task import airflow_errors, checked_id
from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.decide.marker import mark_of, marked
from airflow_sentinelhub.api.flows.actions import delete_once
from airflow_sentinelhub.api.flows.read import read_patiently
from airflow_sentinelhub.api.service.payloads import without_none
from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError
from airflow_sentinelhub.operators._arguments import check_patience, check_payload, renamed
from airflow_sentinelhub.operators._batch_payload import as_json, one_destination
from airflow_sentinelhub.operators._on_request import OnRequest, StepResult, step_result

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context


class DeletedResult(TypedDict):
    """Which request is gone."""

    request_id: str
    batch_api: str


class SentinelHubUpdateBatchOperator(OnRequest):
    """Change the description of a request, or (v1) the collection it writes to.

    - **Calls** update.
    - **Returns** a `StepResult`.
    - **On kill**, **on timeout** the change is made or not; nothing else happens.
    - **On retry** it is made again, which changes nothing more.

    Refused (409) while the request is processed. The marker of a task that created the request stands in its
    description: this operator keeps it.

    :param request_id: the request, as an id or as what another step returns.
    :param description: the new description, without the marker.
    :param destination: v1 only: `{"collectionId": ...}`; a destination without it unlinks the collection.
    :param output: the old name of `destination`.
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*OnRequest.template_fields, "description", "destination")
    template_fields_renderers = {"destination": "json"}

    def __init__(
        self,
        *,
        request_id: str,
        description: str | None = None,
        destination: Mapping[str, Any] | str | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        output: Mapping[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        destination = one_destination(destination, output)
        self.request_id = request_id
        self.description = description
        self.destination = destination
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        check_patience(self)
        check_payload(self)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As Airflow's; an argument by its old name becomes the template field, so that its tasks come first."""
        return super().partial(**renamed(kwargs))

    def execute(self, context: Context) -> StepResult:
        with airflow_errors(self):
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
    """Delete a request (v1). The service refuses while it is at work, and for ever once a tile is processed (409).

    - **Calls** delete.
    - **Returns** the id of the request that is gone, as `{"request_id", "batch_api"}`.
    - **On kill**, **on timeout** the request is deleted or not.
    - **On retry** a request that is gone already is success.

    Files in the bucket stay. v2 cannot delete.

    :param request_id: the request, as an id or as what another step returns.
    :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    def __init__(
        self,
        *,
        request_id: str,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        max_unknown_time: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.max_unknown_time = max_unknown_time
        check_patience(self)

    def execute(self, context: Context) -> DeletedResult:
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
            return {"request_id": request_id, "batch_api": self.api.name}
