"""Rights to the user's bucket, from an ordinary Airflow connection of type `aws`. Resolved when they are needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from airflow_sentinelhub._compat import AirflowException, BaseHook
from airflow_sentinelhub._compat.supervisor import aside, connection_in_loop
from airflow_sentinelhub.api.call import Flow, Note, Work
from airflow_sentinelhub.api.decide.due import due_of
from airflow_sentinelhub.api.decide.verdict import nothing_to_do
from airflow_sentinelhub.api.flows.reread import READ_WITHIN
from airflow_sentinelhub.api.flows.tiles import ReadTiles
from airflow_sentinelhub.api.service.specification import Access
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError, ResultsError, SettingsError
from airflow_sentinelhub.hooks._masking import mask_forms, mask_passwords
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.folders import temporary_folder
from airflow_sentinelhub.results.geopackage import complaint_about, needs_journal
from airflow_sentinelhub.results.v2 import BatchResults
from airflow_sentinelhub.transport.network import certificates, proxy_for
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings, check_url, members_of, text_of, verify_from

_log = logging.getLogger(__name__)
TOGETHER = 5.0
"""Seconds for which a triggerer uses a bucket's connection that it has looked up. A wait keeps the keys with which it
begins, so these must be no older: a user may have corrected them a moment ago."""


def access_from(aws_conn_id: str | None, iam_role_arn: str | None = None) -> Access | None:
    """Keys of the connection, or the role; None if neither is named. Keys are masked in logs from here on.

    :raises SettingsError: the connection holds no keys and no role is given.
    """
    if iam_role_arn:
        return Access(iam_role_arn=iam_role_arn)
    if not aws_conn_id:
        return None
    key, secret, _, region = _keys_of(BaseHook.get_connection(aws_conn_id))
    if not key or not secret:
        raise SettingsError(
            f"Connection {aws_conn_id!r} holds no access key and secret key (login and password), which Sentinel Hub "
            "needs to write to the bucket; enter them, or give iam_role_arn."
        )
    return Access(access_key=key, secret_access_key=secret, region=region)


def bucket_reader(aws_conn_id: str | None, settings: Settings) -> BucketReader:
    """A reader of the bucket that results are in. Keys are masked in logs from here on. Nothing is connected to yet.

    The mount of the Sentinel Hub connection (`bucket_mount`) comes first. Else S3 with the keys of the connection
    `aws_conn_id`, its `region_name` and `endpoint_url`; without keys, boto3 looks for some where it usually does.
    """
    if settings.bucket_mount or not aws_conn_id:
        return _reader(None, settings)
    try:
        return _reader(BaseHook.get_connection(aws_conn_id), settings)
    except AirflowException as err:
        raise _unknown(aws_conn_id, err) from err


async def bucket_reader_in_triggerer(aws_conn_id: str | None, settings: Settings) -> BucketReader:
    """The same, without blocking the event loop; triggers that start together look up the connection once."""
    if settings.bucket_mount or not aws_conn_id:
        return await asyncio.to_thread(_reader, None, settings)  # it may read a folder of certificates
    conn_id = aws_conn_id

    async def look_up() -> BucketReader:
        connection = await connection_in_loop(conn_id)
        reader = await aside(lambda: _reader(connection, settings))
        reader.share(PROCESS.bucket_clients)
        return reader

    try:
        made = await PROCESS.look_up(f"{conn_id} {hash(settings)}", look_up, TOGETHER)
    except AirflowException as err:
        raise _unknown(conn_id, err) from err
    return made.another()


def _unknown(aws_conn_id: str, err: BaseException) -> SettingsError:
    return SettingsError(f"The bucket's connection {aws_conn_id!r} cannot be looked up ({err}).")


def _of_type_aws(connection: Any) -> Any:
    """The connection itself.

    :raises SettingsError: it is of another type: its password is no AWS key, and must not be sent as one.
    """
    if connection.conn_type != "aws":
        raise SettingsError(
            f"The bucket's connection {connection.conn_id!r} is of type {connection.conn_type!r}, not 'aws'; nothing "
            "of it was sent. Name a connection of type aws in aws_conn_id, or give this one that type."
        )
    return connection


def _reader(connection: Any, settings: Settings) -> BucketReader:
    """A reader by the bucket's connection. What that does not name is as for the calls to Sentinel Hub."""
    if settings.bucket_mount:
        return BucketReader(mount=settings.bucket_mount)
    if connection is None:
        return BucketReader(**_way_to(_AMAZON, settings))
    where = f"The bucket's connection {connection.conn_id!r}"
    key, secret, token, region = _keys_of(connection)
    extra = members_of(where, "extra", connection.extra_dejson)
    services = members_of(where, "service_config", extra.get("service_config"))
    own = members_of(where, "service_config.s3", services.get("s3"))
    config = members_of(where, "config_kwargs", extra.get("config_kwargs"))
    style = members_of(where, "config_kwargs.s3", config.get("s3")).get("addressing_style")
    proxies = members_of(where, "config_kwargs.proxies", config.get("proxies"))
    urls = (text_of(where, "endpoint_url", place.get("endpoint_url")) for place in (own, extra))
    endpoint_url = next(filter(None, urls), None)
    if endpoint_url:
        check_url(where, "endpoint_url", endpoint_url)
    verify = own.get("verify", extra.get("verify"))
    by_rule = settings if verify is None else replace(settings, verify=verify_from(where, verify, look=False))
    proxy = text_of(where, "config_kwargs.proxies", proxies.get(urlsplit(endpoint_url or _AMAZON).scheme))
    mask_passwords(proxy)
    return BucketReader(
        key=key,
        secret=secret,
        token=token,
        region=region,
        endpoint_url=endpoint_url,
        addressing_style=text_of(where, "config_kwargs.s3.addressing_style", style),
        **{**_way_to(endpoint_url or _AMAZON, by_rule), **({"proxy": proxy} if proxies else {})},
    )


