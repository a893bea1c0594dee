"""Objects in a folder, behind fsspec, and behind the real S3 protocol; and what is said when they cannot be read."""

from __future__ import annotations

import gc
import importlib
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import ResultsError, SettingsError
from airflow_sentinelhub.results.bucket import BucketReader
from tests import plain_http

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


def s3_client(url: str, **keys: str) -> Any:
    boto3 = pytest.importorskip("boto3")
    return boto3.session.Session().client("s3", endpoint_url=url, region_name="us-east-1", **keys)


def put(url: str, bucket: str, **objects: bytes) -> None:
    client = s3_client(url)
    client.create_bucket(Bucket=bucket)
    for key, content in objects.items():
        client.put_object(Bucket=bucket, Key=key.replace("__", "/"), Body=content)


def reader(url: str, **changes: Any) -> BucketReader:
    return BucketReader(**{"endpoint_url": url, "key": "AKIA", "secret": SECRET, "region": "us-east-1", **changes})


def why(found: BucketReader, url: str, folder: Path) -> str:
    """The one sentence it says; never with a secret in it."""
    with pytest.raises(ResultsError) as caught:
        found.fetch(url, folder)
    text = str(caught.value)
    assert text.startswith(url)
    assert "\n" not in text
    for shown in (text, repr(found), repr(caught.value)):
        assert SECRET not in shown
    assert list(folder.iterdir()) == [] or (folder / url.rpartition("/")[2]).exists()
    return text


