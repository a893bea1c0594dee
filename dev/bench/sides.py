"""One side of a comparison, in a process of its own, so that its CPU time and memory are its own.

    python -m dev.bench.sides '{"side": "ours", "url": "http://127.0.0.1:1234", "jobs": 1000, ...}'

The last line of its output is JSON: what it has measured. All sides wait for the same jobs with the same interval.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from dev.bench import end_with_parent
from dev.bench.measures import asked, bytes_of_files, cpu, memory
from dev.bench.service import NEWEST, identifier, start_of_run

IDENTITY = "afx0123456789abcdef"
"""Identity of the task whose request is searched for."""
TICK = 0.005
"""Seconds between two looks at the loop's lag."""


def settings_of(given: dict[str, Any]) -> Any:
    """The connection of our sides."""
    from airflow_sentinelhub.transport.settings import Settings

    return Settings(given["url"], f"{given['url']}/token", "bench", "secret", timeout=60)


class Readings:
    """When each job was read, and when it was seen to be done. Times in seconds since 1970."""

    def __init__(self, jobs: int) -> None:
        self.last: list[float | None] = [None] * jobs
        self.done: dict[int, float] = {}
        self.count = 0
        self.longest = 0.0
        self.complete = asyncio.Event()
        self.began = time.time()
        self._missing = jobs

    def saw(self, number: int, done: bool) -> None:
        now, before = time.time(), self.last[number]
        if before is None:
            self._missing -= 1
            if not self._missing:
                self.complete.set()
        else:
            self.longest = max(self.longest, now - before)
        self.last[number] = now
        self.count += 1
        if done:
            self.done.setdefault(number, now)

    def restart(self) -> None:
        """Count anew. The age of the readings goes on."""
        self.count, self.longest = 0, 0.0

    def oldest(self) -> float:
        """The longest time in seconds for which a job was not read."""
        now = time.time()
        left = (now - (at or self.began) for number, at in enumerate(self.last) if number not in self.done)
        return max([self.longest, *left])


Wait = Callable[[int], Awaitable[None]]


@contextlib.asynccontextmanager
async def ours(given: dict[str, Any], readings: Readings) -> Any:
    """The waits of this package: the flow and the driver that its triggers run."""
    from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch, wait
    from airflow_sentinelhub.api.service.generations import V2
    from airflow_sentinelhub.transport import client, tokens  # noqa: F401 - a trigger loads them in a thread
    from airflow_sentinelhub.transport.aio import AsyncDriver

    settings = settings_of(given)
    plan = WaitPlan(poll_interval=given["interval"], known=True)
    read = Watch.read

    def seen(watch: Watch, waited: Any, now: float) -> Any:
        readings.saw(int(watch.request_id[:8]), waited.job.status.is_final)
        return read(watch, waited, now)

    Watch.read = seen  # type: ignore[method-assign,assignment]

    async def one(number: int) -> None:
        await AsyncDriver(settings).run(wait(V2, identifier(number), "DONE", plan))

    yield one


async def _alone(
    number: int, given: dict[str, Any], readings: Readings, get: Callable[[str], Awaitable[tuple[int, Any]]]
) -> None:
    """Poll one job as a trigger of its own. The first polls are spread over the interval: at once they take minutes."""
    await asyncio.sleep(given["interval"] * random.random())
    url = f"{given['url']}/api/v2/batch/process/{identifier(number)}"
    while True:
        status, job = await get(url)
        if status == 200:
            done = job["status"] == "DONE"
            readings.saw(number, done)
            if done:
                return
        await asyncio.sleep(given["interval"] * (1 + 0.1 * random.random()))


@contextlib.asynccontextmanager
async def per_trigger_httpx(given: dict[str, Any], readings: Readings) -> Any:
    """One poll per trigger, by one shared client of httpx."""
    import httpx

    headers = {"Authorization": "Bearer a.b.c"}
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, limits=limits) as client:

        async def get(url: str) -> tuple[int, Any]:
            try:
                reply = await client.get(url)
            except httpx.HTTPError:
                return 0, None
            return reply.status_code, reply.json()

        yield lambda number: _alone(number, given, readings, get)


