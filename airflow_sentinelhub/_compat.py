"""The only file with version-dependent Airflow imports (2.11, and 3.0 to 3.3).

Names that the common-compat provider offers for all versions come from there; the rest is settled here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    XCom,
    conf,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context as Context

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:
    from airflow.exceptions import TaskDeferralError  # type: ignore[no-redef]

    try:
        from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]
    except ImportError:  # 2.11 has one error for both
        TaskDeferralTimeout = TaskDeferralError  # type: ignore[misc,assignment]

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TriggerEvent",
    "XCom",
    "conf",
    "get_async_connection",
    "mask_secret",
]


def mask_secret(secret: str) -> None:
    """Have Airflow blank this value in all logs from now on, in its percent-encoded form too."""
    from urllib.parse import quote

    from airflow.providers.common.compat.sdk import mask_secret as mask

    for form in {secret, quote(secret, safe="")}:
        mask(form)


async def get_async_connection(conn_id: str) -> Any:
    """The connection, without blocking the event loop."""
    from airflow.providers.common.compat.connection import get_async_connection as get

    return await get(conn_id)
