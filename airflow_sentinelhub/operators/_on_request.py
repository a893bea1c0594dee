"""The base class of operators for a single step on an existing request, and the result that they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import SentinelHubTask
from airflow_sentinelhub.api.service.generations import OLD_REQUEST_404, Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.links import LINKS


class StepResult(TypedDict):
    """The result of a step: its request, and the request's status at the end of the step.

    A later step takes the whole result (`request_id=create.output`) or the id (`create.output["request_id"]`).
    """

    request_id: str

    batch_api: str
    status: str


def step_result(job: Snapshot) -> StepResult:
    """The result of a step, made from the last reading of its request."""
    return {"request_id": job.request_id, "batch_api": job.generation, "status": str(job.status)}


class OnRequest(SentinelHubTask, BaseOperator):
    """Base of operators on an existing request. Each of them declares its own arguments."""

    template_fields: Sequence[str] = ("request_id", "sentinelhub_conn_id", "batch_api", "max_unknown_time")
    operator_extra_links = LINKS
    ui_color = "#dbeef4"

    @property
    def api(self) -> Generation:
        """The generation that this task uses. It gives up an unknown request within seconds if that cannot be new."""
        return replace(super().api, despite_404=OLD_REQUEST_404) if self._old else super().api
