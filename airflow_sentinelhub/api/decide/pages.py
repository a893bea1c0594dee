"""How to read many requests with few calls: pages of the list, or single requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_sentinelhub.api.snapshot import Snapshot

PAGE_SIZE = 100
"""Requests on a page of the list, as seen at the service."""
NOT_LISTED = 1_000_000
"""The page of a request that is not in the list, or so deep in it that no page is read for it."""


def pages_worth(places: Iterable[int | None], taken: Mapping[int, int] | None = None) -> int:
    """The number of pages, from the newest requests on, with which all are read by the fewest calls; 0 for none.

    A request that is on none of these pages takes a call of its own.

    :param places: index of the page of each request, None where it is not known: such ones are taken for the newest
        beside those whose page is known.
    :param taken: how many requests are known to be on each page, those that are not to be read included.
    """
    given = list(places)
    known = [place for place in given if place is not None]
    unknown, page = list[int](), 0
    while (left := len(given) - len(known) - len(unknown)) > 0:
        unknown += [page] * min(left, max(PAGE_SIZE - (taken or {}).get(page, 0), 0))
        page += 1
    where = sorted([*known, *unknown])
    best, fewest = 0, len(where)
    for index, place in enumerate(where):
        calls = place + 1 + len(where) - index - 1
        if calls < fewest:
            best, fewest = place + 1, calls
    return best


def goes_on(found: list[int], missing: int) -> bool:
    """Whether to read a page more than planned: it is worth its call if the last pages had more than one request each.

    :param found: how many requests each page had so far.
    :param missing: how many are still to be read.
    """
    last = found[-3:]
    return missing > 1 and sum(last) > len(last)


def is_believed(listed: Snapshot, last: Snapshot | None) -> bool:
    """Whether a reading from the list counts, or is confirmed by a call for this request, since lists lag.

    :param last: the reading before, None if there was none.
    """
    if listed.status.is_final:
        return False
    if last is not None and (listed.status, listed.user_action) == (last.status, last.user_action):
        return True
    return listed.started and listed.status.value == "PROCESSING" and not listed.ending
