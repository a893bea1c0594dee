"""The map of a statistical job: its features instead of tiles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sentinelhub.hooks import job_map


def made(bench: Any, request_id: str) -> Any:
    return bench.hook.map(request_id, batch_api="statistical", aws_conn_id="my_bucket")


def names(bench: Any, request_id: str) -> set[str]:
    return set(bench.results(request_id).expected.values())


def test_features_are_drawn_where_they_are(bench: Any) -> None:
    request_id = bench.ended()
    found = made(bench, request_id)
    table = found.known.table
    assert set(table.names) == names(bench, request_id)
    assert table.unplaced == 0
    assert set(table.statuses) <= {"PROCESSED", "FAILED"}
    assert all(-180 <= x <= 180 and -90 <= y <= 90 for _, ring in table.rings for x, y in ring)
    assert "hush" not in found.html()


def test_before_the_end_those_with_a_file_are_done(bench: Any) -> None:
    request_id = bench.create()
    table = made(bench, request_id).known.table
    assert set(table.names) == names(bench, request_id)
    assert set(table.statuses) == {"PENDING"}


@pytest.mark.parametrize("most", [500, 1])
def test_what_a_stopped_request_has_not_processed_has_not_failed(
    bench: Any, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(job_map, "MOST_FILES", most)
    request_id = bench.started()
    bench.hook.statistical.stop_job(request_id)
    bench.clock.sleep(600)
    found = made(bench, request_id)
    assert str(found.known.job.status) == "STOPPED"
    assert set(found.known.table.statuses) == {"PENDING"}
    items = [feature.as_item() for feature in bench.results(request_id).features()]
    assert items
    assert not any("error" in item for item in items)
    assert {item["status"] for item in items} == {"PENDING"}


@pytest.mark.parametrize("most", [500, 1])
def test_a_feature_of_a_done_request_without_a_file_has_failed(
    bench: Any, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(job_map, "MOST_FILES", most)
    request_id = bench.ended()
    lost = next(iter(bench.results(request_id).urls()))
    (bench.sim.bucket_dir / lost.removeprefix("s3://")).unlink()
    table = made(bench, request_id).known.table
    assert sorted(set(table.statuses)) == ["FAILED", "PROCESSED"]
    assert list(table.statuses).count("FAILED") == 1


def test_of_many_features_only_the_files_are_looked_for(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = bench.ended()
    monkeypatch.setattr(job_map, "MOST_FILES", 1)
    table = made(bench, request_id).known.table
    assert set(table.names) == names(bench, request_id)
    assert "PROCESSED" in table.statuses
    json.dumps(table.as_json(), allow_nan=False)
