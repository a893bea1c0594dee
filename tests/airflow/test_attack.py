"""Combinations that have paid twice, left a job running, or thrown a paid one away: maps, late ends, odd lists."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from tests.airflow.conftest import TI
from tests.airflow.job import RETRY, job, v2
from tests.airflow.test_edits import killed, starts

pytestmark = pytest.mark.thorough

FOREIGN = "00000000-0000-4000-8000-000000000000"


def deferred(bench: Any, make: Any, context: Any) -> str:
    """Run until it defers; the id of its request."""
    with pytest.raises(BaseException) as left:  # noqa: PT011
        make().execute(context)
    assert type(left.value).__name__ == "TaskDeferred"
    return str(context["ti"].xcoms["request_id"])


class Mapped(TI):
    """Pulls as Airflow does: without a map index it gets what all of the mapped tasks have pushed."""

    others: ClassVar[list[dict[str, Any]]] = []

    def xcom_pull(self, *_: Any, key: str = "return_value", map_indexes: Any = "all", **__: Any) -> Any:
        if map_indexes == self.map_index:
            return self.xcoms.get(key)
        found = [xcoms[key] for xcoms in (*self.others, self.xcoms) if key in xcoms]
        return found[0] if len(found) == 1 else found


def test_a_mapped_task_ends_its_own_request_where_no_triggerer_has_seen_the_deadline(bench: Any) -> None:
    bench.sim.settings(tile_seconds=4000.0)
    context = bench.context()
    others = [{"sentinelhub_request": {"request_id": FOREIGN, "batch_api": bench.api, "place": {}}}]
    context["ti"] = context["task_instance"] = Mapped(bench.clock, map_index=1, others=others)
    make = job(bench, deferrable=True, timeout=600)
    request_id = deferred(bench, make, context)
    bench.act(request_id, "start")
    bench.clock.sleep(1000)
    with pytest.raises(AirflowFailException, match=request_id):
        make().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert bench.status(request_id) in ("CANCELED", "STOPPED")


@pytest.mark.parametrize("failed", [False, True])
def test_what_has_ended_while_no_triggerer_was_there_is_judged(bench: Any, failed: bool) -> None:
    """A final error would leave only a clear, which pays for the whole job again."""
    if failed:
        bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=None)
    context = bench.context()
    make = job(bench, deferrable=True, timeout=600)
    request_id = deferred(bench, make, context)
    bench.act(request_id, "start")
    bench.clock.sleep(1000)
    if failed:
        with pytest.raises(Exception, match=r"1 of .* tiles failed"):
            make().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    else:
        result = make().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        assert (result["request_id"], result["status"]) == (request_id, "DONE")
    assert starts(bench) == 1


def test_a_limit_that_has_become_nothing_does_not_hide_that_the_given_request_is_at_work(bench: Any) -> None:
    request_id = bench.started()
    bench.clock.sleep(90)

    def rendered() -> Any:
        task = job(bench, request_id=request_id, max_processing_units="{{ var.value.limit }}")()
        task.max_processing_units = None
        return task

    with pytest.raises(Exception, match=f"max_processing_units .*{request_id} is PROCESSING") as caught:
        bench.run(rendered)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_request_that_the_list_shows_at_work_is_there_though_reading_it_finds_nothing(bench: Any) -> None:
    bench.sim.settings(tile_seconds=400.0)
    killed(bench, job(bench), bench.context())
    (request,) = bench.sim.requests()
    bench.sim.fault(kind="status", status=404, method="GET", path=f"/process/{request['id']}$", times=None)
    with pytest.raises(Exception, match=request["id"]) as caught:
        bench.run(job(bench, max_unknown_time=600), bench.context(**RETRY))
    assert not isinstance(caught.value, AirflowFailException)
    bench.sim.clear_faults()
    bench.sim.fault(kind="status", status=404, method="GET", path=f"/process/{request['id']}$", times=20)
    assert bench.run(job(bench), bench.context(try_number=3, max_tries=3))["request_id"] == request["id"]
    assert starts(bench) == 1


@v2
@pytest.mark.parametrize("created", ["2020-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_list_that_is_out_of_order_is_read_on(bench: Any, created: str) -> None:
    """One old request of somebody else in front of ours does not end the search."""
    killed(bench, job(bench), bench.context())
    (request,) = bench.sim.requests()
    ours = bench.shown(request["id"])
    other = {**ours, "id": FOREIGN, "request": {"description": "x"}, "created": created}
    page = {"data": [other, ours], "links": {}}
    bench.sim.fault(kind="status", status=200, method="GET", path=r"/process$", body=page, times=None)
    result = bench.run(job(bench), bench.context(**RETRY))
    assert result["request_id"] == request["id"]
    assert starts(bench) == 1