@contextlib.asynccontextmanager
async def per_trigger_aiohttp(given: dict[str, Any], readings: Readings) -> Any:
    """One poll per trigger, by one shared session of aiohttp."""
    import aiohttp

    headers = {"Authorization": "Bearer a.b.c"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def get(url: str) -> tuple[int, Any]:
            try:
                async with session.get(url) as reply:
                    return reply.status, await reply.json()
            except aiohttp.ClientError:
                return 0, None

        yield lambda number: _alone(number, given, readings, get)


SIDES: dict[str, Any] = {"ours": ours, "httpx": per_trigger_httpx, "aiohttp": per_trigger_aiohttp}


class Lag:
    """How late the event loop is, look by look. `collection`: the longest garbage collection meanwhile, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.collection = 0.0
        self._collecting = 0.0

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """For `gc.callbacks`: a collection stops everything, and takes the longer the more objects there are."""
        now = time.perf_counter()
        if phase == "start":
            self._collecting = now
        else:
            self.collection = max(self.collection, now - self._collecting)

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at = loop.time() + TICK
            await asyncio.sleep(TICK)
            self.seconds.append(max(loop.time() - at, 0.0))

    async def during(self, seconds: float) -> dict[str, float]:
        """Milliseconds of lag in the next seconds: `p99` and `max`."""
        self.seconds.clear()
        watching = asyncio.ensure_future(self.watch())
        await asyncio.sleep(seconds)
        watching.cancel()
        return self.found()

    def found(self) -> dict[str, float]:
        ordered = sorted(self.seconds) or [0.0]
        return {"p99": 1000 * ordered[int(len(ordered) * 0.99)], "max": 1000 * ordered[-1]}


async def waiting(given: dict[str, Any]) -> dict[str, Any]:
    """Wait for all jobs: the burst at the start, the steady state, and when ended jobs were noticed.

    `settle` and `seconds`: how long the burst is left to itself, and the steady state is measured.
    `within`: how long it is waited until all are read once. `lag`: for how many seconds behind that the loop's lag is
    watched, which costs CPU time itself.
    """
    readings, lag = Readings(given["jobs"]), Lag()
    async with SIDES[given["side"]](given, readings) as wait:
        gc.collect()
        before, began = memory(), time.time()
        gc.callbacks.append(lag.collected)
        watching = asyncio.ensure_future(lag.watch())
        tasks = []
        for number in range(given["jobs"]):
            tasks.append(asyncio.ensure_future(wait(number)))
            await asyncio.sleep(0)  # as a triggerer does between the triggers that it begins
        with contextlib.suppress(asyncio.TimeoutError):  # under a limit some are never read
            await asyncio.wait_for(readings.complete.wait(), given.get("within", 60))
        complete = time.time()
        gc.callbacks.remove(lag.collected)
        found: dict[str, Any] = {"all_read": complete - began, "complete": complete, "burst_lag": lag.found()}
        found["burst_collection"] = 1000 * lag.collection
        watching.cancel()
        await asyncio.sleep(max(given["settle"] - (time.time() - began), 0.0))
        gc.collect()
        found["memory"] = (memory() - before) / given["jobs"]
        readings.restart()
        calls, used, at = await asyncio.to_thread(asked, given["url"]), cpu(), time.time()
        await asyncio.sleep(given["seconds"])
        found |= {"cpu": cpu() - used, "seconds": time.time() - at, "readings": readings.count}
        now = await asyncio.to_thread(asked, given["url"])
        found["calls"] = {name: now[name] - calls[name] for name in calls if name != "began"}
        found["oldest"] = readings.oldest()
        if given["lag"]:
            found["lag"] = await lag.during(given["lag"])
        found["done"], found["service_began"] = readings.done, now["began"]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [str(err) for err in ended if isinstance(err, Exception)]
        found["failures"] = failures[:3]
    return found


async def tiles(given: dict[str, Any]) -> dict[str, Any]:
    """Poll the tiles of one job as the tile sensor does, some times (`polls`): `goal` is what it waits for.

    `bucket`: a folder that stands for the buckets (v2, where the tiles stand in files); what is read of it is counted,
    too. `before`: polls that are made first and are not measured.
    """
    from airflow_sentinelhub.api.decide.verdict import TileGoal
    from airflow_sentinelhub.api.flows.counting import TileMemory
    from airflow_sentinelhub.api.flows.tiles import look_at_tiles
    from airflow_sentinelhub.api.service.generations import generation
    from airflow_sentinelhub.hooks.storage import read_tiles_by
    from airflow_sentinelhub.results.bucket import BucketReader
    from airflow_sentinelhub.transport.sync import SyncDriver

    api, goal, memory = generation(given["api"]), TileGoal(**given["goal"]), TileMemory()
    read, driver = read_tiles_by(BucketReader(mount=given.get("bucket"))), SyncDriver(settings_of(given))

    def polls(number: int) -> None:
        for _ in range(number):
            driver.run(look_at_tiles(api, identifier(0), goal, read, memory=memory))

    def measured() -> dict[str, Any]:
        polls(given["before"])
        calls, files, used = asked(given["url"]), bytes_of_files(), cpu()
        polls(given["polls"])
        now = asked(given["url"])
        count = given["polls"]
        return {
            "cpu": (cpu() - used) / count,
            "calls": (now["list"] + now["single"] - calls["list"] - calls["single"]) / count,
            "bytes": (now["bytes"] - calls["bytes"]) / count,
            "files": (bytes_of_files() - files) / count,
        }

    return await asyncio.to_thread(measured)


async def idle(given: dict[str, Any]) -> dict[str, Any]:
    """The lag of a loop that does nothing, beside the others in the same run."""
    return {"lag": await Lag().during(given["lag"])}


async def create(given: dict[str, Any]) -> dict[str, Any]:
    """Find or create the request of a task in a full account: a first try, or one after a clear.

    `days`: how old the newest job of the account may be for the search; `tried`: the number of the try.
    """
    from datetime import timedelta

    from airflow_sentinelhub.api.decide.marker import Mark
    from airflow_sentinelhub.api.flows.find_or_create import find_or_create
    from airflow_sentinelhub.api.service.generations import V2
    from airflow_sentinelhub.transport.aio import AsyncDriver

    tried, started = given["tried"], start_of_run(0)  # a clear has moved the start of the run
    mark = Mark(IDENTITY, 3 + tried, "0" * 7 + "1", tried=tried, clears=tried - 1, born=started)
    since = None if given["days"] is None else NEWEST + timedelta(days=given["days"])
    calls, used = await asyncio.to_thread(asked, given["url"]), cpu()
    payload = {"description": "crop map", "processRequest": {}}
    await AsyncDriver(settings_of(given)).run(find_or_create(V2, payload, mark, since=since))
    now = await asyncio.to_thread(asked, given["url"])
    return {"cpu": cpu() - used, "calls": sum(now[name] - calls[name] for name in ("list", "single", "create"))}


WHAT = {"waiting": waiting, "idle": idle, "create": create, "tiles": tiles}


if __name__ == "__main__":
    end_with_parent()
    task = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(WHAT[task.pop("what")](task))), flush=True)
