"""The event loop of a triggerer is everybody's: nothing of ours holds it up, and waits end when their time is over.

The machine that runs this may be busy. So the time for which it lets others run is taken off, and of several attempts
the best counts: what blocks, blocks each time.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_sentinelhub.api.flows import wait as flow_of_a_wait
from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.transport.gate import Gate
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.triggers import batch
from airflow_sentinelhub.triggers.batch import (
    SentinelHubBatchStatisticalTrigger,
    SentinelHubBatchTileTrigger,
    SentinelHubBatchTrigger,
)
from tests.api.feeding import ID
from tests.transport.raw import Answers, always, dripping, reply, serving, silence

pytestmark = pytest.mark.thorough

ALLOWED = 0.05
"""Seconds for which one callback may hold the loop."""
ATTEMPTS = 3
LATE = 8.0
"""Seconds behind their end within which all waits are over, on a slow machine."""
DONE = {"id": ID, "status": "DONE", "userAction": "START", "request": {}, "processRequest": {}}
RUNNING = {**DONE, "status": "PROCESSING"}


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is in life: 429s and the calls of a minute make pauses."""
    monkeypatch.setattr(Gate, "paced", True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triggers poll without the pause that Airflow needs after a deferral."""
    monkeypatch.setattr(batch, "_first_poll", lambda: 0.0)
    PROCESS.tokens.clear()


Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def connect(url: str, **extra: Any) -> None:
        members = {
            "conn_type": "sentinelhub",
            "login": "id",
            "password": "secret",
            "host": url,
            "extra": {"auth_url": f"{url}/token", **extra},
        }
        monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", json.dumps(members))

    return connect


def trigger(kind: type[Any] = SentinelHubBatchTrigger, conn_id: str = "sentinelhub_default", **how: Any) -> Any:
    plan = {"poll_interval": 0.2, "known": True, **how.pop("plan", {})}
    how = {"batch_api": "v2", "request_id": ID, **how}
    return kind(sentinelhub_conn_id=conn_id, plan=plan, **how)


async def event_of(trigger: Any) -> dict[str, Any]:
    (event,) = [event.payload async for event in trigger.run()]
    return dict(event)


# How long the loop is held up


def _queued() -> float:
    """Seconds for which this thread could have run, and the machine let others run instead."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:  # not Linux
        return 0.0


def longest_callback(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[float, str]:
    """Seconds of the longest callback while this was done in a loop, without those the machine took; and its name."""
    found = [(0.0, "")]
    run = asyncio.Handle._run

    def timed(handle: Any) -> None:
        queued, began = _queued(), time.perf_counter()
        run(handle)
        took = time.perf_counter() - began
        if took > found[-1][0] and (took := took - (_queued() - queued)) > found[-1][0]:
            found.append((took, repr(handle)[:300]))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asyncio.Handle, "_run", timed)
        asyncio.run(work())
    return found[-1]


def check_never_held_up(work: Callable[[], Coroutine[Any, Any, Any]], allowed: float = ALLOWED) -> None:
    """No callback takes longer than allowed, at the best of some attempts."""
    found = []
    for _ in range(ATTEMPTS):
        found.append(longest_callback(work))
        if found[-1][0] < allowed:
            return
    seconds, name = min(found)
    raise AssertionError(f"the loop was held up for {seconds * 1000:.0f} ms by {name}")


async def gathered(count: int, make: Callable[[], Any]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(event_of(make()) for _ in range(count))))


def test_the_detector_sees_what_blocks() -> None:
    async def sleeps() -> None:
        await asyncio.sleep(0.05)
        time.sleep(0.1)  # noqa: ASYNC251 - that is what is looked for
        await asyncio.sleep(0.05)

    text = json.dumps([{"id": str(n), "a": [n] * 20} for n in range(60_000)])

    async def decodes() -> None:
        await asyncio.sleep(0.05)
        json.loads(text)
        await asyncio.sleep(0.05)

    for work in (sleeps, decodes):
        with pytest.raises(AssertionError, match="held up"):
            check_never_held_up(work)


def test_200_triggers_at_the_simulator(connect: Connect) -> None:
    with Simulator(speed=0) as simulator:
        connect(simulator.url, auth_url=simulator.auth_url, bucket_mount=str(simulator.bucket_dir))

        async def waiting() -> None:
            plan = {"deadline": time.time() + 2.0, "max_unknown_time": 60.0, "poll_interval": 1.0}
            events = await gathered(200, lambda: trigger(plan=plan))
            assert {event["outcome"] for event in events} <= {"timed_out", "unknown"}, events[0]

        check_never_held_up(waiting)


def large(megabytes: int) -> bytes:
    """A reply about a request whose payload is large."""
    ring = [[8.0 + n / 1e6, 41.0 + n / 1e6] for n in range(1500)]
    payload = {"evalscript": "x" * 20_000, "geometry": [ring]}
    return json.dumps({**DONE, "request": {"all": [payload] * (megabytes * 16)}}).encode()


BODIES: dict[str, Callable[[], bytes]] = {
    "payloads": lambda: large(4),
    "30 MiB of text": lambda: b'{"id": "%b", "status": "DONE", "x": "' % ID.encode() + b"x" * (30 << 20) + b'"}',
    "60 MiB of empty lists": lambda: b"[" + b"[]," * (20 << 20) + b"0]",
    "300,000 lists": lambda: b'{"x": [' + b"[]," * 300_000 + b"0]}",
    "30 MiB of noise": lambda: b"\xff" * (30 << 20),
    "30 MiB of blanks": lambda: b" " * (30 << 20),
    "more than 64 MiB": lambda: b" " * (80 << 20),
    "half letters": lambda: b'["' + b"\\ud800" * 400_000 + b'"]',
    "html": lambda: b"<html>" + b"<title>" * 1_000_000,
}


