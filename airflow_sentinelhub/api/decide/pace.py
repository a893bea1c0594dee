"""How often a wait polls: often near its start and its expected end, seldom in between. Pure."""

from __future__ import annotations

from airflow_sentinelhub.api.decide.verdict import seconds_left
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError

OF_ELAPSED = 0.1
"""Share of the time in this status that may pass until the next poll."""
OF_LEFT = 0.25
"""Share of the time that seems to be left that may pass until the next poll."""


def check_most(least: float, most: float | None, name: str = "poll_interval") -> None:
    """Check the bounds of an interval, in seconds.

    :param name: of the argument for the lower one.
    :raises InvalidInputError: `max_poll_interval` is the lower one.
    """
    if most is not None and most < least:
        raise InvalidInputError(
            f"max_poll_interval is {most:g} s, less than {name}, which is {least:g} s; the interval grows from the one "
            "to the other."
        )


class Pace:
    """Intervals of one wait, between two bounds.

    An interval is at most a tenth of the time since the status has changed, so that an end is seen after at most that
    share of the time that it took, and at most a quarter of the time that seems to be left, by the progress or by the
    budget.

    :param least: seconds between polls.
    :param most: seconds that an interval may grow to, None for `least`.
    :param max_cost: budget of the request in PU, None for none.
    :param since: when an earlier process began this wait, seconds since 1970; None if this one does. What was read
        before is not known: it is taken for the same status with nothing done, so the intervals get no longer than they
        would be for a job that began then.
    """

    def __init__(self, least: float, most: float | None, max_cost: float | None, since: float | None = None) -> None:
        self._before = since
        self._least, self._most, self._max_cost = least, max(most or least, least), max_cost
        self._status: object = None
        self._since = 0.0
        self._first: list[float | None] = []

    def after(self, job: Snapshot | None, share: float | None, now: float) -> float:
        """Seconds until the next poll, after a reading.

        :param share: of the job that is done, 0 to 1, None if it is not known.
        :param now: the time in seconds.
        """
        if job is None:
            return self._least
        shares = [share]
        if self._max_cost is not None:
            if job.cost is None:
                return self._least  # nothing tells how near the budget is
            shares.append(job.cost / self._max_cost if self._max_cost > 0 else 1.0)
        state = (job.status, job.user_action)
        if state != self._status or any(_fell(first, one) for first, one in zip(self._first, shares, strict=True)):
            self._status, self._since, self._first = state, now, shares
            if self._before is not None:
                self._since, self._first = self._before, [None if one is None else 0.0 for one in shares]
                self._before = None
        longest = (now - self._since) * OF_ELAPSED
        for first, one in zip(self._first, shares, strict=True):
            if first is None or one is None:
                continue
            if one >= 1:
                return self._least
            left = seconds_left(self._since, first, now, one)
            if left is not None:
                longest = min(longest, left * OF_LEFT)
        return min(max(longest, self._least), self._most)


def _fell(first: float | None, share: float | None) -> bool:
    """Whether a share has become known, or is less than before: what was measured so far says nothing."""
    return share is not None and (first is None or share < first)
