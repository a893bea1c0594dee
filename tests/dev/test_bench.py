"""`make bench`, in small: ten waits, without the clients of others."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.service import v1, v2
from dev.bench import report
from dev.bench.__main__ import main, slot_seconds, tiles_of
from dev.bench.service import Service, identifier


@pytest.mark.slow
def test_ten_waits_are_measured_and_written_down(tmp_path: Path) -> None:
    page = tmp_path / "at-scale.md"
    page.write_text(f"# By a person\n\n{report.BEGIN}\nold\n{report.END}\n\nMore of theirs.\n")
    small = ["--jobs", "10", "--many", "12", "--interval", "1", "--seconds", "1", "--only-ours", "--only-waits"]
    assert main([*small, "--output", str(tmp_path)]) == 0
    text = page.read_text()
    assert text.startswith("# By a person\n")
    assert text.endswith("More of theirs.\n")
    assert "old" not in text
    assert "| calls a minute, 10 waiting at 1 s |" in text
    assert "| restart with 12 waiting: all are read;" in text
    assert "| detection of the end: median; latest |" in text
    assert "among 100 requests, a first try | 4 | " in text
    ElementTree.fromstring((tmp_path / "at-scale.svg").read_text())


def test_what_tile_sensors_visits_and_the_vendor_take_is_in_the_table_and_the_picture() -> None:
    poll = {"calls": 3.0, "bytes": 30_000.0, "cpu": 0.02, "files": 22.0}
    vendor = {**poll, "calls": 1001.0, "memory": 77_000_000, "import": 0.5, "interval": 120}
    calls = {"list": 20, "single": 0, "limited": 0, "bytes": 100_000}
    side = {"calls": calls, "seconds": 20.0, "readings": 2000, "cpu": 0.1, "oldest": 9.0, "all_read": 1.0}
    side |= {"burst_lag": {"p99": 5.0, "max": 40.0}, "burst_collection": 30.0, "memory": 9_000.0}
    found: dict[str, Any] = {"jobs": 1000, "many_jobs": 5000, "interval": 10.0, "latency": 0.05, "delays": []}
    found |= dict.fromkeys(("ours", "many", "limited ours"), side)
    found |= {
        "slot": [2.0, 3.0, 1.0],
        "sizes": [100_000],
        "vendor 3.11.1 100000": vendor,
        "vendor 3.12.0 100000": poll | vendor,
    }
    found["tiles 100000"] = {"all": poll, "share": poll, "first": {**poll, "files": 48e6}, "unchanged": poll}
    found |= {"create today": {"calls": 4}, "parse alone": 1.5, "parse ours": 1.7, "parse vendor alone": 0.1}
    found |= {"parse vendor": 0.9}
    text = report.table(found)
    assert (
        "| 100,000 tiles, v1, a poll for tiles: calls, KiB, CPU ms, for all | 3, 29, 20 | vendor 3.11.1: 1,001," in text
    )
    assert "ratio of calls 1/334" in text
    assert "48.0 MB of files" in text
    assert "| worker-slot seconds per job hour (3 visits, each with its process) | 6.0 |" in text
    assert "3,600; ratio 1/600" in text
    assert "among 10,000 requests, a first try | 4 | " in text
    assert "| 0.20 | vendor 3.12.0: 0.80; ratio 1/4 |" in text
    picture = report.picture(found)
    ElementTree.fromstring(picture)
    assert "worker-slot seconds per job hour" in picture


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_poll_for_tiles_takes_few_calls_and_reads_no_unchanged_file() -> None:
    found = tiles_of(1200, polls=2)
    assert found["all"]["calls"] <= 6
    assert found["share"]["calls"] <= 6
    assert found["first"]["files"] > 100_000
    assert found["unchanged"]["calls"] == 1
    assert found["unchanged"]["files"] < 10_000


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_job_visits_its_worker_slot_three_times() -> None:
    assert len(slot_seconds()) == 3


def test_the_service_limits_its_calls_and_ends_its_jobs() -> None:
    service = Service(250, limit=60, ends=(0.0, 100.0))
    now = service.began + 50.1
    assert '"status": "DONE"' in service.entry(0, now)
    assert '"status": "PROCESSING"' in service.entry(249, now)
    statuses = [service.reply("GET", "/api/v2/batch/process")[0] for _ in range(80)]
    assert statuses[:60] == [200] * 60
    assert service.asked["limited"] == statuses.count(429) >= 15


@pytest.mark.parametrize(("begin", "count", "more"), [(0, 100, True), (200, 50, False)])
def test_the_service_answers_pages_as_the_real_one(begin: int, count: int, more: bool) -> None:
    service = Service(250)
    page = v2.list_requests().parse(json.loads(service.page(begin, service.began)))
    assert [job.request_id for job in page.items] == [identifier(begin + index) for index in range(count)]
    assert (page.next_token is not None) == more


def test_the_service_lists_the_tiles_of_a_v1_job_as_the_real_one() -> None:
    service = Service(1, tiles=1234)
    root = f"/api/v1/batch/process/{identifier(0)}"
    job = v1.get_request(identifier(0)).parse(json.loads(service.reply("GET", root)[1]))
    assert (job.tile_count, job.status.value) == (1234, "PROCESSING")
    seen, query = list[str](), ""
    while True:
        page = v1.list_tiles(identifier(0)).parse(json.loads(service.reply("GET", f"{root}/tiles{query}")[1]))
        seen += [tile["status"] for tile in page.items]
        if page.next_token is None:
            break
        query = f"?viewtoken={page.next_token}"
    assert len(seen) == 1234
    for status in {*seen}:
        listed = v1.list_tiles(identifier(0)).parse(
            json.loads(service.reply("GET", f"{root}/tiles?status={status}")[1])
        )
        assert len(listed.items) == min(seen.count(status), 100)


def test_the_service_lists_what_was_created_first() -> None:
    service = Service(250, own={"120": "the task's own"})
    body = json.dumps({"description": "new"}).encode()
    created = v2.get_request(identifier(-1)).parse(json.loads(service.reply("POST", "/api/v2/batch/process", body)[1]))
    page = v2.list_requests().parse(json.loads(service.page(0, service.began)))
    assert (page.items[0].request_id, page.items[0].description) == (created.request_id, "new")
    older = v2.list_requests().parse(json.loads(service.page(100, service.began)))
    assert older.items[20].description == "the task's own"
    times = [job.created for job in (*page.items, *older.items) if job.created is not None]
    assert times == sorted(times, reverse=True)
    status, text = service.reply("GET", f"/api/v2/batch/process/{created.request_id}")
    assert status == 200
    assert json.loads(text)["id"] == created.request_id
