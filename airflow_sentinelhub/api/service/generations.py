"""The generations of the API (v1, v2, statistical) behind a common interface, so that each flow works with all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.paging import Page
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service import specification, statistical, statistical_specification, v1, v2
from airflow_sentinelhub.api.service.specification import Access
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import InvalidInputError

Json = dict[str, Any]
NEW_REQUEST_404 = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between readings of a request that is answered with 404: read and write databases of the service are out of
sync for up to minutes after a create (seen in production)."""
OLD_REQUEST_404 = (1.0, 2.0)
"""The same for a request that is known not to be new: some seconds, for an answer that was a mistake."""


@dataclass(frozen=True)
class Pricing:
    """What a generation adds to the price of its pixels, in processing units (PU).

    :param things: what a job is divided into: `tiles` or `features`.
    :param minimum: PU that a request costs at least, by the service's text; 0: none. (One below it was seen.)
    :param balance: PU that the account must have to create a request.
    :param statistics: the job delivers statistics of time intervals, not images.
    """

    things: str = "tiles"
    minimum: float = 100.0
    balance: float = 0.0
    statistics: bool = False


@dataclass(frozen=True)
class Generation:
    """The endpoints and properties of one generation. The replies of its calls are read as snapshots.

    :param name: `v1`, `v2` or `statistical`, as in `batch_api`.
    :param body: read a request as JSON.
    :param create, get, list: create a request, read one, read a page of the list of requests.
    :param analyse, start: have a request analysed, start its processing (which bills).
    :param end: cancel (v1, final) or stop (v2) a request.
    :param end_word: the service's verb for it.
    :param ends: the statuses with which its requests end.
    :param search: whether the list can be searched for a word of the description.
    :param results: where the results of a job are read: `listed`: the service lists the tiles; `bucket`: files in the
        bucket describe the tiles; `features`: the bucket has a file for each feature.
    :param payload: function that makes the payload of the create call from a specification.
    :param needs_access: whether the payload contains credentials for the bucket.
    :param grids: the call for a page of tiling grids; None if there are none.
    :param continues: whether a new request over the same output can process the failed part of an earlier one.
    :param collections: whether requests can write to batch collections.
    :param estimates: whether an analysed request has an estimate of its cost.
    :param pricing: what it adds to the price of its pixels.
    :param made_by: of another kind of job: the operator and the specification that make one, for messages.
    :param update, delete, restart: the calls; None if the service has no such call.
    :param despite_404: seconds between readings of a request that is answered with 404: `OLD_REQUEST_404` for one that
        cannot be new.
    """

    name: str
    create: Callable[[dict[str, Any]], Call[Snapshot]]
    get: Callable[[str], Call[Snapshot]]
    body: Callable[[str], Call[Json]]
    list: Callable[..., Call[Page[Snapshot]]]
    analyse: Callable[[str], Call[None]]
    start: Callable[[str], Call[None]]
    end: Callable[[str], Call[None]]
    end_word: str
    search: bool
    results: str
    payload: Callable[[Any, Access | None], dict[str, Any]]
    needs_access: bool = True
    ends: tuple[str, ...] = ("DONE", "FAILED", "STOPPED")
    grids: Callable[[str | None], Call[Page[Any]]] | None = None
    continues: bool = False
    collections: bool = False
    estimates: bool = False
    pricing: Pricing = Pricing()
    made_by: str = ""
    update: Callable[[str, dict[str, Any]], Call[Any]] | None = None
    delete: Callable[[str], Call[None]] | None = None
    restart: Callable[[str], Call[None]] | None = None
    despite_404: tuple[float, ...] = NEW_REQUEST_404

    def payload_of(self, request_id: str) -> Call[Json]:
        """The call that reads what was asked for: the payload, with what the service adds to it (v1: number and size of
        the tiles)."""
        call = self.body(request_id)
        parse = call.parse
        return replace(call, parse=lambda body: member(parse(body), "request") or parse(body))


V1 = Generation(
    name="v1",
    create=v1.create,
    get=v1.get_request,
    body=v1.get_body,
    list=v1.list_requests,
    analyse=v1.analyse,
    start=v1.start,
    end=v1.cancel,
    end_word="cancel",
    ends=("DONE", "FAILED", "PARTIAL", "CANCELED"),
    search=True,
    results="listed",
    payload=lambda job, access: specification.render(job, "v1"),
    needs_access=False,
    grids=lambda token: v1.list_tiling_grids(root=v1.ROOT, viewtoken=token),
    collections=True,
    estimates=True,
    update=v1.update_request,
    delete=v1.delete_request,
    restart=v1.restart_partial,
)
V2 = Generation(
    name="v2",
    create=v2.create,
    get=v2.get_request,
    body=v2.get_body,
    list=v2.list_requests,
    analyse=v2.analyse,
    start=v2.start,
    end=v2.stop,
    end_word="stop",
    search=False,
    results="bucket",
    payload=lambda job, access: specification.render(job, "v2", access),
    grids=lambda token: v1.list_tiling_grids(root=v2.ROOT, viewtoken=token),
    continues=True,
    pricing=Pricing(balance=1000.0),
    update=v2.update_request,
)
STATISTICAL = Generation(
    name="statistical",
    create=statistical.create_described,
    get=statistical.get_request,
    body=statistical.get_body,
    list=statistical.list_requests,
    analyse=statistical.analyse,
    start=statistical.start,
    end=statistical.stop,
    end_word="stop",
    ends=("DONE", "FAILED", "STOPPED", "PARTIAL"),  # the last one is in the service's list only, not in its docs
    search=False,
    results="features",
    payload=statistical_specification.render_statistical,
    # One was seen to cost 6 PU, so the minimum of the text does not hold.
    pricing=Pricing(things="features", minimum=0.0, balance=1000.0, statistics=True),
    made_by="SentinelHubBatchStatisticalOperator and StatisticalSpecification",
)
_BY_NAME = {"v1": V1, "v2": V2, "statistical": STATISTICAL}
NAMES = tuple(_BY_NAME)
BATCH = ("v1", "v2")
"""Those that do one kind of job, of which the `batch_api` of a connection or task chooses one."""
OTHER_KINDS = tuple(name for name in NAMES if name not in BATCH)
"""Those whose jobs are of a kind of their own, which every connection has beside."""


def generation(name: str) -> Generation:
    """The generation with this name.

    :raises InvalidInputError: the name is not `v1`, `v2` or `statistical`.
    """
    try:
        return _BY_NAME[name]
    except (KeyError, TypeError):
        raise InvalidInputError(f"batch_api must be one of {', '.join(_BY_NAME)}, not {shown(name)}.") from None


def never_ends(words: Sequence[str], batch_api: str) -> str:
    """Why no request of this generation ever has one of these statuses, which are ends; empty if some request may."""
    ends = generation(batch_api).ends
    said = f"requests of {batch_api} end with {', '.join(ends)}, and none with {', '.join(words)}."
    return "" if set(words) & set(ends) else said


def others(name: str) -> tuple[str, ...]:
    """The other generations in which a task may have created its request before its `batch_api` was changed."""
    return tuple(other for other in BATCH if other != name) if name in BATCH else ()


def refuse_other_kinds(batch_api: Any) -> None:
    """:raises InvalidInputError: a job that is described for batch processing is asked for as one of another kind."""
    if isinstance(batch_api, str) and batch_api in OTHER_KINDS:
        raise InvalidInputError(
            f"batch_api must be v1 or v2 for a batch job, not {batch_api!r}; {_BY_NAME[batch_api].made_by} make "
            f"{batch_api} jobs."
        )
