"""Wait for tiles of a request, and count them, as flows: at most six calls a poll, whatever the number of tiles (v1).

The service has no number of tiles by status, only lists of a hundred tiles a page. A poll reads the pages that answer
the question soonest: those of the wanted status, from where the last poll has stopped, or one page of each other
status. A count that is not complete yet delays a success, and never makes a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_sentinelhub.api.call import Flow, exchange
from airflow_sentinelhub.api.decide.due import Due, behind, due_of
from airflow_sentinelhub.api.decide.verdict import Outcome, TileGoal, Waited, judge, judge_tiles
from airflow_sentinelhub.api.decoding import whole
from airflow_sentinelhub.api.flows.counting import CALLS, COURSE, LASTING, UNFINISHED, Calls, Pages, TileMemory
from airflow_sentinelhub.api.flows.read import next_reading
from airflow_sentinelhub.api.flows.reread import reading
from airflow_sentinelhub.api.flows.wait import POLL, OnPoll, WaitPlan, look, until_ended
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.statuses import BatchTileStatus
from airflow_sentinelhub.exceptions import NotFoundError, ResultsError

CATCH_UP = 10.0
"""Seconds between polls while tiles that were there already are not counted yet."""
SETTLE = 2.0
"""The same, where little is left to read or the request has ended: only the count is waited for."""

ReadTiles = Callable[[Snapshot, "str | None"], "tuple[Mapping[str, int], str | None]"]
"""Reads a v2 request's tiles from its bucket, blocking: (request, name of one tile) -> (number of tiles by status,
status of the one tile)."""


@dataclass
class _Seen:
    """What a poll has seen of the tiles.

    :param matching: number of tiles as wanted, at least.
    :param tile: status of the one tile, None if not found.
    :param exact: `matching` is their number.
    :param complete: what was read answers the question, so that a request that has ended can be judged.
    :param look_again: seconds after which to go on, None: at the next poll.
    :param listed: number of tiles that the search for one tile has seen, None if there was none.
    """

    matching: int = 0
    tile: str | None = None
    exact: bool = True
    complete: bool = True
    look_again: float | None = None
    listed: int | None = None


def wait_for_tiles(
    api: Generation,
    request_id: str,
    goal: TileGoal,
    plan: WaitPlan,
    read_tiles: ReadTiles,
    *,
    first_poll: float = 0.0,
    on_poll: OnPoll | None = None,
) -> Flow[Waited]:
    """Wait until the tiles reach `goal` or cannot reach it any more.

    :param first_poll, on_poll: see `wait`.
    """
    memory = TileMemory()

    def one_look(within: float) -> Flow[Waited]:
        return look_at_tiles(api, request_id, goal, read_tiles, within, memory)

    return (yield from until_ended(one_look, request_id, plan, first_poll, on_poll))


def monitor(api: Generation, request_id: str, target: str, plan: WaitPlan) -> Flow[Waited]:
    """As `wait`, with the number of tiles done and failed in the log."""
    memory = TileMemory()

    def one_look(within: float) -> Flow[Waited]:
        return look_with_counts(api, request_id, target, within, memory)

    return (yield from until_ended(one_look, request_id, plan))


def look_with_counts(
    api: Generation, request_id: str, target: str, within: float = 0.0, memory: TileMemory | None = None
) -> Flow[Waited]:
    """Read the request and count its done and failed tiles (v1).

    The counts of a long list go on from poll to poll; until they are complete there are none in the result, nor if they
    are not those of a request that is done.

    :param memory: of the wait, from poll to poll.
    """
    waited = yield from look(api, request_id, target, within)
    job = waited.job
    if job is None or api.results != "listed" or not job.started or not job.tile_count:
        return waited
    memory = TileMemory() if memory is None else memory
    calls = memory.begin(job, over_the_end=True)
    counts: dict[str, int] | None = {}
    for status in ("PROCESSED", "FAILED"):
        count = memory.next_count(job, status, lasting=True)
        yield from count.read_on(calls, job.tile_count)
        counts = {**counts, status: count.number} if counts is not None and count.complete else None
    if counts is None or behind(job, sum(counts.values()), 0):
        return waited
    return replace(waited, counts={**counts, "PENDING": max(job.tile_count - sum(counts.values()), 0)})


def look_at_tiles(
    api: Generation,
    request_id: str,
    goal: TileGoal,
    read_tiles: ReadTiles | None = None,
    within: float = 0.0,
    memory: TileMemory | None = None,
) -> Flow[Waited]:
    """Read the tiles once, within so many seconds: at most `CALLS` pages (v1), or files in the bucket (v2).

    :param read_tiles: how the bucket is read, for a generation whose results lie there.
    :param memory: of the wait, from poll to poll: a count goes on in it. Without one it begins anew.
    :raises ResultsError: the tiles cannot be read, or not yet; its `snapshot` is the request.
    :raises ListTooLongError: the list has more pages than the request has tiles.
    """
    job = yield from next_reading(api, request_id, within, POLL)
    analysed = job.status not in (S.CREATED, S.ANALYSING)
    total = job.tile_count if analysed else None
    seen, calls = _Seen(), Calls()
    memory = TileMemory() if memory is None else memory
    if api.results != "listed":
        if analysed:
            assert read_tiles is not None
            counts, seen.tile = yield from _in_bucket(job, goal, read_tiles)
            seen.matching, total = counts.get(goal.status, 0), sum(counts.values()) or None
    elif analysed:
        calls = memory.begin(job)
        if goal.tile is not None:
            seen = yield from _one_tile(job, goal.tile, memory, calls)
        elif total or goal.count is not None:
            seen = yield from _listed(job, goal, total or 0, memory, calls)
        elif job.status.is_final:
            total = yield from _length(job, memory, calls)
            if total and calls.left:
                seen = yield from _listed(job, goal, total, memory, calls)
            elif total != 0:
                seen = _Seen(exact=False, complete=False, look_again=SETTLE)
    outcome = judge_tiles(job, goal, seen.matching, total, seen.tile, complete=seen.complete)
    again = seen.look_again
    if api.results == "listed" and outcome is Outcome.UNREACHABLE:
        believed = yield from _believed(job, goal, seen, memory, calls)
        outcome, again = (outcome, again) if believed else (Outcome.WAITING, SETTLE)
    matching = seen.matching if goal.tile is None and seen.exact else None
    return Waited(outcome, job, matching=matching, total=total, goal=goal.status, look_again=again)


def _in_bucket(job: Snapshot, goal: TileGoal, read_tiles: ReadTiles) -> Flow[tuple[Mapping[str, int], str | None]]:
    """Tiles of v2: numbers by status, and the status of the one tile of the goal.

    Unreadable files are no error (no tiles) if the request was not started, or need not have written any file.
    """
    try:
        return (yield from reading(job, lambda: read_tiles(job, goal.tile)))
    except ResultsError:
        if judge(job) is Outcome.NOT_STARTED or due_of(job) is Due.NOTHING:
            return {}, None
        raise


def _length(job: Snapshot, memory: TileMemory, calls: Calls) -> Flow[int | None]:
    """Number of tiles by the list of a request that has ended and does not say it, None as long as it is not known."""
    count = memory.count(job, None)
    if not count.complete:
        yield from count.read_on(calls, math.inf)
    return count.number if count.complete else None


def _listed(job: Snapshot, goal: TileGoal, total: int, memory: TileMemory, calls: Calls) -> Flow[_Seen]:
    """What v1's lists say of a goal for more than one tile."""
    if job.status.is_final:
        return (yield from _at_the_end(job, goal, total, memory, calls))
    needed, lasting = goal.needed(total), goal.status == LASTING
    count = memory.next_count(job, goal.status, lasting=lasting)
    if memory.by_others and _others_are_shorter(goal, total, count, memory):
        decisive = total - needed < memory.page_size  # more of them than a page are too many
        few = yield from _few_others(job, goal, total, memory, calls)
        memory.by_others = decisive or few is not None
        if decisive or few is not None:
            return few or _Seen(exact=False)
    else:
        memory.by_others = True
    yield from count.read_on(calls, needed)
    if lasting and max(count.number, memory.least) < needed:
        yield from memory.recount(job, calls, needed)
    matching = max(count.number, memory.least) if lasting else count.number
    known = count.complete or matching >= needed
    return _Seen(matching, exact=known, look_again=None if known else CATCH_UP)


