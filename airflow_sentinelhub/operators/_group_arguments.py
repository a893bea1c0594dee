"""The arguments of `sentinelhub_batch()`: those of its steps, so that a type checker finds one that is misspelt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict

from airflow_sentinelhub._types import SharedArguments, Templated


class _Needed(TypedDict):
    process_request: Templated[Mapping[str, Any]]


class GroupArguments(_Needed, SharedArguments, total=False):
    """The arguments of `SentinelHubBatchOperator`, but for `request_id`; and of the approval, for `approve=True`."""

    tiling_grid: Templated[Mapping[str, Any]] | None
    geopackage: Templated[str | Mapping[str, Any]] | None
    destination: Templated[str | Mapping[str, Any]] | None
    bucket_name: Templated[str] | None
    area: Any
    simplify: Templated[float] | None
    evalscript: Templated[str | os.PathLike[str]] | None
    description: Templated[str] | None
    aws_conn_id: Templated[str] | None
    iam_role_arn: Templated[str] | None
    payload_extra: Templated[Mapping[str, Any]] | None
    sentinelhub_conn_id: Templated[str]
    batch_api: Templated[str] | None
    max_processing_units: Templated[float] | None
    max_processing_units_per_month: Templated[float] | None
    on_over_budget: Templated[Literal["fail", "skip", "stop"]]
    require_estimate: Templated[bool]
    max_restarts: Templated[int]
    max_failed_tiles: Templated[int] | None
    min_success_ratio: Templated[float] | None
    on_partial: Templated[Literal["fail", "skip", "accept"]]
    check_tiles: Templated[bool]
    resume_stopped: Templated[Literal["never", "if_accepted", "when_accepted"]]
    cancel_on_kill: Templated[bool]
    cancel_on_timeout: Templated[bool]
    deferrable: Templated[bool] | None
    poll_interval: Templated[float | timedelta]
    max_poll_interval: Templated[float | timedelta] | None
    analysis_poll_interval: Templated[float | timedelta]
    timeout: Templated[float | timedelta] | None
    max_unknown_time: Templated[float | timedelta]
    report: Templated[bool | str] | None
    output: Templated[str | Mapping[str, Any]] | None

    response_timeout: timedelta | None
    assigned_users: Any
    notifiers: Any
