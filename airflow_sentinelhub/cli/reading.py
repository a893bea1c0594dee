"""What commands read from the service, by the hook. A command does not wait long: it is repeated by its user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from airflow_sentinelhub.api.call import Call, Patience, exchange
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import BadRequestError, ForbiddenError, InvalidInputError, NotFoundError

T = TypeVar("T")
PATIENCE = Patience(backoff=(1, 2), rate_limited=30)
NOT_OFFERED = (NotFoundError, ForbiddenError, BadRequestError)
"""Replies of a deployment or account that has no such API."""


class FoundRequest(NamedTuple):
    """A request and the generation it is of."""

    api: Generation
    job: Snapshot


def hook_of(args: Any) -> Any:
    """The hook of the connection that the arguments name."""
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

    return SentinelHubHook(args.conn_id)


def generations_of(hook: Any, args: Any) -> tuple[Generation, ...]:
    """The generation that the arguments name, else those of the connection."""
    if args.batch_api:
        return (hook.generation(args.batch_api),)
    found: tuple[Generation, ...] = hook.generations()
    return found


def find(hook: Any, args: Any) -> FoundRequest:
    """The request with the id in the arguments, in the first generation that has it.

    :raises InvalidInputError: it is no id.
    :raises NotFoundError: no generation has it.
    """
    try:
        request_id = str(UUID(args.request_id.strip()))
    except ValueError:
        raise InvalidInputError(f"{args.request_id!r} is no id of a batch request, which is a UUID.") from None
    last: Exception | None = None
    for api in generations_of(hook, args) if args.batch_api else hook.all_generations():
        try:
            return FoundRequest(api, hook.run(exchange(api.get(request_id), PATIENCE)))
        except NOT_OFFERED as err:
            last = last or err
    assert last is not None
    raise last


def pages(hook: Any, list_from: Callable[[str | None], Call[Page[T]]]) -> Iterator[Page[T]]:
    """The pages of a list.

    :param list_from: the call for the page with this token.
    :raises UnreadableReplyError: the pages go in circles.
    """
    walk = Walk()
    while not walk.over:
        call = list_from(walk.token)
        page = hook.run(exchange(call, PATIENCE))
        yield page
        walk.turn(call, page)


def no_mark(dag_id: str, deployment: str | None) -> str:
    """Why there may be no request of a DAG, which is known by its mark alone."""
    name = f"named {deployment!r}" if deployment else "without a name"
    return (
        f"No request there has the mark of a DAG {dag_id} of this Airflow, which is {name} ([sentinelhub] deployment). "
        "Requests of an Airflow with another name have other marks."
    )


def members_of(job: Snapshot) -> dict[str, Any]:
    """A request for people and programs."""
    return {
        "id": job.request_id,
        "batch_api": job.generation,
        "status": job.status.value,
        "user_action": job.user_action.value,
        "created": job.created,
        "description": job.description,
        "tiles": job.tile_count,
        "expected_pu": job.expected_cost,
        "cost_pu": job.cost,
        "percent_done": None if job.share_done is None else round(100 * job.share_done, 1),
        "error": job.error,
        "output": job.output_url,
    }
