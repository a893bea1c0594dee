"""Objects that are written: to a folder, behind fsspec, and by the S3 protocol; and what is said when they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import ResultsError, SettingsError
from airflow_sentinelhub.results.bucket import BucketReader
from tests.results.test_bucket import SECRET, checking_keys, put, reader, s3_client

URL = "s3://maps/reports/a b.html"


def refusal(found: BucketReader, url: str = URL) -> str:
    with pytest.raises(ResultsError) as caught:
        found.put(url, b"x", "text/html")
    text = str(caught.value)
    assert text.startswith(f"{url} cannot be written")
    assert "\n" not in text
    assert SECRET not in text
    return text


def test_a_folder_gets_the_object_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    found = BucketReader(mount=str(tmp_path))
    for content in (b"one", b"two"):
        found.put(URL, content, "text/html")
        assert (tmp_path / "maps/reports/a b.html").read_bytes() == content
    assert [file.name for file in (tmp_path / "maps/reports").iterdir()] == ["a b.html"], "nothing is left over"


def test_a_folder_that_is_gone_or_is_a_file(tmp_path: Path) -> None:
    assert "there is no folder" in refusal(BucketReader(mount=str(tmp_path / "gone")))
    (tmp_path / "maps").write_text("a file")
    refusal(BucketReader(mount=str(tmp_path)))
    assert list(tmp_path.iterdir()) == [tmp_path / "maps"]


@pytest.mark.parametrize("url", ["s3://maps", "s3://maps/", "s3://maps/../a", "maps/a", "s3:///a"])
def test_no_url_of_an_object(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        BucketReader(mount=str(tmp_path)).put(url, b"x", "text/html")
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_out_of_the_bucket_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mount/maps").mkdir(parents=True)
    (tmp_path / "mount/maps/reports").symlink_to(tmp_path)
    with pytest.raises(SettingsError, match="leads out of"):
        BucketReader(mount=str(tmp_path / "mount")).put(URL, b"x", "text/html")
    assert not (tmp_path / "a b.html").exists()


def test_behind_fsspec() -> None:
    import fsspec

    BucketReader(mount="memory://written").put(URL, b"content", "text/html")
    assert fsspec.filesystem("memory").cat_file("/written/maps/reports/a b.html") == b"content"


def test_a_mount_that_can_only_be_read_says_so() -> None:
    """The file system of `data:` is one of fsspec that nobody can write to."""
    assert "at data://only-read (ValueError)" in refusal(BucketReader(mount="data://only-read"))


def test_s3_gets_the_object_with_its_type(s3: str) -> None:
    put(s3, "maps")
    reader(s3).put(URL, b"<p>", "text/html; charset=utf-8")
    made = s3_client(s3).get_object(Bucket="maps", Key="reports/a b.html")
    assert (made["Body"].read(), made["ContentType"]) == (b"<p>", "text/html; charset=utf-8")


def test_s3_without_the_bucket(s3: str) -> None:
    assert "there is no such bucket" in refusal(reader(s3))


def test_s3_without_the_right_names_the_right(s3: str) -> None:
    put(s3, "maps")
    iam: Any = pytest.importorskip("boto3").client("iam", endpoint_url=s3, region_name="us-east-1")
    iam.create_user(UserName="reader")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    with checking_keys(s3):
        text = refusal(reader(s3, key=keys["AccessKeyId"], secret=keys["SecretAccessKey"]))
    assert "denied access" in text
    assert "s3:PutObject" in text
    assert "s3:GetObject" not in text


def test_s3_that_cannot_be_reached() -> None:
    pytest.importorskip("boto3")
    assert "cannot be reached" in refusal(reader("http://127.0.0.1:9"))


def test_another_cloud_without_a_mount() -> None:
    with pytest.raises(SettingsError, match="is not in S3"):
        BucketReader().put("gs://maps/a.html", b"x", "text/html")
