"""Replies at random as they stand on the wire: status, type, encoding, body and framing. Seeded."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from airflow_sentinelhub.api.call import Call
from tests.api.odd_replies import BODIES, STATUSES, TYPES, good, spoilt, written

CLIENT_SECRET = 'hush "client/secret+7" hush'
"""The secret of the OAuth client, with characters that JSON and forms escape."""
NAMED = "hush0123456789hush"
"""A secret that stands in replies under a name, or in a form, by which it is known as one."""
_TOKEN = "eyJhbGciOiJodXNo.eyJzdWIiOiJodXNo.c2lnbmF0dXJl"
TRACES = ("hush", "client/secret", "client%2Fsecret", "eyJhbGci", "eyJzdWI", "c2lnbmF0")
"""None of these may be seen anywhere."""

LEAKS = (
    {"access_token": NAMED},
    {"error": {"message": f'refused: {{"secretAccessKey": "{NAMED}", "a": 1}}'}},
    {"error": {"message": f"refused: Bearer {NAMED}", "code": f"Bearer {NAMED}"}},
    {"error": {"message": f"s3://b with client_secret={CLIENT_SECRET}"}},
    {"error": {"message": f"form: {quote_plus(CLIENT_SECRET)} and {json.dumps(json.dumps(CLIENT_SECRET))}"}},
    {"error": "invalid_client", "error_description": f"https://user:{NAMED}@proxy/ and password = {NAMED}"},
    {"error": {"errors": [{"parameter": f"api_key: {NAMED}", "violation": {"sessionToken": NAMED}}]}},
    {"error": {"message": f"<SecretAccessKey>{NAMED}</SecretAccessKey>\n\x1b[2J{_TOKEN}\u2028"}},
    f"authorization: Bearer {NAMED}",
    [{"id_token": _TOKEN, "refresh_token": NAMED}],
)
"""Bodies with secrets in them."""
_SAID = (301, 400, 401, 403, 404, 409, 500, 503)


@dataclass
class OnWire:
    """A reply: its bytes in pieces, and whether the connection is cut behind them. `kind`: how it was made."""

    pieces: list[bytes]
    cut: bool = False
    kind: list[str] = field(default_factory=list)

    async def send(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.cut:
            raise ConnectionResetError


def _body(call: Call[Any], dice: random.Random) -> tuple[str, bytes]:
    kinds: dict[str, Callable[[], bytes]] = {
        "good": lambda: written(good(call, dice)),
        "spoilt": lambda: written(spoilt(good(call, dice), dice)),
        "odd": lambda: dice.choice(BODIES),
        "leak": lambda: json.dumps(dice.choice(LEAKS)).encode(),
        "leak of html": lambda: f"<html><title>password: {NAMED}\n {CLIENT_SECRET}</title>".encode(),
        "noise": lambda: dice.randbytes(dice.randrange(5000)),
        "cut text": lambda: (text := written(good(call, dice)))[: dice.randrange(len(text))],
        "byte order mark": lambda: b"\xef\xbb\xbf" + written(good(call, dice)),
        "two bytes a letter": lambda: json.dumps(good(call, dice)).encode("utf-16"),
        "large": lambda: written({**_an_object(good(call, dice)), "x": ["\ud800", [[]] * 40_000, {"y": "z" * 99_999}]}),
        "long words": lambda: json.dumps({"error": {"message": "://" + ":" * 300_000}}).encode(),
    }
    weights = {"good": 4, "spoilt": 6, "leak": 4, "large": 0.4, "long words": 0.4}
    kind = dice.choices(list(kinds), [weights.get(name, 1.0) for name in kinds])[0]
    return kind, kinds[kind]()


def _an_object(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {"data": body}


def _encoded(body: bytes, dice: random.Random) -> tuple[str, bytes]:
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    packings: dict[str, Callable[[], tuple[str, bytes]]] = {
        "none": lambda: ("", body),
        "gzip": lambda: ("gzip", gzip.compress(body)),
        "gzip cut": lambda: ("gzip", gzip.compress(body)[:-9]),
        "gzip twice": lambda: ("gzip, gzip", gzip.compress(gzip.compress(body))),
        "gzip that is none": lambda: ("gzip", body),
        "deflate": lambda: ("deflate", zlib.compress(body)),
        "deflate raw": lambda: ("deflate", raw.compress(body) + raw.flush()),
        "empty gzips": lambda: ("gzip", gzip.compress(b"") * 50 + gzip.compress(body)),
        "br": lambda: ("br", body),
        "unknown": lambda: ("\x80snappy" * 100, body),
    }
    name = "none" if dice.random() < 0.6 else dice.choice(list(packings))
    return packings[name]()


def _framed(head: list[str], body: bytes, dice: random.Random) -> tuple[str, list[bytes], bool]:
    """The framing: its name, the pieces, and whether the connection is cut behind them."""
    how = (
        "length"
        if dice.random() < 0.7
        else dice.choice(("chunks", "to the end", "short", "long", "bad", "none", "100"))
    )
    start = "\r\n".join(head)
    if how == "chunks":
        size = max(len(body) // 3, 1)
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
        return how, [f"{start}\r\nTransfer-Encoding: chunked\r\n\r\n".encode("latin-1"), *chunks, b"0\r\n\r\n"], False
    if how == "to the end":
        return how, [f"{start}\r\nConnection: close\r\n\r\n".encode("latin-1"), body], True
    if how == "bad":
        return (
            how,
            [dice.choice((b"HTTP/9.9 twenty\r\n\r\n", b"\x15\x03\x01\x00\x02", b"ICY 200 OK\r\n", b"\r\n" * 9))],
            True,
        )
    if how == "none":
        return how, [], True
    length = len(body) + {"short": -1, "long": 7}.get(how, 0)
    start += "\r\nConnection: close" * (how != "length")
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" if how == "100" else b""
    return (
        how,
        [interim + f"{start}\r\nContent-Length: {max(length, 0)}\r\n\r\n".encode("latin-1"), body],
        how != "length",
    )


def wired(call: Call[Any], dice: random.Random) -> OnWire:
    """A reply to this call."""
    kind, body = _body(call, dice)
    status = dice.choice(STATUSES) if not kind.startswith("leak") else dice.choice((*_SAID, 200))
    coding, packed = _encoded(body, dice)
    head = [f"HTTP/1.1 {status} {dice.choice(('OK', '', 'Some Words'))}", f"Content-Type: {dice.choice(TYPES)}"]
    head += [f"Content-Encoding: {coding}"] * bool(coding)
    head += [f"Location: https://user:{NAMED}@login/?token={NAMED}"] * (300 <= status < 400)
    head += [f"Retry-After: {dice.choice(('', 'soon', '-1', '1e999', '2000', 'nan'))}"] * (status == 429)
    head += [f"X-{'x' * dice.choice((1, 5000))}: {chr(dice.randrange(0xA0, 0xFF))}"] * dice.randrange(2)
    if status in (204, 304):
        packed = b""
    how, pieces, cut = _framed(head, packed, dice)
    return OnWire(pieces, cut, [str(status), kind, coding, how])


TOKENS: dict[str, tuple[int, str, bytes]] = {
    **{
        f"expires_in {value[:20]}": (
            200,
            "",
            b'{"access_token": "%b", "expires_in": %b}' % (NAMED.encode(), value.encode()),
        )
        for value in (
            "-1",
            "0",
            "1e999",
            "-1e999",
            "NaN",
            '"x"',
            "null",
            "[]",
            "{}",
            "true",
            "1e-9",
            "9" * 5000,
            '"1e999"',
        )
    },
    "no expires_in": (200, "", b'{"access_token": "%b"}' % NAMED.encode()),
    **{
        f"scope {value}": (200, "", b'{"access_token": "%b", "expires_in": 9, "scope": %b}' % (NAMED.encode(), value))
        for value in (b"7", b"null", b"[1]", b"{}", b'"a b"', b"true")
    },
    **{
        f"token_type {value}": (200, "", b'{"access_token": "%b", "token_type": %b}' % (NAMED.encode(), value))
        for value in (b"7", b"null", b'"mac"', b'"\\n"')
    },
    **{
        f"token {value[:9]!r}": (200, "", b'{"access_token": %b, "expires_in": 3600}' % value)
        for value in (
            b"null",
            b'""',
            b'" "',
            b'"hush\\nhush"',
            b'"hush\\r\\nX-Evil: 1"',
            b'"hush\\u0000"',
            b'"' + b"hush" * 250_000 + b'"',
            b"7",
            b"[]",
            b'["hush"]',
            b'{"a": "hush"}',
        )
    },
    "html": (200, "text/html", b"<html><title>Sign in, hush</title></html>"),
    "html 503": (503, "text/html", f"<html><title>{CLIENT_SECRET}</title></html>".encode()),
    "no content": (204, "", b""),
    "empty": (200, "", b""),
    "redirect": (302, "", b""),
    "array": (200, "", b'[{"access_token": "hush"}]'),
    "bare text": (200, "", b'"hush.hush.hush"'),
    "another name": (200, "", b'{"token": "hush", "jwt": "hush"}'),
    "error in 200": (200, "", b'{"error": "invalid_client", "error_description": "client_secret=hush"}'),
    "error in 400": (400, "", json.dumps({"error": "invalid_client", "error_description": CLIENT_SECRET}).encode()),
    "error in 401": (401, "", json.dumps({"error": {"message": quote_plus(CLIENT_SECRET)}}).encode()),
    "nested": (200, "", b"[" * 100_000),
    "cut": (200, "", b'{"access_token": "hush'),
    "no text": (200, "", b"\xff\xfe\x00hush"),
}
"""Replies to the request for a token: status, content type and body."""


def token_reply(kind: str) -> OnWire:
    status, type_, body = TOKENS[kind]
    location = f"Location: https://user:{NAMED}@login/?{NAMED}\r\n" if status == 302 else ""
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {type_}\r\n{location}Content-Length: {len(body)}\r\n\r\n"
    return OnWire([head.encode(), body], kind=[kind])


def traces_in(*texts: Any) -> list[str]:
    """The traces of secrets in these values, and in what they hold."""
    shown = " ".join(f"{text} {text!r} {getattr(text, '__dict__', '')}" for text in texts)
    return [trace for trace in TRACES if trace in shown]
