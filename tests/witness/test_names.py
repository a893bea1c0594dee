"""Somebody who moves from the vendor's client keeps the code: the same names with the same arguments."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.hooks import models
from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical
from airflow_sentinelhub.hooks.v1 import SentinelHubBatch
from airflow_sentinelhub.hooks.v2 import BatchProcessClient
from tests.witness.environments import run

V1, V2 = "3.11.1", "3.12.0"
WORDS = ("BatchRequestStatus", "BatchUserAction", "StoppedStatusReason", "BatchTileStatus")
# Our monitoring functions are methods of the client, which needs no configuration in each call.
OF_THE_CLIENT = {"config", "client"}
MONITORS = {
    "monitor_batch_analysis": (V1, SentinelHubBatch),
    "monitor_batch_job": (V1, SentinelHubBatch),
    "monitor_batch_process_analysis": (V2, BatchProcessClient),
    "monitor_batch_process_job": (V2, BatchProcessClient),
    "monitor_batch_statistical_analysis": (V2, SentinelHubBatchStatistical),
    "monitor_batch_statistical_job": (V2, SentinelHubBatchStatistical),
}


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home: Path = tmp_path_factory.mktemp("home")
    names = [*WORDS, "SentinelHubBatch", "BatchProcessClient", *MONITORS]
    return {version: run(version, "names.py", {"names": names}, home) for version in (V1, V2)}


def signature(function: Any) -> list[list[str]]:
    parameters = inspect.signature(function).parameters.values()
    return [[one.name, one.kind.name] for one in parameters if one.name != "self"]


def takes_the_same(mine: list[list[str]], theirs: list[list[str]]) -> bool:
    """By position the same and no more, by name at least the same."""
    positional = [one for one in mine if one[1] == "POSITIONAL_OR_KEYWORD"]
    return positional == [one for one in theirs if one[1] == "POSITIONAL_OR_KEYWORD"] and all(
        one in mine for one in theirs
    )


@pytest.mark.parametrize(
    ("version", "ours"), [(V1, SentinelHubBatch), (V2, BatchProcessClient)], ids=["batch", "batch_v2"]
)
@pytest.mark.slow
def test_methods_have_the_vendors_names_and_arguments(vendor: dict[str, Any], version: str, ours: type) -> None:
    theirs = vendor[version][ours.__name__]
    assert len(theirs) > 12
    told = {}
    for name, arguments in theirs.items():
        mine = signature(getattr(ours, name)) if hasattr(ours, name) else []
        if not hasattr(ours, name) or not takes_the_same(mine, arguments):
            told[name] = (arguments, mine)
    assert told == {}


@pytest.mark.parametrize("name", MONITORS)
def test_monitoring_functions_are_methods_of_the_client(vendor: dict[str, Any], name: str) -> None:
    version, ours = MONITORS[name]
    theirs = [one for one in vendor[version][name] if one[0] not in OF_THE_CLIENT]
    assert signature(getattr(ours, name)) == theirs


@pytest.mark.parametrize("name", WORDS)
def test_words_are_the_vendors(vendor: dict[str, Any], name: str) -> None:
    """Each version knows the words of its own generation; ours are those of both."""
    theirs = {*vendor[V1].get(name, ()), *vendor[V2].get(name, ())}
    assert theirs
    assert set(getattr(models, name).__members__) == theirs
