"""Which tiles or features of a run go wrong: those that a fault names, and those that have bad luck by themselves."""

from __future__ import annotations

from collections.abc import Callable

from .faults import Fault, share_of
from .jobs import Job
from .ledger import STUCK_ROUNDS_TO_FAIL, generator
from .lifecycle import Mishaps
from .settings import Settings
from .units import Units


def mishaps(
    job: Job,
    size: int,
    chosen: tuple[int, ...] | None,
    hits: dict[str, Fault],
    settings: Settings,
    seed: int,
    units: Callable[[], Units | None],
) -> Mishaps:
    """What goes wrong in the next run of a request.

    :param size: how many tiles or features the request has.
    :param chosen: those that the run works on, None for all.
    :param hits: the faults that hit the call which begins the run.
    :param units: asked only when a fault names tiles.
    """
    candidates = list(range(size)) if chosen is None else list(chosen)
    picked: dict[str, tuple[int, ...]] = {"fail_tiles": (), "stuck_tiles": ()}
    for kind in picked:
        fault = hits.get(kind)
        if fault is None:
            continue
        if fault.options["names"] is None:
            picked[kind] = share_of(fault.options["share"], candidates, f"{seed}/{job.id}/{kind}/{len(job.runs)}")
        else:
            worked_on = units()
            named = set(worked_on.indices_of(set(fault.options["names"]))) if worked_on is not None else set()
            picked[kind] = tuple(index for index in candidates if index in named)
    rounds = hits["stuck_tiles"].options["rounds"] if "stuck_tiles" in hits else 0
    failing, stuck = _unlucky(job, size, settings, seed)
    failing.update(picked["fail_tiles"])
    stuck.update(dict.fromkeys(picked["stuck_tiles"], rounds))
    return Mishaps(
        tuple(index for index in candidates if index in failing),
        tuple((index, stuck[index]) for index in candidates if index in stuck),
    )


def _unlucky(job: Job, size: int, settings: Settings, seed: int) -> tuple[set[int], dict[int, int]]:
    """Which of so many tiles or features fail in the next run of the request, and how often which get stuck.

    The same tiles are unlucky in every run, for as many runs as the settings say.
    """
    runs = settings.tile_failure_runs
    failing = _chosen(f"{seed}/{job.id}/unlucky", size, settings.tile_failure_share)
    if runs is not None and len(job.runs) >= runs:
        failing = set()
    stuck = sorted(_chosen(f"{seed}/{job.id}/stuck/{len(job.runs)}", size, settings.stuck_share))
    rounds = generator(seed, job.id, "rounds", len(job.runs)).integers(1, STUCK_ROUNDS_TO_FAIL, len(stuck))
    return failing, dict(zip(stuck, rounds.tolist(), strict=True))


def _chosen(seed: str, size: int, share: float) -> set[int]:
    """Each of them with this probability."""
    return set((generator(seed).random(size) < share).nonzero()[0].tolist()) if share else set()
