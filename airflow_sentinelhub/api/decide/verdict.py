"""Decide what a reading of a request means for a wait: pure functions that operators, sensors and triggers share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_sentinelhub.api.decoding import number
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import InvalidInputError


class Outcome(str, Enum):
    """What a reading means for a wait."""

    WAITING = "waiting"
    REACHED = "reached"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_STARTED = "not_started"
    UNREACHABLE = "unreachable"
    """The request has ended in another status than the wanted one."""
    OVER_BUDGET = "over_budget"
    """The cost has exceeded the budget while the request was processed (v2)."""
    UNREAD = "unread"
    """The request was read, but its results could not be read for longer than allowed."""
    UNKNOWN = "unknown"
    """The state could not be read for longer than allowed."""
    NOT_FOUND = "not_found"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True)
class Waited:
    """How a wait ended.

    :param job: the last reading, None if there was none.
    :param why: the reason if the state or results are unknown.
    :param matching: number of tiles in the status `goal`, of `total`, if the wait was for tiles.
    :param counts: number of tiles by status, if they were counted.
    :param look_again: seconds after which to look again, if the reading is not complete and nothing else is to be
        waited for; else None.
    """

    outcome: Outcome
    job: Snapshot | None = None
    why: str = ""
    matching: int | None = None
    total: int | None = None
    goal: str = ""
    counts: Mapping[str, int] | None = None
    look_again: float | None = None


_ORDER = {S.CREATED: 0, S.ANALYSING: 1, S.ANALYSIS_DONE: 2, S.PROCESSING: 3, S.DONE: 4}
_ENDED = {
    S.PARTIAL: Outcome.PARTIAL,
    S.FAILED: Outcome.FAILED,
    S.CANCELED: Outcome.CANCELLED,
    S.STOPPED: Outcome.CANCELLED,
    S.DONE: Outcome.UNREACHABLE,
}
"""What a request that has ended means for a wait for another status."""


def judge(job: Snapshot, target: str = "DONE") -> Outcome:
    """What a reading means for a wait for the status `target`.

    An intermediate status (ANALYSING, ANALYSIS_DONE, PROCESSING) is reached if the request has it or a later one.
    An unknown status means WAITING.

    :param target: a status; if it is `DONE`, PARTIAL is an outcome of its own.
    """
    wanted, status = S(target), job.status
    if status == wanted:
        return Outcome.REACHED
    if wanted in _ORDER and status in _ORDER and _ORDER[status] > _ORDER[wanted]:
        return Outcome.REACHED
    if ended := _ENDED.get(status):
        return Outcome.REACHED if status == S.PARTIAL and wanted in _ORDER and wanted != S.DONE else ended
    if _nobody_starts(job, wanted):
        return Outcome.NOT_STARTED
    return Outcome.WAITING


def _nobody_starts(job: Snapshot, wanted: S) -> bool:
    """Whether the request is idle and `wanted` needs a start (or an analysis) that nobody has asked for."""
    if job.status == S.CREATED and job.user_action.value == "NONE":
        return wanted not in (S.CREATED,)
    if job.status == S.ANALYSIS_DONE and job.user_action.value in ("NONE", "ANALYSE"):
        return wanted not in (S.CREATED, S.ANALYSING, S.ANALYSIS_DONE)
    return False


def is_stopped(job: Snapshot) -> bool:
    """Whether the request was stopped, by a user or by the service: it can be started again (v2)."""
    return job.status == S.STOPPED


def is_lost(job: Snapshot) -> bool:
    """Whether the request has ended without success, not even in part."""
    return job.status in (S.FAILED, S.CANCELED, S.STOPPED)


def is_paid(job: Snapshot) -> bool:
    """Whether the request has processed the job, in full or in part: that is billed, and its results can be judged."""
    return job.status in (S.DONE, S.PARTIAL)


def ended_by_itself(job: Snapshot) -> bool:
    """Whether the request has ended by itself: nobody cancelled or stopped it."""
    return job.status in (S.DONE, S.PARTIAL, S.FAILED)


def stays_ended(job: Snapshot) -> bool:
    """Whether the request has ended in the one status from which no task starts it again, whenever that was read."""
    return job.status == S.DONE


def nothing_to_do(job: Snapshot) -> bool:
    """Whether a v2 analysis ended in DONE because every output exists already: nothing was started or billed."""
    return job.status == S.DONE and job.user_action.value in ("ANALYSE", "NONE")


def over(job: Snapshot | None, max_cost: float | None, before: float = 0.0) -> bool:
    """Whether the request has cost more than `max_cost` (PU).

    :param before: PU that the requests continued by this one have cost.
    """
    return job is not None and max_cost is not None and job.cost is not None and before + job.cost > max_cost


def fate(job: Snapshot | None, generation: str = "") -> str:
    """Whether the request still runs and bills, as a sentence."""
    if job is None:
        return "Whether it still runs and bills is not known."
    if job.status.is_final:
        return "It does not run any more and bills nothing further."
    if job.ending:
        return f"Its {job.user_action.value.lower()} is on its way; tiles at work are still billed."
    if job.started:
        return "It runs on and bills."
    return "It has not been started and bills nothing."


def spent(tiles: Iterable[Mapping[str, Any]]) -> float | None:
    """PU that v1 tiles have cost: a third of the sum of their `cost`, which comes without the batch factor.

    None if one that is processed does not say it.
    """
    found = 0.0
    for tile in tiles:
        cost = number(tile.get("cost"))
        if cost is None and tile.get("status") == BatchTileStatus.PROCESSED:
            return None
        found += cost or 0.0
    return found / 3


@dataclass(frozen=True)
class TileGoal:
    """The goal of a tile sensor.

    :param status: the tile status waited for.
    :param tile: one tile by name or id.
    :param count: at least this number of tiles.
    :param share: at least this share, above 0 and up to 1. None of the three: all tiles.
    """

    status: str = "PROCESSED"
    tile: str | None = None
    count: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if sum(item is not None for item in (self.tile, self.count, self.share)) > 1:
            raise InvalidInputError("Give one of tile, count and share, or none of them for all tiles.")
        if self.share is not None and not 0 < self.share <= 1:
            raise InvalidInputError(f"share is a number above 0 and at most 1, not {self.share!r}.")
        if self.count is not None and self.count < 1:
            raise InvalidInputError(f"count is a number of tiles from 1, not {self.count!r}.")

    def __str__(self) -> str:
        if self.tile is not None:
            return f"tile {self.tile} {self.status}"
        if self.count is not None:
            return f"{self.count} tiles {self.status}"
        return f"{self.share:.0%} of the tiles {self.status}" if self.share is not None else f"all tiles {self.status}"

    def needed(self, total: int) -> int:
        """How many of `total` tiles must be in the status; at least one.

        Rounding errors of the share do not count: 2/3 of three tiles are two tiles, not three.
        """
        if self.count is not None:
            return self.count
        exact = total * (self.share or 1)
        return max(1, round(exact) if math.isclose(exact, round(exact), rel_tol=1e-9) else math.ceil(exact))


def judge_tiles(
    job: Snapshot, goal: TileGoal, matching: int, total: int | None, tile: str | None = None, *, complete: bool = True
) -> Outcome:
    """What the numbers of tiles mean for a wait for `goal`.

    :param matching: number of tiles in the wanted status.
    :param total: number of all tiles, None if not known yet. With a total of 0 no goal for a share, or for all of them,
        is reached.
    :param tile: status of the one tile waited for, None if it was not found.
    :param complete: the tiles were counted (or looked through for the one) to their end. Else more of them may be as
        wanted, so that a request which has ended is not judged yet.
    """
    if goal.tile is not None:
        if tile is not None and tile == goal.status:
            return Outcome.REACHED
        if tile is not None and BatchTileStatus(tile).is_final and job.status.is_final:
            return Outcome.UNREACHABLE
    elif (total or goal.count is not None) and matching >= goal.needed(total or 0):
        return Outcome.REACHED
    ended = judge(job, "DONE")
    if job.status.is_final:
        if not complete:
            return Outcome.WAITING
        return Outcome.UNREACHABLE if ended is Outcome.REACHED else ended
    return ended if ended in (Outcome.NOT_STARTED,) else Outcome.WAITING


def _on_its_way(job: Snapshot) -> bool:
    """Whether the status does not show the last user action yet."""
    if job.user_action.value == "ANALYSE":
        return job.status == S.CREATED
    return job.ending or (job.started and job.status in (S.CREATED, S.ANALYSING, S.ANALYSIS_DONE))


def progress_line(job: Snapshot, counts: Mapping[str, int] | None = None) -> str:
    """One line for the log: id, status, share done, tiles by status, PU."""
    parts = [f"{job.request_id}: {job.status}" + (f" (action {job.user_action})" if _on_its_way(job) else "")]
    if counts:
        total = sum(counts.values())
        done = counts.get("PROCESSED", 0) + counts.get("DONE", 0)
        failed = counts.get("FAILED", 0) + counts.get("FATAL", 0)
        parts.append(f"{done} of {total} tiles done ({done / total:.0%})" if total else "no tiles yet")
        if failed:
            parts.append(f"{failed} failed")
    elif job.share_done is not None and job.started:
        parts.append(f"{job.share_done:.0%} done")
    elif job.tile_count:
        parts.append(f"{job.tile_count} tiles")
    if job.cost is not None and job.started:
        parts.append(f"{job.cost:,.0f} PU so far")
    elif job.expected_cost is not None:
        parts.append(f"about {job.expected_cost:,.0f} PU expected")
    if job.stopped_reason:
        parts.append(f"stopped: {job.stopped_reason}")
    return ", ".join(parts)


def seconds_left(then: float, share_then: float, now: float, share: float) -> float | None:
    """Seconds until the job is done at the rate between two readings; None if the rate is not known.

    :param then, now: times of the readings (seconds).
    :param share_then, share: share done at each, 0 to 1.
    """
    if share <= share_then or now <= then or share >= 1:
        return None
    return (now - then) / (share - share_then) * (1 - share)


def in_words(seconds: float) -> str:
    """A rounded duration for a message: `about 40 s`, `about 12 min`, `about 3.5 h`."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
