"""Names of Airflow for the DAGs of tests, on every version: an old common-compat provider does not have them all."""

from __future__ import annotations

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_sentinelhub._compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
)

if AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import DAG, Asset, AssetAlias, task, task_group
else:
    from airflow.datasets import Dataset as Asset
    from airflow.datasets import DatasetAlias as AssetAlias
    from airflow.decorators import task, task_group
    from airflow.models.dag import DAG

__all__ = [
    "DAG",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "Asset",
    "AssetAlias",
    "BaseOperator",
    "task",
    "task_group",
]
