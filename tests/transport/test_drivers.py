"""Two drivers, one behaviour: the same faults bring the same result or error, by the same requests."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Flow, Lost, Renew, Reply, exchange
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.read import read
from airflow_sentinelhub.api.flows.wait import look
from airflow_sentinelhub.api.service import v1, v2
from airflow_sentinelhub.api.service.generations import V1, V2
from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.transport import aio, client
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.gate import IN_FLIGHT
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import Tokens
from tests.transport.conftest import Harness, Ran

TOKEN = "/auth/realms/main/protocol/openid-connect/token"
GRIDS = "/api/v1/batch/tilinggrids"
PAYLOAD: dict[str, Any] = {
    "processRequest": {
        "input": {"bounds": {"bbox": [8.9, 41.9, 9.3, 42.3]}, "data": [{"type": "sentinel-2-l2a"}]},
        "output": {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]},
        "evalscript": "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
        "function evaluatePixel(sample) { return [sample.B04]; }",
    },
    "tilingGrid": {"id": 1, "resolution": 10},
    "output": {"defaultTilePath": "s3://maps/ndvi"},
}


def grids() -> Any:
    return exchange(v1.list_tiling_grids())


def create() -> Any:
    return exchange(v1.create(PAYLOAD))


Both = Callable[[Callable[[Harness], Ran]], Ran]


def with_fault(flow: Callable[[], Any], kind: str, path: str, **how: Any) -> Callable[[Harness], Ran]:
    def body(harness: Harness) -> Ran:
        harness.simulator.fault(kind, path, **how)
        return harness.run(flow())

    return body


def statuses(ran: Ran, path: str) -> list[int | None]:
    return [status for _, called, status, _ in ran.calls if called == path]


def test_a_call_and_its_token(both: Both) -> None:
    ran = both(lambda harness: harness.run(grids()))
    assert [item["id"] for item in ran.result.items] == [0, 1, 2, 3, 6, 7]
    assert [(method, path) for method, path, _, _ in ran.calls] == [("POST", TOKEN), ("GET", GRIDS)]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"kind": "status", "status": 429, "retry_after_ms": 3398}, [429, 200]),
        ({"kind": "status", "status": 429, "retry_after_ms": None, "bare": True}, [429, 200]),
        ({"kind": "status", "status": 503, "times": 3}, [503, 503, 503, 200]),
        ({"kind": "status", "status": 500, "when": "after"}, [500, 200]),
        ({"kind": "html"}, [503, 200]),
        ({"kind": "drop_before"}, [None, 200]),
        ({"kind": "drop_after"}, [None, 200]),
        ({"kind": "truncate"}, [200, 200]),
        ({"kind": "expire_tokens"}, [401, 200]),
        ({"kind": "status", "status": 400, "message": "Request body should be non-empty."}, [400, 200]),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_passes_is_waited_out(both: Both, fault: dict[str, Any], seen: list[int | None]) -> None:
    ran = both(with_fault(grids, path=GRIDS, **fault))
    assert ran.error is None
    assert len(ran.result.items) == 6
    assert statuses(ran, GRIDS) == seen
    assert len(statuses(ran, TOKEN)) == (2 if fault["kind"] == "expire_tokens" else 1)


@pytest.mark.parametrize(
    ("fault", "kind", "calls"),
    [
        ({"kind": "status", "status": 503, "times": None}, errors.ServerError, 4),
        ({"kind": "html", "status": 502, "times": None}, errors.ServerError, 4),
        ({"kind": "drop_before", "times": None}, errors.UnreachableError, 4),
        ({"kind": "truncate", "times": None}, None, 4),
        ({"kind": "expire_tokens", "times": None}, errors.AuthenticationError, 2),
        ({"kind": "status", "status": 403}, errors.ForbiddenError, 1),
        ({"kind": "status", "status": 404}, errors.NotFoundError, 1),
        ({"kind": "status", "status": 409}, errors.ConflictError, 1),
        ({"kind": "status", "status": 400, "message": "no"}, errors.BadRequestError, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_does_not_pass_is_the_same_error(
    both: Both, fault: dict[str, Any], kind: type[Exception] | None, calls: int
) -> None:
    ran = both(with_fault(grids, path=GRIDS, **fault))
    assert isinstance(ran.error, kind or errors.SentinelHubError)
    assert len(statuses(ran, GRIDS)) == calls


@pytest.mark.parametrize(("kind", "made"), [("drop_before", 0), ("drop_after", 1), ("truncate", 1)])
def test_a_create_whose_reply_is_lost_is_sent_once(both: Both, kind: str, made: int) -> None:
    ran = both(with_fault(create, kind, "/process$", method="POST"))
    assert isinstance(ran.error, (errors.UnreachableError, errors.ServerError))
    assert ran.error.ambiguous
    assert [effect for *_, effect in ran.calls].count("created") == made
    assert len(statuses(ran, "/api/v1/batch/process")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_that_fails_with_5xx_is_sent_once(both: Both, when: str) -> None:
    ran = both(with_fault(create, "status", "/process$", method="POST", status=503, when=when))
    assert isinstance(ran.error, errors.ServerError)
    assert statuses(ran, "/api/v1/batch/process") == [503]


def test_a_reply_that_comes_too_late_is_lost(both: Both) -> None:
    def body(harness: Harness) -> Ran:
        harness.simulator.fault("delay", "/process$", method="POST", seconds=1.5)
        return harness.run(grids(), create(), timeout=0.5)

    ran = both(body)
    assert isinstance(ran.error, errors.UnreachableError)
    assert ran.error.ambiguous
    assert "no reply within" in str(ran.error)
    assert [effect for *_, effect in ran.calls].count("created") == 1


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "truncate"])
def test_a_start_is_made_once_whatever_becomes_of_its_reply(both: Both, kind: str) -> None:
    def body(harness: Harness) -> Ran:
        request_id = harness.run(create()).result.request_id
        harness.simulator.fault(kind, "/start$", method="POST")
        return harness.run(start_once(V1, request_id))

    ran = both(body)
    assert ran.error is None
    assert [effect for *_, effect in ran.calls].count("billed_start") == 1


def test_a_replica_that_lags_is_the_same_for_both(both: Both) -> None:
    def body(harness: Harness) -> Ran:
        request_id = harness.run(create()).result.request_id
        harness.simulator.fault("lag", f"/process/{request_id}$", seconds=30, times=2)
        return harness.run(read(V1, request_id))

    ran = both(body)
    assert isinstance(ran.error, errors.NotFoundError)


def test_both_forms_of_the_path(both: Both) -> None:
    flow = v2.list_requests
    new = both(lambda harness: harness.run(exchange(flow(sort="created:desc")), path_form="service-first"))
    old = both(lambda harness: harness.run(exchange(flow(sort="created:desc"))))
    assert new.calls[-1][:3] == ("GET", "/batch/v2/process", 200)
    assert old.calls[-1][:3] == ("GET", "/api/v2/batch/process", 200)


# Tokens


def test_wrong_credentials_are_said_once_and_not_tried_again(both: Both) -> None:
    ran = both(lambda harness: harness.run(grids(), client_secret="wrong-and-hush"))
    assert isinstance(ran.error, errors.AuthenticationError)
    for part in ("connection 'sh'", "Invalid client", "Check client id and secret"):
        assert part in str(ran.error)
    assert "hush" not in str(ran.error)
    assert statuses(ran, TOKEN) == [401]
    assert len(ran.calls) == 1


@pytest.mark.parametrize(
    "fault", [{"kind": "html", "status": 429}, {"kind": "status", "status": 503}, {"kind": "drop_before"}]
)
def test_a_token_endpoint_in_trouble_is_waited_for(both: Both, fault: dict[str, Any]) -> None:
    ran = both(with_fault(grids, path=TOKEN, **fault))
    assert ran.error is None
    assert len(statuses(ran, TOKEN)) == 2


def test_one_token_serves_all_flows_of_the_process(driver: Harness) -> None:
    for _ in range(3):
        assert driver.run(grids(), grids()).error is None
    other = Harness({"sync": "async", "async": "sync"}[driver.kind], driver.simulator)
    assert other.run(grids()).error is None
    assert sum(call["path"] == TOKEN for call in driver.simulator.journal()) == 1


def test_a_token_near_its_end_is_renewed_before_it_is_refused(both: Both) -> None:
    def body(harness: Harness) -> Ran:
        harness.run(grids())
        store = PROCESS.tokens_of(harness.settings)
        assert store._token is not None
        assert store.current(store._token.renew_at - 1) is store._token
        assert store.current(store._token.renew_at) is None
        store._token = type(store._token)(store._token.value, 0.0)
        return harness.run(grids())

    assert [status for *_, status, _ in both(body).calls] == [200, 200]


def test_a_refusal_that_comes_late_drops_no_token_that_was_renewed_meanwhile(driver: Harness) -> None:
    """A hundred waiting tasks whose token has ended ask for one new token, not for a hundred."""
    store = PROCESS.tokens_of(driver.settings)

    def refused_late() -> Flow[None]:
        yield from grids()
        assert store._token is not None
        renewed = type(store._token)("renewed by another flow", store._token.renew_at)
        store._token = renewed
        yield Renew()
        assert store._token is renewed

    assert driver.run(refused_late()).error is None


def test_a_refused_token_is_dropped(driver: Harness) -> None:
    store = PROCESS.tokens_of(driver.settings)

    def refused() -> Flow[None]:
        yield from grids()
        yield Renew()
        assert store._token is None

    assert driver.run(refused()).error is None


# Hosts out of reach


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_closed_port_and_an_unknown_host_are_not_ambiguous(both: Both) -> None:
    for url in (f"http://127.0.0.1:{closed_port()}", "http://nowhere.invalid"):
        base = url
        ran = both(lambda harness, base=base: harness.run(create(), base_url=base))  # type: ignore[misc]
        assert isinstance(ran.error, errors.UnreachableError)
        assert not ran.error.ambiguous
        assert base in str(ran.error)


async def test_certificates_are_checked_where_only_the_token_url_has_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client secret travels there."""
    monkeypatch.setattr(PROCESS, "tls", {})
    shared = await client.in_loop(Settings("http://localhost:1", "https://token.example/token", "id", "secret"))
    pool = shared.client._transport._pool  # type: ignore[attr-defined]
    assert pool._ssl_context.verify_mode is ssl.CERT_REQUIRED
    await shared.client.aclose()


