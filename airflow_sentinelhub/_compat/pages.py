"""The pages of a plugin in Airflow's api-server, and who may read them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any


def plugin_base() -> Any:
    """The base class of Airflow's plugins: newer than the oldest common-compat provider that we take."""
    try:
        return import_module("airflow.providers.common.compat.sdk").AirflowPlugin
    except (ImportError, AttributeError):
        return import_module("airflow.plugins_manager").AirflowPlugin


def may_read_xcoms() -> Any:
    """A dependency of FastAPI that lets only those pass who may read the XComs of the DAG in the path (`dag_id`)."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return requires_access_dag("GET", DagAccessEntity.XCOM)


def user_of_request() -> Any:
    """A dependency of FastAPI: the user of a request. Without a login it answers 401."""
    from airflow.api_fastapi.core_api.security import get_user

    return get_user


def dags_to_read(user: Any, dag_ids: Iterable[str]) -> set[str]:
    """Those of the DAGs whose XComs a user may read."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.dag import DagModel

    manager = get_auth_manager()
    team_of = getattr(DagModel, "get_team_name", None)  # from 3.2

    def may_read(dag_id: str) -> bool:
        team = {} if team_of is None else {"team_name": team_of(dag_id)}
        details = DagDetails(id=dag_id, **team)
        return bool(
            manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, details=details, user=user)
        )

    return {dag_id for dag_id in dag_ids if may_read(dag_id)}
