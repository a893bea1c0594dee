"""What a preview has found, for people (lines of text) and for programs (JSON)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_sentinelhub.api.estimate import Estimate
from airflow_sentinelhub.maps.places import Tile
from airflow_sentinelhub.maps.svg import svg_map
from airflow_sentinelhub.maps.terminal import text_map

_SHOWN = 10
_SCRIPT = 300
"""Characters of a text in the payload that people are shown."""


@dataclass(frozen=True)
class Finding:
    """Something about a job that its user should know.

    :param kind: `refused` (the job would not be created or started), `warning`, `unknown` (a preview cannot tell), or
        `note`.
    :param text: one or more sentences.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Preview:
    """A job as it would be sent, and what would come of it. Nothing of it was sent.

    :param batch_api: `v1`, `v2` or `statistical`.
    :param payload: of the create call, with `***` for secrets; None if it could not be built.
    :param things: what the job is divided into: `tiles` or `features`.
    :param names: of the tiles or features in the order of the service; None if they are not known here.
    :param outlines: their rings in longitude and latitude, in the same order.
    :param area: the rings of the area.
    :param area_km2: size of the requested area, or of all features; None if it is not known.
    :param estimate: of the cost, None if it cannot be estimated.
    :param findings: what would be refused, and more.
    :param dag_id, task_id, map_index: of the task, where there is one.
    """

    batch_api: str
    payload: dict[str, Any] | None = None
    things: str = "tiles"
    names: Sequence[str] | None = None
    outlines: Any = field(default=(), repr=False)
    area: Sequence[Sequence[tuple[float, float]]] = field(default=(), repr=False)
    area_km2: float | None = None
    estimate: Estimate | None = None
    findings: tuple[Finding, ...] = ()
    dag_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None

    @property
    def refused(self) -> list[str]:
        """Why the job would not be created or started; empty if nothing is known against it."""
        return [finding.text for finding in self.findings if finding.kind == "refused"]

    @property
    def title(self) -> str:
        """Names the task, else the generation."""
        name = ".".join(filter(None, (self.dag_id, self.task_id))) or "job"
        return f"{name}[{self.map_index}]" if self.map_index is not None else name

    def of_task(self, dag_id: str, task_id: str, map_index: int | None) -> Preview:
        """The same, with the names of its task."""
        return replace(self, dag_id=dag_id, task_id=task_id, map_index=map_index)

    def tiles(self) -> list[Tile]:
        """The tiles or features with their outlines, for a map."""
        rings = self.outlines.tolist() if hasattr(self.outlines, "tolist") else self.outlines
        return [Tile(name, ring) for name, ring in zip(self.names or (), rings, strict=False)]

    def svg(self) -> str:
        """A map of the tiles and the area."""
        number = "" if self.names is None else f": {len(self.names):,} {self.things}"
        return svg_map(self.tiles(), self.area, title=f"{self.title}{number}", things=self.things)

    def as_dict(self) -> dict[str, Any]:
        """The same for programs: plain JSON."""
        return {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            "map_index": self.map_index,
            "batch_api": self.batch_api,
            "payload": self.payload,
            "things": self.things,
            "count": None if self.names is None else len(self.names),
            "names": None if self.names is None else list(self.names),
            "area_km2": self.area_km2,
            "estimate": None if self.estimate is None else self.estimate.as_dict(),
            "findings": [{"kind": finding.kind, "text": finding.text} for finding in self.findings],
            "refused": bool(self.refused),
        }

    def lines(self, *, map_block: str | None = "#") -> list[str]:
        """The same for people.

        :param map_block: the character of a tile on the map; None: no map.
        """
        found = [f"{self.title} (batch {self.batch_api}); a preview: nothing was sent", ""]
        if self.payload is not None:
            found += ["Payload", *_indented(json.dumps(_shortened(self.payload), indent=2).splitlines()), ""]
        if self.area_km2 is not None:
            of = "Area" if self.things == "tiles" else "Features"
            found.append(f"{of:<10}{self.area_km2:,.1f} km2")
        if self.names is not None:
            shown = ", ".join(self.names[:_SHOWN])
            more = f" and {len(self.names) - _SHOWN:,} more" if len(self.names) > _SHOWN else ""
            found.append(f"{self.things.capitalize():<10}{len(self.names):,}: {shown}{more}")
        if self.names and map_block:
            rings = self.outlines.tolist() if hasattr(self.outlines, "tolist") else self.outlines
            found += ["", *_indented(text_map(rings, block=map_block))]
        if self.estimate is not None:
            first, *rest = self.estimate.lines()
            found += ["", f"{'Estimate':<10}{first}", *_indented(rest)]
        found.append("")
        for kind, word in (("refused", "Refused"), ("warning", "Warning"), ("unknown", "Unknown"), ("note", "Note")):
            found += [f"{word:<10}{finding.text}" for finding in self.findings if finding.kind == kind]
        if not self.refused:
            found.append("Nothing that would be refused was found.")
        return found


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _shortened(value: Any) -> Any:
    """The payload with long texts and long lists of coordinates cut."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        if len(value) > _SHOWN and all(isinstance(item, list) for item in value):
            return [f"({len(value)} points)"]
        return [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > _SCRIPT:
        return f"{value[:_SCRIPT]}... ({len(value):,} characters)"
    return value
