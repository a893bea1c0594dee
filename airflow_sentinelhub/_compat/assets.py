"""Assets, which are called datasets on 2.11, and the lineage of OpenLineage, which is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS


def _asset_module() -> Any:
    """Where this Airflow has its assets, which are called datasets on 2.11."""
    return import_module("airflow.sdk" if AIRFLOW_V_3_0_PLUS else "airflow.datasets")


def asset_of(uri: str) -> Any:
    """An asset (2.11: a dataset) with this URI.

    :raises ValueError: this Airflow does not take the URI.
    """
    module = _asset_module()
    return module.Asset(uri) if AIRFLOW_V_3_0_PLUS else module.Dataset(uri)


def is_alias(outlet: Any) -> bool:
    """Whether an outlet is an alias, whose assets are known only when the task runs."""
    module = _asset_module()
    return isinstance(outlet, module.AssetAlias if AIRFLOW_V_3_0_PLUS else module.DatasetAlias)


def extra_of_alias(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the event of an alias may hold of this. Before 3.1 Airflow puts its members into a set.

    2.11 does that within the task, so that a tuple serves for a list. 3.0 does it in its API server, where a tuple has
    become a list, and sets the task to failed then, whose job is paid: there lists are left out.
    """
    if AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS:
        return {name: value for name, value in extra.items() if not isinstance(value, (list, tuple))}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in extra.items()}


def is_asset(outlet: Any) -> bool:
    """Whether an outlet is an asset, or refers to one by its URI or name (3.x)."""
    return hasattr(outlet, "uri") or type(outlet).__name__ == "AssetNameRef"


def operator_lineage() -> Any:
    """The class in which the OpenLineage provider, whose listener alone asks for it, takes the lineage of a task."""
    return import_module("airflow.providers.openlineage.extractors").OperatorLineage
