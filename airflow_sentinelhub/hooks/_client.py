"""Base of the clients of all generations: run a flow, and iterate over a list page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar, overload

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.paging import Page, Walk
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.exceptions import InvalidInputError

T = TypeVar("T")


class Runner(Protocol):
    """A function that runs a flow to its end and returns the result."""

    def __call__(self, flow: Flow[T]) -> T: ...


PageAt = Callable[["str | None"], Call[Page[T]]]
"""The call for the page with this token; None: the first page."""


class FeatureIterator(Generic[T]):
    """An iterator over a list of the service that can be read again, as the vendor's.

    `iter()` begins at the first item. In the first pass only one page is in memory at a time, and the next one is read
    when it is needed. The second pass reads the pages from the service again and keeps them: the passes after it, and
    indexes, send no further calls. A pass that an error has broken off can be continued by `next()`.

    :raises UnreadableReplyError: a page cannot be read, or the tokens of the pages repeat.
    """

    def __init__(self, ask: Callable[[Call[Page[T]]], Page[T]], page_at: PageAt[T]) -> None:
        self._ask, self._page_at = ask, page_at
        self._walk = Walk()
        self._items: list[T] = []
        """The items of the last page that was read; of all pages, if they are kept."""
        self._kept = False
        self._before = 0
        """Number of items on the pages that are not in memory any more."""
        self.index = 0
        """Number of items that this pass has given."""

    def __iter__(self) -> FeatureIterator[T]:
        if self._before:
            self._keep()
        self.index = 0
        return self

    def __next__(self) -> T:
        if not self._reaches(self.index):
            raise StopIteration
        self.index += 1
        return self._items[self.index - 1 - self._before]

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        """An item, or a list of items, by position. The pages that it takes are read and kept."""
        self._keep()
        self._reaches(index if isinstance(index, int) and index >= 0 else None)
        return self._items[index]

    @property
    def features(self) -> list[T]:
        """The items that were read so far; they are kept from now on."""
        position = self.index
        self._keep()
        if position:
            self._reaches(position - 1)
        return self._items

    @property
    def finished(self) -> bool:
        """Whether the last page was read."""
        return self._walk.over

    def _keep(self) -> None:
        """Keep the pages from now on; those that are not in memory any more are read again."""
        if self._before:
            self._walk, self._items, self._before = Walk(), [], 0
        self._kept = True

    def _reaches(self, position: int | None) -> bool:
        """Whether there is an item at this position; reads pages up to it. None: all pages."""
        while position is None or position >= self._before + len(self._items):
            if self._walk.over:
                return False
            if not self._kept:
                self._before += len(self._items)
                self._items = []
            call = self._page_at(self._walk.token)
            page = self._ask(call)
            self._walk.turn(call, page)
            self._items.extend(page.items)
        return True


class Client:
    """Base of the clients, which also work in a plain PythonOperator.

    :param run: `SentinelHubHook.run`; :param interval: `SentinelHubHook.interval`, default: any interval will do.
    """

    def __init__(self, run: Runner, interval: Callable[[float, str], float] = lambda seconds, name: seconds) -> None:
        self._run = run
        self._interval = interval

    def _ask(self, call: Call[T]) -> T:
        return self._run(exchange(call))

    def _again(self, page_at: PageAt[T]) -> FeatureIterator[T]:
        """Iterate over a list, as often as wanted."""
        return FeatureIterator(self._ask, page_at)

    def _iterate(self, page_at: PageAt[T]) -> Iterator[T]:
        """Iterate over a list once. Only one page is in memory at a time; the next one is read when it is needed.

        Requests without an id or a status are left out.

        :raises UnreadableReplyError: a page cannot be read, or the tokens of the pages repeat.
        """
        yield from self._again(page_at)

    def _plan(self, sleep_time: float) -> WaitPlan:
        return WaitPlan(poll_interval=self._interval(sleep_time, "sleep_time"))

    def _reached(self, api: Generation, request_id: str, target: str, poll_interval: float) -> None:
        """Wait until the request is `target` or later. Each change is logged.

        :param poll_interval: seconds between polls.
        :raises JobError: it cannot become that any more, or nobody has asked for it.
        """
        waited = self._run(wait(api, request_id, target, self._plan(poll_interval)))
        conclude(waited, request_id, target)


BaseBatchClient = Client
"""The vendor's name of the base class of its clients, for `isinstance`."""


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
