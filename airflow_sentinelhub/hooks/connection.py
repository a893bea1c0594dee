"""An Airflow connection of type `sentinelhub` turned into settings, and into drivers that run flows by them.

A triggerer looks a connection up in its event loop, and all its waits share what was found. When the service refuses a
client secret, the connection is read again, since it may have been edited.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sentinelhub._compat import BaseHook
from airflow_sentinelhub._compat.masking import mask_secret
from airflow_sentinelhub._compat.metrics import metrics
from airflow_sentinelhub._compat.supervisor import aside, connection_in_loop
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.service.generations import NAMES, OTHER_KINDS, Generation, generation
from airflow_sentinelhub.exceptions import SettingsError
from airflow_sentinelhub.hooks._masking import mask_forms, mask_passwords
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.metrics import GAUGES, PREFIX
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings, settings_from

if TYPE_CHECKING:
    from airflow_sentinelhub.transport.sync import SyncDriver

R = TypeVar("R")
_log = logging.getLogger(__name__)
CONN_TYPE, DEFAULT_CONN = "sentinelhub", "sentinelhub_default"
SETTINGS_KEPT = 60.0
"""Seconds for which a triggerer uses a connection that it has looked up."""


class ConnectedHook(BaseHook):
    """Settings and drivers of one connection. Users take `SentinelHubHook`, whose text describes the arguments."""

    def __init__(self, sentinelhub_conn_id: str = DEFAULT_CONN, *, place: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self._place = place
        self._driver: SyncDriver | None = None
        self._settings: Settings | None = None

    def _at(self, place: Mapping[str, str] | None) -> ConnectedHook:
        """A hook of the same connection, which is looked up anew, at this deployment; None: the connection's own."""
        other = copy(self)
        other._place, other._driver, other._settings = place, None, None
        return other

    @property
    def settings(self) -> Settings:
        """The deployment and the OAuth client, from the connection.

        :raises SettingsError: the connection is incomplete or names something unknown.
        """
        if self._settings is None:
            connection = self.get_connection(self.sentinelhub_conn_id)
            self._settings = _settings(self.sentinelhub_conn_id, connection).at(self._place)
        return self._settings

    def interval(self, seconds: float, name: str = "poll_interval") -> float:
        """The seconds between polls at this connection: the given ones, or the least that its service advises.

        A process logs one warning for each interval that is raised.

        :param name: the argument, for the warning.
        """
        least = self.settings.least_interval
        if seconds >= least:
            return seconds
        message = (
            f"{name} is {seconds:g} s, less than the {least:g} s that polls of {self.settings.base_url} keep apart at "
            f"least; it is raised to {least:g} s."
        )
        PROCESS.warn_once(_log, logging.WARNING, message)
        return least

    @property
    def driver(self) -> SyncDriver:
        """The driver that runs flows in this thread."""
        if self._driver is None:
            from airflow_sentinelhub.transport.sync import SyncDriver

            PROCESS.metrics.begin(lambda: metrics(GAUGES, PREFIX))
            self._driver = SyncDriver(self.settings, self.log, mask_secret, self._read_again)
        return self._driver

    def interrupt(self) -> None:
        """End the flow that is being run at its next sleep, with an error of ours."""
        if self._driver is not None:
            self._driver.interrupt()

    async def async_driver(self) -> AsyncDriver:
        """A driver that runs flows in the event loop; the connection is looked up without blocking it."""
        return AsyncDriver(await self.async_settings(), self.log, _mask_aside, self._read_again_in_loop)

    async def async_settings(self) -> Settings:
        """The settings, looked up without blocking the event loop."""
        if self._settings is None:
            self._settings = (await self._looked_up()).at(self._place)
        return self._settings

    async def _looked_up(self, *, anew: bool = False) -> Settings:
        """The connection's settings; a thousand triggers that start together look them up once."""
        PROCESS.metrics.begin(lambda: metrics(GAUGES, PREFIX))
        return await PROCESS.look_up(self.sentinelhub_conn_id, self._look_up, 0.0 if anew else SETTINGS_KEPT)

    async def _look_up(self) -> Settings:
        connection = await connection_in_loop(self.sentinelhub_conn_id)
        return await aside(lambda: _settings(self.sentinelhub_conn_id, connection))

    def _read_again(self) -> Settings:
        """The connection's settings, read again, at the same deployment; those used so far if that fails."""
        before = self.settings
        try:
            connection = self.get_connection(self.sentinelhub_conn_id)
        except Exception as err:  # Airflow raises many kinds; the refused credentials are kept then
            return self._unread_again(before, err)
        return self._edited(before, lambda: _settings(self.sentinelhub_conn_id, connection))

    def _edited(self, before: Settings, read: Callable[[], Settings]) -> Settings:
        """The edited connection's settings, at the same deployment; those used so far while they are incomplete."""
        try:
            self._settings = read().at(before.place())
        except SettingsError as err:
            return self._half_edited(before, err)
        return self._settings

    def _half_edited(self, before: Settings, err: SettingsError) -> Settings:
        """The settings used so far: a user may be in the middle of editing the connection."""
        self.log.warning("The client secret was refused, and the connection cannot be used as it is now: %s", err)
        return before

    async def _read_again_in_loop(self) -> Settings:
        """What `_read_again` returns, without blocking the event loop."""
        before = await self.async_settings()
        try:
            settings = await self._looked_up(anew=True)
        except SettingsError as err:
            return self._half_edited(before, err)
        except Exception as err:
            return self._unread_again(before, err)
        return self._edited(before, lambda: settings)

    def _unread_again(self, before: Settings, err: Exception) -> Settings:
        self.log.warning("The connection %s cannot be read again (%s)", self.sentinelhub_conn_id, type(err).__name__)
        return before

    def run(self, flow: Flow[R]) -> R:
        """Run a flow to its end in this thread."""
        return self.driver.run(flow)

    def generation(self, batch_api: str | None = None) -> Generation:
        """The generation asked for, else the connection's."""
        return generation(batch_api or self.settings.batch_api)

    def generations(self, first: Generation | None = None) -> tuple[Generation, ...]:
        """The generations in which this connection has requests: this one, its own, and those of other kinds."""
        named = [first or self.generation(), self.generation(), *map(generation, OTHER_KINDS)]
        return tuple({api.name: api for api in named}.values())

    def all_generations(self, first: Generation | None = None) -> tuple[Generation, ...]:
        """Every generation, those of this connection first: tasks may name another one (`batch_api`)."""
        own = self.generations(first)
        return tuple({api.name: api for api in (*own, *map(generation, NAMES))}.values())


