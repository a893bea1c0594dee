"""The watcher of requests: its events start DAGs when requests of the account end. Airflow 3.0 and later."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._identity import deployment_name
from airflow_sentinelhub.api.decide.marker import dag_word, mark_of, task_word, unmarked
from airflow_sentinelhub.api.decide.watching import Sight
from airflow_sentinelhub.api.flows.watch import current_state, requests_since
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service.generations import Generation, generation, never_ends
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, status_word
from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.triggers._watcher import Look, Watcher, refused, text_or_none

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    from airflow_sentinelhub.transport.aio import AsyncDriver

FINAL = tuple(status.value for status in BatchRequestStatus if status.is_final)
LOOKBACK = timedelta(days=30)
PAGES = 5
"""Of the list (a hundred requests each) that every look reads: the newest requests."""
SECONDS_A_PAGE = 10.0
"""A longer list is read to its end less often: its pages times so many seconds pass between two such readings."""


@dataclass
class _Account:
    """The requests of an account as the last looks have shown them.

    :param jobs: by id.
    :param pages: of the whole list.
    :param whole_at: when it was read, by a clock that runs evenly.
    """

    jobs: dict[str, Snapshot] = field(default_factory=dict)
    pages: int = 0
    whole_at: float = float("-inf")


class SentinelHubBatchWatcherTrigger(Watcher[Snapshot]):
    """Tells of each request of the account that ends, whoever has started it: for an `AssetWatcher`.

    All that have ended by a look are one event. It has, as `payload` in the `extra` of the asset's event,
    `sentinelhub_conn_id` and the list `requests`; of each `request_id`, `batch_api`, `status`, `description` (as its
    author wrote it), `created`, `cost_pu`, `expected_pu` (PU; null where the service does not say), `tiles`, `error`,
    `stopped_reason`, `output` and `repeated`.

    - **Calls**: the list of the account's requests, every `poll_interval`, back to `lookback`; and one call for each
      request that is told of. Watchers with the same connection, `batch_api`, interval and lookback share the list. Of
      more than five hundred requests it reads the newest at each look, and all of them every ten seconds for each
      hundred (of ten thousand, every seventeen minutes).
    - **First look**: requests that have ended before are not new, and are not told.
    - **Restart** of the triggerer: what has ended meanwhile is told then. A request is told once; only if a triggerer
      is killed in the seconds in which an event is on its way, it is told again, with `repeated: true`.
    - **Restart of a request**: when it ends again, it is told again.
    - **Out of reach**: it goes on looking, and logs why it cannot.

    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param batch_api: `v1`, `v2` or `statistical`; None: that of the connection.
    :param status: tell only of requests that end with this status, or one of these; None: of all. CANCELED is that
        of v1, STOPPED that of v2 and statistical; v2 has no PARTIAL.
    :param description: tell only of requests whose description has this text in it, in any letter case.
    :param dag_id: tell only of requests that a task of this DAG of this Airflow has created.
    :param task_id: the same for one task of the DAG; it needs `dag_id`.
    :param poll_interval: seconds, or a timedelta.
    :param lookback: seconds, or a timedelta, at least `poll_interval`: for so long after its creation a request is
        watched.
    :raises InvalidInputError: an argument cannot be right. None of them is a template: a watcher has no run.
    """

    things = "requests"
    shared = ("sentinelhub_conn_id", "batch_api", "poll_interval", "lookback")

    def __init__(
        self,
        *,
        sentinelhub_conn_id: str = "sentinelhub_default",
        batch_api: str | None = None,
        status: str | Sequence[str] | None = None,
        description: str | None = None,
        dag_id: str | None = None,
        task_id: str | None = None,
        poll_interval: float | timedelta = 60.0,
        lookback: float | timedelta = LOOKBACK,
    ) -> None:
        with refused():
            super().__init__(sentinelhub_conn_id=sentinelhub_conn_id, poll_interval=poll_interval, lookback=lookback)
            self.batch_api = None if batch_api is None else generation(batch_api).name
            self.status = _statuses(status, self.batch_api)
            self.description = text_or_none(description, "description")
            self.dag_id = text_or_none(dag_id, "dag_id")
            self.task_id = text_or_none(task_id, "task_id")
            if self.task_id and not self.dag_id:
                raise InvalidInputError("task_id needs dag_id too: tasks of several DAGs may have the same name.")

    def arguments(self) -> dict[str, Any]:
        return {
            "sentinelhub_conn_id": self.sentinelhub_conn_id,
            "batch_api": self.batch_api,
            "status": self.status,
            "description": self.description,
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            "poll_interval": self.poll_interval,
            "lookback": self.lookback,
        }

    async def look(self, hook: SentinelHubHook, driver: AsyncDriver) -> Look[Snapshot]:
        api = hook.generation(self.batch_api)
        now, even = time.time(), time.monotonic()
        since = datetime.fromtimestamp(now - self.lookback, tz=timezone.utc)
        known: _Account = PROCESS.watched_in_this_loop().lists.setdefault(self.shared_stream_key(), _Account())
        whole = even - known.whole_at >= known.pages * SECONDS_A_PAGE
        listed = await driver.run(requests_since(api, since, None if whole else PAGES))
        read = {job.request_id.lower(): job for job in listed.jobs}
        if listed.complete:
            known.jobs, known.pages, known.whole_at = read, listed.pages, even
        else:
            older = {name: job for name, job in known.jobs.items() if job.created is None or job.created >= since}
            known.jobs = {**older, **read}
        return Look(now, dict(known.jobs), partial(_again, driver, api))

    def sight(self, thing: Snapshot, look: Look[Snapshot]) -> Sight | None:
        if not self._means(thing):
            return None
        at = look.at if thing.created is None else thing.created.timestamp()
        # Nothing moves after the end unless somebody acts: a later action makes a later end another one.
        return Sight(thing.request_id.lower(), at, 0.0 if thing.acted is None else thing.acted.timestamp())

    def _means(self, job: Snapshot) -> bool:
        if not job.status.is_final:
            return False
        if self.status is not None and job.status.value not in self.status:
            if never := never_ends(self.status, job.generation):
                self._failed(
                    "status", f"{self._name} tells nothing by the connection {self.sentinelhub_conn_id}: {never}"
                )
            return False
        mark = mark_of(job.description)
        if mark is not None and mark.adopts:  # a note, which never runs
            return False
        if self.description is not None and self.description.lower() not in unmarked(job.description).lower():
            return False
        if self.dag_id is None:
            return True
        deployment = deployment_name()
        if mark is None or mark.dag != dag_word(deployment, self.dag_id):
            return False
        return self.task_id is None or mark.task == task_word(deployment, self.dag_id, self.task_id)

    def described(self, thing: Snapshot) -> dict[str, Any]:
        return {
            "request_id": thing.request_id,
            "batch_api": thing.generation,
            "status": thing.status.value,
            "description": unmarked(thing.description),
            "created": None if thing.created is None else thing.created.isoformat(),
            "cost_pu": thing.cost,
            "expected_pu": thing.expected_cost,
            "tiles": thing.tile_count,
            "error": thing.error,
            "stopped_reason": None if thing.stopped_reason is None else thing.stopped_reason.value,
            "output": thing.output_url,
        }


async def _again(driver: AsyncDriver, api: Generation, request_id: str) -> Snapshot | None:
    """The request as it is now, None if it is gone."""
    try:
        return await driver.run(current_state(api, request_id))
    except NotFoundError:
        return None


def _statuses(status: Any, batch_api: str | None) -> list[str] | None:
    """The final statuses that are meant, None for all.

    :raises InvalidInputError: one is not the end of a request, or there is none, or no request of `batch_api` has one.
    """
    if status is None:
        return None
    given = [status] if isinstance(status, str) else status
    words = [status_word(word).upper() for word in given] if isinstance(given, (list, tuple, set, frozenset)) else []
    if not words or any(word not in FINAL for word in words):
        raise InvalidInputError(
            f"status is one or several of {', '.join(FINAL)}, with which a request ends, or None for all, not "
            f"{shown(status)}."
        )
    if batch_api is not None and (never := never_ends(words, batch_api)):
        raise InvalidInputError(f"With status {shown(status)} a watcher never tells a thing: {never}")
    return sorted(set(words))
