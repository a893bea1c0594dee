"""What the clients of all generations share: how they run a flow and walk a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.paging import Page

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
        """The items of a list, lazily: one page is held at a time, the next is asked for when it is needed."""
        token: str | None = None
        while True:
            page = self._ask(page_at(token))
            yield from page.items
            if (token := page.next_token) is None:
                return


def query(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
