"""Estimate the cost of an analysed request before it is started."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from airflow_sentinelhub.api.call import Flow, Note, Work, exchange
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price, price_lines, price_of
from airflow_sentinelhub.api.estimate import Estimate
from airflow_sentinelhub.api.flows.reread import READ_WITHIN
from airflow_sentinelhub.api.service.generations import Generation, Json
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import ApiError, EstimateError, ResultsError, SettingsError, UnreachableError

Estimating = Callable[[Generation, Snapshot, Json], Estimate]
"""Estimates a request from its reading and its payload as the service has it; it may block and read the bucket."""
_UNREAD = (EstimateError, ResultsError, SettingsError, ApiError, UnreachableError)


def price_if_asked(api: Generation, job: Snapshot, policy: Policy, prepare: Callable[[], Estimating]) -> Flow[Price]:
    """The expected cost of a request (see `price_request`). The bucket is read for it only if somebody needs it.

    :param policy: the limits; one that is compared with the cost needs it, and a job whose results are read reads the
        bucket anyway.
    """
    budgets = (policy.max_processing_units, policy.max_per_month)
    if policy.unread_by and not policy.require_estimate and budgets == (None, None):
        return price_of(job)
    return (yield from price_request(api, job, prepare))


def price_request(api: Generation, job: Snapshot, prepare: Callable[[], Estimating] | None) -> Flow[Price]:
    """The expected cost of a request (see `find_price`), and lines about it in the log."""
    price = yield from find_price(api, job, prepare)
    for line, warning in price_lines(job, price):
        yield Note(line, warning=warning)
    return price


def find_price(api: Generation, job: Snapshot, prepare: Callable[[], Estimating] | None) -> Flow[Price]:
    """The expected cost of a request.

    What cannot be read makes the cost unknown, never an error: the caller decides whether the job may start without it.

    :param prepare: looks up what the estimate needs (connections), and returns the function that estimates; None:
        only the service's own number counts.
    """
    own, why = None, ""
    if prepare is not None:
        try:
            estimating = prepare()
            payload = yield from exchange(api.payload_of(job.request_id))
            own = yield Work(partial(estimating, api, job, payload), READ_WITHIN)
        except _UNREAD as err:
            why = str(err)
    return price_of(job, own, why)
