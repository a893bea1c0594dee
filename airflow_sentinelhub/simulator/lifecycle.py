"""What an action does to a request: pure functions from the request, the action and the moment to an outcome.

Every accepted action moves the user action at once and the status some seconds later (seen). Where the service's answer
to an action is not known, the choice made here is named in a comment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .cost import charged
from .jobs import FINAL, Action, Analysis, Job, Run, Step
from .ledger import FAILED, PROCESSED, Ledger, ledger
from .settings import Settings

ONLY_PARTIAL = "Only requests with status PARTIAL can be restarted."
TOO_MANY_FAILED = "Too many failed tiles"
_STOP = ("STOP", "STOPPED", "USER_ACTION", "stopped")
_END = {"v1": ("CANCEL", "CANCELED", None, "cancelled"), "v2": _STOP, "statistical": _STOP}


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong in a run: tiles that fail, and tiles that get stuck so many times."""

    failing: tuple[int, ...] = ()
    stuck: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Terms:
    """What else decides: the moment, the settings, the PU left for this request, and what analysis and faults bring.

    ``mishaps`` gets the tiles of the run (None: all) and is asked once for each run.
    """

    now: float
    settings: Settings
    seed: int
    pu_left: float
    analyse: Callable[[], Analysis]
    mishaps: Callable[[int, tuple[int, ...] | None], Mishaps]


@dataclass(frozen=True)
class Accepted:
    """The action was taken; ``effect`` is None when nothing came of it."""

    job: Job
    effect: str | None


@dataclass(frozen=True)
class Refused:
    """A 400 with this message."""

    message: str


Outcome = Accepted | Refused


def illegal(job: Job, action: str, now: float) -> Refused:
    """In the words of the one refusal that was seen."""
    old, status = job.action(now).name, job.status(now)
    return Refused(f"Illegal to change userAction from {old} to {action} with task status {status}")


def analyse(job: Job, terms: Terms) -> Outcome:
    """CREATED: analysis begins. Repeated while analysis is pending or running (unknown): accepted, without effect."""
    now = terms.now
    status, action = job.status(now), job.action(now).name
    if status in ("CREATED", "ANALYSING") and action in ("ANALYSE", "START"):
        return Accepted(job, None)
    if status != "CREATED" or action != "NONE":
        return illegal(job, "ANALYSE", now)
    job = _with_analysis(job, terms)
    return Accepted(job.changed(actions=(*job.actions, Action(now, "ANALYSE"))), "analysis_started")


def start(job: Job, terms: Terms) -> Outcome:
    """Processing begins, after analysis where there was none. Repeated (no effect known): accepted, billed once.

    A start while analysis is pending or running is taken: processing then follows by itself.
    """
    now, settings = terms.now, terms.settings
    status, action = job.status(now), job.action(now).name
    if action == "START" and (status not in FINAL or _begins_later(job, now)):
        return Accepted(job, None)
    if status == "STOPPED" and now >= _startable_again(job, terms):
        resumed = (*job.until(now), Step(now + settings.action_lag, "ANALYSIS_DONE"))
        job = _with_run(job.changed(plan=resumed), now + 2 * settings.action_lag, _unfinished(job, terms), terms)
    elif status in FINAL or action in ("CANCEL", "STOP"):
        return illegal(job, "START", now)
    else:
        if job.analysis is None:
            job = _with_analysis(job, terms)
        assert job.analysed is not None
        if job.status(job.analysed) == "ANALYSIS_DONE":
            job = _with_run(job, max(now, job.analysed) + settings.action_lag, None, terms)
    return Accepted(
        job.changed(actions=(*job.actions, Action(now, "START")), billed_starts=(*job.billed_starts, now)),
        "billed_start",
    )


