"""What a request must have left by its status is never taken for nothing; and whether a bucket could be read at all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.decide.due import Due
from airflow_sentinelhub.exceptions import ResultsError, SettingsError
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.root import execution_url, manifest_url
from airflow_sentinelhub.results.v2 import BatchResults
from tests.results.test_batch_results import URL, write
from tests.results.test_bucket import answering, reader, why

READS = ("counts", "total", "failed", "unfinished", "features", "tiles")
dues = pytest.mark.parametrize("due", list(Due))


def look(results: BatchResults, name: str) -> Any:
    found = getattr(results, name)()
    return found if isinstance(found, (dict, list, int)) else list(found)


def results_in(folder: Path, due: Due, **how: Any) -> BatchResults:
    return BatchResults("req-1", URL, BucketReader(mount=str(folder)), due=due, **how)


def remove(folder: Path, url: str) -> None:
    (folder / url.removeprefix("s3://")).unlink()


@dues
@pytest.mark.parametrize("name", READS)
def test_nothing_is_there(tmp_path: Path, due: Due, name: str) -> None:
    with results_in(tmp_path, due) as results:
        if due is Due.NOTHING or (due is Due.MANIFEST and name in ("failed", "unfinished")):
            assert not look(results, name)
            return
        missing = "feature manifest" if due is Due.MANIFEST else "execution database"
        with pytest.raises(ResultsError, match=f"req-1: there is no {missing} at s3://maps/ndvi/req-1/"):
            look(results, name)


@dues
def test_all_are_at_their_end(tmp_path: Path, due: Due) -> None:
    write(tmp_path, [("a", "x"), ("b", "x")], [("a", "DONE"), ("b", "FATAL")])
    with results_in(tmp_path, due) as results:
        assert results.counts() == {"PROCESSED": 1, "FAILED": 1}
        assert (results.failed(), results.unfinished()) == (["b"], [])


@dues
@pytest.mark.parametrize("name", [name for name in READS if name != "total"])
def test_some_are_not(tmp_path: Path, due: Due, name: str) -> None:
    states = [("a", "DONE"), ("b", "PENDING"), ("c", "NEW WORD"), ("d", "PENDING"), ("e", "PENDING")]
    write(tmp_path, [(name, "x") for name, _ in states], states)
    with results_in(tmp_path, due) as results:
        if due is not Due.WHOLE:
            look(results, name)
            assert results.unfinished(2) == [("b", "PENDING"), ("c", "NEW WORD")]
            return
        said = r"it is behind the request, .*: 4 of 5 .* not at their end \(b is PENDING, c is NEW WORD, d is PENDING\)"
        with pytest.raises(ResultsError, match=said):
            look(results, name)
        assert not results.checked


def test_a_database_without_features(tmp_path: Path) -> None:
    write(tmp_path, [("a", "x")], [])
    with results_in(tmp_path, Due.WHOLE) as results, pytest.raises(ResultsError, match="it has none"):
        results.counts()


def test_paths_need_the_manifest(tmp_path: Path) -> None:
    write(tmp_path, [("a", "x")], [("a", "DONE")])
    remove(tmp_path, manifest_url(URL, "req-1"))
    with results_in(tmp_path, Due.WHOLE) as results:
        assert [tile["name"] for tile in results.tiles()] == ["a"]
        with pytest.raises(ResultsError, match="no feature manifest"):
            list(results.tiles(with_paths=True))


def test_nothing_to_do_needs_no_database(tmp_path: Path) -> None:
    write(tmp_path, [("a", "x")], [])
    remove(tmp_path, execution_url(URL, "req-1"))
    with results_in(tmp_path, Due.MANIFEST, nothing_to_do=True) as results:
        assert results.counts() == {"PROCESSED": 1}


# Before a job is created


def test_a_mount(tmp_path: Path) -> None:
    BucketReader(mount=str(tmp_path)).ready("s3://maps/ndvi")
    with pytest.raises(SettingsError, match=r"there is no folder .*/gone, which bucket_mount names"):
        BucketReader(mount=str(tmp_path / "gone")).ready("s3://maps/ndvi")


def test_a_mount_by_url() -> None:
    pytest.importorskip("fsspec")
    BucketReader(mount="memory://mount").ready("gs://maps/ndvi")
    with pytest.raises(SettingsError, match="cannot be used"):
        BucketReader(mount="nobody-knows-this://x").ready("s3://maps/ndvi")


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    BucketReader().ready("s3://maps/<tileName>/<outputId>.<format>")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    BucketReader(key="a", secret="b", region="us-east-1").ready("s3://maps/ndvi")
    with pytest.raises(SettingsError, match=r"there are no S3 credentials.*aws_conn_id"):
        BucketReader(region="us-east-1").ready("s3://maps/ndvi")


def test_keys_that_cannot_be_fetched_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the machine may be there again when the job is done."""
    pytest.importorskip("boto3")
    from botocore.credentials import ContainerMetadataFetcher
    from botocore.exceptions import MetadataRetrievalError

    def refuse(*_: Any, **__: Any) -> None:
        raise MetadataRetrievalError(error_msg="busy")

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/none")
    monkeypatch.setattr(ContainerMetadataFetcher, "retrieve_full_uri", refuse)
    BucketReader(region="us-east-1").ready("s3://maps/ndvi")


def test_the_library_and_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, said in (("gs://maps/x", "set bucket_mount"), ("maps", "is not the URL")):
        with pytest.raises(SettingsError, match=said):
            BucketReader().ready(url)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match="needs boto3"):
        BucketReader().ready("s3://maps/ndvi")


# Errors that may pass


@pytest.mark.parametrize("status", ["498 Rate Limited", "500 Internal Server Error"])
def test_a_bucket_that_asks_to_slow_down(tmp_path: Path, status: str) -> None:
    """No reason to take the object for missing."""
    with answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        assert f"{url} answered {status[:3]}" in why(reader(url), "s3://maps/a", tmp_path)


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError])
def test_errors_of_whatever_kind(tmp_path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file system has its own."""
    fsspec = pytest.importorskip("fsspec")

    def refuse(*_: Any, **__: Any) -> None:
        raise error("hush")

    for name in ("get_file", "find"):
        monkeypatch.setattr(fsspec.get_filesystem_class("memory"), name, refuse)
    mounted = BucketReader(mount="memory://mount")
    text = why(mounted, "s3://maps/a.bin", tmp_path)
    assert text == f"s3://maps/a.bin cannot be read at memory://mount ({error.__name__})."
    with pytest.raises(ResultsError, match=error.__name__):
        list(mounted.list("s3://maps/"))