@pytest.mark.parametrize(
    ("kind", "status"), [*((kind, "200 OK") for kind in BODIES), ("30 MiB of noise", "503 Busy"), ("html", "503 Busy")]
)
def test_large_replies(connect: Connect, kind: str, status: str) -> None:
    packed = gzip.compress(BODIES[kind](), 1)
    with serving(always(reply(packed, "Content-Encoding: gzip", status=status))) as server:
        connect(server.url)

        async def waiting() -> None:
            plan = {"max_unknown_time": 0.0, "deadline": time.time() + 60}
            await gathered(1, lambda: trigger(plan=plan))

        # Texts of 30 MiB are copied at once, also in another thread: no list of the service is as large.
        check_never_held_up(waiting, 0.15 if "30 MiB" in kind else ALLOWED)


def test_large_lists_of_tiles(connect: Connect) -> None:
    tiles = [{"id": n, "status": "PROCESSED", "name": str(n), "x": [[n, n]] * 800} for n in range(100)]
    page = gzip.compress(json.dumps({"data": tiles, "links": {}}).encode(), 1)

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        if b"/tiles" in head:
            yield reply(page, "Content-Encoding: gzip")
        else:
            yield reply(json.dumps({**RUNNING, "tileCount": 100}).encode())

    with serving(answers) as server:
        connect(server.url)

        async def waiting() -> None:
            plan = {"max_unknown_time": 0.0, "deadline": time.time() + 60}
            events = await gathered(
                2, lambda: trigger(SentinelHubBatchTileTrigger, batch_api="v1", count=100, plan=plan)
            )
            assert {event["outcome"] for event in events} == {"reached"}, events[0]

        check_never_held_up(waiting)


@contextmanager
def dead_bucket() -> Iterator[str]:
    """Accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.slow
def test_a_bucket_that_hangs(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"output": {"delivery": {"s3": {"url": "s3://b/p"}}}}
    ended = []
    with dead_bucket() as bucket, serving(always(reply(json.dumps({**DONE, "request": place}).encode()))) as server:
        connect(server.url)
        aws = {"conn_type": "aws", "login": "a", "password": "b", "extra": {"endpoint_url": bucket}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS", json.dumps(aws))

        async def waiting() -> None:
            deadline = time.time() + 1.5
            plan = {"max_unknown_time": 60.0, "deadline": deadline}
            await gathered(30, lambda: trigger(SentinelHubBatchTileTrigger, aws_conn_id="aws", share=1.0, plan=plan))
            ended.append(time.time() - deadline)

        check_never_held_up(waiting)
    assert min(ended) < LATE


def test_a_connection_that_is_missing() -> None:
    async def waiting() -> None:
        events = await gathered(200, lambda: trigger(conn_id="nowhere"))
        assert {event["outcome"] for event in events} == {"error"}

    check_never_held_up(waiting)


def test_the_first_use_with_tls(connect: Connect) -> None:
    """Certificates are read, and clients made, aside."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    connect(f"https://127.0.0.1:{port}")

    async def waiting() -> None:
        PROCESS.tls.clear()
        events = await gathered(20, lambda: trigger(plan={"max_unknown_time": 4.0}))
        assert "connection refused" in events[0]["why"]

    check_never_held_up(waiting)


# Time


KINDS: dict[str, Callable[..., Any]] = {
    "request": lambda **how: trigger(**how),
    "statistical": lambda **how: trigger(SentinelHubBatchStatisticalTrigger, batch_api="statistical", **how),
    "tiles": lambda **how: trigger(SentinelHubBatchTileTrigger, batch_api="v1", count=2, **how),
}
SLOW: dict[str, Answers] = {
    "silent": silence,
    "dripping": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "429": always(reply(b"", "Retry-After: 60000", status="429 Too Many Requests")),
    "503": always(reply(b"", status="503 Busy")),
}


@pytest.mark.parametrize(
    ("kind", "slow", "token"),
    [
        *(("request", slow, "slow") for slow in SLOW),
        *((kind, "silent", "token") for kind in KINDS),
        ("tiles", "429", "token"),
    ],
)
def test_waits_end_at_their_deadline(connect: Connect, kind: str, slow: str, token: str) -> None:
    """Also where the token does not come, and where all wait for their turn."""
    with serving(SLOW[slow]) as server:
        connect(server.url, timeout=0.5, auth_url=f"{server.url}/{token}")
        deadline = time.time() + 1.5
        plan = {"deadline": deadline, "max_unknown_time": 1800.0}
        events = asyncio.run(gathered(100, lambda: KINDS[kind](plan=plan)))
        assert time.time() - deadline < LATE
        assert {event["outcome"] for event in events} == {"timed_out"}


@pytest.mark.parametrize(
    ("kind", "slow"), [*(("request", slow) for slow in SLOW), ("tiles", "silent"), ("statistical", "silent")]
)
def test_waits_end_when_the_state_is_unknown_for_too_long(
    connect: Connect, kind: str, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_of_a_wait, "BUSY", 1.5)
    with serving(SLOW[slow]) as server:
        connect(server.url, timeout=0.5)
        began = time.time()
        events = asyncio.run(gathered(100, lambda: KINDS[kind](plan={"max_unknown_time": 1.5})))
        assert time.time() - began < 1.5 + LATE
        assert {event["outcome"] for event in events} == {"unknown"}
