"""What the clients of all generations share: how they run a flow and walk a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.exceptions import InvalidInputError

T = TypeVar("T")


class Runner(Protocol):
    """Runs a flow to its end."""

    def __call__(self, flow: Flow[T]) -> T: ...


class Client:
    """A client that a plain PythonOperator can use. `run` is the hook's."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _ask(self, call: Call[T]) -> T:
        return self._run(exchange(call))

    def _iterate(self, page_at: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        """The items of a list, lazily: one page is held at a time, the next is asked for when it is needed.

        Entries of a list of requests that have no id or no status are left out.

        :raises UnreadableReplyError: a page makes no sense, or the pages go in circles.
        """
        walked = Walk()
        while not walked.over:
            call = page_at(walked.token)
            page = self._ask(call)
            yield from page.items
            walked.turn(call, page)


def read_as(call: Call[Any], parse: Callable[[Any], T]) -> Call[T]:
    """The same call, whose reply becomes what `parse` makes of it: an object of the vendor's client."""
    return replace(call, parse=parse)


def id_of(thing: Any) -> str:
    """The id of a request or collection given as id, raw payload or object.

    :raises InvalidInputError: nothing with an id was given.
    """
    found = thing
    if isinstance(thing, dict):
        found = thing.get("id")
    elif not isinstance(thing, str):
        found = getattr(thing, "request_id", None) or getattr(thing, "collection_id", None)
    if not isinstance(found, str) or not found.strip():
        raise InvalidInputError(
            f"Expected an id, a payload with an id or an object with one, not {type(thing).__name__}."
        )
    return found.strip()


def query(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
