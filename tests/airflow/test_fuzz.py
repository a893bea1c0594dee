"""Any bytes in the place of the service, before the real triggers: one event, within bounds, and no secret in it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.triggers.batch import (
    SentinelHubBatchStatisticalTrigger,
    SentinelHubBatchTileTrigger,
    SentinelHubBatchTrigger,
)
from airflow_sentinelhub.triggers.events import read_event
from tests.api.feeding import ID
from tests.transport.raw import Raw, reply, serving
from tests.transport.wire import CLIENT_SECRET, TOKENS, token_reply, traces_in, wired

pytestmark = pytest.mark.thorough

RUNS = 6
MOST_CALLS = 400
"""A wait of ten minutes polls ten times; a poll is one call and its repetition, or some pages of tiles."""
KINDS: dict[str, Callable[..., Any]] = {
    "v1": lambda **how: SentinelHubBatchTrigger(batch_api="v1", **how),
    "v2": lambda **how: SentinelHubBatchTrigger(batch_api="v2", **how),
    "statistical": lambda **how: SentinelHubBatchStatisticalTrigger(**how),
    "v1 tiles": lambda **how: SentinelHubBatchTileTrigger(batch_api="v1", count=2, **how),
    "v1 tile": lambda **how: SentinelHubBatchTileTrigger(batch_api="v1", tile="S08E036", **how),
    "v2 tiles": lambda **how: SentinelHubBatchTileTrigger(batch_api="v2", share=0.5, **how),
}


@pytest.fixture
def generation() -> str:
    return "v2"


class Odd:
    """Answers each call by chance. `token`: the kind of the reply to the request for a token, None for a good one."""

    def __init__(self) -> None:
        self.dice = random.Random()
        self.token: str | None = None
        self.sent: list[list[str]] = []

    async def __call__(self, head: bytes) -> AsyncIterator[bytes]:
        method, target, _ = head.decode("latin-1").split(" ", 2)
        if target == "/login":
            given = token_reply(self.token) if self.token else None
            if given is None:
                yield reply(b'{"access_token": "a.b.c", "expires_in": 3600}')
                return
        else:
            call: Call[Any] = Call(method, target.partition("?")[0], lambda body: body)
            given = wired(call, self.dice)
        self.sent.append(given.kind)
        async for piece in given.send():
            yield piece


@pytest.fixture
def odd() -> Odd:
    return Odd()


@pytest.fixture
def raw(bench: Any, odd: Odd) -> Iterator[Raw]:
    """The server to which the bench's connection leads."""
    PROCESS.tokens.clear()
    with serving(odd) as server:
        bench.connection(
            "sentinelhub_default",
            conn_type="sentinelhub",
            login="id",
            password=CLIENT_SECRET,
            host=server.url,
            extra={"auth_url": f"{server.url}/login", "bucket_mount": str(bench.sim.bucket_dir), "timeout": 3},
        )
        yield server
    PROCESS.tokens.clear()


def trigger(bench: Any, kind: str, **plan: Any) -> Any:
    plan = {"max_unknown_time": 120.0, "deadline": bench.clock.now + 600.0, "known": True, **plan}
    return KINDS[kind](sentinelhub_conn_id="sentinelhub_default", request_id=ID, plan=plan)


def checked(event: dict[str, Any], which: Any) -> None:
    """The event can be sent and read, and its words can be shown."""
    assert event["request_id"] == ID
    json.dumps(event, allow_nan=False)
    assert not traces_in(event), (which, event)
    said = event["message"] if event["outcome"] == "error" else event["why"]
    assert said.isprintable(), which
    assert len(said) < 5000, which
    if event["outcome"] == "error":
        assert "broke off" not in said, (which, said)
        with pytest.raises(SentinelHubError):
            read_event(event, ID)
    else:
        read_event(event, ID)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trigger_ends_with_one_event_whatever_is_on_the_wire(
    bench: Any, raw: Raw, odd: Odd, logged: Callable[[], str], kind: str
) -> None:
    ends: Counter[str] = Counter()
    for seed in range(RUNS):
        odd.dice, odd.sent = random.Random(f"{kind} {seed}"), []
        before, began = len(raw.calls), bench.clock.now
        checked(bench.fire(trigger(bench, kind, known=seed % 2 == 0)), (seed, odd.sent[-3:]))
        ends[bench.events[-1]["outcome"]] += 1
        assert len(raw.calls) - before < MOST_CALLS
        assert bench.clock.now - began < 700
    assert len(ends) > 1, ends
    assert not traces_in(logged())


@pytest.mark.parametrize("kind", TOKENS)
def test_a_trigger_ends_with_one_event_whatever_is_in_the_place_of_a_token(
    bench: Any, raw: Raw, odd: Odd, logged: Callable[[], str], kind: str
) -> None:
    odd.token, odd.dice = kind, random.Random(kind)
    checked(bench.fire(trigger(bench, "v2", known=len(kind) % 2 == 0)), kind)
    assert len(raw.calls) < MOST_CALLS
    assert not traces_in(logged())
