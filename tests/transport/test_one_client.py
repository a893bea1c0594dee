"""One client for worker and triggerer: its limits of time and size, and the gate that a 429 closes for all."""

from __future__ import annotations

import asyncio
import gzip
import math
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import ONCE, Call, Flow, Now, Sleep, ends_at, exchange
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport import gate as gates
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.gate import IN_FLIGHT, Gate
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver
from tests.transport import virtual
from tests.transport.raw import Answers, Raw, always, dripping, reply, serving, silence

READ: Call[Any] = Call("GET", "/api/v2/batch/process/7", lambda body: body, repeatable=True, about="batch request 7")
START: Call[Any] = Call("POST", "/api/v2/batch/process/7/start", lambda body: body, about="batch request 7")
LONG = 20.0
"""Seconds within which all of this is over, however slow the machine; each limit is far below."""


@pytest.fixture(autouse=True)
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is in life: 429s and the calls of a minute make pauses."""
    monkeypatch.setattr(Gate, "paced", True)


@pytest.fixture(autouse=True)
def no_token_from_before() -> None:
    PROCESS.tokens.clear()


def settings_for(server: Raw, **how: Any) -> Settings:
    return Settings(server.url, f"{server.url}/token", "id", "secret", **{"timeout": 1.0, "conn_id": "sh", **how})


def run(kind: str, settings: Settings, flow: Flow[Any]) -> Any:
    if kind == "worker":
        return SyncDriver(settings).run(flow)
    return asyncio.run(AsyncDriver(settings).run(flow))  # type: ignore[arg-type]


both = pytest.mark.parametrize("kind", ["worker", "triggerer"])


def failure(kind: str, answers: Answers, call: Call[Any] = READ, **how: Any) -> errors.SentinelHubError:
    with serving(answers) as server, pytest.raises(errors.SentinelHubError) as caught:
        run(kind, settings_for(server, **how), exchange(call, ONCE))
    return caught.value


# Time


@both
@pytest.mark.parametrize(
    "answers",
    [
        silence,
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        dripping(b"HTTP", b"/"),
    ],
    ids=["silence", "body", "chunks", "header", "status line"],
)
def test_a_call_has_a_total_time(kind: str, answers: Answers) -> None:
    began = time.monotonic()
    err = failure(kind, answers, START, timeout=0.6)
    assert time.monotonic() - began < LONG
    assert isinstance(err, errors.UnreachableError)
    assert err.ambiguous  # the service has got it
    assert "no reply within 1 s" in str(err)


@both
def test_a_call_is_given_up_at_the_end_of_the_time_for_waiting(kind: str) -> None:
    with serving(silence) as server:
        settings = settings_for(server, timeout=300.0)
        with pytest.raises(errors.UnreachableError, match="before the time for waiting was over") as caught:
            run(kind, settings, ends_at(exchange(START), time.time() + 0.5))
        assert caught.value.ambiguous
        assert len(server.calls) == 1


async def test_a_timeout_that_was_edited_counts_for_the_calls_after_that() -> None:
    async def slowly(head: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(0.0 if b"/token" in head else 1.0)
        yield reply(b"{}")

    with serving(slowly) as server:
        settings = settings_for(server, timeout=0.2)
        with pytest.raises(errors.UnreachableError, match="no reply within"):
            await AsyncDriver(settings).run(exchange(READ, ONCE))
        assert await AsyncDriver(replace(settings, timeout=60.0)).run(exchange(READ, ONCE)) == {}


async def test_calls_that_wait_for_their_turn_are_given_up_unsent() -> None:
    """400 waits at a service that does not answer end at their deadline, not when all before them have timed out."""
    with serving(silence) as server:
        settings = settings_for(server, timeout=300.0)
        until = time.time() + 2.0
        flows = [AsyncDriver(settings).run(ends_at(exchange(START), until)) for _ in range(100)]
        began = time.monotonic()
        ended = await asyncio.gather(*flows, return_exceptions=True)
        assert time.monotonic() - began < LONG
        assert all(isinstance(err, errors.UnreachableError) for err in ended)
        sent = [err for err in ended if isinstance(err, errors.UnreachableError) and err.ambiguous]
        assert len(sent) == len(server.calls) == IN_FLIGHT
        unsent = next(str(err) for err in ended if err not in sent)
        assert "other calls went first" in unsent
        assert "Whether it was carried out" not in unsent


@both
def test_a_token_that_does_not_come_is_given_up_too(kind: str) -> None:
    with serving(silence) as server:
        settings = replace(settings_for(server, timeout=300.0), token_url=f"{server.url}/slow-token")
        with pytest.raises(errors.UnreachableError) as caught:
            run(kind, settings, ends_at(exchange(START), time.time() + 0.5))
        assert not caught.value.ambiguous  # START was never sent
        assert [call.split()[1] for call in server.calls] == [b"/slow-token"]


# Size


def bomb(mebibytes: int, bits: int = 31) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(mebibytes)] + [packer.flush()])


@both
@pytest.mark.parametrize("packing", ["gzip", "deflate", "none", "chunked"])
@pytest.mark.thorough
def test_a_reply_that_is_too_large_is_not_read_to_its_end(
    kind: str, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 2 << 20)
    content = {"gzip": bomb(32), "deflate": bomb(32, 15)}.get(packing, bytes(64 << 20))
    if packing == "chunked":
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        answers = always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk] * 64)
    else:
        coding = (f"Content-Encoding: {packing}",) if packing != "none" else ()
        answers = always(reply(content, "Content-Type: application/json", *coding))
    with serving(answers) as server:
        tracemalloc.start()
        try:
            with pytest.raises(errors.UnreadableReplyError, match="too large: above 2 MiB"):
                run(kind, settings_for(server, timeout=60.0), exchange(READ))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(server.calls) == 1  # it would be as large again
    written_by_the_server = 2 * len(content) if packing != "chunked" else 4 << 20
    assert peak < written_by_the_server + (16 << 20)


def test_the_bound_is_64_mebibytes() -> None:
    assert client.MOST_BYTES == 64 << 20


@both
def test_a_large_reply_below_the_bound_is_read(kind: str) -> None:
    body = b'{"text": "' + b"x" * (5 << 20) + b'"}'
    with serving(always(reply(gzip.compress(body), "Content-Encoding: gzip"))) as server:
        assert len(run(kind, settings_for(server, timeout=60.0), exchange(READ))["text"]) == 5 << 20


@both
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b'{"a": 1}')),
        ("x-gzip", gzip.compress(b'{"a": 1}')),
        ("gzip", gzip.compress(b'{"a"') + gzip.compress(b": 1}")),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')[2:-4]),
        ("identity", b'{"a": 1}'),
    ],
    ids=["gzip", "x-gzip", "gzip in two parts", "deflate", "deflate without a header", "identity"],
)
def test_each_usual_encoding_is_read(kind: str, coding: str, body: bytes) -> None:
    with serving(always(reply(body, f"Content-Encoding: {coding}"))) as server:
        assert run(kind, settings_for(server), exchange(READ)) == {"a": 1}


@both
@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        ("gzip", gzip.compress(b'{"a": 1}' * 100)[:-9], "cut off"),
        ("gzip", b'{"a": 1}', "not compressed as it says"),
        ("deflate", b"\xff\xff\xff", "not compressed as it says"),
        ("br", b"\x0b\x02\x80", "'br', which was not asked for"),
        ("gzip, gzip", b"", "which was not asked for"),
    ],
    ids=["cut off", "not gzip", "not deflate", "br", "gzip twice"],
)
def test_a_broken_encoding_is_an_unreadable_reply(kind: str, coding: str, body: bytes, why: str) -> None:
    err = failure(kind, always(reply(body, f"Content-Encoding: {coding}")), START)
    assert isinstance(err, (errors.UnreachableError, errors.UnreadableReplyError))
    assert err.ambiguous
    assert why in str(err)


# The event loop


@pytest.mark.thorough
@pytest.mark.slow
async def test_a_bomb_does_not_block_the_event_loop() -> None:
    """60 MiB take a few tenths of a second in all; no step of it holds up others for a large part of that.

    Measured in CPU time of this process, so that others on the machine do not count, and at the best of five times.
    """
    held: list[float] = []

    async def watch() -> None:
        before = time.process_time()
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            steps.append(now - before)
            before = now

    with serving(always(reply(bomb(60), "Content-Encoding: gzip", status="503 Busy"))) as server:
        driver = AsyncDriver(settings_for(server, timeout=60.0))
        with pytest.raises(errors.ServerError):
            await driver.run(exchange(READ, ONCE))  # imports and the first connection
        for _ in range(5):
            steps: list[float] = []
            watching = asyncio.ensure_future(watch())
            with pytest.raises(errors.ServerError):
                await driver.run(exchange(READ, ONCE))
            watching.cancel()
            held.append(max(steps) / sum(steps))
    assert min(held) < 0.25


# 429


async def test_a_429_closes_the_gate_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "SLOWEST", 600.0)  # the intervals after the pause are another test's
    order: list[str] = []

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        order.append(head.split()[1].decode()[-1])
        if len(order) == 1:
            yield reply(b"", "Retry-After: 1000", status="429 Too Many Requests")
        else:
            yield reply(b"{}")

    with serving(answers) as server:
        settings = settings_for(server)
        gate = (await client.in_loop(settings)).gate
        with pytest.raises(errors.RateLimitError):
            await AsyncDriver(settings).run(exchange(READ, ONCE))
        assert 0.5 < gate.closed_for() <= 1.0
        began = time.monotonic()
        await AsyncDriver(settings).run(exchange(READ, ONCE))  # another task
        assert time.monotonic() - began > 0.4
        assert gate.closed_for() == 0


async def test_each_429_in_a_row_closes_it_for_longer_until_another_reply_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    gate = Gate(6000.0)
    pauses = []
    for _ in range(4):
        gate.note_reply(client.Reply(429, {"retry-after": "500"}))
        gate.note_reply(client.Reply(429, {"retry-after": "500"}))  # under way when it was closed
        pauses.append(gate.closed_for())
        now += gate.closed_for()
    assert pauses == [1, 2, 4, 8]
    gate.note_reply(client.Reply(200))
    gate.note_reply(client.Reply(429, {"retry-after": "500"}))
    assert gate.closed_for() == 1


async def test_a_wait_at_a_closed_gate_that_is_given_up_leaves_no_place_taken() -> None:
    gate = Gate(6000.0)
    gate.note_reply(client.Reply(429, {"retry-after": "60000"}))
    for _ in range(3 * IN_FLIGHT):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gate.__aenter__(), 0.001)
    gate._closed_until = gate._next = 0.0
    gate._slowed_to = math.inf
    for _ in range(IN_FLIGHT):
        await asyncio.wait_for(gate.__aenter__(), 1)


@pytest.mark.thorough
def test_a_minute_has_no_more_calls_than_the_connection_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "paced", True)

    async def times(gate: Gate, calls: int) -> list[float]:
        found = []
        for _ in range(calls):
            async with gate:
                found.append(asyncio.get_running_loop().time())
        return found

    async def run() -> None:
        gate = Gate(540.0)
        first = await times(gate, 2000)
        in_a_minute = max(sum(start <= at < start + 60 for at in first) for start in first)
        assert 540 <= in_a_minute < 600
        assert first[53] - first[0] < 0.01  # a few go out at once
        await asyncio.sleep(3600)
        later = await times(gate, 60)
        assert later[-1] - later[0] > 0.5  # what was not used is not saved up

    virtual.run(run())


# Secrets that are rotated


@both
def test_a_refused_secret_has_the_connection_read_again(kind: str) -> None:
    asked: list[bytes] = []

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        asked.append(head.split()[1])
        if b"/refused" in head:
            yield reply(b'{"error": "unauthorized_client"}', status="401 Unauthorized")
        else:
            yield reply(b'{"status": "DONE"}')

    with serving(answers) as server:
        new = settings_for(server)
        old = replace(new, token_url=f"{server.url}/refused", client_secret="outdated")
        reads = 0

        def reread() -> Settings:
            nonlocal reads
            reads += 1
            return new

        async def reread_in_loop() -> Settings:
            return reread()

        def use() -> Any:
            if kind == "worker":
                return [SyncDriver(old, reread=reread).run(exchange(READ)) for _ in range(2)]

            async def several() -> list[Any]:
                drivers = [AsyncDriver(old, reread=reread_in_loop) for _ in range(5)]
                return list(await asyncio.gather(*(driver.run(exchange(READ)) for driver in drivers)))

            return asyncio.run(several())

        assert all(body == {"status": "DONE"} for body in use())
        if kind == "triggerer":
            assert reads == 1
            assert asked.count(b"/refused") == 1


@both
def test_a_secret_that_is_refused_and_unchanged_is_an_error_and_read_again_seldom(kind: str) -> None:
    async def refuse(head: bytes) -> AsyncIterator[bytes]:
        yield reply(b'{"error": "unauthorized_client"}', status="401 Unauthorized")

    with serving(refuse) as server:
        settings = replace(settings_for(server), token_url=f"{server.url}/refused")
        reads = 0

        def reread() -> Settings:
            nonlocal reads
            reads += 1
            return settings

        async def reread_in_loop() -> Settings:
            return reread()

        def use() -> None:
            if kind == "worker":
                driver = SyncDriver(settings, reread=reread)
                for _ in range(3):
                    with pytest.raises(errors.AuthenticationError):
                        driver.run(exchange(READ))
                return

            async def several() -> None:
                driver = AsyncDriver(settings, reread=reread_in_loop)
                for _ in range(3):
                    with pytest.raises(errors.AuthenticationError):
                        await driver.run(exchange(READ))

            asyncio.run(several())

        use()
        assert reads == 1


# Secrets in errors


@both
def test_a_secret_that_comes_back_in_an_error_is_blanked(kind: str) -> None:
    secret = 'p"q/r+s'

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        yield reply(b'{"error": {"message": "no bucket for key p\\"q/r+s (p%22q%2Fr%2Bs)"}}', status="400 Bad Request")

    call: Call[Any] = replace(START, json={"output": {"s3": {"secretAccessKey": secret, "url": "s3://b"}}})
    err = failure(kind, answers, call)
    assert isinstance(err, errors.BadRequestError)
    for text in (str(err), err.reason, err.body):
        assert "no bucket for key *** (***)" in text
        assert "q/r+s" not in text


def test_pauses_end_with_the_time_for_waiting() -> None:
    def flow() -> Flow[str]:
        yield Sleep(1000.0)
        return "went on"

    bounded = ends_at(flow(), 1005.0)
    assert next(bounded) == Now()
    assert bounded.send(1000.0) == Sleep(5.0, 0.0)
    with pytest.raises(StopIteration, match="went on"):
        bounded.send(None)
