"""Waiting for a request or for its tiles, as flows. One call a poll, whatever the number of tiles.

A failed poll is not a failed job: while the state cannot be read, a budget of its own runs (`max_unknown_time`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Now, Patience, Sleep, exchange
from airflow_sentinelhub.api.decide.due import Due, behind, due_of
from airflow_sentinelhub.api.decide.verdict import (
    Outcome,
    TileGoal,
    Waited,
    in_words,
    judge,
    judge_tiles,
    over,
    progress_line,
    seconds_left,
)
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.read import NEW_REQUEST_404, outlast, read
from airflow_sentinelhub.api.flows.reread import AGAIN_FIRST, longer, reading
from airflow_sentinelhub.api.paging import Walk
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import (
    NotFoundError,
    RateLimitError,
    ResultsError,
    SentinelHubError,
    ServerError,
    UnreachableError,
)

POLL = Patience(backoff=(2.0,), rate_limited=60.0)
HEARTBEAT = 600.0
"""Seconds after which an unchanged state is logged again."""
TILE_PAGES = 10_000
"""Pages of 100 tiles that a look reads at the most: more than any request has."""
NOT_STARTED_GRACE = 120.0
"""Seconds for which a request may look as if nobody had started it: reads lag behind."""


PASSING = (UnreachableError, ServerError, RateLimitError, NotFoundError, ResultsError)
"""Errors of a first look that may pass; any other (a wrong id, refused credentials) is said at once, but where the
request is known to be there: then it is an accident like an outage."""


@dataclass(frozen=True)
class WaitPlan:
    """How to wait.

    :param poll_interval: seconds between polls; :param first_poll: seconds before the first.
    :param deadline: seconds since 1970 at which the wait ends, None for never.
    :param max_unknown_time: seconds for which the state may be unreadable.
    :param wait_for_start: go on waiting for a request that nobody has started.
    :param stale_partial: seconds for which PARTIAL is taken for a lagging reading (after a restart).
    :param max_cost: PU at which the wait ends because the request has cost more (v2 says what it costs). It is stopped
        by whoever sees that.
    :param end_at_deadline: cancel or stop the request when the deadline has passed.
    :param known: the request is known to be there: whatever a look is answered with says nothing about it.
    """

    poll_interval: float = 60.0
    first_poll: float = 0.0
    deadline: float | None = None
    max_unknown_time: float = 1800.0
    wait_for_start: bool = False
    stale_partial: float = 0.0
    max_cost: float | None = None
    end_at_deadline: bool = False
    known: bool = False


def look(api: Generation, request_id: str, target: str) -> Flow[Waited]:
    """One look at the request."""
    job = yield from read(api, request_id, POLL)
    return Waited(judge(job, target), job)


def wait(api: Generation, request_id: str, target: str, plan: WaitPlan) -> Flow[Waited]:
    """Wait until the request is `target` or cannot become it any more. Ends it at the deadline, and over the budget."""
    waited = yield from _wait(lambda: look(api, request_id, target), request_id, plan)
    if waited.outcome is Outcome.OVER_BUDGET:
        yield Note(f"Batch request {request_id} has cost more than {plan.max_cost:,.0f} PU; ending it", warning=True)
    elif waited.outcome is Outcome.TIMED_OUT and plan.end_at_deadline:
        yield Note(f"The time allowed for batch request {request_id} is over; ending it", warning=True)
    else:
        return waited
    try:
        job = yield from outlast(lambda: end(api, request_id), plan.max_unknown_time, request_id, refused=True)
    except SentinelHubError as err:
        yield Note(f"Batch request {request_id} could not be ended: {err}", warning=True)
        return waited
    reached = judge(job, target) is Outcome.REACHED  # it got there while it was being ended
    return replace(waited, job=job, outcome=Outcome.REACHED if reached else waited.outcome)


def monitor(api: Generation, request_id: str, target: str, plan: WaitPlan) -> Flow[Waited]:
    """As `wait`, with the number of tiles done and failed in the log."""
    return (yield from _wait(lambda: look_with_counts(api, request_id, target), request_id, plan))


def wait_for_tiles(
    api: Generation, request_id: str, goal: TileGoal, plan: WaitPlan, read_tiles: ReadTiles
) -> Flow[Waited]:
    """Wait until the tiles are as `goal` says or cannot become so any more."""
    return (yield from _wait(lambda: look_at_tiles(api, request_id, goal, read_tiles), request_id, plan))


def pause(seconds: float) -> Flow[None]:
    """Wait so long."""
    yield Sleep(seconds)


def _wait(one_look: Callable[[], Flow[Waited]], request_id: str, plan: WaitPlan) -> Flow[Waited]:
    began = yield Now()
    log = _Log(began)
    unknown_since = not_started_since = None
    again = AGAIN_FIRST
    last: Waited = Waited(Outcome.WAITING)
    yield Sleep(plan.first_poll)
    while True:
        pause = plan.poll_interval
        try:
            last = yield from one_look()
            now = yield Now()
            unknown_since, again = None, AGAIN_FIRST
            if line := log.line(last, now):
                yield Note(line)
            outcome = last.outcome
            if outcome is not Outcome.NOT_STARTED:
                not_started_since = None  # a later reading that looks so may come from a replica that lags
            if outcome is Outcome.NOT_STARTED:
                not_started_since = now if not_started_since is None else not_started_since
                if plan.wait_for_start or now - not_started_since < NOT_STARTED_GRACE:
                    outcome, pause = Outcome.WAITING, min(pause, 10.0) if not plan.wait_for_start else pause
            elif outcome is Outcome.WAITING and over(last.job, plan.max_cost):
                return replace(last, outcome=Outcome.OVER_BUDGET)
            elif outcome is Outcome.PARTIAL and now - began < plan.stale_partial:
                outcome, pause = Outcome.WAITING, min(pause, 10.0)
            if outcome is not Outcome.WAITING:
                return last
        except SentinelHubError as err:
            if last.job is None and not plan.known and not isinstance(err, PASSING):
                raise
            now = yield Now()
            unknown_since = now if unknown_since is None else unknown_since
            last = _known(last, err)
            if ended := _unknown(err, last, now - unknown_since, plan):
                return ended
            if isinstance(err, ResultsError):
                pause, again = min(pause, again), longer(again)
            pause = min(pause, 10.0) if isinstance(err, NotFoundError) else pause
            yield Note(f"The state of batch request {request_id} cannot be read: {err} Trying again.", warning=True)
        if plan.deadline is not None:
            if now >= plan.deadline:
                return replace(last, outcome=Outcome.TIMED_OUT)
            pause = min(pause, plan.deadline - now)
        yield Sleep(pause)


class _Log:
    """What a wait has said: a line when something has changed, and a heartbeat otherwise, with the time left."""

    def __init__(self, began: float) -> None:
        self._said, self._at = "", began
        self._first: tuple[float, float] | None = None

    def line(self, waited: Waited, now: float) -> str | None:
        """The line to say now, None if there is nothing new."""
        line = line_of(waited)
        share = share_of(waited)
        if self._first is None and share:
            self._first = (now, share)
        if line == self._said and now - self._at < HEARTBEAT:
            return None
        self._said, self._at = line, now
        left = seconds_left(*self._first, now, share) if self._first and share else None
        return line if left is None else f"{line}, {in_words(left)} left"


def _unknown(err: SentinelHubError, last: Waited, seconds: float, plan: WaitPlan) -> Waited | None:
    """The end of a wait whose state has been unreadable for so long, None while it may go on."""
    if isinstance(err, NotFoundError) and last.job is None:
        grace = min(sum(NEW_REQUEST_404), plan.max_unknown_time)
        return Waited(Outcome.NOT_FOUND, None, str(err)) if seconds >= grace else None
    outcome = Outcome.UNREAD if isinstance(err, ResultsError) and err.snapshot is not None else Outcome.UNKNOWN
    return replace(last, outcome=outcome, why=str(err)) if seconds >= plan.max_unknown_time else None


def _known(last: Waited, err: SentinelHubError) -> Waited:
    """What is known after a look that failed: where only the results could not be read, the state of the request."""
    job = err.snapshot if isinstance(err, ResultsError) else None
    return last if job is None else Waited(Outcome.WAITING, job)


def rests_since(job: Snapshot) -> float:
    """The time, in seconds since 1970, since which nobody has acted on the request."""
    times = [time.timestamp() for time in (job.created, job.acted) if time]
    return max(times) if times else 0.0


def look_with_counts(api: Generation, request_id: str, target: str) -> Flow[Waited]:
    """One look at the request, and at how many of its tiles are done and failed: a call for every 100 of them (v1)."""
    waited = yield from look(api, request_id, target)
    job = waited.job
    if job is None or api.name != "v1" or not job.started or not job.tile_count:
        return waited
    counts = {}
    for status in ("PROCESSED", "FAILED"):
        counts[status] = yield from _count(request_id, status, job.tile_count)
    counts["PENDING"] = max(job.tile_count - sum(counts.values()), 0)
    return replace(waited, counts=counts)


def share_of(waited: Waited) -> float | None:
    """The share of the job that is done, 0 to 1, None where nobody says."""
    if waited.counts and (total := sum(waited.counts.values())):
        return waited.counts.get("PROCESSED", 0) / total
    if waited.goal == "PROCESSED" and waited.total and waited.matching is not None:
        return waited.matching / waited.total
    return waited.job.share_done if waited.job else None


def line_of(waited: Waited) -> str:
    """A line for the log about this reading."""
    if waited.job is None:
        return ""
    line = progress_line(waited.job, waited.counts)
    if waited.matching is not None and waited.total:
        line += f", {waited.matching} of {waited.total} tiles {waited.goal} ({waited.matching / waited.total:.0%})"
    return line


ReadTiles = Callable[[Snapshot, "str | None"], "tuple[Mapping[str, int], str | None]"]
"""Reads a v2 request's tiles from its bucket, blocking: (request, name of one tile) -> (number of tiles by status,
status of the one tile)."""


def look_at_tiles(api: Generation, request_id: str, goal: TileGoal, read_tiles: ReadTiles) -> Flow[Waited]:
    """One look at the tiles: as few pages as answer the question (v1), or the files in the bucket (v2).

    :raises ResultsError: the tiles of a request that has some cannot be read, or not yet; it carries the request.
    """
    job = yield from read(api, request_id, POLL)
    analysed = job.status.value not in ("CREATED", "ANALYSING")
    tile: str | None = None
    matching, total = 0, job.tile_count if analysed else None
    if api.name != "v1":
        if analysed:
            counts, tile = yield from _in_bucket(job, goal, read_tiles)
            matching, total = counts.get(goal.status, 0), sum(counts.values()) or None
    elif goal.tile is not None:
        tile = yield from _one_tile(request_id, goal.tile)
    elif total is not None:
        matching = yield from _count(request_id, goal.status, goal.needed(total))
    outcome = judge_tiles(job, goal, matching, total, tile)
    if api.name == "v1" and outcome is Outcome.UNREACHABLE:
        yield from _believed(job, goal, matching, tile)
    return Waited(outcome, job, matching=None if goal.tile is not None else matching, total=total, goal=goal.status)


def _in_bucket(job: Snapshot, goal: TileGoal, read_tiles: ReadTiles) -> Flow[tuple[Mapping[str, int], str | None]]:
    """Tiles of v2. None where they cannot be read and nothing hangs on them: nobody starts it, or it never worked."""
    try:
        return (yield from reading(job, lambda: read_tiles(job, goal.tile)))
    except ResultsError:
        if judge(job) is Outcome.NOT_STARTED or due_of(job) is Due.NOTHING:
            return {}, None
        raise


def _believed(job: Snapshot, goal: TileGoal, matching: int, tile: str | None) -> Flow[None]:
    """Before a goal is given up: is v1's list of tiles up to date with a request that is done?

    :raises ResultsError: it shows tiles that are not at their end, or not all of them.
    """
    unfinished = int(tile is not None and not BatchTileStatus(tile).is_final)
    listed = job.tile_count or 0
    if goal.tile is None:
        found = {goal.status: matching}
        for status in ("PROCESSED", "FAILED"):
            if status not in found:
                found[status] = yield from _count(job.request_id, status, max(listed, 1))
        ended = found["PROCESSED"] + found["FAILED"]
        unfinished, listed = listed - ended, max(listed, ended)
    if why := behind(job, listed, max(unfinished, 0)):
        raise ResultsError(why, request_id=job.request_id, snapshot=job)


def _count(request_id: str, status: str, enough: int) -> Flow[int]:
    """How many tiles are in the status; stops counting at `enough`."""
    counted, walked = 0, Walk(TILE_PAGES)
    while not walked.over:
        call = v1.list_tiles(request_id, status=status, viewtoken=walked.token)
        page = yield from exchange(call, POLL)
        counted += len(page.items)
        if counted >= enough:
            break
        walked.turn(call, page)
    return counted


def _one_tile(request_id: str, wanted: str) -> Flow[str | None]:
    """Status of the tile with this id or name, None if there is none (yet)."""
    if wanted.isdigit():
        try:
            found: dict[str, Any] = yield from exchange(v1.get_tile(request_id, wanted), POLL)
            return str(found["status"])
        except NotFoundError:
            return None
    walked = Walk(TILE_PAGES)
    while not walked.over:
        call = v1.list_tiles(request_id, viewtoken=walked.token)
        page = yield from exchange(call, POLL)
        for tile in page.items:
            if tile.get("name") == wanted:
                return str(tile["status"])
        walked.turn(call, page)
    return None
