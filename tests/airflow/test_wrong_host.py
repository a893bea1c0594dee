"""Every operator and sensor says within the first minute that nothing answers; a retry waits, since a job may run."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from airflow_sentinelhub import aggregation, process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import UnknownStateError
from tests.airflow.conftest import AREA, NDVI, operators

REQUEST = str(uuid4())
DAYS = ("2024-06-01", "2024-06-30")
JOB = {
    "process_request": process_request("sentinel-2-l2a", DAYS),
    "evalscript": NDVI,
    "area": AREA,
    "tiling_grid": tiling_grid(1, 10),
    "destination": "s3://maps/x",
}
GIVEN: dict[str, dict[str, Any]] = {
    "SentinelHubBatchOperator": JOB,
    "SentinelHubCreateBatchOperator": JOB,
    "SentinelHubBatchStatisticalOperator": {
        "geopackage": "s3://maps/b.gpkg",
        "data": "sentinel-2-l2a",
        "aggregation": aggregation(DAYS, "P10D", resolution=10),
        "destination": "s3://maps/b",
        "evalscript": NDVI,
    },
    "SentinelHubCreateBatchCollectionOperator": {"collection": {"name": "a", "s3Bucket": "maps"}},
    "SentinelHubUpdateBatchCollectionOperator": {"collection_id": REQUEST, "name": "b"},
    "SentinelHubDeleteBatchCollectionOperator": {"collection_id": REQUEST},
    "SentinelHubNewImagerySensor": {"collection": "sentinel-2-l2a", "area": AREA, "time_range": DAYS},
    "SentinelHubBatchBudgetOperator": {"request_id": REQUEST, "max_processing_units": 5},
    "SentinelHubUpdateBatchOperator": {"request_id": REQUEST, "description": "b"},
}
"""What each class is given; a class that is not named here is given a request."""
GENERATIONS = {"SentinelHubDeleteBatchOperator": "v1", "SentinelHubRestartBatchOperator": "v1"}
"""Of operators that one generation lacks."""


@pytest.fixture
def nobody(bench: Any) -> Iterator[str]:
    """The connection leads to an address at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        bench.connection(
            "sentinelhub_default",
            conn_type="sentinelhub",
            login=bench.sim.client_id,
            password=bench.sim.client_secret,
            host=address,
            extra={"token_url": bench.sim.auth_url, "batch_api": bench.api},
        )
        yield address


def waited(bench: Any, kind: Any, modes: dict[str, Any], **members: Any) -> tuple[float, str]:
    """Seconds until the task gives up, and what it says."""
    given = {"task_id": "t", **GIVEN.get(kind.__name__, {"request_id": REQUEST}), **modes}
    if "aws_conn_id" in kind.template_fields:
        given["aws_conn_id"] = "my_bucket"
    began = bench.clock.now
    with pytest.raises(UnknownStateError) as caught:
        bench.run(lambda: kind(**given), bench.context(**members))
    assert not isinstance(caught.value, AirflowFailException)
    assert bench.effects() == []
    return bench.clock.now - began, str(caught.value)


def modes_of(kind: Any) -> list[dict[str, Any]]:
    if "poke_interval" in kind.template_fields:
        return [{"deferrable": True}, {"deferrable": False}, {"deferrable": False, "mode": "reschedule"}]
    return [{"deferrable": True}, {"deferrable": False}] if "deferrable" in kind.template_fields else [{}]


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_it_is_said_in_the_first_minute(bench: Any, nobody: str, operator_class: Any, generation: str) -> None:
    if GENERATIONS.get(operator_class.__name__, generation) != generation:
        pytest.skip(f"{generation} has none")
    for modes in modes_of(operator_class):
        seconds, message = waited(bench, operator_class, modes)
        assert seconds < 60
        assert message.startswith(f"Nothing answers at {nobody}: connection refused.")
        assert "Check the host and auth_url of the Sentinel Hub connection" in message


@pytest.mark.parametrize("generation", ["v1"])
@pytest.mark.parametrize("kind", [kind for kind in operators() if kind.__name__ not in GENERATIONS])
def test_a_retry_waits(bench: Any, nobody: str, kind: Any, generation: str) -> None:
    modes = modes_of(kind)[-1]
    seconds, message = waited(bench, kind, {**modes, "max_unknown_time": 600}, try_number=2)
    assert 600 <= seconds < 800
    assert "connection refused" in message
