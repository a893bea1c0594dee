"""From what was read to what it means. Pure: operator, sensor and trigger call the same functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import InvalidInputError


class Outcome(str, Enum):
    """What a reading means for somebody who waits."""

    WAITING = "waiting"
    REACHED = "reached"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_STARTED = "not_started"
    UNREACHABLE = "unreachable"
    """The request has ended, and not in the status that was waited for."""
    OVER_BUDGET = "over_budget"
    """The cost has passed the budget while the request was processed (v2)."""
    UNREAD = "unread"
    """The request was read; its results could not be for longer than allowed."""
    UNKNOWN = "unknown"
    """The state could not be read for longer than allowed."""
    NOT_FOUND = "not_found"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True)
class Waited:
    """How a wait ended: the outcome, the last reading (None if there was none), why it is unknown if it is.

    :param matching: tiles in the status `goal`, of `total`, where tiles were waited for.
    """

    outcome: Outcome
    job: Snapshot | None = None
    why: str = ""
    matching: int | None = None
    total: int | None = None
    goal: str = ""
    counts: Mapping[str, int] | None = None


_ORDER = {S.CREATED: 0, S.ANALYSING: 1, S.ANALYSIS_DONE: 2, S.PROCESSING: 3, S.DONE: 4}


def judge(job: Snapshot, target: str = "DONE") -> Outcome:
    """What a reading means for somebody who waits for `target`.

    A status on the way (ANALYSING, ANALYSIS_DONE, PROCESSING) is reached when the request is there or beyond.
    A status that we do not know is on the way to somewhere.

    :param target: a status; for `DONE` PARTIAL is an outcome of its own.
    """
    wanted, status = S(target), job.status
    if status == wanted:
        return Outcome.REACHED
    if wanted in _ORDER and status in _ORDER and _ORDER[status] > _ORDER[wanted]:
        return Outcome.REACHED
    if status == S.PARTIAL:
        return Outcome.REACHED if wanted in _ORDER and wanted != S.DONE else Outcome.PARTIAL
    if status == S.FAILED:
        return Outcome.FAILED
    if status in (S.CANCELED, S.STOPPED):
        return Outcome.CANCELLED
    if status == S.DONE:
        return Outcome.UNREACHABLE
    if _nobody_starts(job, wanted):
        return Outcome.NOT_STARTED
    return Outcome.WAITING


def _nobody_starts(job: Snapshot, wanted: S) -> bool:
    """The request rests, and what is waited for comes only after a start that nobody has made."""
    if job.status == S.CREATED and job.user_action.value == "NONE":
        return wanted not in (S.CREATED,)
    if job.status == S.ANALYSIS_DONE and job.user_action.value in ("NONE", "ANALYSE"):
        return wanted not in (S.CREATED, S.ANALYSING, S.ANALYSIS_DONE)
    return False


def is_stopped(job: Snapshot) -> bool:
    """Stopped by a person or by the service: it can be started again (v2)."""
    return job.status == S.STOPPED


def is_lost(job: Snapshot) -> bool:
    """It has ended, and nothing of it can be taken for a success."""
    return job.status in (S.FAILED, S.CANCELED, S.STOPPED)


def is_paid(job: Snapshot) -> bool:
    """It has done its work, all of it or a part: that is billed, and can be judged."""
    return job.status in (S.DONE, S.PARTIAL)


def ended_by_itself(job: Snapshot) -> bool:
    """It has come to an end that nobody has asked for."""
    return job.status in (S.DONE, S.PARTIAL, S.FAILED)


def nothing_to_do(job: Snapshot) -> bool:
    """v2: the analysis ended in DONE because every output existed already; nothing was started, nothing is billed."""
    return job.status == S.DONE and job.user_action.value in ("ANALYSE", "NONE")


def over(job: Snapshot | None, max_cost: float | None, before: float = 0.0) -> bool:
    """Whether the request has cost more than allowed (PU); `before`: what those that it continues have cost."""
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


def spent(tiles: Iterable[Mapping[str, Any]]) -> float:
    """PU that v1 tiles have really cost: the sum of their `cost`, a third of it by the batch factor."""
    return sum(float(tile.get("cost") or 0) for tile in tiles) / 3


@dataclass(frozen=True)
class TileGoal:
    """What a tile sensor waits for.

    :param status: the tile status waited for; :param tile: one tile by name or id; :param count: at least so many;
    :param share: at least this share, 0 to 1. None of the three: all tiles.
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
        """How many tiles must be in the status, of `total`: one at least.

        A share is a number as floating point has it: two thirds of three tiles are two, not a hair more than that.
        """
        if self.count is not None:
            return self.count
        exact = total * (self.share or 1)
        return max(1, round(exact) if math.isclose(exact, round(exact), rel_tol=1e-9) else math.ceil(exact))


def judge_tiles(job: Snapshot, goal: TileGoal, matching: int, total: int | None, tile: str | None = None) -> Outcome:
    """What the tiles mean for somebody who waits for `goal`.

    :param matching: tiles in the wanted status; :param total: tiles in all, None if not known yet. No tiles are never
        all tiles.
    :param tile: status of the one tile waited for, None if it was not found.
    """
    if goal.tile is not None:
        if tile is not None and tile == goal.status:
            return Outcome.REACHED
        if tile is not None and BatchTileStatus(tile).is_final and job.status.is_final:
            return Outcome.UNREACHABLE
    elif total and matching >= goal.needed(total):
        return Outcome.REACHED
    ended = judge(job, "DONE")
    if job.status.is_final:
        return Outcome.UNREACHABLE if ended is Outcome.REACHED else ended
    return ended if ended in (Outcome.NOT_STARTED,) else Outcome.WAITING


def _on_its_way(job: Snapshot) -> bool:
    """The last action has not shown in the status yet."""
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
    """Seconds that the rest will take if it goes on as between two readings; None while that cannot be told."""
    if share <= share_then or now <= then or share >= 1:
        return None
    return (now - then) / (share - share_then) * (1 - share)


def in_words(seconds: float) -> str:
    """A span of time as one says it: `about 40 s`, `about 12 min`, `about 3.5 h`."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
