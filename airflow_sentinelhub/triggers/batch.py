"""Triggers: they wait for a request, and end it at the deadline or over the budget.

They carry ids, numbers and an absolute deadline; no payload, no secret, no elapsed time.

A trigger that moves to another triggerer is built again from these arguments and goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseTrigger, TriggerEvent, conf
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.verdict import TileGoal, Waited
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait, wait_for_tiles
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.cancel import end_in_triggerer, warm_up
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.hooks.storage import bucket_reader_in_triggerer, read_tiles_by
from airflow_sentinelhub.triggers.events import Event, broken_off, error_event, event_of

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook


class _WaitTrigger(BaseTrigger):
    """Waits for a request and ends with exactly one event.

    :param sentinelhub_conn_id: the connection; :param batch_api: `v1` or `v2`; :param request_id: the request.
    :param plan: how to wait, a `WaitPlan` or what its `as_json` has written.
    :param cancel_on_kill: end the request when the task is wanted no more (see `cancel.py`).
    :param place: deployment that the request is at, see `SentinelHubHook`; the connection's if left out.
    :param resume_state: plain JSON that is echoed back in the event: Airflow keeps no state of a deferred task that
        `dag.test()` keeps too.
    """

    def __init__(
        self,
        *,
        sentinelhub_conn_id: str,
        batch_api: str,
        request_id: str,
        plan: WaitPlan | Mapping[str, Any] | None = None,
        cancel_on_kill: bool = False,
        place: dict[str, str] | None = None,
        resume_state: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.batch_api = batch_api
        self.request_id = request_id
        self.plan = plan if isinstance(plan, WaitPlan) else WaitPlan.from_json(plan or {})
        self.cancel_on_kill = cancel_on_kill
        self.place = place
        self.resume_state = resume_state
        self._ended = False

    def _kwargs(self) -> dict[str, Any]:
        return {
            "sentinelhub_conn_id": self.sentinelhub_conn_id,
            "batch_api": self.batch_api,
            "request_id": self.request_id,
            "plan": self.plan.as_json(),
            "cancel_on_kill": self.cancel_on_kill,
            "place": self.place,
            "resume_state": self.resume_state,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, from which another triggerer builds this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self._kwargs()

    async def _flow(self, api: Generation) -> Flow[Waited]:
        raise SentinelHubError("A trigger of this kind waits for nothing.")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event, also after an unexpected error."""
        event: Event
        try:
            warm_up(getattr(self, "task_instance", None))
            driver = await self._hook().async_driver()
            waited = await driver.run(await self._flow(self._api()))
            event = event_of(waited, self.request_id, self.resume_state)
        except SentinelHubError as err:
            event = error_event(err, self.request_id, self.resume_state)
        except Exception as err:
            self.log.exception("The wait for batch request %s broke off", self.request_id)
            event = error_event(broken_off(err, self.request_id), self.request_id, self.resume_state)
        self._ended = True
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A user has acted on the task, or another triggerer has taken over (3.3 only; `cleanup` comes on all)."""
        await self._end()

    async def cleanup(self) -> None:
        """The trigger ends: after its event, by a user, or by a restart of the triggerer; Airflow does not say why."""
        await self._end()

    async def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        ti = getattr(self, "task_instance", None)
        kill = self.cancel_on_kill
        await end_in_triggerer(self._hook(), self._api(), self.request_id, ti, on_kill=kill, log=self.log)

    def _hook(self) -> SentinelHubHook:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook  # loads HTTP libraries

        return SentinelHubHook(self.sentinelhub_conn_id, place=self.place)

    def _api(self) -> Generation:
        return generation(self.batch_api)


def _first_poll() -> float:
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

    async def _flow(self, api: Generation) -> Flow[Waited]:
        return wait(api, self.request_id, self.target_status, self.plan, first_poll=_first_poll())


class SentinelHubBatchStatisticalTrigger(SentinelHubBatchTrigger):
    """Waits until a statistical request has the status `target_status`, or cannot get it any more."""

    def __init__(self, *, batch_api: str = "statistical", **kwargs: Any) -> None:
        super().__init__(batch_api=batch_api, **kwargs)


class SentinelHubBatchTileTrigger(_WaitTrigger):
    """Waits until tiles of a request are in a status: one, a number, a share, or all of them.

    :param aws_conn_id: connection that may read the bucket (v2).
    """

    def __init__(
        self,
        *,
        tile_status: str = "PROCESSED",
        tile: str | None = None,
        count: int | None = None,
        share: float | None = None,
        aws_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tile_status = tile_status
        self.tile = tile
        self.count = count
        self.share = share
        self.aws_conn_id = aws_conn_id

    def _kwargs(self) -> dict[str, Any]:
        goal = {"tile_status": self.tile_status, "tile": self.tile, "count": self.count, "share": self.share}
        return {**super()._kwargs(), **goal, "aws_conn_id": self.aws_conn_id}

    async def _flow(self, api: Generation) -> Flow[Waited]:
        goal = TileGoal(self.tile_status, self.tile, self.count, self.share)
        settings = await self._hook().async_settings()
        reader = await bucket_reader_in_triggerer(self.aws_conn_id, settings)
        read = read_tiles_by(reader)
        return wait_for_tiles(api, self.request_id, goal, self.plan, read, first_poll=_first_poll())
