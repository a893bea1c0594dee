"""Reads objects from the user's bucket, and writes reports there. It blocks, so the triggerer calls it in a thread.

For a real S3 we use boto3 (extra `s3`), not fsspec with s3fs. boto3 comes with the Amazon provider, so most Airflow
installations have it, in a version of their choice; s3fs would bring aiobotocore, which pins botocore to a narrow range
that boto3 has to follow. boto3 simply blocks its thread, while s3fs runs an event loop of
its own beside the triggerer's. And it takes `endpoint_url`, which Copernicus Data Space and other services with the S3
protocol need.

A *mount* takes the place of S3: a folder, or an fsspec URL, below which `s3://bucket/key` lies at `bucket/key`. fsspec
itself comes with Airflow.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import ssl
import tempfile
from collections.abc import Iterator, MutableMapping
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_sentinelhub.exceptions import ResultsError, SettingsError

_NOTHING = ("NoSuchKey", "404", "NotFound")
_DENIED = ("403", "401", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
_BUSY_STATUS = (429, 498, 503)
"""Copernicus Data Space's storage answers 498. After each of them the caller tries again."""
_BUSY = ("SlowDown", "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded")
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 20, 2
_CAUSES = {
    "SSLError": "no TLS connection",
    "ProxyConnectionError": "the proxy refused, or cannot be reached",
    "ConnectTimeoutError": f"no connection within {_CONNECT_SECONDS} s",
    "ReadTimeoutError": f"no answer within {_READ_SECONDS} s",
    "EndpointConnectionError": "connection refused, or name not known",
    "ConnectionClosedError": "the connection was cut",
    "IncompleteReadError": "the connection was cut",
    "ResponseStreamingError": "the connection was cut",
}
"""The causes that the errors of boto3 stand for, by class, in words for messages."""
_READ = "read", "s3:GetObject and s3:ListBucket (without the latter a missing object is denied too)"
_WRITTEN = "written", "s3:PutObject"
"""What was done with an object, and the rights that it takes, for messages."""
_NO_CREDENTIALS = "there are no S3 credentials; name a connection of type aws that holds them (aws_conn_id)."


class _Client:
    """boto3's client and its errors, once they are made: it takes 20 ms and a megabyte, and serves several threads."""

    made: tuple[Any, Any] | None = None


