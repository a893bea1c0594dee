"""The expected cost of an analysed request: by the service where it estimates (v1), else by our own estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from airflow_sentinelhub.api.decoding import member, number
from airflow_sentinelhub.api.estimate import Estimate, span
from airflow_sentinelhub.api.snapshot import Snapshot

SERVICE, US = "service", "us"
FAR = 1 / 3
"""Share by which our estimate may differ from the service's before it is shown beside it."""


class Expected(TypedDict):
    """The expected cost of a job in the result of a task.

    :param expected_pu: what it will probably cost (PU): a third of the service's estimate (v1), else the middle of our
        own, but no less than the minimum of a request; None if neither is known.
    :param expected_pu_low, expected_pu_high: at least and at most so many PU.
    :param estimated_by: whose estimate these follow from: `service` (v1: a third of it) or `us`; None if there is none.
    """

    expected_pu: float | None
    expected_pu_low: float | None
    expected_pu_high: float | None
    estimated_by: str | None


@dataclass(frozen=True)
class Price:
    """The expected cost of one request, in processing units (PU).

    :param low, high: at least and at most so many; None if it is not known.
    :param by: whose estimate it is: `service` or `us`; None if it is not known.
    :param own: our estimate with its factors, None if there is none.
    :param why: why there is none, as a sentence.
    :param probable: what it will probably cost; None: the middle.
    """

    low: float | None = None
    high: float | None = None
    by: str | None = None
    own: Estimate | None = None
    why: str = ""
    probable: float | None = None

    @property
    def known(self) -> bool:
        return self.low is not None

    @property
    def expected(self) -> float | None:
        """One number: what it will probably cost; None if it is not known."""
        if self.low is None or self.high is None:
            return None
        return (self.low + self.high) / 2 if self.probable is None else self.probable

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "cost not estimated"
        return f"about {span(self.low, self.high)} PU ({whose(self.by)})"

    def as_result(self) -> Expected:
        """The members of a task's result that tell the expected cost."""
        return {
            "expected_pu": self.expected,
            "expected_pu_low": self.low,
            "expected_pu_high": self.high,
            "estimated_by": self.by,
        }


UNKNOWN = Price()


def whose(by: str | None) -> str:
    """Whose estimate a number of PU is, in words. The service's own is made before the batch factor."""
    return "a third of the service's estimate" if by == SERVICE else "our estimate"


def price_of(job: Snapshot, own: Estimate | None = None, why: str = "") -> Price:
    """The price of a request: the service's number counts where it gives one.

    :param own: our estimate.
    :param why: why there is none.
    """
    if job.expected_cost is not None:
        return Price(job.expected_cost, job.expected_cost, SERVICE, own, why)
    if own is None:
        return Price(why=why)
    return Price(own.low, own.high, US, own, probable=own.expected)


def price_from(kept: Any) -> Price | None:
    """The price in a result or in the state of a deferred task (see `Price.as_result`); None if there is none."""
    low, high = number(member(kept, "expected_pu_low")), number(member(kept, "expected_pu_high"))
    by, probable = member(kept, "estimated_by"), number(member(kept, "expected_pu"))
    if low is None or high is None or by not in (SERVICE, US):
        return None
    return Price(low, high, by, probable=None if probable == (low + high) / 2 else probable)


def number_of(price: Price) -> int | None:
    """Number of tiles or features that the price counts, None if it is not ours."""
    return None if price.own is None else price.own.number


def differs(price: Price) -> bool:
    """Whether the service's estimate lies outside of ours by more than a third."""
    if price.by != SERVICE or price.own is None or price.low is None:
        return False
    return not price.own.low * (1 - FAR) <= price.low <= price.own.high * (1 + FAR)


def may_exceed(price: Price | None, limit: float | None, spent: float = 0.0) -> bool:
    """Whether only the high value of the price is above the limit: the job may start, with a warning."""
    if price is None or limit is None or price.low is None or price.high is None:
        return False
    return spent + price.low <= limit < spent + price.high


def price_lines(job: Snapshot, price: Price) -> list[tuple[str, bool]]:
    """What the log says about a price: lines, each with whether it is a warning."""
    name = f"Batch request {job.request_id}"
    if not price.known:
        why = price.why.removeprefix(f"{name}: ")
        return [(f"{name}: its expected cost is not known: {why}" if why else f"{name}: cost not estimated", True)]
    lines = [(f"{name}: expected cost {price}", False)]
    if price.own is not None and (price.by == US or differs(price)):
        if price.by != US:
            lines.append((f"{name}: our own estimate differs by more than a third: {price.own}", True))
        lines.append((f"Its factors: {', '.join(map(str, price.own.factors))}", False))
        lines += [(f"Assumed: {'; '.join(price.own.assumed)}", False)] if price.own.assumed else []
    return lines


def comparison(expected: Mapping[str, Any] | Price, cost: float | None) -> str:
    """Estimate and real cost side by side, for a line of the log; empty if one of them is not known."""
    price = expected if isinstance(expected, Price) else price_from(expected)
    if price is None or cost is None or price.low is None or price.high is None:
        return ""
    place = "inside" if price.low * 0.99 <= cost <= price.high * 1.01 else "outside"
    origin = "estimated by us" if price.by == US else f"expected ({whose(price.by)})"
    return f"{cost:,.1f} PU, {place} of the {span(price.low, price.high)} PU {origin}"
