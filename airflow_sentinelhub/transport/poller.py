"""One poller for all waits of an event loop: a thousand waiting triggers are one client.

A wait registers the request that it wants to know about and when. The poller reads: pages of the list where that takes
fewer calls, single requests otherwise, and hands out the readings. What a list says has changed is confirmed by a call
for that request, since lists lag. A wait that ends, or is cancelled, is forgotten.

While the service is out of reach, one request is read for all of them, and all learn of the failure.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from airflow_sentinelhub.api.call import Call, Flow, Patience, exchange
from airflow_sentinelhub.api.decide.pages import NOT_LISTED, goes_on, is_believed, pages_worth
from airflow_sentinelhub.api.paging import Walk, page_of
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import (
    AuthenticationError,
    RateLimitError,
    SentinelHubError,
    ServerError,
    UnreachableError,
    UnreadableReplyError,
)
from airflow_sentinelhub.transport.gate import Places, Purpose
from airflow_sentinelhub.transport.list_pages import EntryPayload, entries_of, name_of
from airflow_sentinelhub.transport.waits import PolledRequest, Wait, Waits

_log = logging.getLogger(__name__)
PATIENCE = Patience(backoff=(2.0,), rate_limited=60.0)
"""How long one call is tried; the waits themselves are patient."""
OUTAGE = (UnreachableError, ServerError, RateLimitError, AuthenticationError)
"""What a call for one request meets that all others would meet; refused credentials, too."""
LIST_SOON, LIST_AGAIN = 10.0, 300.0
"""Seconds for which a list that failed is not read: after the first failure in a row, and at the most."""
LOOK_SOON, LOOK_AGAIN = 30.0, 1800.0
"""Seconds after which a request that was not listed is looked for: for the first time, and at the most."""
PAGE_LATE, SLOW = 15.0, 5.0
"""Seconds after which a page is late, if pages are quick; and how many times as long as the last ones it may take."""
MOST_PAGES = 1_000
IN_VAIN = 3
"""Requests whose calls fail at once, while no call is answered, after which the service may be out of reach."""
PROBES = 2
"""How many requests that were read before are asked for then: the calls for some may fail whenever they are made."""
REPORT_EVERY = 60.0
"""Seconds between two reports about the poller."""
ONE_TROUBLE = 600.0
"""Seconds after a line about a call within which the next such line goes on with the same trouble: it is at DEBUG."""


class Runs(Protocol):
    """What runs flows for the poller: a driver."""

    async def run(self, flow: Flow[Any]) -> Any: ...


class Notes:
    """The log of the poller's driver: passes lines on, and keeps the last warning, and the last other line. Times are
    the event loop's. A call that is made again is told at INFO: what it means for the waits is the poller's to warn of.

    They tell why a call has to be made again: it has failed (a warning), or the service asks to slow down (429).
    """

    def __init__(self) -> None:
        self._warning = self._other = "", float("-inf")
        self.quiet = False
        """All lines are passed on at DEBUG: what they say stands in the log already."""

    def log(self, level: int, msg: str, /, *args: Any) -> None:
        line = (msg % args).rstrip("."), asyncio.get_running_loop().time()
        if level >= logging.WARNING:
            before, self._warning = self._warning, line
        else:
            before, self._other = self._other, line
        goes_on = line[1] - before[1] < ONE_TROUBLE
        _log.log(logging.DEBUG if self.quiet or goes_on else min(level, logging.INFO), msg, *args)

    def since(self, time: float) -> str:
        """The last warning after that time, else the last other line, empty if there was none."""
        return next((text for text, at in (self._warning, self._other) if at >= time), "")


class Poller:
    """Reads requests of one generation for all who wait. Belongs to one event loop.

    :param driver: runs the calls.
    :param api: the generation.
    :param count: is told of each call (`pages`, `singles`) and reading (`readings`).
    :param notes: the driver's log, which knows why a call has not been answered yet.
    :param measure: is told, with this object, once a minute how many wait (`waiting`), how old the oldest of their
        readings is (`oldest_reading`, seconds), and how late it is (`lag`); and zeros when nobody waits any more.
    :param conn_id: id of the connection, for the log: a triggerer may have several pollers.
    :param held: why calls are held back, or were since a time, though the service would answer; empty if not.
    :param places: for calls for single requests; all pollers of an account share them.
    """

    def __init__(
        self,
        driver: Runs,
        api: Generation,
        count: Callable[[str, float], None],
        notes: Notes | None = None,
        measure: Callable[[object, str, float], None] = lambda source, name, value: None,
        *,
        conn_id: str = "",
        held: Callable[[float], str] = lambda since: "",
        places: Places | None = None,
    ) -> None:
        self._driver = driver
        self._api = api
        self._count = count
        self._notes = Notes() if notes is None else notes
        self._measure = measure
        self._name = f"Batch {api.name}" + (f" (connection {conn_id})" if conn_id else "")
        self._held = held
        self._payloads: dict[str, EntryPayload] = {}
        self._waits = Waits(forgotten=lambda name: self._payloads.pop(name, None))
        self._changed = asyncio.Event()
        self._places = Places() if places is None else places
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: asyncio.Task[None] | None = None
        self._down = False
        self._in_vain = set[str]()
        """Requests whose calls have failed as in an outage since a call was answered last."""
        self._list_again = 0.0
        self._list_failures = 0
        """How often in a row the list could not be read."""
        self._per_page = 0.0
        """Seconds that a page of the list takes, as a mean in which the last ones count most."""
        self._reporting: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gives_up_at = math.inf
        """When the next wait is given up, by the loop's clock."""
        self._wakes_at = math.inf
        """When the next reading is due: a wait that wants one earlier wakes the poller."""

    @property
    def waiting(self) -> int:
        """How many waits there are."""
        return len(self._waits)

    async def reading(self, request_id: str, within: float, until: float | None) -> Snapshot:
        """The next reading of the request.

        :param within: seconds within which it is wanted.
        :param until: seconds since 1970 at which it is given up.
        :raises SentinelHubError: it could not be read.
        """
        loop = asyncio.get_running_loop()
        given_up = math.inf if until is None else loop.time() + max(until - time.time(), 0.0)
        wait = self._waits.add(request_id, within, given_up)
        if wait.due < self._wakes_at:
            self._changed.set()
        if given_up < self._gives_up_at:
            self._give_up_from(given_up)
        nobodys = contextvars.Context()  # in that of this wait, its log would get the lines that are about all waits
        if self._work is None or self._work.done():
            self._work = nobodys.run(lambda: asyncio.ensure_future(self._run()))
        self._reporting = self._reporting or loop.call_later(REPORT_EVERY, self._report, context=nobodys)
        try:
            return await wait.future
        except asyncio.CancelledError:
            self._changed.set()  # perhaps nobody waits any more
            raise
        finally:
            self._waits.end(wait)

    async def _run(self) -> None:
        """Read what is due, until nobody waits any more."""
        loop = asyncio.get_running_loop()
        while self._waits:
            self._changed.clear()
            now = loop.time()
            first = self._waits.first_due()
            if first is None or first > now:
                await self._until(None if first is None else first - now)
                continue
            wanted = self._waits.readable(now, self._per_page, queued=self._list_failures > 0)
            try:
                await self._read(wanted)
            except Exception as err:
                _log.exception("%s: the poller broke off", self._name)
                failure = SentinelHubError(f"The poller of this triggerer broke off ({type(err).__name__}).")
                for known in wanted.values():
                    known.fail(failure)
        self._give_up_from(math.inf)

    def _report(self) -> None:
        """Once a minute, also while a call hangs: the metrics, and a line for the log; zeros once nobody waits."""
        loop = asyncio.get_running_loop()
        now, waits = loop.time(), list(self._waits)
        oldest = max((now - wait.since for wait in waits), default=0.0)
        late = max((now - wait.due for wait in waits if wait.due < now), default=0.0)
        for name, value in (("waiting", len(waits)), ("oldest_reading", oldest), ("lag", late)):
            self._measure(self, name, value)
        self._reporting = loop.call_later(REPORT_EVERY, self._report) if waits else None
        if not waits:
            return
        wrong = self._down or now < self._list_again or late > REPORT_EVERY
        why = self._notes.since(now - late) or self._held(now) if late > REPORT_EVERY else ""
        _log.log(
            logging.INFO if wrong else logging.DEBUG,
            "%s: %d wait, the oldest reading is %.0f s old, the poller is %.0f s late%s%s%s",
            self._name,
            len(waits),
            oldest,
            late,
            "; one call is made for all, since calls fail" if self._down else "",
            "; the list cannot be read, so requests are read one by one" if now < self._list_again else "",
            f"; the last that it has met: {why}" if why else "",
        )

    def _give_up_from(self, at: float) -> None:
        """Give up at this time what is late then. One timer for all: nearly all waits are read before their time."""
        if self._timer is not None:
            self._timer.cancel()
        self._gives_up_at = at
        self._timer = None if at == math.inf else asyncio.get_running_loop().call_at(at, self._give_up_late)

    def _give_up_late(self) -> None:
        now = max(asyncio.get_running_loop().time(), self._gives_up_at)  # a timer may be early by a tick of the clock
        for wait in self._waits:
            if wait.given_up <= now:
                self._give_up(wait)
        self._give_up_from(min((wait.given_up for wait in self._waits if wait.given_up > now), default=math.inf))

    def _give_up(self, wait: Wait) -> None:
        if wait.future.done():
            return
        held = self._held(wait.since)
        why = self._notes.since(wait.since) or held
        wait.future.set_exception(
            UnreachableError(
                f"Batch request {wait.request_id} was not read before the time for waiting was over."
                + (f" {why}." if why else ""),
                ambiguous=False,
                over=not why,
                busy=bool(held),
            )
        )

    async def _until(self, seconds: float | None) -> None:
        """Wait for so long, or until somebody registers or a single reading has ended."""
        self._wakes_at = math.inf if seconds is None else asyncio.get_running_loop().time() + seconds
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            self._wakes_at = math.inf
            waiting.cancel()

    async def _read(self, wanted: dict[str, PolledRequest]) -> None:
        """Read these requests: from the list, and the rest one by one."""
        if self._may_be_down and not await self._is_back(wanted):
            return
        loop = asyncio.get_running_loop()
        left = dict(wanted)
        if loop.time() >= self._list_again:
            for known in wanted.values():
                if known.page == NOT_LISTED:
                    pause = _grown(LOOK_SOON, known.missed, LOOK_AGAIN)
                    known.page = None if loop.time() - known.looked > pause else NOT_LISTED
            try:
                await self._read_list(left)
            except SentinelHubError as err:
                if _is_outage(err) and not await self._is_back(left):
                    return
                self._list_failures += 1
                soon = LIST_SOON if isinstance(err, OUTAGE) else LIST_AGAIN
                self._list_again = loop.time() + _grown(soon, self._list_failures, LIST_AGAIN)
        self._begin_singles(left.values())

    async def _read_list(self, left: dict[str, PolledRequest]) -> None:
        """Read as many pages of the list as are worth it; what is read is taken out of `left`."""
        loop = asyncio.get_running_loop()
        taken = self._waits.on_pages()
        planned = pages_worth((known.page for known in left.values()), taken)
        walked, found_on = Walk(MOST_PAGES), list[int]()
        while not walked.over and left and (len(found_on) < planned or (planned and goes_on(found_on, len(left)))):
            call = self._api.list(sort="created:desc", viewtoken=walked.token)
            asked = loop.time()
            undecoded: Call[bytes] = Call(
                "GET",
                call.path,
                bytes,
                call.query,
                repeatable=True,
                about=call.about,
                undecoded=True,
                within=self._time_for_page(),
            )
            body = await self._page(undecoded)
            self._count("pages", 1)
            index, found = len(found_on), 0
            items, rest = entries_of(body, self._payloads)
            async for item in items:
                name = name_of(item)
                known = self._waits.get(name) if name else None
                if name is None or known is None:
                    continue
                known.page, known.missed = index, 0
                wanted = left.pop(name, None) is not None
                found += wanted
                if self._is_to_confirm(known, item, asked, wanted) and not known.being_read:
                    self._begin_single(known, confirms=True)
            found_on.append(found)
            self._per_page += (loop.time() - asked - self._per_page) / min(len(found_on), 5)
            try:
                walked.turn(call, page_of(lambda item: item)(rest()))
            except ValueError as err:
                raise UnreadableReplyError(f"The list of batch requests is unreadable: {err}.", status=200) from None
        if not planned:
            return
        self._list_failures = 0
        for known in left.values():
            if known.page is None or walked.over:
                known.page, known.looked = NOT_LISTED, loop.time()
                known.missed += 1

    def _time_for_page(self) -> float | None:
        """Seconds for a page, None for those of any call: thousands wait for it. Fewer while pages are quick; one that
        is not answered then is asked for once more, as its connection may be dead."""
        quick = self._per_page and not self._list_failures
        return max(PAGE_LATE, SLOW * self._per_page) if quick else None

    async def _page(self, call: Call[bytes]) -> bytes:
        """The body of a page. After a list that failed, what falls due meanwhile is still read one by one."""
        asking = asyncio.ensure_future(self._driver.run(exchange(call, PATIENCE)))
        try:
            while not (await asyncio.wait({asking}, timeout=PAGE_LATE))[0]:
                if self._list_failures:
                    self._begin_singles(self._waits.readable(asyncio.get_running_loop().time()).values())
            body: bytes = asking.result()
            self._in_vain.clear()
            return body
        finally:
            asking.cancel()

    def _is_to_confirm(self, known: PolledRequest, item: Any, asked: float, wanted: bool) -> bool:
        """Hand out what a list says about a request. Whether a call for the request is to be made instead.

        :param asked: when the page was asked for.
        :param wanted: the page is read for this request too. If it is not, a call is made only for an end, at once and
            once: the next reading may be most of an interval away.
        """
        waits = [wait for wait in known.waits if wait.since <= asked]
        ready = [wait for wait in waits if wait.on_page <= asked]
        changed = known.last is None or item.get("status") != known.last.status
        if not ready and not (waits and changed):
            return False
        wanted = wanted and bool(ready)
        try:
            known.parse = known.parse or self._api.get(waits[0].request_id).parse
            job = known.parse(item)
        except Exception:  # an entry that cannot be read: the request itself may be readable
            return wanted
        if ready and is_believed(job, known.last):
            self._hand_out(known, ready, job)
            return False
        if wanted or known.being_read or not job.status.is_final:
            return wanted
        is_new, known.ended_in_list = known.ended_in_list != job.status, job.status
        return is_new

    def _hand_out(self, known: PolledRequest, waits: Iterable[Wait], job: Snapshot) -> None:
        for _ in range(known.hand_out(waits, job)):
            self._count("readings", 1)

    def _begin_singles(self, left: Iterable[PolledRequest]) -> None:
        now = asyncio.get_running_loop().time()
        for known in left:
            if not known.is_asked_for and known.may_be_read(now):
                self._begin_single(known)

    def _begin_single(self, known: PolledRequest, *, confirms: bool = False) -> None:
        """Read a request by a call of its own, beside the others: one that hangs holds up none of them.

        :param confirms: it confirms what a page says, also if a page has brought the reading when its turn comes.
        """
        if confirms:
            known.being_read = True
        else:
            known.queued = True
        task = asyncio.ensure_future(self._single(known, confirms))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _single(self, known: PolledRequest, confirms: bool) -> None:
        purpose = Purpose.DOUBTS if known.in_doubt else Purpose.CONFIRMS if confirms else Purpose.READS
        try:
            async with self._places.one(purpose):
                now = asyncio.get_running_loop().time()
                wanted = confirms or (not known.being_read and known.may_be_read(now))
                if known.waits and wanted and not self._may_be_down:
                    await self._read_one(known)
        finally:
            if confirms:
                known.being_read = False
            else:
                known.queued = False
            self._changed.set()

    async def _read_one(self, known: PolledRequest) -> SentinelHubError | None:
        """Read a request and hand out the reading, or the error, which is returned too."""
        asked = asyncio.get_running_loop().time()
        request_id = known.waits[0].request_id
        known.being_read = True
        self._count("singles", 1)
        try:
            job: Snapshot = await self._driver.run(exchange(self._api.get(request_id), PATIENCE))
        except SentinelHubError as err:
            known.failed = asyncio.get_running_loop().time()
            known.in_doubt = isinstance(err, (UnreachableError, ServerError))  # any other comes soon
            if not _is_outage(err):
                self._in_vain.clear()
            elif known.failed - asked < PAGE_LATE:  # one that hangs says nothing of the others
                self._in_vain.add(request_id.strip().lower())
            known.fail(err)
            return err
        except Exception as err:
            _log.exception("Reading batch request %s broke off", request_id)
            failure = SentinelHubError(f"Reading batch request {request_id} broke off ({type(err).__name__}).")
            known.in_doubt = True
            known.fail(failure)
            return failure
        finally:
            known.being_read = False
        known.in_doubt, known.read = False, asked
        self._in_vain.clear()
        self._hand_out(known, [wait for wait in known.waits if wait.since <= asked], job)
        return None

    @property
    def _may_be_down(self) -> bool:
        """Whether the service is out of reach, or calls for several requests have failed and none was answered since:
        a list that is not read for now cannot show it."""
        return self._down or len(self._in_vain) >= IN_VAIN

    async def _is_back(self, wanted: dict[str, PolledRequest]) -> bool:
        """Read one request for all, after the service was out of reach; all learn of the failure if it still is.

        They take turns: the call for one may fail whenever it is made, and says nothing of the service then.
        """
        if self._may_be_down and not self._down:
            for known in self._waits.lately_read(PROBES, but=self._in_vain):
                if not known.waits:  # they were cancelled during the call before
                    continue
                err = await self._read_one(known)
                if err is None or not _is_outage(err):
                    return True
        name = min(
            (name for name, known in wanted.items() if known.waits), key=lambda name: wanted[name].failed, default=None
        )
        if name is None:
            return False
        known = wanted.pop(name)
        was_down, err = self._down, await self._read_one(known)
        self._down = self._notes.quiet = err is not None and _is_outage(err)
        if err is not None and self._down:
            if not was_down:
                _log.warning("%s: one call is made for all that wait until Sentinel Hub answers. %s", self._name, err)
            shown = _of_another(err)
            for other in wanted.values():
                other.fail(shown)
        elif was_down:
            _log.info("%s: Sentinel Hub answers again", self._name)
        return not self._down


def _grown(first: float, times: int, most: float) -> float:
    """Seconds after something has happened so many times in a row: they double, up to `most`."""
    return min(first * 2.0 ** (min(times, 20) - 1), most)


def _of_another(err: SentinelHubError) -> SentinelHubError:
    """The error of a call for one request, for those who wait for others: it says that the call stands for all."""
    shown = copy.copy(err)
    shown.args = (f"One call is made for all requests that are waited for. {err}", *err.args[1:])
    return shown


def _is_outage(err: SentinelHubError) -> bool:
    """Whether the service is out of reach; one reply that cannot be read says nothing of the others."""
    return isinstance(err, OUTAGE) and not isinstance(err, UnreadableReplyError)