class BucketReader:
    """Fetches objects by their URL. The first call makes the connection.

    :param mount: folder or fsspec URL that stands for all buckets, instead of S3.
    :param key, secret, token: S3 credentials; without a key, boto3 looks for some where it usually does (environment,
        instance role).
    :param region: of the bucket.
    :param endpoint_url: of an S3 service other than Amazon's.
    :param addressing_style: `path` or `virtual`; by default `path` with an endpoint_url, else boto3's choice.
    :param verify: whether certificates are checked, or the file of those to trust; None: boto3's rule.
    :param proxy: URL of the proxy, empty for none; None: boto3's rule. A mount by URL has rules of its own.
    """

    def __init__(
        self,
        *,
        mount: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        token: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        addressing_style: str | None = None,
        verify: bool | str | None = None,
        proxy: str | None = None,
    ) -> None:
        self.mount = mount
        self.region = region
        self.endpoint_url = endpoint_url
        self._keys = (key, secret, token)
        self._style = addressing_style or ("path" if endpoint_url else "auto")
        self._verify = verify
        self._proxy = proxy
        self.fetched: dict[str, str | None] = {}
        """The `stamp` of each object when it was last fetched; empty for an object that did not exist."""
        self._shared = _Client()

    def share(self, clients: MutableMapping[Any, Any]) -> None:
        """Use the client of those with the same keys and settings.

        Without keys each looks for some by itself: those of a file may have been corrected meanwhile.

        :param clients: those of the process, by keys and settings.
        """
        if self._keys[0]:
            way = (*self._keys, self.region, self.endpoint_url, self._style, self._verify, self._proxy)
            self._shared = clients.setdefault(way, self._shared)

    def another(self) -> BucketReader:
        """One with the same settings, which has fetched nothing."""
        other = copy(self)
        other.fetched = {}
        return other

    def __repr__(self) -> str:
        return f"BucketReader({self._service})"

    def ready(self, url: str) -> None:
        """Raise an error for settings that cannot work. The bucket itself is not accessed.

        :param url: of an object, or of a place for some.
        :raises SettingsError: a library or the mount is missing, or there are no credentials at all.
        """
        _parts(url, key_needed=False)
        if self.mount is None:
            self._check_s3(url)
            try:
                self._client()
            except ResultsError:
                return  # there are keys, which cannot be fetched just now
            if not self._keys[0] and not _load("boto3").session.Session().get_credentials():
                raise SettingsError(_NO_CREDENTIALS)
        elif "://" not in self.mount:
            if not Path(self.mount).is_dir():
                raise SettingsError(f"there is no folder {self.mount}, which bucket_mount names.")
        else:
            try:
                self._system(self.mount)
            except ResultsError:
                return  # it may be reached later

    def fetch(self, url: str, folder: Path) -> Path | None:
        """Copy an object into the folder, under the last part of its name; None if there is no such object.

        :raises ResultsError: the bucket does not exist, cannot be reached, or may not be read.
        :raises SettingsError: a library is missing, or this is not the URL of an object in a bucket.
        """
        bucket, key = _parts(url)
        target = folder / key.rpartition("/")[2]
        if self.mount is None:
            return self._fetch_s3(url, bucket, key, target)
        self.fetched[url] = self.stamp(url)
        if "://" in self.mount:
            return self._fetch_fsspec(url, f"{_slash(self.mount)}{bucket}/{key}", target)
        source = self._within(url, bucket, key)
        try:
            return Path(shutil.copyfile(source, target))
        except (FileNotFoundError, NotADirectoryError):
            if not Path(self.mount).is_dir():
                raise ResultsError(f"{url} cannot be read: there is no folder {self.mount}.") from None
            return None
        except OSError as err:
            raise ResultsError(f"{url} cannot be read from {source}: {err.strerror}.") from None

    def stamp(self, url: str) -> str | None:
        """The version of the object: its ETag, or its time and size. Empty if there is no object, None if unknown.

        :raises ResultsError: the bucket cannot be reached.
        :raises SettingsError: see `fetch`.
        """
        bucket, key = _parts(url)
        if self.mount is None:
            return self._stamp_s3(url, bucket, key)
        if "://" in self.mount:
            return self._stamp_fsspec(url, f"{_slash(self.mount)}{bucket}/{key}")
        try:
            found = self._within(url, bucket, key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError:
            return None  # fetching says what is wrong
        return f"{found.st_ino} {found.st_mtime_ns} {found.st_size}"

    def list(self, prefix: str) -> Iterator[str]:
        """URLs of the objects whose URL begins with `prefix`, such as `s3://bucket/folder/`, in order."""
        bucket, key = _parts(prefix, key_needed=False)
        if self.mount is None:
            yield from self._list_s3(prefix, bucket, key)
            return
        below = key.rpartition("/")[0]
        if "://" in self.mount:
            keys = self._list_fsspec(prefix, f"{_slash(self.mount)}{bucket}", below)
        else:
            if not Path(self.mount).is_dir():
                raise ResultsError(f"{prefix} cannot be read: there is no folder {self.mount}.")
            root = Path(self.mount) / bucket
            folder = self._within(prefix, bucket, below)
            keys = (path.relative_to(root).as_posix() for path in folder.rglob("*") if path.is_file())
        for found in sorted(keys):
            if found.startswith(key):
                yield f"{prefix.partition('://')[0]}://{bucket}/{found}"

    def put(self, url: str, content: bytes, content_type: str) -> None:
        """Write an object, in the place of one that is there.

        :param content_type: such as `text/html`.
        :raises ResultsError: the bucket does not exist, cannot be reached, or may not be written.
        :raises SettingsError: see `fetch`.
        """
        bucket, key = _parts(url)
        if self.mount is None:
            self._check_s3(url)
            client, errors = self._client()
            try:
                client.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)
            except errors.ClientError as err:
                raise self._refused(url, err, _WRITTEN) from None
            except errors.BotoCoreError as err:
                raise self._lost(url, err, _WRITTEN) from None
        elif "://" in self.mount:
            system, path = self._system(f"{_slash(self.mount)}{bucket}/{key}")
            try:
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
                system.pipe_file(path, content)
            except Exception as err:  # each file system has errors of its own
                raise ResultsError(f"{url} cannot be written at {self._service} ({type(err).__name__}).") from None
        elif not Path(self.mount).is_dir():
            raise ResultsError(f"{url} cannot be written: there is no folder {self.mount}.")
        else:
            self._put_file(url, self._within(url, bucket, key), content)

    @staticmethod
    def _put_file(url: str, target: Path, content: bytes) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
                file.write(content)
            os.chmod(file.name, 0o644)
            os.replace(file.name, target)  # whoever reads meanwhile gets the old file or the new one
        except OSError as err:
            raise ResultsError(f"{url} cannot be written to {target}: {err.strerror}.") from None

    def page(self, url: str) -> str:
        """Where a browser shows an object: in the console of AWS, else at the bucket's service; empty for a mount."""
        bucket, key = _parts(url)
        if self.mount is not None or not url.startswith("s3://"):
            return ""
        if self.endpoint_url is None:
            return f"https://console.aws.amazon.com/s3/object/{quote(bucket, safe='')}?prefix={quote(key, safe='/')}"
        return f"{self.endpoint_url.rstrip('/')}/{quote(bucket, safe='')}/{quote(key, safe='/')}"

    def _within(self, url: str, bucket: str, key: str) -> Path:
        """The file or folder in the mount that a key stands for.

        :raises SettingsError: it lies outside: by a key that begins with a slash, or by a link.
        """
        root = Path(str(self.mount), bucket)
        found = Path(f"{root}/{key}")
        if not found.resolve().is_relative_to(root.resolve()):
            raise SettingsError(f"{url} leads out of {root}, the folder of its bucket; it is not read.")
        return found

    # S3

    def _fetch_s3(self, url: str, bucket: str, key: str, target: Path) -> Path | None:
        self._check_s3(url)
        client, errors = self._client()
        try:
            reply = client.get_object(Bucket=bucket, Key=key)
            self.fetched[url] = _tag(reply)
            with target.open("wb") as file:
                shutil.copyfileobj(reply["Body"], file, 1 << 20)
            return target
        except errors.ClientError as err:
            if err.response.get("Error", {}).get("Code") in _NOTHING:
                self.fetched[url] = ""
                return None
            raise self._refused(url, err) from None
        except errors.BotoCoreError as err:
            raise self._lost(url, err) from None
        except OSError as err:
            raise ResultsError(f"{url} cannot be copied to {target.parent}: {err.strerror}.") from None

    def _stamp_s3(self, url: str, bucket: str, key: str) -> str | None:
        self._check_s3(url)
        client, errors = self._client()
        try:
            return _tag(client.head_object(Bucket=bucket, Key=key))
        except errors.ClientError as err:
            return "" if err.response.get("Error", {}).get("Code") in _NOTHING else None
        except errors.BotoCoreError as err:
            raise self._lost(url, err) from None

    @staticmethod
    def _check_s3(url: str) -> None:
        if not url.startswith("s3://"):
            raise SettingsError(
                f"{url} is not in S3; set bucket_mount in the Sentinel Hub connection, for example to "
                f"'{url.partition('://')[0]}://', to read it through fsspec."
            )

    def _list_s3(self, prefix: str, bucket: str, key: str) -> Iterator[str]:
        client, errors = self._client()
        try:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
                for item in page.get("Contents", ()):
                    yield f"s3://{bucket}/{item['Key']}"
        except errors.ClientError as err:
            raise self._refused(prefix, err) from None
        except errors.BotoCoreError as err:
            raise self._lost(prefix, err) from None

    def _client(self) -> tuple[Any, Any]:
        """boto3's client and its errors."""
        if self._shared.made is None:
            _, config, errors = (_load(name) for name in ("boto3", "botocore.config", "botocore.exceptions"))
            key, secret, token = self._keys
            # An empty mapping: none, whatever the environment says.
            proxies = (
                None if self._proxy is None else dict.fromkeys(("http", "https") if self._proxy else (), self._proxy)
            )
            self._check_certificates()
            settings = config.Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
                s3={"addressing_style": self._style},
                proxies=proxies,
            )
            try:
                # A session of our own: the default one is shared, and not made for several threads.
                session = _load("botocore.session").Session()
                session.register_component("data_loader", _loader())
                client = session.create_client(
                    "s3",
                    aws_access_key_id=key or None,
                    aws_secret_access_key=secret or None,
                    aws_session_token=token or None,
                    region_name=self.region or None,
                    endpoint_url=self.endpoint_url or None,
                    verify=self._verify,
                    config=settings,
                )
            except (errors.MetadataRetrievalError, errors.CredentialRetrievalError) as err:
                raise ResultsError(f"The keys of this machine for S3 cannot be fetched just now: {err}.") from None
            except (ValueError, errors.BotoCoreError) as err:
                raise SettingsError(f"The bucket's connection cannot be used: {err}.") from None
            self._shared.made = client, errors
        return self._shared.made

    def _check_certificates(self) -> None:
        """Refuse a file without certificates, which boto3 would report as a lost connection at each call."""
        if not isinstance(self._verify, str) or (self.endpoint_url or "").lower().startswith("http:"):
            return
        try:
            ssl.create_default_context(cafile=self._verify)
        except OSError as err:
            raise SettingsError(
                f"The certificates in {self._verify} cannot be read ({err}); `verify` of the bucket's connection, or "
                "AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE, must name a file of PEM certificates."
            ) from None

    @property
    def _service(self) -> str:
        if self.mount is not None:
            return re.sub(r"(?<=://)[^/@]*@", "***@", self.mount)
        return self.endpoint_url or f"S3 ({self.region or 'default region'})"

    def _refused(self, url: str, err: Any, doing: tuple[str, str] = _READ) -> ResultsError:
        done, rights = doing
        reply_error = err.response.get("Error", {})
        code, status = str(reply_error.get("Code", "")), err.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code == "NoSuchBucket":
            return ResultsError(f"{url} cannot be {done}: there is no such bucket at {self._service}.")
        if code in _DENIED or status in (401, 403):
            return ResultsError(
                f"{url} cannot be {done}: {self._service} denied access ({code}); check the keys of the bucket's "
                f"connection, and that they have {rights}."
            )
        if code in ("PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
            return ResultsError(
                f"{url} cannot be {done}: the bucket is in another region than {self._service}; set region_name in "
                "the bucket's connection."
            )
        slow = ", which asks to slow down" if code in _BUSY or status in _BUSY_STATUS else ""
        return ResultsError(f"{url} cannot be {done}: {self._service} answered {status} {code}{slow}.")

    def _lost(self, url: str, err: Any, doing: tuple[str, str] = _READ) -> ResultsError:
        kind = type(err).__name__
        if kind in ("NoCredentialsError", "PartialCredentialsError"):
            return ResultsError(f"{url} cannot be {doing[0]}: {_NO_CREDENTIALS}")
        why = _CAUSES.get(kind, kind)
        if kind == "SSLError" and "certificate verify failed" in str(err).lower():
            why = "certificate verify failed; name the right CA file in `verify` of the connection"
        return ResultsError(f"{url} cannot be {doing[0]}: {self._service} cannot be reached ({why}).")

    # Mounts by URL

    def _fetch_fsspec(self, url: str, address: str, target: Path) -> Path | None:
        system, path = self._system(address)
        try:
            system.get_file(path, str(target))
            return target
        except (FileNotFoundError, NotADirectoryError):
            target.unlink(missing_ok=True)
            return None
        except Exception as err:  # each file system has errors of its own
            target.unlink(missing_ok=True)
            raise ResultsError(f"{url} cannot be read at {self._service} ({type(err).__name__}).") from None

    def _stamp_fsspec(self, url: str, address: str) -> str | None:
        system, path = self._system(address)
        try:
            info = system.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except Exception:  # each file system has errors of its own; fetching says what is wrong
            return None
        marks = [str(info[name]) for name in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(name)]
        return " ".join([*marks, str(info.get("size"))]) if marks else None

    def _list_fsspec(self, prefix: str, address: str, below: str) -> Iterator[str]:
        system, root = self._system(address)
        try:
            names = system.find(f"{root}/{below}")
        except Exception as err:  # each file system has errors of its own
            raise ResultsError(f"{prefix} cannot be read at {self._service} ({type(err).__name__}).") from None
        yield from (str(name)[len(root) :].lstrip("/") for name in names)

    def _system(self, address: str) -> tuple[Any, str]:
        """The file system of an address, and the path in it. Listings are not cached."""
        try:
            system, path = _load("fsspec").core.url_to_fs(address, use_listings_cache=False)
        except (ImportError, ValueError) as err:
            raise SettingsError(f"The mount {self._service} cannot be used: {err}.") from None
        except OSError as err:
            raise ResultsError(f"The mount {self._service} cannot be reached ({type(err).__name__}).") from None
        return system, str(path).rstrip("/")


def _parts(url: str, key_needed: bool = True) -> tuple[str, str]:
    """Bucket and key of a URL."""
    scheme, found, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if not found or not scheme or not bucket or (key_needed and not key.rpartition("/")[2]) or ".." in rest.split("/"):
        raise SettingsError(f"{url!r} is not the URL of an object in a bucket, such as s3://bucket/path/file.")
    return bucket, key


def _tag(reply: Any) -> str | None:
    """What S3 says of an object's version. Some services give an ETag that stays, so the time belongs to it."""
    return f"{reply['ETag']} {reply.get('LastModified')} {reply.get('ContentLength')}" if reply.get("ETag") else None


def _slash(mount: str) -> str:
    return mount if mount.endswith("/") else mount + "/"


@cache
def _loader() -> Any:
    """Reads the description of S3, which takes some 50 ms, once for all readers of a process."""
    return _load("botocore.loaders").create_loader()


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as err:
        if err.name is None or not name.startswith(err.name.partition(".")[0]):
            raise
        raise SettingsError(
            f"Reading results from the bucket needs {err.name}: pip install 'airflow-sentinelhub[s3]' (or the Amazon "
            "provider, which has it)."
        ) from None
