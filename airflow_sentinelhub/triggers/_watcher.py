"""The base of our watchers: triggers that look again and again, and tell each thing that is new once.

A watcher belongs to an asset (`AssetWatcher`), and each of its events starts the DAGs that are scheduled by the asset.
All that is new at one look is one event: of several within one turn of the scheduler, Airflow's run gets the first
only, and the others wait until there is a next event, for days perhaps (Airflow 3.0 to 3.3).
It has no task: what it remembers stands in a store of Airflow (`WatcherStore`), and is written before and after each
event. So a triggerer that is restarted goes on where the former one was. Only of an event that was on its way when a
triggerer was killed nobody knows whether Airflow has it: it is told again, and says so (`repeated`).

Watchers that look at the same share their looks: by Airflow's shared streams on 3.3, within the process before.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_sentinelhub._compat import NO_WATCHERS, BaseEventTrigger, TriggerEvent
from airflow_sentinelhub._compat.watcher_store import WatcherStore
from airflow_sentinelhub.api.decide.marker import short_digest
from airflow_sentinelhub.api.decide.watching import Memory, Sight
from airflow_sentinelhub.api.kinds import seconds
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError, one_line
from airflow_sentinelhub.transport.process import PROCESS

if BaseEventTrigger is None:
    raise ImportError(NO_WATCHERS)

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    from airflow_sentinelhub.transport.aio import AsyncDriver

T = TypeVar("T")
VERSION = 1
"""Version of the form of an event's payload."""
SETTLE = 2.0
"""Seconds after which a triggerer has handed over what its triggers tell: it does so every second."""
TURNS = 20
"""Into so many parts the time above is cut. On a busy machine a triggerer gets its turns between them."""
MOST_TOLD = 1000
"""Things that one event tells: the rest comes with the next look."""
MOST_AT_ONCE = 200
"""Things that are compared with the memory before other triggers get their turn."""
SAY_AGAIN = 600.0
"""Seconds after which a failure that lasts is logged again."""


@dataclass
class Look(Generic[T]):
    """What was seen at one look, for all watchers that share it.

    :param at: when it began, seconds since 1970.
    :param things: by id.
    :param again: reads one of them again; each is read again once, whoever asks.
    """

    at: float
    things: dict[str, T]
    again: Callable[[str], Awaitable[T | None]]
    _asked: dict[str, asyncio.Future[T | None]] = field(default_factory=dict)

    async def confirmed(self, name: str) -> T | None:
        """The thing as it is now, None if it is gone."""
        if name not in self._asked:
            self._asked[name] = asyncio.ensure_future(self.again(name))
        return await asyncio.shield(self._asked[name])


class WatcherError(InvalidInputError, TypeError):
    """An argument of a watcher is wrong.

    A triggerer leaves out a stored trigger that raises a TypeError when it is built; any other error ends it, with all
    its waits. Stored ones may be refused by a version of this package that comes after the one that stored them.
    """


@contextmanager
def refused() -> Iterator[None]:
    """:raises WatcherError: in the place of any other InvalidInputError."""
    try:
        yield
    except InvalidInputError as err:
        raise WatcherError(str(err)) from None


def length(value: Any, name: str) -> float:
    """A length of time above zero, in seconds.

    :raises InvalidInputError: it is something else.
    """
    try:
        read = seconds(value)
    except (ValueError, TypeError):
        read = 0.0
    if not read > 0:
        raise InvalidInputError(f"{name} is a number of seconds above 0 or a timedelta, not {shown(value)}.")
    return read


def text_or_none(value: Any, name: str) -> str | None:
    """A text that is not empty, or None.

    :raises InvalidInputError: it is something else; a watcher's arguments are not templates.
    """
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidInputError(f"{name} is a text that is not empty, or None, not {shown(value)}.")
    if is_late(value):
        raise InvalidInputError(f"{name} cannot be a template ({shown(value)}): a watcher has no run.")
    return value


def _why(err: Exception) -> str:
    """An error in one line: ours say what happened, others may say nothing without their type."""
    return str(err) if isinstance(err, SentinelHubError) else f"{type(err).__name__}: {one_line(str(err), 300)}"


def _names(names: Sequence[str]) -> str:
    """Ids for a log line: all, or the first of many."""
    return ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:20])} and {len(names) - 20} others"


