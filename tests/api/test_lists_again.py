"""Lists of the hook's clients: read as often as wanted, one page in memory until somebody reads again."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.paging import Page
from airflow_sentinelhub.exceptions import UnreachableError, UnreadableReplyError
from airflow_sentinelhub.hooks._client import FeatureIterator

pytestmark = pytest.mark.thorough


class Item:
    """Something that can be watched while it lives."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and other.number == self.number

    __hash__ = None  # type: ignore[assignment]


class Service:
    """A list of items on pages; counts what is asked for, and fails where it is told to."""

    def __init__(self, items: int, size: int = 3) -> None:
        self.items, self.size = items, size
        self.asked: list[str | None] = []
        self.fails: list[int] = []
        """Numbers of the calls that fail."""
        self.alive_when_asked: list[int] = []
        self.given: list[weakref.ref[Item]] = []

    def ask(self, call: Call[Page[Item]]) -> Page[Item]:
        self.alive_when_asked.append(self.alive)
        self.asked.append(token := call.query["viewtoken"])  # type: ignore[arg-type]
        if len(self.asked) in self.fails:
            raise UnreachableError("gone", ambiguous=False)
        first = int(token or 0)
        found = [Item(number) for number in range(first, min(first + self.size, self.items))]
        self.given += map(weakref.ref, found)
        more = first + self.size < self.items
        return Page(tuple(found), str(first + self.size) if more else None)

    def listed(self) -> FeatureIterator[Item]:
        def page_at(token: str | None) -> Call[Page[Item]]:
            return Call("GET", "/list", lambda body: body, {"viewtoken": token})

        return FeatureIterator(self.ask, page_at)

    @property
    def alive(self) -> int:
        return sum(one() is not None for one in self.given)


def rest(items: FeatureIterator[Item]) -> Iterator[int]:
    """The numbers of what this pass has not given yet."""
    while (item := next(items, None)) is not None:
        yield item.number


def numbers(items: Any) -> list[int]:
    return [item.number for item in items]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 9])
def test_it_gives_the_same_each_time(count: int) -> None:
    service = Service(count)
    found = service.listed()
    assert service.asked == []
    pages = max(1, -(-count // 3))
    assert numbers(found) == list(range(count))
    assert len(service.asked) == pages
    for _ in range(3):
        assert numbers(found) == list(range(count))
    # one page need not be read again; of several, the second pass reads all, and the others none
    assert len(service.asked) == (pages if pages == 1 else 2 * pages)


def test_one_page_is_in_memory_until_somebody_reads_again() -> None:
    service = Service(12)
    found = service.listed()
    most = 0
    for item in found:
        most = max(most, service.alive)
        assert item.number < 12
    del item
    assert most <= 4, "a page, and the item that the loop has"
    assert max(service.alive_when_asked) <= 1, "the page before is gone when the next one comes"
    assert len(list(found)) == 12
    assert service.alive == 12


def test_iter_begins_at_the_first_item() -> None:
    service = Service(8)
    found = service.listed()
    assert numbers([next(found), next(found)]) == [0, 1]
    assert numbers(found) == list(range(8))
    assert service.asked == [None, "3", "6"], "the first page was there still"
    assert numbers([next(iter(found)), next(found)]) == [0, 1]
    with pytest.raises(StopIteration):
        next(iter(Service(0).listed()))


def test_index_and_finished() -> None:
    found = Service(8).listed()
    assert (found.index, found.finished) == (0, False)
    for _ in range(4):
        next(found)
    assert (found.index, found.finished) == (4, False)
    assert len(list(found)) == 8
    assert (found.index, found.finished) == (8, True)


def test_items_by_position() -> None:
    service = Service(8)
    found = service.listed()
    assert found[1].number == 1
    assert service.asked == [None]
    assert found[4].number == 4
    assert service.asked == [None, "3"]
    assert numbers(found[2:4]) == [2, 3]
    assert found[-1].number == 7
    assert len(service.asked) == 3
    for wrong in (8, -9):
        with pytest.raises(IndexError):
            found[wrong]
    assert numbers(found) == list(range(8))
    assert len(service.asked) == 3


@pytest.mark.parametrize("taken", [0, 2, 4, 8])
def test_a_position_does_not_move_the_pass(taken: int) -> None:
    found = Service(8).listed()
    before = [next(found).number for _ in range(taken)]
    assert found[6].number == 6
    assert before + list(rest(found)) == list(range(8))


def test_features_are_those_that_were_read() -> None:
    found = Service(8).listed()
    assert found.features == []
    for _ in range(4):
        next(found)
    assert numbers(found.features) == list(range(6))
    assert next(found).number == 4
    assert numbers(list(found)) == numbers(found.features) == list(range(8))


def test_a_pass_that_an_error_has_broken_off_is_not_short() -> None:
    service = Service(8)
    service.fails = [2, 3]
    found = service.listed()
    got: list[int] = []
    for _ in range(2):
        with pytest.raises(UnreachableError):
            got.extend(rest(found))
    got.extend(rest(found))
    assert got == list(range(8))
    service.fails = [len(service.asked) + 2]
    with pytest.raises(UnreachableError):
        list(found)
    assert numbers(found) == list(range(8))


def test_pages_in_circles_are_an_error_each_time() -> None:
    def ask(call: Call[Page[int]]) -> Page[int]:
        return Page((1,), "1")

    found = FeatureIterator(ask, lambda token: Call("GET", "/list", lambda body: body, {"viewtoken": token}))
    for _ in range(2):
        with pytest.raises(UnreadableReplyError):
            list(found)


@pytest.mark.parametrize("place", range(8))
def test_index_can_be_set_back_to_a_page_that_is_not_in_memory_any_more(place: int) -> None:
    listed = Service(8).listed()
    for _ in range(8):
        next(listed)
    listed.index = place
    assert next(listed).number == place
    assert listed.index == place + 1


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("read", [0, 2, 3, 5, 8])
def test_a_copy_goes_on_from_the_same_place_and_does_not_disturb(read: int, twin: Any) -> None:
    listed = Service(8).listed()
    for _ in range(read):
        next(listed)
    other = twin(listed)
    rest = list(range(read, 8))
    assert [item.number for item in _going_on(other)] == rest
    assert [item.number for item in _going_on(listed)] == rest
    assert [item.number for item in other] == list(range(8))


def _going_on(listed: FeatureIterator[Item]) -> Iterator[Item]:
    """The items that are left, without beginning anew."""
    while (item := next(listed, None)) is not None:
        yield item
