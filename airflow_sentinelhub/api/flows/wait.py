"""Wait for a request, as flows. Waiting takes one call a poll. For its tiles, see `tiles`.

A failed poll does not mean a failed job: the wait goes on until the state was unreadable for `max_unknown_time`.
Workers, triggers, sensors and the reading before a deferral use the same step, `poll` with a `Watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Now, Patience, Sleep, ends_at
from airflow_sentinelhub.api.decide.pace import Pace
from airflow_sentinelhub.api.decide.verdict import (
    Outcome,
    Waited,
    in_words,
    judge,
    over,
    progress_line,
    seconds_left,
)
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.read import SILENCE, next_reading, outlast
from airflow_sentinelhub.api.flows.reread import AGAIN_FIRST, longer
from airflow_sentinelhub.api.service.generations import NEW_REQUEST_404, Generation
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import (
    Interrupted,
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
NOT_STARTED_GRACE = 120.0
"""Seconds for which a request may look unstarted after its start: readings lag."""
UNCERTAIN_PAUSE = 10.0
"""Maximal seconds between polls while a reading may be older than the last action on the request."""
BUSY = 1800.0
"""Seconds for which a state counts as readable that is not read only because the service asks to slow down (429), or
because the rate of the connection is spent: the calls come late, not in vain. Ten minutes after the last 429 none is
held back any more."""
LAST_LOOK = 2.0
"""Seconds that a poll has at least, also one that begins at the deadline."""

PASSING = (UnreachableError, ServerError, RateLimitError, NotFoundError, ResultsError)
"""Errors of a first poll that may pass. Any other (a wrong id, refused credentials) is raised at once, unless the
request is known to exist: then it counts as an outage."""


@dataclass(frozen=True)
class WaitPlan:
    """How to wait.

    :param poll_interval: seconds between polls.
    :param max_poll_interval: seconds that the interval may grow to while the end is far, see `Pace`; None: it does not.
    :param deadline: seconds since 1970 at which the wait ends, None for never.
    :param max_unknown_time: seconds for which the state may be unreadable.
    :param wait_for_start: keep waiting for a request that was not started.
    :param stale_partial: seconds from the begin of the wait for which PARTIAL counts as a lagging reading (after a
        restart).
    :param max_cost: budget in PU: the wait ends, and stops the request, when it has cost more (v2 and statistical).
    :param end_at_deadline: cancel or stop the request when the deadline has passed.
    :param known: the request is known to exist: no error of a poll, not even 404, ends the wait at once.
    """

    poll_interval: float = 60.0
    deadline: float | None = None
    max_unknown_time: float = 1800.0
    wait_for_start: bool = False
    stale_partial: float = 0.0
    max_cost: float | None = None
    end_at_deadline: bool = False
    known: bool = False
    max_poll_interval: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The plan as plain JSON, for a trigger's arguments."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> WaitPlan:
        """The plan that `as_json` has written. Keys of another version of this package are ignored."""
        return cls(**{item.name: given[item.name] for item in fields(cls) if item.name in given})


@dataclass(frozen=True)
class Await:
    """A step of a flow: wait until the request is `target`. The task that runs the flow waits itself, or defers.

    :param state: what the flow needs when it is run again after the wait; plain JSON.
    """

    request_id: str
    target: str
    plan: WaitPlan
    state: Mapping[str, Any] = field(default_factory=dict)


class Watch:
    """The state of one wait. It decides what each poll means; it does no I/O and reads no clock.

    :param request_id: the request.
    :param began: the time at which the wait began, in seconds since 1970.
    :param not_found_after: seconds after which 404 means that there is no such request, unless it is known to exist;
        few for one that cannot be new.
    :param first: nothing was read before, and whoever runs this wait gives it up soon if nothing answers at the
        service's address (see `if_answered`).
    :param on_poll: is called after each poll with what it has shown.
    :param since: see `Pace`.

    `last`: the last reading. `pause`: seconds until the next poll. `unknown_since`: time of the first of the failed
    polls in a row. `not_started_since`: time of the first of the readings in a row that show an unstarted request.
    `uncertain`: the last poll failed, has not read all, or may lag behind the last action; only this object knows
    for how long, so no other process could go on from here. `soon`: the wait ends within seconds if the next polls fail
    like the last one.
    """

    def __init__(
        self,
        request_id: str,
        plan: WaitPlan,
        began: float,
        *,
        not_found_after: float = sum(NEW_REQUEST_404),
        first: bool = False,
        on_poll: OnPoll | None = None,
        since: float | None = None,
    ) -> None:
        self.request_id, self.plan, self.began, self.on_poll = request_id, plan, began, on_poll
        self.last = Waited(Outcome.WAITING)
        self.pause = plan.poll_interval
        self.uncertain = self.soon = False
        self._not_found_after, self._first = not_found_after, first
        self.unknown_since: float | None = None
        self._unread_since = began
        self._busy = False
        self._not_there_since: float | None = None
        self.not_started_since: float | None = None
        self._again = AGAIN_FIRST
        self._cause = ""
        self._polled: float | None = None
        self._log = _Log(began)
        self._pace = Pace(plan.poll_interval, plan.max_poll_interval, plan.max_cost, since)

    def line(self, waited: Waited, now: float) -> str | None:
        """The line to log about this reading, None if there is nothing new to say."""
        return self._log.line(waited, now)

    @property
    def cause(self) -> str:
        """Why the last polls failed, empty if the last one did not."""
        return self._cause

    def until(self, now: float, within: float) -> float | None:
        """When a poll that begins now is given up: at the deadline, or when the state was unreadable for too long.

        The state is unknown from the begin of a poll that fails. A wait that allows no such time has one whole poll.
        After one whose calls were held back a poll has all of `BUSY`: it would lose its turn.

        :param within: seconds that the poll waits before it reads.
        """
        self._polled = now + within
        ends = [self.plan.deadline] if self.plan.deadline is not None else []
        if self.unknown_since is not None or self.plan.max_unknown_time > 0:
            since = self._polled if self.unknown_since is None else self._unread_since
            ends.append(since + self.plan.max_unknown_time)
            if self.unknown_since is not None and self._busy:  # whoever waits longest has its turn
                ends[-1] = max(ends[-1], self.unknown_since + BUSY)
        return max(min(ends), self._polled + LAST_LOOK) if ends else None

    def read(self, waited: Waited, now: float) -> Waited | None:
        """Judge a reading: how the wait has ended, or None to poll again after `pause`."""
        self.last, self.unknown_since, self._again, self._cause = waited, None, AGAIN_FIRST, ""
        self.soon = self._first = False
        self.pause = self._pace.after(waited.job, share_of(waited), now)
        if waited.outcome is not Outcome.NOT_STARTED:
            self.not_started_since = None  # a later reading that looks so may come from a replica that lags
        elif self.not_started_since is None:
            self.not_started_since = now
        self.uncertain = self._lags(waited.outcome, now)
        if self.uncertain:
            self.pause = min(self.pause, UNCERTAIN_PAUSE)
        elif waited.outcome is Outcome.WAITING:
            if over(waited.job, self.plan.max_cost):
                return replace(waited, outcome=Outcome.OVER_BUDGET)
        elif not (waited.outcome is Outcome.NOT_STARTED and self.plan.wait_for_start):
            return waited
        if waited.look_again is not None:
            self.uncertain, self.pause = True, min(self.pause, waited.look_again)
        return self._late(now)

    def failed(self, err: SentinelHubError, now: float) -> Waited | None:
        """Judge a failed poll: how the wait has ended, or None to poll again after `pause`.

        :raises SentinelHubError: the same error, if waiting does not help.
        """
        if self.last.job is None and not self.plan.known and not isinstance(err, PASSING):
            raise err
        if self.unknown_since is None:
            self.unknown_since = self._unread_since = now if self._polled is None else self._polled
        until = self.unknown_since + BUSY - self.plan.max_unknown_time
        self._busy = _is_busy(err) and now < until
        if _is_busy(err):
            self._unread_since = max(self._unread_since, min(now, until))
        self.uncertain, self.pause, self.soon = True, self.plan.poll_interval, False
        self._first = self._first and isinstance(err, UnreachableError)
        if not self._cause or not (isinstance(err, UnreachableError) and err.over):
            self._cause = str(err)  # a poll that was given up says nothing of why
        if isinstance(err, ResultsError):
            self.last = self.last if err.snapshot is None else Waited(Outcome.WAITING, err.snapshot)
            self.pause, self._again = min(self.pause, self._again), longer(self._again)
        elif isinstance(err, NotFoundError):
            self._not_there_since = now if self._not_there_since is None else self._not_there_since
            self.pause = min(self.pause, UNCERTAIN_PAUSE, self._not_found_after / 2)
            self.soon = self._not_found_after < sum(NEW_REQUEST_404)
        elif self._first and isinstance(err, UnreachableError) and err.nowhere:
            self.pause, self.soon = min(self.pause, UNCERTAIN_PAUSE), now - self.unknown_since < SILENCE
        return self._unknown(err, now) or self._late(now)

    def _lags(self, outcome: Outcome, now: float) -> bool:
        """Whether the reading may be older than the last action on the request: a start, or a restart."""
        if outcome is Outcome.NOT_STARTED and not self.plan.wait_for_start:
            return self.not_started_since is None or now - self.not_started_since < NOT_STARTED_GRACE
        return outcome is Outcome.PARTIAL and now - self.began < self.plan.stale_partial

    def _unknown(self, err: SentinelHubError, now: float) -> Waited | None:
        """The end of the wait if the state was unreadable for too long, or if 404 came for long enough; else None."""
        longest = self.plan.max_unknown_time
        if isinstance(err, NotFoundError) and self.last.job is None and not self.plan.known:
            missing = now - (now if self._not_there_since is None else self._not_there_since)
            never_there = missing >= min(self._not_found_after, longest)
            return Waited(Outcome.NOT_FOUND, None, str(err)) if never_there else None
        seconds = now - (now if self.unknown_since is None else self._unread_since)
        outcome = Outcome.UNREAD if isinstance(err, ResultsError) and err.snapshot is not None else Outcome.UNKNOWN
        return replace(self.last, outcome=outcome, why=self._cause) if seconds >= longest else None

    def _late(self, now: float) -> Waited | None:
        """The end of the wait if the deadline has passed; else None, and `pause` ends at the deadline at the latest."""
        if self.plan.deadline is None:
            return None
        if now >= self.plan.deadline:
            return replace(self.last, outcome=Outcome.TIMED_OUT)
        self.pause = min(self.pause, self.plan.deadline - now)
        return None


def _is_busy(err: SentinelHubError) -> bool:
    """Whether the service has asked to slow down, or we have held the call back."""
    return isinstance(err, RateLimitError) or (isinstance(err, UnreachableError) and err.busy)


OnPoll = Callable[[Watch, float], None]
"""Is called after each poll, with the wait and the time, to show what is known. It must not raise."""

OneLook = Callable[[float], Flow[Waited]]
"""Makes a flow that reads the state once, within so many seconds, such as `look` with its arguments."""


def poll(watch: Watch, one_look: OneLook, within: float = 0.0) -> Flow[Waited | None]:
    """Poll once, in so many seconds (`within`): how the wait has ended, or None to poll again after `watch.pause`."""
    known_failure = watch.unknown_since is not None
    try:
        waited = yield from ends_at(one_look(within), watch.until((yield Now()), within))
    except Interrupted:
        raise
    except SentinelHubError as err:
        now = yield Now()
        ended = watch.failed(err, now)
        if watch.on_poll is not None:
            watch.on_poll(watch, now)
        if ended is None and not known_failure:
            message = f"The state of batch request {watch.request_id} cannot be read: {err} Trying again."
            yield Note(message, warning=True)
        return ended
    now = yield Now()
    if line := watch.line(waited, now):
        yield Note(line)
    judged = watch.read(waited, now)
    if watch.on_poll is not None:
        watch.on_poll(watch, now)
    return judged


def until_certain(watch: Watch, one_look: OneLook) -> Flow[Waited | None]:
    """Poll until the watch is certain about the state: how the wait has ended, or None to poll again later.

    For waits whose next poll is made by another process, which does not have this watch.
    """
    while True:
        ended = yield from poll(watch, one_look)
        if ended is not None or not watch.uncertain:
            return ended
        yield Sleep(watch.pause)


def until_answered(watch: Watch, one_look: OneLook) -> Flow[Waited | None]:
    """Poll, again only as long as the wait may end within seconds (`Watch.soon`): as `poll` returns.

    For a task that defers: the trigger does not know that nothing has ever answered, or that the request is old.
    """
    while (ended := (yield from poll(watch, one_look))) is None and watch.soon:
        yield Sleep(watch.pause)
    return ended


def look(api: Generation, request_id: str, target: str, within: float = 0.0) -> Flow[Waited]:
    """Read the request once, within so many seconds."""
    job = yield from next_reading(api, request_id, within, POLL)
    return Waited(judge(job, target), job)


def wait(
    api: Generation,
    request_id: str,
    target: str,
    plan: WaitPlan,
    *,
    first_poll: float = 0.0,
    on_poll: OnPoll | None = None,
) -> Flow[Waited]:
    """Wait until the request is `target` or cannot become it any more. Ends it at the deadline, and over the budget.

    :param first_poll: seconds before the first poll.
    :param on_poll: is called after each poll.
    """

    def one_look(within: float) -> Flow[Waited]:
        return look(api, request_id, target, within)

    waited = yield from until_ended(one_look, request_id, plan, first_poll, on_poll)
    return (yield from _ended_for_us(api, request_id, target, plan, waited))


def look_before_deferring(
    api: Generation, request_id: str, target: str, plan: WaitPlan, *, on_poll: OnPoll | None = None
) -> Flow[Waited | None]:
    """Poll once before a task defers: how the wait has ended, or None to defer.

    Over the budget, and at the deadline, it ends the request as `wait` does.
    """
    watch = Watch(request_id, plan, (yield Now()), on_poll=on_poll)
    waited = yield from poll(watch, lambda within: look(api, request_id, target))
    return None if waited is None else (yield from _ended_for_us(api, request_id, target, plan, waited))


def _ended_for_us(api: Generation, request_id: str, target: str, plan: WaitPlan, waited: Waited) -> Flow[Waited]:
    """End a request that is over its budget or past its deadline; returns the outcome with the reading after that."""
    if waited.outcome is Outcome.OVER_BUDGET:
        yield Note(f"Batch request {request_id} has cost more than {plan.max_cost:,.0f} PU; ending it", warning=True)
    elif waited.outcome is Outcome.TIMED_OUT and plan.end_at_deadline:
        yield Note(f"The time allowed for batch request {request_id} is over; ending it", warning=True)
    else:
        return waited
    try:
        job = yield from outlast(lambda: end(api, request_id), plan.max_unknown_time, request_id, refused=True)
    except Interrupted:
        raise
    except SentinelHubError as err:
        yield Note(f"Batch request {request_id} could not be ended: {err}", warning=True)
        return waited
    reached = judge(job, target) is Outcome.REACHED  # it got there while it was being ended
    return replace(waited, job=job, outcome=Outcome.REACHED if reached else waited.outcome)


def until_ended(
    one_look: OneLook, request_id: str, plan: WaitPlan, first_poll: float = 0.0, on_poll: OnPoll | None = None
) -> Flow[Waited]:
    """Poll until the wait has ended.

    :param first_poll: seconds before the first poll.
    :param on_poll: is called after each poll.
    """
    watch = Watch(request_id, plan, (yield Now()), on_poll=on_poll)
    yield Sleep(first_poll)
    pause = 0.0
    while (ended := (yield from poll(watch, one_look, pause))) is None:
        pause = watch.pause
    return ended


class _Log:
    """The log of a wait: a line for each change, and a heartbeat otherwise, with the estimated time left."""

    def __init__(self, began: float) -> None:
        self._last_line, self._at = "", began
        self._first: tuple[float, float] | None = None
        self._last: Waited | None = None

    def line(self, waited: Waited, now: float) -> str | None:
        """The line to log now, None if there is nothing new."""
        if waited == self._last and now - self._at < HEARTBEAT:
            return None
        self._last = waited
        line = line_of(waited)
        share = share_of(waited)
        if self._first is None and share:
            self._first = (now, share)
        if line == self._last_line and now - self._at < HEARTBEAT:
            return None
        self._last_line, self._at = line, now
        seconds = seconds_left(*self._first, now, share) if self._first and share else None
        return line if seconds is None else f"{line}, {in_words(seconds)} left"


def share_of(waited: Waited) -> float | None:
    """The share of the job that is done, 0 to 1, None if it is not known."""
    if waited.counts and (total := sum(waited.counts.values())):
        return waited.counts.get("PROCESSED", 0) / total
    if waited.total and waited.matching is not None and waited.goal == BatchTileStatus.PROCESSED:
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
