"""Read what the requests of a DAG have cost from the lists of the account, and reserve the cost of a job in a month."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial

from airflow_sentinelhub.api.call import Flow, Note, Now, Sleep
from airflow_sentinelhub.api.decide import errors
from airflow_sentinelhub.api.decide.costs import (
    WAITS,
    Costs,
    Month,
    RequestCost,
    cost_of,
    ended_early,
    expected_of,
    may_have_billed,
    month_of,
    month_total,
    of_month,
)
from airflow_sentinelhub.api.decide.marker import Mark, dag_search, mark_of, marked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decide.price import Price, may_exceed
from airflow_sentinelhub.api.decide.verdict import spent
from airflow_sentinelhub.api.flows.find_or_create import describe
from airflow_sentinelhub.api.flows.price import Estimating, find_price, price_request
from airflow_sentinelhub.api.flows.read import find_marked, outlast, read_patiently
from airflow_sentinelhub.api.flows.reread import every, most_pages
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import ApiError, BadRequestError, ForbiddenError, NotFoundError

SETTLING = (2.0, 3.0, 5.0, 10.0, 20.0, 20.0)
"""Seconds between looks at jobs that are about to start at the same moment, until they have started or were refused."""
_HAS_NO_SUCH_API = (NotFoundError, ForbiddenError, BadRequestError)


@dataclass(frozen=True)
class OfDag:
    """The requests of one DAG.

    :param word: digest of the DAG in markers, None for the requests of all DAGs.
    :param apis: the generations to look in, the own one first.
    """

    word: str | None
    apis: Sequence[Generation]


def costs_of_dag(
    dag: OfDag, dag_id: str, since: datetime, tasks: Mapping[str, str], *, tiles: bool, patience: float = 0.0
) -> Flow[Costs]:
    """What the DAG has cost since a time.

    :param tasks: names of tasks by their digests.
    :param tiles: read the tiles of v1 requests, which tell the real cost: a page for each hundred of them.
    :raises ApiError: a list cannot be read to its end; what was read of it is not returned as if it were all.
    """
    costs: list[RequestCost] = []
    unread: list[str] = []
    for api in dag.apis:
        found = yield from _found(api, dag, since, patience, unread)
        for job, mark in found or ():
            cost = yield from _tiles_cost(api, job, unread) if tiles else _nothing()
            costs.append(cost_of(job, mark, tasks, cost))
    epoch = datetime.fromtimestamp(0, tz=timezone.utc)
    costs.sort(key=lambda cost: (cost.created or epoch, cost.request_id), reverse=True)
    return Costs(dag_id, since, tuple(costs), tuple(unread))


def costs_of_account(
    apis: Sequence[Generation], since: datetime
) -> Flow[tuple[list[tuple[str, RequestCost]], list[str]]]:
    """What each request of any DAG has cost since a time, with the digest of its DAG, newest first; and what is unread.

    The lists alone are read: of v1, which tells no cost, a third of the service's estimate is taken.

    :raises ApiError: a list cannot be read to its end.
    """
    costs: list[tuple[str, RequestCost]] = []
    unread: list[str] = []
    dag = OfDag(None, apis)
    for api in apis:
        found = yield from _found(api, dag, since, 0.0, unread)
        costs += [(mark.dag or "", cost_of(job, mark, {})) for job, mark in found or ()]
    return costs, unread


def _nothing() -> Flow[float | None]:
    return None
    yield


def _tiles_cost(api: Generation, job: Snapshot, unread: list[str]) -> Flow[float | None]:
    """PU that the tiles of a v1 request have cost; None for other generations, for one that is gone by now, and where
    a tile does not say it.
    """
    if api.results != "listed" or not may_have_billed(job):
        return None
    costs: list[float | None] = []

    def add(tile: Mapping[str, object]) -> None:
        costs.append(spent([tile]))

    page = partial(outlast, seconds=0.0, request_id=job.request_id)
    try:
        yield from every(
            lambda token: v1.list_tiles(job.request_id, viewtoken=token), add, page, most_pages(job.tile_count)
        )
    except NotFoundError:
        unread.append(f"The service has deleted {job.request_id} since it was listed, so its tiles were not read.")
        return None
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        unread.append(f"A tile of {job.request_id} is processed, and the service does not say what it has cost.")
        return None
    return sum(known)


def _found(
    api: Generation, dag: OfDag, since: datetime, patience: float, unread: list[str]
) -> Flow[list[tuple[Snapshot, Mark]] | None]:
    """The requests of the DAG in one generation; None if its list cannot be read; the reason is added to `unread`.

    A generation that the deployment does not have (404) has no requests either: nothing is added.

    :param since: requests that were created before are left out.
    """
    word = None if dag.word is None else dag_search(dag.word)
    try:
        jobs = yield from outlast(partial(find_marked, api, word, since), patience)
    except _HAS_NO_SUCH_API as err:
        if api is dag.apis[0]:
            raise
        if not isinstance(err, NotFoundError):
            refused = f"Batch {api.name} does not answer on this account ({err.status})"
            unread.append(f"{refused}, so its jobs are not counted.")
        return None
    marks = ((job, mark_of(job.description)) for job in jobs)
    return [
        (job, mark)
        for job, mark in marks
        if mark is not None
        and mark.dag is not None
        and dag.word in (None, mark.dag)
        and not mark.adopts
        and not (job.created and job.created < since)
    ]


def count_month(
    dag: OfDag,
    api: Generation,
    job: Snapshot,
    price: Price | None,
    policy: Policy,
    patience: float,
    prepare: Callable[[], Estimating] | None = None,
) -> Flow[Month]:
    """What the other jobs of the DAG count in this calendar month, after this job was noted as about to start.

    The note, in the job's description, lets others that look at the same moment count it. The lists may lag, so nothing
    is decided before they show this note: then they show each note that was written before it, too. Of two that see
    each other, the older one goes first; but if both do not fit, it first waits for the younger one, which may have
    looked before the note was there: then it starts, and counts. Batch statistical has no description that can be
    changed: there only started jobs count.

    :param policy: with `max_per_month`.
    :param prepare: see `price_request`; for running jobs of which the service and their marker tell no price.
    """
    now = yield Now()
    mark, noted = mark_of(job.description), None
    if mark is not None:
        probable = None if price is None else price.expected
        expected = None if probable is None else round(probable, 3)
        note = replace(mark, expected=expected, reserved=int(now))
        listed = not mark.adopts and not (job.created and job.created < month_of(now) - WAITS)
        noted = note.reserved if (yield from _noted(api, job, note, patience)) and listed else None
    low, others = None if price is None else price.low, _Others(dag, job, patience, prepare)
    for pause in (*SETTLING, None):
        month = yield from others.counted()
        shown = noted is None or others.own_note == noted
        fits = policy.allows_in_month(low, month.counted)
        if not fits or (shown and policy.allows_in_month(low, month.counted + month.behind)):
            break
        if pause is not None:
            yield Sleep(pause)
    else:  # they may still start
        month = replace(month, counted=month.counted + month.behind)
        if not shown:
            lag = f"the list of the account does not show it as about to start after {sum(SETTLING):.0f} s"
            risk = "jobs that start at the same time may not be counted in the budget of the month"
            yield Note(f"Batch request {job.request_id}: {lag}, so {risk}", warning=True)
    line = f"{month.others()} {month.counted:,.0f} PU in this calendar month"
    if month.unknown:
        line += f"; what {len(month.unknown)} will cost in all is not known: {', '.join(month.unknown[:3])}"
    yield Note(line, warning=bool(month.unknown))
    return month


class _Others:
    """The other jobs of the DAG in this month, looked at several times. What does not change is asked for once.

    `own_note` is when this job was about to start, by the lists (seconds since 1970); None if they do not show it.
    """

    def __init__(
        self, dag: OfDag, own: Snapshot, patience: float, prepare: Callable[[], Estimating] | None = None
    ) -> None:
        self._dag, self._own, self._patience, self._prepare = dag, own, patience, prepare
        self.own_note: int | None = None
        self._tiles: dict[str, float | None] = {}
        self._expected: dict[str, float | None] = {}

    def counted(self) -> Flow[Month]:
        begin = month_of((yield Now()))
        jobs: list[tuple[Snapshot, Mark]] = []
        unread: list[str] = []
        answering = []
        for api in self._dag.apis:
            found = yield from _found(api, self._dag, begin - WAITS, self._patience, unread)
            if found is None:
                continue
            answering.append(api)
            for job, mark in found:
                if job.request_id == self._own.request_id:
                    self.own_note = mark.reserved
                elif of_month(job, begin):
                    jobs.append((yield from self._known(api, job, mark)))
        self._dag = replace(self._dag, apis=answering)
        for line in unread:
            yield Note(line)
        return month_total(jobs, self._own, (yield Now()))

    def _known(self, api: Generation, job: Snapshot, mark: Mark) -> Flow[tuple[Snapshot, Mark]]:
        """With the cost of its tiles where that can be anything, and with our estimate where nobody else gives one."""
        key = job.request_id
        if ended_early(job):
            if key not in self._tiles:
                self._tiles[key] = yield from _tiles_cost(api, job, [])
            return replace(job, cost=self._tiles[key]), mark
        if self._prepare is None or not job.started or job.status.is_final or expected_of(job, mark) is not None:
            return job, mark
        if key not in self._expected:
            price = yield from find_price(api, job, self._prepare)
            self._expected[key] = price.expected
        return job, replace(mark, expected=self._expected[key])


def check_month(
    dag: OfDag, api: Generation, request_id: str, policy: Policy, prepare: Callable[[], Estimating], patience: float
) -> Flow[None]:
    """Refuse a request that would exceed the budget of the month, before its start by a step of its own.

    :param policy: with `max_per_month`.
    :param prepare: see `price_request`.
    :raises OverBudgetError: it would; `skip` is set where the policy says so.
    """
    job = yield from outlast(partial(read_patiently, api, request_id), patience, request_id)
    if policy.max_per_month is None or job.started or job.status.is_final:
        return
    price = yield from price_request(api, job, prepare)
    month = yield from count_month(dag, api, job, price, policy, patience, prepare)
    if not policy.allows_in_month(price.low, month.counted):
        yield from release(api, job, patience)
        error = errors.over_month_error(job, policy.max_per_month, month, price)
        raise errors.skipped_if(policy.on_over_budget == "skip", error)
    if may_exceed(price, policy.max_per_month, month.counted):
        yield Note(f"Batch request {request_id}: the budget of the month may be exceeded ({price})", warning=True)


def release(api: Generation, job: Snapshot, patience: float) -> Flow[None]:
    """Take the note that this job is about to start out of its description: it is not started."""
    mark = mark_of(job.description)
    if mark is not None:
        yield from _noted(api, job, replace(mark, expected=None, reserved=None), patience)


def _noted(api: Generation, job: Snapshot, mark: Mark, patience: float) -> Flow[bool]:
    """Write the marker, and whether that was done; where it is refused, others count this job once it is started."""
    words = marked(job.description, mark)
    try:
        done = yield from outlast(lambda: describe(api, job.request_id, words), patience, job.request_id)
    except ApiError as err:
        done = False
        yield Note(f"The description of batch request {job.request_id} could not be changed: {err}", warning=True)
    if not done and api.update is not None:
        yield Note(f"Batch request {job.request_id} counts in the budget of the month once it is started")
    return done
