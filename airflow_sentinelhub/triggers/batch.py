"""Triggers: they only read. They carry ids, numbers and an absolute deadline; no payload, no secret, no elapsed time.

A trigger that moves to another triggerer is built again from these arguments and goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseTrigger, TriggerEvent, conf
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.triggers.events import error_event, event_of

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Flow
    from airflow_sentinelhub.api.generations import Generation
    from airflow_sentinelhub.api.waiting import Waited, WaitPlan


class _WaitTrigger(BaseTrigger):
    """Waits for a request and ends with exactly one event.

    :param sentinelhub_conn_id: the connection; :param batch_api: `v1` or `v2`; :param request_id: the request.
    :param poll_interval: seconds between polls.
    :param deadline: seconds since 1970 at which the wait ends, None for never.
    :param max_unknown_time: seconds for which the state may be unreadable.
    :param wait_for_start: wait for a request that nobody has started yet.
    """

    def __init__(
        self,
        *,
        sentinelhub_conn_id: str,
        batch_api: str,
        request_id: str,
        poll_interval: float = 60.0,
        deadline: float | None = None,
        max_unknown_time: float = 1800.0,
        wait_for_start: bool = False,
        stale_partial: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.request_id = request_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.max_unknown_time = max_unknown_time
        self.wait_for_start = wait_for_start
        self.stale_partial = stale_partial

    def _kwargs(self) -> dict[str, Any]:
        return {
            "sentinelhub_conn_id": self.sentinelhub_conn_id,
            "batch_api": self.batch_api,
            "request_id": self.request_id,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            "max_unknown_time": self.max_unknown_time,
            "wait_for_start": self.wait_for_start,
            "stale_partial": self.stale_partial,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, from which another triggerer builds this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self._kwargs()

    def _flow(self, api: Generation, plan: WaitPlan) -> Flow[Waited]:
        raise SentinelHubError("A trigger of this kind waits for nothing.")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        from airflow_sentinelhub.api.generations import generation
        from airflow_sentinelhub.api.waiting import WaitPlan
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        plan = WaitPlan(
            poll_interval=self.poll_interval,
            first_poll=first_poll(),
            deadline=self.deadline,
            max_unknown_time=self.max_unknown_time,
            wait_for_start=self.wait_for_start,
            stale_partial=self.stale_partial,
        )
        try:
            driver = await SentinelHubHook(self.sentinelhub_conn_id).async_driver()
            waited = await driver.run(self._flow(generation(self.batch_api), plan))
        except SentinelHubError as err:
            yield TriggerEvent(error_event(err, self.request_id))  # type: ignore[no-untyped-call]
        else:
            yield TriggerEvent(event_of(waited, self.request_id))  # type: ignore[no-untyped-call]


def first_poll() -> float:
    """Seconds before the first poll.

    A trigger that fires within `[workers] min_heartbeat_interval` of the deferral can get its task marked failed on
    Airflow 3 with the local executor: the supervisor learns only then that the first half has ended.
    """
    return float(conf.getint("workers", "min_heartbeat_interval", fallback=5)) + 1.0


class SentinelHubBatchTrigger(_WaitTrigger):
    """Waits until a request has the status `target_status`, or cannot get it any more."""

    def __init__(self, *, target_status: str = "DONE", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_status = target_status

    def _kwargs(self) -> dict[str, Any]:
        return {**super()._kwargs(), "target_status": self.target_status}

    def _flow(self, api: Generation, plan: WaitPlan) -> Flow[Waited]:
        from airflow_sentinelhub.api.waiting import wait

        return wait(api, self.request_id, self.target_status, plan)


class SentinelHubBatchTileTrigger(_WaitTrigger):
    """Waits until tiles of a request are in a status: one, a number, a share, or all of them."""

    def __init__(
        self,
        *,
        tile_status: str = "PROCESSED",
        tile: str | None = None,
        count: int | None = None,
        share: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tile_status = tile_status
        self.tile = tile
        self.count = count
        self.share = share

    def _kwargs(self) -> dict[str, Any]:
        goal = {"tile_status": self.tile_status, "tile": self.tile, "count": self.count, "share": self.share}
        return {**super()._kwargs(), **goal}

    def _flow(self, api: Generation, plan: WaitPlan) -> Flow[Waited]:
        from airflow_sentinelhub.api.verdict import TileGoal
        from airflow_sentinelhub.api.waiting import wait_for_tiles

        goal = TileGoal(self.tile_status, self.tile, self.count, self.share)
        return wait_for_tiles(api, self.request_id, goal, plan)
