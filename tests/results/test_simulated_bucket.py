"""What the simulator lists of its buckets, as folders and behind a real S3 protocol: the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sentinelhub.simulator.delivery import Bucket, LocalBucket
from airflow_sentinelhub.simulator.s3 import S3Bucket


@pytest.mark.parametrize("kind", ["folders", "s3"])
def test_objects_below_a_folder(kind: str, s3: str, tmp_path: Path) -> None:
    bucket: Bucket = LocalBucket(tmp_path) if kind == "folders" else S3Bucket(s3)
    assert list(bucket.below("s3://cubes/one")) == []
    for key in ("one/.zgroup", "one/b01/0.0.0", "one-more/x", "other"):
        bucket.put(f"s3://cubes/{key}", b"x")
    below = ["s3://cubes/one/.zgroup", "s3://cubes/one/b01/0.0.0"]
    assert sorted(bucket.below("s3://cubes/one")) == below
    assert sorted(bucket.below("s3://cubes/one/")) == below
    assert len(list(bucket.below("s3://cubes"))) == 4


def test_more_objects_than_one_answer_holds(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = S3Bucket(s3)
    for number in range(5):
        bucket.put(f"s3://many/cube/{number}", b"")
    ask = bucket._client.list_objects_v2
    monkeypatch.setattr(bucket._client, "list_objects_v2", lambda **asked: ask(MaxKeys=2, **asked))
    assert sorted(bucket.below("s3://many/cube")) == [f"s3://many/cube/{number}" for number in range(5)]
