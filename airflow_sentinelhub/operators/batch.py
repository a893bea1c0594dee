"""The module from which DAGs import all operators of batch v1 and v2."""

from __future__ import annotations

from airflow_sentinelhub.operators.collections import (
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubDeleteBatchCollectionOperator,
    SentinelHubUpdateBatchCollectionOperator,
)
from airflow_sentinelhub.operators.create import SentinelHubCreateBatchOperator
from airflow_sentinelhub.operators.edit import SentinelHubDeleteBatchOperator, SentinelHubUpdateBatchOperator
from airflow_sentinelhub.operators.job import SentinelHubBatchOperator
from airflow_sentinelhub.operators.steps import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchBudgetOperator,
    SentinelHubCancelBatchOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.operators.tiles import SentinelHubListBatchTilesOperator

__all__ = [
    "SentinelHubAnalyseBatchOperator",
    "SentinelHubBatchBudgetOperator",
    "SentinelHubBatchOperator",
    "SentinelHubCancelBatchOperator",
    "SentinelHubCreateBatchCollectionOperator",
    "SentinelHubCreateBatchOperator",
    "SentinelHubDeleteBatchCollectionOperator",
    "SentinelHubDeleteBatchOperator",
    "SentinelHubListBatchTilesOperator",
    "SentinelHubRestartBatchOperator",
    "SentinelHubStartBatchOperator",
    "SentinelHubUpdateBatchCollectionOperator",
    "SentinelHubUpdateBatchOperator",
]