# Secrets


async def test_a_poll_leaves_no_line_of_the_http_library(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Of ours; what else in a triggerer uses that library keeps its lines."""
    driver = aio.AsyncDriver(Harness("async", simulator).settings)
    with caplog.at_level(logging.INFO, logger="httpx"):  # where Airflow 3 has set it to WARNING
        await driver.run(grids())
        assert [record.message for record in caplog.records if record.name == "httpx"] == []
        async with httpx.AsyncClient() as others:
            await others.get(f"{simulator.url}/_simulator/journal")
    assert len([record for record in caplog.records if record.name == "httpx"]) == 1


def test_secrets_are_in_no_log_error_or_repr(driver: Harness, caplog: pytest.LogCaptureFixture) -> None:
    secret = driver.settings.client_secret
    with caplog.at_level(logging.DEBUG):
        driver.simulator.fault("expire_tokens", GRIDS)
        driver.run(grids())
        store = PROCESS.tokens_of(driver.settings)
        assert store._token is not None
        token = store._token.value
        told = [caplog.text, repr(driver.settings), repr(store._token), repr(store)]
        for fault in ("status", "drop_after", "truncate", "html"):
            driver.simulator.fault(fault, "/process$", method="POST")
            ran = driver.run(create())
            told += [str(ran.error), repr(ran.error), repr(vars(ran.error))]
    told.append(caplog.text)
    assert token in driver.masked
    for text in told:
        assert secret not in text
        assert token not in text


# At most eight in flight


async def test_at_most_eight_requests_are_in_flight() -> None:
    """A thousand waiting tasks are one polite client: measured at a server of our own."""
    now = most = 0
    full, released = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"POST"):
                    length = next(
                        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
                    )
                    await reader.readexactly(length)
                    body = b'{"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}'
                else:
                    now += 1
                    most = max(most, now)
                    if now >= IN_FLIGHT:
                        full.set()
                    await released.wait()
                    now -= 1
                    body = b'{"data": []}'
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = Settings(url, f"{url}/token", "id", "secret", timeout=30)
    given: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        given.append(request)

    (await client.in_loop(settings)).client.event_hooks = {"request": [note]}
    flows = [asyncio.create_task(AsyncDriver(settings).run(grids())) for _ in range(60)]
    await full.wait()
    for _ in range(500):  # everything that could be sent has been
        await asyncio.sleep(0)
    assert now == IN_FLIGHT
    # The rest waits before it is given to httpx: what waits there is timed, and taken for a reply that is lost.
    assert sum(request.method == "GET" for request in given) == IN_FLIGHT
    released.set()
    await asyncio.gather(*flows)
    assert most == IN_FLIGHT
    server.close()


def test_who_waits_for_a_token_in_vain_is_told_how_the_last_request_for_one_ended() -> None:
    tokens = Tokens(Settings("https://sh.test", "https://sh.test/token", "id", "secret"))
    over, refused = Lost("too late", ambiguous=False, over=True), Lost("connection refused", ambiguous=False)
    said = [tokens.not_in_time().why]
    for answer in (Reply(503, {}, b""), over, refused, over, Reply(200, {}, b"{}"), over):
        tokens.note_reply(answer)
        said.append(tokens.not_in_time().why)
    nothing = "no access token was got before the time for waiting was over"
    by_503, by_loss = f"{nothing} (HTTP 503)", f"{nothing} (connection refused)"
    assert said == [nothing, by_503, by_503, by_loss, by_loss, nothing, nothing]


def test_a_wrong_secret_of_one_connection_ends_no_wait_of_another_one_of_the_account(simulator: Simulator) -> None:
    settings = Harness("async", simulator).settings
    nowhere = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"

    async def both_wait() -> list[Any]:
        drivers = [AsyncDriver(replace(settings, conn_id="wrong", client_secret="wrong")), AsyncDriver(settings)]
        return [
            type((await asyncio.gather(driver.run(look(V2, nowhere, "DONE")), return_exceptions=True))[0])
            for driver in drivers
        ]

    assert asyncio.run(both_wait()) == [errors.AuthenticationError, errors.NotFoundError]
