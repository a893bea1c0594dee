"""Keep credentials out of texts: those of fields with a known name, and those that are known themselves."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
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
_SECRET_NAME = re.compile(rf"(?isx) {_NAMES}")
_ESCAPED = {"\\": r"\\+", '"': r'\\*"', "/": r"\\*/"}
"""Letters before which JSON puts backslashes, with any number of them."""
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
    return _IN_URL.sub("***@", text)


def forms_of(secret: str) -> list[str]:
    """The secret in each form in which it is sent or may come back: plain, in JSON, in a form or URL, in XML."""
    in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    encodable = secret.encode("utf-8", "replace").decode()
    return list(
        dict.fromkeys((secret, *in_json, quote(encodable, safe=""), quote_plus(encodable), html.escape(secret)))
    )


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for each of these secrets, in all their forms."""
    known = {secret for secret in secrets if len(secret) >= _LEAST}
    for form in sorted({form for secret in known for form in forms_of(secret)}, key=len, reverse=True):
        text = text.replace(form, "***")
    for secret in known:
        if any(letter in secret for letter in _ESCAPED):  # JSON within JSON, however deep
            text = re.sub("".join(_ESCAPED.get(letter, re.escape(letter)) for letter in secret), "***", text)
    return text


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
