"""How a bucket is reached: certificates and proxies by the rule of the calls, and no file is fetched in vain."""

from __future__ import annotations

import http.server
import os
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.statuses import BatchUserAction
from airflow_sentinelhub.exceptions import ResultsError, SettingsError
from airflow_sentinelhub.hooks import storage
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.transport.network import CA_FILES, Certificates
from airflow_sentinelhub.transport.settings import Settings

pytest.importorskip("boto3")
VARIABLES = (*CA_FILES, "AWS_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Bucket(http.server.BaseHTTPRequestHandler):
    """One object, whose ETag is its content."""

    asked: list[str]
    content = b"one"
    etag = ""
    changed = ""

    def _answer(self) -> None:
        cls = type(self)
        cls.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        self.send_response(200)
        self.send_header("Content-Length", str(len(cls.content)))
        self.send_header("ETag", cls.etag or f'"{cls.content.decode()}"')
        if cls.changed:
            self.send_header("Last-Modified", cls.changed)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(cls.content)

    do_GET = do_HEAD = _answer

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def bucket() -> Iterator[tuple[type[Bucket], str]]:
    handler = type("Handler", (Bucket,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def settings(**changes: Any) -> Settings:
    return Settings("https://h", "https://h/t", "a", "b", **changes)


def connect(monkeypatch: pytest.MonkeyPatch, conn_type: str = "aws", **extra: Any) -> None:
    import json
    from urllib.parse import quote

    extra.setdefault("region_name", "us-east-1")
    uri = f"{conn_type}://AKIA:hush@/?__extra__={quote(json.dumps(extra), safe='')}"
    monkeypatch.setenv("AIRFLOW_CONN_MY_BUCKET", uri)


@pytest.mark.parametrize(
    ("extra", "own", "environment", "verify"),
    [
        ({"verify": "/aws.pem"}, {"verify": "/own.pem"}, {"AWS_CA_BUNDLE": "/env.pem"}, "/aws.pem"),
        ({"verify": False}, {"verify": "/own.pem"}, {}, False),
        ({"verify": "false"}, {}, {"AWS_CA_BUNDLE": "/env.pem"}, False),
        ({"verify": "true"}, {"verify": "/own.pem"}, {"AWS_CA_BUNDLE": "/env.pem"}, "/env.pem"),
        ({"verify": True}, {}, {"AWS_CA_BUNDLE": "/env.pem"}, "/env.pem"),
        ({}, {"verify": "/own.pem"}, {"AWS_CA_BUNDLE": "/env.pem"}, "/own.pem"),
        ({}, {"verify": False}, {"AWS_CA_BUNDLE": "/env.pem"}, False),
        ({}, {}, {"AWS_CA_BUNDLE": "/env.pem", "REQUESTS_CA_BUNDLE": "/other.pem"}, "/env.pem"),
        ({}, {}, {"REQUESTS_CA_BUNDLE": "/other.pem", "SSL_CERT_FILE": "/third.pem"}, "/other.pem"),
        ({}, {}, {"SSL_CERT_FILE": "/third.pem"}, "/third.pem"),
    ],
)
def test_which_certificates_a_bucket_is_read_with(
    extra: dict[str, Any],
    own: dict[str, Any],
    environment: dict[str, str],
    verify: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    connect(monkeypatch, **extra)
    assert storage.bucket_reader("my_bucket", settings(**own))._verify == verify


def test_the_certificates_of_a_folder_and_of_the_platform_are_given_as_one_file(tmp_path: Path) -> None:
    """Those of a folder by the names by which the calls to Sentinel Hub find them, too."""
    for name in ("0123abcd.0", "0123abcd.1", "ca.pem"):
        (tmp_path / name).write_text(f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----")
    (tmp_path / "readme").write_text("no certificate")
    joined = Certificates(path=str(tmp_path)).as_file()
    assert isinstance(joined, str)
    text = Path(joined).read_text()
    assert text.splitlines().count("-----BEGIN CERTIFICATE-----") == 2, "each on a line of its own"
    assert "ca.pem" not in text
    assert "no certificate" not in text
    platform = Certificates().as_file()
    assert isinstance(platform, str)
    assert os.path.isfile(platform)
    assert ssl.create_default_context(cafile=platform).get_ca_certs()


@pytest.mark.parametrize(
    ("extra", "own", "environment", "through_proxy"),
    [
        ({}, {}, {}, False),
        ({}, {}, {"HTTP_PROXY": "here"}, True),
        ({}, {}, {"HTTP_PROXY": "here", "NO_PROXY": "s3.test"}, False),
        ({}, {}, {"HTTP_PROXY": "here", "NO_PROXY": "elsewhere.test,10.0.0.0/8"}, True),
        ({}, {"proxy": "here"}, {"NO_PROXY": "*"}, True),
        ({"config_kwargs": {"proxies": {"http": "here"}}}, {}, {"NO_PROXY": "*"}, True),
    ],
)
def test_which_proxy_a_bucket_is_read_through(
    extra: dict[str, Any],
    own: dict[str, Any],
    environment: dict[str, str],
    through_proxy: bool,
    bucket: tuple[type[Bucket], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The bucket's name is known to the proxy only, which answers in its place."""
    handler, url = bucket

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: put(item) for name, item in value.items()}
        return url if value == "here" else value

    for name, value in put(environment).items():
        monkeypatch.setenv(name, value)
    connect(monkeypatch, endpoint_url="http://s3.test", **put(extra))
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    reader = storage.bucket_reader("my_bucket", settings(**put(own)))
    if through_proxy:
        assert reader.fetch("s3://maps/a.bin", tmp_path) is not None
        assert handler.asked == ["GET http://s3.test/maps/a.bin"]
    else:
        with pytest.raises(ResultsError, match=r"cannot be reached \(connection refused, or name not known\)"):
            reader.fetch("s3://maps/a.bin", tmp_path)
        assert handler.asked == []


@pytest.mark.parametrize("what", ["missing", "empty", "text", "folder"])
def test_certificates_that_cannot_be_read_are_told_before_the_bucket_is_asked(tmp_path: Path, what: str) -> None:
    """boto3 would tell of no TLS connection, and a wait would ask again and again."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "text").write_text("no certificate")
    (tmp_path / "folder").mkdir()
    verify = Certificates(path=str(tmp_path / what)).as_file()
    reader = BucketReader(key="k", secret="s", region="eu-west-1", verify=verify)
    with pytest.raises(SettingsError, match=r"certificates in .* cannot be read"):
        reader.fetch("s3://b/key", tmp_path)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"service_config": "s3"}, "service_config is of type str"),
        ({"service_config": {"s3": ["x"]}}, r"service_config\.s3 is of type list"),
        ({"config_kwargs": [1]}, "config_kwargs is of type list"),
        ({"config_kwargs": {"s3": "path"}}, r"config_kwargs\.s3 is of type str"),
        ({"config_kwargs": {"s3": {"addressing_style": 1}}}, "addressing_style is of type int"),
        ({"config_kwargs": {"proxies": "http://me:hush@p"}}, "proxies is of type str"),
        ({"config_kwargs": {"proxies": {"https": 5}}}, "proxies is of type int"),
        ({"endpoint_url": 5}, "endpoint_url is of type int"),
        ({"endpoint_url": "https://me:hush@s3.example.org"}, "user name or a password"),
        ({"endpoint_url": "s3.example.org"}, "endpoint_url 's3.example.org' is not an http"),
        ({"endpoint_url": "https://[::1"}, "is not an http"),
        ({"region_name": 5}, "region_name is of type int"),
        ({"aws_session_token": ["hush"]}, "aws_session_token is of type list"),
        ({"verify": 0}, "verify is 0"),
    ],
)
def test_odd_members_of_the_buckets_connection_are_one_sentence(
    extra: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, **extra)
    with pytest.raises(SettingsError, match=f"bucket's connection 'my_bucket'.*{said}") as caught:
        storage.bucket_reader("my_bucket", settings())
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("conn_type", ["sentinelhub", "http", "generic", "google_cloud_platform"])
def test_a_connection_of_another_type_is_refused_before_its_secret_is_sent(
    conn_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, conn_type)
    for look_up in (
        lambda: storage.access_from("my_bucket"),
        lambda: storage.bucket_reader("my_bucket", settings()),
    ):
        with pytest.raises(SettingsError, match="not 'aws'; nothing of it was sent") as caught:
            look_up()
        assert "hush" not in str(caught.value)


def test_an_object_that_has_not_changed_is_told_without_fetching_it(
    bucket: tuple[type[Bucket], str], tmp_path: Path
) -> None:
    handler, url = bucket
    reader = BucketReader(key="AKIA", secret="hush", region="us-east-1", endpoint_url=url)
    assert reader.fetch("s3://maps/a", tmp_path) is not None
    assert reader.stamp("s3://maps/a") == reader.fetched["s3://maps/a"]
    handler.content = b"two"
    assert reader.stamp("s3://maps/a") != reader.fetched["s3://maps/a"]
    assert handler.asked == ["GET /maps/a", "HEAD /maps/a", "HEAD /maps/a"]


def test_an_etag_that_never_changes_is_not_believed_where_the_time_has(
    bucket: tuple[type[Bucket], str], tmp_path: Path
) -> None:
    handler, url = bucket
    handler.etag, handler.changed = '"always"', "Mon, 01 Jun 2026 10:00:00 GMT"
    reader = BucketReader(key="k", secret="s", region="eu-west-1", endpoint_url=url, proxy="", verify=True)
    reader.fetch("s3://b/key", tmp_path)
    assert reader.stamp("s3://b/key") == reader.fetched["s3://b/key"]
    handler.content, handler.changed = b"two", "Mon, 01 Jun 2026 10:00:01 GMT"
    assert reader.stamp("s3://b/key") != reader.fetched["s3://b/key"]


@pytest.mark.parametrize("mounted", ["folder", "file://"])
def test_a_file_in_a_mount_that_has_not_changed(mounted: str, tmp_path: Path) -> None:
    file = tmp_path / "mount" / "maps" / "a"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    mount = str(tmp_path / "mount") if mounted == "folder" else f"file://{tmp_path}/mount"
    reader = BucketReader(mount=mount)
    assert reader.fetch("s3://maps/a", tmp_path) is not None
    assert reader.stamp("s3://maps/a") == reader.fetched["s3://maps/a"]
    file.write_bytes(b"other")
    assert reader.stamp("s3://maps/a") != reader.fetched["s3://maps/a"]
    assert reader.fetch("s3://maps/b", tmp_path) is None
    assert reader.stamp("s3://maps/b") == reader.fetched["s3://maps/b"] == ""


def test_a_new_reader_for_each_poll_fetches_nothing_that_was_read_by_the_last_one(tmp_path: Path) -> None:
    place = tmp_path / "mount" / "maps" / "req-1"
    place.mkdir(parents=True)
    _database(place / "execution-req-1.sqlite", {"a": "DONE", "b": "PENDING"})
    job = Snapshot("req-1", "v2", S.PROCESSING, BatchUserAction.START, output_url="s3://maps")
    seen, fetched = storage.FilesSeen(), list[str]()

    def poll(tile: str | None) -> tuple[Any, Any]:
        reader = BucketReader(mount=str(tmp_path / "mount"))
        fetch = reader.fetch
        reader.fetch = lambda url, folder: fetched.append(url) or fetch(url, folder)  # type: ignore[method-assign,func-returns-value]
        return storage.read_tiles_by(reader, seen)(job, tile)

    assert [poll("a"), poll("a")] == [({}, "PROCESSED")] * 2
    assert fetched == ["s3://maps/req-1/execution-req-1.sqlite"]
    _database(place / "execution-req-1.sqlite", {"a": "FATAL", "b": "PENDING", "c": "PENDING"})
    assert poll("a") == ({}, "FAILED")
    assert [poll(None), poll(None)] == [({"FAILED": 1, "PENDING": 2}, None)] * 2
    assert len(fetched) == 3


def _database(path: Path, states: dict[str, str]) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE features (name TEXT, status TEXT, error TEXT, delivered BOOLEAN)")
        database.executemany("INSERT INTO features VALUES (?, ?, NULL, 1)", states.items())
        database.commit()
