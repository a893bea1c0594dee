"""Reading what somebody sent, JSON and whole numbers, with bounds: nothing gets further that later code cannot hold."""

from __future__ import annotations

import json
import math
from typing import Any

# Levels of lists and objects in each other. The deepest request of the contract has 12.
DEEPEST = 100
# A whole number fits into 64 bits, as it does in the service (contract: int64).
_LARGEST = 2**63 - 1
# No number in a query or a path has more digits than this.
_MOST_DIGITS = 18


class _TooLarge(ValueError):
    """A number that neither 64 bits nor a double can hold."""


def read_json(content: bytes, what: str) -> Any:
    """The JSON value in UTF-8.

    :param what: name of the content, with which each error begins (``Request body``).
    :raises ValueError: one sentence: no JSON, nested too deeply, a number that is too large (more than 64 bits, or more
        than a double holds), or a text with half a surrogate pair, which no file and no database can hold.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=_constant, parse_int=_whole, parse_float=_real)
    except _TooLarge:
        raise ValueError(f"{what} holds a number that is too large.") from None
    except RecursionError:
        raise ValueError(_too_deep(what)) from None
    except ValueError:
        raise ValueError(f"{what} is not valid JSON.") from None
    _check(value, what)
    return value


def whole_number(text: str) -> int | None:
    """A number of at most 18 decimal digits without a sign, else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _check(value: Any, what: str) -> None:
    """Depth and texts, without recursion."""
    level = [value]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not _is_text(item):
                raise ValueError(f"{what} holds a text that is not valid Unicode.")
        if not below:
            return
        level = below
    raise ValueError(_too_deep(what))


def _too_deep(what: str) -> str:
    return f"{what} is nested more than {DEEPEST} levels deep."


def _is_text(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _constant(name: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(name)


def _whole(digits: str) -> int:
    # The length first: Python itself refuses to convert some thousand digits.
    if len(digits) > _MOST_DIGITS + 2 or abs(int(digits)) > _LARGEST:
        raise _TooLarge(digits[:40])
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _TooLarge(digits[:40])
    return value
