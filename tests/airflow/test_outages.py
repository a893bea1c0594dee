"""An outage at any call of any operator is waited out; nothing is done twice for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import UnknownStateError, UnreadResultsError
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchBudgetOperator,
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubDeleteBatchCollectionOperator,
    SentinelHubDeleteBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubUpdateBatchCollectionOperator,
    SentinelHubUpdateBatchOperator,
)
from tests.airflow.job import RETRY, job, modes, v1

pytestmark = pytest.mark.thorough

OUTAGES: list[dict[str, Any]] = [
    {"kind": "status", "status": 503, "times": 12},
    {"kind": "drop_before", "times": 12},
    {"kind": "drop_after", "times": 5},
    {"kind": "truncate", "times": 5},
    {"kind": "html", "status": 502, "times": 5},
]
outages = pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage["kind"])


def met(bench: Any, outage: dict[str, Any]) -> bool:
    """Whether a fault was met as often as it was ordered. An empty reply cannot be cut off."""
    left = bench.faults_left()
    bench.sim.clear_faults()
    return not left or (outage["kind"] == "truncate" and left[0]["times"] < outage["times"])


def ended(bench: Any) -> str:
    return str(bench.ended())


def analysed(bench: Any) -> str:
    request_id = str(bench.create())
    bench.act(request_id, "analyse")
    bench.clock.sleep(60)
    return request_id


# Operator, what has to be there for it, and its arguments
STEPS: dict[str, tuple[type[Any], Callable[[Any], str], dict[str, Any]]] = {
    "budget": (SentinelHubBatchBudgetOperator, analysed, {"max_processing_units": 1000}),
    "update": (SentinelHubUpdateBatchOperator, lambda bench: str(bench.create()), {"description": "other"}),
    "delete": (SentinelHubDeleteBatchOperator, lambda bench: str(bench.create()), {}),
    "tiles": (SentinelHubListBatchTilesOperator, ended, {"with_paths": True}),
}
steps = pytest.mark.parametrize(
    ("generation", "step"),
    [("v1", step) for step in STEPS] + [("v2", step) for step in STEPS if step != "delete"],  # v2 cannot delete
    indirect=["generation"],
)


@steps
@outages
def test_a_step_waits_an_outage_out(bench: Any, step: str, outage: dict[str, Any]) -> None:
    cls, make, how = STEPS[step]
    request_id = make(bench)
    before, began = bench.mark(), bench.clock.now
    bench.sim.fault(path=request_id, **outage)

    result = bench.run(lambda: cls(task_id="step", request_id=request_id, **how))

    assert result
    assert met(bench, outage)
    assert bench.clock.now - began < 1800
    assert bench.effects(before) == {"delete": ["deleted"], "update": ["updated"]}.get(step, [])


@steps
def test_a_step_says_that_an_outage_did_not_end(bench: Any, step: str) -> None:
    cls, make, how = STEPS[step]
    request_id = make(bench)
    bench.sim.fault("status", request_id, status=503, times=None)
    with pytest.raises(UnknownStateError, match=f"{request_id}: Sentinel Hub was out of reach for 300 s"):
        bench.run(lambda: cls(task_id="step", request_id=request_id, max_unknown_time=300, **how))


# Tiles of v1, page by page


@v1
@modes
@pytest.mark.parametrize(
    "mishap",
    [*OUTAGES, *({"kind": "status", "status": status, "times": 3} for status in (302, 400, 401, 403, 404, 408, 425))],
    ids=lambda mishap: f"{mishap['kind']}-{mishap.get('status')}",
)
def test_a_job_is_judged_through_an_outage(bench: Any, deferrable: bool, mishap: dict[str, Any]) -> None:
    """The job is paid: whatever its tiles are answered with, there is no final error."""
    bench.sim.settings(page_size=5)
    bench.sim.fault(path="/tiles$", method="GET", **mishap)
    result = bench.run(job(bench, deferrable=deferrable))
    assert (result["processed"], result["failed"]) == (24, 0)
    assert bench.faults_left() == []
    assert bench.effects().count("billed_start") == 1


@v1
@pytest.mark.parametrize("status", [503, 403])
def test_a_job_whose_tiles_are_never_listed(bench: Any, status: int) -> None:
    bench.sim.fault("status", "/tiles$", method="GET", status=status, times=None)
    with pytest.raises(UnreadResultsError) as caught:
        bench.run(job(bench, max_unknown_time=300))
    (request,) = bench.sim.requests()
    assert f"Batch request {request['id']} is DONE and paid, but its results could not be read for " in str(
        caught.value
    )
    assert str(status) in str(caught.value)
    bench.sim.clear_faults()
    assert bench.run(job(bench), bench.context(**RETRY))["processed"] == 24
    assert bench.effects().count("billed_start") == 1


@v1
@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": []}])
def test_an_empty_list_of_tiles_is_no_success(bench: Any, body: Any) -> None:
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=3)
    assert bench.run(job(bench))["processed"] == 24
    bench.sim.fault("status", "/tiles$", method="GET", status=200, body=body, times=None)
    with pytest.raises(UnreadResultsError, match="the list of its tiles shows none"):
        bench.run(job(bench, max_unknown_time=60))


# Collections


@v1
@outages
def test_collections_are_managed_through_an_outage(bench: Any, outage: dict[str, Any]) -> None:
    def through(make: Callable[[], Any], path: str = "/collections", **more: Any) -> Any:
        bench.sim.fault(path=path, **outage)
        result = bench.run(make, **more)
        assert met(bench, outage)
        return result

    wanted = {"name": "maps", "s3Bucket": "bucket"}
    made = through(lambda: SentinelHubCreateBatchCollectionOperator(task_id="c", collection=wanted))
    assert [one["id"] for one in bench.hook.batch.iter_collections()] == [made], "one, and not two"
    through(lambda: SentinelHubUpdateBatchCollectionOperator(task_id="u", collection_id=made, name="atlas"))
    assert bench.hook.batch.get_collection(made)["name"] == "atlas"
    through(lambda: SentinelHubDeleteBatchCollectionOperator(task_id="d", collection_id=made))
    assert list(bench.hook.batch.iter_collections()) == []


@v1
def test_a_collection_is_never_made_twice(bench: Any) -> None:
    wanted = {"name": "maps", "s3Bucket": "bucket"}
    bench.sim.fault("drop_after", "/collections$", method="POST", times=1)
    bench.sim.fault("lag", "/collections$", method="GET", seconds=15, times=None)

    def create() -> Any:
        return SentinelHubCreateBatchCollectionOperator(task_id="c", collection=wanted)

    made = bench.run(create)
    assert len(bench.calls("POST", "/collections")) == 1
    assert bench.run(create, bench.context(try_number=2)) == made
    bench.sim.clear_faults()
    assert [one["id"] for one in bench.hook.batch.iter_collections()] == [made]


@v1
def test_an_outage_of_collections_that_does_not_end(bench: Any) -> None:
    bench.sim.fault("status", "/collections", status=503, times=None)
    wanted = {"name": "maps", "s3Bucket": "bucket"}
    tasks: list[Callable[[], Any]] = [
        lambda: SentinelHubCreateBatchCollectionOperator(task_id="c", collection=wanted, max_unknown_time=60),
        lambda: SentinelHubUpdateBatchCollectionOperator(
            task_id="u", collection_id="x", name="atlas", max_unknown_time=60
        ),
        lambda: SentinelHubDeleteBatchCollectionOperator(task_id="d", collection_id="x", max_unknown_time=60),
    ]
    for make in tasks:
        with pytest.raises(
            UnknownStateError, match=r"^Batch collection .* out of reach for 60 s .* Nothing of it is b"
        ):
            bench.run(make)


@v1
def test_what_is_wrong_with_a_collection_is_said(bench: Any) -> None:
    with pytest.raises(AirflowFailException, match="has no s3Bucket"):
        bench.run(lambda: SentinelHubCreateBatchCollectionOperator(task_id="c", collection={"name": "maps"}))
    with pytest.raises(AirflowFailException, match="has no name"):
        bench.run(lambda: SentinelHubUpdateBatchCollectionOperator(task_id="u", collection_id="x", name=""))
    assert bench.effects() == []
