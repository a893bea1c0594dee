"""Sentinel Hub batch processing for Apache Airflow.

Importing this package imports nothing heavy: public names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._version import __version__

if TYPE_CHECKING:
    from airflow_sentinelhub.api.service.payloads import output as output
    from airflow_sentinelhub.api.service.payloads import process_request as process_request
    from airflow_sentinelhub.api.service.payloads import tiling_grid as tiling_grid
    from airflow_sentinelhub.api.service.specification import BatchSpecification as BatchSpecification
    from airflow_sentinelhub.api.service.statistical_specification import (
        StatisticalSpecification as StatisticalSpecification,
    )
    from airflow_sentinelhub.api.service.statistical_specification import aggregation as aggregation
    from airflow_sentinelhub.api.service.statistical_specification import input_data as input_data
    from airflow_sentinelhub.api.times import last as last
    from airflow_sentinelhub.exceptions import SentinelHubError as SentinelHubError
    from airflow_sentinelhub.groups import sentinelhub_batch as sentinelhub_batch
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook as SentinelHubHook
else:

    def __getattr__(name: str) -> Any:  # a type checker that sees it takes any name for a public one
        import importlib

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


_HOMES = {
    "SentinelHubHook": "airflow_sentinelhub.hooks.sentinelhub",
    "sentinelhub_batch": "airflow_sentinelhub.groups",
    "SentinelHubError": "airflow_sentinelhub.exceptions",
    "process_request": "airflow_sentinelhub.api.service.payloads",
    "tiling_grid": "airflow_sentinelhub.api.service.payloads",
    "output": "airflow_sentinelhub.api.service.payloads",
    "BatchSpecification": "airflow_sentinelhub.api.service.specification",
    "StatisticalSpecification": "airflow_sentinelhub.api.service.statistical_specification",
    "last": "airflow_sentinelhub.api.times",
    "aggregation": "airflow_sentinelhub.api.service.statistical_specification",
    "input_data": "airflow_sentinelhub.api.service.statistical_specification",
}

__all__ = ["__version__", *_HOMES]


def __dir__() -> list[str]:
    return sorted(__all__)
