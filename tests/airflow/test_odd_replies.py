"""Whatever answers a trigger, and whatever breaks in it: it ends with one event, which says what becomes of the job."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Reply
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.triggers.batch import (
    SentinelHubBatchStatisticalTrigger,
    SentinelHubBatchTileTrigger,
    SentinelHubBatchTrigger,
)
from airflow_sentinelhub.triggers.events import broken_off, read_event
from tests.api.feeding import ID
from tests.api.odd_replies import odd

pytestmark = pytest.mark.thorough

Answer = Callable[[Call[Any]], Any]
TOKEN = Reply(200, {}, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}')
RUNS = 40


class OddServer(ThreadingHTTPServer):
    """A server that answers calls by `answer`; a `Lost` is a connection that is cut."""

    daemon_threads = True
    answer: Answer
    token: Reply | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client has gone away."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OddServer

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        call: Call[Any] = Call(self.command, path, lambda body: body)
        given = self.server.token if path == "/token" and self.server.token else self.server.answer(call)
        self.close_connection = True
        if not isinstance(given, Reply):
            return
        self.send_response(given.status)
        for name, value in given.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(given.body)))
        self.end_headers()
        self.wfile.write(given.body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def service() -> Iterator[OddServer]:
    """In the place of the service; the bench's simulator gives the clock only."""
    with OddServer(("127.0.0.1", 0), _Handler) as service:
        service.token = TOKEN
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield service
        service.shutdown()


@pytest.fixture
def generation() -> str:
    return "v2"


@pytest.fixture
def asked(bench: Any, service: OddServer) -> Any:
    """The bench, whose connection leads to that server."""
    bench.connection(
        "sentinelhub_default",
        conn_type="sentinelhub",
        login="id",
        password="secret",
        host=service.url,
        extra={"token_url": f"{service.url}/token", "bucket_mount": str(bench.sim.bucket_dir)},
    )
    return bench


def triggers(bench: Any) -> list[Any]:
    plan = {"max_unknown_time": 120.0, "deadline": bench.clock.now + 600.0, "known": True}
    common: dict[str, Any] = {"sentinelhub_conn_id": "sentinelhub_default", "request_id": ID, "plan": plan}
    costs = {**common, "plan": {**plan, "max_cost": 5.0}}
    return [
        SentinelHubBatchTrigger(batch_api="v1", **common),
        SentinelHubBatchTrigger(batch_api="v2", **costs),
        SentinelHubBatchStatisticalTrigger(**common),
        SentinelHubBatchTileTrigger(batch_api="v1", count=2, **common),
        SentinelHubBatchTileTrigger(batch_api="v1", tile="S08E036", **common),
    ]


@pytest.mark.parametrize("which", range(5))
def test_a_trigger_ends_with_one_event_whatever_answers(asked: Any, service: OddServer, which: int) -> None:
    ends: Counter[str] = Counter()
    for seed in range(RUNS):
        dice = random.Random(f"{which} {seed}")
        service.answer = odd(dice, dice.choice((0.0, 0.5, 0.9)))
        service.token = TOKEN if dice.random() < 0.8 else None
        _forget_tokens()
        event = asked.fire(triggers(asked)[which])
        assert event["request_id"] == ID
        ends[event["outcome"]] += 1
        if event["outcome"] != "error":
            json.dumps(event, allow_nan=False)
            read_event(event, ID)
        else:
            assert "broke off" not in event["message"], (seed, event["message"])
            assert event["message"].isprintable()
    assert len(ends) > 1, ends


def _forget_tokens() -> None:
    from airflow_sentinelhub.transport.process import PROCESS

    PROCESS.tokens.clear()


TOKENS: dict[str, bytes] = {
    "null": b"null",
    "an array": b"[]",
    "nothing in it": b"{}",
    "a number as token": b'{"access_token": 7, "token_type": "Bearer"}',
    "a token with a line break": b'{"access_token": "a\\nb", "token_type": "Bearer"}',
    "a token that is no ASCII": b'{"access_token": "\\u00e9", "token_type": "Bearer"}',
    "a life of no length": b'{"access_token": "hush", "token_type": "Bearer", "expires_in": "soon"}',
    "an endless life": b'{"access_token": "hush", "token_type": "Bearer", "expires_in": 1e999}',
    "a list as life": b'{"access_token": "hush", "token_type": "Bearer", "expires_in": [1]}',
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_that_makes_no_sense_is_an_outage(asked: Any, service: OddServer, kind: str) -> None:
    service.token = Reply(200, {}, TOKENS[kind])
    _forget_tokens()
    event = asked.fire(triggers(asked)[1])
    assert event["outcome"] == "unknown"
    assert "access token" in event["why"]
    assert "hush" not in json.dumps(event)


# What nobody has thought of


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"sentinelhub_conn_id": "nowhere"}, "nowhere"),
        ({"plan": {"deadline": "soon"}}, "TypeError"),
        ({"plan": {"poll_interval": "often"}}, "TypeError"),
        ({"plan": {"max_unknown_time": None}}, "TypeError"),
    ],
)
def test_any_error_becomes_the_event(
    asked: Any, service: OddServer, logged: Callable[[], str], members: dict[str, Any], said: str
) -> None:
    """An exception that comes out of a trigger ends its task with words of Airflow's, which know of no request."""
    service.answer = lambda call: Reply(503)
    common = {
        "sentinelhub_conn_id": "sentinelhub_default",
        "batch_api": "v2",
        "request_id": ID,
        "resume_state": {"a": 1},
    }
    event = asked.fire(SentinelHubBatchTrigger(**{**common, **members}))
    assert (event["outcome"], event["retry_helps"], event["resume_state"]) == ("error", True, {"a": 1})
    for part in (
        ID,
        said,
        "was left alone",
        "if it was started, it runs on and bills",
        "A retry of this task attaches",
    ):
        assert part in event["message"]
    assert "Traceback" in logged()
    with pytest.raises(SentinelHubError, match="runs on and bills") as raised:
        read_event(event, ID)
    assert raised.value.retry_helps


def test_the_words_of_such_an_error_are_safe() -> None:
    error = broken_off(ValueError("secretAccessKey: hush\n\x1b[2J " + "x" * 100_000), ID)
    assert "ValueError: secretAccessKey: *** [2J xxx" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 1000


def test_a_trigger_that_is_cancelled_gives_no_event(asked: Any) -> None:
    """Its triggerer is restarted: another one goes on."""

    async def cancelled(trigger: Any, listening: socket.socket) -> None:
        running = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.get_running_loop().sock_accept(listening)
        running.cancel()
        await running

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        asked.connection(
            "sentinelhub_default",
            conn_type="sentinelhub",
            login="id",
            password="secret",
            host=url,
            extra={"token_url": f"{url}/token"},
        )
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancelled(triggers(asked)[1], silent))
