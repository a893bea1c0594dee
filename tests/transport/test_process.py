"""What a process shares: why there is little of it, and that nothing is left of what has ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from weakref import ref

import httpx
import pytest

from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.transport import process
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.client import in_loop
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver
from tests.transport.conftest import Harness

HTTP = Settings("http://localhost:1", "http://localhost:1/token", "id", "secret", conn_id="sh")


@pytest.fixture(autouse=True)
def nothing_from_before() -> Iterator[None]:
    PROCESS.tokens.clear()
    yield
    PROCESS.tokens.clear()


def grids() -> Any:
    return exchange(v1.list_tiling_grids())


# The environment and the loggers of the program


def test_plain_http_changes_no_environment_variable(driver: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    before = dict(os.environ)
    assert driver.run(grids()).error is None
    assert dict(os.environ) == before


def test_the_logger_of_httpx_is_touched_by_the_first_client_and_once(simulator: Simulator) -> None:
    logger = logging.getLogger("httpx")
    before = list(logger.filters)
    try:
        logger.filters.clear()
        AsyncDriver(HTTP)
        assert logger.filters == []
        for _ in range(2):
            asyncio.run(in_loop(HTTP))  # type: ignore[arg-type]
        assert len(logger.filters) == 1
    finally:
        logger.filters[:] = before


# Secrets that were changed


@pytest.mark.parametrize(
    "changed",
    [
        {"client_secret": "new"},
        {"client_secret": "new", "conn_id": "another"},
        {"client_id": "other", "client_secret": "new"},
        {"client_id": "other", "client_secret": "new", "base_url": "http://localhost:2"},
    ],
    ids=["secret", "secret in another connection", "client", "client and deployment"],
)
@pytest.mark.thorough
def test_a_changed_secret_leaves_nothing_of_the_former(changed: dict[str, str]) -> None:
    store = ref(PROCESS.tokens_of(HTTP))
    new = replace(HTTP, **changed)  # type: ignore[arg-type]
    assert PROCESS.tokens_of(new)._settings == new
    gc.collect()
    assert store() is None
    assert "'secret'" not in repr(list(PROCESS.tokens))
    assert list(PROCESS.tokens) == [new.key]


def test_the_token_of_a_changed_secret_is_used_no_more(driver: Harness) -> None:
    assert driver.run(grids()).error is None
    token = PROCESS.tokens_of(driver.settings)._token
    assert token is not None
    assert driver.run(grids(), client_secret="changed").error is not None  # asked anew, and refused
    assert driver.run(grids()).error is None
    (store,) = PROCESS.tokens.values()
    assert store._token is not None
    assert store._token.value != token.value


@pytest.mark.parametrize(
    "beside",
    [
        {"base_url": "http://localhost:2"},
        {"base_url": "http://localhost:2", "token_url": "http://localhost:2/token"},
        {"client_id": "other", "client_secret": "other", "conn_id": "another"},
        {"conn_id": "another"},
    ],
    ids=["a former deployment", "a former deployment and token URL", "another connection", "the same in another"],
)
def test_what_is_beside_it_stays(beside: dict[str, str]) -> None:
    store = PROCESS.tokens_of(HTTP)
    PROCESS.tokens_of(replace(HTTP, **beside))  # type: ignore[arg-type]
    assert PROCESS.tokens_of(HTTP) is store


# Event loops that were closed


def others() -> list[Any]:
    """The event loops that are known, without the one for the calls of a worker."""
    return [loop for loop in PROCESS.loops if loop is not PROCESS._own_loop]


async def crowd(settings: Settings) -> tuple[ref[Any], ref[Any], ref[Any]]:
    """Use all that a loop shares, with more flows than the gate lets through."""
    look = asyncio.get_running_loop().create_future()
    PROCESS.watched_in_this_loop().looks["an account"] = (0.0, look)
    await asyncio.gather(*(AsyncDriver(settings).run(grids()) for _ in range(20)))
    shared = await in_loop(settings)
    return ref(shared.client), ref(shared.gate), ref(shared.lock)


@pytest.mark.thorough
def test_a_loop_that_ends_closes_its_client_and_leaves_nothing(simulator: Simulator) -> None:
    clients: list[httpx.AsyncClient] = []

    async def use() -> tuple[ref[Any], ...]:
        found = await crowd(Harness("async", simulator).settings)
        clients.append(found[0]())
        assert others() == [asyncio.get_running_loop()]
        PROCESS.keep(asyncio.ensure_future(asyncio.sleep(3600)))
        return found

    left = asyncio.run(use())
    assert others() == []
    assert not PROCESS.watched
    assert PROCESS.background == set()
    assert clients.pop().is_closed
    gc.collect()
    assert [one() for one in left] == [None, None, None]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.thorough
def test_a_loop_that_is_only_closed_is_dropped_at_the_next_use(simulator: Simulator) -> None:
    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(crowd(Harness("async", simulator).settings))
    never: asyncio.Future[None] = loop.create_future()
    PROCESS.keep(never)
    loop.close()
    weak = ref(loop)
    del loop, never

    async def another() -> None:
        assert PROCESS.in_this_loop() == {}
        assert others() == [asyncio.get_running_loop()]

    asyncio.run(another())
    gc.collect()
    assert not PROCESS.watched
    assert PROCESS.background == set()
    assert [one() for one in (*left, weak)] == [None, None, None, None]


def test_work_is_kept_until_it_is_done() -> None:
    async def use() -> None:
        work = asyncio.ensure_future(asyncio.sleep(0))
        PROCESS.keep(work)
        assert PROCESS.background == {work}
        await work
        await asyncio.sleep(0)
        assert PROCESS.background == set()

    asyncio.run(use())


def test_the_threads_of_a_worker_share_one_loop_and_one_gate(simulator: Simulator) -> None:
    settings = Harness("sync", simulator).settings
    loops = []
    for changed in (settings, replace(settings, timeout=1.0, client_secret=settings.client_secret)):
        thread = threading.Thread(target=lambda used=changed: loops.append(SyncDriver(used).run(grids())))  # type: ignore[misc]
        thread.start()
        thread.join()
    assert len(loops) == 2
    own = PROCESS.own_loop()
    assert own is PROCESS.own_loop()
    assert [key[0] for key in PROCESS.loops[own]].count(settings.base_url) == 1


def test_the_end_of_a_process_closes_the_clients_of_its_own_loop(simulator: Simulator) -> None:
    """A server sees a connection that is closed, not one that is cut."""
    settings = Harness("sync", simulator).settings
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    shared = asyncio.run_coroutine_threadsafe(in_loop(settings), loop).result(20)
    assert not shared.client.is_closed
    process._end(loop, thread, os.getpid() + 1)  # that of the parent, in a process that was forked
    assert not shared.client.is_closed
    process._end(loop, thread, os.getpid())
    thread.join(20)
    assert not thread.is_alive()
    assert shared.client.is_closed
    loop.close()


def test_a_process_that_was_forked_begins_with_nothing(simulator: Simulator) -> None:
    """The threads and the loop of its parent do not run in it."""
    settings = Harness("sync", simulator).settings
    assert len(SyncDriver(settings).run(grids()).items) == 6
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            clean = (PROCESS._own_loop, PROCESS.tokens, list(PROCESS.loops)) == (None, {}, [])
            found = len(SyncDriver(settings).run(grids()).items)
            os.write(write, f"{clean} {found}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    assert os.read(read, 100) == b"True 6"
    os.close(read)


# The rate of an account


def test_an_edited_rate_is_that_of_the_one_gate_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second gate would let the calls of both through together."""
    monkeypatch.setattr(PROCESS, "rates", {})

    async def gates() -> list[Any]:
        found = []
        for rate in (540.0, 60.0, 300.0):
            edited = replace(HTTP, max_calls_per_minute=rate)
            PROCESS.read_settings(edited)
            behind_proxy = replace(edited, proxy="http://127.0.0.1:3128")
            for settings in (HTTP, edited, behind_proxy):  # waits of before, and new ones
                found.append((await in_loop(settings)).gate)
                assert found[-1].per_minute == rate
        return found

    assert len({*map(id, asyncio.run(gates()))}) == 1


def test_of_several_connections_of_an_account_the_lowest_rate_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS, "rates", {})
    assert PROCESS.rate_of(HTTP) == HTTP.max_calls_per_minute
    for conn_id, rate in (("one", 300.0), ("other", 500.0), ("one", 550.0)):
        PROCESS.read_settings(replace(HTTP, conn_id=conn_id, max_calls_per_minute=rate))
    assert PROCESS.rate_of(HTTP) == 500.0
    assert PROCESS.rate_of(replace(HTTP, client_id="another")) == HTTP.max_calls_per_minute
    PROCESS.read_settings(replace(HTTP, conn_id="other", client_id="another", max_calls_per_minute=200.0))
    assert PROCESS.rate_of(HTTP) == 550.0, "the other connection is one of another account now"
