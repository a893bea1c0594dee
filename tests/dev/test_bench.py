"""`make bench`, in small: ten waits, without the clients of others."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from airflow_sentinelhub.api.service import v2
from dev.bench import report
from dev.bench.__main__ import main
from dev.bench.service import Service, identifier


def test_ten_waits_are_measured_and_written_down(tmp_path: Path) -> None:
    page = tmp_path / "at-scale.md"
    page.write_text(f"# By a person\n\n{report.BEGIN}\nold\n{report.END}\n\nMore of theirs.\n")
    small = ["--jobs", "10", "--many", "12", "--interval", "1", "--seconds", "1", "--only-ours"]
    assert main([*small, "--output", str(tmp_path)]) == 0
    text = page.read_text()
    assert text.startswith("# By a person\n")
    assert text.endswith("More of theirs.\n")
    assert "old" not in text
    assert "| calls a minute, 10 waiting at 1 s |" in text
    assert "| restart with 12 waiting: all are read;" in text
    assert "| detection of the end: median; latest |" in text
    ElementTree.fromstring((tmp_path / "at-scale.svg").read_text())


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
