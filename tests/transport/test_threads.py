"""Threads for calls that block: few, given up in time, and never in the way of others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.transport.threads import AT_A_TIME, SPARE, Threads


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "sentinelhub-bucket"]


@pytest.fixture
def release() -> threading.Event:
    return threading.Event()


def test_results_and_errors_come_back() -> None:
    threads = Threads()
    assert threads.run(lambda: 7, 10) == 7
    with pytest.raises(ZeroDivisionError):
        threads.run(lambda: 1 / 0, 10)
    assert asyncio.run(threads.run_in_loop(lambda: 7, 10)) == 7
    with pytest.raises(TimeoutError, match="of the function"):
        threads.run(lambda: (_ for _ in ()).throw(TimeoutError("of the function")), 10)


def test_a_call_that_takes_too_long_is_given_up(release: threading.Event) -> None:
    threads = Threads()
    try:
        with pytest.raises(ResultsError, match="no answer within 0 s"):
            threads.run(release.wait, 0.05)
        with pytest.raises(ResultsError, match="no answer within 0 s"):
            asyncio.run(threads.run_in_loop(release.wait, 0.05))
    finally:
        release.set()


async def test_dead_calls_do_not_keep_the_event_loop_from_looking_up_names(release: threading.Event) -> None:
    threads, loop = Threads(), asyncio.get_running_loop()
    dead = [asyncio.ensure_future(threads.run_in_loop(release.wait, 60)) for _ in range(40)]
    await asyncio.sleep(0.1)
    try:
        await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 10)
        await asyncio.wait_for(asyncio.to_thread(time.sleep, 0), 10)
    finally:
        for future in dead:
            future.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        release.set()


async def test_a_thread_whose_call_was_given_up_is_replaced(release: threading.Event) -> None:
    threads = Threads()
    try:
        for _ in range(2):  # twice as many dead calls as there are threads
            dead = [threads.run_in_loop(release.wait, 0.1) for _ in range(AT_A_TIME)]
            ended = await asyncio.gather(*dead, return_exceptions=True)
            assert all(isinstance(err, ResultsError) for err in ended)
        assert await threads.run_in_loop(lambda: "a living bucket", 10) == "a living bucket"
    finally:
        release.set()


async def test_there_is_an_end_to_replacing(release: threading.Event) -> None:
    threads, before = Threads(), len(names())
    try:
        dead = [threads.run_in_loop(release.wait, 0.3) for _ in range(3 * (AT_A_TIME + SPARE))]
        ended = await asyncio.gather(*dead, return_exceptions=True)
        assert all(isinstance(err, ResultsError) for err in ended)
        assert len(names()) - before <= AT_A_TIME + SPARE
    finally:
        release.set()
    assert await threads.run_in_loop(lambda: 7, 10) == 7
    for _ in range(200):  # those that are too many end by themselves
        if len(names()) - before <= AT_A_TIME:
            break
        await asyncio.sleep(0.05)
    assert len(names()) - before <= AT_A_TIME


def test_a_call_that_never_ends_does_not_keep_the_process_from_ending() -> None:
    code = (
        "import threading; from airflow_sentinelhub.transport.threads import Threads\n"
        "try: Threads().run(threading.Event().wait, 0.05)\n"
        "except Exception as err: print(type(err).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ResultsError"
    assert done.returncode == 0
