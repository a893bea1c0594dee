"""Sensors for the status of a request and its tiles. They behave the same in poke, reschedule and deferrable mode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._types import Rendered, SensorArguments, Templated, Unpack
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.verdict import TileGoal, Waited
from airflow_sentinelhub.api.flows.counting import TileMemory
from airflow_sentinelhub.api.flows.tiles import look_at_tiles
from airflow_sentinelhub.api.statuses import TILE_STATUSES
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.hooks.storage import FilesSeen, read_tiles_by
from airflow_sentinelhub.sensors._request_sensor import RequestSensor, StatusSensor
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTileTrigger, SentinelHubBatchTrigger

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import BaseTrigger

__all__ = ["SentinelHubBatchSensor", "SentinelHubBatchTileSensor"]


class SentinelHubBatchSensor(StatusSensor):
    """Wait until a request has a status.

    - **Calls** the request, with one call per poll, whatever the number of tiles.
    - **Returns** nothing.
    - **On kill** the request is left as it is: a sensor only reads.
    - **On timeout** the sensor fails, or skips with `soft_fail`. The message says whether the request still runs and
      bills.
    - **On retry** it reads again.

    The sensor fails at once if the request cannot reach the status any more: it failed, was cancelled, is PARTIAL, or
    was not started for two minutes (unless `wait_for_start`).

    :param target_status: status to wait for. `ANALYSIS_DONE` and `PROCESSING` are also reached by every later status.
    :param request_id: id of the request, or the result of a step (such as `create.output`).
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the status may be unreadable before the sensor fails.
    :param wait_for_start: wait for a request that is not started yet, instead of failing after two minutes. In
        reschedule mode the worker stays occupied for these two minutes.
    :param poke_interval: time between polls: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`. All times
        can be given so.
    :param timeout: maximal time to wait; default: `[sensors] default_timeout`.
    :param max_poll_interval: time that `poke_interval` may grow to while the end is far, in all modes: to a tenth of
        the time since the status has changed (in reschedule mode, since the first poke), and a quarter of the time that
        seems to be left. It takes the place of Airflow's `exponential_backoff`. None: it does not grow.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.

    `mode`, `soft_fail` and `never_fail` are Airflow's, and behave the same in all modes.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "sentinelhub_conn_id",
        "batch_api",
        "deferrable",
        "max_unknown_time",
        "wait_for_start",
        "poke_interval",
        "max_poll_interval",
        "timeout",
        "target_status",
    )

    def __init__(
        self,
        *,
        request_id: Templated[str],
        target_status: Templated[str] = "DONE",
        deferrable: Templated[bool] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        wait_for_start: Templated[bool] = False,
        poke_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.deferrable = deferrable
        self.max_unknown_time = max_unknown_time
        self.wait_for_start = wait_for_start
        self.poke_interval = poke_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.target_status = target_status
        self.check_arguments()

    def _trigger(self, **common: Any) -> BaseTrigger:
        return SentinelHubBatchTrigger(target_status=self.target_status, **common)


class SentinelHubBatchTileSensor(RequestSensor):
    """Wait until tiles of a request have a status: a single tile, a number of tiles, a share of them, or all.

    - **Calls** the request and at most five pages of its tiles per poll, whatever their number (v1). For all tiles, or
      nearly all, it asks for one page of each other status. For a number or a share it counts on from poll to poll; as
      long as there are tiles to catch up with, it polls every 10 s, and every 2 s when the request has ended.
    - **Returns** nothing.
    - **On kill** the request is left as it is: a sensor only reads.
    - **On timeout** the sensor fails, or skips with `soft_fail`. The message says whether the request still runs and
      bills.
    - **On retry** it reads again.

    The API of v2 lists no tiles, so on v2 the manifest and the execution database are read from the bucket when they
    have changed. If these are missing, incomplete or older than the request's status, the tiles are unknown, and they
    are read again for `max_unknown_time`.

    In `reschedule` mode each poke is a new process, which has forgotten the count of the last one (v1) and what files
    it has read (v2). It counts anew, as far as the goal needs, and the worker stays occupied for so long: 10 s for each
    500 tiles that `count` or `share` ask for, or that come before a `tile` given by its name. Waiting for all tiles, or
    for a tile given by its id, costs nothing more. For large jobs use `deferrable`, or `poke`.

    A goal for more than 500 tiles in a status that tiles leave again (PENDING, SCHEDULED, QUEUED, PROCESSING) is
    counted over several polls: every tile counts that was in the status when its page was read.

    If `tile`, `count` and `share` are all left out, the sensor waits for all tiles. A template that renders to nothing
    is an error; it does not mean all tiles.

    :param tile_status: status to wait for, such as `PROCESSED` or `FAILED`.
    :param tile: name or id of a single tile.
    :param count: minimal number of tiles.
    :param share: minimal share of the tiles, above 0 and up to 1.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket (v2).
    :param request_id: id of the request, or the result of a step (such as `create.output`).
    :param deferrable: wait in the triggerer instead of in the worker; default: `[operators] default_deferrable`.
    :param max_unknown_time: seconds for which the status may be unreadable before the sensor fails.
    :param wait_for_start: wait for a request that is not started yet, instead of failing after two minutes. In
        reschedule mode the worker stays occupied for these two minutes.
    :param poke_interval: time between polls: seconds, a timedelta, or text such as `90`, `1:30:00` or `PT5M`. All times
        can be given so.
    :param timeout: maximal time to wait; default: `[sensors] default_timeout`.
    :param max_poll_interval: time that `poke_interval` may grow to while the end is far, in all modes: to a tenth of
        the time since the status has changed (in reschedule mode, since the first poke), and a quarter of the time that
        seems to be left. It takes the place of Airflow's `exponential_backoff`. None: it does not grow.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1` or `v2`; default: that of the connection.

    `mode`, `soft_fail` and `never_fail` are Airflow's, and behave the same in all modes.
    """

    template_fields: Sequence[str] = (
        "request_id",
        "sentinelhub_conn_id",
        "batch_api",
        "deferrable",
        "max_unknown_time",
        "wait_for_start",
        "poke_interval",
        "max_poll_interval",
        "timeout",
        "tile_status",
        "tile",
        "count",
        "share",
        "aws_conn_id",
    )
    words = {"tile_status": TILE_STATUSES}
    tile_status: Rendered[str]
    aws_conn_id: Rendered[str | None]

    def __init__(
        self,
        *,
        request_id: Templated[str],
        tile_status: Templated[str] = "PROCESSED",
        tile: Templated[str | int] | None = None,
        count: Templated[int] | None = None,
        share: Templated[float] | None = None,
        aws_conn_id: Templated[str] | None = None,
        deferrable: Templated[bool] | None = None,
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        wait_for_start: Templated[bool] = False,
        poke_interval: Templated[float | timedelta] = 60.0,
        max_poll_interval: Templated[float | timedelta] | None = None,
        timeout: Templated[float | timedelta] | None = None,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        batch_api: Templated[str] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.deferrable = deferrable
        self.max_unknown_time = max_unknown_time
        self.wait_for_start = wait_for_start
        self.poke_interval = poke_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout
        self.tile_status = tile_status
        self.tile = tile
        self.count = count
        self.share = share
        self.aws_conn_id = aws_conn_id
        self._memory, self._files_seen = TileMemory(), FilesSeen()
        with self.literals():
            if not any(map(is_late, (tile_status, tile, count, share))):
                self._target()

    def _goal(self) -> dict[str, Any]:
        names = ("tile", "count", "share")
        return all_taken({name: getattr(self, name) for name in names}, self._in_dag)

    def _target(self) -> str:
        return str(TileGoal(self.tile_status, **self._goal()))

    def _forget(self) -> None:
        super()._forget()
        self._memory, self._files_seen = TileMemory(), FilesSeen()

    def _look(self, request_id: str) -> Flow[Waited]:
        from airflow_sentinelhub.hooks.sentinelhub import reader_now  # loads HTTP libraries

        goal = TileGoal(self.tile_status, **self._goal())
        if self.api.results == "listed":
            return look_at_tiles(self.api, request_id, goal, memory=self._memory)
        # The connections are read at each look, so that corrected ones are used.
        reader = reader_now(self.sentinelhub_conn_id, self.aws_conn_id)
        return look_at_tiles(self.api, request_id, goal, read_tiles_by(reader, self._files_seen))

    def _trigger(self, **common: Any) -> BaseTrigger:
        goal = {**self._goal(), "tile_status": self.tile_status, "aws_conn_id": self.aws_conn_id}
        return SentinelHubBatchTileTrigger(**goal, **common)
