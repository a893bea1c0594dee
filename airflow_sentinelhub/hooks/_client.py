"""Base of the clients of all generations: run a flow, and iterate over a list page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.exceptions import InvalidInputError

T = TypeVar("T")


class Runner(Protocol):
    """A function that runs a flow to its end and returns the result."""

    def __call__(self, flow: Flow[T]) -> T: ...


class Client:
    """Base of the clients, which also work in a plain PythonOperator. :param run: `SentinelHubHook.run`."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _ask(self, call: Call[T]) -> T:
        return self._run(exchange(call))

    def _iterate(self, page_at: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        """Iterate over a list. Only one page is in memory at a time; the next one is read when it is needed.

        Requests without an id or a status are left out.

        :param page_at: the call for the page with this token.
        :raises UnreadableReplyError: a page cannot be read, or the tokens of the pages repeat.
        """
        walk = Walk()
        while not walk.over:
            call = page_at(walk.token)
            page = self._ask(call)
            yield from page.items
            walk.turn(call, page)


def read_as(call: Call[Any], parse: Callable[[Any], T]) -> Call[T]:
    """The same call, but its reply is read by `parse`, for example as a `BatchRequest`."""
    return replace(call, parse=parse)


def id_of(thing: Any) -> str:
    """The id of a request or a collection.

    :param thing: the id itself, a JSON body with an id, or an object of `models.py`.
    :raises InvalidInputError: it has no id.
    """
    id_ = thing
    if isinstance(thing, dict):
        id_ = thing.get("id")
    elif not isinstance(thing, str):
        id_ = getattr(thing, "request_id", None) or getattr(thing, "collection_id", None)
    if not isinstance(id_, str) or not id_.strip():
        raise InvalidInputError(
            f"Expected an id, a payload with an id or an object with one, not {type(thing).__name__}."
        )
    return id_.strip()


def query(**parameters: Any) -> dict[str, Any]:
    """The query parameters that are set."""
    return {name: value for name, value in parameters.items() if value is not None}
