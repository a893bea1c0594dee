"""The reader of a bucket, from Airflow connections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_sentinelhub.exceptions import SettingsError
from airflow_sentinelhub.hooks import _masking, storage
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.transport.settings import Settings, settings_from


def sentinelhub(**changes: Any) -> Settings:
    return Settings(base_url="http://h", token_url="http://h/t", client_id="a", client_secret="b", **changes)


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was given to Airflow to be masked."""
    found: list[str] = []
    monkeypatch.setattr(_masking, "mask_secret", found.append)
    return found


def aws(monkeypatch: pytest.MonkeyPatch, login: str = "AKIA", password: str = "hush/+", **extra: Any) -> None:
    who = f"{quote(login, safe='')}:{quote(password, safe='')}@" if login else ""
    uri = f"aws://{who}/?__extra__={quote(json.dumps(extra), safe='')}"
    monkeypatch.setenv("AIRFLOW_CONN_MY_BUCKET", uri)


def test_the_mount_comes_first(masked: list[str], tmp_path: Path) -> None:
    """And the aws connection need not exist."""
    reader = storage.bucket_reader("not_there", sentinelhub(bucket_mount=str(tmp_path)))
    assert reader.mount == str(tmp_path)
    assert masked == []


def test_without_a_connection_boto3_looks_for_keys(masked: list[str]) -> None:
    reader = storage.bucket_reader(None, sentinelhub())
    assert (reader.mount, reader.endpoint_url, reader.region) == (None, None, None)


def test_keys_region_and_endpoint(s3: str, masked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws(monkeypatch, region_name="us-east-1", endpoint_url=s3, aws_session_token="token")
    reader = storage.bucket_reader("my_bucket", sentinelhub())
    assert (reader.endpoint_url, reader.region) == (s3, "us-east-1")
    assert masked == ["AKIA", "hush/+", "hush%2F%2B", "token"]
    # They reach the service: it knows the bucket only by the name in the request.
    with pytest.raises(Exception, match="no such bucket"):
        reader.fetch("s3://maps/a", tmp_path)


def test_keys_in_extra(masked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, login="", aws_access_key_id="AKIA2", aws_secret_access_key="hush2")
    storage.bucket_reader("my_bucket", sentinelhub())
    assert masked == ["AKIA2", "hush2"]


def test_keys_for_a_payload_are_masked_wherever_they_stand(masked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch)
    access = storage.access_from("my_bucket")
    assert access is not None
    assert (access.access_key, access.secret_access_key) == ("AKIA", "hush/+")
    assert masked == ["AKIA", "hush/+", "hush%2F%2B"]
    aws(monkeypatch, login="", aws_access_key_id="AKIA2", aws_secret_access_key="hush2")
    storage.access_from("my_bucket")
    assert masked[3:] == ["AKIA2", "hush2"]


def test_a_role_needs_no_connection(masked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch)
    for conn_id in ("my_bucket", "not_there", None):
        access = storage.access_from(conn_id, "arn:aws:iam::1:role/r")
        assert access is not None
        assert (access.iam_role_arn, access.access_key, access.secret_access_key) == (
            "arn:aws:iam::1:role/r",
            None,
            None,
        )
    assert masked == []
    assert storage.access_from(None) is None


@pytest.mark.parametrize(("login", "password"), [("AKIA", ""), ("", "hush"), ("", ""), (" ", "hush"), ("AKIA", "\n")])
def test_half_a_key_is_none(masked: list[str], monkeypatch: pytest.MonkeyPatch, login: str, password: str) -> None:
    aws(monkeypatch, login="", aws_access_key_id=login, aws_secret_access_key=password)
    with pytest.raises(SettingsError, match="'my_bucket' holds no access key and secret key") as refused:
        storage.access_from("my_bucket")
    assert "hush" not in str(refused.value)


def test_spaces_around_a_key_are_left_out(
    masked: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As they come with a copy; the service would refuse the key only when the job has run."""
    aws(monkeypatch, login=" AKIA", password="hush\n", region_name=" eu-west-1 ")
    access = storage.access_from("my_bucket")
    assert access is not None
    assert (access.access_key, access.secret_access_key, access.region) == ("AKIA", "hush", "eu-west-1")
    assert "a key begins or ends in a space" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize("own", [True, False])
def test_whether_certificates_are_looked_at_is_said_for_s3_first(
    masked: list[str], monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    aws(monkeypatch, endpoint_url="https://s3", verify=not own, service_config={"s3": {"verify": own}})
    assert (storage.bucket_reader("my_bucket", sentinelhub())._verify is not False) is own


def test_proxies_of_the_bucket_stand_in_the_place_of_all_others(
    masked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere:1")
    proxies = {"proxies": {"http": "http://me:quiet@p:2"}}
    aws(monkeypatch, endpoint_url="https://s3", config_kwargs=proxies)
    assert not storage.bucket_reader("my_bucket", sentinelhub())._proxy
    aws(monkeypatch, endpoint_url="http://s3", config_kwargs=proxies)
    assert storage.bucket_reader("my_bucket", sentinelhub())._proxy == "http://me:quiet@p:2"
    assert "quiet" in masked


def test_the_endpoint_of_s3_alone_comes_first(masked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, endpoint_url="http://all", service_config={"s3": {"endpoint_url": "http://s3"}})
    assert storage.bucket_reader("my_bucket", sentinelhub()).endpoint_url == "http://s3"


def test_addressing_style(masked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, endpoint_url="http://s3", config_kwargs={"s3": {"addressing_style": "virtual"}})
    assert storage.bucket_reader("my_bucket", sentinelhub())._style == "virtual"
    aws(monkeypatch, endpoint_url="http://s3")
    assert storage.bucket_reader("my_bucket", sentinelhub())._style == "path"


def test_nothing_secret_is_shown(masked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    aws(monkeypatch, endpoint_url="http://s3")
    assert "hush" not in repr(storage.bucket_reader("my_bucket", sentinelhub()))


def test_the_simulator_says_where_its_buckets_are(tmp_path: Path) -> None:
    """Its connection URI is enough to read results, whatever letters the folder's name has."""
    from airflow.models.connection import Connection

    folder = tmp_path / "100% of #1 & more"
    with Simulator(speed=0, bucket_dir=folder) as simulator:
        connection = Connection(uri=simulator.airflow_connection_uri)
        settings = settings_from(
            conn_id="simulator",
            login=connection.login,
            password=connection.password,
            host=connection.host,
            schema=connection.schema,
            port=connection.port,
            extra=connection.extra_dejson,
        )
        assert settings.token_url == simulator.auth_url
    reader = storage.bucket_reader(None, settings)
    assert isinstance(reader, BucketReader)
    assert reader.mount == str(folder)
