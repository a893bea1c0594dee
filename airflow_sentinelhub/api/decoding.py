"""Reading JSON that may be odd: what cannot be read of a reply is None, and only a reply without sense is an error.

Replies show requests of everybody in the account, and whatever stands between us and the service may answer in its
place. So nothing here trusts a shape, and nothing raises any error but ValueError.
"""

from __future__ import annotations

import codecs
import json
import json.decoder
import json.scanner
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import lru_cache, partial
from typing import Any, TypeVar

from airflow_sentinelhub.exceptions import one_line

W = TypeVar("W")

ID_LIMIT, WORD_LIMIT = 200, 100
"""Characters of an id, and of a status or another word of the service; a longer text is not taken for one."""
_UUID_LENGTH = 36
_DIGITS = 300
"""Digits of a whole number that is kept as one: all that fit into a float. Python reads no more than 4,300 at all."""
_TOO_MUCH = 10**_DIGITS
_LARGEST = 2**63 - 1
LARGE = 128 << 10
"""Bytes of a body above which it takes too long to decode it in an event loop: some 5 ms."""
_LARGEST_ERROR = 1 << 20
"""Bytes of the body of an error above which it is not decoded, and only its first words are kept."""
_SLICE = 1 << 20
_ESCAPE = re.compile(
    r"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2}|u0000)|.)",
    re.DOTALL,
)
"""An escape in JSON. First group: two halves of a character; second: one half alone, or the character zero."""
_MAY_BE_UNSTORABLE = re.compile(r"\\u(?:[dD]|0000)")
"""Where an escape may stand for such a character: one search for all takes a seventh of a search for each."""
MARK_WORD = re.compile(r"afx[0-9a-f]{16}")
"""The identity of a task (see `decide/marker.py`) anywhere in a text: what carries one may belong to a task."""
_HTML_TITLES = (("<title>", "</title>"), ("<h1>", "</h1>"))


def decoded(body: bytes | bytearray) -> Any:
    """The JSON in a body, None if it is empty.

    Whole numbers that are too long become infinite. Half characters (lone surrogates, which cannot be written anywhere)
    become question marks, and the character zero, which no text of PostgreSQL can hold, a space.

    A large body is decoded in small steps, in a thread (see `call.exchange`): the usual decoder would keep all other
    threads, and with them the event loop, from running until it is through.

    :raises ValueError: it is not JSON, or is nested so deep that it cannot be read.
    """
    slices = list(_text_of(body))
    if all(not part or part.isspace() for part in slices):
        return None
    text = "".join(slices)
    try:
        if may_have_unstorable(text):
            text = _ESCAPE.sub(_storable, text)
        return (_STEPWISE if len(body) > LARGE else AT_ONCE).decode(text)
    except Exception as err:  # RecursionError among others
        raise ValueError(f"{type(err).__name__}: {str(err)[:100]}") from None


def may_have_unstorable(text: str) -> bool:
    """Whether a text of JSON may have characters that no database can store."""
    return _MAY_BE_UNSTORABLE.search(text) is not None


def _storable(found: re.Match[str]) -> str:
    """The escape that was found; a question mark or a space for one that no database can store."""
    if found[2] is None:
        return found[0]
    return " " if found[2] == "u0000" else "?"


def _text_of(body: bytes | bytearray) -> Iterator[str]:
    """The text of a body, in slices."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    for start in range(0, len(body), _SLICE):
        yield decoder.decode(bytes(body[start : start + _SLICE]), start + _SLICE >= len(body))


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


class _Stepwise(json.JSONDecoder):
    """The standard library's decoder as it is written in Python, which lets other threads run between two values."""

    def __init__(self) -> None:
        super().__init__(parse_int=_integer)
        self.parse_object = json.decoder.JSONObject  # type: ignore[attr-defined]
        self.parse_array = json.decoder.JSONArray  # type: ignore[attr-defined]
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


AT_ONCE, _STEPWISE = json.JSONDecoder(parse_int=_integer), _Stepwise()
_UNSTORABLE = str.maketrans({"\0": " ", **{chr(half): "?" for half in range(0xD800, 0xE000)}})


def storable(value: Any) -> Any:
    """A value of JSON that was decoded, with the characters in it replaced that no database can store."""
    if isinstance(value, str):
        return value.translate(_UNSTORABLE)
    if isinstance(value, dict):
        return {storable(name): storable(inner) for name, inner in value.items()}
    return [storable(inner) for inner in value] if isinstance(value, list) else value


def member(value: Any, *path: str) -> Any:
    """What stands at this path of objects, None where there is no such place."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def an_object(body: Any) -> dict[str, Any]:
    """The body, which must be a JSON object.

    :raises ValueError: it is something else.
    """
    if not isinstance(body, dict):
        raise ValueError(f"it is {_kind(body)}, not an object")
    return body


class MissingError(ValueError, KeyError):
    """A body lacks a member without which it says nothing. A KeyError too, as the vendor's classes raise."""

    __str__ = Exception.__str__


