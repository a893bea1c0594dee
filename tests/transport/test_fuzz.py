"""Any bytes in the place of a reply: a result or an error of ours, the same in both drivers, and no secret in it."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import random
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from airflow_sentinelhub.api.call import ONCE, Call, Reply, exchange
from airflow_sentinelhub.api.decoding import LARGE, decoded
from airflow_sentinelhub.api.paging import page_of
from airflow_sentinelhub.api.service import statistical, v1, v2
from airflow_sentinelhub.exceptions import ApiError, SentinelHubError, UnreadableReplyError
from airflow_sentinelhub.redaction import redacted
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from tests.api.feeding import ID
from tests.growth import assert_linear
from tests.transport.conftest import QuickAsync, QuickSync
from tests.transport.raw import Raw, always, reply, serving
from tests.transport.wire import CLIENT_SECRET, TOKENS, OnWire, token_reply, traces_in, wired

pytestmark = pytest.mark.thorough

CALLS: dict[str, Call[Any]] = {
    "v1 request": v1.get_request(ID),
    "v1 requests": v1.list_requests(),
    "v1 tiles": v1.list_tiles(ID),
    "v2 request": v2.get_request(ID),
    "v2 requests": v2.list_requests(),
    "v2 start": v2.start(ID),
    "statistical request": statistical.get_request(ID),
}
RUNS = 40
LONGEST = 5000
"""Characters of a message."""


@pytest.fixture(autouse=True)
def no_token_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    PROCESS.tokens.clear()
    monkeypatch.setattr("airflow_sentinelhub.transport.gate.Gate.closed_for", lambda gate: 0.0)


class Scripted:
    """Gives each call the reply that was set before it; counts calls."""

    def __init__(self) -> None:
        self.reply = OnWire([])
        self.asked = 0

    async def __call__(self, head: bytes) -> AsyncIterator[bytes]:
        self.asked += 1
        async for piece in self.reply.send():
            yield piece


def settings_for(server: Raw, token: str = "token") -> Settings:
    return Settings(server.url, f"{server.url}/{token}", "id", CLIENT_SECRET, timeout=3.0, conn_id="sh")


def checked(outcome: Any, which: Any) -> str:
    """What came of a call, in words to compare, after a look at it."""
    if not isinstance(outcome, BaseException):
        return f"result {outcome!r}"
    assert isinstance(outcome, SentinelHubError), (which, repr(outcome)[:500])
    shown = str(outcome)
    assert shown.isprintable(), which
    assert len(shown) < LONGEST, which
    assert not traces_in(outcome, *vars(outcome).values(), pickle.loads(pickle.dumps(outcome))), (which, vars(outcome))
    if isinstance(outcome, ApiError):
        assert outcome.reason.isprintable(), which
        assert len(outcome.body) <= 2000, which
    return f"{type(outcome).__name__}: {shown}"


async def in_loop(settings: Settings, call: Call[Any]) -> Any:
    try:
        return await QuickAsync(settings).run(exchange(call, ONCE))
    except Exception as err:
        return err


def in_thread(settings: Settings, call: Call[Any]) -> Any:
    try:
        return QuickSync(settings).run(exchange(call, ONCE))
    except Exception as err:
        return err


@pytest.mark.parametrize("name", CALLS)
def test_whatever_is_on_the_wire(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "airflow_sentinelhub")
    call, script, ends = CALLS[name], Scripted(), Counter[str]()
    with serving(script) as server:
        settings = settings_for(server)

        async def all_of_them() -> list[str]:
            said = []
            for seed in range(RUNS):
                script.reply = wired(call, random.Random(f"{name} {seed}"))
                script.asked = 0
                said.append(checked(await in_loop(settings, call), (seed, script.reply.kind)))
                assert script.asked <= 2, (seed, script.reply.kind)  # again with a new token, after a 401
            return said

        said = asyncio.run(all_of_them())
        for seed in range(RUNS):
            script.reply = wired(call, random.Random(f"{name} {seed}"))
            outcome = checked(in_thread(settings, call), (seed, script.reply.kind))
            assert outcome == said[seed], script.reply.kind
            ends[outcome.split()[0]] += 1
    assert len(ends) > 4, ends  # it meets results, and errors of several kinds
    assert not traces_in(caplog.text)


@pytest.mark.parametrize("kind", TOKENS)
def test_whatever_is_in_the_place_of_a_token(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is taken or not; what is not taken is an error of ours, and the call of the task is not sent."""
    caplog.set_level("DEBUG", "airflow_sentinelhub")
    sent: list[bytes] = []

    async def answers(head: bytes) -> AsyncIterator[bytes]:
        if head.startswith(b"POST /login "):
            async for piece in token_reply(kind).send():
                yield piece
        else:
            sent.append(head)
            yield reply(b'{"id": "7"}')

    call: Call[Any] = Call("GET", "/api/v2/batch/process/7", lambda body: body, about="batch request 7")
    with serving(answers) as server:
        settings = settings_for(server, "login")
        one = asyncio.run(in_loop(settings, call))
        PROCESS.tokens.clear()
        two = in_thread(settings, call)
        asked = len(server.calls) - len(sent)
    assert checked(one, kind) == checked(two, kind)
    assert len(sent) == (2 if one == {"id": "7"} else 0)
    if sent:
        assert kind.startswith(("expires_in", "no expires_in", "scope", "token_type")), kind
        assert all(b"\r\nauthorization: bearer hush0123456789hush\r\n" in head.lower() for head in sent)
    elif not kind.startswith(("html 503", "redirect", "error in 40")):
        assert isinstance(one, UnreadableReplyError)
        assert one.body == ""
    assert asked <= 8
    assert not traces_in(caplog.text)