def end(job: Job, terms: Terms) -> Outcome:
    """cancel (v1) or stop (v2): no further tile is begun; what is finished or running is charged.

    A running analysis completes first (doc). v2 refuses to stop what is CREATED (seen) or at its end (by the same
    pattern); v1 and batch statistical have no refusal in their contracts: one that comes too late is taken and does
    nothing.
    """
    now, lag = terms.now, terms.settings.action_lag
    action, final, reason, effect = _END[job.generation]
    status = job.status(now)
    if job.generation == "v2" and (status == "CREATED" or status in FINAL):
        return illegal(job, action, now)
    if job.action(now).name == action or (status in FINAL and not _begins_later(job, now)):
        return Accepted(job, None)
    effective = now + lag
    if job.status(effective) == "ANALYSING":
        assert job.analysed is not None
        effective = job.analysed + lag
        plan = tuple(step for step in job.plan if step.at <= job.analysed)
    else:
        plan = tuple(step for step in job.plan if step.at <= effective)
    too_late = plan[-1].status in FINAL
    if not too_late:
        plan = (*plan, Step(effective, final, reason=reason))
        job = _cut(job, effective, terms)
    job = job.changed(plan=plan, actions=(*job.actions, Action(now, action)))
    return Accepted(job, None if too_late else effect)


def restart_partial(job: Job, terms: Terms) -> Outcome:
    """v1: the FAILED tiles of a PARTIAL request are processed again. The status is PARTIAL a while longer (seen)."""
    now = terms.now
    if job.status(now) != "PARTIAL":
        return Refused(ONLY_PARTIAL)
    if _begins_later(job, now):
        return Accepted(job, None)
    # A request that was about to become DONE by itself does not any more.
    runs = tuple(replace(run, heals=None) for run in job.runs)
    failed = np.flatnonzero(ledger(job, terms.seed).codes(now) == FAILED)
    job = job.changed(plan=job.until(now), runs=runs)
    job = _with_run(job, now + terms.settings.action_lag, tuple(failed.tolist()), terms)
    return Accepted(
        job.changed(actions=(*job.actions, Action(now, "START")), restarts=(*job.restarts, now)), "restarted"
    )


def forced(job: Job, status: str, reason: str | None, error: str | None, terms: Terms) -> Job:
    """The request has this status from now on, whatever it was about to do (control plane: unhealthy workers, say)."""
    runs = job.runs
    if status == "DONE":
        runs = tuple(replace(run, heals=terms.now) for run in runs)
    job = _cut(
        job.changed(plan=(*job.until(terms.now), Step(terms.now, status, error, reason)), runs=runs), terms.now, terms
    )
    if job.analysed is not None and job.analysed > terms.now:
        job = job.changed(analysis=None, analysed=None)
    return job


def spent(job: Job, book: Ledger, at: float, settings: Settings) -> float:
    """PU really charged up to then. v2 shows it as costPU; while processing it grows from time to time (doc)."""
    if job.analysis is None or not job.runs or at < job.runs[0].begin:
        return 0.0
    status = job.status(at)
    if status == "PROCESSING" and settings.billing_period > 0:
        begin = job.runs[-1].begin
        at = begin + (at - begin) // settings.billing_period * settings.billing_period
    pu = book.cost(at) * job.analysis.factor
    return _charged(job, pu) if status in FINAL else pu


def _charged(job: Job, pu: float) -> float:
    """The least a request costs is not asked of statistics: one was seen at 6 PU."""
    return pu if job.generation == "statistical" else charged(pu)


def _begins_later(job: Job, now: float) -> bool:
    """Whether processing was asked for and has not begun: the status does not show it yet."""
    return any(run.begin > now for run in job.runs)


def _with_analysis(job: Job, terms: Terms) -> Job:
    found, settings = terms.analyse(), terms.settings
    begin = terms.now + settings.action_lag
    finish = begin + settings.analysis_seconds + settings.analysis_seconds_per_100_tiles * found.tiles / 100
    nothing_to_do = settings.done_out_of_analysis or 0 < found.tiles == len(found.existing)
    if found.error is not None:
        last = Step(finish, "FAILED", error=found.error)
    elif job.generation == "v2" and nothing_to_do:
        last = Step(finish, "DONE")
    else:
        last = Step(finish, "ANALYSIS_DONE")
    plan = (*job.until(terms.now), Step(begin, "ANALYSING"), last)
    return job.changed(plan=plan, analysis=found, analysed=finish)


