"""Keep credentials out of texts: those of fields with a known name, and those that are known themselves."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

_NAMES = r"""[\w-]{0,40}? (?: (?:access|refresh|id|session|security)[_-]?token | client[_-]?secret | secret[_-]?key
    | (?:secret[_-]?)?access[_-]?key(?:[_-]?id)? | private[_-]?key | api[_-]?key | credentials? | passw(?:or)?d
    | authorization | x-amz-signature | sharedkey | sas[_-]?token )"""
_QUOTE = r"""(?:\\*["'] | %22 | &quot;)"""

_FIELD = re.compile(
    rf"""(?isx) (?<![\w-]) ({_NAMES} {_QUOTE}? \s* (?:[:=]>? | %3A | %3D) \s* )
         (?: (?P<quote>\\*["']) .*? (?: (?<!\\)(?P=quote) | \Z )
         | (?: (?:bearer|basic)\s+ )? (?![{{\[]) [^\s,;&}}\]<]+ )"""
)
_ELEMENT = re.compile(rf"(?isx) (< (?:[\w-]+:)? {_NAMES} (?:\s[^<>]*)? >) .*? (?= </ | \Z)")
_TOKEN = re.compile(r"(?i)\b(bearer|basic) +[\w.~+/=-]{8,}")
_WEB_TOKEN = re.compile(r"eyJ[\w-]{5,1000}\.[\w-]+(?:\.[\w-]*)?")  # a letter before it may be that of an escape
_IN_URL = re.compile(r"(?<=://)[^/\s\"'<>@:]*:[^/\s\"'<>@]*@")
_IN_QUERY = re.compile(r"(?i)(?<=[?&])(sig|signature|token)=[^&\s\"'<>]+")
"""Of signed URLs, such as those of Azure."""
_SECRET_NAME = re.compile(rf"(?isx) {_NAMES}")
_LEAST = 4
"""Characters below which a value of the user is not searched for in texts: it would be found everywhere."""


def redacted(text: str) -> str:
    """The text with `***` for credentials: values of fields, elements and headers by their name, tokens, URLs.

    Names are such as `secretAccessKey` and `access_token`; quotes may be escaped, in JSON within JSON.
    """
    text = _FIELD.sub(r"\1***", text)
    text = _ELEMENT.sub(r"\1***", text)
    text = _TOKEN.sub(r"\1 ***", text)
    text = _WEB_TOKEN.sub("***", text)
    text = _IN_QUERY.sub(r"\1=***", text)
    return _IN_URL.sub("***@", text)


def forms_of(secret: str) -> list[str]:
    """The secret in each form in which it is sent or may come back: plain, in JSON, in a form or URL, in XML."""
    in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    encodable = secret.encode("utf-8", "replace").decode()
    return list(
        dict.fromkeys((secret, *in_json, quote(encodable, safe=""), quote_plus(encodable), html.escape(secret)))
    )


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for each of these secrets, however they are escaped in it."""
    known = sorted({secret for secret in secrets if len(secret) >= _LEAST}, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, "***")
    wanted = {flat for secret in known if len(flat := _unescaped(secret)[0]) >= _LEAST}
    if not wanted:
        return text
    flat, origins = _unescaped(text)
    hidden = bytearray(len(text))
    for secret in wanted:
        at = flat.find(secret)
        while at >= 0:
            first, last = origins[at], origins[at + len(secret)]
            hidden[first:last] = b"x" * (last - first)
            at = flat.find(secret, at + 1)
    for found in reversed(list(re.finditer(b"x+", hidden))):
        text = f"{text[: found.start()]}***{text[found.end() :]}"
    return text


_PAIR = r"\\+u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})"
_ESCAPE = re.compile(
    rf"(?i)(?<!\\){_PAIR}|\\u([0-9a-f]{{4}})|%([0-9a-f]{{2}})|&(?:(amp|lt|gt|quot|apos)|#(\d{{1,7}})|#x([0-9a-f]{{1,6}}));"
)
"""A letter as it is escaped in JSON (beyond the basic plane by two), in a URL or form, and in XML or HTML."""
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SHORT = {"\n": "n", "\r": "r", "\t": "t"}
_DEPTH = 5
"""Escapes may stand in escapes, so deep: a service's JSON in the text of a gateway's JSON."""


_CHANGED = re.compile(r"[\\%&+\n\r\t]|[^\x00-\x7f]")
"""A letter that `_unescaped` may change. Most secrets, headers and short messages have none."""


def _unescaped(text: str) -> tuple[str, Sequence[int]]:
    """A text in one form for all ways to escape it, and where each of its letters (and its end) is in the text.

    Letters are bytes of UTF-8. Backslashes are left out, a + is a space, and line breaks are as JSON shortens them.
    """
    if _CHANGED.search(text) is None:  # every reply that is an error is looked through, header by header
        return text, range(len(text) + 1)
    flat, origins = _in_bytes(text, list(range(len(text))))
    for _ in range(_DEPTH):
        parts: list[str] = []
        kept: list[int] = []
        done = 0
        for found in _ESCAPE.finditer(flat):
            as_bytes = bytes([int(found[4], 16)]) if found[4] else _letter(found).encode("utf-8", "surrogatepass")
            parts += [flat[done : found.start()], as_bytes.decode("latin-1")]
            kept += [*origins[done : found.start()], *[origins[found.start()]] * len(as_bytes)]
            done = found.end()
        if not done:
            break
        flat, origins = "".join([*parts, flat[done:]]), [*kept, *origins[done:]]
    shown = [
        (" " if letter == "+" else _SHORT.get(letter, letter), at) for letter, at in zip(flat, origins, strict=True)
    ]
    shown = [(letter, at) for letter, at in shown if letter != "\\"]
    return "".join(letter for letter, _ in shown), [*(at for _, at in shown), len(text)]


def _in_bytes(text: str, origins: list[int]) -> tuple[str, list[int]]:
    if text.isascii():
        return text, origins
    letters = [letter.encode("utf-8", "surrogatepass").decode("latin-1") for letter in text]
    return "".join(letters), [at for letter, at in zip(letters, origins, strict=True) for _ in letter]


def _letter(found: re.Match[str]) -> str:
    """The letter that an escape stands for; a percent escape stands for a byte, not for a letter."""
    high, low, unit, _, name, decimal, hexadecimal = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if name:
        return _NAMED[name.lower()]
    code = int(unit or hexadecimal or "0", 16) or int(decimal or 0)
    return chr(code) if code <= 0x10FFFF else "?"


def secrets_in(payload: Any) -> Iterator[str]:
    """The credentials in a payload, by the names of its members."""
    waiting: list[Any] = [payload]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            for name, item in value.items():
                if isinstance(item, str) and isinstance(name, str) and _SECRET_NAME.fullmatch(name):
                    yield item
                else:
                    waiting.append(item)
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)


def hidden(value: Any) -> Any:
    """A copy of a payload with `***` for each credential, by the names of its members, and redacted texts."""
    if isinstance(value, Mapping):
        return {
            name: "***" if isinstance(name, str) and item is not None and _is_secret(name, item) else hidden(item)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [hidden(item) for item in value]
    return redacted(value) if isinstance(value, str) else value


def _is_secret(name: str, item: Any) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None and not isinstance(item, (Mapping, list, tuple, bool))
