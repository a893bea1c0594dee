"""Keep what a waiting task reads in an XCom of the task, where the page of the job finds it (Airflow 3.1 and later).

An XCom is the one place that both a worker and a trigger may write, that lives as long as the task instance, and that
exactly those may read who may read the task's XComs. Nothing is decided by it. A record that cannot be written is left
out: the wait goes on, and the page says since when it knows what it shows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from airflow_sentinelhub._compat import HAS_PAGES
from airflow_sentinelhub._compat.supervisor import xcom_in_triggerer
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import Progress, progress_from
from airflow_sentinelhub.api.flows.wait import Watch, share_of
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.transport.process import PROCESS

KEY = "sentinelhub_progress"
"""XCom key of the record."""
SPACING = 30.0
"""Seconds between two records of a wait, unless the state has changed."""
GAP = 0.2
"""Seconds between two records of a triggerer: with a thousand waits, each writes every three minutes or so."""
PATIENCE = 5.0
"""Seconds that a trigger's last record may take before its event is sent."""
_log = logging.getLogger(__name__)


class _Kept:
    """Records the readings of a wait; the flow of the wait calls it at each poll (`OnPoll`)."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._written = float("-inf")

    def __call__(self, watch: Watch, now: float) -> None:
        record = self.progress
        record.every, record.budget = watch.plan.poll_interval, watch.plan.max_cost or record.budget
        if watch.unknown_since is None:
            urgent = record.read(watch.last, share_of(watch.last), now)
        else:
            urgent = record.failed(watch.cause, watch.unknown_since)
        if urgent or now - self._written >= SPACING:
            self._written = now
            self.write()

    def _go_on_from(self, kept: Any) -> None:
        """Go on with the record that an earlier process of the same try has written."""
        before = progress_from(kept, self.progress.request_id)
        if before is not None and before.try_number == self.progress.try_number:
            self.progress.go_on_from(before)

    def write(self) -> None:
        raise AssertionError(f"{type(self).__name__} must define write.")


class KeptInWorker(_Kept):
    """For a task that waits in its worker.

    :param context: of the task.
    :param resumed: another process of the same try has read the request before.
    """

    def __init__(self, context: Any, progress: Progress, *, resumed: bool = False) -> None:
        super().__init__(progress)
        self._ti = context["ti"]
        self._begun = not resumed

    def last(
        self, job: Snapshot, processed: int | None = None, failed: int | None = None, budget: float | None = None
    ) -> None:
        """Take in a reading that no wait has made.

        :param processed, failed: number of tiles or features, if they were counted.
        :param budget: PU it may cost.
        """
        counts = None if processed is None or failed is None else {"PROCESSED": processed, "FAILED": failed}
        waited = Waited(Outcome.WAITING, job, counts=counts)
        self.progress.budget = budget or self.progress.budget
        share = share_of(waited) if job.share_done is None else job.share_done
        if self.progress.read(waited, share, time.time()) or counts is not None:
            self.write()

    def write(self) -> None:
        if not HAS_PAGES:
            return
        ti = self._ti
        try:
            if not self._begun:
                self._begun = True
                self._go_on_from(ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=KEY))
            ti.xcom_push(key=KEY, value=self.progress.as_json())
        except Exception as err:  # the wait must not fail because its page cannot be shown; Airflow raises many kinds
            _log.warning("What was read of batch request %s is not shown: %r", self.progress.request_id, err)


class KeptInTriggerer(_Kept):
    """For a trigger. Records are written one after the other, beside the wait; only the latest one counts.

    :param ti: the trigger's task instance, None for a trigger without a task.
    """

    def __init__(self, ti: Any, progress: Progress) -> None:
        super().__init__(progress)
        self._ti = ti
        self._writing: asyncio.Task[None] | None = None
        self._dirty = False
        self._begun = False

    def write(self) -> None:
        if not HAS_PAGES or self._ti is None:
            return
        self._dirty = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())
            PROCESS.keep(self._writing)

    async def flush(self) -> None:
        """Write the last record, for a few seconds at most: the event of the trigger waits for it."""
        if self._writing is None:
            return
        self.write()
        await asyncio.wait({self._writing}, timeout=PATIENCE)

    async def _write(self) -> None:
        while self._dirty:
            await _turn()
            self._dirty = False
            try:
                if not self._begun:
                    await self._begin()
                await xcom_in_triggerer(self._ti, KEY, self.progress.as_json())
            except Exception as err:  # the wait goes on, as in a worker
                _log.warning("What was read of batch request %s is not shown: %r", self.progress.request_id, err)
                return

    async def _begin(self) -> None:
        """Go on with what the worker, or another triggerer, has written."""
        self._begun = True
        self.progress.try_number = getattr(self._ti, "try_number", 1)
        self._go_on_from(await xcom_in_triggerer(self._ti, KEY))


async def _turn() -> None:
    """Wait until this triggerer may write its next record."""
    now = time.monotonic()
    turn = PROCESS.next_record = max(now, PROCESS.next_record + GAP)
    await asyncio.sleep(turn - now)