class Watcher(BaseEventTrigger, Generic[T]):
    """Base of the watchers. A subclass says what is looked at, which things are meant, and what is told of one.

    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param poll_interval: seconds between two looks.
    :param lookback: seconds; things that are older are not looked at.
    :raises InvalidInputError: one of them cannot be right.
    """

    things = "things"
    """Name of the list, in the payload of an event, of what is told."""
    shared: tuple[str, ...] = ("sentinelhub_conn_id", "poll_interval", "lookback")
    """Arguments that decide what a look reads: watchers that have the same ones share it."""

    def __init__(
        self, *, sentinelhub_conn_id: str, poll_interval: float | timedelta, lookback: float | timedelta
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if text_or_none(sentinelhub_conn_id, "sentinelhub_conn_id") is None:
            raise InvalidInputError("sentinelhub_conn_id is the id of an Airflow connection, not None.")
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.poll_interval = length(poll_interval, "poll_interval")
        self.lookback = length(lookback, "lookback")
        if self.lookback < self.poll_interval:
            raise InvalidInputError(
                f"lookback ({self.lookback:g} s) is at least poll_interval ({self.poll_interval:g} s): what is older "
                "than lookback at the next look is never told."
            )
        self._memory: Memory | None = None
        self._unsaved = False
        self._failures: dict[str, float] = {}

    # What a subclass says

    def arguments(self) -> dict[str, Any]:
        """The arguments, as plain JSON."""
        raise SentinelHubError(f"{type(self).__name__} must define arguments.")

    async def look(self, hook: SentinelHubHook, driver: AsyncDriver) -> Look[T]:
        """One look at the service."""
        raise SentinelHubError(f"{type(self).__name__} must define look.")

    def sight(self, thing: T, look: Look[T]) -> Sight | None:
        """What is remembered of a thing, None if this watcher does not mean it."""
        raise SentinelHubError(f"{type(self).__name__} must define sight.")

    def described(self, thing: T) -> dict[str, Any]:
        """What is told of it: plain JSON."""
        raise SentinelHubError(f"{type(self).__name__} must define described.")

    # What Airflow calls

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, from which a triggerer builds this trigger.

        An object is handed over as a JSON text: Airflow 3.1 and 3.2 store another object in its place (its keys are
        `Encoding.TYPE` and `Encoding.VAR`), and end the triggerer when the trigger refuses that.
        """
        given = self.arguments().items()
        plain = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in given}
        return f"{type(self).__module__}.{type(self).__qualname__}", plain

    def shared_stream_key(self) -> Hashable:
        """What watchers have in common that share one stream of looks (Airflow 3.3)."""
        given = self.arguments()
        return (
            "sentinelhub",
            type(self).__qualname__,
            json.dumps([given[name] for name in self.shared], sort_keys=True),
        )

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Look[T]]:
        """The looks, for ever. What cannot be read now is read later: a failure ends no watcher."""
        watcher = cls(**kwargs)
        async for look in watcher._looks():
            yield look

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """The events of this watcher among the looks: one for all that is new at a look."""
        async for look in shared_stream:
            if not await self._remembers(look):
                continue
            news = await self._news(look)
            if news:
                memory = self._memory
                assert memory is not None
                sights = [sight for sight, _ in news]
                repeated = {sight.key for sight in memory.begin(sights)}
                await self._save()
                items = [{**self.described(thing), "repeated": sight.key in repeated} for sight, thing in news]
                about = {"version": VERSION, "sentinelhub_conn_id": self.sentinelhub_conn_id}
                yield TriggerEvent({**about, self.things: items})  # type: ignore[no-untyped-call]
                await self._settle()
                memory.end(sights, look.at - self.lookback, look.things)
                self._unsaved = True
            if self._unsaved:
                await self._save()
            if news:
                self.log.info("%s has told %s", self._name, _names([sight.name for sight, _ in news]))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The events of this watcher, where Airflow has no shared streams (before 3.3)."""
        async for event in self.filter_shared_stream(self._looks()):
            yield event

    # How it is done

    async def _looks(self) -> AsyncIterator[Look[T]]:
        interval = self.poll_interval
        about = f"{type(self).__name__} could not look by the connection {self.sentinelhub_conn_id}, and tries it again"
        while True:
            try:
                hook = await asyncio.to_thread(self._hook)  # its modules load HTTP libraries, once in each process
                driver = await hook.async_driver()
                interval = hook.interval(self.poll_interval)
                look = await self._shared_look(partial(self.look, hook, driver), interval / 2)
            except Exception as err:
                self._failed("look", f"{about}: {_why(err)}")
            else:
                self._succeeded("look")
                yield look
            await asyncio.sleep(interval)

    async def _shared_look(self, make: Callable[[], Awaitable[Look[T]]], age: float) -> Look[T]:
        """A look that this process has begun less than so many seconds ago, or else a new one."""
        known, key, now = PROCESS.watched_in_this_loop().looks, self.shared_stream_key(), time.monotonic()
        began, look = known.get(key, (float("-inf"), None))
        if look is None or now - began > age or (look.done() and look.exception() is not None):
            look = asyncio.ensure_future(make())
            known[key] = now, look
        found: Look[T] = await asyncio.shield(look)
        return found

    async def _remembers(self, look: Look[T]) -> bool:
        """Whether there is a memory to compare with. The first look of all begins it: what it shows is not new.

        A memory that cannot be read is not an empty one: nothing is told until it can.
        """
        if self._memory is not None:
            return True
        try:
            kept = await self._store().read()
            self._memory = None if kept is None else Memory.from_json(kept)
        except Exception as err:
            self._failed(
                "memory",
                f"{self._name} cannot read what it has told already ({_why(err)}), so it tells nothing now; it tries "
                "again, and nothing is lost. If what is kept was damaged, delete it (docs/watchers.md says where it "
                "stands): the watcher then begins anew, and does not tell what has happened before.",
            )
            return False
        self._succeeded("memory")
        seen = (self.sight(thing, look) for thing in look.things.values())
        sights, begin = (sight for sight in seen if sight is not None), look.at - self.lookback
        if self._memory is None:
            self._memory = Memory()
            self._memory.end(sights, begin, look.things)
            self._unsaved = True
            self.log.info("%s begins; %d that are there already are not new", self._name, len(self._memory.sent))
        else:
            self._unsaved = self._memory.look_back(sights, begin)
            self.log.info("%s goes on; it has told %d", self._name, len(self._memory.sent))
        return True

    async def _news(self, look: Look[T]) -> list[tuple[Sight, T]]:
        """What is to be told, as it is now; what cannot be read again is looked at the next time."""
        assert self._memory is not None
        names: dict[Sight, str] = {}
        for number, (name, thing) in enumerate(look.things.items()):
            if number % MOST_AT_ONCE == 0:
                await asyncio.sleep(0)
            if (sight := self.sight(thing, look)) is not None and self._memory.is_news(sight):
                names[sight] = name
        found: list[tuple[Sight, T]] = []
        for sight in self._memory.news(names):
            try:
                now_thing = await look.confirmed(names[sight])
            except Exception as err:
                self._failed("confirm", f"{self._name} could not read {sight.name} again, tells it later: {_why(err)}")
                continue
            self._succeeded("confirm")
            now = None if now_thing is None else self.sight(now_thing, look)
            if now_thing is not None and now is not None and self._memory.is_news(now):
                found.append((now, now_thing))
                if len(found) == MOST_TOLD:
                    break
        return found

    async def _settle(self) -> None:
        """Wait until Airflow has the event that was told in its database.

        Nothing says when that is. But the process that writes them answers all questions of this one, in the order in
        which they come: it has written what it was handed over before a question whose answer is here, at the latest
        when it answers the next one (which is the writing of the memory).
        """
        await self._answered()
        for _ in range(TURNS):
            await asyncio.sleep(SETTLE / TURNS)
        await self._answered()

    async def _answered(self) -> None:
        """Ask the process that writes events, until it answers."""
        while True:
            try:
                await self._store().read()
            except Exception as err:
                self._failed(
                    "settle", f"{self._name} waits for an answer of Airflow to write down what it told: {_why(err)}"
                )
                await asyncio.sleep(self.poll_interval)
            else:
                self._succeeded("settle")
                return

    async def _save(self) -> None:
        assert self._memory is not None
        try:
            await self._store().write(self._memory.as_json())
        except Exception as err:
            self._unsaved = True
            self._failed(
                "save",
                f"{self._name} could not write down what it has told ({_why(err)}); it tries again at its next look. "
                "If the triggerer is restarted before, events are repeated.",
            )
        else:
            self._unsaved = False
            self._succeeded("save")

    @property
    def _name(self) -> str:
        return f"{type(self).__name__} {self._key()}"

    def _key(self) -> str:
        """The name of its memory: another one for other arguments, but the same for another pace."""
        given = {name: value for name, value in self.arguments().items() if name not in ("poll_interval", "lookback")}
        return f"sentinelhub_watcher_{short_digest(json.dumps([type(self).__qualname__, given], sort_keys=True))}"

    def _store(self) -> WatcherStore:
        pace = short_digest(json.dumps([self.poll_interval, self.lookback]))
        return WatcherStore(self, self._key(), pace)

    def _hook(self) -> SentinelHubHook:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook  # loads HTTP libraries

        return SentinelHubHook(self.sentinelhub_conn_id)

    def _failed(self, what: str, message: str) -> None:
        """Log a failure; one that lasts, every ten minutes."""
        now = time.monotonic()
        if now - self._failures.get(what, float("-inf")) >= SAY_AGAIN:
            self._failures[what] = now
            self.log.warning("%s", message)

    def _succeeded(self, what: str) -> None:
        if self._failures.pop(what, None) is not None:
            self.log.info("%s works again (%s)", self._name, what)
