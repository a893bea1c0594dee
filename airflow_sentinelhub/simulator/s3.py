"""Buckets behind a real S3 protocol, for tests whose client reads with an S3 library: a moto server, MinIO.

Keys are taken from where boto3 looks for them (``AWS_ACCESS_KEY_ID`` and so on); without any, made-up ones are used,
which a moto server accepts.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from .delivery import is_object_url

_REGION = "us-east-1"


class S3Bucket:
    """``s3://maps/ndvi/a.tif`` is the object ``ndvi/a.tif`` in the bucket ``maps``, which is made on first use."""

    def __init__(self, endpoint: str) -> None:
        boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
        self._errors: Any = importlib.import_module("botocore.exceptions")
        session = boto3.session.Session()
        keys = {} if session.get_credentials() else {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        self._client: Any = session.client(
            "s3",
            endpoint_url=endpoint,
            region_name=session.region_name or _REGION,
            config=config.Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30),
            **keys,
        )
        self._made: set[str] = set()

    def put(self, url: str, content: bytes) -> None:
        bucket, key = _parts(url)
        self._make(bucket)
        self._do("put_object", Bucket=bucket, Key=key, Body=content)

    def get(self, url: str) -> bytes | None:
        bucket, key = _parts(url)
        found = self._do("get_object", Bucket=bucket, Key=key)
        if found is None:
            return None
        content: bytes = found["Body"].read()
        return content

    def exists(self, url: str) -> bool:
        bucket, key = _parts(url)
        return self._do("head_object", Bucket=bucket, Key=key) is not None

    def below(self, url: str) -> Iterator[str]:
        bucket, key = _parts(url)
        token: dict[str, str] = {}
        while True:
            page = self._do("list_objects_v2", Bucket=bucket, Prefix=f"{key.rstrip('/')}/".lstrip("/"), **token)
            for item in (page or {}).get("Contents", []):
                yield f"s3://{bucket}/{item['Key']}"
            if not (page or {}).get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _make(self, bucket: str) -> None:
        if bucket in self._made:
            return
        if self._do("head_bucket", Bucket=bucket) is None:
            region = self._client.meta.region_name
            place = {} if region == _REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            self._do("create_bucket", Bucket=bucket, **place)
        self._made.add(bucket)

    def _do(self, operation: str, **arguments: Any) -> Any:
        """The answer; None for what does not exist; OSError for everything else that goes wrong."""
        try:
            return getattr(self._client, operation)(**arguments)
        except self._errors.ClientError as error:
            response = error.response
            if response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404 and operation != "put_object":
                return None
            # A bucket that was removed behind our back is made anew by the next one who writes.
            self._made.discard(arguments["Bucket"])
            raise OSError(f"S3 refused {operation}: {response.get('Error', {}).get('Message', error)}") from None
        except self._errors.BotoCoreError as error:
            raise OSError(f"S3 cannot be reached: {error}") from None


def _parts(url: str) -> tuple[str, str]:
    if not is_object_url(url):
        raise ValueError(f"{url} is not the address of an object in a bucket.")
    bucket, _, key = url.split("://", 1)[1].partition("/")
    return bucket, key