def _others_are_shorter(goal: TileGoal, total: int, count: Pages, memory: TileMemory) -> bool:
    """Whether the goal is answered sooner by the tiles in other statuses than by the rest of those as wanted."""
    left = goal.needed(total) - count.number
    return memory.pages_for(left) > CALLS and 0 <= total - goal.needed(total) < left


def _few_others(job: Snapshot, goal: TileGoal, total: int, memory: TileMemory, calls: Calls) -> Flow[_Seen | None]:
    """The goal is reached if there are few enough tiles in the other statuses; None if there are too many.

    Only lists of one page count: tiles leave these lists, and a second page would then begin too late. The statuses are
    asked for in the order in which a tile has them, so that one that moves on meanwhile is not missed. A stuck one
    moves back, so two polls in a row must agree. At least one tile must be as wanted: the list may not be there yet.
    """
    if not memory.has_lately(goal.status):
        page = yield from memory.count(job, goal.status).read(calls)
        if not page.items:
            return None
    number = 0
    for status in COURSE:
        if status == goal.status:
            continue
        if not calls.left:
            return _Seen(exact=False, look_again=SETTLE)
        page = yield from Pages(job.request_id, status, job.tile_count).read(calls)
        number += len(page.items)
        if page.next_token is not None or number > total - goal.needed(total):
            return None
    return _Seen(total - number) if memory.few_again() else _Seen(exact=False, look_again=SETTLE)