def id_in(body: Any) -> str:
    """The id of what a body describes; a UUID in lower case, since all others are compared with it.

    :raises ValueError: it has none.
    """
    value = an_object(body).get("id")
    if not isinstance(value, str) or not value.strip() or len(value) > ID_LIMIT or not value.isprintable():
        raise MissingError("it has no id") if value is None else ValueError("its id is none")
    return value.lower() if len(value) == _UUID_LENGTH else value


def status_in(body: Any) -> str:
    """The status of what a body describes, known or not.

    :raises ValueError: it has none.
    """
    value = an_object(body).get("status")
    if not _is_word(value):
        raise MissingError("it has no status") if value is None else ValueError("its status is no word")
    return str(value)


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """A finite number from 0 on, above 64 bits a float; None for all else, NaN among it.

    A longer whole number would end the process of Airflow's triggers, which cannot send it.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < _TOO_MUCH:
        return None
    return float(value) if value > _LARGEST else value


def whole(value: Any) -> int | None:
    """A whole number of at most 64 bits, from 0 on; None for all else."""
    found = number(value)
    return int(found) if found is not None and found <= _LARGEST and found == int(found) else None


def word(kind: type[W], value: Any) -> W | None:
    """A word of an open enum (`statuses.py`), None for what is no word."""
    return kind(value) if _is_word(value) else None  # type: ignore[call-arg]


def words_at(body: Any, *path: str) -> str:
    """The text at this path of objects, empty where there is none.

    :raises ValueError: something else stands there, and in it the marker of a task: the request may be the one that
        the task looks for, and must not be taken for somebody else's.
    """
    found = body
    for name in path:
        if not isinstance(found, dict):
            break
        found = found.get(name)
    else:
        if isinstance(found, str):
            return found
    if found is not None and found is not body and has_marker(found):
        raise ValueError(f"its {path[-1]} is no text, and has the marker of a task in it")
    return ""


def has_marker(value: Any) -> bool:
    """Whether the marker of a task stands anywhere in a value of JSON."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and MARK_WORD.search(item):
            return True
    return False


def read_time(value: Any) -> datetime | None:
    """A time of the service (`2020-12-21T22:28:38.824Z`, three or six decimals) with its zone; None if there is none.

    Returns None for a time that cannot be parsed, so that a waiting task survives.
    """
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return None
    return _time_of(value) if len(value) <= WORD_LIMIT else _time_of.__wrapped__(value)


_SHORT_ZONE = re.compile(r"(T[^+-]*[+-]\d\d)(\d\d)?$")
"""`+0200` or `+02`: Python 3.10 reads `+02:00` only."""


@lru_cache(maxsize=8192)
def _time_of(value: str) -> datetime | None:
    """The same for a text. It is kept: a request that is read again has the times that it had before."""
    head, _, fraction = value.strip().replace("Z", "+00:00").partition(".")
    if fraction:  # Python 3.10 reads three or six decimals only
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        head += f".{digits[:6].ljust(6, '0')}{fraction[len(digits) :]}"
    head = _SHORT_ZONE.sub(lambda found: f"{found[1]}:{found[2] or '00'}", head)
    try:
        time = datetime.fromisoformat(head)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= WORD_LIMIT and value.isprintable()


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def said_in(body: bytes | bytearray, clean: Callable[[str], str] | None = None) -> tuple[str, str | None]:
    """The service's own words and code in the body of an error, from any of the shapes it was seen to answer in.

    :param clean: takes known secrets out of a text, before it is cut.
    """
    line = partial(one_line, clean=clean)
    if len(body) > _LARGEST_ERROR:
        return _plain_words(body, line), None
    try:
        return _message_of(decoded(body), line)
    except Exception:  # no JSON, or JSON of a shape that cannot even be written again
        return _plain_words(body, line), None


def _message_of(read: Any, line: Callable[..., str]) -> tuple[str, str | None]:
    if not isinstance(read, dict):
        raise ValueError("not an object")
    inner = read if read.get("error") is None else read["error"]
    if not isinstance(inner, dict):  # OAuth: {"error": "invalid_client", "error_description": "..."}
        description = line(_written(read.get("error_description") or inner)) or "no details"
        return description, line(inner, WORD_LIMIT) if isinstance(inner, str) else None
    violations = inner.get("errors")
    violation_lines = []
    for item in violations if isinstance(violations, list) else ():
        parts = [_written(item[key]) for key in ("parameter", "violation") if item.get(key)] if _is_object(item) else []
        violation_lines += [": ".join(parts)] if parts else []
    message = "; ".join(violation_lines) or _written(
        inner.get("message") or inner.get("description") or inner.get("reason") or ""
    )
    code = inner.get("code")
    known = code is not None and not isinstance(code, (dict, list))
    return line(message) or "no details", line(str(code), WORD_LIMIT) if known else None


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain_words(body: bytes | bytearray, line: Callable[..., str]) -> str:
    """What a body that is no JSON says: the title of a page, or its first words."""
    words = body[:20_000].decode("utf-8", "replace")
    for start, end in _HTML_TITLES:
        _, found, rest = words.partition(start)
        if found and (title := line(rest.partition(end)[0], 200)):
            return title
    return "no JSON in the reply" if words.lstrip().startswith("<") else line(words, 200) or "no details"
