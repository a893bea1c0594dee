"""What a waiting task has read of its request so far, as small JSON that a page can show. Pure.

The record holds the last reading, the states that the request went through, and a course of share and cost over time.
Its size is bounded: a course that becomes long is thinned, and keeps its first and its last points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.api.decide.verdict import Waited
from airflow_sentinelhub.api.decoding import number, text, whole
from airflow_sentinelhub.api.snapshot import Snapshot

VERSION = 1
MOST_POINTS = 120
MOST_STATES = 40
MOST_TEXT = 2_000
"""Characters of a text of the service (a description, an error) that are kept."""

CoursePoint = tuple[float, "float | None", "float | None"]
"""Time in seconds since 1970, share done (0 to 1), PU spent."""
State = tuple[float, str, str]
"""Time in seconds since 1970, status, user action."""


@dataclass
class Progress:
    """What is known of a request.

    :param request_id, batch_api: the request, and the generation of its API.
    :param try_number: the try of the task that has read this.
    :param read_at: time of the last reading, in seconds since 1970; None before the first one.
    :param unknown_since: time since which the request cannot be read.
    :param why: the error, empty if it can be read.
    :param job: the last reading: members of a `Snapshot` as plain JSON.
    :param counts: number of tiles by status, None where the wait counts none.
    :param states: the states that were seen, each with the time of its first reading.
    :param course: share and cost over time.
    :param budget: PU that the job may cost, None for no limit that the wait knows.
    :param every: seconds between two readings.
    """

    request_id: str
    batch_api: str
    try_number: int = 1
    read_at: float | None = None
    unknown_since: float | None = None
    why: str = ""
    job: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] | None = None
    states: list[State] = field(default_factory=list)
    course: list[CoursePoint] = field(default_factory=list)
    budget: float | None = None
    every: float | None = None

    def read(self, waited: Waited, share: float | None, now: float) -> bool:
        """Take a reading in.

        :param share: share of the job that is done, 0 to 1, None if it is not known.
        :return: whether the state has changed, so that the record is written at once.
        """
        was_unknown, self.unknown_since, self.why = self.unknown_since is not None, None, ""
        self.read_at = now
        job = waited.job
        if job is None:
            return was_unknown
        self.job = members_of(job, share)
        if waited.counts is not None:
            self.counts = dict(waited.counts)
        elif waited.goal and waited.total is not None and waited.matching is not None:
            self.counts = {str(waited.goal): waited.matching, "OTHER": waited.total - waited.matching}
        state = (self.job["status"], self.job["user_action"])
        changed = not self.states or self.states[-1][1:] != state
        if changed:
            self.states = [*self.states, (now, *state)][-MOST_STATES:]
        self.course = course_with(self.course, (now, share, job.cost))
        return changed or was_unknown

    def failed(self, why: str, since: float) -> bool:
        """Take in that the request cannot be read. :return: whether that is new."""
        new = self.unknown_since is None
        self.unknown_since, self.why = since, _short(why) or ""
        return new

    def go_on_from(self, before: Progress) -> None:
        """Put what an earlier process has read before what this one has."""
        if before.states and self.states and before.states[-1][1:] == self.states[0][1:]:
            self.states = self.states[1:]
        self.states = [*before.states, *self.states][-MOST_STATES:]
        later, self.course = self.course, list(before.course)
        for point in later:
            self.course = course_with(self.course, point)
        self.counts = self.counts or before.counts
        self.budget = self.budget or before.budget

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON, some kilobytes at most."""
        return {
            "version": VERSION,
            "request_id": self.request_id,
            "batch_api": self.batch_api,
            "try_number": self.try_number,
            "read_at": self.read_at,
            "unknown_since": self.unknown_since,
            "why": self.why,
            "job": self.job,
            "counts": self.counts,
            "states": [list(state) for state in self.states],
            "course": [
                [round(at, 1), share and round(share, 4), cost and round(cost, 3)] for at, share, cost in self.course
            ],
            "budget": self.budget,
            "every": self.every,
        }


def members_of(job: Snapshot, share: float | None) -> dict[str, Any]:
    """A reading as plain JSON.

    :param share: share of the job that is done, 0 to 1, None if it is not known.
    """
    return {
        "status": str(job.status),
        "user_action": str(job.user_action),
        "error": _short(job.error),
        "description": _short(job.description),
        "created": None if job.created is None else job.created.timestamp(),
        "acted": None if job.acted is None else job.acted.timestamp(),
        "tile_count": job.tile_count,
        "expected_cost": job.expected_cost,
        "cost": job.cost,
        "stopped_reason": None if job.stopped_reason is None else str(job.stopped_reason),
        "output_url": _short(job.output_url),
        "share": share,
    }


def course_with(course: list[CoursePoint], point: CoursePoint) -> list[CoursePoint]:
    """The course with one more point; one that says the same as the two before it takes the place of the last one."""
    if len(course) > 1 and course[-1][1:] == course[-2][1:] == point[1:]:
        return [*course[:-1], point]
    longer = [*course, point]
    return longer if len(longer) <= MOST_POINTS else [*longer[:-1:2], point]


def progress_from(kept: Any, request_id: str) -> Progress | None:
    """The record that `as_json` has written about this request; None for anything else.

    What is odd in it counts as not said: the record is for showing, and nothing is decided by it.
    """
    if not isinstance(kept, Mapping) or kept.get("version") != VERSION:
        return None
    if str(kept.get("request_id", "")).lower() != request_id.lower():
        return None
    job, counts = kept.get("job"), kept.get("counts")
    return Progress(
        request_id=str(kept["request_id"]),
        batch_api=str(kept.get("batch_api", "")),
        try_number=whole(kept.get("try_number")) or 1,
        read_at=number(kept.get("read_at")),
        unknown_since=number(kept.get("unknown_since")),
        why=text(kept.get("why")) or "",
        job=_job_in(job) if isinstance(job, Mapping) else {},
        counts={str(name): count for name, count in counts.items() if isinstance(count, int)}
        if isinstance(counts, Mapping)
        else None,
        states=[(at, str(row[1]), str(row[2])) for row in _rows(kept.get("states"), 3) if (at := number(row[0]))],
        course=[(at, number(row[1]), number(row[2])) for row in _rows(kept.get("course"), 3) if (at := number(row[0]))],
        budget=number(kept.get("budget")),
        every=number(kept.get("every")),
    )


_TEXTS = ("status", "user_action", "error", "description", "stopped_reason", "output_url")
_NUMBERS = ("created", "acted", "expected_cost", "cost", "share")


def _job_in(job: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a reading that `members_of` has written."""
    if not job:
        return {}
    texts = {name: text(job.get(name)) or None for name in _TEXTS}
    numbers = {name: number(job.get(name)) for name in _NUMBERS}
    return {**texts, **numbers, "tile_count": whole(job.get("tile_count"))}


def _rows(value: Any, length: int) -> list[Any]:
    """The lists of this length in a list."""
    return [row for row in value if isinstance(row, list) and len(row) == length] if isinstance(value, list) else []


def _short(value: str | None) -> str | None:
    return value[:MOST_TEXT] if value else None