def _at_the_end(job: Snapshot, goal: TileGoal, total: int, memory: TileMemory, calls: Calls) -> Flow[_Seen]:
    """As `_listed`, for a request that has ended: its tiles do not move, so each count goes on until it is complete."""
    needed, others = goal.needed(total), total - goal.needed(total)
    least = memory.least if goal.status == LASTING else 0
    if least >= needed:
        return _Seen(least)
    count = memory.count(job, goal.status)
    if _others_are_shorter(goal, total, count, memory):
        if not count.pages:
            yield from count.read(calls)
        if count.number and not count.complete:
            number = 0
            for status in COURSE:
                if status == goal.status:
                    continue
                other = memory.count(job, status)
                if not other.complete:
                    yield from other.read_on(calls, others - number + 1)
                number += other.number
                if number > others:
                    return _Seen(count.number, exact=False)
                if not other.complete:
                    return _Seen(count.number, exact=False, complete=False, look_again=SETTLE)
            return _Seen(total - number)
    if not count.complete:
        yield from count.read_on(calls, needed)
    matching = max(count.number, least)
    known = count.complete or matching >= needed
    return _Seen(matching, exact=known, complete=known, look_again=None if known else SETTLE)


def _believed(job: Snapshot, goal: TileGoal, seen: _Seen, memory: TileMemory, calls: Calls) -> Flow[bool]:
    """Check that v1's list of tiles is up to date with a request that has ended, before a goal is given up.

    False if the tiles are not all counted yet.

    :raises ResultsError: the list shows unfinished tiles, or not all tiles.
    """
    unfinished = int(seen.tile is not None and not BatchTileStatus(seen.tile).is_final)
    listed = job.tile_count or seen.listed
    if listed is None:
        listed = yield from _length(job, memory, calls)
    if listed is None:
        return False
    if goal.tile is None:
        unfinished = sum(memory.count(job, status).number for status in UNFINISHED)
        if not unfinished:
            ended, enough = 0, max(listed, 1)
            for status in ("PROCESSED", "FAILED"):
                count = memory.count(job, status)
                if not count.complete and count.number < enough:
                    yield from count.read_on(calls, enough)
                if not count.complete and count.number < enough:
                    return False
                ended += count.number
            unfinished, listed = max(listed - ended, 0), max(listed, ended)
    if why := behind(job, listed, unfinished):
        memory.forget()
        raise ResultsError(why, request_id=job.request_id, snapshot=job)
    return True


def _one_tile(job: Snapshot, wanted: str, memory: TileMemory, calls: Calls) -> Flow[_Seen]:
    """Status of the tile with this id or name. A name is looked for in some pages a poll, until its id is known."""
    by_id = wanted.isascii() and wanted.isdigit()
    number = wanted if by_id else memory.tile_id
    if number is not None:
        calls.left -= 1
        try:
            reply: dict[str, Any] = yield from exchange(v1.get_tile(job.request_id, number), POLL)
            return _Seen(tile=str(reply["status"]), listed=1)
        except NotFoundError:
            memory.tile_id = None
            if by_id:
                return _Seen()
    if memory.search is None:
        memory.search = Pages(job.request_id, None, job.tile_count)
    search = memory.search
    while calls.left:
        page = yield from search.read(calls)
        for tile in page.items:
            if tile.get("name") == wanted:
                memory.tile_id, memory.search = _number_of(tile), None
                return _Seen(tile=str(tile["status"]), listed=1)
        if search.complete:
            memory.search = None
            return _Seen(listed=search.number)
    return _Seen(complete=False, look_again=SETTLE if job.status.is_final else CATCH_UP)


def _number_of(tile: Mapping[str, Any]) -> str | None:
    number = whole(tile.get("id"))
    return None if number is None else str(number)
