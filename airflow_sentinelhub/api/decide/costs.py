"""What the requests of a DAG have cost, and what its running ones will: sums over what carries the DAG's marker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_sentinelhub.api.decide.marker import Mark
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S

WAITS = timedelta(days=7)
"""So long before a month a request may have been created that is started in it: the budget of the month counts it."""
RESERVED_FOR = 3600.0
"""Seconds for which a job that its task was about to start counts in the budget of a month without being started."""


@dataclass(frozen=True)
class RequestCost:
    """What one request has cost.

    :param task: name of its task, where the caller has named it, else a digest of it; None in markers of old versions.
    :param cost: processing units (PU) billed so far; None if the service does not tell. On v1 the sum of its tiles, or
        a third of the service's estimate where the tiles were not read (`by_estimate`); None for a cancelled one then.
    :param expected: PU that it will cost in all while it runs, None if that is not known.
    :param started: somebody has started it.
    :param running: it runs on and bills.
    """

    request_id: str
    batch_api: str
    status: str
    created: datetime | None
    task: str | None = None
    cost: float | None = None
    expected: float | None = None
    started: bool = False
    running: bool = False
    by_estimate: bool = False

    def __str__(self) -> str:
        created = f"{self.created:%Y-%m-%d %H:%M}" if self.created else "at an unknown time"
        cost = "unknown" if self.cost is None else f"{self.cost:,.1f} PU{' (estimated)' if self.by_estimate else ''}"
        more = f", about {self.expected:,.1f} PU in all" if self.running and self.expected is not None else ""
        return f"{created}  {self.request_id}  {self.batch_api}  {self.status}  {self.task or 'unknown'}  {cost}{more}"

    @property
    def counted(self) -> float:
        """PU that count in a budget: the cost, of a running request at least what it will probably cost."""
        cost = self.cost or 0.0
        return max(cost, self.expected or 0.0) if self.running else cost

    @property
    def known(self) -> bool:
        """Whether `counted` is all that it costs. A running request may bill more than what is known."""
        return self.cost is not None and (not self.running or self.expected is not None)


@dataclass(frozen=True)
class Costs:
    """What a DAG has cost since a time, by what the service lists for the account.

    :param requests: newest first.
    :param unread: sentences about what could not be read, so that it is not in here.
    """

    dag_id: str
    since: datetime
    requests: tuple[RequestCost, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """PU billed so far."""
        return sum(request.cost or 0.0 for request in self.requests)

    @property
    def expected(self) -> float:
        """PU billed, with what the running requests will probably still cost."""
        return sum(request.counted for request in self.requests)

    @property
    def running(self) -> int:
        """Number of requests that run on and bill."""
        return sum(request.running for request in self.requests)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Requests whose cost is not known in full."""
        return tuple(request.request_id for request in self.requests if not request.known)

    def by_task(self) -> dict[str, float]:
        """PU billed so far by task, the dearest first."""
        sums: dict[str, float] = {}
        for request in self.requests:
            name = request.task or "unknown"
            sums[name] = sums.get(name, 0.0) + (request.cost or 0.0)
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def lines(self) -> list[str]:
        """The sums as lines of text: in all, by task, by request, and what is not in them."""
        found = [f"{self.dag_id} since {self.since:%Y-%m-%d %H:%M} UTC: {self.total:,.1f} PU"]
        if self.running:
            found.append(f"Running: {self.running}; in all about {self.expected:,.1f} PU when that is done")
        found += [f"  {cost:>12,.1f} PU  {task}" for task, cost in self.by_task().items()]
        found += [str(request) for request in self.requests]
        return [*found, *self.warnings()]

    def warnings(self) -> list[str]:
        """Sentences about what is not in the sums."""
        unknown = f"What these cost in all is not known: {', '.join(self.unknown[:3])}"
        unknown += f" and {len(self.unknown) - 3} more." if len(self.unknown) > 3 else "."
        estimated = sum(request.by_estimate for request in self.requests)
        by_estimate = f"Requests of v1 for which a third of the service's estimate stands: {estimated}."
        found = [unknown] if self.unknown else []
        return [*found, *([by_estimate] if estimated else []), *self.unread]

    def as_dict(self) -> dict[str, Any]:
        """The same for programs: plain JSON."""
        return {
            "dag_id": self.dag_id,
            "since": self.since.isoformat(),
            "total": self.total,
            "expected": self.expected,
            "running": self.running,
            "by_task": self.by_task(),
            "requests": [
                {**asdict(each), "created": each.created.isoformat() if each.created else None}
                for each in self.requests
            ],
            "unknown": list(self.unknown),
            "unread": list(self.unread),
        }


