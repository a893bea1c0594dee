"""The keyword arguments of `SentinelHubHook.run_job`, for its overloads: each kind of job has a result of its own."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Literal, TypedDict


class JobOptions(TypedDict, total=False):
    """See `SentinelHubHook.run_job`."""

    name: str | None
    context: Any
    batch_api: Literal["v1", "v2"] | None
    aws_conn_id: str | None
    iam_role_arn: str | None
    max_processing_units: float | str | None
    max_processing_units_per_month: float | str | None
    on_over_budget: Literal["fail", "skip", "stop"]
    require_estimate: bool | str
    max_restarts: int | str
    max_failed: int | str | None
    min_success_ratio: float | str | None
    on_partial: Literal["fail", "skip", "accept"]
    check_results: bool | str
    resume_stopped: Literal["never", "if_accepted", "when_accepted"]
    cancel_on_timeout: bool | str
    poll_interval: float | timedelta | str
    analysis_poll_interval: float | timedelta | str
    max_poll_interval: float | timedelta | str | None
    timeout: float | timedelta | str | None
    max_unknown_time: float | timedelta | str
    since: datetime | date | str | None
