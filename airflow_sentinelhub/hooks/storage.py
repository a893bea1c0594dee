"""Rights to the user's bucket, from an ordinary Airflow connection of type `aws`. Resolved when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sentinelhub._compat import BaseHook, mask_secret
from airflow_sentinelhub.exceptions import SettingsError

if TYPE_CHECKING:
    from airflow_sentinelhub.api.jobs import Access


def access_from(aws_conn_id: str | None, iam_role_arn: str | None = None) -> Access | None:
    """Keys of the connection, or the role; None if neither is named. Keys are masked in logs from here on.

    :raises SettingsError: the connection holds no keys and no role is given.
    """
    from airflow_sentinelhub.api.jobs import Access

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
