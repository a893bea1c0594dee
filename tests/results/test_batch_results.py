"""Results of whole jobs: what the simulator left, through a folder and through S3; and joins of every kind."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.root import execution_url, manifest_url
from airflow_sentinelhub.results.v2 import BatchResults

URL = "s3://maps/ndvi"


@pytest.fixture
def reader(simulator: Any) -> BucketReader:
    return BucketReader(mount=str(simulator.bucket_dir))


class TestLife:
    """One job, looked at from its creation to its end."""

    def test_before_analysis_there_is_nothing(self, jobs: Any, reader: BucketReader) -> None:
        with BatchResults(jobs.create(), URL, reader) as results:
            assert results.counts() == {}
            assert results.total() == 0
            assert list(results.tiles()) == []
            assert results.failed() == []

    def test_after_analysis_all_are_pending(self, jobs: Any, reader: BucketReader) -> None:
        request_id = jobs.create()
        jobs.act(request_id, "analyse")
        jobs.simulator.step(60)
        with BatchResults(request_id, URL, reader) as results:
            assert results.counts() == {"PENDING": 6}
            names = [tile["name"] for tile in results.tiles("PENDING")]
            assert names == sorted(names)
            assert len(names) == 6
            assert not results.checked

    def test_while_it_is_processed(self, jobs: Any, reader: BucketReader) -> None:
        jobs.simulator.settings(concurrency=1, tile_jitter=0)
        request_id = jobs.create()
        jobs.act(request_id, "start")
        seen = []
        for _ in range(12):
            jobs.simulator.step(30)
            with BatchResults(request_id, URL, reader) as results:
                counts = results.counts()
                assert sum(counts.values()) in (0, 6)
                seen.append(counts.get("PROCESSED", 0))
        assert seen == sorted(seen)
        assert {0, 6} <= set(seen)
        assert len(set(seen)) > 3

    def test_done(self, jobs: Any, reader: BucketReader) -> None:
        request_id = jobs.finished()
        with BatchResults(request_id, URL, reader) as results:
            assert results.checked
            assert results.reason is None
            assert results.counts() == {"PROCESSED": 6}
            first = next(results.tiles())
        name = first["name"]
        assert first == {
            "name": name,
            "status": "PROCESSED",
            "paths": {
                "ndvi": f"s3://maps/ndvi/{request_id}/{name}/ndvi.tif",
                "userdata": f"s3://maps/ndvi/{request_id}/{name}/userdata.json",
            },
        }

    def test_done_with_failed_features(self, jobs: Any, reader: BucketReader) -> None:
        """The service says DONE; only the database knows better."""
        jobs.simulator.fault("fail_tiles", "/start", share=0.4)
        with BatchResults(jobs.finished(), URL, reader) as results:
            assert results.counts() == {"PROCESSED": 4, "FAILED": 2}
            failed = results.failed()
            assert len(failed) == 2
            assert results.failed(limit=1) == failed[:1]
            tiles = list(results.tiles("FAILED"))
            assert [tile["name"] for tile in tiles] == failed
            assert all(tile["error"] for tile in tiles)
            assert len(list(results.tiles("PROCESSED"))) == 4

    def test_no_data(self, jobs: Any, reader: BucketReader) -> None:
        """Nothing to deliver is no failure, and no path leads to a file that is not there."""
        jobs.simulator.settings(no_data_share=0.3)
        with BatchResults(jobs.finished(), URL, reader) as results:
            assert results.counts() == {"PROCESSED": 6}
            empty = [tile for tile in results.tiles() if tile.get("no_data")]
            assert len(empty) == 2
            assert all(tile["paths"] == {} and tile["status"] == "PROCESSED" for tile in empty)
            assert [feature.name for feature in results.features() if feature.no_data] == [
                tile["name"] for tile in empty
            ]

    def test_everything_existed_already(self, jobs: Any, reader: BucketReader) -> None:
        url = "s3://maps/once/<tileName>/<outputId>.<format>"
        jobs.finished(url)
        request_id = jobs.create(url, skipExisting=True)
        jobs.act(request_id, "analyse")
        jobs.simulator.step(60)
        assert (jobs.task(request_id)["status"], jobs.task(request_id)["costPU"]) == ("DONE", 0)
        with BatchResults(request_id, url, reader, nothing_to_do=True) as results:
            assert results.checked
            assert results.counts() == {"PROCESSED": 6}
            assert results.failed() == []
            assert {tile["status"] for tile in results.tiles()} == {"PROCESSED"}

    def test_items_fit_into_xcom(self, jobs: Any, reader: BucketReader) -> None:
        with BatchResults(jobs.finished(), URL, reader) as results:
            tiles = list(results.tiles())
        assert json.loads(json.dumps(tiles)) == tiles


class TestWhatCannotBeRead:
    def test_not_there(self, jobs: Any, reader: BucketReader) -> None:
        jobs.simulator.settings(execution_missing=True)
        request_id = jobs.finished()
        with BatchResults(request_id, URL, reader) as results:
            assert not results.checked
            assert results.reason is not None
            assert request_id in results.reason
            assert execution_url(URL, request_id) in results.reason
            assert results.counts() == {"PENDING": 6}

    @pytest.mark.parametrize(
        ("setting", "why"),
        [("execution_truncated", "only half of it has been uploaded"), ("execution_other_schema", "another schema")],
    )
    def test_broken(self, jobs: Any, reader: BucketReader, setting: str, why: str) -> None:
        jobs.simulator.settings(**{setting: True})
        request_id = jobs.finished()
        with BatchResults(request_id, URL, reader) as results:
            assert not results.checked
            assert why in str(results.reason)
            for read in (results.counts, results.failed, lambda: list(results.tiles())):
                with pytest.raises(ResultsError, match=why) as caught:
                    read()  # type: ignore[operator]
                assert request_id in str(caught.value)
                assert caught.value.retry_helps
        jobs.simulator.settings(**{setting: False})
        with BatchResults(request_id, URL, reader) as results:
            assert results.checked, "the next upload is whole"

    def test_without_a_manifest_names_and_statuses_are_known(self, jobs: Any, reader: BucketReader) -> None:
        jobs.simulator.settings(manifest_missing=True)
        jobs.simulator.fault("fail_tiles", "/start", share=0.2)
        with BatchResults(jobs.finished(), URL, reader) as results:
            assert results.checked
            assert results.total() == 6
            assert results.counts() == {"PROCESSED": 5, "FAILED": 1}
            assert {json.dumps(tile["paths"]) for tile in results.tiles()} == {"{}"}

    def test_the_bucket(self, tmp_path: Path) -> None:
        with BatchResults("req-1", URL, BucketReader(mount=str(tmp_path / "gone"))) as results:
            assert not results.checked
            assert "req-1" in str(results.reason)
            assert "there is no folder" in str(results.reason)
            with pytest.raises(ResultsError, match="req-1"):
                results.counts()

    def test_settings_that_cannot_work(self) -> None:
        """`checked` never raises: a verdict must say why it could not look."""
        with BatchResults("req-1", "gs://maps/x", BucketReader()) as results:
            assert not results.checked
            assert "bucket_mount" in str(results.reason)


class TestS3:
    @pytest.mark.thorough
    def test_through_the_real_protocol(self, s3_jobs: Any, s3: str) -> None:
        s3_jobs.simulator.fault("fail_tiles", "/start", share=0.2)
        request_id = s3_jobs.finished()
        reader = BucketReader(endpoint_url=s3, key="a", secret="b", region="us-east-1")
        with BatchResults(request_id, URL, reader) as results:
            assert results.checked
            assert results.counts() == {"PROCESSED": 5, "FAILED": 1}
            assert len(list(results.tiles())) == 6
        assert f"s3://maps/ndvi/{request_id}/request-{request_id}.json" in list(reader.list(URL))

    @pytest.mark.slow
    def test_outputs_are_there(self, s3_jobs: Any, s3: str, tmp_path: Path) -> None:
        s3_jobs.simulator.settings(write_images=True)
        reader = BucketReader(endpoint_url=s3, key="a", secret="b", region="us-east-1")
        with BatchResults(s3_jobs.finished(), URL, reader) as results:
            for tile in results.tiles("PROCESSED"):
                found = reader.fetch(tile["paths"]["ndvi"], tmp_path)
                assert found is not None
                assert found.read_bytes()[:4] == b"II*\0"

    def test_no_bucket(self, s3: str) -> None:
        reader = BucketReader(endpoint_url=s3, key="a", secret="b", region="us-east-1")
        with BatchResults("req-1", URL, reader) as results:
            assert str(results.reason).startswith("Batch request req-1: s3://maps/ndvi/")
            assert "no such bucket" in str(results.reason)


def test_copies_go_with_the_object(jobs: Any, reader: BucketReader) -> None:
    results = BatchResults(jobs.finished(), URL, reader)
    results.counts()
    folder = results._folder
    assert folder is not None
    assert folder.exists()
    del results
    assert not folder.exists()


# Joins


def write(mount: Path, listed: list[tuple[str, str]], states: list[tuple[str, str]]) -> BatchResults:
    """A made-up job: (name, output) rows of the manifest, (name, status) rows of the database, as they come."""
    files = {manifest_url(URL, "req-1"): listed, execution_url(URL, "req-1"): states}
    for url, rows in files.items():
        path = mount / url.removeprefix("s3://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA synchronous = OFF")
            if rows is listed:
                database.execute(
                    "CREATE TABLE feature_32631 (fid INTEGER PRIMARY KEY, outputId TEXT, identifier TEXT, path TEXT, "
                    "width INTEGER, height INTEGER, geometry BLOB)"
                )
                into = (
                    "INSERT INTO feature_32631 (identifier, outputId, path, width, height, geometry) "
                    "VALUES (?1, ?2, 's3://maps/ndvi/' || ?1 || '/' || ?2 || '.tif', 100, 100, zeroblob(200))"
                )
            else:
                database.execute(
                    "CREATE TABLE features (id INTEGER, name TEXT, status TEXT, error TEXT, delivered BOOLEAN)"
                )
                into = "INSERT INTO features (name, status, delivered) VALUES (?1, ?2, ?2 = 'DONE')"
            database.executemany(into, rows)
            database.commit()
    return BatchResults("req-1", URL, BucketReader(mount=str(mount)))


_NAMES = st.text(st.sampled_from("abAÄ\uffff😀_1"), min_size=1, max_size=3)
_STATES = st.dictionaries(_NAMES, st.sampled_from(["PENDING", "DONE", "FATAL", "NEW WORD"]), max_size=8)
_LISTED = st.dictionaries(_NAMES, st.sets(st.sampled_from(["x", "y"]), min_size=1), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_LISTED, _STATES, st.randoms(use_true_random=False))
@pytest.mark.thorough
def test_any_two_files_join_by_name(tmp_path: Path, listed: Any, states: dict[str, str], order: Any) -> None:
    rows = [(name, output) for name, outputs in listed.items() for output in outputs]
    kept = list(states.items())
    order.shuffle(rows)
    order.shuffle(kept)
    with write(tmp_path, rows, kept) as results:
        found = {feature.name: (feature.status, set(feature.paths)) for feature in results.features()}
    assert list(found) == sorted({*listed, *states})
    assert found == {name: (states.get(name, "PENDING"), listed.get(name, set())) for name in {*listed, *states}}


def test_a_name_twice_is_an_error_not_a_guess(tmp_path: Path) -> None:
    with (
        write(tmp_path, [("a", "x")], [("a", "DONE"), ("a", "FATAL")]) as results,
        pytest.raises(ResultsError, match=r"req-1.*'a' is listed twice"),
    ):
        list(results.features())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_LISTED, _STATES, _NAMES)
@pytest.mark.thorough
def test_one_tile_is_what_the_whole_list_says_of_it(tmp_path: Path, listed: Any, states: Any, name: str) -> None:
    rows = [(one, output) for one, outputs in listed.items() for output in outputs]
    with write(tmp_path, rows, list(states.items())) as results:
        said = {tile["name"]: tile["status"] for tile in results.tiles()}
        assert {one: results.tile_status(one) for one in {*said, name}} == {name: None, **said}


def test_one_tile_twice_is_an_error_not_a_guess(tmp_path: Path) -> None:
    with (
        write(tmp_path, [("a", "x")], [("a", "DONE"), ("a", "FATAL")]) as results,
        pytest.raises(ResultsError, match=r"req-1.*'a' is listed twice"),
    ):
        results.tile_status("a")


def test_one_tile_that_the_database_contains_needs_no_manifest(tmp_path: Path) -> None:
    with write(tmp_path, [("a", "x"), ("b", "x")], [("a", "DONE")]) as results:
        assert results.tile_status("a") == "PROCESSED"
        assert list(results._reader.fetched) == [execution_url(URL, "req-1")]
        assert results.tile_status("b") == "PENDING"


@pytest.mark.thorough
def test_one_tile_of_many_is_found_without_reading_the_others(many: BatchResults) -> None:
    from airflow_sentinelhub.results import execution

    with pytest.MonkeyPatch.context() as patched:
        patched.delattr(execution, "read_states")
        assert many.tile_status("32T001000") == "FAILED"
        assert many.tile_status("no such") is None


@pytest.mark.parametrize("declared", ["TEXT", "TEXT COLLATE NOCASE", "INTEGER", ""])
def test_one_tile_by_a_name_that_is_kept_in_another_form(tmp_path: Path, declared: str) -> None:
    from airflow_sentinelhub.results import execution

    file = tmp_path / "execution.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"CREATE TABLE features (name {declared}, status TEXT, error TEXT, delivered BOOLEAN)")
        names = [7, "08", "a", "A", "9" * 30] if declared == "TEXT" else [7, "a", "A"]
        database.executemany("INSERT INTO features VALUES (?1, ?1, NULL, 1)", [(name,) for name in names])
        database.commit()
    source = execution.source(file, "req-1")
    kept = {state.name for state in execution.read_states(source)}
    for name in {"7", "07", "8", "08", "a", "A", "9" * 30, *kept}:
        state = execution.state_of(source, name)
        assert (None if state is None else state.status) == (name if name in kept else None)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchResults]:
    """100,000 features with two outputs each, one in a thousand failed."""
    names = [f"32T{number:06}" for number in range(100_000)]
    listed = [(name, output) for output in ("ndvi", "mask") for name in reversed(names)]
    states = [(name, "DONE" if number % 1000 else "FATAL") for number, name in enumerate(names)]
    with write(tmp_path_factory.mktemp("many"), listed, states) as results:
        yield results


@pytest.mark.thorough
@pytest.mark.slow
def test_many_features_need_little_memory(many: BatchResults) -> None:
    many.total()  # fetched; what is measured is the reading
    tracemalloc.start()
    try:
        count = sum(1 for tile in many.tiles() if len(tile["paths"]) == 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 100_000
    assert peak < 1_000_000


@pytest.mark.thorough
def test_many_features_are_counted_without_being_read(many: BatchResults) -> None:
    tracemalloc.start()
    try:
        counts, failed = many.counts(), many.failed()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts == {"PROCESSED": 99_900, "FAILED": 100}
    assert failed[:2] == ["32T000000", "32T001000"]
    assert len(failed) == 100
    assert peak < 1_000_000
