"""Operators on one request: what they have in common, and what the steps of a job return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import SentinelHubTask
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.links import SentinelHubRequestLink


class StepResult(TypedDict):
    """What a step returns: which request it was about, and the status it was in at the end of the step.

    A later step takes the whole (`request_id=create.output`), or the id (`create.output["request_id"]`).
    """

    request_id: str
    batch_api: str
    status: str


def step_result(job: Snapshot) -> StepResult:
    """What a step returns for the last reading of its request."""
    return {"request_id": job.request_id, "batch_api": job.generation, "status": str(job.status)}


class OnRequest(SentinelHubTask, BaseOperator):
    """An operator on a request that exists. Each one names its arguments itself."""

    template_fields: Sequence[str] = ("request_id", "sentinelhub_conn_id", "batch_api")
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"

    request_id: str
