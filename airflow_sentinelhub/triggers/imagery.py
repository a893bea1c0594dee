"""The watcher of new imagery: its events start DAGs when there are new acquisitions. Airflow 3.0 and later."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.api.area_reading import is_name_of_file
from airflow_sentinelhub.api.decide.watching import Sight
from airflow_sentinelhub.api.flows.imagery import (
    as_plain,
    checked_collection,
    cloud_limit,
    early_where,
    find_acquisitions,
    where_of,
)
from airflow_sentinelhub.api.rings import described, shown
from airflow_sentinelhub.api.service.catalog import Acquisition
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.triggers._watcher import Look, Watcher, refused, text_or_none

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    from airflow_sentinelhub.transport.aio import AsyncDriver

LOOKBACK = timedelta(days=14)
AHEAD = 366 * 86_400.0
"""Seconds from now at which a search ends. What is taken later than now is nothing new on the day; but the clock of a
triggerer may be late, and a simulator's may run faster than any."""


class SentinelHubNewImageryWatcherTrigger(Watcher[Acquisition]):
    """Tells of each new acquisition of a collection over an area: for an `AssetWatcher`.

    All that are new at a look are one event. It has, as `payload` in the `extra` of the asset's event,
    `sentinelhub_conn_id` and the list `acquisitions`; of each `id`, `collection`, `datetime` (when it was taken),
    `cloud_cover` (percent; null where the catalog does not say), `platform`, `bbox` and `repeated`.

    - **Calls**: a search of the Catalog API every `poll_interval`, over the last `lookback`. Watchers of the same
      acquisitions share it.
    - **New** is what was not there at an earlier look. Acquisitions are published hours or days after they were taken,
      and not in order: so it remembers ids, not the last time.
    - **First look**: what is there already is not new, and is not told.
    - **Restart** of the triggerer: what was published meanwhile is told then. An acquisition is told once; only if a
      triggerer is killed in the seconds in which an event is on its way, it is told again, with `repeated: true`.
    - **Out of reach**: it goes on looking, and logs why it cannot.

    :param collection: name in the catalog of the deployment, such as `sentinel-2-l2a` or `byoc-<id>`.
    :param area: in longitude and latitude, in any form that operators take and that can be stored: an object of another
        library may have to be given as GeoJSON. A file is read by the triggerer, and named by its whole path.
    :param max_cloud_coverage: percent; None: no limit. Acquisitions that do not say theirs are left out by a limit.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param poll_interval: seconds, or a timedelta.
    :param lookback: seconds, or a timedelta, at least `poll_interval`: what was taken longer ago is not told, however
        late it comes.
    :raises InvalidInputError: an argument cannot be right. None of them is a template: a watcher has no run.
    """

    things = "acquisitions"
    shared = ("sentinelhub_conn_id", "collection", "area", "max_cloud_coverage", "poll_interval", "lookback")

    def __init__(
        self,
        *,
        collection: str,
        area: Any,
        max_cloud_coverage: float | None = None,
        sentinelhub_conn_id: str = "sentinelhub_default",
        poll_interval: float | timedelta = 900.0,
        lookback: float | timedelta = LOOKBACK,
    ) -> None:
        with refused():
            super().__init__(sentinelhub_conn_id=sentinelhub_conn_id, poll_interval=poll_interval, lookback=lookback)
            text_or_none(collection, "collection")
            if is_late(area):
                raise InvalidInputError("area cannot be a template or the output of a task: a watcher has no run.")
            self.collection = checked_collection(collection)
            self.area = _kept(early_where(area))
            self.max_cloud_coverage = cloud_limit(max_cloud_coverage)

    def arguments(self) -> dict[str, Any]:
        return {
            "sentinelhub_conn_id": self.sentinelhub_conn_id,
            "collection": self.collection,
            "area": self.area,
            "max_cloud_coverage": self.max_cloud_coverage,
            "poll_interval": self.poll_interval,
            "lookback": self.lookback,
        }

    async def look(self, hook: SentinelHubHook, driver: AsyncDriver) -> Look[Acquisition]:
        now = time.time()
        where = await asyncio.to_thread(where_of, self.area)
        begin, end = (datetime.fromtimestamp(at, tz=timezone.utc) for at in (now - self.lookback, now + AHEAD))
        found = await driver.run(find_acquisitions(self.collection, where, begin, end, self.max_cloud_coverage))
        things = {item.id: item for item in found}

        async def again(name: str) -> Acquisition | None:
            return things.get(name)  # an acquisition does not change

        return Look(now, things, again)

    def sight(self, thing: Acquisition, look: Look[Acquisition]) -> Sight | None:
        return Sight(thing.id, look.at if thing.taken is None else thing.taken.timestamp())

    def described(self, thing: Acquisition) -> dict[str, Any]:
        return as_plain(thing)


def _kept(area: Any) -> Any:
    """An area as it can be stored for a triggerer, which knows neither the DAG nor its folder.

    :raises InvalidInputError: it is an object that cannot, or names a file without its folder.
    """
    if isinstance(area, os.PathLike):
        area = os.fspath(area)
    try:
        json.dumps(area)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"area is {described(area)}, which cannot be stored for the triggerer: give GeoJSON, WKT, or the whole "
            "path of a file."
        ) from None
    if isinstance(area, str) and is_name_of_file(area) and not os.path.isabs(area):
        raise InvalidInputError(
            f"area names the file {shown(area)} without its folder. The triggerer reads it, and does not know the "
            "folder of the DAG: give the whole path, such as Path(__file__).with_name(...)."
        )
    return area