@dataclass(frozen=True)
class Month:
    """What the other jobs of a DAG have cost in this calendar month, or will cost.

    :param counted: PU: billed, of running and just starting jobs what they will probably cost.
    :param jobs: number of requests that count.
    :param unknown: of them, those whose cost is not known in full.
    :param behind: PU of jobs that are about to start too, and come behind this one. They may have looked before this
        one could be seen: then they start. Else they count this one.
    """

    counted: float = 0.0
    jobs: int = 0
    unknown: tuple[str, ...] = field(default=())
    behind: float = 0.0

    def others(self) -> str:
        """The beginning of a sentence that goes on with the number of PU."""
        return "one other job of this DAG counts" if self.jobs == 1 else f"{self.jobs} other jobs of this DAG count"


def cost_of(job: Snapshot, mark: Mark, tasks: Mapping[str, str], tiles: float | None = None) -> RequestCost:
    """What this request has cost.

    :param tasks: names of tasks by their digests.
    :param tiles: PU of its tiles (v1), None if they were not read.
    """
    running = not job.status.is_final and (job.started or job.ending)
    cost, by_estimate = (job.cost if tiles is None else tiles), False
    if cost is None and not may_have_billed(job):
        cost = 0.0
    elif cost is None and not running and job.status != S.CANCELED and job.expected_cost is not None:
        cost, by_estimate = job.expected_cost, True
    return RequestCost(
        job.request_id,
        job.generation,
        str(job.status),
        job.created,
        None if mark.task is None else tasks.get(mark.task, mark.task),
        cost,
        expected_of(job, mark) if running else None,
        job.started or cost != 0,
        running,
        by_estimate,
    )


def may_have_billed(job: Snapshot) -> bool:
    """Whether it may have cost something. What v1 has cancelled had perhaps been started before; its tiles tell."""
    if job.cost is None and job.status in (S.CANCELED, S.FAILED):
        return job.estimate is not None  # without one it was never analysed
    return job.started or job.ending


def ended_early(job: Snapshot) -> bool:
    """Whether it may have cost less than the service's estimate (v1), by any number of tiles."""
    return job.cost is None and job.status in (S.CANCELED, S.FAILED, S.PARTIAL) and may_have_billed(job)


def expected_of(job: Snapshot, mark: Mark) -> float | None:
    """PU that a running request will cost in all: by the service, by our estimate, by its pace, else by its budget."""
    if job.expected_cost is not None:
        return job.expected_cost
    if mark.expected is not None:
        return mark.expected
    if job.cost and job.share_done:
        return job.cost / job.share_done
    return mark.limit


def month_of(now: float) -> datetime:
    """The start of the calendar month (UTC) that this time is in."""
    moment = datetime.fromtimestamp(now, tz=timezone.utc)
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def of_month(job: Snapshot, begin: datetime) -> bool:
    """Whether a request counts in the month with this begin: it was created in it, started, or is still to be started.

    One that was ended by hand in it had run in it.
    """
    times = [time for time in (job.created, job.acted) if time is not None]
    waits = not job.status.is_final and not may_have_billed(job)
    return waits or not times or max(times) >= begin


def month_total(jobs: Iterable[tuple[Snapshot, Mark]], own: Snapshot, now: float) -> Month:
    """What the other jobs of the DAG count in the budget of the month.

    :param jobs: all that were created or started in the month, see `of_month`.

    A job that is not started counts if its task was about to start it before this one: by the marker, and for
    `RESERVED_FOR` seconds. So of jobs that begin at once the older ones go first.
    """
    counted, behind, number, unknown = 0.0, 0.0, 0, []
    for job, mark in jobs:
        if job.request_id == own.request_id:
            continue
        cost = cost_of(job, mark, {})
        if cost.started:
            amount = cost.counted
            is_known = cost.known or (cost.running and cost.expected is not None)
        elif not _about_to_start(job, mark, now):
            continue
        elif not _is_before(job, own):
            behind += mark.expected or 0.0
            continue
        else:
            amount, is_known = mark.expected or 0.0, mark.expected is not None
        unknown += [] if is_known else [job.request_id]
        counted, number = counted + amount, number + 1
    return Month(counted, number, tuple(unknown), behind)


def _about_to_start(job: Snapshot, mark: Mark, now: float) -> bool:
    """Whether the task of a request that is not started is about to start it."""
    return mark.reserved is not None and now - mark.reserved <= RESERVED_FOR and not job.status.is_final


def _is_before(job: Snapshot, own: Snapshot) -> bool:
    """Whether a request comes before this one, by the time of its creation."""
    if job.created is None or own.created is None:
        return True
    return (job.created, job.request_id) < (own.created, own.request_id)
