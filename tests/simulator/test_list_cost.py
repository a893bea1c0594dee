"""Lists of a full account: what a page shows does not depend on how it is found, and its cost not on the account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import statistical, v1, v2
from airflow_sentinelhub.simulator.delivery import LocalBucket
from airflow_sentinelhub.simulator.handlers import Context, Handler
from airflow_sentinelhub.simulator.jobs import Generation, Job, Step
from airflow_sentinelhub.simulator.replies import Call
from airflow_sentinelhub.simulator.settings import Settings
from airflow_sentinelhub.simulator.world import World

PROCESS = {"input": {"bounds": {"bbox": [13, 45, 13.1, 45.1]}}, "evalscript": "//VERSION=3"}
BODY = {
    "input": {"type": "tiling-grid", "id": 0, "resolution": 10.0},
    "output": {"delivery": {"s3": {"url": "s3://bucket/x"}}},
    "processRequest": PROCESS,
    "tilingGrid": {"id": 0, "resolution": 10.0},
}
LISTS: list[tuple[Generation, Handler]] = [
    ("v1", v1.list_requests),
    ("v2", v2.list_tasks),
    ("statistical", statistical.list_requests),
]
STATUSES = ("CREATED", "DONE", "ANALYSING", "CREATED", "FAILED")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(settings=Settings(), speed=1, seed=1, bucket=LocalBucket(tmp_path), real=lambda: 1_800_000_000.0)


def fill(world: World, generation: Generation, count: int) -> list[Job]:
    jobs = []
    for number in range(count):
        job = world.new_job(generation, {**BODY, "description": f"job {number}"})
        jobs.append(job.changed(plan=(Step(job.created, STATUSES[number % len(STATUSES)]),)))
        world.keep(jobs[-1])
    return jobs


def listed(world: World, handler: Handler, **query: str) -> tuple[list[str], Any]:
    call = Call("GET", "/list", tuple(query.items()), base="http://x", now=world.now, seen=world.now)
    body = handler(Context(world, call, {})).body
    return [item["id"] for item in body["data"]], body["links"].get("nextToken")


@pytest.mark.parametrize(("generation", "handler"), LISTS)
@pytest.mark.parametrize("sort", [None, "created", "created:desc", "status", "status:desc"])
def test_pages_are_those_of_the_sorted_account(
    world: World, generation: Generation, handler: Handler, sort: str | None
) -> None:
    jobs = fill(world, generation, 230)
    for other, _ in LISTS:
        if other != generation:
            fill(world, other, 3)
    for gone in jobs[7:20:3]:
        world.keep(gone.changed(deleted=world.now - 1))
    world.keep(jobs[0].changed(planned_pu=1.0))  # what is changed keeps its place
    left = [job for job in jobs if job not in jobs[7:20:3]]
    by_status = sort is not None and sort.startswith("status")
    left.sort(
        key=lambda job: (job.status(world.now) if by_status else "", job.number),
        reverse=sort is not None and sort.endswith("desc"),
    )
    found: list[str] = []
    token: str | None = "0"
    while token is not None:
        ids, token = listed(world, handler, viewtoken=token, **({"sort": sort} if sort else {}))
        found += ids
    assert found == [job.id for job in left]
    assert listed(world, handler, viewtoken=str(len(left))) == ([], None)
    world.reset()
    assert listed(world, handler) == ([], None)


@pytest.mark.parametrize(("generation", "handler"), LISTS)
def test_a_page_looks_only_at_the_requests_that_it_shows(
    world: World, generation: Generation, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world, generation, 1000)
    looked: list[str] = []
    exists = Job.exists
    monkeypatch.setattr(Job, "exists", lambda job, at: looked.append(job.id) or exists(job, at))
    ids, _ = listed(world, handler, sort="created:desc")
    assert len(ids) == 100
    assert len(looked) <= 102


def test_a_call_looks_for_files_of_ended_requests_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = fill(world, "v2", 10)
    looked: list[str] = []
    update = world.deliveries.update
    monkeypatch.setattr(world.deliveries, "update", lambda job, at: looked.append(job.id) or update(job, at))
    ended = {job.id for job in jobs if job.status(world.now) in ("DONE", "FAILED")}
    world.record({"request_id": None})
    assert set(looked) == ended
    world.record({"request_id": None})
    assert len(looked) == len(ended)
    world.keep(world.jobs[min(ended)].changed(planned_pu=1.0))  # it has changed: looked at once more
    world.record({"request_id": None})
    assert len(looked) == len(ended) + 1