async def _mask_aside(secret: str) -> None:
    await aside(lambda: mask_secret(secret))


def _settings(conn_id: str, connection: Any) -> Settings:
    """Settings from an Airflow connection; its secret is masked in logs from here on.

    :raises SettingsError: it is of another type: its password is of another service, and must not be sent to this one.
    """
    if isinstance(connection.password, str):
        mask_forms(connection.password)
    if connection.conn_type and connection.conn_type != CONN_TYPE:
        raise SettingsError(
            f"Connection {conn_id!r} is of type {connection.conn_type!r}, not {CONN_TYPE!r}; nothing "
            "of it was sent. Name a connection of type sentinelhub in sentinelhub_conn_id, or give this one that type."
        )
    if isinstance(connection.extra, str) and connection.extra.strip() and not connection.extra_dejson:
        _check_json(conn_id, connection.extra)
    settings = settings_from(
        conn_id=conn_id,
        login=connection.login,
        password=connection.password,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        extra=connection.extra_dejson,
    )
    PROCESS.read_settings(settings)
    mask_passwords(settings.proxy)
    mask_passwords(settings.bucket_mount)
    for warning in settings.warnings:
        PROCESS.warn_once(_log, logging.WARNING, warning)
    return settings


def _check_json(conn_id: str, extra: str) -> None:
    """:raises SettingsError: an extra that Airflow takes for an empty one is no JSON; it is not shown."""
    try:
        json.loads(extra)
    except ValueError:
        raise SettingsError(
            f"Connection {conn_id!r}: extra is no JSON, so nothing of it can be read; enter an object, such as "
            '{"batch_api": "v2"}.'
        ) from None
