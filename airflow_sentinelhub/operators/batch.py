"""The module from which DAGs import all operators of batch v1 and v2, and the types of their results."""

from __future__ import annotations

from airflow_sentinelhub.api.decide.job_result import JobResult
from airflow_sentinelhub.operators._on_request import StepResult
from airflow_sentinelhub.operators.analysis import (
    AnalysisResult,
    BudgetResult,
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchBudgetOperator,
)
from airflow_sentinelhub.operators.collections import (
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubDeleteBatchCollectionOperator,
    SentinelHubUpdateBatchCollectionOperator,
)
from airflow_sentinelhub.operators.create import SentinelHubCreateBatchOperator
from airflow_sentinelhub.operators.edit import (
    DeletedResult,
    SentinelHubDeleteBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.operators.job import SentinelHubBatchOperator
from airflow_sentinelhub.operators.report import ReportResult, SentinelHubBatchReportOperator
from airflow_sentinelhub.operators.steps import (
    SentinelHubCancelBatchOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.operators.tiles import SentinelHubListBatchTilesOperator

__all__ = [
    "AnalysisResult",
    "BudgetResult",
    "DeletedResult",
    "JobResult",
    "ReportResult",
    "SentinelHubAnalyseBatchOperator",
    "SentinelHubBatchBudgetOperator",
    "SentinelHubBatchOperator",
    "SentinelHubBatchReportOperator",
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
    "StepResult",
]
