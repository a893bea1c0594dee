"""Rights to the user's bucket, from an ordinary Airflow connection of type `aws`. Resolved when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_sentinelhub._compat import AirflowException, BaseHook, aside, get_async_connection, mask_secret
from airflow_sentinelhub.api.call import Flow, Note, Work
from airflow_sentinelhub.api.decide.due import due_of
from airflow_sentinelhub.api.decide.verdict import nothing_to_do
from airflow_sentinelhub.api.flows.wait import ReadTiles
from airflow_sentinelhub.api.service.specification import Access
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError, ResultsError, SentinelHubError, SettingsError
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.folders import temporary_folder
from airflow_sentinelhub.results.geopackage import complaint_about
from airflow_sentinelhub.results.v2 import BatchResults
from airflow_sentinelhub.transport.settings import Settings


def access_from(aws_conn_id: str | None, iam_role_arn: str | None = None) -> Access | None:
    """Keys of the connection, or the role; None if neither is named. Keys are masked in logs from here on.

    :raises SettingsError: the connection holds no keys and no role is given.
    """
    if iam_role_arn:
        return Access(iam_role_arn=iam_role_arn)
    if not aws_conn_id:
        return None
    connection = BaseHook.get_connection(aws_conn_id)
    extra = connection.extra_dejson
    key = connection.login or extra.get("aws_access_key_id")
    secret = connection.password or extra.get("aws_secret_access_key")
    if not key or not secret:
        raise SettingsError(
            f"Connection {aws_conn_id!r} holds no access key and secret key (login and password), which Sentinel Hub "
            "needs to write to the bucket; enter them, or give iam_role_arn."
        )
    mask_secret(key)
    mask_secret(secret)
    return Access(access_key=key, secret_access_key=secret, region=extra.get("region_name"))


def bucket_reader(aws_conn_id: str | None, settings: Settings) -> BucketReader:
    """A reader of the bucket that results are in. Keys are masked in logs from here on. Nothing is connected to yet.

    The mount of the Sentinel Hub connection (`bucket_mount`) comes first. Else S3 with the keys of the connection
    `aws_conn_id`, its `region_name` and `endpoint_url`; without keys, boto3 looks for some where it usually does.
    """
    if settings.bucket_mount or not aws_conn_id:
        return BucketReader(mount=settings.bucket_mount)
    try:
        return _reader(BaseHook.get_connection(aws_conn_id))
    except AirflowException as err:
        raise _unknown(aws_conn_id, err) from err


async def bucket_reader_in_triggerer(aws_conn_id: str | None, settings: Settings) -> BucketReader:
    """The same, without blocking the event loop."""
    if settings.bucket_mount or not aws_conn_id:
        return BucketReader(mount=settings.bucket_mount)
    try:
        connection = await get_async_connection(aws_conn_id)
    except AirflowException as err:
        raise _unknown(aws_conn_id, err) from err
    return await aside(lambda: _reader(connection))


def _unknown(aws_conn_id: str, err: BaseException) -> SettingsError:
    return SettingsError(f"The bucket's connection {aws_conn_id!r} cannot be looked up ({err}).")


def _reader(connection: Any) -> BucketReader:
    extra = connection.extra_dejson
    key = connection.login or extra.get("aws_access_key_id")
    secret = connection.password or extra.get("aws_secret_access_key")
    token = extra.get("aws_session_token")
    for value in (key, secret, token):
        if value:
            mask_secret(value)
    own = (extra.get("service_config") or {}).get("s3") or {}
    style = ((extra.get("config_kwargs") or {}).get("s3") or {}).get("addressing_style")
    return BucketReader(
        key=key,
        secret=secret,
        token=token,
        region=extra.get("region_name"),
        endpoint_url=own.get("endpoint_url") or extra.get("endpoint_url"),
        addressing_style=style,
    )


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

    :param payload: of a create call, over a GeoPackage or not; :param reader: makes a reader of the bucket.
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

    def look() -> str | None:
        with temporary_folder() as folder:
            try:
                file = reader().fetch(url, folder)
            except SentinelHubError as err:
                return str(err)
            if file is None:
                raise InvalidInputError(f"There is no GeoPackage at {url}; nothing was created.")
            if complaint := complaint_about(file, defaults, statistical=statistical):
                raise InvalidInputError(f"GeoPackage {url}: {complaint} Nothing was created.")
            return None

    if unread := (yield Work(look)):
        yield Note(f"The GeoPackage could not be read here and is checked by the service only: {unread}")


def read_tiles_by(reader: BucketReader) -> ReadTiles:
    """How a waiting flow reads the tiles of a v2 request: blocking, from the bucket."""

    def read_tiles(job: Snapshot, wanted: str | None) -> tuple[Mapping[str, int], str | None]:
        with results_of(job, reader) as results:
            if wanted is None:
                return results.counts(), None
            return {}, next((str(tile["status"]) for tile in results.tiles() if tile["name"] == wanted), None)

    return read_tiles
