"""The tiles of a job over time: who is PENDING, SCHEDULED, PROCESSING, PROCESSED or FAILED, and what that cost.

Everything follows from the runs of the job and a seed, so nothing of it is stored. One array operation answers for a
page or for all tiles, at any time.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .jobs import Job, Run

# QUEUED exists in the contract, but nobody knows when a tile has it: no tile here ever does.
STATUSES = ("PENDING", "SCHEDULED", "PROCESSING", "PROCESSED", "FAILED")
PENDING, SCHEDULED, PROCESSING, PROCESSED, FAILED = range(5)
# doc: a stuck tile is tried again twice; the third time it fails.
STUCK_ROUNDS_TO_FAIL = 3

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Times:
    """One run's timetable. Arrays are over all tiles of the job; ``takes_part`` says which of them are in the run."""

    run: Run
    takes_part: npt.NDArray[np.bool_]
    start: Floats
    finish: Floats
    fails: npt.NDArray[np.bool_]
    stuck: npt.NDArray[np.int64]

    @property
    def end(self) -> float:
        """When the last tile that is begun has finished; the begin of the run when there is none."""
        begun = self.takes_part if self.run.cut is None else self.takes_part & (self.start < self.run.cut)
        return float(self.finish[begun].max()) if begun.any() else self.run.begin


@dataclass(frozen=True, eq=False)
class Ledger:
    """Timetables of all runs, and what each tile costs in PU before the discount (it is charged when processed)."""

    size: int
    costs: Floats
    times: tuple[Times, ...] = field(default=())

    def codes(self, at: float, window: slice = slice(None)) -> Codes:
        """Index into STATUSES for each tile of the window."""
        codes = np.full(self.size, PENDING, dtype=np.int8)[window]
        for times in self.times:
            if times.run.begin <= at:
                taking = times.takes_part[window]
                codes[taking] = _codes(times, at, window)[taking]
        return codes

    def count(self, code: int, at: float) -> int:
        return int(np.count_nonzero(self.codes(at) == code))

    def finished_share(self, at: float) -> float:
        """Share of tiles that will not change any more in this run, 0 to 1."""
        return float(np.count_nonzero(self.codes(at) >= PROCESSED)) / self.size if self.size else 1.0

    def cost(self, at: float) -> float:
        """PU of the tiles processed so far, before the discount."""
        return float(self.costs[self.codes(at) == PROCESSED].sum())


def _codes(times: Times, at: float, window: slice) -> Codes:
    run, start, finish = times.run, times.start[window], times.finish[window]
    codes = np.full(len(start), PENDING, dtype=np.int8)
    # A microsecond of grace, since start was reckoned as begin plus lead.
    codes[at >= start - run.lead - 1e-6] = SCHEDULED
    codes[at >= start] = PROCESSING
    for index in np.flatnonzero((times.stuck[window] > 0) & (at >= start)).tolist():
        if _waits_between_rounds(at - float(start[index]), int(times.stuck[window][index]), run):
            codes[index] = PENDING
    done = at >= finish
    failed = times.fails[window] if run.heals is None or at < run.heals else np.zeros(len(start), dtype=np.bool_)
    codes[done & ~failed] = PROCESSED
    codes[done & failed] = FAILED
    if run.cut is not None and at >= run.cut:
        codes[start >= run.cut] = PENDING
    return codes


def _waits_between_rounds(since: float, rounds: int, run: Run) -> bool:
    """A stuck tile works for stuck_seconds, is PENDING for the lead, and is tried again, as often as it gets stuck."""
    period = run.stuck_seconds + run.lead
    if period == 0:
        return False
    number, within = divmod(since, period)
    return number < rounds and within >= run.stuck_seconds


def generator(*parts: Any) -> np.random.Generator:
    """Random numbers that depend on the parts alone: the same on every machine and in every process."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def timetable(run: Run, size: int, seed: str, skipped: tuple[int, ...] = ()) -> Times:
    """Tiles in their order, each given to the worker that is free first. Skipped ones (outputs exist) take no time."""
    takes_part = np.ones(size, dtype=np.bool_)
    if run.tiles is not None:
        takes_part[:] = False
        takes_part[list(run.tiles)] = True
    spread = generator(seed, "run", run.number).uniform(-1.0, 1.0, size)
    durations = run.tile_seconds * (1.0 + run.jitter * spread)
    durations[list(skipped)] = 0.0
    stuck = np.zeros(size, dtype=np.int64)
    fails = np.zeros(size, dtype=np.bool_)
    fails[list(run.failing)] = True
    for index, rounds in run.stuck:
        stuck[index] = rounds
        if rounds >= STUCK_ROUNDS_TO_FAIL:
            fails[index] = True
            durations[index] = rounds * run.stuck_seconds + (rounds - 1) * run.lead
        else:
            durations[index] += rounds * (run.stuck_seconds + run.lead)
    start, finish = np.full(size, np.inf), np.full(size, np.inf)
    free = [run.begin + run.lead] * run.concurrency
    for index in np.flatnonzero(takes_part).tolist():
        begin = free[0]
        start[index], finish[index] = begin, begin + durations[index]
        heapq.heapreplace(free, begin + float(durations[index]))
    return Times(run, takes_part, start, finish, fails & takes_part, stuck)


def ledger(job: Job, seed: int) -> Ledger:
    """The ledger of an analysed job. A tile costs its estimate, give or take a tenth; all of them, the sum of them."""
    analysis = job.analysis
    size = analysis.tiles if analysis else 0
    own = f"{seed}/{job.id}"
    spread = generator(own, "cost").uniform(0.9, 1.1, size)
    costs = spread / (spread.mean() if size else 1.0) * (analysis.tile_estimate if analysis else 0.0)
    skipped = analysis.existing if analysis else ()
    costs[list(skipped)] = 0.0
    return Ledger(size, costs, tuple(timetable(run, size, own, skipped) for run in job.runs))