@pytest.mark.parametrize("expires_in", ["-1", "0", "1e999", '"x"', "null", "[]", "NaN"])
def test_a_token_whose_life_is_not_known_is_not_asked_for_at_each_call(expires_in: str) -> None:
    async def answers(head: bytes) -> AsyncIterator[bytes]:
        if head.startswith(b"POST /login "):
            yield reply(b'{"access_token": "a.b.c", "expires_in": %b}' % expires_in.encode())
        else:
            yield reply(b"{}")

    call: Call[Any] = Call("GET", "/api/v2/batch/process/7", lambda body: body)
    with serving(answers) as server:
        driver = QuickSync(settings_for(server, "login"))
        for _ in range(3):
            try:
                driver.run(exchange(call, ONCE))
            except UnreadableReplyError:
                return  # it is not taken
        assert sum(head.startswith(b"POST") for head in server.calls) == 1


# Bounds


@pytest.mark.parametrize("packing", ["stored blocks", "members"])
def test_packings_of_nothing_have_an_end(packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that unpack to nothing are no body, however many they are; their number is limited too."""
    monkeypatch.setattr(client, "MOST_BYTES", 1 << 18)
    nothing = gzip.compress(b"")
    if packing == "stored blocks":
        begin, nothing = zlib.compress(b"")[:2], b"\x00\x00\x00\xff\xff" * 2000
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n" + begin + b"\r\n"
        )
    else:
        nothing *= 500
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (len(nothing), nothing)

    async def answers(request: bytes) -> AsyncIterator[bytes]:
        yield head
        while True:
            yield chunk

    with serving(answers) as server:
        outcome = in_thread(settings_for(server), CALLS["v2 request"])
    assert isinstance(outcome, UnreadableReplyError)
    assert "too large" in str(outcome)


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'""'])
def test_values_are_counted_before_they_fill_the_memory(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 MiB of empty lists are below the limit of bytes, and would be two gigabytes of lists."""
    assert client.MOST_VALUES == 3_000_000
    monkeypatch.setattr(client, "MOST_VALUES", 100_000)
    body = b'{"data": [' + b",".join([value] * 200_000) + b"]}"
    for status in ("200 OK", "400 Bad Request"):
        with serving(always(reply(gzip.compress(body), "Content-Encoding: gzip", status=status))) as server:
            outcome = in_thread(settings_for(server), CALLS["v2 request"])
        assert isinstance(outcome, ApiError)
        assert ("more than 100,000 values" in str(outcome)) == (status == "200 OK")


def test_a_large_list_that_the_service_may_send_is_below_the_bounds() -> None:
    """100 requests over polygons of 1,500 points, each with a long evalscript."""
    ring = [[8.0 + n / 1e5, 41.0 + n / 1e5] for n in range(1500)]
    item = {"id": ID, "status": "DONE", "request": {"evalscript": "[a,b]" * 4000, "coordinates": [ring]}}
    body = json.dumps({"data": [item] * 100}).encode()
    with serving(always(reply(body))) as server:
        page = in_thread(settings_for(server), CALLS["v2 requests"])
    assert len(page.items) == 100


@pytest.mark.parametrize("length", range((1 << 20) - 40, (1 << 20) + 40, 7))
def test_a_packed_body_may_end_where_a_piece_ends(length: int) -> None:
    """The decompressor may have read all bytes, and still hold back the last of what they unpack to."""

    async def unpacked(packed: bytes, bits: int) -> int:
        async def pieces() -> AsyncIterator[bytes]:
            yield packed

        return sum([len(piece) async for piece in client._decompressed(pieces(), bits)])

    for bits, wire in ((15, -15), (15, 15), (31, 31)):
        packer = zlib.compressobj(9, zlib.DEFLATED, wire)
        packed = packer.compress(bytes(length)) + packer.flush()
        assert asyncio.run(unpacked(packed, bits)) == length


# Large bodies are decoded in another way than small ones, to the same values


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2.5, "\\u00e9\\ud83d\\ude00", null, true, [], {}], "b": {"c": -1e5}}',
        '["\\ud800", "\\udc00\\ud800", "\\ud83d\\ud83d\\ude00", "\\\\ud800", "\\\\\\ud800"]',
        f"[{'9' * 400}, 1e999, NaN]",
        "[1,",
        '{"a" 1}',
        "[1] x",
        "[" * 5000,
        "\ufeff[1]",
        "   ",
    ],
)
def test_large_bodies_are_read_as_small_ones(text: str) -> None:
    def read(body: bytes) -> str:
        try:
            return repr(decoded(body))
        except ValueError as err:
            return f"refused {str(err).split(':')[0]}"

    small = text.encode()
    assert read(small) == read(small + b" " * LARGE)
    if "ud800" in text:
        assert decoded(small) == ["?", "??", "?\U0001f600", "\\ud800", "\\?"]
    read(small).encode()  # nothing that cannot be written


