"""`SentinelHubHook`: an Airflow connection turned into clients of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from airflow_sentinelhub._compat import BaseHook, aside, get_async_connection, mask_secret
from airflow_sentinelhub.api.call import Flow, Patience, exchange
from airflow_sentinelhub.api.service import statistical, v1, v2
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.hooks.batch import SentinelHubBatch
from airflow_sentinelhub.hooks.batch_v2 import BatchProcessClient
from airflow_sentinelhub.hooks.models import id_of
from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical
from airflow_sentinelhub.hooks.storage import bucket_reader, results_of
from airflow_sentinelhub.provider import CONN_FIELDS, FIELD_BEHAVIOUR
from airflow_sentinelhub.results.batch import BatchResults
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.statistical import StatisticalResults, results_of_request
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.settings import Settings, settings_from
from airflow_sentinelhub.transport.sync import SyncDriver

R = TypeVar("R")


class SentinelHubHook(BaseHook):
    """Sentinel Hub by an Airflow connection of type `sentinelhub`.

    The connection: OAuth client id in login, secret in password, deployment in host (`aws-eu`, `aws-us-west-2`,
    `cdse`, or a base URL); in extra `token_url`, `batch_api` (`v2` or `v1`), `path_form`, `timeout`, `bucket_mount`.

    All clients of a process share one token and at most eight requests in flight per connection.

    :param sentinelhub_conn_id: id of the connection.
    :param place: deployment of a request that is gone on with, as `Settings.place()` has told it: used instead of the
        connection's, should that have been edited since.
    """

    conn_name_attr = "sentinelhub_conn_id"
    default_conn_name = "sentinelhub_default"
    conn_type = "sentinelhub"
    hook_name = "Sentinel Hub"

    def __init__(self, sentinelhub_conn_id: str = default_conn_name, *, place: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self._place = place
        self._driver: SyncDriver | None = None
        self._settings: Settings | None = None

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Field names of the connection form, for Airflow before 3.2 (later ones read the provider info)."""
        return {key.replace("-", "_"): value for key, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Extra fields of the connection form, for Airflow before 3.2."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found]
        from wtforms import StringField  # type: ignore[import-untyped]

        return {
            name: StringField(spec["label"], widget=BS3TextFieldWidget(), description=spec["description"])
            for name, spec in CONN_FIELDS.items()
        }

    @property
    def settings(self) -> Settings:
        """Where the deployment is and who we are there.

        :raises SettingsError: the connection is incomplete or names something unknown.
        """
        if self._settings is None:
            connection = self.get_connection(self.sentinelhub_conn_id)
            self._settings = _settings(self.sentinelhub_conn_id, connection).at(self._place)
        return self._settings

    @property
    def driver(self) -> SyncDriver:
        """The driver that runs flows in this thread."""
        if self._driver is None:
            self._driver = SyncDriver(self.settings, self.log, mask_secret)
        return self._driver

    def interrupt(self) -> None:
        """End the flow that is being run at its next sleep, with an error of ours."""
        if self._driver is not None:
            self._driver.interrupt()

    async def async_driver(self) -> AsyncDriver:
        """A driver that runs flows in the event loop; the connection is looked up without blocking it."""
        return AsyncDriver(await self.async_settings(), self.log, _mask_aside)

    async def async_settings(self) -> Settings:
        """The settings, looked up without blocking the event loop."""
        if self._settings is None:
            connection = await get_async_connection(self.sentinelhub_conn_id)
            settings = await aside(lambda: _settings(self.sentinelhub_conn_id, connection))
            self._settings = settings.at(self._place)
        return self._settings

    def run(self, flow: Flow[R]) -> R:
        """Run a flow to its end in this thread."""
        return self.driver.run(flow)

    def generation(self, batch_api: str | None = None) -> Generation:
        """The generation asked for, else the connection's."""
        return generation(batch_api or self.settings.batch_api)

    def get_conn(self) -> SyncDriver:
        return self.driver

    @property
    def batch(self) -> SentinelHubBatch:
        """Batch v1, with the method names of the vendor's `SentinelHubBatch`."""
        return SentinelHubBatch(self.run)

    @property
    def batch_v2(self) -> BatchProcessClient:
        """Batch v2, with the method names of the vendor's `BatchProcessClient`."""
        return BatchProcessClient(self.run)

    @property
    def statistical(self) -> SentinelHubBatchStatistical:
        """Batch statistical, with the method names of the vendor's `SentinelHubBatchStatistical`."""
        return SentinelHubBatchStatistical(self.run)

    def statistical_results(self, request_id: str, aws_conn_id: str | None = None) -> StatisticalResults:
        """What a statistical request has left in its bucket: one JSON file for each feature.

        :param aws_conn_id: connection of type `aws` that may read the bucket, unless this one has a `bucket_mount`.
        """
        request = self.run(exchange(statistical.get_body(id_of(request_id))))
        return results_of_request(request, bucket_reader(aws_conn_id, self.settings))

    def results(self, request_id: str, aws_conn_id: str | None = None) -> BatchResults:
        """What a v2 request has left in its bucket: tiles with status and paths.

        :param aws_conn_id: connection of type `aws` that may read the bucket, unless this one has a `bucket_mount`.
        """
        reader = bucket_reader(aws_conn_id, self.settings)
        return results_of(self.run(exchange(v2.get_request(id_of(request_id)))), reader)

    def test_connection(self) -> tuple[bool, str]:
        """Get a token and list the tiling grids: (True, ...) if both work, else (False, what is wrong)."""
        try:
            root = v1.ROOT if self.settings.batch_api == "v1" else v2.ROOT
            grids = self.run(exchange(v1.list_tiling_grids(root=root), Patience(backoff=(1,), rate_limited=10)))
        except SentinelHubError as err:
            return False, str(err)
        where, api = self.settings.base_url, self.settings.batch_api
        return True, f"Connected to {where}; batch {api} offers {len(grids.items)} tiling grids."


def reader_now(sentinelhub_conn_id: str, aws_conn_id: str | None) -> BucketReader:
    """A reader by both connections as they are now, so that what is mended in them counts for who reads again."""
    return bucket_reader(aws_conn_id, SentinelHubHook(sentinelhub_conn_id).settings)


async def _mask_aside(secret: str) -> None:
    await aside(lambda: mask_secret(secret))


def _settings(conn_id: str, connection: Any) -> Settings:
    """Settings from an Airflow connection; its secret is masked in logs from here on."""
    if connection.password:
        mask_secret(connection.password)
    return settings_from(
        conn_id=conn_id,
        login=connection.login,
        password=connection.password,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        extra=connection.extra_dejson,
    )