class TestFolder:
    @pytest.mark.thorough
    def test_an_object(self, tmp_path: Path) -> None:
        (tmp_path / "mount/maps/a").mkdir(parents=True)
        (tmp_path / "mount/maps/a/b.bin").write_bytes(b"content")
        (tmp_path / "to").mkdir()
        found = BucketReader(mount=str(tmp_path / "mount")).fetch("s3://maps/a/b.bin", tmp_path / "to")
        assert found == tmp_path / "to/b.bin"
        assert found.read_bytes() == b"content"

    @pytest.mark.parametrize("url", ["s3://maps/none", "s3://none/b.bin", "s3://maps/a/b.bin/deeper"])
    def test_no_such_object(self, tmp_path: Path, url: str) -> None:
        (tmp_path / "mount/maps/a").mkdir(parents=True)
        (tmp_path / "mount/maps/a/b.bin").write_bytes(b"content")
        assert BucketReader(mount=str(tmp_path / "mount")).fetch(url, tmp_path) is None

    def test_no_such_mount(self, tmp_path: Path) -> None:
        """A forgotten volume must not look like a job without results."""
        (tmp_path / "to").mkdir()
        text = why(BucketReader(mount=str(tmp_path / "gone")), "s3://maps/a", tmp_path / "to")
        assert text.endswith(f"there is no folder {tmp_path / 'gone'}.")

    def test_a_folder_in_the_place_of_an_object(self, tmp_path: Path) -> None:
        (tmp_path / "mount/maps/a").mkdir(parents=True)
        (tmp_path / "to").mkdir()
        assert "Is a directory" in why(BucketReader(mount=str(tmp_path / "mount")), "s3://maps/a", tmp_path / "to")

    def test_list(self, tmp_path: Path) -> None:
        for name in ("maps/a/2.tif", "maps/a/1.tif", "maps/ab.tif", "other/a/3.tif"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        mounted = BucketReader(mount=str(tmp_path))
        assert list(mounted.list("s3://maps/a/")) == ["s3://maps/a/1.tif", "s3://maps/a/2.tif"]
        assert list(mounted.list("s3://maps")) == ["s3://maps/a/1.tif", "s3://maps/a/2.tif", "s3://maps/ab.tif"]
        assert list(mounted.list("s3://nothing/")) == []


class TestMountByUrl:
    def test_an_object(self, tmp_path: Path) -> None:
        fsspec = pytest.importorskip("fsspec")
        fsspec.filesystem("memory").pipe_file("/mount/maps/a.bin", b"content")
        mounted = BucketReader(mount="memory://mount")
        found = mounted.fetch("s3://maps/a.bin", tmp_path)
        assert found is not None
        assert found.read_bytes() == b"content"
        assert mounted.fetch("s3://maps/b.bin", tmp_path) is None
        assert not (tmp_path / "b.bin").exists()

    def test_a_bare_protocol_keeps_bucket_names(self, tmp_path: Path) -> None:
        """`gs://` as a mount reads `gs://bucket/key` where it is."""
        fsspec = pytest.importorskip("fsspec")
        fsspec.filesystem("memory").pipe_file("/maps/a.bin", b"content")
        assert BucketReader(mount="memory://").fetch("gs://maps/a.bin", tmp_path) is not None

    def test_list(self) -> None:
        fsspec = pytest.importorskip("fsspec")
        for name in ("/listed/maps/a/2", "/listed/maps/a/1", "/listed/maps/ab", "/listed/mapsa/3"):
            fsspec.filesystem("memory").pipe_file(name, b"")
        mounted = BucketReader(mount="memory://listed")
        assert list(mounted.list("s3://maps/a/")) == ["s3://maps/a/1", "s3://maps/a/2"]
        assert list(mounted.list("s3://maps/a")) == ["s3://maps/a/1", "s3://maps/a/2", "s3://maps/ab"]
        assert list(mounted.list("s3://none/")) == []

    @pytest.mark.parametrize("mount", ["nobody-knows-this://x", "hdfs://me:hush@x"])
    def test_a_protocol_that_cannot_be_used(self, tmp_path: Path, mount: str, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("fsspec")
        for name in ("pyarrow", "pyarrow.fs"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(SettingsError, match="cannot be used") as caught:
            BucketReader(mount=mount).fetch("s3://maps/a", tmp_path)
        assert "hush" not in str(caught.value)


class TestS3:
    def test_an_object(self, s3: str, tmp_path: Path) -> None:
        put(s3, "maps", a__b=b"x" * 3_000_000)
        found = reader(s3).fetch("s3://maps/a/b", tmp_path)
        assert found == tmp_path / "b"
        assert found.read_bytes() == b"x" * 3_000_000

    def test_no_such_object(self, s3: str, tmp_path: Path) -> None:
        put(s3, "maps")
        assert reader(s3).fetch("s3://maps/a", tmp_path) is None
        assert list(tmp_path.iterdir()) == []

    def test_no_such_bucket(self, s3: str, tmp_path: Path) -> None:
        text = why(reader(s3), "s3://maps/a", tmp_path)
        assert text == f"s3://maps/a cannot be read: there is no such bucket at {s3}."

    def test_list_over_several_pages(self, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
        put(s3, "maps", **{f"a__{number}": b"" for number in range(8)}, b=b"")
        assert list(reader(s3).list("s3://maps/a/")) == [f"s3://maps/a/{number}" for number in range(8)]

    def test_keys_of_the_environment(self, s3: str, tmp_path: Path) -> None:
        put(s3, "maps", a=b"1")
        assert reader(s3, key=None, secret=None).fetch("s3://maps/a", tmp_path) is not None

    def test_no_keys_anywhere(self, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        text = why(reader(s3, key=None, secret=None), "s3://maps/a", tmp_path)
        assert "no S3 credentials" in text
        assert "aws_conn_id" in text

    def test_unknown_keys(self, s3: str, tmp_path: Path) -> None:
        put(s3, "maps", a=b"1")
        with checking_keys(s3):
            text = why(reader(s3), "s3://maps/a", tmp_path)
        assert "denied access (InvalidAccessKeyId)" in text
        assert "s3:GetObject" in text

    @pytest.mark.thorough
    def test_keys_without_the_right(self, s3: str, tmp_path: Path) -> None:
        put(s3, "maps", a=b"1")
        iam = importlib.import_module("boto3").session.Session().client("iam", endpoint_url=s3, region_name="us-east-1")
        iam.create_user(UserName="reader")
        made = iam.create_access_key(UserName="reader")["AccessKey"]
        with checking_keys(s3):
            text = why(reader(s3, key=made["AccessKeyId"], secret=made["SecretAccessKey"]), "s3://maps/a", tmp_path)
        assert "denied access (AccessDenied)" in text
        assert made["SecretAccessKey"] not in text

    def test_unreachable(self, tmp_path: Path) -> None:
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            text = why(reader(url), "s3://maps/a", tmp_path)
        assert f"{url} cannot be reached" in text

    def test_an_answer_that_breaks_off(self, tmp_path: Path) -> None:
        with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it") as url:
            assert "cannot be reached" in why(reader(url), "s3://maps/a", tmp_path)

    def test_another_region(self, tmp_path: Path) -> None:
        body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message></Error>"
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        with answering(head.encode() + body) as url:
            assert "set region_name" in why(reader(url), "s3://maps/a", tmp_path)

    def test_an_error_nobody_foresaw(self, tmp_path: Path) -> None:
        with answering(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n") as url:
            assert f"{url} answered 418" in why(reader(url), "s3://maps/a", tmp_path)


class TestWhatIsWrongFromTheStart:
    @pytest.mark.parametrize(
        "url", ["maps/a", "s3://", "s3://maps", "s3://maps/", "s3://maps/a/", "s3://maps/../x", ""]
    )
    def test_no_url_of_an_object(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="is not the URL of an object"):
            BucketReader(mount=str(tmp_path)).fetch(url, tmp_path)

    def test_google_storage_without_a_mount(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="set bucket_mount"):
            BucketReader().fetch("gs://maps/a", tmp_path)

    def test_an_endpoint_that_is_no_url(self, tmp_path: Path) -> None:
        pytest.importorskip("boto3")
        with pytest.raises(SettingsError, match="cannot be used"):
            reader("not a url").fetch("s3://maps/a", tmp_path)

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(SettingsError, match=r"needs boto3: pip install 'airflow-sentinelhub\[s3\]'") as caught:
            BucketReader().fetch("s3://maps/a", tmp_path)
        assert not caught.value.retry_helps


@contextmanager
def checking_keys(url: str) -> Iterator[None]:
    """moto looks at keys and rights only when told to."""
    plain_http.post(f"{url}/moto-api/reset-auth", content=b"0").raise_for_status()
    try:
        yield
    finally:
        plain_http.post(f"{url}/moto-api/reset-auth", content=b"1000000000").raise_for_status()


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """A server that says the same to everybody and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # Closing alone would leave accept() waiting.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_readers_with_the_same_keys_share_one_client_and_others_do_not() -> None:
    """A thousand waits for tiles would have a gigabyte of them."""
    pytest.importorskip("boto3")
    clients: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()

    def sharing(**changes: Any) -> BucketReader:
        found = reader("http://127.0.0.1:9", **changes)
        found.share(clients)
        return found

    first, same = sharing(), sharing()
    assert len({id(found._client()[0]) for found in (first, same, first.another())}) == 1
    assert same.fetched is not first.fetched is not first.another().fetched
    others = [sharing(**change) for change in ({"key": "other"}, {"secret": "other"}, {"verify": False})]
    others += [sharing(region="us-west-2"), reader("http://127.0.0.1:8")]
    others[-1].share(clients)
    others += [sharing(key=None, secret=None) for _ in range(2)]
    assert len({id(found._client()[0]) for found in (first, *others)}) == 8
    assert len(clients) == 6
    kept = first.another()
    del first, same, others
    gc.collect()
    assert len(clients) == 1, "a client goes with its readers"
    assert sharing()._client() is kept._client()
