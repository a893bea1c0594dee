"""A call that was given up ends, so that a bucket that drips does not keep the threads of the others."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.transport.threads import AT_A_TIME, SPARE, Threads

pytestmark = pytest.mark.thorough

pytest.importorskip("boto3")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture(params=["headers", "body", "chunks"])
def dripping(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[socket.socket]]]:
    """The URL of a service whose replies never end, and the connections to it that were not closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    ended = threading.Event()
    connected: list[socket.socket] = []

    def drip(connection: socket.socket) -> None:
        connected.append(connection)
        with connection:
            try:
                connection.recv(65536)
                start, drop = {
                    "headers": (HEAD + b"X-Long: ", b"x"),
                    "body": (HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
                    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
                }[request.param]
                connection.sendall(start)
                while not ended.wait(0.05):
                    connection.sendall(drop)
            except OSError:
                pass
        connected.remove(connection)

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", connected
    ended.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    accepting.join(5)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    assert true()


def test_more_calls_than_threads_on_a_bucket_that_drips(
    dripping: tuple[str, list[socket.socket]], tmp_path: Path
) -> None:
    url, connected = dripping
    threads = Threads()
    reader = BucketReader(key="k", secret="s", region="eu-west-1", endpoint_url=url, proxy="", verify=True)
    for _ in range(AT_A_TIME + SPARE + 4):
        with pytest.raises(ResultsError, match="no answer within"):
            threads.run(lambda: reader.fetch("s3://bucket/key", tmp_path), 0.2)
    assert threads.run(lambda: "another bucket", 5) == "another bucket"
    until(lambda: threads.run(lambda: True, 5) and not threads._given_up)
    until(lambda: threads._started <= AT_A_TIME)
    until(lambda: not connected)


def test_a_call_that_is_given_up_while_it_ends_harms_no_other_call() -> None:
    threads = Threads()
    for at in range(300):
        with contextlib.suppress(ResultsError):
            threads.run(lambda: time.sleep(0.001), 0.001)
        assert threads.run(lambda at=at: at, 5) == at  # type: ignore[misc]
    until(lambda: not threads._given_up)
    assert not threads._running
