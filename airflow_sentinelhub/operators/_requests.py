"""Operators on a request that exists: what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import SentinelHubTask, default_deferrable
from airflow_sentinelhub.links import SentinelHubRequestLink
from airflow_sentinelhub.operators._checks import check_patience, check_times
from airflow_sentinelhub.operators._waiting import WaitingTask


class OnRequest(SentinelHubTask, BaseOperator):
    """An operator on a request that exists.

    :param request_id: the request; :param sentinelhub_conn_id: connection of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; the connection's if left out.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = ("request_id", "sentinelhub_conn_id", "batch_api")
    operator_extra_links = (SentinelHubRequestLink(),)
    ui_color = "#dbeef4"

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


class WaitOnRequest(WaitingTask, OnRequest):
    """An operator that acts on a request and waits for what comes of it. Arguments: see `WaitingTask`."""

    def __init__(
        self,
        *,
        deferrable: bool | None = None,
        poll_interval: float = 60.0,
        timeout: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        check_times(self)


class RunsJob(WaitOnRequest):
    """An operator that has the service work and bill, and may wait for the end.

    :param wait_for_completion: wait until the request is DONE. The two below count only then.
    :param cancel_on_kill: cancel the request when the task is wanted no more: marked failed or success by a user.
    :param cancel_on_timeout: cancel it when the time is over.
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool = False,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
