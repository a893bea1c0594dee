"""Base of the clients of all generations: run a flow, and iterate over a list page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from airflow_sentinelhub.api.call import Call, Flow, exchange
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
from airflow_sentinelhub.api.paging import Page, Walk, page_of
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.exceptions import InvalidInputError, NoIdError

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
    indexes, send no further calls. A pass that an error has broken off can be continued by `next()`; `index` can be set
    to continue elsewhere. A copy reads its pages by itself, from the place where the original is.

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
        if self.index < self._before:  # somebody has set it back to a page that is not in memory any more
            self._keep()
        if not self._reaches(self.index):
            raise StopIteration
        self.index += 1
        return self._items[self.index - 1 - self._before]

    def __copy__(self) -> FeatureIterator[T]:
        twin = FeatureIterator(self._ask, self._page_at)
        twin.index = self.index
        return twin

    def __deepcopy__(self, memo: Any) -> FeatureIterator[T]:
        return self.__copy__()

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

    :param run: `SentinelHubHook.run`.
    :param interval: `SentinelHubHook.interval`, default: any interval will do.
    :param check_sources: raises an error for `data` objects that the deployment does not offer; default: all will do.
    """

    def __init__(
        self,
        run: Runner,
        interval: Callable[[float, str], float] = lambda seconds, name: seconds,
        check_sources: Callable[[Any], None] = lambda sources: None,
    ) -> None:
        self._run = run
        self._interval = interval
        self._check_sources = check_sources

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


class RequestClient(Client, Generic[T]):
    """Base of the clients of batch v2 and batch statistical, which read requests and act on them alike.

    `_api`: the generation; `_model`: the class of the vendor's name for a request.
    """

    _api: ClassVar[Generation]
    _model: ClassVar[Any]

    def get_request(self, batch_request: str | dict[str, Any] | T) -> T:
        """The request in its present state."""
        read: Callable[[Any], T] = self._model.from_dict
        return self._ask(read_as(self._api.get(id_of(batch_request)), read))

    def start_analysis(self, batch_request: str | dict[str, Any] | T) -> None:
        """Have the request analysed (free of charge). `user_action` changes at once, `status` up to minutes later."""
        return self._ask(self._api.analyse(id_of(batch_request)))

    def start_job(self, batch_request: str | dict[str, Any] | T) -> None:
        """Start processing, unless the request was started before or has ended. **This bills.**

        Calling it again is safe: then nothing is sent, and the log says so. If a reply is lost, the request is read
        before the start is sent again. A STOPPED request is not started again.
        """
        self._run(start_once(self._api, id_of(batch_request)))

    def stop_job(self, batch_request: str | dict[str, Any] | T) -> None:
        """Stop processing. Tiles or features that are processed or being processed are billed.

        Batch v2 refuses (400) while the request is CREATED.
        """
        return self._ask(self._api.end(id_of(batch_request)))

    def _requests(self, parameters: dict[str, Any]) -> Iterator[T]:
        """Iterate over existing requests.

        :param parameters: query parameters.
        """

        def page_at(token: str | None) -> Call[Page[T]]:
            return read_as(self._api.list(**{**parameters, "viewtoken": token}), page_of(self._model.from_dict))

        return self._iterate(page_at)

    def _analysed(self, batch_request: str | dict[str, Any] | T, sleep_time: float) -> T:
        """Wait until the analysis is done, and return the request."""
        request_id = id_of(batch_request)
        self._reached(self._api, request_id, "ANALYSIS_DONE", sleep_time)
        return self.get_request(request_id)

    def _done(self, batch_request: str | dict[str, Any] | T, sleep_time: float, analysis_sleep_time: float) -> str:
        """Wait until a started request is DONE, and return its id."""
        request_id = id_of(batch_request)
        self._reached(self._api, request_id, "ANALYSIS_DONE", analysis_sleep_time)
        self._reached(self._api, request_id, "DONE", sleep_time)
        return request_id


BaseBatchClient = Client
"""The vendor's name of the base class of its clients, for `isinstance`."""


def read_as(call: Call[Any], parse: Callable[[Any], T]) -> Call[T]:
    """The same call, but its reply is read by `parse`, for example as a `BatchRequest`."""
    return replace(call, parse=parse)


def id_of(thing: Any) -> str:
    """The id of a request or a collection.

    :param thing: the id itself, a JSON body with an id, or an object of `models.py`.
    :raises InvalidInputError: it has no id; a `NoIdError` for a body without one.
    """
    id_ = thing
    if isinstance(thing, dict):
        if "id" not in thing:
            raise NoIdError("Expected a payload with an id, and this dict has none; nothing was sent.")
        id_ = thing["id"]
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