def _keys_of(connection: Any) -> tuple[str | None, str | None, str | None, str | None]:
    """Access key, secret key, session token and region of a bucket's connection, masked in logs from here on.

    :raises SettingsError: it is of another type, or one of them is no text.
    """
    where = f"The bucket's connection {_of_type_aws(connection).conn_id!r}"
    extra = members_of(where, "extra", connection.extra_dejson)
    key = text_of(where, "login", connection.login) or text_of(where, _KEY, extra.get(_KEY))
    secret = text_of(where, "password", connection.password) or text_of(where, _SECRET, extra.get(_SECRET))
    token, region = (text_of(where, name, extra.get(name)) for name in ("aws_session_token", "region_name"))
    kept = []
    for value in (key, secret, token):
        if value:
            mask_forms(value)
        if value != value.strip():
            _log.warning("%s: a key begins or ends in a space or a line break, which was left out.", where)
        kept.append(value.strip() or None)
    return kept[0], kept[1], kept[2], region.strip() or None


_KEY, _SECRET = "aws_access_key_id", "aws_secret_access_key"


_AMAZON = "https://s3.amazonaws.com"


def _way_to(url: str, settings: Settings) -> dict[str, Any]:
    """Certificates and proxy for a bucket's service. `AWS_CA_BUNDLE` comes before the other variables here."""
    return {
        "verify": certificates(settings, first=("AWS_CA_BUNDLE",)).as_file(),
        "proxy": proxy_for(settings, url) or "",
    }


def results_of(job: Snapshot, reader: BucketReader) -> BatchResults:
    """The results of this request, read by this reader."""
    if not job.output_url:
        raise ResultsError(f"Batch request {job.request_id} names no place for its results, so they cannot be read.")
    return BatchResults(job.request_id, job.output_url, reader, nothing_to_do=nothing_to_do(job), due=due_of(job))


def check_geopackage(
    payload: Mapping[str, Any], reader: Callable[[], BucketReader], *, statistical: bool
) -> Flow[None]:
    """Refuse a GeoPackage that breaks the service's rules before anything is created; the service says no only later.

    One that cannot be read here is left to the service, with a line in the log. So is the payload's own form.

    :param payload: of a create call, over a GeoPackage or not.
    :param reader: makes a reader of the bucket.
    :param statistical: the payload is one of batch statistical.
    :raises InvalidInputError: it breaks a rule, or there is no such file.
    """
    given = payload.get("input")
    features = given.get("features") if isinstance(given, Mapping) else None
    places = features.values() if isinstance(features, Mapping) else ()
    url = next((str(place["url"]) for place in places if isinstance(place, Mapping) and place.get("url")), None)
    if url is None or not isinstance(given, Mapping):
        return
    defaults = given.get("defaults")

    def look(bucket: BucketReader) -> bool:
        with temporary_folder() as folder:
            file = bucket.fetch(url, folder)
            if file is None:
                raise InvalidInputError(f"There is no GeoPackage at {url}; nothing was created.")
            if complaint := complaint_about(file, defaults, statistical=statistical):
                raise InvalidInputError(f"GeoPackage {url}: {complaint} Nothing was created.")
            return needs_journal(file)

    try:
        if (yield Work(partial(look, reader()), READ_WITHIN)):
            yield Note(
                f"GeoPackage {url} was copied from a program that had it open (SQLite's WAL mode): what was changed "
                "last may stand in a file -wal beside it, which the service does not read. Close the file there, and "
                "upload it again, if features are missing.",
                warning=True,
            )
    except (ResultsError, SettingsError) as err:
        yield Note(f"The GeoPackage could not be read here and is checked by the service only: {err}")


@dataclass
class FilesSeen:
    """What was read of a request's tiles, and what stamps the files had: made once for a wait, kept between its polls.

    `last`: the question, the stamps of the files that were read for it, and the answer; None before the first reading.
    """

    last: tuple[tuple[Any, ...], Mapping[str, str | None], tuple[Mapping[str, int], str | None]] | None = None


def read_tiles_by(reader: BucketReader, seen: FilesSeen | None = None) -> ReadTiles:
    """How a waiting flow reads the tiles of a v2 request: blocking, from the bucket.

    Files that have not changed since the last reading of the same are not fetched again, unless the request's status
    has changed: what is read of one that has ended is not to depend on the bucket's word for it.

    :param seen: of the wait, for one that makes a reader for each poll; by default what this function returns has its
        own.
    """
    seen = FilesSeen() if seen is None else seen

    def read_tiles(job: Snapshot, wanted: str | None) -> tuple[Mapping[str, int], str | None]:
        question = (job.request_id, wanted, nothing_to_do(job), due_of(job), job.status)
        if seen.last is not None and seen.last[0] == question:
            _, stamps, answer = seen.last
            if stamps and all(stamp is not None and reader.stamp(url) == stamp for url, stamp in stamps.items()):
                return answer
        seen.last = None
        reader.fetched.clear()
        with results_of(job, reader) as results:
            answer = (results.counts(), None) if wanted is None else ({}, results.tile_status(wanted))
        seen.last = question, dict(reader.fetched), answer
        return answer

    return read_tiles