def test_a_marker_is_found_wherever_it_stands() -> None:
    parse = page_of(v2.read_request)
    for item in ({"a": [{"b": "x afx0123456789abcdef r0"}]}, {"afx0123456789abcdef": 1}, ["afx0123456789abcdef"]):
        with pytest.raises(ValueError, match="marker of a task"):
            parse({"data": [item]})
    assert parse({"data": [{"a": "afx"}]}).left_out == 1


@pytest.mark.parametrize("form", ["token", "link"])
def test_a_token_of_a_page_that_fits_into_no_url_is_none(form: str) -> None:
    links = {"nextToken": "x" * 70_000} if form == "token" else {"next": "/p?viewtoken=" + "x" * 70_000}
    with pytest.raises(ValueError, match=r"characters, too many for a URL"):
        page_of(v2.read_request)({"data": [{"id": ID, "status": "DONE"}], "links": links})


# Texts that take long to look through for secrets


@pytest.mark.parametrize(
    "text",
    [
        "://" + ":" * 8000,
        "://" + "a:" * 4000,
        "<api_key " * 1000,
        "eyJaaaaaa-" * 800,
        "api_key='" * 900,
        "bearer  " * 999,
    ],
)
def test_no_text_takes_long_to_redact(text: str) -> None:
    assert_linear(lambda size: redacted(text[:size]), len(text))


def test_a_password_in_a_url_is_redacted() -> None:
    assert redacted("see https://me:pa:ss@host/x and http://h:80/ a@b") == "see https://***@host/x and http://h:80/ a@b"
    assert redacted("<ApiKey a='b'>hush</ApiKey>") == "<ApiKey a='b'>***</ApiKey>"


def test_a_reply_does_not_show_its_body() -> None:
    assert "hush" not in repr(Reply(200, {}, b"hush"))
