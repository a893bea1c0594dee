"""The only folder that imports Airflow, knows its versions (2.11, and 3.0 to 3.3), and uses what is private of it.

Here are the classes of Airflow, which each version has elsewhere; names that the common-compat provider offers for all
versions come from there. Each other subject has a file of its own. A member that Airflow does not document is used in
one file only, whose text says on which versions and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat import __version__ as common_compat_version
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING or tuple(map(int, common_compat_version.split(".")[:2])) >= (1, 13):
    from airflow.providers.common.compat.connection import get_async_connection
    from airflow.providers.common.compat.sdk import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowOptionalProviderFeatureException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Stats,
        TaskGroup,
        XCom,
        XComArg,
        conf,
    )
else:  # the official constraints of Airflow 3.0 pin such an old one
    from airflow.configuration import conf
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowOptionalProviderFeatureException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
    from airflow.hooks.base import BaseHook
    from airflow.stats import Stats

    try:
        from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator, TaskGroup, XComArg
        from airflow.sdk.bases.xcom import BaseXCom as XCom
    except ImportError:  # 2.11
        from airflow.models.baseoperator import BaseOperator
        from airflow.models.baseoperatorlink import BaseOperatorLink
        from airflow.models.xcom import BaseXCom as XCom
        from airflow.models.xcom_arg import XComArg
        from airflow.sensors.base import BaseSensorOperator
        from airflow.utils.task_group import TaskGroup

    async def get_async_connection(conn_id):
        """The connection, read in a thread: these versions ask for it by a blocking call only."""
        from asgiref.sync import sync_to_async

        return await sync_to_async(BaseHook.get_connection)(conn_id)


if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
else:
    Context = dict  # what a task is run with; it stands in annotations only

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:
    from airflow.exceptions import TaskDeferralError  # type: ignore[no-redef]

    try:
        from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]
    except ImportError:  # 2.11 has one error for both
        TaskDeferralTimeout = TaskDeferralError  # type: ignore[misc,assignment]

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # 2.11
    BaseEventTrigger = None  # type: ignore[assignment,misc]

AIRFLOW_V_3_1_PLUS = HAS_PAGES = tuple(int(part) for part in airflow_version.split(".")[:2]) >= (3, 1)
"""Whether this Airflow shows pages of plugins on its task instances."""

NO_WATCHERS = (
    f"Watchers need Airflow 3.0 or later, and this is {airflow_version}: here a DAG with a schedule and a sensor does "
    "the same."
)
"""The error where `BaseEventTrigger` is None, on 2.11."""

__all__ = [
    "AIRFLOW_V_3_0_PLUS",
    "AIRFLOW_V_3_1_PLUS",
    "HAS_PAGES",
    "NO_WATCHERS",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Context",
    "Stats",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskGroup",
    "TriggerEvent",
    "XCom",
    "XComArg",
    "approval_operator",
    "conf",
    "get_async_connection",
    "task_group",
]


def task_group(**how: Any) -> Any:
    """A TaskGroup of this Airflow."""
    return TaskGroup(**how)


def approval_operator() -> Any:
    """Airflow's own human-in-the-loop step; None where there is none (before 3.1, or without the standard provider)."""
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except (ImportError, AirflowOptionalProviderFeatureException):  # the latter is what 3.0 says
        return None
    return ApprovalOperator
