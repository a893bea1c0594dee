"""Triggers that wait for a request, and end it at the deadline or when it exceeds its budget.

Their arguments are ids, numbers and an absolute deadline. They contain no payload, no secret and no elapsed time, so
that another triggerer can build a trigger again from its arguments and continue the wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_sentinelhub._compat import BaseTrigger, TriggerEvent, conf
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.verdict import TileGoal, Waited
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.flows.tiles import wait_for_tiles
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.cancel import ANSWER_AFTER_KILL, ANSWER_WITHIN, end_in_triggerer, warm_up
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.hooks.storage import bucket_reader_in_triggerer, read_tiles_by
from airflow_sentinelhub.kept_progress import KeptInTriggerer
from airflow_sentinelhub.triggers.events import Event, broken_off, error_event, event_of

if TYPE_CHECKING:
    from airflow_sentinelhub._types import Unpack
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook


class _OfRequest(TypedDict):
    sentinelhub_conn_id: str
    request_id: str


class WaitOfRequest(_OfRequest, total=False):
    """The arguments of `_WaitTrigger` but for `batch_api`."""

    plan: WaitPlan | Mapping[str, Any] | None
    cancel_on_kill: bool
    place: dict[str, str] | None
    resume_state: dict[str, Any] | None


class _OfGeneration(TypedDict):
    batch_api: str


class WaitOfJob(WaitOfRequest, _OfGeneration):
    """The arguments of `_WaitTrigger`."""


class _WaitTrigger(BaseTrigger):
    """Base of the triggers: waits for a request, and ends with exactly one event.

    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: name of the generation: `v1`, `v2` or `statistical`.
    :param request_id: id of the request.
    :param plan: how to wait: a `WaitPlan`, or the JSON of its `as_json`.
    :param cancel_on_kill: cancel (v2: stop) the request if no task needs it any more (see `cancel.py`).
    :param place: deployment of the request, see `SentinelHubHook`; default: that of the connection.
    :param resume_state: plain JSON, echoed back in the event. The task keeps its state here, because no other store of
        Airflow works in `dag.test()` as well.
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
        self._kept: KeptInTriggerer | None = None

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
        """The class path and the arguments, from which a triggerer builds this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self._kwargs()

    async def _flow(self, api: Generation) -> Flow[Waited]:
        raise SentinelHubError(f"{type(self).__name__} must define _flow.")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield exactly one event, even after an unexpected error."""
        event: Event
        try:
            warm_up(ti := getattr(self, "task_instance", None))
            self._kept = KeptInTriggerer(ti, Progress(self.request_id, self.batch_api))
            hook = await asyncio.to_thread(self._hook)  # its modules load HTTP libraries, once in each process
            driver = await hook.async_driver()
            self.plan = replace(self.plan, poll_interval=hook.interval(self.plan.poll_interval))
            waited = await driver.run(await self._flow(self._api()))
            event = event_of(waited, self.request_id, self.resume_state)
        except SentinelHubError as err:
            event = error_event(err, self.request_id, self.resume_state)
        except Exception as err:
            self.log.exception("The wait for batch request %s broke off", self.request_id)
            event = error_event(broken_off(err, self.request_id), self.request_id, self.resume_state)
        self._ended = True
        if self._kept is not None:
            await self._kept.flush()
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Airflow 3.3 calls this after a user's action or a takeover by another triggerer; see also `cleanup`."""
        await self._end(ANSWER_AFTER_KILL)

    async def cleanup(self) -> None:
        """Airflow calls this whenever a trigger ends (event, user's action, restart), and does not say why."""
        await self._end(ANSWER_WITHIN)

    async def _end(self, wait: float) -> None:
        if self._ended:
            return
        self._ended = True
        ti = getattr(self, "task_instance", None)
        hook, api, on_kill = self._hook(), self._api(), self.cancel_on_kill
        await end_in_triggerer(hook, api, self.request_id, ti, on_kill=on_kill, log=self.log, wait=wait)

    def _hook(self) -> SentinelHubHook:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook  # loads HTTP libraries

        return SentinelHubHook(self.sentinelhub_conn_id, place=self.place)

    def _api(self) -> Generation:
        return generation(self.batch_api)


def _first_poll() -> float:
    """Seconds to wait before the first poll, so that no event comes too early.

    On Airflow 3 with the LocalExecutor a task can be marked failed if its trigger fires within
    `[workers] min_heartbeat_interval` after the deferral: only then does the supervisor notice that the process that
    has deferred has ended.
    """
    return float(conf.getint("workers", "min_heartbeat_interval", fallback=5)) + 1.0


class SentinelHubBatchTrigger(_WaitTrigger):
    """Waits until a request has the status `target_status`, or cannot reach it any more."""

    def __init__(self, *, target_status: str = "DONE", **kwargs: Unpack[WaitOfJob]) -> None:
        super().__init__(**kwargs)
        self.target_status = target_status

    def _kwargs(self) -> dict[str, Any]:
        return {**super()._kwargs(), "target_status": self.target_status}

    async def _flow(self, api: Generation) -> Flow[Waited]:
        return wait(api, self.request_id, self.target_status, self.plan, first_poll=_first_poll(), on_poll=self._kept)


class SentinelHubBatchStatisticalTrigger(SentinelHubBatchTrigger):
    """Waits until a statistical request has the status `target_status`, or cannot reach it any more."""

    def __init__(
        self, *, batch_api: str = "statistical", target_status: str = "DONE", **kwargs: Unpack[WaitOfRequest]
    ) -> None:
        super().__init__(batch_api=batch_api, target_status=target_status, **kwargs)


class SentinelHubBatchTileTrigger(_WaitTrigger):
    """Waits until tiles of a request have a status: a single tile, a number of tiles, a share of them, or all.

    :param tile_status, tile, count, share: see `SentinelHubBatchTileSensor`.
    :param aws_conn_id: id of an Airflow connection of type `aws` that may read the bucket (v2).
    """

    def __init__(
        self,
        *,
        tile_status: str = "PROCESSED",
        tile: str | None = None,
        count: int | None = None,
        share: float | None = None,
        aws_conn_id: str | None = None,
        **kwargs: Unpack[WaitOfJob],
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
        read_tiles = read_tiles_by(reader)
        return wait_for_tiles(
            api, self.request_id, goal, self.plan, read_tiles, first_poll=_first_poll(), on_poll=self._kept
        )