def _with_run(job: Job, begin: float, tiles: tuple[int, ...] | None, terms: Terms) -> Job:
    """Processing from ``begin`` on, and what it ends in."""
    settings = terms.settings
    found = job.analysis
    assert found is not None
    mishaps = terms.mishaps(found.tiles, _worked_on(found, tiles))
    run = Run(
        number=len(job.runs) + 1,
        begin=begin,
        tile_seconds=settings.tile_seconds,
        jitter=settings.tile_jitter,
        concurrency=settings.concurrency,
        lead=settings.schedule_lead,
        stuck_seconds=settings.stuck_seconds,
        tiles=tiles,
        failing=mishaps.failing,
        stuck=mishaps.stuck,
    )
    before = job.planned_pu
    job = job.changed(runs=(*job.runs, run), plan=(*job.plan, Step(begin, "PROCESSING")))
    book = ledger(job, terms.seed)
    finish = book.times[-1].end + settings.settle_seconds
    planned = _charged(job, book.cost(finish) * found.factor)
    dry = _runs_dry(book, found.factor, before + terms.pu_left) if job.generation != "v1" else None
    if dry is not None:
        job = _cut(job.changed(plan=(*job.plan, Step(dry, "STOPPED", reason="OUT_OF_PU"))), dry, terms)
        return job
    job = job.changed(planned_pu=planned, plan=(*job.plan, _last_step(job, book, finish)))
    heals = settings.partial_heals_after
    if heals is not None and job.plan[-1].status == "PARTIAL":
        healed = replace(job.runs[-1], heals=finish + heals)
        job = job.changed(runs=(*job.runs[:-1], healed), plan=(*job.plan, Step(finish + heals, "DONE")))
    return job


def _worked_on(found: Analysis, tiles: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The tiles of a run without those that are skipped, since nothing is done about these and nothing goes wrong."""
    if not found.existing:
        return tiles
    skipped = set(found.existing)
    return tuple(index for index in (range(found.tiles) if tiles is None else tiles) if index not in skipped)


def _last_step(job: Job, book: Ledger, finish: float) -> Step:
    """v1: DONE with all tiles processed, PARTIAL with some, FAILED with none. v2: DONE, whatever failed (doc)."""
    failed = book.count(FAILED, finish)
    if job.generation != "v1" or failed == 0:
        return Step(finish, "DONE")
    status = "PARTIAL" if book.count(PROCESSED, finish) else "FAILED"
    return Step(finish, status, error=TOO_MANY_FAILED)


def _runs_dry(book: Ledger, factor: float, pu: float) -> float | None:
    """When the tile finishes whose cost no longer fits into so many PU; None if all do."""
    times = book.times[-1]
    order = np.argsort(times.finish)
    costs = np.where(times.takes_part & ~times.fails, book.costs, 0.0)[order]
    earlier = book.cost(times.run.begin)
    over = np.flatnonzero((earlier + np.cumsum(costs)) * factor > pu)
    return float(times.finish[order[over[0]]]) if len(over) else None


def _cut(job: Job, at: float, terms: Terms) -> Job:
    """No tile is begun from then on; what the request will have cost is reckoned anew."""
    runs = tuple(
        replace(run, cut=at) if run is job.runs[-1] and (run.cut is None or run.cut > at) else run
        for run in job.runs
        if run.begin < at
    )
    job = job.changed(runs=runs)
    if job.analysis is None or not runs:
        return job.changed(planned_pu=0.0)
    book = ledger(job, terms.seed)
    return job.changed(planned_pu=_charged(job, book.cost(book.times[-1].end) * job.analysis.factor))


def _unfinished(job: Job, terms: Terms) -> tuple[int, ...] | None:
    """Tiles that a stopped request has still to process; None: all."""
    if not job.runs:
        return None
    codes = ledger(job, terms.seed).codes(terms.now)
    return tuple(np.flatnonzero(codes < PROCESSED).tolist())


def _startable_again(job: Job, terms: Terms) -> float:
    """When a stopped request may be started again."""
    stopped, settings = job.step(terms.now), terms.settings
    waits = {"USER_ACTION": settings.restart_wait, "OUT_OF_PU": settings.restart_wait_out_of_pu}
    return stopped.at + waits.get(stopped.reason or "", 0.0)
