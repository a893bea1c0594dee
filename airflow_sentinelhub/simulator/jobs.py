"""A request, as plain data: what was asked, what the user did since, and what will become of it.

The future of a request is decided when an action on it is accepted: its plan lists the statuses to come and when, a run
says which tiles are processed and how. From then on nothing needs to happen in the background; reading is a look at the
clock. Looking at an earlier time than now shows what was true then, which is how a lagging replica is simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Generation = Literal["v1", "v2", "statistical"]
FINAL = {"DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED"}


@dataclass(frozen=True)
class Step:
    """From ``at`` on the request has this status."""

    at: float
    status: str
    error: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Action:
    """At ``at`` the user action became ``name``."""

    at: float
    name: str


@dataclass(frozen=True)
class Edit:
    """At ``at`` members of the body were replaced."""

    at: float
    members: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One round of processing: which tiles (None: all), how fast, and what goes wrong.

    ``number`` makes its random numbers its own. ``stuck`` says how often a tile gets stuck; three times is failure.
    ``cut``: from then on no further tile is begun. ``heals``: from then on its failed tiles count as processed.
    """

    number: int
    begin: float
    tile_seconds: float
    jitter: float
    concurrency: int
    lead: float
    stuck_seconds: float
    tiles: tuple[int, ...] | None = None
    failing: tuple[int, ...] = ()
    stuck: tuple[tuple[int, int], ...] = ()
    cut: float | None = None
    heals: float | None = None


@dataclass(frozen=True)
class Analysis:
    """What analysis finds. Costs are PU: ``tile_estimate`` of one tile before the discount, ``factor`` the discount."""

    error: str | None
    tiles: int
    tile_estimate: float
    factor: float
    # Tiles whose outputs all exist already and may be skipped.
    existing: tuple[int, ...] = ()


@dataclass(frozen=True)
class Job:
    """A request of either generation. ``body`` is what the service echoes; ``planned_pu`` what its starts will cost."""

    id: str
    number: int
    generation: Generation
    created: float
    body: dict[str, Any]
    estimated_tiles: int
    plan: tuple[Step, ...]
    actions: tuple[Action, ...] = ()
    edits: tuple[Edit, ...] = ()
    runs: tuple[Run, ...] = ()
    analysis: Analysis | None = None
    analysed: float | None = None
    billed_starts: tuple[float, ...] = ()
    restarts: tuple[float, ...] = ()
    planned_pu: float = 0.0
    deleted: float | None = None
    # Counts the changes, so that what was derived from the job can be kept until the next one.
    version: int = 0

    def step(self, at: float) -> Step:
        """The status at a time; before its creation a request looks as it did then."""
        return next((step for step in reversed(self.plan) if step.at <= at), self.plan[0])

    def status(self, at: float) -> str:
        return self.step(at).status

    def action(self, at: float) -> Action:
        return next((action for action in reversed(self.actions) if action.at <= at), Action(self.created, "NONE"))

    def body_at(self, at: float) -> dict[str, Any]:
        body = dict(self.body)
        for edit in self.edits:
            if edit.at <= at:
                body.update(edit.members)
        return body

    def is_analysed(self, at: float) -> bool:
        return self.analysis is not None and self.analysed is not None and self.analysed <= at

    def exists(self, at: float) -> bool:
        return self.created <= at and (self.deleted is None or self.deleted > at)

    def changed(self, **members: Any) -> Job:
        return replace(self, version=self.version + 1, **members)

    def until(self, now: float, keep: Callable[[Step], bool] = lambda step: False) -> tuple[Step, ...]:
        """The plan without its future, but for the steps to keep."""
        return tuple(step for step in self.plan if step.at <= now or keep(step))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def job_from_json(data: dict[str, Any]) -> Job:
    """The job that ``to_json`` wrote."""
    data = dict(data)
    data["plan"] = tuple(Step(**step) for step in data["plan"])
    data["actions"] = tuple(Action(**action) for action in data["actions"])
    data["edits"] = tuple(Edit(**edit) for edit in data["edits"])
    data["runs"] = tuple(_run_from_json(run) for run in data["runs"])
    if data["analysis"] is not None:
        data["analysis"] = Analysis(**{**data["analysis"], "existing": tuple(data["analysis"]["existing"])})
    for name in ("billed_starts", "restarts"):
        data[name] = tuple(data[name])
    return Job(**data)


def _run_from_json(data: dict[str, Any]) -> Run:
    tiles = None if data["tiles"] is None else tuple(data["tiles"])
    stuck = tuple((index, rounds) for index, rounds in data["stuck"])
    return Run(**{**data, "tiles": tiles, "failing": tuple(data["failing"]), "stuck": stuck})
